"""A slow, obviously right interpreter of event patterns, for the fast engine to be held against.

"Fact 7" is one of docs/spec/event_patterns.md. A pattern becomes branches, one for each choice among its `$or`: each is
the tests of some fields. An event becomes leaves: a path, a value, and the elements of arrays that it stands in. A
branch matches if a leaf can be found for each of its fields, all of them in the same elements.

Of pytest_msk it needs the reader of JSON alone, which has tests of its own: that gives an object as a tuple of its
members (one may come twice), an array as a list, and a number as its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from operator import eq, ge, gt, le, lt
from typing import Literal, TypeAlias

from pytest_msk.filters.json_reader import InvalidJson, JsonNumber, JsonValue, read_json

__all__ = ["paths", "verdict"]

Value: TypeAlias = "str | JsonNumber | bool | None"
#: One alternative of a field: whether a value will do.
Test: TypeAlias = Callable[[Value], bool]
#: Fields that must all match: the alternatives of each, by its dotted path (fact 1).
Branch: TypeAlias = dict[str, list[Test]]
#: Elements of arrays: the array's identity -> the element's index.
Elements: TypeAlias = dict[int, int]


def verdict(pattern_text: str, event_text: str) -> Literal["match", "no-match", "invalid"]:
    """Whether the event matches the pattern; what is no JSON object matches nothing."""
    try:
        branches = read_pattern(pattern_text)
    except Invalid:
        return "invalid"
    try:
        event, _ = read_json(event_text)  # whatever follows it (fact 3)
    except InvalidJson:
        event = None
    leaves = list(flatten(event, (), {}, empty_names=any(map(has_empty_name, paths(pattern_text)))))
    found = isinstance(event, tuple) and any(matches(branch, leaves) for branch in branches)
    return "match" if found else "no-match"


def paths(pattern_text: str) -> set[str]:
    """The dotted paths of a valid pattern's fields."""
    return {path for branch in read_pattern(pattern_text) for path in branch}


# --- event


@dataclass(frozen=True)
class Leaf:
    """A text, number, true, false or null of an event."""

    path: str
    value: Value
    elements: Elements


def flatten(value: JsonValue, names: tuple[str, ...], elements: Elements, *, empty_names: bool) -> Iterator[Leaf]:
    """The leaves of a value; of members that come twice each counts (fact 2)."""
    if isinstance(value, tuple):
        for name, member in value:
            if name or empty_names:
                yield from flatten(member, (*names, name), elements, empty_names=empty_names)
    elif isinstance(value, list):
        # Objects and arrays in an array are places of their own, other values are alternatives (fact 5).
        for index, item in enumerate(value):
            inside = {**elements, id(value): index} if isinstance(item, tuple | list) else elements
            yield from flatten(item, names, inside, empty_names=empty_names)
    else:
        yield Leaf(".".join(names), value, elements)


def has_empty_name(path: str) -> bool:
    """Whether a name of the path is empty, those at its end apart: the engine drops these, and then looks at no member
    of an event with a name that it does not know (fact 4)."""
    return path == "" or re.search(r"(^|\.)\.[^.]", path) is not None


# --- matching


def matches(branch: Branch, leaves: list[Leaf]) -> bool:
    """Whether the leaves have what all fields ask for; these take their turns in the order of Java's texts (fact 7)."""
    utf_16 = {path: path.encode("utf-16-be", "surrogatepass") for path in branch}
    return assignable([(path, branch[path]) for path in sorted(branch, key=utf_16.__getitem__)], leaves, {})


def assignable(fields: list[tuple[str, list[Test]]], leaves: list[Leaf], chosen: Elements) -> bool:
    """Whether leaves can be chosen for the fields that agree with the elements chosen so far (fact 5)."""
    if not fields:
        return True
    (path, tests), *rest = fields
    there = [leaf for leaf in leaves if leaf.path == path]
    candidates = [leaf for leaf in there if all(chosen.get(array, i) == i for array, i in leaf.elements.items())]
    for test in tests:
        ways = [{**chosen, **leaf.elements} for leaf in candidates if test(leaf.value)]
        if test is absent and not candidates:  # facts 6 and 7: nothing is there, in the elements chosen so far
            ways = [chosen]
        if any(assignable(rest, leaves, way) for way in ways):
            return True
    return False


def absent(_value: Value) -> bool:
    """`exists: false`, for which no value will do."""
    return False


# --- pattern

RESERVED = {
    "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
    "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
    "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
}  # fmt: skip


class Invalid(Exception):
    """The pattern is none."""


def require(condition: object) -> None:
    if not condition:
        raise Invalid


def read_pattern(text: str) -> list[Branch]:
    """A pattern's branches; what is no pattern otherwise may be one to which `$or` is an ordinary name (fact 18)."""
    try:
        pattern, _ = read_json(text)  # whatever follows it (fact 3)
    except InvalidJson:
        raise Invalid from None
    require(isinstance(pattern, tuple))
    try:
        return read_fields(pattern, (), [{}], with_or=True)
    except Invalid:
        return read_fields(pattern, (), [{}], with_or=False)


def read_fields(
    members: JsonValue, names: tuple[str, ...], branches: list[Branch], *, with_or: bool, inside_or: bool = False
) -> list[Branch]:
    """The branches with an object's fields added to each; of fields with the same path the last one counts (fact 2)."""
    require(members)
    for name, value in members:
        if with_or and name == "$or":  # fact 18
            require(isinstance(value, list) and len(value) >= 2 and all(isinstance(each, tuple) for each in value))
            several = [read_fields(each, names, branches, with_or=True, inside_or=True) for each in value]
            branches = [branch for each in several for branch in each]
            continue
        require(not (inside_or and name in RESERVED))
        if isinstance(value, tuple):
            branches = read_fields(value, (*names, name), branches, with_or=with_or, inside_or=inside_or)
            continue
        require(isinstance(value, list) and value)
        tests = [read_alternative(each, with_or=with_or) for each in value]
        above = ".".join(names)  # facts 1 and 4
        branches = [{**branch, f"{above}.{name}" if above else name: tests} for branch in branches]
    return branches


def read_alternative(value: JsonValue, *, with_or: bool) -> Test:
    require(not isinstance(value, list))
    if isinstance(value, tuple):
        return read_expression(value, with_or=with_or)
    if isinstance(value, str):
        address = address_bits(value)  # fact 17: compared as an address, if it is one
        return text_test("exactly", value) if address is None else in_network(address, len(address))
    if isinstance(value, JsonNumber):
        number = comparable(value)  # facts 9 and 11: by its value or by its text
        return lambda leaf: leaf == value or (number is not None and comparable(leaf) == number)
    return lambda leaf: leaf is value  # true, false, null


# --- match expressions


def only_member(value: JsonValue) -> tuple[str, JsonValue]:
    require(isinstance(value, tuple) and len(value) == 1)
    return value[0]


def read_expression(expression: JsonValue, *, with_or: bool) -> Test:
    operator, operand = only_member(expression)
    if operator == "exists":
        require(isinstance(operand, bool))
        return (lambda _leaf: True) if operand else absent  # fact 6
    if operator == "numeric":
        return in_range(read_bounds(operand))
    if operator == "anything-but":
        excluded = read_excluded(operand, with_or=with_or)
        return lambda leaf: not any(test(leaf) for test in excluded)  # facts 8 and 11: whatever its type
    if operator in ("prefix", "suffix") and isinstance(operand, tuple):  # fact 16
        inner, text = only_member(operand)
        require(inner == "equals-ignore-case" and isinstance(text, str))
        return in_any_case(text, operator)
    return text_test(operator, operand)


def read_bounds(operand: JsonValue) -> list[tuple[str, Decimal]]:
    """The relations and numbers under `numeric`: one pair, or a bottom and a top (fact 12)."""
    require(isinstance(operand, list) and len(operand) in (2, 4))
    relations, numbers = operand[::2], [comparable(number) for number in operand[1::2]]
    require(all(isinstance(relation, str) and relation in RELATIONS for relation in relations))
    require(None not in numbers)  # fact 11
    if len(numbers) == 2:
        require(relations[0] in (">", ">=") and relations[1] in ("<", "<=") and numbers[0] < numbers[1])
    return list(zip(relations, numbers, strict=True))


def read_excluded(operand: JsonValue, *, with_or: bool) -> list[Test]:
    """The tests under `anything-but` (fact 16)."""
    operator = "exactly"  # compared as text, be it an address or not (fact 17)
    if isinstance(operand, tuple):
        operator, operand = only_member(operand)
        require(operator in ("prefix", "suffix", "equals-ignore-case", "wildcard"))
        # The grammar without `$or` is an older one (fact 18).
        require(with_or or operator == "equals-ignore-case" or (operator != "wildcard" and isinstance(operand, str)))
    values = operand if isinstance(operand, list) else [operand]
    require(values and not (operator in ("prefix", "suffix") and "" in values))  # fact 14
    if operator == "exactly" and all(isinstance(value, JsonNumber) for value in values):
        numbers = [comparable(value) for value in values]
        require(None not in numbers)  # fact 11
        return [in_range([("=", number)]) for number in numbers]
    return [text_test(operator, value) for value in values]


# --- texts


def text_test(operator: str, text: JsonValue) -> Test:
    """The test of an operator that takes a text."""
    require(isinstance(text, str))
    if operator == "exactly":
        return lambda leaf: leaf == text
    if operator == "prefix":  # an empty one is every text's (fact 14)
        return lambda leaf: isinstance(leaf, str) and leaf.startswith(text)
    if operator == "suffix":
        return lambda leaf: isinstance(leaf, str) and leaf.endswith(text)
    if operator == "equals-ignore-case":
        return in_any_case(text, "whole")
    if operator == "wildcard":
        require(re.fullmatch(r"([^*\\]|\\[*\\]|\*(?!\*))*", text))  # fact 13
        pieces = re.findall(r"[^*\\]|\\[*\\]|\*", text)
        return lambda leaf: isinstance(leaf, str) and wildcard_matches(pieces, leaf)
    require(operator == "cidr")
    host, slash, mask = text.rstrip("/").partition("/")
    address = address_bits(host)
    require(slash and address and re.fullmatch(r"[+-]?\d+", mask) and 0 <= int(mask) < len(address))
    return in_network(address[: int(mask)], len(address))  # fact 17


def wildcard_matches(pieces: list[str], text: str) -> bool:
    """Whether a text is these: characters, escaped characters, and asterisks, which stand for anything (fact 13)."""
    if not pieces:
        return text == ""
    piece, *rest = pieces
    if piece == "*":
        return any(wildcard_matches(rest, text[start:]) for start in range(len(text) + 1))
    return text[:1] == piece[-1] and wildcard_matches(rest, text[1:])


def in_any_case(text: str, part: str) -> Test:
    """A text that is, begins with or ends in the lower or upper forms of these characters (facts 15 and 16)."""

    def test(leaf: Value) -> bool:
        if not isinstance(leaf, str):
            return False
        ends = set(range(len(leaf) + 1)) if part == "suffix" else {0}  # where the characters so far may end
        for character in text:
            forms = {character.lower(), character.upper()}  # which may be longer than the character
            ends = {end + len(form) for end in ends for form in forms if leaf.startswith(form, end)}
        return bool(ends) if part == "prefix" else len(leaf) in ends

    return test


# --- numbers

RELATIONS = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


def in_range(bounds: list[tuple[str, Decimal]]) -> Test:
    def test(leaf: Value) -> bool:
        number = comparable(leaf)
        return number is not None and all(RELATIONS[relation](number, bound) for relation, bound in bounds)

    return test


def comparable(value: JsonValue) -> Decimal | None:
    """A number's exact value, if the engine can compare it: it is what its double's shortest text says (fact 10)."""
    if not isinstance(value, JsonNumber):
        return None
    double = float(value.text)
    # Java writes two digits at least, which tells with the smallest ones: 4.9e-324.
    shortest = f"{double:.1e}" if 0 < abs(double) <= 1e-322 else repr(double)
    try:
        exact = Decimal(value.text)
        # The engine keeps a power of ten in 32 bits: 0e9999999999 is too much for it.
        return exact if exact == Decimal(shortest) and abs(exact.as_tuple().exponent) < 2**31 else None
    except InvalidOperation:  # an exponent of some twenty digits
        return None


# --- IP addresses


def in_network(first: str, size: int) -> Test:
    """An address of so many bits, of which these are the first."""
    network = re.compile(f"{first}[01]{{{size - len(first)}}}")
    return lambda leaf: isinstance(leaf, str) and network.fullmatch(address_bits(leaf) or "") is not None


def address_bits(text: str) -> str | None:
    """An address's 32 or 128 bits; one of 128 that stands for one of 32 is that one (fact 17)."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text):
        numbers = [int(number) for number in text.split(".")]
        return "".join(f"{number:08b}" for number in numbers) if max(numbers) <= 255 else None
    head, gap, tail = text.partition("::")
    front, back = (part.split(":") if part else [] for part in (head, tail))
    zeros = 8 - len(front) - len(back)  # which `::` stands for, at least one
    groups = [*front, *["0"] * zeros, *back]
    if (zeros < 1 if gap else zeros) or not all(re.fullmatch("0*[0-9a-fA-F]{1,4}", group) for group in groups):
        return None
    bits = "".join(f"{int(group, 16):016b}" for group in groups)
    return bits[96:] if bits.startswith("0" * 80 + "1" * 16) else bits
