"""The timeline: rows of a journal, and their text, which is never more than a screen."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_runs import MadeUpRun, attempted, closed, correct_runs, delivered, state

from pytest_msk.journal import (
    Assigned,
    Attempt,
    CommitFailed,
    Committed,
    DestinationFailed,
    Dropped,
    Event,
    Expired,
    Filtered,
    NotInvoked,
    Offsets,
    PositionReset,
    Redelivered,
    Revoked,
    SentToDestination,
    Split,
)
from pytest_msk.report.page import drawing
from pytest_msk.report.text import coloured, text
from pytest_msk.report.timeline import Row, offsets_text, timeline


def rows(*events: Event) -> tuple[Row, ...]:
    return timeline("orders", events).rows


def lines(*events: Event, **screen: int) -> list[str]:
    return text(timeline("orders", events), **screen)


def committed(**positions: int) -> Committed:
    return Committed(time_ms=0, positions={int(name[1:]): offset for name, offset in positions.items()})


@pytest.mark.parametrize(
    ("runs", "shown"),
    [
        ((range(5),), "0-4"),
        ((range(3, 4), range(6, 9)), "3,6-8"),
        ((range(1), range(2, 3), range(4, 5), range(6, 8), range(9, 10)), "0,2,4,+3"),
        ((), ""),
    ],
)
def test_offsets_are_short(runs, shown):
    assert offsets_text(runs) == shown


def test_a_batch_with_its_commit_is_one_row():
    (row,) = rows(*delivered(1, {0: (range(5),), 2: (range(3, 4),)}), committed(p0=5, p2=4))
    assert (row.kind, row.what, row.cells, row.commits) == ("ok", "batch 1", {0: "0-4", 2: "3"}, {0: 5, 2: 4})
    assert row.detail == "size"


def test_retries_that_look_the_same_are_one_row():
    found = rows(closed(1, {0: (range(5),)}), *(attempted(1, n, "ValueError: no") for n in (1, 2, 3)), attempted(1, 4))
    assert [(row.kind, row.attempts, row.calls) for row in found] == [("failed", (1, 3), 3), ("ok", (4, 4), 1)]


def test_another_error_is_another_row():
    found = rows(closed(1, {0: (range(5),)}), attempted(1, 1, "ValueError: no"), attempted(1, 2, "KeyError: 'id'"))
    assert [row.detail for row in found] == ["ValueError: no", "KeyError: 'id'"]


def test_a_call_that_failed_in_part_says_with_which():
    attempt = Attempt(time_ms=0, batch=1, attempt=1, request_id="id", error=None, item_failures={0: (range(2, 3),)})
    (row,) = rows(closed(1, {0: (range(5),)}), attempt)
    assert (row.kind, row.detail) == ("partial", "failed: 0: 2")


def test_a_batch_that_was_not_called_is_told_until_it_is_given_up():
    (row,) = rows(closed(1, {0: (range(5),)}))
    assert (row.kind, row.detail) == ("waiting", "size, not called")
    assert [row.what for row in rows(closed(1, {0: (range(5),)}), Revoked(time_ms=0, partitions=(0,)))] == ["revoked"]


ONE: Offsets = {0: (range(1),)}


@pytest.mark.parametrize(
    ("event", "kind", "what", "detail"),
    [
        (Filtered(time_ms=0, records=ONE), "aside", "filtered", ""),
        (Expired(time_ms=0, records=ONE), "lost", "expired", "by retention"),
        (
            Dropped(time_ms=0, batch=1, condition="RecordAgeExceeded", records=ONE),
            "lost",
            "dropped",
            "RecordAgeExceeded",
        ),
        (
            SentToDestination(time_ms=0, batch=1, condition="RecordAgeExceeded", destination="arn:q", records=ONE),
            "lost",
            "destination",
            "RecordAgeExceeded, to arn:q",
        ),
        (
            DestinationFailed(
                time_ms=0,
                batch=1,
                condition="RecordAgeExceeded",
                destination="arn:q",
                records=ONE,
                error="arn:q: AccessDenied",
            ),
            "lost",
            "lost",
            "AccessDenied, by arn:q",
        ),
        (Split(time_ms=0, batch=1, left=ONE, right={1: (range(1),)}), "group", "split", "batch 1"),
        (NotInvoked(time_ms=0, batch=1, error="TooMany: wait"), "failed", "batch 1", "not called: TooMany: wait"),
        (CommitFailed(time_ms=0, positions={0: 4}, error="rebalanced"), "failed", "no commit", "rebalanced"),
        (Assigned(time_ms=0, positions={0: 4}), "group", "assigned", ""),
        (Revoked(time_ms=0, partitions=(0,)), "group", "revoked", ""),
        (PositionReset(time_ms=0, partition=0, offset=9, position=2), "group", "reset", "offset out of range"),
        (state("Disabled"), "group", "state", "Disabled"),
        (Redelivered(time_ms=0, way="split", records=ONE, request_id="id", error=None), "again", "split", ""),
        (Redelivered(time_ms=0, way="mix", records=ONE, request_id="id", error="E: no"), "failed", "mix", "E: no"),
        (committed(p0=3), "aside", "commit", ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_every_kind_of_event_has_a_row(event, kind, what, detail):
    (row,) = rows(event)
    assert (row.kind, row.what, row.detail) == (kind, what, detail)


def test_the_text():
    events = [
        state("Creating"), state("Enabled"), Assigned(time_ms=0, positions={0: 0, 1: 0}),
        *delivered(1, {0: (range(5),), 1: (range(2),)}), committed(p0=5, p1=2),
        closed(2, {1: (range(2, 4),)}), attempted(2, 1, "ValueError: no"), attempted(2, 2, "ValueError: no"),
        attempted(2, 3),
    ]  # fmt: skip
    assert lines(*events) == [
        "  seconds              orders-0 orders-1",
        "   +0.000 state        .        .        Creating, Enabled",
        "   +0.000 assigned     from 0   from 0",
        "   +0.000 batch 1      0-4 [5]  0-1 [2]  ok",
        "   +0.000 batch 2.1-2  .        2-3      FAILED x2 ValueError: no",
        "   +0.000 batch 2.3    .        2-3      ok",
        "[n]: committed up to offset n",
    ]


def test_colour_is_added_and_nothing_else():
    plain = "\n".join(lines(*delivered(1, {0: (range(5),)}), committed(p0=5), closed(2, ONE), attempted(2, 1, "E: no")))
    found = coloured(plain)
    assert "\033[32mok\033[0m" in found
    assert "\033[31mFAILED E: no\033[0m" in found
    assert "\033[36m[5]\033[0m" in found
    assert re.sub(r"\033\[[\d;]*m", "", found) == plain


def many(batches: int, partitions: int, failing: set[int]) -> list[Event]:
    events: list[Event] = []
    for number in range(1, batches + 1):
        records = {number % partitions: (range(number, number + 1),)}
        events.append(closed(number, records))
        if number in failing:
            events.append(attempted(number, 1, "ValueError: " + "no " * 40))
        events += [attempted(number, 2 if number in failing else 1), committed(**{f"p{number % partitions}": number})]
    return events


@given(
    batches=st.integers(0, 120),
    partitions=st.integers(1, 40),
    failing=st.sets(st.integers(1, 120), max_size=60),
    height=st.integers(8, 30),
    width=st.integers(60, 120),
)
def test_it_is_never_more_than_a_screen(batches, partitions, failing, height, width):
    found = lines(*many(batches, partitions, failing), height=height, width=width)
    assert 1 <= len(found) <= height
    assert all(len(line) <= width and line.isascii() for line in found)


@given(correct_runs())
def test_any_run_can_be_drawn(run: MadeUpRun):
    drawn = timeline("orders", run.events)
    assert drawn.calls == sum(isinstance(event, Attempt) for event in run.events)
    assert sum(row.calls for row in drawn.rows) == drawn.calls
    assert 1 <= len(text(drawn)) <= 24
    picture = drawing(drawn)
    ends = [column.x + column.width for column in picture.columns]
    assert all(end < column.x for end, column in zip(ends, picture.columns[1:], strict=False))
    assert all(end <= picture.width for end in ends)


def test_faults_and_the_end_are_kept_when_rows_are_left_out():
    found = lines(*many(100, 3, {40}), height=16)
    assert any("batch 40 " in line and "FAILED" in line for line in found)
    assert any("batch 100" in line for line in found)
    assert any("batch 1 " in line for line in found)
    assert sum(line.startswith("  ... ") for line in found) == 2


def test_what_is_left_out_is_counted():
    (left,) = [line for line in lines(*many(100, 1, set()), height=12) if line.startswith("  ...")]
    assert left == "  ... 92 calls, none of them failed ..."


def test_a_journal_without_events():
    assert lines() == ["nothing has happened"]
