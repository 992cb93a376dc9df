"""Listeners, rights, faults and outages together: a cluster of three nodes that its clients reach by any listener."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from test_security import bearer, log_in
from wire_client import WireClient, batch, fetch_request, produce_request

from pytest_msk.brokers.client_security import iam_token
from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.faults import Answer
from pytest_msk.brokers.embedded.messages.groups import (
    CONSUMER_GROUP_DESCRIBE,
    CONSUMER_GROUP_HEARTBEAT,
    DESCRIBE_GROUPS,
    HEARTBEAT,
)
from pytest_msk.brokers.embedded.messages.metadata import API_VERSIONS, DESCRIBE_CLUSTER, FIND_COORDINATOR, METADATA
from pytest_msk.brokers.embedded.messages.records import FETCH, PRODUCE
from pytest_msk.brokers.embedded.messages.security import CREATE_ACLS
from pytest_msk.brokers.embedded.messages.transactions import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    DESCRIBE_PRODUCERS,
    DESCRIBE_TRANSACTIONS,
    END_TXN,
    LIST_TRANSACTIONS,
    TXN_OFFSET_COMMIT,
    WRITE_TXN_MARKERS,
)
from pytest_msk.brokers.embedded.security.access import ANONYMOUS, Operation, ResourceType
from pytest_msk.brokers.embedded.security.acl import Acl, PatternType, Permission
from pytest_msk.brokers.security import AUTHENTICATIONS
from pytest_msk.errors import BrokerError

PATIENCE = 15.0
TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
CLUSTER, TRANSACTION = ResourceType.CLUSTER, ResourceType.TRANSACTIONAL_ID


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(nodes=3) as broker:
        yield broker


@pytest.fixture
def three(cluster: EmbeddedBroker) -> Iterator[EmbeddedBroker]:
    """The module's cluster, as new."""
    with cluster.security_scope():
        yield cluster
    cluster.recover()
    for topic in cluster.topics():
        cluster.delete_topic(topic)


@pytest.fixture
def at(three: EmbeddedBroker) -> Iterator[Callable[..., WireClient]]:
    """Opens a connection to a node that has logged in: `at(node)` by a password, `at(node, "iam")` by a token."""
    made: list[WireClient] = []

    def connect(node: int = 1, auth: str = "plain") -> WireClient:
        client = WireClient(three.bootstrap_servers_for(auth).split(",")[node - 1], tls=True)
        made.append(client)
        if auth == "plain":
            assert log_in(client, "PLAIN", b"\0msk-user\0msk-password")["error_code"] == 0
        if auth == "iam":
            token, _ = iam_token(three.security.iam_key(), three.security.region)
            assert log_in(client, "OAUTHBEARER", bearer(token))["error_code"] == 0
        return client

    yield connect
    for one in made:
        one.__exit__(None, None, None)


def deny(broker: EmbeddedBroker, kind: ResourceType, name: str, operation: Operation = Operation.ALL) -> None:
    """Let the user of these tests not do that."""
    creation = {
        "resource_type": kind,
        "resource_name": name,
        "pattern_type": PatternType.LITERAL,
        "principal": "User:msk-user",
        "host": "*",
        "operation": operation,
        "permission_type": Permission.DENY,
    }
    with WireClient(broker.bootstrap_servers.partition(",")[0]) as admin:
        assert admin.ask(CREATE_ACLS, {"creations": [creation]})["results"][0]["error_code"] == 0


def ports(addresses: str) -> list[int]:
    return [int(address.rpartition(":")[2]) for address in addresses.split(",")]


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def led_by(broker: EmbeddedBroker, node: int) -> str:
    """A new topic whose partition this node leads."""
    broker.create_topic("t")
    if broker.nodes.leader("t").id != node:
        broker.nodes.elect_leader("t", 0, node)
    return "t"


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", AUTHENTICATIONS)
def test_each_node_has_each_listener_at_a_port_of_its_own(three: EmbeddedBroker, auth: str) -> None:
    found = ports(three.bootstrap_servers_for(auth))
    assert len(set(found)) == 3
    assert (found == ports(three.bootstrap_servers)) is (auth == "plaintext")
    assert all(map(is_open, found))


@pytest.mark.parametrize("auth", ["tls", "plain", "iam"])
def test_a_client_is_sent_on_by_the_way_it_came(
    three: EmbeddedBroker, at: Callable[..., WireClient], auth: str
) -> None:
    client = at(2, auth)
    wanted = ports(three.bootstrap_servers_for(auth))
    answer = client.ask(METADATA, {"topics": [], "include_topic_authorized_operations": False})
    assert [broker["port"] for broker in answer["brokers"]] == wanted
    answer = client.ask(DESCRIBE_CLUSTER, {"include_cluster_authorized_operations": False, "endpoint_type": 1})
    assert [broker["port"] for broker in answer["brokers"]] == wanted
    for group in ("a", "b", "c", "d"):
        (found,) = client.ask(FIND_COORDINATOR, {"key_type": 0, "coordinator_keys": [group]})["coordinators"]
        assert found["port"] == wanted[found["node_id"] - 1]


# --- nodes that go down -------------------------------------------------------------------------------------------


def test_all_listeners_of_a_node_go_down_and_come_back_at_their_ports(three: EmbeddedBroker) -> None:
    before = {auth: ports(three.bootstrap_servers_for(auth)) for auth in AUTHENTICATIONS}
    three.nodes[2].stop()
    for found in before.values():
        assert [is_open(port) for port in found] == [True, False, True]
    three.nodes[2].start()
    assert {auth: ports(three.bootstrap_servers_for(auth)) for auth in AUTHENTICATIONS} == before
    assert all(is_open(port) for found in before.values() for port in found)


def test_a_listener_that_is_first_asked_for_while_a_node_is_down_opens_with_it() -> None:
    with EmbeddedBroker(nodes=2) as two:
        two.nodes[2].stop()
        first, second = ports(two.bootstrap_servers_for("scram"))
        assert (is_open(first), is_open(second)) == (True, False)
        two.nodes[2].start()
        assert ports(two.bootstrap_servers_for("scram")) == [first, second]
        assert is_open(second)


@pytest.mark.parametrize("auth", ["scram", "iam"])
def test_clients_go_on_when_a_node_goes_down_and_comes_back(three: EmbeddedBroker, auth: str) -> None:
    three.create_topic("t", partitions=3)
    group = f"g-{auth}"
    with three.client_scope():
        producer = three.producer(auth=auth, acks="all", log_level=0)
        consumer = three.consumer(group, auth=auth, log_level=0)
        consumer.subscribe(["t"])
        found: list[bytes] = []

        def produce_and_read(first: int) -> None:
            for number in range(first, first + 6):
                producer.produce("t", b"%d" % number, partition=number % 3)
            assert producer.flush(PATIENCE) == 0
            deadline = time.monotonic() + PATIENCE
            while len(found) < first + 6:
                assert time.monotonic() < deadline
                found.extend(message.value() for message in consumer.consume(6, 0.1) if message.error() is None)
            consumer.commit(asynchronous=False)

        produce_and_read(0)
        gone = three.nodes.coordinator(group)
        gone.stop()
        produce_and_read(6)
        gone.start()
        three.nodes.elect_coordinator(group, gone.id)
        produce_and_read(12)
        assert sorted(map(int, found)) == list(range(18))
        assert three.committed(group, "t") == {0: 6, 1: 6, 2: 6}


# --- faults on secured connections --------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["tls", "plain", "iam"])
def test_a_fault_befalls_a_secured_connection(three: EmbeddedBroker, at: Callable[..., WireClient], auth: str) -> None:
    led_by(three, 1)
    client = at(1, auth)
    three.faults.fail("Produce", "NOT_ENOUGH_REPLICAS")
    assert client.produce("t", batch(b"x"))["error_code"] == ErrorCode.NOT_ENOUGH_REPLICAS
    assert client.produce("t", batch(b"x"))["error_code"] == 0
    three.faults.drop("Fetch")
    client.send(FETCH, 12, fetch_request(("t", 0, 0)))
    assert client.is_closed()


def test_a_crash_behind_the_append_closes_the_nodes_secured_connections(
    three: EmbeddedBroker, at: Callable[..., WireClient]
) -> None:
    led_by(three, 1)
    client, other, elsewhere = at(1), at(1, "tls"), at(2)
    three.faults.crash("Produce", stays_down=True)
    client.send(PRODUCE, 11, produce_request("t", batch(b"x")))
    assert client.is_closed()
    assert other.is_closed()
    assert elsewhere.ask(METADATA, {"topics": [], "include_topic_authorized_operations": False})["brokers"]
    assert three.nodes.up == {2, 3}
    assert three.watermarks("t")[0].high == 1


def test_a_delayed_request_is_answered_through_tls(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    led_by(three, 1)
    three.faults.delay("Produce", 0.05)
    began = time.monotonic()
    assert at(1, "tls").produce("t", batch(b"x"))["error_code"] == 0
    assert time.monotonic() - began >= 0.05


def test_what_is_given_as_an_answer_is_sent_as_it_is(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    client = at()
    where = {"key": "g", "node_id": 2, "host": "elsewhere", "port": 9, "error_code": 0, "error_message": None}
    three.faults.call("FindCoordinator", lambda request: Answer({"coordinators": [where]}))
    (found,) = client.ask(FIND_COORDINATOR, {"key_type": 0, "coordinator_keys": ["g"]})["coordinators"]
    assert (found["host"], found["port"]) == ("elsewhere", 9)


def test_logging_in_can_fail_too(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    three.faults.fail("SaslAuthenticate", "SASL_AUTHENTICATION_FAILED")
    with WireClient(three.bootstrap_servers_for("plain").partition(",")[0], tls=True) as client:
        assert log_in(client, "PLAIN", b"\0msk-user\0msk-password")["error_code"] == 58
    assert at().ask(API_VERSIONS, {"client_software_name": "x", "client_software_version": "1"}, 3)["error_code"] == 0


# --- faults, rights and the wrong node ----------------------------------------------------------------------------


def topics_of(*names: str) -> list[dict]:
    return [{"name": name, "partitions": [{"index": 0, "records": batch(b"x")}]} for name in names]


def test_each_topic_of_a_request_has_the_error_of_its_own(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    for name in ("denied", "faulty", "good"):
        three.create_topic(name)
        three.nodes.elect_leader(name, 0, 1)
    deny(three, TOPIC, "denied")
    three.faults.fail("Produce", "KAFKA_STORAGE_ERROR", topic="faulty")
    request = {**produce_request("good", None), "topics": topics_of("denied", "faulty", "good")}
    answer = at(1).ask(PRODUCE, request)
    told = {topic["name"]: topic["partitions"][0]["error_code"] for topic in answer["topics"]}
    assert told == {"denied": 29, "faulty": 56, "good": 0}


def test_the_oldest_metadata_of_a_denied_topic_alone_tells_of_no_other(
    three: EmbeddedBroker, at: Callable[..., WireClient]
) -> None:
    for name in ("denied", "other"):
        three.create_topic(name)
    deny(three, TOPIC, "denied")
    answer = at(1).ask(METADATA, {"topics": [{"name": "denied"}]}, 0)
    assert [(topic["name"], topic["error_code"]) for topic in answer["topics"]] == [("denied", 29)]


def test_a_fault_comes_before_the_right(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    led_by(three, 1)
    deny(three, TOPIC, "t")
    client = at(1)
    three.faults.fail("Produce", "NOT_ENOUGH_REPLICAS")
    assert [client.produce("t", batch(b"x"))["error_code"] for _ in range(2)] == [19, 29]


def test_a_fault_tells_of_no_topic_that_may_not_be_seen(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    for name in ("hidden", "t"):
        three.create_topic(name)
    deny(three, TOPIC, "hidden", Operation.DESCRIBE)
    client = at(1)
    three.faults.fail("Metadata", "LEADER_NOT_AVAILABLE")
    asked = {"topics": None, "include_topic_authorized_operations": False}
    told = [[each["name"] for each in client.ask(METADATA, asked)["topics"]] for _ in range(2)]
    assert told == [["t"], ["t"]]


def test_the_right_comes_before_the_node(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    coordinator = three.nodes.coordinator("g")
    assert coordinator is not None
    client = at(coordinator.id % 3 + 1)
    body = {"group_id": "g", "generation_id": 1, "member_id": "m", "group_instance_id": None}
    assert client.ask(HEARTBEAT, body)["error_code"] == ErrorCode.NOT_COORDINATOR
    deny(three, GROUP, "g")
    assert client.ask(HEARTBEAT, body)["error_code"] == ErrorCode.GROUP_AUTHORIZATION_FAILED


def test_groups_of_three_kinds_in_one_request(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    groups = [f"g{number}" for number in range(8)]
    here = [group for group in groups if three.nodes.coordinator(group).id == 1]
    elsewhere = [group for group in groups if group not in here]
    denied = [here.pop(), elsewhere.pop()]
    for group in denied:
        deny(three, GROUP, group)
    answer = at(1).ask(DESCRIBE_GROUPS, {"groups": groups, "include_authorized_operations": False})
    told = {group["group_id"]: group["error_code"] for group in answer["groups"]}
    assert {told[group] for group in denied} == {ErrorCode.GROUP_AUTHORIZATION_FAILED}
    assert {told[group] for group in elsewhere} == {ErrorCode.NOT_COORDINATOR}
    assert not {told[group] for group in here} & {30, 16}
    assert len(answer["groups"]) == len(groups)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_produce_without_an_answer_is_a_closed_connection_where_it_is_refused(
    three: EmbeddedBroker, at: Callable[..., WireClient], allowed: bool
) -> None:
    for name in ("good", "other"):
        three.create_topic(name)
        three.nodes.elect_leader(name, 0, 1)
    if not allowed:
        deny(three, TOPIC, "other")
    client = at(1)
    client.send(PRODUCE, 11, {**produce_request("good", None, acks=0), "topics": topics_of("good", "other")})
    if allowed:
        assert client.fetch("other", 0)["high_watermark"] == 1
    else:
        assert client.is_closed()
    assert three.watermarks("good")[0].high == 1
    assert three.watermarks("other")[0].high == int(allowed)


def test_requests_are_recorded_as_they_came(three: EmbeddedBroker, at: Callable[..., WireClient]) -> None:
    led_by(three, 1)
    deny(three, TOPIC, "t")
    client = at(1)
    three.record_requests()
    assert client.produce("t", batch(b"x"))["error_code"] == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    (request,) = three.requests("Produce", topic="t")
    assert (request.node, request.client_id) == (1, "test")
    at(2, "iam")
    assert [each.api for each in three.requests(node=2)] == ["SaslHandshake", "SaslAuthenticate"]


# --- rights to transactions and groups of the consumer protocol ---------------------------------------------------


@pytest.fixture
def coordinator(three: EmbeddedBroker, at: Callable[..., WireClient]) -> WireClient:
    """A connection to the node that coordinates transaction `x` and group `g`, and leads `t`, `u`."""
    for key in ("x", "g"):
        if three.nodes.coordinator(key).id != 1:
            three.nodes.elect_coordinator(key, 1)
    for name in ("t", "u"):
        three.create_topic(name)
        if three.nodes.leader(name).id != 1:
            three.nodes.elect_leader(name, 0, 1)
    return at(1)


WHO = {"transactional_id": "x", "producer_id": 0, "producer_epoch": 0}
PLACES = [{"name": name, "partitions": [0]} for name in ("t", "u")]
OFFSETS = [{"name": "t", "partitions": [{"index": 0, "offset": 1, "metadata": ""}]}]
ENDS = {**WHO, "committed": True}
IN_GROUP = {**WHO, "group_id": "g", "generation_id": -1, "member_id": "", "group_instance_id": None, "topics": OFFSETS}
MARKER = {"producer_id": 0, "producer_epoch": 0, "committed": True, "coordinator_epoch": 0, "topics": PLACES}
JOINS = {
    "group_id": "g",
    "member_id": "m",
    "member_epoch": 0,
    "instance_id": None,
    "rack_id": None,
    "rebalance_timeout_ms": 1000,
    "subscribed_topic_names": ["t"],
    "subscribed_topic_regex": None,
    "server_assignor": None,
    "topic_partitions": [],
}


def errors_of(answer: object) -> set[int]:
    """Every error code in an answer."""
    if isinstance(answer, dict):
        own = {answer["error_code"]} if "error_code" in answer else set()
        return own.union(*map(errors_of, answer.values()))
    return set().union(*map(errors_of, answer)) if isinstance(answer, list) else set()


@pytest.mark.parametrize(
    ("api", "request_", "kind", "name", "code"),
    [
        (ADD_PARTITIONS_TO_TXN, {**WHO, "topics": PLACES}, TRANSACTION, "x", {53}),
        (ADD_PARTITIONS_TO_TXN, {**WHO, "topics": PLACES}, TOPIC, "t", {29, 55}),
        (ADD_OFFSETS_TO_TXN, {**WHO, "group_id": "g"}, TRANSACTION, "x", {53}),
        (ADD_OFFSETS_TO_TXN, {**WHO, "group_id": "g"}, GROUP, "g", {30}),
        (END_TXN, ENDS, TRANSACTION, "x", {53}),
        (TXN_OFFSET_COMMIT, IN_GROUP, TRANSACTION, "x", {53}),
        (TXN_OFFSET_COMMIT, IN_GROUP, GROUP, "g", {30}),
        (TXN_OFFSET_COMMIT, IN_GROUP, TOPIC, "t", {29}),
        (WRITE_TXN_MARKERS, {"markers": [MARKER]}, CLUSTER, "kafka-cluster", {31}),
        (DESCRIBE_PRODUCERS, {"topics": PLACES[:1]}, TOPIC, "t", {29}),
        (DESCRIBE_TRANSACTIONS, {"transactional_ids": ["x"]}, TRANSACTION, "x", {53}),
        (CONSUMER_GROUP_HEARTBEAT, JOINS, GROUP, "g", {30}),
        (CONSUMER_GROUP_HEARTBEAT, JOINS, TOPIC, "t", {29}),
        (CONSUMER_GROUP_DESCRIBE, {"group_ids": ["g"], "include_authorized_operations": True}, GROUP, "g", {30}),
    ],
    ids=lambda each: getattr(each, "name", None),
)
def test_what_is_not_allowed(three: EmbeddedBroker, coordinator: WireClient, api, request_, kind, name, code) -> None:
    before = errors_of(coordinator.ask(api, request_))
    assert not before & {29, 30, 31, 53, 55}
    deny(three, kind, name)
    assert errors_of(coordinator.ask(api, request_)) == code


def test_transactions_and_their_topics_are_told_to_who_may_see_them(
    three: EmbeddedBroker, coordinator: WireClient
) -> None:
    with three.client_scope():
        producer = three.producer(transactional_id="x")
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
        for name in ("t", "u"):
            producer.produce(name, b"x")
        assert producer.flush(PATIENCE) == 0
        asked = {"state_filters": [], "producer_id_filters": []}
        (found,) = coordinator.ask(DESCRIBE_TRANSACTIONS, {"transactional_ids": ["x"]})["transactions"]
        assert sorted(topic["name"] for topic in found["topics"]) == ["t", "u"]
        assert [each["transactional_id"] for each in coordinator.ask(LIST_TRANSACTIONS, asked)["transactions"]] == ["x"]
        deny(three, TOPIC, "u")
        (found,) = coordinator.ask(DESCRIBE_TRANSACTIONS, {"transactional_ids": ["x"]})["transactions"]
        assert [topic["name"] for topic in found["topics"]] == ["t"]
        deny(three, TRANSACTION, "x")
        assert coordinator.ask(LIST_TRANSACTIONS, asked)["transactions"] == []
        producer.abort_transaction(PATIENCE)


def test_a_pattern_gives_a_member_no_topic_that_it_may_not_see(three: EmbeddedBroker, coordinator: WireClient) -> None:
    deny(three, TOPIC, "u", Operation.DESCRIBE)
    if three.nodes.coordinator("by-pattern").id != 1:
        three.nodes.elect_coordinator("by-pattern", 1)
    beat = {**JOINS, "group_id": "by-pattern", "subscribed_topic_names": [], "subscribed_topic_regex": "[tu]"}
    answer = coordinator.ask(CONSUMER_GROUP_HEARTBEAT, beat)
    assert answer["error_code"] == 0
    given = [each["topic_id"] for each in answer["assignment"]["topic_partitions"]]
    assert given == [three._cluster.topics.get("t").id]
    follows = {**beat, "member_epoch": answer["member_epoch"], "rebalance_timeout_ms": -1}
    follows.update(subscribed_topic_names=None, subscribed_topic_regex=None, topic_partitions=None)
    three.create_topic("v")  # the topics are looked at anew
    assert not coordinator.ask(CONSUMER_GROUP_HEARTBEAT, follows)["assignment"]
    three.expire_member("by-pattern", "m")


def test_a_group_is_described_to_who_may_see_its_topics(three: EmbeddedBroker, coordinator: WireClient) -> None:
    assert coordinator.ask(CONSUMER_GROUP_HEARTBEAT, JOINS)["error_code"] == 0
    asked = {"group_ids": ["g"], "include_authorized_operations": False}
    (found,) = coordinator.ask(CONSUMER_GROUP_DESCRIBE, asked)["groups"]
    assert (found["error_code"], len(found["members"])) == (0, 1)
    deny(three, TOPIC, "t", Operation.DESCRIBE)
    (found,) = coordinator.ask(CONSUMER_GROUP_DESCRIBE, asked)["groups"]
    assert (found["error_code"], found["members"]) == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, [])
    assert coordinator.ask(CONSUMER_GROUP_HEARTBEAT, {**JOINS, "member_epoch": -1})["error_code"] == 29
    three.expire_member("g", "m")


def test_a_mappings_commit_is_judged_where_the_plaintext_listener_is_not_trusted() -> None:
    with EmbeddedBroker({"super.users": "User:msk-user"}) as broker:
        broker.create_topic("t")
        consumer = broker.consumer("g", log_level=0)
        consumer.subscribe(["t"])
        deadline = time.monotonic() + PATIENCE
        while not consumer.assignment():
            assert time.monotonic() < deadline
            consumer.poll(0.05)
        commit = broker.committer(consumer, "g", "t")
        assert commit({0: 0}) is None
        broker._security.acls.add(
            Acl(
                resource_type=GROUP,
                resource_name="g",
                pattern_type=PatternType.LITERAL,
                principal=ANONYMOUS,
                host="*",
                operation=Operation.READ,
                permission=Permission.DENY,
            )
        )
        with pytest.raises(BrokerError, match="GROUP_AUTHORIZATION_FAILED"):
            commit({0: 0})
