"""Which records go into one event, when it is complete, and the window that ends it."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import Record
from pytest_msk.events import Envelope
from pytest_msk.journal import offset_runs
from pytest_msk.mapping.batching import Batch, Batcher, Window

ENVELOPE = Envelope(bootstrap_servers="localhost:9092", event_source_arn="arn:aws:kafka:us-east-1:123456789012:c/ë")


def text(partition: int, offset: int, size: int = 0) -> bytes:
    return Record(topic="t", partition=partition, offset=offset, timestamp=0, value=b"v" * size).to_json()


def contents(batch: Batch) -> list[tuple[int, int]]:
    """The (partition, offset) of a batch's records, in the payload's order."""
    event = json.loads(batch.payload)
    return [(record["partition"], record["offset"]) for group in event["records"].values() for record in group]


def offsets_of(batch: Batch) -> list[tuple[int, int]]:
    return [(partition, offset) for partition, runs in batch.records.items() for run in runs for offset in run]


@st.composite
def streams(draw) -> list[tuple[int, int, bytes]]:
    """Records of several partitions, mixed; offsets ascend in each partition, with gaps."""
    ends: dict[int, int] = {}
    found = []
    for partition, gap, size in draw(
        st.lists(st.tuples(st.integers(0, 11), st.integers(1, 3), st.integers(0, 90)), max_size=40)
    ):
        offset = ends[partition] = ends.get(partition, -1) + gap
        found.append((partition, offset, text(partition, offset, size)))
    return found


def add(batcher: Batcher, partition: int, offset: int, record: bytes) -> bool:
    return batcher.add(partition, [offset], [record]) == 1


def feed(batcher: Batcher, stream: list[tuple[int, int, bytes]]) -> list[Batch]:
    """Every record into batches: feed until one is refused, close, feed on."""
    batches = []
    for partition, offset, record in stream:
        if not add(batcher, partition, offset, record):
            batches.append(batcher.close(0))
            assert add(batcher, partition, offset, record)
    if batcher.count:
        batches.append(batcher.close(0))
    return batches


@given(streams(), st.integers(1, 12), st.integers(600, 1_500))
def test_batches_keep_their_bounds_and_lose_nothing(stream, batch_size, max_payload):
    batcher = Batcher("t", ENVELOPE, batch_size, max_payload=max_payload)
    batches = feed(batcher, stream)
    assert all(1 <= batch.count <= batch_size for batch in batches)
    assert all(len(batch.payload) <= max_payload for batch in batches)
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    assert all(contents(batch) == offsets_of(batch) for batch in batches)
    assert all(batch.count == len(contents(batch)) for batch in batches)
    ends = 0
    for batch in batches:
        taken = [(partition, offset) for partition, offset, _ in stream[ends : ends + batch.count]]
        assert sorted(contents(batch)) == sorted(taken)
        ends += batch.count
    assert ends == len(stream)


@given(streams(), st.integers(1, 12), st.integers(600, 1_500))
def test_each_batch_is_as_large_as_its_bounds_allow_and_says_which_closed_it(stream, batch_size, max_payload):
    batches = feed(Batcher("t", ENVELOPE, batch_size, max_payload=max_payload), stream)
    ends = 0
    for batch in batches:
        ends += batch.count
        if batch.count == batch_size:
            assert batch.reason == "size"
        elif ends == len(stream):
            assert batch.reason == "window"
        else:
            groups: dict[str, list[bytes]] = {}
            for partition, _, record in stream[ends - batch.count : ends + 1]:
                groups.setdefault(f"t-{partition}", []).append(record)
            assert batch.reason == "payload"
            assert len(ENVELOPE.payload(groups)) > max_payload


@given(streams().filter(len))
def test_the_measured_size_is_that_of_the_payload(stream):
    """A batch fits exactly into a limit of its own size, and not into one that is a byte smaller."""
    (batch,) = feed(Batcher("t", ENVELOPE, len(stream), max_payload=10**9), stream)
    exact = Batcher("t", ENVELOPE, len(stream), max_payload=len(batch.payload))
    smaller = Batcher("t", ENVELOPE, len(stream), max_payload=len(batch.payload) - 1)
    *others, last = stream
    assert [add(exact, *record) for record in stream] == [True] * len(stream)
    assert [add(smaller, *record) for record in others] == [True] * len(others)
    assert add(smaller, *last) is (not others)
    assert smaller.close(0).oversized is (not others)


def test_records_of_a_partition_stand_together_in_the_order_of_their_first():
    batcher = Batcher("t", ENVELOPE, 10)
    for partition, offset in ((2, 0), (0, 7), (2, 1), (0, 9)):
        assert add(batcher, partition, offset, text(partition, offset))
    batch = batcher.close(4_711)
    assert list(json.loads(batch.payload)["records"]) == ["t-2", "t-0"]
    assert contents(batch) == [(2, 0), (2, 1), (0, 7), (0, 9)]
    assert list(batch.records.items()) == [(2, (range(2),)), (0, (range(7, 8), range(9, 10)))]
    assert (batch.reason, batch.closed_ms) == ("window", 4_711)


def test_room_is_told_by_number_until_the_payload_is_full():
    batcher = Batcher("t", ENVELOPE, 3, max_payload=500)
    assert batcher.room == 3
    add(batcher, 0, 0, text(0, 0))
    assert batcher.room == 2
    assert not add(batcher, 0, 1, text(0, 1, 400))
    assert (batcher.room, batcher.count) == (0, 1)


def test_nothing_passes_a_record_that_was_refused():
    batcher = Batcher("t", ENVELOPE, 3, max_payload=500)
    assert add(batcher, 0, 0, text(0, 0))
    assert not add(batcher, 0, 1, text(0, 1, 400))
    assert not add(batcher, 0, 2, text(0, 2))
    assert contents(batcher.close(0)) == [(0, 0)]


def test_a_full_batch_takes_nothing_more():
    batcher = Batcher("t", ENVELOPE, 1)
    assert add(batcher, 0, 0, text(0, 0))
    assert not add(batcher, 0, 1, text(0, 1))
    batch = batcher.close(0)
    assert (batch.count, batch.reason) == (1, "size")


def test_a_record_that_is_too_large_for_any_event_has_a_batch_of_its_own():
    batcher = Batcher("orders", ENVELOPE, 3, max_payload=500)
    texts = [text(1, 42, 1_000), text(1, 43)]
    assert batcher.add(1, [42, 43], texts) == 1
    assert (batcher.room, batcher.count) == (0, 1)
    assert not add(batcher, 0, 0, text(0, 0))
    large = batcher.close(0)
    assert (large.oversized, large.reason, large.records) == (True, "payload", {1: (range(42, 43),)})
    assert large.payload == ENVELOPE.payload({"orders-1": texts[:1]})
    assert add(batcher, 1, 43, texts[1])
    assert not add(batcher, 1, 44, text(1, 44, 1_000))
    assert not batcher.close(0).oversized


def test_by_default_an_event_has_six_mebibytes():
    batcher = Batcher("t", ENVELOPE, 3)
    rest = len(ENVELOPE.payload({"t-0": [b""]}))
    for length, oversized in ((6_291_456, False), (6_291_457, True)):
        assert add(batcher, 0, 0, b" " * (length - rest))
        assert batcher.close(0).oversized is oversized


@given(streams().filter(len), st.data())
def test_the_event_of_some_records_of_a_batch(stream, data):
    (batch,) = feed(Batcher("t", ENVELOPE, len(stream), max_payload=10**9), stream)
    kept = data.draw(st.sets(st.sampled_from(offsets_of(batch)), min_size=1))
    some = {p: offset_runs([o for run in runs for o in run if (p, o) in kept]) for p, runs in batch.records.items()}
    event = json.loads(batch.payload_of({p: runs for p, runs in some.items() if runs}))
    whole = json.loads(batch.payload)
    assert {**event, "records": None} == {**whole, "records": None}
    wanted = {
        key: [r for r in group if (r["partition"], r["offset"]) in kept] for key, group in whole["records"].items()
    }
    assert event["records"] == {key: group for key, group in wanted.items() if group}
    assert batch.payload_of(batch.records) == batch.payload


def test_timestamps_stay_with_their_records():
    batcher = Batcher("t", ENVELOPE, 3)
    assert batcher.add(1, [5, 7], [text(1, 5), text(1, 7)], [100, 90]) == 2
    assert batcher.add(0, [0, 1], [text(0, 0), text(0, 1)], [80, 70]) == 1
    assert batcher.close(0).timestamps == {1: [100, 90], 0: [80]}


def test_what_is_cleared_is_forgotten_and_the_numbers_go_on():
    batcher = Batcher("t", ENVELOPE, 2)
    add(batcher, 0, 0, text(0, 0))
    assert batcher.close(0).number == 1
    add(batcher, 0, 1, text(0, 1))
    batcher.clear()
    assert (batcher.count, batcher.room) == (0, 2)
    add(batcher, 0, 5, text(0, 5))
    batch = batcher.close(0)
    assert (batch.number, contents(batch)) == (2, [(0, 5)])


def test_batchers_that_share_their_numbers_count_on():
    numbers = itertools.count(1)
    first, second = (Batcher("t", ENVELOPE, 2, numbers=numbers) for _ in range(2))
    for batcher in (first, second, first):
        add(batcher, 0, 0, text(0, 0))
    assert [batcher.close(0).number for batcher in (first, second, first)] == [1, 2, 3]


def test_a_batchs_repr_leaves_the_payload_out():
    batcher = Batcher("t", ENVELOPE, 2)
    add(batcher, 0, 0, text(0, 0))
    assert repr(batcher.close(9)) == (
        "Batch(number=1, reason='window', count=1, records={0: (range(0, 1),)}, closed_ms=9)"
    )


def test_a_window_ends_its_length_after_its_begin():
    window = Window(500, 1_000)
    assert window.end_ms == 1_500
    window.restart(1_200)
    assert window.end_ms == 1_700


@given(st.integers(1, 300_000), st.integers(0, 10**6), st.lists(st.integers(0, 10**6), max_size=6))
def test_an_empty_window_is_followed_by_the_next_without_a_gap(length, start, steps):
    window, now = Window(length, start), start
    for step in steps:
        now += step
        window.roll(now)
        assert now < window.end_ms <= now + length
        assert (window.end_ms - start) % length == 0


@given(st.integers(0, 300_000), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_window_that_has_not_ended_does_not_roll(length, start, later):
    window = Window(length, start)
    window.roll(min(start + later, window.end_ms - 1))
    assert window.end_ms == start + length


def test_a_window_of_no_length_ends_when_it_begins():
    window = Window(0, 1_000)
    window.roll(5_000)
    assert window.end_ms == 1_000
    window.restart(6_000)
    assert window.end_ms == 6_000
