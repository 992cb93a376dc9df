"""What takes several brokers: replicas, leaders that go down, and what the wrong node answers.

On the embedded broker and on three containers of Kafka, which are started for this module only.
"""

from __future__ import annotations

import uuid

import pytest
from broker_tools import until
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka_api import ask, create_topic, fetch, list_offsets, produce
from kafka_wire import Wire, batch, record
from three_nodes import IDS, three_nodes

NO_ID = bytes(16)
NOT_LEADER, NOT_ENOUGH_REPLICAS, UNKNOWN_EPOCH = 6, 19, 75

#: How long a new leader may take, seconds.
PATIENCE = 30.0


@pytest.fixture(scope="module")
def nodes(msk_broker):
    if msk_broker.kind == "external":
        pytest.skip("An external cluster's nodes are its owner's: these tests stop and start nodes.")
    with three_nodes(msk_broker.kind) as started:
        yield started


@pytest.fixture(autouse=True)
def all_up(nodes):
    """Every node is up, and every replica is in sync, before and after a test."""
    yield
    for node in IDS:
        with Wire(nodes.address(node)) as wire:
            until(lambda wire=wire: brokers(wire), lambda seen: seen == list(IDS), seconds=PATIENCE)


@pytest.fixture
def wires(nodes):
    """A connection to each node."""
    opened = {node: Wire(nodes.address(node)) for node in IDS}
    yield opened
    for one in opened.values():
        one.socket.close()


def metadata(wire, *names):
    flags = {"allow_auto_topic_creation": False, "include_topic_authorized_operations": False}
    return ask(wire, "Metadata", topics=[{"topic_id": NO_ID, "name": name} for name in names], **flags)


def brokers(wire):
    return sorted(broker["node_id"] for broker in metadata(wire)["brokers"])


def partition_of(wire, name, index=0):
    (topic,) = metadata(wire, name)["topics"]
    found = [each for each in topic["partitions"] if each["index"] == index]
    return found[0] if found else None


@pytest.fixture
def topic(wires):
    """Makes a topic whose partitions have the replicas that are given, each led by its first one."""

    def make(*replicas):
        name = f"three-{uuid.uuid4().hex[:8]}"
        given = [{"partition_index": at, "broker_ids": list(each)} for at, each in enumerate(replicas)]
        answer = create_topic(wires[1], name, num_partitions=-1, replication_factor=-1, assignments=given)
        assert answer["error_code"] == 0, answer
        for wire in wires.values():
            for at, each in enumerate(replicas):
                until(
                    lambda wire=wire, at=at: partition_of(wire, name, at),
                    lambda seen, each=each: (
                        seen is not None and seen["leader_id"] == each[0] and sorted(seen["isr_nodes"]) == sorted(each)
                    ),
                    seconds=PATIENCE,
                )
        return name

    return make


def test_every_node_knows_every_node(wires, nodes):
    for wire in wires.values():
        seen = {each["node_id"]: f"{each['host']}:{each['port']}" for each in metadata(wire)["brokers"]}
        assert seen == {node: nodes.address(node) for node in IDS}


def test_copies_are_spread_as_the_cluster_says(wires):
    name = f"three-{uuid.uuid4().hex[:8]}"
    answer = create_topic(wires[1], name, num_partitions=6, replication_factor=-1)
    assert (answer["error_code"], answer["replication_factor"]) == (0, 3)
    until(lambda: partition_of(wires[1], name, 5), seconds=PATIENCE)
    partitions = [partition_of(wires[1], name, at) for at in range(6)]
    assert all(sorted(each["replica_nodes"]) == list(IDS) for each in partitions)
    leaders = [each["replica_nodes"][0] for each in partitions]
    assert {node: leaders.count(node) for node in IDS} == dict.fromkeys(IDS, 2)


def test_more_copies_than_nodes_are_refused(wires):
    answer = create_topic(wires[1], "three-too-many", replication_factor=4)
    assert answer["error_code"] == 38
    assert "because only 3 broker(s) are registered" in answer["error_message"]


def test_only_the_leader_takes_and_gives_records(wires, topic):
    name, data = topic((2, 1, 3)), batch(record(0, b"x"))
    assert [produce(wires[node], name, data)["error_code"] for node in IDS] == [NOT_LEADER, 0, NOT_LEADER]
    assert fetch(wires[2], name)["error_code"] == 0
    assert [list_offsets(wires[node], name, -1)["error_code"] for node in IDS] == [NOT_LEADER, 0, NOT_LEADER]


def test_only_the_coordinator_answers_for_a_group(wires):
    group = f"three-{uuid.uuid4().hex[:8]}"

    def found(wire):
        return ask(wire, "FindCoordinator", key_type=0, coordinator_keys=[group])["coordinators"][0]

    answers = [
        until(lambda wire=w: found(wire), lambda one: one["error_code"] == 0, seconds=PATIENCE) for w in wires.values()
    ]
    (coordinator,) = {one["node_id"] for one in answers}
    until(lambda: heartbeats(wires[coordinator], group), lambda code: code == 25, seconds=PATIENCE)
    others = [node for node in IDS if node != coordinator]
    assert [heartbeats(wires[node], group) for node in others] == [16, 16]


def heartbeats(wire, group):
    named = {"group_id": group, "generation_id": 1, "member_id": "x", "group_instance_id": None}
    return ask(wire, "Heartbeat", **named)["error_code"]


def test_a_leader_goes_down_and_nothing_acknowledged_is_lost(nodes, wires, topic):
    name = topic((3, 1, 2))
    epoch = partition_of(wires[1], name)["leader_epoch"]
    one = Producer({"bootstrap.servers": nodes.address(1), "linger.ms": 0, "reconnect.backoff.max.ms": 200})
    done = []

    def report(error, message):
        assert error is None, error
        done.append((message.offset(), message.value()))

    def send(first, last):
        for number in range(first, last):
            one.produce(name, b"%d" % number, on_delivery=report)
        assert one.flush(PATIENCE) == 0

    try:
        send(0, 50)
        nodes.stop(3)
        send(50, 100)
        led = until(lambda: partition_of(wires[1], name), lambda seen: seen["leader_id"] in (1, 2), seconds=PATIENCE)
        assert led["leader_epoch"] > epoch
        assert sorted(led["isr_nodes"]) == [1, 2]
        assert led["offline_replicas"] == [3]
    finally:
        nodes.start(3)
    send(100, 120)
    assert sorted(done) == [(number, b"%d" % number) for number in range(120)]
    reader = Consumer({"bootstrap.servers": nodes.address(2), "group.id": name, "enable.auto.commit": False})
    try:
        reader.assign([TopicPartition(name, 0, 0)])
        read = []
        until(lambda: read.extend(reader.consume(200, 0.2)) or len(read), lambda count: count >= 120, seconds=PATIENCE)
        assert [message.value() for message in read] == [b"%d" % number for number in range(120)]
    finally:
        reader.close()
    back = until(lambda: partition_of(wires[1], name), lambda seen: len(seen["isr_nodes"]) == 3, seconds=PATIENCE)
    assert back["offline_replicas"] == []


def test_too_few_copies_in_sync_refuse_those_who_want_all(nodes, wires, topic):
    name, data = topic((1, 2)), batch(record(0, b"x"))
    assert produce(wires[1], name, data)["base_offset"] == 0
    nodes.stop(2)
    try:
        until(lambda: partition_of(wires[1], name)["isr_nodes"], lambda seen: seen == [1], seconds=PATIENCE)
        until(
            lambda: produce(wires[1], name, data)["error_code"],
            lambda code: code == NOT_ENOUGH_REPLICAS,
            seconds=PATIENCE,
        )
        assert produce(wires[1], name, data, acks=1)["error_code"] == 0
    finally:
        nodes.start(2)
    until(lambda: produce(wires[1], name, data)["error_code"], lambda code: code == 0, seconds=PATIENCE)


def test_a_partition_whose_only_copy_is_down_has_no_leader(nodes, wires, topic):
    name = topic((2,))
    produce(wires[2], name, batch(record(0, b"x")))
    nodes.stop(2)
    try:
        gone = until(lambda: partition_of(wires[1], name), lambda seen: seen["leader_id"] == -1, seconds=PATIENCE)
        assert (gone["error_code"], gone["offline_replicas"]) == (5, [2])
        assert brokers(wires[1]) == [1, 3]
    finally:
        nodes.start(2)
    until(lambda: partition_of(wires[1], name), lambda seen: seen["leader_id"] == 2, seconds=PATIENCE)
    with Wire(nodes.address(2)) as again:
        kept = until(lambda: fetch(again, name), lambda seen: seen["error_code"] == 0, seconds=PATIENCE)
        assert kept["high_watermark"] == 1, "with what it had"


def test_a_leaders_epoch_is_compared(wires, topic):
    name = topic((1, 2, 3))
    epoch = partition_of(wires[1], name)["leader_epoch"]
    assert fetch(wires[1], name, current_leader_epoch=epoch)["error_code"] == 0
    assert fetch(wires[1], name, current_leader_epoch=epoch + 1)["error_code"] == UNKNOWN_EPOCH
