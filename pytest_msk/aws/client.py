"""Clients of the kit's own: boto3's, whose calls moto answers in a chosen account."""

from __future__ import annotations

from typing import Any

__all__ = ["moto_client"]


def moto_client(service: str, *, region: str, account_id: str) -> Any:
    """A client of a service; only to be used while moto is active."""
    import boto3  # type: ignore[import-untyped]

    client = boto3.session.Session().client(
        service, region_name=region, aws_access_key_id="pytest-msk", aws_secret_access_key="pytest-msk"
    )

    def name_account(request: Any, **_: object) -> None:
        request.headers["x-moto-account-id"] = account_id

    client.meta.events.register("request-created", name_account)
    return client
