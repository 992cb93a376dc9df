"""What is wrong with an event that someone wrote by hand."""

from __future__ import annotations

import base64
import copy
import json
from types import MappingProxyType

import aws_events
import pytest
from aws_lambda_powertools.utilities.data_classes import KafkaEvent as DataClass
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import KafkaEvent, Record, decode, msk_event, validate_event
from pytest_msk.strategies import events

FIRST = "event['records']['orders-0'][0]"


def event(**members: object) -> dict:
    """A right event, but for these members."""
    return {**msk_event(["a", "b"], topic="orders"), **members}


def with_record(**members: object) -> dict:
    """A right event, but for these members of its first record."""
    made = event()
    made["records"]["orders-0"][0] |= members
    return made


def without(made: dict, *path: object) -> dict:
    """The event without a member."""
    *parents, name = path
    node = made
    for parent in parents:
        node = node[parent]
    del node[name]
    return made


def test_right_events_have_no_faults():
    assert validate_event(msk_event()) == []
    assert validate_event(msk_event([None, b"", "x"], partitions=3, event_source="SelfManagedKafka")) == []
    assert validate_event(msk_event([None], null_tombstones=True, headers={"none": None})) == []


def test_an_object_need_not_be_a_dict():
    assert validate_event(DataClass(msk_event())) == []
    assert validate_event(MappingProxyType(event(records=MappingProxyType(event()["records"])))) == []


@pytest.mark.parametrize("text", [aws_events.SAMPLE_MSK, aws_events.SAMPLE_SELF_MANAGED, aws_events.REFERENCE])
def test_aws_own_events_have_no_faults(text):
    assert validate_event(json.loads(text)) == []


@given(events())
def test_what_a_mapping_could_send_has_no_faults(made):
    assert validate_event(made) == []


def test_the_dict_that_everybody_copies():
    """What the members of an old sample and of hand-made fixtures get wrong, all at once."""
    copied = {
        "eventSource": "aws:SelfManagedKafka",
        "awsRegion": "us-east-1",
        "bootstrapServers": ["localhost:9092"],
        "records": {
            "mytopic0": [
                {
                    "topic": "mytopic",
                    "partition": "0",
                    "offset": 15,
                    "timestamp": 1545084650987,
                    "timestampType": "CREATE_TIME",
                    "key": None,
                    "value": base64.b64encode(b"{}"),
                    "headers": [{"headerKey": "aGVhZGVyVmFsdWU="}, {"name": [90, 111, 195, 171]}],
                }
            ]
        },
    }
    path = "event['records']['mytopic0'][0]"
    assert validate_event(copied) == [
        "event['eventSource'] is 'aws:SelfManagedKafka': AWS sends 'SelfManagedKafka', without 'aws:' (spec 1.1).",
        "event['bootstrapServers'] is ['localhost:9092']: it is text, host:port joined by ',' without spaces "
        "(spec 1.1).",
        "event['awsRegion'] is not known: AWS sends no such member (spec 1).",
        f"{path}['partition'] is '0': it is a whole number (spec 1.2).",
        f"{path}['value'] is bytes, b'e30=': it is base64 as text: base64.b64encode(...).decode() (spec 1.2).",
        f"{path}['headers'][0]['headerKey'] is 'aGVhZGVyVmFsdWU=': it is a list of signed numbers, one a byte, and no "
        "text or base64 (spec 1.3).",
        f"{path}['headers'][1]['name'][2] is 195: header bytes are signed, write -61 (spec 1.3).",
        f"{path}['headers'][1]['name'][3] is 171: header bytes are signed, write -85 (spec 1.3).",
        f"{path}['key'] is None: a record without a key has no such member (spec 1.4).",
    ]


EVENT_FAULTS = [
    (None, "event is None: an event is an object (spec 1.1)."),
    (["x" * 60], f"event is ['{'x' * 55}...: an event is an object (spec 1.1)."),
    (without(event(), "eventSource"),
     "event['eventSource'] is missing: it is 'aws:kafka' or 'SelfManagedKafka' (spec 1.1)."),
    (event(eventSource="aws:msk"),
     "event['eventSource'] is 'aws:msk': it is 'aws:kafka' or 'SelfManagedKafka' (spec 1.1)."),
    (event(eventSource="SelfManagedKafka", eventSourceArn="x"),
     "event['eventSourceArn'] is 'x': an event of self-managed Kafka has none (spec 1.1)."),
    (without(event(), "eventSourceArn"),
     "event['eventSourceArn'] is missing: an event of Amazon MSK has its cluster's ARN (spec 1.1)."),
    (event(eventSourceArn="arn:aws:sqs:us-east-1:123456789012:queue"),
     "event['eventSourceArn'] is 'arn:aws:sqs:us-east-1:123456789012:queue': it is an MSK cluster's ARN, "
     "arn:aws:kafka:region:account:cluster/name/id (spec 1.1)."),
    (event(eventSourceArn=None),
     "event['eventSourceArn'] is None: it is an MSK cluster's ARN, arn:aws:kafka:region:account:cluster/name/id "
     "(spec 1.1)."),
    (without(event(), "bootstrapServers"),
     "event['bootstrapServers'] is missing: an event has its brokers' addresses (spec 1.1)."),
    (event(bootstrapServers="a:1, b:2"),
     "event['bootstrapServers'] is 'a:1, b:2': it is text, host:port joined by ',' without spaces (spec 1.1)."),
    (event(bootstrapServers="localhost"),
     "event['bootstrapServers'] is 'localhost': it is text, host:port joined by ',' without spaces (spec 1.1)."),
    (event(bootstrapServers="SASL_SSL://b-1.demo:9096"),
     "event['bootstrapServers'] is 'SASL_SSL://b-1.demo:9096': it is text, host:port joined by ',' without spaces "
     "(spec 1.1)."),
    (event(bootstrapServers="b-1.demo:909600"),
     "event['bootstrapServers'] is 'b-1.demo:909600': it is text, host:port joined by ',' without spaces (spec 1.1)."),
    (event(eventSourceARN="x"), "event['eventSourceARN'] is not known: AWS sends 'eventSourceArn' (spec 1)."),
    (event(record=[]), "event['record'] is not known: AWS sends 'records' (spec 1)."),
    (event(eventVersion="1.0"), "event['eventVersion'] is not known: AWS sends no such member (spec 1)."),
    (without(event(), "records"),
     "event['records'] is missing: it maps 'topic-partition' to a list of records (spec 1.1)."),
    (event(records=[]), "event['records'] is []: it maps 'topic-partition' to a list of records (spec 1.1)."),
    (event(records={}), "event['records'] is empty: a function is called with one record at least (spec 1.1)."),
    (event(records={"orders-0": None}), "event['records']['orders-0'] is None: it is a list of records (spec 1.1)."),
    (event(records=event()["records"] | {"orders-1": []}),
     "event['records']['orders-1'] is empty: only partitions of which a record is in the batch are there (spec 1.1)."),
    (event(records={"orders-1": event()["records"]["orders-0"][:1]}),
     "event['records']['orders-1'][0] is a record of 'orders-0': AWS has it under that key (spec 1.1)."),
    (event(records=event()["records"] | msk_event(["a"], topic="returns")["records"]),
     "event['records'] holds records of orders, returns: a mapping reads one topic (spec 1.1)."),
    (event(records={"orders-0": event()["records"]["orders-0"][::-1]}),
     "event['records']['orders-0'][1]['offset'] is 0 after 1: a partition's offsets ascend (spec 12)."),
    (event(records={"orders-0": event()["records"]["orders-0"][:1] * 2}),
     "event['records']['orders-0'][1]['offset'] is 0 after 0: a partition's offsets ascend (spec 12)."),
    (event(records={"orders-0": ["aGk="]}), f"{FIRST} is 'aGk=': a record of an event is an object (spec 1.2)."),
    (without(event(), "records", "orders-0", 0, "offset"),
     f"{FIRST}['offset'] is missing: a record has it as a number (spec 1.2)."),
    (without(event(), "records", "orders-0", 0, "headers"),
     f"{FIRST}['headers'] is missing: a record without headers has an empty list (spec 1.2)."),
    (with_record(key=None), f"{FIRST}['key'] is None: a record without a key has no such member (spec 1.4)."),
    (with_record(timestamptype="x"), f"{FIRST}['timestamptype'] is not known: AWS sends 'timestampType' (spec 1)."),
    (with_record(keySchemaMetadata={"dataFormat": "AVRO", "schemaId": "1", "schemaID": "1"}),
     f"{FIRST}['keySchemaMetadata']['schemaID'] is not known: AWS sends 'schemaId' (spec 1)."),
    (with_record(headers=[{"\ud800": []}]), "event is no JSON: str is not valid UTF-8: surrogates not allowed."),
]  # fmt: skip


@pytest.mark.parametrize(("made", "fault"), EVENT_FAULTS, ids=[fault[:60] for _, fault in EVENT_FAULTS])
def test_a_fault_is_one_sentence_with_its_path(made, fault):
    assert validate_event(made) == [fault]


@pytest.mark.parametrize("topic", ["..", ".", "", "a b", "x" * 250, "größe"])
def test_names_that_no_topic_can_have(topic):
    record = {**Record(topic=topic, partition=0, offset=0, timestamp=0, value=b"").to_event()}
    (fault,) = validate_event(event(records={f"{topic}-0": [record]}))
    assert fault.startswith(f"event['records'][{topic + '-0'!r}][0]['topic'] is ")


def test_a_batch_has_its_limits():
    assert validate_event(event(records={"orders-0": _numbered(10_000)})) == []
    assert validate_event(event(records={"orders-0": _numbered(10_001)})) == [
        "event['records'] holds 10001 records: a batch has 10000 at most (spec 2.2)."
    ]
    big = with_record(value=base64.b64encode(bytes(5_000_000)).decode())
    size = len(json.dumps(big, separators=(",", ":")))
    assert validate_event(big) == [f"event is {size} bytes of JSON: a mapping sends 6291456 at most (spec 3.1)."]


def _numbered(count: int) -> list[dict]:
    (record,) = msk_event(["x"], topic="orders")["records"]["orders-0"]
    return [{**record, "offset": offset} for offset in range(count)]


def test_the_event_is_left_as_it_is():
    made = with_record(key=None, value=b"x")
    before = copy.deepcopy(made)
    validate_event(made)
    assert made == before


leaves = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3) | st.just([]) | st.just({})
)


@given(events(), st.data())
def test_any_damage_is_found_or_can_be_decoded(made: KafkaEvent, data):
    """A member is lost or replaced: either it is a fault, or what is left is an event all the same."""
    node = made
    while True:
        name = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
        if not node[name] or not isinstance(node[name], dict | list) or data.draw(st.booleans()):
            break
        node = node[name]
    if data.draw(st.booleans()):
        del node[name]
    else:
        node[name] = data.draw(leaves)
    faults = validate_event(made)
    assert all(fault.startswith("event") and fault.endswith(".") for fault in faults)
    if not faults:
        assert decode(made)
