"""Some of a batch's records, as offsets: how many, which are left, and the two halves. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ._ranges import Ranges
from .journal import Offsets

__all__ = ["above", "count_of", "halves", "without"]


def count_of(records: Offsets) -> int:
    """How many they are."""
    return sum(len(run) for runs in records.values() for run in runs)


def without(records: Offsets, gone: Offsets) -> Offsets:
    """Those that are left when some are gone; in the order of `records`."""
    left: dict[int, tuple[range, ...]] = {}
    for partition, runs in records.items():
        if partition in gone:
            taken = Ranges(gone[partition])
            runs = tuple(part for run in runs for part in taken.missing(run))
        if runs:
            left[partition] = runs
    return left


def above(records: Offsets, lows: Mapping[int, int]) -> Offsets:
    """Those at an offset of `lows` or above; none of a partition that is not there."""
    found: dict[int, tuple[range, ...]] = {}
    for partition, runs in records.items():
        if partition in lows:
            low = lows[partition]
            if kept := tuple(range(max(run.start, low), run.stop) for run in runs if run.stop > low):
                found[partition] = kept
    return found


def halves(records: Offsets) -> tuple[Offsets, Offsets]:
    """The first half of the records, in the event's order, and the rest; of an odd number the rest has one more."""
    room = count_of(records) // 2
    left: dict[int, tuple[range, ...]] = {}
    right: dict[int, tuple[range, ...]] = {}
    for partition, runs in records.items():
        for run in runs:
            for half, part in ((left, run[:room]), (right, run[room:])):
                if part:
                    half[partition] = (*half.get(partition, ()), part)
            room = max(0, room - len(run))
    return left, right
