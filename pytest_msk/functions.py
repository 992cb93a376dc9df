"""Lambda functions: call a handler as Lambda's Python runtime does, and judge what it does.

Time that a function takes is told by the clock that it is given: on a test's virtual clock a handler is as quick
as the test says, and one that is held by a debugger never times out.
"""

from __future__ import annotations

import inspect
import json
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

import orjson

from .clock import Clock

__all__ = ["Function", "FunctionError", "Handler", "Invocation", "LambdaContext", "LambdaFunction"]

#: A handler as Lambda's Python runtime calls it: event, context.
Handler: TypeAlias = "Callable[..., object]"
Function: TypeAlias = "Handler | LambdaFunction"

#: The longest timeout of a function that a Kafka event source mapping may call, seconds (spec 3.5).
MAX_TIMEOUT = 840

#: Ordinary exceptions by which `pytest.exit` and a debugger that is quit end the run; by name, to import neither.
_ENDS_THE_RUN = {("_pytest.outcomes", "Exit"), ("bdb", "BdbQuit")}

_REGION, _ACCOUNT = "us-east-1", "123456789012"


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionError:
    """Why an invocation failed, as Lambda reports it.

    Args:
        type: the exception's class, or `Sandbox.Timedout`, `Runtime.MarshalError`, `Runtime.ExitError`.
        message: its text.
        exception: the handler's own exception, where there is one.
    """

    type: str
    message: str
    exception: BaseException | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def location(self) -> str | None:
        """`file:line` where the handler raised, innermost frame; `None` when it did not raise."""
        frames = traceback.extract_tb(self.exception.__traceback__) if self.exception is not None else []
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """One call of a function.

    Args:
        request_id: the id that the function saw as `context.aws_request_id`.
        result: what the function returned.
        error: why the call failed, or `None` for success (spec 1.7).
    """

    request_id: str
    result: object = None
    error: FunctionError | None = None


@dataclass(kw_only=True)
class LambdaContext:
    """The context object that a handler receives, with the attributes of Lambda's Python runtime."""

    function_name: str
    function_version: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    aws_request_id: str
    log_group_name: str
    log_stream_name: str
    identity: None = None
    client_context: None = None
    _deadline_ms: int = field(repr=False)
    _clock: Clock = field(repr=False)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function times out, told by the mapping's clock; never negative."""
        return max(0, self._deadline_ms - self._clock.now_ms())


class LambdaFunction:
    """A handler with the settings of the Lambda function that it is deployed as.

    Args:
        handler: called with (event, context).
        name: the function's name; the handler's own by default.
        timeout: seconds, at most 840 for a Kafka mapping (spec 3.5).
        memory_size: megabytes, as the context tells them.

    Raises:
        TypeError: the handler cannot be called with two arguments, or is `async`.
        ValueError: the timeout is out of range.
    """

    def __init__(
        self, handler: Handler, *, name: str | None = None, timeout: float = MAX_TIMEOUT, memory_size: int = 128
    ) -> None:
        if not callable(handler):
            raise TypeError(f"A function is a handler called with (event, context), not {handler!r}.")
        if inspect.iscoroutinefunction(handler):
            raise TypeError(f"{handler!r} is async, which Lambda's Python runtime never awaits: give a plain function.")
        _refuse_signature(handler)
        if not 0 < timeout <= MAX_TIMEOUT:
            raise ValueError(f"timeout={timeout!r}: seconds, more than 0 and at most {MAX_TIMEOUT} (spec 3.5).")
        self.handler = handler
        self.name = name if name is not None else _name(handler)
        self.timeout = timeout
        self.memory_size = memory_size
        self.version = "$LATEST"

    def __repr__(self) -> str:
        return f"LambdaFunction({self.name!r})"

    def __eq__(self, other: object) -> bool:
        """Whether the other one stands for the same deployed function: the same handler under the same name."""
        return isinstance(other, LambdaFunction) and (self.handler, self.name) == (other.handler, other.name)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def arn(self) -> str:
        """The function's ARN, unqualified."""
        return f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:function:{self.name}"

    def invoke(self, payload: bytes, clock: Clock) -> Invocation:
        """Call the handler with a fresh event decoded from `payload`, and judge the call (spec 1.7).

        An exception, a result that the runtime cannot serialize, `sys.exit()` and a timeout are function errors.
        `KeyboardInterrupt`, pytest's own outcomes (`pytest.fail`, `pytest.skip`, `pytest.exit`) and quitting a debugger
        pass through: they end the test.

        Args:
            payload: the event as JSON.
            clock: tells how much time has passed.
        """
        request_id = str(uuid.uuid4())
        deadline = clock.now_ms() + round(self.timeout * 1000)
        error, result = None, None
        try:
            result = self.handler(orjson.loads(payload), self._context(request_id, deadline, clock))
        except Exception as raised:  # whatever a handler raises is its function's error
            if (type(raised).__module__, type(raised).__name__) in _ENDS_THE_RUN:
                raise
            error = FunctionError(type=type(raised).__name__, message=_text(raised), exception=raised)
        except SystemExit as raised:
            error = FunctionError(
                type="Runtime.ExitError", message=f"Runtime exited with code {raised.code!r}.", exception=raised
            )
        if clock.now_ms() > deadline:
            error = FunctionError(type="Sandbox.Timedout", message=f"Task timed out after {self.timeout:.2f} seconds")
        if error is None and result is not None:
            error = _marshal_error(result)
        return Invocation(request_id=request_id, result=result if error is None else None, error=error)

    def _context(self, request_id: str, deadline: int, clock: Clock) -> LambdaContext:
        return LambdaContext(
            function_name=self.name,
            function_version=self.version,
            invoked_function_arn=self.arn,
            memory_limit_in_mb=str(self.memory_size),
            aws_request_id=request_id,
            log_group_name=f"/aws/lambda/{self.name}",
            log_stream_name=f"pytest_msk/[{self.version}]{request_id.replace('-', '')}",
            _deadline_ms=deadline,
            _clock=clock,
        )


def _refuse_signature(handler: Handler) -> None:
    try:
        signature = inspect.signature(handler)
    except ValueError:
        return  # a builtin that does not tell: its first call will
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(f"A handler is called with (event, context), but {handler!r} takes {signature}.") from error


def _text(raised: BaseException) -> str:
    """An exception's own text, or why it has none."""
    try:
        return str(raised)
    except Exception as failure:  # noqa: BLE001 - the text is the handler's code too
        return f"<its text raised {type(failure).__name__}>"


def _name(handler: Handler) -> str:
    """A function name that Lambda would accept, made from the handler's."""
    name = getattr(handler, "__name__", type(handler).__name__)
    return "".join(c if (c.isalnum() and c.isascii()) or c in "-_" else "-" for c in name)[:64]


def _marshal_error(result: object) -> FunctionError | None:
    """The error of a result that Lambda's Python runtime could not serialize; it knows JSON's types and `Decimal`."""
    try:
        json.dumps(result, default=_decimal, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as raised:
        message = f"Unable to marshal response: {raised}"
        return FunctionError(type="Runtime.MarshalError", message=message, exception=raised)
    return None


def _decimal(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
