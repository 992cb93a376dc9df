"""The states of a mapping: the table, its times, and AWS's refusals (spec 2.1, 2.5)."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import EventSourceMappingError
from pytest_msk.journal import State
from pytest_msk.mapping.lifecycle import TRANSITIONS, Cause, Lifecycle, Transition

START = 1_000
AT_REST = {"Enabled", "Disabled", "Deleted"}


def made(*, enabled: bool = True, length_ms: int = 0) -> Lifecycle:
    lifecycle = Lifecycle(START)
    lifecycle.created(enabled=enabled, length_ms=length_ms)
    return lifecycle


def names(changes) -> list[State]:
    return [change.state for change in changes]


@pytest.mark.parametrize(
    ("enabled", "calls", "states"),
    [
        (True, [], ["Creating", "Enabled"]),
        (False, [], ["Creating", "Disabled"]),
        (True, [("disable", False)], ["Creating", "Enabled", "Disabling", "Disabled"]),
        (False, [("enable", True)], ["Creating", "Disabled", "Enabling", "Enabled"]),
        (True, [("update", True)], ["Creating", "Enabled", "Updating", "Enabled"]),
        (False, [("update", False)], ["Creating", "Disabled", "Updating", "Disabled"]),
        (True, [("delete", False)], ["Creating", "Enabled", "Deleting", "Deleted"]),
        (True, [("stop", False)], ["Creating", "Enabled", "Disabling", "Disabled"]),
    ],
)
def test_states_that_a_mapping_goes_through(enabled, calls, states):
    lifecycle = Lifecycle(START)
    seen = names(lifecycle.created(enabled=enabled, length_ms=0))
    for cause, after in calls:
        seen += names(lifecycle.begin(cause, START, enabled=after, length_ms=0))
    assert seen == states


@given(st.integers(1, 10**9), st.integers(0, 10**9))
def test_a_transition_ends_when_its_time_has_come_and_not_before(length_ms, late_ms):
    lifecycle = made(length_ms=length_ms)
    assert lifecycle.state == "Creating"
    assert lifecycle.due_ms == START + length_ms
    assert lifecycle.settle(START + length_ms - 1) == ()
    (change,) = lifecycle.settle(START + length_ms + late_ms)
    assert (change.state, change.time_ms) == ("Enabled", START + length_ms)
    assert lifecycle.due_ms is None


def test_a_transition_can_be_ended_before_its_time():
    lifecycle = made(length_ms=60_000)
    (change,) = lifecycle.finish(START + 5)
    assert (change.state, change.time_ms) == ("Enabled", START + 5)
    assert lifecycle.finish(START + 6) == ()


@pytest.mark.parametrize("cause", ["update", "enable", "disable", "delete"])
@pytest.mark.parametrize("passing", ["Creating", "Updating", "Enabling", "Disabling"])
def test_a_call_during_a_transition_is_refused_with_aws_text(passing, cause):
    lifecycle = made(length_ms=60_000, enabled=passing != "Enabling")
    if passing != "Creating":
        lifecycle.finish(START)
        begin = {"Updating": "update", "Enabling": "enable", "Disabling": "disable"}[passing]
        lifecycle.begin(begin, START, enabled=passing != "Disabling", length_ms=60_000)
    assert lifecycle.state == passing
    with pytest.raises(EventSourceMappingError) as refused:
        lifecycle.begin(cause, START, enabled=True, length_ms=0)
    what = "delete" if cause == "delete" else "update"
    assert refused.value.code == "ResourceInUseException"
    assert str(refused.value) == f"Cannot {what} the event source mapping because it is in use."
    assert lifecycle.state == passing


@pytest.mark.parametrize("cause", ["update", "enable", "disable", "delete"])
def test_a_deleted_mapping_does_not_exist(cause):
    lifecycle = made()
    lifecycle.begin("delete", START, enabled=False, length_ms=0)
    with pytest.raises(EventSourceMappingError) as refused:
        lifecycle.begin(cause, START, enabled=True, length_ms=0)
    assert refused.value.code == "ResourceNotFoundException"
    assert str(refused.value) == "The resource you requested does not exist."


def test_the_reason_says_who_made_the_last_change():
    lifecycle = made()
    assert lifecycle.reason == "USER_INITIATED"
    changes = lifecycle.begin("stop", START, enabled=False, length_ms=0, reason="EVENT_SOURCE_AUTHZ_ERROR")
    assert {change.reason for change in changes} == {lifecycle.reason} == {"EVENT_SOURCE_AUTHZ_ERROR"}
    lifecycle.begin("enable", START, enabled=True, length_ms=0)
    assert lifecycle.reason == "USER_INITIATED"


def test_the_table_knows_every_state_and_cause_and_leads_nowhere_else():
    states, causes = set(get_args(State)), set(get_args(Cause))
    assert {state for state, _ in TRANSITIONS} | {"Deleted"} == states
    assert {cause for _, cause in TRANSITIONS} == causes
    assert set(TRANSITIONS.values()) == states - {"Creating"}
    assert set(get_args(Transition)) == states - AT_REST


@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(["update", "enable", "disable", "delete", "wait"]), st.integers(0, 90))),
)
def test_whatever_is_called_a_mapping_stands_where_its_last_accepted_call_wanted_it(enabled, calls):
    now, lifecycle = START, made(enabled=enabled, length_ms=30)
    seen = ["Creating"]
    for cause, number in calls:
        now += number
        seen += names(lifecycle.settle(now))
        before = lifecycle.state
        if cause == "wait":
            continue
        if (before, cause) not in TRANSITIONS:
            with pytest.raises((EventSourceMappingError, RuntimeError)):
                lifecycle.begin(cause, now, enabled=enabled, length_ms=30)
            assert lifecycle.state == before
            continue
        enabled = {"enable": True, "disable": False, "update": enabled, "delete": False}[cause]
        seen += names(lifecycle.begin(cause, now, enabled=enabled, length_ms=30))
    seen += names(lifecycle.finish(now))
    assert lifecycle.state == ("Deleted" if "Deleting" in seen else "Enabled" if enabled else "Disabled")
    for earlier, later in pairwise(seen):
        assert later in {target for (state, _), target in TRANSITIONS.items() if state == earlier}
