"""Order: in which order records were delivered, and why any of them came again. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .._ranges import Ranges
from ..deliveries import Delivery, set_aside
from ..journal import Assigned, BatchClosed, PositionReset, Revoked, StateChanged
from .anomaly import Anomaly, place, where
from .history import History

__all__ = ["order_anomalies"]


def order_anomalies(history: History) -> Iterator[Anomaly]:
    """What is wrong with the order of deliveries.

    Offsets ascend inside each event; first deliveries ascend and skip nothing; nothing passes a record that has failed
    and is to be tried again; a record comes again only after a failed attempt, a rebalance or a restart.
    """
    partitions: dict[int, _Partition] = {}

    def at(partition: int) -> _Partition:
        if partition not in partitions:
            partitions[partition] = _Partition(history, partition)
        return partitions[partition]

    for step in history.steps():
        if isinstance(step, BatchClosed):
            for partition, runs in step.records.items():
                yield from at(partition).closed(step.batch, runs)
        elif isinstance(step, Revoked | StateChanged):
            for partition in step.partitions if isinstance(step, Revoked) else tuple(partitions):
                at(partition).begin_anew()
        elif isinstance(step, PositionReset):
            at(step.partition).begin_anew()
            at(step.partition).assigned(step.position)
        elif isinstance(step, Assigned):
            for partition, position in step.positions.items():
                at(partition).assigned(position)
        elif isinstance(step, Delivery):
            for partition, runs in step.records.items():
                yield from at(partition).delivered(step, runs, step.failed.get(partition, ()))
        else:
            for partition, runs in set_aside(step).items():
                at(partition).resolved(runs)


class _Partition:
    """What has become of one partition's records so far."""

    def __init__(self, history: History, partition: int) -> None:
        self._history, self._topic = history, history.topic
        self._partition = partition
        self._log = Ranges(history.log.get(partition, ()))
        self._delivered = Ranges()  # in any attempt
        self._succeeded = Ranges()  # in their last attempt, since the partition was begun anew
        self._aside = Ranges()  # filtered, or given up
        self._closed = Ranges()  # in a batch that has not been attempted
        self._closed_batch = 0
        self._blocked = Ranges()  # failed in their last attempt
        self._blocked_by = 0
        self._cursor = history.origins.get(partition)

    def begin_anew(self) -> None:
        """Forget what was under way: the partition's next owner reads from the committed offset on."""
        self._succeeded, self._closed, self._blocked = Ranges(), Ranges(), Ranges()

    def assigned(self, position: int) -> None:
        """From this offset on everything comes anew; what another owner had under way is given up."""
        self._closed = Ranges()
        self._delivered.cut(position)
        self._cursor = position

    def resolved(self, runs: tuple[range, ...]) -> None:
        """Records that are not to come any more."""
        for run in runs:
            self._aside.add(run)
            self._blocked.discard(run)
            self._closed.discard(run)

    def closed(self, batch: int, runs: tuple[range, ...]) -> Iterator[Anomaly]:
        """A batch goes to the function."""
        new = [part for run in runs for part in self._delivered.missing(run)]
        if len(self._closed) and new:
            other = self._closed_batch
            text = (
                f"{place(self._topic, self._partition, new[0])} went into batch {batch}, while batch {other} with "
                f"records of the partition had not been delivered."
            )
            yield self._history.anomaly("concurrent-batches", self._partition, new[0], text, batch=batch)
        for part in new:
            self._closed.add(part)
        self._closed_batch = batch

    def delivered(self, delivery: Delivery, runs: tuple[range, ...], failed: tuple[range, ...]) -> Iterator[Anomaly]:
        """The function was called with records, of which some failed."""
        yield from self._passed(delivery, runs)
        yield from self._unordered(delivery, runs)
        for run in runs:
            self._delivered.add(run)
            self._succeeded.add(run)
            self._blocked.discard(run)
            self._closed.discard(run)
        for run in failed:
            self._succeeded.discard(run)
            self._blocked.add(run)
            self._blocked_by = delivery.batch

    def _passed(self, delivery: Delivery, runs: tuple[range, ...]) -> Iterator[Anomaly]:
        if not len(self._blocked):
            return
        here = Ranges(runs)
        left = next((gap for run in self._blocked for gap in here.missing(run)), None)
        if left is None:
            return
        for run in runs:
            beyond = range(max(run.start, left.start), run.stop)
            for part in self._delivered.missing(beyond):
                text = (
                    f"{place(self._topic, self._partition, part)} came in {where(delivery.batch, delivery.attempt)}, "
                    f"past offset {left.start} of batch {self._blocked_by}, which had failed."
                )
                yield self._history.anomaly("passed-blocked-record", self._partition, part, text, delivery)
                return

    def _unordered(self, delivery: Delivery, runs: tuple[range, ...]) -> Iterator[Anomaly]:
        come = where(delivery.batch, delivery.attempt)
        end = -1
        for run in runs:
            if run.start <= end and delivery.attempt == 1:  # a retry's event is the same
                stand = "stands" if len(run) == 1 else "stand"
                text = f"{place(self._topic, self._partition, run)} {stand} behind offset {end} in the event of {come}."
                yield self._history.anomaly("unordered-event", self._partition, run, text, delivery)
            end = max(end, run.stop - 1)
            for again in self._succeeded.overlap(run):
                text = (
                    f"{place(self._topic, self._partition, again)} came again in {come}, but had succeeded before, and "
                    "the partition had not been begun anew."
                )
                yield self._history.anomaly("unexplained-redelivery", self._partition, again, text, delivery)
            highest = self._delivered.stop - 1
            for late in self._delivered.missing(range(run.start, min(run.stop, highest + 1))):
                text = (
                    f"{place(self._topic, self._partition, late)} came first in {come}, after offset {highest} had "
                    "been delivered."
                )
                yield self._history.anomaly("unordered-delivery", self._partition, late, text, delivery)
        yield from self._skipped(delivery, runs)

    def _skipped(self, delivery: Delivery, runs: tuple[range, ...]) -> Iterator[Anomaly]:
        cursor = runs[0].start if self._cursor is None else self._cursor
        for run in sorted(runs, key=lambda run: run.start):
            for gap in self._delivered.missing(range(cursor, run.start)):
                for lacking in (part for aside in self._aside.missing(gap) for part in self._log.overlap(aside)):
                    text = (
                        f"{place(self._topic, self._partition, lacking)} had been neither delivered nor filtered when "
                        f"offset {run.start} came in {where(delivery.batch, delivery.attempt)}."
                    )
                    yield self._history.anomaly("skipped-offset", self._partition, lacking, text, delivery)
            cursor = max(cursor, run.stop)
        self._cursor = cursor
