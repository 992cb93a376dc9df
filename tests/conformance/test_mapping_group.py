"""Where a mapping begins, how it shares its group, and how it resumes (spec 5)."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka import TopicPartition

from pytest_msk import EventSourceMappingError, assert_at_least_once, assert_ordered
from pytest_msk.clock import Deadline
from pytest_msk.journal import Expired, PositionReset


class Offsets:
    """A function that remembers (partition, offset) of all that it got."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def __call__(self, event, context):
        self.seen += [(r["partition"], r["offset"]) for group in event["records"].values() for r in group]


def commit(broker, group, topic, offset, partition=0):
    consumer = broker.consumer(group)
    consumer.commit(offsets=[TopicPartition(topic.name, partition, offset)], asynchronous=False)
    consumer.close()


def test_trim_horizon_is_the_default_and_begins_at_the_oldest_record(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(5))
    topic.expire(before=2)
    esm = msk_esm(function, topic)
    esm.drain()
    assert function.seen == [(0, 2), (0, 3), (0, 4)]
    assert_at_least_once(esm)


def test_latest_begins_behind_what_was_there_when_the_mapping_was_made(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(3))
    esm = msk_esm(function, topic, starting_position="LATEST")
    topic.produce_many(range(2))
    esm.drain()
    assert function.seen == [(0, 3), (0, 4)]
    assert_at_least_once(esm)


def test_at_timestamp_begins_with_the_first_record_of_that_time(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(partitions=2), Offsets()
    start = msk_clock.now_ms()
    for _ in range(4):
        topic.produce("x", partition=0)
        msk_clock.advance(10)
    topic.produce("old", partition=1, timestamp=start)
    esm = msk_esm(
        function, topic, starting_position="AT_TIMESTAMP", starting_position_timestamp=(start + 15_000) / 1000
    )
    topic.produce("new", partition=1)
    esm.drain()
    assert sorted(function.seen) == [(0, 2), (0, 3), (1, 1)]
    assert_at_least_once(esm)


def test_committed_offsets_of_the_group_win(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(5))
    commit(msk_broker, "billing", topic, 3)
    esm = msk_esm(function, topic, consumer_group_id="billing", starting_position="LATEST")
    esm.drain()
    assert function.seen == [(0, 3), (0, 4)]
    assert esm.consumer_group_id == "billing"


@pytest.mark.parametrize(
    ("parameters", "first"),
    [({}, 4), ({"starting_position": "LATEST"}, 6), ({"starting_position": "AT_TIMESTAMP", "timestamp": 5}, 5)],
)
def test_committed_offset_out_of_range_falls_back_to_the_starting_position(
    msk_topic, msk_esm, msk_broker, msk_clock, parameters, first
):
    topic, function = msk_topic(), Offsets()
    start = msk_clock.now_ms()
    for number in range(6):
        topic.produce("x", timestamp=start - 60_000 + number * 1000)
    commit(msk_broker, "old", topic, 1)
    topic.expire(before=4)
    if "timestamp" in parameters:
        seconds = (start - 60_000) / 1000 + parameters["timestamp"]
        parameters = {"starting_position": "AT_TIMESTAMP", "starting_position_timestamp": seconds}
    esm = msk_esm(function, topic, consumer_group_id="old", **parameters)
    esm.drain()
    topic.produce("new")
    esm.drain()
    assert function.seen[0] == (0, first)
    (reset,) = esm.journal.of(PositionReset)
    assert (reset.partition, reset.offset, reset.position) == (0, 1, first)


def test_records_that_expire_while_a_batch_is_blocked_are_gone(msk_topic, msk_esm):
    topic, seen = msk_topic(), []

    def fail_first(event, context):
        offsets = [r["offset"] for group in event["records"].values() for r in group]
        seen.append(offsets)
        if len(seen) == 1:
            topic.expire(before=6)
            raise ValueError

    topic.produce_many(range(8))
    esm = msk_esm(fail_first, topic, batch_size=2)
    esm.drain()
    assert seen == [[0, 1], [6, 7]]
    assert [event.records for event in esm.journal.of(Expired)] == [{0: (range(2),)}, {0: (range(2, 6),)}]
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_mapping_resumes_from_its_commit_after_disable_and_enable(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(3))
    esm = msk_esm(function, topic, starting_position="LATEST")
    topic.produce("a")
    esm.drain()
    esm.disable()
    topic.produce("b")
    assert esm.drain() == ()
    esm.enable()
    esm.drain()
    assert function.seen == [(0, 3), (0, 4)]
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_batch_that_was_under_way_is_delivered_again_after_a_restart(msk_topic, msk_esm):
    topic, attempts = msk_topic(), []

    def fail(event, context):
        attempts.append(len(next(iter(event["records"].values()))))
        if len(attempts) < 3:
            raise ValueError

    topic.produce_many(range(4))
    esm = msk_esm(fail, topic, batch_size=4)
    for _ in range(3):
        esm.step()
    assert attempts == [4]
    esm.disable()
    esm.enable()
    esm.drain()
    assert attempts == [4, 4, 4]
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_next_mapping_of_the_group_goes_on_where_the_last_one_ended(msk_topic, msk_esm):
    topic, first, second = msk_topic(partitions=3), Offsets(), Offsets()
    topic.produce_many(range(30))
    esm = msk_esm(first, topic, batch_size=7, consumer_group_id="group")
    while len(first.seen) < 7:
        esm.step()
    esm.step()
    esm.close()
    esm = msk_esm(second, topic, consumer_group_id="group")
    esm.drain()
    assert len(first.seen) == 7
    assert sorted(first.seen + second.seen) == [(p, o) for p in range(3) for o in range(10)]


class Member:
    """Another member of the group, an application that keeps polling on a thread of its own."""

    def __init__(self, broker, group, topic):
        self.assigned: set[int] = set()
        self._ending = threading.Event()
        self._consumer = broker.consumer(group)
        self._consumer.subscribe([topic.name], on_assign=self._assign, on_revoke=self._revoke)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _assign(self, consumer, partitions):
        consumer.assign(partitions)
        self.assigned = {place.partition for place in partitions}

    def _revoke(self, consumer, partitions):
        self.assigned = set()

    def _run(self):
        while not self._ending.is_set():
            self._consumer.poll(0.01)
        self._consumer.close()

    def wait_for(self, partitions):
        deadline = Deadline(30)
        while len(self.assigned) != partitions:
            assert not deadline.passed, f"the other member has {self.assigned}"
            self._ending.wait(0.01)

    def leave(self):
        self._ending.set()
        self._thread.join()


def test_other_members_of_the_group_take_their_share_until_they_leave(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(partitions=4), Offsets()
    topic.produce_many(range(40))
    esm = msk_esm(function, topic, consumer_group_id="shared")
    other = Member(msk_broker, "shared", topic)
    try:
        other.wait_for(4)
        esm.drain()
        other.wait_for(2)
        theirs = set(other.assigned)
    finally:
        other.leave()
    mine = {0, 1, 2, 3} - theirs
    assert sorted(function.seen) == [(partition, offset) for partition in sorted(mine) for offset in range(10)]

    esm.drain()  # the other member is gone and has committed nothing
    assert sorted(function.seen) == [(partition, offset) for partition in range(4) for offset in range(10)]
    assert_ordered(esm)


def test_partitions_that_are_added_are_read_from_their_beginning(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(partitions=1), Offsets()
    topic.produce("a")
    esm = msk_esm(function, topic, starting_position="LATEST")
    topic.produce("b")
    esm.drain()
    msk_broker.create_partitions(topic.name, 3)
    consumer_view = msk_broker.partition_count(topic.name)
    assert consumer_view == 3
    wider = type(topic)(topic.name, broker=msk_broker, clock=esm.clock)
    wider.produce_many(range(3))
    wider.close()
    esm.drain()
    assert sorted(function.seen) == [(0, 1), (0, 2), (1, 0), (2, 0)]
    assert_at_least_once(esm)


def test_two_mappings_share_neither_group_nor_function_and_topic(msk_topic, msk_esm):
    topic, function = msk_topic("orders"), Offsets()
    esm = msk_esm(function, topic, consumer_group_id="g")
    with pytest.raises(EventSourceMappingError) as refused:
        msk_esm(Offsets(), topic, consumer_group_id="g")
    assert refused.value.code == "ResourceConflictException"
    assert str(refused.value) == (
        f'An event source mapping for cluster ("{esm.config.event_source_arn}"), '
        'amazonManagedKafkaEventSourceConfig.consumerGroupId ("g") already exists. '
        f"Please update or delete the existing mapping with UUID {esm.uuid}"
    )
    with pytest.raises(EventSourceMappingError) as refused:
        msk_esm(function, topic)
    assert str(refused.value) == (
        f'An event source mapping for cluster ("{esm.config.event_source_arn}"), function ("{esm.function.arn}"), '
        f'topics ("orders") already exists. Please update or delete the existing mapping with UUID {esm.uuid}'
    )
    esm.close()
    msk_esm(function, topic, consumer_group_id="g").drain()


def test_default_group_is_the_mappings_uuid(msk_topic, msk_esm, msk_broker):
    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm(Offsets(), topic)
    esm.drain()
    assert esm.consumer_group_id == esm.uuid
    assert esm.uuid in msk_broker.groups()
    assert msk_broker.committed(esm.uuid, topic.name) == {0: 1}
