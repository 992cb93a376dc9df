"""SASL/SCRAM, the server's side: who knows a password proves it, and the password is never sent or kept.

Source: RFC 5802 and RFC 7677, Kafka's KIP-84 (no channel binding; extensions are let through).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "DEFAULT_ITERATIONS",
    "SaslFailed",
    "ScramCredential",
    "ScramMechanism",
    "ScramServer",
    "derive",
    "from_salted",
]

ScramMechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512"]
DEFAULT_ITERATIONS = 4096

_HASH = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_NAME = r"(?:[^,=\x00]|=2C|=3D)*"
_NONCE = r"[\x21-\x2b\x2d-\x7e]+"
_FIRST = re.compile(
    rf"(?P<header>[ny],(?:a=(?P<authzid>{_NAME}))?,)(?P<bare>n=(?P<name>{_NAME}),r=(?P<nonce>{_NONCE})(?:,.*)?)"
)
_FINAL = re.compile(
    rf"(?P<bare>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>{_NONCE})(?:,.*)?),p=(?P<proof>[A-Za-z0-9+/=]+)"
)


class SaslFailed(Exception):
    """An authentication fails.

    Args:
        reason: why, for the broker's own record.
        message: what the client is told; None for Kafka's usual sentence.
    """

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, kw_only=True)
class ScramCredential:
    """What a server keeps of a password (RFC 5802, section 3)."""

    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    iterations: int


def derive(
    mechanism: ScramMechanism, password: str, *, salt: bytes | None = None, iterations: int = DEFAULT_ITERATIONS
) -> ScramCredential:
    """What a server keeps of this password."""
    salt = os.urandom(16) if salt is None else salt
    return from_salted(
        mechanism,
        hashlib.pbkdf2_hmac(_HASH[mechanism], password.encode(), salt, iterations),
        salt=salt,
        iterations=iterations,
    )


def from_salted(mechanism: ScramMechanism, salted: bytes, *, salt: bytes, iterations: int) -> ScramCredential:
    """What a server keeps of a password that a client has salted: AlterUserScramCredentials sends it so."""
    name = _HASH[mechanism]
    client_key = hmac.digest(salted, b"Client Key", name)
    return ScramCredential(
        salt=salt,
        stored_key=hashlib.new(name, client_key).digest(),
        server_key=hmac.digest(salted, b"Server Key", name),
        iterations=iterations,
    )


class ScramServer:
    """One conversation with a client.

    Args:
        find: the credential of a user, None for one that is not known.
        nonce: the server's part of the nonce; random by default.
    """

    def __init__(
        self, mechanism: ScramMechanism, find: Callable[[str], ScramCredential | None], *, nonce: str | None = None
    ) -> None:
        self._hash = _HASH[mechanism]
        self._find = find
        self._nonce = base64.b64encode(os.urandom(18)).decode() if nonce is None else nonce
        self._credential: ScramCredential | None = None
        self._name = ""
        self._header = b""
        self._first = ""
        self.user: str | None = None
        self.expires_ms: int | None = None

    def respond(self, message: bytes) -> bytes:
        """The answer to the client's next message; `user` is set when this was the last one.

        Raises:
            SaslFailed: the message is malformed, the user is not known, or the proof is wrong.
        """
        try:
            text = message.decode()
        except UnicodeDecodeError as error:
            raise SaslFailed("a SCRAM message is no UTF-8") from error
        return self._server_first(text) if self._credential is None else self._server_final(text)

    def _server_first(self, text: str) -> bytes:
        found = _FIRST.fullmatch(text)
        if found is None:
            raise SaslFailed("the client's first SCRAM message is malformed, or wants channel binding")
        name, authzid = _unescape(found["name"]), _unescape(found["authzid"] or "")
        if authzid not in ("", name):
            text = "Authentication failed: Client requested an authorization id that is different from username"
            raise SaslFailed(f"{name!r} asks to act as {authzid!r}", text)
        credential = self._find(name)
        if credential is None:
            raise SaslFailed(f"there is no user {name!r} with a credential for this mechanism")
        self._credential, self._name = credential, name
        self._header = found["header"].encode()
        self._nonce = found["nonce"] + self._nonce
        salt = base64.b64encode(credential.salt).decode()
        answer = f"r={self._nonce},s={salt},i={credential.iterations}"
        self._first = f"{found['bare']},{answer}"
        return answer.encode()

    def _server_final(self, text: str) -> bytes:
        credential = self._credential
        assert credential is not None
        found = _FINAL.fullmatch(text)
        if found is None or self.user is not None:
            raise SaslFailed("the client's last SCRAM message is malformed")
        if found["nonce"] != self._nonce or _base64(found["binding"]) != self._header:
            raise SaslFailed("the client's last SCRAM message is not the second one of this conversation")
        exchange = f"{self._first},{found['bare']}".encode()
        signature = hmac.digest(credential.stored_key, exchange, self._hash)
        proof = _base64(found["proof"])
        key = bytes(a ^ b for a, b in zip(proof, signature, strict=False))
        proved = hmac.compare_digest(hashlib.new(self._hash, key).digest(), credential.stored_key)
        if len(proof) != len(signature) or not proved:
            raise SaslFailed(f"the password of user {self._name!r} is wrong")
        self.user = self._name
        return b"v=" + base64.b64encode(hmac.digest(credential.server_key, exchange, self._hash))


def _unescape(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise SaslFailed("a SCRAM message holds no base64 where it should") from error
