"""Checks: what a journal and a topic's log, held against each other, say about a mapping's deliveries. Pure.

An anomaly has a name, a place and a sentence. The names follow those of Kafka's own correctness tests where there is
one: `lost-record`, `unordered-delivery`, `unordered-event`, `unexplained-redelivery`, `unsafe-commit`. Records that
were given up are `dropped-record` and `dead-lettered-record`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ._offsets import without
from ._ranges import Ranges
from .journal import (
    Assigned,
    Attempt,
    BatchClosed,
    Committed,
    DestinationFailed,
    Dropped,
    Event,
    Expired,
    Filtered,
    Offsets,
    PositionReset,
    Revoked,
    SentToDestination,
    StateChanged,
)

__all__ = ["Allowed", "Anomaly", "AnomalyName", "delivery_anomalies", "order_anomalies"]

AnomalyName = Literal[
    "lost-record", "dropped-record", "dead-lettered-record", "unordered-event", "unordered-delivery",
    "unexplained-redelivery", "unsafe-commit",
]  # fmt: skip
#: What may become of a record instead of a successful attempt: dropped, or sent to the on-failure destination.
Allowed = Literal["dropped", "destination"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Anomaly:
    """One thing that should not have happened.

    Args:
        name: which kind of thing.
        topic: the topic's name.
        partition: the partition's number.
        offsets: the records that it concerns.
        batch: the batch with which it happened, `None` if there was none.
        text: a sentence that says what happened and where.
    """

    name: AnomalyName
    topic: str
    partition: int
    offsets: range
    batch: int | None
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def order_anomalies(topic: str, events: Iterable[Event]) -> Iterator[Anomaly]:
    """What is wrong with the order of deliveries.

    Offsets ascend inside each event; first deliveries ascend; nothing passes a batch of its partition that is not
    finished; a record is delivered again only after an attempt that failed with it, a rebalance or a restart.

    Args:
        topic: the topic's name.
        events: the journal.
    """
    batches: dict[int, Offsets] = {}
    delivered: dict[int, Ranges] = defaultdict(Ranges)  # every delivery
    settled: dict[int, Ranges] = defaultdict(Ranges)  # deliveries since the partition was last begun anew
    blocked: dict[int, int] = {}  # partition -> the batch that failed and is not finished
    owed: dict[int, dict[int, Ranges]] = {}  # batch -> its records that are to be tried again
    tried: set[int] = set()
    for event in events:
        if isinstance(event, BatchClosed):
            batches[event.batch] = event.records
        elif isinstance(event, Revoked | StateChanged | PositionReset):
            for partition in _begun_anew(event, tuple(settled)):
                settled.pop(partition, None)
                blocked.pop(partition, None)
            if isinstance(event, PositionReset):
                delivered[event.partition].cut(event.position)
        elif isinstance(event, Assigned):
            for partition, position in event.positions.items():
                delivered[partition].cut(position)  # from here on everything comes anew
        elif isinstance(event, Expired):
            for batch in tuple(owed):
                _settle(owed, blocked, batch, event.records)
        elif isinstance(event, Dropped | SentToDestination | DestinationFailed):
            _settle(owed, blocked, event.batch, event.records)
        elif isinstance(event, Attempt):
            records = batches[event.batch] if event.records is None else event.records
            where = f"batch {event.batch}, attempt {event.attempt}"
            if event.batch not in tried:
                tried.add(event.batch)
                for partition, runs in records.items():
                    yield from _first_attempt(
                        topic, partition, runs, event.batch, where, delivered[partition], settled[partition], blocked
                    )
            else:
                yield from _again(topic, records, event.batch, where, owed.get(event.batch, {}))
            if event.failed:
                owed.setdefault(event.batch, {partition: Ranges(runs) for partition, runs in records.items()})
            elif event.item_failures:
                left = owed.setdefault(event.batch, {partition: Ranges(runs) for partition, runs in records.items()})
                _settle(owed, blocked, event.batch, records)
                owed[event.batch] = left
                for partition, runs in event.item_failures.items():
                    left[partition] = Ranges((*left.get(partition, ()), *runs))
            else:
                _settle(owed, blocked, event.batch, records)
            blocked.update(dict.fromkeys(owed.get(event.batch, ()), event.batch))


def _settle(owed: dict[int, dict[int, Ranges]], blocked: dict[int, int], batch: int, records: Offsets) -> None:
    """Records of a batch are done with: they are not to be tried again, and its other batches may follow."""
    left = owed.get(batch, {})
    for partition, runs in records.items():
        if partition not in left:
            continue
        for run in runs:
            left[partition].discard(run)
        if not left[partition]:
            del left[partition]
            if blocked.get(partition) == batch:
                del blocked[partition]
    if not left:
        owed.pop(batch, None)


def _again(topic: str, records: Offsets, batch: int, where: str, owed: Mapping[int, Ranges]) -> Iterator[Anomaly]:
    why = "no attempt had failed with it" if owed else "the batch had succeeded"
    for partition, runs in records.items():
        for run in runs:
            for again in owed.get(partition, Ranges()).missing(run):
                text = f"{_place(topic, partition, again)} came again in {where}, though {why}."
                yield _anomaly("unexplained-redelivery", topic, partition, again, batch, text)


def _first_attempt(
    topic: str,
    partition: int,
    runs: tuple[range, ...],
    batch: int,
    where: str,
    delivered: Ranges,
    settled: Ranges,
    blocked: Mapping[int, int],
) -> Iterator[Anomaly]:
    if partition in blocked and blocked[partition] != batch:
        text = (
            f"{_place(topic, partition, runs[0])} came in {where}, past batch {blocked[partition]}, which had failed."
        )
        yield _anomaly("unordered-delivery", topic, partition, runs[0], batch, text)
    end = -1
    for run in runs:
        if run.start <= end:
            stand = "stands" if len(run) == 1 else "stand"
            text = f"{_place(topic, partition, run)} {stand} behind offset {end} in the event of {where}."
            yield _anomaly("unordered-event", topic, partition, run, batch, text)
        end = run.stop - 1
        for again in settled.overlap(run):
            text = (
                f"{_place(topic, partition, again)} came again in {where}, but no attempt with it had failed and the "
                "partition had not been begun anew."
            )
            yield _anomaly("unexplained-redelivery", topic, partition, again, batch, text)
        highest = delivered.stop - 1
        for late in delivered.missing(range(run.start, min(run.stop, highest + 1))):
            text = f"{_place(topic, partition, late)} came first in {where}, after offset {highest} had been delivered."
            yield _anomaly("unordered-delivery", topic, partition, late, batch, text)
    for run in runs:
        delivered.add(run)
        settled.add(run)


def delivery_anomalies(
    topic: str,
    events: Iterable[Event],
    log: Offsets,
    origins: Mapping[int, int],
    ends: Mapping[int, int] | None = None,
    allow: Collection[Allowed] = (),
) -> Iterator[Anomaly]:
    """Which records of the log were neither in a successful attempt nor filtered, and which commits passed such a one.

    Args:
        topic: the topic's name.
        events: the journal.
        log: the offsets at which the log holds a record.
        origins: where a partition begins that was never assigned.
        ends: where the logs end, to tell a topic that was deleted and made again.
        allow: what else may become of a record.
    """
    batches: dict[int, Offsets] = {}
    resolved: dict[int, Ranges] = defaultdict(Ranges)
    failures: dict[int, tuple[Attempt, Offsets]] = {}
    starts: dict[int, int] = {}
    committed: dict[int, int] = {}
    for event in events:
        if isinstance(event, BatchClosed):
            batches[event.batch] = event.records
        elif isinstance(event, Assigned):
            for partition, position in event.positions.items():
                starts.setdefault(partition, position)
                if position < committed.get(partition, 0):
                    resolved[partition].cut(position)  # the offsets were set back, or the log was made anew
                committed[partition] = position  # what lies before it was committed already, by whoever had it
        elif isinstance(event, PositionReset):
            committed[event.partition] = event.position
            if event.position < event.offset:
                resolved[event.partition].cut(event.position)  # the log was made anew
        elif isinstance(event, Filtered):
            _resolve(resolved, event.records)
        elif isinstance(event, Dropped | SentToDestination | DestinationFailed):
            _resolve(resolved, event.records)
            if ("destination" if isinstance(event, SentToDestination) else "dropped") not in allow:
                yield from _given_up(topic, event)
        elif isinstance(event, Attempt):
            records = batches.get(event.batch, {}) if event.records is None else event.records
            if event.failed:
                failures[event.batch] = (event, records)
            else:
                _resolve(resolved, without(records, event.item_failures))
                failures.pop(event.batch, None)
        elif isinstance(event, Committed):
            for partition, position in event.positions.items():
                passed = range(committed.get(partition, 0), position)
                for gap in _in_log(resolved[partition].missing(passed), log.get(partition, ())):
                    text = (
                        f"offset {position} of {topic}-{partition} was committed past {_place(topic, partition, gap)}."
                    )
                    yield _anomaly("unsafe-commit", topic, partition, gap, None, text)
                committed[partition] = max(position, committed.get(partition, 0))
    for partition, runs in log.items():
        start = starts.get(partition, origins.get(partition, 0))
        if ends is not None and resolved[partition].stop > ends[partition]:
            resolved[partition].cut(0)
            start = 0
        for run in runs:
            for gap in resolved[partition].missing(range(max(run.start, start), run.stop)):
                for lost, batch, reason in _why_lost(partition, gap, failures, assigned=partition in starts):
                    text = f"{_place(topic, partition, lost)} {reason}"
                    yield _anomaly("lost-record", topic, partition, lost, batch, text)


def _given_up(topic: str, event: Dropped | SentToDestination | DestinationFailed) -> Iterator[Anomaly]:
    for partition, runs in event.records.items():
        for run in runs:
            were = f"{_place(topic, partition, run)} {'was' if len(run) == 1 else 'were'}"
            if isinstance(event, SentToDestination):
                text = f"{were} sent to {event.destination} after batch {event.batch} ({event.condition})."
                yield _anomaly("dead-lettered-record", topic, partition, run, event.batch, text)
                continue
            text = f"{were} dropped after batch {event.batch} ({event.condition})."
            if isinstance(event, DestinationFailed):
                text = f"{text[:-1]}: {event.destination} did not take {'it' if len(run) == 1 else 'them'}."
            yield _anomaly("dropped-record", topic, partition, run, event.batch, text)


def _resolve(resolved: dict[int, Ranges], records: Offsets) -> None:
    for partition, runs in records.items():
        for run in runs:
            resolved[partition].add(run)


def _in_log(gaps: list[range], runs: tuple[range, ...]) -> Iterator[range]:
    present = Ranges(runs)
    for gap in gaps:
        yield from present.overlap(gap)


def _why_lost(
    partition: int, gap: range, failures: dict[int, tuple[Attempt, Offsets]], *, assigned: bool
) -> Iterator[tuple[range, int | None, str]]:
    """Lost records, each part with the batch that failed with it, if any, and the reason."""
    failed = Ranges()
    for batch, (attempt, records) in reversed(failures.items()):  # of several batches with a record, the last one
        times = "1 time" if attempt.attempt == 1 else f"{attempt.attempt} times"
        error = attempt.error or str(attempt.invalid_response).removesuffix(".")
        reason = f"in batch {batch} failed: {times}, at last with {error}."
        for part in Ranges(records.get(partition, ())).overlap(gap):
            yield from ((new, batch, reason) for new in failed.missing(part))
            failed.add(part)
    for part in failed.missing(gap):
        were = "was" if len(part) == 1 else "were"
        if not assigned:
            reason = "never reached the mapping: call esm.drain() first, or close the others that are in its group."
        elif len(failed):
            reason = f"stood behind a batch that failed and {were} not delivered."
        else:
            reason = f"{were} not delivered. Was the mapping drained after that was produced?"
        yield part, None, reason


def _begun_anew(event: Revoked | StateChanged | PositionReset, known: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(event, Revoked):
        return event.partitions
    return (event.partition,) if isinstance(event, PositionReset) else known


def _place(topic: str, partition: int, offsets: range) -> str:
    if len(offsets) == 1:
        return f"{topic}-{partition} offset {offsets.start}"
    return f"{topic}-{partition} offsets {offsets.start}-{offsets.stop - 1} ({len(offsets)} records)"


def _anomaly(name: AnomalyName, topic: str, partition: int, offsets: range, batch: int | None, text: str) -> Anomaly:
    return Anomaly(name=name, topic=topic, partition=partition, offsets=offsets, batch=batch, text=text)
