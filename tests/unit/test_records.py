"""One Kafka record, and the form that it has inside an event."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka_records import event_form, records

from pytest_msk import NotAnEventRecord, Record
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
DEFECTS = [
    ("topic", MISSING, "A record of an event needs 'topic' as str, but it is missing in "),
    ("topic", 7, "A record of an event needs 'topic' as str, but it is 7 in "),
    ("partition", "0", "A record of an event needs 'partition' as int, but it is '0' in "),
    ("offset", True, "A record of an event needs 'offset' as int, but it is True in "),
    ("timestamp", 1.5, "A record of an event needs 'timestamp' as int, but it is 1.5 in "),
    ("timestampType", "Create", "'timestampType' is 'CREATE_TIME' or 'LOG_APPEND_TIME', not 'Create' (spec 1.2)."),
    ("timestampType", MISSING, "'timestampType' is 'CREATE_TIME' or 'LOG_APPEND_TIME', not None (spec 1.2)."),
    ("key", "%%%", "'key' is base64 text or absent (spec 1.2), not '%%%': "),
    ("value", "YQ", "'value' is base64 text or absent (spec 1.2), not 'YQ': "),
    ("value", {"k": "v"}, "'value' is base64 text or absent (spec 1.2), not {'k': 'v'}: "),
    ("headers", {"h": [1]}, "'headers' is a list of objects with one name each (spec 1.3), not {'h': [1]}."),
    ("headers", [["h", [1]]], "A header is an object with one name (spec 1.3), not ['h', [1]]."),
    ("headers", [{"h": [1], "i": [2]}], "A header is an object with one name (spec 1.3), not {'h': [1], 'i': [2]}."),
    ("headers", [{"h": "aGk="}], "Header 'h' is a list of signed bytes, -128 to 127 (spec 1.3), not 'aGk='."),
    ("headers", [{"h": [195]}], "Header 'h' is a list of signed bytes, -128 to 127 (spec 1.3), not [195]."),
    ("headers", [{"h": [-129]}], "Header 'h' is a list of signed bytes, -128 to 127 (spec 1.3), not [-129]."),
    ("headers", [{"h": [True]}], "Header 'h' is a list of signed bytes, -128 to 127 (spec 1.3), not [True]."),
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
    assert str(raised.value).startswith(text)


def test_what_is_no_object_is_no_record():
    with pytest.raises(NotAnEventRecord) as raised:
        Record.from_event("cmVjb3JkS2V5")
    assert str(raised.value) == "A record of an event is an object (spec 1.2), not 'cmVjb3JkS2V5'."


def test_a_record_is_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        REFERENCE.offset = 16
    with pytest.raises(TypeError):
        Record("mytopic", 0, 15, 1545084650987)
