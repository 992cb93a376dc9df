"""Kafka's protocol by hand, for what no client library would send: written from Kafka's protocol guide."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Iterable, Sequence
from types import TracebackType

import google_crc32c

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, FIND_COORDINATOR, JOIN_GROUP, SYNC_GROUP, HEARTBEAT, LEAVE_GROUP = 8, 10, 11, 14, 12, 13
API_VERSIONS, INIT_PRODUCER_ID = 18, 22
SASL_HANDSHAKE, SASL_AUTHENTICATE = 17, 36

COORDINATOR_LOADING = 14

#: How long an answer may take, seconds.
PATIENCE = 10.0


class Wire:
    """One connection to a broker.

    Args:
        tls: what its TLS trusts and shows; None for none.
    """

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        if tls is not None:
            try:
                self.socket = tls.wrap_socket(self.socket, server_hostname=host)
            except OSError:
                self.socket.close()
                raise
        self.correlation = 100

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def frame(self, data: bytes) -> None:
        """Send bytes as one frame."""
        self.socket.sendall(struct.pack(">i", len(data)) + data)

    def send(self, key: int, version: int, body: bytes, *, flexible: bool = False) -> int:
        """Send a request; returns its correlation id."""
        self.correlation += 1
        tags = b"\x00" if flexible else b""
        self.frame(struct.pack(">hhi", key, version, self.correlation) + string("conformance") + tags + body)
        return self.correlation

    def receive(self) -> Reader:
        """The next answer, behind its size."""
        (size,) = struct.unpack(">i", self._read(4))
        return Reader(self._read(size))

    def ask(self, key: int, version: int, body: bytes) -> Reader:
        """Send a request and return its answer, behind the correlation id."""
        sent = self.send(key, version, body)
        answer = self.receive()
        assert answer.int32() == sent
        return answer

    def is_closed(self) -> bool:
        """Whether the broker closes the connection without an answer."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes for a while."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)
        return False

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError(f"the broker closed the connection after {len(data)} of {size} bytes")
            data += piece
        return data


class Reader:
    """Reads an answer from its start."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def _take(self, kind: str) -> int:
        (value,) = struct.unpack_from(">" + kind, self.data, self.at)
        self.at += struct.calcsize(kind)
        return int(value)

    def int8(self) -> int:
        return self._take("b")

    def int16(self) -> int:
        return self._take("h")

    def int32(self) -> int:
        return self._take("i")

    def int64(self) -> int:
        return self._take("q")

    def bytes(self) -> bytes | None:
        return self._slice(self.int32())

    def string(self) -> str | None:
        text = self._slice(self.int16())
        return None if text is None else text.decode()

    def _slice(self, size: int) -> bytes | None:
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size : self.at]

    @property
    def is_read(self) -> bool:
        return self.at == len(self.data)


def string(text: str | None) -> bytes:
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def blob(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def array(items: Sequence[bytes]) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


def varint(number: int) -> bytes:
    """A zigzag variable-length number."""
    left = (number << 1) ^ (number >> 63)
    data = b""
    while left & ~0x7F:
        data += bytes([left & 0x7F | 0x80])
        left >>= 7
    return data + bytes([left])


def record(
    delta: int,
    value: bytes | None,
    *,
    key: bytes | None = None,
    time_delta: int = 0,
    headers: Iterable[tuple[str, bytes | None]] = (),
) -> bytes:
    """One record of a batch."""

    def sized(data: bytes | None) -> bytes:
        return varint(-1) if data is None else varint(len(data)) + data

    headers = list(headers)
    tail = varint(len(headers)) + b"".join(sized(name.encode()) + sized(data) for name, data in headers)
    body = b"\x00" + varint(time_delta) + varint(delta) + sized(key) + sized(value) + tail
    return varint(len(body)) + body


def batch(
    *records: bytes,
    timestamp: int = 0,
    attributes: int = 0,
    producer: tuple[int, int, int] = (-1, -1, -1),
    last_delta: int | None = None,
    count: int | None = None,
    magic: int = 2,
    crc: int | None = None,
    max_timestamp: int | None = None,
    body: bytes | None = None,
) -> bytes:
    """A record batch; every field can be made wrong.

    Args:
        producer: producer id, epoch and the sequence number of the first record.
        body: what stands behind the header instead of the records, such as compressed ones.
    """
    checked = struct.pack(
        ">hiqqqhii",
        attributes,
        len(records) - 1 if last_delta is None else last_delta,
        timestamp,
        timestamp if max_timestamp is None else max_timestamp,
        *producer,
        len(records) if count is None else count,
    ) + (b"".join(records) if body is None else body)
    checksum = google_crc32c.value(checked) if crc is None else crc
    data = struct.pack(">ibI", 0, magic, checksum) + checked  # partition leader epoch, magic, CRC-32C
    return struct.pack(">qi", 0, len(data)) + data


def produce_body(
    topic: str, data: bytes | None, *, partition: int = 0, acks: int = -1, timeout_ms: int = 5_000
) -> bytes:
    """Produce, versions 3 to 8: one partition of one topic."""
    partitions = array([struct.pack(">i", partition) + blob(data)])
    return string(None) + struct.pack(">hi", acks, timeout_ms) + array([string(topic) + partitions])


def produced(answer: Reader) -> tuple[int, int, int]:
    """Error, base offset and log append time of a Produce answer, version 3."""
    assert answer.int32() == 1
    answer.string()
    assert answer.int32() == 1
    answer.int32()
    found = answer.int16(), answer.int64(), answer.int64()
    answer.int32()
    assert answer.is_read
    return found


def produce(wire: Wire, topic: str, data: bytes | None, **how: int) -> tuple[int, int, int]:
    """Produce (version 3) and return error, base offset and log append time."""
    return produced(wire.ask(PRODUCE, 3, produce_body(topic, data, **how)))


def fetch_body(
    topic: str,
    offset: int,
    *,
    partition: int = 0,
    max_wait_ms: int = 0,
    min_bytes: int = 1,
    max_bytes: int = 1_000_000,
    partition_max_bytes: int = 1_000_000,
) -> bytes:
    """Fetch, version 4: one partition of one topic."""
    wanted = array([struct.pack(">iqi", partition, offset, partition_max_bytes)])
    return struct.pack(">iiiib", -1, max_wait_ms, min_bytes, max_bytes, 0) + array([string(topic) + wanted])


def fetched(answer: Reader) -> tuple[int, int, bytes]:
    """Error, high watermark and record batches of a Fetch answer, version 4."""
    answer.int32()
    assert answer.int32() == 1
    answer.string()
    assert answer.int32() == 1
    answer.int32()
    error, high, _stable = answer.int16(), answer.int64(), answer.int64()
    for _ in range(answer.int32()):
        answer.int64(), answer.int64()
    data = answer.bytes() or b""
    assert answer.is_read
    return error, high, data


def fetch(wire: Wire, topic: str, offset: int, **how: int) -> tuple[int, int, bytes]:
    """Fetch (version 4) and return error, high watermark and record batches."""
    return fetched(wire.ask(FETCH, 4, fetch_body(topic, offset, **how)))


def list_offset(wire: Wire, topic: str, when: int, *, partition: int = 0) -> tuple[int, int, int]:
    """ListOffsets (version 1): error, timestamp and offset at a time, -1 for the end, -2 for the start."""
    wanted = array([struct.pack(">iq", partition, when)])
    answer = wire.ask(LIST_OFFSETS, 1, struct.pack(">i", -1) + array([string(topic) + wanted]))
    assert answer.int32() == 1
    answer.string()
    assert answer.int32() == 1
    answer.int32()
    found = answer.int16(), answer.int64(), answer.int64()
    assert answer.is_read
    return found


def api_versions(wire: Wire) -> dict[int, tuple[int, int]]:
    """ApiVersions (version 0): per API the lowest and the highest version."""
    answer = wire.ask(API_VERSIONS, 0, b"")
    assert answer.int16() == 0
    found = {answer.int16(): (answer.int16(), answer.int16()) for _ in range(answer.int32())}
    assert answer.is_read
    return found


def init_producer_id(wire: Wire) -> tuple[int, int]:
    """InitProducerId (version 0): a new producer's id and epoch."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = wire.ask(INIT_PRODUCER_ID, 0, string(None) + struct.pack(">i", 60_000))
        answer.int32()
        error = answer.int16()
        if error != COORDINATOR_LOADING or time.monotonic() > deadline:  # a broker's first ids come from its controller
            assert error == 0
            return answer.int64(), answer.int16()
        time.sleep(0.01)
