"""Run AWS Lambda's event source mapping for Amazon MSK and Apache Kafka inside a pytest test."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .assertions import assert_at_least_once, assert_ordered, find_anomalies
    from .brokers import Broker
    from .brokers.embedded import EmbeddedBroker
    from .brokers.security import IamKey, Security
    from .checks import Anomaly
    from .clock import VirtualClock
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
        Invocation,
        LambdaClient,
        LambdaContext,
        LambdaFunction,
        ServiceError,
    )
    from .journal import (
        Assigned,
        Attempt,
        BatchClosed,
        CommitFailed,
        Committed,
        Event,
        Filtered,
        Journal,
        NotInvoked,
        Polled,
        PositionReset,
        Revoked,
        StateChanged,
        Unfiltered,
    )
    from .mapping import DeliveryBlocked, EventSourceMapping, EventSourceMappingError, MappingParameters
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
    "DeliveryBlocked",
    "EmbeddedBroker",
    "Event",
    "EventPattern",
    "EventRecord",
    "EventSourceMapping",
    "EventSourceMappingError",
    "Explanation",
    "Filtered",
    "Finding",
    "FunctionError",
    "FunctionStuck",
    "IamKey",
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
    "MappingParameters",
    "MskError",
    "MskEsm",
    "MskEvent",
    "MskTopic",
    "NotAKafkaEvent",
    "NotAnEventRecord",
    "NotInvoked",
    "NotSupported",
    "Polled",
    "PositionReset",
    "Record",
    "Revoked",
    "SchemaMetadata",
    "Security",
    "ServiceError",
    "StateChanged",
    "Topic",
    "TopicExists",
    "Unfiltered",
    "VirtualClock",
    "assert_at_least_once",
    "assert_filtered",
    "assert_matches",
    "assert_ordered",
    "decode",
    "find_anomalies",
    "msk_event",
    "validate_event",
]

_HOMES = {
    "assertions": ("assert_at_least_once", "assert_ordered", "find_anomalies"),
    "brokers": ("Broker",),
    "brokers.embedded": ("EmbeddedBroker",),
    "brokers.security": ("IamKey", "Security"),
    "checks": ("Anomaly",),
    "clock": ("VirtualClock",),
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
        "Invocation",
        "LambdaClient",
        "LambdaContext",
        "LambdaFunction",
        "ServiceError",
    ),
    "journal": (
        "Assigned",
        "Attempt",
        "BatchClosed",
        "CommitFailed",
        "Committed",
        "Event",
        "Filtered",
        "Journal",
        "NotInvoked",
        "Polled",
        "PositionReset",
        "Revoked",
        "StateChanged",
        "Unfiltered",
    ),
    "mapping": ("DeliveryBlocked", "EventSourceMapping", "EventSourceMappingError", "MappingParameters"),
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
