"""Consumer groups: who reads which partition, when members come, go and come back; and what a group remembers."""

from __future__ import annotations

import time

import pytest
from broker_tools import PATIENCE, owned, read, read_from, until
from confluent_kafka import OFFSET_INVALID, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

# A member hears of a rebalance by its next heartbeat.
QUICK = {"heartbeat_interval_ms": 100}


def joined(consumer, group, *topics, **settings):
    one = consumer(group, **{**QUICK, **settings})
    one.subscribe(list(topics))
    return one


def settled(members, wanted):
    """Poll until the members own these numbers of partitions, disjoint."""
    until(lambda: sorted(len(owned(one)) for one in members), lambda seen: seen == sorted(wanted), pump=members)
    everything = [partition for one in members for partition in owned(one)]
    assert len(everything) == len(set(everything)), "no partition has two owners"
    return [owned(one) for one in members]


def state_of(admin, group):
    return admin.describe_consumer_groups([group])[group].result(PATIENCE)


# --- joining


def test_a_single_member_owns_every_partition(topic, consumer, group):
    name = topic(partitions=4)
    one = joined(consumer, group, name)
    settled([one], [4])


def test_a_single_member_of_a_new_group_starts_at_once(topic, send, consumer, group):
    name = topic()
    send(name, b"x")
    started = time.monotonic()
    read(joined(consumer, group, name), 1)
    assert time.monotonic() - started < 3, "there is no initial rebalance delay"


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_a_second_member_takes_its_share(topic, consumer, group, strategy):
    name = topic(partitions=4)
    first = joined(consumer, group, name, partition_assignment_strategy=strategy)
    settled([first], [4])
    second = joined(consumer, group, name, partition_assignment_strategy=strategy)
    shares = settled([first, second], [2, 2])
    assert set.union(*shares) == {0, 1, 2, 3}


def test_members_that_close_at_once_do_not_wait_for_an_answer_that_will_not_come(topic, consumer, group):
    took = []
    for strategy in ["cooperative-sticky", "range", "roundrobin,range"] * 3:
        name = topic(partitions=4)
        members = [joined(consumer, group, name, partition_assignment_strategy=strategy) for _ in range(2)]
        settled(members, [2, 2])
        start = time.monotonic()
        for member in members:
            member.close()
        took.append(time.monotonic() - start)
    assert max(took) < 4, took


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_a_member_that_leaves_gives_its_share_back(topic, consumer, group, strategy):
    name = topic(partitions=4)
    members = [joined(consumer, group, name, partition_assignment_strategy=strategy) for _ in range(2)]
    settled(members, [2, 2])
    members[1].close()
    settled(members[:1], [4])


def test_three_members_share_and_one_too_many_owns_nothing(topic, consumer, group):
    name = topic(partitions=2)
    members = [joined(consumer, group, name) for _ in range(3)]
    settled(members, [0, 1, 1])


def test_records_of_a_group_are_read_by_one_member_each(topic, send, consumer, group):
    name = topic(partitions=4)
    members = [joined(consumer, group, name) for _ in range(2)]
    settled(members, [2, 2])
    for partition in range(4):
        send(name, *(b"%d-%d" % (partition, n) for n in range(50)), partition=partition)
    values = []
    deadline = time.monotonic() + PATIENCE
    while len(values) < 200 and time.monotonic() < deadline:
        for one in members:
            values += [message.value() for message in one.consume(100, 0.05)]
    assert sorted(values) == sorted(b"%d-%d" % (partition, n) for partition in range(4) for n in range(50))
    assert all(one.poll(0.2) is None for one in members), "and none twice"


def test_two_groups_read_all_records_each(topic, send, consumer, group):
    name = topic()
    send(name, *(b"%d" % n for n in range(10)))
    for number in range(2):
        assert len(read(joined(consumer, f"{group}-{number}", name), 10)) == 10


def test_eager_members_give_everything_back_before_they_get_their_share(topic, consumer, group):
    name = topic(partitions=4)
    moves = []
    first = consumer(group, **QUICK)
    first.subscribe(
        [name],
        on_assign=lambda _, partitions: moves.append(("assigned", len(partitions))),
        on_revoke=lambda _, partitions: moves.append(("revoked", len(partitions))),
    )
    settled([first], [4])
    settled([first, joined(consumer, group, name)], [2, 2])
    assert moves == [("assigned", 4), ("revoked", 4), ("assigned", 2)]


def test_cooperative_members_give_back_only_what_moves(topic, consumer, group):
    name = topic(partitions=4)
    moves = []
    cooperative = {"partition_assignment_strategy": "cooperative-sticky"}
    first = consumer(group, **QUICK, **cooperative)
    first.subscribe(
        [name],
        on_assign=lambda _, partitions: moves.append(("assigned", len(partitions))),
        on_revoke=lambda _, partitions: moves.append(("revoked", len(partitions))),
    )
    settled([first], [4])
    settled([first, joined(consumer, group, name, **cooperative)], [2, 2])
    assert [move for move in moves if move[1]] == [("assigned", 4), ("revoked", 2)]


def test_members_of_different_strategies_use_the_one_that_all_have(topic, consumer, group):
    name = topic(partitions=4)
    first = joined(consumer, group, name, partition_assignment_strategy="roundrobin,range")
    settled([first], [4])
    settled([first, joined(consumer, group, name, partition_assignment_strategy="range")], [2, 2])


def test_a_member_with_no_common_strategy_is_refused(topic, consumer, group, admin):
    name = topic(partitions=2)
    first = joined(consumer, group, name, partition_assignment_strategy="range")
    settled([first], [2])
    errors = []
    other = consumer(group, **QUICK, partition_assignment_strategy="roundrobin", error_cb=errors.append)
    other.subscribe([name])

    def refused():
        message = other.poll(0.05)
        return [error.code() for error in (*errors, *([message.error()] if message else [])) if error]

    until(refused, lambda codes: KafkaError.INCONSISTENT_GROUP_PROTOCOL in codes, pump=[first])
    assert len(state_of(admin, group).members) == 1


def test_new_partitions_are_shared_too(topic, consumer, group, msk_broker):
    name = topic(partitions=1)
    one = joined(consumer, group, name, topic_metadata_refresh_interval_ms=200)
    settled([one], [1])
    msk_broker.create_partitions(name, 3)
    settled([one], [3])


def test_a_pattern_subscribes_to_topics_that_come_later(topic, consumer, group, new_name, msk_broker):
    name = topic()
    one = joined(consumer, group, f"^{name}.*", topic_metadata_refresh_interval_ms=200)
    settled([one], [1])
    later = f"{name}-later"
    msk_broker.create_topic(later)
    until(lambda: {at.topic for at in one.assignment()}, lambda seen: seen == {name, later}, pump=[one])


def test_a_member_of_two_topics_gets_both(topic, consumer, group):
    first, second = topic(partitions=2), topic(partitions=3)
    one = joined(consumer, group, first, second)
    until(one.assignment, lambda seen: len(seen) == 5, pump=[one])


# --- static members: closing does not make them leave, only time does

STATIC = {**QUICK, "session_timeout_ms": 6_000}


def test_a_static_member_that_comes_back_keeps_its_share_without_a_rebalance(topic, consumer, group):
    name = topic(partitions=4)
    moves = []
    other = consumer(group, **STATIC, group_instance_id="other")
    other.subscribe([name], on_revoke=lambda *_: moves.append("revoked"))
    first = joined(consumer, group, name, **STATIC, group_instance_id="first")
    settled([first, other], [2, 2])
    share = owned(first)
    moves.clear()
    first.close()
    again = joined(consumer, group, name, **STATIC, group_instance_id="first")
    settled([again, other], [2, 2])
    assert owned(again) == share
    assert not moves, "the other member noticed nothing"


def test_a_second_member_with_the_same_instance_id_fences_the_first(topic, consumer, group):
    name = topic(partitions=2)
    errors = []
    first = consumer(group, **STATIC, group_instance_id="one", error_cb=errors.append)
    first.subscribe([name])
    settled([first], [2])
    second = joined(consumer, group, name, **STATIC, group_instance_id="one")
    until(lambda: len(owned(second)), lambda count: count == 2, pump=[second])

    def fenced():
        message = first.poll(0.05)
        found = [error.code() for error in errors] + ([message.error().code()] if message and message.error() else [])
        return {KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL} & set(found)

    until(fenced, pump=[second])


# --- offsets


def test_a_group_resumes_behind_its_commit(topic, send, consumer, group):
    name = topic()
    send(name, *(b"%d" % n for n in range(10)))
    first = joined(consumer, group, name)
    done = read(first, 4)
    first.commit(message=done[-1], asynchronous=False)
    first.close()
    assert [int(one.value()) for one in read(joined(consumer, group, name), 6)] == [4, 5, 6, 7, 8, 9]


def test_a_group_without_a_commit_starts_over(topic, send, consumer, group):
    name = topic()
    send(name, b"x")
    first = joined(consumer, group, name)
    read(first, 1)
    first.close()
    assert read(joined(consumer, group, name), 1)[0].offset() == 0


def test_commits_are_kept_per_partition_with_their_metadata(topic, consumer, group):
    name = topic(partitions=3)
    one = consumer(group)
    one.commit(
        offsets=[TopicPartition(name, 0, 5, "why"), TopicPartition(name, 2, 7)], asynchronous=False
    )  # nobody is a member
    found = consumer(group).committed([TopicPartition(name, p) for p in range(3)], timeout=PATIENCE)
    assert [at.offset for at in found] == [5, OFFSET_INVALID, 7]
    assert found[0].metadata == "why"


def test_a_commit_can_go_back(topic, consumer, group, msk_broker):
    name = topic()
    one = consumer(group)
    for offset in (8, 3):
        one.commit(offsets=[TopicPartition(name, 0, offset)], asynchronous=False)
        assert msk_broker.committed(group, name) == {0: offset}


def test_auto_commit_commits_at_the_end(topic, send, consumer, group, msk_broker):
    name = topic()
    send(name, *[b"x"] * 5)
    one = joined(consumer, group, name, enable_auto_commit=True)
    read(one, 5)
    one.close()
    assert msk_broker.committed(group, name) == {0: 5}


def test_records_that_were_not_polled_are_not_committed_at_the_end(topic, send, consumer, group, msk_broker):
    name = topic()
    send(name, *[b"x"] * 50)
    one = joined(consumer, group, name, enable_auto_commit=True)
    read(one, 3)
    one.close()
    assert msk_broker.committed(group, name) == {0: 3}


def test_a_stranger_cannot_commit_while_the_group_is_active(topic, consumer, group, msk_broker):
    name = topic()
    member = joined(consumer, group, name)
    settled([member], [1])
    stranger = consumer(group)
    with pytest.raises(KafkaException) as raised:
        stranger.commit(offsets=[TopicPartition(name, 0, 5)], asynchronous=False)
    assert raised.value.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID
    assert msk_broker.committed(group, name) == {}


def test_a_member_can_commit_what_another_owns(topic, consumer, group, msk_broker):
    name = topic(partitions=2)
    members = [joined(consumer, group, name) for _ in range(2)]
    settled(members, [1, 1])
    members[0].commit(offsets=[TopicPartition(name, p, 9) for p in range(2)], asynchronous=False)
    assert msk_broker.committed(group, name) == {0: 9, 1: 9}


def test_metadata_of_a_commit_has_a_limit(topic, consumer, group):
    with pytest.raises(KafkaException) as raised:
        consumer(group).commit(offsets=[TopicPartition(topic(), 0, 1, "m" * 5_000)], asynchronous=False)
    assert raised.value.args[0].code() == KafkaError.OFFSET_METADATA_TOO_LARGE


def test_a_commit_in_a_topic_that_is_not_there_is_refused(consumer, group, new_name):
    with pytest.raises(KafkaException) as raised:
        consumer(group).commit(offsets=[TopicPartition(new_name(), 0, 1)], asynchronous=False)
    assert raised.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_commit_beyond_the_log_is_kept_and_read_from_the_reset(topic, send, consumer, group):
    name = topic()
    send(name, b"0", b"1")
    consumer(group).commit(offsets=[TopicPartition(name, 0, 500)], asynchronous=False)
    assert [one.offset() for one in read(joined(consumer, group, name), 2)] == [0, 1]


def test_commits_go_with_their_topic(topic, consumer, group, msk_broker):
    name = topic()
    consumer(group).commit(offsets=[TopicPartition(name, 0, 5)], asynchronous=False)
    msk_broker.delete_topic(name)
    msk_broker.create_topic(name)
    until(lambda: msk_broker.committed(group, name), lambda found: not found)


def test_an_administrator_can_move_the_offsets_of_a_group_without_members(topic, send, consumer, group, admin):
    name = topic()
    send(name, *[b"x"] * 5)
    where = ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 3)])
    admin.alter_consumer_group_offsets([where])[group].result(PATIENCE)
    assert read(joined(consumer, group, name), 2)[0].offset() == 3


# --- looking at groups


def test_a_group_is_listed_and_described_while_it_lives(topic, consumer, group, admin, msk_broker):
    name = topic(partitions=2)
    assert group not in msk_broker.groups()
    one = joined(consumer, group, name, client_id="somebody", partition_assignment_strategy="range")
    settled([one], [2])
    assert group in msk_broker.groups()
    described = until(lambda: state_of(admin, group), lambda seen: seen.state.name == "STABLE", pump=[one])
    (member,) = described.members
    assert described.partition_assignor == "range"
    assert member.client_id == "somebody"
    assert {(at.topic, at.partition) for at in member.assignment.topic_partitions} == {(name, 0), (name, 1)}
    assert member.member_id == one.memberid()


def test_a_group_whose_members_left_is_empty_and_keeps_its_offsets(topic, consumer, group, admin, msk_broker):
    name = topic()
    one = joined(consumer, group, name)
    settled([one], [1])
    one.commit(offsets=[TopicPartition(name, 0, 1)], asynchronous=False)
    one.close()
    until(lambda: state_of(admin, group).state.name, lambda state: state == "EMPTY")
    assert group in msk_broker.groups()
    assert msk_broker.committed(group, name) == {0: 1}


def test_groups_can_be_listed_by_state(topic, consumer, group, admin):
    from confluent_kafka import ConsumerGroupState

    one = joined(consumer, group, topic())
    settled([one], [1])

    def listed(state):
        found = admin.list_consumer_groups(states={state}).result(PATIENCE)
        assert not found.errors
        return group in {each.group_id for each in found.valid}

    until(lambda: listed(ConsumerGroupState.STABLE), pump=[one])
    assert not listed(ConsumerGroupState.EMPTY)


def test_a_group_that_nobody_knows_is_described_as_dead(admin, group):
    described = state_of(admin, group)
    assert (described.state.name, list(described.members)) == ("DEAD", [])


def test_a_group_is_deleted_with_its_offsets(topic, consumer, group, admin, msk_broker):
    name = topic()
    consumer(group).commit(offsets=[TopicPartition(name, 0, 5)], asynchronous=False)
    admin.delete_consumer_groups([group])[group].result(PATIENCE)
    assert group not in msk_broker.groups()
    assert msk_broker.committed(group, name) == {}


def test_a_group_with_members_is_not_deleted(topic, consumer, group, admin):
    one = joined(consumer, group, topic())
    settled([one], [1])
    with pytest.raises(KafkaException) as raised:
        admin.delete_consumer_groups([group])[group].result(PATIENCE)
    assert raised.value.args[0].code() == KafkaError.NON_EMPTY_GROUP


def test_deleting_a_group_that_is_not_there_is_an_error(admin, group):
    with pytest.raises(KafkaException) as raised:
        admin.delete_consumer_groups([group])[group].result(PATIENCE)
    assert raised.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND


def test_a_consumer_that_only_assigns_leaves_no_group(topic, send, consumer, group, msk_broker):
    name = topic()
    send(name, b"x")
    read_from(consumer(group), name, 1)
    assert group not in msk_broker.groups()


@pytest.mark.parametrize("timeout", [1_000, 3_000_000])
def test_a_session_timeout_outside_the_brokers_limits_is_refused(topic, consumer, group, timeout):
    errors = []
    settings = {"session_timeout_ms": timeout, "max_poll_interval_ms": 3_600_000}
    one = consumer(group, error_cb=errors.append, **{**settings, "heartbeat_interval_ms": 100})
    one.subscribe([topic()])

    def refused():
        message = one.poll(0.05)
        found = errors + ([message.error()] if message and message.error() else [])
        return KafkaError.INVALID_SESSION_TIMEOUT in [error.code() for error in found]

    until(refused)
