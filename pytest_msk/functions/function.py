"""LambdaFunction: a function with the settings that it is deployed with."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import TypeAlias, cast

import orjson

from ..clock import Clock, VirtualClock
from ..errors import NotSupported
from ..events import KafkaEvent
from ._validation import MAX_TIMEOUT, VERSION, check_settings, check_variables, function_name, refuse_handler
from .context import LambdaContext
from .environment import ENDS_THE_ENVIRONMENT, Environment
from .error import FunctionError, exit_error, raised_error, timeout_error
from .invocation import Delivered, Invocation, Invocations
from .limit import FunctionStuck, LimitReached, TimeLimit
from .remote import BehindClient, Emulator, LambdaClient, RemoteFunction, ServiceError, is_lambda_client
from .runtime import Handler, marshal, unmarshal
from .surroundings import Surroundings

__all__ = ["MAX_MAPPING_TIMEOUT", "Function", "LambdaFunction"]

#: What a mapping takes as its function.
Function: TypeAlias = "Handler | str | LambdaFunction"

#: The longest timeout of a function that a Kafka event source mapping may call, seconds (spec 3.5).
MAX_MAPPING_TIMEOUT = 840
#: How long an environment may take to start, seconds of real time, where real time counts.
_START = 10.0

#: Ordinary exceptions by which `pytest.exit` and a debugger that is quit end the run; by name, to import neither.
_ENDS_THE_RUN = {("_pytest.outcomes", "Exit"), ("bdb", "BdbQuit")}

_PREFIX = "arn:aws:lambda:us-east-1:123456789012"

_SEED = uuid.uuid4()
_CALLS, _ID_TAIL = itertools.count(_SEED.time_low), str(_SEED)[8:]


class LambdaFunction:
    """A function with the settings of the Lambda function that it is deployed as.

    Args:
        target: what is called: a handler, called with (event, context); a handler's name, `"package.module.handler"`,
            which is imported by the first call; a boto3 Lambda client; or the URL of a runtime interface emulator.
        name: the function's name or ARN; made from the handler's name by default, in us-east-1; required with a client.
        timeout: seconds, at most 900, and at most 840 for a Kafka mapping (spec 3.5). Stepped, only time that passes on
            the clock during the call counts; in the background it is real time.
        memory_size: megabytes, as the context tells them.
        version: the version that runs.
        alias: the alias by which it is invoked; the ARN ends with it.
        environment: variables that are set during a call, beside Lambda's own (`AWS_LAMBDA_FUNCTION_NAME`, `AWS_REGION`
            from the function's ARN, ...); without it none is. Calls of functions with different ones wait for each
            other. A handler that is given by its name is imported with them, and anew, as `new_environment()` does, if
            it was imported before.
        on_cold_start: called, without arguments, when an execution environment starts: by the first call, and by the
            first one after a timeout, after `sys.exit()` and after `new_environment()`. What it raises fails the call.
        real_time_limit: seconds of real time after which a call is ended in any case, as if it had timed out: for a
            function that may hang. Off by default: a debugger must not time out.
        allow_remote: let a client or URL reach other machines, the real AWS among them.

    Raises:
        TypeError: the target is none of these, or cannot be called with two arguments.
        ValueError: a setting is out of range, or `environment` has a key that Lambda reserves.
    """

    def __init__(
        self,
        target: Handler | str | LambdaClient,
        *,
        name: str | None = None,
        timeout: float = 3.0,
        memory_size: int = 128,
        version: str = "$LATEST",
        alias: str | None = None,
        environment: Mapping[str, str] | None = None,
        on_cold_start: Callable[[], object] | None = None,
        real_time_limit: float | None = None,
        allow_remote: bool = False,
    ) -> None:
        check_settings(timeout, memory_size, version, alias, real_time_limit)
        if on_cold_start is not None and not callable(on_cold_start):
            raise TypeError(f"on_cold_start={on_cold_start!r}: a callable, not {type(on_cold_start).__name__}.")
        self.target = target
        self.timeout = timeout
        self.memory_size = memory_size
        self.real_time_limit = real_time_limit
        self.invocations = Invocations()
        prefix, _, rest = function_name(target, name).rpartition(":function:")
        self.name, _, qualifier = rest.partition(":")
        self.version = qualifier if VERSION.fullmatch(qualifier) else version
        self.alias = alias if qualifier in ("", self.version) else qualifier
        self.arn = f"{prefix or _PREFIX}:function:{self._qualified(self.name)}"
        self._remote: RemoteFunction | None = None
        if isinstance(target, str) and "://" in target:
            self._remote = Emulator(target, allow_remote=allow_remote)
        elif is_lambda_client(target):
            invoked = self.arn if prefix else self._qualified(self.name)
            self._remote = BehindClient(cast(LambdaClient, target), invoked, allow_remote=allow_remote)
        if self._remote is None:
            refuse_handler(target)
            handler = cast("Handler | str", target)
            self._environment = Environment(handler, self.version, self._variables(environment), on_cold_start)
        elif environment is not None or on_cold_start is not None:
            raise TypeError(f"{target!r} runs elsewhere: environment and on_cold_start are for handlers that run here.")

    def _qualified(self, name: str) -> str:
        qualifier = self.alias or (None if self.version == "$LATEST" else self.version)
        return name if qualifier is None else f"{name}:{qualifier}"

    def _variables(self, given: Mapping[str, str] | None) -> dict[str, str]:
        if given is None:
            return {}
        check_variables(given)
        region = (self.arn if self.arn.startswith("arn:") else _PREFIX).split(":")[3]
        return {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": self.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_size),
            "AWS_LAMBDA_LOG_GROUP_NAME": self._log_group,
            **given,
        }

    @property
    def _log_group(self) -> str:
        return f"/aws/lambda/{self.name}"

    def __repr__(self) -> str:
        return f"LambdaFunction({self.name!r})"

    def __eq__(self, other: object) -> bool:
        """Whether the other one stands for the same deployed function: the same target under the same name."""
        return isinstance(other, LambdaFunction) and (self.target, self.arn) == (other.target, other.arn)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def handler(self) -> Handler | None:
        """The handler that runs in this process; `None` before its module is imported, and when it runs elsewhere."""
        return None if self._remote is not None else self._environment.handler

    @property
    def module(self) -> ModuleType | None:
        """The module of a handler that is given by name, as the current environment has it."""
        return None if self._remote is not None else self._environment.module

    def new_environment(self) -> None:
        """Let the next call begin in a fresh execution environment.

        A handler that is given by its name is imported anew, and with it what its module imports from the same project
        root, see `pytest_msk.functions.modules`; the test's own imports keep the modules that they have, so look into
        `function.module`.

        Raises:
            NotSupported: the handler is a callable without `on_cold_start`, or runs elsewhere.
        """
        if self._remote is not None:
            raise NotSupported(f"{self.name!r} runs elsewhere: start it anew there.")
        self._environment.renew()

    def invoke(
        self,
        event: bytes | KafkaEvent,
        clock: Clock | None = None,
        *,
        delivered: Delivered | None = None,
        limit: TimeLimit | None = None,
    ) -> Invocation:
        """Call the function with a fresh event, judge the call as Lambda does (spec 1.7), and record it.

        An exception, a result that the runtime cannot serialize, `sys.exit()` and a timeout are function errors.
        `KeyboardInterrupt`, pytest's own outcomes (`pytest.fail`, `pytest.skip`, `pytest.exit`) and quitting a debugger
        pass through: they end the test.

        Args:
            event: the event, or its JSON.
            clock: tells how much time has passed; one that stands still by default.
            delivered: where the event's records stand in a topic's log.
            limit: ends the call at the timeout, by real time; without it the clock alone counts.

        Raises:
            ServiceError: a function that runs elsewhere was throttled, or its service failed; it was not called. So it
                is with a handler that raises a `ServiceError` itself, in the service's place.
            FunctionStuck: the call could not be ended at its limit; it is recorded as timed out.
            MskError: a function that runs elsewhere cannot be called.
        """
        __tracebackhide__ = True
        payload = event if isinstance(event, bytes) else orjson.dumps(event)
        clock = VirtualClock() if clock is None else clock
        if self._remote is not None:
            return self._invoke_elsewhere(self._remote, payload, clock, delivered, limit)
        if limit is None and self.real_time_limit is not None:
            with TimeLimit(self.name) as own:
                return self._invoke_here(payload, clock, delivered, own, self.real_time_limit)
        return self._invoke_here(
            payload, clock, delivered, limit, min(self.timeout, self.real_time_limit or self.timeout)
        )

    def _invoke_here(
        self, payload: bytes, clock: Clock, delivered: Delivered | None, limit: TimeLimit | None, seconds: float
    ) -> Invocation:
        __tracebackhide__ = True
        request_id, environment = _new_request_id(), self._environment
        cold_start, stuck = environment.cold, None
        started_ms, deadline_ms = clock.now_ms(), None
        result: str | None = None
        error: FunctionError | None = None
        surroundings = Surroundings(request_id, clock, environment.wanted)
        try:
            if cold_start:
                with surroundings:
                    if limit is None:
                        environment.start(started_ms)
                    else:
                        limit.run(partial(environment.start, started_ms), max(seconds, _START))
                surroundings.wanted = environment.wanted
            with surroundings:
                started_ms = clock.now_ms()  # the wait for calls with another environment is not the function's time
                deadline_ms = started_ms + round(self.timeout * 1000)
                context = self._context(request_id, deadline_ms, clock)
                if limit is None:
                    returned = environment.call(payload, context)
                else:
                    returned = limit.run(partial(environment.call, payload, context), seconds)
            result = marshal(returned)
        except LimitReached:
            error = timeout_error(seconds)
        except FunctionStuck as raised:
            error, stuck = timeout_error(seconds), raised
        except ServiceError:  # a handler that stands for the service: its function was not called
            raise
        except Exception as raised:  # whatever a handler raises is its function's error
            if (type(raised).__module__, type(raised).__name__) in _ENDS_THE_RUN:
                raise
            error = raised_error(raised)
        except SystemExit as raised:
            error = exit_error(raised)
        ended_ms = clock.now_ms()
        held = limit is not None and limit.held
        if deadline_ms is not None and ended_ms > deadline_ms and not held and not stuck:
            error = timeout_error(self.timeout)
        if error is not None:
            result = None
            if error.type in ENDS_THE_ENVIRONMENT:
                environment.end()
        invocation = Invocation(
            request_id=request_id,
            started_ms=started_ms,
            duration=(ended_ms - started_ms) / 1000,
            cold_start=cold_start,
            result=unmarshal(result),
            error=error,
            log=surroundings.text(),
            _event=payload,
            _delivered=delivered,
        )
        self.invocations.add(invocation, result)
        if stuck is not None:
            stuck.invocation = invocation
            raise stuck
        return invocation

    def _invoke_elsewhere(
        self, remote: RemoteFunction, payload: bytes, clock: Clock, delivered: Delivered | None, limit: TimeLimit | None
    ) -> Invocation:
        __tracebackhide__ = True
        seconds = self.real_time_limit or (MAX_TIMEOUT if limit is None else self.timeout)
        started_ms = clock.now_ms()
        answer = remote.invoke(payload, seconds)
        invocation = Invocation(
            request_id=answer.request_id or _new_request_id(),
            started_ms=started_ms,
            duration=(clock.now_ms() - started_ms) / 1000,
            result=unmarshal(answer.result),
            error=answer.error,
            log=answer.log,
            _event=payload,
            _delivered=delivered,
        )
        self.invocations.add(invocation, answer.result)
        return invocation

    def _context(self, request_id: str, deadline_ms: int, clock: Clock) -> LambdaContext:
        return LambdaContext(
            function_name=self.name,
            function_version=self.version,
            invoked_function_arn=self.arn,
            memory_limit_in_mb=str(self.memory_size),
            aws_request_id=request_id,
            log_group_name=self._log_group,
            log_stream_name=self._environment.log_stream_name,
            _epoch_deadline_time_in_ms=deadline_ms,
            _clock=clock,
        )


def _new_request_id() -> str:
    """What reads as a random UUID: this process's own, counted on, which takes a tenth of the time of `uuid.uuid4`."""
    return f"{next(_CALLS) & 0xFFFFFFFF:08x}{_ID_TAIL}"
