"""The listener: it accepts connections, and hands each request to its handler."""

from __future__ import annotations

import errno
import os
import socket
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from ..security import ListenerName
from .call import Call
from .connection import Connection, parse_header
from .loop import READ, Loop, LoopTimer
from .quotas import ConnectionQuotas
from .security.session import Answer
from .security.state import ClusterSecurity
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


class Server:
    """A listening socket on 127.0.0.1, at a free port, and what came in through it.

    Args:
        loop: the thread that serves; its lock is held if it has started.
        listener: which of the cluster's listeners this is.
        translations: what becomes of an answer before it is sent, by API.
        quotas: what this listener shares with the others of its node.
        max_request: the largest request, bytes.
        gone: told of each connection that is closed.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        listener: ListenerName,
        security: ClusterSecurity,
        translations: Mapping[int, Callable[[Struct], Struct]],
        quotas: ConnectionQuotas,
        max_request: int,
        gone: Callable[[Connection], None],
    ) -> None:
        self.rejections: deque[str] = deque(maxlen=_REJECTIONS_KEPT)
        self._loop = loop
        self._name: ListenerName = listener
        self._security = security
        self._translations = translations
        self._max_request = max_request
        self._quotas = quotas
        self._told_gone = gone
        self._handlers: Mapping[int, tuple[Api, Handler]] = {}
        self._connections: set[Connection] = set()
        self._listener: socket.socket | None = None
        self._accepts_again: LoopTimer | None = None
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
        # On the loop's own thread: not every system hears of a socket that is added while it waits for others.
        self._loop.call_soon(lambda: self._watch(listener))

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

    def _watch(self, listener: socket.socket) -> None:
        if self._listener is listener:
            self._loop.watch(listener, READ, self._accept)

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
                sock, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _NO_DESCRIPTOR:
                    raise
                self._wait_for_descriptors(self._listener)
                return
            if not self._quotas.has_room(self.rejections.append):
                sock.close()
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, buffer, _SOCKET_BUFFER)
            session = self._security.session(self._name, address[0], self.rejections.append)
            connection = Connection(
                sock,
                self._loop,
                session=session,
                tls=self._security.transport(self._name, session),
                dispatch=self._dispatch,
                gone=self._gone,
                rejected=self.rejections.append,
                buffered=self._quotas.buffer,
                max_request=self._max_request,
            )
            self._connections.add(connection)
            self._quotas.connections.add(connection)

    def _wait_for_descriptors(self, listener: socket.socket) -> None:
        """The process can open nothing more: look again a little later, instead of without end."""
        self.rejections.append("A connection had to wait: this process can open no more files.")
        self._loop.watch(listener, 0, self._accept)

        self._accepts_again = self._loop.call_later(_ACCEPT_PAUSE_MS, lambda: self._watch(listener))

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._quotas.connections.discard(connection)
        self._told_gone(connection)

    def _dispatch(self, connection: Connection, frame: bytes) -> None:
        session = connection.session
        if session.is_bare:
            self._take_bare(connection, frame)
            return
        key, version, correlation_id, client_id, at = parse_header(frame)
        found = self._handlers.get(key)
        if found is None:
            raise MalformedRequest(f"The embedded broker does not speak API {key}.")
        api, handler = found
        if (refusal := session.refusal(key, api.name)) is not None:
            raise MalformedRequest(refusal)
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
        if (translation := self._translations.get(key)) is not None:
            call.amend(translation)
        answer = handler(call, request)
        if answer is not None:
            call.answer(answer)

    def _take_bare(self, connection: Connection, frame: bytes) -> None:
        """A mechanism's message without a header, and without an error code for the answer: then the end says it."""
        try:
            answer, _ = connection.session.authenticate(frame)
        except Answer as refused:
            connection.finish_later(self._security.failure_delay_ms)
            if not refused.ends:
                raise MalformedRequest(str(refused.message)) from refused
            return
        connection.send([len(answer).to_bytes(4, "big"), answer], 4 + len(answer))
        connection.next_request()


class _Discarded(Protocol):
    def discard(self) -> None: ...


_servers: weakref.WeakSet[_Discarded] = weakref.WeakSet()


def _forked() -> None:
    for server in tuple(_servers):
        server.discard()


def close_in_children(server: _Discarded) -> None:
    """Let a forked child close its copies of the server's sockets: the port must be free when the parent stops."""
    _servers.add(server)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
