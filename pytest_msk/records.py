"""Record: one Kafka record, and the form that it has inside a Lambda event, both ways (spec 1.2 to 1.4).

`encode` is the one place where that form is written: as JSON text, because the event that a function receives
is decoded from JSON and its size counts against the payload limit.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, TypeVar, cast

import orjson

from .errors import MskError

__all__ = ["EventRecord", "Header", "NotAnEventRecord", "Record", "TimestampType", "encoder"]

TimestampType = Literal["CREATE_TIME", "LOG_APPEND_TIME"]
Header = tuple[str, bytes | None]
RecordEncoder = Callable[[int, int, TimestampType, bytes | None, bytes | None, Sequence[Header] | None], bytes]


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


class NotAnEventRecord(MskError, ValueError):
    """A mapping that is not a record of an `aws:kafka` event."""


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
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: TimestampType = "CREATE_TIME"
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[Header, ...] = ()

    def to_event(self, *, null_tombstones: bool = False) -> EventRecord:
        """The record as it stands in an event (spec 1.2)."""
        return cast(EventRecord, orjson.loads(self.to_json(null_tombstones=null_tombstones)))

    def to_json(self, *, null_tombstones: bool = False) -> bytes:
        """The record as it stands in an event, as compact JSON in UTF-8."""
        encode = encoder(self.topic, self.partition, null_tombstones=null_tombstones)
        return encode(self.offset, self.timestamp, self.timestamp_type, self.key, self.value, self.headers)

    @classmethod
    def from_event(cls, record: Mapping[str, object]) -> Record:
        """The Kafka record that an event's record stands for.

        Raises:
            NotAnEventRecord: a member is missing or not of its type; the text names it.
        """
        if not isinstance(record, Mapping):
            raise NotAnEventRecord(f"A record of an event is an object (spec 1.2), not {record!r}.")
        return cls(
            topic=_member(record, "topic", str),
            partition=_member(record, "partition", int),
            offset=_member(record, "offset", int),
            timestamp=_member(record, "timestamp", int),
            timestamp_type=_timestamp_type(record),
            key=_from_base64(record, "key"),
            value=_from_base64(record, "value"),
            headers=tuple(_headers(record)),
        )


_T = TypeVar("_T", int, str)


def _member(record: Mapping[str, object], name: str, kind: type[_T]) -> _T:
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        found = f"is {value!r}" if name in record else "is missing"
        raise NotAnEventRecord(f"A record of an event needs {name!r} as {kind.__name__}, but it {found} in {record!r}.")
    return value


def _timestamp_type(record: Mapping[str, object]) -> TimestampType:
    value = record.get("timestampType")
    if value == "CREATE_TIME" or value == "LOG_APPEND_TIME":
        return value
    raise NotAnEventRecord(f"'timestampType' is 'CREATE_TIME' or 'LOG_APPEND_TIME', not {value!r} (spec 1.2).")


def _from_base64(record: Mapping[str, object], name: str) -> bytes | None:
    text = record.get(name)
    if text is None:
        return None
    try:
        return b64decode(cast(str, text), validate=True)
    except (TypeError, ValueError) as error:
        raise NotAnEventRecord(f"{name!r} is base64 text or absent (spec 1.2), not {text!r}: {error}.") from error


def _headers(record: Mapping[str, object]) -> Iterator[Header]:
    headers = record.get("headers", [])
    if not isinstance(headers, list):
        raise NotAnEventRecord(f"'headers' is a list of objects with one name each (spec 1.3), not {headers!r}.")
    for header in headers:
        if not isinstance(header, dict) or len(header) != 1:
            raise NotAnEventRecord(f"A header is an object with one name (spec 1.3), not {header!r}.")
        ((name, value),) = header.items()
        yield name, None if value is None else _unsigned(name, value)


def _unsigned(name: str, value: object) -> bytes:
    if isinstance(value, list) and all(type(n) is int and -128 <= n <= 127 for n in value):
        return bytes(n & 0xFF for n in value)
    raise NotAnEventRecord(f"Header {name!r} is a list of signed bytes, -128 to 127 (spec 1.3), not {value!r}.")
