"""SASL/IAM: an OAUTHBEARER token that is a signed URL, as AWS's MSK IAM signers make it, and its verification.

The token is base64url of `https://kafka.REGION.amazonaws.com/?Action=kafka-cluster:Connect&X-Amz-...`, presigned with
Signature Version 4. Source: aws-msk-iam-sasl-signer's README, AWS's "Create a signed AWS API request", RFC 7628.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ...security import IamKey
from .scram import SaslFailed

__all__ = ["IamServer", "InvalidToken", "VerifiedToken", "verify_token"]

_ACTION = "kafka-cluster:Connect"
_SERVICE = "kafka-cluster"
_ALGORITHM = "AWS4-HMAC-SHA256"
_FORM = "%Y%m%dT%H%M%SZ"
# A signer's clock may be ahead by 5 minutes, as everywhere in AWS; presigned URLs hold for a week at most.
_AHEAD_MS = 300_000
_LONGEST_S = 604_800
_FIRST = re.compile(
    rb"[ny],(?:a=([^,]*))?,\x01auth=Bearer +([A-Za-z0-9\-._~+/]+=*)\x01(?:[^\x01]*\x01)*\x01?", re.IGNORECASE
)


class InvalidToken(Exception):
    """A token is not one that this cluster takes; the text says why."""


@dataclass(frozen=True, kw_only=True)
class VerifiedToken:
    """Whose token it is, and until when it holds (epoch ms)."""

    key: IamKey
    expires_ms: int


def verify_token(token: str, *, keys: Sequence[IamKey], region: str, now_ms: int) -> VerifiedToken:
    """Verify a token of MSK's IAM signers.

    Args:
        keys: those that may connect.
        region: the cluster's.
        now_ms: real time, epoch ms.

    Raises:
        InvalidToken: it is no such token, is for another action or region, has expired, or is forged.
    """
    host, query = _parse(token)
    signature = _take(query, "X-Amz-Signature")
    query.pop("User-Agent", None)  # appended behind the signature
    if (action := unquote(query.get("Action", ""))) != _ACTION:
        raise InvalidToken(f"its action is {action!r}, not {_ACTION!r}")
    if (algorithm := unquote(query.get("X-Amz-Algorithm", ""))) != _ALGORITHM:
        raise InvalidToken(f"its algorithm is {algorithm!r}, not {_ALGORITHM!r}")
    if unquote(query.get("X-Amz-SignedHeaders", "")) != "host":
        raise InvalidToken("its signed headers are not 'host'")
    access_key_id, day, signed_region, scope_rest = _credential(query)
    date = unquote(query.get("X-Amz-Date", ""))
    if signed_region != region or host != f"kafka.{region}.amazonaws.com":
        raise InvalidToken(f"it is signed for region {signed_region!r} and {host}; the cluster is in {region!r}")
    key = next((each for each in keys if each.access_key_id == access_key_id), None)
    if key is None:
        raise InvalidToken(f"its access key {access_key_id!r} is not known")
    expires_ms = _check_time(date, day, query, now_ms)
    if query.get("X-Amz-Security-Token") is not None or key.session_token is not None:
        given = unquote(query.get("X-Amz-Security-Token", ""))
        if not hmac.compare_digest(given.encode(), (key.session_token or "").encode()):
            raise InvalidToken(f"its session token is not the one of access key {access_key_id!r}")
    scope = f"{day}/{signed_region}/{scope_rest}"
    if not hmac.compare_digest(_signature(key.secret_access_key, host, query, date, scope), signature):
        raise InvalidToken(f"its signature is not made with the secret of access key {access_key_id!r}")
    return VerifiedToken(key=key, expires_ms=expires_ms)


def _parse(token: str) -> tuple[str, dict[str, str]]:
    """The host and the parameters of the URL in a token, these still percent-encoded."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        text = data.decode("ascii")
        url = urlsplit(text)
        host = url.hostname or ""
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise InvalidToken("it is not base64url of a URL") from error
    if not text.startswith("https://") or url.netloc != host or url.path not in ("", "/") or url.fragment:
        raise InvalidToken("it does not hold the URL of an MSK endpoint")
    query: dict[str, str] = {}
    for item in filter(None, url.query.split("&")):
        name, _, value = item.partition("=")
        if name in query:
            raise InvalidToken(f"its URL has {name!r} twice")
        query[name] = value
    return host, query


def _take(query: dict[str, str], name: str) -> str:
    if name not in query:
        raise InvalidToken(f"its URL has no {name}")
    return query.pop(name)


def _credential(query: dict[str, str]) -> tuple[str, str, str, str]:
    credential = unquote(query.get("X-Amz-Credential", ""))
    parts = credential.split("/")
    if len(parts) != 5 or parts[3:] != [_SERVICE, "aws4_request"]:
        raise InvalidToken(f"its credential {credential!r} is not KEY/DATE/REGION/{_SERVICE}/aws4_request")
    return parts[0], parts[1], parts[2], "/".join(parts[3:])


def _check_time(date: str, day: str, query: dict[str, str], now_ms: int) -> int:
    """When the token ends, epoch ms."""
    try:
        start = datetime.datetime.strptime(date, _FORM).replace(tzinfo=datetime.timezone.utc)
        seconds = int(query.get("X-Amz-Expires", ""))
    except ValueError as error:
        raise InvalidToken("its X-Amz-Date or X-Amz-Expires cannot be read") from error
    if not 0 < seconds <= _LONGEST_S or not date.startswith(day):
        raise InvalidToken("its X-Amz-Date or X-Amz-Expires is out of range")
    start_ms = int(start.timestamp()) * 1000
    end_ms = start_ms + seconds * 1000
    if now_ms >= end_ms:
        raise InvalidToken(f"it has expired: it was signed at {date} for {seconds} s")
    if now_ms < start_ms - _AHEAD_MS:
        raise InvalidToken(f"it is not valid yet: it is signed for {date}")
    return end_ms


def _signature(secret: str, host: str, query: dict[str, str], date: str, scope: str) -> str:
    """The signature that a URL with these parameters must have."""
    parameters = "&".join(f"{name}={query[name]}" for name in sorted(query))
    nothing = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/\n{parameters}\nhost:{host}\n\nhost\n{nothing}"
    signed = f"{_ALGORITHM}\n{date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, signed.encode(), "sha256").hex()


class IamServer:
    """One SASL/OAUTHBEARER conversation.

    Args:
        verify: checks a token.
        may_connect: whether the policy of a key's owner lets it connect.
    """

    def __init__(self, verify: Callable[[str], VerifiedToken], may_connect: Callable[[IamKey], bool]) -> None:
        self._verify = verify
        self._may_connect = may_connect
        self._failed: SaslFailed | None = None
        self.user: str | None = None
        self.expires_ms: int | None = None
        self.key: IamKey | None = None

    def respond(self, message: bytes) -> bytes:
        """The empty answer to a good token, else an error as JSON, which the client must confirm with a byte.

        Raises:
            SaslFailed: the message is malformed, or the client has confirmed the error.
        """
        if self._failed is not None:
            raise self._failed
        found = _FIRST.fullmatch(message)
        if found is None:
            raise SaslFailed("the client's OAUTHBEARER message is malformed")
        try:
            verified = self._verify(found[2].decode())
        except InvalidToken as error:
            return self._fail("invalid_token", f"a token is refused: {error}")
        if not self._may_connect(verified.key):
            return self._fail("access_denied", f"the policy of {verified.key.arn} does not allow {_ACTION}")
        self.key, self.user, self.expires_ms = verified.key, verified.key.arn, verified.expires_ms
        return b""

    def _fail(self, status: str, reason: str) -> bytes:
        answer = json.dumps({"status": status}, separators=(",", ":"))
        self._failed = SaslFailed(reason, answer)
        return answer.encode()
