"""What a mapping sends to its on-failure destination, and what a destination is (spec 4.6, 4.7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast, runtime_checkable

import orjson

from ...errors import MskError
from ...events import Envelope, KafkaEvent, decode
from ...journal import Condition
from ...records import Record

__all__ = ["Condition", "Destination", "DestinationError", "FailedBatch", "ResponseContext"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseContext:
    """What the function's last call with the records answered.

    Args:
        status_code: the invocation's HTTP status.
        executed_version: the version that ran, such as `$LATEST`.
        function_error: `Unhandled`, or `None` when the function returned and reported item failures (spec 4.5).
    """

    status_code: int = 200
    executed_version: str = "$LATEST"
    function_error: str | None = "Unhandled"


@dataclass(frozen=True, kw_only=True)
class FailedBatch:
    """Records that a mapping has given up, with all that AWS says of them.

    Args:
        condition: why.
        time_ms: when, epoch milliseconds by the mapping's clock.
        batch: the batch's number in its mapping.
        mapping_uuid: the mapping's UUID.
        request_id: the last call's request id; a new one if there was no call.
        function_arn: the function's ARN as the mapping names it, with its qualifier if it has one.
        invoke_count: what AWS reports as `approximateInvokeCount`.
        response: the last call's answer; `None` where AWS gives none: a record that is too old or too large.
        topic: the source topic.
        envelope: the event's other members: bootstrap servers and ARN.
        payload: the event of these records, compact JSON in UTF-8; larger than 6 MB if they could not be sent at all.
    """

    condition: Condition
    time_ms: int
    batch: int
    mapping_uuid: str
    request_id: str
    function_arn: str
    invoke_count: int
    response: ResponseContext | None
    topic: str
    envelope: Envelope
    payload: bytes = field(repr=False)

    @cached_property
    def event(self) -> KafkaEvent:
        """The event of these records, as the function gets it."""
        return cast(KafkaEvent, orjson.loads(self.payload))

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The records, partitions in the event's order."""
        return decode(self.event)


class DestinationError(MskError):
    """A destination did not take the records: they are lost, as on AWS (spec 4.6). The text says why."""


@runtime_checkable
class Destination(Protocol):
    """Where the records go that a mapping gives up."""

    @property
    def name(self) -> str:
        """What the journal calls it: an ARN, `kafka://topic`, or what a test would know it by."""

    def send(self, failed: FailedBatch) -> None:
        """Take a batch that failed.

        Raises:
            DestinationError: it could not be delivered; the records are lost. Any other error ends the test.
        """
