"""What a mapping did, as frozen events in order."""

from __future__ import annotations

import dataclasses
import random
import typing
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import Journal, journal
from pytest_msk.journal import (
    Assigned,
    Attempt,
    BatchClosed,
    CloseReason,
    CommitFailed,
    Committed,
    Condition,
    DestinationFailed,
    Dropped,
    Event,
    Expired,
    FaultInjected,
    Filtered,
    NotInvoked,
    Polled,
    PollersScaled,
    PollFailed,
    PositionReset,
    Redelivered,
    Revoked,
    ScalingReason,
    SentToDestination,
    Split,
    State,
    StateChanged,
    Unfiltered,
    offset_runs,
)

times = st.integers(0, 2**45)
numbers = st.integers(0, 2**62)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
partitions = st.integers(0, 300)
positions = st.dictionaries(partitions, numbers, max_size=4)
runs = st.sets(numbers | st.integers(0, 30), min_size=1, max_size=6).map(lambda found: offset_runs(sorted(found)))
offsets = st.dictionaries(partitions, runs, max_size=4)
FIELDS = {
    "time_ms": times,
    "state": st.sampled_from(typing.get_args(State)),
    "reason": texts,
    "positions": positions,
    "partitions": st.lists(partitions, max_size=4).map(tuple),
    "partition": partitions,
    "offset": numbers,
    "position": numbers,
    "records": offsets,
    "batch": numbers,
    "payload_size": numbers,
    "attempt": numbers,
    "request_id": st.uuids().map(str),
    "error": st.none() | texts,
    "log": texts,
    "pollers": numbers,
    "lag": numbers,
    "item_failures": offsets,
    "invalid_response": st.none() | texts,
    "left": offsets,
    "right": offsets,
    "condition": st.sampled_from(typing.get_args(Condition)),
    "destination": texts,
    "way": texts,
    "result": texts,
    "fault": texts,
}
KINDS = (
    StateChanged, Assigned, Revoked, PositionReset, Polled, Filtered, BatchClosed, Attempt, Committed, CommitFailed,
    Unfiltered, NotInvoked, Split, Dropped, SentToDestination, DestinationFailed, Expired, PollFailed, FaultInjected,
    PollersScaled, Redelivered,
)  # fmt: skip


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    fields = {field.name: FIELDS[field.name] for field in dataclasses.fields(kind)}
    if kind is BatchClosed:
        fields["reason"] = st.sampled_from(typing.get_args(CloseReason))
    if kind is Attempt:
        fields["records"] = st.none() | offsets
    if kind is PollersScaled:
        fields["reason"] = st.sampled_from(typing.get_args(ScalingReason))
    if kind in (CommitFailed, NotInvoked, DestinationFailed, PollFailed):
        fields["error"] = texts
    return st.builds(kind, **fields)


histories = st.lists(st.sampled_from(KINDS).flatmap(events_of), max_size=12)


def written(events) -> Journal:
    found = Journal()
    for event in events:
        found.append(event)
    return found


def attempt(time_ms: int = 0, **fields) -> Attempt:
    return Attempt(**{"time_ms": time_ms, "batch": 1, "attempt": 1, "request_id": "id", "error": None, **fields})


def test_every_kind_of_event_is_known_here():
    assert {kind for kind in vars(journal).values() if isinstance(kind, type) and issubclass(kind, Event)} == {
        Event,
        *KINDS,
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(st.data())
def test_each_kind_of_event_comes_back(kind, data):
    event = data.draw(events_of(kind))
    (found,) = written([event])
    assert found == event
    assert type(found) is kind
    assert [type(value) for value in dataclasses.astuple(found)] == [
        type(value) for value in dataclasses.astuple(event)
    ]


@given(histories, st.slices(12) | st.slices(3))
def test_a_journal_reads_as_the_sequence_of_its_events(events, part):
    found = written(events)
    assert list(found) == events
    assert len(found) == len(events)
    assert [found[index] for index in range(-len(events), len(events))] == events * 2
    assert found[part] == tuple(events[part])
    assert list(reversed(found)) == events[::-1]


@given(histories, st.sampled_from(KINDS))
def test_the_events_of_one_kind(events, kind):
    assert written(events).of(kind) == tuple(event for event in events if isinstance(event, kind))
    assert written(events).of(Event) == tuple(events)


def test_an_index_beyond_the_end_is_an_error():
    found = written([attempt()])
    with pytest.raises(IndexError):
        found[1]
    with pytest.raises(IndexError):
        Journal()[-1]


def test_partitions_keep_the_events_order():
    event = Polled(time_ms=1, records={2: (range(3),), 0: (range(1),), 1: (range(5, 7),)})
    (found,) = written([event])
    assert list(found.records) == [2, 0, 1]


def test_time_may_be_before_that_of_the_first_event():
    assert [event.time_ms for event in written([attempt(5_000), attempt(4_000)])] == [5_000, 4_000]


def test_a_journal_may_grow_while_it_is_read():
    found = written([attempt(1), attempt(2)])
    for event in found:
        found.append(attempt(event.time_ms + 10))
    assert [event.time_ms for event in found] == [1, 2, 11, 12]


@pytest.mark.parametrize("text", ["two\nlines", "\r\n", "\u2028\x85\x0b", 'a "quoted" \\ word', "ë\U0001f600", "\0"])
def test_an_errors_text_is_kept_whatever_is_in_it(text):
    found = written([attempt(error=text), attempt()])
    assert [event.error for event in found] == [text, None]


def test_an_errors_text_that_utf_8_cannot_hold_is_kept_escaped():
    (found,) = written([attempt(error="no file b\udcff")])
    assert found.error == "no file b\\udcff"


def test_events_are_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        attempt().batch = 2
    with pytest.raises(TypeError):
        Revoked(1, (0,))


def test_a_journal_says_how_much_it_holds():
    assert repr(written([attempt(), attempt()])) == "<Journal of 2 events>"


@pytest.mark.parametrize("partition_count", [1, 3, 10])
def test_a_batch_and_partition_cost_at_most_200_bytes(partition_count):
    """A run of 10,000 batches of 100 records each, a million records, at a real time of day."""
    found, now, batches, ids = Journal(), 1_790_000_000_000, 10_000, random.Random(1)
    found.append(Assigned(time_ms=now, positions=dict.fromkeys(range(partition_count), 0)))
    share = 100 // partition_count
    for number in range(1, batches + 1):
        now += 37
        records = {p: (range((number - 1) * share, number * share),) for p in range(partition_count)}
        found.append(Polled(time_ms=now, records=records))
        found.append(BatchClosed(time_ms=now, batch=number, reason="size", payload_size=123_456, records=records))
        found.append(
            Attempt(
                time_ms=now, batch=number, attempt=1, request_id=str(uuid.UUID(int=ids.getrandbits(128))), error=None
            )
        )
        found.append(Committed(time_ms=now, positions=dict.fromkeys(range(partition_count), number * share)))
    assert 20 * batches < found.nbytes <= 200 * batches * partition_count


def test_what_filters_leave_of_a_partition_costs_no_more():
    """One record of two passes, by chance: as many ranges as there can be, in three events of each batch."""
    found, now, chance, offset = Journal(), 1_790_000_000_000, random.Random(1), 0
    for number in range(1, 1_001):
        passed, aside = [], []
        while len(passed) < 100:
            (passed if chance.random() < 0.5 else aside).append(offset)
            offset += 1
        records = {0: offset_runs(passed)}
        found.append(Polled(time_ms=now, records=records))
        found.append(Filtered(time_ms=now, records={0: offset_runs(aside)}))
        found.append(BatchClosed(time_ms=now, batch=number, reason="size", payload_size=123_456, records=records))
        request_id = str(uuid.UUID(int=chance.getrandbits(128)))
        found.append(Attempt(time_ms=now, batch=number, attempt=1, request_id=request_id, error=None))
        found.append(Committed(time_ms=now, positions={0: offset}))
    assert found.nbytes <= 200 * 1_000


def test_a_journal_that_is_kept_in_blocks_reads_as_the_sequence_of_its_events():
    events = [attempt(number, request_id=str(number)) for number in range(2_000)]
    found = written(events)
    assert list(found) == events
    assert list(reversed(found)) == events[::-1]
    assert (found[0], found[1_234], found[-1]) == (events[0], events[1_234], events[-1])
    assert found[500:505] == tuple(events[500:505])
    reading = iter(found)
    next(reading)
    for event in events:
        found.append(event)
    assert len(list(reading)) == 1_999
    assert len(list(found)) == 4_000


@given(st.lists(st.integers(1, 400), max_size=12))
def test_whoever_follows_a_journal_reads_on_from_block_to_block(steps):
    found, read, place, number = Journal(), [], (0, 0), 0
    for step in steps:
        for number in range(number + 1, number + 1 + step):  # noqa: B020
            found.append(attempt(number, request_id=str(number)))
        new, place = found.since(place)
        read += new
    assert [event.time_ms for event in read] == list(range(1, number + 1))


def test_journal_reads_backwards_as_forwards():
    journal = Journal()
    assert journal.last(Attempt) is None
    for number in range(3):
        journal.append(Attempt(time_ms=number, batch=1, attempt=number + 1, request_id="r", error=None))
        journal.append(Committed(time_ms=number, positions={0: number}))
    assert list(reversed(journal)) == list(journal)[::-1]
    found = journal.last(Attempt)
    assert found is not None
    assert found.attempt == 3
    assert journal.last(StateChanged) is None


def test_an_events_repr_leaves_out_what_says_nothing():
    assert repr(attempt(5)) == "Attempt(time_ms=5, batch=1, attempt=1, request_id='id', error=None)"
    found = attempt(5, item_failures={0: (range(3),)}, log="secret")
    assert repr(found).endswith("error=None, item_failures={0: (range(0, 3),)})")
    assert eval(repr(found), {**vars(journal)}) == dataclasses.replace(found, log="")


# --- questions


def a_run() -> Journal:
    """Two partitions, a failed attempt, item failures, and two commits."""
    found = Journal("orders")
    for event in (
        BatchClosed(time_ms=1, batch=1, reason="size", payload_size=9, records={0: (range(3),), 1: (range(2),)}),
        attempt(2, error="E: no"),
        attempt(3, attempt=2, item_failures={0: (range(1, 2),)}),
        Committed(time_ms=4, positions={1: 2}),
        attempt(5, attempt=1, records={0: (range(1, 2),)}),
        Committed(time_ms=6, positions={0: 3}),
    ):
        found.append(event)
    return found


def test_the_calls_with_their_records_and_what_came_of_each():
    first, second, third = a_run().invocations
    whole = {0: (range(3),), 1: (range(2),)}
    assert (first.records, first.failed, first.error, first.ok) == (whole, whole, "E: no", False)
    assert first.succeeded == {}
    assert (second.records, second.failed, second.error) == (whole, {0: (range(1, 2),)}, "batchItemFailures")
    assert second.succeeded == {0: (range(1), range(2, 3)), 1: (range(2),)}
    assert (third.records, third.ok, third.time_ms) == ({0: (range(1, 2),)}, True, 5)


def test_the_deliveries_of_a_partition():
    found = a_run()
    assert [(call.attempt, call.records, call.ok) for call in found.deliveries("orders", 1)] == [
        (1, {1: (range(2),)}, False),
        (2, {1: (range(2),)}, True),
    ]
    assert len(found.deliveries("orders", 0)) == 3
    assert found.deliveries("orders", 7) == ()
    assert found.deliveries() == found.invocations
    with pytest.raises(ValueError, match="This is the journal of 'orders', and says nothing of 'refunds'"):
        found.deliveries("refunds", 0)


def test_the_commits_and_the_batches():
    found = a_run()
    assert [event.positions for event in found.commits] == [{1: 2}, {0: 3}]
    assert [event.reason for event in found.batches] == ["size"]


def test_a_journal_equals_the_list_of_its_events():
    found = a_run()
    assert found == list(found)
    assert found == a_run()
    assert found != list(found)[1:]
    assert Journal() == []
    assert found != "journal"


# --- JSON lines


@given(histories)
def test_json_lines_come_back(events):
    found = written(events)
    found.topic = "orders"
    again = Journal.from_json_lines(found.to_json_lines())
    assert list(again) == events
    assert [type(event) for event in again] == [type(event) for event in events]
    assert not events or again.topic == "orders"


def test_json_lines_can_be_read_by_people():
    first, second, *_, last = a_run().to_json_lines().splitlines()
    assert first == (
        '{"event": "BatchClosed", "topic": "orders", "time_ms": 1, "batch": 1, "reason": "size", "payload_size": 9, '
        '"records": {"0": [[0, 2]], "1": [[0, 1]]}}'
    )
    assert '"error": "E: no"' in second
    assert last == '{"event": "Committed", "topic": "orders", "time_ms": 6, "positions": {"0": 3}}'


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"event": "Fire", "topic": "x"}', '{"event": "Revoked", "topic": "x"}', "1"]
)
def test_a_line_that_is_no_event_is_refused_with_its_number(line):
    good = a_run().to_json_lines().splitlines()[0]
    with pytest.raises(ValueError, match="Line 2 is no event of a journal"):
        Journal.from_json_lines(f"{good}\n{line}\n")


@given(st.lists(st.sampled_from(KINDS).flatmap(events_of), max_size=12), st.data())
def test_whoever_follows_a_journal_reads_each_event_once(events, data):
    written, read = Journal(), []
    new, place = written.since()
    assert new == ()
    for event in events:
        written.append(event)
        if data.draw(st.booleans()):
            new, place = written.since(place)
            read += new
    read += written.since(place)[0]
    assert read == events == list(written.since()[0])
