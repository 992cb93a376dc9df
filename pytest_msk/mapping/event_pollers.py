"""Event pollers: the members of a mapping's group, each with a pipeline of its own, driven in turn (spec 7).

They are driven as one pipeline is: who does the next thing goes round, poller after poller. The group gives each
partition to one of them, so that a partition is in one batch at most. While one poller waits for the broker, all take
part in the group's life: they share a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from .._offsets import count_of
from ..brokers import Broker
from ..clock import Clock, Deadline
from ..errors import BrokerError
from ..functions import FunctionError, TimeLimit
from ..journal import (
    Assigned,
    Attempt,
    BatchClosed,
    Event,
    FaultInjected,
    Journal,
    NotInvoked,
    PollersScaled,
    Revoked,
    ScalingReason,
)
from .delivery import Delivery
from .pipeline import Pipeline
from .poller import PartitionsChanged
from .scaling import Evaluations, Scaling

__all__ = ["EventPollers"]

#: How long one look at the group's state is waited for when its members are to be complete, seconds.
_TICK = 0.01


class EventPollers:
    """The event pollers of a mapping.

    Args:
        make: makes the pipeline of the poller with this number, counted from 0; its second argument is to be called
            while the pipeline waits for the broker.
        scaling: within which limits there may be how many; `None` for one poller, for ever.
        lag: asks the broker: per partition how many offsets are not committed.
        broker: where the group is.
        group: the consumer group's id.
        journal: gets every event.
        clock: tells the time.
        timeout: seconds that the broker may take to let all pollers join the group.
    """

    def __init__(
        self,
        make: Callable[[int, Callable[[], None]], Pipeline],
        *,
        scaling: Scaling | None,
        lag: Callable[[], Mapping[int, int]],
        broker: Broker,
        group: str,
        journal: Journal,
        clock: Clock,
        timeout: float,
    ) -> None:
        self._make = make
        self._scaling = scaling
        self._lag = lag
        self._broker = broker
        self._group = group
        self._journal = journal
        self._clock = clock
        self._timeout = timeout
        self._pipelines: list[Pipeline] = []
        self._turn = 0
        self._limit: TimeLimit | None = None
        self._evaluations = Evaluations(start_ms=clock.now_ms())
        if scaling is None:
            self._add()

    # --- driving, as a pipeline is

    @property
    def pollers(self) -> int:
        """How many there are."""
        return len(self._pipelines)

    @property
    def delivery(self) -> Delivery | None:
        """The batch that the poller which did the last thing is delivering."""
        return self._last.delivery if self._pipelines else None

    @property
    def last_error(self) -> FunctionError | None:
        """The function error of the last attempt of the poller which did the last thing."""
        return self._last.sender.last_error if self._pipelines else None

    @property
    def failing(self) -> bool:
        """Whether the last call of the poller which did the last thing left records undone."""
        return bool(self._pipelines) and self._last.sender.failing

    @property
    def _last(self) -> Pipeline:
        return self._pipelines[self._turn - 1]

    @property
    def due_ms(self) -> int | None:
        """When the next thing is due if no record comes, epoch milliseconds; `None` when nothing is under way."""
        return min((due for pipeline in self._pipelines if (due := pipeline.due_ms) is not None), default=None)

    @property
    def out_of_reach(self) -> bool:
        """Whether the test has put the broker out of their reach."""
        return any(pipeline.out_of_reach for pipeline in self._pipelines)

    @property
    def limit(self) -> TimeLimit | None:
        """Ends the function's calls by real time; without it only the clock's time counts."""
        return self._limit

    @limit.setter
    def limit(self, limit: TimeLimit | None) -> None:
        self._limit = limit
        for pipeline in self._pipelines:
            pipeline.limit_calls(limit)

    def step(self, *, wait: float | None = None) -> Event | None:
        """Do the next due thing of the next poller that has one, see `Pipeline.step`; or change how many there are."""
        if self._scaling is not None and self._evaluation_due(self._scaling):
            committing = self._committing()
            if committing is None:
                scaled = self._scale(self._scaling)
                if scaled is not None:
                    return scaled
            else:
                self._turn = committing  # first: its partitions are not taken away before
        pollers = len(self._pipelines)
        for _ in range(pollers):
            pipeline = self._pipelines[self._turn]
            self._turn = (self._turn + 1) % pollers
            started_ms = self._clock.now_ms()
            if pollers > 1:
                self._regroup(pipeline.rejoin)
            event = self._step(pipeline, None if wait is None else wait / pollers)
            if event is not None:
                if pollers > 1 and isinstance(event, FaultInjected):
                    self._regroup(lambda: True)  # it has crashed, and another one in its place joins
                self._weigh(event, started_ms)
                return event
        return None

    def _step(self, pipeline: Pipeline, wait: float | None) -> Event | None:
        pipeline.alone = self.pollers == 1
        try:
            return pipeline.step(wait=wait)
        except PartitionsChanged:
            self._regroup(self._follow_partitions)
            return self._step(pipeline, wait)

    def close(self) -> None:
        """Leave the group; what is under way is given up and not committed."""
        with ExitStack() as stack:  # one that cannot leave does not keep the others in the group
            for pipeline in self._pipelines:
                stack.callback(pipeline.close)
            self._pipelines = []

    # --- scaling

    def _evaluation_due(self, scaling: Scaling) -> bool:
        if not self._pipelines:
            return True
        varies = scaling.automatic or self.pollers < scaling.minimum  # for want of partitions, which may be added
        return varies and self._clock.now_ms() >= self._evaluations.due_ms

    def _committing(self) -> int | None:
        """The number of the first poller that has done with records and not committed them."""
        return next((number for number, pipeline in enumerate(self._pipelines) if pipeline.committing), None)

    def _scale(self, scaling: Scaling) -> Event | None:
        """Have as many pollers as there should be (spec 7.1, 7.2); the event says how many, if there were not."""
        lag = self._lag()
        if not self._pipelines:
            return self._have(scaling.bounds(len(lag))[0], "start", lag)
        decision = scaling.decide(self._evaluations.load(self._clock.now_ms(), self.pollers, lag))
        return None if decision.pollers == self.pollers else self._have(decision.pollers, decision.reason, lag)

    def _have(self, number: int, reason: ScalingReason, lag: Mapping[int, int]) -> Event:
        """Add pollers, or take the latest ones away, and wait until the group has given its partitions anew."""
        event = PollersScaled(time_ms=self._clock.now_ms(), pollers=number, reason=reason, lag=sum(lag.values()))
        self._journal.append(event)
        self._hold()
        while len(self._pipelines) < number:
            self._add().held = []
        gone = []
        while len(self._pipelines) > number:
            gone.append(self._pipelines.pop())
            gone[-1].close()
        self._turn = 0
        try:
            self._assemble()
        finally:
            self._tell(gone)
        return event

    def _regroup(self, rebalances: Callable[[], bool]) -> None:
        """Let all pollers hear at once of a rebalance: whoever heard first would decide what comes again."""
        self._hold()
        try:
            if rebalances():
                self._assemble()
        finally:
            self._tell([])

    def _follow_partitions(self) -> bool:
        count = len(self._lag())
        for pipeline in self._pipelines:
            pipeline.follow_partitions(count)
        return True

    def _hold(self) -> None:
        for pipeline in self._pipelines:
            pipeline.held = []

    def _add(self) -> Pipeline:
        number = len(self._pipelines)
        pipeline = self._make(number, partial(self._serve_others, number))
        pipeline.limit_calls(self._limit)
        self._pipelines.append(pipeline)
        return pipeline

    def _serve_others(self, number: int) -> None:
        for other, pipeline in enumerate(self._pipelines):
            if other != number:
                pipeline.serve()

    def _assemble(self) -> None:
        """Wait until every poller has its partitions, so that a run does not depend on who hears of what first."""
        deadline = Deadline(self._timeout)
        while not all(pipeline.joined for pipeline in self._pipelines) or self._broker.rebalancing(self._group):
            if deadline.passed:
                raise BrokerError(
                    f"The mapping's {self.pollers} event pollers got no partitions from group {self._group!r} within "
                    f"{self._timeout:g} s: a member that does not poll holds the rebalance up, or the broker does not "
                    "answer. Close other consumers of the group, or raise the timeout (--msk-timeout)."
                )
            for pipeline in self._pipelines:
                pipeline.serve(_TICK)

    def _tell(self, gone: list[Pipeline]) -> None:
        """Write down what the group took and gave, poller by poller, as if all had heard of it at once."""
        held = [(pipeline, pipeline.held or []) for pipeline in (*self._pipelines, *reversed(gone))]
        for _, events in held:
            if events and isinstance(events[0], Revoked):
                self._journal.append(events[0])
        for pipeline, events in held:
            given = [index for index, event in enumerate(events) if isinstance(event, Assigned)]
            if pipeline not in gone and given:
                for event in events[given[-1] :]:
                    self._journal.append(event)
            pipeline.held = None

    def _weigh(self, event: Event, started_ms: int) -> None:
        """Note what the next evaluation is to know."""
        if isinstance(event, Attempt):
            self._evaluations.call(event.time_ms - started_ms)
        elif isinstance(event, BatchClosed):
            self._evaluations.batch(count_of(event.records), event.payload_size)
        elif isinstance(event, NotInvoked):
            self._evaluations.throttle()
