"""Assertions about what was consumed; they raise `AssertionError` themselves and need no rewriting.

Each takes a mapping, a `Consumption`, or plain records in the order in which somebody's consumer got them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from ._messages import complaint
from .checks import Anomaly, Configuration, anomalies, coverage_anomalies, order_anomalies
from .checks import redelivery_anomalies as _redeliveries
from .journal import CloseReason, Condition, DestinationFailed, SentToDestination, offset_runs
from .subject import Consumed, Log, Subject

if TYPE_CHECKING:
    from .brokers import Broker
    from .consumption import Consumption
    from .mapping import EventSourceMapping
    from .topics import Topic

__all__ = [
    "Allowed",
    "assert_at_least_once",
    "assert_batches",
    "assert_committed",
    "assert_exactly_once",
    "assert_no_anomalies",
    "assert_no_redelivery",
    "assert_ordered",
    "assert_sent_to_destination",
    "find_anomalies",
]

#: What may become of a record instead of a successful attempt.
Allowed: TypeAlias = Literal["dropped", "destination"]
_ALLOWED: Mapping[Allowed, Configuration] = {"dropped": "limited-retries", "destination": "on-failure-destination"}


def find_anomalies(
    consumed: Consumed, topic: Log | None = None, *, allow: Collection[Allowed] = (), legal: bool = False
) -> tuple[Anomaly, ...]:
    """Everything that is wrong with what was consumed, the worst first.

    Args:
        consumed: a mapping, a `Consumption`, or plain records.
        topic: what there was to consume, for plain records: the `Topic`, or the records that were produced.
        allow: what may become of a record instead of a successful attempt: `dropped`, `destination`.
        legal: tell what is legal in the consumer's configuration too, such as a duplicate after a rebalance.
    """
    allowed = _allowed(allow)
    return _find(Subject.of(consumed, topic), allowed, legal=legal)


def assert_no_anomalies(consumed: Consumed, topic: Log | None = None, *, allow: Collection[Allowed] = ()) -> None:
    """Assert that nothing is wrong with what was consumed: every check holds; see `find_anomalies`.

    Raises:
        AssertionError: with the worst anomalies, each with what was expected and what stands around it.
    """
    __tracebackhide__ = True
    allowed = _allowed(allow)
    subject = Subject.of(consumed, topic)
    _refuse(subject, "were not delivered as they should to", _find(subject, allowed))


def assert_ordered(consumed: Consumed) -> None:
    """Assert that each partition's records were delivered in order.

    Offsets ascend inside each event, first deliveries ascend, nothing passed a record that had failed, and a record
    came again only after a failed attempt, a rebalance or a restart.

    Args:
        consumed: a mapping, a `Consumption`, or plain records; of these nobody knows why one came again.

    Raises:
        AssertionError: with topic, partition, offsets, key, batch and attempt.
    """
    __tracebackhide__ = True
    subject = Subject.of(consumed, log=False)
    skip = {"skipped-offset"} if subject.causes else {"skipped-offset", "unexplained-redelivery"}
    found = [each for each in order_anomalies(subject.history) if each.name not in skip]
    _refuse(subject, "were not delivered in order to", found)


def assert_at_least_once(consumed: Consumed, topic: Log | None = None, *, allow: Collection[Allowed] = ()) -> None:
    """Assert that each record of the topic, from the starting position on, was in a successful attempt or filtered.

    The topic's own log says which records there are; those that have expired meanwhile do not count.

    Args:
        consumed: a mapping, a `Consumption`, or plain records.
        topic: what there was to consume, for plain records: the `Topic`, or the records that were produced.
        allow: what may become of a record instead: `dropped`, or `destination`, the on-failure destination.

    Raises:
        AssertionError: with topic, partition, offsets, key, and what happened to them.
    """
    __tracebackhide__ = True
    allowed = _allowed(allow)
    subject = Subject.of(consumed, topic)
    _refuse(subject, "were not all delivered to", _not_delivered(subject, allowed))


def assert_exactly_once(consumed: Consumed, topic: Log | None = None, *, allow: Collection[Allowed] = ()) -> None:
    """Assert that each record of the topic was in exactly one successful attempt, or filtered.

    A mapping promises at least once: this holds for a run in which nothing failed between a call and its commit.

    Args:
        consumed: a mapping, a `Consumption`, or plain records.
        topic: what there was to consume, as in `assert_at_least_once`.
        allow: as in `assert_at_least_once`.

    Raises:
        AssertionError: with topic, partition, offsets, key, batch and attempt.
    """
    __tracebackhide__ = True
    allowed = _allowed(allow)
    subject = Subject.of(consumed, topic)
    twice = [each for each in coverage_anomalies(subject.history) if each.name == "duplicate"]
    _refuse(subject, "were not delivered exactly once to", [*_not_delivered(subject, allowed), *twice])


def assert_no_redelivery(consumed: Consumed) -> None:
    """Assert that no record was in more than one attempt, whatever came of the first one.

    Raises:
        AssertionError: with topic, partition, offsets, key, batch and attempt.
    """
    __tracebackhide__ = True
    subject = Subject.of(consumed, log=False)
    _refuse(subject, "were delivered again to", list(_redeliveries(subject.history)))


def assert_committed(
    consumed: EventSourceMapping | Consumption | Topic,
    expected: Mapping[int, int] | None = None,
    *,
    group: str | None = None,
) -> None:
    """Assert which offsets the consumer group has committed, as the broker has them.

    Args:
        consumed: a mapping, a `Consumption`, or a `Topic` with `group`.
        expected: per partition the next offset to be read; by default the end of each log that holds a record, which
            says that nothing is left to do.
        group: the group's id, for a `Topic`.

    Raises:
        AssertionError: with each partition that differs, and the records in between.
    """
    __tracebackhide__ = True
    broker, topic, group = _group(consumed, group)
    marks = broker.watermarks(topic)
    wanted = {p: mark.high for p, mark in marks.items() if mark.high} if expected is None else dict(expected)
    found = broker.committed(group, topic)
    lines = []
    for partition in sorted({*wanted, *(found if expected is not None else ())}):
        have, want = found.get(partition), wanted.get(partition)
        if have != want:
            lines.append(
                f"  {topic}-{partition}: committed {_offset(have)}, expected {_offset(want)}{_gap(have, want)}"
            )
    if lines:
        what = "the end of each log" if expected is None else repr(dict(expected))
        raise AssertionError("\n".join([f"Group {group!r} has not committed {what} in {topic!r}:", *lines]))


def assert_batches(
    esm: EventSourceMapping,
    *,
    sizes: Sequence[int] | None = None,
    reasons: Sequence[CloseReason] | None = None,
    max_size: int | None = None,
) -> None:
    """Assert how many records the batches had, and why each of them was closed (spec 3.1).

    Args:
        esm: the mapping.
        sizes: records of each batch, in order.
        reasons: why each batch was closed, in order: `size`, `window` or `payload`.
        max_size: records of a batch at most.

    Raises:
        AssertionError: with the first batch that differs, and those around it.
    """
    __tracebackhide__ = True
    batches = esm.journal.batches
    found = [sum(len(run) for runs in batch.records.values() for run in runs) for batch in batches]
    told = [f"batch {b.batch}: {_records(n)}, closed by {b.reason}" for b, n in zip(batches, found, strict=True)]
    for what, have, want in (
        ("sizes", found, sizes),
        ("close reasons", [batch.reason for batch in batches], reasons),
    ):
        if want is not None and list(have) != list(want):
            at = next(
                (i for i, (a, b) in enumerate(zip(have, want, strict=False)) if a != b), min(len(have), len(want))
            )
            first = f"batch {at + 1} differs" if at < min(len(have), len(want)) else f"{len(have)} batches were closed"
            raise AssertionError(
                f"The {what} of the batches of {esm.topic!r} are not as expected: {first}.\n"
                f"  expected: {_cut(list(want))}\n  found:    {_cut(list(have))}\n" + _lines(told, at)
            )
    if max_size is not None and (over := [i for i, size in enumerate(found) if size > max_size]):
        raise AssertionError(
            f"{len(over)} of {len(found)} batches of {esm.topic!r} have more than {_records(max_size)}.\n"
            + _lines(told, over[0])
        )


def assert_sent_to_destination(
    esm: EventSourceMapping,
    expected: Mapping[int, Iterable[int]] | None = None,
    *,
    condition: Condition | None = None,
) -> None:
    """Assert which records the on-failure destination was told of (spec 4.6).

    Args:
        esm: the mapping.
        expected: per partition the offsets, in any order; by default any record at all.
        condition: why they were given up.

    Raises:
        AssertionError: with the records that it was told of and those that are lacking.
    """
    __tracebackhide__ = True
    sent = [each for each in esm.journal.of(SentToDestination) if condition in (None, each.condition)]
    found: dict[int, set[int]] = {}
    for each in sent:
        for partition, runs in each.records.items():
            found.setdefault(partition, set()).update(offset for run in runs for offset in run)
    why = f" because of {condition}" if condition else ""
    told = [f"  batch {e.batch}: {_places(esm.topic, e.records)} ({e.condition}) to {e.destination}" for e in sent]
    if expected is None:
        if not found:
            raise AssertionError(
                "\n".join([f"Nothing of {esm.topic!r} was sent to an on-failure destination{why}.", *_not_taken(esm)])
            )
        return
    wanted = {partition: set(offsets) for partition, offsets in expected.items() if offsets}
    if found != wanted:
        lacking = {p: offset_runs(sorted(o - found.get(p, set()))) for p, o in wanted.items()}
        extra = {p: offset_runs(sorted(o - wanted.get(p, set()))) for p, o in found.items()}
        raise AssertionError(
            f"The on-failure destination was not told{why} of the expected records of {esm.topic!r}:\n"
            f"  not told of: {_places(esm.topic, lacking) or 'none'}\n"
            f"  told of besides: {_places(esm.topic, extra) or 'none'}\n"
            + "\n".join(["What it was told:", *(told[:8] or ["  nothing"]), *_not_taken(esm)])
        )


def _not_taken(esm: EventSourceMapping) -> list[str]:
    """What the destination did not take, and why: such records are lost, and a test looks for them in its queue."""
    failed = esm.journal.of(DestinationFailed)
    told = [f"  batch {e.batch}: {_places(esm.topic, e.records)} ({e.condition}): {e.error}" for e in failed[:8]]
    return ["What it did not take, and is lost:", *told] if told else []


# --- what they have in common


def _allowed(allow: Collection[Allowed]) -> frozenset[Configuration]:
    """What a consumer that may do this is set up for."""
    if isinstance(allow, str) or not _ALLOWED.keys() >= {*allow}:
        raise ValueError(f"allow={allow!r}: a tuple of {' and '.join(map(repr, _ALLOWED))}.")
    return frozenset(_ALLOWED[each] for each in allow)


def _find(subject: Subject, allowed: frozenset[Configuration], *, legal: bool = False) -> tuple[Anomaly, ...]:
    history = replace(subject.history, configurations=subject.history.configurations | allowed)
    found = anomalies(history, legal=legal)
    return found if subject.causes else tuple(each for each in found if each.name != "unexplained-redelivery")


def _not_delivered(subject: Subject, allowed: frozenset[Configuration]) -> list[Anomaly]:
    found = coverage_anomalies(subject.history)
    return [each for each in found if each.name != "duplicate" and allowed.isdisjoint(each.definition.legal)]


def _refuse(subject: Subject, what: str, found: Sequence[Anomaly]) -> None:
    __tracebackhide__ = True
    if found:
        raise AssertionError(complaint(subject, what, found))


def _group(consumed: EventSourceMapping | Consumption | Topic, group: str | None) -> tuple[Broker, str, str]:
    from .topics import Topic

    if isinstance(consumed, Topic):
        broker, topic = consumed.broker, consumed.name
    else:
        subject = Subject.of(consumed, log=False)
        if subject.broker is None:
            raise TypeError("The consumption was told a topic's name, and does not know the broker: give it the Topic.")
        broker, topic, group = subject.broker, subject.history.topic, group or subject.group
    if group is None:
        raise TypeError("Whose offsets? Give the consumer group's id: group='...'.")
    return broker, topic, group


def _offset(offset: int | None) -> str:
    return "nothing" if offset is None else str(offset)


def _gap(have: int | None, want: int | None) -> str:
    low, high = have or 0, want or 0
    if want is None:
        return ""
    if low < high:
        return f": offsets {low}-{high - 1} are not committed" if high - low > 1 else f": offset {low} is not committed"
    return f": {low - high} too far" if low > high else ""


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _cut(values: Sequence[object], limit: int = 12) -> str:
    text = ", ".join(map(repr, values[:limit]))
    more = f", ... and {len(values) - limit} more" if len(values) > limit else ""
    return f"[{text}{more}]"


def _lines(told: Sequence[str], at: int) -> str:
    """The batches around one of them."""
    low, high = max(0, at - 2), at + 3
    marked = ((">" if number == at else " ", line) for number, line in enumerate(told))
    lines = [f"  {mark} {line}" for mark, line in marked][low:high]
    return "\n".join(lines) or "  (there was no batch)"


def _places(topic: str, records: Mapping[int, Sequence[range]]) -> str:
    texts = (
        f"{topic}-{partition} offset{'s' * (sum(map(len, runs)) > 1)} "
        + ", ".join(str(r.start) if len(r) == 1 else f"{r.start}-{r.stop - 1}" for r in runs)
        for partition, runs in records.items()
        if runs
    )
    return "; ".join(texts)
