"""What is wrong with a record as it stands in an event: each fault in one sentence with its path (spec 1.2 to 1.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar, get_args

__all__ = ["DataFormat", "TimestampType", "found_as", "record_faults", "shown"]

K = TypeVar("K")
TimestampType = Literal["CREATE_TIME", "LOG_APPEND_TIME"]
DataFormat = Literal["AVRO", "JSON", "PROTOBUF"]

_NUMBERS = {"partition": (0, 2**31 - 1), "offset": (0, 2**63 - 1), "timestamp": (-1, 2**63 - 1)}
#: With a length that is a multiple of four; `b64decode` differs between versions of Python, and lets too much pass.
_BASE64 = re.compile("[A-Za-z0-9+/]*={0,2}")


def shown(value: object) -> str:
    """A value as a fault shows it: long ones are cut."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def found_as(members: Mapping[K, object], name: K) -> str:
    """What a fault says of a member: its value, or that it is missing."""
    return f"is {shown(members[name])}" if name in members else "is missing"


def record_faults(record: object, path: str) -> Iterator[str]:
    """What keeps a record from being read.

    Args:
        record: what stands in the event.
        path: where it stands, as Python would write it.
    """
    if not isinstance(record, Mapping):
        yield f"{path} is {shown(record)}: a record of an event is an object (spec 1.2)."
        return
    yield from _topic_faults(record, path)
    for name, (low, high) in _NUMBERS.items():
        yield from _number_faults(record, name, low, high, path)
    if record.get("timestampType") not in get_args(TimestampType):
        found = found_as(record, "timestampType")
        yield f"{path}['timestampType'] {found}: it is 'CREATE_TIME' or 'LOG_APPEND_TIME' (spec 1.2)."
    for name in ("key", "value"):
        yield from _base64_faults(record.get(name), f"{path}[{name!r}]")
    yield from _headers_faults(record.get("headers", []), f"{path}['headers']")
    for name in ("keySchemaMetadata", "valueSchemaMetadata"):
        if name in record:
            yield from _metadata_faults(record[name], f"{path}[{name!r}]")


def _topic_faults(record: Mapping[object, object], path: str) -> Iterator[str]:
    if "topic" not in record:
        yield f"{path}['topic'] is missing: a record has the name of its topic (spec 1.2)."
    elif not isinstance(record["topic"], str):
        yield f"{path}['topic'] is {shown(record['topic'])}: it is the topic's name, a text (spec 1.2)."


def _number_faults(record: Mapping[object, object], name: str, low: int, high: int, path: str) -> Iterator[str]:
    value = record.get(name)
    if name not in record:
        yield f"{path}[{name!r}] is missing: a record has it as a number (spec 1.2)."
    elif not isinstance(value, int) or isinstance(value, bool):
        yield f"{path}[{name!r}] is {shown(value)}: it is a whole number (spec 1.2)."
    elif not low <= value <= high:
        yield f"{path}[{name!r}] is {value}: Kafka's are from {low} to {high}."


def _base64_faults(value: object, path: str) -> Iterator[str]:
    if isinstance(value, bytes | bytearray):
        yield f"{path} is bytes, {shown(value)}: it is base64 as text: base64.b64encode(...).decode() (spec 1.2)."
    elif isinstance(value, str):
        if len(value) % 4 or not _BASE64.fullmatch(value):
            yield f"{path} is {shown(value)}, no base64: write base64.b64encode(...).decode() (spec 1.2)."
    elif value is not None:
        yield f"{path} is {shown(value)}: it is base64 text of the record's bytes (spec 1.2)."


def _headers_faults(headers: object, path: str) -> Iterator[str]:
    if not isinstance(headers, list):
        yield f"{path} is {shown(headers)}: it is a list of objects with one name each (spec 1.3)."
        return
    for number, header in enumerate(headers):
        if not isinstance(header, Mapping) or len(header) != 1:
            yield f"{path}[{number}] is {shown(header)}: a header is an object with one name (spec 1.3)."
            continue
        ((name, value),) = header.items()
        if not isinstance(name, str):
            yield f"{path}[{number}] is {shown(header)}: a header's name is text (spec 1.3)."
        elif value is not None:
            yield from _header_value_faults(value, f"{path}[{number}][{name!r}]")


def _header_value_faults(value: object, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} is {shown(value)}: it is a list of signed numbers, one a byte, and no text or base64 (spec 1.3)."
        return
    for number, byte in enumerate(value):
        if type(byte) is not int or not -128 <= byte <= 255:
            yield f"{path}[{number}] is {shown(byte)}: a header's byte is a number, -128 to 127 (spec 1.3)."
        elif byte > 127:
            yield f"{path}[{number}] is {byte}: header bytes are signed, write {byte - 256} (spec 1.3)."


def _metadata_faults(metadata: object, path: str) -> Iterator[str]:
    if not isinstance(metadata, Mapping):
        yield f"{path} is {shown(metadata)}: it is an object with 'dataFormat' and 'schemaId' (spec 1.5)."
        return
    if metadata.get("dataFormat") not in get_args(DataFormat):
        yield f"{path}['dataFormat'] {found_as(metadata, 'dataFormat')}: it is AVRO, JSON or PROTOBUF (spec 1.5)."
    if not isinstance(metadata.get("schemaId"), str):
        yield f"{path}['schemaId'] {found_as(metadata, 'schemaId')}: it is the schema's id as text (spec 1.5)."
