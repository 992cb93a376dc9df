"""The event that a function receives: build it, read it, know its size (spec 1.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypedDict, cast

import orjson

from ._event_record import found_as, shown
from .errors import MskError
from .records import EventRecord, Record, partition_key

__all__ = [
    "CLUSTER_ARN",
    "CLUSTER_ARN_PATTERN",
    "EVENT_SOURCES",
    "MAX_PAYLOAD",
    "Envelope",
    "EventSource",
    "KafkaEvent",
    "NotAKafkaEvent",
    "decode",
    "partition_key",
]

#: The largest event that a mapping sends, bytes of compact UTF-8 JSON: a synchronous invocation's limit (spec 3.1).
MAX_PAYLOAD = 6_291_456

EventSource = Literal["aws:kafka", "SelfManagedKafka"]
EVENT_SOURCES: tuple[EventSource, ...] = ("aws:kafka", "SelfManagedKafka")
#: The MSK cluster that every broker stands for, where a test does not say otherwise.
CLUSTER_ARN = "arn:aws:kafka:us-east-1:123456789012:cluster/pytest-msk/4a5f3c1e-7d0b-4b7e-9d55-2f6c8f0a1b3c-2"
#: What an MSK cluster's ARN looks like, or that of the connection to one of another account (spec 1.1).
CLUSTER_ARN_PATTERN = r"arn:aws[a-zA-Z-]*:kafka:[a-z0-9-]+:\d{12}:(cluster|vpc-connection)/.+"
_SOURCES = " or ".join(map(repr, EVENT_SOURCES))


class _KafkaEventBase(TypedDict):
    eventSource: EventSource
    bootstrapServers: str
    records: dict[str, list[EventRecord]]


class KafkaEvent(_KafkaEventBase, total=False):
    """An event of Amazon MSK or self-managed Kafka (spec 1.1); only MSK's has an ARN."""

    eventSourceArn: str


class NotAKafkaEvent(MskError, ValueError):
    """A mapping that is not an event of Amazon MSK or self-managed Kafka."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """All of an event but its records.

    Args:
        bootstrap_servers: `host:port`, several joined by commas without spaces.
        event_source_arn: the MSK cluster's ARN; `None` for self-managed Kafka.
    """

    bootstrap_servers: str
    event_source_arn: str | None = None

    @property
    def event_source(self) -> EventSource:
        """Which kind of Kafka the event names."""
        return "SelfManagedKafka" if self.event_source_arn is None else "aws:kafka"

    @cached_property
    def start(self) -> bytes:
        """The event's text up to its first partition."""
        event: dict[str, object] = {"eventSource": self.event_source}
        if self.event_source_arn is not None:
            event["eventSourceArn"] = self.event_source_arn
        event["bootstrapServers"] = self.bootstrap_servers
        return orjson.dumps(event)[:-1] + b',"records":{'

    def payload(self, records: Mapping[str, list[bytes]]) -> bytes:
        """The event's compact JSON text.

        Args:
            records: per `topic-partition` the records' own JSON texts, in order.
        """
        partitions = (b'"%b":[%b]' % (key.encode(), b",".join(texts)) for key, texts in records.items())
        return b"%b%b}}" % (self.start, b",".join(partitions))

    @cached_property
    def size(self) -> int:
        """Bytes of an event without records."""
        return len(self.start) + len(b"}}")

    def event(self, records: Iterable[Record], *, null_tombstones: bool = False) -> KafkaEvent:
        """The event of these records, grouped by partition in the order in which they come.

        Args:
            records: the records, each partition's in offset order.
            null_tombstones: write `"value": null` for a null value instead of leaving it out (spec 1.4).
        """
        grouped: dict[str, list[bytes]] = {}
        for record in records:
            text = record.to_json(null_tombstones=null_tombstones)
            grouped.setdefault(partition_key(record.topic, record.partition), []).append(text)
        return cast(KafkaEvent, orjson.loads(self.payload(grouped)))


def decode(event: Mapping[str, object]) -> tuple[Record, ...]:
    """The Kafka records of an event, in its order; `validate_event` tells more of one that is written by hand.

    Raises:
        NotAKafkaEvent: the mapping is not such an event; the text says where and in what.
        NotAnEventRecord: one of its records is not one.
    """
    if not isinstance(event, Mapping):
        raise NotAKafkaEvent(f"event is {shown(event)}: an event is an object (spec 1.1).")
    groups = event.get("records")
    if event.get("eventSource") not in EVENT_SOURCES:
        raise NotAKafkaEvent(f"event['eventSource'] {found_as(event, 'eventSource')}: it is {_SOURCES} (spec 1.1).")
    if not isinstance(groups, Mapping):
        found = found_as(event, "records")
        raise NotAKafkaEvent(f"event['records'] {found}: it maps 'topic-partition' to records (spec 1.1).")
    records = []
    for key, group in groups.items():
        path = f"event['records'][{key!r}]"
        if not isinstance(group, list):
            raise NotAKafkaEvent(f"{path} is {shown(group)}: it is a list of records (spec 1.1).")
        for number, item in enumerate(group):
            record = Record.from_event(item, path=f"{path}[{number}]")
            found = partition_key(record.topic, record.partition)
            if found != key:
                raise NotAKafkaEvent(f"{path}[{number}] is a record of {found!r} (spec 1.1).")
            records.append(record)
    return tuple(records)
