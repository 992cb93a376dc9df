"""Functions that fail when a test wants them to: handlers around a handler, which may be nested.

Each counts the calls that reach it, from 1, whichever mapping they come from.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection
from typing import TypeAlias

from ..clock import VirtualClock
from ..events import KafkaEvent, decode
from ..functions import Handler, LambdaContext, ServiceError
from ..functions.limit import LimitReached
from ..records import Record

__all__ = ["FaultyHandler", "InjectedError", "fails", "fails_for", "throttled", "times_out"]

#: A handler around a handler.
FaultyHandler: TypeAlias = "Callable[[KafkaEvent, LambdaContext], object]"
#: Which calls: the number of one, several, or what decides by the number.
_On: TypeAlias = "int | Collection[int] | Callable[[int], bool]"


class InjectedError(Exception):
    """What a function raises that a test made fail, unless it was given an exception of its own."""


def fails(handler: Handler, *, on: _On, error: BaseException | None = None, after: bool = False) -> FaultyHandler:
    """A handler that fails on some calls.

    Args:
        handler: what is called on all others.
        on: the number of the call that fails, counted from 1; several numbers, a range, or a function of the number.
        error: what is raised; an `InjectedError` that names the call by default.
        after: call the handler first, and fail when it has done its work: a test of idempotency.

    Raises:
        TypeError: the handler cannot be called, or `on` is none of these.
    """
    chosen = _chooser(on)

    def fail(number: int, _event: KafkaEvent) -> BaseException | None:
        return (error or InjectedError(f"told to fail on call {number}")) if chosen(number) else None

    return _raising(handler, fail, after=after)


def fails_for(
    handler: Handler,
    matches: Callable[[Record], object],
    *,
    times: int | None = None,
    error: BaseException | None = None,
    after: bool = False,
) -> FaultyHandler:
    """A handler that fails with every event that holds a certain record: a poison pill.

    Args:
        handler: what is called with all others.
        matches: is given each record of the event (`record.json()`, `record.offset`, ...).
        times: how often it fails; without end by default.
        error: what is raised; an `InjectedError` that names the record by default.
        after: call the handler first, and fail when it has done its work.

    Raises:
        TypeError: the handler cannot be called.
    """
    left = itertools.count() if times is None else iter(range(times))

    def fail(_number: int, event: KafkaEvent) -> BaseException | None:
        found = next((record for record in decode(event) if matches(record)), None)
        if found is None or next(left, None) is None:
            return None
        where = f"{found.topic}-{found.partition} offset {found.offset}"
        return error or InjectedError(f"told to fail for the record at {where}")

    return _raising(handler, fail, after=after)


def times_out(handler: Handler, *, on: _On) -> FaultyHandler:
    """A handler that takes longer than its function's timeout on some calls, which costs no real time.

    Stepped, the test's clock moves to just behind the limit; in the background, where time is real, the call ends at
    once as one that has reached it.

    Args:
        handler: what is called on all others.
        on: which calls, see `fails`.
    """
    chosen = _chooser(on)

    def call(number: int, event: KafkaEvent, context: LambdaContext) -> object:
        if not chosen(number):
            return handler(event, context)
        clock = context._clock
        if isinstance(clock, VirtualClock) and not clock.real:
            clock.advance((context.get_remaining_time_in_millis() + 1) / 1000)
            return None
        raise LimitReached

    return _counting(handler, call)


def throttled(handler: Handler, *, times: int | None = None, on: _On | None = None) -> FaultyHandler:
    """A handler whose first calls the service refuses: throttled calls are no attempts (spec 4.1).

    Args:
        handler: what is called afterwards.
        times: how many calls are refused, from the first one on; 1 if `on` is not given either.
        on: which calls instead, see `fails`.

    Raises:
        TypeError: both were given.
    """
    if times is not None and on is not None:
        raise TypeError("throttled() takes times, for the first calls, or on, for certain ones: give one of the two.")
    chosen = _chooser(range(1, (1 if times is None else times) + 1) if on is None else on)

    def call(number: int, event: KafkaEvent, context: LambdaContext) -> object:
        if chosen(number):
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.")
        return handler(event, context)

    return _counting(handler, call)


def _chooser(on: _On) -> Callable[[int], bool]:
    if isinstance(on, bool) or not (isinstance(on, int | Collection) or callable(on)) or isinstance(on, str):
        raise TypeError(f"on={on!r}: the number of a call from 1, several of them, or a function of the number.")
    if isinstance(on, int):
        return on.__eq__
    return on if callable(on) else on.__contains__


def _raising(
    handler: Handler, fail: Callable[[int, KafkaEvent], BaseException | None], *, after: bool
) -> FaultyHandler:
    def call(number: int, event: KafkaEvent, context: LambdaContext) -> object:
        error = fail(number, event)
        if error is None:
            return handler(event, context)
        if after:
            handler(event, context)
        raise error

    return _counting(handler, call)


def _counting(handler: Handler, call: Callable[[int, KafkaEvent, LambdaContext], object]) -> FaultyHandler:
    """A handler that knows its calls' numbers; it has the name of the one that it stands for."""
    if not callable(handler):
        raise TypeError(
            f"{handler!r} cannot be called: give the handler itself, and give LambdaFunction(...) the faulty one where "
            "it needs settings."
        )
    numbers = itertools.count(1)

    @functools.wraps(handler)
    def faulty(event: KafkaEvent, context: LambdaContext) -> object:
        return call(next(numbers), event, context)

    return faulty
