"""Batches: whether they keep to their limits (spec 3.1). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..journal import BatchClosed
from .anomaly import Anomaly, place
from .history import History

__all__ = ["batch_anomalies"]


def batch_anomalies(history: History) -> Iterator[Anomaly]:
    """Batches with more records, or more bytes, than they may have."""
    for event in history.events:
        if isinstance(event, BatchClosed):
            count = sum(len(run) for runs in event.records.values() for run in runs)
            if history.batch_size is not None and count > history.batch_size:
                yield _oversized(history, event, f"has {count:,} records, but the batch size is {history.batch_size:,}")
            if event.payload_size > history.max_payload:
                yield _oversized(
                    history,
                    event,
                    f"makes an event of {event.payload_size:,} bytes, but one has at most {history.max_payload:,}",
                )


def _oversized(history: History, batch: BatchClosed, what: str) -> Anomaly:
    partition, runs = next(iter(batch.records.items()))
    span = range(runs[0].start, runs[-1].stop)
    others = len(batch.records) - 1
    behind = f" and {others} more partition{'s' * (others > 1)}" if others else ""
    text = f"batch {batch.batch} ({place(history.topic, partition, span)}{behind}) {what}."
    return history.anomaly("oversized-batch", partition, span, text, batch=batch.batch)
