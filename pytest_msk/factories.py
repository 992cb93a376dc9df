"""Factories: events for a unit test of a handler, true in every member, without a broker and without pytest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import get_args

from ._made_up_log import MadeUpLog
from ._recipe import Item, Recipe
from ._unset import UNSET, Unset
from .clock import Clock
from .events import CLUSTER_ARN, EVENT_SOURCES, Envelope, EventSource, KafkaEvent, NotAKafkaEvent
from .records import Record, SchemaMetadata, TimestampType, partition_key
from .serialization import Headers
from .topics import Topic
from .validation import validate_event

__all__ = ["MskEvent", "msk_event"]

_MSK_SERVERS = tuple(f"b-{n}.pytest-msk.a1bcde.c2.kafka.us-east-1.amazonaws.com:9098" for n in (2, 1, 3))
_SELF_MANAGED_SERVERS = ("kafka-1.example.com:9092", "kafka-2.example.com:9092")
#: The record of an event that is made from nothing. Bytes above 127, as UTF-8 has them, are negative in its headers.
_ORDER = {"id": 1, "customer": "Zoë", "total": 49.9}
_ORDER_KEY = "customer-7"
_ORDER_HEADERS = (("trace-id", "4bf92f3577b34da6"), ("customer", "Zoë"))

#: The types of a Record's members, and how a refusal calls them.
_RECORD_TYPES = {
    "topic": (str, "text"),
    **dict.fromkeys(("partition", "offset", "timestamp"), (int, "a whole number")),
    **dict.fromkeys(("key", "value"), (bytes | None, "bytes or None")),
    **dict.fromkeys(
        ("key_schema_metadata", "value_schema_metadata"), (SchemaMetadata | None, "a SchemaMetadata or None")
    ),
    "headers": (tuple | list, "a tuple of (name, bytes) pairs"),
}
_REFUSAL = "No mapping sends such an event:"
#: What can be iterated, and is a value all the same.
_SINGLE = (str, bytes, bytearray, Mapping)


class MskEvent:
    """Makes events; what the fixture `msk_event` gives, for annotations.

    An event is the next batch of its topic: where `offset` does not say otherwise, a partition's offsets go on where
    the last event that was made here has ended.

    Args:
        clock: tells the time of records that are given none; by default that is the time that the test sees, frozen
            or not.
        continues: `False` begins each event at offset 0.
    """

    def __init__(self, *, clock: Clock | None = None, continues: bool = True) -> None:
        self._clock = clock
        self._continues = continues
        self._log = MadeUpLog()

    def __repr__(self) -> str:
        return f"MskEvent(continues={self._continues})"

    def __call__(
        self,
        values: Iterable[object] | Mapping[str, Iterable[object]] | Topic | None = None,
        *,
        topic: Topic | str | None = None,
        partitions: int | None = None,
        key: bytes | str | Callable[..., bytes | str | None] | Unset | None = UNSET,
        headers: Headers | Callable[..., Headers] | Unset = UNSET,
        offset: int | Mapping[int, int] | None = None,
        timestamp: int | Callable[..., int] | None = None,
        timestamp_type: TimestampType | None = None,
        key_schema_metadata: SchemaMetadata | None = None,
        value_schema_metadata: SchemaMetadata | None = None,
        event_source: EventSource = "aws:kafka",
        event_source_arn: str | None = None,
        bootstrap_servers: str | Sequence[str] | None = None,
        null_tombstones: bool = False,
    ) -> KafkaEvent:
        """An event as a mapping sends it (spec 1).

        Args:
            values: a record each: bytes, text (as UTF-8, not JSON), `None` for a tombstone, or whatever JSON can say;
                a mapping of `topic-partition` to values says which partition they are in. `Record`s and the log of a
                `Topic` stand in the event as they are. One plausible order by default.
            topic: the topic's name, `orders` by default.
            partitions: how many partitions the topic has, 1 by default; records with a key are in the one that Java's
                producer would choose, those without go round robin from partition 0.
            key: bytes, text, `None` for no key, or a function of the value; by default only the plausible order has
                one.
            headers: (name, value) pairs; a mapping will do where no name comes twice; or a function of the value; by
                default only the plausible order has any.
            offset: the event's first offset, of every partition or per partition.
            timestamp: epoch milliseconds, or a function of the value; now by default.
            timestamp_type: who set the timestamps, the producer (`CREATE_TIME`) by default.
            key_schema_metadata: what a schema registry says of the keys (spec 1.5).
            value_schema_metadata: what it says of the values.
            event_source: `aws:kafka` for Amazon MSK, or `SelfManagedKafka`.
            event_source_arn: the MSK cluster's ARN, made up by default.
            bootstrap_servers: `host:port`, several as a list or joined by commas; made up by default.
            null_tombstones: write `"value": null` for a tombstone instead of leaving `value` out (spec 1.4).

        Returns:
            A new event, which the caller may change.

        Raises:
            TypeError: an argument is not of its type, or would change a `Record`.
            NotAKafkaEvent: no mapping sends such an event; the text says what of it, as `validate_event` does.
        """
        if values is None:
            values = [_ORDER]
            key = _ORDER_KEY if key is UNSET else key
            headers = _ORDER_HEADERS if headers is UNSET else headers
        recipe = Recipe(
            topic=topic,
            partitions=partitions,
            key=key,
            headers=headers,
            offset=offset,
            timestamp=timestamp,
            timestamp_type=timestamp_type,
            key_schema_metadata=key_schema_metadata,
            value_schema_metadata=value_schema_metadata,
        )
        log = self._log.copy() if self._continues else MadeUpLog()
        items = list(_items(values))
        if any(isinstance(value, Record) for _, value in items):
            records = list(_as_they_are(items, recipe))
            log.follow(records)
        else:
            now_ms = time.time_ns() // 1_000_000 if self._clock is None else self._clock.now_ms()
            records = list(recipe.records(items, log, now_ms))
        event = _event(records, _envelope(event_source, event_source_arn, bootstrap_servers), null_tombstones)
        self._log = log
        return event


#: Makes an event without pytest; each begins at offset 0 again. Its arguments are those of `MskEvent.__call__`.
msk_event = MskEvent(continues=False)


def _items(values: Iterable[object] | Mapping[str, Iterable[object]] | Topic) -> Iterator[Item]:
    """The values, each with the `topic-partition` that it is given under."""
    if isinstance(values, Topic):
        yield from ((None, record) for record in values.records())
    elif isinstance(values, Mapping):
        for place, group in values.items():
            if not isinstance(place, str) or not isinstance(group, Iterable) or isinstance(group, _SINGLE):
                raise TypeError(
                    f"values maps {place!r} to {group!r}: give lists of values by 'topic-partition', or a single value "
                    "as a list of one."
                )
            yield from ((place, value) for value in group)
    elif isinstance(values, Iterable) and not isinstance(values, _SINGLE):
        yield from ((None, value) for value in values)
    else:
        raise TypeError(f"values is {values!r}: give a list of values, a single one as a list of one.")


def _as_they_are(items: Iterable[Item], recipe: Recipe) -> Iterator[Record]:
    """The records that were given; nothing about them is left to say."""
    if recipe.given:
        raise TypeError(
            f"{recipe.given[0]} was given with Records, which have their own: change a Record by dataclasses.replace()."
        )
    for place, value in items:
        if not isinstance(value, Record):
            raise TypeError(f"values has Records and {value!r}: give Records only, or values only.")
        found = partition_key(value.topic, value.partition)
        if place is not None and place != found:
            raise TypeError(f"values has a record of {found!r} under {place!r}.")
        _check_types(value)
        yield value


def _check_types(record: Record) -> None:
    """Refuse what the event would say otherwise: a number of another type, an unknown timestamp type."""
    for name, (kind, words) in _RECORD_TYPES.items():
        found = getattr(record, name)
        if not isinstance(found, kind) or isinstance(found, bool):
            raise TypeError(f"A Record's {name} is {words}, not {found!r}.")
    if record.timestamp_type not in get_args(TimestampType):
        given = record.timestamp_type
        raise TypeError(f"A Record's timestamp_type is 'CREATE_TIME' or 'LOG_APPEND_TIME', not {given!r}.")
    for header in record.headers:
        match header:
            case (str(), bytes() | None):
                pass
            case _:
                raise TypeError(f"A Record's headers are (name, bytes) pairs, not {header!r}.")


def _envelope(source: EventSource, arn: str | None, servers: str | Sequence[str] | None) -> Envelope:
    if source not in EVENT_SOURCES:
        raise TypeError(f"event_source={source!r}: give {' or '.join(map(repr, EVENT_SOURCES))}.")
    managed = source == "aws:kafka"
    if arn is not None and not managed:
        raise TypeError(f"event_source_arn={arn!r}: an event of self-managed Kafka has none (spec 1.1).")
    if not isinstance(arn, str | None):
        raise TypeError(f"event_source_arn={arn!r}: give the cluster's ARN as text.")
    if servers is None:
        servers = _MSK_SERVERS if managed else _SELF_MANAGED_SERVERS
    listed = [servers] if isinstance(servers, str) else servers
    if not isinstance(listed, Sequence) or not all(isinstance(server, str) for server in listed):
        raise TypeError(f"bootstrap_servers={servers!r}: give 'host:port', several as a list or joined by commas.")
    return Envelope(
        bootstrap_servers=",".join(listed),
        event_source_arn=arn if arn is not None or not managed else CLUSTER_ARN,
    )


def _event(records: Iterable[Record], envelope: Envelope, null_tombstones: bool) -> KafkaEvent:
    try:
        event = envelope.event(records, null_tombstones=null_tombstones)
    except (TypeError, ValueError) as error:  # text that UTF-8 cannot say
        raise NotAKafkaEvent(f"{_REFUSAL}\nevent is no JSON: {error}.") from error
    faults = validate_event(event)
    if faults:
        raise NotAKafkaEvent("\n".join([_REFUSAL, *faults]))
    return event
