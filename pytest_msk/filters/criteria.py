"""FilterCriteria: which records a mapping lets through, by Kafka's rules for a record's value (spec 6.1 to 6.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ..errors import MskError, NotSupported
from .pattern import EventPattern, InvalidEventPattern

__all__ = ["MAX_FILTERS", "FilterCriteria", "FilterCriteriaBlock", "InvalidFilter"]

#: Filters of one mapping, AWS's default quota (spec 6.1).
MAX_FILTERS = 5


class FilterBlock(TypedDict):
    """One filter as the API has it."""

    Pattern: str


class FilterCriteriaBlock(TypedDict, total=False):
    """The `FilterCriteria` block as the API has it."""

    Filters: Sequence[FilterBlock]


class InvalidFilter(MskError, ValueError):
    """A filter that Lambda would refuse."""


@dataclass(frozen=True, slots=True)
class _ValueFilter:
    pattern: EventPattern
    json: bool

    def passes(self, value: bytes | None) -> bool:
        if value is None:
            return self.pattern.matches({})
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return True  # format table, last row: nothing is left to filter on
        content = _json_object(text)
        if (content is not None) is not self.json:
            return True  # format table: pattern and message are of different formats
        try:
            return self.pattern.matches({"value": text if content is None else content})
        except RecursionError:
            return True  # nested too deeply to be looked at, on a Python that could read it


class FilterCriteria:
    """The filters of a mapping: a record passes if any of them matches; without filters every record passes.

    Args:
        block: the API's own block.

    Raises:
        InvalidFilter: with AWS's text.
        NotSupported: a pattern on something other than `value`, or an operator that is not supported.
    """

    def __init__(self, block: FilterCriteriaBlock | None = None) -> None:
        filters = (block or {}).get("Filters") or ()
        if len(filters) > MAX_FILTERS:
            raise InvalidFilter(f"A mapping has at most {MAX_FILTERS} filters (spec 6.1); {len(filters)} were given.")
        self._filters = tuple(_compile(item.get("Pattern", "")) for item in filters)

    def __bool__(self) -> bool:
        return bool(self._filters)

    def passes(self, value: bytes | None) -> bool:
        """Whether the function gets a record with this value."""
        return not self._filters or any(item.passes(value) for item in self._filters)


def _compile(text: str) -> _ValueFilter:
    try:
        pattern = EventPattern(text)
    except InvalidEventPattern as error:
        raise InvalidFilter("Invalid filter pattern definition.") from error
    others = sorted(set(pattern.pattern) - {"value"})
    others = [name for name in others if not name.startswith("value.")]
    if others:
        raise NotSupported(
            f"The pattern {text} filters on {others[0]!r}, but a Kafka mapping filters on 'value' only (spec 6.2)."
        )
    return _ValueFilter(pattern, json=not isinstance(pattern.pattern.get("value"), list))


def _json_object(text: str) -> Mapping[str, object] | None:
    """The text's JSON object; scalars and arrays count as plain strings (spec 6.3)."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
