"""Serialization: what becomes of the keys, values and headers that a test gives, as the bytes of a Kafka record."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias, TypeVar, cast

from .records import Header

__all__ = ["Headers", "Key", "raw_headers", "raw_key", "raw_value"]

#: A value that becomes a record's bytes: bytes as they are, text as UTF-8, `None` as a tombstone, the rest as JSON.
V = TypeVar("V")
#: A key, or a function of the value that gives one.
Key: TypeAlias = "bytes | str | Callable[[V], bytes | str | None] | None"
Headers: TypeAlias = "Sequence[tuple[str, bytes | str | None]] | Mapping[str, bytes | str | None] | None"


def raw_key(key: Key[V], value: V) -> bytes | None:
    """The bytes of a value's key.

    Raises:
        TypeError: it is not of its type.
    """
    found = key(value) if callable(key) else key
    if isinstance(found, str):
        return _utf8(found, "key")
    if found is None or isinstance(found, bytes):
        return found
    raise TypeError(f"A key is bytes, text or a function of the value that gives one of these, not {found!r}.")


def raw_value(value: object) -> bytes | None:
    """The bytes of a value: bytes as they are, text as UTF-8, `None` as a tombstone, the rest as compact JSON.

    Raises:
        TypeError: JSON cannot say it.
    """
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _utf8(value, "value")
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_jsonable)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"A value is bytes, text, None or what JSON can say, not {value!r}: {error}.") from error


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise TypeError(f"The {what} {text!r} is no text that UTF-8 can say: {error}.") from error


def _jsonable(value: object) -> object:
    """Dataclasses, dates, enums and UUIDs as JSON, by the library that writes the events."""
    import orjson

    return cast(object, orjson.loads(orjson.dumps(value)))


def raw_headers(headers: Headers) -> list[Header]:
    """The (name, bytes) pairs of headers, in their order.

    Raises:
        TypeError: one is not of its type; the text names it.
    """
    if isinstance(headers, str | bytes) or not isinstance(headers, Collection | None):  # an iterator serves one record
        raise TypeError(f"Headers are (name, value) pairs or a mapping, not {headers!r}.")
    return [_raw_header(header) for header in (headers.items() if isinstance(headers, Mapping) else headers or ())]


def _raw_header(header: object) -> Header:
    if isinstance(header, tuple | list) and len(header) == 2:
        name, value = header
        if isinstance(name, str) and (value is None or isinstance(value, str | bytes)):
            _utf8(name, "header name")  # the client would end the process
            return name, _utf8(value, "header value") if isinstance(value, str) else value
    raise TypeError(f"A header is a pair of a name and bytes, text or None, not {header!r}.")
