"""LeaveGroup, one member or many, by member id or by instance id."""

from __future__ import annotations

import pytest
from group_bench import DELAY_MS, Bench

from pytest_msk.brokers.embedded._group_messages import LeaveGroup, LeavingMember
from pytest_msk.brokers.embedded.errors import ErrorCode


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_last_member_leaves_an_empty_group_that_keeps_its_type(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    assert consumer.leave() is ErrorCode.NONE
    group = bench.coordinator.describe("g")
    assert (group.state.value, group.protocol_type, group.members) == ("Empty", "consumer", ())
    assert bench.scheduler.pending == 0


def test_others_share_what_the_leaving_member_had(bench: Bench) -> None:
    leaving, other = bench.consumer(), bench.consumer()
    bench.stable(leaving, other)
    held = other.heartbeat(hold=True)
    leaving.leave()
    assert held.value.error is ErrorCode.REBALANCE_IN_PROGRESS
    result = other.join().value
    assert (result.generation_id, result.leader) == (2, other.member_id)


def test_rebalance_ends_when_the_one_that_it_waits_for_leaves(bench: Bench) -> None:
    first, second = bench.consumer(), bench.consumer()
    bench.stable(first, second)
    rejoined = first.join()
    assert rejoined.waits
    second.leave()
    assert rejoined.value.generation_id == 2


def test_initial_rebalance_takes_its_time_when_a_member_leaves(bench: Bench) -> None:
    first = bench.consumer(instance="a")
    joined = first.join()
    bench.consumer(instance="b").join()
    bench.coordinator.leave(LeaveGroup(group_id="g", members=(LeavingMember(group_instance_id="b"),)))
    assert joined.waits
    bench.advance(2 * DELAY_MS)
    assert len(joined.value.members) == 1


def test_waiting_join_of_a_leaving_member_is_answered(bench: Bench) -> None:
    consumer = bench.consumer(instance="a")
    joined = consumer.join()
    bench.coordinator.leave(LeaveGroup(group_id="g", members=(LeavingMember(group_instance_id="a"),)))
    assert joined.value.error is ErrorCode.UNKNOWN_MEMBER_ID
    bench.advance(DELAY_MS)
    assert bench.state() == "Empty"


def test_waiting_sync_of_a_leaving_member_is_answered(bench: Bench) -> None:
    leader, follower = bench.consumer(), bench.consumer()
    joins = [leader.join(), follower.join()]
    bench.advance(2 * DELAY_MS)
    leader.accept(joins[0].value)
    follower.accept(joins[1].value)
    syncing = follower.sync()
    follower.leave()
    assert syncing.value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_id_that_was_given_out_can_leave(bench: Bench) -> None:
    bench.stable(bench.consumer())
    waiting = bench.consumer()
    waiting.member_id = waiting.ask().value.member_id
    assert waiting.leave() is ErrorCode.NONE
    assert waiting.ask().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_each_leaving_member_has_its_own_answer(bench: Bench) -> None:
    dynamic, static, staying = bench.consumer(), bench.consumer(instance="a"), bench.consumer(instance="b")
    bench.stable(dynamic, static, staying)
    leaving = (
        LeavingMember(member_id=dynamic.member_id),
        LeavingMember(group_instance_id="a"),
        LeavingMember(group_instance_id="nobody"),
        LeavingMember(member_id="nobody"),
        LeavingMember(member_id="nobody", group_instance_id="b"),
        LeavingMember(),
    )
    result = bench.coordinator.leave(LeaveGroup(group_id="g", members=leaving))
    assert result.error is ErrorCode.NONE
    assert [(member.member_id, member.group_instance_id, member.error.name) for member in result.members] == [
        (dynamic.member_id, None, "NONE"),
        ("", "a", "NONE"),
        ("", "nobody", "UNKNOWN_MEMBER_ID"),
        ("nobody", None, "UNKNOWN_MEMBER_ID"),
        ("nobody", "b", "FENCED_INSTANCE_ID"),
        ("", None, "UNKNOWN_MEMBER_ID"),
    ]
    assert [member.member_id for member in bench.coordinator.describe("g").members] == [staying.member_id]
    assert bench.state() == "PreparingRebalance"


def test_nobody_leaving_begins_no_rebalance(bench: Bench) -> None:
    bench.stable(bench.consumer())
    assert bench.consumer(member_id="nobody").leave() is ErrorCode.UNKNOWN_MEMBER_ID
    assert bench.state() == "Stable"


def test_leaving_an_unknown_group_is_an_error_of_each_member(bench: Bench) -> None:
    result = bench.coordinator.leave(LeaveGroup(group_id="other", members=(LeavingMember(member_id="c-1"),)))
    assert result.error is ErrorCode.NONE
    assert result.members[0].error is ErrorCode.UNKNOWN_MEMBER_ID


def test_leaving_without_a_group_id_is_refused(bench: Bench) -> None:
    assert bench.consumer(group="", member_id="c-1").leave() is ErrorCode.INVALID_GROUP_ID
