"""Documents: an event's JSON text, read in the fastest way that loses nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

import orjson

from ..errors import MskError
from .json_reader import MAX_DEPTH, MAX_DIGITS, InvalidJson, read_json
from .numbers import Incomparable, number_from_json, number_from_python

__all__ = ["Document", "InvalidEvent", "json_text", "read_document", "read_plain"]

#: An event that was read: as Python's own values where these lose nothing, else as `read_json` gives it.
Document: TypeAlias = "dict[str, object] | tuple[tuple[str, object], ...]"

_SPACE = b" \t\n\r"
_loads, _dumps = orjson.loads, orjson.dumps


class InvalidEvent(MskError, ValueError):
    """A text or mapping that is no event: not JSON, or not a JSON object."""


def json_text(value: Mapping[str, object]) -> str:
    """The JSON text of a mapping, and of mappings in it.

    Raises:
        ValueError: JSON has no such value; the text says which.
    """
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, default=_as_dict)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"It cannot be written as JSON: {error}.") from error


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def read_document(event: Mapping[str, object] | str | bytes) -> Document:
    """Read an event.

    Args:
        event: a mapping, or JSON text in UTF-8.

    Raises:
        InvalidEvent: it is not a JSON object.
    """
    if type(event) is bytes or isinstance(event, str | bytes):  # the first is the most frequent case, and faster
        text: str | bytes = event
    elif isinstance(event, Mapping):
        try:
            text = json_text(event)
        except ValueError as error:
            raise InvalidEvent(f"No event: {error}") from error
    else:
        raise InvalidEvent(f"An event is a mapping, or JSON text as str or bytes, not {type(event).__name__}.")
    plain = read_plain(text)
    return _read_exact(text) if plain is None else plain


def read_plain(text: str | bytes) -> dict[str, object] | None:
    """A JSON object as Python's own values, `None` where these would lose something, or where it is no object.

    Nothing is lost when they are written as the very same text again, but for white space: no member came twice, and
    each number is written in its shortest form.
    """
    try:
        content = text if isinstance(text, bytes) else text.encode()
        value = _loads(content)
        written = _dumps(value)
    except (UnicodeEncodeError, orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    if written != content and written.translate(None, _SPACE) != content.translate(None, _SPACE):
        value = _read_carefully(content)
    return value if type(value) is dict else None


class _Lossy(ValueError):
    """Python's own values would lose something."""


def _read_carefully(content: bytes) -> object:
    """The value of a text that has escapes or long numbers, `None` where something would be lost."""
    if content.count(b"{") + content.count(b"[") > MAX_DEPTH:
        return None
    try:
        return json.loads(
            content.decode(), object_pairs_hook=_members, parse_float=_float, parse_int=_int, parse_constant=_float
        )
    except (ValueError, RecursionError):
        return None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Lossy
    return members


def _float(text: str) -> float:
    number = number_from_json(text) if text[-1].isdigit() else Incomparable(text)  # NaN and Infinity are no JSON
    if isinstance(number, Incomparable) or number_from_python(number) != number:
        raise _Lossy
    return number


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _Lossy
    return int(text)


def _read_exact(text: str | bytes) -> tuple[tuple[str, object], ...]:
    """A JSON object's members as `read_json` gives them; what follows the object is ignored (fact 3).

    Raises:
        InvalidEvent: the text does not begin with one.
    """
    try:
        value, _ = read_json(text if isinstance(text, str) else text.decode())
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"The event is not UTF-8 at byte {error.start}.") from error
    except InvalidJson as error:
        raise InvalidEvent(str(error)) from error
    if not isinstance(value, tuple):
        raise InvalidEvent("Event must be a JSON object")
    return value
