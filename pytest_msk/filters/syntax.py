"""The JSON of a pattern, read into rules: each is a set of fields that must all match, and one of the rules must.

The engine compiles a pattern with `$or` first; what that compiler refuses goes to an older one, to which `$or` is a
field like any other, and whose verdict and message count then (event_patterns.md, facts 1, 4 and 18).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import MskError
from .conditions import Alternatives, Condition
from .expressions import InvalidExpression, read_alternative
from .json_reader import InvalidJson, JsonValue, read_json

__all__ = ["MAX_RULES", "InvalidEventPattern", "Rule", "read_rules"]

#: The most combinations of `$or` branches that one pattern may have, and the most fields of all of them together; as
#: many take the reference engine seconds.
MAX_RULES, _MAX_ALL_FIELDS = 16_384, 262_144
#: The most fields of one combination: the engine's own limit.
_MAX_FIELDS = 256

#: A rule: what it asks of each field, by the field's dotted path.
Rule: TypeAlias = dict[str, Alternatives]

_OR = "$or"
#: Names that turn an `$or` into an ordinary field when a branch has them (fact 18).
_RESERVED = {
    "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
    "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
    "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
}  # fmt: skip


class InvalidEventPattern(MskError, ValueError):
    """A pattern that the engine refuses.

    Args:
        message: the engine's message.
        path: where in the pattern, such as `value.status[1]`; empty for the pattern as a whole.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{message} (at {path})" if path else message)
        self.message = message
        self.path = path


class _NoOr(InvalidEventPattern):
    """The pattern is refused while `$or` means something; the older compiler is to say whether it is a pattern."""


def _refused(final: bool) -> type[InvalidEventPattern]:
    """The error of a pattern that is refused for good, or only while `$or` means something."""
    return InvalidEventPattern if final else _NoOr


@dataclass(frozen=True, slots=True)
class _Field:
    path: str
    alternatives: Alternatives


@dataclass(frozen=True, slots=True)
class _Or:
    branches: list[_Steps]


_Steps: TypeAlias = "list[_Field | _Or]"
_Members: TypeAlias = Iterator[tuple[str, JsonValue]]


def read_rules(text: str) -> list[Rule]:
    """The rules of a pattern's JSON text; what follows its closing brace is ignored (fact 3).

    Raises:
        InvalidEventPattern: the engine refuses the pattern.
    """
    try:
        pattern = None if text.lstrip()[:1] in ("", '"', "[") else read_json(text)[0]
    except InvalidJson as error:
        raise InvalidEventPattern(str(error)) from None
    if not isinstance(pattern, tuple):
        raise InvalidEventPattern("Filter is not an object")
    steps = _read_with_or(pattern)
    rules: list[Rule] = []
    fields = 0
    for rule in _expand(steps):
        rules.append(rule)
        fields += len(rule)
        if len(rules) > MAX_RULES or fields > _MAX_ALL_FIELDS:
            raise InvalidEventPattern(
                f"The branches of {_OR} combine in more than {MAX_RULES:,} ways, or have more than {_MAX_ALL_FIELDS:,} "
                "fields in all of these"
            )
    return rules


def _read_with_or(pattern: tuple[tuple[str, JsonValue], ...]) -> _Steps:
    try:
        return _read_steps(pattern, plain=False)
    except _NoOr as error:
        with_or = error
    try:
        return _read_steps(pattern, plain=True)
    except InvalidEventPattern as error:
        # Where `$or` is in the way, the reason that people look for is that of the first reading.
        raise error from None if error.path == with_or.path else with_or


def _read_steps(pattern: tuple[tuple[str, JsonValue], ...], *, plain: bool) -> _Steps:
    """What the pattern says, in its order: fields and alternative branches."""
    refused = _refused(plain)
    root: _Steps = []
    if not pattern:
        raise refused("Empty objects are not allowed")
    # Objects that are being read: the members left, the names that lead to them, where their fields go, within an $or.
    stack: list[tuple[_Members, tuple[str, ...], _Steps, bool]] = [(iter(pattern), (), root, False)]
    while stack:
        members, names, steps, branch = stack[-1]
        member = next(members, None)
        if member is None:
            stack.pop()
            continue
        name, value = member
        here = (*names, name)
        if name == _OR and not plain:
            branches = _branches(value, here)
            inner: list[_Steps] = [[] for _ in branches]
            stack.extend((each, names, to, True) for each, to in reversed([*zip(branches, inner, strict=True)]))
            steps.append(_Or(inner))
        elif branch and name in _RESERVED:
            raise refused(f"{name} is Ruler reserved fieldName which cannot be used inside {_OR}.", _at(here))
        elif isinstance(value, tuple):
            if not value:
                raise refused("Empty objects are not allowed", _at(here))
            stack.append((iter(value), here, steps, branch))
        elif isinstance(value, list):
            steps.append(_Field(_path(names, name), _alternatives(value, here, plain)))
        else:
            raise refused(f'"{name}" must be an object or an array', _at(here))
    return root


def _branches(value: JsonValue, here: tuple[str, ...]) -> list[_Members]:
    """The members of each branch; what is wrong with the branches is raised when its turn has come."""
    if not isinstance(value, list):
        raise _NoOr(f"It must be an Array followed with {_OR}.", _at(here))
    not_an_object = f"Only JSON object is allowed in array of {_OR} relationship."
    branches = [
        iter(branch) if isinstance(branch, tuple) and branch else _refusal(not_an_object, here) for branch in value
    ]
    if len(branches) < 2:
        branches.append(_refusal(f"There must have at least 2 Objects in {_OR} relationship.", here))
    return branches


def _refusal(message: str, here: tuple[str, ...]) -> _Members:
    yield from ()
    raise _NoOr(message, _at(here))


def _alternatives(values: list[JsonValue], here: tuple[str, ...], plain: bool) -> Alternatives:
    if not values:
        raise _refused(plain)("Empty arrays are not allowed", _at(here))
    return Alternatives([_condition(value, f"{_at(here)}[{i}]", plain) for i, value in enumerate(values)])


def _condition(value: JsonValue, at: str, plain: bool) -> Condition:
    try:
        return read_alternative(value, plain=plain)
    except InvalidExpression as error:
        raise _refused(plain or error.final)(str(error), at) from None


def _path(names: tuple[str, ...], name: str) -> str:
    """A field's path; an empty name in front of all others leaves no dot (fact 4)."""
    before = ".".join(names)
    return f"{before}.{name}" if before else name


def _at(names: tuple[str, ...]) -> str:
    return ".".join(names)


def _expand(steps: _Steps) -> Iterator[Rule]:
    """Every way of choosing branches; a later field with the same path takes the place of an earlier one.

    Raises:
        InvalidEventPattern: a rule has more fields than the engine allows.
    """
    # What is left to be said of each rule: steps, the index of the next one, and what comes after them.
    stack: list[tuple[Rule, _Rest]] = [({}, (steps, 0, None))]
    while stack:
        rule, rest = stack.pop()
        while rest is not None:
            current, index, behind = rest
            if index == len(current):
                rest = behind
                continue
            step = current[index]
            rest = (current, index + 1, behind)
            if isinstance(step, _Or):
                stack.extend((dict(rule), (branch, 0, rest)) for branch in reversed(step.branches))
                break
            rule[step.path] = step.alternatives
            if len(rule) > _MAX_FIELDS:
                raise InvalidEventPattern(f"Size of rule exceeds max value of {_MAX_FIELDS}")
        else:
            yield rule


_Rest: TypeAlias = "tuple[_Steps, int, _Rest] | None"
