"""Commits: which offsets were committed when, and by whom. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .._ranges import Ranges
from ..deliveries import Delivery, set_aside
from ..journal import Assigned, Committed, Offsets, PollersScaled, PositionReset, Revoked, StateChanged
from .anomaly import Anomaly, place, where
from .history import History

__all__ = ["commit_anomalies"]


def commit_anomalies(history: History) -> Iterator[Anomaly]:
    """Commits past records that are not dealt with, behind the log's end, or going back; partitions of others."""
    resolved: dict[int, Ranges] = defaultdict(Ranges)
    committed: dict[int, int] = {}
    owned: set[int] | None = None  # nobody has told yet who has what
    # Several pollers hand partitions on between them, and each tells of it when it hears of it.
    told = not any(isinstance(event, PollersScaled) for event in history.events)
    for step in history.steps():
        if isinstance(step, Assigned):
            owned = (owned or set()) | set(step.positions) if told else None
            for partition, position in step.positions.items():
                if position < committed.get(partition, 0):
                    resolved[partition].cut(position)  # the offsets were set back, or the log was made anew
                committed[partition] = position  # what lies before it was committed already, by whoever had it
        elif isinstance(step, StateChanged):
            if step.state in ("Disabled", "Deleted"):
                owned = None  # what it has when it runs again is told then
        elif isinstance(step, Revoked):
            owned = (owned or set()) - set(step.partitions) if told else None
        elif isinstance(step, PositionReset):
            owned = None if owned is None else owned | {step.partition}
            if step.position < step.offset:
                committed[step.partition] = step.position
                resolved[step.partition].cut(step.position)  # the log was made anew
            else:  # read on behind what is gone; a batch that is under way is committed yet, up to there
                resolved[step.partition].add(range(step.offset, step.position))
        elif isinstance(step, Delivery):
            _resolve(resolved, step.succeeded)
            if owned is not None:
                yield from _unowned_records(history, step, owned)
        elif isinstance(step, Committed):
            for partition, position in step.positions.items():
                if owned is not None and partition not in owned:
                    yield _unowned_commit(history, partition, position)
                else:
                    yield from _commit(history, partition, position, committed, resolved[partition])
                committed[partition] = max(position, committed.get(partition, 0))
        else:
            _resolve(resolved, set_aside(step))


def _resolve(resolved: dict[int, Ranges], records: Offsets) -> None:
    for partition, runs in records.items():
        for run in runs:
            resolved[partition].add(run)


def _commit(
    history: History, partition: int, position: int, committed: dict[int, int], resolved: Ranges
) -> Iterator[Anomaly]:
    topic = history.topic
    before = committed.get(partition, history.origins.get(partition, 0))
    present = Ranges(history.log.get(partition, ()))
    for gap in resolved.missing(range(before, position)):
        for passed in present.overlap(gap):
            text = f"offset {position} of {topic}-{partition} was committed past {place(topic, partition, passed)}."
            yield history.anomaly("unsafe-commit", partition, passed, text)
    end = None if history.ends is None else history.ends.get(partition)
    if end is not None and resolved.stop <= end < position:  # a log that was made anew has a lower end
        text = f"offset {position} of {topic}-{partition} was committed, but its log ends at {end}."
        yield history.anomaly("commit-beyond-end", partition, range(end, position), text)
    if partition in committed and position < before:
        text = f"offset {position} of {topic}-{partition} was committed after {before}."
        yield history.anomaly("nonmonotonic-commit", partition, range(position, before), text)


def _unowned_commit(history: History, partition: int, position: int) -> Anomaly:
    text = f"offset {position} of {history.topic}-{partition} was committed, but the consumer did not have it."
    return history.anomaly("unowned-partition", partition, range(position, position + 1), text)


def _unowned_records(history: History, delivery: Delivery, owned: set[int]) -> Iterator[Anomaly]:
    for partition, runs in delivery.records.items():
        if partition not in owned:
            span = range(runs[0].start, runs[-1].stop)
            text = (
                f"{place(history.topic, partition, span)} came in {where(delivery.batch, delivery.attempt)}, but the "
                "consumer did not have the partition then."
            )
            yield history.anomaly("unowned-partition", partition, span, text, delivery)
