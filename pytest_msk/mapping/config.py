"""Configuration of an event source mapping: parameters that are complete and valid (spec 2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..filters.criteria import MAX_FILTERS, FilterCriteria, InvalidFilter
from . import _validation as validation
from ._validation import EventSourceMappingError
from .access import Access
from .destinations import Destination
from .parameters import MappingParameters, StartingPosition
from .provisioned import ProvisionedPollers
from .rules import DeliveryRules
from .scaling import ON_DEMAND_INVOCATIONS, PROVISIONED_INVOCATIONS, Scaling

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
        access: how the pollers connect.
        enabled: whether the mapping polls from the start.
        filters: which records the function gets.
        latest_at_first_poll: LATEST means the logs' ends when polling begins, not when the mapping is made (spec 5.8).
        provisioned: the pollers of provisioned mode; `None` on demand.
        maximum_retry_attempts: retries of a batch; -1 for no limit of its own (spec 4.2).
        maximum_record_age_ms: a record's highest age, milliseconds; `None` for no limit.
        bisect_batch_on_function_error: a batch that failed is cut in two.
        report_batch_item_failures: the response tells which records failed.
        destination: where records go that are given up: an ARN, `kafka://topic`, or one of the kit's own.
        null_tombstones: a null value is written as `null` instead of being left out.
        strict_order: with a partial response all from a partition's lowest failed record on are tried again.
        retry_backoff_ms: pause between two attempts with one batch, milliseconds.
        scaling: within which limits there may be how many event pollers; `None` for one, for ever.
        transition_ms: how long creating, updating, enabling and disabling take, milliseconds.
    """

    topic: str
    batch_size: int = 100
    window_ms: int = DEFAULT_WINDOW_MS
    starting_position: StartingPosition = "TRIM_HORIZON"
    starting_position_ms: int | None = None
    consumer_group_id: str | None = None
    event_source_arn: str | None = None
    access: Access = field(default_factory=Access)
    enabled: bool = True
    filters: FilterCriteria
    latest_at_first_poll: bool = False
    provisioned: ProvisionedPollers | None = None
    maximum_retry_attempts: int = -1
    maximum_record_age_ms: int | None = None
    bisect_batch_on_function_error: bool = False
    report_batch_item_failures: bool = False
    destination: str | Destination | None = None
    null_tombstones: bool = False
    strict_order: bool = False
    retry_backoff_ms: int = 0
    scaling: Scaling | None = None
    transition_ms: int = 0

    @property
    def concurrent_invocations(self) -> int:
        """How many invocations each event poller may have under way at a time (spec 7.2, 7.3)."""
        return ON_DEMAND_INVOCATIONS if self.provisioned is None else PROVISIONED_INVOCATIONS

    @property
    def rules(self) -> DeliveryRules:
        """How failures are handled."""
        return DeliveryRules(
            maximum_retry_attempts=self.maximum_retry_attempts,
            maximum_record_age_ms=self.maximum_record_age_ms,
            bisect=self.bisect_batch_on_function_error,
            item_failures=self.report_batch_item_failures,
            strict_order=self.strict_order,
            destination=self.destination is not None,
            backoff_ms=self.retry_backoff_ms,
        )

    @classmethod
    def parse(
        cls,
        topic: str,
        parameters: MappingParameters,
        *,
        now_ms: int,
        cluster_arn: str,
        bootstrap_servers: Callable[[Access], str],
    ) -> EventSourceMappingConfig:
        """Check parameters as the API does and fill in its defaults.

        Args:
            topic: the topic's name.
            parameters: what the caller gave.
            now_ms: the current time, epoch milliseconds.
            cluster_arn: the ARN of the cluster that the broker stands for.
            bootstrap_servers: the broker's addresses for a way of access.

        Raises:
            EventSourceMappingError: AWS would refuse them; the text is AWS's.
            NotSupported: AWS would take them, but this kit does not know them yet.
            TypeError: there is no such parameter, or a value is not of its type.
        """
        __tracebackhide__ = True
        validation.refuse_unknown(parameters)
        validation.refuse_types(parameters)
        validation.refuse_shapes(topic, parameters)
        arn, access = validation.event_source(parameters, cluster_arn, bootstrap_servers)
        timestamp_ms = validation.starting_timestamp(parameters, now_ms)
        validation.refuse_unsupported(parameters)
        provisioned = validation.provisioned_pollers(parameters)
        age_ms = validation.record_age(parameters)
        destination = validation.destination(parameters, topic, provisioned=provisioned is not None)
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
            access=access,
            enabled=parameters.get("enabled", True),
            filters=filters,
            latest_at_first_poll=parameters.get("latest_at_first_poll", False),
            provisioned=provisioned,
            maximum_retry_attempts=parameters.get("maximum_retry_attempts", -1),
            maximum_record_age_ms=age_ms,
            bisect_batch_on_function_error=parameters.get("bisect_batch_on_function_error", False),
            report_batch_item_failures=bool(parameters.get("function_response_types")),
            destination=destination,
            null_tombstones=parameters.get("null_tombstones", False),
            strict_order=parameters.get("strict_order", False),
            retry_backoff_ms=round(parameters.get("retry_backoff_in_seconds", 0) * 1000),
            scaling=Scaling.of(parameters.get("event_pollers"), provisioned),
            transition_ms=round(parameters.get("transition_in_seconds", 0) * 1000),
        )
