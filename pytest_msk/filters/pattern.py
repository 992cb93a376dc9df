"""EventPattern: an EventBridge pattern made of exact values (spec 6.4; event_patterns.md, facts 1, 5 and 9).

A field of a pattern lists alternatives: strings, numbers, true, false and null. Comparison operators are refused
by name, so that no pattern is ever read in another sense than AWS's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from ..errors import MskError, NotSupported

__all__ = ["EventPattern", "InvalidEventPattern", "Json"]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
_Node: TypeAlias = "dict[str, _Node] | list[Json]"


class InvalidEventPattern(MskError, ValueError):
    """A pattern that the engine refuses, with the engine's message and the field's path."""


class EventPattern:
    """A compiled pattern.

    Args:
        pattern: the pattern as a mapping, or as JSON text.

    Raises:
        InvalidEventPattern: it is not a pattern; the text is the engine's, with the path.
        NotSupported: it uses a comparison operator.
    """

    def __init__(self, pattern: str | Mapping[str, Json]) -> None:
        self.pattern: Mapping[str, Json] = _parse(pattern) if isinstance(pattern, str) else pattern
        try:
            self._root = _compile(self.pattern, ())
        except RecursionError as error:
            raise InvalidEventPattern("The pattern is nested too deeply") from error

    def __repr__(self) -> str:
        return f"EventPattern({json.dumps(self.pattern)})"

    def matches(self, event: Mapping[str, object] | str | bytes) -> bool:
        """Whether an event matches, given as a mapping or as JSON text."""
        parsed = json.loads(event) if isinstance(event, str | bytes) else event
        return _matches(self._root, _nested(parsed))


def _parse(text: str) -> Mapping[str, Json]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidEventPattern(f"A pattern is a JSON object, but its text is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidEventPattern("Filter is not an object")
    return parsed


def _compile(pattern: Mapping[str, Json], path: tuple[str, ...]) -> dict[str, _Node]:
    if not pattern:
        raise InvalidEventPattern(f"Empty objects are not allowed{_at(path)}")
    compiled: dict[str, _Node] = {}
    for name, value in pattern.items():
        here = (*path, name)
        if name == "$or" and isinstance(value, list):
            raise NotSupported("'$or' is not supported yet: give each alternative as a filter of its own.")
        first, *rest = name.split(".")
        for step in reversed(rest):
            value = {step: value}
        if isinstance(value, dict):
            inner = _compile(value, here)
            existing = compiled.get(first)
            compiled[first] = _merge(existing, inner) if isinstance(existing, dict) else inner
        elif isinstance(value, list):
            compiled[first] = _alternatives(value, here)
        else:
            raise InvalidEventPattern(f'"{name}" must be an object or an array{_at(path)}')
    return compiled


def _merge(one: dict[str, _Node], other: dict[str, _Node]) -> dict[str, _Node]:
    merged = dict(one)
    for name, node in other.items():
        before = merged.get(name)
        merged[name] = _merge(before, node) if isinstance(before, dict) and isinstance(node, dict) else node
    return merged


def _alternatives(values: list[Json], path: tuple[str, ...]) -> list[Json]:
    if not values:
        raise InvalidEventPattern(f"Empty arrays are not allowed{_at(path)}")
    for value in values:
        if isinstance(value, dict):
            operator = next(iter(value), "")
            raise NotSupported(f"The operator {operator!r}{_at(path)} is not supported yet: only exact values are.")
        if isinstance(value, list):
            raise InvalidEventPattern(f"Match value must be String, number, true, false, or null{_at(path)}")
    return values


def _at(path: tuple[str, ...]) -> str:
    return f" at {'.'.join(path)}" if path else ""


def _nested(value: object) -> object:
    """The event with dotted names taken apart: `{"a.b": 1}` is `{"a": {"b": 1}}`."""
    if isinstance(value, list):
        return [_nested(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    nested: dict[str, object] = {}
    for name, item in value.items():
        *parents, leaf = name.split(".")
        target = nested
        for parent in parents:
            inner = target.get(parent)
            if not isinstance(inner, dict):
                inner = target[parent] = {}
            target = inner
        target[leaf] = _nested(item)
    return nested


def _matches(node: _Node, value: object) -> bool:
    """All fields must match within one and the same element of an array; any element will do."""
    if isinstance(value, list):
        return any(_matches(node, item) for item in value)
    if isinstance(node, list):
        return any(_equal(alternative, value) for alternative in node)
    if not isinstance(value, dict):
        return False
    return all(name in value and _matches(child, value[name]) for name, child in node.items())


def _equal(one: object, other: object) -> bool:
    """Numbers by value, everything else by type and value; true and false are no numbers."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    return isinstance(one, str) == isinstance(other, str) and one == other
