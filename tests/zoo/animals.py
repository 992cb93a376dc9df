"""The zoo: consumers that are wrong in one way each, and what the checks call it.

`FAULTS` says for each animal which anomaly names its fault, and which others may follow from it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from careful import Careful
from confluent_kafka import Message

from pytest_msk import Record
from pytest_msk._plain_records import as_record
from pytest_msk.checks import AnomalyName

FAULTS: dict[type[Careful], tuple[AnomalyName, set[AnomalyName]]] = {}


def caught_by(name: AnomalyName, *follow: AnomalyName):
    """Note what an animal is caught by, and what may follow."""

    def note(animal: type[Careful]) -> type[Careful]:
        FAULTS[animal] = name, set(follow)
        return animal

    return note


# --- commits


@caught_by("unsafe-commit", "lost-write", "skipped-offset")
class CommitsBeforeTheHandler(Careful):
    def turn(self, *, commit=True):
        read = self.read(self.batch_size)
        if not read:
            return False
        self.commit(self.done(read))
        kept, aside = self.sort(read)
        self.told.filtered(aside)
        if kept:
            self.deliver(kept)
        return True


@caught_by("unsafe-commit", "lost-write", "skipped-offset")
class CommitsWhatItHasReadEveryNowAndThen(Careful):
    """As `enable.auto.commit` does under a handler that works in another thread."""

    def attempt(self, number, records):
        self.commit(dict(self.positions))
        return super().attempt(number, records)


@caught_by("unsafe-commit", "commit-beyond-end", "nonmonotonic-commit", "lost-write", "skipped-offset")
class CommitsAnotherPartitionsOffset(Careful):
    def done(self, read):
        positions = super().done(read)
        return dict.fromkeys(range(self.topic.partitions), max(positions.values()))


@caught_by("commit-beyond-end", "nonmonotonic-commit")
class CommitsBeyondTheEnd(Careful):
    def done(self, read):
        ends = self.topic.watermarks()
        positions = super().done(read)
        return {p: o + 100 if o == ends[p].high else o for p, o in positions.items()}


@caught_by("nonmonotonic-commit")
class CommitsInTheOrderOfItsThreads(Careful):
    """The commit of a batch comes after that of the next one."""

    late: dict[int, int]

    def start(self, partitions=None):
        self.late = {}
        super().start(partitions)

    def commit(self, positions):
        super().commit(positions)
        if back := {p: o for p, o in self.late.items() if p in positions and o < positions[p]}:
            super().commit(back)
        self.late = positions


# --- what becomes of an error


@caught_by("lost-write", "unsafe-commit", "passed-blocked-record")
class SkipsAfterAnError(Careful):
    def deliver(self, records):
        self.attempt(self.told.batch(records), records)


@caught_by("lost-write", "unsafe-commit", "passed-blocked-record")
class LeavesThePoisonOutOfTheRetry(Careful):
    def deliver(self, records):
        if not self.attempt(self.told.batch(records), records) and records[1:]:
            super().deliver(records[1:])


@caught_by("passed-blocked-record", "unsafe-commit")
class RetriesAfterTheNextBatch(Careful):
    failed: tuple[int, list[Any]] | None = None

    def deliver(self, records):
        number = self.told.batch(records)
        while not self.attempt(number, records):
            if self.failed is None:
                self.failed = number, records
                return
        if self.failed is not None:
            late, self.failed = self.failed, None
            while not self.attempt(*late):
                pass


@caught_by("blocked-record", "unseen", "skipped-offset")
class StopsAtAnError(Careful):
    def deliver(self, records):
        self.stopped = not self.attempt(self.told.batch(records), records)


# --- what is in a batch


@caught_by("lost-write", "unsafe-commit", "skipped-offset")
class LosesTheLastRecordOfABatch(Careful):
    def arrange(self, kept):
        return kept[:-1] if len(kept) > 1 else kept


@caught_by("unordered-event")
class SwapsTwoRecords(Careful):
    def arrange(self, kept):
        return [*kept[:-2], *kept[:-3:-1]]


@caught_by("unordered-delivery", "skipped-offset", "unsafe-commit", "duplicate")
class HandsTheFirstRecordOverLast(Careful):
    def deliver(self, records):
        first, *rest = records
        if rest:
            super().deliver(rest)
        super().deliver([first])


@caught_by("oversized-batch")
class ReadsTooMuchAtOnce(Careful):
    batch_size = 8


@caught_by("concurrent-batches", "unsafe-commit")
class HasTwoBatchesInFlight(Careful):
    def deliver(self, records):
        half = len(records) // 2
        batches = [(self.told.batch(part), part) for part in (records[:half], records[half:]) if part]
        for batch in batches:
            while not self.attempt(*batch):
                pass


# --- what is delivered again, or not at all


@caught_by("unexplained-redelivery")
class DeliversTwice(Careful):
    def deliver(self, records):
        super().deliver(records)
        super().deliver(records)


@caught_by("unexplained-redelivery")
class RetriesASuccess(Careful):
    """A time limit that is too short takes a call for lost that has succeeded."""

    def deliver(self, records):
        number = self.told.batch(records)
        for _ in range(2):
            while not self.attempt(number, records):
                pass


@caught_by("skipped-offset", "lost-write", "unsafe-commit")
class SkipsAnOffset(Careful):
    """It seeks to the next offset, and one further."""

    def turn(self, *, commit=True):
        went_on = super().turn(commit=commit)
        if 1 < self.positions.get(0, 0) < self.topic.watermarks()[0].high - 1:
            self.positions[0] += 1
            self.seek()
        return went_on


@caught_by("unseen")
class StopsBeforeTheEnd(Careful):
    def read(self, limit):
        ends = {p: mark.high for p, mark in self.topic.watermarks().items()}
        left = sum(ends[p] - offset for p, offset in self.positions.items())
        return super().read(limit) if left > limit else []


# --- rebalances


@caught_by("lost-write", "skipped-offset", "unsafe-commit")
class DropsOnRebalance(Careful):
    """It goes on where it had read to, and not where it had committed."""

    def revoked(self, partition, read):
        self.kept_position = self.positions[partition]
        super().revoked(partition, read)

    def resume_at(self, partition, committed):
        return max(committed, getattr(self, "kept_position", committed))


@caught_by("unowned-partition", "unexplained-redelivery")
class WorksOnAfterTheRevocation(Careful):
    def revoked(self, partition, read):
        super().revoked(partition, read)
        kept = self.sort([message for message in read if message.partition() == partition])[0]
        if kept:
            super().deliver(kept)


@caught_by("unowned-partition", "nonmonotonic-commit")
class CommitsAfterTheRevocation(Careful):
    def revoked(self, partition, read):
        position = self.topic.broker.committed(self.group, self.topic.name).get(partition, 0)
        super().revoked(partition, read)
        self.commit({partition: position})


# --- filters


@caught_by("filtered-delivered")
class IgnoresTheFilter(Careful):
    def sort(self, read):
        return read, []


@caught_by("matching-filtered")
class FiltersTooMuch(Careful):
    def sort(self, read):
        kept, aside = super().sort(read)
        return kept[:-1], [*aside, *kept[-1:]]


# --- what is in a record


@caught_by("inconsistent-offsets")
class UsesABufferTwice(Careful):
    """Every record of a batch has the value of the last one."""

    def arrange(self, kept):
        return [replace(as_record(message), value=kept[-1].value()) for message in kept]


@caught_by("foreign-record", "lost-write", "skipped-offset", "unsafe-commit", "unordered-delivery")
class DeliversWhatNeverWas(Careful):
    def arrange(self, kept: list[Message]) -> list[Any]:
        made_up = Record(topic=self.topic.name, partition=0, offset=10**6, timestamp=1, value=kept[0].value())
        return [made_up] if kept[0].partition() == 0 and kept[0].offset() == 0 else kept
