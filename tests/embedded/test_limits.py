"""What the embedded broker does not do: each entry of the list is as it says, and is said to who asks for it."""

from __future__ import annotations

import google_crc32c
import pytest
from confluent_kafka import KafkaError
from wire_client import NOW, WireClient, batch, fetch_request

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.batch import BatchHeader, encode_batch
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.messages.configs import DESCRIBE_CONFIGS
from pytest_msk.brokers.embedded.messages.groups import CONSUMER_GROUP_HEARTBEAT
from pytest_msk.brokers.embedded.messages.records import FETCH, INIT_PRODUCER_ID
from pytest_msk.brokers.embedded.messages.security import SASL_HANDSHAKE
from pytest_msk.brokers.embedded.messages.transactions import DESCRIBE_TRANSACTIONS, END_TXN
from pytest_msk.brokers.embedded.settings import TOPIC_CONFIGS
from pytest_msk.brokers.security import IamKey, Security
from pytest_msk.clock import VirtualClock
from pytest_msk.errors import BrokerError, NotSupported


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


def test_limit_replication_lag() -> None:
    with EmbeddedBroker(nodes=2) as two:
        two.create_topic("t")
        with WireClient(two.nodes[1].address) as client:
            assert client.produce("t", batch(b"x"), acks=1)["error_code"] == 0
            assert client.fetch("t", 0)["high_watermark"] == 1
        two.nodes[1].stop()
        assert [record.value for record in two.records("t")] == [b"x"]


def test_limit_divergence() -> None:
    with EmbeddedBroker({"unclean.leader.election.enable": "true"}, nodes=2) as two:
        two.create_topic("t")
        two.nodes[2].stop()
        with WireClient(two.nodes[1].address) as client:
            client.produce("t", batch(b"x"))
        two.nodes[1].stop()
        two.nodes[2].start()
        two.nodes[2].stop()
        two.nodes[1].start()
        assert list(two.records("t")) == []


def test_limit_reassignment() -> None:
    assert not {43, 45, 46} & APIS.keys()  # ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments


def test_limit_nearest_replica() -> None:
    with EmbeddedBroker(nodes=2) as two:
        two.create_topic("t")
        with WireClient(two.nodes[1].address) as client:
            client.produce("t", batch(b"x"))
            answer = client.ask(FETCH, {**fetch_request(("t", 0, 0)), "rack_id": "use1-az2"})
        partition = answer["topics"][0]["partitions"][0]
        assert (partition["preferred_read_replica"], bool(partition["records"])) == (-1, True)


def test_limit_tiered_storage(broker: EmbeddedBroker) -> None:
    with pytest.raises(BrokerError, match="Tiered Storage functionality is disabled in the broker"):
        broker.create_topic("t", config={"remote.storage.enable": "true"})
    broker.create_topic("t", config={"local.retention.ms": "1"})
    assert not TOPIC_CONFIGS["local.retention.ms"].acts


def test_limit_fetch_sessions(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t")
    assert client.ask(FETCH, fetch_request(("t", 0, 0), session_epoch=0))["session_id"] == 0
    wanted = fetch_request(("t", 0, 0), session_id=7, session_epoch=1)
    assert client.ask(FETCH, wanted)["error_code"] == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_limit_telemetry() -> None:
    assert not {71, 72} & APIS.keys()  # GetTelemetrySubscriptions, PushTelemetry


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


def test_limit_inside_batches(broker: EmbeddedBroker) -> None:
    broker.create_topic("t")
    good = encode_batch([(NOW, None, b"x", ())])
    head, body = bytearray(good[:61]), b"\x7f" + good[62:]  # a record of 63 bytes, of which 7 are there
    head[17:21] = google_crc32c.value(bytes(head[21:]) + body).to_bytes(4, "big")
    with WireClient(broker.bootstrap_servers) as client:
        assert client.produce("t", bytes(head) + body)["error_code"] == ErrorCode.NONE


def test_limit_documentation(broker: EmbeddedBroker) -> None:
    broker.create_topic("t")
    resource = {"resource_type": 2, "resource_name": "t", "configuration_keys": ["retention.ms"]}
    with WireClient(broker.bootstrap_servers) as client:
        asked = {"resources": [resource], "include_synonyms": False, "include_documentation": True}
        (result,) = client.ask(DESCRIBE_CONFIGS, asked)["results"]
    assert [config["documentation"] for config in result["configs"]] == [None]
