"""Offsets by hand: the ends of logs, times, leader epochs, committed offsets and deleted records."""

from __future__ import annotations

import time

import pytest
from kafka_api import (
    ask,
    commit,
    committed,
    fetch,
    fetch_all,
    leave,
    list_offsets,
    member_of,
    produce,
    subscription,
    sync,
)
from kafka_wire import batch, record

OUT_OF_RANGE, UNKNOWN_TOPIC, TOO_LARGE, UNSUPPORTED, INVALID_REQUEST = 1, 3, 12, 35, 42
FENCED_EPOCH, UNKNOWN_EPOCH, SUBSCRIBED = 74, 75, 86
LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5


@pytest.fixture
def filled(wire, topic):
    """A topic with five records at 1000, 5000, 3000, 5000 and 2000 ms, a batch each."""
    name = topic()
    for timestamp in (1_000, 5_000, 3_000, 5_000, 2_000):
        assert produce(wire, name, batch(record(0, b"x"), timestamp=timestamp))["error_code"] == 0
    return name


def place(answer):
    return answer["error_code"], answer["timestamp"], answer["offset"]


# --- ListOffsets


def test_the_largest_timestamp_is_found_at_its_first_record(wire, filled):
    assert place(list_offsets(wire, filled, MAX_TIMESTAMP)) == (0, 5_000, 1)


def test_there_is_no_largest_timestamp_in_an_empty_log(wire, topic):
    assert place(list_offsets(wire, topic(), MAX_TIMESTAMP)) == (0, -1, -1)


@pytest.mark.parametrize("version", [1, 6])
def test_the_largest_timestamp_needs_version_7(wire, filled, version):
    assert list_offsets(wire, filled, MAX_TIMESTAMP, version=version)["error_code"] == UNSUPPORTED


def test_all_of_a_log_is_local(wire, filled, msk_broker):
    assert place(list_offsets(wire, filled, EARLIEST_LOCAL)) == (0, -1, 0)
    msk_broker.delete_records(filled, {0: 2})
    assert place(list_offsets(wire, filled, EARLIEST_LOCAL)) == (0, -1, 2)


def test_the_earliest_local_offset_needs_version_8(wire, filled):
    assert list_offsets(wire, filled, EARLIEST_LOCAL, version=7)["error_code"] == UNSUPPORTED


@pytest.mark.parametrize("when", [-9, -(2**63)])
def test_a_negative_time_that_means_nothing_is_refused(wire, filled, when):
    assert list_offsets(wire, filled, when)["error_code"] == UNSUPPORTED


@pytest.mark.parametrize(("when", "offset"), [(0, 0), (1_000, 0), (1_001, 1), (5_000, 1), (5_001, -1), (2**63 - 1, -1)])
def test_a_time_is_found_at_the_first_record_that_is_not_older(wire, filled, when, offset):
    assert list_offsets(wire, filled, when)["offset"] == offset


def test_a_time_is_looked_for_behind_deleted_records(wire, filled, msk_broker):
    msk_broker.delete_records(filled, {0: 2})
    assert place(list_offsets(wire, filled, 1)) == (0, 3_000, 2)
    assert place(list_offsets(wire, filled, EARLIEST)) == (0, -1, 2)


@pytest.mark.parametrize(("epoch", "error"), [(-1, 0), (0, 0), (1, UNKNOWN_EPOCH), (2**31 - 1, UNKNOWN_EPOCH)])
def test_the_leaders_epoch_is_compared(wire, filled, epoch, error):
    assert list_offsets(wire, filled, LATEST, epoch=epoch)["error_code"] == error


def test_partitions_that_are_there_are_answered_beside_those_that_are_not(wire, filled):
    partitions = [{"index": at, "current_leader_epoch": -1, "timestamp": LATEST} for at in (0, 1)]
    topics = [{"name": filled, "partitions": partitions}, {"name": "t-not-there", "partitions": partitions[:1]}]
    answer = ask(wire, "ListOffsets", replica_id=-1, isolation_level=0, topics=topics, timeout_ms=1000)["topics"]
    found = {(each["name"], one["index"]): one["error_code"] for each in answer for one in each["partitions"]}
    assert found == {(filled, 0): 0, (filled, 1): UNKNOWN_TOPIC, ("t-not-there", 0): UNKNOWN_TOPIC}


def test_a_partition_that_is_asked_for_twice_is_refused(wire, filled):
    partition = {"index": 0, "current_leader_epoch": -1, "timestamp": LATEST}
    topics = [{"name": filled, "partitions": [partition, partition]}]
    (answer,) = ask(wire, "ListOffsets", replica_id=-1, isolation_level=0, topics=topics, timeout_ms=1000)["topics"]
    assert {each["error_code"] for each in answer["partitions"]} == {INVALID_REQUEST}


@pytest.mark.parametrize("isolation", [0, 1])
def test_without_transactions_both_isolation_levels_see_the_same_end(wire, filled, isolation):
    topics = [{"name": filled, "partitions": [{"index": 0, "current_leader_epoch": -1, "timestamp": LATEST}]}]
    answer = ask(wire, "ListOffsets", replica_id=-1, isolation_level=isolation, topics=topics, timeout_ms=1000)
    assert answer["topics"][0]["partitions"][0]["offset"] == 5


# --- OffsetForLeaderEpoch


@pytest.mark.parametrize(("epoch", "found"), [(0, (0, 0, 5)), (1, (0, -1, -1)), (-1, (0, -1, -1))])
def test_the_end_of_an_epoch(wire, filled, epoch, found):
    partition = {"index": 0, "current_leader_epoch": -1, "leader_epoch": epoch}
    topics = [{"name": filled, "partitions": [partition]}]
    (answer,) = ask(wire, "OffsetForLeaderEpoch", replica_id=-1, topics=topics)["topics"]
    (one,) = answer["partitions"]
    assert (one["error_code"], one["leader_epoch"], one["end_offset"]) == found


@pytest.mark.parametrize(("index", "current", "error"), [(0, 5, UNKNOWN_EPOCH), (7, -1, UNKNOWN_TOPIC)])
def test_the_end_of_an_epoch_that_cannot_be_told(wire, filled, index, current, error):
    partition = {"index": index, "current_leader_epoch": current, "leader_epoch": 0}
    topics = [{"name": filled, "partitions": [partition]}]
    (answer,) = ask(wire, "OffsetForLeaderEpoch", replica_id=-1, topics=topics)["topics"]
    (one,) = answer["partitions"]
    assert (one["error_code"], one["leader_epoch"], one["end_offset"]) == (error, -1, -1)


# --- Fetch, several partitions


def places(name, *wanted, **fields):
    base = {"max_bytes": 1_000_000, "current_leader_epoch": -1, "last_fetched_epoch": -1, "log_start_offset": -1}
    return {
        "name": name,
        "partitions": [{"index": at, "fetch_offset": offset, **base, **fields} for at, offset in wanted],
    }


def test_several_topics_are_fetched_at_once(wire, filled, topic):
    other = topic(partitions=2)
    produce(wire, other, batch(record(0, b"y")), partition=1)
    answer = fetch_all(wire, [places(filled, (0, 3)), places(other, (0, 0), (1, 0), (5, 0))])
    found = {
        (each["name"], one["index"]): (one["error_code"], one["high_watermark"], len(one["records"] or b"") > 0)
        for each in answer["topics"]
        for one in each["partitions"]
    }
    assert found == {
        (filled, 0): (0, 5, True),
        (other, 0): (0, 0, False),
        (other, 1): (0, 1, True),
        (other, 5): (UNKNOWN_TOPIC, -1, False),
    }


def test_a_partition_that_is_out_of_range_ends_the_wait_for_another(wire, topic):
    name = topic(partitions=2)
    answer = fetch_all(wire, [places(name, (0, 0), (1, 7))], max_wait_ms=60_000)
    assert {one["index"]: one["error_code"] for one in answer["topics"][0]["partitions"]} == {0: 0, 1: OUT_OF_RANGE}


def test_a_partition_that_is_not_there_does_not_end_the_wait_for_another(wire, topic):
    name, started = topic(), time.monotonic()
    answer = fetch_all(wire, [places(name, (0, 0), (3, 0))], max_wait_ms=300)
    errors = {one["index"]: one["error_code"] for one in answer["topics"][0]["partitions"]}
    assert (errors, time.monotonic() - started > 0.25) == ({0: 0, 3: UNKNOWN_TOPIC}, True)


def test_nothing_is_waited_for_when_no_partition_is_there(wire):
    answer = fetch_all(wire, [places("t-not-there", (0, 0))], max_wait_ms=60_000)
    assert answer["topics"][0]["partitions"][0]["error_code"] == UNKNOWN_TOPIC


def test_a_limit_for_the_whole_answer_holds_for_later_partitions(wire, topic):
    name = topic(partitions=3)
    for partition in range(3):
        produce(wire, name, batch(record(0, b"x" * 1_000)), partition=partition)
    answer = fetch_all(wire, [places(name, (0, 0), (1, 0), (2, 0))], max_bytes=2_500)
    sizes = [len(one["records"] or b"") for one in answer["topics"][0]["partitions"]]
    assert [size > 0 for size in sizes] == [True, True, False]


@pytest.mark.parametrize(("epoch", "error"), [(-1, 0), (0, 0), (1, UNKNOWN_EPOCH)])
def test_a_fetch_knows_the_leaders_epoch(wire, filled, epoch, error):
    assert fetch(wire, filled, 0, current_leader_epoch=epoch)["error_code"] == error


def test_a_session_that_was_never_opened_is_not_found(wire, filled):
    answer = fetch_all(wire, [], session_id=12_345, session_epoch=1)
    assert (answer["error_code"], answer["topics"]) == (70, [])


def test_a_fetch_of_nothing_is_empty(wire):
    answer = fetch_all(wire, [])
    assert (answer["error_code"], answer["topics"]) == (0, [])


@pytest.mark.parametrize("isolation", [0, 1])
def test_without_transactions_both_isolation_levels_read_the_same(wire, filled, isolation):
    answer = fetch(wire, filled, 0, isolation_level=isolation)
    assert (answer["last_stable_offset"], answer["high_watermark"]) == (5, 5)
    assert len(answer["records"]) > 300
    assert not answer["aborted_transactions"]


def test_a_fetch_tells_where_the_log_begins(wire, filled, msk_broker):
    msk_broker.delete_records(filled, {0: 3})
    answer = fetch(wire, filled, 3)
    assert (answer["error_code"], answer["log_start_offset"], answer["high_watermark"]) == (0, 3, 5)


# --- committed offsets


def test_a_group_that_is_not_there_has_no_offsets(wire, group, topic):
    name = topic()
    (found,) = committed(wire, group, {name: (0,)})["topics"]
    assert found["partitions"] == [
        {"index": 0, "offset": -1, "leader_epoch": -1, "metadata": "", "error_code": 0},
    ]
    assert committed(wire, group, None)["topics"] == []


def test_offsets_of_a_topic_that_is_not_there_are_none(wire, group):
    (found,) = committed(wire, group, {"t-not-there": (0,)})["topics"]
    assert [(one["offset"], one["error_code"]) for one in found["partitions"]] == [(-1, 0)]


def test_offsets_of_several_groups_are_asked_for_at_once(wire, group, topic, msk_broker):
    name, groups = topic(), [f"{group}-{n}" for n in range(3)]
    for number, each in enumerate(groups[:2]):
        commit(wire, each, name, 10 + number)
    entry = {"topics": [{"name": name, "partitions": [0]}], "member_id": None, "member_epoch": -1}
    answer = ask(wire, "OffsetFetch", groups=[{"group_id": each, **entry} for each in groups], require_stable=False)
    offsets = {one["group_id"]: one["topics"][0]["partitions"][0]["offset"] for one in answer["groups"]}
    assert offsets == dict(zip(groups, (10, 11, -1), strict=True))
    for each in groups:
        msk_broker.delete_group(each)


def test_a_stranger_of_a_classic_group_may_look(wire, group, topic):
    name = topic()
    member = member_of(wire, group)
    sync(wire, group, member)
    assert committed(wire, group, {name: (0,)})["error_code"] == 0
    leave(wire, group, member)


@pytest.mark.parametrize(("size", "error"), [(4_096, 0), (4_097, TOO_LARGE)])
def test_metadata_has_a_limit(wire, group, topic, msk_broker, size, error):
    assert commit(wire, group, topic(), 1, metadata="m" * size) == error
    msk_broker.delete_group(group)


@pytest.mark.parametrize("metadata", [None, "", "ü"])
def test_metadata_comes_back(wire, group, topic, msk_broker, metadata):
    name = topic()
    assert commit(wire, group, name, 1, metadata=metadata) == 0
    (found,) = committed(wire, group, {name: (0,)})["topics"]
    assert found["partitions"][0]["metadata"] == (metadata or "")
    msk_broker.delete_group(group)


def test_the_epoch_of_a_commit_comes_back(wire, group, topic, msk_broker):
    name = topic()
    place = {"index": 0, "offset": 7, "leader_epoch": 3, "metadata": ""}
    fields = {"group_id": group, "generation_id": -1, "member_id": "", "group_instance_id": None}
    ask(wire, "OffsetCommit", **fields, retention_time_ms=-1, topics=[{"name": name, "partitions": [place]}])
    (found,) = committed(wire, group, {name: (0,)})["topics"]
    assert (found["partitions"][0]["offset"], found["partitions"][0]["leader_epoch"]) == (7, 3)
    msk_broker.delete_group(group)


def test_one_commit_is_refused_and_the_others_of_the_request_are_kept(wire, group, topic, msk_broker):
    name = topic(partitions=2)
    places = [
        {"index": at, "offset": 7, "leader_epoch": -1, "metadata": text}
        for at, text in ((0, "m" * 5_000), (1, ""), (2, ""))
    ]
    fields = {"group_id": group, "generation_id": -1, "member_id": "", "group_instance_id": None}
    topics = [{"name": name, "partitions": places}]
    (answer,) = ask(wire, "OffsetCommit", **fields, retention_time_ms=-1, topics=topics)["topics"]
    errors = {one["index"]: one["error_code"] for one in answer["partitions"]}
    assert errors == {0: TOO_LARGE, 1: 0, 2: UNKNOWN_TOPIC}
    assert msk_broker.committed(group, name) == {1: 7}
    msk_broker.delete_group(group)


@pytest.mark.parametrize("offset", [0, 2**63 - 1])
def test_any_offset_can_be_committed(wire, group, topic, msk_broker, offset):
    name = topic()
    assert commit(wire, group, name, offset) == 0
    assert msk_broker.committed(group, name) == {0: offset}
    msk_broker.delete_group(group)


def test_the_group_without_a_name_can_commit(wire, topic, msk_broker):
    name = topic()
    assert commit(wire, "", name, 1) == 0
    assert committed(wire, "", {name: (0,)})["topics"][0]["partitions"][0]["offset"] == 1
    assert ask(wire, "DeleteGroups", groups=[""])["results"] == [{"group_id": "", "error_code": 0}]


def test_a_commit_with_a_generation_but_no_group_is_refused(wire, group, topic):
    assert commit(wire, group, topic(), 1, generation=3, version=8) == 22


# --- OffsetDelete


def delete(wire, group, name, *partitions):
    topics = [{"name": name, "partitions": [{"index": at} for at in partitions]}]
    return ask(wire, "OffsetDelete", group_id=group, topics=topics)


def test_offsets_of_a_group_that_is_not_there_are_not_deleted(wire, group, topic):
    assert delete(wire, group, topic(), 0)["error_code"] == 69


def test_an_offset_that_was_never_committed_is_deleted_without_an_error(wire, group, topic, msk_broker):
    name = topic(partitions=2)
    commit(wire, group, name, 5)
    (answer,) = delete(wire, group, name, 1)["topics"]
    assert answer["partitions"] == [{"index": 1, "error_code": 0}]
    msk_broker.delete_group(group)


def test_offsets_of_a_topic_that_members_read_are_not_deleted(wire, group, topic, msk_broker):
    name, other = topic(), topic()
    for each in (name, other):
        commit(wire, group, each, 5)
    member = member_of(wire, group, protocols=[{"name": "range", "metadata": subscription(name)}])
    sync(wire, group, member)
    (answer,) = delete(wire, group, name, 0)["topics"]
    assert answer["partitions"] == [{"index": 0, "error_code": SUBSCRIBED}]
    (answer,) = delete(wire, group, other, 0)["topics"]
    assert answer["partitions"] == [{"index": 0, "error_code": 0}]
    assert msk_broker.committed(group, name) == {0: 5}
    assert msk_broker.committed(group, other) == {}
    leave(wire, group, member)


def test_a_group_stays_when_its_last_offset_goes(wire, group, topic, msk_broker):
    name = topic()
    commit(wire, group, name, 5)
    delete(wire, group, name, 0)
    assert group in msk_broker.groups()
    msk_broker.delete_group(group)


# --- DeleteGroups, DeleteRecords


def test_groups_are_deleted_each_for_itself(wire, group, topic):
    name, others = topic(), [f"{group}-{n}" for n in range(2)]
    commit(wire, others[0], name, 1)
    answer = ask(wire, "DeleteGroups", groups=[others[0], others[1]])["results"]
    assert {one["group_id"]: one["error_code"] for one in answer} == {others[0]: 0, others[1]: 69}


@pytest.mark.parametrize(
    ("offset", "found"), [(0, (0, 0)), (5, (0, 5)), (-1, (0, 5)), (6, (OUT_OF_RANGE, -1)), (-2, (OUT_OF_RANGE, -1))]
)
def test_records_are_deleted_up_to_an_offset(wire, filled, offset, found):
    topics = [{"name": filled, "partitions": [{"index": 0, "offset": offset}]}]
    (answer,) = ask(wire, "DeleteRecords", topics=topics, timeout_ms=10_000)["topics"]
    (one,) = answer["partitions"]
    assert (one["error_code"], one["low_watermark"]) == found


def test_records_of_a_topic_that_is_not_there_are_not_deleted(wire):
    topics = [{"name": "t-not-there", "partitions": [{"index": 0, "offset": 0}]}]
    (answer,) = ask(wire, "DeleteRecords", topics=topics, timeout_ms=10_000)["topics"]
    assert answer["partitions"] == [{"index": 0, "low_watermark": -1, "error_code": UNKNOWN_TOPIC}]


@pytest.mark.parametrize(("policy", "error"), [("compact", 44), ("compact,delete", 0), ("delete", 0)])
def test_records_of_a_compacted_topic_are_not_deleted(wire, topic, policy, error):
    topics = [{"name": topic(cleanup_policy=policy), "partitions": [{"index": 0, "offset": 0}]}]
    (answer,) = ask(wire, "DeleteRecords", topics=topics, timeout_ms=10_000)["topics"]
    assert answer["partitions"][0]["error_code"] == error
