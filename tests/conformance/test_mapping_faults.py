"""Faults that a test asks for: commits, pollers, rebalances and brokers, and what a mapping does then (spec 5)."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from pytest_msk import (
    Assigned,
    Attempt,
    BatchClosed,
    BrokerError,
    CommitFailed,
    Committed,
    FaultInjected,
    NotInvoked,
    PollFailed,
    Revoked,
    assert_at_least_once,
    assert_ordered,
    fails,
    fails_for,
    find_anomalies,
    throttled,
    times_out,
)
from pytest_msk.clock import Deadline
from pytest_msk.mapping import poller


class Offsets:
    """A function that remembers (partition, offset) of all that it got."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def __call__(self, event, context):
        self.seen += [(r["partition"], r["offset"]) for group in event["records"].values() for r in group]


def committed(esm) -> dict[int, int]:
    return esm.broker.committed(esm.consumer_group_id, esm.topic)


def injected(esm) -> list[str]:
    return [event.fault for event in esm.journal.of(FaultInjected)]


# --- commits


def test_commit_that_is_refused_is_made_up_for_by_the_next_one(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=2), Offsets()
    esm = msk_esm(function, topic)
    esm.faults.fail_commit()
    topic.produce("a", partition=0)
    esm.drain()
    assert committed(esm) == {}
    (failed,) = esm.journal.of(CommitFailed)
    assert (failed.positions, failed.error) == ({0: 1}, "COORDINATOR_NOT_AVAILABLE")
    topic.produce("b", partition=1)
    esm.drain()
    assert committed(esm) == {0: 1, 1: 1}
    assert function.seen == [(0, 0), (1, 0)]
    assert injected(esm) == ["commit refused with COORDINATOR_NOT_AVAILABLE"]
    assert esm.faults.pending == ()


def test_records_whose_commit_was_lost_come_again_after_a_restart(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many("ab")
    esm = msk_esm(function, topic)
    esm.faults.lose_commit()
    esm.drain()
    assert committed(esm) == {}
    esm.disable()
    esm.enable()
    esm.drain()
    assert function.seen == [(0, 0), (0, 1)] * 2
    assert committed(esm) == {0: 2}
    assert injected(esm) == ["commit lost"]
    assert find_anomalies(esm) == ()


def test_commit_whose_answer_was_lost_is_a_commit(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many("ab")
    esm = msk_esm(function, topic)
    esm.faults.lose_commit(answer_only=True)
    esm.drain()
    assert esm.journal.of(Committed) == ()
    assert committed(esm) == {0: 2}
    esm.disable()
    esm.enable()
    esm.drain()
    assert function.seen == [(0, 0), (0, 1)]
    assert find_anomalies(esm) == ()


def test_faults_of_commits_come_one_after_another(msk_topic, msk_esm):
    topic = msk_topic()
    esm = msk_esm(Offsets(), topic, batch_size=1)
    esm.faults.fail_commit(2, error="NOT_COORDINATOR")
    esm.faults.lose_commit()
    assert esm.faults.pending == (*["commit refused with NOT_COORDINATOR"] * 2, "commit lost")
    topic.produce_many(range(5))
    esm.drain()
    assert [event.error for event in esm.journal.of(CommitFailed)] == [*["NOT_COORDINATOR"] * 2, "REQUEST_TIMED_OUT"]
    assert [event.positions for event in esm.journal.of(Committed)] == [{0: 4}, {0: 5}]


@pytest.mark.parametrize("times", [0, -1, 1.5, True])
def test_a_fault_happens_once_at_least(msk_topic, msk_esm, times):
    esm = msk_esm(Offsets(), msk_topic())
    with pytest.raises(ValueError, match="how often it happens, 1 or more"):
        esm.faults.crash_before_commit(times)


# --- pollers


def test_batch_of_a_poller_that_died_before_its_commit_comes_again(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(4))
    esm = msk_esm(function, topic, batch_size=2)
    esm.faults.crash_before_commit(2)
    esm.drain()
    assert function.seen == [(0, 0), (0, 1)] * 3 + [(0, 2), (0, 3)]
    assert committed(esm) == {0: 4}
    assert injected(esm) == ["poller crashed before its commit"] * 2
    assert len(esm.journal.of(Assigned)) == 3
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_poller_that_dies_in_the_background_is_replaced(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce("a")
    esm = msk_esm(function, topic, maximum_batching_window_in_seconds=0)
    esm.faults.crash_before_commit()
    with esm.running():
        esm.wait_until(lambda: committed(esm) == {0: 1})
    assert function.seen == [(0, 0)] * 2
    assert_ordered(esm)


# --- rebalances


def test_rebalance_with_a_batch_in_flight_delivers_it_again(msk_topic, msk_esm):
    topic, seen = msk_topic(partitions=2), Offsets()

    def handler(event, context):
        seen(event, context)
        if len(seen.seen) == 4:
            esm.faults.rebalance()

    topic.produce_many(range(4))
    esm = msk_esm(handler, topic, batch_size=4)
    esm.drain()
    assert seen.seen == [(0, 0), (0, 1), (1, 0), (1, 1)] * 2
    assert injected(esm) == ["rebalance"]
    assert esm.journal.of(Revoked)[0].partitions == (0, 1)
    assert committed(esm) == {0: 2, 1: 2}
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_rebalance_between_two_batches_delivers_nothing_again(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce("a")
    esm = msk_esm(function, topic)
    esm.drain()
    esm.faults.rebalance()
    topic.produce("b")
    esm.drain()
    assert function.seen == [(0, 0), (0, 1)]
    assert len(esm.journal.of(Assigned)) == 2


def test_rebalance_takes_a_batch_that_waits_for_its_next_attempt_away(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many("ab")
    esm = msk_esm(fails(function, on=1, after=True), topic, batch_size=2, retry_backoff_in_seconds=60)
    while not function.seen:
        esm.step()
    esm.faults.rebalance()
    esm.drain()
    assert function.seen == [(0, 0), (0, 1)] * 2
    assert [batch.batch for batch in esm.journal.of(BatchClosed)] == [1, 2]
    assert_ordered(esm)


@pytest.mark.parametrize("event", ["rebalance", "expire"])
def test_partition_that_was_paused_is_fetched_again(msk_topic, msk_esm, monkeypatch, event):
    """The client keeps a pause beyond the assignment in which it was asked for."""
    monkeypatch.setattr(poller, "_MEMORY", 100_000)
    topic, function = msk_topic(partitions=2), Offsets()
    topic.produce_many([b"x" * 100] * 1_000)
    esm = msk_esm(function, topic, batch_size=10)
    while not esm.journal.of(Committed):
        esm.step()
    assert any(queue.paused for queue in esm._pipeline._pipelines[0]._poller._queues.values())
    if event == "rebalance":
        esm.faults.rebalance()
    else:
        topic.expire(before=490)
    esm.drain()
    assert committed(esm) == {0: 500, 1: 500}
    assert_at_least_once(esm)
    assert_ordered(esm)


# --- brokers


def test_broker_out_of_reach_loses_nothing(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(3))
    esm = msk_esm(function, topic, batch_size=1)
    while not function.seen:
        esm.step()
    with esm.faults.disconnected():
        for _ in range(3):
            with pytest.raises(BrokerError, match=r"out of the mapping's reach, because .*esm\.faults\.disconnected"):
                esm.step()
        topic.produce("everybody else reaches it")
    assert committed(esm) == {}
    esm.drain()
    assert function.seen == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert len(esm.journal.of(PollFailed)) == 3
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_mapping_in_the_background_goes_on_trying_while_the_broker_is_out_of_reach(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    esm = msk_esm(function, topic, maximum_batching_window_in_seconds=0)
    with esm.running():
        topic.produce("a")
        esm.wait_until(lambda: committed(esm) == {0: 1})
        with esm.faults.disconnected():
            topic.produce("b")
            esm.wait_until(lambda: esm.last_processing_result.startswith("PROBLEM: Connection error."))
        esm.wait_until(lambda: committed(esm) == {0: 2})
    assert function.seen == [(0, 0), (0, 1)]
    assert len(esm.journal.of(PollFailed)) == 1


# --- functions


def test_function_fails_on_an_invocation_and_for_a_record(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(4))
    poisoned = fails_for(fails(function, on=2), lambda record: record.json() == 3, times=2)
    esm = msk_esm(poisoned, topic, batch_size=2)
    errors = [attempt.error for attempt in esm.drain()]
    poison = f"InjectedError: told to fail for the record at {topic}-0 offset 3"
    assert errors == [None, poison, poison, "InjectedError: told to fail on call 2", None]
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_function_times_out_and_is_throttled(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Offsets()
    topic.produce("a")
    before = msk_clock.now_ms()
    esm = msk_esm(throttled(times_out(function, on=1), times=3), topic, maximum_batching_window_in_seconds=0)
    attempts = esm.drain()
    assert [attempt.error for attempt in attempts] == ["Sandbox.Timedout: Task timed out after 3.00 seconds", None]
    assert [attempt.attempt for attempt in attempts] == [1, 2]
    assert len(esm.journal.of(NotInvoked)) == 3
    assert msk_clock.now_ms() == before + 3_001 + (100 + 200 + 400)  # the pauses after the throttles
    assert function.seen == [(0, 0)]


# --- all of it again


def test_a_run_with_faults_repeats(msk_topic, msk_esm):
    def run(name):
        topic, function = msk_topic(partitions=3), Offsets()
        topic.produce_many(range(20), timestamp=1_790_000_000_000)
        esm = msk_esm(fails(function, on=(2, 5)), topic, batch_size=3, consumer_group_id=name)
        esm.faults.fail_commit()
        esm.faults.crash_before_commit()
        esm.faults.lose_commit()
        for _ in range(12):
            esm.step()
        esm.faults.rebalance()
        esm.drain()
        assert find_anomalies(esm) == ()
        events = [replace(e, request_id="") if isinstance(e, Attempt) else e for e in esm.journal]
        sizes = [replace(e, payload_size=0) if isinstance(e, BatchClosed) else e for e in events]
        return [replace(e, time_ms=0) for e in sizes], function.seen

    assert run("first") == run("second")


# --- the group


def test_mappings_in_groups_of_their_own_get_every_record_each(msk_topic, msk_esm):
    topic, functions = msk_topic(partitions=2), [Offsets() for _ in range(3)]
    esms = [msk_esm(function, topic, batch_size=size) for function, size in zip(functions, (1, 4, 100), strict=True)]
    topic.produce_many(range(10))
    esms[1].faults.crash_before_commit()
    for esm in esms:
        esm.drain()
    everything = sorted((partition, offset) for partition in range(2) for offset in range(5))
    assert [sorted(set(function.seen)) for function in functions] == [everything] * 3
    assert [len(function.seen) for function in functions] == [10, 14, 10]
    assert len({esm.consumer_group_id for esm in esms}) == 3
    for esm in esms:
        assert_at_least_once(esm)
        assert_ordered(esm)


def test_partitions_that_another_member_takes_over_come_again_there(msk_topic, msk_esm, msk_broker):
    """A batch is in flight when the other member joins: its records are not committed, so the next owner reads them."""
    topic, function, theirs = msk_topic(partitions=2), Offsets(), set()
    topic.produce_many(range(8))
    failing = fails(function, on=1, after=True)
    esm = msk_esm(failing, topic, batch_size=8, consumer_group_id="shared", retry_backoff_in_seconds=60)
    while not function.seen:
        esm.step()
    ending = threading.Event()

    def run():
        consumer = msk_broker.consumer("shared")
        consumer.subscribe([topic.name])
        while not ending.is_set():
            message = consumer.poll(0.01)
            if message is not None and message.error() is None:
                theirs.add((message.partition(), message.offset()))
        consumer.close()

    other = threading.Thread(target=run)
    other.start()
    try:
        deadline = Deadline(30)
        while not esm.journal.of(Revoked):  # a step does nothing else while the batch waits for its next attempt
            assert not deadline.passed, "the other member has not joined"
            esm.step()
            ending.wait(0.01)
        esm.drain()
        while len(theirs) < 4:
            assert not deadline.passed, f"the other member has got {theirs}"
            ending.wait(0.01)
    finally:
        ending.set()
        other.join()
    (partition,) = {place[0] for place in theirs}
    assert theirs == {(partition, offset) for offset in range(4)}
    again = function.seen[8:]
    assert again == [(1 - partition, offset) for offset in range(4)]
    assert committed(esm) == {1 - partition: 4}
    esm.drain()
    assert committed(esm) == {0: 4, 1: 4}
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_partitions_are_added_while_a_batch_is_in_flight(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(), Offsets()
    topic.produce("a", partition=0)

    def handler(event, context):
        function(event, context)
        if topic.partitions == 1:
            msk_broker.create_partitions(topic.name, 2)
            topic.produce("b", partition=1)

    esm = msk_esm(handler, topic, batch_size=1)
    esm.drain()
    assert sorted(set(function.seen)) == [(0, 0), (1, 0)]
    assert committed(esm) == {0: 1, 1: 1}
    assert_at_least_once(esm)
    assert_ordered(esm)
