"""Background: a thread that drives a pipeline in real time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..clock import Deadline, VirtualClock
from ..errors import MskError
from ..functions import TimeLimit
from .event_pollers import EventPollers

__all__ = ["Background"]

#: How long the thread waits for a record before it looks at its other duties, seconds.
_TICK = 0.02
#: Pause after a failed attempt, seconds: without one a function that always fails would keep a core busy.
_BACKOFF = 0.05


class Background:
    """Polls and delivers until it is stopped.

    Args:
        open_pipeline: gives what is driven, which nobody else may use meanwhile; `None` while there is no topic.
        clock: is put on real time.
        name: the function's name.
        failed: is told on the thread what has ended it, before anybody else is.
    """

    def __init__(
        self,
        open_pipeline: Callable[[], EventPollers | None],
        clock: VirtualClock,
        name: str,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._open_pipeline = open_pipeline
        self._failed = failed
        self._limit = TimeLimit(name)
        self._clock = clock
        self._ending = threading.Event()
        self._progress = threading.Condition()
        self._error: BaseException | None = None
        clock.run_real()
        self._thread = threading.Thread(target=self._run, name="pytest_msk mapping", daemon=True)
        self._thread.start()

    @property
    def in_thread(self) -> bool:
        """Whether this is the thread that polls, or the one on which it calls the function."""
        return threading.current_thread() is self._thread or self._limit.in_thread

    def _run(self) -> None:
        pipeline: EventPollers | None = None
        try:
            while not self._ending.is_set():
                pipeline = pipeline or self._open_pipeline()
                if pipeline is None:
                    self._ending.wait(_BACKOFF)
                    continue
                pipeline.limit = self._limit
                event = pipeline.step(wait=self._patience(pipeline))
                if event is not None:
                    with self._progress:
                        self._progress.notify_all()
                if pipeline.failing or pipeline.out_of_reach:
                    self._ending.wait(_BACKOFF)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test: by wait_until, or by stop
            try:
                self._failed(error)
            finally:
                self._error = error
        finally:
            self._limit.close()
            if pipeline is not None:
                pipeline.limit = None
            with self._progress:
                self._progress.notify_all()

    def _patience(self, pipeline: EventPollers) -> float:
        """Seconds to wait for a record: not beyond the next due moment."""
        due = pipeline.due_ms
        return _TICK if due is None else min(_TICK, max(0.0, (due - self._clock.now_ms()) / 1000))

    def wait_until(self, condition: Callable[[], object], timeout: float) -> bool:
        """Wait until the condition holds; false when it did not in time.

        Raises:
            BaseException: what ended the thread.
        """
        deadline = Deadline(timeout)
        while not condition():
            self._raise()
            if deadline.passed:
                return False
            with self._progress:
                self._progress.wait(min(deadline.left, _TICK))
        return True

    def stop(self, timeout: float) -> None:
        """End the thread and take the clock off real time.

        Raises:
            BaseException: what ended the thread, unless it was raised before.
            MskError: the function did not return within the timeout.
        """
        self._ending.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise MskError(f"The mapping's function has not returned within {timeout:g} s of stop() (--msk-timeout).")
        self._clock.stand_still()
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
