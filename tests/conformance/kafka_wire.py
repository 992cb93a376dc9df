"""Kafka's protocol by hand, for what no client library would send: written from Kafka's protocol guide."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import google_crc32c

T = TypeVar("T")

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, FIND_COORDINATOR, JOIN_GROUP, SYNC_GROUP, HEARTBEAT, LEAVE_GROUP = 8, 10, 11, 14, 12, 13
API_VERSIONS, INIT_PRODUCER_ID, CONSUMER_GROUP_HEARTBEAT = 18, 22, 68
ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT = 24, 25, 26, 28

COORDINATOR_LOADING = 14
#: A coordinator that is not there yet, or still busy with the end of a transaction: ask again.
NOT_YET = (COORDINATOR_LOADING, 15, 16, 51)

#: How long an answer may take, seconds.
PATIENCE = 10.0


class Wire:
    """One connection to a broker."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
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

    def ask_flexible(self, key: int, version: int, body: bytes) -> Reader:
        """Send a request of a flexible version and return its answer, behind the header's tagged fields."""
        sent = self.send(key, version, body, flexible=True)
        answer = self.receive()
        assert answer.int32() == sent
        assert answer.uvarint() == 0
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

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            byte = self._take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def compact_string(self) -> str | None:
        text = self._slice(self.uvarint() - 1)
        return None if text is None else text.decode()

    def uuid(self) -> bytes:
        return self._slice(16) or b""

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


def uvarint(number: int) -> bytes:
    """An unsigned variable-length number."""
    data = b""
    while number & ~0x7F:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


def compact_string(text: str | None) -> bytes:
    return b"\0" if text is None else uvarint(len(text.encode()) + 1) + text.encode()


def compact_array(items: Sequence[bytes] | None) -> bytes:
    return b"\0" if items is None else uvarint(len(items) + 1) + b"".join(items)


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
    topic: str,
    data: bytes | None,
    *,
    partition: int = 0,
    acks: int = -1,
    timeout_ms: int = 5_000,
    transactional_id: str | None = None,
) -> bytes:
    """Produce, versions 3 to 8: one partition of one topic."""
    partitions = array([struct.pack(">i", partition) + blob(data)])
    return string(transactional_id) + struct.pack(">hi", acks, timeout_ms) + array([string(topic) + partitions])


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
    committed: bool = False,
) -> bytes:
    """Fetch, version 4: one partition of one topic."""
    wanted = array([struct.pack(">iqi", partition, offset, partition_max_bytes)])
    return struct.pack(">iiiib", -1, max_wait_ms, min_bytes, max_bytes, committed) + array([string(topic) + wanted])


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


def fetch_committed(wire: Wire, topic: str, offset: int, **how: int) -> tuple[list[tuple[int, int]] | None, int, bytes]:
    """Fetch (version 4) as a read_committed consumer: aborted transactions (producer id, first offset), the last
    stable offset, and record batches."""
    answer = wire.ask(FETCH, 4, fetch_body(topic, offset, committed=True, **how))
    answer.int32()
    assert answer.int32() == 1
    answer.string()
    assert answer.int32() == 1
    answer.int32()
    assert answer.int16() == 0
    _high, stable, count = answer.int64(), answer.int64(), answer.int32()
    aborted = [(answer.int64(), answer.int64()) for _ in range(count)] if count >= 0 else None
    return aborted, stable, answer.bytes() or b""


def last_stable_offset(wire: Wire, topic: str, *, partition: int = 0) -> int:
    """ListOffsets (version 2): the end of the log for a read_committed consumer."""
    wanted = array([struct.pack(">iq", partition, -1)])
    answer = wire.ask(LIST_OFFSETS, 2, struct.pack(">ib", -1, 1) + array([string(topic) + wanted]))
    answer.int32()
    assert answer.int32() == 1
    answer.string()
    assert answer.int32() == 1
    answer.int32()
    assert answer.int16() == 0
    answer.int64()
    return answer.int64()


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


class Transactional:
    """A transactional producer by hand; each request answers its error code, once the coordinator has one.

    Args:
        timeout_ms: how long a transaction may take, milliseconds.
    """

    def __init__(self, wire: Wire, transactional_id: str, *, timeout_ms: int = 60_000) -> None:
        self.wire, self.name, self.sequence = wire, transactional_id, 0
        self.error, self.id, self.epoch = init_transactional(wire, transactional_id, timeout_ms=timeout_ms)

    @property
    def who(self) -> bytes:
        return string(self.name) + struct.pack(">qh", self.id, self.epoch)

    def add(self, topic: str, *partitions: int, version: int = 2) -> list[int]:
        """AddPartitionsToTxn: one error for each partition."""
        numbers = array([struct.pack(">i", each) for each in partitions or (0,)])

        def ask() -> list[int]:
            answer = self.wire.ask(ADD_PARTITIONS_TO_TXN, version, self.who + array([string(topic) + numbers]))
            answer.int32()
            assert answer.int32() == 1
            answer.string()
            errors = {answer.int32(): answer.int16() for _ in range(answer.int32())}
            return [errors[each] for each in partitions or (0,)]

        return _settled(ask, lambda errors: errors[0])

    def produce(self, topic: str, *values: bytes, partition: int = 0) -> tuple[int, int]:
        """Produce (version 3): error and base offset."""
        records = [record(at, value) for at, value in enumerate(values)]
        data = batch(*records, attributes=0x10, producer=(self.id, self.epoch, self.sequence))
        body = produce_body(topic, data, partition=partition, transactional_id=self.name)
        error, base, _ = _settled(lambda: produced(self.wire.ask(PRODUCE, 3, body)), lambda found: found[0])
        self.sequence += 0 if error else len(values)
        return error, base

    def end(self, *, commit: bool = True, version: int = 2) -> int:
        """EndTxn."""

        def ask() -> int:
            answer = self.wire.ask(END_TXN, version, self.who + struct.pack(">?", commit))
            answer.int32()
            return answer.int16()

        return _settled(ask, lambda error: error)

    def add_offsets(self, group: str, version: int = 2) -> int:
        """AddOffsetsToTxn."""

        def ask() -> int:
            answer = self.wire.ask(ADD_OFFSETS_TO_TXN, version, self.who + string(group))
            answer.int32()
            return answer.int16()

        return _settled(ask, lambda error: error)

    def commit_offset(self, group: str, topic: str, offset: int, *, partition: int = 0) -> int:
        """TxnOffsetCommit (version 2), of a producer that names no member."""
        place = struct.pack(">iqi", partition, offset, -1) + string("")
        body = (
            string(self.name)
            + string(group)
            + struct.pack(">qh", self.id, self.epoch)
            + array([string(topic) + array([place])])
        )

        def ask() -> int:
            answer = self.wire.ask(TXN_OFFSET_COMMIT, 2, body)
            answer.int32()
            assert answer.int32() == 1
            answer.string()
            assert answer.int32() == 1
            answer.int32()
            return answer.int16()

        return _settled(ask, lambda error: error)


def init_transactional(wire: Wire, transactional_id: str, *, timeout_ms: int = 60_000) -> tuple[int, int, int]:
    """InitProducerId of a transactional id (version 1): error, producer id and epoch."""

    def ask() -> tuple[int, int, int]:
        # The first question for a coordinator makes Kafka create the topic of its transactions.
        wire.ask(FIND_COORDINATOR, 1, string(transactional_id) + b"\x01")
        answer = wire.ask(INIT_PRODUCER_ID, 1, string(transactional_id) + struct.pack(">i", timeout_ms))
        answer.int32()
        return answer.int16(), answer.int64(), answer.int16()

    return _settled(ask, lambda found: found[0])


def _settled(ask: Callable[[], T], error: Callable[[T], int]) -> T:
    """Ask until the coordinator is there and has nothing else to do."""
    deadline = time.monotonic() + PATIENCE
    while error(found := ask()) in NOT_YET and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Heartbeat:
    """An answer to ConsumerGroupHeartbeat; `assignment` is None where it tells none."""

    error: int
    text: str | None
    member_id: str | None
    epoch: int
    assignment: frozenset[tuple[bytes, int]] | None


def consumer_heartbeat(
    wire: Wire,
    group: str,
    member_id: str,
    epoch: int,
    *,
    topics: Sequence[str] | None = None,
    regex: str | None = None,
    owned: Iterable[tuple[bytes, int]] | None = None,
    instance_id: str | None = None,
    rebalance_timeout_ms: int = -1,
    assignor: str | None = None,
    version: int = 1,
) -> Heartbeat:
    """ConsumerGroupHeartbeat, as soon as the group's coordinator is there."""
    places = None
    if owned is not None:
        places = [topic + compact_array([struct.pack(">i", partition)]) + b"\0" for topic, partition in owned]
    body = (
        compact_string(group)
        + compact_string(member_id)
        + struct.pack(">i", epoch)
        + compact_string(instance_id)
        + compact_string(None)
        + struct.pack(">i", rebalance_timeout_ms)
        + compact_array(None if topics is None else [compact_string(each) for each in topics])
        + (compact_string(regex) if version >= 1 else b"")
        + compact_string(assignor)
        + compact_array(places)
        + b"\0"
    )

    def ask() -> Heartbeat:
        wire.ask(FIND_COORDINATOR, 1, string(group) + b"\x00")
        answer = wire.ask_flexible(CONSUMER_GROUP_HEARTBEAT, version, body)
        answer.int32()
        error, text, member, member_epoch = (
            answer.int16(),
            answer.compact_string(),
            answer.compact_string(),
            answer.int32(),
        )
        answer.int32()
        assignment: frozenset[tuple[bytes, int]] | None = None
        if answer.int8() != -1:
            found = set()
            for _ in range(answer.uvarint() - 1):
                topic = answer.uuid()
                found |= {(topic, answer.int32()) for _ in range(answer.uvarint() - 1)}
                assert answer.uvarint() == 0
            assert answer.uvarint() == 0
            assignment = frozenset(found)
        assert answer.uvarint() == 0
        assert answer.is_read
        return Heartbeat(error, text, member, member_epoch, assignment)

    return _settled(ask, lambda found: found.error)
