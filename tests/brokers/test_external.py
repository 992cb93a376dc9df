"""The external broker: what the kit made is removed, what was there is refused and left as it was."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition

from pytest_msk import BrokerError, BrokerUnavailable, TopicExists
from pytest_msk.brokers.external import LIMITS, ExternalBroker


@pytest.fixture
def cluster(server):
    """A cluster on which others have a topic with records, and a group with a commit in it."""
    server.create_topic("theirs", partitions=2)
    producer = server.producer()
    producer.produce("theirs", b"precious", partition=0)
    assert producer.flush(10) == 0
    server.consumer("their-group").commit(offsets=[TopicPartition("theirs", 0, 1)], asynchronous=False)
    yield server
    assert server.partition_count("theirs") == 2
    assert server.watermarks("theirs")[0].low == 0
    assert server.committed("their-group", "theirs") == {0: 1}


@pytest.fixture
def broker(cluster):
    made = ExternalBroker(cluster.bootstrap_servers, timeout=10)
    yield made
    made.close()


def test_it_says_what_it_is(broker, server):
    assert broker.kind == "external"
    assert broker.bootstrap_servers == server.bootstrap_servers
    assert broker.limits is LIMITS
    assert repr(broker) == f"ExternalBroker('{server.bootstrap_servers}')"


def test_what_was_made_and_used_is_gone_after_close(cluster, broker):
    broker.create_topic("ours")
    consumer = broker.consumer("our-group")
    consumer.commit(offsets=[TopicPartition("ours", 0, 1)], asynchronous=False)
    assert cluster.topics() == {"theirs", "ours"}
    broker.close()
    broker.close()
    assert cluster.topics() == {"theirs"}
    assert cluster.groups() == {"their-group"}


def test_a_member_that_is_still_in_a_group_leaves_before_the_group_is_deleted(cluster, broker):
    broker.create_topic("ours")
    consumer = broker.consumer("our-group")
    consumer.subscribe(["ours"])
    while not consumer.assignment():
        consumer.poll(0.05)
    broker.close()
    assert cluster.groups() == {"their-group"}


@pytest.mark.parametrize(
    "touch",
    [
        lambda broker: broker.delete_topic("theirs"),
        lambda broker: broker.create_partitions("theirs", 5),
        lambda broker: broker.delete_records("theirs", {0: 1}),
        lambda broker: broker.delete_group("their-group"),
    ],
    ids=["delete topic", "add partitions", "delete records", "delete group"],
)
def test_what_others_have_is_refused(broker, touch):
    with pytest.raises(BrokerError, match=r"is refused: it is on .*, which others use too, and is not the kit's"):
        touch(broker)


def test_a_name_that_is_taken_is_refused_and_not_cleaned_up(broker):
    with pytest.raises(TopicExists, match="theirs"):
        broker.create_topic("theirs")
    broker.close()


def test_a_consumer_in_a_group_that_was_there_is_refused(broker):
    with pytest.raises(BrokerError, match=r"'their-group' was on .* before the tests"):
        broker.consumer("their-group")
    assert "their-group" not in broker.abandoned_groups()


def test_a_group_that_others_open_meanwhile_is_not_ours(cluster, broker):
    cluster.consumer("late").commit(offsets=[TopicPartition("theirs", 1, 1)], asynchronous=False)
    assert "late" in broker.groups()
    with pytest.raises(BrokerError, match="No consumer of the kit was in it"):
        broker.delete_group("late")
    broker.close()
    assert "late" in cluster.groups()


def test_what_others_have_can_be_read(broker):
    assert broker.watermarks("theirs")[0].high == 1
    assert broker.offsets("theirs") == {0: (range(1),), 1: ()}
    assert broker.committed("their-group", "theirs") == {0: 1}


def test_what_is_not_there_is_deleted_without_a_word(broker):
    broker.delete_topic("nobodys")
    broker.delete_group("nobodys")


def test_our_own_can_be_changed_and_deleted(cluster, broker):
    broker.create_topic("ours")
    broker.create_partitions("ours", 3)
    assert cluster.partition_count("ours") == 3
    broker.consumer("our-group").commit(offsets=[TopicPartition("ours", 0, 0)], asynchronous=False)
    assert "our-group" in broker.abandoned_groups()
    broker.delete_group("our-group")
    broker.delete_topic("ours")
    assert cluster.topics() == {"theirs"}
    assert cluster.groups() == {"their-group"}


def test_a_name_of_ours_that_others_take_over_is_theirs(cluster, broker):
    broker.create_topic("ours")
    broker.delete_topic("ours")
    cluster.create_topic("ours")
    broker.close()
    assert "ours" in cluster.topics()


def test_a_cluster_that_does_not_answer_is_unavailable_in_time(server):
    server.close()
    with pytest.raises(BrokerUnavailable) as raised:
        ExternalBroker(server.bootstrap_servers, timeout=0.5, settings={"log_level": 0})
    text = str(raised.value)
    assert text.startswith(f"No Kafka answers at {server.bootstrap_servers} (--msk-bootstrap-servers)")
    assert text.endswith("or run without it: --msk-broker=embedded.")


def test_what_cannot_be_cleaned_up_is_named(server):
    broker = ExternalBroker(server.bootstrap_servers, timeout=1, settings={"log_level": 0})
    broker.create_topic("first")
    broker.create_topic("second")
    server.close()
    with pytest.raises(BrokerError, match=r"delete it by hand: topic 'first' .*; topic 'second'"):
        broker.close()
