"""Invocations: what a function was called with and what it did, in order.

A function may be called with a million records in one test, so an invocation is kept as one short line of JSON with
ranges of offsets in place of records; it is made into an object, and its records are read from the topic's log, when
somebody asks. The latest calls are kept as they were, with their events and with the exceptions that they ended with,
whose frames hold those events: together no more than a megabyte, or one event that is larger.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, overload

import orjson

from .._repr import short_repr
from ..errors import MskError
from ..events import decode
from ..journal import Offsets, offset_rows, rows_to_offsets, text_for_json
from ..records import Record
from .error import FunctionError
from .runtime import unmarshal

__all__ = ["Delivered", "Invocation", "Invocations", "Reader"]

#: Bytes of the latest calls, which are kept as they were; of which half are written down when there are more.
_KEPT = 2**20
#: What a call counts beside its event, bytes.
_CALL = 4096

#: Reads records back from a topic's log.
Reader: TypeAlias = "Callable[[Offsets], Sequence[Record]]"


class Delivered(NamedTuple):
    """Where the records of an event stand.

    Args:
        offsets: their offsets, partitions in the event's order.
        read: reads them from the topic's log.
    """

    offsets: Offsets
    read: Reader


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Invocation:
    """One call of a function.

    Args:
        request_id: the id that the function saw as `context.aws_request_id`.
        started_ms: when it began, epoch milliseconds by the mapping's clock.
        duration: how long it took by that clock, seconds.
        cold_start: whether it was the first one in its execution environment.
        result: what the function returned, as its JSON reads: this is what a mapping sees of it.
        error: why the call failed, or `None` for success (spec 1.7).
        log: what the function printed and logged, its last 4,096 bytes.
    """

    request_id: str
    started_ms: int = 0
    duration: float = 0.0
    cold_start: bool = False
    result: object = None
    error: FunctionError | None = None
    log: str = field(default="", repr=False)
    _event: bytes | None = field(default=None, repr=False, compare=False)
    _delivered: Delivered | None = field(default=None, repr=False, compare=False)

    __repr__ = short_repr

    @property
    def records(self) -> tuple[Record, ...]:
        """The records that the function was called with, in the event's order.

        Raises:
            MskError: they are not kept any more, neither here nor in the topic's log.
            NotAKafkaEvent: the function was called with something else.
        """
        if self._event is not None:
            return decode(orjson.loads(self._event))
        if self._delivered is not None:
            return tuple(self._delivered.read(self._delivered.offsets))
        raise MskError(
            "The event of this call is not kept any more: a function keeps the latest ones, up to a megabyte, and "
            "reads those that come from a topic from its log."
        )

    @property
    def payload(self) -> bytes:
        """What Lambda answers to its caller: the result or the error as JSON."""
        answer = self.result if self.error is None else self.error.payload(self.request_id)
        return json.dumps(answer, ensure_ascii=False).encode(errors="backslashreplace")


class Invocations(Sequence[Invocation]):
    """A function's calls in the order in which they ended; reads as a sequence of `Invocation`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def __repr__(self) -> str:
        return f"<{len(self)} invocations>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Invocations):
            return self is other or list(self) == list(other)
        return list(self) == list(other) if isinstance(other, list | tuple) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # they grow

    def __len__(self) -> int:
        return self._written + len(self._latest)

    def __iter__(self) -> Iterator[Invocation]:
        return (call if isinstance(call, Invocation) else self._read(call) for call in self._all())

    @overload
    def __getitem__(self, index: int) -> Invocation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Invocation, ...]: ...
    def __getitem__(self, index: int | slice) -> Invocation | tuple[Invocation, ...]:
        found = self._all()[index]
        if isinstance(found, list):
            return tuple(call if isinstance(call, Invocation) else self._read(call) for call in found)
        return found if isinstance(found, Invocation) else self._read(found)

    @property
    def nbytes(self) -> int:
        """Bytes that all but the latest calls take in memory."""
        return sys.getsizeof(self._lines)

    def clear(self) -> None:
        """Forget them: for a function that more than one test uses."""
        with self._lock:
            self._lines = bytearray()
            self._written = 0
            self._readers: dict[Reader | None, int] = {}
            #: The latest calls, and the JSON texts of their results.
            self._latest: deque[tuple[Invocation, str | None]] = deque()
            self._size = 0

    def add(self, call: Invocation, result: str | None) -> None:
        """Append a call.

        Args:
            call: what it was.
            result: the JSON text of its result; `None` for `null`.
        """
        with self._lock:
            self._latest.append((call, result))
            self._size += _size(call)
            if self._size > _KEPT:
                self._write()

    def _write(self) -> None:
        """Write the older half of the latest calls down, all but the last one at most."""
        while self._size > _KEPT // 2 and len(self._latest) > 1:
            call, result = self._latest.popleft()
            self._size -= _size(call)
            offsets, reader = call._delivered or ({}, None)
            error = call.error and (call.error.type, *map(text_for_json, (call.error.message, *call.error.stack_trace)))
            read_by = self._readers.setdefault(reader, len(self._readers))
            row = (call.request_id, call.started_ms, call.duration, call.cold_start, result, error)
            where = (text_for_json(call.log), read_by, offset_rows(offsets))
            self._lines += orjson.dumps(row + where, option=orjson.OPT_APPEND_NEWLINE)
            self._written += 1

    def _all(self) -> list[bytes | Invocation]:
        with self._lock:
            return [*bytes(self._lines).splitlines(), *(call for call, _ in self._latest)]

    def _read(self, line: bytes) -> Invocation:
        request_id, started_ms, duration, cold_start, result, error, log, read_by, rows = orjson.loads(line)
        reader = list(self._readers)[read_by]
        delivered = None if reader is None else Delivered(rows_to_offsets(rows), reader)
        if error:
            error = FunctionError(type=error[0], message=error[1], stack_trace=tuple(error[2:]))
        return Invocation(
            request_id=request_id,
            started_ms=started_ms,
            duration=duration,
            cold_start=cold_start,
            result=unmarshal(result),
            error=error,
            log=log,
            _delivered=delivered,
        )


def _size(call: Invocation) -> int:
    """What one of the latest calls takes, bytes."""
    return len(call._event or b"") + _CALL
