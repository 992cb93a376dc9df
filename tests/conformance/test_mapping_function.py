"""The function of a mapping: its records and log, its time limit, and calls that do not reach it."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import (
    Attempt,
    BatchClosed,
    DeliveryBlocked,
    EventSourceMappingError,
    FunctionStuck,
    LambdaFunction,
    NotInvoked,
    ServiceError,
    VirtualClock,
    assert_at_least_once,
    assert_ordered,
)
from pytest_msk.errors import BrokerError
from pytest_msk.sandbox import Sandbox

NOW = {"maximum_batching_window_in_seconds": 0}


def ignore(event, context):
    pass


def test_an_invocation_has_its_records(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=2), LambdaFunction(ignore)
    topic.produce_many([b"a", b"b", b"c"], headers=[("h", b"\xff")])
    esm = msk_esm(function, topic)
    esm.drain()
    (invocation,) = function.invocations
    assert esm.function is function
    assert sorted(record.value for record in invocation.records) == [b"a", b"b", b"c"]
    assert sorted(topic.records(), key=str) == sorted(invocation.records, key=str)
    assert invocation.cold_start


def test_a_handler_that_is_given_as_it_is_has_its_invocations_too(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm(lambda event, context: {"seen": 1}, topic)
    esm.drain()
    assert [(i.result, i.error) for i in esm.function.invocations] == [({"seen": 1}, None)]


def forget_events(function: LambdaFunction) -> None:
    """Make a function read the records of all its calls but the last from the topic's log."""
    function.invocations._size += 2**30
    function.invocations._write()


def test_records_are_read_back_from_the_log(msk_topic, msk_esm):
    topic, events = msk_topic(partitions=3), []
    topic.produce_many(({"n": n} for n in range(50)), key=lambda value: str(value["n"] % 7), headers={"h": b"\xff"})
    topic.produce(None, key="tombstone")
    function = LambdaFunction(lambda event, context: events.append(event))
    msk_esm(function, topic, batch_size=8).drain()
    kept = [invocation.records for invocation in function.invocations]
    forget_events(function)
    assert [invocation.records for invocation in function.invocations] == kept
    assert [[r.to_event() for r in records] for records in kept] == [
        [record for group in event["records"].values() for record in group] for event in events
    ]


def test_records_that_have_expired_are_not_read_back(msk_topic, msk_esm):
    topic, function = msk_topic(), LambdaFunction(ignore)
    topic.produce_many("abcdef")
    msk_esm(function, topic, batch_size=2).drain()
    topic.expire(before=1)
    assert [r.value for r in function.invocations[0].records] == [b"a", b"b"], "the latest events are kept"
    forget_events(function)
    assert [r.value for r in function.invocations[1].records] == [b"c", b"d"]
    with pytest.raises(
        BrokerError, match=r"^1 of 2 records are not in the log of .* the first one at partition 0, offset 0"
    ):
        _ = function.invocations[0].records
    topic.expire()
    with pytest.raises(BrokerError, match=r"^2 of 2 records are not in the log"):
        _ = function.invocations[1].records


@given(
    partitions=st.lists(st.integers(0, 2), min_size=1, max_size=30),
    filtered=st.booleans(),
    batch_size=st.integers(1, 7),
    failures=st.integers(0, 2),
)
def test_every_call_has_the_records_that_the_function_saw(msk_broker, partitions, filtered, batch_size, failures):
    seen = []

    def handler(event, context):
        seen.append([(r["partition"], r["offset"]) for group in event["records"].values() for r in group])
        if len(seen) <= failures:
            raise ValueError

    function = LambdaFunction(handler)
    sandbox = Sandbox(msk_broker, VirtualClock(), "calls", 30)
    try:
        topic = sandbox.topic(partitions=3)
        for number, partition in enumerate(partitions):
            topic.produce({"odd": number % 2}, partition=partition)
        pattern = {"Filters": [{"Pattern": '{"value": {"odd": [0]}}'}]}
        parameters = {"filter_criteria": pattern} if filtered else {}
        esm = sandbox.mapping(function, topic, batch_size=batch_size, **parameters)
        attempts = esm.drain()
        calls = function.invocations
        assert [attempt.request_id for attempt in attempts] == [call.request_id for call in calls]
        forget_events(function)
        assert [[(r.partition, r.offset) for r in call.records] for call in calls] == seen
    finally:
        sandbox.close()


def test_a_functions_log_is_in_the_journal(msk_topic, msk_esm, capsys):
    numbers = iter(range(3))

    def handler(event, context):
        number = next(numbers)
        if number == 1:
            return
        print(f"call {number}")
        if number == 0:
            raise ValueError("once")

    topic = msk_topic()
    topic.produce_many("ab")
    esm = msk_esm(handler, topic, batch_size=1)
    attempts = esm.drain()
    assert [attempt.log for attempt in attempts] == ["call 0\n", "", "call 2\n"]
    assert esm.journal.of(Attempt) == attempts
    assert [i.log for i in esm.function.invocations] == ["call 0\n", "", "call 2\n"]
    assert capsys.readouterr().out == "call 0\ncall 2\n"


def test_a_handlers_name_is_a_function(msk_topic, msk_esm, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "msk_orders_app.py").write_text("seen = []\n\ndef handler(event, context):\n    seen.append(event)\n")
    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm("msk_orders_app.handler", topic)
    esm.drain()
    assert len(sys.modules.pop("msk_orders_app").seen) == 1
    assert_at_least_once(esm)


def test_the_timeout_of_a_mappings_function_has_a_limit(msk_topic, msk_esm):
    topic = msk_topic()
    msk_esm(LambdaFunction(ignore, timeout=840), topic)
    with pytest.raises(EventSourceMappingError, match=r"is 841 seconds, but a function of .* at most 840"):
        msk_esm(LambdaFunction(ignore, name="slow", timeout=841), topic)


def test_environments_differ_between_mappings_that_run_at_once(msk_topic, msk_esm):
    seen = {}

    def handler(event, context):
        seen.setdefault(context.function_name, set()).add(os.environ.get("MSK_STAGE"))

    mappings = []
    for stage in ("blue", "green"):
        topic = msk_topic()
        topic.produce_many(range(20))
        function = LambdaFunction(handler, name=stage, environment={"MSK_STAGE": stage})
        mappings.append(msk_esm(function, topic, batch_size=1, **NOW))
    for esm in mappings:
        esm.start()
    for esm in mappings:
        esm.wait_until(lambda esm=esm: len(esm.function.invocations) == 20)
        esm.stop()
    assert seen == {"blue": {"blue"}, "green": {"green"}}
    assert "MSK_STAGE" not in os.environ


# --- calls that do not reach the function


class Throttled(LambdaFunction):
    """A function whose service refuses the first calls."""

    refusals = 0

    def invoke(self, event, clock=None, **how):
        if self.refusals:
            self.refusals -= 1
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.")
        return super().invoke(event, clock, **how)


def test_a_throttle_is_no_attempt_and_is_waited_out(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Throttled(ignore)
    topic.produce_many("ab")
    function.refusals = 3
    esm = msk_esm(function, topic, retry_backoff_in_seconds=2)
    started = msk_clock.now_ms()
    (attempt,) = esm.drain()
    assert (attempt.attempt, attempt.error) == (1, None)
    refused = esm.journal.of(NotInvoked)
    assert [(event.batch, event.error) for event in refused] == [(1, "TooManyRequestsException: Rate Exceeded.")] * 3
    assert [event.time_ms - started for event in refused] == [500, 2_500, 4_500]
    assert msk_clock.now_ms() == started + 6_500
    assert esm.last_processing_result == "OK"
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_a_service_that_never_recovers_ends_the_drain(msk_topic, msk_esm):
    topic, function = msk_topic(), Throttled(ignore)
    topic.produce("x")
    function.refusals = 1_000
    esm = msk_esm(function, topic)
    with pytest.raises(
        DeliveryBlocked, match=r"failed 5 times in a row, .*TooManyRequestsException: Rate Exceeded\."
    ) as raised:
        esm.drain(max_attempts=5)
    assert isinstance(raised.value.__cause__, ServiceError)
    assert esm.last_processing_result == "PROBLEM: Function call failed"
    assert esm.journal.of(Attempt) == ()


def test_a_throttle_is_waited_out_in_the_background(msk_topic, msk_esm):
    topic, function = msk_topic(), Throttled(ignore)
    topic.produce("x")
    function.refusals = 2
    esm = msk_esm(function, topic, **NOW)
    with esm.running():
        esm.wait_until(lambda: esm.last_processing_result == "OK")
    assert len(esm.journal.of(NotInvoked)) == 2
    assert_at_least_once(esm)


# --- the time limit in the background


def test_a_call_ends_at_its_timeout_in_the_background(msk_topic, msk_esm):
    calls = []

    def handler(event, context):
        calls.append(threading.current_thread())
        if len(calls) == 1:
            while True:
                pass

    topic, function = msk_topic(), LambdaFunction(handler, timeout=0.2)
    topic.produce("x")
    esm = msk_esm(function, topic, **NOW)
    with esm.running():
        esm.wait_until(lambda: esm.last_processing_result == "OK")
    first, second = esm.journal.of(Attempt)
    assert first.error == "Sandbox.Timedout: Task timed out after 0.20 seconds"
    assert second.error is None
    assert first.time_ms - esm.journal.of(BatchClosed)[0].time_ms >= 200
    assert function.invocations[0].duration >= 0.2
    assert function.invocations[1].cold_start
    assert not any(thread.is_alive() for thread in calls)
    assert_at_least_once(esm)


def test_a_timeout_is_real_time_only_in_the_background(msk_topic, msk_esm):
    topic, function = msk_topic(), LambdaFunction(lambda event, context: time.sleep(0.05), timeout=0.01)
    topic.produce("x")
    esm = msk_esm(function, topic)
    (attempt,) = esm.drain()
    assert attempt.error is None


def test_a_function_that_cannot_be_interrupted_fails_the_test(msk_topic, msk_esm):
    lock, threads = threading.Lock(), []
    lock.acquire()

    def handler(event, context):
        threads.append(threading.current_thread())
        lock.acquire()

    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm(LambdaFunction(handler, name="charge", timeout=0.1), topic, **NOW)
    esm.start()
    try:
        with pytest.raises(FunctionStuck, match=r"^charge did not end at its time limit of 0\.1 s") as raised:
            esm.wait_until(lambda: False)
        assert f"Its thread {threads[0].name!r} was left behind" in str(raised.value)
        (attempt,) = esm.journal.of(Attempt)
        assert attempt.error == "Sandbox.Timedout: Task timed out after 0.10 seconds"
    finally:
        lock.release()
        threads[0].join(30)
    esm.close()


def test_a_stuck_function_fails_a_stepped_test_that_has_a_guard(msk_topic, msk_esm):
    lock, threads = threading.Lock(), []
    lock.acquire()

    def handler(event, context):
        threads.append(threading.current_thread())
        if len(threads) == 1:
            lock.acquire()

    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm(LambdaFunction(handler, real_time_limit=0.1), topic)
    try:
        with pytest.raises(FunctionStuck):
            esm.drain()
    finally:
        lock.release()
        threads[0].join(30)
    (attempt,) = esm.drain()
    assert (attempt.attempt, attempt.error) == (2, None)
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_pytests_outcomes_end_the_test_from_any_thread(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm(LambdaFunction(lambda event, context: pytest.fail("seen"), real_time_limit=30), topic)
    with pytest.raises(pytest.fail.Exception, match="seen"):
        esm.drain()
    assert esm.journal.of(Attempt) == ()
