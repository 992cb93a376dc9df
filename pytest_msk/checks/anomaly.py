"""Anomaly: one thing that should not have happened, where, and what was expected."""

from __future__ import annotations

from dataclasses import dataclass

from .definitions import DEFINITIONS, AnomalyName, Definition

__all__ = ["Anomaly", "place", "where"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Anomaly:
    """One thing that should not have happened.

    Args:
        name: which kind of thing.
        topic: the topic's name.
        partition: the partition's number.
        offsets: the records that it concerns.
        batch: the batch with which it happened, `None` if there was none.
        attempt: the attempt with that batch, `None` if there was none.
        text: a sentence that says what happened and where.
    """

    name: AnomalyName
    topic: str
    partition: int
    offsets: range
    batch: int | None = None
    attempt: int | None = None
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"

    @property
    def definition(self) -> Definition:
        """What this kind of thing is, how bad it is and where it is legal."""
        return DEFINITIONS[self.name]


def place(topic: str, partition: int, offsets: range) -> str:
    """Where records stand, as a sentence names it."""
    if len(offsets) == 1:
        return f"{topic}-{partition} offset {offsets.start}"
    return f"{topic}-{partition} offsets {offsets.start}-{offsets.stop - 1} ({len(offsets)} records)"


def where(batch: int, attempt: int) -> str:
    """Which invocation, as a sentence names it."""
    return f"batch {batch}, attempt {attempt}"
