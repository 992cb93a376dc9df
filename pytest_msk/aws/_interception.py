"""Interception: the one place where this kit reaches into moto.

Every client that moto serves, whether it was made before or after, hands its requests to moto's `BotocoreStubber`.
While an interception is active, those of its services come here first; what it does not answer goes on to moto.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _rest_json as rest_json
from ._rest_json import ApiError, Parameters

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse  # type: ignore[import-untyped]

__all__ = ["Call", "Interception", "Operation"]

_HOST = re.compile(r"https?://(\w+)\.([a-z]{2}[a-z-]*-\d)\.amazonaws\.com(?:\.cn)?(?::\d+)?/")
_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A call of an AWS API.

    Args:
        operation: the API's name of the operation, such as `DescribeCluster`.
        parameters: under the API's names.
        region: where it was sent.
        account_id: the account of the caller, as moto finds it.
    """

    operation: str
    parameters: Parameters
    region: str
    account_id: str


#: Answers a call with the members of its result, or with `None` to leave it to moto; raises `ApiError`.
Operation = Callable[[Call], "Mapping[str, object] | None"]


class Interception:
    """Operations of AWS services that are answered here instead of by moto, from `start` to `stop`.

    Args:
        services: per service (`kafka`, `lambda`) its operations by name.
        before: per service what is called, with nothing, before moto answers for it: `monitoring`, `logs`.
    """

    def __init__(
        self,
        services: Mapping[str, Mapping[str, Operation]],
        *,
        before: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self._services = services
        self._before = before or {}
        self._telling = False
        self._original: Callable[..., object] | None = None

    def start(self) -> None:
        """Begin to answer; moto itself may be started before or after."""
        from moto.core.botocore_stubber import BotocoreStubber

        original = self._original = BotocoreStubber.__call__
        interception = self

        def intercepted(stubber: Any, event_name: str, request: AWSPreparedRequest, **kwargs: Any) -> object:
            answered = interception._answer(request) if stubber.enabled else None
            return original(stubber, event_name, request, **kwargs) if answered is None else answered

        BotocoreStubber.__call__ = intercepted  # type: ignore[assignment,method-assign]

    def stop(self) -> None:
        """Leave everything to moto again."""
        from moto.core.botocore_stubber import BotocoreStubber

        assert self._original is not None
        BotocoreStubber.__call__ = self._original  # type: ignore[method-assign]
        self._original = None

    def _answer(self, request: AWSPreparedRequest) -> AWSResponse | None:
        host = _HOST.match(request.url)
        if host is not None and host[1] in self._before and not self._telling:
            self._telling = True  # its own requests do not come here again
            try:
                self._before[host[1]]()
            finally:
                self._telling = False
        operations = self._services.get(host[1]) if host else None
        if host is None or operations is None:
            return None
        service, region = host.groups()
        body = request.body or b""
        headers = {key: _text(value) for key, value in request.headers.items()}
        found = rest_json.read(
            service, request.method, request.url, headers, body.encode() if isinstance(body, str) else body
        )
        if found is None or found[0] not in operations:
            return None
        name, parameters = found
        call = Call(operation=name, parameters=parameters, region=region, account_id=_account(headers))
        try:
            result = operations[name](call)
            if result is None:
                return None
            answer = rest_json.answer(service, name, result)
        except ApiError as error:
            answer = rest_json.failure(error)
        from botocore.awsrequest import AWSResponse
        from moto.core.botocore_stubber import MockRawResponse

        return AWSResponse(request.url, answer.status, answer.headers, MockRawResponse(answer.body))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _account(headers: Mapping[str, str]) -> str:
    """The caller's account, by moto's own rules."""
    from moto.iam.models import get_account_id_from

    if "MOTO_ACCOUNT_ID" in os.environ:
        return os.environ["MOTO_ACCOUNT_ID"]
    if "x-moto-account-id" in headers:
        return headers["x-moto-account-id"]
    key = _ACCESS_KEY.search(headers.get("Authorization", ""))
    return get_account_id_from(key[1] if key else "AKIAEXAMPLE")
