"""For any sequence of produce, fail, advance, step, restart and drain: the invariants hold, and a run repeats."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_msk import find_anomalies
from pytest_msk.clock import VirtualClock
from pytest_msk.journal import Attempt, BatchClosed, Committed, Event
from pytest_msk.sandbox import Sandbox

START_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Produce:
    partition: int
    count: int


@dataclass(frozen=True)
class Fail:
    attempts: int


@dataclass(frozen=True)
class Advance:
    seconds: float


@dataclass(frozen=True)
class Steps:
    count: int


@dataclass(frozen=True)
class Expire:
    partition: int
    keep: int


@dataclass(frozen=True)
class Restart:
    pass


@dataclass(frozen=True)
class Drain:
    pass


PARTITIONS = 3
operations = st.lists(
    st.one_of(
        st.builds(Produce, st.integers(0, PARTITIONS - 1), st.integers(1, 12)),
        st.builds(Fail, st.integers(1, 3)),
        st.builds(Advance, st.sampled_from([0.001, 0.3, 0.5, 7.0])),
        st.builds(Steps, st.integers(1, 6)),
        st.builds(Expire, st.integers(0, PARTITIONS - 1), st.integers(0, 3)),
        st.builds(Restart),
        st.builds(Drain),
    ),
    max_size=14,
)


def run(broker, batch_size, window, every_third_filtered, program, **more) -> tuple[list[Event], list[object]]:
    """The journal of a run, and what its function saw: request ids and uuids left out."""
    clock = VirtualClock(START_MS)
    sandbox = Sandbox(broker, clock, "invariants", 30)
    failures = 0
    seen: list[object] = []

    def function(event, context):
        nonlocal failures
        seen.append(event)
        if failures:
            failures -= 1
            raise ValueError("told to")

    try:
        topic = sandbox.topic("invariants", partitions=PARTITIONS)
        parameters = dict(more)
        if every_third_filtered:
            pattern = '{"value": {"third": [false]}}'
            parameters["filter_criteria"] = {"Filters": [{"Pattern": pattern}]}
        if window is not None:
            parameters["maximum_batching_window_in_seconds"] = window
        esm = sandbox.mapping(function, topic, batch_size=batch_size, consumer_group_id="invariants", **parameters)
        number = 0
        for operation in [*program, Drain()]:
            if isinstance(operation, Produce):
                values = [{"n": n, "third": n % 3 == 0} for n in range(number, number + operation.count)]
                number += operation.count
                topic.produce_many(values, partition=operation.partition)
            elif isinstance(operation, Fail):
                failures = operation.attempts
            elif isinstance(operation, Advance):
                clock.advance(operation.seconds)
            elif isinstance(operation, Expire):
                high = topic.watermarks()[operation.partition].high
                topic.expire({operation.partition: max(high - operation.keep, 0)})
            elif isinstance(operation, Restart):
                esm.disable()
                esm.enable()
            elif isinstance(operation, Steps):
                for _ in range(operation.count):
                    esm.step()
                    check_commits(esm, broker, topic)
            else:
                esm.drain()
            check_commits(esm, broker, topic)
        assert find_anomalies(esm) == ()
        for batch in esm.journal.of(BatchClosed):
            assert 0 < sum(len(r) for runs in batch.records.values() for r in runs) <= batch_size
            assert batch.payload_size <= 6_291_456
        events = [replace(e, request_id="") if isinstance(e, Attempt) else e for e in esm.journal]
        return events, seen
    finally:
        sandbox.close()


def check_commits(esm, broker, topic) -> None:
    """What the broker holds is what the journal says, and never beyond the last batch that succeeded."""
    committed = {}
    for event in esm.journal.of(Committed):
        committed.update(event.positions)
    assert broker.committed(esm.consumer_group_id, topic.name) == committed


@given(
    batch_size=st.integers(1, 9),
    window=st.sampled_from([None, 0, 5]),
    every_third_filtered=st.booleans(),
    program=operations,
)
def test_invariants_hold_and_the_same_input_gives_the_same_journal(
    msk_broker, batch_size, window, every_third_filtered, program
):
    first = run(msk_broker, batch_size, window, every_third_filtered, program)
    assert run(msk_broker, batch_size, window, every_third_filtered, program) == first


@settings(max_examples=max(2, settings.default.max_examples // 25))  # a rebalance takes half a second of real time
@given(batch_size=st.integers(1, 9), every_third_filtered=st.booleans(), program=operations)
def test_invariants_hold_with_several_event_pollers(msk_broker, batch_size, every_third_filtered, program):
    first = run(msk_broker, batch_size, 0, every_third_filtered, program, event_pollers=2)
    assert run(msk_broker, batch_size, 0, every_third_filtered, program, event_pollers=2) == first
