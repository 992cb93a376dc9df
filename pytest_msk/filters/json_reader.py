"""A reader of JSON that loses nothing (event_patterns.md, facts 2, 3 and 9): members that come twice and the text of
numbers are kept, and what follows the root is left alone. Nesting takes no recursion.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TypeAlias, cast

from ..errors import MskError

__all__ = ["MAX_DEPTH", "MAX_DIGITS", "InvalidJson", "JsonNumber", "JsonValue", "read_json"]

#: What the reference engine's own reader takes at most: containers in each other, and digits of a number.
MAX_DEPTH = 1_000
MAX_DIGITS = 1_000

# A text as it stands, and one with escapes or with what must not be in it.
_PLAIN = re.compile(r'"([^"\\\x00-\x1f]*)"')
_ESCAPED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(r"(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(true|false|null)")
_CONSTANTS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A number, as it is written."""

    text: str


#: A value: an object is a tuple of its members in their order, an array a list.
JsonValue: TypeAlias = "str | JsonNumber | bool | list[JsonValue] | tuple[tuple[str, JsonValue], ...] | None"


class InvalidJson(MskError, ValueError):
    """A text that is not JSON; says where and why."""


def read_json(text: str) -> tuple[JsonValue, int]:
    """The first JSON value of a text, and where it ends.

    Raises:
        InvalidJson: the text does not begin with one.
    """
    root: list[JsonValue] = []
    # The open containers: their values or members so far, and what closes them.
    stack: list[tuple[list[object], str]] = []
    keys: list[str] = []
    items: list[object] = cast("list[object]", root)  # of values in an array, of members in an object
    close = ""
    at = _skip(text, 0)
    while True:
        # a value begins here, behind its key where there is one
        if close == "}":
            key, at = _string(text, at, "a member's name in double quotes")
            keys.append(key)
            at = _expect(text, at, ":")
        value: JsonValue
        character = text[at : at + 1]
        if character in ("{", "["):
            stack.append((items, close))
            if len(stack) > MAX_DEPTH:
                raise InvalidJson(f"The JSON text is nested more than {MAX_DEPTH:,} deep at character {at}.")
            items, close = [], "}" if character == "{" else "]"
            at = _skip(text, at + 1)
            if text[at : at + 1] != close:
                continue
        else:
            value, at = _string(text, at, "") if character == '"' else _scalar(text, at)
            items.append((keys.pop(), value) if close == "}" else value)
        # a value ended here, or an empty container is about to
        while stack:
            at = _skip(text, at)
            character = text[at : at + 1]
            if character == ",":
                break
            if character != close:
                raise _unexpected(text, at, f"',' or '{close}'")
            at += 1
            value = cast(JsonValue, items if close == "]" else tuple(items))
            items, close = stack.pop()
            items.append((keys.pop(), value) if close == "}" else value)
        else:
            return root[0], at
        at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _expect(text: str, at: int, character: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != character:
        raise _unexpected(text, at, f"'{character}'")
    return _skip(text, at + 1)


def _string(text: str, at: int, what: str) -> tuple[str, int]:
    plain = _PLAIN.match(text, at)
    if plain is not None:
        return plain[1], plain.end()
    if text[at : at + 1] != '"':
        raise _unexpected(text, at, what)
    escaped = _ESCAPED.match(text, at)
    if escaped is None:
        raise InvalidJson(f"Not JSON: the text that begins at character {at} has no closing quote.")
    try:
        return cast(str, json.loads(escaped[0])), escaped.end()
    except json.JSONDecodeError as error:
        reason = error.msg.removesuffix(" at")
        raise InvalidJson(f"Not JSON: {reason} at character {at + error.pos}.") from error


def _scalar(text: str, at: int) -> tuple[JsonNumber | bool | None, int]:
    found = _SCALAR.match(text, at)
    if found is None:
        raise _unexpected(text, at, "a value")
    number, constant = found.groups()
    if constant is not None:
        return _CONSTANTS[constant], found.end()
    digits = sum(map(str.isdigit, number)) if len(number) > MAX_DIGITS else 0
    if digits > MAX_DIGITS:
        raise InvalidJson(f"The number at character {at} has {digits:,} digits, more than {MAX_DIGITS:,}.")
    return JsonNumber(number), found.end()


def _unexpected(text: str, at: int, wanted: str) -> InvalidJson:
    found = f"{text[at]!r} at character {at}" if at < len(text) else "the text ends"
    return InvalidJson(f"Not JSON: {wanted} is wanted, but {found}.")
