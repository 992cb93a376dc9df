"""The broker's thread: timers in order, calls from other threads, and callbacks that fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pytest_msk.brokers.embedded.loop import Loop


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def loop(failures: list[BaseException]) -> Iterator[Loop]:
    loop = Loop("test", failures.append)
    loop.start()
    yield loop
    loop.stop()
    loop.discard()


def test_timers_fire_in_order_and_cancelled_ones_do_not(loop: Loop) -> None:
    fired: list[str] = []
    done = threading.Event()
    with loop.lock:
        loop.call_later(20, done.set)
        loop.call_later(10, lambda: fired.append("second"))
        loop.call_later(0, lambda: fired.append("first"))
        never = loop.call_later(5, lambda: fired.append("never"))
        never.cancel()
        never.cancel()
    assert done.wait(5)
    assert fired == ["first", "second"]


def test_a_timer_never_fires_during_the_call(loop: Loop) -> None:
    fired = threading.Event()
    with loop.lock:
        loop.call_later(0, fired.set)
        assert not fired.is_set()
    assert fired.wait(5)


def test_cancelled_timers_do_not_pile_up(loop: Loop) -> None:
    with loop.lock:
        for _ in range(10_000):
            loop.call_later(60_000, lambda: None).cancel()
        assert len(loop._timers) < 500


def test_calls_from_other_threads_come_in_order_on_the_loops_thread(loop: Loop) -> None:
    seen: list[tuple[int, bool]] = []
    done = threading.Event()
    for at in range(100):
        loop.call_soon(lambda at=at: seen.append((at, loop.in_thread)))
    loop.call_soon(done.set)
    assert done.wait(5)
    assert seen == [(at, True) for at in range(100)]


def test_a_callback_that_fails_is_told_and_the_loop_goes_on(loop: Loop, failures: list[BaseException]) -> None:
    done = threading.Event()
    with loop.lock:
        loop.call_later(0, lambda: 1 // 0)
        loop.call_later(5, done.set)
    assert done.wait(5)
    assert [type(each) for each in failures] == [ZeroDivisionError]


def test_time_goes_on_when_a_library_freezes_it(loop: Loop) -> None:
    freezegun = pytest.importorskip("freezegun")
    fired = threading.Event()
    with freezegun.freeze_time("2020-01-01"):
        with loop.lock:
            loop.call_later(5, fired.set)
        assert fired.wait(5)


def test_time_goes_on_when_a_library_replaces_it_in_c(loop: Loop) -> None:
    time_machine = pytest.importorskip("time_machine")
    fired = threading.Event()
    with time_machine.travel(0, tick=False):
        with loop.lock:
            loop.call_later(5, fired.set)
        assert fired.wait(5)
