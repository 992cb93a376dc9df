"""journal: what it costs to write everything down, in throughput and in memory.

The same mapping drains the same topic with its journal, and with one that keeps nothing, in turns. A journal that looks
at the clock says which share of a run goes by in it: on a machine that others use too this is the figure to trust. The
memory is that of a batch and partition, with and without a filter that leaves many short ranges.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from pytest_msk.filters.criteria import FilterCriteriaBlock
from pytest_msk.journal import Event, Journal
from pytest_msk.sandbox import Sandbox
from pytest_msk.topics import Topic

from .rows import Row, at_most, times_at_least
from .stage import Stage, seconds, take_turns
from .throughput import produce

__all__ = ["rows"]

_BATCH = 100
_THIRD: FilterCriteriaBlock = {"Filters": [{"Pattern": '{"value": {"customer": [0, 3, 5]}}'}]}


class _Nothing(Journal):
    """Keeps nothing."""

    def append(self, event: Event) -> None:
        """Forget it."""


class _Timed(Journal):
    """Knows how long was spent in it."""

    spent = 0.0

    def append(self, event: Event) -> None:
        """Write an event down."""
        began = time.perf_counter()
        super().append(event)
        self.spent += time.perf_counter() - began


def rows(stage: Stage) -> Iterator[Row]:
    """The share of the throughput, and the bytes."""
    total = stage.count(50_000, 5_000)
    for partitions in (1, 3):
        with stage.sandbox() as sandbox:
            topic = sandbox.topic(partitions=partitions)
            produce(stage, topic.name, partitions, total)

            def drain(journal: Journal, sandbox: Sandbox = sandbox, topic: Topic = topic) -> float:
                with sandbox.mapping(_handle, topic, batch_size=_BATCH) as esm:
                    esm.journal = journal
                    esm.step()  # joining the group is in no rate
                    return seconds(esm.drain)

            def rate(kind: type[Journal], drain: Callable[[Journal], float] = drain) -> float:
                return total / drain(kind()) / 1000

            kept, nothing, shares = take_turns(
                stage.count(9, 1), partial(rate, Journal), partial(rate, _Nothing), partial(_share, drain)
            )
            what = f"records/s, {partitions} partition{'s' * (partitions > 1)}"
            yield times_at_least(f"{what}, journal kept", kept, "k/s", "nothing kept", nothing, None)
            yield at_most(f"share of the time, {partitions} partition{'s' * (partitions > 1)}", median(shares), "%", 10)
            for name, filters in (("no filter", {}), ("filter", _THIRD)):
                with sandbox.mapping(_handle, topic, batch_size=_BATCH, filter_criteria=filters) as esm:
                    esm.drain()
                    pairs = sum(len(batch.records) for batch in esm.journal.batches)
                    size = esm.journal.nbytes / pairs
                yield at_most(f"bytes a batch and partition, {partitions}, {name}", size, "bytes", 200)


def _handle(_event: object, _context: object) -> None:
    """Nothing is to be done."""


def _share(drain: Callable[[Journal], float]) -> float:
    """How much of a run was spent in the journal, percent."""
    journal = _Timed()
    took = drain(journal)
    return 100 * journal.spent / took
