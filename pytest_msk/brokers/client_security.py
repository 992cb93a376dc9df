"""What a client is told so that it can show who it is: librdkafka's settings for each way to authenticate."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from ..errors import BrokerError
from . import ClientSetting
from .security import MECHANISM_OF, Authentication, IamKey, Security

if TYPE_CHECKING:
    from .certificates import CertificateAuthority

__all__ = ["client_security", "iam_token"]

_TOKEN_SECONDS = 900
_EPOCH_FORM = "%Y%m%dT%H%M%SZ"


def client_security(
    auth: Authentication, user: str | None, security: Security, authority: Callable[[], CertificateAuthority]
) -> dict[str, ClientSetting]:
    """Settings under librdkafka's names, without the address.

    Args:
        user: a user's name, for `iam` an access key's id, for `mtls` a certificate's subject; the first one if None.
        authority: makes certificates; asked only where they are needed.

    Raises:
        BrokerError: there is no such user or key, or this way takes none.
    """
    if auth in ("plaintext", "tls"):
        if user is not None:
            raise BrokerError(f"auth={auth!r} takes no user, and {user!r} was given: a client is anonymous there.")
        return {} if auth == "plaintext" else {"security.protocol": "SSL", "ssl.ca.location": str(authority().path)}
    trusted: dict[str, ClientSetting] = {"ssl.ca.location": str(authority().path)}
    if auth == "mtls":
        certificate = authority().client(user or "msk-user")
        return {
            "security.protocol": "SSL",
            **trusted,
            "ssl.certificate.location": str(certificate.path),
            "ssl.key.location": str(certificate.key_path),
        }
    sasl: dict[str, ClientSetting] = {
        "security.protocol": "SASL_SSL",
        **trusted,
        "sasl.mechanism": MECHANISM_OF[auth],
    }
    if auth == "iam":
        return {**sasl, "oauth_cb": partial(_token_for_librdkafka, security.iam_key(user), security.region)}
    name, password = security.password(user)
    return {**sasl, "sasl.username": name, "sasl.password": password}


def iam_token(key: IamKey, region: str) -> tuple[str, int]:
    """A token for MSK's IAM listener, as aws-msk-iam-sasl-signer makes it, and when it expires (epoch ms)."""
    from datetime import datetime, timezone

    from botocore.auth import SigV4QueryAuth  # type: ignore[import-untyped]
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
    from botocore.credentials import Credentials  # type: ignore[import-untyped]

    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    request = AWSRequest(
        method="GET", url=f"https://kafka.{region}.amazonaws.com/", params={"Action": "kafka-cluster:Connect"}
    )
    SigV4QueryAuth(credentials, "kafka-cluster", region, expires=_TOKEN_SECONDS).add_auth(request)
    url = f"{request.prepare().url}&User-Agent=pytest-msk"
    signed = datetime.strptime(parse_qs(urlsplit(url).query)["X-Amz-Date"][0], _EPOCH_FORM)
    expires = int(signed.replace(tzinfo=timezone.utc).timestamp()) + _TOKEN_SECONDS
    return base64.urlsafe_b64encode(url.encode()).decode().rstrip("="), expires * 1000


def _token_for_librdkafka(key: IamKey, region: str, _config: str = "") -> tuple[str, float]:
    """What confluent-kafka's `oauth_cb` is to give: the token, and when it expires in seconds."""
    token, expires_ms = iam_token(key, region)
    return token, expires_ms / 1000
