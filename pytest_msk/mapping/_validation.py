"""The checks that AWS makes before it creates a mapping, in its order and with its texts (spec 2.6).

Shape checks come first and are reported together; then what the parameters mean, one after the other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, cast

from ..clock import epoch_ms
from ..errors import MskError, NotSupported
from ..events import CLUSTER_ARN_PATTERN
from ..filters.criteria import MAX_FILTERS, MAX_FILTERS_RAISED
from .parameters import MappingParameters, SourceAccessConfiguration

__all__ = [
    "EventSourceMappingError",
    "consumer_group",
    "event_source",
    "refuse_shapes",
    "refuse_stray_timestamp",
    "refuse_types",
    "refuse_unknown",
    "refuse_unsupported",
    "starting_timestamp",
]

_NOT_FOR_KAFKA = {
    "parallelization_factor": "parallelizationFactor",
    "tumbling_window_in_seconds": "tumblingWindowInSeconds",
    "scaling_config": "scalingConfig",
    "document_db_event_source_config": "documentDBEventSourceConfig",
    "queues": "queues",
}
_NOT_YET = {
    "bisect_batch_on_function_error",
    "destination_config",
    "function_response_types",
    "kms_key_arn",
    "logging_config",
    "maximum_record_age_in_seconds",
    "maximum_retry_attempts",
    "metrics_config",
    "provisioned_poller_config",
    "tags",
}
_PROVISIONED_ONLY = (
    "{parameter} is only available for Provisioned Mode. To configure {what}, please enable Provisioned Mode by "
    "specifying MinimumPollers in ProvisionedPollerConfig."
)
_OTHER_WAY = {
    "topics": "The topic is the second argument: msk_esm(function, topic, ...).",
    "function_name": "The function is the first argument: msk_esm(function, topic, ...).",
}
_GROUP_PATTERN = r"[ a-zA-Z0-9-\/*:_+=.@-]*"
_TOPIC_PATTERN = r"[^.]([a-zA-Z0-9\-_.]+)"
_ARN_PATTERN = (
    r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"
)
_VPC = ("VPC_SUBNET", "VPC_SECURITY_GROUP")
_NUMBERS = {
    "batch_size": ("batchSize", 1, 10_000),
    "maximum_batching_window_in_seconds": ("maximumBatchingWindowInSeconds", 0, 300),
}
_POSITIONS = ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")
#: What a value may be: one of some types, a block with these members, or a list of these.
_Shape: TypeAlias = "tuple[type, ...] | dict[str, _Shape] | list[_Shape]"
_TYPES: dict[str, _Shape] = {
    "batch_size": (int,),
    "maximum_batching_window_in_seconds": (int,),
    "starting_position": (str,),
    "starting_position_timestamp": (datetime, int, float),
    "consumer_group_id": (str,),
    "amazon_managed_kafka_event_source_config": {"ConsumerGroupId": (str,), "SchemaRegistryConfig": (Mapping,)},
    "self_managed_kafka_event_source_config": {
        "ConsumerGroupId": (str,),
        "SchemaRegistryConfig": (Mapping,),
        "ConsumptionMode": (str,),
    },
    "event_source_arn": (str,),
    "self_managed_event_source": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [(str,)]}},
    "source_access_configurations": [{"Type": (str,), "URI": (str,)}],
    "filter_criteria": {"Filters": [{"Pattern": (str,)}]},
    "filter_quota": (int,),
    "filter_strict": (bool,),
    "filter_metadata": (bool,),
    "destination_config": (Mapping,),
    "enabled": (bool,),
    "latest_at_first_poll": (bool,),
    "null_tombstones": (bool,),
    "retry_backoff_in_seconds": (int, float),
    "transition_in_seconds": (int, float),
}


class EventSourceMappingError(MskError, ValueError):
    """An error that the Lambda API would give.

    Args:
        code: the API's name of the error, such as `InvalidParameterValueException`.
        message: the API's text.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refuse_unknown(parameters: MappingParameters) -> None:
    """Raise `TypeError` for a name that is no parameter, with the nearest that is."""
    __tracebackhide__ = True
    known = {*_TYPES, *_NOT_FOR_KAFKA, *_NOT_YET}
    for name in parameters:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = _OTHER_WAY.get(name) or (
            f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(known))}."
        )
        raise TypeError(f"An event source mapping has no parameter {name!r}. {hint}")


def refuse_types(parameters: MappingParameters) -> None:
    """Raise `TypeError` for a value that is not of its parameter's type, or a block with a member that it has not."""
    __tracebackhide__ = True
    for name, value in parameters.items():
        if name in _TYPES:
            _refuse_type(name, value, _TYPES[name])
    if not 1 <= parameters.get("filter_quota", MAX_FILTERS) <= MAX_FILTERS_RAISED:
        raise ValueError(
            f"filter_quota={parameters['filter_quota']!r}: filters of one mapping, {MAX_FILTERS} by default and at "
            f"most {MAX_FILTERS_RAISED} where AWS has raised the quota (spec 6.1)."
        )
    for name in ("retry_backoff_in_seconds", "transition_in_seconds"):
        seconds = cast("Mapping[str, float]", parameters).get(name, 0)
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"{name}={seconds!r}: seconds, 0 or more.")


def _refuse_type(path: str, value: object, shape: _Shape) -> None:
    kinds = (Mapping,) if isinstance(shape, dict) else (list, tuple) if isinstance(shape, list) else shape
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        valid = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(
            f"Invalid type for parameter {path}, value: {value!r}, type: {type(value)}, valid types: {valid}"
        )
    if isinstance(shape, dict):
        for name, member in cast("Mapping[str, object]", value).items():
            if name not in shape:
                raise TypeError(f'Unknown parameter in {path}: "{name}", must be one of: {", ".join(shape)}')
            _refuse_type(f"{path}.{name}", member, shape[name])
    elif isinstance(shape, list):
        for index, item in enumerate(cast("list[object]", value)):
            _refuse_type(f"{path}[{index}]", item, shape[0])


def refuse_shapes(topic: str, parameters: MappingParameters) -> None:
    """Raise AWS's `ValidationException` for values outside the API's shapes, all of them in one text."""
    __tracebackhide__ = True
    found = list(_shape_errors(topic, parameters))
    if found:
        noun = "validation error" if len(found) == 1 else "validation errors"
        raise EventSourceMappingError("ValidationException", f"{len(found)} {noun} detected: {'; '.join(found)}")


def _shape_errors(topic: str, parameters: MappingParameters) -> Iterator[str]:
    given = cast("Mapping[str, object]", parameters)
    for name, (member, low, high) in _NUMBERS.items():
        value = given.get(name)
        if isinstance(value, int) and value < low:
            yield _violation(value, member, f"Member must have value greater than or equal to {low}")
        if isinstance(value, int) and value > high:
            yield _violation(value, member, f"Member must have value less than or equal to {high}")
    position = given.get("starting_position")
    if position is not None and position not in _POSITIONS:
        yield _violation(position, "startingPosition", f"Member must satisfy enum value set: [{', '.join(_POSITIONS)}]")
    if len(topic) > 249 or not re.fullmatch(_TOPIC_PATTERN, topic):
        yield _violation(
            f"[{topic}]",
            "topics",
            "Member must satisfy constraint: [Member must have length less than or equal to 249, "
            "Member must have length greater than or equal to 1, "
            f"Member must satisfy regular expression pattern: {_TOPIC_PATTERN}, Member must not be null]",
        )
    for member, group in _groups(parameters):
        if len(group) > 200:
            yield _violation(group, member, "Member must have length less than or equal to 200")
        if not group:
            yield _violation(group, member, "Member must have length greater than or equal to 1")
        if not re.fullmatch(_GROUP_PATTERN, group):
            yield _violation(group, member, f"Member must satisfy regular expression pattern: {_GROUP_PATTERN}")
    arn = parameters.get("event_source_arn")
    if arn is not None and not re.fullmatch(_ARN_PATTERN, arn):
        yield _violation(arn, "eventSourceArn", f"Member must satisfy regular expression pattern: {_ARN_PATTERN}")
    for number, item in enumerate(parameters.get("filter_criteria", {}).get("Filters") or (), 1):
        if len(item.get("Pattern", "")) > 4096:
            member = f"filterCriteria.filters.{number}.member.pattern"
            yield _violation(item["Pattern"], member, "Member must have length less than or equal to 4096")


def _violation(value: object, member: str, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"


def _groups(parameters: MappingParameters) -> Iterator[tuple[str, str]]:
    """Every consumer group that the parameters name, with its member's name in the API."""
    managed = "self_managed_event_source" not in parameters
    if "consumer_group_id" in parameters:
        block = "amazonManagedKafkaEventSourceConfig" if managed else "selfManagedKafkaEventSourceConfig"
        yield f"{block}.consumerGroupId", parameters["consumer_group_id"]
    for block, config in (
        ("amazonManagedKafkaEventSourceConfig", parameters.get("amazon_managed_kafka_event_source_config", {})),
        ("selfManagedKafkaEventSourceConfig", parameters.get("self_managed_kafka_event_source_config", {})),
    ):
        if "ConsumerGroupId" in config:
            yield f"{block}.consumerGroupId", config["ConsumerGroupId"]


def consumer_group(parameters: MappingParameters, *, managed: bool) -> str | None:
    """The consumer group that is asked for, if any; from the block that belongs to the kind of Kafka."""
    __tracebackhide__ = True
    other = "self_managed_kafka_event_source_config" if managed else "amazon_managed_kafka_event_source_config"
    if other in parameters:
        member = "selfManagedKafkaEventSourceConfig" if managed else "amazonManagedKafkaEventSourceConfig"
        raise _invalid(f"Unsupported '{member}' parameter for given event source mapping type.")
    groups = [group for _, group in _groups(parameters)]
    if len(groups) > 1:
        raise TypeError("consumer_group_id is a shorthand for the block's ConsumerGroupId: give one of the two.")
    return groups[0] if groups else None


def event_source(parameters: MappingParameters, cluster_arn: str, bootstrap_servers: str) -> str | None:
    """The cluster's ARN, or `None` for self-managed Kafka, whose addresses must be the broker's (spec 2.2)."""
    __tracebackhide__ = True
    block = parameters.get("self_managed_event_source")
    access = parameters.get("source_access_configurations") or ()
    if block is None:
        _refuse_authentication(access)
        arn = parameters.get("event_source_arn", cluster_arn)
        if not re.fullmatch(CLUSTER_ARN_PATTERN, arn):
            raise _invalid(f"Unrecognized event source: {arn} is not the ARN of an MSK cluster.")
        return arn
    if "event_source_arn" in parameters:
        raise _invalid("Unrecognized event source.")
    servers = block.get("Endpoints", {}).get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        raise _invalid("Unrecognized event source.")
    if not access:
        raise _invalid("Required 'sourceAccessConfigurations' parameter is missing.")
    _refuse_authentication(access)
    if sorted(servers) != sorted(bootstrap_servers.split(",")):
        raise MskError(
            f"The mapping reads from the broker of this test, {bootstrap_servers}, but self_managed_event_source names "
            f"{list(servers)}: give msk_broker.bootstrap_servers.split(',') as its KAFKA_BOOTSTRAP_SERVERS."
        )
    return None


def _refuse_authentication(access: Sequence[SourceAccessConfiguration]) -> None:
    others = [item.get("Type") for item in access if item.get("Type") not in _VPC]
    if others:
        raise NotSupported(
            f"Authentication by {others[0]} is not run yet: the broker's listener is plaintext; give {_VPC}."
        )


def starting_timestamp(parameters: MappingParameters, now_ms: int) -> int | None:
    """The starting position's timestamp, epoch milliseconds."""
    __tracebackhide__ = True
    position, timestamp = parameters.get("starting_position"), parameters.get("starting_position_timestamp")
    if position != "AT_TIMESTAMP":
        return None
    if timestamp is None:
        raise _invalid("When the starting position is 'AT_TIMESTAMP', a starting position timestamp must be provided.")
    try:
        timestamp_ms = epoch_ms(timestamp)
    except ValueError as error:
        raise TypeError(f"starting_position_timestamp: {error}") from error
    if timestamp_ms > now_ms:
        raise _invalid("The starting position timestamp must not be in the future.")
    return timestamp_ms


def refuse_stray_timestamp(parameters: MappingParameters) -> None:
    """Raise for a timestamp without AT_TIMESTAMP; AWS looks at that after everything else (spec 2.6)."""
    __tracebackhide__ = True
    if "starting_position_timestamp" in parameters and parameters.get("starting_position") != "AT_TIMESTAMP":
        raise _invalid("StartingPositionTimestamp can only be used when the starting position is 'AT_TIMESTAMP'.")


def refuse_unsupported(parameters: MappingParameters) -> None:
    """Raise for parameters that Kafka mappings do not have, and for those that this kit does not run yet."""
    __tracebackhide__ = True
    for name, member in _NOT_FOR_KAFKA.items():
        if name in parameters:
            raise _invalid(f"Unsupported '{member}' parameter for given event source mapping type.")
    given = cast("Mapping[str, Mapping[str, object]]", parameters)
    provisioned = "provisioned_poller_config" in parameters
    if "metrics_config" in parameters and not provisioned:
        raise _invalid(_PROVISIONED_ONLY.format(parameter="MetricsConfig", what="MetricsConfig"))
    for name in ("amazon_managed_kafka_event_source_config", "self_managed_kafka_event_source_config"):
        if given.get(name, {}).get("SchemaRegistryConfig") and not provisioned:
            raise _invalid(_PROVISIONED_ONLY.format(parameter="SchemaRegistryConfig", what="Schema Registry"))
        if given.get(name, {}).get("ConsumptionMode", "Stream") != "Stream":
            raise NotSupported("ConsumptionMode: only 'Stream' is run; 'Queue' needs share groups (spec 3.6).")
    if "OnSuccess" in given.get("destination_config", {}):
        raise _invalid("Unsupported DestinationConfig parameter for given event source mapping type.")
    for name in sorted(_NOT_YET & set(parameters)):
        raise NotSupported(f"AWS has a parameter {name!r}, but this version of pytest_msk does not run it yet.")


def _invalid(message: str) -> EventSourceMappingError:
    return EventSourceMappingError("InvalidParameterValueException", message)
