"""Groups of the consumer protocol (KIP-848): the coordinator assigns, members obey by heartbeats."""

from __future__ import annotations

import pytest
from broker_tools import PATIENCE, owned, read, until
from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    KafkaError,
    KafkaException,
    TopicPartition,
    libversion,
)
from kafka_wire import Heartbeat, Wire, consumer_heartbeat

INVALID_REQUEST, GROUP_ID_NOT_FOUND, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID = 42, 69, 25, 82
FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION = 110, 111, 112, 128


def modern(consumer, group, **settings):
    """A consumer of the consumer protocol, which is no more than a preview in librdkafka before 2.12."""
    if libversion()[1] < 0x020C0000:
        pytest.skip("this librdkafka has a preview of group.protocol=consumer only")
    return consumer(group, group_protocol="consumer", **settings)


def joined(consumer, group, *topics, **settings):
    one = modern(consumer, group, **settings)
    one.subscribe(list(topics))
    return one


def settled(members, wanted):
    """Poll until the members own these numbers of partitions, disjoint."""
    until(lambda: sorted(len(one.assignment()) for one in members), lambda seen: seen == sorted(wanted), pump=members)
    everything = [(at.topic, at.partition) for one in members for at in one.assignment()]
    assert len(everything) == len(set(everything)), "no partition has two owners"
    return [owned(one) for one in members]


# --- members that are clients


def test_a_single_member_owns_every_partition_and_reads_it(topic, send, consumer, group):
    name = topic(partitions=4)
    for partition in range(4):
        send(name, b"%d" % partition, partition=partition)
    one = joined(consumer, group, name)
    assert sorted(message.value() for message in read(one, 4)) == [b"0", b"1", b"2", b"3"]
    settled([one], [4])


@pytest.mark.parametrize("assignor", ["uniform", "range"])
def test_a_second_member_takes_its_share_and_gives_it_back(topic, consumer, group, assignor):
    name = topic(partitions=4)
    members = [joined(consumer, group, name, group_remote_assignor=assignor) for _ in range(2)]
    assert set.union(*settled(members, [2, 2])) == {0, 1, 2, 3}
    members.pop().close()
    settled(members, [4])


def test_only_what_moves_is_given_back(topic, consumer, group):
    name = topic(partitions=4)
    moves = []
    first = modern(consumer, group)
    first.subscribe(
        [name],
        on_assign=lambda _, partitions: moves.append(("assigned", len(partitions))),
        on_revoke=lambda _, partitions: moves.append(("revoked", len(partitions))),
    )
    settled([first], [4])
    settled([first, joined(consumer, group, name)], [2, 2])
    assert [move for move in moves if move[1]] == [("assigned", 4), ("revoked", 2)]


def test_one_member_too_many_owns_nothing(topic, consumer, group):
    name = topic(partitions=2)
    settled([joined(consumer, group, name) for _ in range(3)], [0, 1, 1])


def test_members_of_different_subscriptions_get_what_they_read(topic, consumer, group):
    one, two = topic(partitions=2), topic(partitions=2)
    both, single = joined(consumer, group, one, two), joined(consumer, group, two)
    settled([both, single], [2, 2])
    assert {at.topic for at in both.assignment()} == {one}
    assert {at.topic for at in single.assignment()} == {two}


def test_new_partitions_and_new_topics_are_shared_too(topic, consumer, group, new_name, msk_broker):
    name, later = topic(), new_name()
    one = joined(consumer, group, name, later)
    settled([one], [1])
    msk_broker.create_partitions(name, 3)
    settled([one], [3])
    msk_broker.create_topic(later, partitions=2)
    settled([one], [5])


def test_a_pattern_is_matched_by_the_coordinator(topic, consumer, group, new_name, msk_broker):
    name = topic()
    one = joined(consumer, group, f"^{name}.*")
    settled([one], [1])
    msk_broker.create_topic(f"{name}-later", partitions=2)
    settled([one], [3])


def test_a_member_that_changes_its_subscription(topic, consumer, group):
    first, second = topic(partitions=2), topic(partitions=3)
    one = joined(consumer, group, first)
    settled([one], [2])
    one.subscribe([second])
    until(lambda: {at.topic for at in one.assignment()}, lambda seen: seen == {second}, pump=[one])
    one.unsubscribe()
    until(one.assignment, lambda seen: not seen, pump=[one])


def test_a_static_member_that_comes_back_has_what_it_had(topic, consumer, group):
    name = topic(partitions=4)
    one, two = (joined(consumer, group, name, group_instance_id=instance) for instance in ("one", "two"))
    before = settled([one, two], [2, 2])
    one.close()
    again = joined(consumer, group, name, group_instance_id="one")
    assert settled([again, two], [2, 2]) == before


# --- offsets


def test_a_group_resumes_behind_its_commit(topic, send, consumer, group, msk_broker):
    name = topic()
    send(name, b"1", b"2", b"3")
    one = joined(consumer, group, name)
    found = read(one, 3)
    one.commit(found[1], asynchronous=False)
    assert msk_broker.committed(group, name) == {0: 2}
    one.close()
    assert [message.value() for message in read(joined(consumer, group, name), 1)] == [b"3"]


def test_a_stranger_cannot_commit_while_the_group_is_active(topic, consumer, group, msk_broker):
    name = topic()
    one = joined(consumer, group, name)
    settled([one], [1])
    stranger = consumer(group)
    with pytest.raises(KafkaException) as caught:
        stranger.commit(offsets=[TopicPartition(name, 0, 5)], asynchronous=False)
    assert caught.value.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID
    assert msk_broker.committed(group, name) == {}


def test_a_group_without_members_changes_its_protocol_and_keeps_its_offsets(topic, send, consumer, group, msk_broker):
    name = topic()
    send(name, b"1", b"2", b"3")
    for number, protocol in enumerate(("classic", "consumer", "classic")):
        one = modern(consumer, group) if protocol == "consumer" else consumer(group)
        one.subscribe([name])
        (message,) = read(one, 1)
        assert message.value() == b"%d" % (number + 1)
        one.commit(message, asynchronous=False)
        one.close()
        assert msk_broker.committed(group, name) == {0: number + 1}


def test_a_group_is_listed_by_its_type_and_deleted_when_it_is_empty(topic, consumer, group, admin, msk_broker):
    name = topic()
    one = joined(consumer, group, name)
    settled([one], [1])

    def listed(kind):
        found = admin.list_consumer_groups(types={kind}).result(PATIENCE).valid
        return {each.group_id: each.state for each in found}.get(group)

    assert until(lambda: listed(ConsumerGroupType.CONSUMER)) == ConsumerGroupState.STABLE
    assert listed(ConsumerGroupType.CLASSIC) is None
    with pytest.raises(KafkaException) as caught:
        admin.delete_consumer_groups([group])[group].result(PATIENCE)
    assert caught.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    one.close()
    assert until(lambda: listed(ConsumerGroupType.CONSUMER)) == ConsumerGroupState.EMPTY
    admin.delete_consumer_groups([group])[group].result(PATIENCE)
    assert group not in msk_broker.groups()


def test_an_administrator_moves_the_offsets_of_an_empty_group(topic, send, consumer, group, admin):
    name = topic()
    send(name, b"1", b"2", b"3")
    one = joined(consumer, group, name)
    read(one, 3)
    one.close()
    moved = ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 1)])
    admin.alter_consumer_group_offsets([moved])[group].result(PATIENCE)
    assert read(joined(consumer, group, name), 1)[0].value() == b"2"


# --- members by hand


class ByHand:
    """A member that sends each heartbeat when it is told to; it obeys at once."""

    def __init__(self, wire: Wire, group: str, name: str, *topics: str, **settings: str) -> None:
        self.wire, self.group, self.name, self.topics, self.settings = wire, group, name, topics, settings
        self.epoch = 0
        self.owned: frozenset[tuple[bytes, int]] = frozenset()

    def join(self) -> Heartbeat:
        fields = {"topics": self.topics, "owned": (), "rebalance_timeout_ms": 60_000, **self.settings}
        return self._take(consumer_heartbeat(self.wire, self.group, self.name, 0, **fields))

    def beat(self, epoch: int | None = None) -> Heartbeat:
        at = self.epoch if epoch is None else epoch
        instance = self.settings.get("instance_id")
        return self._take(
            consumer_heartbeat(self.wire, self.group, self.name, at, owned=self.owned, instance_id=instance)
        )

    def leave(self, epoch: int = -1) -> Heartbeat:
        instance = self.settings.get("instance_id")
        return consumer_heartbeat(self.wire, self.group, self.name, epoch, instance_id=instance)

    def _take(self, answer: Heartbeat) -> Heartbeat:
        if answer.error == 0:
            self.epoch = answer.epoch
            self.owned = self.owned if answer.assignment is None else answer.assignment
        return answer

    @property
    def partitions(self) -> set[int]:
        return {partition for _, partition in self.owned}


@pytest.fixture
def member(wire, group, msk_broker):
    """Makes members by hand; those that are left leave after the test."""
    made = []

    def make(name, *topics, **settings):
        made.append(ByHand(wire, group, f"{group}-{name}", *topics, **settings))
        return made[-1]

    yield make
    for one in made:
        one.leave()
    msk_broker.delete_group(group)


def balanced(*members):
    """Heartbeats until each member has its share and nobody moves any more."""

    def look():
        for one in members:
            assert one.beat().error == 0
        return [len(one.owned) for one in members], len({one.epoch for one in members})

    total = 4
    until(look, lambda seen: seen == ([total // len(members)] * len(members), 1))


def test_by_hand_two_members_share_without_an_overlap(topic, member):
    name = topic(partitions=4)
    one, two = member("a", name), member("b", name)
    one.join()
    balanced(one)
    assert two.join().error == 0
    assert two.owned == frozenset(), "the first one has not given back yet"
    balanced(one, two)
    assert one.partitions | two.partitions == {0, 1, 2, 3}
    two.leave()
    balanced(one)


def test_by_hand_an_unchanged_assignment_is_not_told_again(topic, member):
    one = member("a", topic(partitions=4))
    one.join()
    balanced(one)
    assert one.beat().assignment is None


def test_by_hand_a_member_that_left_is_unknown(topic, member):
    one = member("a", topic(partitions=4))
    one.join()
    left = one.leave()
    assert (left.error, left.epoch) == (0, -1)
    assert one.beat().error in (UNKNOWN_MEMBER_ID, GROUP_ID_NOT_FOUND)


def test_by_hand_an_epoch_of_the_future_is_fenced(topic, member):
    one = member("a", topic(partitions=4))
    one.join()
    balanced(one)
    assert one.beat(one.epoch + 1).error == FENCED_MEMBER_EPOCH
    assert one.beat().error == 0


def test_by_hand_a_group_or_a_member_that_nobody_knows(topic, member):
    name = topic(partitions=4)
    stranger = member("stranger", name)
    assert stranger.beat(1).error == GROUP_ID_NOT_FOUND
    member("a", name).join()
    assert stranger.beat(1).error == UNKNOWN_MEMBER_ID


@pytest.mark.parametrize(
    "fields",
    [
        {"rebalance_timeout_ms": -1},
        {"owned": None},
        {"owned": [(b"x" * 16, 0)]},
        {"topics": None},
        {"instance_id": ""},
    ],
    ids=["no rebalance timeout", "no owned partitions", "owned partitions", "no subscription", "an empty instance id"],
)
def test_by_hand_a_first_heartbeat_that_lacks_something(topic, wire, group, msk_broker, fields):
    name = topic()
    complete = {"topics": [name], "owned": (), "rebalance_timeout_ms": 60_000}
    answer = consumer_heartbeat(wire, group, f"{group}-a", 0, **{**complete, **fields})
    assert answer.error == INVALID_REQUEST
    assert group not in msk_broker.groups()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"assignor": "sticky"}, UNSUPPORTED_ASSIGNOR),
        ({"topics": None, "regex": "("}, INVALID_REGULAR_EXPRESSION),
        ({"topics": None, "regex": "a(?=b)"}, INVALID_REGULAR_EXPRESSION),
    ],
    ids=["an unknown assignor", "no pattern", "a pattern that RE2 has not"],
)
def test_by_hand_what_the_coordinator_cannot_do(topic, wire, group, fields, error):
    complete = {"topics": [topic()], "owned": (), "rebalance_timeout_ms": 60_000}
    assert consumer_heartbeat(wire, group, f"{group}-a", 0, **{**complete, **fields}).error == error


def test_by_hand_a_member_makes_its_own_id(topic, wire, group):
    fields = {"topics": [topic()], "owned": (), "rebalance_timeout_ms": 60_000}
    assert consumer_heartbeat(wire, group, "", 0, **fields).error == INVALID_REQUEST


def test_by_hand_a_static_name_has_one_owner_until_it_leaves(topic, member):
    name = topic(partitions=4)
    one, two = member("a", name, instance_id="i"), member("b", name, instance_id="i")
    one.join()
    balanced(one)
    assert two.join().error == UNRELEASED_INSTANCE_ID
    assert two.beat(one.epoch).error == FENCED_INSTANCE_ID
    left = one.leave(-2)
    assert (left.error, left.epoch) == (0, -2)
    assert two.join().error == 0
    assert two.partitions == {0, 1, 2, 3}
    assert one.beat().error == FENCED_INSTANCE_ID
