"""Assertions about a filter pattern and a record's value, without a broker and without a mapping."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..serialization import raw_value
from .criteria import Decision, FilterCriteria
from .pattern import Json

__all__ = ["assert_filtered", "assert_matches"]


def assert_matches(pattern: Mapping[str, Json] | str, value: object) -> None:
    """Assert that a mapping's filter matches a record with this value, by Kafka's rules (spec 6.3).

    A record that passes only because its value has not the format of the pattern does not match.

    Args:
        pattern: the filter's pattern, such as `{"value": {"status": ["ACTIVE"]}}`, as a mapping or as JSON text.
        value: bytes, text (as UTF-8, not JSON), `None` for a tombstone, or whatever JSON can say.

    Raises:
        AssertionError: with the field that is in the way, its value, and what it was held against.
        InvalidFilter: Lambda would refuse the pattern.
    """
    __tracebackhide__ = True
    decision, explained = _decide(pattern, value)
    if decision == "filtered":
        raise AssertionError(f"The record is filtered out:\n{explained}")
    if decision == "unfiltered":
        raise AssertionError(
            "The record passes without being filtered, because its value has not the format of the pattern "
            f"(spec 6.3):\n{explained}"
        )


def assert_filtered(pattern: Mapping[str, Json] | str, value: object) -> None:
    """Assert that a mapping's filter keeps a record with this value from the function, by Kafka's rules (spec 6.3).

    Args:
        pattern: as in `assert_matches`.
        value: as in `assert_matches`.

    Raises:
        AssertionError: with the fields that match, or with why the value is not filtered.
        InvalidFilter: Lambda would refuse the pattern.
    """
    __tracebackhide__ = True
    decision, explained = _decide(pattern, value)
    if decision == "matched":
        raise AssertionError(f"The record passes:\n{explained}")
    if decision == "unfiltered":
        raise AssertionError(
            "The record passes, because its value has not the format of the pattern: AWS does not filter it "
            f"(spec 6.3):\n{explained}"
        )


def _decide(pattern: Mapping[str, Json] | str, value: object) -> tuple[Decision, str]:
    text = pattern if isinstance(pattern, str) else json.dumps(pattern, ensure_ascii=False)
    criteria = FilterCriteria({"Filters": [{"Pattern": text}]})
    content = raw_value(value)
    return criteria.decide(content), criteria.explain(content)
