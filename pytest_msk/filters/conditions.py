"""Conditions: what one alternative of a pattern's field asks of a value (event_patterns.md, facts 6 to 17).

A value is a text, a number, true, false or null; objects and arrays are no values. A condition has a test for each of
these kinds, so that matching looks at a value's kind once and then calls what can hold for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import TypeAlias

from .addresses import Network, parse_address
from .numbers import Number

__all__ = [
    "Alternatives",
    "Code",
    "Condition",
    "TextTest",
    "Value",
    "absence",
    "anything_but",
    "constant",
    "exact_number",
    "exact_text",
    "ignore_case",
    "in_network",
    "in_range",
    "presence",
    "wildcard",
    "with_prefix",
    "with_suffix",
]

#: A value of an event: text, number, true, false or null.
Value: TypeAlias = "str | Number | bool | None"
TextTest: TypeAlias = Callable[[str], bool]
NumberTest: TypeAlias = Callable[[Number], bool]


def _never(_value: object) -> bool:
    return False


def _always(_value: object) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Code:
    """A test as a Python expression, for a compiled rule to hold in place of a call.

    Args:
        expression: the expression, with `{value}` for the value and `{operand}`, `{top}` for what it is held against.
        operand: the operand.
        top: the other operand, if there are two.
    """

    expression: str
    operand: object
    top: object = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One alternative of a field.

    Args:
        source: the alternative as a pattern has it, compact JSON.
        text: whether it holds for a text.
        number: whether it holds for a number.
        constants: those of true, false and null for which it holds.
        absence: whether it holds where there is no value.
        exact: the text, if it asks for one and nothing else.
        code: the same test of a text or a number as an expression, where there is one.
    """

    source: str
    text: TextTest = _never
    number: NumberTest = _never
    constants: tuple[bool | None, ...] = ()
    absence: bool = False
    exact: str | None = None
    code: Code | None = None

    def __str__(self) -> str:
        return self.source

    def holds(self, value: Value) -> bool:
        """Whether it holds for a value."""
        return _holds(self.text, self.number, self.constants, value)


def _holds(text: TextTest, number: NumberTest, constants: Container[bool | None], value: Value) -> bool:
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool):
        return value in constants
    return number(value)


class Alternatives:
    """What a pattern asks of one field: one of these conditions.

    Args:
        conditions: the alternatives, in the pattern's order.
    """

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.conditions = tuple(conditions)
        #: Whether a field without any value will do.
        self.absence = any(condition.absence for condition in conditions)
        self.constants = frozenset(value for condition in conditions for value in condition.constants)
        self.text = _any_text(conditions)
        self.number = _any(condition.number for condition in conditions)
        #: These two as expressions, where they are short enough.
        self.text_code = _code([condition for condition in conditions if condition.text is not _never])
        self.number_code = _code([condition for condition in conditions if condition.number is not _never])

    def hold(self, value: Value) -> bool:
        """Whether one of them holds for a value."""
        return _holds(self.text, self.number, self.constants, value)


def _any_text(conditions: Sequence[Condition]) -> TextTest:
    """The texts that are asked for as one test, and the other tests."""
    exact = frozenset(condition.exact for condition in conditions if condition.exact is not None)
    tests = [condition.text for condition in conditions if condition.exact is None]
    return _any([exact.__contains__, *tests] if exact else tests)


def _code(conditions: Sequence[Condition]) -> Code | None:
    """The expression of several conditions for the same kind of value, if they have one."""
    if len(conditions) > 1 and all(condition.exact is not None for condition in conditions):
        return Code("{value} in {operand}", frozenset(condition.exact for condition in conditions))
    return conditions[0].code if len(conditions) == 1 else None


def _any(tests: Iterable[Callable[..., bool]]) -> Callable[..., bool]:
    """One test in place of several, the cheapest that does it."""
    useful = [test for test in tests if test is not _never]
    if len(useful) <= 1:
        return useful[0] if useful else _never
    return lambda value: any(test(value) for test in useful)


# --- the conditions


def exact_text(source: str, text: str, *, addresses: bool = True) -> Condition:
    """The text itself; one that is an IP address is compared as an address (fact 17)."""
    address = parse_address(text) if addresses else None
    if address is None:
        return Condition(source=source, text=text.__eq__, exact=text, code=Code("{value} == {operand}", text))
    return Condition(source=source, text=lambda other: parse_address(other) == address)


def exact_number(source: str, number: Number) -> Condition:
    """The number itself (fact 9)."""
    return Condition(source=source, number=lambda other: other == number)


def constant(source: str, value: bool | None) -> Condition:
    """True, false or null."""
    return Condition(source=source, constants=(value,))


def with_prefix(source: str, prefix: str) -> Condition:
    """A text that begins so; any text if it is empty (fact 14)."""
    code = Code("{value}.startswith({operand})", prefix)
    return Condition(source=source, text=methodcaller("startswith", prefix), code=code)


def with_suffix(source: str, suffix: str) -> Condition:
    """A text that ends so; any text if it is empty (fact 14)."""
    code = Code("{value}.endswith({operand})", suffix)
    return Condition(source=source, text=methodcaller("endswith", suffix), code=code)


def ignore_case(source: str, text: str, *, part: str = "whole") -> Condition:
    """A text whose characters are the lower or upper forms of these (fact 15).

    Args:
        source: the condition as a pattern has it.
        text: the characters.
        part: whether they are the `whole` text, its `prefix` or its `suffix`.
    """
    forms = [sorted({c.lower(), c.upper()}) for c in text]
    if part == "suffix":  # from the end backwards, so that there is one place at which to begin
        forms = [[form[::-1] for form in each] for each in reversed(forms)]
    expression = re.compile("".join(f"(?:{'|'.join(map(re.escape, each))})" for each in forms))
    if part == "suffix":
        return Condition(source=source, text=lambda other: expression.match(other[::-1]) is not None)
    find = expression.fullmatch if part == "whole" else expression.match
    return Condition(source=source, text=lambda other: find(other) is not None)


def wildcard(source: str, pieces: Sequence[str]) -> Condition:
    """A text made of these pieces with anything between them (fact 13); time grows with the text's length alone."""
    if len(pieces) == 1:
        return exact_text(source, pieces[0], addresses=False)
    first, *middle, last = pieces
    ends = len(first) + len(last)

    def test(text: str) -> bool:
        if len(text) < ends or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return Condition(source=source, text=test)


def in_range(source: str, bottom: float, top: float, *, open_bottom: bool = False, open_top: bool = False) -> Condition:
    """A comparable number between two (facts 10 to 12)."""

    tests: dict[tuple[bool, bool], NumberTest] = {
        (False, False): lambda number: bottom <= number <= top,
        (False, True): lambda number: bottom <= number < top,
        (True, False): lambda number: bottom < number <= top,
        (True, True): lambda number: bottom < number < top,
    }
    above, below = ("<" if is_open else "<=" for is_open in (open_bottom, open_top))
    code = Code(f"{{operand}} {above} {{value}} {below} {{top}}", bottom, top)
    return Condition(source=source, number=tests[open_bottom, open_top], code=code)


def in_network(source: str, network: Network) -> Condition:
    """A text that is an address of this network."""

    def test(text: str) -> bool:
        address = parse_address(text)
        return address is not None and address in network

    return Condition(source=source, text=test)


def presence(source: str) -> Condition:
    """Any value (fact 6)."""
    return Condition(source=source, text=_always, number=_always, constants=(True, False, None))


def absence(source: str) -> Condition:
    """No value (fact 6)."""
    return Condition(source=source, absence=True)


def anything_but(source: str, conditions: Sequence[Condition]) -> Condition:
    """Any value for which none of these conditions holds (fact 8)."""
    texts, numbers = _any_text(conditions), _any(condition.number for condition in conditions)
    return Condition(
        source=source,
        text=_always if texts is _never else lambda text: not texts(text),
        number=_always if numbers is _never else lambda number: not numbers(number),
        constants=(True, False, None),
    )
