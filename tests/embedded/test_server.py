"""The server: whatever comes in is answered or closes its connection, and the broker lives on."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_client import WireClient, batch, fetch_request, produce_request

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.messages.metadata import API_VERSIONS, METADATA
from pytest_msk.brokers.embedded.messages.records import FETCH, PRODUCE
from pytest_msk.errors import BrokerError

ALL_TOPICS = {
    "topics": None,
    "include_cluster_authorized_operations": False,
    "include_topic_authorized_operations": False,
}


def lives(broker: EmbeddedBroker) -> bool:
    with WireClient(broker.bootstrap_servers) as client:
        return client.ask(METADATA, ALL_TOPICS)["cluster_id"] is not None


def test_an_unknown_version_of_api_versions_is_answered_in_the_layout_of_version_0(client: WireClient) -> None:
    correlation = client.send_body(API_VERSIONS, 99, b"\x00\x01\x02")
    frame = client.receive_frame()
    answered, error, count = struct.unpack_from(">ihi", frame)
    assert (answered, error) == (correlation, ErrorCode.UNSUPPORTED_VERSION)
    assert len(frame) == 10 + 6 * count  # nothing behind the keys: no throttle time, no tagged fields
    assert not client.ask(API_VERSIONS, {"client_software_name": "t", "client_software_version": "1"})["error_code"]


def test_what_is_advertised_is_what_is_spoken(client: WireClient) -> None:
    answer = client.ask(API_VERSIONS, {"client_software_name": "t", "client_software_version": "1"})
    advertised = {each["key"]: (each["min_version"], each["max_version"]) for each in answer["api_keys"]}
    assert advertised.pop(PRODUCE.key) == (0, PRODUCE.versions[1])  # 0 as Kafka says it, and refused as Kafka does
    assert advertised == {api.key: api.versions for api in APIS.values() if api is not PRODUCE}
    assert not {71, 72} & set(advertised)  # no telemetry: its last push would hold up each close


@pytest.mark.parametrize(
    ("key", "version", "sentence"),
    [
        (0, 2, "does not speak Produce version 2, only 3 to 11"),
        (1, 99, "does not speak Fetch version 99"),
        (71, 0, "does not speak API 71"),
        (-1, 0, "does not speak API -1"),
    ],
)
def test_what_it_does_not_speak_closes_the_connection(
    broker: EmbeddedBroker, client: WireClient, key: int, version: int, sentence: str
) -> None:
    client.send_body(METADATA, version, b"", key=key)
    assert client.is_closed()
    assert any(sentence in each for each in broker.rejections)
    assert lives(broker)


@pytest.mark.parametrize("last", [b"\xff" * 4, struct.pack(">i", 0), struct.pack(">ihhih", 10, 71, 0, 9, -1)])
def test_what_came_before_a_bad_request_is_answered(client: WireClient, last: bytes) -> None:
    frame = struct.pack(">hhih", 3, 1, 7, -1) + b"".join(METADATA.encode_request(1, {"topics": []}))
    client.send_raw((struct.pack(">i", len(frame)) + frame) * 3 + last)
    assert [client.receive(METADATA, 1)[0] for _ in range(3)] == [7] * 3
    assert client.is_closed()


@pytest.mark.parametrize("size", [-1, -(2**31), 100 * 1024 * 1024 + 1, 2**31 - 1])
def test_a_frame_of_impossible_size_closes_the_connection(
    broker: EmbeddedBroker, client: WireClient, size: int
) -> None:
    client.send_raw(struct.pack(">i", size))
    assert client.is_closed()
    assert "socket.request.max.bytes" in broker.rejections[0]


def test_the_largest_request_is_a_setting() -> None:
    with EmbeddedBroker({"socket.request.max.bytes": "100"}) as broker, WireClient(broker.bootstrap_servers) as client:
        client.send_raw(struct.pack(">i", 101))
        assert client.is_closed()


@pytest.mark.parametrize("frame", [b"", b"\0", b"\0\x03\0\0\0\0\0", struct.pack(">hhih", 3, 0, 1, 100)])
def test_a_frame_without_a_header_closes_the_connection(
    broker: EmbeddedBroker, client: WireClient, frame: bytes
) -> None:
    client.send_frame(frame)
    assert client.is_closed()
    assert lives(broker)


@pytest.fixture(scope="module")
def lasting() -> EmbeddedBroker:
    with EmbeddedBroker() as broker:
        broker.create_topic("t")
        yield broker


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(
    key=st.sampled_from([*APIS, 99]),
    version=st.integers(-1, 12),
    body=st.binary(max_size=80) | st.just(bytes(80)),
)
def test_garbage_is_answered_or_closes_the_connection(
    lasting: EmbeddedBroker, key: int, version: int, body: bytes
) -> None:
    with WireClient(lasting.bootstrap_servers) as client:
        api = APIS.get(key, METADATA)
        client.send_body(api, version, body, key=key)
        client.finish()
        with contextlib.suppress(ConnectionError):
            client.receive_frame()
    assert lasting.failures == ()
    assert lives(lasting)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=200))
def test_bytes_that_are_not_even_frames(lasting: EmbeddedBroker, data: bytes) -> None:
    with WireClient(lasting.bootstrap_servers) as client:
        client.send_raw(data)
    assert lives(lasting)
    assert lasting.failures == ()


def test_a_request_in_pieces_and_many_in_one_piece(broker: EmbeddedBroker, client: WireClient) -> None:
    body = b"".join(METADATA.encode_request(1, {"topics": []}))
    frame = struct.pack(">hhih", 3, 1, 7, -1) + body
    raw = struct.pack(">i", len(frame)) + frame
    for at in range(len(raw)):
        client.send_raw(raw[at : at + 1])
    assert client.receive(METADATA, 1)[0] == 7
    client.send_raw(raw * 50)
    assert [client.receive(METADATA, 1)[0] for _ in range(50)] == [7] * 50


def test_answers_come_in_the_order_of_the_requests_even_if_the_first_must_wait(
    broker: EmbeddedBroker, client: WireClient
) -> None:
    broker.create_topic("t")
    waiting = client.send(FETCH, 12, fetch_request(("t", 0, 0), max_wait_ms=60_000))
    later = client.send(METADATA, 12, ALL_TOPICS)
    with WireClient(broker.bootstrap_servers) as other:
        other.produce("t", batch(b"x"))
    assert client.receive(FETCH, 12)[0] == waiting
    assert client.receive(METADATA, 12)[0] == later


def test_a_client_that_does_not_read_holds_up_nobody(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t", config={"max.message.bytes": "10000000"})
    assert client.produce("t", batch(b"x" * 8_000_000))["error_code"] == 0
    with WireClient(broker.bootstrap_servers) as slow:
        for _ in range(4):
            slow.send(FETCH, 12, fetch_request(("t", 0, 0)))
        assert lives(broker)
        assert client.fetch("t", 0)["records"]
        sizes = [len(slow.receive(FETCH, 12)[1]["topics"][0]["partitions"][0]["records"]) for _ in range(4)]
    assert min(sizes) > 8_000_000


def test_a_client_that_leaves_while_its_fetch_waits(broker: EmbeddedBroker) -> None:
    broker.create_topic("t")
    with WireClient(broker.bootstrap_servers) as client:
        client.send(FETCH, 12, fetch_request(("t", 0, 0), max_wait_ms=60_000))
        client.finish()
        assert client.is_closed()
    assert broker._node.waiting._by_log == {}
    with WireClient(broker.bootstrap_servers) as other:
        assert other.produce("t", batch(b"x"))["base_offset"] == 0
    assert broker.failures == ()


def test_a_client_that_sends_on_while_its_request_waits_is_not_read_for_ever(
    broker: EmbeddedBroker, client: WireClient
) -> None:
    broker.create_topic("t")
    client.send(FETCH, 12, fetch_request(("t", 0, 0), max_wait_ms=60_000))
    client._socket.settimeout(0.5)
    much = (struct.pack(">i", 1 << 20) + bytes(1 << 20)) * 64
    with pytest.raises(TimeoutError):
        client.send_raw(much)
    assert lives(broker)


def test_acks_0_is_not_answered(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t")
    client.send(PRODUCE, 11, produce_request("t", batch(b"x"), acks=0))
    asked = client.send(METADATA, 12, ALL_TOPICS)
    assert client.receive(METADATA, 12)[0] == asked
    assert broker.watermarks("t")[0].high == 1


def test_acks_0_with_an_error_closes_the_connection(broker: EmbeddedBroker, client: WireClient) -> None:
    client.send(PRODUCE, 11, produce_request("nowhere", batch(b"x"), acks=0))
    assert client.is_closed()
    assert broker.failures == ()


def test_a_failure_inside_closes_the_connection_and_comes_out_at_close(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = EmbeddedBroker()
    monkeypatch.setattr(type(broker._node.topics), "__iter__", lambda self: 1 // 0)
    with WireClient(broker.bootstrap_servers) as client:
        client.send(METADATA, 12, ALL_TOPICS)
        assert client.is_closed()
    monkeypatch.undo()
    assert lives(broker)
    assert [type(each) for each in broker.failures] == [ZeroDivisionError]
    with pytest.raises(BrokerError, match="failed 1 time") as caught:
        broker.close()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    broker.close()


def test_nothing_is_left_after_close() -> None:
    threads = threading.active_count()
    broker = EmbeddedBroker()
    client = WireClient(broker.bootstrap_servers)
    with client:
        client.ask(METADATA, ALL_TOPICS)
        broker.close()
        assert client.is_closed()
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        WireClient(broker.bootstrap_servers)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_300_brokers_and_their_connections_leave_no_descriptor_and_no_thread() -> None:
    def turn(number: int) -> None:
        with (
            EmbeddedBroker(nodes=1 + number % 3) as broker,
            WireClient(broker.nodes[len(broker.nodes)].address) as client,
        ):
            client.ask(METADATA, ALL_TOPICS)

    turn(2)
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for number in range(300):
        turn(number)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_a_program_that_is_started_does_not_inherit_the_port(broker: EmbeddedBroker) -> None:
    assert not any(
        socket_.get_inheritable()
        for socket_ in (broker._listeners[1].servers[0]._listener, broker._loop._wake_in, broker._loop._wake_out)
    )


FORK = """
import os, socket
from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.errors import BrokerError
broker = EmbeddedBroker()
read, write = os.pipe()
until, ended = os.pipe()
child = os.fork()
if child == 0:
    os.close(ended)
    try:
        broker.topics()
        os.write(write, b"no error")
    except BrokerError as error:
        broker.close()
        os.write(write, str(error).encode())
    os.read(until, 1)  # the parent's end closes it
    os._exit(0)
assert b"fork" in os.read(read, 1000)
broker.create_topic("t")
host, port = broker.bootstrap_servers.split(":")
broker.close()
try:
    socket.create_connection((host, int(port)), 2)
    print("the child holds the port")
except ConnectionRefusedError:
    print("free")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_does_not_use_the_broker_nor_hold_its_port() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("free", 0), done.stderr


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker, WireClient(broker.bootstrap_servers) as client:
        client.send_raw(b"\xff" * 20)
        assert client.is_closed()
    assert capfd.readouterr() == ("", "")
