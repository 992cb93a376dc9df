"""A made-up log: what stands where in topics that no broker has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ._partitioner import partition_of
from .records import Record

__all__ = ["MadeUpLog"]


class MadeUpLog:
    """Where each partition ends, and the topics' turns of records without a key."""

    def __init__(self) -> None:
        self.ends: dict[tuple[str, int], int] = {}
        self._keyless: Counter[str] = Counter()

    def copy(self) -> MadeUpLog:
        """A log that ends where this one ends."""
        copy = MadeUpLog()
        copy.ends, copy._keyless = dict(self.ends), Counter(self._keyless)
        return copy

    def partition(self, topic: str, key: bytes | None, partitions: int) -> int:
        """Where a record goes: by its key, or round robin."""
        if key is not None:
            return partition_of(key, partitions)
        self._keyless[topic] += 1
        return (self._keyless[topic] - 1) % partitions

    def follow(self, records: Iterable[Record]) -> None:
        """End behind these records."""
        for record in records:
            self.ends[record.topic, record.partition] = record.offset + 1
