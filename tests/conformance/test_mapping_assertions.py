"""The assertions on a real broker: what is committed, what the filters decided, and the records of other clients."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition

from pytest_msk import (
    Consumption,
    assert_at_least_once,
    assert_committed,
    assert_exactly_once,
    assert_no_anomalies,
    assert_no_redelivery,
    assert_ordered,
    find_anomalies,
)

ORDERS = {"Filters": [{"Pattern": '{"value": {"kind": ["order"]}}'}]}


def nothing(event, context):
    """Succeeds."""


def test_what_is_committed(msk_topic, msk_esm):
    topic = msk_topic("orders", partitions=3)
    topic.produce_many("abc", partition=0)
    topic.produce("d", partition=2)
    esm = msk_esm(nothing, topic, consumer_group_id="billing")
    with pytest.raises(AssertionError) as raised:
        assert_committed(esm)
    assert str(raised.value) == (
        "Group 'billing' has not committed the end of each log in 'orders':\n"
        "  orders-0: committed nothing, expected 3: offsets 0-2 are not committed\n"
        "  orders-2: committed nothing, expected 1: offset 0 is not committed"
    )
    esm.drain()
    assert_committed(esm)
    assert_committed(esm, {0: 3, 2: 1})
    assert_committed(topic, {0: 3, 2: 1}, group="billing")
    with pytest.raises(AssertionError) as raised:
        assert_committed(topic, {0: 2, 1: 4, 2: 1}, group="billing")
    assert str(raised.value) == (
        "Group 'billing' has not committed {0: 2, 1: 4, 2: 1} in 'orders':\n"
        "  orders-0: committed 3, expected 2: 1 too far\n"
        "  orders-1: committed nothing, expected 4: offsets 0-3 are not committed"
    )


def test_whose_offsets_must_be_said(msk_topic):
    topic = msk_topic()
    with pytest.raises(TypeError, match="Whose offsets"):
        assert_committed(topic)
    with pytest.raises(TypeError, match="does not know the broker"):
        assert_committed(Consumption("orders", group="billing"))
    with pytest.raises(TypeError, match="Whose offsets"):
        assert_committed(Consumption(topic))


def test_decisions_of_the_filters_are_held_against_the_log(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce_many({"kind": kind} for kind in ("order", "refund", "order", "refund"))
    esm = msk_esm(nothing, topic, filter_criteria=ORDERS)
    esm.drain()
    assert_no_anomalies(esm)
    careless = Consumption(topic, filter_criteria=ORDERS)
    records = topic.records()
    careless.filtered(records[2:])
    careless.delivered(records[:2])
    assert [(anomaly.name, anomaly.offsets.start) for anomaly in find_anomalies(careless)] == [
        ("matching-filtered", 2),
        ("filtered-delivered", 1),
    ]


def test_an_update_is_not_held_against_what_came_before_it(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce_many({"kind": kind} for kind in ("order", "refund", "order"))
    esm = msk_esm(nothing, topic, filter_criteria=ORDERS, batch_size=10)
    esm.drain()
    esm.update(filter_criteria={}, batch_size=1)
    topic.produce_many({"kind": kind} for kind in ("refund", "order"))
    esm.drain()
    assert_no_anomalies(esm)


def test_a_failed_attempt_is_a_redelivery_and_no_duplicate(msk_topic, msk_esm):
    calls = []

    def fail_once(event, context):
        calls.append(event)
        if len(calls) == 1:
            raise ValueError("no")

    topic = msk_topic()
    topic.produce("x", key="c-1")
    esm = msk_esm(fail_once, topic)
    esm.drain()
    assert_exactly_once(esm)
    assert_ordered(esm)
    with pytest.raises(AssertionError) as raised:
        assert_no_redelivery(esm)
    first, _, told, expected, around = str(raised.value).splitlines()
    assert first == f"The records of {topic.name!r} were delivered again to fail_once: 1 anomaly."
    assert told == f"redelivery: {topic.name}-0 offset 0 came again in batch 1, attempt 2."
    assert expected == "  expected: each record is in one attempt."
    assert around.startswith("  > offset 0  key 'c-1'  batch 1, attempt 1 (invocation ")
    assert around.endswith("): ok")


def test_what_succeeded_and_was_not_committed_is_a_duplicate_and_legal(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm(nothing, topic)
    while not esm.journal.invocations:
        if esm.step() is None:
            esm.clock.advance(1)
    esm.disable()
    esm.enable()
    esm.drain()
    assert_at_least_once(esm)
    assert_no_anomalies(esm)
    with pytest.raises(AssertionError, match=r"duplicate: .*-0 offset 0 succeeded again in batch 2, attempt 1"):
        assert_exactly_once(esm)
    assert [anomaly.name for anomaly in find_anomalies(esm, legal=True)] == ["duplicate"]


def test_messages_of_a_client_are_held_against_the_topic(msk_topic, msk_broker):
    topic = msk_topic(partitions=2)
    topic.produce_many(range(4), partition=1)
    consumer = msk_broker.consumer("own")
    consumer.assign([TopicPartition(topic.name, 1, 0)])
    consumed = []
    while len(consumed) < 4:
        consumed += consumer.consume(4 - len(consumed), 1)
    assert_at_least_once(consumed, topic)
    assert_exactly_once(consumed, topic)
    assert_ordered(consumed)
    assert_no_redelivery(consumed)
    assert [str(anomaly) for anomaly in find_anomalies(consumed[:-1], topic)] == [
        f"unseen: {topic.name}-1 offset 3 was not delivered, nor anything behind it in the partition."
    ]
