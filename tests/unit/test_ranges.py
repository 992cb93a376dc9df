"""Sets of offsets, held against plain sets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pytest_msk._ranges import Ranges
from pytest_msk.journal import offset_runs

ranges = st.builds(lambda start, length: range(start, start + length), st.integers(0, 60), st.integers(0, 15))


def members(found) -> set[int]:
    return {offset for run in found for offset in run}


@given(st.lists(ranges, max_size=20), ranges)
def test_ranges_are_a_set(added, asked):
    found, model = Ranges(added), members(added)
    assert members(found) == model
    assert len(found) == len(model)
    assert found.stop == max(model, default=-1) + 1
    assert members(found.overlap(asked)) == model & set(asked)
    assert members(found.missing(asked)) == set(asked) - model


@given(st.lists(ranges, max_size=20))
def test_ranges_are_as_few_as_can_be_and_ascend(added):
    kept = list(Ranges(added))
    assert all(kept)
    assert all(one.stop < next_.start for one, next_ in pairwise(kept))


@given(st.lists(ranges, max_size=20), ranges)
def test_what_is_missing_is_told_in_few_ascending_ranges(added, asked):
    for found in (Ranges(added).missing(asked), Ranges(added).overlap(asked)) if asked else ():
        assert all(found)
        assert all(one.stop < next_.start for one, next_ in pairwise(found))


def test_a_million_records_in_order_are_one_range():
    found = Ranges()
    for start in range(0, 1_000_000, 1_000):
        found.add(range(start, start + 1_000))
    assert list(found) == [range(1_000_000)]


def test_ranges_join_across_the_gap_that_is_filled():
    assert list(Ranges([range(3), range(6, 9), range(12, 15), range(3, 12)])) == [range(15)]
    assert list(Ranges([range(3), range(4, 6)])) == [range(3), range(4, 6)]


@given(st.sets(st.integers(0, 40) | st.integers(0, 2**62), max_size=30))
def test_ascending_offsets_are_the_fewest_runs(offsets):
    runs = offset_runs(sorted(offsets))
    assert [offset for run in runs for offset in run] == sorted(offsets)
    assert all(one.stop < next_.start for one, next_ in pairwise(runs))


def test_runs_of_some_offsets():
    assert offset_runs([]) == ()
    assert offset_runs([7]) == (range(7, 8),)
    assert offset_runs([0, 1, 2, 5, 6, 9]) == (range(3), range(5, 7), range(9, 10))


def test_what_only_touches_does_not_overlap():
    found = Ranges([range(3, 6), range(9, 12)])
    assert found.overlap(range(6, 9)) == []
    assert found.missing(range(6, 9)) == [range(6, 9)]
    assert found.overlap(range(5, 10)) == [range(5, 6), range(9, 10)]
