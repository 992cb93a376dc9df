"""Configuration of an event source mapping: parameters that are complete and valid (spec 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

from ..filters.criteria import MAX_FILTERS, FilterCriteria, InvalidFilter
from . import _validation as validation
from ._validation import EventSourceMappingError
from .parameters import MappingParameters, StartingPosition

__all__ = ["DEFAULT_WINDOW_MS", "EventSourceMappingConfig", "EventSourceMappingError"]

#: The batching window of a mapping that sets none, milliseconds (spec 3.2).
DEFAULT_WINDOW_MS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSourceMappingConfig:
    """The settings of a mapping, valid and complete.

    Args:
        topic: the topic that is read.
        batch_size: records of one event at most, 1 to 10,000.
        window_ms: how long a batch may wait for more records, milliseconds.
        starting_position: where a partition without a committed offset is begun.
        starting_position_ms: epoch milliseconds, with AT_TIMESTAMP.
        consumer_group_id: the consumer group, `None` for the mapping's UUID.
        event_source_arn: the cluster's ARN; `None` for self-managed Kafka.
        enabled: whether the mapping polls from the start.
        filters: which records the function gets.
        latest_at_first_poll: LATEST means the logs' ends when polling begins, not when the mapping is made (spec 5.8).
        null_tombstones: a null value is written as `null` instead of being left out.
        retry_backoff_ms: pause between two attempts with one batch, milliseconds.
        transition_ms: how long creating, updating, enabling and disabling take, milliseconds.
    """

    topic: str
    batch_size: int = 100
    window_ms: int = DEFAULT_WINDOW_MS
    starting_position: StartingPosition = "TRIM_HORIZON"
    starting_position_ms: int | None = None
    consumer_group_id: str | None = None
    event_source_arn: str | None = None
    enabled: bool = True
    filters: FilterCriteria
    latest_at_first_poll: bool = False
    null_tombstones: bool = False
    retry_backoff_ms: int = 0
    transition_ms: int = 0

    @classmethod
    def parse(
        cls, topic: str, parameters: MappingParameters, *, now_ms: int, cluster_arn: str, bootstrap_servers: str
    ) -> EventSourceMappingConfig:
        """Check parameters as the API does and fill in its defaults.

        Args:
            topic: the topic's name.
            parameters: what the caller gave.
            now_ms: the current time, epoch milliseconds.
            cluster_arn: the ARN of the cluster that the broker stands for.
            bootstrap_servers: the broker's addresses.

        Raises:
            EventSourceMappingError: AWS would refuse them; the text is AWS's.
            NotSupported: AWS would take them, but this kit does not know them yet.
            TypeError: there is no such parameter, or a value is not of its type.
        """
        __tracebackhide__ = True
        validation.refuse_unknown(parameters)
        validation.refuse_types(parameters)
        validation.refuse_shapes(topic, parameters)
        arn = validation.event_source(parameters, cluster_arn, bootstrap_servers)
        timestamp_ms = validation.starting_timestamp(parameters, now_ms)
        validation.refuse_unsupported(parameters)
        try:
            filters = FilterCriteria(
                parameters.get("filter_criteria"),
                quota=parameters.get("filter_quota", MAX_FILTERS),
                strict=parameters.get("filter_strict", False),
                metadata=parameters.get("filter_metadata", False),
            )
        except InvalidFilter as error:
            raise EventSourceMappingError("InvalidParameterValueException", error.message) from error
        group = validation.consumer_group(parameters, managed=arn is not None)
        validation.refuse_stray_timestamp(parameters)
        window = parameters.get("maximum_batching_window_in_seconds")
        return cls(
            topic=topic,
            batch_size=parameters.get("batch_size", 100),
            window_ms=DEFAULT_WINDOW_MS if window is None else window * 1000,
            starting_position=parameters.get("starting_position", "TRIM_HORIZON"),
            starting_position_ms=timestamp_ms,
            consumer_group_id=group,
            event_source_arn=arn,
            enabled=parameters.get("enabled", True),
            filters=filters,
            latest_at_first_poll=parameters.get("latest_at_first_poll", False),
            null_tombstones=parameters.get("null_tombstones", False),
            retry_backoff_ms=round(parameters.get("retry_backoff_in_seconds", 0) * 1000),
            transition_ms=round(parameters.get("transition_in_seconds", 0) * 1000),
        )
