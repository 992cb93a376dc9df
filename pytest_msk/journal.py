"""Journal: what a mapping did, as frozen events in order.

A mapping may handle a million records in one test, so an event is kept as one short line of JSON, with ranges of
offsets in place of records, and made into an object when it is read. Lines are compressed in blocks: what filters leave
of a partition are many short ranges, and each event that names them names the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, overload
from zlib import compress, decompress

import orjson

from ._repr import short_repr

if TYPE_CHECKING:
    from .deliveries import Delivery

__all__ = [
    "EVENT_KINDS",
    "Assigned",
    "Attempt",
    "BatchClosed",
    "CloseReason",
    "CommitFailed",
    "Committed",
    "Condition",
    "DestinationFailed",
    "Dropped",
    "Event",
    "Expired",
    "FaultInjected",
    "Filtered",
    "Journal",
    "NotInvoked",
    "Offsets",
    "Place",
    "PollFailed",
    "Polled",
    "PollersScaled",
    "PositionReset",
    "Positions",
    "Redelivered",
    "Revoked",
    "ScalingReason",
    "SentToDestination",
    "Split",
    "State",
    "StateChanged",
    "Unfiltered",
    "offset_rows",
    "offset_runs",
    "rows_to_offsets",
    "text_for_json",
]

#: Per partition the offsets of some of its records, as ascending ranges.
Offsets: TypeAlias = "Mapping[int, tuple[range, ...]]"
#: Per partition one offset: a position, or the next offset to be read.
Positions: TypeAlias = "Mapping[int, int]"
#: A place in a journal, between two events: a block of lines, and bytes of it.
Place: TypeAlias = "tuple[int, int]"
#: Why a batch was closed (spec 3.1): enough records, the window's end, or the payload limit.
CloseReason = Literal["size", "window", "payload"]
#: Why records were given up, as an on-failure destination is told (spec 4.6); a Kafka topic is told `RetriesExhausted`
#: in place of the first one (spec 4.7).
Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded", "MaximumPayloadSizeExceeded"]
#: Why a mapping has as many event pollers as it has (spec 7.1, 7.2).
ScalingReason = Literal["start", "bounds", "throttled", "lag", "idle", "steady"]
#: The states of a mapping (spec 2.5).
State = Literal["Creating", "Enabling", "Enabled", "Disabling", "Disabled", "Updating", "Deleting", "Deleted"]


def offset_runs(offsets: Sequence[int]) -> tuple[range, ...]:
    """Ascending offsets as the fewest ranges."""
    if not offsets:
        return ()
    if offsets[-1] - offsets[0] == len(offsets) - 1:
        return (range(offsets[0], offsets[-1] + 1),)
    breaks = [i for i in range(1, len(offsets)) if offsets[i] != offsets[i - 1] + 1]
    starts, ends = [0, *breaks], [*breaks, len(offsets)]
    return tuple(range(offsets[a], offsets[b - 1] + 1) for a, b in zip(starts, ends, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Event:
    """Something that happened.

    Args:
        time_ms: when, by the mapping's clock, epoch milliseconds.
    """

    time_ms: int

    __repr__ = short_repr


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class StateChanged(Event):
    """The mapping went into another state (spec 2.5).

    Args:
        state: the state.
        reason: AWS's `StateTransitionReason`.
    """

    state: State
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Assigned(Event):
    """The consumer group gave the mapping these partitions, which it reads from these offsets on."""

    positions: Positions


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Revoked(Event):
    """The consumer group took partitions away; what was not committed is delivered again by their next owner."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class PositionReset(Event):
    """An offset was out of range, so the starting position was used again (spec 5.5)."""

    partition: int
    offset: int
    position: int


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Polled(Event):
    """Records were read that the filters let through."""

    records: Offsets


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Filtered(Event):
    """Records were read that no filter matched: never delivered, but committed (spec 5.2)."""

    records: Offsets


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Unfiltered(Event):
    """Of the records that the last poll let through, those that match no filter: a filter for values of another format
    let them pass (spec 6.3)."""

    records: Offsets


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class BatchClosed(Event):
    """A batch was complete and went to the function.

    Args:
        batch: its number in this mapping, from 1.
        reason: why it was closed.
        payload_size: bytes of the event.
        records: what it holds, partitions in the event's order.
    """

    batch: int
    reason: CloseReason
    payload_size: int
    records: Offsets


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Attempt(Event):
    """The function was called with a batch, or with what is left of it.

    Args:
        time_ms: when the call ended.
        batch: the batch's number.
        attempt: 1 for the first call with these records; a half of a split batch counts on.
        request_id: what the function saw as `context.aws_request_id`.
        error: `type: message` of a function error, `None` if the function returned.
        log: what the function printed and logged, its last 4,096 bytes.
        records: what it was called with, `None` for the whole batch.
        item_failures: what the response left undone: the records that it reports as failed, and with `strict_order`
            those behind them (spec 4.5).
        invalid_response: why the response was invalid, so that all is tried again; `None` if it was not.
    """

    batch: int
    attempt: int
    request_id: str
    error: str | None
    log: str = field(default="", repr=False)
    records: Offsets | None = None
    item_failures: Offsets = field(default_factory=dict)
    invalid_response: str | None = None

    @property
    def failed(self) -> bool:
        """Whether all that the function was called with is to be tried again, or given up."""
        return self.error is not None or self.invalid_response is not None


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class NotInvoked(Event):
    """The function was to be called with a batch and was not: throttled, or a service error (spec 4.1).

    Args:
        batch: the batch's number.
        error: `code: message` of the service.
    """

    batch: int
    error: str


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Split(Event):
    """A batch that had failed was cut in two; the left half is finished before the right one is begun (spec 4.4).

    Args:
        batch: the batch's number.
        left: the records of one half.
        right: the records of the other.
    """

    batch: int
    left: Offsets
    right: Offsets


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Dropped(Event):
    """Records were given up and lost: the mapping has no on-failure destination (spec 4.2).

    Args:
        batch: the batch's number.
        condition: why.
        records: which.
    """

    batch: int
    condition: Condition
    records: Offsets


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class SentToDestination(Event):
    """Records were given up, and the on-failure destination was told of them (spec 4.6).

    Args:
        batch: the batch's number.
        condition: why.
        destination: its name, such as its ARN.
        records: which.
    """

    batch: int
    condition: Condition
    destination: str
    records: Offsets


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DestinationFailed(Event):
    """Records were given up, and the on-failure destination could not be told of them: they are lost (spec 4.6).

    Args:
        batch: the batch's number.
        condition: why they were given up.
        destination: its name, such as its ARN.
        records: which.
        error: why the destination did not take them.
    """

    batch: int
    condition: Condition
    destination: str
    records: Offsets
    error: str


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Expired(Event):
    """Offsets that retention removed before the mapping was done with them; AWS does not count them (spec 5.14)."""

    records: Offsets


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Committed(Event):
    """The group's offsets were committed: per partition the next offset to be read."""

    positions: Positions


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class CommitFailed(Event):
    """The broker refused a commit because the group had rebalanced, or did not get it: unless a later one passes them,
    the records will be delivered again."""

    positions: Positions
    error: str


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Redelivered(Event):
    """Records were delivered once more on the test's demand, to see whether that changes anything.

    Args:
        way: how: `replay`, `split`, `mix` or `crash`.
        records: which, partitions in the event's order.
        request_id: what the function saw as `context.aws_request_id`.
        error: `type: message` of a function error, `None` for success.
    """

    way: str
    records: Offsets
    request_id: str
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class PollersScaled(Event):
    """From here on the mapping has so many event pollers, each a member of the group (spec 7.1, 7.2).

    Args:
        pollers: how many there are.
        reason: why.
        lag: how many offsets were not committed when that was decided.
    """

    pollers: int
    reason: ScalingReason
    lag: int


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class PollFailed(Event):
    """The broker could not be read from, or did not take a commit.

    Args:
        error: what went wrong.
        result: what AWS shows as `LastProcessingResult` (spec 8.4).
    """

    error: str
    result: str


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FaultInjected(Event):
    """A fault that the test had asked for happened.

    Args:
        fault: what it was.
    """

    fault: str


#: Every kind of event; a kind's place is its number in the journal.
EVENT_KINDS: tuple[type[Event], ...] = (
    StateChanged, Assigned, Revoked, PositionReset, Polled, Filtered, BatchClosed, Attempt, Committed, CommitFailed,
    Unfiltered, NotInvoked, Split, Dropped, SentToDestination, DestinationFailed, Expired, PollFailed, FaultInjected,
    PollersScaled, Redelivered,
)  # fmt: skip
_E = TypeVar("_E", bound=Event)


def offset_rows(value: Offsets) -> list[list[int]]:
    """Offsets as JSON keeps them: per partition its number, and how far it is from one edge of a range to the next."""
    rows = []
    for partition, runs in value.items():
        row, last = [partition], 0
        for run in runs:
            row += (run.start - last, len(run))
            last = run.stop
        rows.append(row)
    return rows


def rows_to_offsets(rows: list[list[int]]) -> Offsets:
    """Offsets from what `offset_rows` has made of them."""
    found = {}
    for partition, *steps in rows:
        edges = list(accumulate(steps))
        found[partition] = tuple(map(range, edges[::2], edges[1::2]))
    return found


def text_for_json(value: str) -> str:
    """Text that UTF-8 can hold: a handler's error may quote bytes that were never text."""
    return value if value.isascii() else value.encode(errors="backslashreplace").decode()


def _write_optional(value: str | None) -> str | None:
    return None if value is None else text_for_json(value)


def _write_optional_offsets(value: Offsets | None) -> list[list[int]] | None:
    return None if value is None else offset_rows(value)


def _read_optional_offsets(rows: list[list[int]] | None) -> Offsets | None:
    return None if rows is None else rows_to_offsets(rows)


def _write_positions(value: Positions) -> list[tuple[int, int]]:
    return list(value.items())


#: How a field is kept, by its type; every other type is kept as it is.
_CODECS: dict[str, tuple[Callable[..., object], Callable[..., object]]] = {
    "Offsets": (offset_rows, rows_to_offsets),
    "Offsets | None": (_write_optional_offsets, _read_optional_offsets),
    "Positions": (_write_positions, dict),
    "tuple[int, ...]": (list, tuple),
    "str": (text_for_json, lambda value: value),
    "str | None": (_write_optional, lambda value: value),
}


class _Codec:
    """Writes and reads the events of one kind, all fields but the time."""

    def __init__(self, number: int, kind: type[Event]) -> None:
        self.number, self.kind = number, kind
        # The annotations are text, because this module postpones their evaluation.
        self.fields = [(f.name, _CODECS.get(str(f.type))) for f in fields(kind) if f.name != "time_ms"]

    def write(self, event: Event) -> Iterator[object]:
        for name, codec in self.fields:
            value = getattr(event, name)
            yield codec[0](value) if codec else value

    def read(self, time_ms: int, row: list[object]) -> Event:
        values: dict[str, object] = {
            name: codec[1](v) if codec else v for (name, codec), v in zip(self.fields, row, strict=True)
        }
        return self.kind(time_ms=time_ms, **values)


_BY_NUMBER = [_Codec(number, kind) for number, kind in enumerate(EVENT_KINDS)]
_BY_KIND = {codec.kind: codec for codec in _BY_NUMBER}


#: Bytes of lines that are compressed together.
_BLOCK = 16_384


#: Blocks of compressed lines, and the latest lines.
_Kept: TypeAlias = "tuple[tuple[bytes, ...], bytearray]"


def _lines(blocks: tuple[bytes, ...], latest: bytes) -> Iterator[bytes]:
    for block in blocks:
        yield from decompress(block).splitlines()
    yield from latest.splitlines()


class Journal(Sequence[Event]):
    """A mapping's events in the order in which they happened; reads as a sequence of frozen events.

    Args:
        topic: the topic that the mapping reads.
    """

    def __init__(self, topic: str = "") -> None:
        self.topic = topic
        # One pair, so that another thread reads what fits together.
        self._kept: _Kept = ((), bytearray())
        self._count = 0
        self._start_ms = 0

    def __repr__(self) -> str:
        return f"<Journal of {self._count} events>"

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Journal):
            return self is other or list(self) == list(other)
        return list(self) == list(other) if isinstance(other, list | tuple) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it grows

    def __iter__(self) -> Iterator[Event]:
        blocks, latest = self._kept
        return map(self._read, _lines(blocks, bytes(latest)))

    def __reversed__(self) -> Iterator[Event]:
        blocks, latest = self._kept
        for text in chain((bytes(latest),), map(decompress, reversed(blocks))):
            yield from map(self._read, reversed(text.splitlines()))

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        blocks, latest = self._kept
        found = list(_lines(blocks, bytes(latest)))[index]
        return self._read(found) if isinstance(found, bytes) else tuple(map(self._read, found))

    def of(self, kind: type[_E]) -> tuple[_E, ...]:
        """All events of one kind, in order."""
        return tuple(event for event in self if isinstance(event, kind))

    def last(self, kind: type[_E]) -> _E | None:
        """The latest event of one kind; `None` when there is none."""
        return next((event for event in reversed(self) if isinstance(event, kind)), None)

    @property
    def invocations(self) -> tuple[Delivery, ...]:
        """The function's calls in order, each with its records, its outcome and what it printed."""
        from .deliveries import Delivery, follow

        return tuple(step for step in follow(self) if isinstance(step, Delivery))

    def deliveries(self, topic: object = None, partition: int | None = None) -> tuple[Delivery, ...]:
        """The calls that had records of a partition, each with these records alone.

        Args:
            topic: the topic, a `Topic` or its name; this journal's by default.
            partition: the partition's number; all of them by default.

        Raises:
            ValueError: the journal is of another topic.
        """
        if topic is not None and str(topic) != self.topic:
            raise ValueError(f"This is the journal of {self.topic!r}, and says nothing of {str(topic)!r}.")
        if partition is None:
            return self.invocations
        return tuple(call.only(partition) for call in self.invocations if partition in call.records)

    @property
    def commits(self) -> tuple[Committed, ...]:
        """The commits that the broker took, in order."""
        return self.of(Committed)

    @property
    def batches(self) -> tuple[BatchClosed, ...]:
        """The batches in order, each with its close reason, its size and its records."""
        return self.of(BatchClosed)

    def to_json_lines(self) -> str:
        """The events as JSON, one a line: `event` is its kind, ranges of offsets are [first, last]."""
        from .export import to_json_lines

        return to_json_lines(self)

    @classmethod
    def from_json_lines(cls, text: str) -> Journal:
        """The journal that `to_json_lines` wrote.

        Raises:
            ValueError: a line is no event; the text says which and why.
        """
        from .export import from_json_lines

        return from_json_lines(text)

    def append(self, event: Event) -> None:
        """Write an event down."""
        codec = _BY_KIND[type(event)]
        if not self._count:
            self._start_ms = event.time_ms
        row = (codec.number, event.time_ms - self._start_ms, *codec.write(event))
        blocks, latest = self._kept
        latest += orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)  # whole lines: another thread may be reading
        if len(latest) > _BLOCK:
            self._kept = ((*blocks, compress(bytes(latest), 1)), bytearray())
        self._count += 1

    def since(self, place: Place = (0, 0)) -> tuple[tuple[Event, ...], Place]:
        """The events behind a place, and the place behind these: whoever follows the journal reads each event once.

        Args:
            place: what the last call returned; the beginning by default.
        """
        block, start = place
        blocks, latest = self._kept
        texts = [*map(decompress, blocks[block:]), bytes(latest)]
        lines = b"".join(texts)[start:].splitlines()
        return tuple(map(self._read, lines)), (len(blocks), len(texts[-1]))

    @property
    def nbytes(self) -> int:
        """Bytes that the events take in memory."""
        blocks, latest = self._kept
        return sum(map(sys.getsizeof, blocks)) + sys.getsizeof(latest)

    def _read(self, line: bytes) -> Event:
        number, time_ms, *row = orjson.loads(line)
        event: Event = _BY_NUMBER[number].read(self._start_ms + time_ms, row)
        return event
