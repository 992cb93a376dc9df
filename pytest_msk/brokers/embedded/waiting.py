"""Fetch requests that wait for records."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .log import PartitionLog
from .loop import Loop, LoopTimer

__all__ = ["Wait", "Waiting"]


class Wait:
    """One waiting request."""

    __slots__ = ("logs", "missing", "timer", "wake")

    def __init__(self, logs: tuple[PartitionLog, ...], missing: int, wake: Callable[[], None]) -> None:
        self.logs = logs
        self.missing = missing
        self.wake = wake
        self.timer: LoopTimer | None = None


class Waiting:
    """Who waits for which log."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._by_log: dict[PartitionLog, dict[Wait, None]] = {}

    def add(self, logs: Iterable[PartitionLog], missing: int, delay_ms: int, wake: Callable[[], None]) -> Wait:
        """Call `wake` once: when the logs grew by `missing` bytes, one of them is gone, or the delay is over."""
        wait = Wait(tuple(logs), missing, wake)
        for log in wait.logs:
            self._by_log.setdefault(log, {})[wait] = None
        wait.timer = self._loop.call_later(delay_ms, lambda: self._wake(wait))
        return wait

    def grown(self, log: PartitionLog, size: int) -> None:
        """Records came in."""
        for wait in tuple(self._by_log.get(log, ())):
            wait.missing -= size
            if wait.missing <= 0:
                self._wake(wait)

    def gone(self, log: PartitionLog) -> None:
        """The log was deleted: its readers must hear of it."""
        for wait in tuple(self._by_log.get(log, ())):
            self._wake(wait)

    def cancel(self, wait: Wait) -> None:
        """Wait no more."""
        if wait.timer is not None:
            wait.timer.cancel()
        for log in wait.logs:
            waits = self._by_log.get(log)
            if waits is not None:
                waits.pop(wait, None)
                if not waits:
                    del self._by_log[log]

    def _wake(self, wait: Wait) -> None:
        self.cancel(wait)
        wait.wake()
