"""Sender: does what a delivery asks for, all but commits: it calls the function and tells the destination."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from ..clock import Clock
from ..events import Envelope
from ..functions import Delivered, FunctionError, FunctionStuck, Invocation, LambdaFunction, ServiceError, TimeLimit
from ..functions.invocation import Reader
from ..journal import Attempt, DestinationFailed, Dropped, Event, NotInvoked, Offsets, SentToDestination, Split
from .batching import Batch
from .delivery import Delivery
from .destinations import Destination, DestinationError, FailedBatch, ResponseContext
from .response import BatchResponse
from .steps import GiveUp, Invoke, SplitBatch

__all__ = ["Sender"]


class Sender:
    """Calls a function with batches, and sends to a destination what is given up.

    Args:
        function: what is invoked.
        destination: is told of records that are given up; `None` drops them.
        mapping_uuid: the mapping's UUID.
        topic: the topic that is read.
        envelope: the events' other members.
        read_back: reads records from the topic's log.
        write: gets every event, and returns it.
        clock: tells the time.
    """

    def __init__(
        self,
        *,
        function: LambdaFunction,
        destination: Destination | None,
        mapping_uuid: str,
        topic: str,
        envelope: Envelope,
        read_back: Reader,
        write: Callable[[Event], Event],
        clock: Clock,
    ) -> None:
        self._function = function
        self._destination = destination
        self._uuid = mapping_uuid
        self._topic = topic
        self._envelope = envelope
        self._read_back = read_back
        self._write = write
        self._clock = clock
        self._last: Invocation | None = None
        #: The records of the last call with a part of a batch, and their event.
        self._part: tuple[Offsets, bytes] = ({}, b"")
        #: The function error of the last call, if it ended in one.
        self.last_error: FunctionError | None = None
        #: Whether the last call left records undone.
        self.failing = False
        #: Ends the function's calls by real time; without it only the clock's time counts.
        self.limit: TimeLimit | None = None

    def do(self, delivery: Delivery, step: Invoke | SplitBatch | GiveUp) -> Event:
        """Do one thing, report its outcome to the delivery, and write it down."""
        if isinstance(step, Invoke):
            return self._invoke(delivery, step)
        if isinstance(step, GiveUp):
            return self._give_up(delivery, step)
        delivery.split()
        now, number = self._clock.now_ms(), delivery.batch.number
        return self._write(Split(time_ms=now, batch=number, left=step.left, right=step.right))

    # --- the function

    def _invoke(self, delivery: Delivery, step: Invoke) -> Event:
        batch, stuck = delivery.batch, None
        payload = self._payload(batch, step.records)
        delivered = Delivered(step.records, self._read_back)
        delivery.invoked()
        try:
            invocation = self._function.invoke(payload, self._clock, delivered=delivered, limit=self.limit)
        except ServiceError as raised:
            return self._refused(delivery, raised)
        except BaseException as raised:
            if not isinstance(raised, FunctionStuck) or raised.invocation is None:
                delivery.interrupted()
                raise
            invocation, stuck = raised.invocation, raised
        now = self._clock.now_ms()
        self._last, self.last_error = invocation, invocation.error
        response = BatchResponse()
        if invocation.error is None:
            response = delivery.returned(invocation.result, now)
        else:
            delivery.failed(now)
        attempt = Attempt(
            time_ms=now,
            batch=batch.number,
            attempt=step.attempt,
            request_id=invocation.request_id,
            error=None if invocation.error is None else str(invocation.error),
            log=invocation.log,
            records=None if step.records is batch.records else step.records,
            item_failures=response.failed,
            invalid_response=response.invalid,
        )
        self.failing = attempt.failed or bool(response.failed)
        self._write(attempt)
        if stuck is not None:
            raise stuck
        return attempt

    def _refused(self, delivery: Delivery, error: ServiceError) -> Event:
        """The function was not called: wait, and try again without counting an attempt (spec 4.1)."""
        now = self._clock.now_ms()
        self.last_error = FunctionError(type=error.code, message=error.message, exception=error)
        self.failing = True
        delivery.refused(now)
        return self._write(NotInvoked(time_ms=now, batch=delivery.batch.number, error=str(error)))

    def _payload(self, batch: Batch, records: Offsets) -> bytes:
        """The event of a batch, or of a part of it, which is made once for all attempts with it."""
        if records is batch.records:
            return batch.payload
        if self._part[0] is not records:
            self._part = (records, batch.payload_of(records))
        return self._part[1]

    # --- the destination

    def _give_up(self, delivery: Delivery, step: GiveUp) -> Event:
        now, number, destination = self._clock.now_ms(), delivery.batch.number, self._destination
        if destination is None:
            delivery.given_up()
            return self._write(Dropped(time_ms=now, batch=number, condition=step.condition, records=step.records))
        event: Event = SentToDestination(
            time_ms=now, batch=number, condition=step.condition, destination=destination.name, records=step.records
        )
        try:
            destination.send(self._failed_batch(delivery.batch, step, now))
        except DestinationError as error:
            event = DestinationFailed(
                time_ms=now,
                batch=number,
                condition=step.condition,
                destination=destination.name,
                records=step.records,
                error=str(error),
            )
        delivery.given_up()
        return self._write(event)

    def _failed_batch(self, batch: Batch, step: GiveUp, now_ms: int) -> FailedBatch:
        last = self._last if step.called else None
        response = None
        if step.answered and last is not None:
            error = None if last.error is None else "Unhandled"
            response = ResponseContext(executed_version=self._function.version, function_error=error)
        return FailedBatch(
            condition=step.condition,
            time_ms=now_ms,
            batch=batch.number,
            mapping_uuid=self._uuid,
            request_id=str(uuid.uuid4()) if last is None else last.request_id,
            function_arn=self._function.arn,
            invoke_count=step.invoke_count,
            response=response,
            topic=self._topic,
            envelope=self._envelope,
            payload=self._payload(batch, step.records),
        )
