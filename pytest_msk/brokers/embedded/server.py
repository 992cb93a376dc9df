"""The listener: it accepts connections, and hands each request to its handler."""

from __future__ import annotations

import os
import socket
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from ..security import ListenerName
from .connection import Call, Connection, parse_header
from .loop import READ, Loop
from .security.guards import Guards
from .security.session import Answer
from .security.state import ClusterSecurity
from .wire import Api, MalformedRequest, Struct, skip_tagged_fields

if TYPE_CHECKING:
    from .handlers import Handler

__all__ = ["Server", "close_in_children"]

_API_VERSIONS = 18
_BACKLOG = 128
_REJECTIONS_KEPT = 100
# Each call to a socket gives up the GIL and waits for it again: with room for whole batches there are fewer of them.
_SOCKET_BUFFER = 1 << 21


class Server:
    """A listening socket on 127.0.0.1, at a free port, and what came in through it.

    Args:
        loop: the thread that serves; its lock is held if it has started.
        listener: which of the cluster's listeners this is.
        translations: what becomes of an answer before it is sent, by API.
        max_request: the largest request, bytes.
        gone: told of each connection that is closed.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        listener: ListenerName,
        security: ClusterSecurity,
        guards: Guards,
        translations: Mapping[int, Callable[[Struct], Struct]],
        max_request: int,
        gone: Callable[[Connection], None],
    ) -> None:
        self.rejections: deque[str] = deque(maxlen=_REJECTIONS_KEPT)
        self._loop = loop
        self._name: ListenerName = listener
        self._security = security
        self._guards = guards
        self._translations = translations
        self._max_request = max_request
        self._told_gone = gone
        self._handlers: Mapping[int, tuple[Api, Handler]] = {}
        self._connections: set[Connection] = set()
        # Sockets of Python are not inherited by programs that are started (PEP 446); a fork is looked after below.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # on Windows the option would let others take the port
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", 0))
            self._listener.listen(_BACKLOG)
            self._listener.setblocking(False)
        except OSError:
            self._listener.close()
            raise
        self.port: int = self._listener.getsockname()[1]
        # On its own thread: not every system hears of a socket that is added while it waits for others.
        loop.call_soon(self._watch)

    def serve(self, handlers: Mapping[int, tuple[Api, Handler]]) -> None:
        """Answer requests with these handlers from now on."""
        self._handlers = handlers

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def close(self) -> None:
        """Close the listener and every connection; called when the loop's thread has ended."""
        for connection in tuple(self._connections):
            connection.close()
        self._loop.watch(self._listener, 0, self._accept)
        self._listener.close()

    def _watch(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.watch(self._listener, READ, self._accept)

    def discard(self) -> None:
        """Close the descriptors that a fork has copied into this child process; the parent goes on with its own."""
        for connection in self._connections:
            connection.discard()
        self._listener.close()
        self._loop.discard()

    def _accept(self, _events: int) -> None:
        while True:
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, buffer, _SOCKET_BUFFER)
            session = self._security.session(self._name, address[0], self.rejections.append)
            self._connections.add(
                Connection(
                    sock,
                    self._loop,
                    session=session,
                    tls=self._security.transport(self._name, session),
                    dispatch=self._dispatch,
                    gone=self._gone,
                    rejected=self.rejections.append,
                    max_request=self._max_request,
                )
            )

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
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
        if not session.authorizer.allows_everything:
            allowed = self._guards.check(key, session.authorizer, call, request)
            if allowed is None:
                return
            request = allowed
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
        connection.send([len(answer).to_bytes(4, "big"), answer])
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
