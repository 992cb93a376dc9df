"""Faults: what a test lets the broker do wrong, and what clients make of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Message
from wire_client import WireClient, batch, fetch_request, produce_request

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.faults import Answer, Crash, Delay, Drop, Fail, Fault
from pytest_msk.brokers.embedded.messages.groups import HEARTBEAT
from pytest_msk.brokers.embedded.messages.metadata import METADATA
from pytest_msk.brokers.embedded.messages.records import FETCH, PRODUCE
from pytest_msk.brokers.embedded.requests import Request, RequestFilter
from pytest_msk.errors import BrokerError

PATIENCE = 15.0


@pytest.fixture
def two() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(nodes=2) as broker:
        yield broker


@pytest.fixture(autouse=True)
def topic(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", partitions=2)


def codes(client: WireClient, count: int, **how: int) -> list[int]:
    return [client.produce("t", batch(b"x"), **how)["error_code"] for _ in range(count)]


# --- which requests -----------------------------------------------------------------------------------------------


def test_once_by_default(broker: EmbeddedBroker, client: WireClient) -> None:
    fault = broker.faults.fail("Produce", "NOT_ENOUGH_REPLICAS")
    assert codes(client, 3) == [19, 0, 0]
    assert (fault.hits, fault.over, len(broker.faults)) == (1, True, 0)
    assert broker.watermarks("t")[0].high == 2  # what was refused is not in the log


def test_the_nth_time(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.fail("Produce", "KAFKA_STORAGE_ERROR", skip=2, times=2)
    assert codes(client, 6) == [0, 0, 56, 56, 0, 0]


def test_every_time_until_it_is_ended(broker: EmbeddedBroker, client: WireClient) -> None:
    fault = broker.faults.fail("Produce", 7, times=None)
    assert codes(client, 3) == [7, 7, 7]
    fault.end()
    fault.end()
    assert codes(client, 1) == [0]
    assert fault.hits == 3


def test_faults_go_in_the_order_in_which_they_were_made(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.fail("Produce", 7)
    broker.faults.fail("Produce", 19, times=2)
    assert codes(client, 4) == [7, 19, 19, 0]


def test_only_the_topic_partition_and_client_that_are_meant(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("u")
    broker.faults.fail("Produce", 7, topic="u", times=None)
    broker.faults.fail("Produce", 19, topic="t", partition=1, times=None)
    broker.faults.fail("Produce", 56, client_id="somebody else", times=None)
    assert codes(client, 1) == [0]
    assert codes(client, 1, partition=1) == [19]
    assert client.produce("u", batch(b"x"))["error_code"] == 7
    assert client.fetch("u", 0)["error_code"] == 0


def test_only_the_partition_that_is_meant_of_a_request(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.fail("Produce", "REQUEST_TIMED_OUT", partition=1)
    body = produce_request("t", batch(b"x"))
    body["topics"][0]["partitions"].append({"index": 1, "records": batch(b"y")})
    answer = client.ask(PRODUCE, body)["topics"][0]
    assert [(each["index"], each["error_code"], each["base_offset"]) for each in answer["partitions"]] == [
        *((0, 0, 0), (1, 7, -1)),
    ]
    assert [marks.high for marks in broker.watermarks("t").values()] == [1, 0]


def test_a_fetch_with_an_error_in_it_does_not_wait(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.fail("Fetch", "NOT_LEADER_OR_FOLLOWER", partition=1)
    began = time.monotonic()
    answer = client.ask(FETCH, fetch_request(("t", 0, 0), ("t", 1, 0), max_wait_ms=60_000))
    assert time.monotonic() - began < PATIENCE
    found = {each["index"]: each["error_code"] for topic in answer["topics"] for each in topic["partitions"]}
    assert found == {0: 0, 1: 6}


def test_only_the_group_that_is_meant(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.fail("Heartbeat", "COORDINATOR_LOAD_IN_PROGRESS", group="g", times=None)
    beat = {"generation_id": 1, "member_id": "m", "group_instance_id": None}
    assert client.ask(HEARTBEAT, {**beat, "group_id": "g"})["error_code"] == 14
    assert client.ask(HEARTBEAT, {**beat, "group_id": "h"})["error_code"] == ErrorCode.UNKNOWN_MEMBER_ID


def test_only_the_node_that_is_meant(two: EmbeddedBroker) -> None:
    two.create_topic("t", partitions=2)
    two.faults.fail("Produce", 7, node=2, times=None)
    for node, code in ((1, 0), (2, 7)):
        with WireClient(two.nodes[node].address) as client:
            assert codes(client, 1, partition=node - 1) == [code]


# --- what happens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["t"], None])
def test_metadata_of_a_topic_fails_and_the_brokers_are_still_named(
    broker: EmbeddedBroker, client: WireClient, names: list[str] | None
) -> None:
    broker.faults.fail("Metadata", "LEADER_NOT_AVAILABLE")
    body = {
        "topics": names and [{"topic_id": bytes(16), "name": name} for name in names],
        "include_topic_authorized_operations": False,
    }
    answer = client.ask(METADATA, body)
    assert [(each["name"], each["error_code"]) for each in answer["topics"]] == [("t", 5)]
    assert len(answer["brokers"]) == 1


def test_where_no_error_can_be_said_the_connection_is_closed(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.fail("Produce", 7)
    client.send(PRODUCE, 11, produce_request("t", batch(b"x"), acks=0))
    assert client.is_closed()
    assert broker.watermarks("t")[0].high == 0


def test_a_delay_holds_up_its_connection_only(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.delay("Produce", 0.05)
    began = time.monotonic()
    client.send(PRODUCE, 11, produce_request("t", batch(b"slow")))
    with WireClient(broker.bootstrap_servers) as other:
        assert codes(other, 1) == [0]
    client.receive(PRODUCE, 11)
    assert time.monotonic() - began >= 0.045
    assert [record.value for record in broker.records("t")] == [b"x", b"slow"]


def test_a_delay_comes_before_another_fault(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.delay("Produce", 0.02)
    broker.faults.fail("Produce", 7)
    began = time.monotonic()
    assert codes(client, 2) == [7, 0]
    assert time.monotonic() - began >= 0.015


def test_nothing_is_delayed_beyond_the_test(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.delay("Produce", 60)
    client.send(PRODUCE, 11, produce_request("t", batch(b"x")))
    until(lambda: not broker._gate.idle)
    broker.recover()
    assert client.receive(PRODUCE, 11)[1]["topics"][0]["partitions"][0]["base_offset"] == 0


def test_a_client_that_leaves_while_its_request_is_delayed(broker: EmbeddedBroker) -> None:
    broker.faults.delay("Produce", 60)
    with WireClient(broker.bootstrap_servers) as client:
        client.send(PRODUCE, 11, produce_request("t", batch(b"x")))
        until(lambda: not broker._gate.idle)
    until(lambda: broker._gate.idle)
    assert broker.watermarks("t")[0].high == 0


def test_a_dropped_request_is_not_handled(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.drop("Produce")
    client.send(PRODUCE, 11, produce_request("t", batch(b"x")))
    assert client.is_closed()
    assert broker.watermarks("t")[0].high == 0


@pytest.mark.parametrize("acks", [-1, 0])
def test_a_crash_comes_after_the_append_and_before_the_answer(
    broker: EmbeddedBroker, client: WireClient, acks: int
) -> None:
    with WireClient(broker.bootstrap_servers) as other:
        other.fetch("t", 0)
        broker.faults.crash("Produce")
        client.send(PRODUCE, 11, produce_request("t", batch(b"x"), acks=acks))
        assert client.is_closed()
        assert other.is_closed()  # the whole node broke down
    assert broker.watermarks("t")[0].high == 1
    with WireClient(broker.bootstrap_servers) as after:
        assert codes(after, 1) == [0]


def test_a_node_that_stays_down(two: EmbeddedBroker) -> None:
    two.create_topic("t")
    two.faults.crash("Produce", stays_down=True)
    with WireClient(two.nodes[1].address) as client:
        client.send(PRODUCE, 11, produce_request("t", batch(b"x")))
        assert client.is_closed()
    until(lambda: not two.nodes[1].is_up)
    assert two.nodes.leader("t") == two.nodes[2]
    assert two.watermarks("t")[0].high == 1
    two.recover()
    assert two.nodes[1].is_up


def test_a_function_decides(broker: EmbeddedBroker, client: WireClient) -> None:
    seen: list[Request] = []

    def every_second(request: Request) -> Fail | None:
        seen.append(request)
        return Fail("THROTTLING_QUOTA_EXCEEDED") if len(seen) % 2 == 0 else None

    fault = broker.faults.call("Produce", every_second, topic="t")
    assert codes(client, 4) == [0, 89, 0, 89]
    assert fault.hits == 2
    assert (seen[0].api, seen[0].version, seen[0].node, seen[0].client_id) == ("Produce", 11, 1, "test")
    assert seen[0].partitions == {("t", 0)}
    assert seen[0].body["acks"] == -1


@pytest.mark.parametrize("action", [Drop(), Crash()])
def test_a_function_may_end_the_connection(broker: EmbeddedBroker, client: WireClient, action: Drop | Crash) -> None:
    broker.faults.call("Produce", lambda request: action)
    client.send(PRODUCE, 11, produce_request("t", batch(b"x")))
    assert client.is_closed()


def test_a_function_may_stop_the_node_that_asks_it(two: EmbeddedBroker) -> None:
    two.create_topic("t")
    two.faults.call("Produce", lambda request: two.nodes[request.node].stop(), times=None)
    with WireClient(two.nodes[1].address) as client:
        client.send(PRODUCE, 11, produce_request("t", batch(b"x")))
        assert client.is_closed()
    assert two.nodes.up == {2}
    assert two.failures == ()


def test_a_function_may_answer(broker: EmbeddedBroker, client: WireClient) -> None:
    def answer(request: Request) -> Answer:
        partitions = [{"index": 0, "error_code": 0, "base_offset": 41}]
        return Answer({"topics": [{"name": "t", "partitions": partitions}]})

    broker.faults.call("Produce", answer)
    assert client.produce("t", batch(b"x"))["base_offset"] == 41
    assert broker.watermarks("t")[0].high == 0
    broker.faults.reset()
    broker.faults.call("Heartbeat", lambda request: Answer({"error_code": 27}))
    beat = {"group_id": "g", "generation_id": 1, "member_id": "m", "group_instance_id": None}
    assert client.ask(HEARTBEAT, beat) == {"error_code": 27, "throttle_time_ms": 0}


def test_a_function_may_delay(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.faults.call("Produce", lambda request: Delay(0.01), times=1)
    assert codes(client, 1) == [0]


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda request: 1 // 0, "division"),
        (lambda request: "NONE", r"returned 'NONE': return Fail\(\.\.\.\), Answer"),
        (lambda request: Fail("NO_SUCH_ERROR"), "Kafka has no error 'NO_SUCH_ERROR'"),
        (lambda request: Answer({"topics": 3}), "int"),
    ],
)
def test_a_function_that_fails_is_told_when_the_test_ends(
    broker: EmbeddedBroker, client: WireClient, function: object, match: str
) -> None:
    broker.faults.call("Produce", function)
    client.send(PRODUCE, 11, produce_request("t", batch(b"x")))
    assert client.is_closed()
    with pytest.raises(BrokerError, match="function of a fault failed 1 time") as raised:
        broker.recover()
    with pytest.raises(Exception, match=match):
        raise raised.value.__cause__
    broker.recover()
    assert broker.failures == ()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda faults: faults.fail("produce", 7), "speaks no API 'produce'"),
        (lambda faults: faults.fail("Produce", "TIMED_OUT"), "Kafka has no error 'TIMED_OUT'"),
        (lambda faults: faults.fail("Produce", 1000), "Kafka has no error 1000"),
        (lambda faults: faults.delay("Produce", 61), "give 0 to 60 seconds"),
        (lambda faults: faults.delay("Produce", -1), "give 0 to 60 seconds"),
        (lambda faults: faults.drop("Produce", times=0), "times=1 or more"),
        (lambda faults: faults.drop("Produce", skip=-1), "skip=0 or more"),
        (lambda faults: faults.rebalance("g"), "Group 'g' has no members that could rebalance"),
    ],
)
def test_what_cannot_be_a_fault(broker: EmbeddedBroker, make: object, match: str) -> None:
    with pytest.raises(BrokerError, match=match):
        make(broker.faults)
    assert len(broker.faults) == 0


def test_a_fault_says_what_it_is() -> None:
    fault = Fault(RequestFilter(api="Produce"), Drop(), times=2)
    assert "api='Produce'" in repr(fault)
    assert repr(fault).endswith("Drop(), 0 of 2 times)")


# --- recorded requests --------------------------------------------------------------------------------------------


def test_recorded_requests(broker: EmbeddedBroker, client: WireClient) -> None:
    with pytest.raises(BrokerError, match=r"call msk_broker\.record_requests\(\) before"):
        broker.requests()
    codes(client, 1)
    broker.record_requests()
    codes(client, 2, partition=1)
    client.fetch("t", 0)
    assert [request.api for request in broker.requests()] == ["Produce", "Produce", "Fetch"]
    assert len(broker.requests("Produce", topic="t", partition=1)) == 2
    assert broker.requests(partition=0)[0].api == "Fetch"
    assert broker.requests("Produce", client_id="nobody") == ()
    with pytest.raises(BrokerError, match="speaks no API 'Poll'"):
        broker.requests("Poll")
    broker.recover()
    with pytest.raises(BrokerError, match="No requests were recorded"):
        broker.requests()


def test_a_request_that_was_refused_by_a_fault_is_recorded(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.record_requests()
    broker.faults.fail("Produce", 7)
    assert codes(client, 2) == [7, 0]
    assert len(broker.requests("Produce")) == 2


# --- clients ------------------------------------------------------------------------------------------------------


def until(look: object) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.001)  # a thread that spins would hold up the broker's


def read(consumer: object, count: int) -> list[Message]:
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            found.append(message)
    assert len(found) == count
    return found


def test_an_idempotent_producer_writes_once_whatever_crashes(broker: EmbeddedBroker) -> None:
    broker.faults.crash("Produce", skip=1)
    broker.faults.fail("Produce", "NOT_ENOUGH_REPLICAS", skip=3)
    with broker.producer(enable_idempotence=True, retry_backoff_ms=10) as producer:
        for number in range(5):
            producer.produce("t", b"%d" % number, partition=0)
            assert producer.flush(PATIENCE) == 0
    assert [record.value for record in broker.records("t")] == [b"%d" % number for number in range(5)]


def test_a_producer_that_is_not_idempotent_writes_twice(broker: EmbeddedBroker) -> None:
    broker.faults.crash("Produce")
    with broker.producer(retry_backoff_ms=10) as producer:
        producer.produce("t", b"x", partition=0)
        assert producer.flush(PATIENCE) == 0
    assert broker.watermarks("t")[0].high == 2


def test_an_error_that_cannot_be_retried_reaches_the_application(broker: EmbeddedBroker) -> None:
    broker.faults.fail("Produce", "TOPIC_AUTHORIZATION_FAILED")
    errors: list[KafkaError] = []
    with broker.producer() as producer:
        producer.produce("t", b"x", on_delivery=lambda error, _: errors.append(error))
        producer.flush(PATIENCE)
    assert [error.code() for error in errors] == [KafkaError.TOPIC_AUTHORIZATION_FAILED]


def test_a_group_rebalances_now(broker: EmbeddedBroker) -> None:
    assigned: list[int] = []
    consumer = broker.consumer("g")
    consumer.subscribe(["t"], on_assign=lambda _, partitions: assigned.append(len(partitions)))
    until(lambda: consumer.poll(0.01) is None and assigned)
    broker.faults.rebalance("g")
    until(lambda: consumer.poll(0.01) is None and len(assigned) == 2)
    assert assigned == [2, 2]
    consumer.close()


def test_the_commit_of_a_mapping_is_a_request_while_there_are_faults(broker: EmbeddedBroker) -> None:
    with broker.producer() as producer:
        producer.produce("t", b"x", partition=0)
        producer.flush(PATIENCE)
    consumer = broker.consumer("g")
    consumer.subscribe(["t"])
    read(consumer, 1)
    commit = broker.committer(consumer, "g", "t")
    broker.record_requests()
    assert commit({0: 1}) is None
    assert len(broker.requests("OffsetCommit", group="g", topic="t")) == 1
    broker.faults.fail("OffsetCommit", "REBALANCE_IN_PROGRESS", group="g")
    assert commit({0: 1}) is not None
    broker.faults.fail("OffsetCommit", "INVALID_COMMIT_OFFSET_SIZE", group="g")
    with pytest.raises(BrokerError, match="Committing"):
        commit({0: 1})
    consumer.close()
