"""Clients that mean harm, or know no better: their connections are closed, memory is bounded, and the broker lives."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import subprocess
import sys
import time

import pytest
from test_server import ALL_TOPICS, lives
from wire_client import WireClient, batch, fetch_request

from pytest_msk.brokers.embedded import EmbeddedBroker, connection, quotas
from pytest_msk.brokers.embedded.messages.metadata import METADATA
from pytest_msk.brokers.embedded.messages.records import FETCH
from pytest_msk.brokers.embedded.wire import write_uvarint

PATIENCE = 15.0


def until(look: object) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.001)  # a thread that spins would hold up the broker's


def test_only_records_may_be_large(broker: EmbeddedBroker, client: WireClient) -> None:
    client.send_raw(struct.pack(">ih", 17 << 20, METADATA.key))
    assert client.is_closed()
    assert "only a Produce may be larger than 16777216 bytes" in broker.rejections[0]
    with WireClient(broker.bootstrap_servers) as producer:
        producer.send_raw(struct.pack(">ih", 17 << 20, 0))
        producer._socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            producer._socket.recv(1)


def test_a_message_of_too_many_items_is_not_unpacked(broker: EmbeddedBroker, client: WireClient) -> None:
    count = 600_000
    one = bytes(16) + b"\0\0"  # an id, no name, no tagged fields
    client.send_body(METADATA, 12, write_uvarint(count + 1) + one * count + b"\0\0\0")
    assert client.is_closed()
    assert "more than 500000 items" in broker.rejections[0]
    assert lives(broker)


def test_halves_of_requests_are_kept_up_to_a_bound(
    broker: EmbeddedBroker, client: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "_MOST_BUFFERED", 1 << 20)
    half = struct.pack(">ih", 8 << 20, 0) + bytes(400_000)
    with WireClient(broker.bootstrap_servers) as second, WireClient(broker.bootstrap_servers) as largest:
        client.send_raw(half)
        until(lambda: broker._listeners[1]._quotas._buffered == len(half))
        largest.send_raw(half + bytes(100_000))
        until(lambda: broker._listeners[1]._quotas._buffered == 2 * len(half) + 100_000)
        second.send_raw(half)
        assert largest.is_closed()
        assert "the connection that had sent most of them" in broker.rejections[0]
        until(lambda: broker._listeners[1]._quotas._buffered == 2 * len(half))
    assert lives(broker)


def test_what_is_kept_is_counted_down_again(broker: EmbeddedBroker, client: WireClient) -> None:
    body = b"".join(METADATA.encode_request(12, ALL_TOPICS))
    frame = struct.pack(">hhihB", METADATA.key, 12, 7, -1, 0) + body
    raw = struct.pack(">i", len(frame)) + frame
    for cut in range(1, len(raw)):
        client.send_raw(raw[:cut])
        until(lambda cut=cut: broker._listeners[1]._quotas._buffered == cut)
        client.send_raw(raw[cut:])
        client.receive(METADATA, 12)
        until(lambda: broker._listeners[1]._quotas._buffered == 0)
    client.send_raw(raw[:9])
    client.finish()
    until(lambda: broker._listeners[1]._quotas._buffered == 0)


def test_a_client_that_does_not_read_gets_no_more_answers_made(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t", config={"max.message.bytes": "10000000"})
    client.produce("t", batch(b"x" * 8_000_000))
    with WireClient(broker.bootstrap_servers) as slow:
        for _ in range(100):
            slow.send(FETCH, 12, fetch_request(("t", 0, 0)))
        assert lives(broker)
        sizes = [each._out_size for each in broker._listeners[1]._quotas.connections]
        assert 0 < max(sizes) < 9_000_000  # one answer, not a hundred
        assert len(slow.receive(FETCH, 12)[1]["topics"][0]["partitions"][0]["records"]) > 8_000_000
        assert len(slow.receive(FETCH, 12)[1]["topics"][0]["partitions"][0]["records"]) > 8_000_000
    until(lambda: broker._listeners[1].connections <= 1)
    assert broker.failures == ()


def test_a_slow_reader_gets_everything_in_the_end(broker: EmbeddedBroker, client: WireClient) -> None:
    broker.create_topic("t", config={"max.message.bytes": "10000000"})
    client.produce("t", batch(b"x" * 3_000_000))
    with WireClient(broker.bootstrap_servers) as slow:
        sent = [slow.send(FETCH, 12, fetch_request(("t", 0, 0))) for _ in range(20)]
        sent.append(slow.send(METADATA, 12, ALL_TOPICS))
        assert [slow.receive(FETCH, 12)[0] for _ in range(20)] == sent[:20]
        assert slow.receive(METADATA, 12)[0] == sent[20]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0" * 64,
        b"\xff" * 64,
        b"\r\n" * 50,
    ],
    ids=["http", "tls", "ssh", "zeros", "ones", "lines"],
)
def test_other_protocols_are_closed(broker: EmbeddedBroker, client: WireClient, data: bytes) -> None:
    client.send_raw(data)
    assert client.is_closed()
    assert len(broker.rejections) == 1
    assert lives(broker)


def test_tls_at_a_listener_without_it(broker: EmbeddedBroker) -> None:
    host, port = broker.bootstrap_servers.split(":")
    context = ssl.create_default_context()
    with socket.create_connection((host, int(port)), PATIENCE) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="localhost")
    assert lives(broker)


# --- connections --------------------------------------------------------------------------------------------------

THOUSAND = """
import resource, socket, struct, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
host, port = sys.argv[1].split(":")
halves = [b"", b"\\0\\0", struct.pack(">ihhih", 1000, 3, 9, 1, -1), struct.pack(">ih", 1000000, 0) + bytes(2000)]
open_ = []
for number in range(1000):
    one = socket.create_connection((host, int(port)), 10)
    one.sendall(halves[number % len(halves)])
    open_.append(one)
print(len(open_), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the module resource")
def test_a_thousand_connections_of_another_process() -> None:
    with EmbeddedBroker({"max.connections": "200"}) as broker:
        command = [sys.executable, "-c", THOUSAND, broker.bootstrap_servers]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as hostile:
            assert hostile.stdout is not None
            assert hostile.stdout.readline() == "1000\n"
            until(lambda: any("(max.connections)" in each for each in broker.rejections))
            assert broker._listeners[1].connections <= 200
            assert lives(broker)
            hostile.communicate("")
        assert hostile.returncode == 0
        until(lambda: broker._listeners[1].connections == 0)
        assert broker._listeners[1]._quotas._buffered == 0
        assert lives(broker)
        assert broker.failures == ()


def test_the_connection_that_is_idle_for_longest_makes_room() -> None:
    with EmbeddedBroker({"max.connections": "2"}) as broker:
        with WireClient(broker.bootstrap_servers) as first, WireClient(broker.bootstrap_servers) as second:
            for client in (second, first):
                client.ask(METADATA, ALL_TOPICS)
            with WireClient(broker.bootstrap_servers) as third:
                third.ask(METADATA, ALL_TOPICS)
                assert second.is_closed()
                first.ask(METADATA, ALL_TOPICS)
        assert "idle for longest was closed: 2 were open (max.connections)" in broker.rejections[0]


def test_connections_are_counted_on_all_listeners_of_a_node() -> None:
    with EmbeddedBroker({"max.connections": "2"}, nodes=2) as broker:
        tls = broker.bootstrap_servers_for("tls").split(",")
        with WireClient(broker.nodes[1].address) as first, WireClient(tls[0], tls=True) as second:
            for client in (first, second):
                client.ask(METADATA, ALL_TOPICS)
            with WireClient(tls[1], tls=True) as elsewhere:
                elsewhere.ask(METADATA, ALL_TOPICS)
                second.ask(METADATA, ALL_TOPICS)
            with WireClient(tls[0], tls=True) as third:
                third.ask(METADATA, ALL_TOPICS)
                assert first.is_closed()
                second.ask(METADATA, ALL_TOPICS)


def test_connections_that_are_in_use_are_kept() -> None:
    with EmbeddedBroker({"max.connections": "1"}) as broker:
        broker.create_topic("t")
        with WireClient(broker.bootstrap_servers) as busy:
            busy.send(FETCH, 12, fetch_request(("t", 0, 0), max_wait_ms=60_000))
            until(lambda: broker._cluster.waiting._by_log)
            with WireClient(broker.bootstrap_servers) as refused:
                assert refused.is_closed()
        assert "A connection was closed at once: 1 are open" in broker.rejections[0]


class _Exhausted:
    """A listener of a process that can open no more files, once."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.failed = 0

    def accept(self) -> tuple[socket.socket, object]:
        if not self.failed:
            self.failed = 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self._listener, name)


def test_a_process_that_can_open_no_more_files_takes_connections_later(broker: EmbeddedBroker) -> None:
    assert lives(broker)  # else the listener may not be watched yet
    with broker._loop.lock:
        broken = _Exhausted(broker._listeners[1].servers[0]._listener)
        broker._listeners[1].servers[0]._listener = broken
    assert lives(broker)
    assert broken.failed
    assert "this process can open no more files" in broker.rejections[0]
    assert broker.failures == ()


def test_the_bounds_leave_room_for_the_largest_request_and_for_the_process() -> None:
    assert quotas._MOST_BUFFERED > 100 << 20
    assert 16 <= quotas._most_connections() <= 4096
    assert connection._LARGEST_WITHOUT_RECORDS < 100 << 20
