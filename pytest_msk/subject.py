"""Subject: what an assertion is about, as a history: a mapping, somebody else's consumption, or plain records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ._plain_records import PlainRecord, in_batches
from ._ranges import Ranges
from .brokers import Broker
from .checks import Configuration, Contents, History
from .clock import Clock
from .consumption import Consumption
from .filters.criteria import Decision, FilterCriteria, record_metadata
from .journal import Offsets, StateChanged, offset_runs
from .records import Record
from .topics import Topic

if TYPE_CHECKING:
    from .mapping import EventSourceMapping

__all__ = ["Consumed", "Log", "Subject"]

#: What assertions are about: a mapping, a `Consumption`, or records in the order in which they were consumed, each of
#: them a `Record`, a record of an event or a client's message; a list among them, or an event, is a batch.
Consumed: TypeAlias = "EventSourceMapping | Consumption | Iterable[PlainRecord]"
#: What there was to consume: a topic, or the records that were produced.
Log: TypeAlias = "Topic | Iterable[PlainRecord]"

_MAPPING: frozenset[Configuration] = frozenset({"at-least-once", "read-uncommitted"})


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What an assertion is about.

    Args:
        consumer: what messages call it.
        history: what happened.
        look: reads records of the log, to quote them.
        causes: whether what explains a redelivery is known.
        group: the consumer group's id, where it is known.
        broker: where the topic is, where it is known.
    """

    consumer: str
    history: History
    look: Callable[[Offsets], Sequence[Record]]
    causes: bool = True
    group: str | None = None
    broker: Broker | None = None

    @classmethod
    def of(cls, consumed: Consumed, topic: Log | None = None, *, log: bool = True) -> Subject:
        """Find out what somebody means.

        Args:
            consumed: what was consumed, and by whom.
            topic: what there was to consume; a mapping and a consumption know their own.
            log: whether the topic's log is needed.

        Raises:
            TypeError: the log is needed, and nobody said where it is.
        """
        if hasattr(consumed, "starting"):
            return _mapping(consumed, log=log)  # type: ignore[arg-type]
        if isinstance(consumed, Consumption):
            return _consumption(consumed, topic, log=log)
        return _plain(consumed, topic, log=log)


def _mapping(esm: EventSourceMapping, *, log: bool) -> Subject:
    broker = esm.broker

    def contents() -> Contents:
        return _by_place(_topic(esm.topic, broker, esm.clock).records())

    events = tuple(esm.journal)
    # What an update has changed is not known: what came before it is not held against what is configured now.
    updated = any(isinstance(event, StateChanged) and event.state == "Updating" for event in events)
    history = History(
        topic=esm.topic,
        events=events,
        log=broker.offsets(esm.topic),
        ends={partition: mark.high for partition, mark in broker.watermarks(esm.topic).items()} if log else None,
        origins=esm.starting.origins,
        configurations=_MAPPING,
        batch_size=None if updated else esm.config.batch_size,
        decide=None if updated else _decide(esm.config.filters),
        contents=contents,
    )
    return Subject(
        consumer=esm.function.name,
        history=history,
        look=lambda offsets: _topic(esm.topic, broker, esm.clock).at(offsets),
        group=esm.consumer_group_id,
        broker=broker,
    )


def _consumption(consumption: Consumption, topic: Log | None, *, log: bool, causes: bool = True) -> Subject:
    found: Log | None = topic
    if found is None and isinstance(consumption.topic, Topic):
        found = consumption.topic
    if found is None and log:
        raise TypeError(
            "What there was to consume is not known: give the topic of msk_topic(), or the records that were produced, "
            "as the second argument."
        )
    name = consumption.journal.topic
    configurations: set[Configuration] = {"at-least-once"}
    contents: Contents | None = None
    aborted: Offsets = {}
    if isinstance(found, Topic):
        offsets: Offsets = found.broker.offsets(found.name)
        ends: Mapping[int, int] | None = {p: mark.high for p, mark in found.watermarks().items()}
    else:
        records = [record for batch in in_batches(found or ()) for record in batch if record.topic == name]
        contents = _by_place(records)
        offsets = _offsets(contents)
        ends = {partition: runs[-1].stop for partition, runs in offsets.items()} if found is not None else None
    if consumption.isolation_level == "read_uncommitted":
        configurations.add("read-uncommitted")
    elif isinstance(found, Topic):
        aborted = _difference(offsets, _offsets(_by_place(found.records(isolation_level="read_committed"))))
        offsets = _difference(offsets, aborted)

    def read() -> Contents:
        return _by_place(found.records()) if isinstance(found, Topic) else contents or {}

    def look(wanted: Offsets) -> Sequence[Record]:
        known = {(record.partition, record.offset): record for record in consumption.received}
        if isinstance(found, Topic):
            return found.at(wanted)
        known.update(contents or {})
        spots = [(partition, offset) for partition, runs in wanted.items() for run in runs for offset in run]
        return [known[spot] for spot in spots if spot in known]

    history = History(
        topic=name,
        events=tuple(consumption.journal),
        log=offsets,
        ends=ends,
        configurations=frozenset(configurations),
        batch_size=consumption.batch_size,
        decide=_decide(consumption.filters),
        contents=read,
        received=consumption.received if found is not None else (),
        aborted=aborted,
        mapping=False,
    )
    broker = found.broker if isinstance(found, Topic) else None
    return Subject(
        consumer=consumption.name, history=history, look=look, causes=causes, group=consumption.group, broker=broker
    )


def _plain(consumed: Iterable[PlainRecord], topic: Log | None, *, log: bool) -> Subject:
    if isinstance(consumed, str | bytes | Mapping) or not isinstance(consumed, Iterable):
        raise TypeError(f"{consumed!r}: give a mapping, a Consumption, or the records that were consumed.")
    batches = list(in_batches(consumed))
    if isinstance(topic, Topic):
        name = topic.name
    else:
        topic = None if topic is None else list(topic)
        names = {record.topic for batch in batches for record in batch}
        names |= {record.topic for batch in in_batches(topic or ()) for record in batch}
        if len(names) > 1:
            raise TypeError(f"These are records of several topics, {', '.join(sorted(names))}: give those of one.")
        name = names.pop() if names else ""
    consumption = Consumption(topic if isinstance(topic, Topic) else name)
    for batch in batches:
        if records := [record for record in batch if record.topic == name]:
            consumption.delivered(records)
    return _consumption(consumption, topic, log=log, causes=False)


def _topic(name: str, broker: Broker, clock: Clock) -> Topic:
    return Topic(name, broker=broker, clock=clock)


def _decide(filters: FilterCriteria) -> Callable[[Record], Decision] | None:
    if not filters:
        return None

    def decide(record: Record) -> Decision:
        return filters.decide(record.value, metadata_of(record) if filters.metadata else None)

    return decide


def metadata_of(record: Record) -> dict[str, object]:
    """A record's properties as filters may ask for them."""
    return record_metadata(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        record.value,
        record.headers,
    )


def _by_place(records: Iterable[Record]) -> Contents:
    return {(record.partition, record.offset): record for record in records}


def _offsets(contents: Contents) -> Offsets:
    found: dict[int, list[int]] = {}
    for partition, offset in sorted(contents):
        found.setdefault(partition, []).append(offset)
    return {partition: offset_runs(offsets) for partition, offsets in found.items()}


def _difference(offsets: Offsets, others: Offsets) -> Offsets:
    left = {}
    for partition, runs in offsets.items():
        there = Ranges(others.get(partition, ()))
        left[partition] = tuple(part for run in runs for part in there.missing(run))
    return left
