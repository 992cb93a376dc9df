"""TLS over a socket that somebody else reads and writes: bytes in, bytes out, nothing blocks.

A whole handful of records is opened with one call to the socket, where an SSL socket would need two for each record.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from ...certificates import Certificate
from ..wire import Buffer

__all__ = ["ClientAuth", "TlsFailed", "TlsTransport", "server_context"]

#: Kafka's `ssl.client.auth`: whether a client must, may or need not show a certificate.
ClientAuth = Literal["none", "requested", "required"]

_VERIFY = {"none": ssl.CERT_NONE, "requested": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
# The most that one TLS record holds, and how much is sealed before the socket takes it.
_RECORD = 1 << 14
_SEAL_AT_ONCE = 1 << 18


class TlsFailed(Exception):
    """The other side does not speak TLS, or its certificate is refused."""


def server_context(
    certificate: Certificate, client_auth: ClientAuth, client_cas: Sequence[str | Path]
) -> ssl.SSLContext:
    """What the TLS connections of a listener share.

    Args:
        client_cas: PEM files of the authorities whose client certificates are trusted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate.path, certificate.key_path)
    context.verify_mode = _VERIFY[client_auth]
    context.num_tickets = 0  # no client of Kafka resumes a session, and a ticket is one more thing to send
    for path in client_cas:
        context.load_verify_locations(path)
    return context


class TlsTransport:
    """The server's end of one TLS connection.

    Args:
        established: told, when the handshake is done, of the client's certificate (DER), if it has shown one.
    """

    def __init__(self, context: ssl.SSLContext, established: Callable[[bytes | None], None]) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._told_established = established
        self.is_established = False
        #: Whether the client has said that it sends no more.
        self.is_ended = False

    def open(self, data: bytes) -> bytes:
        """What the client's bytes say, as far as whole records of it have come.

        Raises:
            TlsFailed: the connection is over; what is to be sent yet, such as an alert, is in `sealed`.
        """
        self._incoming.write(data)
        pieces = []
        try:
            if not self.is_established:
                self._tls.do_handshake()
                self.is_established = True
                self._told_established(self._tls.getpeercert(binary_form=True))
            while piece := self._tls.read(_RECORD):
                pieces.append(piece)
            self.is_ended = True
        except ssl.SSLWantReadError:
            pass  # the rest is still on its way
        except ssl.SSLZeroReturnError:
            self.is_ended = True
        except ssl.SSLError as error:
            raise TlsFailed(_reason(error)) from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def sealed(self) -> bytes:
        """What the handshake and `seal` want to be sent."""
        return self._outgoing.read()

    def seal(self, out: deque[Buffer]) -> int:
        """Take some of the buffers, from the front, and seal them; how many bytes those had."""
        taken: list[Buffer] = []
        size = 0
        while out and size < _SEAL_AT_ONCE:
            buffer = out.popleft()
            room = _SEAL_AT_ONCE - size
            if len(buffer) > room:
                view = memoryview(buffer)
                out.appendleft(view[room:])
                buffer = view[:room]
            taken.append(buffer)
            size += len(buffer)
        if size:
            self._tls.write(taken[0] if len(taken) == 1 else b"".join(taken))
        return size

    def end(self) -> None:
        """Say that no more is sent; `sealed` has it."""
        if self.is_established:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                return  # the client's own word is not waited for


def _reason(error: ssl.SSLError) -> str:
    """Why TLS failed, in a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"A client's certificate is refused: {error.verify_message}."
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"):
        return f"What came in on a TLS listener is not TLS: {reason}. Set security.protocol to SSL or SASL_SSL."
    return f"A TLS connection failed: {reason}."
