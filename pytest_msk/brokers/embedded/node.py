"""One node of the cluster, as its handlers see it: what all nodes share, and what this one leads."""

from __future__ import annotations

from .cluster import Cluster
from .errors import ErrorCode, Refused
from .log import PartitionLog
from .topics import Topic
from .transactions import Producer

__all__ = ["Node"]


class Node:
    """A node. Its methods are called with the loop's lock held.

    Args:
        cluster: what it shares with the others.
        node_id: its id, Kafka's `node.id`.
    """

    def __init__(self, cluster: Cluster, node_id: int) -> None:
        self.cluster = cluster
        self.id = node_id
        self.rack = cluster.zone(node_id)
        self.host = "127.0.0.1"
        self.port = 0
        #: The nodes of the cluster by id, this one among them.
        self.peers: dict[int, Node] = {node_id: self}
        self.settings = cluster.settings
        self.cluster_id = cluster.cluster_id
        self.topics = cluster.topics
        self.groups = cluster.groups
        self.transactions = cluster.transactions
        self.waiting = cluster.waiting
        self.producer_ids = cluster.producer_ids
        self.hold_heartbeats = cluster.hold_heartbeats
        self.hurry = cluster.hurry

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def controller_id(self) -> int:
        """What this node answers to who asks for the controller: as in KRaft, a node that is up."""
        return min(self.cluster.up, default=self.id)

    def now_ms(self) -> int:
        """The broker's time: the test's clock, epoch milliseconds."""
        return self.cluster.now_ms()

    def latest_ms(self) -> int:
        """What timestamps may lie ahead of: clients stamp records with the machine's time, whatever the clock says."""
        return self.cluster.latest_ms()

    def apply_time(self, now_ms: int) -> None:
        """Do what is due: transactions that took too long, the cleaning of logs, committed offsets that expired."""
        self.cluster.apply_time(now_ms)

    def delete_topic(self, topic: Topic) -> None:
        """Delete a topic with its records and every group's offsets in it."""
        self.cluster.delete_topic(topic)

    def write_marker(self, log: PartitionLog, producer: Producer, *, commit: bool) -> ErrorCode:
        """End a producer's transaction in a partition; the error if the partition knows a newer producer of that id."""
        return self.cluster.write_marker(log, producer, commit=commit)

    def topic(self, name: str) -> Topic:
        """The topic of that name.

        Raises:
            Refused: UNKNOWN_TOPIC_OR_PARTITION.
        """
        topic = self.topics.get(name)
        if topic is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return topic

    def log(self, topic: str, partition: int) -> PartitionLog:
        """The log of a partition that this node leads.

        Raises:
            Refused: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER.
        """
        log = self.topics.log(topic, partition)
        if log is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if log.replicas.leader != self.id:
            raise Refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        return log
