"""Validation: what is wrong with an event that someone wrote by hand (spec 1)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import cast

import orjson

from ._event_record import found_as, record_faults, shown
from .events import CLUSTER_ARN_PATTERN, EVENT_SOURCES, MAX_PAYLOAD, KafkaEvent
from .records import EventRecord, EventSchemaMetadata, partition_key

__all__ = ["validate_event"]

#: The most records of an event: a mapping's largest batch size (spec 2.2).
_MAX_RECORDS = 10_000

_EVENT_MEMBERS = sorted(KafkaEvent.__required_keys__ | KafkaEvent.__optional_keys__)
_RECORD_MEMBERS = sorted(EventRecord.__required_keys__ | EventRecord.__optional_keys__)
_METADATA_MEMBERS = sorted(EventSchemaMetadata.__required_keys__)
#: Without the scheme that a broker's own list of listeners has.
_SERVER = r"[^\s,/]+:[0-9]{1,5}"
#: Kafka's rule for names.
_TOPIC = r"(?!\.\.?$)[a-zA-Z0-9._-]{1,249}"


def validate_event(event: object) -> list[str]:
    """What is wrong with an event of Amazon MSK or self-managed Kafka, such as a dict that someone wrote by hand.

    `assert validate_event(event) == []` shows each fault, in the event's order.

    Args:
        event: what a function is to be called with.

    Returns:
        One sentence a fault, which begins with the path of the member and says what AWS sends there; none for an
        event that a mapping could send.
    """
    if not isinstance(event, Mapping):
        return [f"event is {shown(event)}: an event is an object (spec 1.1)."]
    faults = [*_source_faults(event), *_servers_faults(event), *_stranger_faults(event, _EVENT_MEMBERS, "event")]
    faults += _records_faults(event)
    return faults or list(_size_faults(event))


def _source_faults(event: Mapping[object, object]) -> Iterator[str]:
    source, arn = event.get("eventSource"), event.get("eventSourceArn")
    if source == "aws:SelfManagedKafka":
        yield "event['eventSource'] is 'aws:SelfManagedKafka': AWS sends 'SelfManagedKafka', without 'aws:' (spec 1.1)."
    elif source not in EVENT_SOURCES:
        found = found_as(event, "eventSource")
        yield f"event['eventSource'] {found}: it is {' or '.join(map(repr, EVENT_SOURCES))} (spec 1.1)."
    elif source == "SelfManagedKafka" and "eventSourceArn" in event:
        yield f"event['eventSourceArn'] is {shown(arn)}: an event of self-managed Kafka has none (spec 1.1)."
    elif source == "aws:kafka" and "eventSourceArn" not in event:
        yield "event['eventSourceArn'] is missing: an event of Amazon MSK has its cluster's ARN (spec 1.1)."
    elif source == "aws:kafka" and not (isinstance(arn, str) and re.fullmatch(CLUSTER_ARN_PATTERN, arn)):
        yield (
            f"event['eventSourceArn'] is {shown(arn)}: it is an MSK cluster's ARN, "
            "arn:aws:kafka:region:account:cluster/name/id (spec 1.1)."
        )


def _servers_faults(event: Mapping[object, object]) -> Iterator[str]:
    servers = event.get("bootstrapServers")
    if "bootstrapServers" not in event:
        yield "event['bootstrapServers'] is missing: an event has its brokers' addresses (spec 1.1)."
    elif not isinstance(servers, str) or not re.fullmatch(f"{_SERVER}(,{_SERVER})*", servers):
        found = shown(servers)
        yield f"event['bootstrapServers'] is {found}: it is text, host:port joined by ',' without spaces (spec 1.1)."


def _stranger_faults(found: Mapping[object, object], members: Collection[str], path: str) -> Iterator[str]:
    """Members that AWS does not send, most of them misspelt."""
    for name in found:
        if name in members:
            continue
        spelt = {member.lower(): member for member in members}
        close = difflib.get_close_matches(str(name).lower(), spelt, n=1, cutoff=0.8)
        advice = f"AWS sends {spelt[close[0]]!r}" if close else "AWS sends no such member"
        yield f"{path}[{name!r}] is not known: {advice} (spec 1)."


def _records_faults(event: Mapping[object, object]) -> Iterator[str]:
    groups = event.get("records")
    if "records" not in event:
        yield "event['records'] is missing: it maps 'topic-partition' to a list of records (spec 1.1)."
        return
    if not isinstance(groups, Mapping):
        yield f"event['records'] is {shown(groups)}: it maps 'topic-partition' to a list of records (spec 1.1)."
        return
    if not groups:
        yield "event['records'] is empty: a function is called with one record at least (spec 1.1)."
    for key, group in groups.items():
        path = f"event['records'][{key!r}]"
        if not isinstance(group, list):
            yield f"{path} is {shown(group)}: it is a list of records (spec 1.1)."
        elif not group:
            yield f"{path} is empty: only partitions of which a record is in the batch are there (spec 1.1)."
        else:
            yield from _group_faults(group, key, path)
    topics = sorted({topic for group in groups.values() if isinstance(group, list) for topic in _topics(group)})
    if len(topics) > 1:
        yield f"event['records'] holds records of {', '.join(topics)}: a mapping reads one topic (spec 1.1)."


def _topics(group: list[object]) -> Iterator[str]:
    for record in group:
        if isinstance(record, Mapping) and isinstance(record.get("topic"), str):
            yield record["topic"]


def _group_faults(group: list[object], key: object, path: str) -> Iterator[str]:
    """The faults of one partition's records."""
    last = -1
    for number, record in enumerate(group):
        where = f"{path}[{number}]"
        faults = list(record_faults(record, where))
        yield from faults
        if not isinstance(record, Mapping):
            continue
        yield from _habit_faults(record, where)
        if faults:
            continue
        found = partition_key(record["topic"], record["partition"])
        if found != key:
            yield f"{where} is a record of {found!r}: AWS has it under that key (spec 1.1)."
        if record["offset"] <= last:
            yield f"{where}['offset'] is {record['offset']} after {last}: a partition's offsets ascend (spec 12)."
        last = record["offset"]


def _habit_faults(record: Mapping[object, object], path: str) -> Iterator[str]:
    """What can be read, but never comes from AWS."""
    topic = record.get("topic")
    if isinstance(topic, str) and not re.fullmatch(_TOPIC, topic):
        yield f"{path}['topic'] is {shown(topic)}: a topic's name has at most 249 of a-z, A-Z, 0-9, '.', '_' and '-'."
    if "key" in record and record["key"] is None:
        yield f"{path}['key'] is None: a record without a key has no such member (spec 1.4)."
    if "headers" not in record:
        yield f"{path}['headers'] is missing: a record without headers has an empty list (spec 1.2)."
    yield from _stranger_faults(record, _RECORD_MEMBERS, path)
    for name in ("keySchemaMetadata", "valueSchemaMetadata"):
        metadata = record.get(name)
        if isinstance(metadata, Mapping):
            yield from _stranger_faults(metadata, _METADATA_MEMBERS, f"{path}[{name!r}]")


def _size_faults(event: Mapping[object, object]) -> Iterator[str]:
    """The limits of a batch, of an event that is right in all else (spec 3.1)."""
    records = sum(map(len, cast(KafkaEvent, event)["records"].values()))
    if records > _MAX_RECORDS:
        yield f"event['records'] holds {records} records: a batch has {_MAX_RECORDS} at most (spec 2.2)."
    try:
        size = len(orjson.dumps(event, default=dict))  # any other mapping is an object too
    except TypeError as error:  # text that UTF-8 cannot say
        yield f"event is no JSON: {error}."
        return
    if size > MAX_PAYLOAD:
        yield f"event is {size} bytes of JSON: a mapping sends {MAX_PAYLOAD} at most (spec 3.1)."
