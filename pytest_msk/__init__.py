"""Run AWS Lambda's event source mapping for Amazon MSK and Apache Kafka inside a pytest test."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .adversary import assert_idempotent
    from .assertions import (
        assert_at_least_once,
        assert_batches,
        assert_committed,
        assert_exactly_once,
        assert_no_anomalies,
        assert_no_redelivery,
        assert_ordered,
        assert_sent_to_destination,
        find_anomalies,
    )
    from .brokers import Broker
    from .brokers.embedded import EmbeddedBroker
    from .checks import Anomaly
    from .clock import VirtualClock
    from .consumption import Consumption
    from .deliveries import Delivery
    from .errors import BrokerError, BrokerUnavailable, MskError, NotSupported, TopicExists
    from .events import KafkaEvent, NotAKafkaEvent, decode
    from .factories import MskEvent, msk_event
    from .filters import (
        EventPattern,
        Explanation,
        Finding,
        InvalidEvent,
        InvalidEventPattern,
        InvalidFilter,
        assert_filtered,
        assert_matches,
    )
    from .functions import (
        FunctionError,
        FunctionStuck,
        InjectedError,
        Invocation,
        LambdaClient,
        LambdaContext,
        LambdaFunction,
        ServiceError,
        fails,
        fails_for,
        throttled,
        times_out,
    )
    from .journal import (
        Assigned,
        Attempt,
        BatchClosed,
        CommitFailed,
        Committed,
        DestinationFailed,
        Dropped,
        Event,
        Expired,
        FaultInjected,
        Filtered,
        Journal,
        NotInvoked,
        Polled,
        PollersScaled,
        PollFailed,
        PositionReset,
        Redelivered,
        Revoked,
        SentToDestination,
        Split,
        StateChanged,
        Unfiltered,
    )
    from .mapping import DeliveryBlocked, EventSourceMapping, EventSourceMappingError, MappingFaults, MappingParameters
    from .mapping.destinations import Destination, DestinationError, FailedBatch, InMemoryDestination
    from .mapping.metrics import Metrics
    from .provider import KafkaProvider
    from .records import EventRecord, NotAnEventRecord, Record, SchemaMetadata
    from .sandbox import MskEsm, MskTopic
    from .topics import Topic
    from .validation import validate_event

__all__ = [
    "Anomaly",
    "Assigned",
    "Attempt",
    "BatchClosed",
    "Broker",
    "BrokerError",
    "BrokerUnavailable",
    "CommitFailed",
    "Committed",
    "Consumption",
    "Delivery",
    "DeliveryBlocked",
    "Destination",
    "DestinationError",
    "DestinationFailed",
    "Dropped",
    "EmbeddedBroker",
    "Event",
    "EventPattern",
    "EventRecord",
    "EventSourceMapping",
    "EventSourceMappingError",
    "Expired",
    "Explanation",
    "FailedBatch",
    "FaultInjected",
    "Filtered",
    "Finding",
    "FunctionError",
    "FunctionStuck",
    "InMemoryDestination",
    "InjectedError",
    "InvalidEvent",
    "InvalidEventPattern",
    "InvalidFilter",
    "Invocation",
    "Journal",
    "KafkaEvent",
    "KafkaProvider",
    "LambdaClient",
    "LambdaContext",
    "LambdaFunction",
    "MappingFaults",
    "MappingParameters",
    "Metrics",
    "MskError",
    "MskEsm",
    "MskEvent",
    "MskTopic",
    "NotAKafkaEvent",
    "NotAnEventRecord",
    "NotInvoked",
    "NotSupported",
    "PollFailed",
    "Polled",
    "PollersScaled",
    "PositionReset",
    "Record",
    "Redelivered",
    "Revoked",
    "SchemaMetadata",
    "SentToDestination",
    "ServiceError",
    "Split",
    "StateChanged",
    "Topic",
    "TopicExists",
    "Unfiltered",
    "VirtualClock",
    "assert_at_least_once",
    "assert_batches",
    "assert_committed",
    "assert_exactly_once",
    "assert_filtered",
    "assert_idempotent",
    "assert_matches",
    "assert_no_anomalies",
    "assert_no_redelivery",
    "assert_ordered",
    "assert_sent_to_destination",
    "decode",
    "fails",
    "fails_for",
    "find_anomalies",
    "msk_event",
    "throttled",
    "times_out",
    "validate_event",
]

_HOMES = {
    "adversary": ("assert_idempotent",),
    "assertions": (
        "assert_at_least_once",
        "assert_batches",
        "assert_committed",
        "assert_exactly_once",
        "assert_no_anomalies",
        "assert_no_redelivery",
        "assert_ordered",
        "assert_sent_to_destination",
        "find_anomalies",
    ),
    "brokers": ("Broker",),
    "brokers.embedded": ("EmbeddedBroker",),
    "checks": ("Anomaly",),
    "clock": ("VirtualClock",),
    "consumption": ("Consumption",),
    "deliveries": ("Delivery",),
    "errors": ("BrokerError", "BrokerUnavailable", "MskError", "NotSupported", "TopicExists"),
    "events": ("KafkaEvent", "NotAKafkaEvent", "decode"),
    "factories": ("MskEvent", "msk_event"),
    "filters": (
        "EventPattern",
        "Explanation",
        "Finding",
        "InvalidEvent",
        "InvalidEventPattern",
        "InvalidFilter",
        "assert_filtered",
        "assert_matches",
    ),
    "functions": (
        "FunctionError",
        "FunctionStuck",
        "InjectedError",
        "Invocation",
        "LambdaClient",
        "LambdaContext",
        "LambdaFunction",
        "ServiceError",
        "fails",
        "fails_for",
        "throttled",
        "times_out",
    ),
    "journal": (
        "Assigned",
        "Attempt",
        "BatchClosed",
        "CommitFailed",
        "Committed",
        "DestinationFailed",
        "Dropped",
        "Event",
        "Expired",
        "FaultInjected",
        "Filtered",
        "Journal",
        "NotInvoked",
        "PollFailed",
        "PollersScaled",
        "Polled",
        "PositionReset",
        "Redelivered",
        "Revoked",
        "SentToDestination",
        "Split",
        "StateChanged",
        "Unfiltered",
    ),
    "mapping": (
        "DeliveryBlocked",
        "EventSourceMapping",
        "EventSourceMappingError",
        "MappingFaults",
        "MappingParameters",
    ),
    "mapping.destinations": ("Destination", "DestinationError", "FailedBatch", "InMemoryDestination"),
    "mapping.metrics": ("Metrics",),
    "provider": ("KafkaProvider",),
    "records": ("EventRecord", "NotAnEventRecord", "Record", "SchemaMetadata"),
    "sandbox": ("MskEsm", "MskTopic"),
    "topics": ("Topic",),
    "validation": ("validate_event",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562): every pytest run of everybody imports this package."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
