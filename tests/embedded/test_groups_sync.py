"""SyncGroup: the leader assigns, everybody gets its own."""

from __future__ import annotations

import pytest
from group_bench import DELAY_MS, REBALANCE_MS, SESSION_MS, Bench, Consumer

from pytest_msk.brokers.embedded.errors import ErrorCode


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def pair(bench: Bench) -> tuple[Consumer, Consumer]:
    """A leader and a follower that have joined and not synced."""
    leader, follower = bench.consumer(session_ms=600_000), bench.consumer(session_ms=600_000)
    joins = [leader.join(), follower.join()]
    bench.advance(2 * DELAY_MS)
    leader.accept(joins[0].value)
    follower.accept(joins[1].value)
    return leader, follower


def test_follower_waits_for_the_leader(bench: Bench, pair: tuple[Consumer, Consumer]) -> None:
    leader, follower = pair
    waiting = follower.sync()
    assert waiting.waits
    mine = leader.sync({leader.member_id: b"left", follower.member_id: b"right"})
    assert mine.value.assignment == b"left"
    assert waiting.value.assignment == b"right"
    assert (waiting.value.protocol_type, waiting.value.protocol_name) == ("consumer", "range")
    assert bench.state() == "Stable"


def test_follower_that_comes_after_the_leader_is_answered_at_once(pair: tuple[Consumer, Consumer]) -> None:
    leader, follower = pair
    leader.sync({follower.member_id: b"right"})
    assert follower.sync().value.assignment == b"right"


def test_member_that_the_leader_forgot_gets_nothing(pair: tuple[Consumer, Consumer]) -> None:
    leader, follower = pair
    leader.sync({leader.member_id: b"all"})
    assert follower.sync().value.assignment == b""


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"generation": 7}, ErrorCode.ILLEGAL_GENERATION),
        ({"member_id": "nobody"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"group": "other"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"group": ""}, ErrorCode.INVALID_GROUP_ID),
    ],
)
def test_sync_of_a_stranger_is_refused(
    pair: tuple[Consumer, Consumer], wrong: dict[str, object], error: ErrorCode
) -> None:
    follower = pair[1]
    for name, value in wrong.items():
        setattr(follower, name, value)
    assert follower.sync().value.error is error


@pytest.mark.parametrize("wrong", [{"protocol_type": "connect"}, {"protocol_name": "roundrobin"}])
def test_sync_with_another_protocol_is_refused(pair: tuple[Consumer, Consumer], wrong: dict[str, str]) -> None:
    assert pair[1].sync(**wrong).value.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL  # type: ignore[arg-type]
    assert pair[1].sync(protocol_type="consumer", protocol_name="range").waits


@pytest.mark.parametrize("given", [{}, {"protocol_type": "consumer"}, {"protocol_name": "range"}])
def test_sync_that_must_name_its_protocol_and_does_not_is_refused(
    pair: tuple[Consumer, Consumer], given: dict[str, str]
) -> None:
    answer = pair[1].sync(protocol_required=True, **given)  # type: ignore[arg-type]
    assert answer.value.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_sync_that_names_its_protocol_as_it_must_is_taken(pair: tuple[Consumer, Consumer]) -> None:
    assert pair[1].sync(protocol_required=True, protocol_type="consumer", protocol_name="range").waits


def test_sync_while_a_rebalance_is_prepared_is_told_so(bench: Bench, pair: tuple[Consumer, Consumer]) -> None:
    leader, follower = pair
    leader.sync()
    leader.join()
    assert bench.state() == "PreparingRebalance"
    assert follower.sync().value.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_sync_that_is_sent_anew_ends_the_first_wait(pair: tuple[Consumer, Consumer]) -> None:
    leader, follower = pair
    first, second = follower.sync(), follower.sync()
    assert first.value.error is ErrorCode.REBALANCE_IN_PROGRESS
    leader.sync({follower.member_id: b"right"})
    assert second.value.assignment == b"right"


def test_leader_that_never_syncs_is_out_after_the_rebalance_timeout(
    bench: Bench, pair: tuple[Consumer, Consumer]
) -> None:
    leader, follower = pair
    waiting = follower.sync()
    bench.advance(REBALANCE_MS - 1)
    assert waiting.waits
    bench.advance(1)
    assert waiting.value.error is ErrorCode.REBALANCE_IN_PROGRESS
    assert follower.join().value.leader == follower.member_id
    assert leader.heartbeat().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_follower_that_never_syncs_is_out_even_when_the_group_is_stable(
    bench: Bench, pair: tuple[Consumer, Consumer]
) -> None:
    leader, follower = pair
    leader.sync()
    bench.advance(REBALANCE_MS)
    assert bench.state() == "PreparingRebalance"
    assert follower.heartbeat().value.error is ErrorCode.UNKNOWN_MEMBER_ID
    assert leader.heartbeat().value.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_nobody_is_waited_for_when_all_have_synced(bench: Bench, pair: tuple[Consumer, Consumer]) -> None:
    leader, follower = pair
    leader.sync()
    follower.sync()
    assert bench.scheduler.pending == 2
    bench.advance(REBALANCE_MS)
    assert bench.state() == "Stable"


def test_group_that_nobody_syncs_in_becomes_empty(bench: Bench, pair: tuple[Consumer, Consumer]) -> None:
    bench.advance(REBALANCE_MS)
    assert bench.state() == "Empty"
    assert bench.scheduler.pending == 0


def test_member_that_waits_for_the_leader_needs_no_heartbeat(bench: Bench) -> None:
    leader, follower = bench.consumer(session_ms=600_000), bench.consumer()
    joins = [leader.join(), follower.join()]
    bench.advance(2 * DELAY_MS)
    leader.accept(joins[0].value)
    follower.accept(joins[1].value)
    waiting = follower.sync()
    bench.advance(2 * SESSION_MS)
    leader.sync({follower.member_id: b"right"})
    assert waiting.value.assignment == b"right"
    bench.advance(SESSION_MS - 1)
    assert len(bench.coordinator.describe("g").members) == 2
    bench.advance(1)
    assert len(bench.coordinator.describe("g").members) == 1


def test_member_whose_wait_for_the_leader_ends_in_a_rebalance_has_a_session_again(bench: Bench) -> None:
    leader, follower = bench.consumer(session_ms=600_000), bench.consumer()
    joins = [leader.join(), follower.join()]
    bench.advance(2 * DELAY_MS)
    leader.accept(joins[0].value)
    follower.accept(joins[1].value)
    waiting = follower.sync()
    bench.advance(2 * SESSION_MS)
    leader.protocols = (("range", b""),)
    leader.join()
    assert waiting.value.error is ErrorCode.REBALANCE_IN_PROGRESS
    bench.advance(SESSION_MS - 1)
    assert len(bench.coordinator.describe("g").members) == 2
    bench.advance(1)
    assert len(bench.coordinator.describe("g").members) == 1


def test_next_generation_has_the_whole_rebalance_timeout_to_sync(bench: Bench, pair: tuple[Consumer, Consumer]) -> None:
    leader, follower = pair
    bench.advance(REBALANCE_MS - 1)
    leader.protocols = (("range", b""),)
    leader.join()
    follower.join()
    bench.advance(REBALANCE_MS - 1)
    assert bench.state() == "CompletingRebalance"
    bench.advance(1)
    assert bench.state() == "Empty"


def test_assignments_are_shown_until_a_generation_ends_without_any(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    share = consumer.member_id.encode()
    newcomer = bench.consumer()
    newcomer.join()
    assert [member.assignment for member in bench.coordinator.describe("g").members] == [share, b""]
    consumer.join()
    assert bench.state() == "CompletingRebalance"
    assert [member.assignment for member in bench.coordinator.describe("g").members] == [share, b""]
    bench.consumer().join()
    assert bench.state() == "PreparingRebalance"
    assert {member.assignment for member in bench.coordinator.describe("g").members} == {b""}


def test_new_generation_takes_back_the_assignments_that_were_not_given(
    bench: Bench, pair: tuple[Consumer, Consumer]
) -> None:
    leader, follower = pair
    waiting = follower.sync()
    joined = bench.consumer().join()
    assert waiting.value.error is ErrorCode.REBALANCE_IN_PROGRESS
    assert waiting.value.assignment == b""
    leader.join()
    follower.join()
    assert joined.value.generation_id == 2
    assert leader.sync().value.error is ErrorCode.ILLEGAL_GENERATION
