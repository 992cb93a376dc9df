"""Opening: the destination that an OnFailure block names (spec 2.3)."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from ...brokers import Broker
from ...errors import NotSupported
from .aws import S3Destination, SnsDestination, SqsDestination
from .failure import Destination
from .kafka import KafkaDestination

__all__ = ["OpenedDestination", "open_destination"]

_AwsDestination: TypeAlias = "SqsDestination | SnsDestination | S3Destination"
_SERVICES: dict[str, type[_AwsDestination]] = {"sqs": SqsDestination, "sns": SnsDestination, "s3": S3Destination}


class OpenedDestination(Destination, Protocol):
    """A destination with something to free."""

    def close(self) -> None:
        """Free it."""


def open_destination(
    target: str,
    *,
    broker: Broker,
    timeout: float,
    allow_aws: bool = False,
) -> OpenedDestination:
    """The destination of a name; nothing is asked before the first batch is sent.

    Args:
        target: a queue's, topic's or bucket's ARN, or `kafka://topic`.
        broker: the mapping's own.
        timeout: seconds of real time that a request may take.
        allow_aws: let requests go to other machines, the real AWS among them.

    Raises:
        NotSupported: an ARN of another service.
    """
    if target.startswith("kafka://"):
        return KafkaDestination(target.removeprefix("kafka://"), broker=broker, timeout=timeout)
    service = target.split(":")[2] if target.startswith("arn:") else ""
    if service not in _SERVICES:
        raise NotSupported(
            f"The on-failure destination {target!r} is none of a mapping's: give the ARN of an SQS queue, an SNS topic "
            "or an S3 bucket, or kafka://topic (spec 4.6, 4.7)."
        )
    return _SERVICES[service](target, allow_aws=allow_aws, timeout=timeout)
