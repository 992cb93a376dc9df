"""Search: whether rules hold for the values that an event has at their paths (event_patterns.md, facts 5 to 8). Pure.

It is exact for every event; a compiled rule (`matcher`) is faster where the event is plain. All fields of a match must
stand in the same elements of the arrays that they share, so elements are chosen field by field, and chosen again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .conditions import Alternatives
from .occurrences import Membership, Occurrence
from .syntax import Rule

__all__ = ["RuleSearch"]


class RuleSearch:
    """Looks for rules that hold for an event.

    Args:
        found: the values that the event has at the rules' paths.
    """

    def __init__(self, found: Mapping[str, list[Occurrence]]) -> None:
        self._found = found
        # Rules that come from one pattern share what they ask of fields.
        self._possible: dict[tuple[str, int], bool] = {}

    def any_holds(self, rules: Iterable[Rule]) -> bool:
        """Whether one of the rules holds."""
        return any(next(self._impossible(rule), None) is None and not self.disagreeing(rule) for rule in rules)

    def impossible(self, rule: Rule) -> list[str]:
        """The paths at which the event has nothing that the rule wants."""
        return list(self._impossible(rule))

    def disagreeing(self, rule: Rule) -> list[tuple[str, ...]]:
        """The paths at which the event has what the rule wants, but not all of it in the same elements of arrays."""
        fields = [_Field(path, rule[path], there) for path in rule if (there := self._in_arrays(path))]
        return [tuple(each.path for each in group) for group in _independent(fields) if not _agree(group)]

    def _impossible(self, rule: Rule) -> Iterator[str]:
        for path, alternatives in rule.items():
            possible = self._possible.get((path, id(alternatives)))
            if possible is None:
                possible = self._possible[path, id(alternatives)] = self._is_possible(path, alternatives)
            if not possible:
                yield path

    def _is_possible(self, path: str, alternatives: Alternatives) -> bool:
        """Whether there is a value that matches, or may be none in the way of its absence."""
        there = self._found.get(path)
        if not there:
            return alternatives.absence
        if any(alternatives.hold(each.value) for each in there):
            return True
        return alternatives.absence and bool(self._in_arrays(path))

    def _in_arrays(self, path: str) -> list[Occurrence]:
        """The values at a path, if some of them stand in elements of arrays."""
        there = self._found.get(path, [])
        return there if any(each.membership for each in there) else []


class _Field:
    """What is asked of one field whose values stand in arrays: those that match, and all of them."""

    def __init__(self, path: str, alternatives: Alternatives, there: list[Occurrence]) -> None:
        self.path = path
        self.absence = alternatives.absence
        self.arrays = {array for each in there for array, _ in each.membership}
        self._matching = _Places(each.membership for each in there if alternatives.hold(each.value))
        self._there = _Places(each.membership for each in there if self.absence)

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
    """The fields in groups that have no array in common, so that each can be looked at alone; each in its order."""
    groups: list[tuple[set[int], list[_Field]]] = []
    for each in fields:
        touched = [group for group in groups if not group[0].isdisjoint(each.arrays)]
        arrays = each.arrays.union(*(group[0] for group in touched))
        members = [member for group in touched for member in group[1]]
        groups = [group for group in groups if group not in touched]
        groups.append((arrays, [*members, each]))
    return [sorted(members, key=_Field.order) for _, members in groups]


def _agree(fields: list[_Field]) -> bool:
    """Whether values of all fields can be chosen that stand in the same elements of the arrays that they share."""
    # What was chosen is kept only as long as a field comes that has the array, so that few states are different.
    later: list[set[int]] = [set() for _ in fields]
    for index in range(len(fields) - 1, 0, -1):
        later[index - 1] = later[index] | fields[index].arrays
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
        for choice in fields[index].choices(dict(chosen)):
            kept = frozenset(each for each in (*chosen, *(choice or ())) if each[0] in later[index])
            stack.append((index + 1, kept))
    return False
