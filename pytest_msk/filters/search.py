"""Search: whether a rule holds for an event, whatever the event's form (event_patterns.md, facts 1 to 8). Pure.

It knows events with members that come twice, names with dots and arrays in arrays, and is exact in all of them: each
field is looked up with the elements of arrays in which it stands, and all fields of a match must agree on these.
A `Matcher` is faster where the event is plain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from .conditions import Alternatives, Value
from .json_reader import JsonNumber
from .numbers import number_from_json, number_from_python
from .syntax import Rule

__all__ = ["Membership", "Occurrence", "Paths", "RuleSearch", "occurrences"]

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


def occurrences(paths: Paths, event: object) -> dict[str, list[Occurrence]]:
    """The values that an event has at these paths.

    Args:
        paths: what to look for.
        event: the event as Python's own JSON values, or as `read_json` gives them.
    """
    found: dict[str, list[Occurrence]] = defaultdict(list)
    arrays = 0
    # What is still to be looked at, in the event's order.
    stack: list[tuple[Paths, object, Membership]] = [(paths, event, ())]
    while stack:
        node, value, membership = stack.pop()
        if isinstance(value, dict | tuple):
            members = value.items() if isinstance(value, dict) else value
            inner = [
                (below, member, membership)
                for name, member in members
                if (name or paths.empty_name) and (below := node.find(name)) is not None
            ]
            stack.extend(reversed(inner))
        elif isinstance(value, list):
            array, arrays = arrays, arrays + 1
            stack.extend(
                (node, item, (*membership, (array, index)) if isinstance(item, dict | tuple | list) else membership)
                for index, item in reversed(list(enumerate(value)))
            )
        elif node.path is not None:
            found[node.path].append(Occurrence(_value(value), membership))
    return found


def _value(value: object) -> Value:
    if isinstance(value, JsonNumber):
        return number_from_json(value.text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_from_python(value)
    assert value is None or isinstance(value, str | bool)
    return value


class RuleSearch:
    """Looks for rules that hold for an event.

    Args:
        found: the values that the event has at the rules' paths.
    """

    def __init__(self, found: Mapping[str, list[Occurrence]]) -> None:
        self._found = found
        # Rules that come from one pattern share what they ask of fields.
        self._fields: dict[tuple[str, int], _Field] = {}

    def any_holds(self, rules: Iterable[Rule]) -> bool:
        """Whether one of the rules holds."""
        return any(not self.impossible(rule) and not self.disagreeing(rule) for rule in rules)

    def impossible(self, rule: Rule) -> list[str]:
        """The paths at which the event has nothing that the rule wants."""
        return [path for path, alternatives in rule.items() if not self._field(path, alternatives).possible]

    def disagreeing(self, rule: Rule) -> list[tuple[str, ...]]:
        """The paths of which the event has what the rule wants, but not all in the same elements of arrays."""
        fields = [self._field(path, alternatives) for path, alternatives in rule.items()]
        in_arrays = sorted((each for each in fields if each.arrays), key=_Field.order)
        return [tuple(each.path for each in group) for group in _independent(in_arrays) if not _agree(group)]

    def _field(self, path: str, alternatives: Alternatives) -> _Field:
        known = self._fields.get((path, id(alternatives)))
        if known is None:
            known = self._fields[path, id(alternatives)] = _Field(path, alternatives, self._found.get(path, []))
        return known


class _Field:
    """What is asked of one field, and its values: those that match, and all of them."""

    def __init__(self, path: str, alternatives: Alternatives, there: list[Occurrence]) -> None:
        self.path = path
        self.absence = alternatives.absence
        self.arrays = {array for each in there for array, _ in each.membership}
        matching = [each.membership for each in there if alternatives.hold(each.value)]
        #: Whether there is a value that matches, or none in the way of its absence.
        self.possible = bool(matching) or (self.absence and (bool(self.arrays) or not there))
        self._matching = _Places(matching if self.arrays else ())
        self._there = _Places([each.membership for each in there] if self.arrays and self.absence else ())

    def order(self) -> bytes:
        """Where its turn is: the engine takes the paths in the order of Java's texts, by UTF-16 units."""
        return self.path.encode("utf-16-be", "surrogatepass")

    def choices(self, chosen: Mapping[int, int]) -> Iterator[Membership | None]:
        """The places of matching values that agree with the elements chosen so far; `None` for no value at all."""
        yield from self._matching.agreeing(chosen)
        if self.absence and next(self._there.agreeing(chosen), None) is None:
            yield None


class _Places:
    """Memberships, to be found by the elements that are chosen without looking at all of them."""

    def __init__(self, memberships: Iterable[Membership]) -> None:
        self._root = _Place()
        for membership in memberships:
            place = self._root
            for array, index in membership:
                place = place.below.setdefault(array, {}).setdefault(index, _Place())
            place.membership = membership

    def agreeing(self, chosen: Mapping[int, int]) -> Iterator[Membership]:
        """Those whose elements are the chosen ones, wherever one is chosen."""
        stack = [self._root]
        while stack:
            place = stack.pop()
            if place.membership is not None:
                yield place.membership
            for array, elements in place.below.items():
                if array not in chosen:
                    stack.extend(elements.values())
                elif chosen[array] in elements:
                    stack.append(elements[chosen[array]])


@dataclass(slots=True)
class _Place:
    """A place in arrays: whether something stands there, and the elements within it by array and index."""

    membership: Membership | None = None
    below: dict[int, dict[int, _Place]] = field(default_factory=dict)


def _independent(fields: list[_Field]) -> list[list[_Field]]:
    """The fields in groups that have no array in common, so that each group can be looked at alone."""
    groups: list[tuple[set[int], list[_Field]]] = []
    for each in fields:
        touched = [group for group in groups if not group[0].isdisjoint(each.arrays)]
        arrays = each.arrays.union(*(group[0] for group in touched))
        members = [member for group in touched for member in group[1]]
        groups = [group for group in groups if group not in touched]
        groups.append((arrays, [*members, each]))
    return [members for _, members in groups]


def _agree(fields: list[_Field]) -> bool:
    """Whether values of all fields can be chosen that stand in the same elements of the arrays that they share."""
    seen: set[tuple[int, frozenset[tuple[int, int]]]] = set()
    stack: list[tuple[int, frozenset[tuple[int, int]]]] = [(0, frozenset())]
    while stack:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        index, chosen = state
        if index == len(fields):
            return True
        choices = fields[index].choices(dict(chosen))
        stack.extend((index + 1, chosen if choice is None else chosen.union(choice)) for choice in choices)
    return False
