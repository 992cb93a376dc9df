"""The listeners of one node: the plaintext one from the start, each of the others from its first use on.

All of them go down and come back with their node.

A node answers with the address of its plaintext listener; on another listener it is translated to that one's, for every
node of the cluster: as Kafka's `advertised.listeners`, a client is sent on to where it can go by the way it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..security import ListenerName
from .connection import Connection
from .loop import Loop
from .quotas import ConnectionQuotas
from .security.state import ClusterSecurity
from .server import Server
from .wire import Api, Struct

if TYPE_CHECKING:
    from .handlers import Handler

__all__ = ["Listeners"]

_METADATA, _FIND_COORDINATOR, _DESCRIBE_CLUSTER = 3, 10, 60


class Listeners:
    """The listening sockets of one node.

    Args:
        node_id: the node's id.
        peers: the listeners of all nodes of the cluster, by node id; this node adds its own.
        max_request: the largest request, bytes.
        max_connections: how many connections the node may have; then the one that is idle for longest is closed.
        gone: told of each connection that is closed.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        node_id: int,
        security: ClusterSecurity,
        peers: dict[int, Listeners],
        max_request: int,
        max_connections: int,
        gone: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._security = security
        self._peers = peers
        self._max_request = max_request
        self._quotas = ConnectionQuotas(max_connections=max_connections)
        self._is_up = True
        self._told_gone = gone
        self._handlers: Mapping[int, tuple[Api, Handler]] = {}
        self._servers: dict[ListenerName, Server] = {}
        self._open("PLAINTEXT")
        peers[node_id] = self

    def port(self, name: ListenerName = "PLAINTEXT") -> int:
        """A listener's port; the listener is opened if this is its first use."""
        server = self._servers.get(name)
        return (self._open(name) if server is None else server).port

    def serve(self, handlers: Mapping[int, tuple[Api, Handler]]) -> None:
        """Answer requests with these handlers from now on."""
        self._handlers = handlers
        for server in self._servers.values():
            server.serve(handlers)

    @property
    def servers(self) -> tuple[Server, ...]:
        """Those that are open."""
        return tuple(self._servers.values())

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._quotas.connections)

    @property
    def rejections(self) -> Iterator[str]:
        """Why connections were closed on clients."""
        for server in self._servers.values():
            yield from server.rejections

    def listen(self) -> None:
        """Take connections on every listener that was open: at the ports of before, where nobody else has them."""
        self._is_up = True
        for server in self._servers.values():
            server.listen()

    def drop(self) -> None:
        """Close every connection; on the loop's thread, or when it has ended."""
        for server in self._servers.values():
            server.drop()

    def close(self) -> None:
        """Close every listener and every connection; on the loop's thread, or when it has ended."""
        self._is_up = False
        for server in self._servers.values():
            server.close()

    def discard(self) -> None:
        """Close the descriptors that a fork has copied into this child process; the parent goes on with its own."""
        for server in self._servers.values():
            server.discard()

    def _open(self, name: ListenerName) -> Server:
        if name != "PLAINTEXT":
            self._security.context(name)  # certificates are made before the first client waits for them
        server = Server(
            self._loop,
            listener=name,
            security=self._security,
            translations={} if name == "PLAINTEXT" else self._translations(name),
            quotas=self._quotas,
            max_request=self._max_request,
            gone=self._told_gone,
        )
        server.serve(self._handlers)
        if not self._is_up:
            server.close()  # it has its port, and nobody listens there before the node is back
        self._servers[name] = server
        return server

    def _translations(self, name: ListenerName) -> dict[int, Callable[[Struct], Struct]]:
        """What becomes of the answers that name brokers, by API."""

        def translate(broker: Struct, id_name: str = "node_id") -> Struct:
            node = self._peers.get(broker[id_name])
            return broker if node is None else {**broker, "port": node.port(name)}

        def metadata(answer: Struct) -> Struct:
            return {**answer, "brokers": [translate(broker) for broker in answer["brokers"]]}

        def coordinators(answer: Struct) -> Struct:
            if "coordinators" in answer:
                return {**answer, "coordinators": [translate(broker) for broker in answer["coordinators"]]}
            return translate(answer)

        def cluster(answer: Struct) -> Struct:
            return {**answer, "brokers": [translate(broker, "broker_id") for broker in answer["brokers"]]}

        return {_METADATA: metadata, _FIND_COORDINATOR: coordinators, _DESCRIBE_CLUSTER: cluster}
