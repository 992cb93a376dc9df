"""The parameters of an event source mapping: AWS's names in snake_case, AWS's blocks in AWS's shape (spec 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias, TypedDict

from ..filters.criteria import FilterCriteriaBlock
from .destinations import Destination, FailedBatch

__all__ = [
    "AmazonManagedKafkaEventSourceConfig",
    "DestinationConfig",
    "FunctionResponseType",
    "LoggingConfig",
    "MappingParameters",
    "MetricGroup",
    "MetricsConfig",
    "OnFailureBlock",
    "OnFailureDestination",
    "ProvisionedPollerConfig",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfiguration",
    "StartingPosition",
    "SystemLogLevel",
    "Unsecured",
]

StartingPosition = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]
FunctionResponseType = Literal["ReportBatchItemFailures"]
#: How pollers connect where no secret says it.
Unsecured = Literal["plaintext", "tls", "iam"]
MetricGroup = Literal["EventCount", "ErrorCount", "KafkaMetrics"]
SystemLogLevel = Literal["DEBUG", "INFO", "WARN"]
#: An ARN (SQS, SNS, S3) or `kafka://topic`, as on AWS; or, for tests without AWS, a `Destination` such as
#: `InMemoryDestination`, or a callable that gets each `FailedBatch`.
OnFailureDestination: TypeAlias = "str | Destination | Callable[[FailedBatch], object]"


class AmazonManagedKafkaEventSourceConfig(TypedDict, total=False):
    """The API's block of that name."""

    ConsumerGroupId: str


class SelfManagedKafkaEventSourceConfig(TypedDict, total=False):
    """The API's block of that name."""

    ConsumerGroupId: str


class SelfManagedEventSource(TypedDict, total=False):
    """The API's block of that name: `{"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["host:port"]}}`."""

    Endpoints: Mapping[str, Sequence[str]]


class SourceAccessConfiguration(TypedDict, total=False):
    """One entry of the API's list of that name."""

    Type: str
    URI: str


class ProvisionedPollerConfig(TypedDict, total=False):
    """The API's block of that name: it turns provisioned mode on (spec 7.2)."""

    MinimumPollers: int
    MaximumPollers: int
    PollerGroupName: str


class MetricsConfig(TypedDict, total=False):
    """The API's block of that name: here all metrics are counted in any case (spec 7.4)."""

    Metrics: Sequence[MetricGroup]


class LoggingConfig(TypedDict, total=False):
    """The API's block of that name; its logs reach CloudWatch Logs where the mapping was made by boto3 (spec 4.9)."""

    SystemLogLevel: SystemLogLevel


class OnFailureBlock(TypedDict, total=False):
    """The API's block `OnFailure`."""

    Destination: OnFailureDestination


class DestinationConfig(TypedDict, total=False):
    """The API's block of that name; Kafka mappings have no `OnSuccess`."""

    OnFailure: OnFailureBlock


class MappingParameters(TypedDict, total=False):
    """What `msk_esm` and `EventSourceMapping` take besides function and topic: the API's names in snake_case.

    `consumer_group_id` is a shorthand for the block of either kind of Kafka; `filter_quota`, `filter_strict`,
    `authentication`, `event_pollers`, `filter_metadata`, `latest_at_first_poll`, `null_tombstones`, `strict_order`,
    `retry_backoff_in_seconds` and `transition_in_seconds` are the kit's own, for what AWS lets one change or leaves
    open (spec 1.4, 2.5, 4.1, 4.5, 5.8, 6.1 to 6.3, 7.1).
    """

    batch_size: int
    maximum_batching_window_in_seconds: int
    starting_position: StartingPosition
    starting_position_timestamp: datetime | float
    consumer_group_id: str
    amazon_managed_kafka_event_source_config: AmazonManagedKafkaEventSourceConfig
    self_managed_kafka_event_source_config: SelfManagedKafkaEventSourceConfig
    event_source_arn: str
    self_managed_event_source: SelfManagedEventSource
    source_access_configurations: Sequence[SourceAccessConfiguration]
    authentication: Unsecured
    filter_criteria: FilterCriteriaBlock
    filter_quota: int
    filter_strict: bool
    filter_metadata: bool
    provisioned_poller_config: ProvisionedPollerConfig
    maximum_retry_attempts: int
    maximum_record_age_in_seconds: int
    bisect_batch_on_function_error: bool
    function_response_types: Sequence[FunctionResponseType]
    destination_config: DestinationConfig
    metrics_config: MetricsConfig
    logging_config: LoggingConfig
    kms_key_arn: str
    tags: Mapping[str, str]
    enabled: bool
    latest_at_first_poll: bool
    null_tombstones: bool
    strict_order: bool
    retry_backoff_in_seconds: float
    event_pollers: int | Literal["auto"]
    transition_in_seconds: float
