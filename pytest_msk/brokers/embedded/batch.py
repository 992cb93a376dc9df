"""Record batches, Kafka's message format v2: the header, its checks, and the records inside.

A batch is kept as the bytes that the producer sent. Only the header is read, except where Kafka itself has to look
at records: exact offsets by time, compacted topics, and `message.timestamp.before.max.ms`.

Source: "Message Format" in Kafka's implementation guide; KIP-98 (magic 2), KIP-110 (zstd).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import google_crc32c

from .errors import ErrorCode, Refused
from .wire import Buffer, MalformedRequest

__all__ = [
    "CODECS",
    "HEADER_BYTES",
    "BatchHeader",
    "RecordInBatch",
    "check_crc",
    "compress",
    "decompress",
    "encode_batch",
    "end_marker",
    "records_of",
    "stored",
    "with_records",
]

_HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = _HEADER.size
_PREFIX = struct.Struct(">qii")  # base offset, length, partition leader epoch: what the broker writes
_BEFORE_CRC = struct.Struct(">qiibI")
_CRC_FROM = 21  # everything from the attributes on
_MAGIC_AT = 16

CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_CODEC_BITS, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20


class BatchHeader(NamedTuple):
    """The 61 bytes before the records, in their order on the wire."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def codec(self) -> int:
        """The compression codec's number, see `CODECS`."""
        return self.attributes & _CODEC_BITS

    @property
    def log_append_time(self) -> bool:
        """Whether every record's timestamp is the time of the append."""
        return bool(self.attributes & _LOG_APPEND_TIME)

    @property
    def transactional(self) -> bool:
        """Whether the batch belongs to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def control(self) -> bool:
        """Whether this is a control batch, which only brokers write."""
        return bool(self.attributes & _CONTROL)

    @property
    def last_sequence(self) -> int:
        """The sequence number of the last record; numbers wrap after 2^31 - 1."""
        return (self.base_sequence + self.last_offset_delta) & 0x7FFF_FFFF

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> BatchHeader:
        """The header of the batch that begins at `at`.

        Raises:
            Refused: INVALID_RECORD, an older format, or the bytes end inside the batch: as for Kafka, that is no batch.
                CORRUPT_MESSAGE, a newer format.
        """
        if len(data) - at > _MAGIC_AT and data[at + _MAGIC_AT] < 2:
            raise Refused(
                ErrorCode.INVALID_RECORD,
                "Produce requests are only allowed to contain record batches with magic version 2",
            )
        if len(data) - at < HEADER_BYTES:
            raise Refused(ErrorCode.INVALID_RECORD, "The record batch is shorter than its header.")
        header = cls._make(_HEADER.unpack_from(data, at))
        if header.magic != 2:
            raise Refused(ErrorCode.CORRUPT_MESSAGE, f"Invalid magic found in record: {header.magic}")
        if header.length < HEADER_BYTES - 12 or at + 12 + header.length > len(data):
            raise Refused(ErrorCode.INVALID_RECORD, "The record batch's length is wrong.")
        return header


@dataclass(frozen=True, slots=True)
class RecordInBatch:
    """A record as it lies in a batch; a null key or value is None."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def check_crc(header: BatchHeader, batch: Buffer) -> None:
    """Compare a batch's CRC32C with its bytes.

    Raises:
        Refused: CORRUPT_MESSAGE, they differ.
    """
    found = google_crc32c.value(bytes(batch[_CRC_FROM:]))
    if found != header.crc:
        raise Refused(
            ErrorCode.CORRUPT_MESSAGE, f"Record is corrupt (stored crc = {header.crc}, computed crc = {found})"
        )


def stored(
    header: BatchHeader, batch: Buffer, base_offset: int, *, append_time: int | None = None, leader_epoch: int = 0
) -> bytes:
    """The batch as the log keeps it: at its own offset, in its leader's epoch.

    Args:
        append_time: stamps the whole batch with this time (epoch ms), for `message.timestamp.type=LogAppendTime`.
    """
    if append_time is None:
        return b"".join((_PREFIX.pack(base_offset, header.length, leader_epoch), batch[_MAGIC_AT:]))
    attributes = header.attributes | _LOG_APPEND_TIME
    tail = b"".join(
        (struct.pack(">hiqq", attributes, header.last_offset_delta, header.base_timestamp, append_time), batch[43:])
    )
    return _BEFORE_CRC.pack(base_offset, header.length, leader_epoch, 2, google_crc32c.value(tail)) + tail


def decompress(codec: int, body: Buffer) -> bytes:
    """A batch's records without their compression.

    Raises:
        Refused: CORRUPT_MESSAGE, the bytes are not what the codec says, or there is no such codec.
    """
    raw = bytes(body)
    if codec == 0:
        return raw
    if codec not in CODECS:
        raise Refused(ErrorCode.CORRUPT_MESSAGE, f"Unknown compression type id: {codec}")
    import cramjam  # only when a compressed batch has to be opened

    try:
        if codec == 1:
            return bytes(cramjam.gzip.decompress(raw))
        if codec == 2:
            return _unsnappy(raw)
        return bytes((cramjam.lz4 if codec == 3 else cramjam.zstd).decompress(raw))
    except (cramjam.DecompressionError, ValueError, struct.error) as error:
        raise Refused(
            ErrorCode.CORRUPT_MESSAGE, f"The {CODECS[codec]} data of a record batch is corrupt: {error}"
        ) from error


def compress(codec: int, body: bytes) -> bytes:
    """Records under a compression that a producer chose."""
    if codec == 0:
        return body
    import cramjam

    if codec == 2:
        return bytes(cramjam.snappy.compress_raw(body))
    return bytes({1: cramjam.gzip, 3: cramjam.lz4, 4: cramjam.zstd}[codec].compress(body))


_XERIAL = b"\x82SNAPPY\0"


def _unsnappy(body: bytes) -> bytes:
    """Snappy, raw or in the blocks of snappy-java (16 bytes of header, then length and block again and again)."""
    import cramjam

    if not body.startswith(_XERIAL):
        return bytes(cramjam.snappy.decompress_raw(body))
    out, at = bytearray(), 16
    while at < len(body):
        (size,) = struct.unpack_from(">i", body, at)
        out += bytes(cramjam.snappy.decompress_raw(body[at + 4 : at + 4 + size]))
        at += 4 + size
    return bytes(out)


def records_of(batch: Buffer) -> Iterator[RecordInBatch]:
    """The records of one batch, in order; of a control batch, its markers.

    Raises:
        Refused: CORRUPT_MESSAGE, INVALID_RECORD: the batch's inside is not what its header promises.
    """
    header = BatchHeader.read(batch)
    body = decompress(header.codec, memoryview(batch)[HEADER_BYTES : 12 + header.length])
    at = 0
    try:
        for _ in range(header.record_count):
            record, at = _record(header, body, at)
            yield record
    except (IndexError, MalformedRequest, UnicodeDecodeError) as error:
        raise Refused(ErrorCode.INVALID_RECORD, f"A record cannot be read: {error}") from error
    if at != len(body):
        raise Refused(ErrorCode.INVALID_RECORD, f"{len(body) - at} bytes are left behind the last record")


def _record(header: BatchHeader, body: bytes, at: int) -> tuple[RecordInBatch, int]:
    size, at = _varint(body, at)
    end = at + size
    if size < 0 or end > len(body):
        raise MalformedRequest(f"a record of {size} bytes")
    timestamp_delta, at = _varint(body, at + 1)  # behind the attributes, which are unused
    offset_delta, at = _varint(body, at)
    key, at = _nullable(body, at)
    value, at = _nullable(body, at)
    count, at = _varint(body, at)
    if not 0 <= count <= end - at:
        raise MalformedRequest(f"{count} headers")
    headers = []
    for _ in range(count):
        name, at = _nullable(body, at)
        if name is None:
            raise MalformedRequest("a header without a name")
        header_value, at = _nullable(body, at)
        headers.append((name.decode(), header_value))
    if at != end:
        raise MalformedRequest("a record's size and its fields differ")
    timestamp = header.max_timestamp if header.log_append_time else header.base_timestamp + timestamp_delta
    return RecordInBatch(header.base_offset + offset_delta, timestamp, key, value, tuple(headers)), at


def _nullable(body: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(body, at)
    if size < 0:
        return None, at
    if at + size > len(body):
        raise MalformedRequest(f"a field of {size} bytes")
    return body[at : at + size], at + size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A signed (zigzag) varint of at most 64 bits."""
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise MalformedRequest("a varint has more than ten bytes")


def encode_batch(
    records: list[tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]],
    *,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    attributes: int = 0,
) -> bytes:
    """An uncompressed batch of (timestamp, key, value, headers), as a producer would send it.

    Args:
        records: at least one; timestamps in epoch milliseconds.
    """
    base = records[0][0]
    body = b"".join(
        _encode_record(timestamp - base, delta, key, value, headers)
        for delta, (timestamp, key, value, headers) in enumerate(records)
    )
    latest = max(timestamp for timestamp, *_ in records)
    header = (attributes, len(records) - 1, base, latest, producer_id, producer_epoch, base_sequence, len(records))
    return _sealed(0, -1, struct.pack(">hiqqqhii", *header) + body)


def end_marker(*, producer_id: int, producer_epoch: int, commit: bool, now_ms: int) -> bytes:
    """The control batch that ends a producer's transaction in a partition; the coordinator's epoch is always 0."""
    key, value = struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 0)
    return encode_batch(
        [(now_ms, key, value, ())],
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        attributes=_TRANSACTIONAL | _CONTROL,
    )


def with_records(batch: bytes, records: Sequence[RecordInBatch]) -> bytes:
    """The batch with some of its records only: it keeps its first and last offset, its producer and its codec.

    Args:
        records: at least one, in order.
    """
    header = BatchHeader.read(batch)
    body = b"".join(
        _encode_record(
            0 if header.log_append_time else each.timestamp - header.base_timestamp,
            each.offset - header.base_offset,
            each.key,
            each.value,
            each.headers,
        )
        for each in records
    )
    latest = header.max_timestamp if header.log_append_time else max(each.timestamp for each in records)
    tail = struct.pack(
        ">hiqqqhii",
        header.attributes,
        header.last_offset_delta,
        header.base_timestamp,
        latest,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        len(records),
    )
    return _sealed(header.base_offset, header.leader_epoch, tail + compress(header.codec, body))


def _sealed(base_offset: int, leader_epoch: int, tail: bytes) -> bytes:
    """A batch of everything behind its checksum."""
    length = len(tail) + _CRC_FROM - 12
    return _BEFORE_CRC.pack(base_offset, length, leader_epoch, 2, google_crc32c.value(tail)) + tail


def _encode_record(
    timestamp_delta: int,
    offset_delta: int,
    key: bytes | None,
    value: bytes | None,
    headers: tuple[tuple[str, bytes | None], ...],
) -> bytes:
    one = bytearray(b"\0")
    one += _zigzag(timestamp_delta) + _zigzag(offset_delta)
    for field in (key, value):
        one += _zigzag(-1) if field is None else _zigzag(len(field)) + field
    one += _zigzag(len(headers))
    for name, header_value in headers:
        raw = name.encode()
        one += _zigzag(len(raw)) + raw
        one += _zigzag(-1) if header_value is None else _zigzag(len(header_value)) + header_value
    return _zigzag(len(one)) + bytes(one)


def _zigzag(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
