"""Hypothesis strategies: any record, and any event, that a mapping could hand to a function.

    from pytest_msk.strategies import events

    @given(event=events())
    def test_no_event_breaks_the_handler(event): ...

They need the extra `pytest-msk[hypothesis]`. A header whose value is null is not among them: nobody has seen yet what
AWS makes of it (spec 13).
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from ._partitioner import partition_of
from .events import EVENT_SOURCES, EventSource, KafkaEvent
from .factories import msk_event
from .records import Record, TimestampType
from .serialization import Headers, raw_headers, raw_key, raw_value

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    text = "pytest_msk.strategies needs Hypothesis: pip install 'pytest-msk[hypothesis]'."
    raise ModuleNotFoundError(text, name=error.name) from error

__all__ = ["events", "records"]

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.none() | _TEXTS | st.binary(max_size=20)
_VALUES = st.none() | st.dictionaries(_TEXTS, _JSON, max_size=4) | _TEXTS | st.binary(max_size=40)
#: Few names, so that one comes twice, or differs from another in case only.
_HEADERS = st.lists(
    st.tuples(st.sampled_from(["trace-id", "Trace-Id"]) | _TEXTS, _TEXTS | st.binary(max_size=20)), max_size=3
)
_TOPICS = st.from_regex(r"[a-zA-Z0-9_-][a-zA-Z0-9._-]{1,20}", fullmatch=True)
_OFFSETS = st.integers(0, 2**62)
#: Epoch milliseconds, from 2001 to the end of 9999: pydantic takes smaller numbers for seconds and no larger ones.
_TIMESTAMPS = st.integers(1_000_000_000_000, 253_402_300_799_999)
_TIMESTAMP_TYPES: st.SearchStrategy[TimestampType] = st.sampled_from(get_args(TimestampType))


def records(
    *,
    topic: str | None = None,
    keys: st.SearchStrategy[bytes | str | None] = _KEYS,
    values: st.SearchStrategy[object] = _VALUES,
    headers: st.SearchStrategy[Headers] = _HEADERS,
) -> st.SearchStrategy[Record]:
    """Records: any key, value and headers that a producer can send, at any place in a log.

    Args:
        topic: the topic's name; any by default.
        keys: what keys are drawn from, as `Topic.produce` takes them.
        values: what values are drawn from: bytes, text, `None` for a tombstone, or whatever JSON can say.
        headers: what headers are drawn from, (name, value) pairs.
    """
    return st.builds(
        Record,
        topic=_TOPICS if topic is None else st.just(topic),
        partition=st.integers(0, 2**31 - 1),
        offset=_OFFSETS,
        timestamp=_TIMESTAMPS,
        timestamp_type=_TIMESTAMP_TYPES,
        key=keys.map(lambda key: raw_key(key, None)),
        value=values.map(raw_value),
        headers=headers.map(lambda pairs: tuple(raw_headers(pairs))),
    )


@st.composite
def events(
    draw: st.DrawFn,
    *,
    topic: str | None = None,
    keys: st.SearchStrategy[bytes | str | None] = _KEYS,
    values: st.SearchStrategy[object] = _VALUES,
    headers: st.SearchStrategy[Headers] = _HEADERS,
    max_records: int = 10,
    max_partitions: int = 3,
    event_source: EventSource | None = None,
) -> KafkaEvent:
    """Events of one topic, over several partitions, with gaps between offsets.

    Args:
        topic: the topic's name; any by default.
        keys: what keys are drawn from; a key's records are in the partition that Java's producer would choose.
        values: what values are drawn from; see `records`.
        headers: what headers are drawn from.
        max_records: how many records an event has at most.
        max_partitions: how many partitions the topic has at most.
        event_source: `aws:kafka` or `SelfManagedKafka`; either by default.
    """
    name = draw(_TOPICS) if topic is None else topic
    partitions, timestamp_type = draw(st.integers(1, max_partitions)), draw(_TIMESTAMP_TYPES)
    ends = draw(st.lists(_OFFSETS, min_size=partitions, max_size=partitions))
    turns, gaps = st.integers(0, partitions - 1), st.integers(0, 3)
    drawn = st.tuples(records(topic=name, keys=keys, values=values, headers=headers), turns, gaps)
    batch = []
    for record, turn, gap in draw(st.lists(drawn, min_size=1, max_size=max_records)):
        partition = turn if record.key is None else partition_of(record.key, partitions)
        offset = ends[partition] + gap
        ends[partition] = offset + 1
        batch.append(replace(record, partition=partition, offset=offset, timestamp_type=timestamp_type))
    source = draw(st.sampled_from(EVENT_SOURCES)) if event_source is None else event_source
    return msk_event(batch, event_source=source)
