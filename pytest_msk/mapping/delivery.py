"""Delivery: what is to be done next with one batch. Pure: it is told the time and the outcome of each attempt.

A batch is delivered in parts: at first one, all of it. The table below says what becomes of the first part; when it is
done with, the next is the first. Its records are then resolved: they succeeded, were given up, or expired. Offsets are
committed up to the lowest record of their partition that is not resolved. Nothing else in the project decides on a
retry (spec 4.1 to 4.5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import Literal

from .._offsets import above, count_of, halves, without
from .._ranges import Ranges
from ..errors import MskError
from ..journal import Condition, Offsets, Positions, offset_runs
from .batching import Batch
from .response import BatchResponse, read_response
from .rules import DeliveryRules
from .steps import Commit, Done, GiveUp, Invoke, SplitBatch, Step, Wait

__all__ = ["Delivery", "DeliveryBlocked", "DeliveryState"]

#: Pause after a throttle or a service error, milliseconds: it doubles each time up to the longest (spec 4.1).
_FIRST_PAUSE, _LONGEST_PAUSE = 100, 60_000


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
    """Where the first part of a batch stands."""

    PENDING = auto()
    """The function is to be called, when that is due."""
    RUNNING = auto()
    """The function has been called and has not ended."""
    FAILED = auto()
    """The batch is to be cut in two."""
    EXHAUSTED = auto()
    """Some of its records are to be given up."""
    RESOLVED = auto()
    """Some of its records need nothing more: their offsets may be committed."""
    DONE = auto()
    """Nothing is left to do."""


_Cause = Literal[
    "invoked", "succeeded", "narrowed", "failed", "bisected", "exhausted", "interrupted", "refused", "aged",
    "oversized", "expired", "split", "given up", "continued", "finished",
]  # fmt: skip

_TRANSITIONS: dict[tuple[DeliveryState, _Cause], DeliveryState] = {
    (DeliveryState.PENDING, "invoked"): DeliveryState.RUNNING,
    (DeliveryState.PENDING, "oversized"): DeliveryState.EXHAUSTED,
    (DeliveryState.PENDING, "aged"): DeliveryState.EXHAUSTED,
    (DeliveryState.PENDING, "expired"): DeliveryState.RESOLVED,
    (DeliveryState.RUNNING, "succeeded"): DeliveryState.RESOLVED,
    (DeliveryState.RUNNING, "narrowed"): DeliveryState.RESOLVED,
    (DeliveryState.RUNNING, "failed"): DeliveryState.PENDING,
    (DeliveryState.RUNNING, "bisected"): DeliveryState.FAILED,
    (DeliveryState.RUNNING, "exhausted"): DeliveryState.EXHAUSTED,
    (DeliveryState.RUNNING, "interrupted"): DeliveryState.PENDING,
    (DeliveryState.RUNNING, "refused"): DeliveryState.PENDING,
    (DeliveryState.FAILED, "split"): DeliveryState.PENDING,
    (DeliveryState.EXHAUSTED, "given up"): DeliveryState.RESOLVED,
    (DeliveryState.RESOLVED, "continued"): DeliveryState.PENDING,
    (DeliveryState.RESOLVED, "finished"): DeliveryState.DONE,
}


@dataclass(kw_only=True, slots=True)
class _Part:
    """Records of the batch that go to the function together.

    Args:
        records: which.
        attempts: how often the function was called with them.
        failures: how many of those calls count against the retries: not one after which the batch was split.
        due_ms: when the next attempt is due.
        pause_ms: how long the last throttle or service error made it wait.
    """

    records: Offsets
    attempts: int = 0
    failures: int = 0
    due_ms: int
    pause_ms: int = 0


class Delivery:
    """The way of one batch.

    Args:
        batch: what is delivered.
        positions: what is to be committed when it is done with: per partition the next offset to be read.
        rules: how failures are handled.
    """

    def __init__(self, batch: Batch, positions: Positions, rules: DeliveryRules) -> None:
        self.batch = batch
        self.rules = rules
        self._ends = positions
        self._committed: dict[int, int] = {}
        self._parts = deque([_Part(records=batch.records, due_ms=batch.closed_ms)])
        self._given_up: tuple[Condition, Offsets] | None = None
        self._state = DeliveryState.PENDING
        self._timestamps: dict[int, dict[int, int]] = {}
        self._oldest_ms = min((min(times) for times in batch.timestamps.values()), default=0)
        if batch.oversized:
            self._give_up("oversized", "MaximumPayloadSizeExceeded", batch.records)

    @property
    def state(self) -> DeliveryState:
        """Where the batch stands."""
        return self._state

    @property
    def attempts(self) -> int:
        """How often the function was called with the records that are first in turn."""
        return self._parts[0].attempts if self._parts else 0

    @property
    def unresolved(self) -> Offsets:
        """The records that are not done with, in the order in which they are delivered."""
        left: dict[int, Ranges] = {}
        for part in self._parts:
            for partition, runs in part.records.items():
                left[partition] = Ranges((*left.get(partition, ()), *runs))
        return {partition: tuple(ranges) for partition, ranges in left.items()}

    @property
    def too_old_ms(self) -> int | None:
        """When all records that are first in turn will be too old, epoch milliseconds; `None` without a highest age."""
        age = self.rules.maximum_record_age_ms
        if age is None or not self._parts:
            return None
        times = self._times()
        latest = max(times[p][o] for p, runs in self._parts[0].records.items() for o in chain(*runs))
        return latest + age + 1

    def next(self, now_ms: int) -> Step:
        """What is to be done now; the answer is the same until time passes or one of the reports below changes it.

        Raises:
            RuntimeError: an attempt is running.
        """
        if self._state is DeliveryState.PENDING and now_ms >= self._parts[0].due_ms:
            if old := self._too_old(now_ms):
                self._give_up("aged", "RecordAgeExceeded", old)
            else:
                return Invoke(attempt=self._parts[0].attempts + 1, records=self._parts[0].records)
        if self._state is DeliveryState.PENDING:
            return Wait(until_ms=self._parts[0].due_ms)
        if self._state is DeliveryState.FAILED:
            left, right = halves(self._parts[0].records)
            return SplitBatch(left=left, right=right)
        if self._given_up is not None:
            condition, records = self._given_up
            return GiveUp(
                condition=condition,
                records=records,
                invoke_count=max(1, self._parts[0].attempts),
                called=self._parts[0].attempts > 0,
                answered=condition == "RetryAttemptsExhausted",
            )
        if self._state is DeliveryState.RESOLVED:
            if positions := self._movable():
                return Commit(positions=positions)
            self._go_on()
            return self.next(now_ms)
        if self._state is DeliveryState.DONE:
            return Done()
        raise RuntimeError("An attempt with this batch is running: report its outcome first.")

    # --- reports

    def invoked(self) -> None:
        """Report that the function has been called."""
        self._move("invoked")
        self._parts[0].attempts += 1

    def returned(self, response: object, now_ms: int) -> BatchResponse:
        """Report that the function ended well.

        Args:
            response: what it returned; looked at only if item failures are to be reported (spec 1.7).
            now_ms: epoch milliseconds.

        Returns:
            What follows from the response: what is left undone, or why it is invalid.
        """
        self._expect(DeliveryState.RUNNING, "returned")
        part = self._parts[0]
        answer = BatchResponse()
        if self.rules.item_failures:
            answer = read_response(response, self.batch.topic, part.records)
        if answer.invalid is not None:
            self.failed(now_ms)
        elif answer.failed:
            if self.rules.strict_order:
                lows = {partition: runs[0].start for partition, runs in answer.failed.items()}
                answer = BatchResponse(failed=above(part.records, lows))
            part.records = answer.failed
            self._retry("narrowed", now_ms)
        else:
            self._move("succeeded")
            part.records = {}
        return answer

    def failed(self, now_ms: int) -> None:
        """Report that the attempt ended in a function error."""
        self._expect(DeliveryState.RUNNING, "failed")
        if self.rules.bisect and count_of(self._parts[0].records) > 1:
            self._move("bisected")
            self._parts[0].due_ms = now_ms + self.rules.backoff_ms
        else:
            self._retry("failed", now_ms)

    def interrupted(self) -> None:
        """Report that the test was ended inside the function: no attempt was made."""
        self._move("interrupted")
        self._parts[0].attempts -= 1

    def refused(self, now_ms: int) -> None:
        """Report that the service did not call the function: no attempt was made (spec 4.1), and it is to wait."""
        self._move("refused")
        part = self._parts[0]
        part.attempts -= 1
        part.pause_ms = min(2 * part.pause_ms or _FIRST_PAUSE, _LONGEST_PAUSE)
        part.due_ms = now_ms + max(part.pause_ms, self.rules.backoff_ms)

    def split(self) -> None:
        """Report that the split has been noted: the halves come next, the left one first (spec 4.4)."""
        self._move("split")
        part = self._parts.popleft()
        for half in reversed(halves(part.records)):
            halved = _Part(records=half, attempts=part.attempts, failures=part.failures, due_ms=part.due_ms)
            self._parts.appendleft(halved)

    def given_up(self) -> None:
        """Report that the records went to the destination, or are lost."""
        self._move("given up")
        if self._given_up is not None:
            self._resolve(self._given_up[1])
            self._given_up = None

    def committed(self) -> None:
        """Report that the offsets of the last `Commit` are committed."""
        self._expect(DeliveryState.RESOLVED, "committed")
        self._committed.update(self._movable())
        self._go_on()

    def truncated(self, lows: Mapping[int, int]) -> Offsets:
        """Report where the partitions' logs begin: records below are not tried again (spec 4.1, 5.14).

        Returns:
            The records of the batch that have expired.
        """
        expired: dict[int, tuple[range, ...]] = {}
        if all(runs[0].start >= lows.get(p, 0) for part in self._parts for p, runs in part.records.items()):
            return expired
        for partition, runs in self.unresolved.items():
            low = lows.get(partition, 0)
            if gone := tuple(range(run.start, min(run.stop, low)) for run in runs if run.start < low):
                expired[partition] = gone
        if expired:
            self._move("expired")
            self._resolve(expired)
        return expired

    # --- rules

    def _retry(self, cause: _Cause, now_ms: int) -> None:
        """The first part's records are to be tried again, unless they were as often as they may be (spec 4.2)."""
        part, retries = self._parts[0], self.rules.retries
        exhausted = retries is not None and part.failures >= retries
        if exhausted:
            self._give_up("exhausted", "RetryAttemptsExhausted", part.records)
        else:
            self._move(cause)
        part.failures += 1
        part.due_ms = now_ms + self.rules.backoff_ms
        part.pause_ms = 0

    def _give_up(self, cause: _Cause, condition: Condition, records: Offsets) -> None:
        self._move(cause)
        self._given_up = (condition, records)

    def _too_old(self, now_ms: int) -> Offsets:
        """The first part's records that are older than they may be (spec 4.3)."""
        age = self.rules.maximum_record_age_ms
        if age is None or self._oldest_ms >= now_ms - age:
            return {}
        times, oldest = self._times(), now_ms - age
        old: dict[int, tuple[range, ...]] = {}
        for partition, runs in self._parts[0].records.items():
            if found := [offset for offset in chain(*runs) if times[partition][offset] < oldest]:
                old[partition] = offset_runs(found)
        return old

    def _times(self) -> dict[int, dict[int, int]]:
        """Per partition and offset the record's timestamp."""
        if not self._timestamps:
            self._timestamps = {
                partition: dict(zip(chain(*runs), self.batch.timestamps[partition], strict=True))
                for partition, runs in self.batch.records.items()
            }
        return self._timestamps

    def _resolve(self, records: Offsets) -> None:
        for part in self._parts:
            part.records = without(part.records, records)

    def _movable(self) -> Positions:
        """Per partition the offset up to which all is resolved, where that is news."""
        lowest: dict[int, int] = {}
        for part in self._parts:
            for partition, runs in part.records.items():
                lowest[partition] = min(runs[0].start, lowest.get(partition, runs[0].start))
        first = {partition: runs[0].start for partition, runs in self.batch.records.items()}
        found = {}
        for partition, end in self._ends.items():
            position = lowest.get(partition, end)
            if position != self._committed.get(partition, first.get(partition)):
                found[partition] = position
        return found

    def _go_on(self) -> None:
        """To the next part that has records left."""
        while self._parts and not self._parts[0].records:
            self._parts.popleft()
        self._move("continued" if self._parts else "finished")

    def _expect(self, state: DeliveryState, report: str) -> None:
        if self._state is not state:
            raise RuntimeError(f"A batch that is {self._state.name} cannot be {report}.")

    def _move(self, cause: _Cause) -> None:
        target = _TRANSITIONS.get((self._state, cause))
        if target is None:
            raise RuntimeError(f"A batch that is {self._state.name} cannot be {cause}.")
        self._state = target
