"""Log: what a function prints and logs during an invocation, beside what pytest captures of it.

While an invocation is going on, `sys.stdout` and `sys.stderr` pass on all that is written to them, and note what the
invocation's own thread and tasks write; a handler of the root logger notes what they log. capsys, caplog and a debugger
work as ever. What is written to a file descriptor, or by threads that the function starts, is not noted.
"""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar
from typing import TextIO, cast

from ..clock import Clock

__all__ = ["LIMIT", "Capture", "Log", "current_log"]

#: Bytes of an invocation's log that are kept, its last ones: as many as Lambda's own `LogResult` has.
LIMIT = 4096

#: The log of the invocation that is going on in this context, or in the one that it was copied from.
current_log: ContextVar[Log | None] = ContextVar("pytest_msk_log", default=None)


class Log:
    """What one invocation prints and logs.

    Args:
        request_id: stands in the lines of loggers.
        clock: gives them their time.
    """

    def __init__(self, request_id: str, clock: Clock) -> None:
        self.request_id = request_id
        self.clock = clock
        self._pieces: list[str] = []
        self._size = 0

    def write(self, text: str) -> None:
        """Note a piece of text."""
        self._pieces.append(text)
        self._size += len(text)
        if self._size > 4 * LIMIT:
            self._pieces = ["".join(self._pieces)[-LIMIT:]]
            self._size = LIMIT

    def text(self) -> str:
        """The last 4,096 bytes, as text."""
        if not self._pieces:
            return ""
        return "".join(self._pieces).encode(errors="backslashreplace")[-LIMIT:].decode(errors="ignore")


class _Tee:
    """Stands for `sys.stdout` or `sys.stderr`; code that has kept it may go on using it after the invocation."""

    def __init__(self, name: str) -> None:
        self._name = name
        #: What it took the place of.
        self.stream: TextIO = getattr(sys, name)

    def _target(self) -> TextIO:
        stream = getattr(sys, self._name)
        return self.stream if stream is self else cast(TextIO, stream)

    def write(self, text: str) -> int:
        log = current_log.get()
        if log is not None and isinstance(text, str):
            log.write(text)
        return self._target().write(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._target(), name)


class _Handler(logging.Handler):
    """Writes records as Lambda's runtime does: level, time, request id and message."""

    def emit(self, record: logging.LogRecord) -> None:
        log = current_log.get()
        if log is None:
            return
        try:
            seconds, milliseconds = divmod(log.clock.now_ms(), 1000)
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
            message = self.format(record)
        except Exception:  # noqa: BLE001 - a message that does not fit its arguments: logging's own way with it
            self.handleError(record)
        else:
            log.write(f"[{record.levelname}]\t{moment}.{milliseconds:03}Z\t{log.request_id}\t{message}\n")


class Capture:
    """Notes what is written in contexts that have a log, from `begin` to `end`."""

    def __init__(self) -> None:
        self._out, self._err = _Tee("stdout"), _Tee("stderr")
        self._out_stream, self._err_stream = cast(TextIO, self._out), cast(TextIO, self._err)
        self._handler = _Handler()

    def begin(self) -> None:
        """Put streams and handler in their places."""
        if sys.stdout is not self._out_stream:
            self._out.stream, sys.stdout = sys.stdout, self._out_stream
        if sys.stderr is not self._err_stream:
            self._err.stream, sys.stderr = sys.stderr, self._err_stream
        logging.root.handlers.append(self._handler)  # as addHandler does, several times as fast

    def end(self) -> None:
        """Take them out, unless the function or pytest has put others there."""
        if self._handler in logging.root.handlers:
            logging.root.handlers.remove(self._handler)
        if sys.stdout is self._out_stream:
            sys.stdout = self._out.stream
        if sys.stderr is self._err_stream:
            sys.stderr = self._err.stream
