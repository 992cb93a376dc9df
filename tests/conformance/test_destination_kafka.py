"""The on-failure destination in the source's own cluster (spec 4.7): one message for each record, with its key."""

from __future__ import annotations

import json

import pytest

from pytest_msk.events import Envelope
from pytest_msk.mapping.destinations import DestinationError, FailedBatch, ResponseContext
from pytest_msk.mapping.destinations.bodies import kafka_messages
from pytest_msk.mapping.destinations.kafka import KafkaDestination


def failed(topic, clock) -> FailedBatch:
    """A batch of all records of a topic."""
    texts: dict[str, list[bytes]] = {}
    for record in topic.records():
        texts.setdefault(f"{record.topic}-{record.partition}", []).append(record.to_json())
    envelope = Envelope(bootstrap_servers="b-1.demo:9098")
    return FailedBatch(
        condition="RetryAttemptsExhausted",
        time_ms=clock.now_ms(),
        batch=1,
        mapping_uuid="4f9c1c0e-0c1f-4f0e-9a51-3a8a0a7f3f10",
        request_id="316aa6d0-8154-4a5b-9af7-85d5f4a6bc81",
        function_arn="arn:aws:lambda:us-east-1:123456789012:function:charge",
        invoke_count=11,
        response=ResponseContext(),
        topic=topic.name,
        envelope=envelope,
        payload=envelope.payload(texts),
    )


def send(destination: KafkaDestination, batch: FailedBatch) -> None:
    try:
        destination.send(batch)
    finally:
        destination.close()


def test_each_record_becomes_a_message_with_its_key(msk_topic, msk_broker, msk_clock):
    orders, dead = msk_topic(), msk_topic()
    orders.produce("a", key="k1")
    orders.produce("b", key=b"\xff", headers=[("trace", b"1")])
    msk_clock.advance(60)
    batch = failed(orders, msk_clock)
    send(KafkaDestination(dead.name, broker=msk_broker), batch)
    found = dead.records()
    assert [(each.key, each.value) for each in found] == [(r.key, text) for r, text in kafka_messages(batch)]
    assert [each.key for each in found] == [b"k1", b"\xff"]
    assert [each.headers for each in found] == [(), ()]
    assert {each.timestamp for each in found} == {msk_clock.now_ms()}
    (event,) = json.loads(found[1].value)["payload"]["records"][f"{orders.name}-0"]
    assert event["headers"] == [{"trace": [49]}]


def test_keys_choose_their_partition_as_javas_producer_does_and_the_rest_goes_round_robin(
    msk_topic, msk_broker, msk_clock
):
    orders, dead, reference = msk_topic(), msk_topic(partitions=3), msk_topic(partitions=3)
    keys = [f"key-{n}" for n in range(20)]
    for key in keys:
        orders.produce("x", key=key)
        reference.produce("x", key=key)
    orders.produce_many("abcdef")
    send(KafkaDestination(dead.name, broker=msk_broker), failed(orders, msk_clock))
    found = dead.records()
    places = {each.key: each.partition for each in reference.records()}
    assert {each.key: each.partition for each in found if each.key is not None} == places
    assert sorted(each.partition for each in found if each.key is None) == [0, 0, 1, 1, 2, 2]


def test_a_topic_that_is_not_there_is_a_failed_delivery_until_it_is(msk_topic, msk_broker, msk_clock, new_name):
    orders, name = msk_topic(), new_name()
    orders.produce("a")
    batch = failed(orders, msk_clock)
    destination = KafkaDestination(name, broker=msk_broker)
    with pytest.raises(DestinationError, match=f"^kafka://{name}: the broker has no topic of that name"):
        destination.send(batch)
    msk_broker.create_topic(name)
    send(destination, batch)
    assert msk_broker.watermarks(name)[0].high == 1


def test_a_message_that_the_broker_refuses_is_a_failed_delivery(msk_topic, msk_broker, msk_clock):
    orders, dead = msk_topic(), msk_topic(config={"max.message.bytes": 5_000})
    orders.produce("small")
    orders.produce("x" * 10_000)
    error = rf"^kafka://{dead.name}: the broker refused 1 of 2 messages, the first one with: .*\(MSG_SIZE_TOO_LARGE\)"
    with pytest.raises(DestinationError, match=error):
        send(KafkaDestination(dead.name, broker=msk_broker), failed(orders, msk_clock))
    assert len(dead.records()) == 1
