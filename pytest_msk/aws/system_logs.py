"""System logs: the lines that a mapping's event poller writes to CloudWatch Logs (spec 4.9). Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Literal

from ..brokers.security import Authentication
from ..journal import Assigned, Committed, Event, Filtered, Offsets, Polled, PollFailed, Revoked
from ..mapping.parameters import SystemLogLevel

__all__ = ["Line", "SystemLogs"]

#: When a line was written, epoch milliseconds, and its text.
Line = tuple[int, str]
_Kind = Literal["ESM_PROCESSING_EVENT", "POLLER_STATUS_EVENT", "KAFKA_STATUS_EVENT"]
_LEVELS: tuple[SystemLogLevel, ...] = ("DEBUG", "INFO", "WARN")
_MINUTE_MS = 60_000
_MECHANISMS: Mapping[Authentication | None, str] = {
    "scram": "SCRAM-SHA-512",
    "scram-sha-256": "SCRAM-SHA-256",
    "plain": "PLAIN",
    "iam": "AWS_MSK_IAM",
}
#: By what the `LastProcessingResult` says; whatever else it is, the client has waited for the brokers.
_EXCEPTIONS = {
    "failed to authorize": "TopicAuthorizationException",
    "SASL authentication failed": "SaslAuthenticationException",
    "certificate or private key": "InvalidConfigurationException",
    "authenticate": "SslAuthenticationException",
}


class SystemLogs:
    """Writes the lines for a mapping's events, in their order.

    Args:
        level: the lowest level that is written.
        arn: the mapping's ARN.
        uuid: its UUID.
        source: the cluster's ARN; `None` for self-managed Kafka.
        topic: what it reads.
        group: its consumer group.
        brokers: where it reads from, `host:port`.
        auth: how it shows the cluster who it is; `None` for the plaintext listener.
    """

    def __init__(
        self,
        level: SystemLogLevel,
        *,
        arn: str,
        uuid: str,
        source: str | None,
        topic: str,
        group: str,
        brokers: tuple[str, ...],
        auth: Authentication | None,
    ) -> None:
        self._level = level
        self._arn = arn
        self._uuid = uuid
        self._source = source
        self._topic = topic
        self._group = group
        self._brokers = brokers
        self._security = _security(auth)
        self._assigned: dict[int, int] = {}
        self._generation = 0
        self._consumed: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._minute: int | None = None

    def lines(self, event: Event, ends: Mapping[int, int]) -> Iterator[Line]:
        """The lines for the next event.

        Args:
            ends: per partition where its log ends now.
        """
        yield from self.until(event.time_ms, ends)
        if isinstance(event, PollFailed):
            error = {"errorMessage": event.error, "errorCode": _error_code(event)}
            yield from self._line("WARN", "ESM_PROCESSING_EVENT", event.time_ms, {"error": error})
        elif isinstance(event, Assigned):
            self._assigned.update(event.positions)
            self._generation += 1
            yield from self._line("INFO", "POLLER_STATUS_EVENT", event.time_ms, self._connection(len(ends)))
        elif isinstance(event, Revoked):
            for partition in event.partitions:
                self._assigned.pop(partition, None)
        elif isinstance(event, Polled | Filtered):
            _advance(self._consumed, event.records)
        elif isinstance(event, Committed):
            self._committed.update(event.positions)

    def until(self, time_ms: int, ends: Mapping[int, int]) -> Iterator[Line]:
        """The lines of the minutes that have begun since the last event."""
        minute = time_ms // _MINUTE_MS
        first = minute if self._minute is None or not self._assigned else self._minute + 1
        if self._assigned:
            for begun in range(first, minute + 1):
                yield from self._line("DEBUG", "KAFKA_STATUS_EVENT", begun * _MINUTE_MS, self._status(ends))
        self._minute = minute

    def _connection(self, total: int) -> dict[str, object]:
        partitions = [f"{self._topic}-{partition}" for partition in sorted(self._assigned)]
        return {
            "kafkaEventSourceConnection": {
                "brokerEndpoints": list(self._brokers),
                "consumerId": f"{self._uuid}-0",
                "topics": [self._topic],
                "consumerGroupId": self._group,
                **self._security,
                "totalPartitionCount": total,
                "assignedPartitionCount": len(partitions),
                "partitionsAssignmentGeneration": self._generation,
                "assignedPartitions": partitions,
            }
        }

    def _status(self, ends: Mapping[int, int]) -> dict[str, object]:
        rows = []
        for partition in sorted(self._assigned):
            row = {"partition": f"{self._topic}-{partition}", "endOffset": ends.get(partition, 0)}
            for name, known in (
                ("consumedOffset", self._consumed),
                ("committedOffset", self._committed),
            ):
                if partition in known:
                    row[name] = known[partition]
            if partition in self._committed:
                row["processedOffset"] = self._committed[partition] - 1
            rows.append(row)
        return {"kafkaPartitionOffsets": rows}

    def _line(self, level: SystemLogLevel, kind: _Kind, time_ms: int, members: Mapping[str, object]) -> Iterator[Line]:
        if _LEVELS.index(level) < _LEVELS.index(self._level):
            return
        line = {
            "eventType": kind,
            "timestamp": time_ms,
            "resourceArn": self._arn,
            **({} if self._source is None else {"eventSourceArn": self._source}),
            "eventProcessorId": f"{self._uuid}/0",
            "logLevel": level,
            **members,
        }
        yield time_ms, json.dumps(line)


def _security(auth: Authentication | None) -> dict[str, str]:
    if auth in (None, "plaintext"):
        return {"securityProtocol": "PLAINTEXT"}
    mechanism = _MECHANISMS.get(auth)
    return (
        {"securityProtocol": "SSL"}
        if mechanism is None
        else {"securityProtocol": "SASL_SSL", "saslMechanism": mechanism}
    )


def _error_code(event: PollFailed) -> str:
    """The Java client's exception, as the poller names it."""
    name = next((name for text, name in _EXCEPTIONS.items() if text in event.result), "TimeoutException")
    return f"org.apache.kafka.common.errors.{name}"


def _advance(known: dict[int, int], records: Offsets) -> None:
    for partition, runs in records.items():
        known[partition] = runs[-1].stop - 1
