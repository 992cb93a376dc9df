"""Problems: what AWS shows as `LastProcessingResult` when polling or invoking fails (spec 8.4). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..journal import Attempt, Event, Filtered, NotInvoked, PollFailed

__all__ = [
    "FUNCTION_CALL_FAILED",
    "NO_RECORDS_PROCESSED",
    "OK",
    "Problem",
    "connection_code",
    "is_tls_alert",
    "last_processing_result",
    "problem_of",
]

NO_RECORDS_PROCESSED = "No records processed"
OK = "OK"
FUNCTION_CALL_FAILED = "PROBLEM: Function call failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a mapping cannot poll.

    Args:
        result: AWS's `LastProcessingResult`.
        reason: AWS's `StateTransitionReason` where the poller stops itself; `None` where it goes on trying.
    """

    result: str
    reason: str | None = None


_CONNECTION = Problem(
    result=(
        "PROBLEM: Connection error. Please check your event source connection configuration. If your event source "
        "lives in a VPC, try setting up a new Lambda function or EC2 instance with the same VPC, Subnet, and Security "
        "Group settings. Connect the new device to the Kafka cluster and consume messages to ensure that the issue is "
        "not related to VPC or Endpoint configuration."
    )
)
_UNAUTHORIZED = Problem(result="PROBLEM: Cluster failed to authorize Lambda.", reason="EVENT_SOURCE_AUTHZ_ERROR")
_SASL = Problem(result="PROBLEM: SASL authentication failed.", reason="EVENT_SOURCE_AUTHN_ERROR")
_NO_SECRET = Problem(
    result=(
        "PROBLEM: Connection error. Your event source VPC must be able to connect to Lambda and STS, Secrets Manager "
        "(if event source authentication is required), and the OnFailure Destination (if one is configured)."
    )
)
_ROLE = Problem(
    result=(
        "PROBLEM: Lambda failed to assume your function execution role. Please check if the role trust Lambda service "
        "principal, and make sure it does not require setting source identity to be assumed."
    )
)
_CERTIFICATE = Problem(
    result="PROBLEM: Provided certificate or private key is invalid.", reason="EVENT_SOURCE_AUTHN_ERROR"
)
_CLIENT_CERTIFICATE = Problem(
    result="PROBLEM: Server failed to authenticate Lambda.", reason="EVENT_SOURCE_AUTHN_ERROR"
)
_SERVER_CERTIFICATE = Problem(
    result="PROBLEM: Lambda failed to authenticate server.", reason="EVENT_SOURCE_AUTHN_ERROR"
)
#: By the Kafka client's name of the error; whatever else it is, the brokers could not be read from.
_PROBLEMS: Mapping[str, Problem] = {
    "TOPIC_AUTHORIZATION_FAILED": _UNAUTHORIZED,
    "GROUP_AUTHORIZATION_FAILED": _UNAUTHORIZED,
    "CLUSTER_AUTHORIZATION_FAILED": _UNAUTHORIZED,
    "SASL_AUTHENTICATION_FAILED": _SASL,
    "_AUTHENTICATION": _SASL,
    "_SSL": _SERVER_CERTIFICATE,
    "CLIENT_CERTIFICATE_REFUSED": _CLIENT_CERTIFICATE,
    "INVALID_CERTIFICATE": _CERTIFICATE,
    "ROLE_NOT_ASSUMABLE": _ROLE,
    "SECRET_NOT_READABLE": _NO_SECRET,
}


def connection_code(name: str, text: str) -> str:
    """What `problem_of` knows a failed connection by.

    Args:
        name: the Kafka client's name of the error.
        text: its words, which tell a broker that refuses a client's certificate from a client that refuses a broker's.
    """
    return "CLIENT_CERTIFICATE_REFUSED" if is_tls_alert(text) else name


def is_tls_alert(text: str) -> bool:
    """Whether an error of the Kafka client says that the broker broke the handshake off: only its words tell."""
    return "SSL routines" in text and " alert " in text


def problem_of(code: str | None) -> Problem:
    """The problem behind an error, by the Kafka client's name of it (`TOPIC_AUTHORIZATION_FAILED`) or the kit's own."""
    return _CONNECTION if code is None else _PROBLEMS.get(code, _CONNECTION)


def last_processing_result(newest_first: Iterable[Event]) -> str:
    """What AWS shows as `LastProcessingResult`, from a mapping's events, the newest one first."""
    for event in newest_first:
        if isinstance(event, PollFailed):
            return event.result
        if isinstance(event, Filtered):
            return OK
        if isinstance(event, Attempt | NotInvoked):
            return OK if event.error is None else FUNCTION_CALL_FAILED
    return NO_RECORDS_PROCESSED
