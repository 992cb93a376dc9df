"""Filters: event patterns, and the rules by which they are held against a Kafka record's value (spec 6)."""

from __future__ import annotations

from .criteria import MAX_FILTERS, FilterCriteria
from .pattern import EventPattern, InvalidEventPattern

__all__ = ["MAX_FILTERS", "EventPattern", "FilterCriteria", "InvalidEventPattern"]
