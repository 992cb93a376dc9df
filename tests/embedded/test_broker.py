"""The broker's Python face: what a test asks of it, and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wire_client import WireClient, batch

from pytest_msk.brokers import Watermarks
from pytest_msk.brokers.cluster import KIT_TOPIC_CONFIG
from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.messages.groups import OFFSET_COMMIT
from pytest_msk.brokers.embedded.messages.records import PRODUCE
from pytest_msk.clock import VirtualClock
from pytest_msk.errors import BrokerError

if TYPE_CHECKING:
    from pytest_msk.brokers import Broker

START = 1_700_000_000_000
DAY = 24 * 3600


def commit(client: WireClient, group: str, topic: str, offsets: dict[int, int]) -> None:
    partitions = [{"index": at, "offset": offset, "metadata": ""} for at, offset in offsets.items()]
    body = {
        "group_id": group,
        "generation_id": -1,
        "member_id": "",
        "group_instance_id": None,
        "topics": [{"name": topic, "partitions": partitions}],
    }
    answer = client.ask(OFFSET_COMMIT, body)
    assert {each["error_code"] for each in answer["topics"][0]["partitions"]} == {0}


def test_it_is_a_broker_as_the_kit_sees_it(broker: EmbeddedBroker) -> None:
    as_protocol: Broker = broker
    assert as_protocol.kind == "embedded"
    assert as_protocol.bootstrap_servers.startswith("127.0.0.1:")


def test_topics(broker: EmbeddedBroker) -> None:
    assert broker.topics() == frozenset()
    broker.create_topic("a")
    broker.create_topic("b", partitions=3)
    assert broker.topics() == {"a", "b"}
    assert [broker.partition_count(name) for name in ("a", "b", "c")] == [1, 3, 0]
    broker.create_partitions("a", 2)
    assert broker.partition_count("a") == 2
    with pytest.raises(BrokerError, match="Topic already has 2 partition"):
        broker.create_partitions("a", 2)
    with pytest.raises(BrokerError, match="no topic 'c' on the embedded broker; its topics are: a, b"):
        broker.create_partitions("c", 2)
    broker.delete_topic("a")
    broker.delete_topic("a")
    assert broker.topics() == {"b"}


def test_the_kits_topics_are_the_same_on_every_broker(broker: EmbeddedBroker) -> None:
    broker.create_topic("t")
    broker.create_topic("u", config={"retention.ms": "5"})
    assert broker._node.topic("t").configs == dict(KIT_TOPIC_CONFIG)
    assert broker._node.topic("u").configs == {**KIT_TOPIC_CONFIG, "retention.ms": "5"}


@pytest.mark.parametrize("name", ["log.retention.ms", "log.retention.minutes", "log.retention.hours"])
def test_a_retention_of_the_brokers_holds_for_the_kits_topics(name: str) -> None:
    with EmbeddedBroker({name: "1"}) as broker:
        broker.create_topic("t")
        assert broker._node.topic("t").configs.keys() == {"message.timestamp.after.max.ms"}


def test_a_topic_made_again_is_empty(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t")
    client.produce("t", batch(b"x", timestamp=START))
    commit(client, "g", "t", {0: 1})
    broker.delete_topic("t")
    broker.create_topic("t")
    assert broker.watermarks("t") == {0: Watermarks(low=0, high=0)}
    assert broker.committed("g", "t") == {}


def test_logs(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t", partitions=2, config={"retention.ms": "-1"})
    client.produce("t", batch(b"a", b"b", b"c", timestamp=START), partition=1)
    assert broker.watermarks("t") == {0: Watermarks(low=0, high=0), 1: Watermarks(low=0, high=3)}
    assert broker.offsets("t") == {0: (), 1: (range(3),)}
    assert broker.offsets_for_time("t", START + 1) == {0: 0, 1: 1}
    assert broker.offsets_for_time("t", START + 9) == {0: 0, 1: 3}
    broker.delete_records("t", {1: 2})
    assert broker.watermarks("t")[1] == Watermarks(low=2, high=3)
    assert [(each.offset, each.value) for each in broker.records("t", 1)] == [(2, b"c")]
    broker.delete_records("t", {0: -1, 1: -1})
    assert broker.offsets("t") == {0: (), 1: ()}


def test_what_cannot_be_asked_of_a_log(broker: EmbeddedBroker) -> None:
    broker.create_topic("t")
    for ask in (
        lambda: broker.watermarks("nowhere"),
        lambda: broker.offsets("nowhere"),
        lambda: broker.offsets_for_time("nowhere", 0),
        lambda: broker.delete_records("nowhere", {0: 0}),
        lambda: broker.delete_records("t", {1: 0}),
        lambda: broker.delete_records("t", {0: 1}),
        lambda: broker.records("t", 1),
    ):
        with pytest.raises(BrokerError):
            ask()


def test_groups(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t", partitions=3)
    broker.create_topic("u")
    commit(client, "g", "t", {0: 5, 2: 7})
    assert broker.groups() == {"g"}
    assert broker.committed("g", "t") == {0: 5, 2: 7}
    assert broker.committed("g", "u") == broker.committed("h", "t") == {}
    assert broker.describe_group("g").state.value == "Empty"
    assert broker.describe_group("h").state.value == "Dead"
    broker.delete_group("g")
    broker.delete_group("g")
    assert broker.groups() == frozenset()


def test_a_closed_broker_says_so(broker: EmbeddedBroker) -> None:
    broker.close()
    with pytest.raises(BrokerError, match="is closed"):
        broker.topics()


def test_retention_follows_the_tests_clock_at_once(broker: EmbeddedBroker, client: WireClient) -> None:
    clock = VirtualClock(START)
    broker.use_clock(clock)
    broker.create_topic("week", config={"retention.ms": str(7 * DAY * 1000)})
    broker.create_topic("for.ever", config={"retention.ms": "-1"})
    broker.create_topic("small", config={"retention.ms": "-1", "retention.bytes": "1"})
    for topic in broker.topics():
        client.produce(topic, batch(b"a", timestamp=START))
        client.produce(topic, batch(b"b", timestamp=START + 1000 * DAY))
    clock.advance(7 * DAY)
    low = {topic: broker.watermarks(topic)[0].low for topic in broker.topics()}
    assert low == {"week": 0, "for.ever": 0, "small": 1}
    clock.advance(0.001)
    assert broker.watermarks("week")[0].low == 1
    clock.advance(DAY)
    assert broker.watermarks("week") == {0: Watermarks(low=2, high=2)}
    assert broker.watermarks("for.ever") == {0: Watermarks(low=0, high=2)}


def test_committed_offsets_expire_by_the_tests_clock(client: WireClient, broker: EmbeddedBroker) -> None:
    clock = VirtualClock(START)
    broker.use_clock(clock)
    broker.create_topic("t")
    commit(client, "g", "t", {0: 1})
    clock.advance(7 * DAY - 1)
    assert broker.committed("g", "t") == {0: 1}
    clock.advance(1)
    assert broker.committed("g", "t") == {}
    assert broker.groups() == frozenset()


def test_a_clock_that_was_replaced_is_not_listened_to(broker: EmbeddedBroker, client: WireClient) -> None:
    old, new = VirtualClock(START), VirtualClock(START)
    broker.use_clock(old)
    broker.use_clock(new)
    broker.create_topic("t", config={"retention.ms": "1000"})
    client.produce("t", batch(b"a", timestamp=START))
    old.advance(DAY)
    assert broker.watermarks("t")[0].low == 0
    new.advance(DAY)
    assert broker.watermarks("t")[0].low == 1
    broker.close()
    new.advance(DAY)  # a closed broker hears no clock


def test_log_append_time_is_the_tests_time(client: WireClient, broker: EmbeddedBroker) -> None:
    broker.use_clock(VirtualClock(START))
    broker.create_topic("t", config={"message.timestamp.type": "LogAppendTime"})
    assert client.produce("t", batch(b"a"))["log_append_time_ms"] == START
    assert next(broker.records("t")).timestamp == START


def test_the_machines_time_is_never_too_late(client: WireClient, broker: EmbeddedBroker) -> None:
    """Clients stamp records with the machine's time, also when the test's clock stands years before it."""
    broker.use_clock(VirtualClock(START))
    broker.create_topic("t", config={"message.timestamp.after.max.ms": "3600000"})
    now = broker._cluster._real.now_ms()
    assert client.produce("t", batch(b"a", timestamp=now))["error_code"] == 0
    later = client.produce("t", batch(b"a", timestamp=now + 7_200_000))
    assert later["error_code"] == 32
    assert [each["batch_index"] for each in later["record_errors"]] == [0]


def test_retention_by_the_machines_clock_is_checked_now_and_then() -> None:
    with EmbeddedBroker({"log.retention.check.interval.ms": "20", "log.retention.ms": "1"}) as broker:
        broker.create_topic("t")
        with WireClient(broker.bootstrap_servers) as client:
            client.produce("t", batch(b"a", timestamp=START))
            for _ in range(1000):
                if broker.watermarks("t")[0].low == 1:
                    break
                client.ask(PRODUCE, {"transactional_id": None, "acks": 1, "timeout_ms": 0, "topics": []})
        assert broker.watermarks("t")[0].low == 1
