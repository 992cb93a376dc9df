"""Static members: a name that outlives its process."""

from __future__ import annotations

import pytest
from group_bench import DELAY_MS, RANGE, REBALANCE_MS, ROUNDROBIN, SESSION_MS, Bench, Consumer

from pytest_msk.brokers.embedded.errors import ErrorCode


@pytest.fixture
def bench() -> Bench:
    return Bench()


def restarted(consumer: Consumer) -> Consumer:
    """The same program, started again: it knows its name and nothing else."""
    return consumer.bench.consumer(
        instance=consumer.instance, protocols=consumer.protocols, skip_assignment=consumer.skip_assignment
    )


def test_restarted_follower_gets_its_assignment_back_without_a_rebalance(bench: Bench) -> None:
    leader, follower = bench.consumer(instance="a"), bench.consumer(instance="b")
    bench.stable(leader, follower)
    again = restarted(follower)
    again.accept(again.join().value)
    assert again.generation == 1
    assert again.member_id != follower.member_id
    assert not again.leads
    group = bench.coordinator.describe("g")
    assert (group.state.value, group.leader) == ("Stable", leader.member_id)
    assert [member.member_id for member in group.members] == [leader.member_id, again.member_id]
    assert again.sync().value.assignment == follower.member_id.encode()
    assert leader.heartbeat().value.error is ErrorCode.NONE


def test_restarted_leader_is_told_to_skip_the_assignment(bench: Bench) -> None:
    leader, follower = bench.consumer(instance="a"), bench.consumer(instance="b")
    bench.stable(leader, follower)
    again = restarted(leader)
    result = again.join().value
    assert result.skip_assignment
    assert result.leader == result.member_id
    assert {member.group_instance_id for member in result.members} == {"a", "b"}
    assert bench.state() == "Stable"


def test_restarted_leader_with_an_older_client_is_told_of_the_leader_that_it_was(bench: Bench) -> None:
    leader, follower = bench.consumer(instance="a", skip_assignment=False), bench.consumer(instance="b")
    bench.stable(leader, follower)
    result = restarted(leader).join().value
    assert not result.skip_assignment
    assert result.leader == leader.member_id != result.member_id
    assert result.members == ()


def test_restarted_leader_still_leads_the_next_rebalance(bench: Bench) -> None:
    leader, follower = bench.consumer(instance="a"), bench.consumer(instance="b")
    bench.stable(leader, follower)
    again = restarted(leader)
    again.accept(again.join().value)
    assert again.join().waits
    assert bench.state() == "PreparingRebalance"


def test_restarted_leader_leads_whoever_else_goes(bench: Bench) -> None:
    leader, second, third = bench.consumer(instance="a"), bench.consumer(), bench.consumer()
    bench.stable(leader, second, third)
    again = restarted(leader)
    again.accept(again.join().value)
    third.leave()
    assert bench.coordinator.describe("g").leader == again.member_id
    second.leave()
    again.leave()
    assert bench.coordinator.describe("g").leader == ""


def test_former_incarnation_is_fenced(bench: Bench) -> None:
    consumer = bench.consumer(instance="a")
    bench.stable(consumer)
    restarted(consumer).join()
    assert consumer.heartbeat().value.error is ErrorCode.FENCED_INSTANCE_ID
    assert consumer.sync().value.error is ErrorCode.FENCED_INSTANCE_ID
    assert consumer.ask().value.error is ErrorCode.FENCED_INSTANCE_ID
    assert consumer.commit() is ErrorCode.FENCED_INSTANCE_ID
    assert consumer.leave() is ErrorCode.FENCED_INSTANCE_ID


def test_what_the_former_incarnation_waits_for_is_answered_as_fenced(bench: Bench) -> None:
    consumer = bench.consumer(instance="a")
    joining = consumer.join()
    again = restarted(consumer)
    rejoined = again.join()
    assert joining.value.error is ErrorCode.FENCED_INSTANCE_ID
    bench.advance(DELAY_MS)
    assert rejoined.value.generation_id == 1


def test_held_heartbeat_of_the_former_incarnation_is_answered_as_fenced(bench: Bench) -> None:
    consumer = bench.consumer(instance="a")
    bench.stable(consumer)
    held = consumer.heartbeat(hold=True)
    restarted(consumer).join()
    assert held.value.error is ErrorCode.FENCED_INSTANCE_ID


def test_restart_before_the_sync_begins_a_rebalance(bench: Bench) -> None:
    leader, follower = bench.consumer(instance="a"), bench.consumer(instance="b")
    joins = [leader.join(), follower.join()]
    bench.advance(2 * DELAY_MS)
    for consumer, join in zip((leader, follower), joins, strict=True):
        consumer.accept(join.value)
    syncing = follower.sync()
    rejoined = restarted(follower).join()
    assert syncing.value.error is ErrorCode.FENCED_INSTANCE_ID
    assert rejoined.waits
    leader.join()
    assert rejoined.value.generation_id == 2


def test_restart_that_changes_the_chosen_protocol_begins_a_rebalance(bench: Bench) -> None:
    consumer = bench.consumer(instance="a", protocols=(RANGE, ROUNDROBIN))
    bench.stable(consumer)
    consumer.protocols = (ROUNDROBIN, RANGE)
    rejoined = restarted(consumer).join()
    assert rejoined.value.generation_id == 2
    assert rejoined.value.protocol_name == "roundrobin"


def test_unknown_instance_id_with_a_member_id_is_unknown(bench: Bench) -> None:
    consumer = bench.consumer(instance="a")
    bench.stable(consumer)
    consumer.instance = "b"
    assert consumer.heartbeat().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_static_member_keeps_its_place_through_a_rebalance_that_it_misses(bench: Bench) -> None:
    absent, present = bench.consumer(instance="a", session_ms=600_000), bench.consumer()
    bench.stable(absent, present)
    present.protocols = (RANGE, ROUNDROBIN)
    rejoined = present.join()
    bench.advance(REBALANCE_MS)
    assert rejoined.value.leader == present.member_id
    assert {member.group_instance_id for member in rejoined.value.members} == {"a", None}


def test_rebalance_that_only_absent_static_members_are_left_in_goes_on_until_their_sessions_end(bench: Bench) -> None:
    static, dynamic = bench.consumer(instance="a", session_ms=200_000), bench.consumer()
    bench.stable(static, dynamic)
    dynamic.leave()
    bench.advance(REBALANCE_MS)
    assert bench.state() == "PreparingRebalance"
    bench.advance(200_000)
    assert bench.state() == "Empty"
    assert bench.scheduler.pending == 0


def test_newcomer_waits_for_absent_static_members_no_longer_than_the_rebalance_timeout(bench: Bench) -> None:
    static, dynamic = bench.consumer(instance="a", session_ms=600_000), bench.consumer()
    bench.stable(static, dynamic)
    dynamic.leave()
    bench.advance(REBALANCE_MS)
    joined = bench.consumer().join()
    bench.advance(REBALANCE_MS - 1)
    assert joined.waits
    bench.advance(1)
    assert joined.value.generation_id == 2
    assert len(joined.value.members) == 2


def test_member_that_was_restarted_while_it_waited_for_its_first_generation_goes_on_waiting(bench: Bench) -> None:
    slow, consumer = bench.consumer(session_ms=600_000), bench.consumer(instance="a")
    bench.stable(slow)
    consumer.join()
    rejoined = restarted(consumer).join()
    bench.advance(REBALANCE_MS - 1)
    assert rejoined.waits
    bench.advance(1)
    assert rejoined.value.generation_id == 2


def test_static_member_whose_session_ends_is_removed(bench: Bench) -> None:
    bench.stable(bench.consumer(instance="a"))
    bench.advance(SESSION_MS)
    assert bench.state() == "Empty"


def test_restarted_member_has_a_session_of_its_own(bench: Bench) -> None:
    consumer = bench.consumer(instance="a")
    bench.stable(consumer)
    bench.advance(SESSION_MS - 1)
    again = restarted(consumer)
    again.accept(again.join().value)
    bench.advance(SESSION_MS - 1)
    assert again.heartbeat().value.error is ErrorCode.NONE


def test_restarted_member_that_has_not_synced_is_still_waited_for(bench: Bench) -> None:
    leader, follower = bench.consumer(instance="a"), bench.consumer(instance="b", session_ms=600_000)
    joins = [leader.join(), follower.join()]
    bench.advance(2 * DELAY_MS)
    for consumer, join in zip((leader, follower), joins, strict=True):
        consumer.accept(join.value)
    leader.sync({})
    again = restarted(follower)
    again.accept(again.join().value)
    again.sync()
    for _ in range(REBALANCE_MS // 6_000):
        bench.advance(6_000)
        assert {leader.heartbeat().value.error, again.heartbeat().value.error} == {ErrorCode.NONE}
