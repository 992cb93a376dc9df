"""Pipeline: the way of records from the poller through filters, batch and function to the commit, step by step.

It is driven from outside: a step does one due thing and says what it was, and `due_ms` tells when the next is due if
only time is missing. A stepped mapping calls it from the test, a background one from its thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import starmap

from ..brokers import Broker
from ..clock import Clock
from ..events import Envelope
from ..filters.criteria import record_metadata
from ..functions import LambdaFunction
from ..journal import (
    Assigned,
    Attempt,
    BatchClosed,
    CommitFailed,
    Committed,
    Event,
    Expired,
    Filtered,
    Journal,
    Offsets,
    Polled,
    PositionReset,
    Positions,
    Revoked,
    Unfiltered,
    offset_runs,
)
from ..records import RecordEncoder, encoder
from ..topics import Topic
from .batching import Batcher, Window
from .config import EventSourceMappingConfig
from .delivery import Delivery, DeliveryState
from .destinations import Destination
from .destinations.opening import open_destination
from .fetched import Fetched, Run
from .poller import Poller
from .sender import Sender
from .starting import StartingPositions
from .steps import Commit, Done, Invoke, Wait

__all__ = ["Pipeline"]


#: Records of one poll at most, those that are filtered included: what was put aside is committed after it.
_POLL = 10_000


class Pipeline:
    """Reads a topic and delivers it to a function, one batch at a time.

    Args:
        broker: where the topic is.
        config: the mapping's settings.
        function: what is invoked.
        mapping_uuid: the mapping's UUID.
        group: the consumer group's id.
        starting: where partitions are begun.
        numbers: the batches' numbers.
        journal: gets every event.
        clock: tells the time.
        timeout: seconds of real time that the broker may take.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        config: EventSourceMappingConfig,
        function: LambdaFunction,
        mapping_uuid: str,
        group: str,
        starting: StartingPositions,
        numbers: Iterator[int],
        journal: Journal,
        clock: Clock,
        timeout: float,
    ) -> None:
        self._broker = broker
        self._config = config
        self._journal = journal
        self._clock = clock
        self._destination = _destination(broker, config, mapping_uuid, timeout)
        self._poller = Poller(broker, config.topic, group, starting, self, timeout)
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
        #: Calls the function, and tells of its last call.
        self.sender = Sender(
            function=function,
            destination=self._destination,
            mapping_uuid=mapping_uuid,
            topic=config.topic,
            envelope=envelope,
            read_back=Topic(config.topic, broker=broker, clock=clock, timeout=timeout).at,
            write=self._write,
            clock=clock,
        )

    # --- what the poller tells

    def assigned(self, positions: Mapping[int, int]) -> None:
        """See `PollerEvents`."""
        self._write(Assigned(time_ms=self._clock.now_ms(), positions=positions))

    def revoked(self, partitions: tuple[int, ...]) -> None:
        """See `PollerEvents`. What was read and not committed is read again by the next owner."""
        self._give_up()
        self._write(Revoked(time_ms=self._clock.now_ms(), partitions=partitions))

    def position_reset(self, partition: int, offset: int, position: int, low: int) -> None:
        """See `PollerEvents`."""
        now = self._clock.now_ms()
        self._write(PositionReset(time_ms=now, partition=partition, offset=offset, position=position))
        if offset < low:
            self._write(Expired(time_ms=now, records={partition: (range(offset, low),)}))

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
            return step.until_ms if isinstance(step, Wait) else self._clock.now_ms()
        return self._window.end_ms if self._batcher.count else None

    def step(self, *, wait: float | None = None) -> Event | None:
        """Do the next due thing.

        Args:
            wait: how long to wait for a record, seconds of real time; `None` reads to the ends of the logs instead.

        Returns:
            What was done, or `None` when nothing is due.
        """
        if self._delivery is not None:
            if self.sender.failing:
                self._poller.serve()
            if self._delivery is not None:
                return self._deliver(self._delivery)
        if not self._batcher.room:
            return self._close_batch()
        return self._poll(wait) or self._close_batch()

    def close(self) -> None:
        """Leave the group; what is under way is given up and not committed."""
        self._give_up()
        try:
            self._poller.close()
        finally:
            close = getattr(self._destination, "close", None)
            if close is not None and self._destination is not self._config.destination:  # not one of the caller's own
                close()

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
                self._commit(dict(self._uncommitted))
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
        delivery = self._delivery = Delivery(batch, dict(self._uncommitted), self._config.rules)
        if batch.oversized:
            return self._deliver(delivery)
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
        """Do what the delivery asks for; that is never a decision of this class."""
        step = delivery.next(self._clock.now_ms())
        if isinstance(step, Wait | Done):
            return None
        if isinstance(step, Commit):
            event = self._commit(step.positions)
            delivery.committed()
            if delivery.state is DeliveryState.DONE:
                self._delivery = None
                if self._config.provisioned is not None:
                    self._window.restart(event.time_ms)  # the next one begins when the batch is completed (spec 3.2)
            return event
        if isinstance(step, Invoke) and self.sender.failing and (expired := self._expired(delivery)) is not None:
            return expired
        event = self.sender.do(delivery, step)
        if isinstance(event, Attempt) and self._config.provisioned is None:
            self._window.restart(event.time_ms)  # on demand already when the function has ended
        return event

    def _expired(self, delivery: Delivery) -> Event | None:
        """Before records are tried again: those that retention has removed meanwhile are lost (spec 5.14)."""
        marks = self._broker.watermarks(self._config.topic)
        expired = delivery.truncated({partition: mark.low for partition, mark in marks.items()})
        return self._write(Expired(time_ms=self._clock.now_ms(), records=expired)) if expired else None

    def _commit(self, positions: Positions) -> Event:
        error = self._poller.commit(positions)
        now = self._clock.now_ms()
        if error is None:
            for partition, position in positions.items():
                if self._uncommitted.get(partition) == position:  # what could not be committed is committed next time
                    del self._uncommitted[partition]
            return self._write(Committed(time_ms=now, positions=positions))
        return self._write(CommitFailed(time_ms=now, positions=positions, error=error))

    def _write(self, event: Event) -> Event:
        self._journal.append(event)
        return event


def _destination(
    broker: Broker, config: EventSourceMappingConfig, mapping_uuid: str, timeout: float
) -> Destination | None:
    if isinstance(config.destination, str):
        return open_destination(config.destination, broker=broker, mapping_uuid=mapping_uuid, timeout=timeout)
    return config.destination
