"""What the embedded broker does not do: each entry of the list is as it says, and is said to who asks for it."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from wire_client import NOW, WireClient

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.batch import encode_batch
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.messages.groups import CONSUMER_GROUP_HEARTBEAT
from pytest_msk.brokers.embedded.messages.records import INIT_PRODUCER_ID
from pytest_msk.brokers.embedded.messages.security import SASL_HANDSHAKE
from pytest_msk.brokers.security import IamKey, Security
from pytest_msk.clock import VirtualClock
from pytest_msk.errors import BrokerError, NotSupported

QUIET = {"log_level": 0}


def test_the_list_is_complete(broker: EmbeddedBroker) -> None:
    names = {limit.name for limit in broker.limits}
    tested = {
        name.removeprefix("test_limit_").replace("_", " ") for name in globals() if name.startswith("test_limit_")
    }
    assert names == tested
    assert all(limit.reason and limit.instead for limit in broker.limits)


def test_limit_transactions(broker: EmbeddedBroker, client: WireClient) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": "x", **QUIET})
    with pytest.raises(KafkaException, match="The embedded broker has no transactions: run this test on a container"):
        producer.init_transactions(10)
    answer = client.ask(INIT_PRODUCER_ID, {"transactional_id": "x", "transaction_timeout_ms": 1000})
    assert answer["error_code"] == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_limit_compaction(broker: EmbeddedBroker, client: WireClient) -> None:
    clock = VirtualClock(NOW)
    broker.use_clock(clock)
    broker.create_topic("t", config={"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"})
    for value in (b"old", b"new"):
        client.produce("t", encode_batch([(NOW, b"key", value, ())]))
    clock.advance(30 * 24 * 3600)
    assert [each.value for each in broker.records("t")] == [b"old", b"new"]
    refused = client.produce("t", encode_batch([(NOW, None, b"no key", ())]))
    assert refused["error_code"] == ErrorCode.INVALID_RECORD


def test_limit_consumer_protocol(broker: EmbeddedBroker, client: WireClient) -> None:
    settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "g", "group.protocol": "consumer", **QUIET}
    consumer = Consumer(settings)
    consumer.subscribe(["t"])
    message = consumer.poll(10)
    assert message is not None
    assert message.error().code() == KafkaError._FATAL
    consumer.close()
    body = {
        **dict.fromkeys(("instance_id", "rack_id", "subscribed_topic_names", "server_assignor", "topic_partitions")),
        "subscribed_topic_regex": None,
        "group_id": "g",
        "member_id": "m",
        "member_epoch": 0,
        "rebalance_timeout_ms": 1,
    }
    answer = client.ask(CONSUMER_GROUP_HEARTBEAT, body)
    assert answer["error_code"] == ErrorCode.UNSUPPORTED_VERSION
    assert "group.protocol=classic" in answer["error_message"]
    assert 76 not in APIS  # share groups


def test_limit_mechanisms(broker: EmbeddedBroker) -> None:
    with WireClient(broker.bootstrap_servers_for("iam"), tls=True) as client:
        answer = client.ask(SASL_HANDSHAKE, {"mechanism": "AWS_MSK_IAM"})
        assert answer == {"error_code": ErrorCode.UNSUPPORTED_SASL_MECHANISM, "mechanisms": ["OAUTHBEARER"]}
    assert not {38, 39, 40, 41} & APIS.keys()  # delegation tokens


def test_limit_conditions() -> None:
    statement = {"Effect": "Allow", "Action": "kafka-cluster:*", "Resource": "*", "Condition": {}}
    key = IamKey(access_key_id="k", secret_access_key="s", policy={"Statement": statement})
    with pytest.raises(NotSupported, match="conditions are not evaluated"):
        EmbeddedBroker(security=Security(iam_keys=[key]))


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
