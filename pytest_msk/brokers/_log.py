"""The log of a topic on real Kafka, read to its end: only its records say at which offsets they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from ..clock import Deadline
from ..errors import BrokerError
from . import Watermarks
from .admin import Admin

if TYPE_CHECKING:
    from confluent_kafka import Message

__all__ = ["read_offsets"]

# The group that reads a log without joining or committing: the broker never hears its name.
_LOG_READER = "pytest-msk-log-reader"


def read_offsets(admin: Admin, name: str, marks: Mapping[int, Watermarks]) -> dict[int, tuple[range, ...]]:
    """Per partition the offsets at which a topic's log holds a record, ascending.

    Args:
        admin: asks the cluster that has the topic.
        name: the topic's name.
        marks: where the log of each partition begins and ends; it is read between the two.

    Raises:
        BrokerError: the broker refused, or was silent for longer than one question may take.
    """
    from confluent_kafka import TopicPartition

    asked = f"Reading the log of topic {name!r}"
    found: dict[int, list[range]] = {partition: [] for partition in marks}
    unread = {partition: mark.high for partition, mark in marks.items() if mark.low < mark.high}
    consumer = admin.clients.consumer(
        _LOG_READER, enable_partition_eof=True, isolation_level="read_uncommitted", auto_offset_reset="error"
    )
    try:
        consumer.assign([TopicPartition(name, partition, marks[partition].low) for partition in unread])
        deadline = Deadline(admin.timeout)
        while unread:
            messages = consumer.consume(10_000, 0) or consumer.consume(1, 0.1)
            if messages:
                deadline = Deadline(admin.timeout)  # of silence: a large log may take its time
            elif deadline.passed:
                raise BrokerError(
                    f"{asked} ended: {admin.clients.bootstrap_servers} sent nothing for {admin.timeout:g} s."
                )
            for partition, offsets in _runs([message for message in messages if message.error() is None]):
                _extend(found[partition], offsets, marks[partition].high)
                if offsets[-1] + 1 >= marks[partition].high:
                    unread.pop(partition, None)
            for message in messages:
                error = message.error()
                if error is None:
                    continue
                if error.code() != error._PARTITION_EOF:
                    raise admin.refused(asked, error)
                # The end also stands for the markers and gaps before it, which no record shows.
                unread.pop(message.partition() or 0, None)
    finally:
        consumer.close()
    return {partition: tuple(ranges) for partition, ranges in found.items()}


def _runs(messages: list[Message]) -> Iterator[tuple[int, list[int]]]:
    """The partition and offsets of each run of records that come from one partition."""
    offsets = [message.offset() or 0 for message in messages]
    at = 0
    for partition, run in groupby([message.partition() or 0 for message in messages]):
        end = at + len(list(run))
        yield partition, offsets[at:end]
        at = end


def _extend(ranges: list[range], offsets: list[int], high: int) -> None:
    """Add ascending offsets below `high` to ranges, in one step where there is no gap."""
    if offsets[-1] >= high:
        offsets = [offset for offset in offsets if offset < high]
    if offsets and offsets[-1] - offsets[0] + 1 == len(offsets):
        new = [range(offsets[0], offsets[-1] + 1)]
    else:
        new = [range(offset, offset + 1) for offset in offsets]
    for piece in new:
        if ranges and ranges[-1].stop == piece.start:
            ranges[-1] = range(ranges[-1].start, piece.stop)
        else:
            ranges.append(piece)
