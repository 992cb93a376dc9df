"""FunctionError: why an invocation failed, told as Lambda tells it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType, TracebackType
from typing import TypedDict

__all__ = ["ErrorPayload", "Fault", "FunctionError", "exit_error", "raised_error", "timeout_error"]

#: Frames of a stack trace at most, the innermost ones.
_FRAMES = 100
#: What the service reports when the runtime has been ended and cannot: it names the request in the text.
_BY_THE_SERVICE = frozenset({"Sandbox.Timedout", "Runtime.ExitError"})
_OWN_FRAMES = os.path.dirname(__file__) + os.sep
#: Stack traces by the code and the line of each frame, and how many are kept.
_TRACES: dict[tuple[tuple[CodeType, int], ...], tuple[str, ...]] = {}
_KEPT_TRACES = 64


class ErrorPayload(TypedDict, total=False):
    """What Lambda answers in place of a result; the last two are missing when the service reports for the runtime."""

    errorMessage: str
    errorType: str
    requestId: str
    stackTrace: list[str]


class Fault(Exception):
    """An error that the runtime finds itself, in place of the one that it met.

    Args:
        kind: its type, `Runtime.…`.
        message: its text.
        trace: lines of a stack trace, if it has one.
    """

    def __init__(self, kind: str, message: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionError:
    """Why an invocation failed, as Lambda reports it.

    Args:
        type: the exception's class, or one of Lambda's: `Sandbox.Timedout`, `Runtime.MarshalError`,
            `Runtime.ExitError`, `Runtime.ImportModuleError`, ...
        message: its text.
        stack_trace: the function's own frames, outermost first, each a text of two lines.
        exception: the handler's own exception, where there is one; only the latest are kept, see `Invocations`.
    """

    type: str
    message: str
    stack_trace: tuple[str, ...] = field(default=(), compare=False, repr=False)
    exception: BaseException | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def location(self) -> str | None:
        """`file:line` where the handler raised, innermost frame; `None` when it did not raise."""
        trace = self.exception.__traceback__ if self.exception is not None else None
        frames = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith("<frozen ")]
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None

    def payload(self, request_id: str) -> ErrorPayload:
        """What the caller of the function gets from Lambda.

        Args:
            request_id: the invocation's id.
        """
        if self.type in _BY_THE_SERVICE:
            return {"errorType": self.type, "errorMessage": f"RequestId: {request_id} Error: {self.message}"}
        return {
            "errorMessage": self.message,
            "errorType": self.type,
            "requestId": request_id,
            "stackTrace": list(self.stack_trace),
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, object]) -> FunctionError:
        """The error that a payload of another process tells of, whatever its runtime puts into it."""
        message, trace = payload.get("errorMessage"), payload.get("stackTrace")
        text = "" if message is None else str(message)
        if text.startswith("RequestId: "):
            text = text.partition(" Error: ")[2] or text
        frames = tuple(map(str, trace[-_FRAMES:])) if isinstance(trace, list) else ()
        return cls(type=str(payload.get("errorType") or "Error"), message=text, stack_trace=frames)


def raised_error(raised: Exception) -> FunctionError:
    """The error of a handler that raised, or that the runtime could not find, call or understand."""
    if isinstance(raised, Fault):
        return FunctionError(
            type=raised.kind, message=raised.message, stack_trace=raised.trace, exception=raised.__cause__
        )
    return FunctionError(
        type=type(raised).__name__,
        message=_text(raised),
        stack_trace=_stack_trace(raised.__traceback__),
        exception=raised,
    )


def _stack_trace(trace: TracebackType | None) -> tuple[str, ...]:
    """The function's own frames as texts; a batch that is tried again a thousand times fails at the same place."""
    place = tuple((frame.f_code, line) for frame, line in traceback.walk_tb(trace))
    found = _TRACES.get(place)
    if found is None:
        frames = list(traceback.extract_tb(trace))
        while frames and frames[0].filename.startswith(_OWN_FRAMES):
            del frames[0]
        if len(_TRACES) >= _KEPT_TRACES:
            _TRACES.clear()
        found = _TRACES[place] = tuple(traceback.format_list(frames[-_FRAMES:]))
    return found


def exit_error(raised: SystemExit) -> FunctionError:
    """The error of a handler that ended its process: `sys.exit()` ends with 0, and a text with 1."""
    status = 0 if raised.code is None else raised.code & 0xFF if isinstance(raised.code, int) else 1
    message = (
        f"Runtime exited with error: exit status {status}" if status else "Runtime exited without providing a reason"
    )
    return FunctionError(type="Runtime.ExitError", message=message, exception=raised)


def timeout_error(seconds: float) -> FunctionError:
    """The error of a function that ran longer than it may."""
    return FunctionError(type="Sandbox.Timedout", message=f"Task timed out after {seconds:.2f} seconds")


def _text(raised: BaseException) -> str:
    """An exception's own text, or why it has none."""
    try:
        return str(raised)
    except Exception as failure:  # noqa: BLE001 - the text is the handler's code too
        return f"<its text raised {type(failure).__name__}>"
