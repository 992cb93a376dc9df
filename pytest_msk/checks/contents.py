"""Contents: whether the records that came are those of the log, and those that the filters let through. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .._plain_records import DeserializedRecord
from .._ranges import Ranges
from ..deliveries import Delivery
from ..journal import Filtered, Offsets
from ..records import Record
from .anomaly import Anomaly, place, where
from .history import Contents, History

__all__ = ["content_anomalies"]


def content_anomalies(history: History) -> Iterator[Anomaly]:
    """Filter decisions that the filters do not make, and records that are not what the log has at their offset."""
    if history.decide is not None:
        yield from _filter_decisions(history, history.contents())
    if history.received:
        yield from _received(history, history.contents())
    if history.aborted:
        yield from _aborted(history)


def _filter_decisions(history: History, contents: Contents) -> Iterator[Anomaly]:
    assert history.decide is not None
    told: set[tuple[int, int]] = set()
    for step in history.steps():
        if not isinstance(step, Delivery | Filtered):
            continue
        for partition, offset in _each(step.records):
            record = contents.get((partition, offset))
            if record is None or (partition, offset) in told:  # it has expired
                continue
            filtered = history.decide(record) == "filtered"
            here = range(offset, offset + 1)
            at = place(history.topic, partition, here)
            if isinstance(step, Filtered) and not filtered:
                yield history.anomaly("matching-filtered", partition, here, f"{at} was put aside, but matches.")
            elif isinstance(step, Delivery) and filtered:
                text = f"{at} came in {where(step.batch, step.attempt)}, but no filter lets it through."
                yield history.anomaly("filtered-delivered", partition, here, text, step)
            else:
                continue
            told.add((partition, offset))


def _received(history: History, contents: Contents) -> Iterator[Anomaly]:
    first: dict[tuple[int, int], Record] = {}
    for record in history.received:
        spot = (record.partition, record.offset)
        here = range(record.offset, record.offset + 1)
        at = place(record.topic, record.partition, here)
        if record.topic != history.topic:
            text = f"{at} came, but the topic is {history.topic!r}."
            yield history.anomaly("foreign-record", record.partition, here, text)
            continue
        known = contents.get(spot)
        end = None if history.ends is None else history.ends.get(record.partition, 0)
        if known is None and end is not None and record.offset >= end:
            text = f"{at} came, but its log ends at {end}." if end else f"{at} came, but the log has no such record."
            yield history.anomaly("foreign-record", record.partition, here, text)
            continue
        if isinstance(record, DeserializedRecord):
            continue
        for other, whose in ((known, "in the log"), (first.get(spot), "at first")):
            if other is not None and (other.key, other.value) != (record.key, record.value):
                text = f"{at} came as {_content(record)}, but is {_content(other)} {whose}."
                yield history.anomaly("inconsistent-offsets", record.partition, here, text)
                break
        first.setdefault(spot, record)


def _aborted(history: History) -> Iterator[Anomaly]:
    aborted = {partition: Ranges(runs) for partition, runs in history.aborted.items()}
    for step in history.steps():
        if isinstance(step, Delivery):
            for partition, runs in step.records.items():
                for part in (part for run in runs if partition in aborted for part in aborted[partition].overlap(run)):
                    stands = "its transaction was" if len(part) == 1 else "their transaction was"
                    text = (
                        f"{place(history.topic, partition, part)} came in {where(step.batch, step.attempt)}, but "
                        f"{stands} aborted."
                    )
                    yield history.anomaly("aborted-read", partition, part, text, step)


def _each(records: Offsets) -> Iterator[tuple[int, int]]:
    return ((partition, offset) for partition, runs in records.items() for run in runs for offset in run)


def _content(record: Record) -> str:
    value = repr(record.value)
    return f"key {record.key!r}, value {value if len(value) <= 60 else value[:57] + '...'}"
