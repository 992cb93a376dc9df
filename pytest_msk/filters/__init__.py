"""Filters: event patterns, and the rules by which they are held against a Kafka record's value (spec 6)."""

from __future__ import annotations

from .assertions import assert_filtered, assert_matches
from .criteria import MAX_FILTERS, FilterCriteria, InvalidFilter
from .documents import InvalidEvent
from .explanation import Explanation, Finding
from .pattern import EventPattern
from .syntax import InvalidEventPattern

__all__ = [
    "MAX_FILTERS",
    "EventPattern",
    "Explanation",
    "FilterCriteria",
    "Finding",
    "InvalidEvent",
    "InvalidEventPattern",
    "InvalidFilter",
    "assert_filtered",
    "assert_matches",
]
