"""EventSourceMapping: what a test holds in its hand."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING

from .._offsets import count_of
from ..brokers import Broker
from ..clock import VirtualClock
from ..errors import BrokerError, MskError
from ..events import CLUSTER_ARN
from ..functions import MAX_MAPPING_TIMEOUT, Function, FunctionError, LambdaFunction
from ..journal import Attempt, Event, Journal, NotInvoked, PollFailed, Redelivered, State, StateChanged
from ..topics import Topic
from .access import Access
from .background import Background
from .config import EventSourceMappingConfig, EventSourceMappingError
from .connection import Connection, read_secret
from .delivery import Delivery, DeliveryBlocked
from .destinations import Destination
from .destinations.opening import OpenedDestination, open_destination
from .event_pollers import EventPollers
from .faults import MappingFaults
from .lifecycle import Cause, Lifecycle
from .metrics import Meter, Metrics
from .parameters import MappingParameters
from .pipeline import Pipeline
from .problems import last_processing_result, problem_of
from .starting import StartingPositions
from .update import updated

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
        allow_aws: let an on-failure destination be in the real AWS, not only under moto or at a loopback endpoint.
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
        allow_aws: bool = False,
        **parameters: Unpack[MappingParameters],
    ) -> None:
        __tracebackhide__ = True
        self.broker = broker
        self.clock = VirtualClock() if clock is None else clock
        self.function = _lambda_function(function)
        self.topic = str(topic)
        self.config = self._parse(parameters)
        _refuse_timeout(self.function)
        self.uuid = str(uuid.uuid4())
        self.journal = Journal(self.topic)
        self.timeout = timeout
        self.allow_aws = allow_aws
        self.starting = StartingPositions(broker, self.config)
        #: What goes wrong between the mapping and its broker because the test wants it to.
        self.faults = MappingFaults()
        self._parameters = parameters
        self._numbers = count(1)
        self._meter = Meter(self.journal, self._lag)
        self._pipeline: EventPollers | None = None
        self._opened: OpenedDestination | None = None
        self._background: Background | None = None
        self._stepping = self._closed = self._polls_in_background = False
        #: Called before the pollers connect; what it raises as a `BrokerError` keeps them from it.
        self.check_access: Callable[[], None] = lambda: None
        #: What an update that is under way makes of configuration, function and parameters when it is complete.
        self._coming: tuple[EventSourceMappingConfig, LambdaFunction, MappingParameters] | None = None
        self._lifecycle = Lifecycle(self.clock.now_ms())
        self._note(self._lifecycle.created(enabled=self.config.enabled, length_ms=self.config.transition_ms))

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
    def parameters(self) -> MappingParameters:
        """What it was made with and what updates have made of it."""
        return self._parameters

    @property
    def state(self) -> State:
        """The mapping's state (spec 2.5); a transition whose time has come is over."""
        self._settle()
        return self._lifecycle.state

    @property
    def state_transition_reason(self) -> str:
        """What AWS shows as `StateTransitionReason`: `USER_INITIATED`, or why the poller stopped itself (spec 2.5)."""
        self._settle()
        return self._lifecycle.reason

    @property
    def closed(self) -> bool:
        """Whether `close()` has been called."""
        return self._closed

    @property
    def last_processing_result(self) -> str:
        """What AWS shows as `LastProcessingResult` (spec 2.5, 8.4)."""
        return last_processing_result(reversed(self.journal))

    @property
    def last_error(self) -> FunctionError | None:
        """The function error of the last attempt, with the handler's own exception; `None` after a success."""
        return self._pipeline.last_error if self._pipeline else None

    @property
    def metrics(self) -> Metrics:
        """AWS's metrics as they are now (spec 7.4); `offset_lag` asks the broker whenever it is read."""
        return self._meter.read()

    @property
    def event_pollers(self) -> int:
        """How many event pollers are members of the group now; 0 before the mapping polls and while it does not."""
        return self._pipeline.pollers if self._pipeline else 0

    # --- stepped

    def step(self) -> Event | None:
        """Do the next due thing: end a transition, read records, close a batch, call the function, or commit.

        Returns:
            What was done; `None` when nothing is due: there are no records, or only time is missing.

        Raises:
            MskError: the mapping is closed, runs in the background, or is already stepping.
            BrokerError: the broker refused something or did not answer; `last_processing_result` says what AWS would.
        """
        self.refuse_running()
        changes = self._settle()
        if changes:
            return changes[-1]
        self._stepping = True
        try:
            pipeline = self._open()
            return None if pipeline is None else pipeline.step()
        except BrokerError as error:
            self._stepping = False
            self._stop_polling(problem_of(error.code).reason)
            raise
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
        failures: Counter[int] = Counter()
        while True:
            event = self.step()
            if isinstance(event, Attempt):
                attempts.append(event)
            if isinstance(event, Attempt | NotInvoked):
                failed = failures[event.batch] = self._failures(event, failures[event.batch])
                if failed >= max_attempts:
                    self._pass_time(event, failed)
            elif event is None:
                due = self._pipeline.due_ms if self._pipeline else self._lifecycle.due_ms
                if due is None:
                    return tuple(attempts)
                self.clock.advance_to(due)

    def _failures(self, event: Attempt | NotInvoked, failures: int) -> int:
        """How often a batch has failed in a row, without failures after which its retries run out or less is left."""
        if isinstance(event, NotInvoked):
            return failures + 1
        delivery = self._pipeline.delivery if self._pipeline else None
        limited = delivery is not None and delivery.rules.retries is not None
        if limited or not (event.failed or event.item_failures):
            return 0
        sent = delivery.batch.records if event.records is None and delivery is not None else event.records or {}
        went_on = not event.failed and count_of(event.item_failures) < count_of(sent)
        return 0 if went_on else failures + 1

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
        """Poll on a thread in real time; the test's clock follows the machine's until `stop()`.

        A transition that is under way is over with that, and those that come take no time: here it would be real. A
        topic that does not exist yet is waited for.
        """
        if self._background is not None:
            raise MskError("This mapping runs in the background already.")
        self._check_open()
        self._apply(self._lifecycle.finish(self.clock.now_ms()))
        if self.state != "Enabled":
            raise MskError(f"This mapping is {self.state}: esm.enable() it before you start it.")
        self._polls_in_background = True
        self._background = Background(self._open_when_there, self.clock, self.function.name, self._failed_in_background)

    def stop(self) -> None:
        """End the background mode; a call of the function that is under way is waited for.

        Raises:
            BaseException: what went wrong on the thread, if anything did and no `wait_until` has raised it.
        """
        self._refuse_inside()
        self._polls_in_background = False
        self._stop_background()

    def _stop_background(self) -> None:
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
        if self._background is None and self._polls_in_background:
            raise MskError(
                f"This mapping is {self.state}, so that there is nothing to wait for: esm.enable() it first."
            )
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

    def update(self, *, function: Function | None = None, **parameters: Unpack[MappingParameters]) -> None:
        """Change the mapping as `UpdateEventSourceMapping` does: what is not given keeps its value (spec 2.6).

        Polling ends and begins again from the committed offsets on; what is under way is given up, and delivered again.
        `filter_criteria={}` removes the filters, `destination_config={"OnFailure": {"Destination": ""}}` the
        destination, `provisioned_poller_config={}` leads back to on-demand mode, together with `metrics_config={}` and
        `logging_config={}` where there are such.

        Args:
            function: the function that is called from now on.
            parameters: those of the mapping, without what an update cannot change: topic, cluster, starting position.

        Raises:
            EventSourceMappingError: AWS would refuse it; the text is AWS's. `ResourceInUseException`: a transition is
                under way.
            TypeError: there is no such parameter, or none that can be changed.
        """
        __tracebackhide__ = True
        self._settle()
        self._lifecycle.refuse("update")
        self._check_open()
        self._refuse_inside()
        merged = updated(self._parameters, parameters)
        config = self._parse(merged)
        new = self.function if function is None else _lambda_function(function)
        _refuse_timeout(new)
        cause: Cause = "update"
        if config.enabled != self.config.enabled:
            cause = "enable" if config.enabled else "disable"
        self._begin(cause, (config, new, merged))

    def disable(self) -> None:
        """Stop polling; what is under way is given up, and the group's offsets are kept (spec 5.9)."""
        self._switch(enabled=False)

    def enable(self) -> None:
        """Poll again from the committed offsets on (spec 5.9)."""
        self._switch(enabled=True)

    def _switch(self, *, enabled: bool) -> None:
        self._settle()
        self._lifecycle.refuse("update")
        self._check_open()
        self._refuse_inside()
        if self.config.enabled != enabled:
            self.update(enabled=enabled)

    def delete(self) -> None:
        """Delete the mapping, at once; the group's offsets are kept (spec 5.10). Deleting twice is no error.

        Raises:
            EventSourceMappingError: `ResourceInUseException`: a transition is under way.
        """
        self._settle()
        if self._lifecycle.state == "Deleted":
            return
        self._lifecycle.refuse("delete")
        self._check_open()
        self._refuse_inside()
        deleting, deleted = self._lifecycle.begin("delete", self.clock.now_ms(), enabled=False, length_ms=0)
        self._note((deleting,))
        self.close()
        self._note((deleted,))

    def _begin(
        self,
        cause: Cause,
        coming: tuple[EventSourceMappingConfig, LambdaFunction, MappingParameters],
        reason: str = "USER_INITIATED",
    ) -> None:
        """Begin a transition: end polling, and in the background begin it again at once."""
        again, config = self._polls_in_background, coming[0]
        length_ms = 0 if again else config.transition_ms
        self._coming = coming
        first, *rest = self._lifecycle.begin(
            cause, self.clock.now_ms(), enabled=config.enabled, length_ms=length_ms, reason=reason
        )
        self._note((first,))
        try:
            self._leave()
        finally:
            self._apply(tuple(rest))
        if again and config.enabled:
            self.start()

    def _stop_polling(self, reason: str | None) -> None:
        """Disable the mapping because of an error that no further poll can mend (spec 2.5)."""
        if reason is not None and self._lifecycle.state == "Enabled":
            self._begin("stop", self._disabled(), reason)

    def _failed_in_background(self, error: BaseException) -> None:
        """The same on the background's thread, which has polled for the last time: `stop()` or `enable()` clears up."""
        reason = problem_of(error.code).reason if isinstance(error, BrokerError) else None
        if reason is not None and self._lifecycle.state == "Enabled":
            self._coming = self._disabled()
            now = self.clock.now_ms()
            self._apply(self._lifecycle.begin("stop", now, enabled=False, length_ms=0, reason=reason))

    def _disabled(self) -> tuple[EventSourceMappingConfig, LambdaFunction, MappingParameters]:
        parameters: MappingParameters = {**self._parameters, "enabled": False}
        return replace(self.config, enabled=False), self.function, parameters

    def _settle(self) -> tuple[StateChanged, ...]:
        """End the transition that is under way, if its time has come."""
        return self._apply(self._lifecycle.settle(self.clock.now_ms()))

    def _apply(self, changes: tuple[StateChanged, ...]) -> tuple[StateChanged, ...]:
        """Let what an update has changed count from the end of its transition on."""
        if changes and self._coming is not None:
            self.config, self.function, self._parameters = self._coming
            self._coming = None
        self._note(changes)
        return changes

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
            self._stop_background()
        finally:
            pipeline, self._pipeline = self._pipeline, None
            try:
                if pipeline is not None:
                    pipeline.close()
            finally:
                self._close_destination()

    def _check_open(self) -> None:
        if self._closed:
            raise MskError("This mapping is closed; its journal can still be read.")

    def _open(self) -> EventPollers | None:
        """The event pollers, made when the mapping first polls; `None` while it is disabled."""
        self._check_open()
        if self.state != "Enabled":
            return None
        if self._pipeline is None:
            if not self._has_topic():
                raise BrokerError(self._no_topic, code="UNKNOWN_TOPIC_OR_PART")
            self._pipeline = EventPollers(
                self._make_pipeline,
                scaling=self.config.scaling,
                lag=self._lag,
                broker=self.broker,
                group=self.consumer_group_id,
                journal=self.journal,
                clock=self.clock,
                timeout=self.timeout,
            )
        return self._pipeline

    def _destination(self) -> Destination | None:
        """The on-failure destination, one for all pollers; opened here unless it is one of the caller's own."""
        target = self.config.destination
        if not isinstance(target, str):
            return target
        if self._opened is None:
            self._opened = open_destination(target, broker=self.broker, timeout=self.timeout, allow_aws=self.allow_aws)
        return self._opened

    def _close_destination(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _make_pipeline(self, number: int, waiting: Callable[[], None]) -> Pipeline:
        try:
            self.check_access()
            return Pipeline(
                broker=self.broker,
                config=self.config,
                function=self.function,
                destination=self._destination(),
                mapping_uuid=self.uuid,
                group=self.consumer_group_id,
                starting=self.starting,
                numbers=self._numbers,
                journal=self.journal,
                clock=self.clock,
                timeout=self.timeout,
                faults=self.faults,
                client_id=f"{self.uuid}-{number}",
                connection=Connection.open(
                    self.broker, self.config.access, partial(read_secret, allow_aws=self.allow_aws)
                ),
                waiting=waiting,
            )
        except BrokerError as error:  # its consumer could not even be made
            result = problem_of(error.code).result
            self.journal.append(PollFailed(time_ms=self.clock.now_ms(), error=str(error), result=result))
            raise

    def _open_when_there(self) -> EventPollers | None:
        """The event pollers, or `None` as long as there is no topic to poll."""
        return self._open() if self._pipeline is not None or self._has_topic() else None

    def _lag(self) -> dict[int, int]:
        """Per partition how many offsets of the log are behind the group's."""
        committed = self.broker.committed(self.consumer_group_id, self.topic)
        marks = self.broker.watermarks(self.topic) if self.broker.partition_count(self.topic) else {}
        positions = {p: self.starting.choose(p, committed.get(p, -1), mark) for p, mark in marks.items()}
        return {partition: mark.high - positions[partition] for partition, mark in marks.items()}

    def _has_topic(self) -> bool:
        """Whether the broker has the topic; the journal says once that it has not."""
        if self.broker.partition_count(self.topic):
            return True
        last = next(reversed(self.journal), None)
        if not isinstance(last, PollFailed) or last.error != self._no_topic:
            result = problem_of(None).result
            self.journal.append(PollFailed(time_ms=self.clock.now_ms(), error=self._no_topic, result=result))
        return False

    @property
    def _no_topic(self) -> str:
        return (
            f"The mapping polls the topic {self.topic!r}, which the broker does not have: "
            f"create it, for instance with msk_topic({self.topic!r})."
        )

    def _parse(self, parameters: MappingParameters) -> EventSourceMappingConfig:
        __tracebackhide__ = True
        return EventSourceMappingConfig.parse(
            self.topic,
            parameters,
            now_ms=self.clock.now_ms(),
            cluster_arn=CLUSTER_ARN,
            bootstrap_servers=partial(Access.bootstrap_servers, broker=self.broker),
        )

    def _note(self, changes: tuple[StateChanged, ...]) -> None:
        for change in changes:
            self.journal.append(change)


def _lambda_function(function: Function) -> LambdaFunction:
    return function if isinstance(function, LambdaFunction) else LambdaFunction(function)


def _refuse_timeout(function: LambdaFunction) -> None:
    if function.timeout > MAX_MAPPING_TIMEOUT:
        raise EventSourceMappingError(
            "InvalidParameterValueException",
            f"The timeout of function {function.name} is {function.timeout:g} seconds, but a function of "
            f"an Apache Kafka event source mapping may have at most {MAX_MAPPING_TIMEOUT} (spec 3.5).",
        )
