"""On-failure destinations: where the records go that a mapping gives up (spec 4.6, 4.7)."""

from __future__ import annotations

from .failure import Condition, Destination, DestinationError, FailedBatch, ResponseContext
from .memory import CallableDestination, InMemoryDestination

__all__ = [
    "CallableDestination",
    "Condition",
    "Destination",
    "DestinationError",
    "FailedBatch",
    "InMemoryDestination",
    "ResponseContext",
]
