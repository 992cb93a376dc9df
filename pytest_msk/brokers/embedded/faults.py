"""Faults: what a test lets the cluster do wrong.

A fault is a filter of requests and an action. The first `skip` requests that it means are let through, the next `times`
get the action, and then it is over. Pure but for the functions of tests: what an action does to a connection is the
gate's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ...errors import BrokerError
from .errors import ErrorCode
from .requests import Request, RequestFilter, RequestScope, api_named

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Action", "Answer", "Crash", "Delay", "Drop", "Fail", "Fault", "FaultFunction", "FaultScope", "Faults"]

_LONGEST_DELAY = 60.0


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer with an error; the request is not handled.

    Args:
        error: Kafka's name of the error, such as `NOT_ENOUGH_REPLICAS`, or its number.
    """

    error: str | int

    @property
    def code(self) -> ErrorCode:
        """The error.

        Raises:
            BrokerError: Kafka has no such error.
        """
        try:
            return ErrorCode[self.error] if isinstance(self.error, str) else ErrorCode(self.error)
        except (KeyError, ValueError):
            raise BrokerError(
                f"Kafka has no error {self.error!r}. Give its name, such as NOT_ENOUGH_REPLICAS or "
                "COORDINATOR_NOT_AVAILABLE, or its number."
            ) from None


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with this; the request is not handled.

    Args:
        body: fields of the response as this broker names them; those left out say that there is nothing and no error.
    """

    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delay:
    """Handle the request, and those behind it on its connection, later.

    Args:
        seconds: of real time, 60 at most.
    """

    seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= _LONGEST_DELAY:
            raise BrokerError(
                f"A delay of {self.seconds!r} s: give 0 to {_LONGEST_DELAY:g} seconds; clients live in real time."
            )


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection; the request is not handled."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Handle the request, and break down before it is answered: every connection of the node is closed.

    Args:
        stays_down: whether the node is stopped until it is started; else it is back at once.
    """

    stays_down: bool = False


Action: TypeAlias = "Fail | Answer | Delay | Drop | Crash"
FaultFunction: TypeAlias = "Callable[[Request], Action | None]"


class FaultScope(RequestScope, total=False):
    """Which requests a fault means, and how many of them.

    Args:
        skip: how many of them are let through first.
        times: how many are hit then; None for all.
    """

    skip: int
    times: int | None


class Fault:
    """One fault; what `Faults` gives."""

    def __init__(
        self, meant: RequestFilter, action: Action | FaultFunction, *, skip: int = 0, times: int | None = 1
    ) -> None:
        if skip < 0 or (times is not None and times < 1):
            raise BrokerError(
                f"skip={skip}, times={times}: give skip=0 or more, times=1 or more, or times=None for all."
            )
        self.meant = meant
        self.hits = 0
        self._action = action
        self._skip = skip
        self._times = times

    def __repr__(self) -> str:
        of = "" if self._times is None else f" of {self._times}"
        return f"Fault({self.meant}, {self._action!r}, {self.hits}{of} times)"

    @property
    def over(self) -> bool:
        """Whether it has happened as often as it should."""
        return self._times is not None and self.hits >= self._times

    def end(self) -> None:
        """Let it happen no more; twice is no error."""
        self._times = self.hits

    def act(self, request: Request) -> Action | None:
        """What happens to a request; None when nothing does."""
        if self.over or not self.meant.matches(request):
            return None
        if self._skip:
            self._skip -= 1
            return None
        action = self._action(request) if callable(self._action) else self._action
        if action is not None:
            self.hits += 1
        return action


class Faults:
    """The faults of a cluster: they begin at once, go by the order in which they were made, and end with the test.

    Every method takes, to say which requests are meant, `topic`, `partition`, `group`, `client_id` and `node`; `skip`,
    how many of those are let through first; and `times`, how many are hit then (1; None for all). Where a request asks
    for several partitions, topics or groups, an error concerns those that are meant, anything else the whole request.
    The methods of `msk_broker` itself are no requests: no fault concerns them.

    Args:
        added: told when there is a new fault.
        rebalance: makes a group rebalance.
    """

    def __init__(self, added: Callable[[], None], rebalance: Callable[[str], None]) -> None:
        self._added = added
        self._rebalance = rebalance
        self._faults: list[Fault] = []
        #: What the functions of tests raised.
        self.failures: list[Exception] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(tuple(self._faults))

    def __len__(self) -> int:
        return len(self._faults)

    def fail(
        self,
        api: str | None,
        error: str | int,
        **scope: Unpack[FaultScope],
    ) -> Fault:
        """Answer with an error instead of handling the request.

        Where an answer has no place for an error, as that to a Produce with acks=0, the connection is closed.

        Args:
            api: by Kafka's own name, such as `Produce`; None for every API.
            error: Kafka's name of the error, such as `NOT_ENOUGH_REPLICAS`, or its number.

        Raises:
            BrokerError: there is no such API or error.
        """
        action = Fail(error)
        action.code  # noqa: B018 - an unknown name is the caller's error, not the broker's
        return self._add(api, action, scope)

    def delay(
        self,
        api: str | None,
        seconds: float,
        **scope: Unpack[FaultScope],
    ) -> Fault:
        """Handle the request later, in real time, and what came behind it on its connection too.

        Args:
            api: by Kafka's own name; None for every API.
            seconds: 60 at most.

        Raises:
            BrokerError: there is no such API, or the time is too long.
        """
        return self._add(api, Delay(seconds), scope)

    def drop(
        self,
        api: str | None,
        **scope: Unpack[FaultScope],
    ) -> Fault:
        """Close the connection instead of handling the request.

        Args:
            api: by Kafka's own name; None for every API.

        Raises:
            BrokerError: there is no such API.
        """
        return self._add(api, Drop(), scope)

    def crash(
        self,
        api: str | None,
        *,
        stays_down: bool = False,
        **scope: Unpack[FaultScope],
    ) -> Fault:
        """Let the node handle the request and crash before it answers: a Produce is in the log, and nobody knows.

        Args:
            api: by Kafka's own name; None for every API.
            stays_down: whether the node is down until it is started; else it is back at once.

        Raises:
            BrokerError: there is no such API.
        """
        return self._add(api, Crash(stays_down=stays_down), scope)

    def call(
        self,
        api: str | None,
        function: FaultFunction,
        **scope: Unpack[FaultScope],
    ) -> Fault:
        """Ask a function what happens to each request.

        Args:
            api: by Kafka's own name; None for every API.
            function: given the `Request`, on the broker's thread, so it must not wait for anything. It returns `Fail`,
                `Answer`, `Delay`, `Drop` or `Crash`, or None to let the request be handled. An exception closes the
                connection, ends the fault, and is raised when the test has ended.

        Raises:
            BrokerError: there is no such API.
        """
        scope.setdefault("times", None)
        return self._add(api, function, scope)

    def rebalance(self, group: str) -> None:
        """Let a consumer group rebalance now: its members join again, as if one had come or gone.

        Raises:
            BrokerError: there is no such group, or it has no members.
        """
        self._rebalance(group)

    def reset(self) -> None:
        """End all faults.

        Raises:
            BrokerError: a function failed since the last reset; its exception is the cause.
        """
        self._faults.clear()
        failures, self.failures = self.failures, []
        if failures:
            raise BrokerError(
                f"The function of a fault failed {len(failures)} time(s); its first exception is the cause of this."
            ) from failures[0]

    def decide(self, request: Request) -> tuple[float, Action | None, RequestFilter | None]:
        """What happens to a request: a delay in seconds, an action behind it, and what that action means."""
        delay = 0.0
        for fault in self:
            try:
                action = fault.act(request)
                if action is not None and not isinstance(action, Fail | Answer | Delay | Drop | Crash):
                    raise TypeError(  # noqa: TRY301 - it is told like what the function itself raises
                        f"The function of {fault!r} returned {action!r}: return Fail(...), Answer(...), Delay(...), "
                        "Drop(), Crash() or None."
                    )
                if isinstance(action, Fail):
                    action.code  # noqa: B018 - an unknown name is the function's error
            except Exception as failure:  # noqa: BLE001 - raised by reset
                self.failures.append(failure)
                fault.end()
                action = Drop()
            if fault.over and fault in self._faults:
                self._faults.remove(fault)
            if isinstance(action, Delay):
                delay = min(delay + action.seconds, _LONGEST_DELAY)
            elif action is not None:
                return delay, action, fault.meant
        return delay, None, None

    def _add(self, api: str | None, action: Action | FaultFunction, scope: FaultScope) -> Fault:
        if api is not None:
            api_named(api)
        skip, times = scope.pop("skip", 0), scope.pop("times", 1)
        fault = Fault(RequestFilter(api=api, **scope), action, skip=skip, times=times)  # type: ignore[misc]
        self._faults.append(fault)
        self._added()
        return fault
