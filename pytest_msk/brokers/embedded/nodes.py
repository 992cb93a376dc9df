"""The nodes of an embedded cluster as a test sees them: `msk_broker.nodes[2].stop()`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

from ...errors import BrokerError
from .log import PartitionLog
from .node import Node

__all__ = ["BrokerNode", "BrokerNodes"]


class BrokerNode:
    """One node: a broker of the cluster, as Kafka calls it, or a broker node, as MSK does."""

    def __init__(self, node: Node, nodes: BrokerNodes) -> None:
        self._node = node
        self._nodes = nodes

    def __repr__(self) -> str:
        zone = "" if self.zone is None else f", {self.zone}"
        return f"BrokerNode({self.id}, {self.address!r}{zone}, {'up' if self.is_up else 'down'})"

    @property
    def id(self) -> int:
        """Its id, Kafka's `node.id`: 1, 2, 3."""
        return self._node.id

    @property
    def zone(self) -> str | None:
        """Its availability zone, Kafka's `broker.rack`; None in a cluster of one."""
        return self._node.rack

    @property
    def address(self) -> str:
        """`host:port`."""
        return self._node.address

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self.id in self._nodes.up

    def stop(self) -> None:
        """Let it go down: connections are closed, new ones refused, and what it led is led by others if they can."""
        self._nodes.set_up(self._nodes.up - {self.id})

    def start(self) -> None:
        """Let it come back, at the port that it had, with everything that was written meanwhile."""
        self._nodes.set_up(self._nodes.up | {self.id})


class BrokerNodes(Mapping[int, BrokerNode]):
    """The nodes of the cluster, by id.

    Args:
        nodes: all of them.
        set_up: makes these nodes be up, and no others.
        held: holds the cluster still for the time of a `with` block.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        set_up: Callable[[set[int]], None],
        held: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._nodes = {node.id: BrokerNode(node, self) for node in nodes}
        self._cluster = next(iter(self._nodes.values()))._node.cluster
        self.set_up = set_up
        self._held = held

    def __repr__(self) -> str:
        return f"BrokerNodes({list(self._nodes.values())})"

    def __getitem__(self, node_id: int) -> BrokerNode:
        if node_id not in self._nodes:
            raise BrokerError(
                f"There is no node {node_id!r}; the nodes are: {', '.join(map(str, self._nodes))}. For more of them "
                'run with --msk-broker=embedded:3, or mark the test with @pytest.mark.msk(broker="embedded:3").'
            )
        return self._nodes[node_id]

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._nodes

    def __iter__(self) -> Iterator[int]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def up(self) -> set[int]:
        """The ids of those that are up."""
        with self._held():
            return set(self._cluster.up)

    def stop(self, zone: str | None = None) -> None:
        """Let all nodes of an availability zone go down at once; every node by default.

        Raises:
            BrokerError: there is no such zone.
        """
        self.set_up(self.up - self._of(zone))

    def start(self, zone: str | None = None) -> None:
        """Let all nodes of an availability zone come back; every node by default.

        Raises:
            BrokerError: there is no such zone.
        """
        self.set_up(self.up | self._of(zone))

    def leader(self, topic: str, partition: int = 0) -> BrokerNode | None:
        """The node that leads a partition; None when none can.

        Raises:
            BrokerError: there is no such partition.
        """
        with self._held():
            leader = self._log(topic, partition).replicas.leader
        return None if leader is None else self._nodes[leader]

    def in_sync(self, topic: str, partition: int = 0) -> tuple[BrokerNode, ...]:
        """The nodes whose replicas of a partition are in sync: its ISR.

        Raises:
            BrokerError: there is no such partition.
        """
        with self._held():
            in_sync = self._log(topic, partition).replicas.in_sync
        return tuple(self._nodes[node] for node in in_sync)

    def coordinator(self, group: str) -> BrokerNode | None:
        """The node that coordinates a consumer group; None when none can."""
        with self._held():
            found = self._cluster.coordinator(group)
        return None if found is None else self._nodes[found]

    def elect_leader(self, topic: str, partition: int, node: int) -> None:
        """Let another node lead a partition, as when Kafka balances leaders.

        Raises:
            BrokerError: there is no such partition, or the node has no replica of it that is in sync.
        """
        with self._held():
            log = self._log(topic, partition)
            if not self._cluster.move_leader(log, node):
                raise BrokerError(
                    f"Node {node} cannot lead {topic}-{partition}: the nodes in sync are "
                    f"{', '.join(map(str, log.replicas.in_sync))}, and the leader is {log.replicas.leader}."
                )

    def elect_coordinator(self, group: str, node: int) -> None:
        """Let another node coordinate a group, and those groups that share its partition of the committed offsets.

        Raises:
            BrokerError: the node is down, or has no replica of that partition.
        """
        with self._held():
            if not self._cluster.move_coordinator(group, node):
                raise BrokerError(f"Node {node} cannot coordinate group {group!r}: it is down, or has no replica.")

    def _log(self, topic: str, partition: int) -> PartitionLog:
        log = self._cluster.topics.log(topic, partition)
        if log is None:
            raise BrokerError(f"There is no partition {topic}-{partition} on the embedded broker.")
        return log

    def _of(self, zone: str | None) -> set[int]:
        found = {node.id for node in self._nodes.values() if zone in (None, node.zone)}
        if not found:
            zones = ", ".join(dict.fromkeys(str(node.zone) for node in self._nodes.values()))
            raise BrokerError(f"No node is in zone {zone!r}; the zones are: {zones}.")
        return found
