"""Calls that end at a limit of real time: interrupted, left behind, or held by a debugger."""

from __future__ import annotations

import bdb
import sys
import threading
import time
from queue import SimpleQueue

import pytest

from pytest_msk import FunctionStuck, LambdaFunction, VirtualClock
from pytest_msk.functions import TimeLimit
from pytest_msk.functions.limit import LimitReached, _Task, _Worker

PAYLOAD = b"{}"
NAME = "pytest_msk charge"


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def spin(event=None, context=None):
    while True:
        pass


class Stuck:
    """Waits where Python cannot interrupt it, until it is let go."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lock.acquire()

    def __call__(self, event=None, context=None):
        self.thread = threading.current_thread()
        self.lock.acquire()

    def let_go(self):
        self.lock.release()
        self.thread.join(30)
        assert not self.thread.is_alive()


@pytest.fixture
def stuck():
    found = Stuck()
    yield found
    found.let_go()


@pytest.fixture
def limit():
    with TimeLimit("charge") as found:
        yield found
    assert NAME not in names()


def test_calls_run_one_after_the_other_on_one_thread(limit):
    threads = [limit.run(threading.current_thread, 30) for _ in range(3)]
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()
    assert threads[0].name == NAME
    assert not limit.in_thread
    assert limit.run(lambda: limit.in_thread, 30)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), pytest.fail.Exception("no")])
def test_what_a_call_raises_is_raised(limit, error):
    def fail():
        raise error

    with pytest.raises(type(error)) as raised:
        limit.run(fail, 30)
    assert raised.value is error
    assert limit.run(lambda: 5, 30) == 5, "the thread goes on"


def test_code_in_python_is_interrupted(limit):
    with pytest.raises(LimitReached):
        limit.run(spin, 0.05)
    assert NAME not in names()
    assert limit.run(lambda: 5, 30) == 5, "on a thread of its own"


def test_a_call_that_swallows_the_interruption_has_ended_all_the_same(limit):
    def swallow():
        try:
            spin()
        except BaseException:  # noqa: BLE001 - as careless code does
            return "too late"

    with pytest.raises(LimitReached):
        limit.run(swallow, 0.05)
    assert NAME not in names()


def test_what_python_cannot_interrupt_is_left_behind_and_named(limit, stuck):
    with pytest.raises(FunctionStuck) as raised:
        limit.run(stuck, 0.05)
    line = Stuck.__call__.__code__.co_firstlineno + 2
    assert str(raised.value).startswith(
        "charge did not end at its time limit of 0.05 s, and Python cannot interrupt what it waits for at "
        f"{__file__}:{line}. Its thread 'pytest_msk charge' was left behind."
    )
    assert NAME in names()
    assert limit.run(lambda: 5, 30) == 5, "on another thread"


@pytest.fixture
def debugged(monkeypatch):
    """A call that a debugger holds until it has been looked at twice after its limit."""
    looks = threading.Semaphore(0)
    look = _Worker.held_by_a_debugger

    def noted(self):
        looks.release()
        return look(self)

    monkeypatch.setattr(_Worker, "held_by_a_debugger", noted)

    class Debugger(bdb.Bdb):
        held = False

        def user_line(self, frame):
            if not self.held:
                self.held = all(looks.acquire(timeout=30) for _ in range(2))
            self.set_continue()

    def call(event=None, context=None):
        debugger = Debugger()
        debugger.set_trace()
        result = "done"
        sys.settrace(None)
        return result

    return call


def test_a_call_that_a_debugger_holds_does_not_end(limit, debugged):
    assert limit.run(debugged, 0.5) == "done"
    assert limit.held
    assert limit.run(lambda: "done", 30) == "done"
    assert not limit.held


def test_a_function_that_a_debugger_holds_does_not_time_out(limit, debugged):
    clock = VirtualClock(0)
    clock.run_real()
    invocation = LambdaFunction(debugged, timeout=0.5).invoke(PAYLOAD, clock, limit=limit)
    assert (invocation.error, invocation.result) == (None, "done")
    assert invocation.duration >= 0.5


def test_ctrl_c_while_a_call_is_waited_for_ends_the_call(limit, monkeypatch):
    began, ended = SimpleQueue(), threading.Event()

    def interrupted(self, seconds):
        began.get(timeout=30)
        raise KeyboardInterrupt

    def call():
        began.put(None)
        try:
            spin()
        finally:
            ended.set()

    limit.run(int, 30)
    with monkeypatch.context() as patch:
        patch.setattr(_Task, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            limit.run(call, 30)
    assert ended.wait(30)


# --- as a function's guard


def test_without_a_guard_real_time_does_not_count():
    clock = VirtualClock(0)
    function = LambdaFunction(lambda event, context: time.sleep(0.05), timeout=0.01)
    assert function.invoke(PAYLOAD, clock).error is None


def test_the_guard_ends_a_call_as_if_it_had_timed_out():
    function = LambdaFunction(spin, real_time_limit=0.05)
    invocation = function.invoke(PAYLOAD, VirtualClock(0))
    assert str(invocation.error) == "Sandbox.Timedout: Task timed out after 0.05 seconds"
    assert function.invocations[0] == invocation
    assert not [name for name in names() if name.startswith("pytest_msk spin")]


def test_a_call_within_the_guard_is_judged_as_ever():
    function = LambdaFunction(lambda event, context: print("logged"), real_time_limit=30)
    invocation = function.invoke(PAYLOAD, VirtualClock(0))
    assert (invocation.error, invocation.log) == (None, "logged\n")


def test_a_function_that_is_stuck_is_recorded_and_raised(stuck):
    function = LambdaFunction(stuck, name="charge", real_time_limit=0.05, environment={"A": "1"})
    with pytest.raises(FunctionStuck) as raised:
        function.invoke(PAYLOAD, VirtualClock(0))
    (invocation,) = function.invocations
    assert raised.value.invocation == invocation
    assert str(invocation.error) == "Sandbox.Timedout: Task timed out after 0.05 seconds"
    free = LambdaFunction(lambda event, context: "not held up by it", environment={"A": "2"})
    assert free.invoke(PAYLOAD, VirtualClock(0)).result == "not held up by it"


def test_pytests_outcomes_pass_the_guard():
    function = LambdaFunction(lambda event, context: pytest.fail("seen"), real_time_limit=30)
    with pytest.raises(pytest.fail.Exception, match="seen"):
        function.invoke(PAYLOAD, VirtualClock(0))
