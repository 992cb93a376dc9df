"""How a log is read: in order, from any offset, by time, waiting or not, and past its ends."""

from __future__ import annotations

import threading
import time

import pytest
from broker_tools import PATIENCE, read, read_from
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, TopicPartition
from kafka_wire import FETCH, Wire, batch, fetch, fetch_body, fetched, list_offset, produce, record

OUT_OF_RANGE, UNKNOWN_TOPIC = 1, 3


def stored(wire, name, *batches):
    for data in batches:
        assert produce(wire, name, data)[0] == 0


# --- reading


def test_partitions_are_read_in_order_each(topic, send, consumer, group):
    name = topic(partitions=5)
    for partition in range(5):
        send(name, *(b"%d" % n for n in range(200)), partition=partition)
    one = consumer(group)
    one.assign([TopicPartition(name, partition, 0) for partition in range(5)])
    seen = {partition: [] for partition in range(5)}
    for message in read(one, 1_000):
        seen[message.partition()].append((message.offset(), int(message.value())))
    assert all(found == [(n, n) for n in range(200)] for found in seen.values())


def test_a_topic_of_50_partitions_is_read_as_a_whole(topic, send, consumer, group):
    name = topic(partitions=50)
    for partition in range(50):
        send(name, b"%d" % partition, partition=partition)
    one = consumer(group)
    one.subscribe([name])
    assert sorted(int(message.value()) for message in read(one, 50)) == list(range(50))


@pytest.mark.parametrize("offset", [0, 1, 57, 99])
def test_reading_starts_at_the_offset_that_was_asked_for(topic, send, consumer, group, offset):
    name = topic()
    send(name, *(b"%d" % n for n in range(100)))
    found = read_from(consumer(group), name, 100 - offset, offset=offset)
    assert [int(one.value()) for one in found] == list(range(offset, 100))


def test_an_offset_inside_a_compressed_batch_is_found(topic, send, consumer, group):
    name = topic()
    send(name, *(b"%d" % n for n in range(100)), settings={"compression_type": "gzip", "linger_ms": 100})
    assert [one.offset() for one in read_from(consumer(group), name, 3, offset=97)] == [97, 98, 99]


def test_the_end_of_a_partition_is_told_when_it_is_asked_for(topic, send, consumer, group):
    name = topic()
    send(name, b"x")
    one = consumer(group, enable_partition_eof=True)
    one.assign([TopicPartition(name, 0, 0)])
    first, second = one.poll(PATIENCE), one.poll(PATIENCE)
    assert first.error() is None
    assert second.error().code() == KafkaError._PARTITION_EOF
    assert second.offset() == 1


def test_a_record_is_seen_while_the_consumer_waits(topic, send, consumer, group):
    name = topic()
    one = consumer(group, fetch_wait_max_ms=10_000)
    one.assign([TopicPartition(name, 0, 0)])
    assert one.poll(0.3) is None, "there is nothing yet, and a fetch is waiting"
    sent = time.monotonic()
    send(name, b"awaited")
    assert read(one, 1)[0].value() == b"awaited"
    assert time.monotonic() - sent < 5, "the waiting fetch was answered when the record came"


def test_a_fetch_waits_no_longer_than_it_says(wire, topic):
    name, started = topic(), time.monotonic()
    assert fetch(wire, name, 0, max_wait_ms=300) == (0, 0, b"")
    assert 0.25 < time.monotonic() - started < 5


def test_a_fetch_that_need_not_wait_does_not(wire, topic):
    name, started = topic(), time.monotonic()
    assert fetch(wire, name, 0, max_wait_ms=10_000, min_bytes=0) == (0, 0, b"")
    assert time.monotonic() - started < 5


def test_a_fetch_waits_for_as_many_bytes_as_it_wants(wire, topic, msk_broker):
    name = topic()
    stored(wire, name, batch(record(0, b"a")))
    with Wire(msk_broker.bootstrap_servers) as reader:
        sent = reader.send(FETCH, 4, fetch_body(name, 0, max_wait_ms=20_000, min_bytes=1_000))
        assert reader.is_silent(0.3)
        stored(wire, name, batch(record(0, b"b" * 2_000)))
        answer = reader.receive()
    assert answer.int32() == sent
    error, high, data = fetched(answer)
    assert (error, high) == (0, 2)
    assert len(data) > 2_000


def test_the_high_watermark_is_the_end_of_the_log(wire, topic):
    name = topic()
    stored(wire, name, batch(record(0, b"a"), record(1, b"b")), batch(record(0, b"c")))
    assert fetch(wire, name, 0)[1] == 3


def test_batches_come_back_byte_for_byte_but_for_their_offset_and_epoch(wire, topic):
    name = topic()
    sent = [
        batch(record(0, b"a", headers=[("h", b"1"), ("h", None)]), record(1, None, key=b"k"), timestamp=1_000),
        batch(record(0, b"b" * 100), timestamp=2_000),
    ]
    stored(wire, name, *sent)
    data = fetch(wire, name, 0)[2]
    expected = b"".join(
        base.to_bytes(8, "big") + one[8:12] + bytes(4) + one[16:] for base, one in zip((0, 2), sent, strict=True)
    )
    assert data == expected


def test_a_batch_comes_whole_when_an_offset_inside_it_is_asked_for(wire, topic):
    name = topic()
    stored(wire, name, batch(record(0, b"a"), record(1, b"b"), record(2, b"c")))
    assert int.from_bytes(fetch(wire, name, 2)[2][:8], "big") == 0


def test_the_first_batch_comes_even_when_it_is_above_the_limit(wire, topic):
    name = topic()
    stored(wire, name, batch(record(0, b"x" * 10_000)), batch(record(0, b"y")))
    data = fetch(wire, name, 0, partition_max_bytes=1)[2]
    assert len(data) > 10_000
    assert int.from_bytes(data[8:12], "big") + 12 == len(data), "and nothing behind it"


def test_a_limit_keeps_later_batches_back(wire, topic):
    name = topic()
    for _ in range(10):
        stored(wire, name, batch(record(0, b"x" * 1_000)))
    data = fetch(wire, name, 0, partition_max_bytes=3_500)[2]
    assert 1_000 < len(data) <= 3_500


# --- ends


@pytest.mark.parametrize("offset", [-1, 4, 1_000_000])
def test_a_fetch_outside_the_log_is_out_of_range(wire, topic, offset):
    name = topic()
    stored(wire, name, batch(record(0, b"a"), record(1, b"b"), record(2, b"c")))
    error, _, data = fetch(wire, name, offset)
    assert (error, data) == (OUT_OF_RANGE, b"")


def test_a_fetch_at_the_end_is_empty_and_no_error(wire, topic):
    name = topic()
    stored(wire, name, batch(record(0, b"a")))
    assert fetch(wire, name, 1) == (0, 1, b"")


def test_a_fetch_below_the_deleted_records_is_out_of_range(wire, topic, msk_broker):
    name = topic()
    stored(wire, name, *[batch(record(0, b"x"))] * 5)
    msk_broker.delete_records(name, {0: 3})
    assert fetch(wire, name, 2)[0] == OUT_OF_RANGE
    assert fetch(wire, name, 3)[0] == 0


def test_a_fetch_of_a_topic_or_partition_that_is_not_there_is_unknown(wire, topic):
    assert fetch(wire, "t-that-is-not-there", 0)[0] == UNKNOWN_TOPIC
    assert fetch(wire, topic(), 0, partition=1)[0] == UNKNOWN_TOPIC


@pytest.mark.parametrize(("reset", "expected"), [("earliest", b"3"), ("latest", b"new")])
def test_an_offset_out_of_range_goes_where_the_consumer_says(topic, send, consumer, group, msk_broker, reset, expected):
    name = topic()
    send(name, *(b"%d" % n for n in range(6)))
    msk_broker.delete_records(name, {0: 3})
    one = consumer(group, auto_offset_reset=reset)
    one.assign([TopicPartition(name, 0, 1)])
    if reset == "latest":
        assert one.poll(1) is None
        send(name, b"new")
    assert read(one, 1)[0].value() == expected


def test_an_offset_out_of_range_is_an_error_when_the_consumer_says_so(topic, send, consumer, group):
    name = topic()
    send(name, b"x")
    one = consumer(group, auto_offset_reset="error")
    one.assign([TopicPartition(name, 0, 50)])
    assert one.poll(PATIENCE).error().code() == KafkaError._AUTO_OFFSET_RESET


@pytest.mark.parametrize(("where", "expected"), [(OFFSET_BEGINNING, b"old"), (OFFSET_END, b"new")])
def test_a_consumer_can_start_at_either_end(topic, send, consumer, group, where, expected):
    name = topic()
    send(name, b"old")
    one = consumer(group)
    one.assign([TopicPartition(name, 0, where)])
    if where == OFFSET_END:
        assert one.poll(1) is None
        send(name, b"new")
    assert read(one, 1)[0].value() == expected


# --- offsets by name and by time


def test_the_ends_of_a_log_move_with_it(topic, send, consumer, group, msk_broker):
    name, one = topic(), consumer(group)
    where = TopicPartition(name, 0)
    assert one.get_watermark_offsets(where, timeout=PATIENCE) == (0, 0)
    send(name, *[b"x"] * 5)
    assert one.get_watermark_offsets(where, timeout=PATIENCE) == (0, 5)
    msk_broker.delete_records(name, {0: 2})
    assert one.get_watermark_offsets(where, timeout=PATIENCE) == (2, 5)
    msk_broker.delete_records(name, {0: 5})
    assert one.get_watermark_offsets(where, timeout=PATIENCE) == (5, 5)


def test_the_ends_by_hand(wire, topic):
    name = topic()
    stored(wire, name, batch(record(0, b"a"), record(1, b"b"), timestamp=7_000))
    assert list_offset(wire, name, -2) == (0, -1, 0)
    assert list_offset(wire, name, -1) == (0, -1, 2)
    assert list_offset(wire, "t-that-is-not-there", -1)[0] == UNKNOWN_TOPIC
    assert list_offset(wire, name, -1, partition=9)[0] == UNKNOWN_TOPIC


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_time_finds_the_first_record_that_is_not_older(topic, producer, msk_broker, codec):
    name = topic()
    one = producer(compression_type=codec, linger_ms=100)
    for n in range(10):  # one batch: the offset has to be found inside it
        one.produce(name, b"x" * 100, timestamp=1_000_000 + n * 1_000)
    assert one.flush(PATIENCE) == 0
    for n in range(10):
        assert msk_broker.offsets_for_time(name, 1_000_000 + n * 1_000) == {0: n}
        assert msk_broker.offsets_for_time(name, 1_000_000 + n * 1_000 - 999) == {0: n}
    assert msk_broker.offsets_for_time(name, 0) == {0: 0}
    assert msk_broker.offsets_for_time(name, 1_009_001) == {0: 10}, "none is that young: the end"


def test_a_time_in_a_log_whose_times_go_back_and_forth(wire, topic):
    name = topic()
    for timestamp in (5_000, 9_000, 3_000, 9_500):
        stored(wire, name, batch(record(0, b"x"), timestamp=timestamp))
    assert [list_offset(wire, name, when)[1:] for when in (1, 5_000, 5_001, 9_000, 9_001, 9_500)] == [
        (5_000, 0),
        (5_000, 0),
        (9_000, 1),
        (9_000, 1),
        (9_500, 3),
        (9_500, 3),
    ]
    assert list_offset(wire, name, 9_501) == (0, -1, -1)


def test_a_time_inside_a_batch_whose_times_go_back_and_forth(wire, topic):
    name = topic()
    records = [record(n, b"x", time_delta=delta) for n, delta in enumerate((0, 500, 200, 900))]
    stored(wire, name, batch(*records, timestamp=10_000, max_timestamp=10_900))
    assert [list_offset(wire, name, 10_000 + delta)[2] for delta in (0, 100, 500, 501, 900)] == [0, 1, 1, 3, 3]


def test_a_time_does_not_find_deleted_records(topic, send, msk_broker):
    name = topic()
    for n in range(5):
        send(name, b"x", timestamp=1_000 * (n + 1))
    msk_broker.delete_records(name, {0: 3})
    assert msk_broker.offsets_for_time(name, 1_000) == {0: 3}


def test_a_consumer_asks_by_time_too(topic, send, consumer, group):
    name = topic(partitions=2)
    for n in range(4):
        send(name, b"x", timestamp=1_000 * (n + 1), partition=0)
    found = consumer(group).offsets_for_times(
        [TopicPartition(name, 0, 2_500), TopicPartition(name, 1, 2_500)], timeout=PATIENCE
    )
    assert [at.offset for at in found] == [2, OFFSET_END]


# --- a deleted topic


def test_a_deleted_topic_is_unknown(wire, topic, msk_broker):
    name = topic()
    stored(wire, name, batch(record(0, b"x")))
    msk_broker.delete_topic(name)
    assert fetch(wire, name, 0)[0] == UNKNOWN_TOPIC
    assert list_offset(wire, name, -1)[0] == UNKNOWN_TOPIC
    assert produce(wire, name, batch(record(0, b"x")))[0] == UNKNOWN_TOPIC


def test_a_topic_that_comes_back_starts_empty(topic, send, consumer, group, msk_broker):
    name = topic()
    send(name, *[b"old"] * 3)
    msk_broker.delete_topic(name)
    msk_broker.create_topic(name)
    assert msk_broker.watermarks(name)[0].high == 0
    send(name, b"new", settings={})
    assert [one.value() for one in read_from(consumer(group), name, 1)] == [b"new"]


def test_two_readers_get_the_same(topic, send, consumer, group):
    name = topic()
    send(name, *(b"%d" % n for n in range(1_000)))
    found = {}

    def run(number):
        found[number] = [one.value() for one in read_from(consumer(f"{group}-{number}"), name, 1_000)]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == [b"%d" % n for n in range(1_000)]


def test_watermarks_of_a_partition_that_is_not_there_are_an_error(topic, consumer, group):
    with pytest.raises(KafkaException) as raised:
        consumer(group).get_watermark_offsets(TopicPartition(topic(), 7), timeout=3)
    assert raised.value.args[0].code() in (KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART)
