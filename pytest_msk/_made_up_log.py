"""A made-up log: what stands where in topics that no broker has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

from ._partitioner import partition_of
from .records import Record, SchemaMetadata, TimestampType
from .serialization import Headers, raw_headers, raw_key, raw_value
from .topics import Topic

__all__ = ["Item", "MadeUpLog", "Recipe"]

#: A value, and the `topic-partition` that it was given under.
Item = tuple[str | None, object]


class MadeUpLog:
    """Where each partition ends, and the topics' turns of records without a key."""

    def __init__(self) -> None:
        self.ends: dict[tuple[str, int], int] = {}
        self._keyless: Counter[str] = Counter()

    def copy(self) -> MadeUpLog:
        """A log that ends where this one ends."""
        copy = MadeUpLog()
        copy.ends, copy._keyless = dict(self.ends), Counter(self._keyless)
        return copy

    def partition(self, topic: str, key: bytes | None, partitions: int) -> int:
        """Where a record goes: by its key, or round robin."""
        if key is not None:
            return partition_of(key, partitions)
        self._keyless[topic] += 1
        return (self._keyless[topic] - 1) % partitions

    def follow(self, records: Iterable[Record]) -> None:
        """End behind these records."""
        for record in records:
            self.ends[record.topic, record.partition] = record.offset + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What the records of an event are made by; the members are the arguments of `msk_event`."""

    topic: Topic | str | None = None
    partitions: int | None = None
    key: bytes | str | Callable[..., bytes | str | None] | None = None
    headers: Headers | Callable[..., Headers] = None
    offset: int | Mapping[int, int] | None = None
    timestamp: int | Callable[..., int] | None = None
    timestamp_type: TimestampType | None = None
    key_schema_metadata: SchemaMetadata | None = None
    value_schema_metadata: SchemaMetadata | None = None

    def __post_init__(self) -> None:
        if self.topic is not None and not isinstance(self.topic, Topic | str):
            raise TypeError(f"topic={self.topic!r}: give a topic's name, or a Topic.")
        if self.partitions is not None and (type(self.partitions) is not int or self.partitions < 1):
            raise TypeError(f"partitions={self.partitions!r}: give a number of partitions, 1 or more.")
        for offset in self.offset.values() if isinstance(self.offset, Mapping) else [self.offset]:
            if type(offset) is not int and self.offset is not None:
                raise TypeError(f"offset={self.offset!r}: give a number, or a mapping of partitions to numbers.")
        if self.timestamp_type not in (None, "CREATE_TIME", "LOG_APPEND_TIME"):
            raise TypeError(f"timestamp_type={self.timestamp_type!r}: give 'CREATE_TIME' or 'LOG_APPEND_TIME'.")
        for name in ("key_schema_metadata", "value_schema_metadata"):
            if not isinstance(getattr(self, name), SchemaMetadata | None):
                raise TypeError(f"{name}={getattr(self, name)!r}: give a SchemaMetadata(data_format=…, schema_id=…).")

    @property
    def given(self) -> list[str]:
        """The names of the members that are not left to their defaults."""
        return [member.name for member in fields(self) if getattr(self, member.name) is not None]

    def records(self, items: Iterable[Item], log: MadeUpLog, now_ms: int) -> Iterator[Record]:
        """The records of these values, appended to the log."""
        begun = set()
        for place, value in items:
            key, content = raw_key(self.key, value), raw_value(value)
            headers = self.headers(value) if callable(self.headers) else self.headers
            topic, partition = self._place(place, key, log)
            if (topic, partition) not in begun:
                begun.add((topic, partition))
                log.ends[topic, partition] = self._start(partition, log.ends.get((topic, partition), 0))
            yield Record(
                topic=topic,
                partition=partition,
                offset=log.ends[topic, partition],
                timestamp=self._timestamp(value, now_ms),
                timestamp_type=self.timestamp_type or "CREATE_TIME",
                key=key,
                value=content,
                headers=tuple(raw_headers(headers)),
                key_schema_metadata=None if key is None else self.key_schema_metadata,
                value_schema_metadata=None if content is None else self.value_schema_metadata,
            )
            log.ends[topic, partition] += 1

    def _place(self, place: str | None, key: bytes | None, log: MadeUpLog) -> tuple[str, int]:
        if place is None:
            topic = "orders" if self.topic is None else str(self.topic)
            return topic, log.partition(topic, key, self.partitions or 1)
        topic, _, number = place.rpartition("-")
        if not topic or not number.isdecimal() or str(int(number)) != number:
            raise TypeError(
                f"values has the key {place!r}, which is no 'topic-partition' such as 'orders-0'; a single value is "
                "given as a list of one."
            )
        if self.topic is not None and str(self.topic) != topic:
            raise TypeError(f"topic={str(self.topic)!r}: values are under {place!r}, which is of another topic.")
        if self.partitions is not None and int(number) >= self.partitions:
            raise TypeError(f"partitions={self.partitions}: values are under {place!r}, which is beyond them.")
        return topic, int(number)

    def _start(self, partition: int, end: int) -> int:
        if isinstance(self.offset, Mapping):
            return self.offset.get(partition, end)
        return end if self.offset is None else self.offset

    def _timestamp(self, value: object, now_ms: int) -> int:
        timestamp = self.timestamp(value) if callable(self.timestamp) else self.timestamp
        if timestamp is None:
            return now_ms
        if type(timestamp) is not int:
            raise TypeError(f"A timestamp is epoch milliseconds or a function of the value, not {timestamp!r}.")
        return timestamp
