"""AWS's numbers, counted from a journal: one event after the other, and what holds between them in any run."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_runs import attempted, closed, correct_runs, delivered, state

from pytest_msk.journal import (
    Assigned,
    Attempt,
    CommitFailed,
    Committed,
    DestinationFailed,
    Dropped,
    Event,
    Filtered,
    Journal,
    NotInvoked,
    Polled,
    PollersScaled,
    PollFailed,
    PositionReset,
    Revoked,
    SentToDestination,
    Split,
)
from pytest_msk.mapping.metrics import Meter, Metrics

TEN = {0: (range(6),), 2: (range(3), range(7, 8))}
GIVEN_UP = {"time_ms": 0, "batch": 1, "condition": "RetryAttemptsExhausted"}


def meter(events: list[Event], lag: dict[int, int] | None = None) -> Meter:
    journal = Journal()
    for event in events:
        journal.append(event)
    return Meter(journal, lambda: lag or {})


def counted(*events: Event) -> dict[str, int]:
    """The metrics that are not 0."""
    found = meter(list(events)).read()
    return {each.name: getattr(found, each.name) for each in fields(found)[:-1] if getattr(found, each.name)}


CALL = {"invocations": 1, "invoked_event_count": 10}
FAILED = {"failed_invoke_event_count": 10, "invoke_error_count": 1}


@pytest.mark.parametrize(
    ("events", "metrics"),
    [
        ([Polled(time_ms=0, records=TEN)], {"polled_event_count": 10}),
        ([Filtered(time_ms=0, records=TEN)], {"polled_event_count": 10, "filtered_out_event_count": 10}),
        ([closed(1, TEN)], {}),
        (delivered(1, TEN), CALL),
        ([closed(1, TEN), attempted(1, error="E: no")], CALL | FAILED | {"errors": 1}),
        (
            [closed(1, TEN), attempted(1, error="E: no"), attempted(1, 2)],
            {"invocations": 2, "invoked_event_count": 20, "errors": 1} | FAILED,
        ),
        (
            [
                closed(1, TEN),
                Attempt(time_ms=0, batch=1, attempt=1, request_id="id", error=None, item_failures={2: (range(2),)}),
                Attempt(time_ms=0, batch=1, attempt=2, request_id="id", error=None, records={2: (range(2),)}),
            ],
            {"invocations": 2, "invoked_event_count": 12, "failed_invoke_event_count": 2},
        ),
        (
            [
                closed(1, TEN),
                Attempt(time_ms=0, batch=1, attempt=1, request_id="id", error=None, invalid_response="why"),
            ],
            CALL | FAILED,
        ),
        ([closed(1, TEN), NotInvoked(time_ms=0, batch=1, error="TooManyRequestsException: Rate")], {"throttles": 1}),
        ([closed(1, TEN), NotInvoked(time_ms=0, batch=1, error="HTTP 503: no")], {}),
        ([Split(time_ms=0, batch=1, left=TEN, right=TEN)], {}),
        ([Dropped(**GIVEN_UP, records=TEN)], {"dropped_event_count": 10}),
        (
            [SentToDestination(**GIVEN_UP, records=TEN, destination="d")],
            {"on_failure_destination_delivered_event_count": 10},
        ),
        (
            [DestinationFailed(**GIVEN_UP, records=TEN, destination="d", error="no")],
            {
                "dropped_event_count": 10,
                "on_failure_destination_delivery_error_count": 1,
                "destination_delivery_failures": 1,
            },
        ),
        ([PollFailed(time_ms=0, error="no", result="PROBLEM")], {"polling_error_count": 1}),
        ([CommitFailed(time_ms=0, positions={0: 5}, error="no")], {"commit_error_count": 1}),
        (
            [
                Assigned(time_ms=0, positions={0: 10, 1: 0}),
                Committed(time_ms=0, positions={0: 12}),
                Committed(time_ms=0, positions={0: 15, 1: 1}),
                Revoked(time_ms=0, partitions=(0, 1)),
                Assigned(time_ms=0, positions={0: 15}),
                Committed(time_ms=0, positions={0: 16}),
            ],
            {"committed_event_count": 7, "provisioned_pollers": 1},
        ),
        (
            [
                Assigned(time_ms=0, positions={0: 10}),
                PositionReset(time_ms=0, partition=0, offset=10, position=90),
                Committed(time_ms=0, positions={0: 95}),
            ],
            {"committed_event_count": 5, "provisioned_pollers": 1},
        ),
        (
            [PollersScaled(time_ms=0, pollers=n, reason="lag", lag=0) for n in (1, 4, 2)],
            {"provisioned_pollers": 4},
        ),
        ([state("Enabled")], {}),
    ],
)
def test_each_event_counts_where_aws_counts_it(events, metrics):
    assert counted(*events) == metrics


def test_the_lag_is_asked_for_when_it_is_read():
    lag: dict[int, int] = {}
    metrics = Meter(Journal(), lambda: lag).read()
    assert (metrics.offset_lag, metrics.sum_offset_lag, metrics.max_offset_lag) == (0, 0, 0)
    lag |= {0: 5, 1: 7}
    assert (metrics.offset_lag, metrics.sum_offset_lag, metrics.max_offset_lag) == (12, 12, 7)


def test_awss_names():
    names = meter([Polled(time_ms=0, records=TEN)], {0: 3}).read().by_name()
    assert {name: value for name, value in names.items() if value} == {
        "PolledEventCount": 10,
        "OffsetLag": 3,
        "SumOffsetLag": 3,
        "MaxOffsetLag": 3,
    }
    assert set(names) >= {
        "FilteredOutEventCount", "InvokedEventCount", "FailedInvokeEventCount", "DroppedEventCount",
        "OnFailureDestinationDeliveredEventCount", "CommittedEventCount", "PollingErrorCount", "InvokeErrorCount",
        "OnFailureDestinationDeliveryErrorCount", "SchemaRegistryErrorCount", "CommitErrorCount", "ProvisionedPollers",
        "DestinationDeliveryFailures", "Invocations", "Errors", "Throttles",
    }  # fmt: skip


def test_metrics_stay_as_they_were_read():
    journal = Journal()
    reader = Meter(journal, dict)
    journal.append(Polled(time_ms=0, records=TEN))
    before = reader.read()
    assert before == reader.read()
    journal.append(Polled(time_ms=0, records=TEN))
    assert (before.polled_event_count, reader.read().polled_event_count) == (10, 20)


@given(correct_runs(), st.data())
def test_metrics_that_are_read_on_the_way_end_up_the_same(run, data):
    journal = Journal()
    reader = Meter(journal, dict)
    for event in run.events:
        journal.append(event)
        if data.draw(st.booleans()):
            reader.read()
    assert reader.read() == meter(run.events).read()


@given(correct_runs())
def test_what_was_polled_was_filtered_or_invoked_and_all_of_it_is_committed(run):
    metrics = meter(run.events).read()
    assert metrics.committed_event_count == sum(run.committed.get(p, run.start[p]) - run.start[p] for p in run.log)
    assert metrics.failed_invoke_event_count <= metrics.invoked_event_count
    assert metrics.errors == metrics.invoke_error_count <= metrics.invocations
    begun_anew = any(isinstance(event, Revoked) or event == state("Disabling") for event in run.events)
    if not begun_anew:  # no record was polled twice (spec 7.4)
        distinct = metrics.invoked_event_count - metrics.failed_invoke_event_count
        assert metrics.polled_event_count == metrics.filtered_out_event_count + distinct
        assert metrics.polled_event_count == len([o for p, log in run.log.items() for o in log if o >= run.start[p]])
    filtered = [o for p, o in run.dropped if o >= run.start[p]]
    assert metrics.filtered_out_event_count >= len(filtered)


def test_every_metric_begins_at_nothing():
    assert meter([]).read() == Metrics(_lag=dict)
