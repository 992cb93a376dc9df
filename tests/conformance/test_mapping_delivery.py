"""What a mapping delivers, in which batches and order, and what it commits: the same on every broker."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from pytest_msk import DeliveryBlocked, LambdaFunction, MskError, assert_at_least_once, assert_ordered
from pytest_msk.journal import Attempt, BatchClosed, Committed, Dropped, Filtered, Polled, StateChanged


class Recorder:
    """A function that remembers its events and fails when it is told to."""

    def __init__(self, *errors: Exception | None) -> None:
        self.events: list[dict] = []
        self.requests: list[str] = []
        self.errors = list(errors)

    def __call__(self, event: dict, context: object) -> None:
        self.events.append(event)
        self.requests.append(context.aws_request_id)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error

    @property
    def offsets(self) -> list[list[tuple[int, int]]]:
        """Per event the records' (partition, offset)."""
        return [[(r["partition"], r["offset"]) for group in e["records"].values() for r in group] for e in self.events]


def test_every_order_is_charged_in_the_customers_order(msk_topic, msk_esm):
    charged = []

    def charge(event, context):
        for records in event["records"].values():
            charged.extend(json.loads(b64decode(record["value"]))["id"] for record in records)

    orders = msk_topic("orders", partitions=3)
    orders.produce_many(({"id": n, "customer": n % 7} for n in range(100)), key=lambda order: str(order["customer"]))
    esm = msk_esm(charge, orders, batch_size=10, starting_position="TRIM_HORIZON")
    esm.drain()

    assert_at_least_once(esm)
    assert_ordered(esm)
    assert sorted(charged) == list(range(100))
    for customer in range(7):
        assert [n for n in charged if n % 7 == customer] == list(range(customer, 100, 7))


def test_full_batches_close_by_size_and_the_rest_by_the_window(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Recorder()
    topic.produce_many(range(25))
    started = msk_clock.now_ms()
    esm = msk_esm(function, topic, batch_size=10)
    attempts = esm.drain()

    assert [len(offsets) for offsets in function.offsets] == [10, 10, 5]
    assert [batch.reason for batch in esm.journal.of(BatchClosed)] == ["size", "size", "window"]
    assert [attempt.batch for attempt in attempts] == [1, 2, 3]
    assert msk_clock.now_ms() == started + 500


def test_long_window_costs_no_time_and_still_closes_the_batch(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Recorder()
    topic.produce("early")
    started = msk_clock.now_ms()
    esm = msk_esm(function, topic, maximum_batching_window_in_seconds=300)
    assert isinstance(esm.step(), Polled)
    assert esm.step() is None, "only time is missing"
    assert msk_clock.now_ms() == started, "a step never moves the clock"
    msk_clock.advance(299.999)
    topic.produce("late")
    assert isinstance(esm.step(), Polled)
    assert esm.step() is None
    msk_clock.advance(0.001)

    closed = esm.step()
    assert isinstance(closed, BatchClosed)
    assert (closed.reason, closed.records) == ("window", {0: (range(2),)})
    assert isinstance(esm.step(), Attempt)
    assert isinstance(esm.step(), Committed)
    assert esm.step() is None
    assert len(function.events) == 1


def test_window_of_zero_delivers_what_is_there(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Recorder()
    topic.produce_many(range(7))
    started = msk_clock.now_ms()
    esm = msk_esm(function, topic, batch_size=1000, maximum_batching_window_in_seconds=0)
    esm.drain()
    assert [len(offsets) for offsets in function.offsets] == [7]
    assert msk_clock.now_ms() == started


def test_empty_windows_never_invoke(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Recorder()
    esm = msk_esm(function, topic)
    assert esm.drain() == ()
    msk_clock.advance(3600)
    assert esm.drain() == ()
    assert function.events == []
    assert esm.last_processing_result == "No records processed"


def test_payload_holds_partitions_in_the_order_of_time_then_partition(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(partitions=3), Recorder()
    for partition in (2, 0, 1):
        topic.produce("a", partition=partition)
    msk_clock.advance(1)
    topic.produce("b", partition=1)
    msk_clock.advance(1)
    topic.produce("c", partition=0)
    esm = msk_esm(function, topic, batch_size=4)
    esm.drain()

    assert esm.journal.of(BatchClosed)[0].records == {0: (range(1),), 1: (range(2),), 2: (range(1),)}
    assert list(function.events[0]["records"]) == [f"{topic}-{p}" for p in range(3)]
    assert function.offsets == [[(0, 0), (1, 0), (1, 1), (2, 0)], [(0, 1)]]


def test_event_closes_at_six_megabytes(msk_topic, msk_esm):
    topic, function = msk_topic(config={"max.message.bytes": "8000000"}), Recorder()
    topic.produce_many([b"x" * 2_000_000] * 5)
    esm = msk_esm(function, topic, batch_size=100)
    esm.drain()

    batches = esm.journal.of(BatchClosed)
    assert [(len(o), b.reason) for o, b in zip(function.offsets, batches, strict=True)] == [
        (2, "payload"),
        (2, "payload"),
        (1, "window"),
    ]
    for event, batch in zip(function.events, batches, strict=True):
        assert batch.payload_size == len(json.dumps(event, separators=(",", ":")).encode()) <= 6_291_456


def test_record_that_is_too_large_alone_is_dropped_and_the_next_one_comes(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(config={"max.message.bytes": "8000000"}), Recorder()
    topic.produce_many([b"small", b"x" * 5_000_000, b"behind"])
    esm = msk_esm(function, topic)
    esm.drain()
    assert function.offsets == [[(0, 0)], [(0, 2)]]
    (dropped,) = esm.journal.of(Dropped)
    assert (dropped.condition, dropped.records) == ("MaximumPayloadSizeExceeded", {0: (range(1, 2),)})
    assert [batch.reason for batch in esm.journal.of(BatchClosed)] == ["payload", "window"]
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 3}
    assert_ordered(esm)
    assert_at_least_once(esm, allow=("dropped",))
    with pytest.raises(AssertionError, match=r"dropped-record: .*-0 offset 1 was dropped after batch 2 \(MaximumPay"):
        assert_at_least_once(esm)


def test_failed_batch_is_delivered_again_whole_and_fresh(msk_topic, msk_esm, msk_broker):
    topic = msk_topic()
    topic.produce_many(range(5))
    seen = []

    def spoil(event, context):
        seen.append((json.dumps(event), context.aws_request_id))
        event["records"].clear()
        if len(seen) == 1:
            raise ValueError("not today")

    esm = msk_esm(spoil, topic, batch_size=5)
    attempts = esm.drain()
    assert [(a.batch, a.attempt, a.error) for a in attempts] == [(1, 1, "ValueError: not today"), (1, 2, None)]
    assert seen[0][0] == seen[1][0], "a function cannot change its next attempt"
    assert seen[0][1] != seen[1][1], "each attempt is a request of its own"
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 5}
    assert esm.last_processing_result == "OK"
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_poison_record_blocks_its_partition_and_the_error_says_so(msk_topic, msk_esm, msk_broker):
    topic = msk_topic("payments", partitions=2)
    topic.produce_many(range(6), partition=1)

    def refuse_three(event, context):
        for records in event["records"].values():
            if any(b64decode(record["value"]) == b"3" for record in records):
                raise KeyError("poison")

    esm = msk_esm(refuse_three, topic, batch_size=2)
    with pytest.raises(DeliveryBlocked) as blocked:
        esm.drain(max_attempts=7)
    text = str(blocked.value)
    assert "Batch 2 (2 records: payments-1 offsets 2-3) failed 7 times in a row" in text
    assert "KeyError: 'poison'" in text
    assert "test_mapping_delivery.py:" in text
    assert isinstance(blocked.value.__cause__, KeyError)
    assert (blocked.value.batch, blocked.value.records) == (2, {1: (range(2, 4),)})
    assert (blocked.value.failures, blocked.value.error) == (7, "KeyError: 'poison'")
    assert msk_broker.committed(esm.consumer_group_id, "payments") == {1: 2}
    assert esm.last_processing_result == "PROBLEM: Function call failed"
    with pytest.raises(AssertionError) as lost:
        assert_at_least_once(esm)
    assert str(lost.value).splitlines() == [
        "The records of 'payments' were not all delivered to refuse_three:",
        "  lost-record: payments-1 offsets 2-3 (2 records) in batch 2 failed: 7 times, at last with "
        "KeyError: 'poison'.",
        "  lost-record: payments-1 offsets 4-5 (2 records) stood behind a batch that failed and were not delivered.",
    ]


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (object(), "Runtime.MarshalError: Unable to marshal response: Object of type object is not JSON serializable"),
        ({1, 2}, "Runtime.MarshalError: Unable to marshal response: Object of type set is not JSON serializable"),
    ],
)
def test_result_that_lambda_cannot_serialize_is_a_function_error(msk_topic, msk_esm, result, error):
    topic = msk_topic()
    topic.produce("x")
    results = [result, {"fine": True}]
    esm = msk_esm(lambda event, context: results.pop(0), topic)
    assert [a.error for a in esm.drain()] == [error, None]


def test_function_that_takes_longer_than_its_timeout_has_failed(msk_topic, msk_esm, msk_clock):
    topic = msk_topic()
    topic.produce("x")
    seconds = [3.5, 2.5]
    left = []

    def slow(event, context):
        msk_clock.advance(seconds.pop(0))
        left.append(context.get_remaining_time_in_millis())

    esm = msk_esm(LambdaFunction(slow, timeout=3), topic)
    assert [a.error for a in esm.drain()] == ["Sandbox.Timedout: Task timed out after 3.00 seconds", None]
    assert left == [0, 500]


def test_retry_waits_for_its_backoff(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Recorder(ValueError(), None)
    topic.produce("x")
    esm = msk_esm(function, topic, batch_size=1, retry_backoff_in_seconds=60)
    started = msk_clock.now_ms()
    while not isinstance(esm.step(), Attempt):
        pass
    assert esm.step() is None
    msk_clock.advance(60)
    assert isinstance(esm.step(), Attempt)
    assert msk_clock.now_ms() == started + 60_000
    esm.drain()
    assert_at_least_once(esm)


def test_outcome_of_pytest_ends_the_test_and_not_the_attempt(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce("x")
    outcomes = [pytest.fail, None]

    def handler(event, context):
        outcome = outcomes.pop(0)
        if outcome:
            outcome("stop here")

    esm = msk_esm(handler, topic)
    with pytest.raises(pytest.fail.Exception, match="stop here"):
        esm.drain()
    assert esm.journal.of(Attempt) == ()
    assert [(a.attempt, a.error) for a in esm.drain()] == [(1, None)]
    assert_at_least_once(esm)


def test_system_exit_is_a_function_error(msk_topic, msk_esm):
    topic, codes = msk_topic(), [3]
    topic.produce("x")
    esm = msk_esm(lambda event, context: codes and exit(codes.pop()), topic)
    assert [a.error for a in esm.drain()] == ["Runtime.ExitError: Runtime exited with error: exit status 3", None]


def test_filtered_records_are_committed_and_never_delivered(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(), Recorder()
    topic.produce_many({"kind": kind} for kind in "abcabcab")
    criteria = {"Filters": [{"Pattern": '{"value": {"kind": ["b"]}}'}]}
    esm = msk_esm(function, topic, batch_size=2, filter_criteria=criteria)
    esm.drain()

    assert function.offsets == [[(0, 1), (0, 4)], [(0, 7)]]
    assert [sum(map(len, f.records[0])) for f in esm.journal.of(Filtered)] == [3, 2]
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 8}
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_poll_in_which_nothing_matched_commits_without_an_invocation(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(), Recorder()
    topic.produce_many({"kind": "a"} for _ in range(10))
    esm = msk_esm(function, topic, filter_criteria={"Filters": [{"Pattern": '{"value": {"kind": ["b"]}}'}]})
    assert esm.drain() == ()
    assert function.events == []
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 10}
    assert_at_least_once(esm)


def test_topic_and_its_name_are_the_same_to_a_mapping(msk_topic, msk_esm):
    topic, function = msk_topic(), Recorder()
    topic.produce("x")
    esm = msk_esm(function, str(topic))
    esm.drain()
    assert function.offsets == [[(0, 0)]]
    assert esm.topic == topic.name


def test_function_may_produce_to_the_topic_that_it_reads(msk_topic, msk_esm):
    topic = msk_topic()

    def countdown(event, context):
        for records in event["records"].values():
            for record in records:
                n = int(b64decode(record["value"]))
                if n:
                    topic.produce(str(n - 1))

    topic.produce("5")
    esm = msk_esm(countdown, topic)
    assert len(esm.drain()) == 6
    assert_at_least_once(esm)


def test_function_cannot_drain_its_own_mapping(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm(lambda event, context: esm.drain(), topic)
    with pytest.raises(
        DeliveryBlocked, match="MskError: The function stepped or drained the mapping that is calling it"
    ):
        esm.drain(max_attempts=1)


def test_missing_topic_is_an_error_when_it_is_polled(msk_esm):
    esm = msk_esm(Recorder(), "nobody-made-this")
    with pytest.raises(MskError, match="'nobody-made-this', which the broker does not have: create it"):
        esm.drain()


def test_states_of_a_mapping(msk_topic, msk_esm):
    topic, function = msk_topic(), Recorder()
    esm = msk_esm(function, topic, enabled=False)
    topic.produce("x")
    assert esm.state == "Disabled"
    assert esm.drain() == ()
    esm.enable()
    assert esm.state == "Enabled"
    assert len(esm.drain()) == 1
    esm.delete()
    assert esm.state == "Deleted"
    with pytest.raises(MskError, match="closed"):
        esm.drain()
    states = [event.state for event in esm.journal.of(StateChanged)]
    assert states == ["Creating", "Disabled", "Enabling", "Enabled", "Deleting", "Deleted"]


def test_record_produced_after_the_drain_counts_as_lost(msk_topic, msk_esm):
    topic = msk_topic("late", partitions=2)
    esm = msk_esm(Recorder(), topic)
    topic.produce("x", partition=1)
    esm.drain()
    topic.produce("y", partition=1)
    with pytest.raises(AssertionError) as lost:
        assert_at_least_once(esm)
    assert "lost-record: late-1 offset 1 " in str(lost.value)
    assert "drained" in str(lost.value)
