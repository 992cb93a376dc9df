"""The shapes of a mapping's parameters, checked as the API's client and its front door do: types, bounds, patterns.

The service reports everything that is wrong with the shapes in one text (spec 2.6).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TypeAlias, cast

from ..errors import MskError
from ..filters.criteria import MAX_FILTERS, MAX_FILTERS_RAISED
from .destinations import Destination
from .parameters import MappingParameters

__all__ = ["TYPES", "EventSourceMappingError", "groups", "refuse_shapes", "refuse_types"]

_GROUP_PATTERN = r"[ a-zA-Z0-9-\/*:_+=.@-]*"
_TOPIC_PATTERN = r"[^.]([a-zA-Z0-9\-_.]+)"
_ARN_PATTERN = (
    r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)"
)
_NUMBERS = {
    "batch_size": ("batchSize", 1, 10_000),
    "maximum_batching_window_in_seconds": ("maximumBatchingWindowInSeconds", 0, 300),
    "maximum_retry_attempts": ("maximumRetryAttempts", -1, 10_000),
    "maximum_record_age_in_seconds": ("maximumRecordAgeInSeconds", -1, 604_800),
}
_POLLERS = {
    "MinimumPollers": ("provisionedPollerConfig.minimumPollers", 1, 200),
    "MaximumPollers": ("provisionedPollerConfig.maximumPollers", 1, 10_000),
}
_POLLER_GROUP_PATTERN = r"[a-zA-Z0-9-_]*"
_DESTINATION_PATTERN = rf"$|kafka://([^.]([a-zA-Z0-9\-_.]{{0,248}}))|{_ARN_PATTERN}"
_METRICS = ("EventCount", "ErrorCount", "KafkaMetrics")
_LOG_LEVELS = ("DEBUG", "INFO", "WARN")
_KEY_PATTERN = r"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"
_POSITIONS = ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")
#: What a value may be: one of some types, a block with these members, or a list of these.
_Shape: TypeAlias = "tuple[type, ...] | dict[str, _Shape] | list[_Shape]"
TYPES: dict[str, _Shape] = {
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
    "authentication": (str,),
    "filter_criteria": {"Filters": [{"Pattern": (str,)}]},
    "filter_quota": (int,),
    "filter_strict": (bool,),
    "filter_metadata": (bool,),
    "provisioned_poller_config": {"MinimumPollers": (int,), "MaximumPollers": (int,), "PollerGroupName": (str,)},
    "maximum_retry_attempts": (int,),
    "maximum_record_age_in_seconds": (int,),
    "bisect_batch_on_function_error": (bool,),
    "function_response_types": [(str,)],
    "metrics_config": {"Metrics": [(str,)]},
    "logging_config": {"SystemLogLevel": (str,)},
    "kms_key_arn": (str,),
    "tags": (Mapping,),
    "destination_config": {
        "OnFailure": {"Destination": (str, Destination, cast(type, Callable))},
        "OnSuccess": (Mapping,),
    },
    "enabled": (bool,),
    "latest_at_first_poll": (bool,),
    "null_tombstones": (bool,),
    "event_pollers": (int, str),
    "strict_order": (bool,),
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


def invalid_parameter(message: str) -> EventSourceMappingError:
    """The API's `InvalidParameterValueException` with this text."""
    return EventSourceMappingError("InvalidParameterValueException", message)


def refuse_types(parameters: MappingParameters) -> None:
    """Raise `TypeError` for a value that is not of its parameter's type, or a block with a member that it has not."""
    __tracebackhide__ = True
    for name, value in parameters.items():
        if name in TYPES:
            _refuse_type(name, value, TYPES[name])
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
        yield from _bound_errors(given.get(name), member, low, high)
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
    for member, group in groups(parameters):
        if len(group) > 200:
            yield _violation(group, member, "Member must have length less than or equal to 200")
        if not group:
            yield _violation(group, member, "Member must have length greater than or equal to 1")
        if not re.fullmatch(_GROUP_PATTERN, group):
            yield _violation(group, member, f"Member must satisfy regular expression pattern: {_GROUP_PATTERN}")
    arn = parameters.get("event_source_arn")
    if arn is not None and not re.fullmatch(_ARN_PATTERN, arn):
        yield _violation(arn, "eventSourceArn", f"Member must satisfy regular expression pattern: {_ARN_PATTERN}")
    yield from _failure_errors(parameters)
    for number, item in enumerate(parameters.get("filter_criteria", {}).get("Filters") or (), 1):
        if len(item.get("Pattern", "")) > 4096:
            member = f"filterCriteria.filters.{number}.member.pattern"
            yield _violation(item["Pattern"], member, "Member must have length less than or equal to 4096")


def _failure_errors(parameters: MappingParameters) -> Iterator[str]:
    """What is wrong with the parameters of provisioned mode, of retries and of the destination."""
    pollers = cast("Mapping[str, object]", parameters.get("provisioned_poller_config", {}))
    for name, (member, low, high) in _POLLERS.items():
        yield from _bound_errors(pollers.get(name), member, low, high)
    group, member = str(pollers.get("PollerGroupName", "")), "provisionedPollerConfig.pollerGroupName"
    if len(group) > 128:
        yield _violation(group, member, "Member must have length less than or equal to 128")
    if not re.fullmatch(_POLLER_GROUP_PATTERN, group):
        yield _violation(group, member, f"Member must satisfy regular expression pattern: {_POLLER_GROUP_PATTERN}")
    kinds = parameters.get("function_response_types", ())
    shown, member = f"[{', '.join(kinds)}]", "functionResponseTypes"
    if len(kinds) > 1:
        yield _violation(shown, member, "Member must have length less than or equal to 1")
    if not {*kinds} <= {"ReportBatchItemFailures"}:
        constraint = "Member must satisfy constraint: [Member must satisfy enum value set: [ReportBatchItemFailures]]"
        yield _violation(shown, member, constraint)
    level = parameters.get("logging_config", {}).get("SystemLogLevel")
    if level not in (None, *_LOG_LEVELS):
        constraint = f"Member must satisfy enum value set: [{', '.join(_LOG_LEVELS)}]"
        yield _violation(level, "loggingConfig.systemLogLevel", constraint)
    key = parameters.get("kms_key_arn", "")
    if key and not re.fullmatch(_KEY_PATTERN, key):
        yield _violation(key, "kMSKeyArn", f"Member must satisfy regular expression pattern: {_KEY_PATTERN}")
    names = parameters.get("metrics_config", {}).get("Metrics", ())
    shown, member = f"[{', '.join(names)}]", "metricsConfig.metrics"
    if len(names) > len(_METRICS):
        yield _violation(shown, member, f"Member must have length less than or equal to {len(_METRICS)}")
    if not {*names} <= {*_METRICS}:
        constraint = f"Member must satisfy constraint: [Member must satisfy enum value set: [{', '.join(_METRICS)}]]"
        yield _violation(shown, member, constraint)
    target = parameters.get("destination_config", {}).get("OnFailure", {}).get("Destination", "")
    member = "destinationConfig.onFailure.destination"
    if isinstance(target, str) and len(target) > 350:
        yield _violation(target, member, "Member must have length less than or equal to 350")
    if isinstance(target, str) and not re.fullmatch(_DESTINATION_PATTERN, target):
        yield _violation(target, member, f"Member must satisfy regular expression pattern: {_DESTINATION_PATTERN}")


def _bound_errors(value: object, member: str, low: int, high: int) -> Iterator[str]:
    if isinstance(value, int) and value < low:
        yield _violation(value, member, f"Member must have value greater than or equal to {low}")
    if isinstance(value, int) and value > high:
        yield _violation(value, member, f"Member must have value less than or equal to {high}")


def _violation(value: object, member: str, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"


def groups(parameters: MappingParameters) -> Iterator[tuple[str, str]]:
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
