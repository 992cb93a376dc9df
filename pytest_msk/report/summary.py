"""Summary: all that a report says of one mapping; gathered once, for text and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._ranges import Ranges
from ..assertions import find_anomalies
from ..checks import Anomaly
from ..errors import MskError
from ..journal import Filtered, Offsets
from ..subject import metadata_of
from ..topics import Topic
from .text import HEIGHT, text
from .timeline import Timeline, timeline

if TYPE_CHECKING:
    from ..mapping import EventSourceMapping

__all__ = ["FilteredRecord", "Summary"]

#: Filtered records that are explained: each pair of partition and verdict once.
_EXPLAINED = 3
#: Records of a log up to which it is held against the journal: a report is not to take longer than its test.
_CHECKED = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class FilteredRecord:
    """A record that the filters put aside, and why."""

    place: str
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All that a report says of one mapping.

    Args:
        esm: the mapping.
        timeline: what happened, in time.
        anomalies: what is wrong with it.
        filtered: some of the records that the filters put aside.
        filtered_count: how many there are.
        ends: per partition where the log ends; empty when the broker could not be asked.
        trouble: why something is not known, if so.
    """

    esm: EventSourceMapping
    timeline: Timeline
    anomalies: Sequence[Anomaly]
    filtered: Sequence[FilteredRecord]
    filtered_count: int
    ends: Mapping[int, int]
    trouble: str = ""

    @classmethod
    def of(cls, esm: EventSourceMapping) -> Summary:
        """Gather it; a broker that does not answer any more leaves gaps, and no error."""
        drawn = timeline(esm.topic, esm.journal)
        trouble, ends = "", {}
        anomalies: Sequence[Anomaly] = ()
        filtered: Sequence[FilteredRecord] = ()
        aside = _filtered(esm)
        try:
            ends = {partition: mark.high for partition, mark in esm.broker.watermarks(esm.topic).items()}
            if sum(ends.values()) > _CHECKED:
                trouble = f"of more than {_CHECKED:,} records nothing is checked here: find_anomalies(esm) does"
            else:
                anomalies = find_anomalies(esm, allow=("dropped", "destination"))
            filtered = _explained(esm, aside)
        except MskError as error:
            trouble = f"the log could not be looked at: {error}"
        count = sum(len(run) for runs in aside.values() for run in runs)
        return cls(
            esm=esm,
            timeline=drawn,
            anomalies=anomalies,
            filtered=filtered,
            filtered_count=count,
            ends=ends,
            trouble=trouble,
        )

    @property
    def title(self) -> str:
        """What the section is called."""
        return f"msk: {self.esm.topic} -> {self.esm.function.name}"

    def lines(self, height: int = HEIGHT) -> list[str]:
        """The section's lines, at most `height` of them."""
        foot: list[str] = []
        told = [each for each in self.anomalies if each.name != "unseen"] or list(self.anomalies)
        foot += [f"! {_cut(str(each))}" for each in told[:2]]
        if len(told) > 2:
            foot.append(f"! and {len(told) - 2} more: find_anomalies(esm)")
        for record in self.filtered[:1]:
            more = f" ({self.filtered_count} filtered)" if self.filtered_count > 1 else ""
            foot.append(_cut(f"{record.place} was filtered{more}:"))
            foot += [_cut(f"  {line}") for line in record.explanation.split("\n")[:3]]
        if self.trouble:
            foot.append(_cut(f"({self.trouble})"))
        foot = foot[: max(0, height - 10)]
        return [self._head(), *text(self.timeline, height=height - 1 - len(foot)), *foot]

    def _head(self) -> str:
        drawn = self.timeline
        calls = f"{drawn.calls} call{'s' * (drawn.calls != 1)}"
        failures = f", {drawn.failures} failed" if drawn.failures else ""
        left = {p: end - drawn.committed.get(p, 0) for p, end in self.ends.items()}
        lag = sum(amount for amount in left.values() if amount > 0)
        behind = f", lag {lag}" if self.ends else ""
        return _cut(f"{calls}{failures}{behind}; group {self.esm.consumer_group_id}; {self.esm.state}")


def _filtered(esm: EventSourceMapping) -> Offsets:
    found: dict[int, Ranges] = {}
    for event in esm.journal.of(Filtered):
        for partition, runs in event.records.items():
            for run in runs:
                found.setdefault(partition, Ranges()).add(run)
    return {partition: tuple(runs) for partition, runs in found.items()}


def _explained(esm: EventSourceMapping, aside: Offsets) -> tuple[FilteredRecord, ...]:
    """The first filtered record of some partitions, with what the filters say of it."""
    filters = esm.config.filters
    present = esm.broker.offsets(esm.topic)
    wanted = {
        partition: (range(runs[0].start, runs[0].start + 1),)
        for partition, runs in list(aside.items())[:_EXPLAINED]
        if any(runs[0].start in run for run in present.get(partition, ()))
    }
    if not wanted or not filters:
        return ()
    records = Topic(esm.topic, broker=esm.broker, clock=esm.clock, timeout=esm.timeout).at(wanted)
    return tuple(
        FilteredRecord(
            place=f"{record.topic}-{record.partition} offset {record.offset}",
            explanation=filters.explain(record.value, metadata_of(record) if filters.metadata else None),
        )
        for record in records
    )


def _cut(line: str, width: int = 80) -> str:
    line = " ".join(line.split()) if not line.startswith("  ") else f"  {' '.join(line.split())}"
    line = line.encode("ascii", "backslashreplace").decode()
    return line if len(line) <= width else f"{line[: width - 3]}..."
