"""The requests of transactions and of the consumer protocol, byte by byte and in each version."""

from __future__ import annotations

import threading

import pytest
from wire_client import NOW, WireClient, batch, fetch_request, produce_request

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.batch import BatchHeader, records_of
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages.groups import (
    CONSUMER_GROUP_DESCRIBE,
    CONSUMER_GROUP_HEARTBEAT,
    DESCRIBE_GROUPS,
    LIST_GROUPS,
    OFFSET_FETCH,
)
from pytest_msk.brokers.embedded.messages.metadata import FIND_COORDINATOR
from pytest_msk.brokers.embedded.messages.records import FETCH, INIT_PRODUCER_ID, LIST_OFFSETS, PRODUCE
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
from pytest_msk.brokers.embedded.wire import Api, Struct
from pytest_msk.clock import VirtualClock


def versions(api: Api) -> range:
    return range(api.versions[0], api.versions[1] + 1)


class Transactional:
    """A transactional producer, request by request."""

    def __init__(self, client: WireClient, name: str = "x", *, timeout_ms: int = 60_000) -> None:
        self.client, self.name, self.sequence = client, name, 0
        asked = {"transactional_id": name, "transaction_timeout_ms": timeout_ms}
        answer = client.ask(INIT_PRODUCER_ID, asked)
        assert answer["error_code"] == 0
        self.id, self.epoch = answer["producer_id"], answer["producer_epoch"]

    @property
    def who(self) -> Struct:
        return {"transactional_id": self.name, "producer_id": self.id, "producer_epoch": self.epoch}

    def add(self, *indexes: int, topic: str = "t", version: int | None = None) -> list[int]:
        body = {**self.who, "topics": [{"name": topic, "partitions": list(indexes or (0,))}]}
        answer = self.client.ask(ADD_PARTITIONS_TO_TXN, body, version)
        return [each["error_code"] for each in answer["topics"][0]["partitions"]]

    def produce(self, *values: bytes, version: int | None = None, name: str | None = "same") -> Struct:
        raw = batch(
            *values, producer_id=self.id, producer_epoch=self.epoch, base_sequence=self.sequence, attributes=0x10
        )
        body = {**produce_request("t", raw), "transactional_id": self.name if name == "same" else name}
        answer = self.client.ask(PRODUCE, body, version)["topics"][0]["partitions"][0]
        self.sequence += 0 if answer["error_code"] else len(values)
        return answer

    def end(self, *, commit: bool = True, version: int | None = None) -> int:
        return int(self.client.ask(END_TXN, {**self.who, "committed": commit}, version)["error_code"])

    def add_offsets(self, group: str = "g", version: int | None = None) -> int:
        return int(self.client.ask(ADD_OFFSETS_TO_TXN, {**self.who, "group_id": group}, version)["error_code"])

    def commit_offset(self, offset: int, *, index: int = 0, version: int | None = None, **member: object) -> int:
        place = {"index": index, "offset": offset, "leader_epoch": -1, "metadata": "m"}
        body = {
            **self.who,
            "group_id": "g",
            "generation_id": -1,
            "member_id": "",
            "group_instance_id": None,
            "topics": [{"name": "t", "partitions": [place]}],
            **member,
        }
        answer = self.client.ask(TXN_OFFSET_COMMIT, body, version)
        return int(answer["topics"][0]["partitions"][0]["error_code"])


@pytest.fixture(autouse=True)
def _the_topic(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", partitions=2)


@pytest.fixture
def producer(client: WireClient) -> Transactional:
    return Transactional(client)


def read(client: WireClient, offset: int = 0, *, isolation: int = 1, **fields: int) -> Struct:
    return client.fetch("t", offset, isolation_level=isolation, **fields)


def stable(client: WireClient, group: str = "g", *, require: bool = True) -> tuple[int, int]:
    body = {
        "groups": [{"group_id": group, "member_id": None, "topics": [{"name": "t", "partitions": [0]}]}],
        "require_stable": require,
    }
    answer = client.ask(OFFSET_FETCH, body)["groups"][0]["topics"][0]["partitions"][0]
    return answer["error_code"], answer["offset"]


@pytest.mark.parametrize("version", versions(END_TXN))
def test_a_committed_transaction_in_each_version(
    broker: EmbeddedBroker, producer: Transactional, client: WireClient, version: int
) -> None:
    assert producer.add(0, 1, version=min(version, 3)) == [0, 0]
    assert producer.produce(b"a", b"b")["base_offset"] == 0
    assert producer.end(version=version) == 0
    assert broker.offsets("t") == {0: (range(2),), 1: ()}
    assert {at: marks.high for at, marks in broker.watermarks("t").items()} == {0: 3, 1: 1}
    answer = read(client)
    data, marker = _batches(bytes(answer["records"]))
    assert (answer["aborted_transactions"], answer["last_stable_offset"]) == ([], 3)
    assert [each.value for each in records_of(data)] == [b"a", b"b"]
    header = BatchHeader.read(marker)
    assert (header.control, header.transactional, header.producer_id) == (True, True, producer.id)
    assert [(each.offset, each.key, each.value) for each in records_of(marker)] == [
        (2, b"\0\0\0\x01", b"\0\0\0\0\0\0"),
    ]


@pytest.mark.parametrize("version", versions(FETCH))
def test_an_aborted_transaction_is_named_to_committed_readers_only(
    producer: Transactional, client: WireClient, version: int
) -> None:
    producer.add(0)
    producer.produce(b"a")
    client.produce("t", batch(b"plain"))
    producer.end(commit=False)
    answers = [
        client.ask(FETCH, fetch_request(("t", 0, 0), isolation_level=level), version)["topics"][0]["partitions"][0]
        for level in (0, 1)
    ]
    assert [each["aborted_transactions"] for each in answers] == [
        None,
        [{"producer_id": producer.id, "first_offset": 0}],
    ]
    assert bytes(answers[0]["records"]) == bytes(answers[1]["records"])
    assert [each["last_stable_offset"] for each in answers] == [3, 3]
    assert read(client, 3)["aborted_transactions"] == []


def test_an_open_transaction_ends_the_view_of_committed_readers(producer: Transactional, client: WireClient) -> None:
    client.produce("t", batch(b"before"))
    producer.add(0)
    producer.produce(b"open")
    client.produce("t", batch(b"behind"))
    answer = read(client)
    assert (answer["high_watermark"], answer["last_stable_offset"]) == (3, 1)
    assert [each.value for raw in _batches(bytes(answer["records"])) for each in records_of(raw)] == [b"before"]
    assert len(_batches(bytes(read(client, isolation=0)["records"]))) == 3
    assert bytes(read(client, 1)["records"]) == b""
    assert read(client, 3)["error_code"] == 0
    assert read(client, 4)["error_code"] == ErrorCode.OFFSET_OUT_OF_RANGE


def test_a_committed_reader_that_waits_is_woken_by_the_end_of_a_transaction(
    broker: EmbeddedBroker, client: WireClient
) -> None:
    with WireClient(broker.bootstrap_servers) as waiting:
        producer = Transactional(client)
        producer.add(0)
        found: list[Struct] = []
        ask = fetch_request(("t", 0, 0), isolation_level=1, max_wait_ms=4_000)
        reader = threading.Thread(target=lambda: found.append(waiting.ask(FETCH, ask)))
        reader.start()
        producer.produce(b"a")
        producer.produce(b"b")
        assert not found
        producer.end()
        reader.join(5)
    records = found[0]["topics"][0]["partitions"][0]["records"]
    assert len(_batches(bytes(records))) == 3


def test_a_committed_reader_that_waits_in_vain_is_answered_in_time(producer: Transactional, client: WireClient) -> None:
    producer.add(0)
    producer.produce(b"a")
    answer = read(client, max_wait_ms=60)
    assert (answer["error_code"], bytes(answer["records"])) == (0, b"")


@pytest.mark.parametrize("version", range(2, LIST_OFFSETS.versions[1] + 1))
def test_list_offsets_of_committed_readers_ends_at_the_last_stable_offset(
    producer: Transactional, client: WireClient, version: int
) -> None:
    client.produce("t", batch(b"before"))
    producer.add(0)
    producer.produce(b"open")
    found = {}
    for level in (0, 1):
        for timestamp in (-1, -2, NOW, NOW + 1):
            places = [{"index": 0, "timestamp": timestamp, "current_leader_epoch": -1}]
            body = {
                "replica_id": -1,
                "isolation_level": level,
                "topics": [{"name": "t", "partitions": places}],
            }
            answer = client.ask(LIST_OFFSETS, body, version)["topics"][0]["partitions"][0]
            found[level, timestamp] = answer["offset"]
    assert [found[0, at] for at in (-1, -2, NOW, NOW + 1)] == [2, 0, 0, -1]
    assert [found[1, at] for at in (-1, -2, NOW, NOW + 1)] == [1, 0, 0, -1]


# --- what is refused


def test_a_transactional_batch_without_a_transactional_id(producer: Transactional, client: WireClient) -> None:
    producer.add(0)
    assert producer.produce(b"a", name=None)["error_code"] == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


@pytest.mark.parametrize("version", versions(PRODUCE))
def test_a_partition_that_was_not_added(producer: Transactional, version: int) -> None:
    producer.add(1)
    answer = producer.produce(b"a", version=version)
    assert answer["error_code"] == (ErrorCode.TRANSACTION_ABORTABLE if version >= 11 else ErrorCode.INVALID_TXN_STATE)
    assert answer["base_offset"] == -1


def test_unknown_partitions_add_none(producer: Transactional, client: WireClient) -> None:
    assert producer.add(0, 2) == [ErrorCode.OPERATION_NOT_ATTEMPTED, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
    assert producer.produce(b"a")["error_code"] == ErrorCode.TRANSACTION_ABORTABLE


def test_a_plain_batch_inside_the_producers_own_transaction(producer: Transactional, client: WireClient) -> None:
    producer.add(0)
    producer.produce(b"a")
    plain = batch(b"b", producer_id=producer.id, producer_epoch=producer.epoch, base_sequence=1)
    assert client.produce("t", plain)["error_code"] == ErrorCode.INVALID_TXN_STATE


@pytest.mark.parametrize(("version", "code"), [(0, ErrorCode.INVALID_PRODUCER_EPOCH), (2, ErrorCode.PRODUCER_FENCED)])
def test_old_clients_are_not_told_of_fencing_by_its_name(client: WireClient, version: int, code: ErrorCode) -> None:
    old = Transactional(client)
    Transactional(client)
    assert old.add(0, version=version) == [code]
    assert old.add_offsets(version=version) == code
    assert old.end(version=version) == code
    assert old.produce(b"a")["error_code"] == ErrorCode.INVALID_PRODUCER_EPOCH


@pytest.mark.parametrize("version", versions(INIT_PRODUCER_ID))
def test_init_producer_id_in_each_version(client: WireClient, version: int) -> None:
    asked = {"transactional_id": "x", "transaction_timeout_ms": 1000}
    answers = [client.ask(INIT_PRODUCER_ID, asked, version) for _ in range(2)]
    assert [each["producer_epoch"] for each in answers] == [0, 1]
    assert answers[0]["producer_id"] == answers[1]["producer_id"]
    too_long = client.ask(INIT_PRODUCER_ID, {**asked, "transaction_timeout_ms": 900_001}, version)
    assert (too_long["error_code"], too_long["producer_id"]) == (ErrorCode.INVALID_TRANSACTION_TIMEOUT, -1)
    if version >= 3:
        known = {"producer_id": answers[0]["producer_id"], "producer_epoch": 0}
        fenced = client.ask(INIT_PRODUCER_ID, {**asked, **known}, version)["error_code"]
        assert fenced == (ErrorCode.PRODUCER_FENCED if version >= 4 else ErrorCode.INVALID_PRODUCER_EPOCH)
        half = client.ask(INIT_PRODUCER_ID, {**asked, "producer_id": 7}, version)["error_code"]
        assert half == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", versions(FIND_COORDINATOR))
def test_the_coordinator_of_a_transactional_id(broker: EmbeddedBroker, client: WireClient, version: int) -> None:
    answer = client.ask(
        FIND_COORDINATOR, {"key": "x", "key_type": int(version > 0), "coordinator_keys": ["x"]}, version
    )
    found = answer if version < 4 else answer["coordinators"][0]
    assert (found["error_code"], f"{found['host']}:{found['port']}") == (0, broker.bootstrap_servers)


# --- offsets in a transaction


@pytest.mark.parametrize("version", versions(TXN_OFFSET_COMMIT))
@pytest.mark.parametrize("commit", [True, False])
def test_offsets_count_when_their_transaction_is_committed(
    broker: EmbeddedBroker, producer: Transactional, client: WireClient, version: int, commit: bool
) -> None:
    assert producer.add_offsets(version=version) == 0
    assert producer.commit_offset(5, version=version) == 0
    assert producer.commit_offset(5, index=9, version=version) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert stable(client) == (ErrorCode.UNSTABLE_OFFSET_COMMIT, -1)
    assert stable(client, require=False) == (0, -1)
    assert broker.committed("g", "t") == {}
    assert producer.end(commit=commit) == 0
    assert stable(client) == (0, 5 if commit else -1)


def test_a_newer_commit_is_not_replaced_by_the_end_of_a_transaction(
    broker: EmbeddedBroker, producer: Transactional
) -> None:
    producer.add_offsets()
    producer.commit_offset(5)
    consumer = broker.consumer("g")
    from confluent_kafka import TopicPartition

    consumer.commit(offsets=[TopicPartition("t", 0, 9)], asynchronous=False)
    producer.end()
    assert broker.committed("g", "t") == {0: 9}


@pytest.mark.parametrize(("version", "code"), [(3, ErrorCode.INVALID_TXN_STATE), (4, ErrorCode.TRANSACTION_ABORTABLE)])
def test_offsets_of_a_group_that_was_not_added(producer: Transactional, version: int, code: ErrorCode) -> None:
    assert producer.commit_offset(5, version=version) == code


def test_offsets_of_a_member_that_is_none(producer: Transactional, client: WireClient) -> None:
    producer.add_offsets()
    assert producer.commit_offset(5, generation_id=3, member_id="m") == ErrorCode.ILLEGAL_GENERATION
    assert producer.commit_offset(5) == 0
    assert producer.commit_offset(5, generation_id=3, member_id="m") == ErrorCode.UNKNOWN_MEMBER_ID


# --- the clock


def test_a_transaction_that_takes_too_long_is_aborted_by_the_clock(broker: EmbeddedBroker, client: WireClient) -> None:
    clock = VirtualClock(NOW)
    broker.use_clock(clock)
    producer = Transactional(client, timeout_ms=10_000)
    producer.add(0)
    producer.produce(b"a")
    producer.add_offsets()
    producer.commit_offset(5)
    clock.advance(10)
    assert broker.transactions()[0].state.value == "Ongoing"
    clock.advance(0.001)
    assert broker.transactions()[0].state.value == "CompleteAbort"
    assert broker.watermarks("t")[0].high == 2
    assert read(client)["last_stable_offset"] == 2
    assert stable(client) == (0, -1)
    assert producer.end() == ErrorCode.PRODUCER_FENCED
    assert producer.produce(b"b")["error_code"] == ErrorCode.INVALID_PRODUCER_EPOCH


def test_in_real_time_transactions_are_looked_at_again_and_again() -> None:
    interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
    with EmbeddedBroker({interval: "5"}) as broker, WireClient(broker.bootstrap_servers) as client:
        broker.create_topic("t")
        producer = Transactional(client, timeout_ms=1)
        producer.add(0)
        while broker.transactions()[0].state.value == "Ongoing":
            read(client, max_wait_ms=5)
        assert broker.watermarks("t")[0].high == 1


def test_offsets_that_a_transaction_may_replace_do_not_expire(broker: EmbeddedBroker, client: WireClient) -> None:
    clock = VirtualClock(NOW)
    broker.use_clock(clock)
    producer = Transactional(client, timeout_ms=900_000)
    producer.add_offsets()
    producer.commit_offset(5)
    assert broker.groups() == {"g"}
    clock.advance(800)
    assert broker.groups() == {"g"}
    producer.end()
    clock.advance(7 * 24 * 3600)
    assert broker.groups() == frozenset()


# --- administration


def test_transactions_are_described_and_listed(producer: Transactional, client: WireClient) -> None:
    producer.add(0, 1)
    found, unknown, empty = client.ask(DESCRIBE_TRANSACTIONS, {"transactional_ids": ["x", "y", ""]})["transactions"]
    assert (found["state"], found["timeout_ms"], found["topics"]) == (
        "Ongoing",
        60_000,
        [{"name": "t", "partitions": [0, 1]}],
    )
    assert unknown["error_code"] == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
    assert empty["error_code"] == ErrorCode.INVALID_REQUEST
    Transactional(client, "other")

    def listed(**filters: object) -> list[str]:
        body = {"state_filters": [], "producer_id_filters": [], "duration_filter_ms": -1, **filters}
        return [each["transactional_id"] for each in client.ask(LIST_TRANSACTIONS, body)["transactions"]]

    assert listed() == ["x", "other"]
    assert listed(state_filters=["Empty"]) == ["other"]
    assert listed(producer_id_filters=[producer.id]) == ["x"]
    assert listed(duration_filter_ms=3_600_000) == []
    body = {"state_filters": ["Odd", "Empty"], "producer_id_filters": []}
    assert client.ask(LIST_TRANSACTIONS, body, 0)["unknown_state_filters"] == ["Odd"]


def test_a_hanging_transaction_is_found_and_ended_by_an_administrator(
    producer: Transactional, client: WireClient
) -> None:
    producer.add(0)
    producer.produce(b"a", b"b")
    places = {"topics": [{"name": "t", "partitions": [0, 7]}]}
    known, unknown = client.ask(DESCRIBE_PRODUCERS, places)["topics"][0]["partitions"]
    assert unknown["error_code"] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    (active,) = known["producers"]
    assert (active["producer_id"], active["last_sequence"], active["transaction_start_offset"]) == (producer.id, 1, 0)
    marker = {"producer_id": producer.id, "producer_epoch": 0, "committed": False, "coordinator_epoch": 0, **places}
    answer = client.ask(WRITE_TXN_MARKERS, {"markers": [marker, {**marker, "producer_epoch": -1}]})["markers"]
    assert [[each["error_code"] for each in one["topics"][0]["partitions"]] for one in answer] == [
        [ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
        [ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    ]
    assert read(client)["last_stable_offset"] == 3


# --- the consumer protocol


def heartbeat(client: WireClient, version: int = 1, **fields: object) -> Struct:
    body = {
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
        **fields,
    }
    return client.ask(CONSUMER_GROUP_HEARTBEAT, body, version)


@pytest.mark.parametrize("version", versions(CONSUMER_GROUP_HEARTBEAT))
def test_a_member_joins_and_leaves_in_each_version(client: WireClient, version: int) -> None:
    joined = heartbeat(client, version)
    assert (joined["error_code"], joined["member_id"], joined["member_epoch"]) == (0, "m", 1)
    (topic,) = joined["assignment"]["topic_partitions"]
    assert topic["partitions"] == [0, 1]
    unchanged = {"rebalance_timeout_ms": -1, "subscribed_topic_names": None, "topic_partitions": None}
    assert heartbeat(client, version, member_epoch=1, **unchanged)["assignment"] is None
    assert heartbeat(client, version, member_epoch=-1, **unchanged)["member_epoch"] == -1
    again = heartbeat(client, version, member_epoch=1, **unchanged)
    assert (again["error_code"], again["error_message"]) == (
        ErrorCode.UNKNOWN_MEMBER_ID,
        "Member m is not a member of group g.",
    )


def test_before_version_1_the_coordinator_makes_the_member_id(client: WireClient) -> None:
    assert len(heartbeat(client, 0, member_id="")["member_id"]) == 36
    assert heartbeat(client, 1, member_id="")["error_code"] == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", versions(CONSUMER_GROUP_DESCRIBE))
def test_a_group_is_described_in_each_version(broker: EmbeddedBroker, client: WireClient, version: int) -> None:
    heartbeat(client, server_assignor="range", instance_id="i")
    body = {"group_ids": ["g", "none"], "include_authorized_operations": True}
    found, unknown = client.ask(CONSUMER_GROUP_DESCRIBE, body, version)["groups"]
    assert (found["group_state"], found["group_epoch"], found["assignor_name"]) == ("Stable", 1, "range")
    (member,) = found["members"]
    assert (member["instance_id"], member["member_epoch"], member["subscribed_topic_names"]) == ("i", 1, ["t"])
    assert member["assignment"] == member["target_assignment"]
    assert member["assignment"]["topic_partitions"][0]["topic_name"] == "t"
    assert (unknown["error_code"], unknown["error_message"]) == (
        ErrorCode.GROUP_ID_NOT_FOUND,
        "Group none not found.",
    )
    (classic,) = client.ask(DESCRIBE_GROUPS, {"groups": ["g"], "include_authorized_operations": False})["groups"]
    assert classic["error_code"] == ErrorCode.GROUP_ID_NOT_FOUND
    listed = client.ask(LIST_GROUPS, {"states_filter": [], "types_filter": ["Consumer"]})["groups"]
    assert [(each["group_id"], each["group_state"], each["group_type"]) for each in listed] == [
        ("g", "Stable", "consumer")
    ]
    described = broker.describe_group("g")
    assert described.members[0].partitions == {("t", 0), ("t", 1)}
    assert described.members[0].topics == {"t"}


def _batches(data: bytes) -> list[bytes]:
    found = []
    while data:
        end = 12 + BatchHeader.read(data).length
        found.append(data[:end])
        data = data[end:]
    return found
