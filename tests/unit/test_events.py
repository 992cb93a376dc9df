"""The event that a function receives."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kafka_records import event_form, records

from pytest_msk import NotAKafkaEvent, NotAnEventRecord, Record, decode
from pytest_msk.events import MAX_PAYLOAD, Envelope, partition_key

ARN = "arn:aws:kafka:us-east-1:123456789012:cluster/demo/751d2973-a626-431c-9d4e-d7975eb44dd7-2"
MSK = Envelope(bootstrap_servers="b-2.demo:9092,b-1.demo:9092", event_source_arn=ARN)
SELF_MANAGED = Envelope(bootstrap_servers="localhost:9092")

envelopes = st.builds(
    Envelope, bootstrap_servers=st.text(max_size=20), event_source_arn=st.none() | st.text(max_size=20)
).filter(lambda e: (e.bootstrap_servers + (e.event_source_arn or "")).isprintable())


def record(partition: int = 0, offset: int = 15, topic: str = "mytopic") -> Record:
    return Record(topic=topic, partition=partition, offset=offset, timestamp=1545084650987, value=b"v")


def test_the_reference_event_of_msk():
    reference = Record(
        topic="mytopic", partition=0, offset=15, timestamp=1545084650987, key=b"recordKey", value=b'{"k":"v"}',
        headers=(("headerKey", "hë".encode()),),
    )  # fmt: skip
    assert MSK.event([reference]) == {
        "eventSource": "aws:kafka",
        "eventSourceArn": ARN,
        "bootstrapServers": "b-2.demo:9092,b-1.demo:9092",
        "records": {
            "mytopic-0": [
                {
                    "topic": "mytopic",
                    "partition": 0,
                    "offset": 15,
                    "timestamp": 1545084650987,
                    "timestampType": "CREATE_TIME",
                    "key": "cmVjb3JkS2V5",
                    "value": "eyJrIjoidiJ9",
                    "headers": [{"headerKey": [104, -61, -85]}],
                }
            ]
        },
    }


def test_a_self_managed_event_has_no_arn():
    event = SELF_MANAGED.event([record()])
    assert sorted(event) == ["bootstrapServers", "eventSource", "records"]
    assert event["eventSource"] == SELF_MANAGED.event_source == "SelfManagedKafka"


def test_records_are_grouped_by_partition_in_the_order_in_which_they_come():
    event = MSK.event([record(2, 5), record(0, 1), record(2, 6), record(0, 2)])
    assert [(key, [r["offset"] for r in group]) for key, group in event["records"].items()] == [
        ("mytopic-2", [5, 6]),
        ("mytopic-0", [1, 2]),
    ]


def test_a_tombstone_in_an_event_is_null_on_request():
    tombstone = Record(topic="mytopic", partition=0, offset=1, timestamp=1)
    (kept,) = MSK.event([tombstone], null_tombstones=True)["records"]["mytopic-0"]
    (left_out,) = MSK.event([tombstone])["records"]["mytopic-0"]
    assert kept["value"] is None
    assert "value" not in left_out


@given(envelopes, st.lists(records, max_size=6), st.booleans())
def test_an_event_is_that_of_the_specification(envelope, given_records, null_tombstones):
    groups: dict[str, list] = {}
    for one in given_records:
        groups.setdefault(f"{one.topic}-{one.partition}", []).append(event_form(one, null_tombstones=null_tombstones))
    expected = {"bootstrapServers": envelope.bootstrap_servers, "records": groups}
    if envelope.event_source_arn is None:
        expected |= {"eventSource": "SelfManagedKafka"}
    else:
        expected |= {"eventSource": "aws:kafka", "eventSourceArn": envelope.event_source_arn}
    assert envelope.event(given_records, null_tombstones=null_tombstones) == expected


@given(envelopes)
def test_the_size_of_an_envelope_is_that_of_an_event_without_records(envelope):
    payload = envelope.payload({})
    assert envelope.size == len(payload)
    assert json.loads(payload)["records"] == {}
    assert payload == json.dumps(json.loads(payload), separators=(",", ":"), ensure_ascii=False).encode()


@given(st.lists(st.lists(records, min_size=1, max_size=3), max_size=3))
def test_a_payload_is_compact_json_in_utf_8(groups):
    payload = MSK.payload({f"t-{n}": [r.to_json() for r in group] for n, group in enumerate(groups)})
    assert payload == json.dumps(json.loads(payload), separators=(",", ":"), ensure_ascii=False).encode()


@given(st.lists(records, max_size=8))
def test_the_records_of_an_event_are_read_back(given_records):
    groups: dict[tuple[str, int], list[Record]] = {}
    for one in given_records:
        groups.setdefault((one.topic, one.partition), []).append(one)
    assume(len({partition_key(*group) for group in groups}) == len(groups))
    assert decode(MSK.event(given_records)) == tuple(r for group in groups.values() for r in group)


def test_a_topic_may_have_hyphens_and_digits():
    records_of_both = (record(topic="a-1", partition=2), record(topic="a", partition=12))
    assert decode(MSK.event(records_of_both)) == records_of_both


def test_a_record_under_the_key_of_another_partition_is_refused():
    event = MSK.event([record(0)])
    event["records"] = {"mytopic-1": event["records"]["mytopic-0"]}
    with pytest.raises(NotAKafkaEvent) as raised:
        decode(event)
    assert str(raised.value) == "event['records']['mytopic-1'][0] is a record of 'mytopic-0' (spec 1.1)."


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("{}", "event is '{}': an event is an object (spec 1.1)."),
        ({}, "event['eventSource'] is missing: it is 'aws:kafka' or 'SelfManagedKafka' (spec 1.1)."),
        (
            {"eventSource": "aws:SelfManagedKafka", "records": {}},
            "event['eventSource'] is 'aws:SelfManagedKafka': it is 'aws:kafka' or 'SelfManagedKafka' (spec 1.1).",
        ),
        ({"eventSource": "aws:kafka"}, "event['records'] is missing: it maps 'topic-partition' to records (spec 1.1)."),
        (
            {"eventSource": "aws:kafka", "records": [1]},
            "event['records'] is [1]: it maps 'topic-partition' to records (spec 1.1).",
        ),
        (
            {"eventSource": "aws:kafka", "records": {"t-0": {"a": 1}}},
            "event['records']['t-0'] is {'a': 1}: it is a list of records (spec 1.1).",
        ),
    ],
)
def test_what_is_no_kafka_event_is_refused(event, text):
    with pytest.raises(NotAKafkaEvent) as raised:
        decode(event)
    assert str(raised.value) == text


@pytest.mark.parametrize("item", [None, "aGk=", {"topic": "t"}])
def test_what_is_no_record_in_an_event_is_refused_and_its_place_named(item):
    with pytest.raises(NotAnEventRecord) as raised:
        decode({"eventSource": "aws:kafka", "records": {"mytopic-0": [record().to_event(), item]}})
    assert str(raised.value).startswith("event['records']['mytopic-0'][1]")


def test_the_limit_is_lambdas():
    assert MAX_PAYLOAD == 6 * 1024 * 1024
