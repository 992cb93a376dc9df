"""Compiled rules, for plain events: those of which Python's own JSON values lose nothing.

A rule becomes one Python function without loops and with few calls, because it is asked once a record. What the
function cannot decide it leaves to `search`: fields with dots in their names, and arrays in which a field's absence
counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import TypeAlias, cast

from .conditions import Alternatives, Code
from .numbers import number_from_python
from .syntax import Rule

__all__ = ["Check", "Undecided", "compile_rule"]

#: Whether a rule, or a part of one, holds for a value; may raise `Undecided`.
Check: TypeAlias = Callable[[object], bool]

#: The deepest rule that is compiled: Python's own compiler has a limit, too.
_MAX_DEPTH = 64
#: Between these an integer is compared as it is, and outside of these a float is.
_EXACT, _SMALL = 2**53, 1e-300

_MISSING = object()


class Undecided(Exception):
    """Only a search can tell whether the rule holds for this event."""


def compile_rule(rule: Rule) -> Check | None:
    """The check of one rule, which takes the event's root object; `None` for a rule that only a search can decide.

    The check may raise `Undecided`.
    """
    root = _Node()
    for path, alternatives in rule.items():
        names = path.split(".")
        if len(names) > _MAX_DEPTH or "" in names:
            return None
        root.add(names, alternatives)
    return _object_check(root)


@dataclass(slots=True)
class _Node:
    """What a rule asks at one name: of the field itself, and of the names below it."""

    alternatives: Alternatives | None = None
    children: dict[str, _Node] = field(default_factory=dict)

    def add(self, names: list[str], alternatives: Alternatives) -> None:
        """Ask this of the field to which the names lead."""
        node = self
        for name in names:
            node = node.children.setdefault(name, _Node())
        node.alternatives = alternatives

    def deep(self) -> bool:
        """Whether a field below may stand here under a name with dots, in place of objects in each other."""
        return any(child.children for child in self.children.values())

    def absent(self) -> bool:
        """Whether it will do that nothing is here."""
        return (self.alternatives is None or self.alternatives.absence) and all(
            child.absent() for child in self.children.values()
        )

    def ordered(self) -> bool:
        """Whether it counts in an array which of its fields is looked at first."""
        return self.alternatives is not None or any(
            child.ordered() if child.children else child.absent() for child in self.children.values()
        )


def _field_check(alternatives: Alternatives) -> Check:
    text, number, constants = alternatives.text, alternatives.number, alternatives.constants
    absence = alternatives.absence

    def check(value: object) -> bool:
        kind = type(value)
        if kind is str:
            return text(value)  # type: ignore[arg-type]
        if kind is int:
            small = -_EXACT <= value <= _EXACT  # type: ignore[operator]
            return number(value if small else number_from_python(value))  # type: ignore[arg-type]
        if kind is float:
            large = not -_SMALL < value < _SMALL  # type: ignore[operator]
            return number(value if large else number_from_python(value))  # type: ignore[arg-type]
        if value is _MISSING or kind is dict:
            return absence
        if kind is list:
            return any_element(value)  # type: ignore[arg-type]
        return value in constants

    def any_element(items: list[object]) -> bool:
        """Whether one of an array's values will do, those in its arrays included; or there is none, and may be none."""
        none = True
        stack = list(items)
        while stack:
            item = stack.pop()
            kind = type(item)
            if kind is list:
                stack.extend(item)  # type: ignore[arg-type]
            elif kind is not dict:
                none = False
                if check(item):
                    return True
        return none and absence

    return check


def _object_check(node: _Node) -> Check:
    """The check of an object at a node, and all below it: its own source, compiled."""
    names: dict[str, object] = {"MISSING": _MISSING, "SMALL": _SMALL, "Undecided": Undecided}
    lines = ["def check(value):"]
    numbers = count()

    def expression(variable: str, kind: str, test: object, code: Code | None) -> str:
        operand, top = f"{kind}_{variable}", f"{kind}_top_{variable}"
        if code is None:
            names[operand] = test
            return f"{operand}({variable})"
        names[operand], names[top] = code.operand, code.top
        return code.expression.format(value=variable, operand=operand, top=top)

    def write(node: _Node, variable: str, indent: str) -> None:
        if node.deep():
            # The one name that is looked for may be the only one that is there, as in a mapping's events.
            (only, *others) = node.children
            first = "" if others else f"({only!r} not in {variable} or len({variable}) > 1) and "
            lines.append(f'{indent}if {first}"." in "".join({variable}): raise Undecided')
        for name, child in node.children.items():
            inner = f"value_{next(numbers)}"
            lines.append(f"{indent}{inner} = {variable}.get({name!r}, MISSING)")
            if child.children:
                names[f"other_{inner}"] = _other_check(child)
                lines.append(f"{indent}if type({inner}) is dict:")
                write(child, inner, f"{indent} ")
                lines.append(f"{indent}elif not other_{inner}({inner}): return False")
            else:
                assert child.alternatives is not None
                alternatives = child.alternatives
                names[f"other_{inner}"] = _field_check(alternatives)
                text = expression(inner, "text", alternatives.text, alternatives.text_code)
                number = expression(inner, "number", alternatives.number, alternatives.number_code)
                lines.append(
                    f"{indent}if not ({text} if type({inner}) is str else {number} if type({inner}) is float and "
                    f"{inner} > SMALL else other_{inner}({inner})): return False"
                )
        if node.alternatives is not None and not node.alternatives.absence:
            lines.append(f"{indent}return False")  # an object is no value

    write(node, "value", " ")
    lines.append(" return True")
    exec("\n".join(lines), names)
    return cast(Check, names["check"])


def _other_check(node: _Node) -> Check:
    """The check of what stands in place of an object that has fields to be looked at."""
    absent = all(child.absent() for child in node.children.values())
    itself = None if node.alternatives is None else _field_check(node.alternatives)
    ordered = node.ordered()
    check_object = cache(lambda: _object_check(node))  # when an array is met

    def check(value: object) -> bool:
        if type(value) is not list:
            return absent and (itself is None or itself(value))
        if ordered:
            raise Undecided
        # Whether one of the objects has all that is asked for, those in arrays in it included.
        stack = list(value)
        while stack:
            item = stack.pop()
            if type(item) is dict:
                if check_object()(item):
                    return True
            elif type(item) is list:
                stack.extend(item)
        return False

    return check
