"""One client's connection: frames in, answers out.

As in Kafka, a connection has one request in work at a time, and answers leave in the order of the requests.
The one exception is a request that was `detached`, for clients that take answers in any order.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
from collections import deque
from collections.abc import Callable

from .loop import READ, WRITE, Loop, LoopTimer
from .security.session import SaslState, Session
from .security.tls import TlsFailed, TlsTransport
from .wire import Buffer, MalformedRequest

__all__ = ["Connection", "parse_header"]

_LENGTH = struct.Struct(">i")
_HEADER = struct.Struct(">hhih")
_RECEIVE = 1 << 18
_READ_AHEAD = 1 << 20
#: Of the answers that a client has not read; beyond it the client's next requests wait.
_SEND_AHEAD = 1 << 20
#: Only what carries records is large; a list decoded takes ten times its bytes.
_LARGEST_WITHOUT_RECORDS = 16 << 20
_PRODUCE = 0
_SEND_AS_IT_IS = 1 << 14
# What a client may send before it has shown who it is: Kafka's default of sasl.server.max.receive.size.
_UNKNOWN_MAX_REQUEST = 524_288
# How long a client has to read why its TLS was refused.
_ALERT_MS = 1_000
_ids = itertools.count(1)
_turns = itertools.count(1)


class Connection:
    """A client's connection.

    Args:
        session: who the client is, and what it may do.
        tls: what seals and opens the bytes; None on a plaintext listener.
        dispatch: given each request as `(connection, frame)`; it answers now or later, or raises.
        gone: told when the connection is closed, by whichever side.
        rejected: told in a sentence of each request that closed the connection.
        buffered: told how many more bytes are kept of requests that are not complete, or wait for their turn.
        max_request: the largest frame, bytes (`socket.request.max.bytes`).
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        *,
        session: Session,
        tls: TlsTransport | None,
        dispatch: Callable[[Connection, bytes], None],
        gone: Callable[[Connection], None],
        rejected: Callable[[str], None],
        buffered: Callable[[int], None],
        max_request: int,
    ) -> None:
        self.id = next(_ids)
        self.session = session
        self.software = ""
        self.any_order = False
        self.if_dropped: Callable[[], None] | None = None
        self._sock: socket.socket | None = sock
        self._loop = loop
        self._dispatch = dispatch
        self._gone = gone
        self._rejected = rejected
        self._buffered = buffered
        self._max_request = max_request
        self.last_request = 0
        self._out_size = 0
        self._told_buffered = 0
        self._in = bytearray()
        self._out: deque[Buffer] = deque()
        self._tls = tls
        self._sealed: deque[Buffer] = deque()
        self._end: LoopTimer | None = None
        self._busy = False
        self._processing = False
        loop.watch(sock, READ, self._ready)

    @property
    def busy(self) -> bool:
        """Whether a request is in work, or an answer is not read yet."""
        return self._busy or self._out_size > 0

    @property
    def buffered(self) -> int:
        """How many bytes are kept of requests that are not complete, or wait for their turn."""
        return len(self._in)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
            if self._in and not self._busy:
                self._process()
        if events & READ and self._sock is not None:
            self._receive(self._sock)

    def _receive(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""  # a reset is an end like any other
        if not data:
            self.close()
            return
        if self._end is not None:
            return  # what comes now is for nobody, and is read so that the client can read what it was told
        if self._tls is not None:
            try:
                data = self._tls.open(data)
            except TlsFailed as failed:
                self._rejected(str(failed))
                self.finish_later(_ALERT_MS)
                with contextlib.suppress(OSError):  # it may be gone
                    sock.shutdown(socket.SHUT_WR)
                return
        self._in += data
        self._process()
        if self._tls is not None and self._tls.is_ended:
            self.close()

    def _process(self) -> None:
        self._processing = True
        try:
            while self._takes and (frame := self._frame()) is not None:
                self._busy = True
                self.last_request = next(_turns)
                self._dispatch(self, frame)
        except MalformedRequest as error:
            self.reject(str(error))
        except BaseException:
            self.finish()
            raise
        finally:
            self._processing = False
        self._flush()
        self._tell_buffered()

    @property
    def _takes(self) -> bool:
        """Whether the next request may be taken."""
        return self._sock is not None and not self._busy and self._end is None and self._reads

    @property
    def _reads(self) -> bool:
        """Whether the client reads its answers: it has to, or its requests are left where they are."""
        if self._out_size > _SEND_AHEAD:
            self._flush()
        return self._out_size <= _SEND_AHEAD

    def _tell_buffered(self) -> None:
        kept = len(self._in) if self._sock is not None else 0
        if kept != self._told_buffered:
            more, self._told_buffered = kept - self._told_buffered, kept
            self._buffered(more)

    def reject(self, sentence: str) -> None:
        """Close the connection because of what the client sent."""
        self._rejected(sentence)
        self.finish()

    def _frame(self) -> bytes | None:
        buffer = self._in
        if len(buffer) < 4:
            return None
        (size,) = _LENGTH.unpack_from(buffer)
        known = self.session.state is SaslState.COMPLETE
        name = "socket.request.max.bytes" if known else "sasl.server.max.receive.size"
        limit = self._max_request if known else _UNKNOWN_MAX_REQUEST
        if not 0 <= size <= limit:
            raise MalformedRequest(f"A request of {size} bytes came in; {name} allows {limit}.")
        end = 4 + size
        if size > _LARGEST_WITHOUT_RECORDS and len(buffer) >= 6 and (key := buffer[4] << 8 | buffer[5]) != _PRODUCE:
            raise MalformedRequest(
                f"A request of {size} bytes to API {key} came in; only a Produce may be larger than "
                f"{_LARGEST_WITHOUT_RECORDS} bytes."
            )
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            frame = bytes(view[4:end])
        del buffer[:end]
        return frame

    def next_request(self) -> None:
        """The request in work is answered."""
        self._busy = False
        if not self._processing and self._in:
            self._loop.call_soon(self._process)

    def send(self, buffers: list[Buffer], size: int) -> None:
        """Send buffers (of `size` bytes together) one after another, as fast as the client takes them; never blocks."""
        if self._sock is None:
            return
        self._out.extend(buffers)
        self._out_size += size
        if not self._loop.in_thread:
            self._loop.call_soon(self._flush)
        elif not self._processing:  # else the answers to all requests that came together go out together
            self._flush()

    def _flush(self) -> None:
        sock, out, tls = self._sock, self._out, self._tls
        if sock is None:
            return
        try:
            if tls is None:
                self._send(sock, out)
            else:
                self._send_sealed(sock, tls)
        except (BlockingIOError, InterruptedError):
            pass  # the rest goes out when the client has read
        except OSError:
            self.close()
            return
        self._watch()

    def _send(self, sock: socket.socket, out: deque[Buffer]) -> None:
        """Send buffers one after another; raises BlockingIOError when the client must read first."""
        if len(out) > 1 and sum(map(len, out)) < len(out) * _SEND_AS_IT_IS:
            joined = b"".join(out)
            out.clear()
            out.append(joined)
        while out:
            sent = sock.send(out[0])
            self._out_size -= sent
            if sent == len(out[0]):
                out.popleft()
            else:
                out[0] = memoryview(out[0])[sent:]

    def _send_sealed(self, sock: socket.socket, tls: TlsTransport) -> None:
        while True:
            if data := tls.sealed():
                self._sealed.append(data)
                self._out_size += len(data)
            self._send(sock, self._sealed)
            # Not all at once: what is sealed is a copy, and a slow reader must not have one of everything.
            if not self._out or not tls.is_established:
                return
            self._out_size -= tls.seal(self._out)

    def _watch(self) -> None:
        if self._sock is None or not self._loop.in_thread:
            return
        # A client that sends on and on while its request waits is not read any further.
        waits = self._busy or self._out_size > _SEND_AHEAD
        events = 0 if waits and len(self._in) > _READ_AHEAD else READ
        wanted = self._sealed or (self._out and (self._tls is None or self._tls.is_established))
        self._loop.watch(self._sock, events | WRITE if wanted else events, self._ready)

    def finish(self) -> None:
        """Close the connection behind the answers to earlier requests, as far as the client takes them now."""
        self._flush()
        self.close()

    def finish_later(self, delay_ms: int) -> None:
        """Take nothing more from this client; close the connection when it does, or after a while."""
        if self._sock is not None and self._end is None:
            self._in.clear()
            self._tell_buffered()
            self._end = self._loop.call_later(delay_ms, self.finish)
            self._flush()

    def close(self) -> None:
        """Close the connection and drop what was not sent."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.watch(sock, 0, self._ready)
        if self._end is not None:
            self._end.cancel()
        if self._tls is not None and not (self._sealed or self._out):
            self._tls.end()
            with contextlib.suppress(OSError):  # a goodbye that is not waited for
                sock.send(self._tls.sealed())
        self._out.clear()
        self._sealed.clear()
        self._in.clear()
        self._tell_buffered()
        dropped, self.if_dropped = self.if_dropped, None
        if dropped is not None:
            dropped()
        self._gone(self)
        sock.close()  # last: a client that sees the end may look at what became of it

    def discard(self) -> None:
        """Close the descriptor only: this is a forked child, and the connection is its parent's."""
        if self._sock is not None:
            self._sock.close()


def parse_header(frame: bytes) -> tuple[int, int, int, str, int]:
    """A request's api key, version, correlation id and client id, and where the rest begins.

    Raises:
        MalformedRequest: the frame is too short, or the client id is no text.
    """
    try:
        key, version, correlation_id, size = _HEADER.unpack_from(frame)
        end = _HEADER.size + max(size, 0)
        if end > len(frame):
            raise MalformedRequest("the client id ends behind its request")
        return key, version, correlation_id, str(frame[_HEADER.size : end], "utf-8"), end
    except (struct.error, UnicodeDecodeError) as error:
        raise MalformedRequest(f"A request of {len(frame)} bytes has no header: {error}") from error
