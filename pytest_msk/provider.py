"""A Faker provider of Kafka records and events: `fake.add_provider(KafkaProvider)`, then `fake.msk_event(records=3)`.

All that is made up comes from the generator's own random numbers, no time and no counter among them: the same seed
gives the same event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from faker.providers import BaseProvider

from ._partitioner import partition_of
from ._unset import UNSET, Unset
from .events import EventSource, KafkaEvent
from .factories import msk_event
from .records import Header, Record
from .serialization import raw_key, raw_value

if TYPE_CHECKING:
    from faker import Generator

__all__ = ["Content", "KafkaProvider"]

#: What a record's value is made by: a function of the Faker generator, or a template, in which `{{name}}` stands for
#: what the generator's method of that name gives.
Content: TypeAlias = "Callable[[Generator], object] | Mapping[str, object] | list[object] | str"

#: When made-up records were written, epoch milliseconds: in 2024 and 2025.
_SINCE, _UNTIL = 1_704_067_200_000, 1_767_225_600_000
_ORDER = {
    "id": "{{uuid4}}",
    "customer": "{{name}}",
    "email": "{{email}}",
    "city": "{{city}}",
    "total": "{{random_int}}",
}
_TOKEN = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class _Odd(TypedDict, total=False):
    """The members of a record by which it is awkward."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


class KafkaProvider(BaseProvider):
    """Makes up Kafka records, and events of Amazon MSK and self-managed Kafka, in the generator's locale."""

    def kafka_record(
        self,
        *,
        topic: str = "orders",
        partition: int = 0,
        offset: int | None = None,
        timestamp: int | None = None,
        key: bytes | str | Callable[..., bytes | str | None] | Unset | None = UNSET,
        content: Content | None = None,
        awkward: bool = False,
    ) -> Record:
        """A made-up record.

        Args:
            topic: the topic's name.
            partition: the partition's number.
            offset: its offset, made up by default.
            timestamp: epoch milliseconds, a moment of 2024 or 2025 by default.
            key: bytes, text, `None` for no key, or a function of the content; a customer's number by default.
            content: what the value is made by: a function that takes the Faker generator, or a template in which
                `{{name}}` stands for what `fake.name()` gives. An order by default.
            awkward: whether it has one of the oddities of `msk_event(awkward=True)`.
        """
        random = self.generator.random
        made = self._content(content)
        record = Record(
            topic=topic,
            partition=partition,
            offset=random.randrange(1_000_000) if offset is None else offset,
            timestamp=random.randrange(_SINCE, _UNTIL) if timestamp is None else timestamp,
            key=raw_key(self._customer() if key is UNSET else key, made),
            value=raw_value(made),
            headers=(("trace-id", f"{random.getrandbits(64):016x}".encode()), ("city", self.generator.city().encode())),
        )
        return replace(record, **random.choice(_oddities(random))) if awkward else record

    def msk_event(
        self,
        records: int | None = None,
        partitions: int | None = None,
        *,
        topic: str = "orders",
        timestamp: int | None = None,
        key: bytes | str | Callable[..., bytes | str | None] | Unset | None = UNSET,
        content: Content | None = None,
        event_source: EventSource = "aws:kafka",
        awkward: bool = False,
    ) -> KafkaEvent:
        """A made-up event.

        Args:
            records: how many there are: 1, or in an awkward event as many as there are oddities.
            partitions: of how many partitions: 1, or 3 in an awkward event. A record with a key is where Java's
                producer would put it; made-up keys are so chosen that each partition has its share.
            topic: the topic's name.
            timestamp: epoch milliseconds of the first record, a moment of 2024 or 2025 by default.
            key: see `kafka_record`.
            content: see `kafka_record`.
            event_source: `aws:kafka` for Amazon MSK, or `SelfManagedKafka`.
            awkward: mix in all that Kafka allows and handlers forget, each once before one comes twice: no key, no
                value (a tombstone), both empty, bytes that are no UTF-8, JSON that is cut off, header bytes above 127
                (negative in the event), header names that come twice or differ in case only, gaps between offsets.

        Raises:
            ValueError: `records`, `partitions` or `timestamp` is no number, or too small a one.
            NotAKafkaEvent: no mapping sends such an event, for instance one without records.
        """
        random = self.generator.random
        odd = _oddities(random) if awkward else []
        records = (len(odd) or 1) if records is None else records
        partitions = (3 if awkward else 1) if partitions is None else partitions
        now = random.randrange(_SINCE, _UNTIL) if timestamp is None else timestamp
        for name, given, least in (("records", records, 0), ("partitions", partitions, 1), ("timestamp", now, -1)):
            if type(given) is not int or given < least:
                raise ValueError(f"{name}={given!r}: give a number, {least} or more.")
        turns = random.sample(range(partitions), partitions)
        made: list[Record] = []
        log: dict[int, list[int]] = {}
        spare: dict[int, list[str]] = {}
        for number in range(records):
            turn = turns[number % partitions]
            mine = self._key(turn, partitions, spare) if key is UNSET else key
            record = self.kafka_record(topic=topic, timestamp=now, key=mine, content=content)
            if odd:
                record = replace(record, **odd[number % len(odd)])
            partition = turn if record.key is None else partition_of(record.key, partitions)
            offsets = log.setdefault(partition, [])
            if offsets:
                gap = random.randrange(1, 5) if awkward and len(offsets) % 2 else 0
                record = replace(record, offset=offsets[-1] + 1 + gap)
            offsets.append(record.offset)
            made.append(replace(record, partition=partition))
            now += random.randrange(2_000)
        return msk_event(made, event_source=event_source)

    def _key(self, partition: int, partitions: int, spare: dict[int, list[str]]) -> str:
        """A customer whose records are in this partition; those of others are kept for their turn."""
        while not spare.get(partition):
            key = self._customer(partitions)
            spare.setdefault(partition_of(key.encode(), partitions), []).append(key)
        return spare[partition].pop()

    def _customer(self, partitions: int = 1) -> str:
        """Out of so many that each partition has some."""
        return f"customer-{self.generator.random.randrange(1, max(100_000, 1_000 * partitions))}"

    def _content(self, content: Content | None) -> object:
        if callable(content):
            return content(self.generator)
        return self._filled(_ORDER if content is None else content)

    def _filled(self, template: object) -> object:
        """A template with what its `{{names}}` stand for; one that is the whole text keeps its type."""
        if isinstance(template, str):
            token = _TOKEN.fullmatch(template)
            return self.generator.parse(template) if token is None else self.generator.format(token[1])
        if isinstance(template, Mapping):
            return {name: self._filled(value) for name, value in template.items()}
        if isinstance(template, list | tuple):
            return [self._filled(value) for value in template]
        return template


def _oddities(random: Random) -> list[_Odd]:
    """What Kafka allows and handlers forget, in random order."""
    broken = bytes([random.randrange(0xC0, 0xF8), *random.choices(range(0x80), k=5)])  # begins a character, ends none
    negative = bytes(random.choices(range(0x80, 0x100), k=4))
    oddities: list[_Odd] = [
        {"key": None},
        {"value": None},
        {"key": None, "value": None, "headers": ()},
        {"key": b""},
        {"value": b""},
        {"key": broken},
        {"value": broken},
        {"value": b'{"id": 1, "tot'},
        {"headers": (("trace-id", negative), ("empty", b""))},
        {"headers": (("attempt", b"1"), ("attempt", b"2"))},
        {"headers": (("Trace-Id", b"1"), ("trace-id", b"2"))},
    ]
    random.shuffle(oddities)
    return oddities
