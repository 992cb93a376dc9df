"""Several event pollers in one mapping: real members of its group, stepped in turn (spec 7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_msk import (
    Assigned,
    Attempt,
    BatchClosed,
    FaultInjected,
    LambdaFunction,
    NotInvoked,
    Revoked,
    ServiceError,
    assert_at_least_once,
    assert_ordered,
)
from pytest_msk.journal import PollersScaled


def produce(topic, records: int) -> None:
    for partition in range(topic.partitions):
        topic.produce_many(range(records), partition=partition)


def owners(esm) -> list[tuple[int, ...]]:
    """The partitions of each poller, as they were given last."""
    return [tuple(event.positions) for event in esm.journal.of(Assigned)][-esm.event_pollers :]


def test_each_poller_owns_its_share_of_the_partitions(msk_topic, msk_esm):
    topic = msk_topic(partitions=5)
    produce(topic, 10)
    esm = msk_esm(lambda event, context: None, topic, event_pollers=2, batch_size=10)
    esm.drain()
    assert esm.event_pollers == 2
    assert owners(esm) == [(0, 1, 2), (3, 4)]
    assert all(set(batch.records) <= {0, 1, 2} or set(batch.records) <= {3, 4} for batch in esm.journal.of(BatchClosed))
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_there_are_never_more_pollers_than_partitions(msk_topic, msk_esm):
    topic = msk_topic(partitions=2)
    produce(topic, 3)
    esm = msk_esm(lambda event, context: None, topic, event_pollers=5)
    esm.drain()
    assert owners(esm) == [(0,), (1,)]
    assert_at_least_once(esm)


@pytest.mark.parametrize("fault", ["rebalance", "crash_before_commit"])
def test_all_pollers_hear_at_once_of_a_rebalance_that_one_of_them_brings_about(msk_topic, msk_esm, fault):
    """Whoever heard of it first would decide which batches come again."""
    topic = msk_topic(partitions=3)
    produce(topic, 12)
    calls = []

    def function(event, context):
        calls.append(context.aws_request_id)
        if len(calls) == 4:
            getattr(esm.faults, fault)()

    esm = msk_esm(function, topic, event_pollers=3, batch_size=3)
    esm.drain()
    (happened,) = [number for number, event in enumerate(esm.journal) if isinstance(event, FaultInjected)]
    told = list(esm.journal)[happened + 1 : happened + 7]
    assert sorted(event.partitions for event in told[:3] if isinstance(event, Revoked)) == [(0,), (1,), (2,)]
    assert [tuple(event.positions) for event in told[3:] if isinstance(event, Assigned)] == [(0,), (1,), (2,)]
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_all_pollers_hear_at_once_of_partitions_that_are_added(msk_topic, msk_esm, msk_broker):
    topic = msk_topic(partitions=3)
    produce(topic, 6)
    calls = []

    def function(event, context):
        calls.append(context.aws_request_id)
        if len(calls) == 2:
            msk_broker.create_partitions(topic.name, 5)
            topic.produce_many(range(2), partition=4)

    esm = msk_esm(function, topic, event_pollers=3, batch_size=3)
    esm.drain()
    told = [event for event in esm.journal if isinstance(event, Assigned | Revoked)]
    assert [type(event) for event in told] == [Assigned] * 3 + [Revoked] * 3 + [Assigned] * 3
    assert [tuple(event.positions) for event in told[6:]] == [(0, 1), (2, 3), (4,)]
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_pollers_take_turns(msk_topic, msk_esm):
    topic = msk_topic(partitions=2)
    produce(topic, 6)
    esm = msk_esm(lambda event, context: None, topic, event_pollers=2, batch_size=2)
    esm.drain()
    assert [tuple(batch.records) for batch in esm.journal.of(BatchClosed)] == [(0,), (1,)] * 3


def test_the_same_input_gives_the_same_journal(msk_topic, msk_esm, msk_clock):
    runs = []
    start = msk_clock.now_ms()
    for _ in range(2):
        topic = msk_topic(partitions=4)
        for n in range(40):
            topic.produce(str(n), partition=n % 4, timestamp=start + n * 7 % 11)
        failing = iter([True, False, True, True] + [False] * 100)

        def function(event, context, failing=failing):
            if next(failing):
                raise ValueError("no")

        esm = msk_esm(function, topic, event_pollers=3, batch_size=4, maximum_batching_window_in_seconds=0)
        esm.drain()
        runs.append([without_ids(event) for event in esm.journal])
        esm.close()
    assert runs[0] == runs[1]
    assert [type(event) for event in runs[0]].count(Attempt) == 14


def without_ids(event):
    return replace(event, time_ms=0, **({"request_id": ""} if isinstance(event, Attempt) else {}))


class Slow:
    """A function that takes its time on the clock."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def __call__(self, event, context):
        self.clock.advance(self.seconds)


def test_lag_brings_a_poller_at_the_next_evaluation_and_its_end_takes_it(msk_topic, msk_esm, msk_clock):
    topic = msk_topic(partitions=2)
    produce(topic, 20)
    esm = msk_esm(Slow(msk_clock, 4), topic, event_pollers="auto", batch_size=1)
    assert esm.event_pollers == 0
    function = esm.function
    function.timeout = 5
    start = msk_clock.now_ms()
    esm.drain()
    # One poller gets 15 records done in a minute, and 25 are left after the first one.
    found = [(e.pollers, e.reason, e.lag, (e.time_ms - start) // 60_000) for e in esm.journal.of(PollersScaled)]
    assert found == [(1, "start", 40, 0), (2, "lag", 25, 1), (1, "idle", 10, 2)]
    assert esm.metrics.provisioned_pollers == 2
    assert_at_least_once(esm)
    assert_ordered(esm)
    assert [(type(event), tuple(getattr(event, "positions", getattr(event, "partitions", ())))) for event in esm.journal
            if isinstance(event, Assigned | Revoked)] == [
        (Assigned, (0, 1)), (Revoked, (0, 1)), (Assigned, (0,)), (Assigned, (1,)), (Revoked, (0,)), (Revoked, (1,)),
        (Assigned, (0, 1)),
    ]  # fmt: skip


class Throttled(LambdaFunction):
    """A function that the service throttles as often as it is told."""

    times = 0

    def invoke(self, *arguments, **settings):
        if self.times:
            self.times -= 1
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.")
        return super().invoke(*arguments, **settings)


def test_a_throttled_function_loses_a_poller_each_minute(msk_topic, msk_esm, msk_clock):
    topic = msk_topic(partitions=3)
    produce(topic, 1)
    function = Throttled(lambda event, context: msk_clock.advance(1), name="throttled")
    esm = msk_esm(function, topic, event_pollers="auto", batch_size=1, maximum_batching_window_in_seconds=0)
    produce(topic, 70)
    while esm.event_pollers < 3:
        esm.step()
    while esm.event_pollers > 1:
        function.times = 1
        esm.step()
        msk_clock.advance(1)
    assert [(e.pollers, e.reason) for e in esm.journal.of(PollersScaled)] == [
        (1, "start"), (3, "lag"), (2, "throttled"), (1, "throttled"),
    ]  # fmt: skip
    function.times = 0
    esm.drain()
    assert esm.metrics.throttles == len(esm.journal.of(NotInvoked)) > 0
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_a_batch_in_flight_is_delivered_again_by_its_partitions_new_owner(msk_topic, msk_esm, msk_clock):
    topic = msk_topic(partitions=2)
    produce(topic, 50)
    failing = True

    def function(event, context):
        msk_clock.advance(2)
        if failing:
            raise ValueError("no")

    esm = msk_esm(function, topic, event_pollers="auto", batch_size=1, maximum_batching_window_in_seconds=0)
    while esm.event_pollers < 2:
        esm.step()
    failing = False
    esm.drain()
    assert {
        (p, o)
        for batch in esm.journal.of(BatchClosed)[1:]
        for p, runs in batch.records.items()
        for r in runs
        for o in r
    } == {(p, o) for p in (0, 1) for o in range(50)}
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_several_pollers_in_the_background(msk_topic, msk_esm):
    topic = msk_topic(partitions=3)
    produce(topic, 20)
    esm = msk_esm(lambda event, context: None, topic, event_pollers=3, batch_size=5)
    with esm.running():
        esm.wait_until(lambda: esm.metrics.committed_event_count == 60)
        assert esm.event_pollers == 3
    assert esm.metrics.offset_lag == 0
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_pollers_leave_the_group_when_the_mapping_is_disabled(msk_topic, msk_esm, msk_broker):
    topic = msk_topic(partitions=3)
    produce(topic, 2)
    esm = msk_esm(lambda event, context: None, topic, event_pollers=3)
    esm.drain()
    esm.disable()
    assert esm.event_pollers == 0
    esm.enable()
    produce(topic, 1)
    esm.drain()
    assert esm.event_pollers == 3
    assert esm.metrics.committed_event_count == 9
    assert_at_least_once(esm)


@pytest.mark.parametrize("number", [0, -1, "many", ""])
def test_what_is_no_number_of_pollers_is_refused(msk_topic, msk_esm, number):
    with pytest.raises(ValueError, match="a number of event pollers, 1 or more, or 'auto'") as raised:
        msk_esm(lambda event, context: None, msk_topic(), event_pollers=number)
    assert str(raised.value).startswith(f"event_pollers={number!r}: ")


def test_the_lag_is_what_the_group_has_not_committed(msk_topic, msk_esm):
    topic = msk_topic(partitions=2)
    topic.produce_many(range(7), partition=1)
    esm = msk_esm(lambda event, context: None, topic, batch_size=4, maximum_batching_window_in_seconds=0)
    assert (esm.metrics.offset_lag, esm.metrics.max_offset_lag) == (7, 7)
    while not esm.metrics.committed_event_count:
        esm.step()
    assert esm.metrics.offset_lag == 3
    esm.drain()
    produce(topic, 2)
    assert (esm.metrics.offset_lag, esm.metrics.max_offset_lag) == (4, 2)
    assert msk_esm(print, topic, starting_position="LATEST").metrics.offset_lag == 0


def test_provisioned_mode_keeps_its_minimum_and_ends_at_its_maximum(msk_topic, msk_esm, msk_clock):
    topic = msk_topic(partitions=6)
    produce(topic, 60)
    pollers = {"MinimumPollers": 2, "MaximumPollers": 3}
    function = LambdaFunction(Slow(msk_clock, 20), timeout=30)
    esm = msk_esm(function, topic, provisioned_poller_config=pollers, batch_size=1)
    while esm.event_pollers < 3:
        esm.step()
    function.target.seconds = 0
    msk_clock.advance(600)
    esm.drain()
    msk_clock.advance(60)
    esm.step()
    assert [(e.pollers, e.reason) for e in esm.journal.of(PollersScaled)] == [
        (2, "start"), (3, "bounds"), (2, "idle"),
    ]  # fmt: skip
    assert_at_least_once(esm)


@pytest.mark.parametrize("pollers", [{"MinimumPollers": 1}, {"MinimumPollers": 1, "MaximumPollers": 5}])
def test_provisioned_mode_has_one_poller_unless_more_are_asked_for(msk_topic, msk_esm, pollers):
    topic = msk_topic(partitions=3)
    produce(topic, 1)
    esm = msk_esm(lambda event, context: None, topic, provisioned_poller_config=pollers)
    esm.drain()
    assert esm.event_pollers == 1
    assert esm.journal.of(PollersScaled) == ()


def test_a_number_of_pollers_is_for_on_demand_only(msk_topic, msk_esm):
    with pytest.raises(ValueError, match="in provisioned mode MinimumPollers and MaximumPollers of"):
        msk_esm(print, msk_topic(), event_pollers=2, provisioned_poller_config={"MinimumPollers": 1})


def test_partitions_that_are_added_get_their_pollers_at_the_next_evaluation(msk_topic, msk_esm, msk_broker, msk_clock):
    topic = msk_topic()
    produce(topic, 1)
    esm = msk_esm(lambda event, context: None, topic, event_pollers=3)
    esm.drain()
    assert esm.event_pollers == 1
    msk_broker.create_partitions(topic.name, 3)
    produce(topic, 2)
    esm.drain()
    msk_clock.advance(60)
    esm.step()
    assert [(e.pollers, e.reason) for e in esm.journal.of(PollersScaled)] == [(1, "start"), (3, "bounds")]
    assert owners(esm) == [(0,), (1,), (2,)]
    produce(topic, 1)
    esm.drain()
    assert_at_least_once(esm)
