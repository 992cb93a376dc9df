"""Record batches by hand: what a broker takes, what it refuses, and in which words."""

from __future__ import annotations

import gzip
import struct
import time

import cramjam
import pytest
from kafka_api import ask, fetch, list_offsets, produce
from kafka_wire import batch, init_producer_id, record

UNKNOWN_SERVER_ERROR = -1
CORRUPT, UNKNOWN_TOPIC, TOO_LARGE, INVALID_TIMESTAMP, INVALID_RECORD = 2, 3, 10, 32, 87
OUT_OF_ORDER, INVALID_EPOCH, UNSUPPORTED_CODEC = 45, 47, 76
HOUR = 3_600_000


def lz4(data):
    """A frame of one block, independent of others as Kafka wants it; the block is stored uncompressed."""
    return bytes.fromhex("04224d18604082") + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4)


COMPRESSED = {
    1: gzip.compress,
    2: lambda data: bytes(cramjam.snappy.compress_raw(data)),
    3: lz4,
    4: lambda data: bytes(cramjam.zstd.compress(data)),
}


def compressed(codec, *records, **fields):
    return batch(*records, attributes=codec, body=COMPRESSED[codec](b"".join(records)), **fields)


def now():
    return int(time.time() * 1000)


@pytest.fixture
def name(topic):
    return topic()


# --- what is inside


@pytest.mark.parametrize("codec", COMPRESSED)
def test_compressed_records_are_kept_as_they_came(wire, name, codec):
    data = compressed(codec, record(0, b"a" * 100), record(1, b"b" * 100))
    assert produce(wire, name, data)["base_offset"] == 0
    found = fetch(wire, name)
    assert found["high_watermark"] == 2
    assert bytes(found["records"])[16:] == data[16:]


@pytest.mark.parametrize("codec", COMPRESSED)
def test_a_time_is_found_inside_compressed_records(wire, name, codec):
    records = [record(at, b"x", time_delta=at * 10) for at in range(5)]
    produce(wire, name, compressed(codec, *records, timestamp=1_000, max_timestamp=1_040))
    assert list_offsets(wire, name, 1_015)["offset"] == 2


@pytest.mark.parametrize("version", [3, 6, 7])
def test_zstandard_needs_version_7(wire, name, version):
    data = compressed(4, record(0, b"a"))
    assert produce(wire, name, data, version=version)["error_code"] == (UNSUPPORTED_CODEC if version < 7 else 0)


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_a_compression_that_does_not_exist_is_refused(wire, name, codec):
    answer = produce(wire, name, batch(record(0, b"a"), attributes=codec))
    assert answer["error_code"] == UNKNOWN_SERVER_ERROR
    assert fetch(wire, name)["high_watermark"] == 0


def test_values_keys_and_headers_may_be_null_or_empty(wire, name):
    data = batch(
        record(0, None),
        record(1, b"", key=b""),
        record(2, None, key=None, headers=[("", None), ("h", b""), ("h", b"\0")]),
    )
    assert produce(wire, name, data)["error_code"] == 0
    assert bytes(fetch(wire, name)["records"])[61:] == data[61:]


def test_a_batch_of_a_thousand_records_gets_a_thousand_offsets(wire, name):
    data = batch(*(record(at, b"%d" % at) for at in range(1_000)))
    assert produce(wire, name, data)["base_offset"] == 0
    assert produce(wire, name, batch(record(0, b"next")))["base_offset"] == 1_000


# --- sizes


@pytest.mark.parametrize(("extra", "error"), [(0, 0), (1, TOO_LARGE)])
def test_the_limit_is_the_whole_batch(wire, topic, extra, error):
    data = batch(record(0, b"x" * 500))
    name = topic(max_message_bytes=len(data) - extra)
    answer = produce(wire, name, data)
    assert (answer["error_code"], answer["error_message"]) == (error, None)


@pytest.mark.parametrize("cut", [1, 30, 60, 110, 160])
def test_a_batch_that_is_cut_off_is_refused(wire, name, cut):
    data = batch(record(0, b"x" * 100))
    assert produce(wire, name, data[:-cut])["error_code"] == INVALID_RECORD
    assert fetch(wire, name)["high_watermark"] == 0


def test_a_batch_without_records_is_refused(wire, name):
    answer = produce(wire, name, batch(last_delta=-1, count=0))
    assert answer["error_code"] == INVALID_RECORD
    assert fetch(wire, name)["high_watermark"] == 0


def test_no_batch_at_all_is_refused(wire, name):
    assert produce(wire, name, b"")["error_code"] == INVALID_RECORD


def test_a_wrong_checksum_is_corrupt(wire, name):
    assert produce(wire, name, batch(record(0, b"x"), crc=1))["error_code"] == CORRUPT


@pytest.mark.parametrize("at", [23, 30, 57, 62, -1])
def test_any_byte_that_changes_behind_the_checksum_is_noticed(wire, name, at):
    data = bytearray(batch(record(0, b"value")))
    data[at] ^= 0x40
    assert produce(wire, name, bytes(data))["error_code"] == CORRUPT
    assert fetch(wire, name)["high_watermark"] == 0


@pytest.mark.parametrize(("magic", "error"), [(0, INVALID_RECORD), (1, INVALID_RECORD), (3, CORRUPT)])
def test_other_formats_are_refused(wire, name, magic, error):
    assert produce(wire, name, batch(record(0, b"x"), magic=magic))["error_code"] == error
    assert fetch(wire, name)["high_watermark"] == 0


# --- keys and times


def test_every_record_without_a_key_is_named(wire, topic):
    name = topic(cleanup_policy="compact")
    answer = produce(wire, name, batch(record(0, b"a"), record(1, b"b", key=b"k"), record(2, b"c")))
    assert answer["error_code"] == INVALID_RECORD
    text = f"Compacted topic cannot accept message without key in topic partition {name}-0"
    assert answer["record_errors"] == [{"batch_index": at, "message": text} for at in (0, 2)]
    shown = ", ".join(f"RecordError(batchIndex={at}, message='{text}')" for at in (0, 2))
    assert answer["error_message"] == (
        "One or more records have been rejected due to 2 record errors in total, and only showing the first three "
        f"errors at most: [{shown}]"
    )


def test_a_tombstone_has_a_key(wire, topic):
    name = topic(cleanup_policy="compact")
    assert produce(wire, name, batch(record(0, None, key=b"k")))["error_code"] == 0
    assert produce(wire, name, batch(record(0, b"x", key=b"")))["error_code"] == 0, "an empty key is one"


@pytest.mark.parametrize(("delta", "error"), [(HOUR // 2, 0), (2 * HOUR, INVALID_TIMESTAMP)])
def test_the_future_has_a_limit(wire, topic, delta, error):
    name = topic(message_timestamp_after_max_ms=HOUR)
    answer = produce(wire, name, batch(record(0, b"x"), timestamp=now() + delta))
    assert answer["error_code"] == error
    assert [each["batch_index"] for each in answer["record_errors"]] == ([0] if error else [])


@pytest.mark.parametrize(("delta", "error"), [(HOUR // 2, 0), (2 * HOUR, INVALID_TIMESTAMP)])
def test_the_past_has_a_limit(wire, topic, delta, error):
    name = topic(message_timestamp_before_max_ms=HOUR)
    answer = produce(wire, name, batch(record(0, b"x"), timestamp=now() - delta))
    assert answer["error_code"] == error


def test_one_record_of_the_wrong_time_refuses_the_batch_and_is_named(wire, topic):
    name, base = topic(message_timestamp_after_max_ms=HOUR), now()
    records = [record(0, b"a"), record(1, b"b", time_delta=2 * HOUR), record(2, b"c")]
    answer = produce(wire, name, batch(*records, timestamp=base, max_timestamp=base + 2 * HOUR))
    assert answer["error_code"] == INVALID_TIMESTAMP
    assert [each["batch_index"] for each in answer["record_errors"]] == [1]
    assert fetch(wire, name)["high_watermark"] == 0


def test_the_brokers_own_time_has_no_limits(wire, topic):
    name = topic(message_timestamp_type="LogAppendTime", message_timestamp_before_max_ms=HOUR)
    answer = produce(wire, name, batch(record(0, b"x"), timestamp=5))
    assert answer["error_code"] == 0
    assert abs(answer["log_append_time_ms"] - now()) < 60_000


def test_every_record_of_a_batch_gets_the_brokers_time(wire, topic):
    name = topic(message_timestamp_type="LogAppendTime")
    records = [record(at, b"x", time_delta=at) for at in range(3)]
    appended = produce(wire, name, batch(*records, timestamp=1_000, max_timestamp=1_002))["log_append_time_ms"]
    found = list_offsets(wire, name, 2_000)
    assert (found["offset"], found["timestamp"]) == (0, appended)
    assert list_offsets(wire, name, appended + 1)["offset"] == -1


@pytest.mark.parametrize("timestamp", [-1, 0, 2**62])
def test_any_time_is_taken_where_nothing_else_is_said(wire, topic, timestamp):
    name = topic()
    assert produce(wire, name, batch(record(0, b"x"), timestamp=timestamp))["error_code"] == 0


# --- several partitions in one request


def several(wire, *parts, acks=-1):
    topics = [{"name": topic, "partitions": [{"index": at, "records": data}]} for topic, at, data in parts]
    answer = ask(wire, "Produce", transactional_id=None, acks=acks, timeout_ms=5_000, topics=topics)
    return {
        (each["name"], one["index"]): (one["error_code"], one["base_offset"])
        for each in answer["topics"]
        for one in each["partitions"]
    }


def test_partitions_fail_each_for_itself(wire, topic):
    name, other = topic(partitions=2), topic(cleanup_policy="compact")
    good = batch(record(0, b"x"))
    answer = several(wire, (name, 1, good), (other, 0, good), ("t-not-there", 0, good))
    wanted = {(name, 1): (0, 0), (other, 0): (INVALID_RECORD, -1), ("t-not-there", 0): (UNKNOWN_TOPIC, -1)}
    assert answer == wanted


def test_a_request_without_partitions_is_answered(wire):
    assert several(wire) == {}


@pytest.mark.parametrize("acks", [1, -1])
def test_every_kind_of_acks_tells_the_offset(wire, name, acks):
    assert [produce(wire, name, batch(record(0, b"x")), acks=acks)["base_offset"] for _ in range(3)] == [0, 1, 2]


def test_more_copies_than_there_are_means_all_that_there_are(wire, topic):
    name = topic(min_insync_replicas=2)
    assert produce(wire, name, batch(record(0, b"x")), acks=-1)["error_code"] == 0


def test_the_start_of_the_log_is_in_the_answer(wire, name, msk_broker):
    produce(wire, name, batch(*(record(at, b"x") for at in range(5))))
    msk_broker.delete_records(name, {0: 3})
    assert produce(wire, name, batch(record(0, b"y")))["log_start_offset"] == 3


# --- idempotent producers


@pytest.fixture
def producer(wire):
    """Makes batches of a new producer: `producer(sequence, count=1, epoch=0)`."""
    number, first_epoch = init_producer_id(wire)

    def make(sequence, count=1, epoch=0):
        return batch(*(record(at, b"x") for at in range(count)), producer=(number, first_epoch + epoch, sequence))

    return make


def sent(wire, name, data):
    answer = produce(wire, name, data)
    return answer["error_code"], answer["base_offset"]


def test_the_sixth_last_batch_is_no_longer_known(wire, name, producer):
    for sequence in range(6):
        assert sent(wire, name, producer(sequence)) == (0, sequence)
    assert sent(wire, name, producer(1)) == (0, 1)
    assert sent(wire, name, producer(0))[0] == OUT_OF_ORDER


def test_a_repeated_batch_of_another_size_is_out_of_order(wire, name, producer):
    assert sent(wire, name, producer(0, count=3)) == (0, 0)
    assert sent(wire, name, producer(0, count=2))[0] == OUT_OF_ORDER
    assert sent(wire, name, producer(0, count=3)) == (0, 0)


def test_batches_of_several_records_count_by_records(wire, name, producer):
    assert sent(wire, name, producer(0, count=3)) == (0, 0)
    assert sent(wire, name, producer(3, count=2)) == (0, 3)
    assert sent(wire, name, producer(4))[0] == OUT_OF_ORDER
    assert sent(wire, name, producer(5)) == (0, 5)


def test_partitions_count_each_for_itself(wire, topic, producer):
    name = topic(partitions=2)
    for partition in range(2):
        answer = produce(wire, name, producer(0), partition=partition)
        assert (answer["error_code"], answer["base_offset"]) == (0, 0)


def test_an_unknown_producer_begins_where_it_is(wire, name, producer):
    assert sent(wire, name, producer(7)) == (0, 0)
    assert sent(wire, name, producer(8)) == (0, 1)


def test_a_newer_epoch_fences_the_older(wire, name, producer):
    assert sent(wire, name, producer(0)) == (0, 0)
    assert sent(wire, name, producer(0, epoch=2)) == (0, 1)
    assert sent(wire, name, producer(1, epoch=1))[0] == INVALID_EPOCH
    assert sent(wire, name, producer(1, epoch=2)) == (0, 2)


def test_a_repeated_batch_is_known_after_a_newer_one_of_its_epoch(wire, name, producer):
    for sequence in range(3):
        sent(wire, name, producer(sequence))
    assert sent(wire, name, producer(0)) == (0, 0)
    assert fetch(wire, name)["high_watermark"] == 3


def test_a_producer_needs_a_sequence(wire, name, producer):
    assert sent(wire, name, producer(-1))[0] == INVALID_RECORD
    assert fetch(wire, name)["high_watermark"] == 0


def test_sequences_begin_anew_behind_the_largest(wire, name, producer):
    largest = 2**31 - 1
    assert sent(wire, name, producer(largest - 1, count=2)) == (0, 0)
    assert sent(wire, name, producer(0)) == (0, 2)


def test_an_idempotent_batch_survives_deleted_records(wire, name, producer, msk_broker):
    for sequence in range(3):
        sent(wire, name, producer(sequence))
    msk_broker.delete_records(name, {0: 3})
    assert sent(wire, name, producer(3)) == (0, 3)
    assert sent(wire, name, producer(3)) == (0, 3)
