"""Arithmetic on offsets, held against plain lists of records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_msk._offsets import above, count_of, halves, without
from pytest_msk.journal import Offsets, offset_runs

runs = st.sets(st.integers(0, 30), min_size=1, max_size=12).map(lambda found: offset_runs(sorted(found)))
offsets = st.dictionaries(st.integers(0, 5), runs, max_size=4)


def listed(records: Offsets) -> list[tuple[int, int]]:
    """The (partition, offset) of each, in order."""
    return [(partition, offset) for partition, runs in records.items() for run in runs for offset in run]


@given(offsets)
def test_how_many_they_are(records):
    assert count_of(records) == len(listed(records))


@given(offsets, offsets)
def test_what_is_left_when_some_are_gone(records, gone):
    left = without(records, gone)
    assert listed(left) == [one for one in listed(records) if one not in listed(gone)]
    assert all(left.values())


@given(offsets, st.dictionaries(st.integers(0, 5), st.integers(0, 32)))
def test_what_lies_above_the_lowest(records, lows):
    found = above(records, lows)
    assert listed(found) == [(p, o) for p, o in listed(records) if p in lows and o >= lows[p]]
    assert all(found.values())


@given(offsets)
def test_two_halves_hold_all_in_order_and_differ_by_one_at_most(records):
    left, right = halves(records)
    assert listed(left) + listed(right) == listed(records)
    assert 0 <= count_of(right) - count_of(left) <= 1
    assert all(left.values())
    assert all(right.values())


@given(st.sets(st.integers(0, 40), max_size=20), st.integers(0, 40), st.integers(0, 10))
def test_a_range_is_taken_out_of_a_set(offsets, start, length):
    from pytest_msk._ranges import Ranges

    found = Ranges(offset_runs(sorted(offsets)))
    found.discard(range(start, start + length))
    assert {offset for run in found for offset in run} == offsets - set(range(start, start + length))
