"""Faults that a test asks for: functions that fail, time out or are throttled, and mappings whose poller has bad luck.

A function's faults are handlers around a handler and may be nested. A mapping's are its `faults`, see `MappingFaults`.
Both work on every kind of broker. A topic's records expire by `Topic.expire()`.
"""

from __future__ import annotations

from .functions import FaultyHandler, InjectedError, fails, fails_for, throttled, times_out
from .mapping import CommitFault, MappingFaults, PollerCrashed

__all__ = [
    "CommitFault",
    "FaultyHandler",
    "InjectedError",
    "MappingFaults",
    "PollerCrashed",
    "fails",
    "fails_for",
    "throttled",
    "times_out",
]
