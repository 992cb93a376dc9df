"""Occurrences: the values that an event has at the paths of patterns, and in which elements of arrays they stand.

Events with members that come twice, names with dots and arrays in arrays are looked through in one pass, without
recursion (event_patterns.md, facts 1, 2, 4 and 5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from .conditions import Value
from .documents import Document
from .json_reader import JsonNumber
from .numbers import number_from_json, number_from_python

__all__ = ["Membership", "Occurrence", "Paths", "occurrences"]

#: In which element of which arrays a value stands, outermost first: (the array's number in the event, index) pairs.
Membership: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A value that a field has in an event, and where it stands."""

    value: Value
    membership: Membership


@dataclass(slots=True)
class Paths:
    """The paths that patterns ask for, as a tree of names."""

    children: dict[str, Paths] = field(default_factory=dict)
    path: str | None = None
    #: Whether an empty name leads anywhere: the engine forgets the empty names at a path's end (fact 4).
    empty_name: bool = False

    @classmethod
    def of(cls, paths: Iterable[str]) -> Paths:
        """The tree of these paths."""
        root = cls()
        for path in paths:
            node = root
            for name in path.split("."):
                node = node.children.setdefault(name, cls())
            node.path = path
            kept = path.rstrip(".")
            root.empty_name |= not path or (kept != "" and "" in kept.split("."))
        return root

    def find(self, name: str) -> Paths | None:
        """The node to which a member's name leads; a name with dots is several names."""
        if "." not in name:
            return self.children.get(name)
        node: Paths | None = self
        for part in name.split("."):
            node = node.children.get(part) if node is not None else None
        return node


def occurrences(paths: Paths, event: Document) -> dict[str, list[Occurrence]]:
    """The values that an event has at these paths.

    Args:
        paths: what to look for.
        event: the event.
    """
    found: dict[str, list[Occurrence]] = defaultdict(list)
    arrays = 0
    # What is still to be looked at, in the event's order.
    stack: list[tuple[Paths, object, _Place]] = [(paths, event, _Place(None, 0, 0))]
    while stack:
        node, value, place = stack.pop()
        if isinstance(value, dict | tuple):
            members = value.items() if isinstance(value, dict) else value
            inner = [
                (below, member, place)
                for name, member in members
                if (name or paths.empty_name) and (below := node.find(name)) is not None
            ]
            stack.extend(reversed(inner))
        elif isinstance(value, list):
            array, arrays = arrays, arrays + 1
            stack.extend(
                (node, item, _Place(place, array, index) if isinstance(item, dict | tuple | list) else place)
                for index, item in reversed(list(enumerate(value)))
            )
        elif node.path is not None:
            found[node.path].append(Occurrence(_value(value), place.membership()))
    return found


class _Place:
    """An element of an array, in an element of an array, and so on; the root has no parent."""

    __slots__ = ("_array", "_index", "_membership", "_parent")

    def __init__(self, parent: _Place | None, array: int, index: int) -> None:
        self._parent, self._array, self._index = parent, array, index
        self._membership: Membership | None = None

    def membership(self) -> Membership:
        """The elements, outermost first; made when a value is found, as most containers have none."""
        if self._membership is None:
            pairs: list[tuple[int, int]] = []
            place = self
            while place._parent is not None:
                pairs.append((place._array, place._index))
                place = place._parent
            self._membership = tuple(reversed(pairs))
        return self._membership


def _value(value: object) -> Value:
    if isinstance(value, JsonNumber):
        return number_from_json(value.text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_from_python(value)
    assert value is None or isinstance(value, str | bool)
    return value
