"""Fetched records on their way from the client to a batch, partition by partition."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import TypeAlias

from ..records import Header, TimestampType

__all__ = ["Fetched", "FetchedQueue", "Run"]

#: A record as it was fetched: offset, timestamp (epoch ms), timestamp type, key, value, headers. This is the hottest
#: path of a mapping: a tuple in the order of a `RecordEncoder`'s arguments costs half of what a class would.
Fetched: TypeAlias = "tuple[int, int, TimestampType, bytes | None, bytes | None, list[Header] | None]"
#: A partition's number, and records of it that come one after another.
Run: TypeAlias = "tuple[int, list[Fetched]]"


class FetchedQueue:
    """Records of one partition in offset order.

    Args:
        position: the offset behind the last record, which is the next one that is wanted.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.nbytes = 0.0
        self.paused = False
        self._records: deque[Fetched] = deque()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def head(self) -> Fetched:
        """The first record."""
        return self._records[0]

    def extend(self, records: Sequence[Fetched], nbytes: int) -> None:
        """Add records behind the last one.

        Args:
            records: in offset order.
            nbytes: what they take in memory, about.
        """
        self._records.extend(records)
        self.nbytes += nbytes
        if records:
            self.position = records[-1][0] + 1

    def put_back(self, records: Sequence[Fetched]) -> None:
        """Let records that were taken last be the first again."""
        self._records.extendleft(reversed(records))

    def take(self, limit: int, bound: int | None = None) -> list[Fetched]:
        """Remove up to `limit` records from the front, up to the first one with a timestamp above the bound, if any."""
        records = self._records
        length = min(limit, len(records))
        if bound is not None:
            length = next((n for n, record in enumerate(islice(records, length)) if record[1] > bound), length)
        if length:
            self.nbytes -= self.nbytes * length / len(records)  # each counts as the average: this only bounds memory
        return [records.popleft() for _ in range(length)]

    def clear(self, position: int) -> None:
        """Remove all records; the next one that is wanted is at `position`."""
        self._records.clear()
        self.nbytes, self.position = 0.0, position
