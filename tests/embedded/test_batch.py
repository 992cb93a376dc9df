"""Record batches: header, checks, and the records inside."""

from __future__ import annotations

import contextlib
import gzip
import struct

import cramjam
import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_client import NOW, batch

from pytest_msk.brokers.embedded.batch import (
    HEADER_BYTES,
    BatchHeader,
    check_crc,
    decompress,
    encode_batch,
    records_of,
    stored,
)
from pytest_msk.brokers.embedded.errors import ErrorCode, Refused

blobs = st.none() | st.binary(max_size=300)
records = st.lists(
    st.tuples(
        st.integers(0, 2**41),
        blobs,
        blobs,
        st.lists(st.tuples(st.text(max_size=5), blobs), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=20,
)


def compressed(plain: bytes, codec: int, body: bytes) -> bytes:
    """The same batch with a compressed body."""
    header = BatchHeader.read(plain)
    tail = struct.pack(">h", header.attributes | codec) + plain[23:HEADER_BYTES] + body
    return struct.pack(">qiibI", 0, len(tail) + 9, 0, 2, google_crc32c.value(tail)) + tail


def xerial(body: bytes) -> bytes:
    """The blocks of snappy-java."""
    out = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
    for at in range(0, len(body), 50):
        block = bytes(cramjam.snappy.compress_raw(body[at : at + 50]))
        out += struct.pack(">i", len(block)) + block
    return out


CODECS = {
    "gzip": (1, gzip.compress),
    "snappy": (2, lambda body: bytes(cramjam.snappy.compress_raw(body))),
    "snappy of Java": (2, xerial),
    "lz4": (3, lambda body: bytes(cramjam.lz4.compress(body))),
    "zstd": (4, lambda body: bytes(cramjam.zstd.compress(body))),
}


@given(records)
def test_records_come_out_as_they_went_in(given_records: list) -> None:
    raw = encode_batch(given_records)
    check_crc(BatchHeader.read(raw), raw)
    found = [(each.timestamp, each.key, each.value, each.headers) for each in records_of(raw)]
    assert found == given_records
    assert [each.offset for each in records_of(raw)] == list(range(len(given_records)))


@pytest.mark.parametrize("name", CODECS)
def test_each_codec_is_opened(name: str) -> None:
    codec, compress = CODECS[name]
    plain = batch(*(b"value %d" % at for at in range(40)))
    packed = compressed(plain, codec, compress(plain[HEADER_BYTES:]))
    assert packed[HEADER_BYTES:] != plain[HEADER_BYTES:]
    assert list(records_of(packed)) == list(records_of(plain))


@pytest.mark.parametrize("codec", [1, 2, 3, 4, 5])
def test_bytes_that_no_codec_made_are_corrupt(codec: int) -> None:
    with pytest.raises(Refused) as caught:
        decompress(codec, b"\xffnothing of the kind")
    assert caught.value.code is ErrorCode.CORRUPT_MESSAGE


@given(st.data())
def test_a_broken_batch_is_refused_and_nothing_else(data: st.DataObject) -> None:
    raw = bytearray(encode_batch(data.draw(records)))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=3)):
        raw[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refused):
        list(records_of(bytes(raw[: data.draw(st.integers(0, len(raw)))])))


def test_one_changed_bit_is_found_by_the_checksum() -> None:
    raw = bytearray(batch(b"value"))
    raw[-1] ^= 1
    with pytest.raises(Refused, match="stored crc"):
        check_crc(BatchHeader.read(raw), raw)


def test_a_stored_batch_has_its_own_offset_and_is_otherwise_the_producers() -> None:
    raw = batch(b"a", b"b")
    kept = stored(BatchHeader.read(raw), raw, 77)
    assert BatchHeader.read(kept).base_offset == 77
    assert kept[16:] == raw[16:]
    check_crc(BatchHeader.read(kept), kept)


def test_log_append_time_stamps_the_batch_and_its_checksum() -> None:
    raw = batch(b"a", b"b", timestamp=NOW)
    kept = stored(BatchHeader.read(raw), raw, 5, append_time=NOW + 1000)
    header = BatchHeader.read(kept)
    check_crc(header, kept)
    assert header.log_append_time
    assert [(each.offset, each.timestamp) for each in records_of(kept)] == [(5, NOW + 1000), (6, NOW + 1000)]


@pytest.mark.parametrize("magic", [0, 1])
def test_older_formats_are_refused(magic: int) -> None:
    raw = bytearray(batch(b"a"))
    raw[16] = magic
    with pytest.raises(Refused) as caught:
        BatchHeader.read(raw)
    assert caught.value.code is ErrorCode.INVALID_RECORD
