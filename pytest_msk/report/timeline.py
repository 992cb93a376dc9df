"""Timeline: a journal as rows in time with a lane per partition. Pure; text and page are drawn from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import Literal

from ..deliveries import Delivery, follow
from ..journal import (
    Assigned,
    BatchClosed,
    CommitFailed,
    Committed,
    DestinationFailed,
    Dropped,
    Event,
    Expired,
    FaultInjected,
    Filtered,
    NotInvoked,
    Offsets,
    PollersScaled,
    PollFailed,
    PositionReset,
    Redelivered,
    Revoked,
    SentToDestination,
    Split,
    StateChanged,
)

__all__ = ["Kind", "Row", "Timeline", "offsets_text", "timeline"]

#: ok, failed, partial: calls of the function. aside: records that need no call. lost: records that were given up.
#: group: what the consumer group or the mapping's state did. waiting: a batch that has not been called.
Kind = Literal["ok", "failed", "partial", "aside", "lost", "group", "waiting", "again"]
_BAD = frozenset({"failed", "partial", "lost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Something that happened, in one or more lanes.

    Args:
        time_ms: when, epoch milliseconds.
        kind: what sort of thing.
        what: its name, such as `batch 3` or `rebalance`.
        cells: per partition what stands in its lane.
        detail: an error or a reason, in one line.
        batch: the batch's number, `None` if it is no call.
        attempts: the first and the last attempt that look the same.
        commits: per partition the offset that was committed after it.
        calls: the calls of the function that it stands for.
    """

    time_ms: int
    kind: Kind
    what: str
    cells: Mapping[int, str] = field(default_factory=dict)
    detail: str = ""
    batch: int | None = None
    attempts: tuple[int, int] = (0, 0)
    commits: Mapping[int, int] = field(default_factory=dict)
    calls: int = 0

    @property
    def bad(self) -> bool:
        """Whether somebody who looks for a fault wants to see it."""
        return self.kind in _BAD


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """A journal as rows in time.

    Args:
        topic: the topic's name.
        rows: what happened.
        partitions: the lanes.
        calls: how often the function was called, and how often it failed.
        committed: per partition the last commit.
        start_ms: when the first thing happened, epoch milliseconds.
    """

    topic: str
    rows: tuple[Row, ...]
    partitions: tuple[int, ...]
    calls: int
    failures: int
    committed: Mapping[int, int]
    start_ms: int


def timeline(topic: str, events: Iterable[Event]) -> Timeline:
    """Draw up the rows of a journal.

    Args:
        topic: the topic's name.
        events: the journal.
    """
    rows: list[Row] = []
    waiting: dict[int, BatchClosed] = {}
    reasons: dict[int, str] = {}
    committed: dict[int, int] = {}
    calls = failures = 0
    start: int | None = None
    for step in follow(events):
        start = step.time_ms if start is None else start
        if isinstance(step, BatchClosed):
            waiting[step.batch] = step
            reasons[step.batch] = step.reason
        elif isinstance(step, Committed):
            committed.update(step.positions)
            _commit(rows, step)
        else:
            if isinstance(step, Revoked | StateChanged):
                waiting.clear()  # what was under way is read again
            if isinstance(step, Delivery):
                waiting.pop(step.batch, None)
                calls += 1
                failures += not step.ok
            for row in _rows(step):
                _append(rows, replace(row, detail=row.detail or reasons.get(row.batch or 0, "")))
    rows += (
        Row(
            time_ms=batch.time_ms,
            kind="waiting",
            what=f"batch {batch.batch}",
            cells=_cells(batch.records),
            detail=f"{batch.reason}, not called",
        )
        for batch in waiting.values()
    )
    partitions = {partition for row in rows for partition in (*row.cells, *row.commits)}
    return Timeline(
        topic=topic,
        rows=tuple(rows),
        partitions=tuple(sorted(partitions)),
        calls=calls,
        failures=failures,
        committed=committed,
        start_ms=start or 0,
    )


def _append(rows: list[Row], row: Row) -> None:
    """Add a row, or let the last one stand for it too."""
    last = rows[-1] if rows else None
    if last is not None and row.kind == last.kind and not last.commits:
        if row.batch is not None and (row.batch, row.cells, row.detail) == (last.batch, last.cells, last.detail):
            if row.attempts[0] == last.attempts[1] + 1:
                rows[-1] = replace(last, attempts=(last.attempts[0], row.attempts[1]), calls=last.calls + 1)
                return
        elif row.kind == "group" and row.what == last.what == "state":
            rows[-1] = replace(last, detail=f"{last.detail}, {row.detail}")
            return
    rows.append(row)


def _commit(rows: list[Row], commit: Committed) -> None:
    if rows and not rows[-1].commits and rows[-1].kind in ("ok", "aside", "lost", "partial"):
        rows[-1] = replace(rows[-1], commits=commit.positions)
    else:
        rows.append(Row(time_ms=commit.time_ms, kind="aside", what="commit", commits=commit.positions))


@singledispatch
def _rows(step: object) -> Iterator[Row]:  # noqa: ARG001 - what was only read shows when it is delivered or filtered
    return iter(())


@_rows.register
def _(step: Delivery) -> Iterator[Row]:
    yield Row(
        time_ms=step.time_ms,
        kind="ok" if step.ok else "partial" if step.succeeded else "failed",
        what=f"batch {step.batch}",
        cells=_cells(step.records),
        detail=_detail(step),
        batch=step.batch,
        attempts=(step.attempt, step.attempt),
        calls=1,
    )


def _detail(step: Delivery) -> str:
    if step.succeeded and step.failed:
        failed = ", ".join(f"{p}: {offsets_text(runs)}" for p, runs in step.failed.items())
        return f"failed: {failed}"
    return step.error or ""


@_rows.register
def _(step: Filtered) -> Iterator[Row]:
    yield Row(time_ms=step.time_ms, kind="aside", what="filtered", cells=_cells(step.records))


@_rows.register
def _(step: Expired) -> Iterator[Row]:
    yield Row(time_ms=step.time_ms, kind="lost", what="expired", cells=_cells(step.records), detail="by retention")


@_rows.register
def _(step: Dropped) -> Iterator[Row]:
    yield Row(time_ms=step.time_ms, kind="lost", what="dropped", cells=_cells(step.records), detail=step.condition)


@_rows.register
def _(step: SentToDestination) -> Iterator[Row]:
    detail = f"{step.condition}, to {step.destination}"
    yield Row(time_ms=step.time_ms, kind="lost", what="destination", cells=_cells(step.records), detail=detail)


@_rows.register
def _(step: DestinationFailed) -> Iterator[Row]:
    reason = step.error.removeprefix(f"{step.destination}: ")  # first, as there is little room
    detail = f"{reason.rstrip('.')}, by {step.destination}"
    yield Row(time_ms=step.time_ms, kind="lost", what="lost", cells=_cells(step.records), detail=detail)


@_rows.register
def _(step: Split) -> Iterator[Row]:
    cells = {}
    for partition in {**step.left, **step.right}:
        halves = (offsets_text(half[partition]) if partition in half else "" for half in (step.left, step.right))
        cells[partition] = " | ".join(halves)
    yield Row(time_ms=step.time_ms, kind="group", what="split", cells=cells, detail=f"batch {step.batch}")


@_rows.register
def _(step: NotInvoked) -> Iterator[Row]:
    yield Row(time_ms=step.time_ms, kind="failed", what=f"batch {step.batch}", detail=f"not called: {step.error}")


@_rows.register
def _(step: CommitFailed) -> Iterator[Row]:
    cells = {partition: f"[{offset}]" for partition, offset in step.positions.items()}
    yield Row(time_ms=step.time_ms, kind="failed", what="no commit", cells=cells, detail=step.error)


@_rows.register
def _(step: Redelivered) -> Iterator[Row]:
    kind: Kind = "again" if step.error is None else "failed"
    detail = step.error or ""
    yield Row(time_ms=step.time_ms, kind=kind, what=step.way, cells=_cells(step.records), detail=detail, calls=1)


@_rows.register
def _(step: Assigned) -> Iterator[Row]:
    cells = {partition: f"from {offset}" for partition, offset in step.positions.items()}
    yield Row(time_ms=step.time_ms, kind="group", what="assigned", cells=cells)


@_rows.register
def _(step: Revoked) -> Iterator[Row]:
    yield Row(time_ms=step.time_ms, kind="group", what="revoked", cells=dict.fromkeys(step.partitions, "revoked"))


@_rows.register
def _(step: PositionReset) -> Iterator[Row]:
    cells = {step.partition: f"{step.offset} -> {step.position}"}
    yield Row(time_ms=step.time_ms, kind="group", what="reset", cells=cells, detail="offset out of range")


@_rows.register
def _(step: PollersScaled) -> Iterator[Row]:
    detail = f"{step.pollers}, {step.reason}, lag {step.lag}"
    yield Row(time_ms=step.time_ms, kind="group", what="pollers", detail=detail)


@_rows.register
def _(step: PollFailed) -> Iterator[Row]:
    yield Row(time_ms=step.time_ms, kind="failed", what="poll", detail=step.error)


@_rows.register
def _(step: FaultInjected) -> Iterator[Row]:
    yield Row(time_ms=step.time_ms, kind="group", what="fault", detail=step.fault)


@_rows.register
def _(step: StateChanged) -> Iterator[Row]:
    yield Row(time_ms=step.time_ms, kind="group", what="state", detail=step.state)


def _cells(records: Offsets) -> dict[int, str]:
    return {partition: offsets_text(runs) for partition, runs in records.items()}


def offsets_text(runs: Iterable[range], limit: int = 3) -> str:
    """Offsets as `0-4,6`; of more than `limit` ranges the first ones and how many records follow."""
    runs = tuple(runs)
    shown = [str(run.start) if len(run) == 1 else f"{run.start}-{run.stop - 1}" for run in runs[:limit]]
    if rest := sum(map(len, runs[limit:])):
        shown.append(f"+{rest}")
    return ",".join(shown)
