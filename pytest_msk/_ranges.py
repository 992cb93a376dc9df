"""Sets of offsets, kept as ranges: a million records in order are one of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["Ranges"]


class Ranges:
    """A set of offsets, kept as ascending ranges that neither touch nor overlap."""

    def __init__(self, ranges: Iterable[range] = ()) -> None:
        self._ranges: list[range] = []
        for item in ranges:
            self.add(item)

    def __iter__(self) -> Iterator[range]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return sum(map(len, self._ranges))

    @property
    def stop(self) -> int:
        """The offset behind the highest one in the set; 0 when it is empty."""
        return self._ranges[-1].stop if self._ranges else 0

    def add(self, new: range) -> None:
        """Put the offsets of a range into the set."""
        if not new:
            return
        ranges = self._ranges
        if ranges and ranges[-1].stop == new.start:  # by far the most frequent case
            ranges[-1] = range(ranges[-1].start, new.stop)
            return
        first = bisect_left(ranges, new.start, key=lambda r: r.stop)
        last = bisect_right(ranges, new.stop, key=lambda r: r.start)
        touched = ranges[first:last]
        start = min([new.start, *(r.start for r in touched[:1])])
        stop = max([new.stop, *(r.stop for r in touched[-1:])])
        ranges[first:last] = [range(start, stop)]

    def cut(self, stop: int) -> None:
        """Take every offset from `stop` on out of the set."""
        self._ranges = self.overlap(range(stop))

    def discard(self, gone: range) -> None:
        """Take the offsets of a range out of the set."""
        if gone:
            self._ranges = [*self.overlap(range(gone.start)), *self.overlap(range(gone.stop, self.stop))]

    def overlap(self, other: range) -> list[range]:
        """The offsets of a range that are in the set."""
        first = bisect_right(self._ranges, other.start, key=lambda r: r.stop)
        found = []
        for item in self._ranges[first:]:
            if item.start >= other.stop:
                break
            found.append(range(max(item.start, other.start), min(item.stop, other.stop)))
        return found

    def missing(self, other: range) -> list[range]:
        """The offsets of a range that are not in the set."""
        edges = [other.start, *(edge for r in self.overlap(other) for edge in (r.start, r.stop)), other.stop]
        return [range(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
