"""assert_matches and assert_filtered: a pattern and a value, without a broker."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pytest_msk import InvalidFilter, NotSupported, assert_filtered, assert_matches

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
    with pytest.raises(AssertionError, match=r"^The record is filtered out:\nfilter 1 does not match: ") as raised:
        assert_matches(PATTERN, value)
    assert 'but wanted is {"numeric":[">",100]}' in str(raised.value)


@pytest.mark.parametrize("value", ["text", b"\xff", [1], 5])
def test_what_passes_for_its_format_alone_neither_matches_nor_is_filtered(value):
    with pytest.raises(AssertionError, match=r"^The record passes without being filtered, because its value has not"):
        assert_matches(PATTERN, value)
    with pytest.raises(AssertionError, match=r"^The record passes, because its value has not the format of the patt"):
        assert_filtered(PATTERN, value)


def test_what_lambda_refuses_is_refused():
    with pytest.raises(InvalidFilter, match=r"Invalid filter pattern definition\."):
        assert_matches({"value": "ACTIVE"}, {})
    with pytest.raises(NotSupported):
        assert_filtered({"key": ["a"]}, {})
