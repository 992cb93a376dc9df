"""What the function of a fault may return, and what it is given; see `Faults.call`."""

from __future__ import annotations

from .brokers.embedded.faults import Action, Answer, Crash, Delay, Drop, Fail, Fault, FaultFunction, Faults
from .brokers.embedded.requests import Part, Request

__all__ = [
    "Action",
    "Answer",
    "Crash",
    "Delay",
    "Drop",
    "Fail",
    "Fault",
    "FaultFunction",
    "Faults",
    "Part",
    "Request",
]
