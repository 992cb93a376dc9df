"""Environment: the execution environment of a function that runs in this process.

It is cold until the first call, which imports the handler's module if it is given by name; then it is warm, and what
the module's globals hold stays. A timeout and `sys.exit()` end it, as on Lambda, and so does a request. One with
variables of its own takes no module that was imported before: it may have read others.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType

import orjson

from ..errors import NotSupported
from .context import LambdaContext
from .modules import import_anew
from .runtime import Handler, find_handler, import_handler_module, module_name
from .surroundings import Wanted

__all__ = ["ENDS_THE_ENVIRONMENT", "Environment"]

#: The types of function errors after which Lambda starts a new environment.
ENDS_THE_ENVIRONMENT = frozenset({"Sandbox.Timedout", "Runtime.ExitError"})


class Environment:
    """Calls a handler.

    Args:
        handler: the handler, or its name.
        version: the function's version, which its log streams' names have.
        variables: environment variables that are set meanwhile.
        on_cold_start: called when the environment starts.
    """

    def __init__(
        self,
        handler: Handler | str,
        version: str,
        variables: Mapping[str, str],
        on_cold_start: Callable[[], object] | None,
    ) -> None:
        self._name = handler if isinstance(handler, str) else None
        self._handler = None if isinstance(handler, str) else handler
        self._version = version
        self._module: ModuleType | None = None
        self._anew = bool(variables)
        self._variables = variables
        #: What the handler finds in the process.
        self.wanted: Wanted | None = (variables, {}) if variables else None
        self._on_cold_start = on_cold_start
        self._starting = threading.RLock()
        #: Whether the next call is the first one.
        self.cold = True
        #: Where its log would stand: a date, the version in brackets and an id.
        self.log_stream_name = ""

    @property
    def handler(self) -> Handler | None:
        """The handler; `None` when it is given by name and was not imported yet."""
        return self._handler

    @property
    def module(self) -> ModuleType | None:
        """The module of a handler that is given by name, as this environment has it."""
        return self._module

    def end(self) -> None:
        """Let the next call start it again; modules stay as they are."""
        self.cold = True

    def renew(self) -> None:
        """Let the next call start a new one, with new modules."""
        if self._name is None and self._on_cold_start is None:
            raise NotSupported(
                f"A new environment for {self._handler!r}: the module of a handler that is given as a callable is the "
                "test's own. Give the handler by its name, 'package.module.handler', or say with on_cold_start what "
                "is to be cleared."
            )
        self._anew = True
        self.cold = True

    def start(self, now_ms: int) -> None:
        """Import the handler and call the hook, unless another call has done so meanwhile.

        Args:
            now_ms: the time, epoch milliseconds.

        Raises:
            Fault: there is no such handler.
            BaseException: what the module or the hook raises.
        """
        __tracebackhide__ = True
        with self._starting:
            if not self.cold:
                return
            if self._name is not None:
                self._import(self._name)
            if self._on_cold_start is not None:
                self._on_cold_start()
            day = time.strftime("%Y/%m/%d", time.gmtime(now_ms // 1000))
            self.log_stream_name = f"{day}/[{self._version}]{uuid.uuid4().hex}"
            self._anew = self.cold = False

    def _import(self, name: str) -> None:
        __tracebackhide__ = True
        if self._anew:
            self._module, modules = import_anew(module_name(name), partial(import_handler_module, name))
            self.wanted = (self._variables, modules) if self._variables or modules else None
        elif self._module is None:
            self._module = import_handler_module(name)
        self._handler = find_handler(self._module, name)

    def call(self, payload: bytes, context: LambdaContext) -> object:
        """Call the handler with a fresh event."""
        __tracebackhide__ = True
        assert self._handler is not None
        return self._handler(orjson.loads(payload), context)
