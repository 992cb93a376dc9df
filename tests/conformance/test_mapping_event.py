"""The event that a function receives, member by member (spec 1)."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from pytest_msk import Record, decode, validate_event


def _received(esm, events):
    esm.drain()
    (event,) = events
    return event


def test_event_of_msk_is_exactly_this(msk_topic, msk_esm, msk_broker, msk_clock):
    topic, events = msk_topic("my-topic", partitions=2), []
    now = msk_clock.now_ms()
    headers = [("trace", "ë".encode()), ("empty", b""), ("trace", b"\x00\x7f\x80\xff"), ("none", None)]
    topic.produce(b"\x00\xff", key="kéy", headers=headers, partition=1)
    topic.produce("text", partition=1)
    topic.produce(None, key=b"gone", partition=1)
    topic.produce(b"", key=b"", partition=1, timestamp=1_545_084_650_987)
    esm = msk_esm(lambda event, context: events.append(event), topic)
    event = _received(esm, events)

    def b64(raw):
        return b64encode(raw).decode()

    def common(offset, timestamp=now):
        place = {"topic": "my-topic", "partition": 1, "offset": offset}
        return {**place, "timestamp": timestamp, "timestampType": "CREATE_TIME"}

    assert event == {
        "eventSource": "aws:kafka",
        "eventSourceArn": esm.config.event_source_arn,
        "bootstrapServers": msk_broker.bootstrap_servers,
        "records": {
            "my-topic-1": [
                {
                    **common(0),
                    "key": b64("kéy".encode()),
                    "value": b64(b"\x00\xff"),
                    "headers": [{"trace": [-61, -85]}, {"empty": []}, {"trace": [0, 127, -128, -1]}, {"none": None}],
                },
                {**common(1), "value": b64(b"text"), "headers": []},
                {**common(2), "key": b64(b"gone"), "headers": []},
                {**common(3, 1_545_084_650_987), "key": "", "value": "", "headers": []},
            ]
        },
    }
    assert event["eventSourceArn"].startswith("arn:aws:kafka:us-east-1:123456789012:cluster/")
    assert decode(event) == tuple(topic.records())
    assert validate_event(event) == []


def test_event_of_self_managed_kafka_has_another_source_and_no_arn(msk_topic, msk_esm, msk_broker):
    topic, events = msk_topic(), []
    topic.produce("x")
    esm = msk_esm(
        lambda event, context: events.append(event),
        topic,
        self_managed_event_source={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": msk_broker.bootstrap_servers.split(",")}},
        source_access_configurations=[{"Type": "VPC_SUBNET", "URI": "subnet:subnet-0011223344"}],
    )
    event = _received(esm, events)
    assert list(event) == ["eventSource", "bootstrapServers", "records"]
    assert event["eventSource"] == "SelfManagedKafka"
    assert validate_event(event) == []


@pytest.mark.parametrize("null_tombstones", [False, True])
def test_event_of_a_topics_log_is_the_one_that_the_mapping_sends(
    msk_topic, msk_esm, msk_event, msk_broker, null_tombstones
):
    topic, events = msk_topic("my-topic", partitions=3), []
    topic.produce_many([*({"id": n} for n in range(8)), None], key=lambda value: value and str(value["id"]))
    topic.produce(b"\xff", headers=[("trace", "ë"), ("trace", b""), ("none", None)])
    _received(msk_esm(lambda event, context: events.append(event), topic, null_tombstones=null_tombstones), events)
    servers = msk_broker.bootstrap_servers
    assert msk_event(topic, bootstrap_servers=servers, null_tombstones=null_tombstones) == events[0]


def test_made_up_records_are_where_the_broker_puts_them(msk_topic, msk_event):
    topic = msk_topic(partitions=6)
    orders = [{"id": n} for n in range(40)]
    topic.produce_many(orders, key=lambda order: f"order-{order['id']}")
    event = msk_event(orders, topic=topic, partitions=6, key=lambda order: f"order-{order['id']}")
    assert {(r.partition, r.offset): (r.key, r.value) for r in decode(event)} == {
        (r.partition, r.offset): (r.key, r.value) for r in topic.records()
    }


def test_tombstone_can_be_written_as_null(msk_topic, msk_esm):
    topic, events = msk_topic(), []
    topic.produce(None)
    esm = msk_esm(lambda event, context: events.append(event), topic, null_tombstones=True)
    ((record,),) = _received(esm, events)["records"].values()
    assert record["value"] is None
    assert "key" not in record


def test_broker_that_sets_the_timestamp_is_named_in_the_event(msk_topic, msk_esm):
    topic, events = msk_topic(config={"message.timestamp.type": "LogAppendTime"}), []
    topic.produce("x", timestamp=1)
    esm = msk_esm(lambda event, context: events.append(event), topic)
    ((record,),) = _received(esm, events)["records"].values()
    assert record["timestampType"] == "LOG_APPEND_TIME"
    assert record["timestamp"] > 1_600_000_000_000


def test_values_are_bytes_text_or_json(msk_topic):
    topic = msk_topic()
    topic.produce_many([b"raw", "text", '"quoted"', {"a": [1, None]}, 7, True, None])
    values = [record.value for record in topic.records()]
    assert values == [b"raw", b"text", b'"quoted"', b'{"a":[1,null]}', b"7", b"true", None]


def test_produced_record_is_the_one_in_the_log(msk_topic):
    topic = msk_topic(partitions=3)
    produced = [topic.produce({"n": n}, key=f"k{n}", headers={"h": "v"}) for n in range(10)]
    assert sorted(produced, key=lambda r: (r.partition, r.offset)) == topic.records()
    assert all(isinstance(record, Record) for record in produced)
    assert json.loads(produced[3].value) == {"n": 3}


def test_keys_go_where_javas_producer_puts_them(msk_topic):
    # partitions that org.apache.kafka.clients.producer.internals.BuiltInPartitioner gives for 6 partitions
    topic = msk_topic(partitions=6)
    places = {key: topic.produce("x", key=key).partition for key in ("a", "order-1", "customer-42", "ü", "")}
    assert places == {key: _murmur2(key.encode()) % 6 for key in places}


def _murmur2(data: bytes) -> int:
    """Java's hash of a key, positive, written from its definition."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    tail = len(data) & ~3
    for i in range(0, tail, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if rest := data[tail:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


def test_records_without_key_go_round_robin(msk_topic):
    topic = msk_topic(partitions=3)
    assert [topic.produce("x").partition for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]
