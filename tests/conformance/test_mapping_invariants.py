"""For any controls of failures, and any sequence of produce, fail, advance, step, expire, restart and drain: the
invariants hold, and a run repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_msk import InMemoryDestination, find_anomalies
from pytest_msk._offsets import without
from pytest_msk._ranges import Ranges
from pytest_msk.clock import VirtualClock
from pytest_msk.journal import (
    Assigned,
    Attempt,
    BatchClosed,
    Committed,
    Dropped,
    Event,
    Expired,
    Filtered,
    Offsets,
    Polled,
    SentToDestination,
)
from pytest_msk.sandbox import Sandbox

START_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Produce:
    partition: int
    count: int


@dataclass(frozen=True)
class Fail:
    attempts: int
    how: str


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
        st.builds(Fail, st.integers(1, 3), st.sampled_from(["raise", "report", "report", "invalid"])),
        st.builds(Advance, st.sampled_from([0.001, 0.3, 0.5, 7.0, 61.0])),
        st.builds(Steps, st.integers(1, 6)),
        st.builds(Expire, st.integers(0, PARTITIONS - 1), st.integers(0, 3)),
        st.builds(Restart),
        st.builds(Drain),
    ),
    max_size=14,
)


#: Nothing on demand, or some of what provisioned mode has (spec 4.2).
controls = st.just({}) | st.fixed_dictionaries(
    {"provisioned_poller_config": st.just({"MinimumPollers": 1})},
    optional={
        "maximum_retry_attempts": st.sampled_from([0, 1, 2]),
        "maximum_record_age_in_seconds": st.just(60),
        "bisect_batch_on_function_error": st.booleans(),
        "function_response_types": st.just(["ReportBatchItemFailures"]),
        "strict_order": st.booleans(),
        "retry_backoff_in_seconds": st.sampled_from([0, 40]),
        "destination": st.booleans(),
    },
)


def several_pollers(control: dict[str, object]) -> dict[str, object]:
    """The same with two event pollers."""
    if "provisioned_poller_config" in control:
        return control | {"provisioned_poller_config": {"MinimumPollers": 2, "MaximumPollers": 2}}
    return control | {"event_pollers": 2}


def respond(how: str, event) -> object:
    """What a function does that fails: raise, report every other record, or answer something invalid."""
    if how == "raise":
        raise ValueError("told to")
    if how == "invalid":
        return {"batchItemFailures": [None]}
    places = [(key, record["offset"]) for key, records in event["records"].items() for record in records]
    return {"batchItemFailures": [{"itemIdentifier": {"partition": k, "offset": o}} for k, o in places[::2]]}


def run(broker, batch_size, window, every_third_filtered, control, program) -> tuple[list[Event], list[object]]:
    """The journal of a run, and what its function and its destination saw: request ids and uuids left out."""
    clock = VirtualClock(START_MS)
    sandbox = Sandbox(broker, clock, "invariants", 30)
    failures, how = 0, ""
    seen: list[object] = []

    def function(event, context):
        nonlocal failures
        seen.append(event)
        if failures:
            failures -= 1
            return respond(how, event)
        return None

    try:
        topic = sandbox.topic("invariants", partitions=PARTITIONS)
        parameters = dict(control)
        failed = InMemoryDestination()
        if parameters.pop("destination", False):
            parameters["destination_config"] = {"OnFailure": {"Destination": failed}}
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
                failures, how = operation.attempts, operation.how
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
        assert find_anomalies(esm, allow=("dropped", "destination")) == ()
        check_every_record(esm, topic, failed)
        check_metrics(esm, begun_anew=Restart() in program)
        for batch in esm.journal.of(BatchClosed):
            assert 0 < sum(len(r) for runs in batch.records.values() for r in runs) <= batch_size
            assert batch.payload_size <= 6_291_456
        events = [replace(e, request_id="") if isinstance(e, Attempt) else e for e in esm.journal]
        return events, [*seen, *(message.event for message in failed.messages)]
    finally:
        sandbox.close()


def check_commits(esm, broker, topic) -> None:
    """What the broker holds is what the journal says, and never beyond the last batch that succeeded."""
    committed = {}
    for event in esm.journal.of(Committed):
        committed.update(event.positions)
    assert broker.committed(esm.consumer_group_id, topic.name) == committed


def check_every_record(esm, topic, failed) -> None:
    """Each offset was delivered, filtered, given up or expired, and the destination has what it is said to have."""
    batches: dict[int, Offsets] = {}
    done: dict[int, Ranges] = {}
    sent: list[tuple[int, int]] = []
    committed: set[int] = set()

    def note(records: Offsets) -> None:
        for partition, runs in records.items():
            done[partition] = Ranges((*done.get(partition, ()), *runs))

    for event in esm.journal:
        if isinstance(event, BatchClosed):
            batches[event.batch] = event.records
        elif isinstance(event, Filtered | Dropped | SentToDestination | Expired):
            note(event.records)
        elif isinstance(event, Attempt) and not event.failed:
            note(without(batches[event.batch] if event.records is None else event.records, event.item_failures))
        elif isinstance(event, Committed):
            committed |= event.positions.keys()
        elif isinstance(event, Assigned):  # without a committed offset the oldest record there is comes first
            note({p: (range(position),) for p, position in event.positions.items() if p not in committed})
        if isinstance(event, SentToDestination):
            sent += [(partition, o) for partition, runs in event.records.items() for run in runs for o in run]
    for partition, mark in topic.watermarks().items():
        assert done.get(partition, Ranges()).missing(range(mark.high)) == []
    assert [(record.partition, record.offset) for record in failed.records] == sent


def check_metrics(esm, *, begun_anew: bool) -> None:
    """What holds between AWS's numbers at the end of a run (spec 7.4)."""
    metrics = esm.metrics
    polled, filtered, invoked, resolved = set(), set(), set(), set()
    batches: dict[int, Offsets] = {}
    for event in esm.journal:
        if isinstance(event, BatchClosed):
            batches[event.batch] = event.records
        elif isinstance(event, Polled):
            polled |= places(event.records)
        elif isinstance(event, Filtered):
            filtered |= places(event.records)
        elif isinstance(event, Attempt):
            invoked |= places(batches[event.batch] if event.records is None else event.records)
        elif isinstance(event, Dropped | SentToDestination | Expired):
            resolved |= places(event.records)
    assert polled - invoked <= resolved  # given up, or expired, before the function saw them
    if not begun_anew:
        assert metrics.polled_event_count == len(filtered) + len(polled & (invoked | resolved))
        assert metrics.filtered_out_event_count == len(filtered)
    assert metrics.invoked_event_count >= len(invoked)
    assert metrics.invoke_error_count <= metrics.invocations == len(esm.journal.of(Attempt))
    assert metrics.failed_invoke_event_count <= metrics.invoked_event_count
    given_up = esm.journal.of(Dropped) + esm.journal.of(SentToDestination)
    assert metrics.dropped_event_count + metrics.on_failure_destination_delivered_event_count == sum(
        len(places(event.records)) for event in given_up
    )
    assert metrics.offset_lag == metrics.max_offset_lag == 0


def places(records: Offsets) -> set[tuple[int, int]]:
    return {(partition, offset) for partition, runs in records.items() for run in runs for offset in run}


@given(
    batch_size=st.integers(1, 9),
    window=st.sampled_from([None, 0, 5]),
    every_third_filtered=st.booleans(),
    control=controls,
    program=operations,
)
def test_invariants_hold_and_the_same_input_gives_the_same_journal(
    msk_broker, batch_size, window, every_third_filtered, control, program
):
    first = run(msk_broker, batch_size, window, every_third_filtered, control, program)
    assert run(msk_broker, batch_size, window, every_third_filtered, control, program) == first


@settings(max_examples=max(2, settings.default.max_examples // 25))  # a rebalance takes half a second of real time
@given(
    batch_size=st.integers(1, 9),
    every_third_filtered=st.booleans(),
    control=controls.map(several_pollers),
    program=operations,
)
def test_invariants_hold_with_several_event_pollers(msk_broker, batch_size, every_third_filtered, control, program):
    first = run(msk_broker, batch_size, 0, every_third_filtered, control, program)
    assert run(msk_broker, batch_size, 0, every_third_filtered, control, program) == first
