"""The log of one partition: batches in offset order, appended at the end, trimmed from the start.

Pure: no I/O, no thread, and the time is handed in. Batches are kept as they came, so that neither an append nor a read
does any work per record. Who leads the partition and who is in sync is kept beside the log, in its `replicas`; all that
are in sync have every record at once, so that the high watermark is the log's end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from ._log_transactions import AbortedTransaction, LogTransactions
from .batch import BatchHeader, RecordInBatch, check_crc, end_marker, records_of, stored
from .compaction import Cleaner
from .errors import ErrorCode, Refused
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
    segment_ms: int = 604_800_000
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = _FOREVER
    min_cleanable_dirty_ratio: float = 0.5
    delete_retention_ms: int = 86_400_000


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
        self._transactions = LogTransactions()
        self._cleaner = Cleaner()
        self._has_gaps = False  # offsets without a record: markers, and what compaction took

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

    @property
    def last_stable_offset(self) -> int:
        """Below it every transaction is decided; a read_committed consumer reads no further."""
        first = self._transactions.first_open_offset
        return self._end if first is None else max(first, self._start)

    @property
    def producers(self) -> tuple[tuple[int, int, int, int], ...]:
        """Every producer: id, epoch, last sequence number, and where its open transaction begins; -1 for neither."""
        since = self._transactions.open_since
        return tuple(
            (each, epoch, sequence, -1 if (first := since(each)) is None else first)
            for each, epoch, sequence in self._producers.active()
        )

    def in_transaction(self, producer_id: int) -> bool:
        """Whether a producer has written to this log in a transaction that is open."""
        return self._transactions.open_since(producer_id) is not None

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
            if not header.transactional and self.in_transaction(header.producer_id):
                raise Refused(
                    ErrorCode.INVALID_TXN_STATE,
                    f"Expected transactional write from producer {header.producer_id} at offset {self._end} in "
                    f"partition {self.topic}-{self.partition}",
                )
            self._producers.add(header, self._end)
        if header.transactional:
            self._transactions.written(header.producer_id, self._end)
        return self._store(header, records, append_time)

    def end_transaction(self, producer_id: int, producer_epoch: int, *, commit: bool, now_ms: int) -> Appended:
        """Append the marker by which a producer's transaction is committed or aborted; it takes an offset.

        Args:
            now_ms: the broker's time, epoch milliseconds.

        Raises:
            Refused: INVALID_PRODUCER_EPOCH, the producer is in a newer epoch; the log is as it was.
        """
        self._producers.fence(producer_id, producer_epoch)
        marker = end_marker(producer_id=producer_id, producer_epoch=producer_epoch, commit=commit, now_ms=now_ms)
        self._transactions.ended(producer_id, self._end, commit=commit)
        self._has_gaps = True
        return self._store(BatchHeader.read(marker), marker, None)

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
        if header.transactional and header.producer_id < 0:
            raise Refused(ErrorCode.INVALID_RECORD, "Transactional records must come with a producer id")
        if header.record_count <= 0 or header.record_count != header.last_offset_delta + 1:
            raise Refused(
                ErrorCode.INVALID_RECORD,
                f"Inconsistent batch offset range [0, {header.last_offset_delta}] and count of records "
                f"{header.record_count}",
            )
        if header.producer_id >= 0 and header.base_sequence < 0:
            raise Refused(ErrorCode.INVALID_RECORD, f"Invalid sequence number {header.base_sequence} in record batch")
        if header.codec > 4:
            raise Refused(ErrorCode.UNKNOWN_SERVER_ERROR, f"Unknown compression type id: {header.codec}")
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
                f"should be within [{now_ms - before}, {latest_ms + after}]",
            )
            for index, record in enumerate(records_of(records))
            if now_ms - record.timestamp > before or record.timestamp - latest_ms > after
        )
        if wrong:
            raise Refused(
                ErrorCode.INVALID_TIMESTAMP, "One or more records have been rejected due to invalid timestamp", wrong
            )

    def _check_keys(self, records: Buffer) -> None:
        text = f"Compacted topic cannot accept message without key in topic partition {self.topic}-{self.partition}"
        wrong = tuple((index, text) for index, record in enumerate(records_of(records)) if record.key is None)
        if wrong:
            shown = ", ".join(f"RecordError(batchIndex={at}, message='{text}')" for at, text in wrong[:3])
            raise Refused(
                ErrorCode.INVALID_RECORD,
                f"One or more records have been rejected due to {len(wrong)} record errors in total, and only showing "
                f"the first three errors at most: [{shown}]",
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

    def read(
        self, offset: int, max_bytes: int, *, at_least_one: bool = False, committed: bool = False
    ) -> tuple[list[bytes], int]:
        """Whole batches from the one that holds `offset` on, and their size.

        Args:
            offset: within the log; the log's end gives nothing.
            max_bytes: what the batches may come to.
            at_least_one: the first batch is given even if it is larger.
            committed: read up to the last stable offset only.

        Raises:
            Refused: OFFSET_OUT_OF_RANGE.
        """
        if not self._start <= offset <= self._end:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        batches = self._batches
        first = self._index_of(offset)
        stop = bisect_left(self._bases, self.last_stable_offset) if committed else len(batches)
        if offset == self._end or first >= stop:
            return [], 0
        size = len(batches[first])
        if size > max_bytes and not at_least_one:
            return [], 0
        if self.size <= max_bytes:  # a reader at the start of a small log takes it whole, without a look at each batch
            found = batches[first:stop]
            return found, sum(map(len, found))
        last = first + 1
        while last < stop and size + len(batches[last]) <= max_bytes:
            size += len(batches[last])
            last += 1
        return batches[first:last], size

    def aborted(self, offset: int, batches: list[bytes]) -> list[AbortedTransaction]:
        """The aborted transactions of which a read from `offset` may have given records."""
        if not batches:
            return []
        header = BatchHeader.read(batches[-1])
        return self._transactions.aborted(offset, header.base_offset + header.last_offset_delta + 1)

    def _index_of(self, offset: int) -> int:
        """The batch that holds an offset, or the next one where compaction took it away."""
        index = max(bisect_right(self._bases, offset) - 1, 0)
        if self._has_gaps and index < len(self._batches):
            header = BatchHeader.read(self._batches[index])
            if header.base_offset + header.last_offset_delta < offset:
                index += 1
        return index

    def records(self, start: int | None = None) -> Iterator[RecordInBatch]:
        """The records from an offset on (the log's start by default), as they are now; markers are none."""
        start = self._start if start is None else max(start, self._start)
        # Taken now: the log may change while its reader takes its time.
        batches = tuple(self._batches[self._index_of(start) :])
        return (
            record
            for batch in batches
            if not BatchHeader.read(batch).control
            for record in records_of(batch)
            if record.offset >= start
        )

    def offsets(self) -> tuple[range, ...]:
        """The offsets that hold a record now: markers of transactions and what compaction took leave gaps."""
        if not self._has_gaps:
            return (range(self._start, self._end),) if self._start < self._end else ()
        found: list[range] = []
        for batch in self._batches:
            for each in _offsets_of(batch):
                each = range(max(each.start, self._start), each.stop)
                if found and found[-1].stop == each.start:
                    found[-1] = range(found[-1].start, each.stop)
                elif each:
                    found.append(each)
        return tuple(found)

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
        gone = len(self._bases) if before == self._end else self._index_of(before)
        self._transactions.trimmed(before)
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
        self._transactions.truncated(self._end, _open_transactions(self._batches))
        self._cleaner.truncated(self._end)

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

    def compact(self, config: LogConfig, now_ms: int, *, everything: bool = False) -> bool:
        """Remove the records that a later one of the same key replaces, as `cleanup.policy=compact` has it.

        Args:
            config: says how old records must be, how much of them must be new, and how long tombstones stay.
            everything: clean all that is decided, whatever its age and share.

        Returns:
            Whether something went.
        """
        if not config.compact:
            return False
        try:
            cleaned = self._cleaner.clean(
                self._batches,
                config,
                now_ms,
                below=self.last_stable_offset,
                is_aborted=self._transactions.is_aborted,
                everything=everything,
            )
        except Refused:  # a batch from before the policy cannot be opened: as in Kafka, the log is left as it is
            return False
        if cleaned is None:
            return False
        self._has_gaps = True
        self._batches = cleaned
        headers = [BatchHeader.read(batch) for batch in cleaned]
        self._bases = [header.base_offset for header in headers]
        self._max_timestamps = [header.max_timestamp for header in headers]
        self.size = sum(map(len, cleaned))
        return True


def _open_transactions(batches: list[bytes]) -> dict[int, int]:
    """Where each producer's transaction begins that no marker among these batches ends, the oldest first."""
    found: dict[int, int] = {}
    for header in map(BatchHeader.read, batches):
        if header.control:
            found.pop(header.producer_id, None)
        elif header.transactional:
            found.setdefault(header.producer_id, header.base_offset)
    return found


def _offsets_of(batch: bytes) -> Iterator[range]:
    header = BatchHeader.read(batch)
    if header.control:
        return
    if header.record_count == header.last_offset_delta + 1:
        yield range(header.base_offset, header.base_offset + header.record_count)
    else:
        for record in records_of(batch):
            yield range(record.offset, record.offset + 1)
