"""Who is at the other end of a connection, how far its authentication has come, and what it may do.

On a SASL listener nothing but ApiVersions, SaslHandshake and SaslAuthenticate is taken until the client has shown who
it is; it may do so again (KIP-368), as the same principal, before its session ends.
Source: org.apache.kafka.common.security.authenticator.SaslServerAuthenticator, KIP-43, KIP-152, KIP-368.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from ..errors import ErrorCode
from .access import ANONYMOUS, Authorizer
from .scram import SaslFailed

__all__ = ["API_VERSIONS", "SASL_AUTHENTICATE", "SASL_HANDSHAKE", "Answer", "SaslServer", "SaslState", "Session"]

SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 17, 18, 36
# A session is not renewed more than once a second.
_RENEWED_AGAIN_MS = 1_000


class SaslServer(Protocol):
    """One conversation of a SASL mechanism."""

    user: str | None
    expires_ms: int | None

    def respond(self, message: bytes) -> bytes:
        """The answer to the client's next message; `user` is set with the last one.

        Raises:
            SaslFailed: the authentication fails.
        """


class SaslState(Enum):
    """How far an authentication has come."""

    HANDSHAKE = "a mechanism is not agreed yet"
    TOKENS = "the mechanism's messages go back and forth"
    COMPLETE = "the client is known"
    FAILED = "nothing more is answered"


class Answer(Exception):
    """A SASL request is answered with an error, and the connection may end with it.

    Args:
        code: Kafka's error code.
        message: what the client is told.
        ends: whether the connection is closed behind the answer.
    """

    def __init__(self, code: ErrorCode, message: str | None, *, ends: bool) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.ends = ends


class Session:
    """A connection's identity.

    Args:
        mechanisms: what starts a conversation of each mechanism of the listener; empty where there is no SASL.
        authorizer: what a principal may do, by its name and the conversation that has shown it.
        now_ms: real time, epoch ms.
        max_session_ms: `connections.max.reauth.ms`, 0 for none.
        rejected: told in a sentence of each authentication that fails.
    """

    def __init__(
        self,
        *,
        mechanisms: Mapping[str, Callable[[], SaslServer]],
        authorizer: Callable[[str, SaslServer | None], Authorizer],
        now_ms: Callable[[], int],
        max_session_ms: int,
        rejected: Callable[[str], None],
    ) -> None:
        self.principal = ANONYMOUS
        self.authorizer = authorizer(ANONYMOUS, None)
        self.state = SaslState.HANDSHAKE if mechanisms else SaslState.COMPLETE
        #: Whether the mechanism's messages come without a header: after a SaslHandshake of version 0.
        self.is_bare = False
        self._mechanisms = mechanisms
        self._authorizer = authorizer
        self._now_ms = now_ms
        self._max_session_ms = max_session_ms
        self._rejected = rejected
        self._mechanism = ""
        self._server: SaslServer | None = None
        self._is_known = not mechanisms
        self._since_ms = 0
        self._ends_ms: int | None = None

    def identify(self, principal: str) -> None:
        """The client has shown who it is without SASL, by its certificate."""
        self.principal = principal
        self.authorizer = self._authorizer(principal, None)

    def refusal(self, api_key: int, api_name: str) -> str | None:
        """Why a request is not taken now; None if it is."""
        if self.state is SaslState.COMPLETE:
            if self._ends_ms is None or api_key in (SASL_HANDSHAKE, SASL_AUTHENTICATE, API_VERSIONS):
                return None
            if self._now_ms() < self._ends_ms:
                return None
            return f"The session of {self.principal} is over, and the client has not authenticated again."
        if self.state is SaslState.FAILED or api_key not in (API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE):
            return f"Unexpected Kafka request of type {api_name} during SASL handshake."
        if (api_key == SASL_AUTHENTICATE) is not (self.state is SaslState.TOKENS):
            return f"Unexpected Kafka request of type {api_name} while {self.state.value}."
        return None

    def handshake(self, version: int, mechanism: str) -> list[str]:
        """SaslHandshake: agree on a mechanism; the ones that there are.

        Raises:
            Answer: the mechanism is not spoken, or there is nothing to authenticate.
        """
        if self.state is SaslState.COMPLETE and not self._may_renew():
            raise Answer(ErrorCode.ILLEGAL_SASL_STATE, None, ends=False)
        start = self._mechanisms.get(mechanism)
        if start is None:
            self.state = SaslState.FAILED
            self._rejected(f"A client asked for SASL mechanism {mechanism!r}; there are {self.mechanisms}.")
            raise Answer(ErrorCode.UNSUPPORTED_SASL_MECHANISM, None, ends=True)
        if self._is_known and mechanism != self._mechanism:
            raise self._failed(
                f"a client of mechanism {self._mechanism} asks for {mechanism}",
                f"Cannot change the mechanism during re-authentication from {self._mechanism} to {mechanism}.",
            )
        self._mechanism, self._server = mechanism, start()
        self.state, self.is_bare = SaslState.TOKENS, version == 0
        return self.mechanisms

    @property
    def mechanisms(self) -> list[str]:
        """The mechanisms of the listener."""
        return list(self._mechanisms)

    def authenticate(self, message: bytes) -> tuple[bytes, int]:
        """SaslAuthenticate: the answer to a mechanism's message, and the session's lifetime (ms, 0: no end).

        Raises:
            Answer: the client is not who it says, or there is nothing to authenticate.
        """
        server = self._server
        if self.state is not SaslState.TOKENS or server is None:
            text = "SaslAuthenticate request received after successful authentication"
            raise Answer(ErrorCode.ILLEGAL_SASL_STATE, text, ends=False)
        try:
            answer = server.respond(message)
        except SaslFailed as failed:
            usual = (
                "Authentication failed during authentication due to invalid credentials with SASL mechanism "
                f"{self._mechanism}"
            )
            raise self._failed(failed.reason, failed.message or usual) from failed
        return answer, 0 if server.user is None else self._complete(server, f"User:{server.user}")

    def _complete(self, server: SaslServer, principal: str) -> int:
        if self._is_known and principal != self.principal:
            raise self._failed(
                f"{self.principal} authenticates again as {principal}",
                f"Cannot change principals during re-authentication from {self.principal}: {principal}",
            )
        now = self._now_ms()
        lifetimes = [self._max_session_ms] if self._max_session_ms else []
        if server.expires_ms is not None:
            lifetimes.append(max(server.expires_ms - now, 0))
        self._ends_ms = now + min(lifetimes) if lifetimes else None
        self._since_ms, self._is_known = now, True
        self.state, self.is_bare, self._server = SaslState.COMPLETE, False, None
        self.principal = principal
        self.authorizer = self._authorizer(principal, server)
        return min(lifetimes, default=0)

    def _may_renew(self) -> bool:
        return self._ends_ms is not None and self._now_ms() - self._since_ms >= _RENEWED_AGAIN_MS

    def _failed(self, reason: str, message: str) -> Answer:
        self.state = SaslState.FAILED
        self._rejected(f"SASL authentication by {self._mechanism} failed: {reason}.")
        return Answer(ErrorCode.SASL_AUTHENTICATION_FAILED, message, ends=True)
