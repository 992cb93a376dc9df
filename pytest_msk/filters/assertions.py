"""Assertions about a filter pattern and a record's value, without a broker and without a mapping."""

from __future__ import annotations

from collections.abc import Mapping

from ..serialization import raw_value
from .criteria import Decision, FilterCriteria
from .pattern import Json, pattern_text
from .syntax import InvalidEventPattern

__all__ = ["assert_filtered", "assert_matches"]


def assert_matches(
    pattern: Mapping[str, Json] | str, value: object, *, metadata: Mapping[str, object] | None = None
) -> None:
    """Assert that a mapping's filter matches a record with this value, by Kafka's rules (spec 6.3).

    A record that passes only because the filter is for values of another format does not match.

    Args:
        pattern: the filter's pattern, such as `{"value": {"status": ["ACTIVE"]}}`, as a mapping or as JSON text.
        value: bytes, text (as UTF-8, not JSON), `None` for a tombstone, or whatever JSON can say.
        metadata: the record's other properties, such as `{"topic": "orders"}`, of a mapping with `filter_metadata`.

    Raises:
        AssertionError: with the field that is in the way, its value, and what it was held against.
        InvalidFilter: Lambda would refuse the pattern.
        NotSupported: the pattern asks for other properties than the value, and no metadata was given.
    """
    __tracebackhide__ = True
    decision, explained = _decide(pattern, value, metadata, strict=False)
    if decision == "filtered":
        raise AssertionError(f"The record is filtered out:\n{explained}")
    if decision == "unfiltered":
        raise AssertionError(
            "The record passes, but does not match: the filter is for values of another format (spec 6.3), and "
            f"filter_strict=True would keep it out:\n{explained}"
        )


def assert_filtered(
    pattern: Mapping[str, Json] | str,
    value: object,
    *,
    metadata: Mapping[str, object] | None = None,
    strict: bool = False,
) -> None:
    """Assert that a mapping's filter keeps a record with this value from the function, by Kafka's rules (spec 6.3).

    Args:
        pattern: as in `assert_matches`.
        value: as in `assert_matches`.
        metadata: as in `assert_matches`.
        strict: of a mapping with `filter_strict`, which keeps values of another format out.

    Raises:
        AssertionError: with the fields that match, or with why the value is not filtered.
        InvalidFilter: Lambda would refuse the pattern.
        NotSupported: the pattern asks for other properties than the value, and no metadata was given.
    """
    __tracebackhide__ = True
    decision, explained = _decide(pattern, value, metadata, strict=strict)
    if decision == "matched":
        raise AssertionError(f"The record passes:\n{explained}")
    if decision == "unfiltered":
        raise AssertionError(
            "The record passes: the filter is for values of another format, and is not held against it (spec 6.3); "
            f"filter_strict=True would keep it out:\n{explained}"
        )


def _decide(
    pattern: Mapping[str, Json] | str, value: object, metadata: Mapping[str, object] | None, *, strict: bool
) -> tuple[Decision, str]:
    if isinstance(pattern, Mapping) and not {"Filters", "Pattern"}.isdisjoint(pattern):
        raise InvalidEventPattern('Give the pattern itself, {"value": ...}, not the block that holds it')
    text = pattern_text(pattern)
    criteria = FilterCriteria({"Filters": [{"Pattern": text}]}, strict=strict, metadata=metadata is not None)
    content = raw_value(value)
    return criteria.decide(content, metadata), criteria.explain(content, metadata)
