"""Poller: one consumer in the mapping's group (spec 5). It reads, seeks and commits as it is told and decides nothing.

A stepped poll does not depend on the network's timing: it asks where each partition's log ends, and then takes
records only while every partition that has not been read to its end has one at hand. So the order in which records
are taken, by (timestamp, partition), follows from the logs alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, cast

from ..brokers import Broker, Committer, Watermarks
from ..clock import Deadline
from ..errors import BrokerError
from ..records import TimestampType
from .connection import Connection
from .faults import MappingFaults, PollerCrashed
from .fetched import Fetched, FetchedQueue, Run
from .problems import connection_code, is_tls_alert
from .starting import StartingPositions

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

__all__ = ["PartitionsChanged", "Poller", "PollerEvents"]

#: Messages taken from the client in one call.
_CHUNK = 1_000
#: How long one wait for the client lasts, seconds; waits are repeated until the timeout.
_TICK = 0.05
#: How often the number of partitions is looked at in background mode, seconds.
_PARTITIONS_TICK = 1.0
#: Memory of the records that wait, bytes in all and of each beside its key and value: a partition that has its share of
#: it, while others are read, is not fetched for a while.
_MEMORY, _OVERHEAD = 32 * 1024 * 1024, 300
#: By Kafka's code: nobody set it, the producer did, the broker did.
_TIMESTAMP_TYPES: tuple[TimestampType, ...] = ("CREATE_TIME", "CREATE_TIME", "LOG_APPEND_TIME")


class PartitionsChanged(Exception):
    """The topic has another number of partitions: all pollers of the mapping are to join anew, at once."""


class PollerEvents(Protocol):
    """What a poller tells while it is being used."""

    def assigned(self, positions: Mapping[int, int]) -> None:
        """The group gave these partitions, to be read from these offsets."""

    def revoked(self, partitions: tuple[int, ...]) -> None:
        """The group took these partitions."""

    def position_reset(self, partition: int, offset: int, position: int, low: int) -> None:
        """The offset was out of range of the log, which begins at `low`; reading goes on at the position."""

    def injected(self, fault: str) -> None:
        """A fault that the test had asked for happens."""


class Poller:
    """A consumer in the mapping's group that hands out records of its partitions in order.

    Args:
        broker: where the topic is.
        topic: the topic's name.
        group: the consumer group's id.
        starting: where partitions are begun.
        events: is told of assignments and resets.
        timeout: seconds that the broker may take to answer or to let the poller join its group.
        faults: what goes wrong because the test wants it to.
        client_id: what the member's id begins with: the group's members are given partitions in the order of their ids.
        connection: how its consumer reaches the broker.
        waiting: called again and again while the poller waits for the broker.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        group: str,
        starting: StartingPositions,
        events: PollerEvents,
        timeout: float,
        faults: MappingFaults | None = None,
        *,
        client_id: str,
        connection: Connection,
        waiting: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._group = group
        self._starting = starting
        self._events = events
        self._timeout = timeout
        self._waiting = waiting
        self._faults = MappingFaults() if faults is None else faults
        self._queues: dict[int, FetchedQueue] = {}
        self._marks: dict[int, Watermarks] = {}
        self._joined = False
        self._generation = 0
        self._partitions_looked_at = Deadline(_PARTITIONS_TICK)
        self._commit: Committer | None = None
        self._known_partitions = broker.partition_count(self._topic)
        self._failure: KafkaError | None = None
        self._advice = connection.advice
        self._consumer: Consumer = connection.consumer(
            group,
            error_cb=self._on_error,
            client_id=client_id,
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            enable_partition_eof=True,
            auto_offset_reset="error",
            max_poll_interval_ms=86_400_000,
            heartbeat_interval_ms=200,  # a rebalance is heard of by a heartbeat's answer: not 3 s after it has begun
            isolation_level="read_uncommitted",  # spec 5.13
            queued_max_messages_kbytes=_MEMORY // 1024,
        )
        self._subscribe()

    def _on_error(self, error: KafkaError) -> None:
        """Note that the client cannot authenticate: it would try again, and for ever."""
        if error.code() in (error._AUTHENTICATION, error._SSL) or is_tls_alert(error.str()):
            self._failure = error

    # --- membership

    @property
    def joined(self) -> bool:
        """Whether the group has given this member its partitions, be it none."""
        return self._joined

    def join(self) -> None:
        """Wait until the group has given this member its partitions, be it none.

        Raises:
            BrokerError: it did not within the timeout.
        """
        deadline = Deadline(self._timeout)
        while not self._joined:
            if deadline.passed:
                raise self._not_joined()
            self._receive(_TICK)

    def _not_joined(self) -> BrokerError:
        return BrokerError(
            f"The mapping got no partitions of {self._topic!r} from its consumer group within {self._timeout:g} s: a "
            "member that does not poll holds the rebalance up, or the broker does not answer. Close other consumers of "
            "the group, or raise the timeout (--msk-timeout)."
        )

    def settle(self) -> bool:
        """Wait for the end of a rebalance that has begun, so that a run does not hang on when the client hears of it.

        Returns:
            Whether there was one, so that there may be other partitions now.

        Raises:
            BrokerError: it did not end within the timeout.
        """
        generation = self._generation
        deadline = Deadline(self._timeout)
        while self._broker.rebalancing(self._group):
            if deadline.passed:
                raise self._not_joined()
            self._receive(_TICK)
        self.join()
        return self._generation != generation

    def rejoin(self) -> None:
        """Leave the group and ask to join it again, as when it rebalances: partitions are taken away and given anew.

        Raises:
            BrokerError: they were not taken away within the timeout.
        """
        self._consumer.unsubscribe()
        deadline = Deadline(self._timeout)
        while self._queues:
            if deadline.passed:
                raise self._not_joined()
            self._receive(_TICK)
        self._joined = False
        self._subscribe()

    def serve(self, timeout: float = 0) -> None:
        """Take part in the group's life, rebalances included, while something else keeps the pipeline busy.

        Args:
            timeout: seconds to wait for something to happen.
        """
        self._receive(timeout, limit=1)  # the client gives no events without records

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        from confluent_kafka import OFFSET_INVALID

        committed = self._committed(consumer, given) if given else []
        marks = self._broker.watermarks(self._topic)
        resets: list[tuple[int, int, int, int]] = []
        for found in committed:
            start = self._starting.choose(found.partition, found.offset, marks[found.partition])
            if found.offset not in (start, OFFSET_INVALID):
                resets.append((found.partition, found.offset, start, marks[found.partition].low))
            found.offset = start
            self._queues[found.partition] = FetchedQueue(start)
        consumer.assign(committed)
        self._commit = self._broker.committer(consumer, self._group, self._topic)
        self._joined = True
        self._events.assigned({found.partition: found.offset for found in committed})
        for reset in resets:
            self._events.position_reset(*reset)

    def _committed(self, consumer: Consumer, given: list[TopicPartition]) -> list[TopicPartition]:
        from confluent_kafka import KafkaException

        try:
            return consumer.committed(given, timeout=self._timeout)
        except KafkaException as raised:  # from a callback the client would hand on what is no exception at all
            error = raised.args[0]
            text = f"The offsets of group {self._group!r} could not be had: {error.str()}."
            raise BrokerError(text, code=error.name()) from raised

    def _on_revoke(self, _consumer: Consumer, taken: list[TopicPartition]) -> None:
        self._resume_all()  # the client keeps a pause beyond an assignment: it would never fetch the partition again
        for partition in taken:
            self._queues.pop(partition.partition, None)
        self._joined = False
        self._generation += 1
        self._events.revoked(tuple(partition.partition for partition in taken))

    # --- reading

    def look(self, *, alone: bool = True) -> None:
        """Ask where the logs begin and end now: until the next look, `take` reads up to there and no further.

        A partition whose next record the broker has deleted meanwhile, fetched or not, is begun again.

        Args:
            alone: whether the mapping has no other poller, which would have to join anew too.

        Raises:
            PartitionsChanged: it has, and the topic has another number of partitions.
        """
        self._faults.check_connection(self._broker.bootstrap_servers)
        self._marks = self._broker.watermarks(self._topic)
        if not alone and self._marks and len(self._marks) != self._known_partitions:
            raise PartitionsChanged
        self.follow_partitions(len(self._marks))
        self.join()
        for partition, queue in self._queues.items():
            mark, position = self._marks[partition], queue.head[0] if queue else queue.position
            if not mark.low <= position <= mark.high:
                self._reset(partition)

    def take(self, limit: int, held: Collection[int] = ()) -> list[Run]:
        """Up to `limit` records, the next ones by (timestamp, partition); fewer only at the ends of the logs.

        Args:
            limit: how many at most.
            held: partitions of which none is taken.

        Raises:
            BrokerError: a record that must be there did not come within the timeout; nothing was taken.
        """
        taken: list[Run] = []
        try:
            self._take(limit, held, taken)
        except BaseException:
            for run in reversed(taken):
                self.put_back(*run)
            raise
        return taken

    def _take(self, limit: int, held: Collection[int], taken: list[Run]) -> None:
        generation = self._generation
        deadline = Deadline(self._timeout)
        room = limit
        while room:
            behind = [p for p, queue in self._queues.items() if not queue and queue.position < self._marks[p].high]
            lacking = [partition for partition in behind if partition not in held]
            if not lacking:
                run = self._take_run(room, held)
                if run is None:
                    return
                taken.append(run)
                room -= len(run[1])
                continue
            if deadline.passed:
                partition = lacking[0]
                raise BrokerError(
                    f"{self._topic}-{partition} ends at offset {self._marks[partition].high}, but nothing came from "
                    f"offset {self._queues[partition].position} on within {self._timeout:g} s (--msk-timeout)."
                )
            self._receive(_TICK)
            self.join()
            if self._generation != generation:
                generation = self._generation
                taken.clear()  # whoever owns their partitions now reads them again
                room = limit

    def take_available(self, limit: int, timeout: float, held: Collection[int] = ()) -> list[Run]:
        """Up to `limit` records that are there, waiting at most `timeout` seconds for the first; see `take`."""
        self._faults.check_connection(self._broker.bootstrap_servers)
        if self._partitions_looked_at.passed:
            self._partitions_looked_at = Deadline(_PARTITIONS_TICK)
            self.follow_partitions(self._broker.partition_count(self._topic))
        if not any(queue for partition, queue in self._queues.items() if partition not in held):
            self._receive(timeout)
        taken: list[Run] = []
        while limit and (run := self._take_run(limit, held)) is not None:
            taken.append(run)
            limit -= len(run[1])
        return taken

    def put_back(self, partition: int, records: Sequence[Fetched]) -> None:
        """Let records of a partition that were taken last be taken again next."""
        if partition in self._queues:
            self._queues[partition].put_back(records)

    def _take_run(self, limit: int, held: Collection[int]) -> Run | None:
        """The records of one partition that precede every other partition's next one; `None` if there are none."""
        heads = sorted((queue.head[1], p) for p, queue in self._queues.items() if queue and p not in held)
        if not heads:
            return None
        partition = heads[0][1]
        queue = self._queues[partition]
        bound = None
        if len(heads) > 1:
            timestamp, other = heads[1]
            bound = timestamp if partition < other else timestamp - 1
        run = queue.take(limit, bound)
        if queue.paused and queue.nbytes < self._share / 2:
            self._consumer.resume([self._at(partition, queue.position)])
            queue.paused = False
        return partition, run

    @property
    def _share(self) -> float:
        return _MEMORY / max(1, len(self._queues))

    def follow_partitions(self, count: int) -> None:
        """Join anew when the topic has another number of partitions than the client knows of."""
        if count and count != self._known_partitions:
            self._known_partitions = count
            self._joined = False
            self._subscribe()

    def _receive(self, timeout: float, limit: int = _CHUNK) -> None:
        """Let the client do its work and queue what it has fetched; waits at most `timeout` seconds for the first."""
        found = self._consumer.consume(limit, 0) or (self._consumer.consume(1, timeout) if timeout else [])
        if timeout:
            self._waiting()
        failure, self._failure = self._failure, None
        if failure is not None:
            text = f"The mapping cannot connect to read {self._topic!r}: {failure.str()} ({failure.name()})."
            text += self._advice(failure.name())
            raise BrokerError(text, code=connection_code(failure.name(), failure.str()))
        messages = [message for message in found if message.error() is None]
        for partition, run in groupby(messages, lambda message: message.partition()):
            self._append(cast(int, partition), list(run))
        if len(messages) < len(found):
            failures = [error for message in found if (error := self._heed(message)) is not None]
            if failures:
                text = f"Reading {self._topic!r} failed: {failures[0].str()} ({failures[0].name()})."
                raise BrokerError(text, code=failures[0].name())

    def _append(self, partition: int, messages: list[Message]) -> None:
        """Queue messages of one partition."""
        queue = self._queues.get(partition)
        if queue is None:
            return  # they were fetched before the partition was taken away
        offsets = cast("list[int]", [message.offset() for message in messages])
        new = bisect_left(offsets, queue.position)  # what lies before was fetched before a seek
        records = [
            (offset, timestamp, _TIMESTAMP_TYPES[kind], message.key(), message.value(), message.headers())
            for offset, message in zip(offsets[new:], messages[new:], strict=True)
            for kind, timestamp in [message.timestamp()]
        ]
        queue.extend(cast("list[Fetched]", records), sum(map(len, messages)) + _OVERHEAD * len(records))
        if queue.nbytes > self._share and not queue.paused:
            self._consumer.pause([self._at(partition, queue.position)])
            queue.paused = True

    def _heed(self, message: Message) -> KafkaError | None:
        """Note the end of a partition, go on elsewhere if its log has no such offset; returns any other error."""
        error = message.error()
        if error is None:
            return None
        queue = self._queues.get(cast(int, message.partition()))
        if error.code() == error._PARTITION_EOF:
            # Control markers and compacted records at the end are no messages, but the end is reached.
            if queue is not None:
                queue.position = max(queue.position, cast(int, message.offset()))
        elif error.code() == error._AUTO_OFFSET_RESET:
            self._reset(cast(int, message.partition()))
        elif error.code() != error.UNKNOWN_TOPIC_OR_PART or not self._broker.partition_count(self._topic):
            return error
        return None  # a topic that has come back under its name is found again by the client

    def _reset(self, partition: int) -> None:
        """Go on at the starting position if the position is not in the log."""
        queue = self._queues.get(partition)
        mark = self._broker.watermarks(self._topic).get(partition)
        if queue is None or mark is None:
            return
        position = queue.head[0] if queue else queue.position
        if not mark.low <= position <= mark.high:
            queue.clear(self._starting.now(partition, mark))
            self._events.position_reset(partition, position, queue.position, mark.low)
        self._resume_all()
        # Not a seek, which fails while the client has lost the partition's leader.
        self._consumer.assign([self._at(p, each.position) for p, each in self._queues.items()])

    def _resume_all(self) -> None:
        """Let every partition be fetched again that had more than its share of the memory."""
        paused = [partition for partition, queue in self._queues.items() if queue.paused]
        if paused:
            self._consumer.resume([self._at(partition, self._queues[partition].position) for partition in paused])
        for partition in paused:
            self._queues[partition].paused = False

    # --- committing

    def commit(self, positions: Mapping[int, int]) -> str | None:
        """Commit the next offsets to be read and return when the broker has them.

        Returns:
            The broker's reason when it refused because the group has rebalanced, else `None`; also the error of a fault
            that the test had asked for.

        Raises:
            BrokerError: the broker refused for another reason.
            PollerCrashed: the test had asked for that.
        """
        if self._commit is None:
            raise BrokerError("The mapping has no partitions whose offsets it could commit.")
        self._faults.check_connection(self._broker.bootstrap_servers)
        fault = self._faults.take_commit()
        if fault is not None:
            self._events.injected(fault.text)
            if fault.kind == "crash":
                raise PollerCrashed
        if fault is None or fault.kind == "lose answer":
            refused = self._commit(positions)
            if refused is None:
                self._starting.committed(positions)
            if fault is None or refused is not None:
                return refused
        return fault.error

    def close(self) -> None:
        """Leave the group and free the client; what was read and not committed is read again by the next owner."""
        self._queues.clear()
        self._consumer.close()

    def _at(self, partition: int, offset: int) -> TopicPartition:
        from confluent_kafka import TopicPartition

        return TopicPartition(self._topic, partition, offset)
