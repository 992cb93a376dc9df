"""The clock that everything which waits or ages asks."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import VirtualClock
from pytest_msk.clock import ClockError, Deadline, RealClock, epoch_ms

HOUR_MS = 3_600_000


class Machine:
    """A machine's two clocks, in nanoseconds."""

    def __init__(self, wall: int, monotonic: int = 0) -> None:
        self.wall, self.monotonic = wall, monotonic

    def clock(self) -> RealClock:
        return RealClock(_wall=lambda: self.wall, _monotonic=lambda: self.monotonic)


def test_a_virtual_clock_stands_still():
    clock = VirtualClock(1_000)
    assert (clock.now_ms(), clock.now_ms(), clock.real) == (1_000, 1_000, False)


def test_a_virtual_clock_starts_at_the_real_now():
    before = time.time_ns() // 1_000_000
    assert before - 1 <= VirtualClock().now_ms() <= time.time_ns() // 1_000_000 + 1


@given(st.integers(0, 2**41), st.lists(st.integers(0, 10**7), max_size=8))
def test_advances_add_up(start, steps_ms):
    clock = VirtualClock(start)
    for step in steps_ms:
        clock.advance(step / 1000)
    assert clock.now_ms() == start + sum(steps_ms)


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), float("inf"), float("-inf")])
def test_a_clock_moves_forward_only_and_by_a_number(seconds):
    clock = VirtualClock(1_000)
    with pytest.raises(ClockError) as raised:
        clock.advance(seconds)
    assert str(raised.value) == (
        f"A clock moves forward only: advance({seconds!r}) needs a number of seconds, 0 or more."
    )
    assert clock.now_ms() == 1_000


def test_a_time_that_has_passed_changes_nothing():
    clock = VirtualClock(1_000)
    clock.advance_to(400)
    assert clock.now_ms() == 1_000
    clock.advance_to(1_400)
    assert clock.now_ms() == 1_400


def test_watchers_hear_of_each_move_until_they_end_it():
    clock, heard = VirtualClock(0), []
    end = clock.watch(heard.append)
    clock.advance(1)
    clock.advance_to(3_000)
    end()
    end()
    clock.advance(1)
    assert heard == [1_000, 3_000]


def test_a_watcher_may_end_itself_while_the_others_are_told():
    clock, heard = VirtualClock(0), []

    def once(now_ms):
        heard.append(("once", now_ms))
        end()

    end = clock.watch(once)
    clock.watch(lambda now_ms: heard.append(("always", now_ms)))
    clock.advance(1)
    clock.advance(1)
    assert heard == [("once", 1_000), ("always", 1_000), ("always", 2_000)]


def test_on_real_time_the_clock_follows_the_machine_and_is_not_advanced():
    clock = VirtualClock(1_000)
    clock.run_real()
    assert clock.real
    assert clock.now_ms() >= time.time_ns() // 1_000_000 - 1_000
    for move in (lambda: clock.advance(1), lambda: clock.advance_to(2**50)):
        with pytest.raises(ClockError, match=r"on real time.*esm\.stop\(\).*wait_until"):
            move()
    clock.stand_still()
    stopped = clock.now_ms()
    assert not clock.real
    assert stopped >= time.time_ns() // 1_000_000 - 5_000
    clock.advance(1)
    assert clock.now_ms() == stopped + 1_000


def test_real_time_ends_with_its_last_user():
    clock = VirtualClock(0)
    clock.run_real()
    clock.run_real()
    clock.stand_still()
    assert clock.real
    clock.stand_still()
    assert not clock.real


def test_a_clock_that_is_ahead_of_the_machine_keeps_its_lead_on_real_time(monkeypatch):
    machine = Machine(wall=5 * 10**9)
    monkeypatch.setattr("pytest_msk.clock.RealClock", machine.clock)
    clock = VirtualClock(5_000)
    clock.advance(3600)
    clock.run_real()
    assert clock.now_ms() == 5_000 + HOUR_MS
    machine.monotonic += 700 * 10**6
    assert clock.now_ms() == 5_700 + HOUR_MS
    clock.stand_still()
    machine.monotonic += 10**9
    assert clock.now_ms() == 5_700 + HOUR_MS


def test_a_clock_that_is_behind_the_machine_jumps_to_the_real_now(monkeypatch):
    machine = Machine(wall=5 * 10**9)
    monkeypatch.setattr("pytest_msk.clock.RealClock", machine.clock)
    clock = VirtualClock(1_000)
    clock.run_real()
    assert clock.now_ms() == 5_000


def test_a_wall_clock_that_is_set_back_does_not_bend_real_time():
    machine = Machine(wall=5 * 10**9, monotonic=10**9)
    clock = machine.clock()
    machine.wall -= HOUR_MS * 10**6
    machine.monotonic += 20 * 10**6
    assert clock.now_ms() == 5_020


def test_freezegun_does_not_stop_real_time():
    freezegun = pytest.importorskip("freezegun")
    before = RealClock().now_ms()
    with freezegun.freeze_time("2001-01-01"):
        real, deadline = RealClock(), Deadline(1e-6)
        first = real.now_ms()
        for _ in range(10_000_000):
            if real.now_ms() > first:
                break
        assert before <= first < real.now_ms()
        assert deadline.passed


def test_a_deadline_tells_what_is_left_and_is_never_negative():
    now = [10.0]
    deadline = Deadline(2.5, _monotonic=lambda: round(now[0] * 1e9))
    assert (deadline.left, deadline.passed) == (2.5, False)
    now[0] = 12.0
    assert (deadline.left, deadline.passed) == (0.5, False)
    now[0] = 13.0
    assert (deadline.left, deadline.passed) == (0.0, True)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.25, 1_700_000_000_250),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T23:13:20.125+01:00", 1_700_000_000_125),
        ("2023-11-14T22:13:20", 1_700_000_000_000),
        (datetime(2023, 11, 14, 22, 13, 20), 1_700_000_000_000),
        (datetime(2023, 11, 14, 23, 13, 20, tzinfo=timezone(timedelta(hours=1))), 1_700_000_000_000),
    ],
)
def test_epoch_milliseconds_of_a_moment(moment, expected):
    assert epoch_ms(moment) == expected


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_epoch_milliseconds_do_not_depend_on_the_time_zone(moment, minutes):
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone.utc)
    expected = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
    assert epoch_ms(moment) == expected
    assert epoch_ms(moment.astimezone(timezone(timedelta(minutes=minutes)))) == expected
    assert epoch_ms(moment.isoformat()) == expected


def test_a_text_that_is_no_moment_is_refused():
    with pytest.raises(ValueError, match="yesterday"):
        epoch_ms("yesterday")
