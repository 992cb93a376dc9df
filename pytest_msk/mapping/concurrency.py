"""Concurrency: one of the invocations that a poller may have under way at a time (spec 7.2)."""

from __future__ import annotations

from dataclasses import dataclass

from .delivery import Delivery
from .sender import Sender

__all__ = ["ConcurrentInvocation"]


@dataclass(slots=True, eq=False)
class ConcurrentInvocation:
    """What one invocation is busy with.

    Args:
        sender: calls the function.
        delivery: the batch; `None` while there is none.
        partitions: whose records, or filtered ones between them, the batch has: nobody else reads them meanwhile.
        held_up: whether the last call with the batch left records undone, so that other batches go on in between.
    """

    sender: Sender
    delivery: Delivery | None = None
    partitions: frozenset[int] = frozenset()
    held_up: bool = False

    def begin(self, delivery: Delivery, partitions: frozenset[int]) -> None:
        """Take a batch on."""
        self.delivery, self.partitions, self.held_up = delivery, partitions, False
