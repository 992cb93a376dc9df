"""What a broker answers to bytes that no client would send: the right error, or a closed connection, never silence."""

from __future__ import annotations

import struct

import pytest
from kafka_wire import (
    API_VERSIONS,
    FIND_COORDINATOR,
    METADATA,
    PRODUCE,
    Wire,
    api_versions,
    array,
    batch,
    produce,
    produce_body,
    record,
    string,
)


@pytest.fixture(autouse=True)
def broker_goes_on(msk_broker):
    """Whatever a test did to its connection, the next one is served."""
    yield
    with Wire(msk_broker.bootstrap_servers) as another:
        assert api_versions(another)


def test_api_versions_lists_what_the_clients_need(wire):
    versions = api_versions(wire)
    # Produce, Fetch, ListOffsets, Metadata, OffsetCommit .. ApiVersions, admin, InitProducerId, DescribeConfigs, ...
    assert {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 32, 37, 42, 60} <= versions.keys()
    assert all(low <= high for low, high in versions.values())


def test_produce_is_said_to_be_spoken_from_version_0(wire):
    # librdkafka and others take a higher minimum for a broker without record batches (KAFKA-18659).
    assert api_versions(wire)[PRODUCE][0] == 0


def test_an_unknown_version_of_api_versions_is_answered_with_35_in_the_layout_of_version_0(wire):
    sent = wire.send(API_VERSIONS, 99, b"\x01\x01\x00", flexible=True)
    answer = wire.receive()
    assert answer.int32() == sent
    assert answer.int16() == 35
    offered = {answer.int16(): (answer.int16(), answer.int16()) for _ in range(answer.int32())}
    assert answer.is_read
    assert API_VERSIONS in offered
    assert api_versions(wire), "the connection goes on"


@pytest.mark.parametrize("version", [1, 2])
def test_api_versions_says_that_nobody_is_throttled(wire, version):
    answer = wire.ask(API_VERSIONS, version, b"")
    assert answer.int16() == 0
    for _ in range(answer.int32()):
        answer.int16(), answer.int16(), answer.int16()
    assert answer.int32() == 0
    assert answer.is_read


@pytest.mark.parametrize(
    ("key", "version"), [(METADATA, 99), (METADATA, -1), (9_999, 0), (-1, 0), (PRODUCE, 2)], ids=str
)
def test_a_request_that_is_not_spoken_closes_the_connection(wire, key, version):
    wire.send(key, version, b"")
    assert wire.is_closed()


@pytest.mark.parametrize("size", [-1, -(2**31), 2**31 - 1])
def test_an_impossible_size_closes_the_connection(wire, size):
    wire.socket.sendall(struct.pack(">i", size))
    assert wire.is_closed()


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        struct.pack(">hhi", METADATA, 1, 1),
        struct.pack(">hhi", METADATA, 1, 1) + struct.pack(">h", 500) + b"client",
        struct.pack(">hhi", METADATA, 1, 1) + string("x") + struct.pack(">i", 2**31 - 1),
        struct.pack(">hhi", METADATA, 1, 1) + string("x") + struct.pack(">ih", 1, 300) + b"short",
        struct.pack(">hhi", PRODUCE, 3, 1) + string("x") + produce_body("t", b"abc")[:-2],
    ],
    ids=["empty", "one byte", "no client id", "short client id", "huge array", "short string", "short records"],
)
def test_a_malformed_request_closes_the_connection(wire, frame):
    wire.frame(frame)
    assert wire.is_closed()


def test_an_http_request_closes_the_connection(wire):
    wire.socket.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert wire.is_closed()


def test_half_a_request_and_goodbye_harms_nobody(msk_broker):
    with Wire(msk_broker.bootstrap_servers) as wire:
        wire.socket.sendall(struct.pack(">i", 1_000) + b"only the start")


def test_requests_sent_at_once_are_answered_in_order(wire):
    sent = [wire.send(API_VERSIONS, 0, b"") for _ in range(20)]
    assert [wire.receive().int32() for _ in range(20)] == sent


def test_a_request_that_comes_byte_by_byte_is_answered(wire):
    request = struct.pack(">hhi", API_VERSIONS, 0, 7) + string("slow")
    for byte in struct.pack(">i", len(request)) + request:
        wire.socket.sendall(bytes([byte]))
    assert wire.receive().int32() == 7


def test_metadata_names_brokers_that_can_be_reached(wire, msk_broker, topic):
    name = topic(partitions=2)
    answer = wire.ask(METADATA, 1, array([string(name)]))
    nodes = [(answer.int32(), answer.string(), answer.int32(), answer.string()) for _ in range(answer.int32())]
    assert {f"{host}:{port}" for _, host, port, _ in nodes} == set(msk_broker.bootstrap_servers.split(","))
    ids = {node for node, *_ in nodes}
    answer.int32()  # the controller
    assert answer.int32() == 1
    assert (answer.int16(), answer.string(), answer.int8()) == (0, name, 0)
    leaders = {}
    for _ in range(answer.int32()):
        assert answer.int16() == 0
        partition, leader = answer.int32(), answer.int32()
        replicas = [answer.int32() for _ in range(answer.int32())]
        in_sync = [answer.int32() for _ in range(answer.int32())]
        leaders[partition] = leader
        assert leader in in_sync
        assert set(in_sync) == set(replicas) <= ids
    assert leaders.keys() == {0, 1}


def test_metadata_of_a_topic_that_is_not_there_is_an_error_and_creates_nothing(wire, msk_broker, new_name):
    name = new_name()
    for _ in range(2):
        answer = wire.ask(METADATA, 1, array([string(name)]))
        for _ in range(answer.int32()):
            answer.int32(), answer.string(), answer.int32(), answer.string()
        answer.int32()
        assert answer.int32() == 1
        assert (answer.int16(), answer.string()) == (3, name)
    assert name not in msk_broker.topics()


def test_metadata_of_an_illegal_name_is_an_invalid_topic(wire):
    answer = wire.ask(METADATA, 1, array([string("no spaces, please")]))
    for _ in range(answer.int32()):
        answer.int32(), answer.string(), answer.int32(), answer.string()
    answer.int32()
    assert answer.int32() == 1
    assert answer.int16() == 17


def test_the_coordinator_of_any_group_is_a_broker_that_can_be_reached(wire, msk_broker, group):
    answer = wire.ask(FIND_COORDINATOR, 0, string(group))
    assert answer.int16() == 0
    answer.int32()
    assert f"{answer.string()}:{answer.int32()}" in msk_broker.bootstrap_servers.split(",")


def test_acks_0_is_not_answered_and_what_follows_is(wire, topic):
    name = topic()
    wire.send(PRODUCE, 3, produce_body(name, batch(record(0, b"unheard")), acks=0))
    error, offset, _ = produce(wire, name, batch(record(0, b"heard")))
    assert (error, offset) == (0, 1)


def test_acks_0_that_fails_closes_the_connection(wire, topic):
    # The producer hears of no error otherwise, and would go on with a leader that it should look up anew.
    wire.send(PRODUCE, 3, produce_body("t-that-is-not-there", batch(record(0, b"lost")), acks=0))
    assert wire.is_closed()
