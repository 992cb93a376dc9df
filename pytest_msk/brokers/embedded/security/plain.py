"""SASL/PLAIN, the server's side: a name and a password, as RFC 4616 writes them."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from .scram import SaslFailed

__all__ = ["PlainServer"]


class PlainServer:
    """One conversation: a single message.

    Args:
        find: the password of a user, None for one that is not known.
    """

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self._find = find
        self.user: str | None = None
        self.expires_ms: int | None = None

    def respond(self, message: bytes) -> bytes:
        """The empty answer to the right password.

        Raises:
            SaslFailed: anything else.
        """
        try:
            authzid, name, password = message.decode().split("\0")
        except ValueError as error:
            raise SaslFailed("a SASL/PLAIN message is not three texts with zero bytes between them") from error
        for what, text in (("username", name), ("password", password)):
            if not text:
                raise SaslFailed(f"no {what} came in", f"Authentication failed: {what} not specified")
        found = self._find(name)
        if found is None or not hmac.compare_digest(found.encode(), password.encode()):
            why = f"there is no user {name!r}" if found is None else f"the password of user {name!r} is wrong"
            raise SaslFailed(why, "Authentication failed: Invalid username or password")
        if authzid not in ("", name):
            text = "Authentication failed: Client requested an authorization id that is different from username"
            raise SaslFailed(f"{name!r} asks to act as {authzid!r}", text)
        self.user = name
        return b""
