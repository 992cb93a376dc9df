"""The broker's thread: sockets, timers, and calls from other threads.

Everything that the broker knows is guarded by one lock. The thread holds it while it acts and not while it waits, so a
test's thread may look at the state, and change it, at any moment.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from ...clock import monotonic_ns

__all__ = ["READ", "WRITE", "Loop", "LoopTimer"]

Ready: TypeAlias = Callable[[int], None]
_Result = TypeVar("_Result")
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class LoopTimer:
    """A call that is due; see `Loop.call_later`."""

    __slots__ = ("_call", "_cancelled")

    def __init__(self, call: Callable[[], None], cancelled: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call
        self._cancelled = cancelled

    @property
    def waits(self) -> bool:
        """Whether it is still to happen."""
        return self._call is not None

    def cancel(self) -> None:
        """Let it not happen; twice, or too late, is no error."""
        if self._call is not None:
            self._call = None
            self._cancelled()

    def fire(self) -> None:
        """Call it, once."""
        call, self._call = self._call, None
        if call is not None:
            call()


class Loop:
    """A selector loop in a daemon thread.

    Args:
        failed: told of each exception that a callback let through; the loop goes on.
    """

    def __init__(self, name: str, failed: Callable[[BaseException], None]) -> None:
        self.lock = threading.RLock()
        self._failed = failed
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[int, int, LoopTimer]] = []
        self._dead_timers = 0
        self._order = itertools.count()
        self._soon: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._wake_out, self._wake_in = socket.socketpair()
        for end in (self._wake_out, self._wake_in):
            end.setblocking(False)
        self._selector.register(self._wake_in, READ, self._woken)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; sockets may still be unwatched before `discard`."""
        self._stopping = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()

    def discard(self) -> None:
        """Close the loop's own descriptors, without the thread: in a forked child there is none."""
        self._selector.close()
        self._wake_out.close()
        self._wake_in.close()

    @property
    def in_thread(self) -> bool:
        """Whether this is the loop's own thread."""
        return threading.get_ident() == self._thread.ident

    # --- time -----------------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Monotonic real time, milliseconds."""
        return monotonic_ns() // 1_000_000

    def call_later(self, delay_ms: int, fn: Callable[[], None]) -> LoopTimer:
        """Call `fn` on the loop's thread, `delay_ms` from now, with the lock held. The lock must be held."""
        timer = LoopTimer(fn, self._timer_cancelled)
        due = self.now_ms() + max(delay_ms, 0)
        heapq.heappush(self._timers, (due, next(self._order), timer))
        if self._timers[0][2] is timer and not self.in_thread:
            self._wake()
        return timer

    def _timer_cancelled(self) -> None:
        # A session timer is set anew by each heartbeat and commit: those that were cancelled must not pile up.
        self._dead_timers += 1
        if self._dead_timers > max(len(self._timers) // 2, 100):
            self._timers = [each for each in self._timers if each[2].waits]
            heapq.heapify(self._timers)
            self._dead_timers = 0

    def call_soon(self, fn: Callable[[], None]) -> None:
        """Call `fn` on the loop's thread with the lock held; may be called from any thread."""
        self._soon.append(fn)
        if not self.in_thread:
            self._wake()

    def call(self, fn: Callable[[], _Result]) -> _Result:
        """Call `fn` on the loop's thread with the lock held, and return its result; the caller must not hold it."""
        if self.in_thread:
            return fn()
        done = threading.Event()
        results: list[_Result] = []
        failures: list[BaseException] = []

        def run() -> None:
            try:
                results.append(fn())
            except BaseException as failure:  # noqa: BLE001 - the caller gets it
                failures.append(failure)
            finally:
                done.set()

        self.call_soon(run)
        while not done.wait(1):
            if not self._thread.is_alive():
                raise RuntimeError(f"{self._thread.name} has ended.")
        if failures:
            raise failures[0]
        return results[0]

    # --- sockets --------------------------------------------------------------------------------------------------

    def watch(self, sock: socket.socket, events: int, ready: Ready) -> None:
        """Call `ready(events)` when the socket can be read or written; again to change that, 0 to end it."""
        try:
            watched = self._selector.get_key(sock)
        except KeyError:
            if events:
                self._selector.register(sock, events, ready)
            return
        if not events:
            self._selector.unregister(sock)
        elif watched.events != events:
            self._selector.modify(sock, events, ready)

    def _wake(self) -> None:
        try:
            self._wake_out.send(b"\0")
        except BlockingIOError:
            pass  # the pipe is full of wake-ups already
        except OSError:
            if not self._stopping:
                raise

    def _woken(self, _events: int) -> None:
        try:
            while self._wake_in.recv(4096):
                pass
        except BlockingIOError:
            return

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            events = self._selector.select(self._timeout())
            with self.lock:
                for key, mask in events:
                    self._guard(key.data, mask)
                while self._soon:
                    self._guard(self._soon.popleft())
                while self._timers and self._timers[0][0] <= self.now_ms():
                    self._guard(heapq.heappop(self._timers)[2].fire)

    def _timeout(self) -> float | None:
        if self._soon:
            return 0
        return max(self._timers[0][0] - self.now_ms(), 0) / 1000 if self._timers else None

    def _guard(self, call: Callable[..., None], *arguments: int) -> None:
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 - told to the broker, which raises it when it is closed
            self._failed(error)
