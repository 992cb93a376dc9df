"""What the nodes of the cluster share: topics, groups, the clock, and who is up."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping

from ...clock import Clock, RealClock
from ...errors import BrokerError
from .. import MOST_NODES
from .consumer_groups import ConsumerGroupConfig
from .errors import ErrorCode, Refused
from .groups import GroupConfig, GroupCoordinator
from .log import PartitionLog
from .loop import Loop
from .replicas import Replicas, place
from .settings import Settings
from .topics import Topic, Topics
from .transactions import EndedTransaction, Producer, TransactionConfig, TransactionCoordinator
from .waiting import Waiting

__all__ = ["ZONES", "Cluster", "cluster_settings"]

#: The availability zones of a cluster, as MSK names them in `broker.rack`.
ZONES = ("use1-az1", "use1-az2", "use1-az3")

# As many partitions as Kafka's __consumer_offsets and __transaction_state have: they spread coordinators over nodes.
_COORDINATORS = 50


def cluster_settings(nodes: int, given: Mapping[str, str] | None) -> dict[str, str]:
    """A cluster's settings: those given, above MSK's own for so many zones.

    Raises:
        BrokerError: that is no number of nodes.
    """
    if not isinstance(nodes, int) or isinstance(nodes, bool) or not 1 <= nodes <= MOST_NODES:
        raise BrokerError(f"nodes={nodes!r}: an embedded cluster has 1 to {MOST_NODES} nodes.")
    settings = {}
    if nodes > 1:
        zones = min(nodes, len(ZONES))
        settings = {"default.replication.factor": str(zones), "min.insync.replicas": str(zones - 1)}
    return {**settings, **(given or {})}


class Cluster:
    """The state of all nodes. Its methods are called with the loop's lock held.

    Args:
        nodes: how many nodes there are; their ids begin at 1, and all are up.
        hold_heartbeats: whether the answer to a heartbeat may wait for the next rebalance.
    """

    def __init__(self, settings: Settings, clock: Clock, loop: Loop, *, nodes: int, hold_heartbeats: bool) -> None:
        self.settings = settings
        self.clock = clock
        self.cluster_id = os.urandom(11).hex()  # 22 characters, as Kafka's own
        self.ids = tuple(range(1, nodes + 1))
        self.up = set(self.ids)
        #: Whether every node is up and everything is led by its preferred leader.
        self.at_home = True
        self.topics = Topics(settings, self.ids, self.up)
        self.waiting = Waiting(loop)
        self.producer_ids: Iterator[int] = itertools.count()
        self.hold_heartbeats = hold_heartbeats
        #: The delay that is there by default spares kafka-python a second round and is not for librdkafka's clients.
        self.hurry = "group.initial.rebalance.delay.ms" not in settings.given
        self.groups = GroupCoordinator(
            loop,
            GroupConfig(
                min_session_timeout_ms=settings.int("group.min.session.timeout.ms"),
                max_session_timeout_ms=settings.int("group.max.session.timeout.ms"),
                initial_rebalance_delay_ms=settings.int("group.initial.rebalance.delay.ms"),
                max_size=settings.int("group.max.size"),
                offsets_retention_ms=settings.int("offsets.retention.minutes") * 60_000,
                offset_metadata_max_bytes=settings.int("offset.metadata.max.bytes"),
                hold_heartbeats=hold_heartbeats,
            ),
            wall_ms=self.now_ms,
            topics=self.topics,
            consumer_config=ConsumerGroupConfig(
                assignors=tuple((settings.get("group.consumer.assignors") or "").split(",")),
                session_timeout_ms=settings.int("group.consumer.session.timeout.ms"),
                heartbeat_interval_ms=settings.int("group.consumer.heartbeat.interval.ms"),
                max_size=settings.int("group.consumer.max.size"),
            ),
        )
        self.transactions = TransactionCoordinator(
            TransactionConfig(
                max_timeout_ms=settings.int("transaction.max.timeout.ms"),
                id_expiration_ms=settings.int("transactional.id.expiration.ms"),
            ),
            lambda: next(self.producer_ids),
            self._end_transaction,
        )
        self._coordinators = [
            Replicas(replicas, self.up) for replicas in place(self.ids, _COORDINATORS, min(nodes, len(ZONES)))
        ]
        self._real = RealClock()
        # Of transactions that ended while nobody led one of their partitions.
        self._markers_due: list[tuple[PartitionLog, Producer, bool]] = []

    def zone(self, node: int) -> str | None:
        """The availability zone of a node; None in a cluster of one, as a broker without `broker.rack` has none."""
        return ZONES[(node - 1) % len(ZONES)] if len(self.ids) > 1 else None

    # --- time -----------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The cluster's time: the test's clock, epoch milliseconds."""
        return self.clock.now_ms()

    def latest_ms(self) -> int:
        """What timestamps may lie ahead of: clients stamp records with the machine's time, whatever the clock says."""
        return max(self.clock.now_ms(), self._real.now_ms())

    def apply_time(self, now_ms: int) -> None:
        """Do what is due: transactions that took too long, the cleaning of logs, committed offsets that expired."""
        self.transactions.apply_time(now_ms)
        self.topics.clean(now_ms)
        self.groups.expire_offsets(now_ms)

    def delete_topic(self, topic: Topic) -> None:
        """Delete a topic with its records and every group's offsets in it."""
        self.topics.delete(topic)
        self.groups.forget_topic(topic.name)
        self.transactions.forget_topic(topic.name)
        for log in topic.partitions:
            self.waiting.gone(log)
        self._markers_due = [each for each in self._markers_due if each[0].topic != topic.name]

    # --- transactions ---------------------------------------------------------------------------------------------

    def _end_transaction(self, ended: EndedTransaction) -> None:
        for topic, partition in ended.partitions:
            log = self.topics.log(topic, partition)
            if log is not None and log.replicas.leader is None:
                self._markers_due.append((log, ended.producer, ended.commit))
            elif log is not None:
                self.write_marker(log, ended.producer, commit=ended.commit)
        for group_id in ended.groups:
            self.groups.end_transaction(group_id, ended.producer.id, commit=ended.commit)

    def write_marker(self, log: PartitionLog, producer: Producer, *, commit: bool) -> ErrorCode:
        """End a producer's transaction in a partition; the error if the partition knows a newer producer of that id."""
        try:
            appended = log.end_transaction(producer.id, producer.epoch, commit=commit, now_ms=self.now_ms())
        except Refused as refused:
            return refused.code
        self.waiting.grown(log, appended.size)
        return ErrorCode.NONE

    # --- who leads ------------------------------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether every node is up."""
        return len(self.up) == len(self.ids)

    def coordinator(self, key: str) -> int | None:
        """The node that coordinates a group or a transaction; None when none of its replicas is up."""
        return self._coordinator(key).leader

    def move_coordinator(self, key: str, node: int) -> bool:
        """Let another node coordinate a group or a transaction, and all that share its partition; whether it could."""
        self.at_home = False
        return self._coordinator(key).move(node, end=0)

    def _coordinator(self, key: str) -> Replicas:
        return self._coordinators[_java_hash(key) % _COORDINATORS]

    def set_up(self, nodes: set[int]) -> None:
        """These nodes are up now, and no others: leaders that went are followed by others."""
        self.at_home = False
        self.up.clear()
        self.up |= nodes
        for replicas in self._coordinators:
            replicas.update(self.up, end=0, unclean=True)  # committed offsets and members are never lost
        for topic in self.topics:
            unclean = topic.config("unclean.leader.election.enable") == "true"
            for log in topic.partitions:
                leader = log.replicas.leader
                cut = log.replicas.update(self.up, end=log.end_offset, unclean=unclean)
                if cut is not None:
                    log.truncate(cut)
                if log.replicas.leader != leader:
                    self.waiting.gone(log)
        due, self._markers_due = self._markers_due, []
        for log, producer, commit in due:
            if log.replicas.leader is None:
                self._markers_due.append((log, producer, commit))
            else:
                self.write_marker(log, producer, commit=commit)

    def move_leader(self, log: PartitionLog, node: int) -> bool:
        """Let another node that is in sync lead a partition; whether it could."""
        self.at_home = False
        moved = log.replicas.move(node, end=log.end_offset)
        self.waiting.gone(log)
        return moved

    def elect_preferred(self) -> None:
        """Let the first replica of everything lead it again, where it is in sync."""
        for replicas in self._coordinators:
            replicas.move(replicas.nodes[0], end=0)
        for topic in self.topics:
            for log in topic.partitions:
                if log.replicas.leader != log.replicas.nodes[0]:
                    self.move_leader(log, log.replicas.nodes[0])
        self.at_home = self.whole


def _java_hash(text: str) -> int:
    """Java's String.hashCode without its sign: what spreads groups over the partitions of __consumer_offsets."""
    value = 0
    raw = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(raw), 2):
        value = (31 * value + (raw[at] << 8 | raw[at + 1])) & 0xFFFF_FFFF
    return value & 0x7FFF_FFFF
