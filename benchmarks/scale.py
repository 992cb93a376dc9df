"""scale: ten thousand, a hundred thousand and a million records through one mapping.

Time: what a record costs must not grow with their number. Journal: its bytes for each batch and each partition in it.
Memory: the most that Python held during a drain of its own, under `tracemalloc`, beyond what it held before (the
embedded broker's log among it) and beyond the journal. The client's own read-ahead is C memory and set by
`queued.min.messages`; it is not in this figure.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from statistics import median

from pytest_msk import EventSourceMapping, Topic
from pytest_msk.journal import BatchClosed
from pytest_msk.sandbox import Sandbox

from .rows import Row, at_most, times_at_most
from .stage import Stage, seconds
from .throughput import produce

__all__ = ["rows"]

_PARTITIONS = 3
_BATCH = 100
#: A round of 1,000 fetched records, a batch of 100 and the broker's answers to fetches: 1 MB each of three partitions.
_MEMORY_MB = 16


def rows(stage: Stage) -> Iterator[Row]:
    """Each count's rows: time, journal, memory."""
    kind = stage.broker.kind
    before: float | None = None
    for total in (10_000, 100_000, 1_000_000)[: stage.count(3, 1)]:
        what = f"{total:,} records, {kind}"
        with stage.sandbox() as sandbox:
            topic = sandbox.topic(partitions=_PARTITIONS)
            produce(stage, topic.name, _PARTITIONS, total)
            times = [_drain(sandbox, topic, total) for _ in range(1 if total > 100_000 else 3)]
            micro = 1e6 * median(took for took, _ in times) / total
            if before is None:
                yield Row(what=what, measured=f"{micro:.2f} us/record")
            else:
                yield times_at_most(what, [micro], "us/record", "a tenth of them", [before], 1.25)
            before = micro
            yield at_most("  journal, per batch and partition", _journal_bytes(times[-1][1]), "bytes", 200)
            yield at_most("  memory beyond log and journal", _peak(sandbox, topic, total) / 1e6, "MB", _MEMORY_MB)


def _drain(sandbox: Sandbox, topic: Topic, total: int) -> tuple[float, EventSourceMapping]:
    seen = 0

    def handler(event, _context):
        nonlocal seen
        seen += sum(map(len, event["records"].values()))

    with sandbox.mapping(handler, topic, batch_size=_BATCH) as esm:
        took = seconds(esm.drain)
    if seen != total:
        raise RuntimeError(f"{seen} of {total} records reached the handler.")
    return took, esm


def _journal_bytes(esm: EventSourceMapping) -> float:
    return esm.journal.nbytes / sum(len(batch.records) for batch in esm.journal.of(BatchClosed))


def _peak(sandbox: Sandbox, topic: Topic, total: int) -> int:
    tracemalloc.start()
    try:
        held, _ = tracemalloc.get_traced_memory()
        _, esm = _drain(sandbox, topic, total)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - held - esm.journal.nbytes
