"""What a broker does with records that are produced: keeps them as they are, numbers them, refuses the wrong ones."""

from __future__ import annotations

import time

import pytest
from broker_tools import PATIENCE, read, read_from
from confluent_kafka import KafkaError, KafkaException
from kafka_wire import Wire, batch, fetch, init_producer_id, produce, record

NOW = int(time.time() * 1000)

MESSAGE_TOO_LARGE, CORRUPT, UNKNOWN_TOPIC = 10, 2, 3
INVALID_REQUIRED_ACKS, INVALID_TIMESTAMP, OUT_OF_ORDER, NOT_TRANSACTIONAL, INVALID_RECORD = 21, 32, 45, 53, 87


def failure_of(producer, topic, value=b"x", **how):
    """The error with which one record is refused."""
    errors = []
    producer.produce(topic, value=value, on_delivery=lambda error, _: errors.append(error), **how)
    assert producer.flush(PATIENCE) == 0
    assert errors[0] is not None, "it was taken"
    return errors[0].code()


# --- records come back as they went in


@pytest.mark.parametrize("key", [None, b"", b"key", bytes(range(256))], ids=["null", "empty", "text", "every byte"])
@pytest.mark.parametrize("value", [None, b"", b"value", bytes(range(256))], ids=["null", "empty", "text", "every byte"])
def test_key_and_value_come_back_and_null_is_not_empty(topic, send, consumer, group, key, value):
    name = topic()
    send(name, value, key=key)
    (found,) = read_from(consumer(group), name, 1)
    assert (found.key(), found.value()) == (key, value)


def test_headers_come_back_in_order_with_their_doubles_nulls_and_bytes(topic, send, consumer, group):
    headers = [("b", b"1"), ("a", b""), ("b", None), ("", bytes(range(256))), ("ü☃", b"\xff\x80")]
    name = topic()
    send(name, b"with", headers=headers)
    send(name, b"without")
    first, second = read_from(consumer(group), name, 2)
    assert first.headers() == headers
    assert not second.headers()


@pytest.mark.parametrize(
    "timestamp", [1, 1_000_000_000_000, NOW, NOW + 30 * 86_400_000], ids=["1970", "2001", "now", "next month"]
)
def test_the_producers_timestamp_is_kept(topic, send, consumer, group, timestamp):
    name = topic()
    send(name, b"x", timestamp=timestamp)
    (found,) = read_from(consumer(group), name, 1)
    assert found.timestamp() == (1, timestamp)


def test_log_append_time_replaces_the_producers_timestamp(topic, send, consumer, group):
    name = topic(message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    send(name, b"x", b"y", timestamp=1_000)
    for found in read_from(consumer(group), name, 2):
        kind, timestamp = found.timestamp()
        assert kind == 2
        assert before - 60_000 <= timestamp <= time.time() * 1000 + 60_000


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_comes_back(topic, send, consumer, group, codec):
    name = topic()
    values = [b"%d-" % n * 50 for n in range(300)]
    send(name, *values, settings={"compression_type": codec, "linger_ms": 50})
    assert [found.value() for found in read_from(consumer(group), name, 300)] == values


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd", "uncompressed"])
def test_a_topic_with_a_compression_of_its_own_takes_every_producers(topic, send, consumer, group, codec):
    name = topic(compression_type=codec)
    values = [b"%d-" % n * 20 for n in range(50)]
    send(name, *values, settings={"compression_type": "gzip", "linger_ms": 50})
    assert [found.value() for found in read_from(consumer(group), name, 50)] == values


def test_a_record_of_6_mb_goes_through_a_topic_that_takes_it(topic, send, consumer, group):
    name = topic(max_message_bytes=8_000_000)
    big = bytes(range(256)) * 24_000
    send(name, b"before", big, b"after")
    assert [found.value() for found in read_from(consumer(group), name, 3)] == [b"before", big, b"after"]


# --- offsets and partitions


def test_offsets_count_up_from_0_in_each_partition(topic, send):
    name = topic(partitions=2)
    for partition in range(2):
        done = send(name, *[b"x"] * 5, partition=partition)
        assert [found.offset() for found in done] == [0, 1, 2, 3, 4]


def test_records_with_a_key_go_where_javas_producer_puts_them(topic, send):
    # murmur2 of Kafka's own test vectors (org.apache.kafka.common.utils.UtilsTest), positive, modulo 7.
    hashes = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
    name = topic(partitions=7)
    for key, number in hashes.items():
        (done,) = send(name, b"x", key=key)
        assert done.partition() == (number & 0x7FFFFFFF) % 7, key


def test_one_producers_order_is_the_logs_order(topic, send, consumer, group):
    name = topic()
    send(name, *(b"%d" % n for n in range(5_000)))
    found = read_from(consumer(group), name, 5_000)
    assert [int(one.value()) for one in found] == list(range(5_000))
    assert [one.offset() for one in found] == list(range(5_000))


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_kind_of_acks_stores_the_record(topic, producer, consumer, group, acks):
    name = topic()
    one = producer(acks=acks, enable_idempotence=False)
    one.produce(name, b"x")
    assert one.flush(PATIENCE) == 0
    reader = consumer(group)
    assert read_from(reader, name, 1)[0].value() == b"x"


def test_an_idempotent_producer_stores_each_record_once(topic, send, consumer, group):
    name = topic()
    send(name, *(b"%d" % n for n in range(2_000)), settings={"enable_idempotence": True, "linger_ms": 0})
    assert [int(one.value()) for one in read_from(consumer(group), name, 2_000)] == list(range(2_000))


# --- refusals


def test_a_record_above_the_topics_limit_is_refused_and_the_next_is_taken(topic, producer, send):
    name = topic(max_message_bytes=10_000)
    assert failure_of(producer(), name, b"x" * 20_000) == KafkaError.MSG_SIZE_TOO_LARGE
    assert send(name, b"small")[0].offset() == 0


def test_a_record_above_kafkas_default_limit_is_refused(topic, producer):
    assert failure_of(producer(), topic(), b"x" * 1_100_000) == KafkaError.MSG_SIZE_TOO_LARGE


def test_the_limit_is_that_of_the_compressed_batch(topic, send):
    name = topic(max_message_bytes=10_000)
    send(name, b"x" * 100_000, settings={"compression_type": "gzip"})


def test_a_topic_that_is_not_there_is_refused_and_not_created(new_name, producer, msk_broker):
    name = new_name()
    assert failure_of(producer(topic_metadata_propagation_max_ms=100), name) == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert name not in msk_broker.topics()


def test_a_partition_that_is_not_there_is_refused(topic, producer):
    name = topic(partitions=2)
    one = producer()
    one.produce(name, b"x", partition=1)  # the client has to know the topic to refuse the partition
    assert one.flush(PATIENCE) == 0
    try:
        code = failure_of(one, name, partition=2)
    except KafkaException as raised:
        code = raised.args[0].code()
    assert code == KafkaError._UNKNOWN_PARTITION


def test_a_record_of_the_far_future_is_refused_where_the_topic_says_so(topic, producer):
    name = topic(message_timestamp_after_max_ms=3_600_000)
    late = int(time.time() * 1000) + 2 * 3_600_000
    assert failure_of(producer(), name, timestamp=late) == KafkaError.INVALID_TIMESTAMP


def test_a_record_of_the_distant_past_is_refused_where_the_topic_says_so(topic, producer):
    name = topic(message_timestamp_before_max_ms=3_600_000)
    early = int(time.time() * 1000) - 2 * 3_600_000
    assert failure_of(producer(), name, timestamp=early) == KafkaError.INVALID_TIMESTAMP


def test_a_compacted_topic_wants_keys(topic, producer, send):
    name = topic(cleanup_policy="compact")
    assert failure_of(producer(), name) == KafkaError.INVALID_RECORD
    assert send(name, b"x", key=b"k")[0].offset() == 0


# --- batches that no client would make


def test_a_batch_by_hand_is_taken(wire, topic):
    name = topic()
    assert produce(wire, name, batch(record(0, b"a"), record(1, b"b"), timestamp=NOW)) == (0, 0, -1)
    assert produce(wire, name, batch(record(0, b"c"), timestamp=NOW)) == (0, 2, -1)


def test_the_broker_numbers_a_batch_itself(wire, topic):
    name = topic()
    produce(wire, name, batch(record(0, b"a")))
    data = batch(record(0, b"b"))
    assert produce(wire, name, (500).to_bytes(8, "big") + data[8:])[:2] == (INVALID_RECORD, -1)
    assert produce(wire, name, data)[:2] == (0, 1)
    assert int.from_bytes(fetch(wire, name, 1)[2][:8], "big") == 1


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (CORRUPT, batch(record(0, b"x"), crc=1)),
        (INVALID_RECORD, batch(record(0, b"x"), magic=1)),
        (INVALID_RECORD, batch(record(0, b"x")) + batch(record(0, b"y"))),
        (INVALID_RECORD, batch(record(0, b"x"), last_delta=4)),
        (INVALID_RECORD, batch(record(0, b"x"), attributes=0x20)),
        (NOT_TRANSACTIONAL, batch(record(0, b"x"), attributes=0x10)),
        (INVALID_RECORD, batch(record(0, b"x"), count=-1)),
        (INVALID_RECORD, b""),
    ],
    ids=[
        "wrong checksum",
        "old format",
        "two batches",
        "wrong last offset",
        "control batch",
        "transactional without a transactional id",
        "negative count",
        "nothing",
    ],
)
def test_a_batch_that_is_wrong_is_refused_and_not_stored(wire, topic, msk_broker, error, data):
    name = topic()
    assert produce(wire, name, data)[:2] == (error, -1)
    assert msk_broker.watermarks(name)[0].high == 0
    assert produce(wire, name, batch(record(0, b"good")))[:2] == (0, 0)


def test_a_partition_that_is_not_there_is_an_error_by_hand_too(wire, topic):
    assert produce(wire, topic(partitions=2), batch(record(0, b"x")), partition=2)[0] == UNKNOWN_TOPIC
    assert produce(wire, "t-that-is-not-there", batch(record(0, b"x")))[0] == UNKNOWN_TOPIC


@pytest.mark.parametrize("acks", [2, -2, 100])
def test_acks_are_minus_1_0_or_1(wire, topic, acks):
    assert produce(wire, topic(), batch(record(0, b"x")), acks=acks)[0] == INVALID_REQUIRED_ACKS


def test_log_append_time_is_in_the_answer_and_in_the_batch(wire, topic):
    name = topic(message_timestamp_type="LogAppendTime")
    error, offset, appended = produce(wire, name, batch(record(0, b"x"), timestamp=1_000))
    assert (error, offset) == (0, 0)
    assert abs(appended - time.time() * 1000) < 60_000
    data = fetch(wire, name, 0)[2]
    assert int.from_bytes(data[21:23], "big") & 0x08, "the attributes say who set the time"
    assert int.from_bytes(data[35:43], "big") == appended, "the greatest timestamp is that of the broker"


# --- idempotence by hand


def test_a_batch_that_is_sent_again_is_stored_once_and_gets_its_first_offset(wire, topic, msk_broker):
    name = topic()
    pid, epoch = init_producer_id(wire)
    batches = [batch(record(0, b"%d" % n), producer=(pid, epoch, n)) for n in range(5)]
    assert [produce(wire, name, data)[:2] for data in batches] == [(0, n) for n in range(5)]
    assert [produce(wire, name, data)[:2] for data in batches] == [(0, n) for n in range(5)]
    assert msk_broker.watermarks(name)[0].high == 5


def test_a_gap_in_the_sequence_is_refused(wire, topic, msk_broker):
    name = topic()
    pid, epoch = init_producer_id(wire)
    assert produce(wire, name, batch(record(0, b"0"), producer=(pid, epoch, 0)))[0] == 0
    assert produce(wire, name, batch(record(0, b"2"), producer=(pid, epoch, 2)))[0] == OUT_OF_ORDER
    assert msk_broker.watermarks(name)[0].high == 1
    assert produce(wire, name, batch(record(0, b"1"), producer=(pid, epoch, 1)))[:2] == (0, 1)


def test_every_producer_gets_an_id_of_its_own(wire, msk_broker):
    with Wire(msk_broker.bootstrap_servers) as other:
        assert len({init_producer_id(wire), init_producer_id(other), init_producer_id(wire)}) == 3


def test_an_old_epoch_is_fenced(wire, topic):
    name = topic()
    pid, epoch = init_producer_id(wire)
    assert produce(wire, name, batch(record(0, b"0"), producer=(pid, epoch + 1, 0)))[0] == 0
    assert produce(wire, name, batch(record(0, b"1"), producer=(pid, epoch, 1)))[0] == 47


def test_a_new_epoch_starts_its_sequence_at_0(wire, topic):
    name = topic()
    pid, epoch = init_producer_id(wire)
    assert produce(wire, name, batch(record(0, b"0"), producer=(pid, epoch, 0)))[0] == 0
    assert produce(wire, name, batch(record(0, b"1"), producer=(pid, epoch + 1, 1)))[0] == OUT_OF_ORDER
    assert produce(wire, name, batch(record(0, b"1"), producer=(pid, epoch + 1, 0)))[:2] == (0, 1)


def test_a_read_group_sees_what_was_produced_before_it_came(topic, send, consumer, group):
    name = topic()
    send(name, b"early")
    one = consumer(group)
    one.subscribe([name])
    assert read(one, 1)[0].value() == b"early"
