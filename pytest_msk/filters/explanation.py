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

__all__ = ["Explanation", "Finding", "explain"]

#: Values of one field that a line shows, and characters of one value.
_VALUES, _CHARACTERS = 4, 80


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
            hits = tuple(_finding(path, rule[path], found.get(path, ()), matches=True) for path in rule)
            return Explanation(matches=True, findings=hits, ways=len(rules.rules))
    nearest = min(rules.rules, key=lambda rule: len(search.impossible(rule)))
    return Explanation(matches=False, findings=_misses(nearest, search, found), ways=len(rules.rules))


def _misses(rule: Rule, search: RuleSearch, found: Mapping[str, Sequence[Occurrence]]) -> tuple[Finding, ...]:
    impossible = search.impossible(rule)
    if impossible:
        return tuple(_finding(path, rule[path], found.get(path, ()), matches=False) for path in impossible)
    return tuple(_disagreement(rule, paths, found) for paths in search.disagreeing(rule))


def _finding(path: str, alternatives: Alternatives, there: Sequence[Occurrence], *, matches: bool) -> Finding:
    if matches:
        there = [each for each in there if alternatives.hold(each.value)] or there
    values = tuple(dict.fromkeys(_written(each.value) for each in there))
    wanted = tuple(map(str, alternatives.conditions))
    if matches:
        sources = tuple(
            str(condition)
            for condition in alternatives.conditions
            if (condition.absence and not there) or any(Alternatives([condition]).hold(each.value) for each in there)
        )
        text = f"{_shown(values)} matches {sources[0]}" if there else "no value, as wanted"
    elif not there:
        text = f"no value, but wanted is {_choice(wanted)}"
    else:
        text = f"{_shown(values)}, but wanted is {_choice(wanted)}"
    return Finding(paths=(path,), matches=matches, values=values, alternatives=wanted, text=f"{path}: {text}")


def _disagreement(rule: Rule, paths: tuple[str, ...], found: Mapping[str, Sequence[Occurrence]]) -> Finding:
    values = tuple(dict.fromkeys(_written(each.value) for path in paths for each in found.get(path, ())))
    wanted = tuple(str(condition) for path in paths for condition in rule[path].conditions)
    text = f"{' and '.join(paths)}: each is there as wanted, but not all in the same element of an array"
    return Finding(paths=paths, matches=False, values=values, alternatives=wanted, text=text)


def _choice(wanted: tuple[str, ...]) -> str:
    return wanted[0] if len(wanted) == 1 else f"one of {', '.join(wanted)}"


def _shown(values: tuple[str, ...]) -> str:
    shown = ", ".join(value if len(value) <= _CHARACTERS else f"{value[:_CHARACTERS]}..." for value in values[:_VALUES])
    more = len(values) - _VALUES
    return f"{shown or 'no value'}{f' and {more} more' if more > 0 else ''}"


def _written(value: Value) -> str:
    if isinstance(value, Incomparable):
        return value.text
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
