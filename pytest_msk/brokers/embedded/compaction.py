"""Compaction of one partition's log: of each key only the latest record stays.

A batch may be cleaned when it is as old as Kafka would need to close its segment (`segment.ms`, or
`max.compaction.lag.ms`) and older than `min.compaction.lag.ms`; the log is cleaned when the share of what is new is
above `min.cleanable.dirty.ratio`, or when tombstones have served their time.

Source: "Log Compaction" in Kafka's documentation; KIP-534 for tombstones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .batch import BatchHeader, RecordInBatch, records_of, with_records

__all__ = ["Cleaner", "CompactionConfig"]


class CompactionConfig(Protocol):
    """The topic configs that compaction obeys; times in milliseconds."""

    @property
    def segment_ms(self) -> int:
        """`segment.ms`."""

    @property
    def min_compaction_lag_ms(self) -> int:
        """`min.compaction.lag.ms`."""

    @property
    def max_compaction_lag_ms(self) -> int:
        """`max.compaction.lag.ms`."""

    @property
    def min_cleanable_dirty_ratio(self) -> float:
        """`min.cleanable.dirty.ratio`."""

    @property
    def delete_retention_ms(self) -> int:
        """`delete.retention.ms`."""


class Cleaner:
    """Cleans one log, and remembers how far it came and since when tombstones wait."""

    def __init__(self) -> None:
        self._clean_up_to = 0
        # When a batch's tombstones go, by its base offset: counted from the first cleaning that kept them.
        self._horizons: dict[int, int] = {}

    def clean(
        self,
        batches: Sequence[bytes],
        config: CompactionConfig,
        now_ms: int,
        *,
        below: int,
        is_aborted: Callable[[int, int], bool],
        everything: bool,
    ) -> list[bytes] | None:
        """The log's batches after a cleaning.

        Args:
            batches: the log's, in offset order.
            below: the last stable offset: what lies behind it is not decided yet.
            is_aborted: whether a record (producer id, offset) belongs to an aborted transaction.
            everything: clean whatever is below `below`.

        Returns:
            None if there is nothing to do, or nothing goes.
        """
        headers = [BatchHeader.read(batch) for batch in batches]
        count = 0
        while (
            count < len(headers)
            and headers[count].base_offset < below
            and (everything or _is_closed(headers[count], config, now_ms))
        ):
            count += 1
        if not count or not (everything or self._is_due(batches, headers, count, config, now_ms)):
            return None
        latest: dict[bytes, int] = {}
        opened: list[list[RecordInBatch] | None] = []
        for header, batch in zip(headers[:count], batches, strict=False):
            records = None if header.control else list(records_of(batch))
            if records and header.transactional and is_aborted(header.producer_id, header.base_offset):
                records = []
            opened.append(records)
            latest.update((record.key, record.offset) for record in records or () if record.key is not None)
        cleaned: list[bytes] = []
        for header, batch, records in zip(headers, batches, opened, strict=False):
            kept = self._kept(header, records, latest, config, now_ms)
            if kept is None or len(kept) == header.record_count:
                cleaned.append(batch)
            elif kept:
                cleaned.append(with_records(batch, kept))
        self._clean_up_to = headers[count - 1].base_offset + headers[count - 1].last_offset_delta + 1
        bases = {BatchHeader.read(batch).base_offset for batch in cleaned}
        self._horizons = {base: horizon for base, horizon in self._horizons.items() if base in bases}
        changed = len(cleaned) < count or any(old is not new for old, new in zip(batches, cleaned, strict=False))
        return [*cleaned, *batches[count:]] if changed else None

    def truncated(self, end: int) -> None:
        """The log ends at `end` now: what is written from there on is new, and its tombstones are."""
        self._clean_up_to = min(self._clean_up_to, end)
        self._horizons = {base: horizon for base, horizon in self._horizons.items() if base < end}

    def _kept(
        self,
        header: BatchHeader,
        records: list[RecordInBatch] | None,
        latest: dict[bytes, int],
        config: CompactionConfig,
        now_ms: int,
    ) -> list[RecordInBatch] | None:
        """A batch's records that stay; None for markers, which stay as they are."""
        if records is None:
            return None
        # A record without a key is from before the topic was compacted: it goes, as in Kafka.
        kept = [each for each in records if each.key is not None and latest[each.key] == each.offset]
        if all(each.value is not None for each in kept):
            return kept
        horizon = self._horizons.setdefault(header.base_offset, now_ms + config.delete_retention_ms)
        return [each for each in kept if each.value is not None] if now_ms >= horizon else kept

    def _is_due(
        self,
        batches: Sequence[bytes],
        headers: Sequence[BatchHeader],
        count: int,
        config: CompactionConfig,
        now_ms: int,
    ) -> bool:
        if any(horizon <= now_ms for horizon in self._horizons.values()):
            return True
        clean = dirty = 0
        overdue = False
        for header, batch in zip(headers[:count], batches, strict=False):
            if header.base_offset < self._clean_up_to:
                clean += len(batch)
            else:
                dirty += len(batch)
                overdue = overdue or now_ms - header.max_timestamp >= config.max_compaction_lag_ms
        return overdue or (dirty > 0 and dirty / (clean + dirty) > config.min_cleanable_dirty_ratio)


def _is_closed(header: BatchHeader, config: CompactionConfig, now_ms: int) -> bool:
    age = now_ms - header.max_timestamp
    return age >= config.min_compaction_lag_ms and age >= min(config.segment_ms, config.max_compaction_lag_ms)
