"""What a topic takes and refuses."""

from __future__ import annotations

import pytest

from pytest_msk import BrokerError, TopicExists


def test_name_that_is_taken_is_refused(msk_topic):
    msk_topic("orders")
    with pytest.raises(TopicExists, match="'orders'"):
        msk_topic("orders")


@pytest.mark.parametrize("name", ["a/b", "", ".", "x" * 250])
def test_illegal_name_is_refused_by_the_broker(msk_topic, name):
    with pytest.raises(BrokerError):
        msk_topic(name)


def test_made_up_name_is_legal_whatever_the_tests_is(msk_topic, request):
    request.node.name = "test_ü[a/b c-ß]" + "x" * 300
    assert msk_topic().name


def test_config_takes_numbers_and_booleans(msk_topic):
    topic = msk_topic(config={"retention.ms": 5_000, "preallocate": True, "min.cleanable.dirty.ratio": 0.25})
    topic.produce("x")
    with pytest.raises(TypeError, match=r"config\['retention.ms'\] is None: give text, a number or a boolean"):
        msk_topic(config={"retention.ms": None})


@pytest.mark.parametrize("partitions", ["3", 1.5, True])
def test_partitions_are_a_number(msk_topic, partitions):
    with pytest.raises(TypeError, match="give a number of partitions"):
        msk_topic(partitions=partitions)


@pytest.mark.parametrize("headers", ["abc", [(5, b"x")], [("a", 5)], [("a\ud800", b"x")], [("a", b"b", b"c")]])
def test_headers_that_are_none_are_refused(msk_topic, headers):
    topic = msk_topic()
    with pytest.raises(TypeError, match="eader"):
        topic.produce("x", headers=headers)
    assert topic.records() == []


@pytest.mark.parametrize("timestamp", [0, -1, 2**70, "now", 1.5])
def test_timestamp_is_epoch_milliseconds(msk_topic, timestamp):
    topic = msk_topic()
    with pytest.raises((TypeError, ValueError), match="epoch milliseconds"):
        topic.produce("x", timestamp=timestamp)


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_value_that_json_cannot_say_is_refused(msk_topic, value):
    topic = msk_topic()
    with pytest.raises(TypeError, match="what JSON can say"):
        topic.produce(value)


def test_refused_record_names_the_broker_s_reason(msk_topic):
    topic = msk_topic(config={"max.message.bytes": 1000})
    with pytest.raises(BrokerError, match=r"refused 1 of 1 records .* too large"):
        topic.produce(b"x" * 5000)
    with pytest.raises(BrokerError, match="Unknown partition"):
        topic.produce(b"x", partition=7)


def test_partitions_that_are_added_get_records(msk_topic, msk_broker):
    topic = msk_topic()
    topic.produce("x")
    msk_broker.create_partitions(topic.name, 3)
    assert topic.partitions == 3
    assert topic.produce("y", partition=2).partition == 2
    assert {topic.produce("z").partition for _ in range(3)} == {0, 1, 2}


def test_expired_records_are_gone(msk_topic):
    topic = msk_topic(partitions=2)
    topic.produce_many(range(10))
    topic.expire(before=2)
    assert [(r.partition, r.offset) for r in topic.records()] == [(p, o) for p in (0, 1) for o in (2, 3, 4)]
    topic.expire({0: 4})
    assert {p: (mark.low, mark.high) for p, mark in topic.watermarks().items()} == {0: (4, 5), 1: (2, 5)}
    topic.expire()
    assert topic.records() == []


def test_records_are_read_at_their_offsets(msk_topic):
    topic = msk_topic(partitions=2)
    for value in range(8):
        topic.produce(str(value), partition=value % 2)
    found = topic.at({1: (range(1, 2), range(3, 4)), 0: (range(2),)})
    assert [record.value for record in found] == [b"3", b"7", b"0", b"2"]
    assert topic.at({}) == []


def test_offsets_that_the_log_does_not_have_are_told(msk_topic):
    topic = msk_topic()
    topic.produce_many("ab")
    with pytest.raises(
        BrokerError, match=r"^2 of 3 records are not in the log of .* the first one at partition 0, offset 2"
    ):
        topic.at({0: (range(1, 4),)})
    with pytest.raises(BrokerError, match=r"^1 of 1 records are not in the log of .* at partition 0, offset 5"):
        topic.at({0: (range(5, 6),)})
