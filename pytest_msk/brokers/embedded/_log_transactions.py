"""What a partition remembers of transactions: which are open, and which were aborted.

Source: KIP-98, "Transaction Index"; a read_committed consumer drops the records of the aborted ones that it is told of.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

__all__ = ["AbortedTransaction", "LogTransactions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AbortedTransaction:
    """A transaction that was aborted: its producer, its first offset, and the offset of its marker."""

    producer_id: int
    first_offset: int
    last_offset: int


class LogTransactions:
    """The transactions of one partition."""

    def __init__(self) -> None:
        # By producer; as each begins behind those before it, the first one is the oldest.
        self._open: dict[int, int] = {}
        # In the order of their ends; those of one producer are in the order of their beginnings too.
        self._aborted: list[AbortedTransaction] = []
        self._aborted_of: dict[int, list[AbortedTransaction]] = {}

    @property
    def first_open_offset(self) -> int | None:
        """Where the oldest open transaction begins; None when none is open."""
        return next(iter(self._open.values()), None)

    def open_since(self, producer_id: int) -> int | None:
        """Where a producer's open transaction begins; None when it has none."""
        return self._open.get(producer_id)

    def written(self, producer_id: int, offset: int) -> None:
        """A transactional batch was appended: the first one opens the transaction."""
        self._open.setdefault(producer_id, offset)

    def ended(self, producer_id: int, marker_offset: int, *, commit: bool) -> None:
        """A marker was appended; without records before it, it ends nothing."""
        first = self._open.pop(producer_id, None)
        if first is not None and not commit:
            aborted = AbortedTransaction(producer_id=producer_id, first_offset=first, last_offset=marker_offset)
            self._add(aborted)

    def aborted(self, start: int, end: int) -> list[AbortedTransaction]:
        """The aborted transactions that reach into the offsets from `start` up to `end`, in the order of their ends."""
        first = bisect_left(self._aborted, start, key=attrgetter("last_offset"))
        return [each for each in self._aborted[first:] if each.first_offset < end]

    def is_aborted(self, producer_id: int, offset: int) -> bool:
        """Whether a producer's record belongs to a transaction that was aborted."""
        aborted = self._aborted_of.get(producer_id, [])
        at = bisect_right(aborted, offset, key=attrgetter("first_offset")) - 1
        return at >= 0 and offset < aborted[at].last_offset

    def truncated(self, end: int, still_open: dict[int, int]) -> None:
        """The log ends at `end` now: what began there never was; a transaction whose marker is lost is open again.

        Args:
            still_open: where the transactions begin that the log has no marker of now, by producer.
        """
        self._open = still_open
        self._keep(each for each in self._aborted if each.last_offset < end)

    def trimmed(self, start: int) -> None:
        """The log begins at `start` now: forget what ended before it."""
        self._keep(each for each in self._aborted if each.last_offset >= start)

    def _keep(self, aborted: Iterable[AbortedTransaction]) -> None:
        kept = list(aborted)
        if len(kept) < len(self._aborted):
            self._aborted, self._aborted_of = [], {}
            for each in kept:
                self._add(each)

    def _add(self, aborted: AbortedTransaction) -> None:
        self._aborted.append(aborted)
        self._aborted_of.setdefault(aborted.producer_id, []).append(aborted)
