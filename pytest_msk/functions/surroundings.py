"""Surroundings: what a function finds in the process while it runs: environment variables, modules, and its log.

Variables and modules belong to the whole process, so invocations that want different ones wait for each other; those
that want the same run side by side, unless one that wants others waits. A function that is called from inside another
one's invocation does not wait: it gets its own on top.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import ModuleType, TracebackType
from typing import Generic, TypeAlias, TypeVar

from ..clock import Clock
from .log import Capture, Log, current_log
from .modules import Modules

__all__ = ["Surroundings", "Wanted"]

V = TypeVar("V")
#: Environment variables and modules.
Wanted: TypeAlias = "tuple[Mapping[str, str], Modules]"


class Surroundings(Log):
    """A context manager around one call: notes what is written, sets variables and modules, puts back what was there.

    Args:
        request_id: the call's id.
        clock: gives the log's lines their time.
        wanted: environment variables, and what stands in `sys.modules`; `None` for neither.
    """

    def __init__(self, request_id: str, clock: Clock, wanted: Wanted | None) -> None:
        super().__init__(request_id, clock)
        self.wanted = wanted
        self._on_top: _Changes | None = None

    def __enter__(self) -> None:
        self._outermost = current_log.get() is None
        if self._outermost:
            _gate.enter(self.wanted)
        elif self.wanted is not None:
            self._on_top = _Changes(self.wanted)
        self._token = current_log.set(self)  # not before: Ctrl-C may end the wait

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._outermost:
            _gate.leave()
        elif self._on_top is not None:
            self._on_top.undo()
        current_log.reset(self._token)


class _Gate:
    """Lets in at once only those who want the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._waiting = 0
        self._users = 0
        self._wanted: Wanted | None = None
        self._changes: _Changes | None = None
        self._capture = Capture()

    def enter(self, wanted: Wanted | None) -> None:
        with self._lock:
            # Nobody overtakes one who waits: two functions that are called all the time would let no third one in.
            while self._users and (self._waiting or wanted != self._wanted):
                self._waiting += 1
                try:
                    self._left.wait()
                finally:
                    self._waiting -= 1
            if not self._users:
                self._wanted = wanted
                if wanted is not None:
                    self._changes = _Changes(wanted)
                self._capture.begin()
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._capture.end()
                if self._changes is not None:
                    self._changes.undo()
                    self._changes = None
                self._left.notify_all()


class _Changes:
    """What was set, and how it was before."""

    def __init__(self, wanted: Wanted) -> None:
        variables, modules = wanted
        self._variables = _Replaced(os.environ, variables)
        self._modules: _Replaced[ModuleType] = _Replaced(sys.modules, modules)

    def undo(self) -> None:
        self._modules.undo()
        self._variables.undo()


class _Replaced(Generic[V]):
    """Entries of a mapping that others took the place of."""

    def __init__(self, target: MutableMapping[str, V], new: Mapping[str, V]) -> None:
        self._target = target
        self._before = {name: target.get(name) for name in new}
        target.update(new)

    def undo(self) -> None:
        for name, before in self._before.items():
            if before is None:
                self._target.pop(name, None)
            else:
                self._target[name] = before


_gate = _Gate()
