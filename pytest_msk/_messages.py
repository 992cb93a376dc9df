"""What an assertion says: the worst anomalies, each with what was expected and what stands around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ._event_record import shown
from ._ranges import Ranges
from .checks import Anomaly
from .deliveries import Delivery, set_aside
from .errors import BrokerError
from .journal import DestinationFailed, Dropped, Event, Expired, Filtered, Offsets, SentToDestination
from .records import Record
from .subject import Subject

__all__ = ["complaint"]

#: Anomalies that a message tells in full; the rest are counted. Records before and behind the fault that it shows.
_SHOWN, _AROUND = 4, 2
#: Of what happened to a record at fault, how many things a line names; of one beside it the last.
_FATES = 2
_ASIDE: Mapping[type[Event], str] = {
    Filtered: "filtered",
    Dropped: "dropped",
    SentToDestination: "sent to the destination",
    DestinationFailed: "refused by the destination",
    Expired: "expired",
}


def complaint(subject: Subject, what: str, anomalies: Sequence[Anomaly]) -> str:
    """The message of an assertion that failed.

    Args:
        subject: what it is about.
        what: what is not so, such as "were not delivered in order".
        anomalies: what was found, in any order.
    """
    worst = sorted(anomalies, key=lambda each: each.definition.rank)
    count = f"{len(worst)} anomalies" if len(worst) > 1 else "1 anomaly"
    lines = [f"The records of {subject.history.topic!r} {what} {subject.consumer}: {count}."]
    for anomaly in worst[:_SHOWN]:
        lines += ["", f"{anomaly}", f"  expected: {anomaly.definition.expected}.", *_around(subject, anomaly)]
    if rest := worst[_SHOWN:]:
        kinds = ", ".join(f"{number} {name}" for name, number in Counter(each.name for each in rest).items())
        lines += ["", f"... and {len(rest)} more: {kinds}."]
    return "\n".join(lines)


def _around(subject: Subject, anomaly: Anomaly) -> Iterator[str]:
    """The records around a fault: offset, key, and what happened to each."""
    history, partition, fault = subject.history, anomaly.partition, anomaly.offsets
    there = Ranges(history.log.get(partition, ()))
    steps = [step for step in history.steps() if isinstance(step, Delivery) and partition in step.records]
    aside = [(set_aside(event), _ASIDE[type(event)]) for event in history.events if partition in set_aside(event)]
    for step in steps:
        for run in step.records[partition]:
            there.add(run)
    before = [offset for run in there.overlap(range(fault.start)) for offset in run[-_AROUND:]][-_AROUND:]
    inside = _some([offset for run in there.overlap(fault) for offset in run[:_AROUND]])
    behind = [offset for run in there.overlap(range(fault.stop, there.stop)) for offset in run[:_AROUND]][:_AROUND]
    offsets = [*before, *inside, *behind]
    if not offsets:
        return
    keys = _keys(subject, partition, offsets)
    width = len(str(offsets[-1]))
    key_width = max((len(key) for key in keys.values()), default=0)
    for offset in offsets:
        mark = ">" if offset in fault else " "
        key = f"key {keys[offset]:<{key_width}}  " if offset in keys else ""
        fate = _fate(steps, aside, partition, offset, _FATES if offset in fault else 1)
        yield f"  {mark} offset {offset:>{width}}  {key}{fate}"
        if inside and len(inside) < len(fault) and offset == inside[-1]:
            yield f"    ... and {len(fault) - len(inside)} more up to offset {fault.stop - 1}"


def _some(offsets: Sequence[int]) -> list[int]:
    return list(offsets[:_AROUND])


def _fate(
    steps: Sequence[Delivery], aside: Sequence[tuple[Offsets, str]], partition: int, offset: int, limit: int
) -> str:
    """What happened to one record; of more than `limit` things the first ones and the last."""
    told = []
    for step in steps:
        if _holds(step.records, partition, offset):
            outcome = step.error or "failed" if _holds(step.failed, partition, offset) else "ok"
            told.append(
                f"batch {step.batch}, attempt {step.attempt} (invocation {step.request_id[:8]}): {shown_line(outcome)}"
            )
    told += [name for records, name in aside if _holds(records, partition, offset)]
    if len(told) > limit:
        told = [*told[: limit - 1], *([f"... {len(told) - limit} more"] if limit > 1 else []), told[-1]]
    return "; ".join(told) or "never delivered"


def shown_line(text: str) -> str:
    """An error in one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def _holds(records: Offsets, partition: int, offset: int) -> bool:
    return any(offset in run for run in records.get(partition, ()))


def _keys(subject: Subject, partition: int, offsets: Sequence[int]) -> Mapping[int, str]:
    """The records' keys, of those that can still be read."""
    present = Ranges(subject.history.log.get(partition, ()))
    wanted = tuple(range(o, o + 1) for o in offsets if present.overlap(range(o, o + 1)))
    try:
        found: Sequence[Record] = subject.look({partition: wanted}) if wanted else ()
    except BrokerError:  # the broker is gone, or the records are: the message goes without keys
        return {}
    return {record.offset: shown(record.key) if record.key is None else _text(record.key) for record in found}


def _text(key: bytes) -> str:
    try:
        return shown(key.decode())
    except UnicodeDecodeError:
        return shown(key)
