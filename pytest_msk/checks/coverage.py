"""Coverage: what became of each record of the log in the end. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from .._ranges import Ranges
from ..deliveries import Delivery, set_aside
from ..journal import (
    Assigned,
    Committed,
    DestinationFailed,
    Dropped,
    Event,
    Offsets,
    PositionReset,
    SentToDestination,
)
from .anomaly import Anomaly, place, where
from .definitions import AnomalyName
from .history import History

__all__ = ["coverage_anomalies", "redelivery_anomalies"]


def coverage_anomalies(history: History) -> Iterator[Anomaly]:
    """Records of the log that were neither in a successful attempt nor filtered, and those that were so twice."""
    outcome = _Outcome()
    for step in history.steps():
        if isinstance(step, Delivery):
            yield from _duplicates(history, step, outcome)
        outcome.follow(step)
    yield from _given_up(history, outcome)
    for partition, runs in history.log.items():
        start = outcome.starts.get(partition, history.origins.get(partition, 0))
        resolved = outcome.resolved[partition]
        if history.mapping and history.ends is not None and resolved.stop > history.ends.get(partition, 0):
            resolved.cut(0)  # the topic was deleted and made again
            start = 0
            outcome.delivered_to[partition] = outcome.committed[partition] = 0
        for run in runs:
            for gap in resolved.missing(range(max(run.start, start), run.stop)):
                yield from _lacking(history, partition, gap, outcome)


def redelivery_anomalies(history: History) -> Iterator[Anomaly]:
    """Records that were in more than one attempt."""
    attempted: dict[int, Ranges] = defaultdict(Ranges)
    for step in history.steps():
        if isinstance(step, Delivery):
            for partition, runs in step.records.items():
                for run in runs:
                    for again in attempted[partition].overlap(run):
                        come = where(step.batch, step.attempt)
                        text = f"{place(history.topic, partition, again)} came again in {come}."
                        yield history.anomaly("redelivery", partition, again, text, step)
                for run in runs:
                    attempted[partition].add(run)
        elif isinstance(step, PositionReset) and step.position < step.offset:
            attempted[step.partition].cut(step.position)


class _Outcome:
    """What has become of the records so far, per partition."""

    def __init__(self) -> None:
        self.resolved: dict[int, Ranges] = defaultdict(Ranges)
        self.succeeded: dict[int, Ranges] = defaultdict(Ranges)
        self.failures: dict[int, Delivery] = {}  # the last one of each batch
        self.given_up: list[Dropped | DestinationFailed | SentToDestination] = []
        self.delivered_to: dict[int, int] = defaultdict(int)  # behind the highest record that was delivered
        self.starts: dict[int, int] = {}
        self.committed: dict[int, int] = {}

    def follow(self, step: Event | Delivery) -> None:
        """Take an event into account."""
        if isinstance(step, Assigned):
            for partition, position in step.positions.items():
                self.starts.setdefault(partition, position)
                if position < self.committed.get(partition, 0):
                    self._made_anew(partition, position)  # or the offsets were set back
                self.committed[partition] = position
        elif isinstance(step, PositionReset):
            self.committed[step.partition] = step.position
            if step.position < step.offset:
                self._made_anew(step.partition, step.position)
        elif isinstance(step, Delivery):
            self._resolve(step.succeeded)
            for partition, runs in step.records.items():
                self.delivered_to[partition] = max(self.delivered_to[partition], *(run.stop for run in runs))
            for partition, runs in step.succeeded.items():
                for run in runs:
                    self.succeeded[partition].add(run)
            if step.failed:
                self.failures[step.batch] = step
            else:
                self.failures.pop(step.batch, None)
        elif isinstance(step, Committed):
            for partition, position in step.positions.items():
                self.committed[partition] = max(position, self.committed.get(partition, 0))
        else:
            self._resolve(set_aside(step))
            if isinstance(step, Dropped | DestinationFailed | SentToDestination):
                self.given_up.append(step)

    def _made_anew(self, partition: int, position: int) -> None:
        self.resolved[partition].cut(position)
        self.succeeded[partition].cut(position)
        self.delivered_to[partition] = min(self.delivered_to[partition], position)

    def _resolve(self, records: Offsets) -> None:
        for partition, runs in records.items():
            for run in runs:
                self.resolved[partition].add(run)


def _duplicates(history: History, delivery: Delivery, outcome: _Outcome) -> Iterator[Anomaly]:
    for partition, runs in delivery.succeeded.items():
        for run in runs:
            for again in outcome.succeeded[partition].overlap(run):
                text = (
                    f"{place(history.topic, partition, again)} succeeded again in "
                    f"{where(delivery.batch, delivery.attempt)}."
                )
                yield history.anomaly("duplicate", partition, again, text, delivery)


def _given_up(history: History, outcome: _Outcome) -> Iterator[Anomaly]:
    """Records that the mapping gave up, and that no attempt has succeeded with."""
    for step in outcome.given_up:
        name: AnomalyName = "dead-lettered-record" if isinstance(step, SentToDestination) else "dropped-record"
        for partition, runs in step.records.items():
            for part in (part for run in runs for part in outcome.succeeded[partition].missing(run)):
                were = "was" if len(part) == 1 else "were"
                text = f"{place(history.topic, partition, part)} {were} {_given_up_how(step, len(part))}"
                yield history.anomaly(name, partition, part, text, batch=step.batch)


def _given_up_how(step: Dropped | DestinationFailed | SentToDestination, count: int) -> str:
    after = f"after batch {step.batch} ({step.condition})"
    if isinstance(step, SentToDestination):
        return f"sent to {step.destination} {after}."
    if isinstance(step, DestinationFailed):
        return f"dropped {after}: {step.destination} did not take {'it' if count == 1 else 'them'}: {step.error}."
    return f"dropped {after}."


def _lacking(history: History, partition: int, gap: range, outcome: _Outcome) -> Iterator[Anomaly]:
    """Records that are in no successful attempt, each part with the reason that is nearest."""
    committed = outcome.committed.get(partition, 0)
    gone_on = max(outcome.delivered_to[partition], committed)
    failed = Ranges()
    for delivery in reversed(outcome.failures.values()):  # of several batches with a record, the last one
        times = "1 time" if delivery.attempt == 1 else f"{delivery.attempt} times"
        reason = f"in batch {delivery.batch} failed: {times}, at last with {delivery.error}."
        for part in Ranges(delivery.failed.get(partition, ())).overlap(gap):
            for new in failed.missing(part):
                name: AnomalyName = "lost-write" if new.start < committed else "blocked-record"
                text = f"{place(history.topic, partition, new)} {reason}"
                yield history.anomaly(name, partition, new, text, delivery)
            failed.add(part)
    for left in failed.missing(gap):
        for part in (range(left.start, min(left.stop, gone_on)), range(max(left.start, gone_on), left.stop)):
            if part:
                were = "was" if len(part) == 1 else "were"
                if part.start < gone_on:
                    name, reason = "lost-write", f"{were} not delivered, but its partition went on to {gone_on}."
                elif not history.mapping:
                    name, reason = "unseen", f"{were} not delivered, nor anything behind it in the partition."
                elif partition not in outcome.starts and not len(outcome.resolved[partition]):
                    name = "unseen"
                    reason = (
                        "never reached the mapping: call esm.drain() first, or close the others that are in its group."
                    )
                elif len(failed):
                    name, reason = "unseen", f"stood behind a batch that failed and {were} not delivered."
                else:
                    name = "unseen"
                    reason = f"{were} not delivered. Was the mapping drained after that was produced?"
                yield history.anomaly(name, partition, part, f"{place(history.topic, partition, part)} {reason}")
