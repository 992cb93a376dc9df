"""Lambda functions: call a handler as Lambda does, here or elsewhere, and record what it did.

Time that a function takes is told by the clock that it is given: on a test's virtual clock a handler is as quick
as the test says, and one that is held by a debugger never times out.
"""

from __future__ import annotations

from .context import LambdaContext
from .error import ErrorPayload, FunctionError
from .faults import InjectedError, fails, fails_for, throttled, times_out
from .function import MAX_MAPPING_TIMEOUT, Function, LambdaFunction
from .invocation import Delivered, Invocation, Invocations
from .limit import FunctionStuck, TimeLimit
from .remote import LambdaClient, ServiceError
from .runtime import Handler

__all__ = [
    "MAX_MAPPING_TIMEOUT",
    "Delivered",
    "ErrorPayload",
    "Function",
    "FunctionError",
    "FunctionStuck",
    "Handler",
    "InjectedError",
    "Invocation",
    "Invocations",
    "LambdaClient",
    "LambdaContext",
    "LambdaFunction",
    "ServiceError",
    "TimeLimit",
    "fails",
    "fails_for",
    "throttled",
    "times_out",
]
