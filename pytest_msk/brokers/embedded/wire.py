"""Kafka's wire format: message tables, compiled into functions that decode requests and encode responses.

A message is declared as a small table of text, one field a line, nested by four spaces::

    topics: []
        name: string
        partitions: []
            index: int32
            leader_epoch: int32 7+ = -1
            records: records?

A line is `name: type`, then the versions that have the field (all, if none are given), then a default. `?` marks what
may be null, `[]` an array of the type or of the fields below it. A decoded message is a `dict`; a field that the
version does not have gets its default. To encode, a field with a default may be left out.

Source: the "Protocol" guide of Apache Kafka, and KIP-482 for the flexible versions (compact lengths, tagged fields).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias

__all__ = [
    "Api",
    "Buffer",
    "Field",
    "MalformedRequest",
    "Struct",
    "fields_of",
    "read_uvarint",
    "skip_tagged_fields",
    "write_uvarint",
]

Struct: TypeAlias = dict[str, Any]
Buffer: TypeAlias = bytes | bytearray | memoryview
_Decode: TypeAlias = Callable[[memoryview, int], tuple[Any, int]]
_Encode: TypeAlias = Callable[[list[Buffer], Any], None]

_FIXED = {"int8": "b", "int16": "h", "int32": "i", "int64": "q", "bool": "?", "uuid": "16s"}
_NO_DEFAULT = object()
_ABSENT = {"bool": False, "uuid": bytes(16), "string": "", "bytes": b"", "records": b""}
_EVERY_VERSION = range(1 << 15)
#: Of all arrays of a message together: an item of two bytes becomes a dict of hundreds.
_MOST_ITEMS = 500_000


class MalformedRequest(ValueError):
    """These bytes are not the message that their header promises."""


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a message table."""

    name: str
    type: str
    nullable: bool
    array: bool
    versions: range
    default: object
    children: tuple[Field, ...]

    @property
    def has_default(self) -> bool:
        """Whether the line gives a default."""
        return self.default is not _NO_DEFAULT


@cache
def fields_of(table: str) -> tuple[Field, ...]:
    """The fields of a message table.

    Raises:
        ValueError: its indentation is wrong.
    """
    return _parse(table)


def _parse(table: str) -> tuple[Field, ...]:
    lines = [(len(line) - len(line.lstrip()), line.strip()) for line in table.splitlines() if line.strip()]
    fields, rest = _parse_block(lines, 0, lines[0][0] if lines else 0)
    if rest != len(lines):
        raise ValueError(f"bad indentation in a message table: {lines[rest][1]!r}")
    return fields


def _parse_block(lines: Sequence[tuple[int, str]], at: int, indent: int) -> tuple[tuple[Field, ...], int]:
    fields: list[Field] = []
    while at < len(lines) and lines[at][0] == indent:
        declaration, _, default = lines[at][1].partition(" = ")
        name, _, rest = declaration.partition(": ")
        kind, _, versions = rest.partition(" ")
        at += 1
        children: tuple[Field, ...] = ()
        if at < len(lines) and lines[at][0] > indent:
            children, at = _parse_block(lines, at, lines[at][0])
        base = kind.removesuffix("?").removeprefix("[]")
        fields.append(
            Field(
                name=name,
                type=base,
                nullable=kind.endswith("?"),
                array=kind.startswith("[]"),
                versions=_parse_versions(versions),
                default=_parse_default(default),
                children=children,
            )
        )
    return tuple(fields), at


def _parse_versions(text: str) -> range:
    if not text:
        return _EVERY_VERSION
    first, dash, last = text.rstrip("+").partition("-")
    return range(int(first), int(last) + 1 if dash else _EVERY_VERSION.stop if text.endswith("+") else int(first) + 1)


def _parse_default(text: str) -> object:
    if not text:
        return _NO_DEFAULT
    return (
        {"null": None, "true": True, "false": False, '""': "", "[]": ()}[text]
        if text[-1] not in "0123456789"
        else int(text)
    )


def _value_if_absent(field: Field) -> object:
    if field.default is not _NO_DEFAULT:
        return field.default
    return None if field.nullable else () if field.array else _ABSENT.get(field.type, 0)


# --- lengths and primitives ---------------------------------------------------------------------------------------


def read_uvarint(data: Buffer, at: int) -> tuple[int, int]:
    """The unsigned varint (at most 32 bits) at a position, and the position behind it.

    Raises:
        MalformedRequest: it has more than five bytes.
        IndexError: the data ends inside it.
    """
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while shift < 35:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise MalformedRequest("a varint has more than five bytes")


def write_uvarint(value: int) -> bytes:
    """An unsigned varint's bytes."""
    if value < 0x80:
        return _SMALL_VARINTS[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL_VARINTS = [bytes((value,)) for value in range(0x80)]


def _length(flexible: bool, wide: bool) -> tuple[Callable[[memoryview, int], tuple[int, int]], Callable[[int], bytes]]:
    """Read and write a length, -1 for null: a varint of length + 1, or an int16, or (`wide`) an int32."""
    if flexible:

        def read_compact(data: memoryview, at: int) -> tuple[int, int]:
            value, at = read_uvarint(data, at)
            return value - 1, at

        return read_compact, lambda length: write_uvarint(length + 1)

    form = struct.Struct(">i" if wide else ">h")
    unpack, size = form.unpack_from, form.size

    def read_fixed(data: memoryview, at: int) -> tuple[int, int]:
        value: int = unpack(data, at)[0]
        if value < -1:
            raise MalformedRequest(f"a length of {value}")
        return value, at + size

    return read_fixed, form.pack


def _blob(kind: str, nullable: bool, flexible: bool) -> tuple[_Decode, _Encode]:
    text = kind == "string"
    read_length, write_length = _length(flexible, wide=not text)

    def decode(data: memoryview, at: int) -> tuple[str | memoryview | bytes | None, int]:
        length, at = read_length(data, at)
        if length < 0:
            if not nullable:
                raise MalformedRequest(f"a {kind} that may not be null is null")
            return None, at
        end = at + length
        if end > len(data):
            raise MalformedRequest(f"a {kind} of {length} bytes, of which {len(data) - at} are there")
        if text:
            return str(data[at:end], "utf-8"), end
        # Records stay where they are, the log copies each batch once; the rest outlives its frame.
        return (data[at:end] if kind == "records" else bytes(data[at:end])), end

    def encode(out: list[Buffer], value: Any) -> None:
        if value is None:
            out.append(write_length(-1))
        elif isinstance(value, list):  # a scatter list of record batches, never joined
            out.append(write_length(sum(map(len, value))))
            out += value
        else:
            raw = value.encode() if text else value
            out.append(write_length(len(raw)))
            out.append(raw)

    return decode, encode


def _fixed(code: str) -> tuple[_Decode, _Encode]:
    form = struct.Struct(">" + code)
    unpack, size, pack = form.unpack_from, form.size, form.pack

    def decode(data: memoryview, at: int) -> tuple[Any, int]:
        return unpack(data, at)[0], at + size

    def encode(out: list[Buffer], value: Any) -> None:
        out.append(pack(value))

    return decode, encode


class _Budget:
    """How many more items the message that is being decoded may have."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _MOST_ITEMS


def _array(nullable: bool, flexible: bool, item: tuple[_Decode, _Encode], budget: _Budget) -> tuple[_Decode, _Encode]:
    read_length, write_length = _length(flexible, wide=True)
    decode_item, encode_item = item

    def decode(data: memoryview, at: int) -> tuple[list[Any] | None, int]:
        length, at = read_length(data, at)
        if length < 0:
            if not nullable:
                raise MalformedRequest("an array that may not be null is null")
            return None, at
        if length > len(data) - at:  # an item takes a byte at least: refuse before anything is allocated
            raise MalformedRequest(f"an array of {length} items in {len(data) - at} bytes")
        budget.left -= length
        if budget.left < 0:
            raise MalformedRequest(f"more than {_MOST_ITEMS} items in all arrays together")
        items = []
        for _ in range(length):
            value, at = decode_item(data, at)
            items.append(value)
        return items, at

    def encode(out: list[Buffer], value: Sequence[Any] | None) -> None:
        if value is None:
            out.append(write_length(-1))
            return
        out.append(write_length(len(value)))
        for element in value:
            encode_item(out, element)

    return decode, encode


# --- structs ------------------------------------------------------------------------------------------------------


def _field(field: Field, version: int, flexible: bool, budget: _Budget) -> tuple[_Decode, _Encode]:
    if field.children:
        codec = _struct(field.children, version, flexible, budget)
        if field.nullable and not field.array:
            codec = _nullable_struct(codec)
    elif field.type in _FIXED:
        codec = _fixed(_FIXED[field.type])
    else:
        codec = _blob(field.type, field.nullable and not field.array, flexible)
    return _array(field.nullable, flexible, codec, budget) if field.array else codec


def _runs(fields: Sequence[Field]) -> Iterator[list[Field]]:
    """Neighbouring fields of fixed size together, so that one call packs or unpacks them; the others alone."""
    run: list[Field] = []
    for field in fields:
        if field.type in _FIXED and not field.array and not field.children:
            run.append(field)
            continue
        if run:
            yield run
            run = []
        yield [field]
    if run:
        yield run


def _struct(fields: Sequence[Field], version: int, flexible: bool, budget: _Budget) -> tuple[_Decode, _Encode]:
    present = [field for field in fields if version in field.versions]
    absent = {field.name: _value_if_absent(field) for field in fields if version not in field.versions}
    decoders: list[Callable[[memoryview, int, Struct], int]] = []
    encoders: list[Callable[[list[Buffer], Struct], None]] = []
    for run in _runs(present):
        if run[0].type in _FIXED and not run[0].array and not run[0].children:
            decoders.append(_decode_run(run))
            encoders.append(_encode_run(run))
        else:
            decode_one, encode_one = _field(run[0], version, flexible, budget)
            decoders.append(_decode_named(run[0].name, decode_one))
            encoders.append(_encode_named(run[0], encode_one))

    def decode(data: memoryview, at: int) -> tuple[Struct, int]:
        message = dict(absent)
        for step in decoders:
            at = step(data, at, message)
        return message, skip_tagged_fields(data, at) if flexible else at

    def encode(out: list[Buffer], message: Struct) -> None:
        for step in encoders:
            step(out, message)
        if flexible:
            out.append(b"\0")  # no tagged fields: each has a default that suits a single broker

    return decode, encode


def _nullable_struct(codec: tuple[_Decode, _Encode]) -> tuple[_Decode, _Encode]:
    """A struct behind a byte that is -1 where there is none."""
    decode_struct, encode_struct = codec

    def decode(data: memoryview, at: int) -> tuple[Struct | None, int]:
        return (None, at + 1) if data[at] == 0xFF else decode_struct(data, at + 1)

    def encode(out: list[Buffer], message: Struct | None) -> None:
        out.append(b"\xff" if message is None else b"\x01")
        if message is not None:
            encode_struct(out, message)

    return decode, encode


def _decode_run(run: Sequence[Field]) -> Callable[[memoryview, int, Struct], int]:
    form = struct.Struct(">" + "".join(_FIXED[field.type] for field in run))
    unpack, size, names = form.unpack_from, form.size, tuple(field.name for field in run)

    def decode(data: memoryview, at: int, message: Struct) -> int:
        message.update(zip(names, unpack(data, at), strict=True))
        return at + size

    return decode


def _encode_run(run: Sequence[Field]) -> Callable[[list[Buffer], Struct], None]:
    pack = struct.Struct(">" + "".join(_FIXED[field.type] for field in run)).pack
    names = [field.name for field in run]
    defaults = {field.name: field.default for field in run if field.default is not _NO_DEFAULT}
    if defaults:

        def encode_with_defaults(out: list[Buffer], message: Struct) -> None:
            given = {**defaults, **message}
            out.append(pack(*[given[name] for name in names]))

        return encode_with_defaults
    if len(names) == 1:
        name = names[0]
        return lambda out, message: out.append(pack(message[name]))
    values = itemgetter(*names)
    return lambda out, message: out.append(pack(*values(message)))


def _decode_named(name: str, decode: _Decode) -> Callable[[memoryview, int, Struct], int]:
    def step(data: memoryview, at: int, message: Struct) -> int:
        message[name], at = decode(data, at)
        return at

    return step


def _encode_named(field: Field, encode: _Encode) -> Callable[[list[Buffer], Struct], None]:
    name, default = field.name, field.default
    if default is _NO_DEFAULT:
        return lambda out, message: encode(out, message[name])
    return lambda out, message: encode(out, message.get(name, default))


def skip_tagged_fields(data: memoryview, at: int) -> int:
    """The position behind a section of tagged fields; this broker needs none of those that requests may carry."""
    count, at = read_uvarint(data, at)
    for _ in range(count):
        _, at = read_uvarint(data, at)
        size, at = read_uvarint(data, at)
        at += size
        if at > len(data):
            raise MalformedRequest("a tagged field ends behind its message")
    return at


@dataclass(frozen=True, kw_only=True, eq=False)
class Api:
    """One of Kafka's APIs: its key, the versions that this broker speaks, and its two message tables.

    Args:
        versions: the lowest and the highest version.
        flexible: the first version with compact lengths and tagged fields; `None` if there is none.
    """

    key: int
    name: str
    versions: tuple[int, int]
    flexible: int | None
    request: str
    response: str

    def speaks(self, version: int) -> bool:
        """Whether this broker speaks the version."""
        return self.versions[0] <= version <= self.versions[1]

    def is_flexible(self, version: int) -> bool:
        """Whether the version has compact lengths and tagged fields."""
        return self.flexible is not None and version >= self.flexible

    def decode_request(self, version: int, data: Buffer, at: int = 0) -> Struct:
        """The request whose body begins at `at`.

        Raises:
            MalformedRequest: the bytes are no such request; bytes behind it are, as for Kafka, no error.
        """
        return self._decode(self.request, version, data, at)

    def encode_request(self, version: int, message: Struct) -> list[Buffer]:
        """A request's body, as buffers to be sent one after another."""
        return self._encode(self.request, version, message)

    def decode_response(self, version: int, data: Buffer, at: int = 0) -> Struct:
        """The response whose body begins at `at`; raises as `decode_request` does."""
        return self._decode(self.response, version, data, at)

    def encode_response(self, version: int, message: Struct) -> list[Buffer]:
        """A response's body, as buffers to be sent one after another."""
        return self._encode(self.response, version, message)

    def _decode(self, table: str, version: int, data: Buffer, at: int) -> Struct:
        decode, _, budget = _compiled(table, version, self.is_flexible(version))
        budget.left = _MOST_ITEMS
        try:
            message: Struct = decode(memoryview(data), at)[0]
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise MalformedRequest(f"{self.name} version {version}: {error}") from error
        return message

    def _encode(self, table: str, version: int, message: Struct) -> list[Buffer]:
        _, encode, _ = _compiled(table, version, self.is_flexible(version))
        out: list[Buffer] = []
        encode(out, message)
        return out


@cache
def _compiled(table: str, version: int, flexible: bool) -> tuple[_Decode, _Encode, _Budget]:
    budget = _Budget()
    return (*_struct(fields_of(table), version, flexible, budget), budget)
