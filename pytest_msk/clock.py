"""Time: the one clock that everything which waits or ages asks.

Times are epoch milliseconds (Kafka's own unit), durations are seconds (the API's own unit).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol

from .errors import MskError

__all__ = ["Clock", "ClockError", "Deadline", "RealClock", "VirtualClock", "epoch_ms", "monotonic_ns"]


class ClockError(MskError):
    """The clock cannot do that: it would run backwards, or it is on real time."""


#: The end of what a 64-bit number of milliseconds can say.
_LATEST_SECONDS = 2**63 / 1000


class Clock(Protocol):
    """Tells the time in epoch milliseconds."""

    def now_ms(self) -> int:
        """The current time, epoch milliseconds."""


def monotonic_ns(*, _function: Callable[[], int] = time.monotonic_ns) -> int:
    """The machine's own monotonic time, nanoseconds.

    The function is kept as it was when the plugin was loaded: libraries that freeze time replace the attributes of
    modules, and a kit whose time stands still would never end a wait.
    """
    return _function()


class RealClock:
    """The machine's time, counted from one reading so that a changed or frozen wall clock does not bend it."""

    def __init__(
        self, *, _wall: Callable[[], int] = time.time_ns, _monotonic: Callable[[], int] = monotonic_ns
    ) -> None:
        self._monotonic = _monotonic
        self._origin = _wall() - _monotonic()

    def now_ms(self) -> int:
        """The current time, epoch milliseconds."""
        return (self._origin + self._monotonic()) // 1_000_000


class Deadline:
    """A span of real time that ends, whatever the clocks of a test do.

    Args:
        seconds: how long it is.
    """

    def __init__(self, seconds: float, *, _monotonic: Callable[[], int] = monotonic_ns) -> None:
        self._monotonic = _monotonic
        self._end = _monotonic() + seconds * 1e9

    @property
    def left(self) -> float:
        """Seconds until it ends, never negative."""
        return max(0.0, (self._end - self._monotonic()) / 1e9)

    @property
    def passed(self) -> bool:
        """Whether it has ended."""
        return not self.left


class VirtualClock:
    """A clock that stands still until the test moves it.

    Args:
        start_ms: where it starts, epoch milliseconds; the real now by default.
    """

    def __init__(self, start_ms: int | None = None) -> None:
        self._now = RealClock().now_ms() if start_ms is None else start_ms
        self._real: RealClock | None = None
        self._ahead = 0
        self._real_users = 0
        self._watchers: list[Callable[[int], None]] = []

    def __repr__(self) -> str:
        return f"VirtualClock({self.now_ms()})"

    def now_ms(self) -> int:
        """The current time, epoch milliseconds."""
        return self._now if self._real is None else self._real.now_ms() + self._ahead

    @property
    def real(self) -> bool:
        """Whether a mapping in background mode has put this clock on real time."""
        return self._real is not None

    def advance(self, seconds: float) -> None:
        """Move the clock forward and fire what the broker has due by then; runs nothing of a mapping.

        Args:
            seconds: how far, at least 0.

        Raises:
            ClockError: `seconds` is negative, or the clock is on real time.
        """
        if not 0 <= seconds < float("inf"):
            raise ClockError(f"A clock moves forward only: advance({seconds!r}) needs a number of seconds, 0 or more.")
        self.advance_to(self._now + round(seconds * 1000))

    def advance_to(self, when_ms: int) -> None:
        """Move the clock forward to `when_ms` (epoch milliseconds); a time that has passed changes nothing.

        Raises:
            ClockError: the clock is on real time.
        """
        if self._real is not None:
            raise ClockError(
                "This clock is on real time, because a mapping runs in the background: stop it (esm.stop()) "
                "before you advance the clock, or use esm.wait_until(...)."
            )
        self._now = max(self._now, when_ms)
        for watcher in tuple(self._watchers):
            watcher(self._now)

    def run_real(self) -> None:
        """Put the clock on real time: from here on it follows the machine's, and `advance` raises.

        A clock that is behind jumps to the real now; one that was advanced beyond it keeps its lead, because it can
        neither run backwards nor stand still until the machine has caught up.
        """
        self._real_users += 1
        if self._real is None:
            self._real = RealClock()
            self._ahead = max(0, self._now - self._real.now_ms())

    def stand_still(self) -> None:
        """End one `run_real`; after the last one the clock stands where it is until it is advanced."""
        self._real_users -= 1
        if not self._real_users:
            self._now, self._real = self.now_ms(), None

    def watch(self, watcher: Callable[[int], None]) -> Callable[[], None]:
        """Call `watcher(now_ms)` at each move; returns the function that ends this."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None


def epoch_ms(moment: datetime | str | float) -> int:
    """Epoch milliseconds of a datetime, an ISO 8601 text, or epoch seconds; without a time zone it is UTC.

    Raises:
        ValueError: the text is not ISO 8601, or the moment is before 1970 or out of all bounds.
    """
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    if isinstance(moment, datetime):
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    if not 0 < moment < _LATEST_SECONDS:
        raise ValueError(f"{moment!r} is no moment: give seconds after 1970-01-01T00:00:00Z, more than 0.")
    return round(moment * 1000)
