"""Real time, as the parts of the broker that wait for something ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Scheduler", "Timer"]


class Timer(Protocol):
    """Something that will happen; cancelling it twice, or after it happened, is no error."""

    def cancel(self) -> None:
        """Let it not happen."""


class Scheduler(Protocol):
    """Real time for session and rebalance timers: clients live in it, whatever the test's clock says."""

    def now_ms(self) -> int:
        """The current time, milliseconds."""

    def call_later(self, delay_ms: int, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, on the caller's thread, `delay_ms` from now; never during this call."""
