"""The listener: it accepts connections, and hands each request to its handler."""

from __future__ import annotations

import errno
import os
import socket
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .connection import Call, Connection, parse_header
from .loop import READ, Loop, LoopTimer
from .wire import Api, MalformedRequest, Struct, skip_tagged_fields

if TYPE_CHECKING:
    from .handlers import Handler

__all__ = ["Server", "close_in_children"]

_API_VERSIONS = 18
# Where more than that connect at once, the kernel lets them try again a second later.
_BACKLOG = 1024
_REJECTIONS_KEPT = 100
# Each call to a socket gives up the GIL and waits for it again: with room for whole batches there are fewer of them.
_SOCKET_BUFFER = 1 << 21
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_ACCEPT_PAUSE_MS = 50
_MOST_CONNECTIONS = 4096
#: Of requests that are not complete; the largest one allowed always fits.
_MOST_BUFFERED = 256 << 20


class Server:
    """A listening socket on 127.0.0.1, at a free port, and what came in through it.

    Args:
        loop: the thread that serves; not started yet.
        max_request: the largest request, bytes.
        max_connections: how many connections there may be; then the one that is idle for longest is closed.
        gone: told of each connection that is closed.
    """

    def __init__(
        self, loop: Loop, *, max_request: int, max_connections: int, gone: Callable[[Connection], None]
    ) -> None:
        self.rejections: deque[str] = deque(maxlen=_REJECTIONS_KEPT)
        self._loop = loop
        self._max_request = max_request
        self._most_connections = min(max_connections, _most_connections())
        self._told_gone = gone
        self._handlers: Mapping[int, tuple[Api, Handler]] = {}
        self._connections: set[Connection] = set()
        self._listener: socket.socket | None = None
        self._accepts_again: LoopTimer | None = None
        self._buffered = 0
        self.port = 0
        self.listen()

    def serve(self, handlers: Mapping[int, tuple[Api, Handler]]) -> None:
        """Answer requests with these handlers from now on."""
        self._handlers = handlers

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def listen(self) -> None:
        """Take connections: at the port of before, or at another one if somebody has taken that meanwhile."""
        if self._listener is not None:
            return
        for port in dict.fromkeys((self.port, 0)):
            # Sockets of Python are not inherited by programs that are started (PEP 446); a fork is looked after below.
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                if os.name == "posix":  # on Windows the option would let others take the port
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))
                listener.listen(_BACKLOG)
                listener.setblocking(False)
            except OSError:
                listener.close()
                if not port:
                    raise
                continue
            break
        self._listener = listener
        self.port = listener.getsockname()[1]
        self._loop.watch(listener, READ, self._accept)

    def drop(self) -> None:
        """Close every connection; on the loop's thread, or when it has ended."""
        for connection in tuple(self._connections):
            connection.close()

    def close(self) -> None:
        """Close the listener and every connection; on the loop's thread, or when it has ended."""
        self.drop()
        if self._accepts_again is not None:
            self._accepts_again.cancel()
        listener, self._listener = self._listener, None
        if listener is not None:
            self._loop.watch(listener, 0, self._accept)
            listener.close()

    def discard(self) -> None:
        """Close the descriptors that a fork has copied into this child process; the parent goes on with its own."""
        for connection in self._connections:
            connection.discard()
        if self._listener is not None:
            self._listener.close()
        self._loop.discard()

    def _accept(self, _events: int) -> None:
        while self._listener is not None:
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _NO_DESCRIPTOR:
                    raise
                self._wait_for_descriptors(self._listener)
                return
            if len(self._connections) >= self._most_connections and not self._make_room():
                self.rejections.append(
                    f"A connection was closed at once: {len(self._connections)} are open, all of them in use "
                    "(max.connections)."
                )
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, buffer, _SOCKET_BUFFER)
            self._connections.add(
                Connection(
                    sock,
                    self._loop,
                    dispatch=self._dispatch,
                    gone=self._gone,
                    rejected=self.rejections.append,
                    buffered=self._buffer,
                    max_request=self._max_request,
                )
            )

    def _buffer(self, more: int) -> None:
        """Keep requests that are not complete within bounds: the client that takes most of them is closed."""
        self._buffered += more
        if self._buffered > _MOST_BUFFERED and self._connections:
            largest = max(self._connections, key=lambda connection: connection.buffered)
            largest.reject(
                f"{self._buffered} bytes of incomplete requests were kept; the connection that had sent most of them, "
                f"{largest.buffered}, was closed."
            )

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest; whether there was one."""
        idle = [connection for connection in self._connections if not connection.busy]
        if not idle:
            return False
        oldest = min(idle, key=lambda connection: connection.last_request)
        self.rejections.append(
            f"The connection that had been idle for longest was closed: {len(self._connections)} were open "
            "(max.connections)."
        )
        oldest.close()
        return True

    def _wait_for_descriptors(self, listener: socket.socket) -> None:
        """The process can open nothing more: look again a little later, instead of without end."""
        self.rejections.append("A connection had to wait: this process can open no more files.")
        self._loop.watch(listener, 0, self._accept)

        def again() -> None:
            if self._listener is listener:
                self._loop.watch(listener, READ, self._accept)

        self._accepts_again = self._loop.call_later(_ACCEPT_PAUSE_MS, again)

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._told_gone(connection)

    def _dispatch(self, connection: Connection, frame: bytes) -> None:
        key, version, correlation_id, client_id, at = parse_header(frame)
        found = self._handlers.get(key)
        if found is None:
            raise MalformedRequest(f"The embedded broker does not speak API {key}.")
        api, handler = found
        call = Call(connection, api, version, correlation_id, client_id)
        if api.speaks(version):
            if api.is_flexible(version):
                try:
                    at = skip_tagged_fields(memoryview(frame), at)
                except IndexError as error:
                    raise MalformedRequest(f"{api.name}: the header's tagged fields are cut off") from error
            request: Struct = api.decode_request(version, frame, at)
        elif key == _API_VERSIONS:
            request = {}  # answered with the versions that there are, so that the client can ask again
        else:
            raise MalformedRequest(
                f"The embedded broker does not speak {api.name} version {version}, only {api.versions[0]} to "
                f"{api.versions[1]}."
            )
        answer = handler(call, request)
        if answer is not None:
            call.answer(answer)


def _most_connections() -> int:
    """How many connections leave the process descriptors for the rest of its work, and for its own ends of them."""
    try:
        import resource
    except ImportError:  # Windows
        return _MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(min(soft // 2, _MOST_CONNECTIONS), 16)


_servers: weakref.WeakSet[Server] = weakref.WeakSet()


def _forked() -> None:
    for server in tuple(_servers):
        server.discard()


def close_in_children(server: Server) -> None:
    """Let a forked child close its copies of the server's sockets: the port must be free when the parent stops."""
    _servers.add(server)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
