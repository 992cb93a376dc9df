"""A recipe: what the records of a made-up event are made by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import get_args

from ._made_up_log import MadeUpLog
from ._unset import UNSET, Unset
from .records import Record, SchemaMetadata, TimestampType
from .serialization import Headers, raw_headers, raw_key, raw_value
from .topics import Topic

__all__ = ["Item", "Recipe"]

#: A value, and the `topic-partition` that it was given under.
Item = tuple[str | None, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The arguments of `msk_event` that say what its records are like."""

    topic: Topic | str | None = None
    partitions: int | None = None
    key: bytes | str | Callable[..., bytes | str | None] | Unset | None = UNSET
    headers: Headers | Callable[..., Headers] | Unset = UNSET
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
        numbers = (*self.offset, *self.offset.values()) if isinstance(self.offset, Mapping) else (self.offset,)
        if self.offset is not None and any(type(number) is not int for number in numbers):
            raise TypeError(f"offset={self.offset!r}: give a number, or a mapping of partitions to numbers.")
        if self.timestamp_type not in (None, *get_args(TimestampType)):
            raise TypeError(f"timestamp_type={self.timestamp_type!r}: give 'CREATE_TIME' or 'LOG_APPEND_TIME'.")
        for name in ("key_schema_metadata", "value_schema_metadata"):
            if not isinstance(getattr(self, name), SchemaMetadata | None):
                raise TypeError(f"{name}={getattr(self, name)!r}: give a SchemaMetadata(data_format=…, schema_id=…).")

    @property
    def given(self) -> list[str]:
        """The names of the members that are not left to their defaults."""
        return [member.name for member in fields(self) if getattr(self, member.name) is not member.default]

    def records(self, items: Iterable[Item], log: MadeUpLog, now_ms: int) -> Iterator[Record]:
        """The records of these values, appended to the log."""
        begun: set[tuple[str, int]] = set()
        for place, value in items:
            key, content = raw_key(None if self.key is UNSET else self.key, value), raw_value(value)
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
                headers=tuple(raw_headers(self._headers(value))),
                key_schema_metadata=None if key is None else self.key_schema_metadata,
                value_schema_metadata=None if content is None else self.value_schema_metadata,
            )
            log.ends[topic, partition] += 1
        self._check_offsets({partition for _, partition in begun})

    def _place(self, place: str | None, key: bytes | None, log: MadeUpLog) -> tuple[str, int]:
        if place is None:
            topic = "orders" if self.topic is None else str(self.topic)
            return topic, log.partition(topic, key, self.partitions or 1)
        topic, _, number = place.rpartition("-")
        if not topic or not re.fullmatch("0|[1-9][0-9]{0,9}", number):
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

    def _check_offsets(self, begun: set[int]) -> None:
        """Refuse the offset of a partition that the topic does not have; one that got no record is no mistake."""
        for partition in self.offset if isinstance(self.offset, Mapping) else ():
            if partition not in begun and partition not in range(self.partitions or 1):
                raise TypeError(f"offset={self.offset!r}: no value is in partition {partition}.")

    def _headers(self, value: object) -> Headers:
        headers = self.headers(value) if callable(self.headers) else self.headers
        return None if headers is UNSET else headers

    def _timestamp(self, value: object, now_ms: int) -> int:
        timestamp = self.timestamp(value) if callable(self.timestamp) else self.timestamp
        if timestamp is None:
            return now_ms
        if type(timestamp) is not int:
            raise TypeError(f"A timestamp is epoch milliseconds or a function of the value, not {timestamp!r}.")
        return timestamp
