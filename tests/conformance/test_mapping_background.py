"""Background mode: the mapping polls on a thread in real time, for systems that produce by themselves."""

from __future__ import annotations

import pytest

from pytest_msk import MskError, assert_at_least_once, assert_ordered
from pytest_msk.clock import ClockError


def test_records_are_delivered_as_they_come(msk_topic, msk_esm):
    topic, seen = msk_topic(partitions=2), []
    esm = msk_esm(lambda event, context: seen.append(event), topic, maximum_batching_window_in_seconds=0)
    with esm.running():
        for number in range(3):
            topic.produce({"n": number})
            esm.wait_until(lambda number=number: len(seen) == number + 1)
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_failing_attempt_is_repeated(msk_topic, msk_esm):
    topic, calls = msk_topic(), []

    def fail_twice(event, context):
        calls.append(context.aws_request_id)
        if len(calls) < 3:
            raise ValueError

    esm = msk_esm(fail_twice, topic, batch_size=1)
    with esm.running():
        topic.produce("x")
        esm.wait_until(lambda: esm.last_processing_result == "OK")
    assert len(calls) == 3
    assert_at_least_once(esm)


def test_clock_follows_real_time_meanwhile(msk_topic, msk_esm, msk_clock):
    topic = msk_topic()
    esm = msk_esm(lambda event, context: None, topic)
    with esm.running():
        started = msk_clock.now_ms()
        with pytest.raises(ClockError, match="on real time"):
            msk_clock.advance(1)
        esm.wait_until(lambda: msk_clock.now_ms() > started + 20)
    stopped = msk_clock.now_ms()
    msk_clock.advance(1)
    assert msk_clock.now_ms() == stopped + 1000


def test_condition_that_never_holds_ends_with_the_last_events(msk_topic, msk_esm):
    topic = msk_topic()
    esm = msk_esm(lambda event, context: None, topic)
    with (
        esm.running(),
        pytest.raises(TimeoutError, match=r"(?s)test_mapping_background.py:\d+ did not hold within 0.1 s.*Enabled"),
    ):
        esm.wait_until(lambda: False, timeout=0.1)


def test_what_goes_wrong_on_the_thread_is_raised_in_the_test(msk_topic, msk_esm):
    topic = msk_topic()
    esm = msk_esm(lambda event, context: pytest.fail("seen on the thread"), topic, batch_size=1)
    esm.start()
    topic.produce("x")
    with pytest.raises(pytest.fail.Exception, match="seen on the thread"):
        esm.wait_until(lambda: False)
    esm.stop()


def test_what_goes_wrong_on_the_thread_is_raised_by_stop_if_nobody_waited(msk_topic, msk_esm):
    topic, called = msk_topic(), []
    esm = msk_esm(lambda event, context: called.append(1) or pytest.fail("unseen"), topic, batch_size=1)
    esm.start()
    topic.produce("x")
    esm.wait_until(lambda: called)
    with pytest.raises(pytest.fail.Exception, match="unseen"):
        esm.stop()


def test_background_and_stepped_mode_exclude_each_other(msk_topic, msk_esm):
    esm = msk_esm(lambda event, context: None, msk_topic())
    with pytest.raises(MskError, match="background mode"):
        esm.wait_until(lambda: True)
    with esm.running():
        with pytest.raises(MskError, match=r"esm\.stop"):
            esm.drain()
        with pytest.raises(MskError, match="already"):
            esm.start()
    esm.stop()


def test_stepping_goes_on_where_the_background_ended(msk_topic, msk_esm):
    topic, seen = msk_topic(), []
    esm = msk_esm(lambda event, context: seen.append(len(event["records"][f"{topic}-0"])), topic, batch_size=2)
    with esm.running():
        topic.produce_many("ab")
        esm.wait_until(lambda: seen)
    topic.produce_many("cd")
    esm.drain()
    assert sum(seen) == 4
    assert_at_least_once(esm)
    assert_ordered(esm)
