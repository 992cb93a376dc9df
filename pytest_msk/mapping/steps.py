"""Steps: what a delivery asks for. Each is done by the pipeline, which then reports its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..journal import Condition, Offsets, Positions

__all__ = ["Commit", "Done", "GiveUp", "Invoke", "SplitBatch", "Step", "Wait"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoke:
    """Call the function with these records; `attempt` counts from 1."""

    attempt: int
    records: Offsets


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Nothing is due before `until_ms` (epoch milliseconds)."""

    until_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitBatch:
    """Cut the records that failed into these halves."""

    left: Offsets
    right: Offsets


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    """Send these records to the destination, or drop them if there is none.

    Args:
        condition: why.
        records: which.
        invoke_count: how often the function was called with them; what never was counts 1, as on AWS (spec 4.3).
        called: whether the function was called with them.
        answered: whether the last call's answer is the reason.
    """

    condition: Condition
    records: Offsets
    invoke_count: int
    called: bool
    answered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """Commit these offsets: per partition the next one to be read."""

    positions: Positions


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The batch is finished."""


Step: TypeAlias = "Invoke | Wait | SplitBatch | GiveUp | Commit | Done"
