"""Record: one Kafka record, and the form that it has inside a Lambda event, both ways (spec 1.2 to 1.4).

`encode` is the one place where that form is written: as JSON text, because the event that a function receives
is decoded from JSON and its size counts against the payload limit.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import orjson

from ._event_record import DataFormat, TimestampType, record_faults, shown
from ._repr import short_repr
from .errors import MskError

__all__ = [
    "EventRecord",
    "EventSchemaMetadata",
    "Header",
    "NotAnEventRecord",
    "Record",
    "SchemaMetadata",
    "TimestampType",
    "encoder",
    "partition_key",
]

Header = tuple[str, bytes | None]
RecordEncoder = Callable[[int, int, TimestampType, bytes | None, bytes | None, Sequence[Header] | None], bytes]


class EventSchemaMetadata(TypedDict):
    """What a schema registry said of a key or a value, as it stands in an event (spec 1.5)."""

    dataFormat: DataFormat
    schemaId: str


class _EventRecordBase(TypedDict):
    topic: str
    partition: int
    offset: int
    timestamp: int
    timestampType: TimestampType
    headers: list[dict[str, list[int] | None]]


class EventRecord(_EventRecordBase, total=False):
    """A record as it stands in an event (spec 1.2); `key` and `value` are base64, absent where Kafka has null."""

    key: str
    value: str | None
    keySchemaMetadata: EventSchemaMetadata
    valueSchemaMetadata: EventSchemaMetadata


class NotAnEventRecord(MskError, ValueError):
    """A mapping that is not a record of an `aws:kafka` event."""


def partition_key(topic: str, partition: int) -> str:
    """The member of an event's `records` that holds a partition's records: `topic-partition` (spec 1.1)."""
    return f"{topic}-{partition}"


def encoder(topic: str, partition: int, *, null_tombstones: bool = False) -> RecordEncoder:
    """The function that writes records of one partition as compact JSON in UTF-8 (spec 1.2 to 1.4).

    It takes offset, timestamp (epoch ms), timestamp type, key, value and headers. It is made per partition
    because what does not change is then written once; this is the hottest path of a mapping.

    Args:
        topic: the topic's name.
        partition: the partition's number.
        null_tombstones: write `"value":null` for a null value instead of leaving it out (spec 1.4).
    """
    start = b'{"topic":%b,"partition":%d,"offset":' % (orjson.dumps(topic), partition)
    start = start.replace(b"%", b"%%") + b'%d,"timestamp":%d,"timestampType":"%b"'
    whole = start + b',"key":"%b","value":"%b","headers":%b}'
    partial = start + b'%b%b,"headers":%b}'
    tombstone = b',"value":null' if null_tombstones else b""

    def encode(
        offset: int,
        timestamp: int,
        timestamp_type: TimestampType,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] | None,
    ) -> bytes:
        by = b"CREATE_TIME" if timestamp_type == "CREATE_TIME" else b"LOG_APPEND_TIME"
        listed = _encode_headers(headers) if headers else b"[]"
        if key is not None and value is not None:
            key, value = b2a_base64(key, newline=False), b2a_base64(value, newline=False)
            return whole % (offset, timestamp, by, key, value, listed)
        return partial % (
            offset,
            timestamp,
            by,
            b"" if key is None else b',"key":"%b"' % b2a_base64(key, newline=False),
            tombstone if value is None else b',"value":"%b"' % b2a_base64(value, newline=False),
            listed,
        )

    return encode


def _encode_headers(headers: Sequence[Header]) -> bytes:
    """One object a header, in the producer's order, its bytes as signed numbers (spec 1.3)."""
    return orjson.dumps([{name: None if value is None else _signed(value) for name, value in [h]} for h in headers])


def _signed(value: bytes) -> list[int]:
    return memoryview(value).cast("b").tolist()


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaMetadata:
    """What a mapping with a schema registry says of a key or a value (spec 1.5).

    Args:
        data_format: the schema's format.
        schema_id: Glue's schema version UUID, or Confluent's number as text.
    """

    data_format: DataFormat
    schema_id: str

    def to_event(self) -> EventSchemaMetadata:
        """The metadata as it stands in an event."""
        return {"dataFormat": self.data_format, "schemaId": self.schema_id}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Record:
    """One Kafka record.

    Args:
        topic: the topic's name.
        partition: the partition's number.
        offset: the record's offset in its partition.
        timestamp: epoch milliseconds.
        timestamp_type: who set the timestamp, the producer or the broker.
        key: raw bytes, or `None` for no key.
        value: raw bytes, or `None` for a tombstone.
        headers: (name, raw bytes) pairs in the producer's order; a header's value may be null.
        key_schema_metadata: what a schema registry said of the key, where the mapping has one.
        value_schema_metadata: what it said of the value.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: TimestampType = "CREATE_TIME"
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[Header, ...] = ()
    key_schema_metadata: SchemaMetadata | None = None
    value_schema_metadata: SchemaMetadata | None = None

    __repr__ = short_repr

    @property
    def text(self) -> str | None:
        """The value as text; `None` for a tombstone.

        Raises:
            ValueError: the value is no UTF-8.
        """
        return self._decoded(self.value, "value")

    @property
    def key_text(self) -> str | None:
        """The key as text; `None` for no key.

        Raises:
            ValueError: the key is no UTF-8.
        """
        return self._decoded(self.key, "key")

    def json(self) -> object:
        """What the value says as JSON; `None` for a tombstone, as for a JSON null.

        Raises:
            ValueError: the value is no UTF-8, or no JSON.
        """
        text = self.text
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise ValueError(f"The value of {self._place} is no JSON ({error}): {shown(text)}.") from error

    def _decoded(self, raw: bytes | None, what: str) -> str | None:
        try:
            return None if raw is None else raw.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"The {what} of {self._place} is no UTF-8 ({error}): {shown(raw)}.") from error

    @property
    def _place(self) -> str:
        return f"{partition_key(self.topic, self.partition)} at offset {self.offset}"

    def to_event(self, *, null_tombstones: bool = False) -> EventRecord:
        """The record as it stands in an event (spec 1.2)."""
        return cast(EventRecord, orjson.loads(self.to_json(null_tombstones=null_tombstones)))

    def to_json(self, *, null_tombstones: bool = False) -> bytes:
        """The record as it stands in an event, as compact JSON in UTF-8."""
        encode = encoder(self.topic, self.partition, null_tombstones=null_tombstones)
        text = encode(self.offset, self.timestamp, self.timestamp_type, self.key, self.value, self.headers)
        for name, metadata in (("key", self.key_schema_metadata), ("value", self.value_schema_metadata)):
            if metadata is not None:
                text = b'%b,"%bSchemaMetadata":%b}' % (text[:-1], name.encode(), orjson.dumps(metadata.to_event()))
        return text

    @classmethod
    def from_event(cls, record: Mapping[str, object], *, path: str = "record") -> Record:
        """The Kafka record that an event's record stands for.

        Args:
            record: the record as it stands in the event.
            path: what an error calls it.

        Raises:
            NotAnEventRecord: a member is missing or not of its type; the text names it.
        """
        for fault in record_faults(record, path):
            raise NotAnEventRecord(fault)
        members = cast(EventRecord, record)
        return cls(
            topic=members["topic"],
            partition=members["partition"],
            offset=members["offset"],
            timestamp=members["timestamp"],
            timestamp_type=members["timestampType"],
            key=_from_base64(members.get("key")),
            value=_from_base64(members.get("value")),
            headers=tuple(_unsigned(header) for header in members.get("headers", [])),
            key_schema_metadata=_metadata(members.get("keySchemaMetadata")),
            value_schema_metadata=_metadata(members.get("valueSchemaMetadata")),
        )


def _from_base64(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


def _unsigned(header: dict[str, list[int] | None]) -> Header:
    ((name, value),) = header.items()
    return name, None if value is None else bytes(byte & 0xFF for byte in value)


def _metadata(found: EventSchemaMetadata | None) -> SchemaMetadata | None:
    return None if found is None else SchemaMetadata(data_format=found["dataFormat"], schema_id=found["schemaId"])
