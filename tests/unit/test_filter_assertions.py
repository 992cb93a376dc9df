"""assert_matches and assert_filtered: a pattern and a value, without a broker."""

from __future__ import annotations

import dataclasses
import json
from types import MappingProxyType

import pytest

from pytest_msk import InvalidEventPattern, InvalidFilter, NotSupported, assert_filtered, assert_matches

PATTERN = {"value": {"status": ["ACTIVE"], "amount": [{"numeric": [">", 100]}]}}


@dataclasses.dataclass
class Order:
    status: str
    amount: float


@pytest.mark.parametrize("pattern", [PATTERN, json.dumps(PATTERN)])
@pytest.mark.parametrize(
    "value", [{"status": "ACTIVE", "amount": 101}, Order("ACTIVE", 100.5), '{"status":"ACTIVE","amount":1e3}']
)
def test_what_matches(pattern, value):
    assert_matches(pattern, value)
    with pytest.raises(AssertionError) as raised:
        assert_filtered(pattern, value)
    lines = str(raised.value).splitlines()
    assert lines[0] == "The record passes:"
    assert lines[2] == '  value.status: "ACTIVE" matches "ACTIVE"'


@pytest.mark.parametrize(
    "value", [{"status": "ACTIVE", "amount": 100}, {}, None, b'{"status":"ACTIVE","amount":"101"}']
)
def test_what_is_filtered(value):
    assert_filtered(PATTERN, value)
    with pytest.raises(AssertionError, match=r"^The record is filtered out:\nfilter 1, ") as raised:
        assert_matches(PATTERN, value)
    assert 'but wanted is {"numeric":[">",100]}' in str(raised.value)


@pytest.mark.parametrize("value", ["text", b"\xff", [1], 5])
def test_what_passes_for_its_format_alone_neither_matches_nor_is_filtered(value):
    with pytest.raises(
        AssertionError, match=r"^The record passes, but does not match: the filter is for values of ano"
    ):
        assert_matches(PATTERN, value)
    with pytest.raises(
        AssertionError, match=r"^The record passes: the filter is for values of another format, and is "
    ):
        assert_filtered(PATTERN, value)


def test_strictly_what_is_of_another_format_is_filtered():
    assert_filtered(PATTERN, "text", strict=True)


def test_metadata_are_a_records_other_properties():
    pattern = {**PATTERN, "topic": ["orders"]}
    assert_matches(pattern, {"status": "ACTIVE", "amount": 101}, metadata={"topic": "orders"})
    assert_filtered(pattern, "text", metadata={"topic": "others"})


def test_any_mapping_is_a_pattern():
    assert_matches(MappingProxyType({"value": MappingProxyType({"a": [1]})}), {"a": 1})


def test_what_is_no_pattern_is_refused_with_a_sentence():
    for pattern, text in ((b"{}", "not bytes"), ({"value": [{1}]}, "set is nothing that JSON has"), (None, "NoneType")):
        with pytest.raises(InvalidEventPattern, match=text):
            assert_matches(pattern, {})
    for block in ({"Filters": [{"Pattern": "{}"}]}, {"Pattern": "{}"}):
        with pytest.raises(InvalidEventPattern, match="Give the pattern itself"):
            assert_filtered(block, {})
    with pytest.raises(InvalidFilter, match="at most 4,096 characters"):
        assert_matches({"value": ["x" * 5_000]}, "x")


def test_what_lambda_refuses_is_refused():
    with pytest.raises(InvalidFilter, match=r"Invalid filter pattern definition\."):
        assert_matches({"value": "ACTIVE"}, {})
    with pytest.raises(NotSupported):
        assert_filtered({"key": ["a"]}, {})
