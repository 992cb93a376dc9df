"""The parameters of an event source mapping: AWS's names in snake_case, AWS's blocks in AWS's shape (spec 2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypedDict

from ..filters.criteria import FilterCriteriaBlock

__all__ = [
    "AmazonManagedKafkaEventSourceConfig",
    "MappingParameters",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfiguration",
    "StartingPosition",
]

StartingPosition = Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]


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


class MappingParameters(TypedDict, total=False):
    """What `msk_esm` and `EventSourceMapping` take besides function and topic: the API's names in snake_case.

    `consumer_group_id` is a shorthand for the block of either kind of Kafka; `filter_quota`, `filter_strict`,
    `filter_metadata`, `latest_at_first_poll`, `null_tombstones`, `retry_backoff_in_seconds` and `transition_in_seconds`
    are the kit's own, for what AWS lets one change or leaves open (spec 1.4, 2.5, 4.1, 5.8, 6.1 to 6.3).
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
    filter_criteria: FilterCriteriaBlock
    filter_quota: int
    filter_strict: bool
    filter_metadata: bool
    enabled: bool
    latest_at_first_poll: bool
    null_tombstones: bool
    retry_backoff_in_seconds: float
    transition_in_seconds: float
