"""Assertions about a mapping's deliveries, on made-up journals."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from hypothesis import given
from made_up_runs import TOPIC, MadeUpRun, attempted, closed, correct_runs, delivered

from pytest_msk import Journal, assert_at_least_once, assert_ordered, find_anomalies
from pytest_msk.brokers import Watermarks
from pytest_msk.journal import Assigned, Committed, Event, Offsets


def mapping(events: Iterable[Event], log: Offsets, origins: dict[int, int] | None = None) -> SimpleNamespace:
    """What the assertions ask a mapping for."""
    journal = Journal()
    for event in events:
        journal.append(event)
    return SimpleNamespace(
        topic=TOPIC,
        journal=journal,
        starting=SimpleNamespace(origins=origins or {}),
        broker=SimpleNamespace(
            offsets={TOPIC: log}.__getitem__,
            watermarks=lambda topic: {partition: Watermarks(low=0, high=1_000_000) for partition in log},
        ),
        function=SimpleNamespace(name="charge"),
    )


def begun(*partitions: int) -> Assigned:
    return Assigned(time_ms=0, positions=dict.fromkeys(partitions, 0))


def message(assertion, esm) -> str:
    with pytest.raises(AssertionError) as raised:
        assertion(esm)
    return str(raised.value)


@given(correct_runs())
def test_a_correct_run_passes(run: MadeUpRun):
    esm = mapping(run.events, run.offsets)
    assert_ordered(esm)
    assert_at_least_once(esm)
    assert find_anomalies(esm) == ()


def test_a_mapping_without_records_passes():
    esm = mapping([begun(0)], {0: ()})
    assert_ordered(esm)
    assert_at_least_once(esm)


def test_the_wrong_order_fails_with_the_function_and_the_place():
    esm = mapping([begun(0), *delivered(1, {0: (range(2, 4),)}), *delivered(2, {0: (range(2),)})], {0: (range(4),)})
    assert message(assert_ordered, esm) == (
        "The records of 'orders' were not delivered in order to charge:\n"
        "  unordered-delivery: orders-0 offsets 0-1 (2 records) came first in batch 2, attempt 1, after offset 3 had "
        "been delivered."
    )
    assert_at_least_once(esm)


def test_a_lost_record_fails_with_the_function_the_place_and_what_happened():
    events = [begun(0), closed(3, {0: (range(4),)}), attempted(3, 1, "KeyError: 'id'")]
    esm = mapping(events, {0: (range(4),)})
    assert message(assert_at_least_once, esm) == (
        "The records of 'orders' were not all delivered to charge:\n"
        "  lost-record: orders-0 offsets 0-3 (4 records) in batch 3 failed: 1 time, at last with "
        "KeyError: 'id'."
    )
    assert_ordered(esm)


def test_where_a_partition_begins_is_asked_of_the_mapping():
    log = {0: (range(3),), 1: (range(3),)}
    esm = mapping([begun(0), *delivered(1, {0: (range(3),)})], log, origins={1: 2})
    assert "orders-1 offset 2 never reached the mapping" in message(assert_at_least_once, esm)
    assert_at_least_once(mapping([begun(0), *delivered(1, {0: (range(3),)})], log, origins={1: 3}))


@pytest.mark.parametrize(
    ("batches", "shown", "more"), [(6, 5, None), (7, 5, "  ... and 1 more"), (20, 5, "  ... and 14 more")]
)
def test_five_anomalies_are_shown_and_the_rest_counted(batches, shown, more):
    """Every batch but the first comes before its turn's records: one anomaly each."""
    events = [event for n in range(batches) for event in delivered(n + 1, {0: (range(100 - n, 101 - n),)})]
    first, *lines = message(assert_ordered, mapping(events, {0: ()})).splitlines()
    assert first == "The records of 'orders' were not delivered in order to charge:"
    assert [line.startswith("  unordered-delivery: orders-0 offset ") for line in lines[:shown]] == [True] * shown
    assert lines[shown:] == ([more] if more else [])


def test_all_anomalies_are_found_order_first():
    events = [begun(0), *delivered(1, {0: (range(2, 4),)}), *delivered(2, {0: (range(1, 2),)}),
              Committed(time_ms=0, positions={0: 4})]  # fmt: skip
    names = [anomaly.name for anomaly in find_anomalies(mapping(events, {0: (range(4),)}))]
    assert names == ["unordered-delivery", "unsafe-commit", "lost-record"]


@pytest.mark.parametrize("allow", ["dropped", ("droped",), {"destination", "x"}])
def test_what_cannot_be_allowed_is_refused(allow):
    esm = mapping([begun(0)], {0: ()})
    for ask in (assert_at_least_once, find_anomalies):
        with pytest.raises(ValueError, match=r"^allow=.*: a tuple of 'dropped' and 'destination'\.$"):
            ask(esm, allow=allow)
