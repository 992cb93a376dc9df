"""The record of a function's calls, and the way back to their records."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import Invocation, LambdaFunction, MskError, NotAKafkaEvent, Record, VirtualClock
from pytest_msk.events import Envelope
from pytest_msk.functions import Delivered, FunctionError, Invocations
from pytest_msk.journal import offset_runs

ENVELOPE = Envelope(bootstrap_servers="b-1:9092", event_source_arn="arn:aws:kafka:…")
MEGABYTE = 2**20


def record(offset: int, partition: int = 0, size: int = 1) -> Record:
    return Record(topic="orders", partition=partition, offset=offset, timestamp=1, value=b"x" * size)


def event(*records: Record):
    return ENVELOPE.event(records)


class Log:
    """A topic's log, which remembers what was read from it."""

    def __init__(self):
        self.asked = []

    def read(self, offsets):
        self.asked.append(offsets)
        return [record(offset, partition) for partition, runs in offsets.items() for run in runs for offset in run]


texts = st.text(max_size=12)
errors = st.builds(FunctionError, type=st.text("abc.", min_size=1), message=texts, stack_trace=st.tuples(texts))
partitions = st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 99), min_size=1), min_size=1, max_size=3)


@given(
    st.lists(
        st.tuples(
            st.uuids().map(str),
            st.integers(0, 2**45),
            st.integers(0, 900_000),
            st.booleans(),
            st.none() | st.integers() | st.text(st.characters(codec="utf-8")) | st.lists(st.floats(allow_nan=False)),
            st.none() | errors,
            texts,
            partitions,
        ),
        max_size=6,
    )
)
def test_calls_come_back_as_they_were(calls):
    invocations, log, expected = Invocations(), Log(), []
    for request_id, started_ms, took_ms, cold_start, result, error, text, offsets in calls:
        runs = {partition: offset_runs(sorted(found)) for partition, found in offsets.items()}
        call = Invocation(
            request_id=request_id,
            started_ms=started_ms,
            duration=took_ms / 1000,
            cold_start=cold_start,
            result=result,
            error=error,
            log=text,
            _event=b"x" * MEGABYTE,
            _delivered=Delivered(runs, log.read),
        )
        invocations.add(call, None if result is None else json.dumps(result))
        expected.append(call)
    assert len(invocations) == len(calls)
    assert list(invocations) == expected == list(invocations[:])
    for number, (invocation, call) in enumerate(zip(invocations, calls, strict=True)):
        assert invocations[number] == invocation == invocations[number - len(calls)]
        assert invocation.result == call[4]
        assert invocation.duration == call[2] / 1000
        assert invocation.error is None or invocation.error.stack_trace == call[5].stack_trace
        if number < len(calls) - 1:  # all but the latest one's are read from the log
            offsets = [(r.partition, r.offset) for r in invocation.records]
            assert offsets == [(p, o) for p, found in call[7].items() for o in sorted(found)]


def test_the_latest_events_are_read_from_memory_and_the_others_from_the_log():
    function, log = LambdaFunction(lambda event, context: None), Log()
    for offset in range(4):
        delivered = Delivered({0: (range(offset, offset + 1),)}, log.read)
        function.invoke(event(record(offset, size=MEGABYTE // 6)), delivered=delivered)
    assert [len(i.records[0].value) for i in function.invocations] == [MEGABYTE // 6] * 4
    function.invoke(event(record(4, size=MEGABYTE // 6)), delivered=Delivered({0: (range(4, 5),)}, log.read))
    assert [len(i.records[0].value) for i in function.invocations] == [1, 1, 1, MEGABYTE // 6, MEGABYTE // 6]
    assert log.asked == [{0: (range(n, n + 1),)} for n in range(3)]


def test_one_large_event_is_kept_all_the_same():
    function = LambdaFunction(lambda event, context: None)
    function.invoke(event(record(0)))
    function.invoke(event(record(1, size=3 * MEGABYTE)))
    assert len(function.invocations[1].records[0].value) == 3 * MEGABYTE
    with pytest.raises(
        MskError, match=r"^The event of this call is not kept any more: a function keeps the latest ones"
    ):
        _ = function.invocations[0].records


def test_exceptions_of_the_latest_failures_are_kept():
    def fail(event, context):
        raise LookupError(len(event["records"]))

    function = LambdaFunction(fail)
    calls = MEGABYTE // 4096 + 10
    for _ in range(calls):
        function.invoke(event())
    kept = [invocation.error.exception for invocation in function.invocations]
    assert kept[0] is None
    assert isinstance(kept[-1], LookupError)
    assert 0 < sum(exception is not None for exception in kept) < MEGABYTE // 4096
    assert {str(invocation.error) for invocation in function.invocations} == {"LookupError: 0"}
    assert all(len(invocation.error.stack_trace) == 1 for invocation in function.invocations)


def test_records_are_those_of_the_event_in_its_order():
    records = (record(5, 1), record(7, 1), record(3, 0))
    invocation = LambdaFunction(lambda event, context: None).invoke(event(*records))
    assert invocation.records == records


def test_what_is_no_kafka_event_has_no_records():
    invocation = LambdaFunction(lambda event, context: event["a"]).invoke(b'{"a": 1}')
    assert invocation.result == 1
    with pytest.raises(NotAKafkaEvent):
        _ = invocation.records


def test_an_invocation_made_by_hand_has_no_records():
    with pytest.raises(MskError, match="The event of this call is not kept any more"):
        _ = Invocation(request_id="id").records


def test_the_payload_is_what_lambda_answers():
    def handler(event, context):
        if event["records"]:
            raise LookupError("größe")
        return {"größe": 1}

    function = LambdaFunction(handler)
    assert function.invoke(event()).payload.decode() == '{"größe": 1}'
    failed = function.invoke(event(record(0)))
    assert json.loads(failed.payload) == failed.error.payload(failed.request_id)
    assert json.loads(failed.payload)["requestId"] == failed.request_id


def test_clearing_forgets_the_calls_and_mixes_none_up():
    function = LambdaFunction(lambda event, context: None)
    old = function.invoke(event(record(1)))
    function.invocations.clear()
    assert (len(function.invocations), list(function.invocations), repr(function.invocations)) == (
        0,
        [],
        "<0 invocations>",
    )
    new = function.invoke(event(record(2)))
    assert function.invocations[0] == new
    assert [r.offset for r in function.invocations[0].records] == [2]
    assert [r.offset for r in old.records] == [1], "who holds a call has its event"
    with pytest.raises(IndexError):
        _ = function.invocations[1]


def test_a_call_takes_little_memory():
    function, log = LambdaFunction(lambda event, context: None), Log()
    offsets = {partition: (range(10**9, 10**9 + 33),) for partition in range(3)}
    payload, clock = json.dumps(event(record(0))).encode(), VirtualClock()
    for _ in range(3_000):
        function.invoke(payload, clock, delivered=Delivered(offsets, log.read))
    assert function.invocations.nbytes / 3_000 < 200
    assert sys.getsizeof(function.invocations._lines) == function.invocations.nbytes
