"""window: a batching window of 300 seconds on the virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from pytest_msk.journal import BatchClosed

from .rows import Row, at_most
from .stage import Stage, seconds

__all__ = ["rows"]


def rows(stage: Stage) -> Iterator[Row]:
    """How long a drain takes whose batch is closed by the window."""
    took: list[float] = []
    for _ in range(stage.count(20, 3)):
        with stage.sandbox() as sandbox:
            topic = sandbox.topic()
            topic.produce_many(range(10))
            esm = sandbox.mapping(lambda _event, _context: None, topic, maximum_batching_window_in_seconds=300)
            took.append(1000 * seconds(esm.drain))
            (batch,) = esm.journal.of(BatchClosed)
            if batch.reason != "window":
                raise RuntimeError(f"The batch was closed by {batch.reason}.")
    yield at_most("window of 300 s", median(took), "ms", 50)
