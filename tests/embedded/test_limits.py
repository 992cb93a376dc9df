"""What the embedded broker does not do: each entry of the list is as it says, and is said to who asks for it."""

from __future__ import annotations

import ssl

import pytest
from confluent_kafka import KafkaError
from wire_client import NOW, WireClient

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.batch import BatchHeader, encode_batch
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.messages.groups import CONSUMER_GROUP_HEARTBEAT
from pytest_msk.brokers.embedded.messages.records import INIT_PRODUCER_ID
from pytest_msk.brokers.embedded.messages.transactions import DESCRIBE_TRANSACTIONS, END_TXN
from pytest_msk.brokers.embedded.settings import TOPIC_CONFIGS
from pytest_msk.clock import VirtualClock
from pytest_msk.errors import BrokerError


def test_the_list_is_complete(broker: EmbeddedBroker) -> None:
    names = {limit.name for limit in broker.limits}
    tested = {
        name.removeprefix("test_limit_").replace("_", " ") for name in globals() if name.startswith("test_limit_")
    }
    assert names == tested
    assert all(limit.reason and limit.instead for limit in broker.limits)


def test_limit_transactions(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t")
    assert END_TXN.versions[1] == 4
    producer = broker.producer(transactional_id="x")
    producer.init_transactions(10)
    epochs = set()
    for _ in range(2):
        producer.begin_transaction()
        producer.produce("t", b"x")
        producer.commit_transaction(10)
        (described,) = client.ask(DESCRIBE_TRANSACTIONS, {"transactional_ids": ["x"]})["transactions"]
        assert described["state"] == "CompleteCommit"  # never PrepareCommit
        epochs.add(described["producer_epoch"])
    assert epochs == {0}


def test_limit_consumer_protocol(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t")
    classic = broker.consumer("g")
    classic.subscribe(["t"])
    while not classic.assignment():
        classic.poll(0.05)
    body = {
        **dict.fromkeys(("instance_id", "rack_id", "subscribed_topic_regex", "server_assignor")),
        "group_id": "g",
        "member_id": "m",
        "member_epoch": 0,
        "rebalance_timeout_ms": 1,
        "subscribed_topic_names": ["t"],
        "topic_partitions": [],
    }
    answer = client.ask(CONSUMER_GROUP_HEARTBEAT, body)
    assert answer["error_code"] == ErrorCode.GROUP_ID_NOT_FOUND
    assert answer["error_message"] == "Group g is not a consumer group."
    assert client.ask(CONSUMER_GROUP_HEARTBEAT, {**body, "group_id": "h"})["error_code"] == 0
    late = broker.consumer("h")
    late.subscribe(["t"])
    message = late.poll(10)
    assert message is not None
    assert message.error().code() == KafkaError.INCONSISTENT_GROUP_PROTOCOL
    assert 76 not in APIS  # share groups


def test_limit_topic_configs(broker: EmbeddedBroker, client: WireClient) -> None:
    (limit,) = (each for each in broker.limits if each.name == "topic configs")
    named = limit.reason.partition(": ")[2].split(", ")
    assert named == sorted(name for name, key in TOPIC_CONFIGS.items() if not key.acts)
    assert "compression.type" in named
    broker.create_topic("t", config={"compression.type": "zstd"})
    client.produce("t", encode_batch([(NOW, b"key", b"value", ())]))
    assert BatchHeader.read(bytes(client.fetch("t", 0)["records"])).codec == 0  # Kafka compresses anew


def test_limit_security(broker: EmbeddedBroker) -> None:
    assert not {17, 36} & APIS.keys()  # SaslHandshake, SaslAuthenticate
    host, port = broker.bootstrap_servers.split(":")
    with pytest.raises(OSError, match=r"."):
        ssl.get_server_certificate((host, int(port)), timeout=5)


def test_limit_replication(broker: EmbeddedBroker) -> None:
    reason = "replication factor of 3 cannot be reached because only 1 broker"
    with EmbeddedBroker({"default.replication.factor": "3"}) as three, pytest.raises(BrokerError, match=reason):
        three.create_topic("t")


def test_limit_segments(broker: EmbeddedBroker, client: WireClient) -> None:
    clock = VirtualClock(NOW)
    broker.use_clock(clock)
    broker.create_topic("t", config={"retention.ms": "1000", "segment.ms": "86400000"})
    for at in (0, 5000):
        client.produce("t", encode_batch([(NOW + at, None, b"x", ())]))
    clock.advance(2)
    assert broker.watermarks("t")[0].low == 1  # Kafka keeps both: they are in one segment


def test_limit_internal_topics(broker: EmbeddedBroker) -> None:
    broker.create_topic("t")
    consumer = broker.consumer("g")
    consumer.subscribe(["t"])
    consumer.poll(0.5)
    assert broker.topics() == {"t"}


def test_limit_quotas(client: WireClient) -> None:
    assert not {48, 49} & APIS.keys()  # DescribeClientQuotas, AlterClientQuotas
    assert (
        client.ask(INIT_PRODUCER_ID, {"transactional_id": None, "transaction_timeout_ms": 1})["throttle_time_ms"] == 0
    )
