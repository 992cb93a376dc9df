"""Explanation: why an event matches a pattern or does not, field by field, in lines for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .conditions import Alternatives, Value
from .documents import Document
from .numbers import Incomparable
from .occurrences import Occurrence
from .rules import Rules
from .search import RuleSearch
from .syntax import Rule

__all__ = ["Explanation", "Finding", "explain", "printable"]

#: Values or alternatives of one field that a line shows, and characters of each.
_SHOWN, _CHARACTERS = 6, 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found of one field, or of several that must agree.

    Args:
        paths: the field's dotted path, or those of several fields.
        matches: whether the field is as the pattern wants it.
        values: what the event has there, texts and numbers as JSON has them.
        alternatives: what the pattern asks for, each alternative as the pattern has it.
        text: all of this in a line.
    """

    paths: tuple[str, ...]
    matches: bool
    values: tuple[str, ...]
    alternatives: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why an event matches or does not; its text has a line for each finding.

    Args:
        matches: whether it matches.
        findings: of an event that matches, what every field matched; of another one, what is in the way.
        ways: in how many ways the pattern could have matched; the findings are those of the nearest one.
    """

    matches: bool
    findings: tuple[Finding, ...]
    ways: int = 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def explain(rules: Rules, document: Document) -> Explanation:
    """Hold rules against an event and say what came of it; of several rules that fail, the one that fails least."""
    found = rules.occurrences(document)
    search = RuleSearch(found)
    for rule in rules.rules:
        if search.any_holds([rule]):
            hits = tuple(_hit(path, rule[path], found.get(path, ())) for path in rule)
            return Explanation(matches=True, findings=hits, ways=len(rules.rules))
    nearest = min(rules.rules, key=lambda rule: len(search.impossible(rule)))
    misses = [_miss(path, nearest[path], found.get(path, ())) for path in search.impossible(nearest)]
    misses = misses or [_disagreement(nearest, paths, found) for paths in search.disagreeing(nearest)]
    return Explanation(matches=False, findings=tuple(misses), ways=len(rules.rules))


def _hit(path: str, alternatives: Alternatives, there: Sequence[Occurrence]) -> Finding:
    """What a field of a rule that holds matched with."""
    pairs = {
        _written(each.value): str(condition)
        for each in there
        for condition in reversed(alternatives.conditions)
        if condition.holds(each.value)
    }
    matched = _listed([f"{_cut(value)} matches {_cut(source)}" for value, source in pairs.items()])
    absent = "no value, as wanted" if not there else "no value in the element of the array, as wanted"
    wanted = tuple(map(str, alternatives.conditions))
    text = f"{_name(path)}: {matched or absent}"
    return Finding(paths=(path,), matches=True, values=tuple(pairs), alternatives=wanted, text=text)


def _miss(path: str, alternatives: Alternatives, there: Sequence[Occurrence]) -> Finding:
    """What a field has in place of what a rule wants."""
    values, wanted = _values(there), tuple(map(str, alternatives.conditions))
    text = f"{_name(path)}: {_listed(values) or 'no value'}, but wanted is {_choice(wanted)}"
    return Finding(paths=(path,), matches=False, values=values, alternatives=wanted, text=text)


def _disagreement(rule: Rule, paths: tuple[str, ...], found: Mapping[str, Sequence[Occurrence]]) -> Finding:
    """Fields that are as wanted, but not all in the same element of an array."""
    values = {path: _values(found.get(path, ())) for path in paths}
    wanted = {path: tuple(map(str, rule[path].conditions)) for path in paths}
    each = "; ".join(f"{_name(path)}: {_listed(values[path])}, wanted is {_choice(wanted[path])}" for path in paths)
    return Finding(
        paths=paths,
        matches=False,
        values=tuple(value for path in paths for value in values[path]),
        alternatives=tuple(source for path in paths for source in wanted[path]),
        text=f"no element of an array has all that is wanted: {each}",
    )


# --- texts


def _choice(wanted: tuple[str, ...]) -> str:
    return _cut(wanted[0]) if len(wanted) == 1 else f"one of {_listed(wanted)}"


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(map(_cut, texts[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _cut(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}..."


def _name(path: str) -> str:
    return printable(path) if path.strip() else json.dumps(path)


def printable(text: str) -> str:
    """A text in one line that every terminal can show: what cannot be printed is escaped as in JSON."""
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _values(there: Sequence[Occurrence]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_written(each.value) for each in there))


def _written(value: Value) -> str:
    if isinstance(value, Incomparable):
        return value.text
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
