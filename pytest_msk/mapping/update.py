"""Update: what `UpdateEventSourceMapping` makes of a mapping's parameters (spec 2.6). Pure.

A member that is not sent keeps its value. What cannot be changed has no member in the request at all, so that boto3
refuses it before AWS sees it; here it is a `TypeError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ._shapes import EventSourceMappingError, invalid_parameter
from .parameters import MappingParameters

__all__ = ["FIXED", "updated"]

#: Parameters that no update can change (spec 2.2), and those of the kit that belong to a mapping's creation.
FIXED = (
    "event_source_arn",
    "latest_at_first_poll",
    "queues",
    "self_managed_event_source",
    "starting_position",
    "starting_position_timestamp",
    "tags",
)
_GROUP_BLOCKS = {
    "amazon_managed_kafka_event_source_config": "amazonManagedKafkaEventSourceConfig",
    "self_managed_kafka_event_source_config": "selfManagedKafkaEventSourceConfig",
}


def updated(parameters: MappingParameters, changes: MappingParameters) -> MappingParameters:
    """A mapping's parameters after an update, to be checked like those of a new one.

    Args:
        parameters: what the mapping has.
        changes: what the caller gave.

    Raises:
        EventSourceMappingError: AWS would refuse the change; the text is AWS's.
        TypeError: a parameter cannot be changed.
    """
    __tracebackhide__ = True
    _refuse(parameters, cast("Mapping[str, object]", changes))
    result = dict(cast("Mapping[str, object]", parameters))
    for name, value in cast("Mapping[str, object]", changes).items():
        if name in _GROUP_BLOCKS and not value:
            continue  # an empty block leaves it alone
        if name == "filter_criteria" and value is None:
            continue
        if name == "destination_config" and isinstance(value, Mapping) and not any(value.values()):
            continue  # nothing is sent in it
        if _clears(name, value):
            result.pop(name, None)
        elif name == "provisioned_poller_config" and isinstance(value, Mapping):
            old = result.get(name)
            block = {**(old if isinstance(old, Mapping) else {}), **value}
            if block.get("PollerGroupName") == "":
                del block["PollerGroupName"]
            result[name] = block
        elif name in _GROUP_BLOCKS:
            old = result.get(name)
            result[name] = {**(old if isinstance(old, Mapping) else {}), **cast("Mapping[str, object]", value)}
        else:
            result[name] = value
    return cast("MappingParameters", result)


def _refuse(parameters: MappingParameters, changes: Mapping[str, object]) -> None:
    """Refuse what an update cannot change."""
    __tracebackhide__ = True
    for name in changes:
        if name == "topics":
            raise TypeError("UpdateEventSourceMapping cannot change the topic (spec 2.2): make another mapping.")
        if name in FIXED:
            raise TypeError(
                f"UpdateEventSourceMapping has no parameter {name!r} (spec 2.2): a mapping keeps it from its creation. "
                "Delete the mapping and make another one."
            )
    managed = "self_managed_event_source" not in parameters
    if "consumer_group_id" in changes:
        name = "amazon_managed_kafka_event_source_config" if managed else "self_managed_kafka_event_source_config"
        raise _unsupported(f"'{_GROUP_BLOCKS[name]}.consumerGroupId'", ".")
    for name, member in _GROUP_BLOCKS.items():
        block = changes.get(name)
        if isinstance(block, Mapping) and "ConsumerGroupId" in block:
            raise _unsupported(f"'{member}.consumerGroupId'", ".")
        if isinstance(block, Mapping) and "ConsumptionMode" in block:
            raise _unsupported("'ConsumptionMode'", "")


def _clears(name: str, value: object) -> bool:
    """Whether a value is the one by which AWS removes what the mapping has."""
    if name == "filter_criteria":
        return isinstance(value, Mapping) and not value.get("Filters")
    if name == "destination_config":
        failure = value.get("OnFailure") if isinstance(value, Mapping) else None
        return isinstance(failure, Mapping) and failure.get("Destination") == ""
    if name in ("metrics_config", "logging_config"):
        return isinstance(value, Mapping) and not any(value.values())
    if name == "kms_key_arn":
        return value == ""
    return name == "provisioned_poller_config" and isinstance(value, Mapping) and not value


def _unsupported(parameter: str, end: str) -> EventSourceMappingError:
    text = f"Unsupported {parameter} parameter for given event source mapping type{end}"
    return invalid_parameter(text)
