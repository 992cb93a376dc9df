"""restart: a mapping is closed and a new one in the same consumer group reads on.

The time runs from the call of `close()` to the new mapping's function.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from .rows import Row, at_most
from .stage import Stage

__all__ = ["rows"]


def rows(stage: Stage) -> Iterator[Row]:
    """How long it takes until the first record."""
    called: list[float] = []
    took: list[float] = []

    def handler(_event, _context):
        called.append(time.perf_counter())

    with stage.sandbox() as sandbox:
        topic, group = sandbox.topic(partitions=3), stage.name()
        esm = sandbox.mapping(handler, topic, consumer_group_id=group)
        for number in range(stage.count(30, 3)):
            topic.produce({"id": number})
            esm.drain()
            topic.produce({"id": number, "again": True})
            called.clear()
            began = time.perf_counter()
            esm.close()
            esm = sandbox.mapping(handler, topic, consumer_group_id=group)
            esm.drain()
            took.append(1000 * (called[0] - began))
    yield at_most("first record of a new mapping in the group, median", median(took), "ms", 50)
    yield Row(what="  slowest", measured=f"{max(took):.1f} ms")
