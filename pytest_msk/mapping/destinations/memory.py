"""Destinations that need no service: a list in memory, and a callable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...records import Record
from .failure import FailedBatch

__all__ = ["CallableDestination", "InMemoryDestination"]


class InMemoryDestination:
    """Keeps what a mapping gives up in a list.

    Args:
        name: what the journal calls it.
    """

    def __init__(self, name: str = "memory") -> None:
        self._name = name
        #: What was sent, in order.
        self.messages: list[FailedBatch] = []

    def __repr__(self) -> str:
        return f"<InMemoryDestination {self.name!r}, {len(self.messages)} messages>"

    @property
    def name(self) -> str:
        """What the journal calls it."""
        return self._name

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of all messages, in order."""
        return tuple(record for message in self.messages for record in message.records)

    def send(self, failed: FailedBatch) -> None:
        """Keep a batch that failed."""
        self.messages.append(failed)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallableDestination:
    """Hands what a mapping gives up to a callable.

    Args:
        function: called with the `FailedBatch`; what it returns is not looked at.
    """

    function: Callable[[FailedBatch], object]

    @property
    def name(self) -> str:
        """The callable's own name."""
        return getattr(self.function, "__qualname__", None) or repr(self.function)

    def send(self, failed: FailedBatch) -> None:
        """Call it. A `DestinationError` that it raises means that the records are lost; any other ends the test."""
        self.function(failed)
