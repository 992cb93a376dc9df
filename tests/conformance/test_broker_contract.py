"""What every kind of broker promises to the rest of the kit (`pytest_msk.Broker`)."""

from __future__ import annotations

import pytest
from broker_tools import PATIENCE, read
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pytest_msk import BrokerError, TopicExists


def test_it_says_what_it_is(msk_broker):
    assert msk_broker.kind in ("embedded", "container", "external")
    assert all(limit.name and limit.reason and limit.instead for limit in msk_broker.limits)
    assert len({limit.name for limit in msk_broker.limits}) == len(msk_broker.limits)
    for server in msk_broker.bootstrap_servers.split(","):
        assert server.rpartition(":")[2].isdigit()


def test_any_client_can_be_made_from_its_config(msk_broker, topic):
    name = topic()
    one = Producer(msk_broker.client_config())
    one.produce(name, b"x")
    assert one.flush(PATIENCE) == 0
    reader = Consumer(msk_broker.client_config(group_id=name, auto_offset_reset="earliest"))
    try:
        reader.assign([TopicPartition(name, 0, 0)])
        assert read(reader, 1)[0].value() == b"x"
    finally:
        reader.close()
    assert name in AdminClient(msk_broker.client_config()).list_topics(timeout=PATIENCE).topics


def test_settings_win_over_the_kits_own(msk_broker):
    assert msk_broker.client_config(reconnect_backoff_ms=77, client_id="me")["reconnect.backoff.ms"] == 77
    assert msk_broker.client_config(client_id="me")["client.id"] == "me"


def test_a_topic_can_be_used_when_it_was_created(msk_broker, topic, producer, consumer):
    for _ in range(5):
        name = topic(partitions=10)
        one = producer()
        for partition in range(10):
            one.produce(name, b"x", partition=partition)
        assert one.flush(PATIENCE) == 0
        reader = consumer(name)
        reader.subscribe([name])
        read(reader, 10)


def test_a_topic_that_exists_is_not_touched(msk_broker, topic, send):
    name = topic(partitions=2)
    send(name, b"precious", partition=0)
    with pytest.raises(TopicExists, match=name):
        msk_broker.create_topic(name, partitions=5)
    assert msk_broker.partition_count(name) == 2
    assert msk_broker.watermarks(name)[0].high == 1


@pytest.mark.parametrize(
    ("name", "partitions", "config"),
    [("no name", 1, {}), ("t-zero", 0, {}), ("t-config", 1, {"no.such": "1"}), ("t-config", 1, {"retention.ms": "x"})],
)
def test_a_topic_that_cannot_be_is_refused(msk_broker, name, partitions, config):
    with pytest.raises(BrokerError):
        msk_broker.create_topic(name, partitions=partitions, config=config)
    assert name not in msk_broker.topics()


def test_deleting_twice_is_no_error_and_the_name_is_free_at_once(msk_broker, topic, send):
    name = topic()
    for partitions in (3, 1, 2):
        msk_broker.delete_topic(name)
        msk_broker.delete_topic(name)
        assert name not in msk_broker.topics()
        assert msk_broker.partition_count(name) == 0
        msk_broker.create_topic(name, partitions=partitions)
        assert list(msk_broker.watermarks(name)) == list(range(partitions))
        assert all((mark.low, mark.high) == (0, 0) for mark in msk_broker.watermarks(name).values())


def test_partitions_can_be_used_when_they_were_added(msk_broker, topic, producer):
    name = topic()
    msk_broker.create_partitions(name, 5)
    assert msk_broker.partition_count(name) == 5
    one = producer()
    for partition in range(5):
        one.produce(name, b"x", partition=partition)
    assert one.flush(PATIENCE) == 0
    assert [mark.high for mark in msk_broker.watermarks(name).values()] == [1] * 5


@pytest.mark.parametrize("total", [1, 2])
def test_partitions_are_not_taken_away(msk_broker, topic, total):
    name = topic(partitions=2)
    with pytest.raises(BrokerError):
        msk_broker.create_partitions(name, total)


def test_internal_topics_are_not_listed(msk_broker, topic, consumer, group):
    consumer(group).commit(offsets=[TopicPartition(topic(), 0, 1)], asynchronous=False)
    assert not [name for name in msk_broker.topics() if name.startswith("__")]


@pytest.mark.parametrize("ask", ["watermarks", "offsets"])
def test_the_log_of_a_topic_that_is_not_there_is_an_error(msk_broker, new_name, ask):
    with pytest.raises(BrokerError):
        getattr(msk_broker, ask)(new_name())


def test_offsets_follow_what_is_in_the_log(msk_broker, topic, send):
    name = topic(partitions=3)
    assert msk_broker.offsets(name) == {0: (), 1: (), 2: ()}
    send(name, *[b"x"] * 10, partition=0)
    send(name, *[b"x"] * 4, partition=2)
    assert msk_broker.offsets(name) == {0: (range(10),), 1: (), 2: (range(4),)}
    msk_broker.delete_records(name, {0: 7, 2: 4})
    assert msk_broker.offsets(name) == {0: (range(7, 10),), 1: (), 2: ()}


def test_offsets_of_a_long_log(msk_broker, topic, send):
    name = topic(partitions=2)
    for partition in range(2):
        send(name, *[b"x" * 50] * 20_000, partition=partition)
    assert msk_broker.offsets(name) == {0: (range(20_000),), 1: (range(20_000),)}


def test_times_find_offsets_per_partition(msk_broker, topic, send):
    name = topic(partitions=3)
    for n in range(3):
        send(name, b"x", partition=0, timestamp=1_000 * (n + 1))
    send(name, b"x", partition=1, timestamp=2_500)
    assert msk_broker.offsets_for_time(name, 2_000) == {0: 1, 1: 0, 2: 0}
    assert msk_broker.offsets_for_time(name, 9_000) == {0: 3, 1: 1, 2: 0}
    assert msk_broker.offsets_for_time(name, 0) == {0: 0, 1: 0, 2: 0}


def test_records_are_deleted_in_the_named_partitions_only(msk_broker, topic, send):
    name = topic(partitions=3)
    for partition in range(3):
        send(name, *[b"x"] * 5, partition=partition)
    msk_broker.delete_records(name, {0: 2, 2: 5})
    assert [mark.low for mark in msk_broker.watermarks(name).values()] == [2, 0, 5]
    msk_broker.delete_records(name, {})


@pytest.mark.parametrize("before", [{0: 6}, {9: 1}], ids=["beyond the end", "no such partition"])
def test_records_that_are_not_there_cannot_be_deleted(msk_broker, topic, send, before):
    name = topic()
    send(name, *[b"x"] * 5)
    with pytest.raises(BrokerError):
        msk_broker.delete_records(name, before)


def test_a_group_comes_with_its_commit_and_goes_when_it_is_deleted(msk_broker, topic, group, consumer):
    first, second = topic(partitions=2), topic()
    assert msk_broker.committed(group, first) == {}
    one = consumer(group)
    one.commit(offsets=[TopicPartition(first, 1, 3), TopicPartition(second, 0, 8)], asynchronous=False)
    assert group in msk_broker.groups()
    assert msk_broker.committed(group, first) == {1: 3}
    assert msk_broker.committed(group, second) == {0: 8}
    one.close()
    msk_broker.delete_group(group)
    msk_broker.delete_group(group)
    assert group not in msk_broker.groups()
    assert msk_broker.committed(group, first) == {}


def test_a_group_whose_member_has_just_left_is_deleted(msk_broker, topic, group, consumer):
    one = consumer(group)
    one.subscribe([topic()])
    one.poll(0.5)
    one.close()
    msk_broker.delete_group(group)
    assert group not in msk_broker.groups()


def test_a_consumer_reads_from_the_earliest_record_on_and_commits_nothing_by_itself(msk_broker, topic, send, group):
    name = topic()
    send(name, *[b"x"] * 5)
    reader = msk_broker.consumer(group)
    reader.subscribe([name])
    assert [one.offset() for one in read(reader, 5)] == [0, 1, 2, 3, 4]
    reader.close()
    assert msk_broker.committed(group, name) == {}
    msk_broker.delete_group(group)


def test_a_record_stamped_in_the_far_future_or_past_is_kept(msk_broker, topic, send):
    name = topic()
    send(name, b"x", timestamp=4_102_444_800_000)
    send(name, b"x", timestamp=1_000)
    assert msk_broker.offsets(name) == {0: (range(2),)}
