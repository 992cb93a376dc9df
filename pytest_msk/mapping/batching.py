"""Batching: which records go into one event, and when it is complete (spec 3). Pure: no I/O and no clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count, islice

from ..events import MAX_PAYLOAD, Envelope, partition_key
from ..journal import CloseReason, Offsets, offset_runs

__all__ = ["Batch", "Batcher", "Window"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A complete batch.

    Args:
        number: counted from 1 in its mapping.
        reason: why it was closed.
        count: how many records it holds.
        records: their offsets, partitions in the event's order.
        payload: the event as compact JSON.
        closed_ms: when it was closed, epoch milliseconds.
        oversized: it is one record whose event exceeds the limit, so that it cannot be sent (spec 3.4).
        texts: per partition its records as they stand in the event, in the order of `records`.
        timestamps: the same of their timestamps, epoch milliseconds; empty if the batcher was not given any.
        topic: the records' topic.
        envelope: the rest of the event.
    """

    number: int
    reason: CloseReason
    count: int
    records: Offsets
    payload: bytes = field(repr=False)
    closed_ms: int
    oversized: bool = field(default=False, repr=False)
    texts: Mapping[int, Sequence[bytes]] = field(default_factory=dict, repr=False)
    timestamps: Mapping[int, Sequence[int]] = field(default_factory=dict, repr=False)
    topic: str = field(default="", repr=False)
    envelope: Envelope = field(default=Envelope(bootstrap_servers=""), repr=False)

    def payload_of(self, records: Offsets) -> bytes:
        """The event of some of its records, compact JSON; each of their runs lies within one of the batch's."""
        groups: dict[str, list[bytes]] = {}
        for partition, runs in records.items():
            whole, texts = self.records[partition], self.texts[partition]
            starts = [run.start for run in whole]
            before = list(accumulate(map(len, whole), initial=0))
            found = groups.setdefault(partition_key(self.topic, partition), [])
            for run in runs:
                index = bisect_right(starts, run.start) - 1
                first = before[index] + run.start - starts[index]
                found += texts[first : first + len(run)]
        return self.envelope.payload(groups)


class Batcher:
    """Collects records until a batch is complete, one batch after the other.

    Args:
        topic: the records' topic.
        envelope: the rest of the event, which counts against the limit too.
        batch_size: records of a batch at most.
        max_payload: bytes of an event at most.
        numbers: the batches' numbers, shared by all batchers of a mapping.
    """

    def __init__(
        self,
        topic: str,
        envelope: Envelope,
        batch_size: int,
        *,
        max_payload: int = MAX_PAYLOAD,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self._topic = topic
        self._envelope = envelope
        self._batch_size = batch_size
        self._max_payload = max_payload
        self._numbers = count(1) if numbers is None else numbers
        self.clear()

    def clear(self) -> None:
        """Forget the records of the open batch."""
        self._texts: dict[int, list[bytes]] = {}
        self._offsets: dict[int, list[int]] = {}
        self._timestamps: dict[int, list[int]] = {}
        self._size = self._envelope.size
        self._full = self._oversized = False
        self.count = 0

    @property
    def room(self) -> int:
        """How many more records the open batch takes by their number."""
        return 0 if self._full else self._batch_size - self.count

    def add(
        self, partition: int, offsets: Sequence[int], texts: Iterable[bytes], timestamps: Sequence[int] = ()
    ) -> int:
        """Add records of one partition until one does not fit, by number or by bytes: it belongs to the next batch.

        A record that is too large for any event gets a batch of its own.

        Args:
            partition: their partition's number.
            offsets: their offsets, ascending, above those of the partition that are in the batch.
            texts: the records as they stand in the event, compact JSON; not read any further than they fit.
            timestamps: epoch milliseconds, where records have a highest age.

        Returns:
            How many records were added.
        """
        added: list[bytes] = []
        # Each record costs its text and a comma, but for the partition's first one, which has none in front.
        size = self._size if partition in self._texts else self._size + self._opening(partition) - len(",")
        for text in islice(texts, self.room):
            larger = size + len(text) + 1
            if larger > self._max_payload:
                self._full = True
                if self.count or added:
                    break
                self._oversized = True
            added.append(text)
            size = larger
            if self._oversized:
                break
        if added:
            self._texts.setdefault(partition, []).extend(added)
            self._offsets.setdefault(partition, []).extend(offsets[: len(added)])
            if timestamps:
                self._timestamps.setdefault(partition, []).extend(timestamps[: len(added)])
            self._size = size
            self.count += len(added)
        return len(added)

    def _opening(self, partition: int) -> int:
        """Bytes that a partition's first record costs: the quoted name, colon and brackets, and a comma before it."""
        return len(partition_key(self._topic, partition)) + len('"":[]') + (1 if self._texts else 0)

    def close(self, now_ms: int) -> Batch:
        """The batch of the records that were added; a new one is open afterwards."""
        reason: CloseReason = "payload" if self._full else "size" if self.count == self._batch_size else "window"
        batch = Batch(
            number=next(self._numbers),
            reason=reason,
            count=self.count,
            records={partition: offset_runs(offsets) for partition, offsets in self._offsets.items()},
            payload=self._envelope.payload({partition_key(self._topic, p): t for p, t in self._texts.items()}),
            closed_ms=now_ms,
            oversized=self._oversized,
            texts=self._texts,
            timestamps=self._timestamps,
            topic=self._topic,
            envelope=self._envelope,
        )
        self.clear()
        return batch


class Window:
    """The batching window (spec 3.2): it begins when the function has ended, or in provisioned mode when the batch is
    completed, and an empty one is followed by the next.

    Args:
        length_ms: milliseconds; with 0 a batch never waits.
        start_ms: when the first window begins, epoch milliseconds.
    """

    def __init__(self, length_ms: int, start_ms: int) -> None:
        self._length = length_ms
        self._start = start_ms

    def restart(self, now_ms: int) -> None:
        """Begin the next window."""
        self._start = now_ms

    def roll(self, now_ms: int) -> None:
        """Pass over the windows that ended empty before `now_ms`."""
        if self._length and now_ms >= self._start + self._length:
            self._start = now_ms - (now_ms - self._start) % self._length

    @property
    def end_ms(self) -> int:
        """When the open window ends, epoch milliseconds."""
        return self._start + self._length
