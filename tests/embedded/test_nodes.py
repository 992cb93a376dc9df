"""Several nodes: who leads what, what the wrong node answers, and what happens when one of them goes down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from wire_client import WireClient, batch, fetch_request, produce_request

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages.admin import CREATE_PARTITIONS, CREATE_TOPICS, DELETE_RECORDS
from pytest_msk.brokers.embedded.messages.configs import DESCRIBE_CONFIGS
from pytest_msk.brokers.embedded.messages.groups import (
    DELETE_GROUPS,
    DESCRIBE_GROUPS,
    HEARTBEAT,
    LIST_GROUPS,
    OFFSET_COMMIT,
    OFFSET_FETCH,
)
from pytest_msk.brokers.embedded.messages.metadata import DESCRIBE_CLUSTER, FIND_COORDINATOR, METADATA
from pytest_msk.brokers.embedded.messages.records import FETCH, INIT_PRODUCER_ID, OFFSET_FOR_LEADER_EPOCH, PRODUCE
from pytest_msk.brokers.embedded.messages.transactions import DESCRIBE_TRANSACTIONS, WRITE_TXN_MARKERS
from pytest_msk.errors import BrokerError

PATIENCE = 15.0


@pytest.fixture
def three() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(nodes=3) as broker:
        yield broker


def at(broker: EmbeddedBroker, node: int) -> WireClient:
    return WireClient(broker.nodes[node].address)


def metadata(broker: EmbeddedBroker, *topics: str, node: int = 1) -> dict:
    body = {
        "topics": [{"topic_id": bytes(16), "name": name} for name in topics],
        "include_topic_authorized_operations": False,
    }
    with at(broker, node) as client:
        return client.ask(METADATA, body)


def test_a_cluster_as_msk_makes_it(three: EmbeddedBroker) -> None:
    assert [(node.id, node.zone) for node in three.nodes.values()] == [
        *((1, "use1-az1"), (2, "use1-az2"), (3, "use1-az3")),
    ]
    assert three.bootstrap_servers == ",".join(node.address for node in three.nodes.values())
    three.create_topic("t", partitions=3)
    answer = metadata(three, "t", node=2)
    assert [(each["node_id"], each["rack"]) for each in answer["brokers"]] == [
        *((1, "use1-az1"), (2, "use1-az2"), (3, "use1-az3")),
    ]
    assert [each["leader_id"] for each in answer["topics"][0]["partitions"]] == [1, 2, 3]
    assert answer["topics"][0]["partitions"][1]["replica_nodes"] == [2, 3, 1]
    assert answer["topics"][0]["partitions"][1]["isr_nodes"] == [2, 3, 1]
    assert three._node.topic("t").config("min.insync.replicas") == "2"


def test_two_nodes_and_what_a_test_sets_itself() -> None:
    with EmbeddedBroker(nodes=2) as two:
        two.create_topic("t")
        assert metadata(two, "t")["topics"][0]["partitions"][0]["replica_nodes"] == [1, 2]
        assert two._node.topic("t").config("min.insync.replicas") == "1"
    with EmbeddedBroker({"default.replication.factor": "1", "min.insync.replicas": "1"}, nodes=3) as three:
        three.create_topic("t", partitions=2)
        assert [each["replica_nodes"] for each in metadata(three, "t")["topics"][0]["partitions"]] == [[1], [2]]


@pytest.mark.parametrize("nodes", [0, -1, 31, True, "3"])
def test_impossible_numbers_of_nodes(nodes: int) -> None:
    with pytest.raises(BrokerError, match=r"an embedded cluster has 1 to 30 nodes"):
        EmbeddedBroker(nodes=nodes)


def test_one_node_has_no_zone(broker: EmbeddedBroker) -> None:
    assert [node.zone for node in broker.nodes.values()] == [None]
    assert metadata(broker)["brokers"][0]["rack"] is None


def test_the_cluster_is_the_same_whichever_node_is_asked(three: EmbeddedBroker) -> None:
    seen = set()
    for node in three.nodes:
        with at(three, node) as client:
            answer = client.ask(DESCRIBE_CLUSTER, {"include_cluster_authorized_operations": False, "endpoint_type": 1})
        seen.add((answer["cluster_id"], answer["controller_id"], len(answer["brokers"])))
    assert len(seen) == 1


def test_each_node_describes_itself(three: EmbeddedBroker) -> None:
    def describe(asked: int, node: int) -> int:
        resource = {"resource_type": 4, "resource_name": str(asked), "configuration_keys": ["num.partitions"]}
        with at(three, node) as client:
            body = {"resources": [resource], "include_synonyms": False, "include_documentation": False}
            return client.ask(DESCRIBE_CONFIGS, body)["results"][0]["error_code"]

    assert describe(2, 2) == ErrorCode.NONE
    assert describe(1, 2) == ErrorCode.INVALID_REQUEST


# --- the wrong node -----------------------------------------------------------------------------------------------


def test_only_the_leader_has_the_records(three: EmbeddedBroker) -> None:
    three.create_topic("t")
    with at(three, 1) as leader, at(three, 2) as follower:
        assert follower.produce("t", batch(b"x"))["error_code"] == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert leader.produce("t", batch(b"x"))["base_offset"] == 0
        assert follower.fetch("t", 0)["error_code"] == ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert follower.list_offset("t", -1)["error_code"] == ErrorCode.NOT_LEADER_OR_FOLLOWER
        body = {
            "topics": [{"name": "t", "partitions": [{"index": 0, "offset": 1}]}],
            "timeout_ms": 1000,
        }
        for client, code in ((follower, ErrorCode.NOT_LEADER_OR_FOLLOWER), (leader, ErrorCode.NONE)):
            assert client.ask(DELETE_RECORDS, body)["topics"][0]["partitions"][0]["error_code"] == code


def test_a_leader_epoch_that_is_over_or_not_known_yet(three: EmbeddedBroker) -> None:
    three.create_topic("t")
    with at(three, 1) as client:
        client.produce("t", batch(b"a"))
        three.nodes.elect_leader("t", 0, 2)
        three.nodes.elect_leader("t", 0, 1)
        assert client.produce("t", batch(b"b"))["base_offset"] == 1
        codes = [client.fetch("t", 0, current_leader_epoch=epoch)["error_code"] for epoch in (-1, 0, 2, 3)]
        assert codes == [0, ErrorCode.FENCED_LEADER_EPOCH, 0, ErrorCode.UNKNOWN_LEADER_EPOCH]
        asked = {
            "replica_id": -1,
            "topics": [
                {
                    "name": "t",
                    "partitions": [{"index": 0, "current_leader_epoch": -1, "leader_epoch": n} for n in (0, 2)],
                }
            ],
        }
        found = client.ask(OFFSET_FOR_LEADER_EPOCH, asked)["topics"][0]["partitions"]
        assert [(each["leader_epoch"], each["end_offset"]) for each in found] == [(0, 1), (2, 2)]
        assert client.list_offset("t", -2)["leader_epoch"] == 0
        assert client.list_offset("t", -1)["leader_epoch"] == 2


def test_a_waiting_fetch_hears_that_the_leader_has_changed(three: EmbeddedBroker) -> None:
    three.create_topic("t")
    with at(three, 1) as client:
        client.send(FETCH, 12, fetch_request(("t", 0, 0), max_wait_ms=60_000))
        deadline = time.monotonic() + PATIENCE
        while not three._cluster.waiting._by_log:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        three.nodes.elect_leader("t", 0, 2)
        _, answer = client.receive(FETCH, 12)
    assert answer["topics"][0]["partitions"][0]["error_code"] == ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_only_the_coordinator_knows_a_group(three: EmbeddedBroker) -> None:
    three.create_topic("t")
    coordinator = three.nodes.coordinator("g")
    assert coordinator is not None
    other = next(node for node in three.nodes if node != coordinator.id)
    with at(three, other) as client:
        for key_type, expected in ((0, coordinator.id), (9, -1)):
            found = client.ask(FIND_COORDINATOR, {"key_type": key_type, "coordinator_keys": ["g"]})["coordinators"][0]
            assert found["node_id"] == expected
        beat = {"group_id": "g", "generation_id": 1, "member_id": "m", "group_instance_id": None}
        assert client.ask(HEARTBEAT, beat)["error_code"] == ErrorCode.NOT_COORDINATOR
        commit = {
            **beat,
            "topics": [{"name": "t", "partitions": [{"index": 0, "offset": 1, "metadata": ""}]}],
        }
        refused = client.ask(OFFSET_COMMIT, commit)["topics"][0]["partitions"][0]
        assert refused == {"index": 0, "error_code": ErrorCode.NOT_COORDINATOR}
        fetch = {
            "groups": [{"group_id": "g", "topics": None, "member_id": None, "member_epoch": -1}],
            "require_stable": False,
        }
        assert client.ask(OFFSET_FETCH, fetch)["groups"][0]["error_code"] == ErrorCode.NOT_COORDINATOR


def test_of_several_groups_only_those_of_other_nodes_are_refused(three: EmbeddedBroker) -> None:
    groups = [f"g{number}" for number in range(9)]
    owners = {group: three.nodes.coordinator(group) for group in groups}
    assert len({owner.id for owner in owners.values() if owner}) == 3
    with at(three, 1) as client:
        described = client.ask(DESCRIBE_GROUPS, {"groups": groups, "include_authorized_operations": False})["groups"]
        deleted = client.ask(DELETE_GROUPS, {"groups": groups})["results"]
    for answers in (described, deleted):
        assert sorted(each["group_id"] for each in answers) == groups
        for each in answers:
            here = owners[each["group_id"]].id == 1
            assert (each["error_code"] != ErrorCode.NOT_COORDINATOR) == here


def test_each_group_is_listed_once(three: EmbeddedBroker) -> None:
    three.create_topic("t")
    groups = {f"g{number}" for number in range(9)}
    with contextlib.ExitStack() as stack:
        for group in groups:
            stack.enter_context(three.consumer(group)).subscribe(["t"])
        deadline = time.monotonic() + PATIENCE
        while three.groups() != groups:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        admin = AdminClient(three.client_config())
        listed = admin.list_consumer_groups().result(PATIENCE)
        for node in three.nodes:
            with at(three, node) as client:
                found = client.ask(LIST_GROUPS, {"states_filter": [], "types_filter": []})["groups"]
            assert {each["group_id"] for each in found} == {g for g in groups if three.nodes.coordinator(g).id == node}
    assert sorted(each.group_id for each in listed.valid) == sorted(groups)


def test_a_transaction_is_begun_at_its_coordinator(three: EmbeddedBroker) -> None:
    asked = {"transactional_id": "tx", "transaction_timeout_ms": 1000}
    for node in three.nodes:
        with at(three, node) as client:
            code = client.ask(INIT_PRODUCER_ID, asked)["error_code"]
            assert (code == ErrorCode.NOT_COORDINATOR) == (node != three._cluster.coordinator("tx"))
            assert client.ask(INIT_PRODUCER_ID, {**asked, "transactional_id": None})["error_code"] == ErrorCode.NONE


def test_a_transaction_is_described_by_its_coordinator(three: EmbeddedBroker) -> None:
    ids = [f"tx{number}" for number in range(6)]
    for node in three.nodes:
        with at(three, node) as client:
            answer = client.ask(DESCRIBE_TRANSACTIONS, {"transactional_ids": ids})["transactions"]
        known = {each["transactional_id"]: each["error_code"] for each in answer}
        assert known == {
            each: ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
            if three._cluster.coordinator(each) == node
            else ErrorCode.NOT_COORDINATOR
            for each in ids
        }


def test_a_marker_is_written_by_the_leader(three: EmbeddedBroker) -> None:
    three.create_topic("t")
    places = [{"name": "t", "partitions": [0]}]
    marker = {"producer_id": 7, "producer_epoch": 0, "committed": False, "coordinator_epoch": 0, "topics": places}
    codes = []
    for node in three.nodes:
        with at(three, node) as client:
            (answer,) = client.ask(WRITE_TXN_MARKERS, {"markers": [marker]})["markers"]
        codes.append(answer["topics"][0]["partitions"][0]["error_code"])
    assert codes == [ErrorCode.NONE, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_LEADER_OR_FOLLOWER]


@pytest.mark.parametrize("unclean", [False, True])
def test_the_marker_of_a_transaction_waits_for_a_leader(three: EmbeddedBroker, unclean: bool) -> None:
    """With nobody to lead it, a partition gets its marker from whoever leads it next."""
    three.create_topic("t", config={"unclean.leader.election.enable": str(unclean).lower(), "min.insync.replicas": "1"})
    log = three._cluster.topics.log("t", 0)
    assert log is not None
    transactions = three._cluster.transactions
    with at(three, 1) as client:
        producer = transactions.init_producer("tx", 60_000, now_ms=0)
        transactions.add_partitions("tx", producer, [("t", 0)], now_ms=0)
        raw = batch(b"x", producer_id=producer.id, producer_epoch=0, base_sequence=0, attributes=0x10)
        body = {**produce_request("t", raw), "transactional_id": "tx"}
        assert client.ask(PRODUCE, body)["topics"][0]["partitions"][0]["error_code"] == ErrorCode.NONE
        three.nodes[2].stop()
        three.nodes[3].stop()
        assert client.produce("t", batch(b"y"))["base_offset"] == 1
    three.nodes[1].stop()
    transactions.end("tx", producer, commit=True, now_ms=0)
    assert log.end_offset == 2
    three.nodes[2 if unclean else 1].start()
    assert (log.end_offset, log.in_transaction(producer.id)) == (2 if unclean else 3, False)


# --- topics -------------------------------------------------------------------------------------------------------


def create(client: WireClient, **topic: object) -> dict:
    asked = {"name": "t", "num_partitions": -1, "replication_factor": -1, "assignments": [], "configs": [], **topic}
    return client.ask(CREATE_TOPICS, {"topics": [asked], "timeout_ms": 1000, "validate_only": False})["topics"][0]


def test_replication_factors(three: EmbeddedBroker) -> None:
    with at(three, 3) as client:
        refused = create(client, replication_factor=4)
        assert refused["error_code"] == ErrorCode.INVALID_REPLICATION_FACTOR
        assert "factor of 4 cannot be reached because only 3 broker(s) are registered" in refused["error_message"]
        assert create(client, name="two", replication_factor=2)["replication_factor"] == 2
        assert create(client, name="default")["replication_factor"] == 3


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        ([[1, 2], []], "an empty replica list."),
        ([[1, 4]], "broker 4, but no such broker is registered."),
        ([[2, 2]], "the broker 2 more than once."),
        (
            [[1, 2], [3]],
            "a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 "
            "replica(s).",
        ),
    ],
)
def test_assignments_that_are_refused(three: EmbeddedBroker, assignments: list[list[int]], message: str) -> None:
    given = [{"partition_index": index, "broker_ids": ids} for index, ids in enumerate(assignments)]
    with at(three, 1) as client:
        refused = create(client, assignments=given)
    assert refused["error_code"] == ErrorCode.INVALID_REPLICA_ASSIGNMENT
    assert refused["error_message"] == f"The manual partition assignment includes {message}"


def test_assignments_are_kept_and_growing_goes_on(three: EmbeddedBroker) -> None:
    given = [{"partition_index": index, "broker_ids": ids} for index, ids in ((1, [2, 1]), (0, [3, 1]))]

    def grow(client: WireClient, count: int, assignments: list[dict] | None) -> int:
        asked = {"name": "t", "count": count, "assignments": assignments}
        body = {"topics": [asked], "timeout_ms": 1000, "validate_only": False}
        return client.ask(CREATE_PARTITIONS, body)["results"][0]["error_code"]

    with at(three, 1) as client:
        assert create(client, assignments=given)["error_code"] == 0
        assert grow(client, 3, [{"broker_ids": [1]}]) == ErrorCode.INVALID_REPLICA_ASSIGNMENT
        assert grow(client, 3, [{"broker_ids": [1, 3]}]) == ErrorCode.NONE
        assert grow(client, 4, None) == ErrorCode.NONE
    partitions = metadata(three, "t")["topics"][0]["partitions"]
    assert [each["replica_nodes"] for each in partitions] == [[3, 1], [2, 1], [1, 3], [1, 2]]


# --- down and back ------------------------------------------------------------------------------------------------


def test_a_node_that_is_down_takes_no_connections_and_comes_back_at_its_port(three: EmbeddedBroker) -> None:
    address = three.nodes[2].address
    with at(three, 2) as client:
        three.nodes[2].stop()
        assert client.is_closed()
    assert not three.nodes[2].is_up
    with pytest.raises(ConnectionRefusedError):
        WireClient(address)
    three.nodes[2].start()
    three.nodes[2].start()
    assert three.nodes[2].address == address
    assert len(metadata(three, node=2)["brokers"]) == 3


def test_leadership_moves_and_returns(three: EmbeddedBroker) -> None:
    three.create_topic("t", partitions=3)
    three.nodes[1].stop()
    answer = metadata(three, "t", node=3)
    first = answer["topics"][0]["partitions"][0]
    assert [each["node_id"] for each in answer["brokers"]] == [2, 3]
    assert (first["leader_id"], first["leader_epoch"], first["isr_nodes"]) == (2, 1, [2, 3])
    assert (first["replica_nodes"], first["offline_replicas"]) == ([1, 2, 3], [1])
    assert answer["controller_id"] == 2
    three.nodes[1].start()
    assert three.nodes.leader("t") == three.nodes[2]  # as with Kafka, until leaders are balanced
    assert [node.id for node in three.nodes.in_sync("t")] == [1, 2, 3]
    three.recover()
    assert three.nodes.leader("t") == three.nodes[1]


def test_min_insync_replicas(three: EmbeddedBroker) -> None:
    three.create_topic("t")
    three.nodes[2].stop()
    with at(three, 1) as client:
        assert client.produce("t", batch(b"a"))["error_code"] == ErrorCode.NONE
        three.nodes[3].stop()
        refused = client.produce("t", batch(b"b"))
        assert refused["error_code"] == ErrorCode.NOT_ENOUGH_REPLICAS
        assert refused["error_message"] is None  # as Kafka, which has words for single records only
        assert client.produce("t", batch(b"c"), acks=1)["base_offset"] == 1
        three.nodes.start(zone="use1-az2")
        assert client.produce("t", batch(b"d"))["base_offset"] == 2


def test_a_partition_without_a_leader(three: EmbeddedBroker) -> None:
    three.create_topic("t", config={"min.insync.replicas": "1"})
    three.nodes[2].stop()
    three.nodes[3].stop()
    with at(three, 1) as client:
        assert client.produce("t", batch(b"x"))["error_code"] == 0
    three.nodes[1].stop()
    three.nodes[2].start()
    partition = metadata(three, "t", node=2)["topics"][0]["partitions"][0]
    assert (partition["error_code"], partition["leader_id"]) == (ErrorCode.LEADER_NOT_AVAILABLE, -1)
    assert (partition["isr_nodes"], partition["leader_epoch"]) == ([1], 1)
    with at(three, 2) as client:
        assert client.fetch("t", 0)["error_code"] == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert three.nodes.leader("t") is None
    three.nodes[1].start()
    with at(three, 1) as client:
        assert client.fetch("t", 0)["records"]
    assert metadata(three, "t")["topics"][0]["partitions"][0]["isr_nodes"] == [1, 2]


def test_an_unclean_election_loses_what_the_new_leader_missed(three: EmbeddedBroker) -> None:
    three.create_topic("t", config={"unclean.leader.election.enable": "true", "min.insync.replicas": "1"})
    with at(three, 1) as client:
        client.produce("t", batch(b"a", b"b"))
        three.nodes[2].stop()
        client.produce("t", batch(b"c"))
        three.nodes[3].stop()
        client.produce("t", batch(b"d"))
    three.nodes[1].stop()
    three.nodes[2].start()
    with at(three, 2) as client:
        assert three.watermarks("t")[0].high == 2
        assert client.fetch("t", 4)["error_code"] == ErrorCode.OFFSET_OUT_OF_RANGE
        assert client.produce("t", batch(b"e"))["base_offset"] == 2
    assert [record.value for record in three.records("t")] == [b"a", b"b", b"e"]


def test_an_idempotent_producer_goes_on_with_an_unclean_leader(three: EmbeddedBroker) -> None:
    three.create_topic("t", config={"unclean.leader.election.enable": "true", "min.insync.replicas": "1"})

    def numbered(sequence: int) -> bytes:
        return batch(b"%d" % sequence, producer_id=7, producer_epoch=0, base_sequence=sequence)

    with at(three, 1) as client:
        client.produce("t", numbered(0))
        three.nodes.stop("use1-az2")
        three.nodes.stop("use1-az3")
        client.produce("t", numbered(1))
    three.nodes[1].stop()
    three.nodes[2].start()
    with at(three, 2) as client:
        assert client.produce("t", numbered(0))["base_offset"] == 0
        assert client.produce("t", numbered(1))["base_offset"] == 1
    assert [record.value for record in three.records("t")] == [b"0", b"1"]


def test_a_topic_is_created_while_a_node_is_down(three: EmbeddedBroker) -> None:
    three.nodes[1].stop()
    three.create_topic("t")
    partition = metadata(three, "t", node=2)["topics"][0]["partitions"][0]
    assert (partition["leader_id"], partition["replica_nodes"], partition["isr_nodes"]) == (2, [1, 2, 3], [2, 3])


def test_every_node_is_down(three: EmbeddedBroker) -> None:
    three.create_topic("t")
    three.nodes.stop()
    assert three.nodes.up == set()
    assert three.nodes.leader("t") is None
    assert three.nodes.coordinator("g") is None
    three.nodes.start()
    with at(three, 1) as client:
        assert client.produce("t", batch(b"x"))["error_code"] == 0


def test_what_nodes_cannot_be_asked(three: EmbeddedBroker) -> None:
    three.create_topic("t", config={})
    with pytest.raises(BrokerError, match=r"no node 4; the nodes are: 1, 2, 3\. .*embedded:3"):
        three.nodes[4]
    assert 4 not in three.nodes
    with pytest.raises(BrokerError, match=r"'eu'; the zones are: use1-az1, use1-az2, use1-az3"):
        three.nodes.stop("eu")
    with pytest.raises(BrokerError, match="no partition t-1"):
        three.nodes.leader("t", 1)
    three.nodes[2].stop()
    with pytest.raises(BrokerError, match=r"Node 2 cannot lead t-0: the nodes in sync are 1, 3, and the leader is 1"):
        three.nodes.elect_leader("t", 0, 2)
    with pytest.raises(BrokerError, match="Node 2 cannot coordinate group 'g'"):
        three.nodes.elect_coordinator("g", 2)
    assert "BrokerNode(2, '127.0.0.1:" in repr(three.nodes)
    assert "use1-az2, down" in repr(three.nodes)


# --- clients go on ------------------------------------------------------------------------------------------------


def read(consumer: object, count: int) -> list[Message]:
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            found.append(message)
    assert len(found) == count
    return found


def test_a_producer_goes_on_when_the_leader_goes_down(three: EmbeddedBroker) -> None:
    three.create_topic("t", partitions=3)
    lost: list[object] = []
    with three.producer(retry_backoff_ms=10, reconnect_backoff_ms=10) as producer:
        for number in range(60):
            if number in (20, 40):
                producer.poll(0)
                three.nodes.start()
                three.nodes[number // 20].stop()
            producer.produce(
                "t", b"%d" % number, partition=number % 3, on_delivery=lambda e, _: lost.append(e) if e else None
            )
        assert producer.flush(PATIENCE) == 0
    assert lost == []
    found = {int(record.value) for partition in range(3) for record in three.records("t", partition)}
    assert found == set(range(60))


def test_a_consumer_goes_on_when_the_leader_and_the_coordinator_go_down(three: EmbeddedBroker) -> None:
    three.create_topic("t", partitions=3)
    with three.producer() as producer:
        for number in range(6):
            producer.produce("t", b"%d" % number, partition=number % 3)
        producer.flush(PATIENCE)
        consumer = three.consumer("g")
        consumer.subscribe(["t"])
        first = read(consumer, 6)
        consumer.commit(asynchronous=False)
        coordinator = three.nodes.coordinator("g")
        coordinator.stop()
        assert three.nodes.coordinator("g") not in (coordinator, None)
        for number in range(6, 12):
            producer.produce("t", b"%d" % number, partition=number % 3)
        producer.flush(PATIENCE)
        second = read(consumer, 6)
        consumer.commit(asynchronous=False)
        assert sorted(int(message.value()) for message in first + second) == list(range(12))
        assert three.committed("g", "t") == {0: 4, 1: 4, 2: 4}
        consumer.close()


def test_a_client_that_knows_one_node_finds_the_others(three: EmbeddedBroker) -> None:
    three.create_topic("t", partitions=3)
    with Producer({**three.client_config(), "bootstrap.servers": three.nodes[3].address}) as producer:
        for partition in range(3):
            producer.produce("t", b"x", partition=partition)
        assert producer.flush(PATIENCE) == 0
    assert [marks.high for marks in three.watermarks("t").values()] == [1, 1, 1]


def test_an_administrator_describes_the_cluster(three: EmbeddedBroker) -> None:
    admin = AdminClient(three.client_config())
    answers = admin.create_topics([NewTopic("t", num_partitions=3, replication_factor=2)])
    answers["t"].result(PATIENCE)
    three.nodes[2].stop()
    topic = admin.list_topics("t", timeout=PATIENCE).topics["t"]
    assert {number: (each.leader, each.replicas, each.isrs) for number, each in topic.partitions.items()} == {
        0: (1, [1, 2], [1]),
        1: (3, [2, 3], [3]),
        2: (3, [3, 1], [3, 1]),
    }
