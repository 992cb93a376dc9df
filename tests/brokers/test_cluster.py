"""Real Kafka's side of the `Broker` protocol: sentences for refusals, bounds for waits, gaps in logs."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import BrokerError, NotSupported, TopicExists
from pytest_msk.brokers._log import _extend
from pytest_msk.brokers.cluster import KIT_TOPIC_CONFIG, ClusterBroker


class Cluster(ClusterBroker):
    kind = "external"
    limits = ()


@pytest.fixture
def broker(server):
    made = Cluster(server.bootstrap_servers, timeout=10)
    yield made
    made.close()


def test_a_topic_of_the_kit_takes_records_of_any_time_unless_the_caller_says_otherwise(broker):
    broker.create_topic("t")
    broker.create_topic("u", config={"retention.ms": "5"})
    admin = AdminClient(broker.client_config())
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in "tu"]
    kit, callers = (answer.result(10) for answer in admin.describe_configs(resources).values())
    assert {name: kit[name].value for name in KIT_TOPIC_CONFIG} == KIT_TOPIC_CONFIG
    assert callers["retention.ms"].value == "5"


def test_a_setting_of_the_kit_that_the_broker_does_not_know_is_left_out(server):
    broker = Cluster(server.bootstrap_servers, timeout=10, topic_config={"from.the.future": "1", "retention.ms": "-1"})
    broker.create_topic("t")
    assert broker.topics() == {"t"}
    with pytest.raises(BrokerError, match=r"from\.the\.caller"):
        broker.create_topic("u", config={"from.the.caller": "1"})
    broker.close()


def test_a_refusal_says_what_was_asked_of_whom_and_what_was_answered(server, broker):
    with pytest.raises(BrokerError) as raised:
        broker.create_topic("no name", partitions=2)
    text = str(raised.value)
    assert text.startswith("Creating topic 'no name' with 2 partitions on " + server.bootstrap_servers)
    assert text.endswith("(TOPIC_EXCEPTION).")


def test_a_topic_that_exists_says_what_to_do(broker):
    broker.create_topic("t")
    with pytest.raises(TopicExists, match="choose another name"):
        broker.create_topic("t")


def test_a_topic_that_is_not_there_says_so(broker):
    with pytest.raises(BrokerError, match=r"there is no such topic .* Create it first"):
        broker.watermarks("t")


def test_what_the_client_itself_refuses_is_a_broker_error(broker):
    with pytest.raises(BrokerError, match="was not even sent"):
        broker.create_topic("t", partitions=-5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda broker: broker.topics(),
        lambda broker: broker.create_topic("t"),
        lambda broker: broker.delete_topic("t"),
        lambda broker: broker.watermarks("t"),
        lambda broker: broker.groups(),
        lambda broker: broker.committed("g", "t"),
        lambda broker: broker.delete_group("g"),
    ],
)
def test_a_broker_that_is_gone_is_an_error_in_time(server, ask):
    server.close()
    broker = Cluster(server.bootstrap_servers, timeout=0.5, settings={"log_level": 0})
    started = time.monotonic()
    with pytest.raises(BrokerError, match=r"failed: .* It has 0\.5 s to answer \(--msk-timeout\)"):
        ask(broker)
    assert time.monotonic() - started < 5
    broker.close()


def test_a_group_that_keeps_its_members_is_told_after_a_while(server):
    broker = Cluster(server.bootstrap_servers, timeout=0.3)
    broker.create_topic("t")
    consumer = broker.consumer("g")
    consumer.subscribe(["t"])
    while not consumer.assignment():
        consumer.poll(0.05)
    with pytest.raises(BrokerError, match=r"still has members after 0\.3 s\. Close the consumers"):
        broker.delete_group("g")
    broker.close()


def test_new_partitions_are_seen_by_an_administrator_who_knew_the_topic(server, broker):
    broker.create_topic("t")
    broker.watermarks("t")
    server.create_partitions("t", 4)
    assert list(broker.watermarks("t")) == [0, 1, 2, 3]
    server.delete_topic("t")
    server.create_topic("t", partitions=2)
    assert list(broker.watermarks("t")) == [0, 1]


def test_closing_twice_is_no_error_and_a_broker_asked_again_answers(broker):
    broker.create_topic("t")
    broker.close()
    broker.close()
    assert broker.topics() == {"t"}


@given(st.sets(st.integers(0, 60)), st.integers(0, 60), st.integers(1, 7))
def test_ranges_hold_the_offsets_that_came_in_whatever_pieces(offsets, high, size):
    ordered = sorted(offsets)
    ranges = []
    for at in range(0, len(ordered), size):
        _extend(ranges, ordered[at : at + size], high)
    assert [offset for one in ranges for offset in one] == [offset for offset in ordered if offset < high]
    assert all(one.stop < other.start for one, other in pairwise(ranges)), "none touch"


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda broker: broker.faults, "make faults"),
        (lambda broker: broker.nodes, "stop nodes or move leaders"),
        (lambda broker: broker.record_requests(), "record requests"),
        (lambda broker: broker.requests("Produce", topic="t"), "record requests"),
    ],
)
def test_what_only_the_embedded_broker_can_do_is_refused_with_a_sentence(broker, ask, what):
    with pytest.raises(NotSupported, match=rf"The external broker cannot {what}: .* --msk-broker=embedded\."):
        ask(broker)
    broker.recover()
