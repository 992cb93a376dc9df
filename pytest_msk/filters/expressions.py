"""Match expressions: the JSON of one alternative of a field, read into its condition.

What is wrong with one is said in the engine's words and found in its order (event_patterns.md, "Invalid patterns").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from ..errors import MskError
from . import conditions
from .addresses import MalformedNetwork, parse_network
from .conditions import Condition
from .json_reader import JsonNumber, JsonValue
from .numbers import Incomparable, number_from_json

__all__ = ["InvalidExpression", "read_alternative", "write_json"]

_Members: TypeAlias = tuple[tuple[str, JsonValue], ...]

_ONE_KEY = "Only one key allowed in match expression"
_TOO_MANY = "Too many elements in numeric expression"
_MAX_DOUBLE = 1.7976931348623157e308


class InvalidExpression(MskError, ValueError):
    """An alternative that the engine refuses.

    Args:
        message: the engine's message.
        final: the engine does not ask its older compiler then.
    """

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def write_json(value: JsonValue) -> str:
    """The compact JSON text of a value that was read."""
    if isinstance(value, JsonNumber):
        return value.text
    if isinstance(value, tuple):
        return "{" + ",".join(f"{_quote(key)}:{write_json(member)}" for key, member in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write_json, value)) + "]"
    return _quote(value)


def _quote(value: str | bool | None) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_alternative(value: JsonValue, *, plain: bool) -> Condition:
    """The condition of one alternative.

    Args:
        value: the alternative.
        plain: by the rules of the engine's older compiler, which knows fewer forms of anything-but.

    Raises:
        InvalidExpression: the engine refuses it.
    """
    if isinstance(value, list):
        raise InvalidExpression("Match value must be String, number, true, false, or null")
    if isinstance(value, tuple):
        return _read_expression(value, plain)
    source = write_json(value)
    if isinstance(value, str):
        return conditions.exact_text(source, value)
    if isinstance(value, JsonNumber):
        return conditions.exact_number(source, number_from_json(value.text))
    return conditions.constant(source, value)


def _read_expression(members: _Members, plain: bool) -> Condition:
    if not members:
        raise InvalidExpression("Match expression name not found")
    (name, operand), *others = members
    source = write_json(members)
    if name == "numeric":
        condition = _numeric(source, operand)
        many = _TOO_MANY
    elif name == "anything-but":
        condition = _anything_but(source, operand, others != [], plain)
        many = _TOO_MANY
    elif name in _READERS:
        condition = _READERS[name](source, operand)
        many = _ONE_KEY
    else:
        raise InvalidExpression(f"Unrecognized match type {name}")
    if others:
        raise InvalidExpression(many)
    return condition


def _text(operand: JsonValue, operator: str) -> str:
    if not isinstance(operand, str):
        raise InvalidExpression(f"{operator} match pattern must be a string")
    return operand


def _exactly(source: str, operand: JsonValue) -> Condition:
    return conditions.exact_text(source, _text(operand, "exact"), addresses=False)


def _equals_ignore_case(source: str, operand: JsonValue) -> Condition:
    return conditions.ignore_case(source, _text(operand, "equals-ignore-case"))


def _wildcard(source: str, operand: JsonValue) -> Condition:
    return conditions.wildcard(source, _pieces(_text(operand, "wildcard")))


def _part(part: str, test: Callable[[str, str], Condition], source: str, operand: JsonValue) -> Condition:
    """A prefix or a suffix, as it is or whatever its case."""
    if not isinstance(operand, tuple):
        return test(source, _text(operand, part))
    if not operand:
        raise InvalidExpression(f"{part.capitalize()} expression name not found")
    (name, inner), *others = operand
    if name != "equals-ignore-case":
        raise InvalidExpression(f"Unsupported {part} pattern: {name}")
    text = _text(inner, "equals-ignore-case")
    if others:
        raise InvalidExpression(_ONE_KEY)
    return conditions.ignore_case(source, text, part=part)


def _exists(source: str, operand: JsonValue) -> Condition:
    if not isinstance(operand, bool):
        raise InvalidExpression("exists match pattern must be either true or false.")
    return conditions.presence(source) if operand else conditions.absence(source)


def _cidr(source: str, operand: JsonValue) -> Condition:
    try:
        return conditions.in_network(source, parse_network(_text(operand, "prefix")))
    except MalformedNetwork as error:
        raise InvalidExpression(str(error), final=True) from error


def _pieces(text: str) -> list[str]:
    """What stands between the asterisks; positions in messages count UTF-8 bytes, the opening quote being number 0."""
    pieces = [""]
    at = 0
    while at < len(text):
        character, following = text[at], text[at + 1 : at + 2]
        if character == "*":
            if following == "*":
                raise InvalidExpression(f"Consecutive wildcard characters at pos {_position(text, at)}")
            pieces.append("")
        elif character == "\\":
            if following not in ("*", "\\"):
                raise InvalidExpression(f"Invalid escape character at pos {_position(text, at)}")
            pieces[-1] += following
            at += 1
        else:
            pieces[-1] += character
        at += 1
    return pieces


def _position(text: str, at: int) -> int:
    return 1 + len(text[:at].encode(errors="surrogatepass"))


# --- numeric


def _numeric(source: str, operand: JsonValue) -> Condition:
    if not isinstance(operand, list):
        raise InvalidExpression("Value of numeric must be an array.")
    operator, *terms = operand or [None]
    if not operand or not isinstance(operator, str):
        raise InvalidExpression(f"Invalid member in numeric match: {_first_token(operand)}")
    if operator not in ("=", "<", "<=", ">", ">="):
        raise InvalidExpression(f"Unrecognized numeric range operator: {operator}")
    one = _term(terms[:1], "equals" if operator == "=" else operator)
    if operator in (">", ">=") and len(terms) > 1:
        return _two_sided(source, one, operator == ">", terms[1:])
    if len(terms) > 1:
        raise InvalidExpression(_TOO_MANY)
    number = _comparable(one)
    if operator == "=":
        return conditions.exact_number(source, number)
    if operator in ("<", "<="):
        return conditions.in_range(source, -_MAX_DOUBLE, number, open_top=operator == "<")
    return conditions.in_range(source, number, _MAX_DOUBLE, open_bottom=operator == ">")


def _two_sided(source: str, bottom: JsonNumber, open_bottom: bool, terms: list[JsonValue]) -> Condition:
    operator, *tops = terms
    if not isinstance(operator, str):
        raise InvalidExpression(f"Bad value in numeric range: {_first_token(terms)}")
    if operator not in ("<", "<="):
        raise InvalidExpression(f"Bad numeric range operator: {operator}")
    top = _term(tops[:1], operator)
    if len(tops) > 1:
        raise InvalidExpression("Too many terms in numeric range expression")
    low, high = _comparable(bottom), _comparable(top)
    if low >= high:
        raise InvalidExpression("Bottom must be less than top")
    return conditions.in_range(source, low, high, open_bottom=open_bottom, open_top=operator == "<")


def _term(terms: Sequence[JsonValue], operator: str) -> JsonNumber:
    if not terms or not isinstance(terms[0], JsonNumber):
        raise InvalidExpression(f"Value of {operator} must be numeric")
    return terms[0]


def _comparable(number: JsonNumber, *, final: bool = False) -> float:
    found = number_from_json(number.text)
    if isinstance(found, Incomparable):
        raise InvalidExpression(f"Cannot compare number : {number.text}", final=final)
    return found


def _first_token(values: list[JsonValue]) -> str:
    """How the engine names what it found at the beginning of the rest of a list."""
    if not values:
        return "]"
    value = values[0]
    return "{" if isinstance(value, tuple) else "[" if isinstance(value, list) else write_json(value)


# --- anything-but


def _anything_but(source: str, operand: JsonValue, more: bool, plain: bool) -> Condition:
    if isinstance(operand, tuple):
        return _anything_but_operator(source, operand, more, plain)
    if isinstance(operand, list):
        for item in operand:
            if not isinstance(item, str | JsonNumber):
                raise InvalidExpression("Inside anything but list, start|null|boolean is not supported.")
            if isinstance(item, JsonNumber):
                _comparable(item)
        if len({type(item) for item in operand}) != 1:
            raise InvalidExpression(
                "Inside anything but list, either all values are number or string, mixed type is not supported"
            )
    elif isinstance(operand, JsonNumber):
        _comparable(operand, final=True)
    elif not isinstance(operand, str):
        raise InvalidExpression("Value of anything-but must be an array or single string/number value.")
    values = operand if isinstance(operand, list) else [operand]
    return conditions.anything_but(
        source,
        [
            conditions.exact_number("", _comparable(value))
            if isinstance(value, JsonNumber)
            else conditions.exact_text("", str(value), addresses=False)
            for value in values
        ],
    )


def _anything_but_operator(source: str, members: _Members, more: bool, plain: bool) -> Condition:
    if not members:
        raise InvalidExpression("Anything-But expression name not found")
    (operator, operand), *others = members
    known = ("prefix", "suffix", "equals-ignore-case") if plain else tuple(_BUT_READERS)
    if operator not in known:
        raise InvalidExpression(f"Unsupported anything-but pattern: {operator}")
    one_text = plain and operator in ("prefix", "suffix")  # the older compiler takes no list here
    if not one_text and not isinstance(operand, list | str | JsonNumber):
        raise InvalidExpression("Value of anything-but must be an array or single string/number value.")
    values = operand if isinstance(operand, list) and not one_text else [operand]
    if not values:
        raise InvalidExpression("Empty arrays are not allowed")
    found = []
    for value in values:
        if not isinstance(value, str):
            raise InvalidExpression(_BUT_TEXTS[operator])
        if not value and operator in ("prefix", "suffix"):
            raise InvalidExpression("Null prefix/suffix not allowed")
        found.append(_BUT_READERS[operator]("", value))
    if others or more:
        raise InvalidExpression(_ONE_KEY if one_text else _TOO_MANY)
    return conditions.anything_but(source, found)


_READERS: dict[str, Callable[[str, JsonValue], Condition]] = {
    "exactly": _exactly,
    "prefix": partial(_part, "prefix", conditions.with_prefix),
    "suffix": partial(_part, "suffix", conditions.with_suffix),
    "exists": _exists,
    "cidr": _cidr,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
}
_BUT_READERS: dict[str, Callable[[str, str], Condition]] = {
    "prefix": conditions.with_prefix,
    "suffix": conditions.with_suffix,
    "equals-ignore-case": conditions.ignore_case,
    "wildcard": _wildcard,
}
_BUT_TEXTS = {
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "equals-ignore-case": "Inside anything-but/ignore-case list, number|start|null|boolean is not supported.",
    "wildcard": "wildcard match pattern must be a string",
}
