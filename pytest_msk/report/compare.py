"""Compare: in which fields two records, events of a journal, calls or Kafka events differ, for a failed `==`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import zip_longest

from ..errors import MskError
from ..events import decode
from ..records import Record

__all__ = ["differences"]

#: Items of two sequences that are told apart, and characters of a value.
_ITEMS, _CHARACTERS = 5, 300
_ABSENT = object()


def differences(left: object, right: object) -> list[str] | None:
    """The lines of an explanation; `None` where pytest's own says as much."""
    pair = _sequences(left, right)
    if pair is None:
        left, right = _opened(left), _opened(right)
        if isinstance(left, tuple) and isinstance(right, tuple):
            pair = left, right
        elif type(left) is not type(right) or not is_dataclass(left):
            return None
    if pair is not None:
        return _items(*pair)
    return [f"{_name(left)} == {_name(right)}", *_fields(left, right)]


def _sequences(left: object, right: object) -> tuple[Sequence[object], Sequence[object]] | None:
    if all(isinstance(each, Sequence) and not isinstance(each, str | bytes) for each in (left, right)):
        return list(left), list(right)  # type: ignore[call-overload]
    return None


def _opened(value: object) -> object:
    """The records of a Kafka event; anything else as it is."""
    try:
        return decode(value) if isinstance(value, Mapping) and "records" in value else value
    except MskError:
        return value


def _items(left: Sequence[object], right: Sequence[object]) -> list[str]:
    lines = [f"{_count(left)} == {_count(right)}"]
    different = [
        (index, a, b)
        for index, (a, b) in enumerate(zip_longest(left, right, fillvalue=_ABSENT))
        if a is _ABSENT or b is _ABSENT or a != b
    ]
    for index, a, b in different[:_ITEMS]:
        if a is _ABSENT or b is _ABSENT:
            side, item = ("right", b) if a is _ABSENT else ("left", a)
            lines.append(f"at index {index} only {side} has {_cut(repr(item))}")
        elif type(a) is type(b) and is_dataclass(a):
            lines += [f"at index {index}, {_name(a)}:", *_fields(a, b)]
        else:
            lines += [f"at index {index}:", f"  {_cut(repr(a))}", f"  {_cut(repr(b))}"]
    if len(different) > _ITEMS:
        lines.append(f"... and {len(different) - _ITEMS} more items differ")
    return lines


def _count(items: Sequence[object]) -> str:
    return "1 item" if len(items) == 1 else f"{len(items)} items"


def _fields(left: object, right: object) -> Iterator[str]:
    for each in fields(left):  # type: ignore[arg-type]
        if each.compare:
            a, b = getattr(left, each.name), getattr(right, each.name)
            if a != b:
                yield f"  {each.name}: {_value(a)} != {_value(b)}"
                yield from _json(a, b)


def _json(left: object, right: object) -> Iterator[str]:
    """Which members of two values differ, if both are JSON objects."""
    a, b = _object(left), _object(right)
    if a is None or b is None:
        return
    for name in dict.fromkeys([*a, *b]):
        if a.get(name, _ABSENT) != b.get(name, _ABSENT):
            yield f"    {name}: {_member(a, name)} != {_member(b, name)}"


def _object(value: object) -> dict[str, object] | None:
    try:
        found = json.loads(value) if isinstance(value, bytes) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _member(found: dict[str, object], name: str) -> str:
    return _cut(repr(found[name])) if name in found else "(absent)"


def _value(value: object) -> str:
    return _cut(repr(value))


def _name(value: object) -> str:
    if isinstance(value, Record):
        return f"Record of {value.topic}-{value.partition} at offset {value.offset}"
    return type(value).__name__


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 3]}..."
