"""Delivery: what is to be done next with one batch. Pure: it is told the time and the outcome of each attempt.

The rules are the table below (spec 4.1): an error makes the whole batch wait and be tried again, without end; only
success lets its offsets be committed. Nothing else in the project decides on a retry.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, TypeAlias

from ..errors import MskError
from ..journal import Offsets
from .batching import Batch

__all__ = ["Commit", "Delivery", "DeliveryBlocked", "DeliveryState", "Done", "Invoke", "Step", "Wait"]


class DeliveryBlocked(MskError):
    """A batch failed so often that the test is ended; AWS would go on until its records expire (spec 4.1).

    Its cause is the function's own exception, where there is one.

    Args:
        message: what happened.
        batch: the batch's number.
        records: what it holds.
        failures: how often it failed in a row.
        error: the last attempt's error, `type: message`.
    """

    def __init__(self, message: str, *, batch: int, records: Offsets, failures: int, error: str) -> None:
        super().__init__(message)
        self.batch = batch
        self.records = records
        self.failures = failures
        self.error = error


class DeliveryState(Enum):
    """Where a batch stands."""

    READY = auto()
    """The function is to be called."""
    RUNNING = auto()
    """The function has been called and has not ended."""
    WAITING = auto()
    """An attempt failed; the next one is not due yet."""
    DELIVERED = auto()
    """The function succeeded; the offsets are to be committed."""
    DONE = auto()
    """Nothing is left to do."""


_Cause = Literal["invoked", "succeeded", "failed", "interrupted", "refused", "due", "committed"]

_TRANSITIONS: dict[tuple[DeliveryState, _Cause], DeliveryState] = {
    (DeliveryState.READY, "invoked"): DeliveryState.RUNNING,
    (DeliveryState.RUNNING, "succeeded"): DeliveryState.DELIVERED,
    (DeliveryState.RUNNING, "failed"): DeliveryState.WAITING,
    (DeliveryState.RUNNING, "interrupted"): DeliveryState.READY,
    (DeliveryState.RUNNING, "refused"): DeliveryState.WAITING,
    (DeliveryState.WAITING, "due"): DeliveryState.READY,
    (DeliveryState.DELIVERED, "committed"): DeliveryState.DONE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Invoke:
    """Call the function with the batch; `attempt` counts from 1."""

    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Nothing is due before `until_ms` (epoch milliseconds)."""

    until_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """Commit the offsets behind the batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The batch is finished."""


Step: TypeAlias = "Invoke | Wait | Commit | Done"


class Delivery:
    """The way of one batch.

    Args:
        batch: what is delivered.
        backoff_ms: pause after a failed attempt, milliseconds.
    """

    def __init__(self, batch: Batch, *, backoff_ms: int = 0) -> None:
        self.batch = batch
        self.attempts = 0
        self._backoff = backoff_ms
        self._due = batch.closed_ms
        self._state = DeliveryState.READY

    @property
    def state(self) -> DeliveryState:
        """Where the batch stands."""
        return self._state

    def next(self, now_ms: int) -> Step:
        """What is to be done now; the answer is the same until one of the reports below changes it.

        Raises:
            RuntimeError: an attempt is running.
        """
        if self._state is DeliveryState.WAITING and now_ms >= self._due:
            self._move("due")
        if self._state is DeliveryState.READY:
            return Invoke(attempt=self.attempts + 1)
        if self._state is DeliveryState.WAITING:
            return Wait(until_ms=self._due)
        if self._state is DeliveryState.DELIVERED:
            return Commit()
        if self._state is DeliveryState.DONE:
            return Done()
        raise RuntimeError("An attempt with this batch is running: report its outcome first.")

    def invoked(self) -> None:
        """Report that the function has been called."""
        self._move("invoked")
        self.attempts += 1

    def succeeded(self) -> None:
        """Report that the attempt ended well."""
        self._move("succeeded")

    def failed(self, now_ms: int) -> None:
        """Report that the attempt ended in a function error."""
        self._move("failed")
        self._due = now_ms + self._backoff

    def interrupted(self) -> None:
        """Report that the test was ended inside the function: no attempt was made."""
        self._move("interrupted")
        self.attempts -= 1

    def refused(self, now_ms: int) -> None:
        """Report that the service did not call the function: no attempt was made (spec 4.1), and it is to wait."""
        self._move("refused")
        self.attempts -= 1
        self._due = now_ms + self._backoff

    def committed(self) -> None:
        """Report that the offsets are committed."""
        self._move("committed")

    def _move(self, cause: _Cause) -> None:
        target = _TRANSITIONS.get((self._state, cause))
        if target is None:
            raise RuntimeError(f"A batch that is {self._state.name} cannot be {cause}.")
        self._state = target
