"""Deliveries: which records the function was called with, attempt by attempt, as a journal tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ._ranges import Ranges
from ._repr import short_repr
from .journal import (
    Attempt,
    BatchClosed,
    DestinationFailed,
    Dropped,
    Event,
    Expired,
    Filtered,
    Offsets,
    SentToDestination,
)

__all__ = ["Delivery", "follow", "set_aside"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Delivery:
    """One call of the function with the records of a batch, or with what was left of it.

    Args:
        time_ms: when the call ended, epoch milliseconds.
        batch: the batch's number.
        attempt: 1 for the first call with these records.
        request_id: what the function saw as `context.aws_request_id`.
        records: what it was called with, partitions in the event's order.
        failed: those that are not done: all after an error, or those that the response reports.
        error: why, `type: message`; `None` for success.
        log: what the function printed and logged, its last 4,096 bytes.
    """

    time_ms: int
    batch: int
    attempt: int
    request_id: str
    records: Offsets
    failed: Offsets = field(default_factory=dict)
    error: str | None = None
    log: str = field(default="", repr=False)

    __repr__ = short_repr

    @property
    def ok(self) -> bool:
        """Whether every record is done."""
        return not self.failed

    @property
    def succeeded(self) -> Offsets:
        """The records that are done."""
        if not self.failed:
            return self.records
        left = {}
        for partition, runs in self.records.items():
            failed = Ranges(self.failed.get(partition, ()))
            if done := tuple(part for run in runs for part in failed.missing(run)):
                left[partition] = done
        return left

    def only(self, partition: int) -> Delivery:
        """The call as far as it concerns one partition."""
        return replace(
            self,
            records={partition: self.records[partition]},
            failed={partition: self.failed[partition]} if partition in self.failed else {},
        )


def follow(events: Iterable[Event]) -> Iterator[Event | Delivery]:
    """A journal's events in order, with a `Delivery` in place of each `Attempt`."""
    batches: dict[int, Offsets] = {}
    for event in events:
        if isinstance(event, BatchClosed):
            batches[event.batch] = event.records
        if isinstance(event, Attempt):
            yield _delivery(event, batches.get(event.batch, {}) if event.records is None else event.records)
        else:
            yield event


def _delivery(attempt: Attempt, records: Offsets) -> Delivery:
    return Delivery(
        time_ms=attempt.time_ms,
        batch=attempt.batch,
        attempt=attempt.attempt,
        request_id=attempt.request_id,
        records=records,
        failed=records if attempt.failed else attempt.item_failures,
        error=_reason(attempt),
        log=attempt.log,
    )


def _reason(attempt: Attempt) -> str | None:
    if attempt.error is not None:
        return attempt.error
    if attempt.invalid_response is not None:
        return attempt.invalid_response.removesuffix(".")
    return "batchItemFailures" if attempt.item_failures else None


def set_aside(event: Event | Delivery) -> Offsets:
    """The records that an event deals with for good without a successful call: filtered, given up, or expired."""
    if isinstance(event, Filtered | Dropped | SentToDestination | DestinationFailed | Expired):
        return event.records
    return {}
