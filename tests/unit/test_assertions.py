"""Assertions about a mapping's deliveries, on made-up journals."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from hypothesis import given
from made_up_runs import TOPIC, MadeUpRun, attempted, closed, correct_runs, delivered

from pytest_msk import (
    Consumption,
    Journal,
    Record,
    assert_at_least_once,
    assert_batches,
    assert_exactly_once,
    assert_no_anomalies,
    assert_no_redelivery,
    assert_ordered,
    assert_sent_to_destination,
    find_anomalies,
    msk_event,
)
from pytest_msk.brokers import Watermarks
from pytest_msk.errors import BrokerError
from pytest_msk.filters.criteria import FilterCriteria
from pytest_msk.journal import Assigned, Committed, DestinationFailed, Dropped, Event, Offsets, SentToDestination


def no_broker(*_: object, **__: object) -> None:
    raise BrokerError("there is none")


def mapping(events: Iterable[Event], log: Offsets, origins: dict[int, int] | None = None) -> SimpleNamespace:
    """What the assertions ask a mapping for."""
    journal = Journal(TOPIC)
    for event in events:
        journal.append(event)
    return SimpleNamespace(
        topic=TOPIC,
        journal=journal,
        starting=SimpleNamespace(origins=origins or {}),
        broker=SimpleNamespace(
            offsets={TOPIC: log}.__getitem__,
            consumer=no_broker,
            watermarks=lambda topic: {partition: Watermarks(low=0, high=1_000_000) for partition in log},
        ),
        function=SimpleNamespace(name="charge"),
        clock=None,
        config=SimpleNamespace(batch_size=100, filters=FilterCriteria()),
        consumer_group_id="group",
    )


def begun(*partitions: int) -> Assigned:
    return Assigned(time_ms=0, positions=dict.fromkeys(partitions, 0))


def message(assertion, esm) -> str:
    with pytest.raises(AssertionError) as raised:
        assertion(esm)
    return str(raised.value)


@given(correct_runs())
def test_a_correct_run_passes(run: MadeUpRun):
    esm = mapping(run.events, run.offsets)
    assert_ordered(esm)
    assert_at_least_once(esm)
    assert find_anomalies(esm) == ()


def test_a_mapping_without_records_passes():
    esm = mapping([begun(0)], {0: ()})
    assert_ordered(esm)
    assert_at_least_once(esm)


def test_the_wrong_order_fails_with_the_function_the_place_and_what_stands_around_it():
    esm = mapping([begun(0), *delivered(1, {0: (range(2, 4),)}), *delivered(2, {0: (range(2),)})], {0: (range(4),)})
    assert message(assert_ordered, esm) == (
        "The records of 'orders' were not delivered in order to charge: 1 anomaly.\n"
        "\n"
        "unordered-delivery: orders-0 offsets 0-1 (2 records) came first in batch 2, attempt 1, after offset 3 had "
        "been delivered.\n"
        "  expected: first deliveries of a partition are in offset order.\n"
        "  > offset 0  batch 2, attempt 1 (invocation id): ok\n"
        "  > offset 1  batch 2, attempt 1 (invocation id): ok\n"
        "    offset 2  batch 1, attempt 1 (invocation id): ok\n"
        "    offset 3  batch 1, attempt 1 (invocation id): ok"
    )
    assert_at_least_once(esm)


def test_a_blocked_record_fails_with_the_function_the_place_and_what_happened():
    events = [begun(0), closed(3, {0: (range(4),)}), attempted(3, 1, "KeyError: 'id'")]
    esm = mapping(events, {0: (range(4),)})
    assert message(assert_at_least_once, esm) == (
        "The records of 'orders' were not all delivered to charge: 1 anomaly.\n"
        "\n"
        "blocked-record: orders-0 offsets 0-3 (4 records) in batch 3 failed: 1 time, at last with KeyError: 'id'.\n"
        "  expected: every record from the starting position on is in a successful attempt, or filtered.\n"
        "  > offset 0  batch 3, attempt 1 (invocation id): KeyError: 'id'\n"
        "  > offset 1  batch 3, attempt 1 (invocation id): KeyError: 'id'\n"
        "    ... and 2 more up to offset 3"
    )
    assert_ordered(esm)


def test_where_a_partition_begins_is_asked_of_the_mapping():
    log = {0: (range(3),), 1: (range(3),)}
    esm = mapping([begun(0), *delivered(1, {0: (range(3),)})], log, origins={1: 2})
    assert "orders-1 offset 2 never reached the mapping" in message(assert_at_least_once, esm)
    assert_at_least_once(mapping([begun(0), *delivered(1, {0: (range(3),)})], log, origins={1: 3}))


@pytest.mark.parametrize(
    ("batches", "shown", "more"),
    [(5, 4, None), (6, 4, "... and 1 more: 1 unordered-delivery."), (20, 4, "... and 15 more: 15 unordered-delivery.")],
)
def test_four_anomalies_are_shown_and_the_rest_counted(batches, shown, more):
    """Every batch but the first comes before its turn's records: one anomaly each."""
    events = [event for n in range(batches) for event in delivered(n + 1, {0: (range(100 - n, 101 - n),)})]
    first, *lines = message(assert_ordered, mapping(events, {0: ()})).splitlines()
    assert first == f"The records of 'orders' were not delivered in order to charge: {batches - 1} anomalies."
    assert sum(line.startswith("unordered-delivery: orders-0 offset ") for line in lines) == shown
    assert (lines[-1] if lines[-1].startswith("...") else None) == more


def test_all_anomalies_are_found_the_worst_first():
    events = [begun(0), *delivered(1, {0: (range(2, 4),)}), *delivered(2, {0: (range(1, 2),)}),
              Committed(time_ms=0, positions={0: 4})]  # fmt: skip
    names = [anomaly.name for anomaly in find_anomalies(mapping(events, {0: (range(4),)}))]
    assert names == ["lost-write", "unsafe-commit", "skipped-offset", "unordered-delivery"]


# --- plain records, and other clients' messages


def record(offset: int, partition: int = 0, **more) -> Record:
    return Record(topic=TOPIC, partition=partition, offset=offset, timestamp=1, **more)


class ConfluentMessage:
    """What confluent-kafka gives: methods."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 5


class ConsumerRecord(NamedTuple):
    """What kafka-python and aiokafka give: attributes, and the former is a tuple."""

    topic: str
    partition: int
    offset: int
    timestamp: int = 5
    timestamp_type: int = 0
    key: bytes | None = b"k"
    value: object = b"v"
    headers: tuple[object, ...] = ()


@pytest.mark.parametrize(
    "consumed",
    [
        [record(0), record(2), record(1)],
        [ConfluentMessage(0), ConfluentMessage(2), ConfluentMessage(1)],
        [ConsumerRecord(TOPIC, 0, 0), ConsumerRecord(TOPIC, 0, 2), ConsumerRecord(TOPIC, 0, 1)],
        [record(0).to_event(), record(2).to_event(), record(1).to_event()],
        [[record(0), record(2)], [record(1)]],
        iter([msk_event([record(0), record(2)]), msk_event([record(1)])]),
    ],
    ids=["Record", "confluent-kafka", "kafka-python", "of an event", "batches", "events"],
)
def test_plain_records_of_any_client_are_taken(consumed):
    with pytest.raises(AssertionError, match="unordered-delivery: orders-0 offset 1 came first in batch"):
        assert_ordered(consumed)


def test_a_swap_inside_an_event_is_told_apart():
    event = msk_event([record(0)])
    event["records"]["orders-0"] = [record(1).to_event(), record(0).to_event()]
    with pytest.raises(AssertionError, match="unordered-event: orders-0 offset 0 stands behind offset 1 in the event"):
        assert_ordered([event])


def test_plain_records_are_held_against_those_that_were_produced():
    produced = [record(offset, key=b"c-%d" % offset) for offset in range(5)]
    assert_at_least_once(produced, produced)
    assert_exactly_once(produced, produced)
    with pytest.raises(AssertionError) as raised:
        assert_at_least_once([*produced[:2], *produced[3:]], produced)
    assert str(raised.value) == (
        "The records of 'orders' were not all delivered to the consumer: 1 anomaly.\n"
        "\n"
        "lost-write: orders-0 offset 2 was not delivered, but its partition went on to 5.\n"
        "  expected: every record from the starting position on is in a successful attempt, or filtered.\n"
        "    offset 0  key 'c-0'  batch 1, attempt 1 (invocation 1.1): ok\n"
        "    offset 1  key 'c-1'  batch 2, attempt 1 (invocation 2.1): ok\n"
        "  > offset 2  key 'c-2'  never delivered\n"
        "    offset 3  key 'c-3'  batch 3, attempt 1 (invocation 3.1): ok\n"
        "    offset 4  key 'c-4'  batch 4, attempt 1 (invocation 4.1): ok"
    )


def test_a_record_that_came_twice_is_at_least_once_and_ordered_but_not_exactly_once():
    produced = [record(offset) for offset in range(3)]
    twice = [*produced, *produced[1:]]
    assert_ordered(twice)
    assert_at_least_once(twice, produced)
    with pytest.raises(AssertionError, match="duplicate: orders-0 offset 1 succeeded again in batch 4, attempt 1"):
        assert_exactly_once(twice, produced)
    with pytest.raises(AssertionError, match="redelivery: orders-0 offset 1 came again in batch 4, attempt 1"):
        assert_no_redelivery(twice)
    assert_no_anomalies(twice, produced)


def test_another_value_at_an_offset_and_an_offset_that_never_was_are_told():
    produced = [record(0, value=b"a"), record(1, value=b"b")]
    found = find_anomalies([record(0, value=b"a"), record(1, value=b"x"), record(7)], produced)
    assert [str(anomaly) for anomaly in found] == [
        "inconsistent-offsets: orders-0 offset 1 came as key None, value b'x', but is key None, value b'b' in the log.",
        "foreign-record: orders-0 offset 7 came, but its log ends at 2.",
    ]


def test_what_a_deserializer_has_made_of_a_value_is_not_held_against_the_log():
    produced = [record(0, value=b'{"id": 1}'), record(1, key=b"k", value=b"text")]
    assert_no_anomalies(
        [ConsumerRecord(TOPIC, 0, 0, value={"id": 1}), ConsumerRecord(TOPIC, 0, 1, value="text")], produced
    )
    found = find_anomalies(
        [ConsumerRecord(TOPIC, 0, 0, value={"id": 1}), ConsumerRecord(TOPIC, 0, 1, value="x")], produced
    )
    assert [anomaly.name for anomaly in found] == ["inconsistent-offsets"]


def test_records_of_other_topics_are_left_out_where_the_topic_is_known():
    other = Record(topic="refunds", partition=0, offset=9, timestamp=1)
    with pytest.raises(TypeError, match="records of several topics, orders, refunds: give those of one"):
        assert_ordered([record(0), other])


def test_what_was_produced_must_be_said():
    with pytest.raises(TypeError, match="What there was to consume is not known"):
        assert_at_least_once([record(0)])


@pytest.mark.parametrize("wrong", ["text", 5, {"a": 1}], ids=repr)
def test_something_else_is_refused(wrong):
    with pytest.raises(TypeError, match="give a mapping, a Consumption, or the records that were consumed"):
        assert_ordered(wrong)


def test_what_is_no_record_is_refused_with_what_it_lacks():
    with pytest.raises(TypeError, match="is no record: it has no topic"):
        assert_ordered([object()])


# --- a consumption that is told step by step


def test_a_consumption_knows_why_a_record_came_again():
    told = Consumption(TOPIC, name="billing")
    told.assigned({0: 0})
    told.delivered([record(0), record(1)])
    told.revoked([0])
    told.assigned({0: 0})
    told.delivered([record(0), record(1)])
    told.committed({0: 2})
    assert_no_anomalies(told, [record(0), record(1)])
    told.delivered([record(1)])
    with pytest.raises(AssertionError, match=r"to billing: 1 anomaly\.\n\nunexplained-redelivery: orders-0 offset 1"):
        assert_ordered(told)


def test_a_failed_attempt_explains_a_redelivery_and_blocks_what_is_behind_it():
    told = Consumption(TOPIC)
    batch = told.batch([record(0)])
    told.attempted(batch, error=ValueError("no"))
    told.attempted(batch)
    assert_no_anomalies(told, [record(0)])
    told.delivered([record(1)], error="KeyError: 'id'")
    told.delivered([record(2)])
    with pytest.raises(AssertionError, match="passed-blocked-record: orders-0 offset 2 came in batch 3, attempt 1"):
        assert_ordered(told)


def test_only_those_that_failed_may_come_again():
    told = Consumption(TOPIC)
    batch = told.batch([record(0), record(1)])
    told.attempted(batch, failed=[record(0)])
    told.delivered([record(0)])
    assert_no_anomalies(told, [record(0), record(1)])
    told = Consumption(TOPIC)
    batch = told.batch([record(0), record(1)])
    told.attempted(batch, failed=[record(0)])
    told.delivered([record(0), record(1)])
    assert [anomaly.name for anomaly in find_anomalies(told, [record(0), record(1)])] == ["unexplained-redelivery"]


# --- what may be allowed, batches, the destination


def given_up(kind=Dropped, **more) -> list[Event]:
    return [begun(0), closed(1, {0: (range(2),)}), attempted(1, 1, "E: no"),
            kind(time_ms=0, batch=1, condition="RetryAttemptsExhausted", records={0: (range(2),)}, **more),
            Committed(time_ms=0, positions={0: 2})]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "allow", "text"),
    [
        (
            given_up(),
            ("dropped",),
            "dropped-record: orders-0 offsets 0-1 (2 records) were dropped after batch 1 (RetryAttemptsExhausted).",
        ),
        (
            given_up(SentToDestination, destination="arn:q"),
            ("destination",),
            "dead-lettered-record: orders-0 offsets 0-1 (2 records) were sent to arn:q after batch 1 "
            "(RetryAttemptsExhausted).",
        ),
        (
            given_up(DestinationFailed, destination="arn:q", error="AccessDenied"),
            ["dropped", "destination"],
            "dropped-record: orders-0 offsets 0-1 (2 records) were dropped after batch 1 (RetryAttemptsExhausted): "
            "arn:q did not take them: AccessDenied.",
        ),
    ],
)
def test_records_that_were_given_up_fail_unless_they_are_allowed(events, allow, text):
    esm = mapping(events, {0: (range(2),)})
    assert text in message(assert_at_least_once, esm)
    assert_at_least_once(esm, allow=allow)
    assert find_anomalies(esm, allow=allow) == ()
    assert len(find_anomalies(esm)) == 1


def test_batch_sizes_and_close_reasons():
    esm = mapping([begun(0), *delivered(1, {0: (range(2),)}), *delivered(2, {0: (range(2, 3),)})], {0: (range(3),)})
    assert_batches(esm, sizes=[2, 1], reasons=["size", "size"], max_size=2)
    with pytest.raises(AssertionError) as raised:
        assert_batches(esm, sizes=[2, 2])
    assert str(raised.value) == (
        "The sizes of the batches of 'orders' are not as expected: batch 2 differs.\n"
        "  expected: [2, 2]\n"
        "  found:    [2, 1]\n"
        "    batch 1: 2 records, closed by size\n"
        "  > batch 2: 1 record, closed by size"
    )
    with pytest.raises(AssertionError, match=r"The close reasons of the batches .* 2 batches were closed"):
        assert_batches(esm, reasons=["size"])
    with pytest.raises(AssertionError, match="1 of 2 batches of 'orders' have more than 1 record"):
        assert_batches(esm, max_size=1)


def test_what_the_destination_was_told_of():
    esm = mapping(given_up(SentToDestination, destination="arn:q"), {0: (range(2),)})
    assert_sent_to_destination(esm)
    assert_sent_to_destination(esm, {0: [1, 0]}, condition="RetryAttemptsExhausted")
    with pytest.raises(AssertionError) as raised:
        assert_sent_to_destination(esm, {0: [1, 2]})
    assert str(raised.value) == (
        "The on-failure destination was not told of the expected records of 'orders':\n"
        "  not told of: orders-0 offset 2\n"
        "  told of besides: orders-0 offset 0\n"
        "What it was told:\n"
        "  batch 1: orders-0 offsets 0-1 (RetryAttemptsExhausted) to arn:q"
    )
    with pytest.raises(AssertionError, match="Nothing of 'orders' was sent to an on-failure destination because of"):
        assert_sent_to_destination(esm, condition="RecordAgeExceeded")


@pytest.mark.parametrize("expected", [None, {0: [0, 1]}])
def test_what_the_destination_did_not_take_is_told_with_the_reason(expected):
    failed = given_up(DestinationFailed, destination="arn:q", error="arn:q: NonExistentQueue: there is none")
    with pytest.raises(AssertionError) as raised:
        assert_sent_to_destination(mapping(failed, {0: (range(2),)}), expected)
    assert str(raised.value).splitlines()[-2:] == [
        "What it did not take, and is lost:",
        "  batch 1: orders-0 offsets 0-1 (RetryAttemptsExhausted): arn:q: NonExistentQueue: there is none",
    ]


@pytest.mark.parametrize("allow", ["dropped", ("droped",), {"destination", "x"}])
def test_what_cannot_be_allowed_is_refused(allow):
    esm = mapping([begun(0)], {0: ()})
    for ask in (assert_at_least_once, find_anomalies):
        with pytest.raises(ValueError, match=r"^allow=.*: a tuple of 'dropped' and 'destination'\.$"):
            ask(esm, allow=allow)
