"""A Kafka client of a few lines that speaks exactly the bytes that a test wants."""

from __future__ import annotations

import errno
import itertools
import socket
import ssl
import struct
from types import TracebackType

from pytest_msk.brokers.certificates import Certificate, session_authority
from pytest_msk.brokers.embedded.batch import encode_batch
from pytest_msk.brokers.embedded.messages.records import FETCH, LIST_OFFSETS, PRODUCE
from pytest_msk.brokers.embedded.wire import Api, Struct

__all__ = ["WireClient", "batch"]

NOW = 1_790_000_000_000


def batch(*values: bytes, timestamp: int = NOW, **producer: int) -> bytes:
    """A batch of these values, each a millisecond later."""
    return encode_batch([(timestamp + at, None, value, ()) for at, value in enumerate(values)], **producer)


class WireClient:
    """One connection to a broker; a broker that does not answer within five seconds fails the test.

    Args:
        tls: whether it speaks TLS.
        certificate: what it shows then.
    """

    def __init__(self, address: str, *, tls: bool = False, certificate: Certificate | None = None) -> None:
        host, _, port = address.partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=5)
        if tls:
            context = ssl.create_default_context(cafile=str(session_authority().path))
            if certificate is not None:
                context.load_cert_chain(certificate.path, certificate.key_path)
            try:
                self._socket = context.wrap_socket(self._socket, server_hostname=host)
            except OSError:
                self._socket.close()
                raise
        self._ids = itertools.count(1)

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()

    def send(self, api: Api, version: int, body: Struct) -> int:
        """Send a request; its correlation id."""
        return self.send_body(api, version, b"".join(api.encode_request(version, body)))

    def send_body(self, api: Api, version: int, body: bytes, *, key: int | None = None) -> int:
        """Send a request whose body is these bytes."""
        correlation = next(self._ids)
        header = struct.pack(">hhih", api.key if key is None else key, version, correlation, 4) + b"test"
        if api.is_flexible(version):
            header += b"\0"
        self.send_frame(header + body)
        return correlation

    def send_frame(self, frame: bytes) -> None:
        self.send_raw(struct.pack(">i", len(frame)) + frame)

    def send_raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def finish(self) -> None:
        """Send no more; answers can still come. A broker that has closed the connection already is no error."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def receive_frame(self) -> bytes:
        (size,) = struct.unpack(">i", self.receive_raw(4))
        return self.receive_raw(size)

    def receive_raw(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionResetError("the broker closed the connection")
            data += part
        return bytes(data)

    def receive(self, api: Api, version: int) -> tuple[int, Struct]:
        """The next answer: its correlation id and its body."""
        frame = self.receive_frame()
        (correlation,) = struct.unpack_from(">i", frame)
        return correlation, api.decode_response(version, frame, 5 if api.is_flexible(version) and api.key != 18 else 4)

    def ask(self, api: Api, body: Struct, version: int | None = None) -> Struct:
        """Send a request in the highest version and return its answer."""
        version = api.versions[1] if version is None else version
        correlation = self.send(api, version, body)
        answered, answer = self.receive(api, version)
        assert answered == correlation
        return answer

    def is_closed(self) -> bool:
        """Whether the broker closes this connection without another byte, within the timeout."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionError:
            return True

    def produce(
        self, topic: str, records: bytes | None, *, partition: int = 0, acks: int = -1, version: int = 11
    ) -> Struct:
        """Produce one batch; the partition's answer."""
        answer = self.ask(PRODUCE, produce_request(topic, records, partition=partition, acks=acks), version)
        return answer["topics"][0]["partitions"][0]

    def fetch(self, topic: str, offset: int, *, partition: int = 0, **fields: int) -> Struct:
        """Fetch from one partition; the partition's answer."""
        return self.ask(FETCH, fetch_request((topic, partition, offset), **fields))["topics"][0]["partitions"][0]

    def list_offset(self, topic: str, timestamp: int, *, partition: int = 0) -> Struct:
        """ListOffsets of one partition; the partition's answer."""
        body = {
            "replica_id": -1,
            "isolation_level": 0,
            "topics": [{"name": topic, "partitions": [{"index": partition, "timestamp": timestamp}]}],
        }
        return self.ask(LIST_OFFSETS, body)["topics"][0]["partitions"][0]


def produce_request(topic: str, records: bytes | None, *, partition: int = 0, acks: int = -1) -> Struct:
    return {
        "transactional_id": None,
        "acks": acks,
        "timeout_ms": 1000,
        "topics": [{"name": topic, "partitions": [{"index": partition, "records": records}]}],
    }


def fetch_request(*places: tuple[str, int, int], **fields: int) -> Struct:
    partition_max = fields.pop("partition_max_bytes", 1 << 20)
    epoch = fields.pop("current_leader_epoch", -1)
    return {
        "replica_id": -1,
        "max_wait_ms": 0,
        "min_bytes": 1,
        "max_bytes": 50 << 20,
        "isolation_level": 0,
        "rack_id": "",
        "forgotten_topics": [],
        "topics": [
            {
                "name": topic,
                "partitions": [
                    {"index": at, "fetch_offset": offset, "max_bytes": partition_max, "current_leader_epoch": epoch}
                ],
            }
            for topic, at, offset in places
        ],
        **fields,
    }
