"""One client's connection: frames in, answers out.

As in Kafka, a connection has one request in work at a time, and answers leave in the order of the requests.
The one exception is a request that was `detached`, for clients that take answers in any order.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections import deque
from collections.abc import Callable

from .loop import READ, WRITE, Loop
from .wire import Api, Buffer, MalformedRequest, Struct

__all__ = ["Call", "Connection", "parse_header"]

_LENGTH = struct.Struct(">i")
_HEADER = struct.Struct(">hhih")
_RECEIVE = 1 << 18
_READ_AHEAD = 1 << 20
_SEND_AS_IT_IS = 1 << 14
_API_VERSIONS = 18
_ids = itertools.count(1)


class Call:
    """A request that wants an answer."""

    __slots__ = ("_connection", "_correlation_id", "_detached", "answered", "api", "client_id", "version")

    def __init__(self, connection: Connection, api: Api, version: int, correlation_id: int, client_id: str) -> None:
        self.api = api
        self.version = version
        self.client_id = client_id
        self.answered = False
        self._connection = connection
        self._correlation_id = correlation_id
        self._detached = False

    @property
    def connection(self) -> Connection:
        """Where the request came from."""
        return self._connection

    @property
    def detached(self) -> bool:
        """Whether the connection's next requests do not wait for this one."""
        return self._detached

    def answer(self, body: Struct) -> None:
        """Send the answer; nothing happens when the client is gone."""
        self.answer_version(self.version, body)

    def answer_version(self, version: int, body: Struct) -> None:
        """Send the answer in another version's form: the one to an ApiVersions of an unknown version is version 0's."""
        out: list[Buffer] = [b"", _LENGTH.pack(self._correlation_id)]
        # The header of ApiVersions' answer never has tagged fields: its reader does not know the version yet.
        if self.api.is_flexible(version) and self.api.key != _API_VERSIONS:
            out.append(b"\0")
        out += self.api.encode_response(version, body)
        out[0] = _LENGTH.pack(sum(map(len, out)))
        self._connection.send(out)
        self._done()

    def answer_nothing(self) -> None:
        """The request wants no answer: a Produce with acks=0."""
        self._done()

    def detach(self) -> None:
        """Let the connection's next requests go ahead of this one."""
        self._detached = True
        self._connection.next_request()

    def close(self) -> None:
        """Close the connection instead of an answer, as Kafka does where it has no answer to give."""
        self._connection.finish()

    def _done(self) -> None:
        if not self.answered:
            self.answered = True
            if not self._detached:
                self._connection.next_request()


class Connection:
    """A client's connection.

    Args:
        dispatch: given each request as `(connection, frame)`; it answers now or later, or raises.
        gone: told when the connection is closed, by whichever side.
        rejected: told in a sentence of each request that closed the connection.
        max_request: the largest frame, bytes (`socket.request.max.bytes`).
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        *,
        dispatch: Callable[[Connection, bytes], None],
        gone: Callable[[Connection], None],
        rejected: Callable[[str], None],
        max_request: int,
    ) -> None:
        self.id = next(_ids)
        self.software = ""
        self.any_order = False
        self.if_dropped: Callable[[], None] | None = None
        self._sock: socket.socket | None = sock
        self._loop = loop
        self._dispatch = dispatch
        self._gone = gone
        self._rejected = rejected
        self._max_request = max_request
        self._in = bytearray()
        self._out: deque[Buffer] = deque()
        self._busy = False
        self._processing = False
        loop.watch(sock, READ, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
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
        self._in += data
        self._process()

    def _process(self) -> None:
        self._processing = True
        try:
            while self._sock is not None and not self._busy and (frame := self._frame()) is not None:
                self._busy = True
                self._dispatch(self, frame)
        except MalformedRequest as error:
            self._rejected(str(error))
            self.finish()
        except BaseException:
            self.finish()
            raise
        finally:
            self._processing = False
        self._flush()

    def _frame(self) -> bytes | None:
        buffer = self._in
        if len(buffer) < 4:
            return None
        (size,) = _LENGTH.unpack_from(buffer)
        if not 0 <= size <= self._max_request:
            raise MalformedRequest(
                f"A request of {size} bytes came in; socket.request.max.bytes allows {self._max_request}."
            )
        end = 4 + size
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

    def send(self, buffers: list[Buffer]) -> None:
        """Send buffers one after another, as fast as the client takes them; nothing blocks."""
        if self._sock is None:
            return
        self._out.extend(buffers)
        if not self._loop.in_thread:
            self._loop.call_soon(self._flush)
        elif not self._processing:  # else the answers to all requests that came together go out together
            self._flush()

    def _flush(self) -> None:
        sock, out = self._sock, self._out
        if sock is None:
            return
        if len(out) > 1 and sum(map(len, out)) < len(out) * _SEND_AS_IT_IS:
            joined = b"".join(out)
            out.clear()
            out.append(joined)
        try:
            while out:
                sent = sock.send(out[0])
                if sent == len(out[0]):
                    out.popleft()
                else:
                    out[0] = memoryview(out[0])[sent:]
        except (BlockingIOError, InterruptedError):
            pass  # the rest goes out when the client has read
        except OSError:
            self.close()
            return
        self._watch()

    def _watch(self) -> None:
        if self._sock is None or not self._loop.in_thread:
            return
        # A client that sends on and on while its request waits is not read any further.
        events = 0 if self._busy and len(self._in) > _READ_AHEAD else READ
        self._loop.watch(self._sock, events | WRITE if self._out else events, self._ready)

    def finish(self) -> None:
        """Close the connection behind the answers to earlier requests, as far as the client takes them now."""
        self._flush()
        self.close()

    def close(self) -> None:
        """Close the connection and drop what was not sent."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.watch(sock, 0, self._ready)
        self._out.clear()
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
