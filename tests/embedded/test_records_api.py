"""Produce, Fetch and ListOffsets, byte by byte; what a client library hides is looked at here."""

from __future__ import annotations

import threading

import pytest
from wire_client import NOW, WireClient, batch, fetch_request

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.batch import records_of
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages.records import (
    FETCH,
    INIT_PRODUCER_ID,
    LIST_OFFSETS,
    OFFSET_FOR_LEADER_EPOCH,
    PRODUCE,
)

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL = -1, -2, -3, -4


@pytest.fixture(autouse=True)
def _the_topic(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", partitions=2)


@pytest.mark.parametrize("version", range(PRODUCE.versions[0], PRODUCE.versions[1] + 1))
@pytest.mark.parametrize("acks", [1, -1])
def test_produce_in_each_version(client: WireClient, broker: EmbeddedBroker, version: int, acks: int) -> None:
    answers = [client.produce("t", batch(b"a", b"b"), acks=acks, version=version) for _ in range(2)]
    assert [(each["error_code"], each["base_offset"]) for each in answers] == [(0, 0), (0, 2)]
    assert [each.value for each in broker.records("t")] == [b"a", b"b"] * 2


@pytest.mark.parametrize("version", range(FETCH.versions[0], FETCH.versions[1] + 1))
def test_fetch_in_each_version(client: WireClient, version: int) -> None:
    client.produce("t", batch(b"a"))
    client.produce("t", batch(b"b"))
    answer = client.ask(FETCH, fetch_request(("t", 0, 1)), version)["topics"][0]["partitions"][0]
    assert (answer["error_code"], answer["high_watermark"], answer["last_stable_offset"]) == (0, 2, 2)
    assert [(each.offset, each.value) for each in records_of(answer["records"])] == [(1, b"b")]


@pytest.mark.parametrize(
    ("topic", "partition", "records", "acks", "code"),
    [
        ("nowhere", 0, batch(b"x"), -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", 2, batch(b"x"), -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", -1, batch(b"x"), -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", 0, batch(b"x"), 2, ErrorCode.INVALID_REQUIRED_ACKS),
        ("t", 0, None, -1, ErrorCode.INVALID_RECORD),
        ("t", 0, b"", -1, ErrorCode.INVALID_RECORD),
        ("t", 0, batch(b"x")[:30], -1, ErrorCode.INVALID_RECORD),
        ("t", 0, batch(b"x")[:-1] + b"y", -1, ErrorCode.CORRUPT_MESSAGE),
        ("t", 0, batch(b"x" * 1_048_600), -1, ErrorCode.MESSAGE_TOO_LARGE),
    ],
    ids=[
        *("unknown topic", "unknown partition", "negative partition", "acks", "null", "empty", "cut off", "changed"),
        "too large",
    ],
)
def test_what_produce_refuses(
    client: WireClient, topic: str, partition: int, records: bytes | None, acks: int, code: ErrorCode
) -> None:
    answer = client.produce(topic, records, partition=partition, acks=acks)
    assert (answer["error_code"], answer["base_offset"]) == (code, -1)
    assert client.produce("t", batch(b"y"))["base_offset"] == 0


def test_zstd_needs_version_7_of_produce(client: WireClient) -> None:
    raw = bytearray(batch(b"x"))
    raw[22] = 4
    assert client.produce("t", bytes(raw), version=6)["error_code"] == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


def test_more_replicas_in_sync_are_not_wanted_than_there_are(client: WireClient, broker: EmbeddedBroker) -> None:
    broker.create_topic("two", config={"min.insync.replicas": "2"})
    assert client.produce("two", batch(b"x"))["error_code"] == ErrorCode.NONE


def test_a_retry_of_an_idempotent_producer_is_written_once(client: WireClient, broker: EmbeddedBroker) -> None:
    ask = {"transactional_id": None, "transaction_timeout_ms": 1000}
    producers = [client.ask(INIT_PRODUCER_ID, ask)["producer_id"] for _ in range(2)]
    assert producers[0] != producers[1]
    raw = batch(b"x", producer_id=producers[0], producer_epoch=0, base_sequence=0)
    assert [client.produce("t", raw)["base_offset"] for _ in range(3)] == [0, 0, 0]
    assert broker.watermarks("t")[0].high == 1


@pytest.mark.parametrize(
    ("topic", "partition", "offset", "code"),
    [
        ("nowhere", 0, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", 5, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", 0, 2, ErrorCode.OFFSET_OUT_OF_RANGE),
        ("t", 0, -1, ErrorCode.OFFSET_OUT_OF_RANGE),
    ],
)
def test_what_fetch_refuses_is_answered_at_once(
    client: WireClient, topic: str, partition: int, offset: int, code: ErrorCode
) -> None:
    client.produce("t", batch(b"x"))
    answer = client.fetch(topic, offset, partition=partition, max_wait_ms=60_000)
    assert (answer["error_code"], answer["high_watermark"], answer["records"]) == (code, -1, b"")


def test_a_leader_epoch_that_does_not_exist(client: WireClient) -> None:
    client.produce("t", batch(b"x"))
    assert client.fetch("t", 0, current_leader_epoch=0)["error_code"] == ErrorCode.NONE
    assert client.fetch("t", 0, current_leader_epoch=1)["error_code"] == ErrorCode.UNKNOWN_LEADER_EPOCH


def test_no_fetch_session_is_ever_opened(client: WireClient) -> None:
    client.produce("t", batch(b"x"))
    first = client.ask(FETCH, fetch_request(("t", 0, 0), session_id=0, session_epoch=0))
    assert (first["error_code"], first["session_id"]) == (0, 0)
    assert first["topics"][0]["partitions"][0]["records"]
    later = client.ask(FETCH, fetch_request(("t", 0, 0), session_id=77, session_epoch=1))
    assert later["error_code"] == ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_limits_of_a_fetch(client: WireClient) -> None:
    size = len(batch(b"x" * 1000))
    for partition in (0, 1):
        for _ in range(3):
            client.produce("t", batch(b"x" * 1000), partition=partition)

    def fetched(**limits: int) -> list[int]:
        answer = client.ask(FETCH, fetch_request(("t", 0, 0), ("t", 1, 0), **limits))
        return [len(topic["partitions"][0]["records"]) // size for topic in answer["topics"]]

    assert fetched() == [3, 3]
    assert fetched(partition_max_bytes=2 * size) == [2, 2]
    assert fetched(max_bytes=4 * size) == [3, 1]
    assert fetched(max_bytes=3 * size) == [3, 0]
    assert fetched(max_bytes=1) == [1, 0]  # the first batch is given whatever its size
    assert fetched(partition_max_bytes=1) == [1, 0]


def test_fetch_max_bytes_is_a_broker_setting_too() -> None:
    with EmbeddedBroker({"fetch.max.bytes": "1024"}) as broker, WireClient(broker.bootstrap_servers) as client:
        broker.create_topic("t")
        for _ in range(3):
            client.produce("t", batch(b"x" * 900))
        assert len(client.fetch("t", 0)["records"]) == len(batch(b"x" * 900))


def test_a_waiting_fetch_is_woken_by_an_append(broker: EmbeddedBroker, client: WireClient) -> None:
    client.send(FETCH, 12, fetch_request(("t", 0, 0), ("t", 1, 0), max_wait_ms=60_000))
    with WireClient(broker.bootstrap_servers) as other:
        other.produce("t", batch(b"x"), partition=1)
    answer = client.receive(FETCH, 12)[1]
    assert [bool(topic["partitions"][0]["records"]) for topic in answer["topics"]] == [False, True]


def test_a_fetch_waits_for_its_min_bytes_and_no_longer_than_max_wait(
    broker: EmbeddedBroker, client: WireClient
) -> None:
    size = len(batch(b"x"))
    client.send(FETCH, 12, fetch_request(("t", 0, 0), max_wait_ms=60_000, min_bytes=3 * size))
    with WireClient(broker.bootstrap_servers) as other:
        for _ in range(3):
            other.produce("t", batch(b"x"))
        records = client.receive(FETCH, 12)[1]["topics"][0]["partitions"][0]["records"]
        assert len(records) == 3 * size
        assert len(other.fetch("t", 0, max_wait_ms=20, min_bytes=4 * size)["records"]) == 3 * size


def test_a_waiting_fetch_hears_that_its_topic_is_deleted(broker: EmbeddedBroker, client: WireClient) -> None:
    client.send(FETCH, 12, fetch_request(("t", 0, 0), max_wait_ms=60_000))
    deleting = threading.Thread(target=broker.delete_topic, args=("t",))
    deleting.start()
    answer = client.receive(FETCH, 12)[1]["topics"][0]["partitions"][0]
    deleting.join()
    assert answer["error_code"] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


@pytest.mark.parametrize("version", range(LIST_OFFSETS.versions[0], LIST_OFFSETS.versions[1] + 1))
def test_list_offsets_in_each_version(client: WireClient, version: int) -> None:
    client.produce("t", batch(b"a", b"b", timestamp=NOW))
    body = {
        "replica_id": -1,
        "isolation_level": 0,
        "topics": [{"name": "t", "partitions": [{"index": 0, "timestamp": NOW + 1}]}],
    }
    answer = client.ask(LIST_OFFSETS, body, version)["topics"][0]["partitions"][0]
    assert (answer["error_code"], answer["offset"], answer["timestamp"]) == (0, 1, NOW + 1)


def test_where_a_log_begins_and_ends(broker: EmbeddedBroker, client: WireClient) -> None:
    def offsets(*timestamps: int) -> list[int]:
        return [client.list_offset("t", timestamp)["offset"] for timestamp in timestamps]

    assert offsets(EARLIEST, LATEST, MAX_TIMESTAMP, EARLIEST_LOCAL, 0) == [0, 0, -1, 0, -1]
    client.produce("t", batch(b"a", b"b", b"c", timestamp=NOW))
    broker.delete_records("t", {0: 1})
    assert offsets(EARLIEST, LATEST, MAX_TIMESTAMP, EARLIEST_LOCAL) == [1, 3, 2, 1]
    assert offsets(0, NOW, NOW + 2, NOW + 3) == [1, 1, 2, -1]


@pytest.mark.parametrize(
    ("topic", "partition", "timestamp", "code"),
    [
        ("nowhere", 0, LATEST, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", 9, LATEST, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("t", 0, -9, ErrorCode.UNSUPPORTED_VERSION),
    ],
)
def test_what_list_offsets_refuses(
    client: WireClient, topic: str, partition: int, timestamp: int, code: ErrorCode
) -> None:
    assert client.list_offset(topic, timestamp, partition=partition)["error_code"] == code


@pytest.mark.parametrize("version", range(2, 5))
def test_the_only_leader_epoch_ends_at_the_end_of_the_log(client: WireClient, version: int) -> None:
    client.produce("t", batch(b"a", b"b"))

    def end(epoch: int) -> tuple[int, int]:
        partition = {"index": 0, "current_leader_epoch": -1, "leader_epoch": epoch}
        body = {"topics": [{"name": "t", "partitions": [partition]}]}
        answer = client.ask(OFFSET_FOR_LEADER_EPOCH, body, version)["topics"][0]["partitions"][0]
        return answer["leader_epoch"], answer["end_offset"]

    assert (end(0), end(1)) == ((0, 2), (-1, -1))
