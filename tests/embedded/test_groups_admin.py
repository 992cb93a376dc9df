"""Describing, listing and deleting groups, and what a test sees of them."""

from __future__ import annotations

import pytest
from group_bench import DELAY_MS, Bench, assignment, subscription

from pytest_msk.brokers.embedded._consumer_protocol import assigned_partitions, subscribed_topics
from pytest_msk.brokers.embedded._group import Group
from pytest_msk.brokers.embedded._group_messages import GroupState
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.errors import BrokerError


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_unknown_group_is_described_as_dead(bench: Bench) -> None:
    group = bench.coordinator.describe("g")
    assert (group.group_id, group.state.value, group.error) == ("g", "Dead", ErrorCode.GROUP_ID_NOT_FOUND)


def test_stable_group_is_described_with_everything(bench: Bench) -> None:
    consumer = bench.consumer(client_id="billing", instance="a")
    joined = consumer.join()
    bench.advance(DELAY_MS)
    consumer.accept(joined.value)
    consumer.sync({consumer.member_id: assignment("orders", 0, 2)})
    group = bench.coordinator.describe("g")
    assert (group.error, group.state.value, group.protocol_type, group.protocol) == (
        ErrorCode.NONE,
        "Stable",
        "consumer",
        "range",
    )
    assert (group.generation_id, group.leader) == (1, consumer.member_id)
    (member,) = group.members
    assert (member.member_id, member.group_instance_id) == (consumer.member_id, "a")
    assert (member.client_id, member.client_host) == ("billing", "/127.0.0.1")
    assert (member.session_timeout_ms, member.rebalance_timeout_ms) == (consumer.session_ms, consumer.rebalance_ms)
    assert member.metadata == subscription("orders")
    assert member.topics == {"orders"}
    assert member.partitions == {("orders", 0), ("orders", 2)}


def test_protocol_and_subscriptions_are_described_only_when_stable(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.join()
    bench.consumer().join()
    consumer.join()
    group = bench.coordinator.describe("g")
    assert group.state.value == "CompletingRebalance"
    assert group.protocol == ""
    assert {member.metadata for member in group.members} == {b""}
    assert {member.topics for member in group.members} == {frozenset()}


def test_groups_are_listed_by_state_and_type(bench: Bench) -> None:
    bench.stable(bench.consumer(group="working"))
    bench.consumer(group="holding", generation=-1).commit()
    everything = [(group.group_id, group.protocol_type, group.state.value) for group in bench.coordinator.list_groups()]
    assert everything == [("working", "consumer", "Stable"), ("holding", "", "Empty")]
    assert [group.group_id for group in bench.coordinator.list_groups(states=["stable"])] == ["working"]
    assert [group.group_id for group in bench.coordinator.list_groups(states=[" EMPTY ", "Dead"])] == ["holding"]
    assert bench.coordinator.list_groups(states=["PreparingRebalance"]) == ()
    assert len(bench.coordinator.list_groups(types=["Classic"])) == 2
    assert bench.coordinator.list_groups(types=["consumer"]) == ()
    assert bench.coordinator.list_groups(states=["Stable"], types=["share"]) == ()


def test_only_empty_groups_are_deleted(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.commit()
    results = bench.coordinator.delete_groups(["g", "other"])
    assert [(result.group_id, result.error) for result in results] == [
        ("g", ErrorCode.NON_EMPTY_GROUP),
        ("other", ErrorCode.GROUP_ID_NOT_FOUND),
    ]
    assert consumer.committed() == 5
    consumer.leave()
    assert bench.coordinator.delete_groups(["g"])[0].error is ErrorCode.NONE
    assert bench.coordinator.describe("g").state is GroupState.DEAD
    assert consumer.committed() == -1
    assert bench.coordinator.list_groups() == ()


def test_group_that_prepares_its_first_generation_is_not_empty(bench: Bench) -> None:
    bench.consumer().join()
    assert bench.coordinator.delete_groups(["g"])[0].error is ErrorCode.NON_EMPTY_GROUP


def test_deleted_group_forgets_the_ids_that_it_gave_out(bench: Bench) -> None:
    waiting = bench.consumer()
    waiting.member_id = waiting.ask().value.member_id
    assert bench.coordinator.delete_groups(["g"])[0].error is ErrorCode.NONE
    assert bench.scheduler.pending == 0
    assert waiting.ask().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_deleted_group_begins_anew(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.leave()
    bench.coordinator.delete_groups(["g"])
    again = bench.consumer().join()
    bench.advance(DELAY_MS)
    assert again.value.generation_id == 1


def test_every_group_is_shown_to_a_test_by_id(bench: Bench) -> None:
    bench.stable(bench.consumer(group="b"))
    bench.stable(bench.consumer(group="a"))
    assert [group.group_id for group in bench.coordinator.groups()] == ["a", "b"]


def test_member_is_expired_by_member_id_or_instance_id(bench: Bench) -> None:
    dynamic, static = bench.consumer(), bench.consumer(instance="a")
    bench.stable(dynamic, static)
    bench.coordinator.expire_member("g", "a")
    assert static.heartbeat().value.error is ErrorCode.UNKNOWN_MEMBER_ID
    bench.coordinator.expire_member("g", dynamic.member_id)
    assert bench.state() == "Empty"
    assert bench.scheduler.pending == 0


def test_member_that_waits_is_answered_when_it_is_expired(bench: Bench) -> None:
    joined = bench.consumer(instance="a").join()
    bench.coordinator.expire_member("g", "a")
    assert joined.value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_expiring_nobody_says_who_is_there(bench: Bench) -> None:
    with pytest.raises(BrokerError, match=r"There is no group 'g' whose member could expire; the groups are: none\."):
        bench.coordinator.expire_member("g", "a")
    consumer = bench.consumer()
    bench.stable(consumer)
    with pytest.raises(BrokerError, match=rf"Group 'g' has no member 'a'; its members are: {consumer.member_id}\."):
        bench.coordinator.expire_member("g", "a")


def test_group_goes_no_way_that_its_table_lacks() -> None:
    group = Group("g", 0)
    with pytest.raises(RuntimeError, match="Group 'g' is Empty, it can't become Stable"):
        group.become(GroupState.STABLE, 0)


@pytest.mark.parametrize(
    "broken", [b"", b"\0\0", b"\0\0\0\0\0\1", b"\0\0\0\0\0\1\0\5ord", b"\0\0\0\0\0\1\xff\xff", b"\0\0\0\0\0\1\0\1\xff"]
)
def test_bytes_that_are_no_subscription_or_assignment_tell_nothing(broken: bytes) -> None:
    assert subscribed_topics(broken) is None
    assert assigned_partitions(broken) is None


def test_assignment_with_a_negative_count_tells_nothing() -> None:
    assert assigned_partitions(b"\0\0\0\0\0\1\0\1t\xff\xff\xff\xff") is None


def test_subscription_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert subscribed_topics(b"\0\3" + subscription("orders", "refunds")[2:] + b"more") == {"orders", "refunds"}
