"""Committed offsets: who may commit, what is given back, when it is forgotten."""

from __future__ import annotations

import pytest
from group_bench import DELAY_MS, SESSION_MS, Bench, subscription

from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.offsets import (
    CommitOffsets,
    CommittedOffset,
    DeleteOffsets,
    FetchedOffset,
    FetchOffsets,
    OffsetCommit,
)

RETENTION_MS = 7 * 24 * 60 * 60 * 1000


@pytest.fixture
def bench() -> Bench:
    return Bench()


def commit(bench: Bench, *offsets: OffsetCommit, group: str = "g", **settings: int) -> list[ErrorCode]:
    request = CommitOffsets(group_id=group, offsets=offsets, **settings)
    return [result.error for result in bench.coordinator.commit_offsets(request)]


# -- committing --------------------------------------------------------------------------------------------------


def test_commit_from_outside_makes_a_simple_group(bench: Bench) -> None:
    assert commit(bench, OffsetCommit(topic="orders", partition=1, offset=7, leader_epoch=3, metadata="m")) == [0]
    group = bench.coordinator.describe("g")
    assert (group.state.value, group.protocol_type) == ("Empty", "")
    assert bench.coordinator.committed("g") == {
        ("orders", 1): CommittedOffset(
            offset=7, leader_epoch=3, metadata="m", commit_timestamp=bench.wall, expire_timestamp=None
        )
    }


def test_member_commits_in_its_generation(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    assert consumer.commit(5) is ErrorCode.NONE
    assert consumer.commit(9) is ErrorCode.NONE
    assert consumer.committed() == 9


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"generation_id": 7}, ErrorCode.ILLEGAL_GENERATION),
        ({"generation_id": -1}, ErrorCode.ILLEGAL_GENERATION),
        ({"member_id": "nobody"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"group_instance_id": "nobody"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation_id": -1, "member_id": ""}, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_commit_of_a_stranger_is_refused_while_there_are_members(
    bench: Bench, wrong: dict[str, object], error: ErrorCode
) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    assert consumer.commit(**wrong) is error  # type: ignore[arg-type]
    assert consumer.committed() == -1


def test_former_member_cannot_commit_when_the_group_is_empty(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.leave()
    assert consumer.commit() is ErrorCode.UNKNOWN_MEMBER_ID
    assert consumer.commit(generation_id=-1, member_id="") is ErrorCode.NONE


@pytest.mark.parametrize(("known", "error"), [(True, "GROUP_ID_NOT_FOUND"), (False, "ILLEGAL_GENERATION")])
def test_commit_of_a_member_to_an_unknown_group_is_refused(bench: Bench, known: bool, error: str) -> None:
    consumer = bench.consumer(member_id="c-1", generation=0)
    assert consumer.commit(group_id_not_found_known=known).name == error
    assert bench.coordinator.groups() == ()


def test_commit_between_join_and_sync_is_told_of_the_rebalance(bench: Bench) -> None:
    consumer = bench.consumer()
    joined = consumer.join()
    bench.advance(DELAY_MS)
    consumer.accept(joined.value)
    assert consumer.commit() is ErrorCode.REBALANCE_IN_PROGRESS
    assert consumer.committed() == -1


def test_commit_while_a_rebalance_is_prepared_is_taken(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    bench.consumer().join()
    assert consumer.commit() is ErrorCode.NONE


def test_commit_begins_the_session_anew(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    for _ in range(3):
        bench.advance(SESSION_MS - 1)
        assert consumer.commit() is ErrorCode.NONE


def test_metadata_that_is_too_large_is_refused_for_its_partition_alone(bench: Bench) -> None:
    offsets = [
        OffsetCommit(topic="orders", partition=0, offset=1, metadata="x" * 4_096),
        OffsetCommit(topic="orders", partition=1, offset=1, metadata="x" * 4_097),
        OffsetCommit(topic="orders", partition=2, offset=1, metadata=None),
    ]
    assert commit(bench, *offsets) == [ErrorCode.NONE, ErrorCode.OFFSET_METADATA_TOO_LARGE, ErrorCode.NONE]
    assert set(bench.coordinator.committed("g")) == {("orders", 0), ("orders", 2)}
    assert bench.coordinator.committed("g")["orders", 2].metadata == ""


def test_empty_group_id_may_hold_offsets(bench: Bench) -> None:
    assert commit(bench, OffsetCommit(topic="orders", partition=0, offset=1), group="") == [ErrorCode.NONE]


# -- fetching ----------------------------------------------------------------------------------------------------


def test_offsets_are_fetched_in_the_order_of_the_request(bench: Bench) -> None:
    commit(bench, OffsetCommit(topic="orders", partition=0, offset=7, leader_epoch=2, metadata="m"))
    request = FetchOffsets(group_id="g", partitions=(("refunds", 3), ("orders", 0)))
    result = bench.coordinator.fetch_offsets(request)
    assert result.error is ErrorCode.NONE
    assert result.offsets == (
        FetchedOffset(topic="refunds", partition=3, offset=-1, leader_epoch=-1, metadata=""),
        FetchedOffset(topic="orders", partition=0, offset=7, leader_epoch=2, metadata="m"),
    )


def test_all_offsets_are_fetched_by_topic_and_partition(bench: Bench) -> None:
    places = [("orders", 10), ("orders", 2), ("accounts", 0)]
    commit(bench, *(OffsetCommit(topic=topic, partition=partition, offset=1) for topic, partition in places))
    result = bench.coordinator.fetch_offsets(FetchOffsets(group_id="g", partitions=None))
    assert [(offset.topic, offset.partition) for offset in result.offsets] == sorted(places)


def test_unknown_group_has_no_offsets(bench: Bench) -> None:
    assert bench.consumer(group="other").committed() == -1
    assert bench.coordinator.fetch_offsets(FetchOffsets(group_id="other", partitions=None)).offsets == ()
    assert bench.coordinator.committed("other") == {}
    assert bench.coordinator.groups() == ()


# -- deleting ----------------------------------------------------------------------------------------------------


def delete(bench: Bench, *partitions: tuple[str, int], group: str = "g") -> list[ErrorCode]:
    result = bench.coordinator.delete_offsets(DeleteOffsets(group_id=group, partitions=partitions))
    return [result.error] if result.error else [partition.error for partition in result.partitions]


def test_offsets_of_topics_that_nobody_reads_are_deleted(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.commit(offsets=tuple(OffsetCommit(topic=topic, partition=0, offset=1) for topic in ("orders", "refunds")))
    assert delete(bench, ("orders", 0), ("refunds", 0), ("never", 4)) == [
        ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,
        ErrorCode.NONE,
        ErrorCode.NONE,
    ]
    assert set(bench.coordinator.committed("g")) == {("orders", 0)}
    consumer.leave()
    assert delete(bench, ("orders", 0)) == [ErrorCode.NONE]
    assert bench.coordinator.committed("g") == {}
    assert bench.state() == "Empty"


def test_consumers_that_do_not_tell_their_topics_are_taken_to_read_all(bench: Bench) -> None:
    bench.stable(bench.consumer(protocols=(("mine", b"?"),)))
    assert delete(bench, ("refunds", 0)) == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC]


def test_offsets_of_a_group_of_another_type_are_kept_while_it_has_members(bench: Bench) -> None:
    worker = bench.consumer(protocol_type="connect")
    bench.stable(worker)
    assert delete(bench, ("orders", 0)) == [ErrorCode.NON_EMPTY_GROUP]
    worker.leave()
    assert delete(bench, ("orders", 0)) == [ErrorCode.NONE]


def test_offsets_of_an_unknown_group_cannot_be_deleted(bench: Bench) -> None:
    assert delete(bench, ("orders", 0), group="other") == [ErrorCode.GROUP_ID_NOT_FOUND]
    assert delete(bench, ("orders", 0), group="") == [ErrorCode.INVALID_GROUP_ID]


def test_deleted_topic_is_forgotten_by_every_group(bench: Bench) -> None:
    for group in ("a", "b"):
        commit(bench, *(OffsetCommit(topic=topic, partition=0, offset=1) for topic in ("x", "y")), group=group)
    bench.coordinator.forget_topic("x")
    assert set(bench.coordinator.committed("a")) == set(bench.coordinator.committed("b")) == {("y", 0)}


# -- retention ---------------------------------------------------------------------------------------------------


def expire(bench: Bench, after_ms: int) -> None:
    """Move the test's clock, and it alone: no session timer moves."""
    bench.wall += after_ms
    bench.coordinator.expire_offsets(bench.wall)


def test_simple_groups_offsets_age_one_by_one_from_their_commit(bench: Bench) -> None:
    commit(bench, OffsetCommit(topic="orders", partition=0, offset=1))
    expire(bench, 1_000)
    commit(bench, OffsetCommit(topic="orders", partition=1, offset=1))
    expire(bench, RETENTION_MS - 1_001)
    assert len(bench.coordinator.committed("g")) == 2
    expire(bench, 1)
    assert set(bench.coordinator.committed("g")) == {("orders", 1)}
    expire(bench, 1_000)
    assert bench.coordinator.groups() == ()


def test_offsets_of_a_group_with_members_are_kept_where_they_read(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.commit(offsets=tuple(OffsetCommit(topic=topic, partition=0, offset=1) for topic in ("orders", "refunds")))
    expire(bench, 10 * RETENTION_MS)
    assert set(bench.coordinator.committed("g")) == {("orders", 0)}
    assert bench.state() == "Stable"


def test_nothing_ages_during_a_rebalance(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.commit(offsets=(OffsetCommit(topic="refunds", partition=0, offset=1),))
    bench.consumer().join()
    expire(bench, 10 * RETENTION_MS)
    assert set(bench.coordinator.committed("g")) == {("refunds", 0)}


def test_empty_groups_offsets_age_from_the_moment_it_became_empty(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.commit()
    expire(bench, 2 * RETENTION_MS)
    consumer.leave()
    expire(bench, RETENTION_MS - 1)
    assert consumer.committed() == 5
    expire(bench, 1)
    assert consumer.committed() == -1
    assert bench.coordinator.groups() == ()


def test_group_of_another_type_keeps_its_offsets_while_it_has_members(bench: Bench) -> None:
    worker = bench.consumer(protocol_type="connect")
    bench.stable(worker)
    worker.commit()
    expire(bench, 10 * RETENTION_MS)
    assert worker.committed() == 5
    worker.leave()
    expire(bench, RETENTION_MS)
    assert worker.committed() == -1


def test_retention_of_a_commit_wins(bench: Bench) -> None:
    commit(bench, OffsetCommit(topic="orders", partition=0, offset=1), retention_ms=1_000)
    expire(bench, 999)
    assert bench.coordinator.committed("g")
    expire(bench, 1)
    assert not bench.coordinator.committed("g")


def test_group_without_offsets_goes_but_not_while_somebody_is_about_to_join(bench: Bench) -> None:
    waiting = bench.consumer()
    waiting.member_id = waiting.ask().value.member_id
    expire(bench, 0)
    assert waiting.ask().waits
    bench.advance(DELAY_MS)
    bench.coordinator.expire_member("g", waiting.member_id)
    expire(bench, 0)
    assert bench.coordinator.groups() == ()


def test_retention_is_a_setting() -> None:
    bench = Bench(offsets_retention_ms=10)
    commit(bench, OffsetCommit(topic="orders", partition=0, offset=1))
    expire(bench, 10)
    assert bench.coordinator.groups() == ()


def test_subscription_changes_what_ages(bench: Bench) -> None:
    consumer = bench.consumer(protocols=(("range", subscription("refunds")),))
    bench.stable(consumer)
    consumer.commit()
    expire(bench, RETENTION_MS)
    assert consumer.committed() == -1
