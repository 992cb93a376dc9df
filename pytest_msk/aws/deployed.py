"""DeployedMapping: a mapping that was made by `CreateEventSourceMapping`, and how the Lambda API describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import cast

from ..journal import StateChanged
from ..mapping import EventSourceMapping
from ._rest_json import Parameters

__all__ = ["DeployedMapping"]

_PASSING = ("Creating", "Enabling", "Updating", "Disabling", "Deleting")


@dataclass(kw_only=True, eq=False)
class DeployedMapping:
    """A mapping of this kit under the Lambda API.

    Args:
        esm: the mapping.
        function_arn: what it invokes, as it was named: with the qualifier that was given, `$LATEST` too.
        region: where it was made.
        account_id: whose it is.
        modified_ms: when it was changed last, epoch milliseconds.
        tags: by key.
    """

    esm: EventSourceMapping
    function_arn: str
    region: str
    account_id: str
    modified_ms: int
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The mapping's own ARN."""
        partition = self.function_arn.split(":")[1]
        return f"arn:{partition}:lambda:{self.region}:{self.account_id}:event-source-mapping:{self.esm.uuid}"

    def configuration(self, *, changed: bool = False, listed: bool = False) -> Parameters:
        """The members of an `EventSourceMappingConfiguration` (spec 2.4).

        Args:
            changed: tell the state that the call has begun, though it may have ended already.
            listed: leave out what a listing does.
        """
        esm = self.esm
        given = dict(cast("Parameters", esm.parameters))
        state = esm.state
        if changed:
            states = (event.state for event in reversed(esm.journal) if isinstance(event, StateChanged))
            state = next((each for each in states if each in _PASSING), state)
        group: Parameters = {"ConsumerGroupId": esm.consumer_group_id}
        managed = esm.config.event_source_arn is not None
        block = "AmazonManagedKafkaEventSourceConfig" if managed else "SelfManagedKafkaEventSourceConfig"
        start_ms = esm.config.starting_position_ms
        filters = cast("Parameters", given.get("filter_criteria") or {})
        hidden = listed and bool(given.get("kms_key_arn"))
        result: Parameters = {
            "UUID": esm.uuid,
            "EventSourceMappingArn": self.arn,
            "EventSourceArn": esm.config.event_source_arn,
            "FunctionArn": self.function_arn,
            "Topics": [esm.topic],
            "State": state,
            "StateTransitionReason": esm.state_transition_reason,
            "LastProcessingResult": esm.last_processing_result,
            "LastModified": datetime.fromtimestamp(self.modified_ms / 1000, timezone.utc),
            "BatchSize": esm.config.batch_size,
            "StartingPosition": esm.config.starting_position,
            "StartingPositionTimestamp": None
            if start_ms is None
            else datetime.fromtimestamp(start_ms / 1000, timezone.utc),
            block: group,
            "MaximumRecordAgeInSeconds": given.get("maximum_record_age_in_seconds", -1),
            "MaximumRetryAttempts": given.get("maximum_retry_attempts", -1),
            "BisectBatchOnFunctionError": given.get("bisect_batch_on_function_error", False),
            "FunctionResponseTypes": list(cast("list[str]", given.get("function_response_types") or [])),
            "FilterCriteria": filters if filters.get("Filters") and not hidden else None,
        }
        for name, member in _AS_GIVEN.items():
            result[member] = None if given.get(name) in ("", {}) else given.get(name)
        if not managed:
            source = cast("Parameters", given["self_managed_event_source"])
            endpoints = cast("dict[str, list[str]]", source["Endpoints"])
            result["SelfManagedEventSource"] = {"Endpoints": {key: sorted(each) for key, each in endpoints.items()}}
        return result


_AS_GIVEN = {
    "destination_config": "DestinationConfig",
    "kms_key_arn": "KMSKeyArn",
    "logging_config": "LoggingConfig",
    "maximum_batching_window_in_seconds": "MaximumBatchingWindowInSeconds",
    "metrics_config": "MetricsConfig",
    "provisioned_poller_config": "ProvisionedPollerConfig",
    "source_access_configurations": "SourceAccessConfigurations",
}
