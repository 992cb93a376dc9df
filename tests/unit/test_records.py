"""One Kafka record, and the form that it has inside an event."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka_records import event_form, records

from pytest_msk import NotAnEventRecord, Record, SchemaMetadata
from pytest_msk.records import encoder

REFERENCE = Record(
    topic="mytopic",
    partition=0,
    offset=15,
    timestamp=1545084650987,
    key=b"recordKey",
    value=b'{"k":"v"}',
    headers=(("headerKey", "hë".encode()),),
)


def test_the_reference_record():
    assert REFERENCE.to_json() == (
        b'{"topic":"mytopic","partition":0,"offset":15,"timestamp":1545084650987,"timestampType":"CREATE_TIME",'
        b'"key":"cmVjb3JkS2V5","value":"eyJrIjoidiJ9","headers":[{"headerKey":[104,-61,-85]}]}'
    )


@given(records, st.booleans())
def test_the_text_is_that_of_the_specification(record, null_tombstones):
    expected = event_form(record, null_tombstones=null_tombstones)
    text = record.to_json(null_tombstones=null_tombstones)
    pairs = json.loads(text, object_pairs_hook=list)
    assert sorted(name for name, _ in pairs) == sorted(expected)
    assert json.loads(text) == expected
    assert record.to_event(null_tombstones=null_tombstones) == expected


@given(records)
def test_the_text_is_compact_json_in_utf_8(record):
    text = record.to_json()
    assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()


@given(records, st.booleans())
def test_a_record_comes_back_from_its_event_form(record, null_tombstones):
    assert Record.from_event(record.to_event(null_tombstones=null_tombstones)) == record


@given(records)
def test_the_encoder_of_a_partition_writes_what_the_record_writes(record):
    record = dataclasses.replace(record, key_schema_metadata=None, value_schema_metadata=None)
    encode = encoder(record.topic, record.partition)
    text = encode(
        record.offset, record.timestamp, record.timestamp_type, record.key, record.value, list(record.headers) or None
    )
    assert text == record.to_json()


@pytest.mark.parametrize(
    ("raw", "signed"), [(b"\x00\x7f", [0, 127]), (b"\x80\xff", [-128, -1]), (b"", []), (None, None)]
)
def test_header_bytes_are_signed(raw, signed):
    record = dataclasses.replace(REFERENCE, headers=(("h", raw),))
    assert record.to_event()["headers"] == [{"h": signed}]


def test_headers_keep_their_order_and_their_doubles():
    record = dataclasses.replace(REFERENCE, headers=(("b", b"1"), ("a", b"2"), ("b", b"3")))
    assert record.to_event()["headers"] == [{"b": [49]}, {"a": [50]}, {"b": [51]}]


def test_null_is_absent_and_empty_is_empty():
    null = dataclasses.replace(REFERENCE, key=None, value=None, headers=()).to_event()
    empty = dataclasses.replace(REFERENCE, key=b"", value=b"", headers=()).to_event()
    assert "key" not in null
    assert "value" not in null
    assert null["headers"] == []
    assert (empty["key"], empty["value"]) == ("", "")


def test_a_tombstone_is_null_on_request_and_a_missing_key_stays_absent():
    event = dataclasses.replace(REFERENCE, key=None, value=None).to_event(null_tombstones=True)
    assert event["value"] is None
    assert "key" not in event


def test_a_record_without_headers_reads_as_one_with_none():
    event = REFERENCE.to_event()
    del event["headers"]
    assert Record.from_event(event) == dataclasses.replace(REFERENCE, headers=())


MISSING = object()
#: A member of an event's record, what it is, and what is said of it.
DEFECTS = [
    ("topic", MISSING, "['topic'] is missing: a record has the name of its topic (spec 1.2)."),
    ("topic", 7, "['topic'] is 7: it is the topic's name, a text (spec 1.2)."),
    ("partition", "0", "['partition'] is '0': it is a whole number (spec 1.2)."),
    ("partition", 2**31, "['partition'] is 2147483648: Kafka's are from 0 to 2147483647."),
    ("partition", MISSING, "['partition'] is missing: a record has it as a number (spec 1.2)."),
    ("offset", True, "['offset'] is True: it is a whole number (spec 1.2)."),
    ("offset", -1, "['offset'] is -1: Kafka's are from 0 to 9223372036854775807."),
    ("timestamp", 1.5, "['timestamp'] is 1.5: it is a whole number (spec 1.2)."),
    ("timestamp", -2, "['timestamp'] is -2: Kafka's are from -1 to 9223372036854775807."),
    ("timestampType", "Create", "['timestampType'] is 'Create': it is 'CREATE_TIME' or 'LOG_APPEND_TIME' (spec 1.2)."),
    ("timestampType", MISSING, "['timestampType'] is missing: it is 'CREATE_TIME' or 'LOG_APPEND_TIME' (spec 1.2)."),
    ("key", "%%%", "['key'] is '%%%', no base64: write base64.b64encode(...).decode() (spec 1.2)."),
    ("value", "YQ", "['value'] is 'YQ', no base64: write base64.b64encode(...).decode() (spec 1.2)."),
    ("value", "_-__", "['value'] is '_-__', no base64: write base64.b64encode(...).decode() (spec 1.2)."),
    *(("value", padded, f"['value'] is {padded!r}, no base64: ") for padded in ("YWJj=", "YWJj====", "YQ=", "YQ==\n")),
    ("value", b"YQ==", "['value'] is bytes, b'YQ==': it is base64 as text: base64.b64encode(...).decode() (spec 1.2)."),
    ("value", {"k": "v"}, "['value'] is {'k': 'v'}: it is base64 text of the record's bytes (spec 1.2)."),
    ("headers", {"h": [1]}, "['headers'] is {'h': [1]}: it is a list of objects with one name each (spec 1.3)."),
    ("headers", [{}, {"h": []}], "['headers'][0] is {}: a header is an object with one name (spec 1.3)."),
    ("headers", [{"h": [1], "i": [2]}],
     "['headers'][0] is {'h': [1], 'i': [2]}: a header is an object with one name (spec 1.3)."),
    ("headers", [{7: [1]}], "['headers'][0] is {7: [1]}: a header's name is text (spec 1.3)."),
    ("headers", [{"h": "aGk="}],
     "['headers'][0]['h'] is 'aGk=': it is a list of signed numbers, one a byte, and no text or base64 (spec 1.3)."),
    ("headers", [{"h": [0, 195]}], "['headers'][0]['h'][1] is 195: header bytes are signed, write -61 (spec 1.3)."),
    ("headers", [{"h": [127, 128]}], "['headers'][0]['h'][1] is 128: header bytes are signed, write -128 (spec 1.3)."),
    ("headers", [{"h": [256]}], "['headers'][0]['h'][0] is 256: a header's byte is a number, -128 to 127 (spec 1.3)."),
    ("headers", [{"h": [-129]}],
     "['headers'][0]['h'][0] is -129: a header's byte is a number, -128 to 127 (spec 1.3)."),
    ("headers", [{"h": [True]}],
     "['headers'][0]['h'][0] is True: a header's byte is a number, -128 to 127 (spec 1.3)."),
    ("keySchemaMetadata", "AVRO",
     "['keySchemaMetadata'] is 'AVRO': it is an object with 'dataFormat' and 'schemaId' (spec 1.5)."),
    ("valueSchemaMetadata", {"dataFormat": "avro", "schemaId": "1"},
     "['valueSchemaMetadata']['dataFormat'] is 'avro': it is AVRO, JSON or PROTOBUF (spec 1.5)."),
    ("valueSchemaMetadata", {"dataFormat": "AVRO", "schemaId": 1},
     "['valueSchemaMetadata']['schemaId'] is 1: it is the schema's id as text (spec 1.5)."),
    ("keySchemaMetadata", {"schemaId": "1"},
     "['keySchemaMetadata']['dataFormat'] is missing: it is AVRO, JSON or PROTOBUF (spec 1.5)."),
    ("keySchemaMetadata", {"dataFormat": "AVRO"},
     "['keySchemaMetadata']['schemaId'] is missing: it is the schema's id as text (spec 1.5)."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "text"), DEFECTS)
def test_a_defect_of_an_events_record_is_named(name, value, text):
    event = REFERENCE.to_event()
    if value is MISSING:
        del event[name]
    else:
        event[name] = value
    with pytest.raises(NotAnEventRecord) as raised:
        Record.from_event(event)
    assert str(raised.value).startswith(f"record{text}")


def test_a_long_value_is_cut_in_an_error():
    with pytest.raises(NotAnEventRecord) as raised:
        Record.from_event({**REFERENCE.to_event(), "value": "a" * 1_001})
    assert f"is '{'a' * 56}..., no base64" in str(raised.value)


def test_what_is_no_object_is_no_record():
    with pytest.raises(NotAnEventRecord) as raised:
        Record.from_event("cmVjb3JkS2V5")
    assert str(raised.value) == "record is 'cmVjb3JkS2V5': a record of an event is an object (spec 1.2)."


def test_schema_metadata_stands_beside_key_and_value():
    record = dataclasses.replace(
        REFERENCE,
        key_schema_metadata=SchemaMetadata(data_format="JSON", schema_id="7"),
        value_schema_metadata=SchemaMetadata(data_format="AVRO", schema_id="a1b2c3d4-1111-2222-3333-444455556666"),
    )
    event = record.to_event()
    assert event == REFERENCE.to_event() | {
        "keySchemaMetadata": {"dataFormat": "JSON", "schemaId": "7"},
        "valueSchemaMetadata": {"dataFormat": "AVRO", "schemaId": "a1b2c3d4-1111-2222-3333-444455556666"},
    }
    assert Record.from_event(event) == record


def test_what_a_record_says():
    record = dataclasses.replace(REFERENCE, key="kéy".encode(), value='{"name":"Zoë","n":[1,null]}'.encode())
    assert (record.key_text, record.text) == ("kéy", '{"name":"Zoë","n":[1,null]}')
    assert record.json() == {"name": "Zoë", "n": [1, None]}


@pytest.mark.parametrize(("value", "text"), [(None, None), (b"", "")])
def test_null_and_empty_as_text(value, text):
    record = dataclasses.replace(REFERENCE, key=value, value=value)
    assert (record.key_text, record.text) == (text, text)


def test_a_tombstone_as_json_is_none():
    assert dataclasses.replace(REFERENCE, value=None).json() is None
    assert dataclasses.replace(REFERENCE, value=b"null").json() is None


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda record: record.text, "The value of mytopic-0 at offset 15 is no UTF-8 ("),
        (lambda record: record.json(), "The value of mytopic-0 at offset 15 is no UTF-8 ("),
        (lambda record: record.key_text, "The key of mytopic-0 at offset 15 is no UTF-8 ("),
    ],
    ids=["text", "json", "key_text"],
)
def test_bytes_that_are_no_text_say_where_they_are(read, text):
    with pytest.raises(ValueError, match="no UTF-8") as raised:
        read(dataclasses.replace(REFERENCE, key=b"\xff", value=b"\xff"))
    assert str(raised.value).startswith(text)
    assert str(raised.value).endswith(": b'\\xff'.")


@pytest.mark.parametrize("value", [b"", b'{"id": 1', b"plain"])
def test_a_value_that_is_no_json_says_where_it_is(value):
    with pytest.raises(ValueError, match="no JSON") as raised:
        dataclasses.replace(REFERENCE, value=value).json()
    assert str(raised.value).startswith("The value of mytopic-0 at offset 15 is no JSON (")
    assert str(raised.value).endswith(f": {value.decode()!r}.")


def test_a_record_is_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        REFERENCE.offset = 16
    with pytest.raises(TypeError):
        Record("mytopic", 0, 15, 1545084650987)


def test_a_records_repr_is_the_call_that_makes_it_without_defaults():
    record = Record(topic="orders", partition=1, offset=7, timestamp=5, value=b"v", headers=(("h", None),))
    assert repr(record) == (
        "Record(topic='orders', partition=1, offset=7, timestamp=5, value=b'v', headers=(('h', None),))"
    )
    assert eval(repr(record)) == record
