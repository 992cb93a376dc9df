"""Heartbeats: sessions, and answers that wait for the next rebalance."""

from __future__ import annotations

import pytest
from group_bench import DELAY_MS, SESSION_MS, Bench

from pytest_msk.brokers.embedded.errors import ErrorCode

HELD_MS = 2_900


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_silent_member_expires_after_its_session_timeout(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    bench.advance(SESSION_MS - 1)
    assert bench.state() == "Stable"
    bench.advance(1)
    assert bench.state() == "Empty"
    assert consumer.heartbeat().value.error is ErrorCode.UNKNOWN_MEMBER_ID
    assert bench.scheduler.pending == 0


def test_heartbeat_begins_the_session_anew(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    for _ in range(3):
        bench.advance(SESSION_MS - 1)
        assert consumer.heartbeat().value.error is ErrorCode.NONE


def test_expired_member_leaves_its_share_to_the_others(bench: Bench) -> None:
    silent, other = bench.consumer(), bench.consumer()
    bench.stable(silent, other)
    bench.advance(SESSION_MS - 1)
    other.heartbeat()
    bench.advance(1)
    assert other.heartbeat().value.error is ErrorCode.REBALANCE_IN_PROGRESS
    assert other.join().value.leader == other.member_id


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"generation": 7}, ErrorCode.ILLEGAL_GENERATION),
        ({"member_id": "nobody"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"group": "other"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"group": ""}, ErrorCode.INVALID_GROUP_ID),
    ],
)
def test_heartbeat_of_a_stranger_is_refused(bench: Bench, wrong: dict[str, object], error: ErrorCode) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    for name, value in wrong.items():
        setattr(consumer, name, value)
    assert consumer.heartbeat(hold=True).value.error is error


def test_heartbeat_in_an_empty_group_is_unknown(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.leave()
    assert consumer.heartbeat().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_heartbeat_before_the_sync_is_in_order_and_begins_the_session_anew(bench: Bench) -> None:
    consumer = bench.consumer()
    joined = consumer.join()
    bench.advance(DELAY_MS)
    consumer.accept(joined.value)
    for _ in range(2):
        bench.advance(SESSION_MS - 1)
        assert consumer.heartbeat().value.error is ErrorCode.NONE


def test_heartbeat_while_a_rebalance_is_prepared_tells_so_and_begins_the_session_anew(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    bench.consumer().join()
    for _ in range(2):
        bench.advance(SESSION_MS - 1)
        assert consumer.heartbeat(hold=True).value.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_held_heartbeat_is_answered_when_somebody_joins(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    held = consumer.heartbeat(hold=True)
    bench.advance(1)
    assert held.waits
    bench.consumer().join()
    assert held.value.error is ErrorCode.REBALANCE_IN_PROGRESS


@pytest.mark.parametrize(("session_ms", "held_ms"), [(SESSION_MS, HELD_MS), (6_000, 2_900), (5_000, 2_500)])
def test_held_heartbeat_is_answered_after_a_while(session_ms: int, held_ms: int) -> None:
    bench = Bench(min_session_timeout_ms=1_000)
    consumer = bench.consumer(session_ms=session_ms)
    bench.stable(consumer)
    held = consumer.heartbeat(hold=True)
    bench.advance(held_ms - 1)
    assert held.waits
    bench.advance(1)
    assert held.value.error is ErrorCode.NONE


def test_held_heartbeat_keeps_its_member_alive_until_it_is_answered(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.heartbeat(hold=True)
    bench.advance(HELD_MS + SESSION_MS - 1)
    assert bench.state() == "Stable"
    bench.advance(1)
    assert bench.state() == "Empty"


def test_heartbeats_are_not_held_when_the_setting_is_off() -> None:
    bench = Bench(hold_heartbeats=False)
    consumer = bench.consumer()
    bench.stable(consumer)
    assert consumer.heartbeat(hold=True).value.error is ErrorCode.NONE


def test_held_heartbeat_is_answered_by_the_next_one(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    first = consumer.heartbeat(hold=True)
    second = consumer.heartbeat(hold=True)
    assert first.value.error is ErrorCode.NONE
    assert second.waits


def test_held_heartbeats_of_a_connection_are_answered_when_it_sends_something_else(bench: Bench) -> None:
    first, second = bench.consumer(connection=1), bench.consumer(connection=2)
    bench.stable(first, second)
    mine, other = first.heartbeat(hold=True), second.heartbeat(hold=True)
    bench.coordinator.release_heartbeats(1)
    assert mine.value.error is ErrorCode.NONE
    assert other.waits


def test_member_that_changed_its_connection_is_not_answered_on_the_old_one(bench: Bench) -> None:
    consumer = bench.consumer(connection=1)
    bench.stable(consumer)
    consumer.heartbeat(hold=True)
    consumer.connection = 2
    held = consumer.heartbeat(hold=True)
    bench.coordinator.release_heartbeats(1)
    bench.coordinator.disconnected(1)
    assert held.waits


@pytest.mark.parametrize("request_name", ["join", "sync", "leave"])
def test_own_request_answers_the_held_heartbeat_as_success(bench: Bench, request_name: str) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    held = consumer.heartbeat(hold=True)
    getattr(consumer, request_name)()
    assert held.value.error is ErrorCode.NONE


def test_dead_connection_keeps_nobody_alive_but_its_member_has_its_session(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    held = consumer.heartbeat(hold=True)
    bench.advance(1_000)
    bench.coordinator.disconnected(consumer.connection)
    assert not held.waits
    bench.advance(SESSION_MS - 1_001)
    assert bench.state() == "Stable"
    bench.advance(1)
    assert bench.state() == "Empty"
    assert bench.scheduler.pending == 0


def test_connection_without_heartbeats_may_die(bench: Bench) -> None:
    bench.coordinator.disconnected(7)
    bench.coordinator.release_heartbeats(7)


def test_member_that_is_expired_by_name_hears_it_at_once(bench: Bench) -> None:
    consumer, other = bench.consumer(), bench.consumer()
    bench.stable(consumer, other)
    mine, others = consumer.heartbeat(hold=True), other.heartbeat(hold=True)
    bench.coordinator.expire_member("g", consumer.member_id)
    assert mine.value.error is ErrorCode.UNKNOWN_MEMBER_ID
    assert others.value.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_close_leaves_no_timer(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer, bench.consumer())
    bench.consumer().ask()
    bench.consumer(group="other").join()
    bench.advance(DELAY_MS)
    assert bench.state("other") == "CompletingRebalance"
    bench.consumer(group="third").join()
    assert bench.state("third") == "PreparingRebalance"
    held = consumer.heartbeat(hold=True)
    bench.coordinator.close()
    assert bench.scheduler.pending == 0
    assert bench.coordinator.groups() == ()
    assert held.waits
