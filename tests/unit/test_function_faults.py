"""Handlers that fail, time out or are throttled when a test wants them to."""

from __future__ import annotations

import pytest

from pytest_msk import LambdaFunction, ServiceError, msk_event
from pytest_msk.clock import VirtualClock
from pytest_msk.faults import InjectedError, fails, fails_for, throttled, times_out

EVENT = msk_event([{"id": 1}, {"id": 2}], topic="orders")


class Recorder:
    """A handler that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, event, context):
        self.calls += 1
        return {"calls": self.calls}


def errors(function, calls, event=EVENT) -> list[str | None]:
    found = []
    for _ in range(calls):
        error = function.invoke(event).error
        found.append(None if error is None else error.type)
    return found


@pytest.mark.parametrize(
    ("on", "failing"),
    [(2, {2}), ((1, 3), {1, 3}), (range(2, 5), {2, 3, 4}), ({4}, {4}), (lambda n: n % 2, {1, 3}), ((), set())],
)
def test_fails_on_the_calls_that_were_named(on, failing):
    handler = Recorder()
    function = LambdaFunction(fails(handler, on=on), name="f")
    expected = ["InjectedError" if number in failing else None for number in range(1, 5)]
    assert errors(function, 4) == expected
    assert handler.calls == 4 - len(failing & {1, 2, 3, 4})


def test_the_error_names_the_call_or_is_the_one_that_was_given():
    assert str(LambdaFunction(fails(Recorder(), on=1), name="f").invoke(EVENT).error) == (
        "InjectedError: told to fail on call 1"
    )
    error = LambdaFunction(fails(Recorder(), on=1, error=KeyError("total")), name="f").invoke(EVENT).error
    assert error.type == "KeyError"


def test_it_may_fail_when_its_work_is_done():
    handler = Recorder()
    function = LambdaFunction(fails(handler, on=1, after=True), name="f")
    assert errors(function, 2) == ["InjectedError", None]
    assert handler.calls == 2


def test_fails_for_events_that_hold_a_record():
    handler = Recorder()
    function = LambdaFunction(fails_for(handler, lambda record: record.json()["id"] == 2), name="f")
    other = msk_event([{"id": 1}], topic="orders")
    assert errors(function, 3) == ["InjectedError"] * 3
    assert errors(function, 1, other) == [None]
    assert function.invoke(EVENT).error.message == "told to fail for the record at orders-0 offset 1"
    assert handler.calls == 1


def test_fails_for_a_record_some_times_only():
    function = LambdaFunction(fails_for(Recorder(), lambda record: True, times=2), name="f")
    assert errors(function, 4) == ["InjectedError", "InjectedError", None, None]


def test_times_out_in_no_time():
    clock, handler = VirtualClock(1_000), Recorder()
    function = LambdaFunction(times_out(handler, on=1), name="f", timeout=30)
    first, second = function.invoke(EVENT, clock), function.invoke(EVENT, clock)
    assert str(first.error) == "Sandbox.Timedout: Task timed out after 30.00 seconds"
    assert clock.now_ms() == 1_000 + 30_001
    assert second.error is None
    assert handler.calls == 1


def test_times_out_at_once_where_time_is_real():
    clock = VirtualClock()
    clock.run_real()
    try:
        error = LambdaFunction(times_out(Recorder(), on=1), name="f", timeout=300).invoke(EVENT, clock).error
    finally:
        clock.stand_still()
    assert str(error) == "Sandbox.Timedout: Task timed out after 300.00 seconds"


@pytest.mark.parametrize(("how", "refused"), [({}, [1]), ({"times": 2}, [1, 2]), ({"on": 3}, [3]), ({"times": 0}, [])])
def test_throttled_calls_do_not_reach_the_function_and_are_no_invocations(how, refused):
    handler = Recorder()
    function = LambdaFunction(throttled(handler, **how), name="f")
    for number in range(1, 5):
        if number in refused:
            with pytest.raises(ServiceError, match=r"^TooManyRequestsException: Rate Exceeded\.$"):
                function.invoke(EVENT)
        else:
            assert function.invoke(EVENT).error is None
    assert handler.calls == len(function.invocations) == 4 - len(refused)


def test_faults_nest_and_each_counts_the_calls_that_reach_it():
    handler = Recorder()
    function = LambdaFunction(throttled(fails(fails(handler, on=1), on=1), times=1), name="f")
    with pytest.raises(ServiceError):
        function.invoke(EVENT)
    assert errors(function, 3) == ["InjectedError", "InjectedError", None]
    assert handler.calls == 1


def charge(event, context):
    """Charge."""


def test_a_faulty_handler_has_the_name_of_the_one_that_it_stands_for():
    assert LambdaFunction(fails(charge, on=1)).name == "charge"
    assert LambdaFunction(times_out(throttled(charge), on=1)).name == "charge"


@pytest.mark.parametrize("on", [True, "1", None, 1.0])
def test_what_names_no_calls_is_refused(on):
    with pytest.raises(TypeError, match="the number of a call from 1"):
        fails(charge, on=on)


def test_a_name_is_no_handler():
    with pytest.raises(TypeError, match=r"'app\.handler' cannot be called: give the handler itself"):
        fails("app.handler", on=1)


def test_times_and_on_exclude_each_other():
    with pytest.raises(TypeError, match="give one of the two"):
        throttled(charge, times=1, on=2)


def test_an_injected_error_is_the_kits_own():
    with pytest.raises(InjectedError, match="told to fail on call 1"):
        fails(charge, on=1)(EVENT, None)
