"""EventSourceMapping: what a test holds in its hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING

from ..brokers import Broker
from ..clock import VirtualClock
from ..errors import MskError
from ..events import CLUSTER_ARN
from ..functions import MAX_MAPPING_TIMEOUT, Function, FunctionError, LambdaFunction
from ..journal import Attempt, Event, Journal, NotInvoked, Redelivered, State, StateChanged
from ..topics import Topic
from .background import Background
from .config import EventSourceMappingConfig, EventSourceMappingError
from .delivery import Delivery, DeliveryBlocked
from .parameters import MappingParameters
from .pipeline import Pipeline
from .starting import StartingPositions

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..adversary import Way

__all__ = ["EventSourceMapping"]


class EventSourceMapping:
    """An event source mapping that runs in this process.

    Stepped, which is the default, nothing happens but in `step()` and `drain()`, on the caller's thread and the test's
    clock. `start()` or `with running():` poll on a thread in real time instead.

    Args:
        function: the handler, called with (event, context), its name `"package.module.handler"`, or a `LambdaFunction`.
        topic: the topic or its name.
        broker: where the topic is.
        clock: the test's clock.
        timeout: seconds of real time that the broker may take to answer.
        parameters: AWS's parameters in snake_case; see `MappingParameters`.

    Raises:
        EventSourceMappingError: AWS would refuse the parameters; the text is AWS's (spec 2.6).
        NotSupported: AWS would take them, but they are not run yet.
    """

    def __init__(
        self,
        function: Function,
        topic: Topic | str,
        *,
        broker: Broker,
        clock: VirtualClock | None = None,
        timeout: float = 30.0,
        **parameters: Unpack[MappingParameters],
    ) -> None:
        __tracebackhide__ = True
        self.broker = broker
        self.clock = VirtualClock() if clock is None else clock
        self.function = function if isinstance(function, LambdaFunction) else LambdaFunction(function)
        self.topic = str(topic)
        self.config = EventSourceMappingConfig.parse(
            self.topic,
            parameters,
            now_ms=self.clock.now_ms(),
            cluster_arn=CLUSTER_ARN,
            bootstrap_servers=broker.bootstrap_servers,
        )
        self._refuse_timeout()
        self.uuid = str(uuid.uuid4())
        self.journal = Journal(self.topic)
        self.timeout = timeout
        self.starting = StartingPositions(broker, self.config)
        self._numbers = count(1)
        self._pipeline: Pipeline | None = None
        self._background: Background | None = None
        self._stepping = self._closed = False
        self._state: State = "Creating"
        self._enter("Creating")
        self._enter("Enabled" if self.config.enabled else "Disabled")

    def __repr__(self) -> str:
        return f"<EventSourceMapping {self.function.name} <- {self.topic}, {self.state}, {len(self.journal)} events>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what it is

    @property
    def consumer_group_id(self) -> str:
        """The consumer group: the given one, or the mapping's UUID (spec 5.3)."""
        return self.config.consumer_group_id or self.uuid

    @property
    def state(self) -> State:
        """The mapping's state (spec 2.5)."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether `close()` has been called."""
        return self._closed

    @property
    def last_processing_result(self) -> str:
        """What AWS shows as `LastProcessingResult` (spec 2.5)."""
        call = next((event for event in reversed(self.journal) if isinstance(event, Attempt | NotInvoked)), None)
        if call is None:
            return "No records processed"
        return "OK" if call.error is None else "PROBLEM: Function call failed"

    @property
    def last_error(self) -> FunctionError | None:
        """The function error of the last attempt, with the handler's own exception; `None` after a success."""
        return self._pipeline.sender.last_error if self._pipeline else None

    # --- stepped

    def step(self) -> Event | None:
        """Do the next due thing: read records, close a batch, call the function, or commit.

        Returns:
            What was done; `None` when nothing is due: there are no records, or only time is missing.

        Raises:
            MskError: the mapping is closed, runs in the background, or is already stepping.
        """
        self.refuse_running()
        pipeline = self._open()
        if pipeline is None:
            return None
        self._stepping = True
        try:
            return pipeline.step()
        finally:
            self._stepping = False

    def refuse_running(self) -> None:
        """Refuse to do something beside what the mapping is doing.

        Raises:
            MskError: it runs in the background, or its function is being called.
        """
        if self._background is not None:
            raise MskError("This mapping runs in the background: esm.stop() it before you step or drain it.")
        if self._stepping:
            raise MskError("The function stepped or drained the mapping that is calling it.")

    def redeliver_everything(self, *ways: Way, seed: int = 0) -> tuple[Redelivered, ...]:
        """Deliver everything once more that has succeeded, to see whether the function minds.

        Args:
            ways: how, one after the other: `replay`, `split`, `mix`, `crash`; all of them by default.
            seed: decides where batches are cut and how partitions are mixed.

        Returns:
            What was delivered, as it stands in the journal.

        Raises:
            AssertionError: the function failed; its own exception is the cause.
        """
        from ..adversary import redeliver

        __tracebackhide__ = True
        return redeliver(self, *ways, seed=seed)

    def drain(self, *, max_attempts: int = 100) -> tuple[Attempt, ...]:
        """Step until every record of the topic is dealt with, moving the clock to whatever is due next.

        Retries that the parameters limit run out, and a record that is dropped or sent to the destination is no error.

        Args:
            max_attempts: how often one batch may fail in a row where nothing limits its retries, or be throttled; AWS
                would go on. Where only `maximum_record_age_in_seconds` does, the clock is moved to that age.

        Returns:
            The attempts that were made.

        Raises:
            DeliveryBlocked: a batch failed `max_attempts` times; the handler's own exception is its cause.
        """
        __tracebackhide__ = True
        if max_attempts < 1:
            raise ValueError(f"max_attempts={max_attempts!r}: a number of attempts, 1 or more.")
        attempts: list[Attempt] = []
        failures = 0
        while True:
            event = self.step()
            if isinstance(event, Attempt):
                attempts.append(event)
            if isinstance(event, Attempt | NotInvoked):
                failures = self._failures(event, failures)
                if failures >= max_attempts:
                    self._pass_time(event, failures)
            elif event is None:
                due = self._pipeline.due_ms if self._pipeline else None
                if due is None:
                    return tuple(attempts)
                self.clock.advance_to(due)

    def _failures(self, event: Attempt | NotInvoked, failures: int) -> int:
        """How often a batch has failed in a row, without those failures after which its retries run out."""
        if isinstance(event, NotInvoked):
            return failures + 1
        limited = self.config.rules.retries is not None
        return failures + 1 if (event.failed or event.item_failures) and not limited else 0

    def _pass_time(self, event: Attempt | NotInvoked, failures: int) -> None:
        """A batch has failed too often: move the clock to when its records are too old, or raise."""
        __tracebackhide__ = True
        delivery = self._pipeline.delivery if self._pipeline else None
        if delivery is None:
            return  # its partitions were taken away
        if delivery.too_old_ms is None:
            cause = self.last_error.exception if self.last_error else None
            raise self._blocked(event, delivery, failures) from cause
        self.clock.advance_to(max(delivery.too_old_ms, self.clock.now_ms()))

    def _blocked(self, event: Attempt | NotInvoked, delivery: Delivery, failures: int) -> DeliveryBlocked:
        batch = delivery.batch
        ranges = ", ".join(
            f"{self.topic}-{partition} offsets {', '.join(f'{r.start}-{r.stop - 1}' for r in runs)}"
            for partition, runs in batch.records.items()
        )
        count = "1 record" if batch.count == 1 else f"{batch.count} records"
        location = self.last_error.location() if self.last_error else None
        where = f"at {location} " if location else ""
        error = event.error or ""
        if isinstance(event, Attempt) and not event.error:
            left = sum(len(run) for runs in event.item_failures.values() for run in runs)
            error = event.invalid_response or f"{left} item failures in the response"
        return DeliveryBlocked(
            f"Batch {event.batch} ({count}: {ranges}) failed {failures} times in a row, the last time "
            f"{where}with {error}{'' if error.endswith('.') else '.'} AWS would go on until the records expire, and "
            "nothing behind them would be delivered. Mend the function, or expect this error; drain(max_attempts=...) "
            "sets its limit.",
            batch=batch.number,
            records=batch.records,
            failures=failures,
            error=error,
        )

    # --- in the background

    def start(self) -> None:
        """Poll on a thread in real time; the test's clock follows the machine's until `stop()`."""
        if self._background is not None:
            raise MskError("This mapping runs in the background already.")
        pipeline = self._open()
        if pipeline is None:
            raise MskError(f"This mapping is {self.state}: esm.enable() it before you start it.")
        self._background = Background(pipeline, self.clock, self.function.name)

    def stop(self) -> None:
        """End the background mode; a call of the function that is under way is waited for.

        Raises:
            BaseException: what went wrong on the thread, if anything did and no `wait_until` has raised it.
        """
        self._refuse_inside()
        background, self._background = self._background, None
        if background is not None:
            background.stop(self.timeout)

    @contextmanager
    def running(self) -> Generator[EventSourceMapping, None, None]:
        """Run in the background within a `with` statement."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def wait_until(self, condition: Callable[[], object], *, timeout: float | None = None) -> None:
        """Wait in background mode until a condition holds; it is asked again after each thing that the mapping does.

        Args:
            condition: called without arguments on this thread.
            timeout: seconds, the mapping's own by default.

        Raises:
            TimeoutError: it did not hold in time; the text says what the mapping did last.
            BaseException: what went wrong on the mapping's thread.
        """
        if self._background is None:
            raise MskError("wait_until is for background mode (with esm.running(): ...); a stepped mapping is drained.")
        limit = self.timeout if timeout is None else timeout
        if not self._background.wait_until(condition, limit):
            code = getattr(condition, "__code__", None)
            what = f"The condition at {code.co_filename}:{code.co_firstlineno}" if code else repr(condition)
            events = "\n".join(f"  {event}" for event in self.journal[-5:])
            cause = self.last_error.exception if self.last_error else None
            failing = f" The function fails, at last with {self.last_error}." if self.last_error else ""
            raise TimeoutError(
                f"{what} did not hold within {limit:g} s.{failing} What the mapping did last:\n{events}"
            ) from cause

    # --- lifecycle

    def disable(self) -> None:
        """Stop polling; what is under way is given up, and the group's offsets are kept (spec 5.9)."""
        self._leave()
        if self._state == "Enabled":
            self._enter("Disabling")
            self._enter("Disabled")

    def enable(self) -> None:
        """Poll again from the committed offsets on (spec 5.9)."""
        self._check_open()
        if self._state == "Disabled":
            self._enter("Enabling")
            self._enter("Enabled")

    def delete(self) -> None:
        """Delete the mapping; the group's offsets are kept (spec 5.10)."""
        if self._state != "Deleted":
            self._check_open()
            self._refuse_inside()
            self._enter("Deleting")
            self.close()
            self._enter("Deleted")

    def close(self) -> None:
        """Free thread and client; the journal stays. Closing twice is no error."""
        self._refuse_inside()  # before it counts as closed
        self._closed = True
        self._leave()

    def _refuse_inside(self) -> None:
        if self._stepping or (self._background is not None and self._background.in_thread):
            raise MskError("The function ended the mapping that is calling it: let the test do that.")

    def _leave(self) -> None:
        self._refuse_inside()
        try:
            self.stop()
        finally:
            pipeline, self._pipeline = self._pipeline, None
            if pipeline is not None:
                pipeline.close()

    def _check_open(self) -> None:
        if self._closed:
            raise MskError("This mapping is closed; its journal can still be read.")

    def _open(self) -> Pipeline | None:
        """The pipeline, made when the mapping first polls; `None` while it is disabled."""
        self._check_open()
        if self._state != "Enabled":
            return None
        if self._pipeline is None:
            if not self.broker.partition_count(self.topic):
                raise MskError(
                    f"The mapping polls the topic {self.topic!r}, which the broker does not have: "
                    f"create it, for instance with msk_topic({self.topic!r})."
                )
            self._pipeline = Pipeline(
                broker=self.broker,
                config=self.config,
                function=self.function,
                mapping_uuid=self.uuid,
                group=self.consumer_group_id,
                starting=self.starting,
                numbers=self._numbers,
                journal=self.journal,
                clock=self.clock,
                timeout=self.timeout,
            )
        return self._pipeline

    def _refuse_timeout(self) -> None:
        if self.function.timeout > MAX_MAPPING_TIMEOUT:
            raise EventSourceMappingError(
                "InvalidParameterValueException",
                f"The timeout of function {self.function.name} is {self.function.timeout:g} seconds, but a function of "
                f"an Apache Kafka event source mapping may have at most {MAX_MAPPING_TIMEOUT} (spec 3.5).",
            )

    def _enter(self, state: State) -> None:
        self._state = state
        self.journal.append(StateChanged(time_ms=self.clock.now_ms(), state=state, reason="USER_INITIATED"))
