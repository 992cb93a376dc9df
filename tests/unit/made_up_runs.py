"""Made-up runs of a mapping: a poller that fails, is restarted and is rebalanced, and delivers all the same."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from pytest_msk.journal import (
    Assigned,
    Attempt,
    BatchClosed,
    CommitFailed,
    Committed,
    Event,
    Filtered,
    Offsets,
    Polled,
    Revoked,
    StateChanged,
    offset_runs,
)

TOPIC = "orders"


def closed(number: int, records: Offsets) -> BatchClosed:
    return BatchClosed(time_ms=0, batch=number, reason="size", payload_size=1, records=records)


def attempted(number: int, attempt: int = 1, error: str | None = None) -> Attempt:
    return Attempt(time_ms=0, batch=number, attempt=attempt, request_id="id", error=error)


def delivered(number: int, records: Offsets) -> list[Event]:
    """A batch that succeeded at once."""
    return [closed(number, records), attempted(number)]


def state(name: str) -> StateChanged:
    return StateChanged(time_ms=0, state=name, reason="USER_INITIATED")


@dataclass
class MadeUpRun:
    """A topic's log, which of its records the filters drop, and what a mapping did."""

    log: dict[int, list[int]]
    dropped: set[tuple[int, int]]
    start: dict[int, int]
    events: list[Event] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    batches: int = 0

    @property
    def offsets(self) -> Offsets:
        """The log as the broker tells it."""
        return {partition: offset_runs(offsets) for partition, offsets in self.log.items()}

    @property
    def wanted(self) -> list[tuple[int, int]]:
        """The (partition, offset) of every record that the function must get."""
        return [
            (partition, offset)
            for partition, offsets in self.log.items()
            for offset in offsets
            if (partition, offset) not in self.dropped and offset >= self.start[partition]
        ]

    def begin(self) -> None:
        """Get the partitions, at the committed offsets or where they begin."""
        self.positions = {p: self.committed.get(p, self.start[p]) for p in self.log}
        self.events.append(Assigned(time_ms=0, positions=dict(self.positions)))

    def rebalance(self) -> None:
        self.events.append(Revoked(time_ms=0, partitions=tuple(self.log)))
        self.begin()

    def restart(self) -> None:
        self.events += map(state, ("Disabling", "Disabled", "Enabling", "Enabled"))
        self.begin()

    def poll(self, size: int) -> bool:
        """Read up to `size` records that pass the filters, partition by partition, into a batch."""
        read: dict[int, list[int]] = {}
        for partition, offsets in self.log.items():
            for offset in offsets:
                if offset >= self.positions[partition] and size:
                    read.setdefault(partition, []).append(offset)
                    size -= (partition, offset) not in self.dropped
        if not read:
            return False
        kept = {p: [o for o in found if (p, o) not in self.dropped] for p, found in read.items()}
        aside = {p: [o for o in found if (p, o) in self.dropped] for p, found in read.items()}
        self.positions.update({p: found[-1] + 1 for p, found in read.items()})
        records = {p: offset_runs(found) for p, found in kept.items() if found}
        if records:
            self.events.append(Polled(time_ms=0, records=records))
        if any(aside.values()):
            found = {p: offset_runs(found) for p, found in aside.items() if found}
            self.events.append(Filtered(time_ms=0, records=found))
        if records:
            self.batches += 1
            self.events.append(closed(self.batches, records))
        else:
            self.commit()
        return True

    def attempt(self, failures: int, *, succeeds: bool) -> None:
        for number in range(1, failures + 1):
            self.events.append(attempted(self.batches, number, "ValueError: no"))
        if succeeds:
            self.events.append(attempted(self.batches, failures + 1))

    def commit(self) -> None:
        self.events.append(Committed(time_ms=0, positions=dict(self.positions)))
        self.committed = dict(self.positions)

    def open_batch(self) -> bool:
        return isinstance(self.events[-1], BatchClosed)


@st.composite
def correct_runs(draw) -> MadeUpRun:
    """Runs that deliver everything, with failed attempts, restarts and rebalances at any point."""
    log = {
        partition: sorted(draw(st.sets(st.integers(0, 14), min_size=1, max_size=10)))
        for partition in range(draw(st.integers(1, 3)))
    }
    records = [(p, o) for p, offsets in log.items() for o in offsets]
    dropped = draw(st.sets(st.sampled_from(records), max_size=4))
    start = {partition: draw(st.sampled_from([0, 0, 3])) for partition in log}
    run = MadeUpRun(log, dropped, start, [state("Creating"), state("Enabled")])
    run.begin()
    for _ in range(draw(st.integers(0, 6))):
        if not run.poll(draw(st.integers(1, 6))) or not run.open_batch():
            continue
        run.attempt(draw(st.integers(0, 2)), succeeds=draw(st.booleans()))
        if isinstance(run.events[-1], Attempt) and run.events[-1].error is None and draw(st.booleans()):
            run.commit()
            continue
        if isinstance(run.events[-1], Attempt) and run.events[-1].error is None and draw(st.booleans()):
            run.events.append(CommitFailed(time_ms=0, positions=dict(run.positions), error="rebalanced"))
        draw(st.sampled_from([run.rebalance, run.restart]))()
    while run.poll(draw(st.integers(1, 6))):
        if run.open_batch():
            run.attempt(draw(st.integers(0, 1)), succeeds=True)
            run.commit()
    return run
