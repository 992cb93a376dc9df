"""What a topic makes of names before any broker sees them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.topics import legal_name


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
