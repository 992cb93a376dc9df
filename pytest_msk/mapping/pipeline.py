"""Pipeline: the way of records from the poller through filters, batch and function to the commit, step by step.

It is driven from outside: a step does one due thing and says what it was, and `due_ms` tells when the next is due if
only time is missing. A stepped mapping calls it from the test, a background one from its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, starmap

from ..brokers import Broker
from ..clock import Clock
from ..errors import BrokerError
from ..events import Envelope
from ..filters.criteria import record_metadata
from ..functions import LambdaFunction, TimeLimit
from ..journal import (
    Assigned,
    Attempt,
    BatchClosed,
    CommitFailed,
    Committed,
    Event,
    Expired,
    FaultInjected,
    Filtered,
    Journal,
    Offsets,
    Polled,
    PollFailed,
    PositionReset,
    Positions,
    Revoked,
    Unfiltered,
    offset_runs,
)
from ..records import RecordEncoder, encoder
from ..topics import Topic
from .batching import Batcher, Window
from .concurrency import ConcurrentInvocation
from .config import EventSourceMappingConfig
from .connection import Connection
from .delivery import Delivery, DeliveryState
from .destinations import Destination
from .faults import MappingFaults, PollerCrashed
from .fetched import Fetched, Run
from .poller import Poller
from .problems import problem_of
from .sender import Sender
from .starting import StartingPositions
from .steps import Commit, Done, Invoke, Wait

__all__ = ["Pipeline"]


#: Records of one poll at most, those that are filtered included: what was put aside is committed after it.
_POLL = 10_000
#: Attempts before each of which the log is asked what has expired, a request or two; then it is before one in so many.
_LOOKS, _LOOKS_LATER = 10, 100


class Pipeline:
    """Reads a topic and delivers it to a function: on demand one batch at a time, provisioned up to five (spec 7.2).

    A batch is read while all others are held up: their calls failed, or were refused. None has a partition of another.

    Args:
        broker: where the topic is.
        config: the mapping's settings.
        function: what is invoked.
        destination: is told of records that are given up; `None` drops them.
        mapping_uuid: the mapping's UUID.
        group: the consumer group's id.
        starting: where partitions are begun.
        numbers: the batches' numbers.
        journal: gets every event.
        clock: tells the time.
        timeout: seconds of real time that the broker may take.
        faults: what goes wrong because the test wants it to.
        client_id: what the id of its member of the group begins with.
        connection: how its consumer reaches the broker.
        waiting: called again and again while it waits for the broker.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        config: EventSourceMappingConfig,
        function: LambdaFunction,
        destination: Destination | None,
        mapping_uuid: str,
        group: str,
        starting: StartingPositions,
        numbers: Iterator[int],
        journal: Journal,
        clock: Clock,
        timeout: float,
        client_id: str,
        connection: Connection,
        waiting: Callable[[], None] = lambda: None,
        faults: MappingFaults | None = None,
    ) -> None:
        self._broker = broker
        self._config = config
        self._journal = journal
        self._clock = clock
        self._faults = MappingFaults() if faults is None else faults
        self._new_poller = partial(
            Poller,
            broker,
            config.topic,
            group,
            starting,
            self,
            timeout,
            self._faults,
            client_id=client_id,
            connection=connection,
            waiting=waiting,
        )
        self._poller = self._new_poller()
        #: Whether the test has put the broker out of reach.
        self.out_of_reach = False
        envelope = Envelope(bootstrap_servers=connection.bootstrap_servers, event_source_arn=config.event_source_arn)
        self._batcher = Batcher(config.topic, envelope, config.batch_size, numbers=numbers)
        self._window = Window(config.window_ms, clock.now_ms())
        self._encoders: dict[int, RecordEncoder] = {}
        #: Per partition the next offset behind everything that was read and not committed yet.
        self._uncommitted: dict[int, int] = {}
        #: Offsets read by the poll that is going on: into the batch, put aside by the filters, or into the batch though
        #: no filter matches them.
        self._polled: dict[int, list[int]] = {}
        self._filtered: dict[int, list[int]] = {}
        self._unfiltered: dict[int, list[int]] = {}
        #: What the group gave and took, held back until all pollers of the mapping have heard of it; `None` if that is
        #: written down at once.
        self.held: list[Event] | None = None
        #: Whether the mapping has no other poller.
        self.alone = True
        new_sender = partial(
            Sender,
            function=function,
            destination=destination,
            mapping_uuid=mapping_uuid,
            topic=config.topic,
            envelope=envelope,
            read_back=Topic(config.topic, broker=broker, clock=clock, timeout=timeout).at,
            write=self._write,
            clock=clock,
        )
        #: The invocations that may be under way, in the order in which it is their turn.
        self._invocations = [ConcurrentInvocation(new_sender()) for _ in range(config.concurrent_invocations)]
        self._last = self._invocations[0]
        #: Whether records are read before the batches that are held up have their turn.
        self._reads_first = False
        #: Positions that could not be committed: the next commit has them too.
        self._late: dict[int, int] = {}

    # --- what the poller tells

    def assigned(self, positions: Mapping[int, int]) -> None:
        """See `PollerEvents`."""
        self._tell(Assigned(time_ms=self._clock.now_ms(), positions=positions))

    def revoked(self, partitions: tuple[int, ...]) -> None:
        """See `PollerEvents`. What was read and not committed is read again by the next owner."""
        self._give_up()
        self._tell(Revoked(time_ms=self._clock.now_ms(), partitions=partitions))

    def position_reset(self, partition: int, offset: int, position: int, low: int) -> None:
        """See `PollerEvents`."""
        now = self._clock.now_ms()
        self._tell(PositionReset(time_ms=now, partition=partition, offset=offset, position=position))
        if offset < low:
            self._tell(Expired(time_ms=now, records={partition: (range(offset, low),)}))

    def _tell(self, event: Event) -> None:
        if self.held is None:
            self._write(event)
        else:
            self.held.append(event)

    def injected(self, fault: str) -> None:
        """See `PollerEvents`."""
        self._write(FaultInjected(time_ms=self._clock.now_ms(), fault=fault))

    # --- driving

    @property
    def delivery(self) -> Delivery | None:
        """The batch that the last thing was done with, if it is not done with."""
        return self._last.delivery

    @property
    def sender(self) -> Sender:
        """Who called the function last."""
        return self._last.sender

    @property
    def committing(self) -> bool:
        """Whether there are records that are done with and not committed."""
        now = self._clock.now_ms()
        return any(each.delivery is not None and isinstance(each.delivery.next(now), Commit) for each in self._busy)

    def limit_calls(self, limit: TimeLimit | None) -> None:
        """End the function's calls by real time; with `None` only the clock's time counts."""
        for each in self._invocations:
            each.sender.limit = limit

    @property
    def _busy(self) -> list[ConcurrentInvocation]:
        return [each for each in self._invocations if each.delivery is not None]

    @property
    def due_ms(self) -> int | None:
        """When the next thing is due if no record comes, epoch milliseconds; `None` when nothing is under way."""
        busy, now = self._busy, self._clock.now_ms()
        steps = [each.delivery.next(now) for each in busy if each.delivery is not None]
        due = [step.until_ms if isinstance(step, Wait) else now for step in steps]
        if self._batcher.count and len(busy) < len(self._invocations):
            due.append(self._window.end_ms)
        return min(due, default=None)

    def step(self, *, wait: float | None = None) -> Event | None:
        """Do the next due thing.

        Args:
            wait: how long to wait for a record, seconds of real time; `None` reads to the ends of the logs instead.

        Returns:
            What was done, or `None` when nothing is due.

        Raises:
            BrokerError: the broker refused something or does not answer; in the background a broker that the test has
                put out of reach is none.
            PartitionsChanged: the topic has another number of partitions, and this poller is not alone.
        """
        try:
            event = self._step(wait)
        except BrokerError as error:
            if wait is None or self._faults.connected or not self.out_of_reach:
                result = problem_of(error.code).result
                self._write(PollFailed(time_ms=self._clock.now_ms(), error=str(error), result=result))
            self.out_of_reach = not self._faults.connected
            if wait is None or self._faults.connected:
                raise
            return None
        self.out_of_reach = False
        return event

    def rejoin(self) -> bool:
        """Leave the group and ask to join it again, if the test has asked for that."""
        if not self._poller.joined or not self._faults.take_rebalance():
            return False
        self.injected("rebalance")
        self._poller.rejoin()
        return True

    def follow_partitions(self, count: int) -> None:
        """Join anew if the topic has another number of partitions than was known."""
        self._poller.follow_partitions(count)

    def _step(self, wait: float | None) -> Event | None:
        self.rejoin()
        if any(each.held_up for each in self._busy):
            self._poller.serve()
        busy = self._busy  # those that are left: the group may have taken partitions away
        for each in busy:
            if not each.held_up:
                return self._go_on(each)
        reads, reads_first = len(busy) < len(self._invocations), self._reads_first or not busy
        if reads and reads_first and (event := self._read(wait)) is not None:
            return event
        for each in busy:
            if each.delivery is not None and (event := self._go_on(each)) is not None:
                return event
        return self._read(wait) if reads and not reads_first else None

    def _go_on(self, invocation: ConcurrentInvocation) -> Event | None:
        """Do the next due thing with a batch; then it is the others' turn, and new records come before them."""
        assert invocation.delivery is not None
        self._last = invocation
        event = self._deliver(invocation, invocation.delivery)
        if event is not None:
            self._invocations.remove(invocation)
            self._invocations.append(invocation)
            self._reads_first = True
        return event

    def _read(self, wait: float | None) -> Event | None:
        """Read records into the open batch, or close it."""
        self._reads_first = False
        if not self._batcher.room:
            return self._close_batch()
        return self._poll(wait) or self._close_batch()

    @property
    def joined(self) -> bool:
        """Whether the group has given the poller its partitions."""
        return self._poller.joined

    def serve(self, timeout: float = 0) -> None:
        """Let the poller take part in the group's life; waits at most `timeout` seconds for something to happen."""
        self._poller.serve(timeout)

    def close(self) -> None:
        """Leave the group; what is under way is given up and not committed."""
        self._give_up()
        self._poller.close()

    def _give_up(self) -> None:
        self._batcher.clear()
        for offsets in (self._uncommitted, self._late, self._polled, self._filtered, self._unfiltered):
            offsets.clear()
        for each in self._invocations:
            each.delivery = None

    # --- reading

    def _poll(self, wait: float | None) -> Event | None:
        """Read what the open batch has room for; the event says what passed the filters, or what did not."""
        if wait is None:
            self._poller.look(alone=self.alone)
        if not self._batcher.count:
            self._window.roll(self._clock.now_ms())
        held = frozenset(chain.from_iterable(each.partitions for each in self._busy))
        read = 0
        while (room := self._batcher.room) and read < _POLL:
            if wait is None:
                found = self._poller.take(room, held)
            else:
                found = self._poller.take_available(room, 0 if read else wait, held)
            if not found or not self._sort(found):
                break
            read += sum(len(records) for _, records in found)
        now = self._clock.now_ms()
        events: list[Event] = []
        if self._polled:
            events.append(self._write(Polled(time_ms=now, records=self._read_past(self._polled))))
        if self._unfiltered:
            self._write(Unfiltered(time_ms=now, records=self._read_past(self._unfiltered)))
        if self._filtered:
            events.append(self._write(Filtered(time_ms=now, records=self._read_past(self._filtered))))
            if not self._batcher.count:
                positions = dict(self._uncommitted)
                self._uncommitted.clear()
                self._commit(positions)
        if not events and wait is None and self._poller.settle():
            return self._poll(wait)
        return events[0] if events else None

    def _sort(self, runs: list[Run]) -> bool:
        """Put records into the open batch or aside; false when one did not fit: the next batch begins with it."""
        for index, (partition, records) in enumerate(runs):
            left = records
            try:
                left = self._add(partition, records)
            finally:
                if left:
                    for behind in reversed(runs[index + 1 :]):
                        self._poller.put_back(*behind)
                    self._poller.put_back(partition, left)
            if left:
                return False
        return True

    def _add(self, partition: int, records: list[Fetched]) -> list[Fetched]:
        """Put one partition's records into the open batch or aside; returns those from the first that did not fit."""
        encode = self._encoders.get(partition)
        if encode is None:
            encode = encoder(self._config.topic, partition, null_tombstones=self._config.null_tombstones)
            self._encoders[partition] = encode
        passed, aside, unfiltered = self._filter(partition, records)
        offsets = [record[0] for record in passed]
        timestamps = [record[1] for record in passed] if self._config.maximum_record_age_ms is not None else ()
        added = self._batcher.add(partition, offsets, starmap(encode, passed), timestamps)
        left = records[records.index(passed[added]) :] if added < len(passed) else []
        if added:
            self._polled.setdefault(partition, []).extend(offsets[:added])
        if left:
            aside, unfiltered = ([o for o in offsets if o < left[0][0]] for offsets in (aside, unfiltered))
        if aside:
            self._filtered.setdefault(partition, []).extend(aside)
        if unfiltered:
            self._unfiltered.setdefault(partition, []).extend(unfiltered)
        return left

    def _filter(self, partition: int, records: list[Fetched]) -> tuple[list[Fetched], list[int], list[int]]:
        """The records that pass the filters, the offsets of those that do not, and of those that pass unfiltered."""
        filters = self._config.filters
        if not filters:
            return records, [], []
        passed: list[Fetched] = []
        aside: list[int] = []
        unfiltered: list[int] = []
        for record in records:
            metadata = record_metadata(self._config.topic, partition, *record) if filters.metadata else None
            decision = filters.decide(record[4], metadata)
            if decision == "filtered":
                aside.append(record[0])
                continue
            passed.append(record)
            if decision == "unfiltered":
                unfiltered.append(record[0])
        return passed, aside, unfiltered

    def _read_past(self, offsets: dict[int, list[int]]) -> Offsets:
        """Note the offsets as read, to be committed in time, and forget them as news."""
        for partition, found in offsets.items():
            self._uncommitted[partition] = max(found[-1] + 1, self._uncommitted.get(partition, 0))
        runs = {partition: offset_runs(found) for partition, found in offsets.items()}
        offsets.clear()
        return runs

    # --- delivering

    def _close_batch(self) -> Event | None:
        """Close the batch if it is full or its window has ended (spec 3.1)."""
        now = self._clock.now_ms()
        if not self._batcher.count or (self._batcher.room and now < self._window.end_ms):
            return None
        batch = self._batcher.close(now)
        invocation = next(each for each in self._invocations if each.delivery is None)
        delivery = Delivery(batch, dict(self._uncommitted), self._config.rules)
        invocation.begin(delivery, frozenset(self._uncommitted))
        self._uncommitted.clear()
        if batch.oversized:
            return self._go_on(invocation)
        return self._write(
            BatchClosed(
                time_ms=now,
                batch=batch.number,
                reason=batch.reason,
                payload_size=len(batch.payload),
                records=batch.records,
            )
        )

    def _deliver(self, invocation: ConcurrentInvocation, delivery: Delivery) -> Event | None:
        """Do what the delivery asks for; that is never a decision of this class."""
        step = delivery.next(self._clock.now_ms())
        if isinstance(step, Wait | Done):
            return None
        if isinstance(step, Commit):
            event = self._commit(step.positions)
            delivery.committed()
            if delivery.state is DeliveryState.DONE:
                invocation.delivery = None
                invocation.sender.failing = False
                if self._config.provisioned is not None and not self._batcher.count:
                    self._window.restart(event.time_ms)  # the next one begins when the batch is completed (spec 3.2)
            return event
        if isinstance(step, Invoke) and invocation.held_up:
            expired = self._expired(delivery, step.attempt)
            if expired is not None:
                return expired
        try:
            event = invocation.sender.do(delivery, step)
        finally:
            invocation.held_up = invocation.sender.failing
        if isinstance(event, Attempt) and self._config.provisioned is None:
            self._window.restart(event.time_ms)  # on demand already when the function has ended
        return event

    def _expired(self, delivery: Delivery, attempt: int) -> Event | None:
        """Before records are tried again: those that retention has removed meanwhile are lost (spec 5.14)."""
        if attempt > _LOOKS and attempt % _LOOKS_LATER:
            return None
        marks = self._broker.watermarks(self._config.topic)
        expired = delivery.truncated({partition: mark.low for partition, mark in marks.items()})
        return self._write(Expired(time_ms=self._clock.now_ms(), records=expired)) if expired else None

    def _commit(self, new: Positions) -> Event:
        positions = {**self._late, **new}
        try:
            error = self._poller.commit(positions)
        except PollerCrashed:
            crash = next(reversed(self._journal))
            self._replace_poller()
            return crash
        now = self._clock.now_ms()
        if error is None:
            self._late.clear()
            return self._write(Committed(time_ms=now, positions=positions))
        self._late.update(positions)
        return self._write(CommitFailed(time_ms=now, positions=positions, error=error))

    def _replace_poller(self) -> None:
        """The poller has died: another one begins at what was committed."""
        self._give_up()
        self._poller.close()
        self._poller = self._new_poller()

    def _write(self, event: Event) -> Event:
        self._journal.append(event)
        return event
