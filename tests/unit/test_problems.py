"""What AWS shows as `LastProcessingResult` (spec 2.5, 8.4)."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from pytest_msk.journal import Attempt, Committed, Filtered, NotInvoked, Polled, PollFailed
from pytest_msk.mapping.problems import last_processing_result, problem_of

GOOD = Attempt(time_ms=0, batch=1, attempt=1, request_id="id", error=None)
BAD = Attempt(time_ms=0, batch=1, attempt=1, request_id="id", error="ValueError: x")
THROTTLED = NotInvoked(time_ms=0, batch=1, error="TooManyRequestsException: Rate Exceeded.")
READ = Polled(time_ms=0, records={0: (range(1),)})
FILTERED = Filtered(time_ms=0, records={0: (range(1),)})
COMMITTED = Committed(time_ms=0, positions={0: 1})
UNAUTHORIZED = "PROBLEM: Cluster failed to authorize Lambda."
CONNECTION = "PROBLEM: Connection error. Please check your event source connection configuration. If your event source "
UNREACHABLE = PollFailed(time_ms=0, error="down", result=problem_of("_TRANSPORT").result)


@pytest.mark.parametrize(
    ("events", "result"),
    [
        ([], "No records processed"),
        ([READ], "No records processed"),
        ([READ, GOOD], "OK"),
        ([READ, GOOD, COMMITTED], "OK"),
        ([FILTERED], "OK"),
        ([READ, BAD], "PROBLEM: Function call failed"),
        ([READ, BAD, COMMITTED], "PROBLEM: Function call failed"),
        ([READ, BAD, GOOD], "OK"),
        ([READ, BAD, COMMITTED, FILTERED], "OK"),
        ([READ, THROTTLED], "PROBLEM: Function call failed"),
        ([READ, GOOD, UNREACHABLE], UNREACHABLE.result),
        ([UNREACHABLE, READ, GOOD], "OK"),
    ],
)
def test_the_last_thing_that_says_something_counts(events, result):
    assert last_processing_result(reversed(events)) == result


@pytest.mark.parametrize(
    ("code", "beginning", "reason"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, UNAUTHORIZED, "EVENT_SOURCE_AUTHZ_ERROR"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, UNAUTHORIZED, "EVENT_SOURCE_AUTHZ_ERROR"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, UNAUTHORIZED, "EVENT_SOURCE_AUTHZ_ERROR"),
        (KafkaError._AUTHENTICATION, "PROBLEM: SASL authentication failed.", "EVENT_SOURCE_AUTHN_ERROR"),
        (KafkaError._SSL, "PROBLEM: Lambda failed to authenticate server.", "EVENT_SOURCE_AUTHN_ERROR"),
        (KafkaError._TRANSPORT, CONNECTION, None),
        (KafkaError._ALL_BROKERS_DOWN, CONNECTION, None),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, CONNECTION, None),
    ],
)
def test_errors_of_the_client_as_aws_tells_them(code, beginning, reason):
    problem = problem_of(KafkaError(code).name())
    assert problem.result.startswith(beginning)
    assert problem.result.endswith(".")
    assert problem.reason == reason
