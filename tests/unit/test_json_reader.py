"""The JSON reader: the same values as the standard library's, and nothing lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.filters.json_reader import InvalidJson, JsonNumber, read_json

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
PIECES = ["{", "}", "[", "]", ":", ",", '"', "1", " ", "tru", "\\", "\n", ""]


@st.composite
def spoilt(draw) -> str:
    """A JSON text of which one character was replaced."""
    text = json.dumps(draw(documents))
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(PIECES)) + text[at + 1 :]


def plain(value: object) -> object:
    """The value as the standard library has it."""
    if isinstance(value, tuple):
        return {name: plain(member) for name, member in value}
    if isinstance(value, list):
        return list(map(plain, value))
    return json.loads(value.text) if isinstance(value, JsonNumber) else value


@given(documents, st.sampled_from([None, 1]), st.booleans(), st.sampled_from(["", " ", "x", "}"]))
def test_values_are_those_of_the_standard_library(document, indent, ascii_only, rest):
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    if isinstance(document, int | float) and rest == "x":
        rest = " x"
    value, end = read_json(text + rest)
    assert plain(value) == document
    assert end == len(text)


@given(spoilt())
def test_what_the_standard_library_refuses_is_refused(text):
    try:
        expected: object = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        expected = ValueError
    try:
        value, end = read_json(text)
        found = plain(value) if not text[end:].strip(" \t\n\r") else ValueError
    except InvalidJson:
        found = ValueError
    assert found == expected


def test_members_that_come_twice_and_the_text_of_numbers_are_kept():
    assert read_json('{"a":1.0,"a":[1E400,-0]} rest') == (
        (("a", JsonNumber("1.0")), ("a", [JsonNumber("1E400"), JsonNumber("-0")])),
        24,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":1,}', "Not JSON: a member's name in double quotes is wanted, but '}' at character 7."),
        ('{"a" 1}', "Not JSON: ':' is wanted, but '1' at character 5."),
        ("[1 2]", "Not JSON: ',' or ']' is wanted, but '2' at character 3."),
        ("[", "Not JSON: a value is wanted, but the text ends."),
        ('["a', "Not JSON: the text that begins at character 1 has no closing quote."),
        ('["a\\x"]', "Not JSON: Invalid \\escape at character 3."),
        ("[" * 1_001, "The JSON text is nested more than 1,000 deep at character 1000."),
        ("1" * 1_001, "The number at character 0 has 1,001 digits, more than 1,000."),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(InvalidJson) as raised:
        read_json(text)
    assert str(raised.value) == message
