"""The wire format: what is encoded is decoded again, and nothing but `MalformedRequest` comes of other bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.messages.metadata import METADATA
from pytest_msk.brokers.embedded.messages.records import FETCH, PRODUCE
from pytest_msk.brokers.embedded.wire import (
    Api,
    Field,
    MalformedRequest,
    _value_if_absent,
    fields_of,
    read_uvarint,
    skip_tagged_fields,
    write_uvarint,
)

EVERY_API = pytest.mark.parametrize("api", [pytest.param(api, id=api.name) for api in APIS.values()])
_INTEGERS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


def messages(fields: tuple[Field, ...], version: int) -> st.SearchStrategy[dict[str, object]]:
    """Messages of a table in a version; what the version does not have has its default."""
    return st.fixed_dictionaries(
        {
            field.name: value(field, version) if version in field.versions else st.just(_value_if_absent(field))
            for field in fields
        }
    )


def value(field: Field, version: int) -> st.SearchStrategy[object]:
    one: st.SearchStrategy[object]
    if field.children:
        one = messages(field.children, version)
    elif field.type in _INTEGERS:
        limit = 1 << (_INTEGERS[field.type] - 1)
        one = st.integers(-limit, limit - 1)
    elif field.type == "bool":
        one = st.booleans()
    elif field.type == "uuid":
        one = st.binary(min_size=16, max_size=16)
    else:
        one = st.text(max_size=5) if field.type == "string" else st.binary(max_size=200)
    if field.array:
        one = st.lists(one, max_size=3)
    return st.one_of(st.none(), one) if field.nullable else one


def drawn_version(data: st.DataObject, api: Api) -> int:
    return data.draw(st.integers(*api.versions))


@EVERY_API
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_encoded_is_decoded_again(api: Api, data: st.DataObject) -> None:
    version = drawn_version(data, api)
    request = data.draw(messages(fields_of(api.request), version))
    assert api.decode_request(version, b"".join(api.encode_request(version, request))) == request
    response = data.draw(messages(fields_of(api.response), version))
    assert api.decode_response(version, b"".join(api.encode_response(version, response))) == response


@EVERY_API
@settings(max_examples=20)
@given(data=st.data())
def test_a_message_that_is_cut_off_is_malformed(api: Api, data: st.DataObject) -> None:
    version = drawn_version(data, api)
    whole = b"".join(api.encode_request(version, data.draw(messages(fields_of(api.request), version))))
    for end in {data.draw(st.integers(0, len(whole) - 1)), len(whole) - 1} if whole else ():
        with pytest.raises(MalformedRequest):
            api.decode_request(version, whole[:end])


@EVERY_API
@settings(max_examples=20)
@given(data=st.data())
def test_other_bytes_are_malformed_and_nothing_else(api: Api, data: st.DataObject) -> None:
    version = drawn_version(data, api)
    broken = bytearray(b"".join(api.encode_request(version, data.draw(messages(fields_of(api.request), version)))))
    for at in data.draw(st.lists(st.integers(0, max(len(broken) - 1, 0)), max_size=4)):
        if broken:
            broken[at] = data.draw(st.integers(0, 255))
    try:
        decoded = api.decode_request(version, bytes(broken))
    except MalformedRequest:
        return
    assert isinstance(decoded, dict)


def test_an_array_longer_than_its_message_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedRequest, match="an array of 2147483647 items"):
        METADATA.decode_request(1, struct.pack(">i", 2**31 - 1))


@pytest.mark.parametrize("length", [-2, -(2**31)])
def test_a_negative_length_is_malformed(length: int) -> None:
    with pytest.raises(MalformedRequest, match="a length of"):
        METADATA.decode_request(1, struct.pack(">i", length))


def test_null_is_malformed_where_it_is_not_allowed() -> None:
    topics_null = struct.pack(">hhi", -1, 1, 1000) + struct.pack(">i", -1)
    with pytest.raises(MalformedRequest, match="null"):
        PRODUCE.decode_request(3, topics_null)


@given(st.integers(0, 2**32 - 1))
def test_varints(number: int) -> None:
    raw = write_uvarint(number)
    assert read_uvarint(raw + b"\xff", 0) == (number, len(raw))


def test_a_varint_without_end_is_malformed() -> None:
    with pytest.raises(MalformedRequest):
        read_uvarint(b"\xff" * 20, 0)


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=200)), max_size=4))
def test_tagged_fields_are_skipped(tags: list[tuple[int, bytes]]) -> None:
    raw = write_uvarint(len(tags)) + b"".join(
        write_uvarint(tag) + write_uvarint(len(body)) + body for tag, body in tags
    )
    assert skip_tagged_fields(memoryview(raw + b"rest"), 0) == len(raw)


def test_records_are_a_scatter_list_that_is_not_joined() -> None:
    batches = [b"a" * 10, b"b" * 20]
    partition = {
        "index": 0,
        "error_code": 0,
        "high_watermark": 2,
        "last_stable_offset": 2,
        "log_start_offset": 0,
        "records": batches,
    }
    out = FETCH.encode_response(12, {"topics": [{"name": "t", "partitions": [partition]}]})
    assert [part for part in out if any(part is each for each in batches)] == batches
    decoded = FETCH.decode_response(12, b"".join(out))
    assert decoded["topics"][0]["partitions"][0]["records"] == b"".join(batches)
