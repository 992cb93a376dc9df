"""Pipeline: the way of records from the poller through filters, batch and function to the commit, step by step.

It is driven from outside: a step does one due thing and says what it was, and `due_ms` tells when the next is due if
only time is missing. A stepped mapping calls it from the test, a background one from its thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import starmap

from ..brokers import Broker
from ..clock import Clock
from ..errors import BrokerError
from ..events import Envelope
from ..faults import MappingFaults, PollerCrashed
from ..filters.criteria import record_metadata
from ..functions import Delivered, FunctionError, FunctionStuck, LambdaFunction, ServiceError, TimeLimit
from ..journal import (
    Assigned,
    Attempt,
    BatchClosed,
    CommitFailed,
    Committed,
    Event,
    FaultInjected,
    Filtered,
    Journal,
    NotInvoked,
    Offsets,
    Polled,
    PollFailed,
    PositionReset,
    Revoked,
    Unfiltered,
    offset_runs,
)
from ..records import RecordEncoder, encoder
from ..topics import Topic
from .batching import Batcher, Window
from .config import EventSourceMappingConfig
from .delivery import Commit, Delivery, Invoke
from .fetched import Fetched, Run
from .poller import Poller
from .problems import problem_of
from .starting import StartingPositions

__all__ = ["Pipeline"]


#: Records of one poll at most, those that are filtered included: what was put aside is committed after it.
_POLL = 10_000


class Pipeline:
    """Reads a topic and delivers it to a function, one batch at a time.

    Args:
        broker: where the topic is.
        config: the mapping's settings.
        function: what is invoked.
        group: the consumer group's id.
        starting: where partitions are begun.
        numbers: the batches' numbers.
        journal: gets every event.
        clock: tells the time.
        timeout: seconds of real time that the broker may take.
        faults: what goes wrong because the test wants it to.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        config: EventSourceMappingConfig,
        function: LambdaFunction,
        group: str,
        starting: StartingPositions,
        numbers: Iterator[int],
        journal: Journal,
        clock: Clock,
        timeout: float,
        faults: MappingFaults | None = None,
    ) -> None:
        self._config = config
        self._function = function
        self._journal = journal
        self._clock = clock
        self._faults = MappingFaults() if faults is None else faults
        self._new_poller = partial(Poller, broker, config.topic, group, starting, self, timeout, self._faults)
        self._poller = self._new_poller()
        #: Whether the test has put the broker out of reach.
        self.out_of_reach = False
        envelope = Envelope(bootstrap_servers=broker.bootstrap_servers, event_source_arn=config.event_source_arn)
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
        self._delivery: Delivery | None = None
        self._read_back = Topic(config.topic, broker=broker, clock=clock, timeout=timeout).at
        self.last_error: FunctionError | None = None
        #: Ends the function's calls by real time; without it only the clock's time counts.
        self.limit: TimeLimit | None = None

    # --- what the poller tells

    def assigned(self, positions: Mapping[int, int]) -> None:
        """See `PollerEvents`."""
        self._write(Assigned(time_ms=self._clock.now_ms(), positions=positions))

    def revoked(self, partitions: tuple[int, ...]) -> None:
        """See `PollerEvents`. What was read and not committed is read again by the next owner."""
        self._give_up()
        self._write(Revoked(time_ms=self._clock.now_ms(), partitions=partitions))

    def position_reset(self, partition: int, offset: int, position: int) -> None:
        """See `PollerEvents`."""
        now = self._clock.now_ms()
        self._write(PositionReset(time_ms=now, partition=partition, offset=offset, position=position))

    def injected(self, fault: str) -> None:
        """See `PollerEvents`."""
        self._write(FaultInjected(time_ms=self._clock.now_ms(), fault=fault))

    # --- driving

    @property
    def delivery(self) -> Delivery | None:
        """The batch that is being delivered."""
        return self._delivery

    @property
    def due_ms(self) -> int | None:
        """When the next thing is due if no record comes, epoch milliseconds; `None` when nothing is under way."""
        if self._delivery is not None:
            step = self._delivery.next(self._clock.now_ms())
            return getattr(step, "until_ms", self._clock.now_ms())
        return self._window.end_ms if self._batcher.count else None

    def step(self, *, wait: float | None = None) -> Event | None:
        """Do the next due thing.

        Args:
            wait: how long to wait for a record, seconds of real time; `None` reads to the ends of the logs instead.

        Returns:
            What was done, or `None` when nothing is due.

        Raises:
            BrokerError: the broker refused something or does not answer; in the background a broker that the test has
                put out of reach is none.
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

    def _step(self, wait: float | None) -> Event | None:
        if self._poller.joined and self._faults.take_rebalance():
            self.injected("rebalance")
            self._poller.rejoin()
        if self._delivery is not None:
            if self.last_error is not None:
                self._poller.serve()
            if self._delivery is not None:
                return self._deliver(self._delivery)
        if not self._batcher.room:
            return self._close_batch()
        return self._poll(wait) or self._close_batch()

    def close(self) -> None:
        """Leave the group; what is under way is given up and not committed."""
        self._give_up()
        self._poller.close()

    def _give_up(self) -> None:
        self._batcher.clear()
        for offsets in (self._uncommitted, self._polled, self._filtered, self._unfiltered):
            offsets.clear()
        self._delivery = None

    # --- reading

    def _poll(self, wait: float | None) -> Event | None:
        """Read what the open batch has room for; the event says what passed the filters, or what did not."""
        if wait is None:
            self._poller.look()
        if not self._batcher.count:
            self._window.roll(self._clock.now_ms())
        read = 0
        while (room := self._batcher.room) and read < _POLL:
            found = self._poller.take(room) if wait is None else self._poller.take_available(room, 0 if read else wait)
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
                self._commit()
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
        added = self._batcher.add(partition, offsets, starmap(encode, passed))
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
        self._delivery = Delivery(batch, backoff_ms=self._config.retry_backoff_ms)
        return self._write(
            BatchClosed(
                time_ms=now,
                batch=batch.number,
                reason=batch.reason,
                payload_size=len(batch.payload),
                records=batch.records,
            )
        )

    def _deliver(self, delivery: Delivery) -> Event | None:
        step = delivery.next(self._clock.now_ms())
        if isinstance(step, Invoke):
            return self._invoke(delivery, step.attempt)
        if isinstance(step, Commit):
            event = self._commit()
            delivery.committed()
            self._delivery = None
            return event
        return None

    def _invoke(self, delivery: Delivery, attempt: int) -> Event:
        delivery.invoked()
        batch, stuck = delivery.batch, None
        delivered = Delivered(batch.records, self._read_back)
        try:
            invocation = self._function.invoke(batch.payload, self._clock, delivered=delivered, limit=self.limit)
        except ServiceError as raised:
            return self._refused(delivery, raised)
        except BaseException as raised:
            if not isinstance(raised, FunctionStuck) or raised.invocation is None:
                delivery.interrupted()
                raise
            invocation, stuck = raised.invocation, raised
        now = self._clock.now_ms()
        self.last_error = invocation.error
        if invocation.error is None:
            delivery.succeeded()
        else:
            delivery.failed(now)
        self._window.restart(now)
        event = self._write(
            Attempt(
                time_ms=now,
                batch=batch.number,
                attempt=attempt,
                request_id=invocation.request_id,
                error=None if invocation.error is None else str(invocation.error),
                log=invocation.log,
            )
        )
        if stuck is not None:
            raise stuck
        return event

    def _refused(self, delivery: Delivery, error: ServiceError) -> Event:
        """The function was not called: wait, and try again without counting an attempt (spec 4.1)."""
        now = self._clock.now_ms()
        self.last_error = FunctionError(type=error.code, message=error.message, exception=error)
        delivery.refused(now)
        return self._write(NotInvoked(time_ms=now, batch=delivery.batch.number, error=str(error)))

    def _commit(self) -> Event:
        positions = dict(self._uncommitted)
        try:
            error = self._poller.commit(positions)
        except PollerCrashed:
            crash = next(reversed(self._journal))
            self._replace_poller()
            return crash
        now = self._clock.now_ms()
        if error is None:
            self._uncommitted.clear()  # not before: what could not be committed now is committed next time
            return self._write(Committed(time_ms=now, positions=positions))
        return self._write(CommitFailed(time_ms=now, positions=positions, error=error))

    def _replace_poller(self) -> None:
        """The poller has died: another one begins at what was committed."""
        self._give_up()
        self._poller.close()
        self._poller = self._new_poller()

    def _write(self, event: Event) -> Event:
        self._journal.append(event)
        return event
