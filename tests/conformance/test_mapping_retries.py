"""What becomes of a batch that fails, with every control of spec 4: the same on every broker."""

from __future__ import annotations

import json
from base64 import b64decode
from itertools import pairwise

import pytest

from pytest_msk import (
    DeliveryBlocked,
    DestinationError,
    InMemoryDestination,
    LambdaFunction,
    ServiceError,
    assert_at_least_once,
    assert_ordered,
    find_anomalies,
)
from pytest_msk.journal import (
    Attempt,
    BatchClosed,
    Committed,
    DestinationFailed,
    Dropped,
    Expired,
    NotInvoked,
    SentToDestination,
    Split,
)

POLLERS = {"MinimumPollers": 1}
REPORT = ["ReportBatchItemFailures"]


def provisioned(**parameters):
    """Parameters of a mapping in provisioned mode."""
    return {"provisioned_poller_config": POLLERS, **parameters}


def on_failure(target):
    return {"OnFailure": {"Destination": target}}


class Poison:
    """A function that raises at some values, and remembers the offsets of each call."""

    def __init__(self, *values: int) -> None:
        self.poison = set(values)
        self.calls: list[list[tuple[int, int]]] = []

    def __call__(self, event, context):
        records = [record for group in event["records"].values() for record in group]
        self.calls.append([(record["partition"], record["offset"]) for record in records])
        bad = sorted(self.poison & {int(b64decode(record["value"])) for record in records})
        if bad:
            raise ValueError(f"poison {bad}")


class Reporting(Poison):
    """A function that reports some values as item failures, each for some times."""

    def __init__(self, failures: dict[int, int]) -> None:
        super().__init__()
        self.left = dict(failures)

    def __call__(self, event, context):
        super().__call__(event, context)
        found = []
        for key, records in event["records"].items():
            for record in records:
                value = int(b64decode(record["value"]))
                if self.left.get(value, 0):
                    self.left[value] -= 1
                    found.append({"itemIdentifier": {"partition": key, "offset": record["offset"]}})
        return {"batchItemFailures": found}


def refuse(exception=ValueError):
    def function(event, context):
        raise exception("no")

    return function


# --- retries (spec 4.2)


@pytest.mark.parametrize("retries", [0, 2])
def test_retries_run_out_and_the_batch_is_dropped_and_committed(msk_topic, msk_esm, msk_broker, retries):
    topic, function = msk_topic(), Poison(1)
    topic.produce_many(range(5))
    esm = msk_esm(function, topic, batch_size=2, **provisioned(maximum_retry_attempts=retries))
    attempts = esm.drain()
    assert function.calls == [[(0, 0), (0, 1)]] * (retries + 1) + [[(0, 2), (0, 3)], [(0, 4)]]
    assert [a.attempt for a in attempts if a.batch == 1] == list(range(1, retries + 2))
    (dropped,) = esm.journal.of(Dropped)
    assert (dropped.batch, dropped.condition, dropped.records) == (1, "RetryAttemptsExhausted", {0: (range(2),)})
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 5}
    assert_ordered(esm)
    assert_at_least_once(esm, allow=("dropped",))
    with pytest.raises(AssertionError) as lost:
        assert_at_least_once(esm)
    assert str(lost.value).splitlines()[2] == (
        f"dropped-record: {topic}-0 offsets 0-1 (2 records) were dropped after batch 1 (RetryAttemptsExhausted)."
    )


def test_unlimited_retries_with_a_destination_are_ten(msk_topic, msk_esm):
    topic, function, failed = msk_topic(), Poison(0), InMemoryDestination()
    topic.produce_many([0])
    esm = msk_esm(function, topic, destination_config=on_failure(failed))
    assert len(esm.drain(max_attempts=1)) == 11
    (message,) = failed.messages
    assert (message.condition, message.invoke_count) == ("RetryAttemptsExhausted", 11)
    assert_at_least_once(esm, allow=("destination",))


def test_without_a_limit_a_batch_blocks(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce_many([0])
    esm = msk_esm(refuse(), topic, **provisioned(maximum_retry_attempts=-1))
    with pytest.raises(DeliveryBlocked, match="failed 3 times in a row"):
        esm.drain(max_attempts=3)


def test_ten_thousand_retries_run_out(msk_topic, msk_esm):
    topic, calls = msk_topic(), []

    def function(event, context):
        calls.append(context.aws_request_id)
        raise ValueError

    topic.produce_many(["a", "b"])
    esm = msk_esm(function, topic, **provisioned(maximum_retry_attempts=10_000))
    esm.drain()
    assert len(calls) == len(set(calls)) == 10_001
    assert [event.records for event in esm.journal.of(Dropped)] == [{0: (range(2),)}]


def test_retries_wait_for_the_backoff(msk_topic, msk_esm, msk_clock):
    topic = msk_topic()
    topic.produce_many([0])
    esm = msk_esm(refuse(), topic, **provisioned(maximum_retry_attempts=3, retry_backoff_in_seconds=60))
    esm.drain()
    times = [attempt.time_ms for attempt in esm.journal.of(Attempt)]
    assert [b - a for a, b in pairwise(times)] == [60_000] * 3
    (dropped,) = esm.journal.of(Dropped)
    assert dropped.time_ms == times[-1], "what is exhausted is given up at once"


@pytest.mark.parametrize("error", [ServiceError("TooManyRequestsException", "Rate Exceeded.")])
def test_throttles_back_off_and_do_not_count(msk_topic, msk_esm, error, monkeypatch):
    topic, throttled = msk_topic(), 4
    topic.produce_many([0])
    function = LambdaFunction(refuse())
    real = LambdaFunction.invoke

    def invoke(self, *args, **kwargs):
        nonlocal throttled
        if throttled:
            throttled -= 1
            raise error
        return real(self, *args, **kwargs)

    monkeypatch.setattr(LambdaFunction, "invoke", invoke)
    esm = msk_esm(function, topic, **provisioned(maximum_retry_attempts=1))
    assert [a.attempt for a in esm.drain()] == [1, 2]
    times = [event.time_ms for event in esm.journal if isinstance(event, NotInvoked | Attempt)]
    assert [b - a for a, b in pairwise(times)] == [100, 200, 400, 800, 0]


def test_a_function_that_is_throttled_for_ever_blocks_whatever_limits_the_retries(msk_topic, msk_esm, monkeypatch):
    topic = msk_topic()
    topic.produce_many([0])

    def invoke(self, *args, **kwargs):
        raise ServiceError("TooManyRequestsException", "Rate Exceeded.")

    monkeypatch.setattr(LambdaFunction, "invoke", invoke)
    esm = msk_esm(refuse(), topic, **provisioned(maximum_retry_attempts=0))
    with pytest.raises(DeliveryBlocked, match=r"failed 100 times in a row, .* with TooManyRequestsException"):
        esm.drain()
    assert esm.journal.of(Attempt) == ()


# --- splitting (spec 4.4)


def test_a_split_finds_the_poison_record(msk_topic, msk_esm, msk_broker):
    topic, function, failed = msk_topic(), Poison(5), InMemoryDestination()
    topic.produce_many(range(8))
    esm = msk_esm(
        function, topic, batch_size=8, destination_config=on_failure(failed),
        **provisioned(maximum_retry_attempts=1, bisect_batch_on_function_error=True),
    )  # fmt: skip
    esm.drain()
    offsets = [[offset for _, offset in call] for call in function.calls]
    assert offsets == [[*range(8)], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [5], [6, 7]]
    assert [(s.left, s.right) for s in esm.journal.of(Split)] == [
        ({0: (range(4),)}, {0: (range(4, 8),)}),
        ({0: (range(4, 6),)}, {0: (range(6, 8),)}),
        ({0: (range(4, 5),)}, {0: (range(5, 6),)}),
    ]
    assert [record.text for record in failed.records] == ["5"]
    assert [c.positions[0] for c in esm.journal.of(Committed)] == [4, 5, 6, 8]
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 8}
    assert find_anomalies(esm, allow=("destination",)) == ()


def test_a_split_keeps_every_partitions_order(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=2), Poison(3, 13)
    for n in range(5):
        topic.produce(str(n).encode(), partition=0)
        topic.produce(str(10 + n).encode(), partition=1)
    esm = msk_esm(
        function, topic, batch_size=10,
        **provisioned(maximum_retry_attempts=0, bisect_batch_on_function_error=True),
    )  # fmt: skip
    esm.drain()
    assert [event.records for event in esm.journal.of(Dropped)] == [{0: (range(3, 4),)}, {1: (range(3, 4),)}]
    assert find_anomalies(esm, allow=("dropped",)) == ()


# --- item failures (spec 4.5)


def test_only_the_reported_records_come_again(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(), Reporting({1: 1, 4: 2})
    topic.produce_many(range(6))
    esm = msk_esm(function, topic, batch_size=6, **provisioned(function_response_types=REPORT))
    attempts = esm.drain()
    assert [[offset for _, offset in call] for call in function.calls] == [[*range(6)], [1, 4], [4]]
    assert [a.records for a in attempts] == [None, {0: (range(1, 2), range(4, 5))}, {0: (range(4, 5),)}]
    assert [a.item_failures for a in attempts] == [{0: (range(1, 2), range(4, 5))}, {0: (range(4, 5),)}, {}]
    assert [c.positions for c in esm.journal.of(Committed)] == [{0: 1}, {0: 4}, {0: 6}]
    assert all(attempt.error is None for attempt in attempts)
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_in_strict_order_all_behind_a_reported_record_come_again(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=2), Reporting({1: 1})
    for n in range(4):
        topic.produce(str(n).encode(), partition=0)
        topic.produce(str(10 + n).encode(), partition=1)
    esm = msk_esm(function, topic, batch_size=8, strict_order=True, **provisioned(function_response_types=REPORT))
    esm.drain()
    assert function.calls[1:] == [[(0, 1), (0, 2), (0, 3)]]
    assert find_anomalies(esm) == ()


def test_reported_records_of_two_partitions(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=2), Reporting({1: 1, 12: 3})
    for n in range(4):
        topic.produce(str(n).encode(), partition=0)
        topic.produce(str(10 + n).encode(), partition=1)
    failed = InMemoryDestination()
    esm = msk_esm(
        function, topic, batch_size=8, destination_config=on_failure(failed),
        **provisioned(function_response_types=REPORT, maximum_retry_attempts=2),
    )  # fmt: skip
    esm.drain()
    assert function.calls[1:] == [[(0, 1), (1, 2)], [(1, 2)]]
    (message,) = failed.messages
    assert [record.text for record in message.records] == ["12"]
    assert message.response.function_error is None
    assert message.invoke_count == 3
    assert find_anomalies(esm, allow=("destination",)) == ()


@pytest.mark.parametrize("result", [None, "", [], {}, {"batchItemFailures": []}, {"batchItemFailures": None}], ids=repr)
def test_empty_responses_are_success(msk_topic, msk_esm, result):
    topic = msk_topic()
    topic.produce_many(range(3))
    esm = msk_esm(lambda event, context: result, topic, **provisioned(function_response_types=REPORT))
    (attempt,) = esm.drain()
    assert not attempt.failed
    assert_at_least_once(esm)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"batchItemFailures": [{"itemIdentifier": None}]}, "['itemIdentifier'] is None"),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, "['itemIdentifier'] is ''"),
        ({"batchItemFailures": [{"foo": 1}]}, "['itemIdentifier'] is missing"),
        ({"batchItemFailures": [{"itemIdentifier": {"partition": "x-0", "offset": 0}}]}, "names 'x-0' offset 0"),
        ("done", "response is 'done'"),
    ],
)
def test_an_invalid_response_has_the_whole_batch_tried_again_and_the_journal_says_why(
    msk_topic, msk_esm, result, reason
):
    topic = msk_topic()
    topic.produce_many(range(3))
    results = [result, None]
    esm = msk_esm(lambda event, context: results.pop(0), topic, **provisioned(function_response_types=REPORT))
    first, second = esm.drain()
    assert reason in first.invalid_response
    assert first.failed
    assert (second.records, second.attempt, second.failed) == (None, 2, False)
    assert find_anomalies(esm) == ()


def test_a_response_that_stays_invalid_is_the_reason_of_the_block(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce_many(range(3))
    esm = msk_esm(lambda event, context: "done", topic, **provisioned(function_response_types=REPORT))
    with pytest.raises(
        DeliveryBlocked, match=r"the last time with response is 'done': .* \(spec 4\.5\)\. AWS would go on"
    ):
        esm.drain(max_attempts=2)


def test_item_failures_that_stay_are_the_reason_of_the_block(msk_topic, msk_esm):
    topic, function = msk_topic(), Reporting({1: 99, 2: 99})
    topic.produce_many(range(3))
    esm = msk_esm(function, topic, **provisioned(function_response_types=REPORT))
    with pytest.raises(DeliveryBlocked, match=r"the last time with 2 item failures in the response\. AWS would go on"):
        esm.drain(max_attempts=2)


def test_a_batch_of_which_less_is_left_after_each_attempt_is_not_blocked(msk_topic, msk_esm):
    topic, function = msk_topic(), Reporting({offset: offset for offset in range(7)})
    topic.produce_many(range(7))
    esm = msk_esm(function, topic, **provisioned(function_response_types=REPORT))
    assert len(esm.drain(max_attempts=2)) == 7
    assert_at_least_once(esm)


def test_a_response_is_nothing_without_the_parameter(msk_topic, msk_esm):
    topic, function = msk_topic(), Reporting({1: 99})
    topic.produce_many(range(3))
    esm = msk_esm(function, topic)
    (attempt,) = esm.drain()
    assert (attempt.item_failures, attempt.invalid_response) == ({}, None)


# --- record age (spec 4.3)


def test_records_that_are_too_old_are_given_up_before_the_first_attempt(msk_topic, msk_esm, msk_clock, msk_broker):
    topic, function, failed = msk_topic(), Poison(), InMemoryDestination()
    topic.produce_many(range(3))
    msk_clock.advance(7 * 86_400 + 1)
    topic.produce_many(range(3, 5))
    esm = msk_esm(
        function, topic, destination_config=on_failure(failed), **provisioned(maximum_record_age_in_seconds=604_800)
    )
    esm.drain()
    assert function.calls == [[(0, 3), (0, 4)]]
    (message,) = failed.messages
    assert (message.condition, message.invoke_count, message.response) == ("RecordAgeExceeded", 1, None)
    assert [record.offset for record in message.records] == [0, 1, 2]
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 5}
    assert find_anomalies(esm, allow=("destination",)) == ()


def test_seven_days_of_retries_pass_at_once(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Poison(0)
    topic.produce_many([0])
    produced = msk_clock.now_ms()
    esm = msk_esm(function, topic, **provisioned(maximum_record_age_in_seconds=604_800, retry_backoff_in_seconds=3_600))
    esm.drain(max_attempts=1_000)
    assert len(function.calls) == 168
    (dropped,) = esm.journal.of(Dropped)
    assert dropped.condition == "RecordAgeExceeded"
    assert dropped.time_ms - produced > 604_800_000


def test_where_only_the_age_limits_retries_a_drain_moves_the_clock_to_it(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Poison(0)
    topic.produce_many([0, 1])
    produced = msk_clock.now_ms()
    esm = msk_esm(function, topic, batch_size=1, **provisioned(maximum_record_age_in_seconds=60))
    assert len(esm.drain(max_attempts=5)) == 5
    assert [event.records for event in esm.journal.of(Dropped)] == [{0: (range(1),)}, {0: (range(1, 2),)}]
    assert msk_clock.now_ms() == produced + 60_001, "the second record grew too old behind the first one"


# --- destinations (spec 4.6)


def test_a_destination_is_told_all_that_aws_says(msk_topic, msk_esm, msk_clock, msk_broker):
    topic, failed = msk_topic("orders", partitions=2), InMemoryDestination("failed-orders")
    topic.produce("a", partition=0, key="k", headers={"h": b"\xff"})
    topic.produce(None, partition=1)
    events = []

    def function(event, context):
        events.append((event, context.aws_request_id))
        raise ValueError("no")

    esm = msk_esm(
        LambdaFunction(function, name="charge", alias="live"), topic, destination_config=on_failure(failed),
        **provisioned(maximum_retry_attempts=1),
    )  # fmt: skip
    esm.drain()
    (message,) = failed.messages
    assert message.event == events[0][0] == events[1][0]
    assert message.payload == json.dumps(events[0][0], separators=(",", ":")).encode()
    assert message.request_id == events[1][1]
    assert message.function_arn == "arn:aws:lambda:us-east-1:123456789012:function:charge:live"
    assert (message.response.status_code, message.response.executed_version) == (200, "$LATEST")
    assert message.response.function_error == "Unhandled"
    assert (message.topic, message.batch, message.mapping_uuid) == ("orders", 1, esm.uuid)
    assert message.envelope.bootstrap_servers == msk_broker.bootstrap_servers
    assert message.time_ms == msk_clock.now_ms()
    (sent,) = esm.journal.of(SentToDestination)
    assert (sent.destination, sent.condition) == ("failed-orders", "RetryAttemptsExhausted")
    assert sent.records == {0: (range(1),), 1: (range(1),)}


def test_a_callable_is_a_destination(msk_topic, msk_esm):
    topic, told = msk_topic(), []
    topic.produce_many([0])

    def tell(failed):
        told.append(failed.records[0].text)

    esm = msk_esm(refuse(), topic, destination_config=on_failure(tell), **provisioned(maximum_retry_attempts=0))
    esm.drain()
    assert told == ["0"]
    assert esm.journal.of(SentToDestination)[0].destination.endswith("tell")


def test_what_the_destination_does_not_take_is_lost_and_committed(msk_topic, msk_esm, msk_broker):
    topic = msk_topic()
    topic.produce_many([0, 1])

    def full(failed):
        raise DestinationError("the queue is full")

    esm = msk_esm(
        Poison(0), topic, batch_size=1, destination_config=on_failure(full), **provisioned(maximum_retry_attempts=0)
    )
    esm.drain()
    (lost,) = esm.journal.of(DestinationFailed)
    assert (lost.records, lost.error, lost.condition) == (
        {0: (range(1),)},
        "the queue is full",
        "RetryAttemptsExhausted",
    )
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 2}
    assert_at_least_once(esm, allow=("dropped",))
    with pytest.raises(
        AssertionError, match=r"dropped after batch 1 \(RetryAttemptsExhausted\): .*full did not take it: the"
    ):
        assert_at_least_once(esm, allow=("destination",))


def test_an_error_of_the_destinations_own_ends_the_test_and_loses_nothing(msk_topic, msk_esm, msk_broker):
    topic, told = msk_topic(), []
    topic.produce_many([0])

    def tell(failed):
        told.append(failed)
        if len(told) == 1:
            raise AssertionError("a test's own")

    esm = msk_esm(refuse(), topic, destination_config=on_failure(tell), **provisioned(maximum_retry_attempts=0))
    with pytest.raises(AssertionError, match="a test's own"):
        esm.drain()
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {}
    esm.drain()
    assert len(told) == 2
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 1}


def test_a_record_that_is_too_large_goes_to_the_destination(msk_topic, msk_esm):
    topic, failed = msk_topic(config={"max.message.bytes": "8000000"}), InMemoryDestination()
    topic.produce_many([b"1", b"x" * 5_000_000, b"2"])
    function = Poison()
    esm = msk_esm(function, topic, destination_config=on_failure(failed))
    esm.drain()
    assert function.calls == [[(0, 0)], [(0, 2)]]
    (message,) = failed.messages
    assert (message.condition, message.response, message.invoke_count) == ("MaximumPayloadSizeExceeded", None, 1)
    assert len(message.payload) > 6_291_456
    assert [record.offset for record in message.records] == [1]
    assert find_anomalies(esm, allow=("destination",)) == ()


# --- windows (spec 3.2)


@pytest.mark.parametrize("mode", [{}, {"provisioned_poller_config": POLLERS}], ids=["on demand", "provisioned"])
def test_a_window_of_0_takes_what_is_there(msk_topic, msk_esm, msk_clock, mode):
    topic, function = msk_topic(), Poison()
    topic.produce_many(range(3))
    esm = msk_esm(function, topic, batch_size=1_000, maximum_batching_window_in_seconds=0, **mode)
    before = msk_clock.now_ms()
    esm.drain()
    assert [len(call) for call in function.calls] == [3]
    assert msk_clock.now_ms() == before


@pytest.mark.parametrize("mode", [{}, {"provisioned_poller_config": POLLERS}], ids=["on demand", "provisioned"])
def test_on_demand_the_window_begins_after_the_invocation_and_provisioned_after_the_batch(
    msk_topic, msk_esm, msk_clock, mode
):
    """The destination takes half a minute: that is after the invocation, and before the batch is completed."""
    topic, told = msk_topic(), []
    topic.produce_many([0])

    def linger(failed):
        told.append(failed)
        msk_clock.advance(30)

    def function(event, context):
        if not told:
            raise ValueError

    parameters = {"maximum_retry_attempts": 0} if mode else {}
    esm = msk_esm(
        function, topic, batch_size=10, maximum_batching_window_in_seconds=100,
        destination_config=on_failure(linger), **mode, **parameters,
    )  # fmt: skip
    while not told:
        if esm.step() is None:
            msk_clock.advance(100)
    completed = msk_clock.now_ms()
    topic.produce_many([1])
    esm.drain()
    closed = esm.journal.of(BatchClosed)[-1].time_ms
    assert closed - completed == (100_000 if mode else 70_000)


# --- expiry (spec 5.14)


def test_records_that_expire_behind_a_blocked_batch_are_lost_and_the_journal_says_so(msk_topic, msk_esm):
    topic, function = msk_topic(), Poison(0)
    topic.produce_many(range(8))
    esm = msk_esm(function, topic, batch_size=3)
    with pytest.raises(DeliveryBlocked):
        esm.drain(max_attempts=2)
    topic.expire(before=6)
    esm.drain()
    assert [[offset for _, offset in call] for call in function.calls] == [[0, 1, 2], [0, 1, 2], [6, 7]]
    assert [event.records for event in esm.journal.of(Expired)] == [{0: (range(3),)}, {0: (range(3, 6),)}]
    assert esm.journal.of(Dropped) == ()
    assert find_anomalies(esm) == ()


def test_of_a_blocked_batch_what_has_not_expired_is_tried_again(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(), Poison(0)
    topic.produce_many(range(4))
    esm = msk_esm(function, topic, batch_size=4)
    with pytest.raises(DeliveryBlocked):
        esm.drain(max_attempts=1)
    topic.expire(before=1)
    esm.drain()
    assert [[offset for _, offset in call] for call in function.calls] == [[0, 1, 2, 3], [1, 2, 3]]
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 4}
    assert find_anomalies(esm) == ()


# --- in the background


def test_in_the_background_retries_run_out_too(msk_topic, msk_esm, msk_broker):
    topic, failed = msk_topic(), InMemoryDestination()
    topic.produce_many(range(4))
    esm = msk_esm(
        Poison(2), topic, maximum_batching_window_in_seconds=0, destination_config=on_failure(failed),
        **provisioned(maximum_retry_attempts=0, bisect_batch_on_function_error=True),
    )  # fmt: skip
    with esm.running():
        esm.wait_until(lambda: msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 4})
    assert [record.text for record in failed.records] == ["2"]
    assert find_anomalies(esm, allow=("destination",)) == ()
