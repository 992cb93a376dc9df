"""The log of one partition: batches in offset order, appended at the end, trimmed from the start.

Pure: no I/O, no thread, and the time is handed in. Batches are kept as they came, so that neither an append nor a read
does any work per record. Who leads the partition and who is in sync is kept beside the log, in its `replicas`; all that
are in sync have every record at once, so that the high watermark is the log's end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from .batch import BatchHeader, RecordInBatch, check_crc, records_of, stored
from .errors import ErrorCode, Refused
from .limits import TRANSACTIONS_SENTENCE
from .producers import ProducerStates
from .replicas import Replicas
from .wire import Buffer

__all__ = ["Appended", "LogConfig", "PartitionLog"]

_FOREVER = (1 << 63) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LogConfig:
    """The topic configs that a log obeys, with Kafka's defaults; times in milliseconds, sizes in bytes."""

    max_message_bytes: int = 1_048_588
    log_append_time: bool = False
    timestamp_before_max_ms: int = _FOREVER
    timestamp_after_max_ms: int = 3_600_000
    delete: bool = True
    compact: bool = False
    retention_ms: int = 604_800_000
    retention_bytes: int = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """Where a batch went.

    Args:
        base_offset: of its first record.
        timestamp: the append's time (epoch ms) where the topic stamps records itself, else -1.
        size: the bytes that were added; 0 for a batch that was there already.
    """

    base_offset: int
    timestamp: int
    size: int


class PartitionLog:
    """One partition's log.

    Args:
        replicas: on which nodes it lies; on one by default.
    """

    def __init__(self, topic: str, partition: int, replicas: Replicas | None = None) -> None:
        self.topic = topic
        self.partition = partition
        self.replicas = Replicas() if replicas is None else replicas
        self.size = 0
        self._start = 0
        self._end = 0
        # Parallel lists, one entry a batch: a search needs numbers only.
        self._bases: list[int] = []
        self._max_timestamps: list[int] = []
        self._batches: list[bytes] = []
        self._producers = ProducerStates()

    def __repr__(self) -> str:
        return f"PartitionLog({self.topic}-{self.partition}, {self._start}..{self._end})"

    @property
    def start_offset(self) -> int:
        """The first offset that can be read."""
        return self._start

    @property
    def end_offset(self) -> int:
        """The offset that the next record gets."""
        return self._end

    # --- writing --------------------------------------------------------------------------------------------------

    def append(self, records: Buffer, config: LogConfig, *, now_ms: int, latest_ms: int | None = None) -> Appended:
        """Append the one batch of a Produce request.

        Args:
            records: the request's records.
            now_ms: the broker's time, epoch milliseconds.
            latest_ms: what a record's timestamp is held against when it lies ahead; `now_ms` by default.

        Raises:
            Refused: with the error that Kafka gives for such a batch; the log is as it was.
        """
        header = BatchHeader.read(records)
        if len(records) != 12 + header.length:
            raise Refused(
                ErrorCode.INVALID_RECORD,
                "Produce requests are only allowed to contain exactly one record batch per partition",
            )
        self._check(header, records, config, now_ms, now_ms if latest_ms is None else latest_ms)
        append_time = now_ms if config.log_append_time else None
        if header.producer_id >= 0:
            duplicate = self._producers.check(header)
            if duplicate is not None:
                return Appended(base_offset=duplicate, timestamp=-1 if append_time is None else append_time, size=0)
            self._producers.add(header, self._end)
        return self._store(header, records, append_time)

    def _check(self, header: BatchHeader, records: Buffer, config: LogConfig, now_ms: int, latest_ms: int) -> None:
        """Everything that Kafka asks of a batch, in its order."""
        if header.base_offset != 0:
            raise Refused(
                ErrorCode.INVALID_RECORD,
                f"The baseOffset of the record batch in the append to {self.topic}-{self.partition} should be 0, but "
                f"it is {header.base_offset}",
            )
        if len(records) > config.max_message_bytes:
            raise Refused(
                ErrorCode.MESSAGE_TOO_LARGE,
                f"The record batch size in the append to {self.topic}-{self.partition} is {len(records)} bytes which "
                f"exceeds the maximum configured value of {config.max_message_bytes}.",
            )
        check_crc(header, records)
        if header.control:
            raise Refused(ErrorCode.INVALID_RECORD, "Clients are not allowed to write control records")
        if header.transactional:
            raise Refused(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, TRANSACTIONS_SENTENCE)
        if header.record_count <= 0 or header.record_count != header.last_offset_delta + 1:
            raise Refused(
                ErrorCode.INVALID_RECORD,
                f"Inconsistent batch offset range [0, {header.last_offset_delta}] and count of records "
                f"{header.record_count}",
            )
        if header.producer_id >= 0 and header.base_sequence < 0:
            raise Refused(ErrorCode.INVALID_RECORD, f"Invalid sequence number {header.base_sequence} in record batch")
        if header.codec > 4:
            raise Refused(ErrorCode.CORRUPT_MESSAGE, f"Unknown compression type id: {header.codec}")
        if not config.log_append_time and (
            header.max_timestamp - latest_ms > config.timestamp_after_max_ms
            or config.timestamp_before_max_ms != _FOREVER
        ):
            self._check_timestamps(records, config, now_ms, latest_ms)
        if config.compact:
            self._check_keys(records)

    def _check_timestamps(self, records: Buffer, config: LogConfig, now_ms: int, latest_ms: int) -> None:
        before, after = config.timestamp_before_max_ms, config.timestamp_after_max_ms
        wrong = tuple(
            (
                index,
                f"Timestamp {record.timestamp} of message with offset {record.offset} is out of range. The timestamp "
                f"should be within [{max(now_ms - before, 0)}, {latest_ms + after}]",
            )
            for index, record in enumerate(records_of(records))
            if now_ms - record.timestamp > before or record.timestamp - latest_ms > after
        )
        if wrong:
            raise Refused(
                ErrorCode.INVALID_TIMESTAMP, "One or more records have been rejected due to invalid timestamp", wrong
            )

    def _check_keys(self, records: Buffer) -> None:
        text = f"Compacted topic cannot accept message without key in topic partition {self.topic}-{self.partition}."
        wrong = tuple((index, text) for index, record in enumerate(records_of(records)) if record.key is None)
        if wrong:
            raise Refused(
                ErrorCode.INVALID_RECORD,
                f"One or more records have been rejected due to {len(wrong)} record errors in total, and only showing "
                f"the first three errors at most: {list(wrong[:3])}",
                wrong,
            )

    def _store(self, header: BatchHeader, records: Buffer, append_time: int | None) -> Appended:
        base = self._end
        batch = stored(header, records, base, append_time=append_time, leader_epoch=self.replicas.leader_epoch)
        self._bases.append(base)
        self._max_timestamps.append(header.max_timestamp if append_time is None else append_time)
        self._batches.append(batch)
        self._end = base + header.last_offset_delta + 1
        self.size += len(batch)
        return Appended(base_offset=base, timestamp=-1 if append_time is None else append_time, size=len(batch))

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, offset: int, max_bytes: int, *, at_least_one: bool = False) -> tuple[list[bytes], int]:
        """Whole batches from the one that holds `offset` on, and their size.

        Args:
            offset: within the log; the log's end gives nothing.
            max_bytes: what the batches may come to.
            at_least_one: the first batch is given even if it is larger.

        Raises:
            Refused: OFFSET_OUT_OF_RANGE.
        """
        if not self._start <= offset <= self._end:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        if offset == self._end:
            return [], 0
        batches = self._batches
        first = bisect_right(self._bases, offset) - 1
        size = len(batches[first])
        if size > max_bytes and not at_least_one:
            return [], 0
        if self.size <= max_bytes:  # a reader at the start of a small log takes it whole, without a look at each batch
            found = batches[first:]
            return found, sum(map(len, found))
        last = first + 1
        while last < len(batches) and size + len(batches[last]) <= max_bytes:
            size += len(batches[last])
            last += 1
        return batches[first:last], size

    def records(self, start: int | None = None) -> Iterator[RecordInBatch]:
        """The records from an offset on (the log's start by default), as they are now."""
        start = self._start if start is None else max(start, self._start)
        # Taken now: the log may change while its reader takes its time.
        batches = tuple(self._batches[max(bisect_right(self._bases, start) - 1, 0) :])
        return (record for batch in batches for record in records_of(batch) if record.offset >= start)

    def offsets(self) -> tuple[range, ...]:
        """The offsets that hold a record; control batches do not come here, so there is one range at most."""
        return (range(self._start, self._end),) if self._start < self._end else ()

    def find_timestamp(self, timestamp: int) -> tuple[int, int] | None:
        """The first record (offset, timestamp) with at least this timestamp; None if there is none."""
        for index, latest in enumerate(self._max_timestamps):
            if latest < timestamp:
                continue
            for record in self._records_at(index):
                if record.timestamp >= timestamp and record.offset >= self._start:
                    return record.offset, record.timestamp
        return None

    def find_max_timestamp(self) -> tuple[int, int] | None:
        """The first record (offset, timestamp) that has the largest timestamp; None in an empty log."""
        if not self._batches:
            return None
        latest = max(self._max_timestamps)
        return self.find_timestamp(latest)

    def _records_at(self, index: int) -> Iterator[RecordInBatch]:
        batch = self._batches[index]
        header = BatchHeader.read(batch)
        if header.record_count == 1 or header.log_append_time:  # the header says it all
            yield RecordInBatch(header.base_offset, header.max_timestamp, None, None, ())
        else:
            yield from records_of(batch)

    # --- deleting -------------------------------------------------------------------------------------------------

    def trim(self, before: int) -> None:
        """Delete the records below an offset; a batch goes when its last record does.

        Args:
            before: -1 for the log's end.

        Raises:
            Refused: OFFSET_OUT_OF_RANGE, it lies behind the log's end.
        """
        before = self._end if before == -1 else before
        if not 0 <= before <= self._end:
            raise Refused(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"Cannot increment the log start offset to {before} of partition {self.topic}-{self.partition} since "
                f"it is larger than the high watermark {self._end}",
            )
        if before <= self._start:
            return
        self._start = before
        gone = len(self._bases) if before == self._end else bisect_right(self._bases, before) - 1
        self.size -= sum(map(len, self._batches[:gone]))
        del self._bases[:gone], self._max_timestamps[:gone], self._batches[:gone]

    def truncate(self, end: int) -> None:
        """Lose the records from an offset on: an unclean leader does not have them."""
        while self._bases and self._bases[-1] >= end:
            self.size -= len(self._batches.pop())
            del self._bases[-1], self._max_timestamps[-1]
        self._end = min(self._end, end)
        self._start = min(self._start, self._end)
        self._producers.truncate(self._end)

    def retain(self, config: LogConfig, now_ms: int) -> bool:
        """Apply `retention.ms` and `retention.bytes` batch by batch, oldest first; whether something went."""
        if not config.delete:
            return False
        gone = 0
        if config.retention_ms >= 0:
            limit = now_ms - config.retention_ms
            while gone < len(self._max_timestamps) and self._max_timestamps[gone] < limit:
                gone += 1
        if config.retention_bytes >= 0:
            excess = self.size - sum(map(len, self._batches[:gone])) - config.retention_bytes
            while gone < len(self._batches) and excess >= len(self._batches[gone]):
                excess -= len(self._batches[gone])
                gone += 1
        if gone:
            self.trim(self._bases[gone] if gone < len(self._bases) else self._end)
        return gone > 0
