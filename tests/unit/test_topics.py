"""What a topic makes of names, values, keys and headers before any broker sees them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.topics import _raw_headers, _raw_key, _raw_value, legal_name

json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner | st.none(), max_size=3),
    max_leaves=8,
).filter(lambda value: not isinstance(value, str))  # fmt: skip


@given(st.text(max_size=300), st.integers(5, 249))
def test_any_text_makes_a_legal_name(text, limit):
    name = legal_name(text, limit=limit)
    assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
    assert len(name) <= limit
    assert name.strip(".-")
    assert legal_name(name, limit=limit) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("test_orders", "test_orders"),
        ("test_orders[a/b c-3]", "test_orders-a-b-c-3"),
        ("größe", "gr-e"),
        ("...", "topic"),
        ("", "topic"),
        ("..hidden-", "hidden"),
        ("x" * 150 + "." + "y" * 100, "x" * 99 + "." + "y" * 100),
        ("x" * 50 + "." + "y" * 200, "y" * 200),
        ("x" * 50 + "-" + "y" * 199, "y" * 199),
    ],
)
def test_names_of_some_texts(text, name):
    assert legal_name(text) == name


@given(json_values)
def test_what_json_can_say_becomes_its_text(value):
    assert json.loads(_raw_value(value)) == value


@given(st.binary(max_size=20))
def test_bytes_stay_as_they_are(value):
    assert _raw_value(value) == value
    assert _raw_key(value, "ignored") == value


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
    assert _raw_value(value) == raw


@pytest.mark.parametrize("value", [{1, 2}, object, {"a": 1j}, {(1, 2): 3}], ids=repr)
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(TypeError) as raised:
        _raw_value(value)
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
    assert _raw_key(key, {"customer": "alice"}) == raw


@pytest.mark.parametrize("key", [7, lambda order: 7], ids=["number", "function of a number"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(TypeError) as raised:
        _raw_key(key, {})
    assert str(raised.value) == "A key is bytes, text or a function of the value that gives one of these, not 7."


def test_headers_keep_their_order_and_their_doubles():
    pairs = [("b", b"\xff"), ("a", "ë"), ("b", None)]
    assert _raw_headers(pairs) == [("b", b"\xff"), ("a", "ë".encode()), ("b", None)]
    assert _raw_headers({"b": "1", "a": None}) == [("b", b"1"), ("a", None)]
    assert _raw_headers(None) == []
