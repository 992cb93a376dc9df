"""The event source mapping: configuration, batching, delivery, the poller, and the handle that a test holds."""

from __future__ import annotations

from .config import EventSourceMappingConfig, EventSourceMappingError
from .delivery import DeliveryBlocked
from .esm import EventSourceMapping
from .faults import MappingFaults
from .parameters import MappingParameters

__all__ = [
    "DeliveryBlocked",
    "EventSourceMapping",
    "EventSourceMappingConfig",
    "EventSourceMappingError",
    "MappingFaults",
    "MappingParameters",
]
