"""TimeLimit: calls that end at a limit of real time, whether they like it or not.

A call runs on a thread of its own. At the limit an exception is raised in that thread; code in Python ends with it. A
thread that waits in the operating system or in an extension hears nothing of it: it is left behind, and that fails the
test. A thread that a debugger holds is waited for, and does not time out.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import MskError

if TYPE_CHECKING:
    from typing_extensions import Self

    from .invocation import Invocation

__all__ = ["FunctionStuck", "LimitReached", "TimeLimit"]

T = TypeVar("T")

#: How long a thread may take to end when it has been interrupted, seconds.
_GRACE = 1.0
#: How often a thread that a debugger holds is looked at, seconds.
_TICK = 0.2
_DEBUGGERS = frozenset({"bdb", "pdb", "ipdb", "pudb", "pydevd", "debugpy"})


class LimitReached(Exception):
    """A call was ended at its limit."""


class FunctionStuck(MskError):
    """A function did not end at its time limit, and Python cannot interrupt it; its thread was left behind.

    Attributes:
        invocation: the invocation as it was recorded, timed out; `None` until it is.
    """

    invocation: Invocation | None = None


class _Interrupted(BaseException):
    """Raised in a thread that is to end."""


class TimeLimit:
    """Runs calls, one after the other, on a thread of its own.

    Args:
        name: whose calls they are; it names the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._worker: _Worker | None = None
        #: Whether a debugger held the last call beyond its limit.
        self.held = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def in_thread(self) -> bool:
        """Whether this is the thread on which the calls run."""
        return self._worker is not None and threading.current_thread() is self._worker.thread

    def run(self, call: Callable[[], T], seconds: float) -> T:
        """Call, and return or raise what the call does.

        Args:
            call: what is called, in a copy of this context.
            seconds: how long it may take.

        Raises:
            LimitReached: it was interrupted at the limit.
            FunctionStuck: it could not be.
        """
        __tracebackhide__ = True
        worker = self._worker = self._worker or _Worker(self._name)
        task = _Task(call)
        self.held = False
        worker.tasks.put(task.run)
        try:
            while not task.wait(seconds):
                if not worker.held_by_a_debugger():
                    break
                self.held = True
                while worker.held_by_a_debugger() and not task.wait(_TICK):
                    pass  # and when it lets go, the call has its whole time again
            else:
                return task.value()
        except BaseException:  # the call's own error, or Ctrl-C on the thread that waits
            if not task.ended:
                self._worker = None
                worker.interrupt()
            raise
        self._worker = None  # the exception may reach it at any time: it is not used again
        worker.interrupt()
        worker.thread.join(_GRACE)
        if worker.thread.is_alive():
            raise FunctionStuck(
                f"{self._name} did not end at its time limit of {seconds:g} s, and Python cannot interrupt what it "
                f"waits for{worker.location()}. Its thread {worker.thread.name!r} was left behind. Let the function "
                "wait for less, give it another timeout, or step the mapping, where only the clock's time counts."
            )
        raise LimitReached

    def close(self) -> None:
        """End the thread; a call that is going on keeps it until it has ended."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.tasks.put(None)
            worker.thread.join(_GRACE)


class _Task(Generic[T]):
    """One call and how it ended."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.ended = False
        self._running = threading.Lock()  # an Event takes half as long again, and every call in the background waits
        self._running.acquire()
        self._call = call
        self._context = copy_context()
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        __tracebackhide__ = True
        try:
            self._results.append(self._context.run(self._call))
        except _Interrupted:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was asked for
            self._error = error
        self.ended = True
        self._running.release()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within this time."""
        return self.ended or self._running.acquire(timeout=seconds)

    def value(self) -> T:
        __tracebackhide__ = True
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._results[0]


class _Worker:
    """A thread that runs tasks until it gets none, or is interrupted."""

    def __init__(self, name: str) -> None:
        self.tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=f"pytest_msk {name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            while (run := self.tasks.get()) is not None:
                run()
                del run  # what a call had in its hands is not kept until the next one
        except _Interrupted:
            pass

    def interrupt(self) -> None:
        import ctypes

        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self.thread.ident or 0), ctypes.py_object(_Interrupted)
        )
        self.tasks.put(None)  # it may have ended its call just now

    def frame(self) -> FrameType | None:
        return sys._current_frames().get(self.thread.ident or 0)

    def held_by_a_debugger(self) -> bool:
        frame = self.frame()
        while frame is not None:
            if str(frame.f_globals.get("__name__")).partition(".")[0] in _DEBUGGERS:
                return True
            frame = frame.f_back
        return False

    def location(self) -> str:
        frame = self.frame()
        return "" if frame is None else f" at {frame.f_code.co_filename}:{frame.f_lineno}"
