"""Anomalies in a journal, held against a topic's log: none in a correct run, the right one in the right place else."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from made_up_runs import TOPIC, MadeUpRun, attempted, closed, correct_runs, delivered, state

from pytest_msk.checks import Anomaly, History, anomalies, commit_anomalies, coverage_anomalies, order_anomalies
from pytest_msk.journal import (
    Assigned,
    Attempt,
    BatchClosed,
    Committed,
    DestinationFailed,
    Dropped,
    Event,
    Expired,
    Filtered,
    Offsets,
    PositionReset,
    Revoked,
    SentToDestination,
    offset_runs,
)

NEW = 1_000


def order(events: list[Event]) -> list[Anomaly]:
    return list(order_anomalies(History(topic=TOPIC, events=events)))


def delivery(events: list[Event], log: Offsets, origins: dict[int, int] | None = None) -> list[Anomaly]:
    """Commits, and what became of the records; a duplicate is legal."""
    history = History(topic=TOPIC, events=events, log=log, origins=origins or {})
    found = [*commit_anomalies(history), *coverage_anomalies(history)]
    return [anomaly for anomaly in found if anomaly.name != "duplicate"]


def places(anomalies: list[Anomaly]) -> list[tuple[str, int, range]]:
    assert all(anomaly.topic == TOPIC for anomaly in anomalies)
    return [(anomaly.name, anomaly.partition, anomaly.offsets) for anomaly in anomalies]


def without(event: Event, partition: int, offset: int) -> Event:
    """A batch as it would be without one record."""
    if not isinstance(event, BatchClosed):
        return event
    kept = {p: [o for run in runs for o in run if (p, o) != (partition, offset)] for p, runs in event.records.items()}
    return dataclasses.replace(event, records={p: offset_runs(found) for p, found in kept.items() if found})


def assigned(**positions: int) -> Assigned:
    return Assigned(time_ms=0, positions={int(name[1:]): offset for name, offset in positions.items()})


def committed(**positions: int) -> Committed:
    return Committed(time_ms=0, positions={int(name[1:]): offset for name, offset in positions.items()})


# --- generated runs


@given(correct_runs())
def test_a_correct_run_has_no_anomaly(run: MadeUpRun):
    ends = {partition: max(offsets[-1] + 1, run.start[partition]) for partition, offsets in run.log.items()}
    history = History(topic=TOPIC, events=run.events, log=run.offsets, ends=ends, batch_size=6)
    assert anomalies(history) == ()


@given(correct_runs(), st.data())
def test_a_record_that_was_never_delivered_is_lost_and_was_passed_by_a_commit(run: MadeUpRun, data):
    assume(run.wanted)
    partition, offset = data.draw(st.sampled_from(run.wanted))
    events = [without(event, partition, offset) for event in run.events]
    place = (partition, range(offset, offset + 1))
    assert places(delivery(events, run.offsets)) == [("unsafe-commit", *place), ("lost-write", *place)]
    assert order(events) == []


@given(correct_runs(), st.data())
def test_a_commit_that_goes_too_far_is_unsafe(run: MadeUpRun, data):
    """One commit is moved to behind the next record that was not dealt with by then."""
    index = data.draw(st.sampled_from([i for i, e in enumerate(run.events) if isinstance(e, Committed)] or [-1]))
    assume(index >= 0)
    commit = run.events[index]
    partition = data.draw(st.sampled_from(list(run.log)))
    batches = {e.batch: e.records for e in run.events if isinstance(e, BatchClosed)}
    done = set()
    for event in run.events[:index]:
        records = event.records if isinstance(event, Filtered) else {}
        if isinstance(event, Attempt) and event.error is None:
            records = batches[event.batch]
        done |= {offset for found in records.get(partition, ()) for offset in found}
    left = [offset for offset in run.log[partition] if offset >= commit.positions[partition] and offset not in done]
    assume(left)
    positions = {**commit.positions, partition: left[0] + 1}
    events = [*run.events]
    events[index] = dataclasses.replace(commit, positions=positions)
    anomaly, *others = delivery(events, run.offsets)
    assert {other.name for other in others} <= {"nonmonotonic-commit"}, "the next commit goes back"
    assert places([anomaly]) == [("unsafe-commit", partition, range(left[0], left[0] + 1))]
    assert anomaly.text == (
        f"offset {left[0] + 1} of orders-{partition} was committed past orders-{partition} offset {left[0]}."
    )


@given(correct_runs(), st.data())
def test_a_redelivery_without_a_reason_is_told(run: MadeUpRun, data):
    """A batch that has succeeded comes again, as a batch of its own or as one attempt more."""
    successes = [i for i, e in enumerate(run.events) if isinstance(e, Attempt) and e.error is None]
    assume(successes)
    index = data.draw(st.sampled_from(successes))
    attempt = run.events[index]
    (records,) = [e.records for e in run.events if isinstance(e, BatchClosed) and e.batch == attempt.batch]
    again = [*run.events[: index + 1], *delivered(NEW, records), *run.events[index + 1 :]]
    more = [*run.events[: index + 1], attempted(attempt.batch, attempt.attempt + 1), *run.events[index + 1 :]]
    told = [("unexplained-redelivery", partition, found) for partition, runs in records.items() for found in runs]
    assert places(order(again)) == places(order(more)) == told
    assert {anomaly.batch for anomaly in order(again)} == {NEW}
    assert {anomaly.batch for anomaly in order(more)} == {attempt.batch}
    assert delivery(again, run.offsets) == delivery(more, run.offsets) == []


@given(correct_runs(), st.data())
def test_a_record_that_comes_after_a_later_one_is_out_of_order(run: MadeUpRun, data):
    partition = data.draw(st.sampled_from(list(run.log)))
    offsets = [offset for p, offset in run.wanted if p == partition]
    assume(len(offsets) > 1)
    offset = data.draw(st.sampled_from(offsets[:-1]))
    place = range(offset, offset + 1)
    events = [without(event, partition, offset) for event in run.events] + delivered(NEW, {partition: (place,)})
    (anomaly,) = order(events)
    assert places([anomaly]) == [("unordered-delivery", partition, place)]
    assert anomaly.batch == NEW
    assert anomaly.text == (
        f"orders-{partition} offset {offset} came first in batch {NEW}, attempt 1, after offset {offsets[-1]} had been "
        "delivered."
    )


@given(correct_runs(), st.data())
def test_records_that_stand_the_wrong_way_round_in_an_event_are_told(run: MadeUpRun, data):
    candidates = [
        (index, partition)
        for index, event in enumerate(run.events)
        if isinstance(event, BatchClosed)
        for partition, runs in event.records.items()
        if sum(map(len, runs)) > 1 and isinstance(run.events[min(index + 1, len(run.events) - 1)], Attempt)
    ]
    assume(candidates)
    index, partition = data.draw(st.sampled_from(candidates))
    batch = run.events[index]
    offsets = [offset for found in batch.records[partition] for offset in found][::-1]
    turned = tuple(range(offset, offset + 1) for offset in offsets)
    events = [*run.events]
    events[index] = dataclasses.replace(batch, records={**batch.records, partition: turned})
    found = order(events)
    assert places(found) == [("unordered-event", partition, place) for place in turned[1:]]
    assert {anomaly.batch for anomaly in found} == {batch.batch}


@given(correct_runs(), st.data())
def test_nothing_may_pass_a_batch_that_has_failed(run: MadeUpRun, data):
    failures = [i for i, e in enumerate(run.events) if isinstance(e, Attempt) and e.error is not None]
    assume(failures)
    index = data.draw(st.sampled_from(failures))
    number = run.events[index].batch
    (records,) = [e.records for e in run.events if isinstance(e, BatchClosed) and e.batch == number]
    partition = data.draw(st.sampled_from(list(records)))
    place = range(99, 100)
    events = [*run.events[: index + 1], *delivered(NEW, {partition: (place,)}), *run.events[index + 1 :]]
    anomaly = order(events)[0]
    assert places([anomaly]) == [("passed-blocked-record", partition, place)]
    assert anomaly.batch == NEW
    assert anomaly.text == (
        f"orders-{partition} offset 99 came in batch {NEW}, attempt 1, past offset {records[partition][0].start} of "
        f"batch {number}, which had failed."
    )


# --- order, case by case


def test_a_failed_batch_of_one_partition_does_not_block_another():
    events = [closed(1, {0: (range(3),)}), attempted(1, error="E"), *delivered(2, {1: (range(3),)})]
    assert order(events) == []


def test_a_batch_is_blocked_until_it_succeeds():
    events = [closed(1, {0: (range(3),)}), attempted(1, 1, "E"), attempted(1, 2), *delivered(2, {0: (range(3, 5),)})]
    assert order(events) == []


@pytest.mark.parametrize(
    "begun_anew",
    [
        Revoked(time_ms=0, partitions=(0,)),
        state("Disabling"),
        PositionReset(time_ms=0, partition=0, offset=3, position=0),
    ],
    ids=lambda event: type(event).__name__,
)
def test_a_partition_that_is_begun_anew_may_come_again_and_is_not_blocked(begun_anew):
    events = [
        *delivered(1, {0: (range(3),)}),
        closed(2, {0: (range(3, 5),)}),
        attempted(2, error="E"),
        begun_anew,
        *delivered(3, {0: (range(5),)}),
    ]
    assert order(events) == []


@pytest.mark.parametrize(
    "begun_anew",
    [Revoked(time_ms=0, partitions=(1,)), PositionReset(time_ms=0, partition=1, offset=3, position=0)],
    ids=lambda event: type(event).__name__,
)
def test_another_partition_begun_anew_explains_nothing(begun_anew):
    events = [*delivered(1, {0: (range(3),)}), begun_anew, *delivered(2, {0: (range(3),)})]
    (anomaly,) = order(events)
    assert str(anomaly) == (
        "unexplained-redelivery: orders-0 offsets 0-2 (3 records) came again in batch 2, attempt 1, but had "
        "succeeded before, and the partition had not been begun anew."
    )


def test_records_that_were_begun_anew_are_still_delivered_in_order():
    """What was delivered before the restart does not hide a gap that is filled too late."""
    events = [*delivered(1, {0: (range(2),)}), state("Disabled"), *delivered(2, {0: (range(5, 8),)}),
              *delivered(3, {0: (range(2, 5),)})]  # fmt: skip
    (anomaly,) = order(events)
    assert str(anomaly) == (
        "unordered-delivery: orders-0 offsets 2-4 (3 records) came first in batch 3, attempt 1, after offset 7 had "
        "been delivered."
    )


def test_an_attempt_after_a_success_is_told():
    (anomaly,) = order([*delivered(4, {2: (range(7, 8),)}), attempted(4, 2)])
    assert str(anomaly) == (
        "unexplained-redelivery: orders-2 offset 7 came again in batch 4, attempt 2, but had succeeded "
        "before, and the partition had not been begun anew."
    )


def test_the_wrong_way_round_in_an_event_says_behind_which():
    (anomaly,) = order(delivered(1, {0: (range(4, 6), range(2))}))
    assert str(anomaly) == (
        "unordered-event: orders-0 offsets 0-1 (2 records) stand behind offset 5 in the event of batch 1, attempt 1."
    )


# --- delivery, case by case


def test_records_before_the_first_assigned_offset_do_not_count():
    events = [assigned(p0=5), *delivered(1, {0: (range(5, 8),)}), committed(p0=8)]
    assert delivery(events, {0: (range(8),)}) == []


def test_a_partition_that_was_never_assigned_counts_from_where_it_begins():
    (anomaly,) = delivery([assigned(p0=0)], {0: (), 1: (range(8),)}, {1: 5})
    assert (anomaly.partition, anomaly.offsets, anomaly.batch) == (1, range(5, 8), None)
    assert anomaly.text == (
        "orders-1 offsets 5-7 (3 records) never reached the mapping: call esm.drain() first, "
        "or close the others that are in its group."
    )


def test_a_record_that_was_not_read_is_lost():
    (anomaly,) = delivery([assigned(p0=0), *delivered(1, {0: (range(2),)})], {0: (range(3),)})
    assert str(anomaly) == (
        "unseen: orders-0 offset 2 was not delivered. Was the mapping drained after that was produced?"
    )


def test_offsets_without_a_record_are_not_lost():
    events = [assigned(p0=0), *delivered(1, {0: (range(2), range(5, 6))}), committed(p0=9)]
    assert delivery(events, {0: (range(2), range(5, 6))}) == []


def test_records_that_have_expired_do_not_count():
    events = [assigned(p0=0), *delivered(1, {0: (range(6, 8),)}), committed(p0=8)]
    assert delivery(events, {0: (range(6, 8),)}) == []


def test_a_batch_that_never_succeeded_is_the_reason_and_what_stood_behind_it_is_told_apart():
    events = [assigned(p0=0), *delivered(1, {0: (range(2),)}), closed(2, {0: (range(2, 4),)}),
              attempted(2, 1, "ValueError: no"), attempted(2, 2, "KeyError: 'id'")]  # fmt: skip
    first, second = delivery(events, {0: (range(10),)})
    assert (first.name, first.offsets, first.batch) == ("blocked-record", range(2, 4), 2)
    assert first.text == ("orders-0 offsets 2-3 (2 records) in batch 2 failed: 2 times, at last with KeyError: 'id'.")
    assert (second.name, second.offsets, second.batch) == ("unseen", range(4, 10), None)
    assert second.text == ("orders-0 offsets 4-9 (6 records) stood behind a batch that failed and were not delivered.")


def test_of_several_batches_that_failed_with_a_record_the_last_is_named_once():
    events = [
        assigned(p0=0),
        closed(1, {0: (range(4),)}),
        attempted(1, error="ValueError: no"),
        state("Disabled"),
        closed(2, {0: (range(1, 3),)}),
        attempted(2, error="KeyError: 'id'"),
    ]
    found = delivery(events, {0: (range(4),)})
    assert sorted((anomaly.offsets.start, anomaly.offsets.stop, anomaly.batch) for anomaly in found) == [
        (0, 1, 1),
        (1, 3, 2),
        (3, 4, 1),
    ]


def test_a_batch_that_failed_and_then_came_again_is_not_lost():
    events = [assigned(p0=0), closed(1, {0: (range(4),)}), attempted(1, error="E"), state("Disabled"),
              *delivered(2, {0: (range(4),)}), committed(p0=4)]  # fmt: skip
    assert delivery(events, {0: (range(4),)}) == []


def test_a_commit_is_judged_by_what_was_done_before_it():
    events = [assigned(p0=0), closed(1, {0: (range(4),)}), committed(p0=4), attempted(1)]
    (anomaly,) = delivery(events, {0: (range(4),)})
    assert str(anomaly) == ("unsafe-commit: offset 4 of orders-0 was committed past orders-0 offsets 0-3 (4 records).")


def test_a_commit_that_was_unsafe_is_told_once():
    events = [assigned(p0=0), committed(p0=2), *delivered(1, {0: (range(2, 4),)}), committed(p0=4)]
    found = delivery(events, {0: (range(4),)})
    assert [name for name, *_ in places(found)] == ["unsafe-commit", "lost-write"]


@pytest.mark.parametrize(
    "moved", [assigned(p0=6), PositionReset(time_ms=0, partition=0, offset=2, position=6)], ids=["other", "reset"]
)
def test_a_commit_is_not_to_blame_for_what_others_have_passed(moved):
    """Another member of the group had the partition meanwhile, or its records were out of range."""
    events = [assigned(p0=0), *delivered(1, {0: (range(2),)}), committed(p0=2), Revoked(time_ms=0, partitions=(0,)),
              moved, *delivered(2, {0: (range(6, 8),)}), committed(p0=8)]  # fmt: skip
    assert places(delivery(events, {0: (range(8),)})) == [("lost-write", 0, range(2, 6))]


def test_a_batch_is_committed_though_what_lies_behind_it_has_expired():
    reset = PositionReset(time_ms=0, partition=0, offset=2, position=6)
    events = [assigned(p0=0), closed(1, {0: (range(2),)}), reset, attempted(1), committed(p0=2),
              *delivered(2, {0: (range(6, 8),)}), committed(p0=8)]  # fmt: skip
    assert delivery(events, {0: (range(6, 8),)}) == []


def test_a_commit_past_a_batch_is_told_though_what_lies_behind_it_has_expired():
    reset = PositionReset(time_ms=0, partition=0, offset=2, position=6)
    events = [assigned(p0=0), closed(1, {0: (range(2),)}), reset, attempted(1, error="E"), committed(p0=2)]
    assert "unsafe-commit" in [each.name for each in delivery(events, {0: (range(2), range(6, 8))})]


# --- what is left of a batch, and what was given up


def gave_up(kind: type[Event], number: int, records: Offsets, **fields: str) -> Event:
    return kind(time_ms=0, batch=number, condition="RetryAttemptsExhausted", records=records, **fields)


GIVEN_UP = [
    (Dropped, {}, "dropped", "dropped-record", "were dropped after batch 1 (RetryAttemptsExhausted)."),
    (SentToDestination, {"destination": "dlq"}, "destination", "dead-lettered-record",
     "were sent to dlq after batch 1 (RetryAttemptsExhausted)."),
    (DestinationFailed, {"destination": "dlq", "error": "full"}, "dropped", "dropped-record",
     "were dropped after batch 1 (RetryAttemptsExhausted): dlq did not take them: full."),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "allowed", "name", "text"), GIVEN_UP)
def test_records_that_were_given_up_are_told_unless_that_is_allowed(kind, fields, allowed, name, text):
    records = {0: (range(2),)}
    events = [
        assigned(p0=0), closed(1, records), attempted(1, 1, "ValueError: no"), gave_up(kind, 1, records, **fields),
        committed(p0=2), *delivered(2, {0: (range(2, 3),)}), committed(p0=3),
    ]  # fmt: skip
    assert order(events) == []
    log = {0: (range(3),)}
    (anomaly,) = delivery(events, log)
    assert (anomaly.name, anomaly.batch, anomaly.text) == (name, 1, f"orders-0 offsets 0-1 (2 records) {text}")
    for configuration, told in (("limited-retries", "dropped"), ("on-failure-destination", "destination")):
        history = History(topic=TOPIC, events=events, log=log, configurations=frozenset({configuration}))
        assert anomalies(history) == (() if told == allowed else (anomaly,))


def reported(number: int, attempt: int, records: Offsets | None, item_failures: Offsets) -> Attempt:
    return dataclasses.replace(attempted(number, attempt), records=records, item_failures=item_failures)


def test_records_that_a_response_reports_may_come_again_and_the_others_not():
    whole, some = {0: (range(4),)}, {0: (range(1, 2), range(3, 4))}
    events = [assigned(p0=0), closed(1, whole), reported(1, 1, None, some)]
    assert order([*events, reported(1, 2, some, {})]) == []
    (anomaly,) = order([*events, reported(1, 2, {0: (range(1, 4),)}, {})])
    assert str(anomaly) == (
        "unexplained-redelivery: orders-0 offset 2 came again in batch 1, attempt 2, but had succeeded "
        "before, and the partition had not been begun anew."
    )
    assert places(delivery([*events, committed(p0=1)], whole)) == [
        ("blocked-record", 0, range(1, 2)),
        ("blocked-record", 0, range(3, 4)),
    ]
    assert places(delivery([*events, reported(1, 2, some, {}), committed(p0=4)], whole)) == []
    assert ("unsafe-commit", 0, range(1, 2)) in places(delivery([*events, committed(p0=2)], whole))


def test_an_invalid_response_is_no_success():
    records = {0: (range(2),)}
    invalid = dataclasses.replace(attempted(1), invalid_response="response is 5.")
    events = [assigned(p0=0), closed(1, records), invalid]
    (anomaly,) = delivery(events, records)
    assert anomaly.text == "orders-0 offsets 0-1 (2 records) in batch 1 failed: 1 time, at last with response is 5."
    assert order([*events, attempted(1, 2)]) == []


def test_nothing_passes_a_batch_of_which_something_is_left():
    events = [assigned(p0=0), closed(1, {0: (range(4),)}), reported(1, 1, None, {0: (range(1, 2),)})]
    passing = [*events, *delivered(2, {0: (range(4, 5),)})]
    assert places(order(passing)) == [("passed-blocked-record", 0, range(4, 5))]
    for end in (
        reported(1, 2, {0: (range(1, 2),)}, {}),
        gave_up(Dropped, 1, {0: (range(1, 2),)}),
        Expired(time_ms=0, records={0: (range(3),)}),
    ):
        assert order([*events, end, *delivered(2, {0: (range(4, 5),)})]) == []
