"""The node: what the broker knows and keeps, for its handlers and for its Python face."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

from ...clock import Clock, RealClock
from .consumer_groups import ConsumerGroupConfig
from .errors import ErrorCode, Refused
from .groups import GroupConfig, GroupCoordinator
from .log import PartitionLog
from .loop import Loop
from .settings import Settings
from .topics import Topic, Topics
from .transactions import EndedTransaction, Producer, TransactionConfig, TransactionCoordinator
from .waiting import Waiting

__all__ = ["NODE_ID", "Node"]

NODE_ID = 1


class Node:
    """The one node of the cluster. Its methods are called with the loop's lock held.

    Args:
        hold_heartbeats: whether the answer to a heartbeat may wait for the next rebalance.
    """

    def __init__(self, settings: Settings, clock: Clock, loop: Loop, *, hold_heartbeats: bool) -> None:
        self.settings = settings
        self.clock = clock
        self.host = "127.0.0.1"
        self.port = 0
        self.cluster_id = os.urandom(11).hex()  # 22 characters, as Kafka's own
        self.topics = Topics(settings)
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
        self._real = RealClock()

    def now_ms(self) -> int:
        """The broker's time: the test's clock, epoch milliseconds."""
        return self.clock.now_ms()

    def latest_ms(self) -> int:
        """What timestamps may lie ahead of: clients stamp records with the machine's time, whatever the clock says."""
        return max(self.clock.now_ms(), self._real.now_ms())

    def apply_time(self, now_ms: int) -> None:
        """Do what is due: transactions that took too long, the cleaning of logs, committed offsets that expired."""
        self.transactions.apply_time(now_ms)
        self.topics.clean(now_ms)
        self.groups.expire_offsets(now_ms)

    def _end_transaction(self, ended: EndedTransaction) -> None:
        for topic, partition in ended.partitions:
            log = self.topics.log(topic, partition)
            if log is not None:
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

    def delete_topic(self, topic: Topic) -> None:
        """Delete a topic with its records and every group's offsets in it."""
        self.topics.delete(topic)
        self.groups.forget_topic(topic.name)
        self.transactions.forget_topic(topic.name)
        for log in topic.partitions:
            self.waiting.gone(log)

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
        """A partition's log.

        Raises:
            Refused: UNKNOWN_TOPIC_OR_PARTITION.
        """
        log = self.topics.log(topic, partition)
        if log is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return log
