"""The partition log against a naive model of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from wire_client import NOW, batch

from pytest_msk.brokers.embedded.batch import BatchHeader, encode_batch, records_of
from pytest_msk.brokers.embedded.errors import ErrorCode, Refused
from pytest_msk.brokers.embedded.log import LogConfig, PartitionLog

CONFIG = LogConfig()


def append(log: PartitionLog, *values: bytes, config: LogConfig = CONFIG, timestamp: int = NOW, **producer: int) -> int:
    return log.append(batch(*values, timestamp=timestamp, **producer), config, now_ms=NOW).base_offset


@dataclass
class Record:
    offset: int
    timestamp: int
    value: bytes


@dataclass
class Producer:
    epoch: int = 0
    next_sequence: int = 0
    sent: list[tuple[int, int, int, list[bytes]]] = field(default_factory=list)


class LogMachine(RuleBasedStateMachine):
    """Appends, repeats, trims, retention and reads; the model is a list of records."""

    def __init__(self) -> None:
        super().__init__()
        self.log = PartitionLog("t", 0)
        self.records: list[Record] = []
        self.batches: list[tuple[int, int, int, int]] = []  # base offset, end, max timestamp, size
        self.start = self.end = 0
        self.producers = {number: Producer() for number in (7, 8)}

    def _added(self, raw: bytes, timestamps: list[int], values: list[bytes]) -> None:
        for timestamp, value in zip(timestamps, values, strict=True):
            self.records.append(Record(self.end, timestamp, value))
            self.end += 1
        self.batches.append((self.end - len(values), self.end, max(timestamps), len(raw)))

    @rule(
        values=st.lists(st.binary(max_size=5), min_size=1, max_size=4),
        deltas=st.lists(st.integers(-50, 50), min_size=4, max_size=4),
    )
    def append(self, values: list[bytes], deltas: list[int]) -> None:
        timestamps = [NOW + delta for delta in deltas[: len(values)]]
        raw = encode_batch([(at, None, value, ()) for at, value in zip(timestamps, values, strict=True)])
        assert self.log.append(raw, CONFIG, now_ms=NOW).base_offset == self.end
        self._added(raw, timestamps, values)

    @rule(number=st.sampled_from([7, 8]), values=st.lists(st.binary(max_size=3), min_size=1, max_size=3))
    def append_idempotent(self, number: int, values: list[bytes]) -> None:
        producer = self.producers[number]
        sequence = producer.next_sequence
        raw = batch(*values, producer_id=number, producer_epoch=producer.epoch, base_sequence=sequence)
        assert self.log.append(raw, CONFIG, now_ms=NOW).base_offset == self.end
        producer.sent.append((producer.epoch, sequence, self.end, values))
        producer.next_sequence += len(values)
        self._added(raw, [NOW + at for at in range(len(values))], values)

    @rule(number=st.sampled_from([7, 8]), back=st.integers(1, 7))
    def repeat(self, number: int, back: int) -> None:
        """A batch sent again is answered from memory if it is one of the last five, and never written twice."""
        producer = self.producers[number]
        if back > len(producer.sent):
            return
        epoch, sequence, offset, values = producer.sent[-back]
        raw = batch(*values, producer_id=number, producer_epoch=epoch, base_sequence=sequence)
        known = [each for each in producer.sent if each[0] == producer.epoch][-5:]
        if epoch < producer.epoch:
            expected: ErrorCode | None = ErrorCode.INVALID_PRODUCER_EPOCH
        else:
            expected = None if producer.sent[-back] in known else ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        if expected is None:
            again = self.log.append(raw, CONFIG, now_ms=NOW)
            assert (again.base_offset, again.size) == (offset, 0)
            return
        with pytest.raises(Refused) as caught:
            self.log.append(raw, CONFIG, now_ms=NOW)
        assert caught.value.code is expected

    @rule(number=st.sampled_from([7, 8]))
    def new_epoch(self, number: int) -> None:
        producer = self.producers[number]
        if any(each[0] == producer.epoch for each in producer.sent):
            producer.epoch, producer.next_sequence = producer.epoch + 1, 0

    @rule(number=st.sampled_from([7, 8]), gap=st.integers(1, 5))
    def gap(self, number: int, gap: int) -> None:
        producer = self.producers[number]
        if not any(each[0] == producer.epoch for each in producer.sent):
            return
        raw = batch(b"x", producer_id=number, producer_epoch=producer.epoch, base_sequence=producer.next_sequence + gap)
        with pytest.raises(Refused) as caught:
            self.log.append(raw, CONFIG, now_ms=NOW)
        assert caught.value.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    @rule(data=st.data())
    def trim(self, data: st.DataObject) -> None:
        before = data.draw(st.integers(-1, self.end))
        self.log.trim(before)
        self._start_at(self.end if before == -1 else before)

    def _start_at(self, start: int) -> None:
        self.start = max(self.start, start)
        self.batches = [each for each in self.batches if each[1] > self.start]

    @rule(age=st.integers(-60, 60))
    def retain_by_time(self, age: int) -> None:
        self.log.retain(LogConfig(retention_ms=100), NOW + 100 + age)
        while self.batches and self.batches[0][2] < NOW + age:
            self._start_at(self.batches[0][1])

    @rule(size=st.integers(0, 500))
    def retain_by_size(self, size: int) -> None:
        self.log.retain(LogConfig(retention_ms=-1, retention_bytes=size), NOW)
        while self.batches and sum(each[3] for each in self.batches) - self.batches[0][3] >= size:
            self._start_at(self.batches[0][1])

    @rule(data=st.data(), limit=st.integers(0, 400), at_least_one=st.booleans())
    def read(self, data: st.DataObject, limit: int, at_least_one: bool) -> None:
        offset = data.draw(st.integers(self.start, self.end))
        found, size = self.log.read(offset, limit, at_least_one=at_least_one)
        expected = []
        room = limit
        for base, end, _, length in self.batches:
            if end <= offset:
                continue
            if length > room and not (at_least_one and not expected):
                break
            room -= length
            expected.append(base)
        assert [BatchHeader.read(raw).base_offset for raw in found] == expected
        assert size == sum(map(len, found))
        assert size <= limit or (at_least_one and len(found) == 1)

    @rule(outside=st.integers(1, 5))
    def read_outside(self, outside: int) -> None:
        for offset in (self.start - outside, self.end + outside):
            with pytest.raises(Refused) as caught:
                self.log.read(offset, 100)
            assert caught.value.code is ErrorCode.OFFSET_OUT_OF_RANGE

    @rule(delta=st.integers(-60, 60))
    def find(self, delta: int) -> None:
        """Kafka looks for the first batch that reaches the time, and in it for the first record."""
        kept = [each for each in self.records if each.offset >= self.start]
        expected = next(((each.offset, each.timestamp) for each in kept if each.timestamp >= NOW + delta), None)
        assert self.log.find_timestamp(NOW + delta) == expected

    @invariant()
    def same_as_the_model(self) -> None:
        assert (self.log.start_offset, self.log.end_offset) == (self.start, self.end)
        kept = [(each.offset, each.timestamp, each.value) for each in self.records if each.offset >= self.start]
        assert [(each.offset, each.timestamp, each.value) for each in self.log.records()] == kept
        assert self.log.offsets() == ((range(self.start, self.end),) if kept else ())
        assert self.log.size == sum(each[3] for each in self.batches)


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=60, stateful_step_count=30)


@pytest.fixture
def log() -> PartitionLog:
    return PartitionLog("t", 3)


def refused(log: PartitionLog, raw: bytes, config: LogConfig = CONFIG) -> Refused:
    before = (log.end_offset, log.size)
    with pytest.raises(Refused) as caught:
        log.append(raw, config, now_ms=NOW)
    assert (log.end_offset, log.size) == before
    return caught.value


def test_a_batch_of_the_largest_size_is_taken_and_one_byte_more_is_not(log: PartitionLog) -> None:
    raw = batch(b"x" * 100)
    log.append(raw, LogConfig(max_message_bytes=len(raw)), now_ms=NOW)
    error = refused(log, raw, LogConfig(max_message_bytes=len(raw) - 1))
    assert error.code is ErrorCode.MESSAGE_TOO_LARGE
    assert error.message is not None
    assert f"{len(raw)} bytes which exceeds the maximum configured value of {len(raw) - 1}" in error.message


def test_a_changed_byte_is_corrupt(log: PartitionLog) -> None:
    assert refused(log, batch(b"x")[:-1] + b"?").code is ErrorCode.CORRUPT_MESSAGE


def test_two_batches_at_once_are_refused(log: PartitionLog) -> None:
    assert refused(log, batch(b"x") + batch(b"y")).code is ErrorCode.INVALID_RECORD


def patched(raw: bytes, at: int, value: bytes) -> bytes:
    """A batch with some bytes changed and a checksum that fits."""
    import google_crc32c

    changed = bytearray(raw)
    changed[at : at + len(value)] = value
    changed[17:21] = google_crc32c.value(bytes(changed[21:])).to_bytes(4, "big")
    return bytes(changed)


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (22, b"\x20", ErrorCode.INVALID_RECORD),  # a control batch
        (22, b"\x10", ErrorCode.INVALID_RECORD),  # of a transaction without a producer
        (22, b"\x07", ErrorCode.UNKNOWN_SERVER_ERROR),  # an unknown codec
        (0, b"\0\0\0\0\0\0\0\x05", ErrorCode.INVALID_RECORD),  # an offset of its own
        (23, b"\0\0\0\x05", ErrorCode.INVALID_RECORD),  # last offset and count differ
        (57, b"\0\0\0\0", ErrorCode.INVALID_RECORD),  # no record
        (43, (7).to_bytes(8, "big"), ErrorCode.INVALID_RECORD),  # a producer without a sequence
    ],
)
def test_what_producers_may_not_send(log: PartitionLog, at: int, value: bytes, code: ErrorCode) -> None:
    assert refused(log, patched(batch(b"x"), at, value)).code is code


def test_sequence_numbers_wrap(log: PartitionLog) -> None:
    last = 2**31 - 1
    append(log, b"a", producer_id=1, producer_epoch=0, base_sequence=last - 1)
    append(log, b"b", b"c", producer_id=1, producer_epoch=0, base_sequence=last)  # last and 0
    assert append(log, b"d", producer_id=1, producer_epoch=0, base_sequence=1) == 3


def test_the_last_five_batches_of_a_producer_are_known(log: PartitionLog) -> None:
    for sequence in range(6):
        append(log, b"x", producer_id=1, producer_epoch=0, base_sequence=sequence)
    for sequence in range(1, 6):
        assert append(log, b"x", producer_id=1, producer_epoch=0, base_sequence=sequence) == sequence
    too_old = refused(log, batch(b"x", producer_id=1, producer_epoch=0, base_sequence=0))
    assert too_old.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_retention_by_size_keeps_at_least_that_size(log: PartitionLog) -> None:
    for _ in range(3):
        append(log, b"x")
    two = 2 * len(batch(b"x"))
    for size, start in ((two + 1, 0), (two, 1)):
        log.retain(LogConfig(retention_ms=-1, retention_bytes=size), NOW)
        assert log.start_offset == start


def test_timestamps_out_of_range_are_refused_record_by_record(log: PartitionLog) -> None:
    config = LogConfig(timestamp_after_max_ms=1000, timestamp_before_max_ms=1000)
    raw = encode_batch([(NOW, None, b"a", ()), (NOW + 1001, None, b"b", ()), (NOW - 1001, None, b"c", ())])
    error = refused(log, raw, config)
    assert error.code is ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in error.record_errors] == [1, 2]
    log.append(encode_batch([(NOW + 1000, None, b"a", ()), (NOW - 1000, None, b"b", ())]), config, now_ms=NOW)


def test_a_compacted_topic_wants_keys(log: PartitionLog) -> None:
    config = LogConfig(compact=True, delete=False)
    raw = encode_batch([(NOW, b"k", b"a", ()), (NOW, None, b"b", ())])
    error = refused(log, raw, config)
    assert error.code is ErrorCode.INVALID_RECORD
    assert error.record_errors == ((1, "Compacted topic cannot accept message without key in topic partition t-3"),)


def test_log_append_time(log: PartitionLog) -> None:
    config = LogConfig(log_append_time=True)
    appended = log.append(batch(b"a", timestamp=NOW - 10**9), config, now_ms=NOW)
    assert appended.timestamp == NOW
    assert [each.timestamp for each in log.records()] == [NOW]
    assert log.find_timestamp(NOW) == (0, NOW)
    assert log.find_timestamp(NOW + 1) is None


def test_the_record_with_the_largest_timestamp(log: PartitionLog) -> None:
    assert log.find_max_timestamp() is None
    append(log, b"a", b"b", timestamp=NOW + 50)
    append(log, b"c")
    assert log.find_max_timestamp() == (1, NOW + 51)


def test_a_trim_inside_a_batch_keeps_the_batch_and_hides_its_first_records(log: PartitionLog) -> None:
    append(log, b"a", b"b", b"c")
    log.trim(2)
    (raw,), _ = log.read(2, 1000)
    assert [each.value for each in records_of(raw)] == [b"a", b"b", b"c"]  # as Kafka: a reader skips what is too early
    assert [each.value for each in log.records()] == [b"c"]


def test_a_trim_behind_the_end_is_refused(log: PartitionLog) -> None:
    append(log, b"a")
    for before in (2, -2):
        with pytest.raises(Refused) as caught:
            log.trim(before)
        assert caught.value.code is ErrorCode.OFFSET_OUT_OF_RANGE


@given(st.integers(0, 5))
def test_compacted_topics_ignore_retention(extra: int) -> None:
    log = PartitionLog("t", 0)
    append(log, b"a")
    assert not log.retain(LogConfig(delete=False, compact=True, retention_ms=0), NOW + 10 + extra)
    assert log.retain(LogConfig(retention_ms=0), NOW + 10 + extra)


def test_the_end_of_a_transaction_in_a_higher_epoch_keeps_the_older_producer_out() -> None:
    log = PartitionLog("t", 0)
    append(log, b"a", producer_id=7, producer_epoch=0, base_sequence=0, attributes=0x10)
    assert log.in_transaction(7)
    log.end_transaction(7, 1, commit=False, now_ms=NOW)
    assert not log.in_transaction(7)
    zombie = batch(b"b", producer_id=7, producer_epoch=0, base_sequence=1, attributes=0x10)
    assert refused(log, zombie).code is ErrorCode.INVALID_PRODUCER_EPOCH
    with pytest.raises(Refused) as caught:
        log.end_transaction(7, 0, commit=True, now_ms=NOW)
    assert caught.value.code is ErrorCode.INVALID_PRODUCER_EPOCH
    assert (log.end_offset, log.offsets()) == (2, (range(1),))
    assert append(log, b"c", producer_id=7, producer_epoch=1, base_sequence=0) == 2


@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_whose_marker_is_lost_is_open_again(commit: bool) -> None:
    log = PartitionLog("t", 0)
    for producer in (7, 8):
        append(log, b"x", producer_id=producer, producer_epoch=0, base_sequence=0, attributes=0x10)
    for producer in (8, 7):
        log.end_transaction(producer, 0, commit=commit, now_ms=NOW)
    assert log.last_stable_offset == 4
    log.truncate(3)
    assert (log.last_stable_offset, log.in_transaction(7), log.in_transaction(8)) == (0, True, False)
    log.truncate(2)
    assert (log.last_stable_offset, log.in_transaction(8)) == (0, True)
    log.truncate(0)
    assert (log.last_stable_offset, log.in_transaction(7), log.in_transaction(8)) == (0, False, False)


def test_which_record_was_aborted_by_whichever_producer() -> None:
    log = PartitionLog("t", 0)
    aborted = []
    for at in range(60):
        producer = 7 + at % 3
        offset = append(log, b"x", producer_id=producer, producer_epoch=0, base_sequence=at // 3, attributes=0x10)
        log.end_transaction(producer, 0, commit=at % 4 == 0, now_ms=NOW)
        aborted += [(producer, offset)] if at % 4 else []

    def known() -> list[tuple[int, int]]:
        ids = range(6, 11)
        return [(each, at) for at in range(log.end_offset) for each in ids if log._transactions.is_aborted(each, at)]

    assert known() == aborted
    log.trim(50)
    log.truncate(100)
    assert known() == [each for each in aborted if 50 <= each[1] < 100]
    told = log.aborted(70, log.read(70, 1, at_least_one=True)[0])
    assert [(each.producer_id, each.first_offset) for each in told] == [each for each in aborted if each[1] == 70]
