"""What compaction takes, what it leaves, and when."""

from __future__ import annotations

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_client import NOW, WireClient

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.batch import BatchHeader, check_crc, compress, encode_batch, with_records
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.log import LogConfig, PartitionLog
from pytest_msk.clock import VirtualClock
from pytest_msk.errors import BrokerError

DAY = 86_400_000
WEEK = 7 * DAY
COMPACT = LogConfig(delete=False, compact=True)

Pair = tuple[bytes, bytes | None]


def log_of(*batches: tuple[Pair, ...] | Pair, config: LogConfig = COMPACT) -> PartitionLog:
    """A log of batches of (key, value) pairs, a millisecond between records."""
    log = PartitionLog("t", 0)
    for each in batches:
        pairs = each if isinstance(each[0], tuple) else (each,)
        raw = encode_batch([(NOW + at, key, value, ()) for at, (key, value) in enumerate(pairs, log.end_offset)])  # type: ignore[misc]
        log.append(raw, config, now_ms=NOW)
    return log


def seen(log: PartitionLog) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(each.offset, each.key, each.value) for each in log.records()]


def test_of_each_key_the_latest_record_stays_at_its_offset() -> None:
    log = log_of((b"a", b"1"), ((b"b", b"1"), (b"a", b"2"), (b"c", b"1")), (b"b", b"2"))
    assert log.compact(COMPACT, NOW + WEEK + 10)
    assert seen(log) == [(2, b"a", b"2"), (3, b"c", b"1"), (4, b"b", b"2")]
    assert (log.start_offset, log.end_offset) == (0, 5)
    assert log.offsets() == (range(2, 5),)


@pytest.mark.parametrize("offset", range(6))
def test_a_reader_at_any_offset_is_given_what_comes_next(offset: int) -> None:
    log = log_of((b"a", b"1"), (b"a", b"2"), (b"b", b"1"), (b"a", b"3"), (b"b", b"2"))
    log.compact(COMPACT, NOW + WEEK + 10)
    batches, _ = log.read(offset, 1, at_least_one=True)
    bases = [BatchHeader.read(each).base_offset for each in batches]
    assert bases == {0: [3], 1: [3], 2: [3], 3: [3], 4: [4], 5: []}[offset]
    assert [each.offset for each in log.records(offset)] == [each for each in (3, 4) if each >= offset]


def test_a_reader_in_a_gap_is_not_given_what_lies_before_it() -> None:
    log = log_of((b"a", b"1"), (b"b", b"1"), (b"b", b"2"))
    log.compact(COMPACT, NOW + WEEK + 10)
    assert seen(log) == [(0, b"a", b"1"), (2, b"b", b"2")]
    (raw,), _ = log.read(1, 1, at_least_one=True)
    assert BatchHeader.read(raw).base_offset == 2


def test_a_batch_that_lost_records_keeps_its_range_its_checksum_and_its_timestamps() -> None:
    log = log_of(((b"a", b"1"), (b"b", b"1"), (b"a", b"2")))
    log.compact(COMPACT, NOW + WEEK + 10)
    ((raw,), _) = log.read(0, 1 << 20)
    header = BatchHeader.read(raw)
    check_crc(header, raw)
    assert (header.base_offset, header.last_offset_delta, header.record_count) == (0, 2, 2)
    assert [each.timestamp for each in log.records()] == [NOW + 1, NOW + 2]
    assert log.size == len(raw)


@pytest.mark.parametrize("codec", range(5))
def test_a_batch_keeps_its_compression(codec: int) -> None:
    plain = encode_batch([(NOW + at, b"k%d" % at, b"v" * 100, (("h", b"x"), ("n", None))) for at in range(3)])
    body = compress(codec, plain[61:])
    tail = bytes([0, codec]) + plain[23:61] + body
    raw = (
        plain[:8]
        + (len(tail) + 9).to_bytes(4, "big")
        + plain[12:17]
        + google_crc32c.value(tail).to_bytes(4, "big")
        + tail
    )
    log = PartitionLog("t", 0)
    log.append(raw, COMPACT, now_ms=NOW)
    records = list(log.records())
    assert BatchHeader.read(with_records(raw, records[1:])).codec == codec
    log.append(encode_batch([(NOW, b"k0", b"new", ())]), COMPACT, now_ms=NOW)
    assert log.compact(COMPACT, NOW + WEEK + 10)
    assert list(log.records())[:2] == records[1:]


def test_what_is_younger_than_its_segment_stays() -> None:
    log = log_of((b"a", b"1"), (b"a", b"2"))
    assert not log.compact(COMPACT, NOW + WEEK - 1)
    config = LogConfig(delete=False, compact=True, segment_ms=100)
    assert log.compact(config, NOW + 101)
    assert seen(log) == [(1, b"a", b"2")]


def test_min_compaction_lag_keeps_records_and_max_compaction_lag_does_not_wait_for_the_segment() -> None:
    log = log_of((b"a", b"1"), (b"a", b"2"))
    patient = LogConfig(delete=False, compact=True, segment_ms=100, min_compaction_lag_ms=5000)
    assert not log.compact(patient, NOW + 4999)
    assert log.compact(LogConfig(delete=False, compact=True, max_compaction_lag_ms=200), NOW + 201)
    assert seen(log) == [(1, b"a", b"2")]


def test_the_newest_records_are_clean_only_when_they_are_old_enough() -> None:
    log = log_of((b"a", b"1"), (b"a", b"2"))
    log.append(encode_batch([(NOW + WEEK, b"a", b"3", ())]), COMPACT, now_ms=NOW + WEEK)
    assert log.compact(COMPACT, NOW + WEEK + 10)
    assert [value for _, _, value in seen(log)] == [b"2", b"3"]


def test_little_that_is_new_waits_for_more() -> None:
    config = LogConfig(delete=False, compact=True, segment_ms=10)
    log = log_of(*((b"%d" % at, b"v" * 50) for at in range(10)), config=config)
    assert not log.compact(config, NOW + 100), "nothing goes: every key is there once"
    log.append(encode_batch([(NOW + 100, b"3", b"new", ())]), config, now_ms=NOW + 100)
    assert not log.compact(config, NOW + 200)
    assert len(seen(log)) == 11
    eager = LogConfig(delete=False, compact=True, segment_ms=10, min_cleanable_dirty_ratio=0.05)
    assert log.compact(eager, NOW + 200)
    assert len(seen(log)) == 10


def test_a_tombstone_removes_its_key_and_goes_when_readers_had_time_to_see_it() -> None:
    config = LogConfig(delete=False, compact=True, segment_ms=10, delete_retention_ms=DAY)
    log = log_of((b"a", b"1"), (b"b", b"1"), (b"a", None), config=config)
    assert log.compact(config, NOW + 100)
    assert seen(log) == [(1, b"b", b"1"), (2, b"a", None)]
    assert not log.compact(config, NOW + 100 + DAY - 1)
    assert log.compact(config, NOW + 100 + DAY)
    assert seen(log) == [(1, b"b", b"1")]
    assert (log.end_offset, log.offsets()) == (3, (range(1, 2),))


def test_a_record_without_a_key_goes_and_a_topic_of_another_policy_is_left_alone() -> None:
    log = PartitionLog("t", 0)
    log.append(encode_batch([(NOW, None, b"no key", ())]), LogConfig(), now_ms=NOW)
    log.append(encode_batch([(NOW, b"a", b"1", ())]), LogConfig(), now_ms=NOW)
    assert not log.compact(LogConfig(), NOW + WEEK)
    assert log.compact(COMPACT, NOW + WEEK)
    assert seen(log) == [(1, b"a", b"1")]


def transactional(producer_id: int, sequence: int, *pairs: Pair) -> bytes:
    return encode_batch(
        [(NOW, key, value, ()) for key, value in pairs],
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=sequence,
        attributes=0x10,
    )


def test_an_open_transaction_stops_the_cleaning_and_an_aborted_one_replaces_nothing() -> None:
    log = log_of((b"a", b"kept"))
    log.append(transactional(7, 0, (b"a", b"aborted")), COMPACT, now_ms=NOW)
    log.append(encode_batch([(NOW, b"b", b"1", ())]), COMPACT, now_ms=NOW)
    log.append(encode_batch([(NOW, b"b", b"2", ())]), COMPACT, now_ms=NOW)
    assert not log.compact(COMPACT, NOW, everything=True)
    log.end_transaction(7, 0, commit=False, now_ms=NOW)
    assert log.compact(COMPACT, NOW, everything=True)
    assert seen(log) == [(0, b"a", b"kept"), (3, b"b", b"2")]
    assert (log.end_offset, log.last_stable_offset) == (5, 5)


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.sampled_from([b"1", b"2", None])), min_size=1, max_size=4
        ),
        max_size=8,
    ),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_a_reader_builds_the_same_table_from_the_clean_log(batches: list[list[Pair]], times: list[int]) -> None:
    log = log_of(*map(tuple, batches))  # type: ignore[arg-type]
    before = seen(log)
    table = {key: value for _, key, value in before}
    config = LogConfig(delete=False, compact=True, segment_ms=3, min_cleanable_dirty_ratio=0.0, delete_retention_ms=10)
    for at in sorted(times):
        log.compact(config, NOW + at)
        after = seen(log)
        assert {key for key, value in table.items() if value is not None} <= {key for _, key, _ in after}
        assert {key: value for _, key, value in after if value is not None or key in table}.items() <= table.items()
        assert set(after) <= set(before)
        assert [offset for each in log.offsets() for offset in each] == [offset for offset, _, _ in after]
        assert log.end_offset == len(before)
        for offset in range(len(before) + 1):
            assert [each.offset for each in log.records(offset)] == [each for each, _, _ in after if each >= offset]
    latest = {key: offset for offset, key, _ in before}
    log.compact(config, NOW + 1000, everything=True)
    log.compact(config, NOW + 2000, everything=True)
    assert seen(log) == [each for each in before if latest[each[1]] == each[0] and each[2] is not None]  # type: ignore[index]


# --- on a broker


def test_the_clock_compacts(broker: EmbeddedBroker, client: WireClient) -> None:
    clock = VirtualClock(NOW)
    broker.use_clock(clock)
    broker.create_topic("t", config={"cleanup.policy": "compact", "segment.ms": "1000"})
    for value in (b"old", b"new"):
        client.produce("t", encode_batch([(NOW, b"key", value, ())]))
    clock.advance(0.5)
    assert [each.value for each in broker.records("t")] == [b"old", b"new"]
    clock.advance(0.5)
    assert [each.value for each in broker.records("t")] == [b"new"]
    assert broker.offsets("t") == {0: (range(1, 2),)}
    assert client.produce("t", encode_batch([(NOW, None, b"no key", ())]))["error_code"] == ErrorCode.INVALID_RECORD


def test_a_topic_is_compacted_when_it_is_asked_for(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", config={"cleanup.policy": "compact,delete"})
    broker.create_topic("plain")
    producer = broker.producer()
    for value in ("1", "2", "3"):
        producer.produce("t", value, key="key")
        producer.flush()
    broker.compact("t")
    assert [(each.offset, each.value) for each in broker.records("t")] == [(2, b"3")]
    with pytest.raises(BrokerError, match=r"Topic 'plain' is not compacted: its cleanup\.policy is delete, set it to"):
        broker.compact("plain")
    with pytest.raises(BrokerError, match="There is no topic 'none'"):
        broker.compact("none")


# --- after an unclean election ----------------------------------------------------------------------------------------


def test_what_is_written_behind_a_truncation_is_new_to_the_cleaner() -> None:
    log = log_of(*((b"k", b"%d" % at) for at in range(6)))
    assert log.compact(COMPACT, NOW + WEEK + 10)
    log.truncate(2)
    for value in (b"x", b"y"):
        log.append(encode_batch([(NOW + WEEK, b"k", value, ())]), COMPACT, now_ms=NOW + WEEK)
    assert log.compact(COMPACT, NOW + 2 * WEEK + 10)
    assert seen(log) == [(3, b"k", b"y")]


def test_a_tombstone_behind_a_truncation_has_all_its_time() -> None:
    log = log_of((b"a", b"1"), (b"b", None), (b"a", b"2"))
    log.compact(COMPACT, NOW, everything=True)
    log.truncate(1)
    log.append(encode_batch([(NOW + 2 * DAY, b"c", None, ())]), COMPACT, now_ms=NOW + 2 * DAY)
    log.compact(COMPACT, NOW + 2 * DAY, everything=True)
    assert seen(log) == [(1, b"c", None)]
    log.compact(COMPACT, NOW + 3 * DAY, everything=True)
    assert seen(log) == []
