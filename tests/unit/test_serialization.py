"""What becomes of values, keys and headers before any broker sees them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.serialization import raw_headers, raw_key, raw_value

json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner | st.none(), max_size=3),
    max_leaves=8,
).filter(lambda value: not isinstance(value, str))  # fmt: skip


@given(json_values)
def test_what_json_can_say_becomes_its_text(value):
    assert json.loads(raw_value(value)) == value


@given(st.binary(max_size=20))
def test_bytes_stay_as_they_are(value):
    assert raw_value(value) == value
    assert raw_key(value, "ignored") == value


@dataclass
class Order:
    id: int


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (None, None),
        ("tëxt", "tëxt".encode()),
        ("", b""),
        (b"", b""),
        ({"b": [1, None], "a": "ë"}, '{"b":[1,null],"a":"ë"}'.encode()),
        (Order(3), b'{"id":3}'),
        (0, b"0"),
        (False, b"false"),
    ],
    ids=repr,
)
def test_values(value, raw):
    assert raw_value(value) == raw


@pytest.mark.parametrize("value", [{1, 2}, object, {"a": 1j}, {(1, 2): 3}], ids=repr)
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(TypeError) as raised:
        raw_value(value)
    assert str(raised.value).startswith(f"A value is bytes, text, None or what JSON can say, not {value!r}: ")


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        (None, None),
        ("ë", "ë".encode()),
        (b"\xff", b"\xff"),
        (lambda order: order["customer"], b"alice"),
        (lambda order: b"raw", b"raw"),
        (lambda order: None, None),
    ],
    ids=["none", "text", "bytes", "function", "function of bytes", "function of none"],
)
def test_keys(key, raw):
    assert raw_key(key, {"customer": "alice"}) == raw


@pytest.mark.parametrize("key", [7, lambda order: 7], ids=["number", "function of a number"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(TypeError) as raised:
        raw_key(key, {})
    assert str(raised.value) == "A key is bytes, text or a function of the value that gives one of these, not 7."


def test_headers_keep_their_order_and_their_doubles():
    pairs = [("b", b"\xff"), ("a", "ë"), ("b", None)]
    assert raw_headers(pairs) == [("b", b"\xff"), ("a", "ë".encode()), ("b", None)]
    assert raw_headers({"b": "1", "a": None}) == [("b", b"1"), ("a", None)]
    assert raw_headers(None) == []
    assert raw_headers({"a": "1"}.items()) == [("a", b"1")]


@pytest.mark.parametrize("headers", ["a", b"a", 7, iter([("a", "1")])], ids=["text", "bytes", "number", "iterator"])
def test_what_are_no_headers_is_refused(headers):
    with pytest.raises(TypeError) as raised:
        raw_headers(headers)
    assert str(raised.value) == f"Headers are (name, value) pairs or a mapping, not {headers!r}."


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: raw_value("\ud800"), "value"),
        (lambda: raw_key("\ud800", None), "key"),
        (lambda: raw_headers([("\ud800", None)]), "header name"),
        (lambda: raw_headers([("a", "\ud800")]), "header value"),
    ],
    ids=["value", "key", "header name", "header value"],
)
def test_text_that_utf8_cannot_say_is_refused(make, what):
    with pytest.raises(TypeError) as raised:
        make()
    assert str(raised.value).startswith(f"The {what} '\\ud800' is no text that UTF-8 can say: ")
