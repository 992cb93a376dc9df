"""Records as other clients have them: confluent-kafka, kafka-python, aiokafka, or as they stand in an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from ._event_record import TimestampType, shown
from .events import decode
from .records import Header, Record

__all__ = ["DeserializedRecord", "PlainRecord", "as_record", "in_batches"]

#: A `Record`, a record of an event, or the record of any client that has topic, partition, offset, key and value,
#: as attributes (kafka-python, aiokafka) or as methods (confluent-kafka).
PlainRecord: TypeAlias = object

_LOG_APPEND_TIME = (1, 2)  # kafka-python and aiokafka say 1, librdkafka says 2


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DeserializedRecord(Record):
    """A record of which a deserializer has made something else than text: it cannot be held against the log's bytes."""


def as_record(found: PlainRecord) -> Record:
    """A client's record as a `Record`.

    Raises:
        TypeError: it is no record; the text says what is missing.
    """
    if isinstance(found, Record):
        return found
    if isinstance(found, Mapping):
        return Record.from_event(found)
    values = {}
    for name in ("topic", "partition", "offset"):
        value = getattr(found, name, None)
        values[name] = value() if callable(value) else value
        if not isinstance(values[name], str if name == "topic" else int):
            raise TypeError(
                f"{shown(found)} is no record: it has no {name}. Give Records, records of an event, or the messages of "
                "confluent-kafka, kafka-python or aiokafka."
            )
    timestamp, kind = _timestamp(found)
    raw = all(isinstance(_get(found, name), bytes | str | None) for name in ("key", "value"))
    return (Record if raw else DeserializedRecord)(
        topic=cast(str, values["topic"]),
        partition=cast(int, values["partition"]),
        offset=cast(int, values["offset"]),
        timestamp=timestamp,
        timestamp_type=kind,
        key=_raw(found, "key"),
        value=_raw(found, "value"),
        headers=tuple(cast("Iterable[Header]", _get(found, "headers") or ())),
    )


def in_batches(consumed: Iterable[object]) -> Iterator[tuple[Record, ...]]:
    """What was consumed, batch by batch: a record alone is a batch of its own, a list or an event is one.

    Raises:
        TypeError: something is no record.
        NotAKafkaEvent: a mapping is neither a record nor an event.
    """
    for found in consumed:
        if isinstance(found, Mapping) and "records" in found:
            yield decode(found)
        elif isinstance(found, list | tuple) and not hasattr(found, "_fields"):
            yield tuple(map(as_record, found))
        else:
            yield (as_record(found),)


def _get(found: object, name: str) -> object:
    value = getattr(found, name, None)
    return value() if callable(value) else value


def _raw(found: object, name: str) -> bytes | None:
    """A key or a value as bytes; of what a deserializer has made of it, its text."""
    value = _get(found, name)
    return value if isinstance(value, bytes) or value is None else str(value).encode()


def _timestamp(found: object) -> tuple[int, TimestampType]:
    value = _get(found, "timestamp")
    kind: object = getattr(found, "timestamp_type", None)
    if isinstance(value, tuple):
        kind, value = value
    by_broker = kind in _LOG_APPEND_TIME and not (kind == 1 and callable(getattr(found, "timestamp", None)))
    return value if isinstance(value, int) else -1, "LOG_APPEND_TIME" if by_broker else "CREATE_TIME"
