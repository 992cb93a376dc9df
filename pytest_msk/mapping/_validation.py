"""The checks that AWS makes before it creates a mapping, in its order and with its texts (spec 2.6).

Shape checks come first (`_shapes`); then what the parameters mean, one after the other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import cast

from ..clock import epoch_ms
from ..errors import MskError, NotSupported
from ..events import CLUSTER_ARN_PATTERN
from ._shapes import TYPES, EventSourceMappingError, groups, invalid_parameter, refuse_shapes, refuse_types
from .access import Access, access_of
from .destinations import CallableDestination, Destination
from .parameters import MappingParameters
from .provisioned import ProvisionedPollers

__all__ = [
    "EventSourceMappingError",
    "consumer_group",
    "destination",
    "event_source",
    "provisioned_pollers",
    "record_age",
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
_PROVISIONED_ONLY = (
    "{parameter} is only available for Provisioned Mode. To configure {what}, please enable Provisioned Mode by "
    "specifying MinimumPollers in ProvisionedPollerConfig."
)
_OTHER_WAY = {
    "topics": "The topic is the second argument: msk_esm(function, topic, ...).",
    "function_name": "The function is the first argument: msk_esm(function, topic, ...).",
}
#: Parameters of provisioned mode, with their names in the API and the values that leave them off (spec 2.4, 4.2).
_PROVISIONED: dict[str, tuple[str, tuple[object, ...]]] = {
    "maximum_retry_attempts": ("MaximumRetryAttempts", (-1,)),
    "maximum_record_age_in_seconds": ("MaximumRecordAgeInSeconds", (-1,)),
    "bisect_batch_on_function_error": ("BisectBatchOnFunctionError", (False,)),
    "function_response_types": ("FunctionResponseTypes", ([], ())),
}
_MAX_POLLERS = 2_000
_DESTINATION_SERVICES = ("sqs", "sns", "s3")


def refuse_unknown(parameters: MappingParameters) -> None:
    """Raise `TypeError` for a name that is no parameter, with the nearest that is."""
    __tracebackhide__ = True
    known = {*TYPES, *_NOT_FOR_KAFKA}
    for name in parameters:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = _OTHER_WAY.get(name) or (
            f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(known))}."
        )
        raise TypeError(f"An event source mapping has no parameter {name!r}. {hint}")


def consumer_group(parameters: MappingParameters, *, managed: bool) -> str | None:
    """The consumer group that is asked for, if any; from the block that belongs to the kind of Kafka."""
    __tracebackhide__ = True
    other = "self_managed_kafka_event_source_config" if managed else "amazon_managed_kafka_event_source_config"
    if other in parameters:
        member = "selfManagedKafkaEventSourceConfig" if managed else "amazonManagedKafkaEventSourceConfig"
        raise invalid_parameter(f"Unsupported '{member}' parameter for given event source mapping type.")
    found = [group for _, group in groups(parameters)]
    if len(found) > 1:
        raise TypeError("consumer_group_id is a shorthand for the block's ConsumerGroupId: give one of the two.")
    return found[0] if found else None


def event_source(
    parameters: MappingParameters, cluster_arn: str, bootstrap_servers: Callable[[Access], str]
) -> tuple[str | None, Access]:
    """The cluster's ARN, `None` for self-managed Kafka, whose addresses must be the broker's; and the way in."""
    __tracebackhide__ = True
    block = parameters.get("self_managed_event_source")
    access = parameters.get("source_access_configurations") or ()
    if block is None:
        arn = parameters.get("event_source_arn", cluster_arn)
        if not re.fullmatch(CLUSTER_ARN_PATTERN, arn):
            raise invalid_parameter(f"Unrecognized event source: {arn} is not the ARN of an MSK cluster.")
        unsecured = parameters.get("authentication", "plaintext")
        return arn, access_of(access, managed=True, unsecured=unsecured)
    if "event_source_arn" in parameters:
        raise invalid_parameter("Unrecognized event source.")
    servers = block.get("Endpoints", {}).get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        raise invalid_parameter("Unrecognized event source.")
    if not access:
        raise invalid_parameter("Required 'sourceAccessConfigurations' parameter is missing.")
    found = access_of(access, managed=False, unsecured=parameters.get("authentication", "plaintext"))
    own = bootstrap_servers(found)
    if sorted(servers) != sorted(own.split(",")):
        way = "bootstrap_servers" if found.auth is None else f"bootstrap_servers_for({found.auth!r})"
        raise MskError(
            f"The mapping reads from the broker of this test, {own}, but self_managed_event_source names "
            f"{list(servers)}: give msk_broker.{way}.split(',') as its KAFKA_BOOTSTRAP_SERVERS."
        )
    return None, found


def starting_timestamp(parameters: MappingParameters, now_ms: int) -> int | None:
    """The starting position's timestamp, epoch milliseconds."""
    __tracebackhide__ = True
    position, timestamp = parameters.get("starting_position"), parameters.get("starting_position_timestamp")
    if position != "AT_TIMESTAMP":
        return None
    if timestamp is None:
        raise invalid_parameter(
            "When the starting position is 'AT_TIMESTAMP', a starting position timestamp must be provided."
        )
    try:
        timestamp_ms = epoch_ms(timestamp)
    except ValueError as error:
        raise TypeError(f"starting_position_timestamp: {error}") from error
    if timestamp_ms > now_ms:
        raise invalid_parameter("The starting position timestamp must not be in the future.")
    return timestamp_ms


def refuse_stray_timestamp(parameters: MappingParameters) -> None:
    """Raise for a timestamp without AT_TIMESTAMP; AWS looks at that after everything else (spec 2.6)."""
    __tracebackhide__ = True
    if "starting_position_timestamp" in parameters and parameters.get("starting_position") != "AT_TIMESTAMP":
        raise invalid_parameter(
            "StartingPositionTimestamp can only be used when the starting position is 'AT_TIMESTAMP'."
        )


def refuse_unsupported(parameters: MappingParameters) -> None:
    """Raise for parameters that Kafka mappings do not have, and for blocks that this kit does not run."""
    __tracebackhide__ = True
    for name, member in _NOT_FOR_KAFKA.items():
        if name in parameters:
            raise invalid_parameter(f"Unsupported '{member}' parameter for given event source mapping type.")
    given = cast("Mapping[str, Mapping[str, object]]", parameters)
    provisioned = bool(given.get("provisioned_poller_config"))
    if "metrics_config" in parameters and not provisioned:
        raise invalid_parameter(_PROVISIONED_ONLY.format(parameter="MetricsConfig", what="MetricsConfig"))
    if "logging_config" in parameters and not provisioned:
        raise invalid_parameter(_PROVISIONED_ONLY.format(parameter="LoggingConfig", what="LoggingConfig"))
    for name in ("amazon_managed_kafka_event_source_config", "self_managed_kafka_event_source_config"):
        if given.get(name, {}).get("SchemaRegistryConfig") and not provisioned:
            raise invalid_parameter(_PROVISIONED_ONLY.format(parameter="SchemaRegistryConfig", what="Schema Registry"))
        if given.get(name, {}).get("SchemaRegistryConfig"):
            raise NotSupported("SchemaRegistryConfig: schema registries are not run yet (spec 9).")
        if given.get(name, {}).get("ConsumptionMode", "Stream") != "Stream":
            raise NotSupported("ConsumptionMode: only 'Stream' is run; 'Queue' needs share groups (spec 3.6).")
    if "OnSuccess" in given.get("destination_config", {}):
        raise invalid_parameter("Unsupported DestinationConfig parameter for given event source mapping type.")


def provisioned_pollers(parameters: MappingParameters) -> ProvisionedPollers | None:
    """The pollers of provisioned mode; `None` on demand, where its other parameters are refused (spec 2.6, 4.2)."""
    __tracebackhide__ = True
    block = parameters.get("provisioned_poller_config")
    if not block:
        for name, (parameter, off) in _PROVISIONED.items():
            if name in parameters and cast("Mapping[str, object]", parameters)[name] not in off:
                raise invalid_parameter(_PROVISIONED_ONLY.format(parameter=parameter, what=parameter))
        return None
    minimum = block.get("MinimumPollers", 1)
    maximum = block.get("MaximumPollers", 200)
    if maximum > _MAX_POLLERS:
        raise invalid_parameter(f"Maximum provisioned pollers must be between 1 and {_MAX_POLLERS} inclusive.")
    if minimum > maximum:
        raise invalid_parameter(
            "Minimum provisioned pollers must be less than or equal to maximum provisioned pollers."
        )
    return ProvisionedPollers(minimum=minimum, maximum=maximum, group_name=block.get("PollerGroupName") or None)


def record_age(parameters: MappingParameters) -> int | None:
    """The highest age of a record, milliseconds; `None` for no limit."""
    __tracebackhide__ = True
    seconds = parameters.get("maximum_record_age_in_seconds", -1)
    if 0 <= seconds < 60:
        raise invalid_parameter(
            "MaximumRecordAgeInSeconds must be between 60 and 604800 inclusive, or -1 for no limit."
        )
    return None if seconds < 0 else seconds * 1000


def destination(parameters: MappingParameters, topic: str, *, provisioned: bool) -> str | Destination | None:
    """The on-failure destination: an address of AWS or of a topic, or one of the kit's own."""
    __tracebackhide__ = True
    target = parameters.get("destination_config", {}).get("OnFailure", {}).get("Destination", "")
    if isinstance(target, type):
        raise TypeError(f"Destination: {target.__name__} is a class; give an instance of it.")
    if target == "":
        return None
    if isinstance(target, Destination):
        return target
    if not isinstance(target, str):
        return CallableDestination(function=target)
    scheme, _, name = target.partition("://")
    if scheme == "kafka":
        if not provisioned:
            what = "a Kafka on-failure destination"
            raise invalid_parameter(_PROVISIONED_ONLY.format(parameter="A Kafka on-failure destination", what=what))
        if name == topic:
            raise invalid_parameter(
                f"The on-failure destination {target} is the topic that the mapping reads: failed records would come "
                "back without end (spec 4.7)."
            )
        return target
    service, resource = target.split(":", 5)[2::3]
    if service not in _DESTINATION_SERVICES or (service != "s3" and resource.endswith(".fifo")):
        raise invalid_parameter(
            f"The destination ARN {target} is invalid: an on-failure destination is a standard SQS queue, a standard "
            "SNS topic or an S3 bucket, or kafka://topic (spec 4.6)."
        )
    return target
