"""TemplateMapping: the event source mapping that a SAM or CloudFormation template will deploy, and its function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from ..mapping import MappingParameters
from ..mapping._shapes import refuse_types
from .document import Document, Place
from .intrinsics import Intrinsics

__all__ = ["TemplateFunction", "TemplateMapping"]

_Type = Literal["integer", "boolean", "text", "block"]
_Properties: TypeAlias = "Mapping[str, tuple[str, _Type]]"

#: Properties of a SAM event and of a CloudFormation resource, with the mapping's parameter and the value's type.
_COMMON: _Properties = {
    "BatchSize": ("batch_size", "integer"),
    "BisectBatchOnFunctionError": ("bisect_batch_on_function_error", "boolean"),
    "DestinationConfig": ("destination_config", "block"),
    "Enabled": ("enabled", "boolean"),
    "FilterCriteria": ("filter_criteria", "block"),
    "FunctionResponseTypes": ("function_response_types", "block"),
    "KmsKeyArn": ("kms_key_arn", "text"),
    "LoggingConfig": ("logging_config", "block"),
    "MaximumBatchingWindowInSeconds": ("maximum_batching_window_in_seconds", "integer"),
    "MaximumRecordAgeInSeconds": ("maximum_record_age_in_seconds", "integer"),
    "MaximumRetryAttempts": ("maximum_retry_attempts", "integer"),
    "MetricsConfig": ("metrics_config", "block"),
    "ProvisionedPollerConfig": ("provisioned_poller_config", "block"),
    "SourceAccessConfigurations": ("source_access_configurations", "block"),
    "StartingPosition": ("starting_position", "text"),
    "StartingPositionTimestamp": ("starting_position_timestamp", "integer"),
}
_SAM: _Properties = {**_COMMON, "ConsumerGroupId": ("consumer_group_id", "text")}
_RESOURCE: _Properties = {
    **_COMMON,
    "AmazonManagedKafkaEventSourceConfig": ("amazon_managed_kafka_event_source_config", "block"),
    "SelfManagedKafkaEventSourceConfig": ("self_managed_kafka_event_source_config", "block"),
    "ParallelizationFactor": ("parallelization_factor", "integer"),
    "TumblingWindowInSeconds": ("tumbling_window_in_seconds", "integer"),
    "ScalingConfig": ("scaling_config", "block"),
    "Queues": ("queues", "block"),
}
_NO_REGISTRY = "SchemaRegistryConfig: schema registries are not run here (spec 9); leave it out of the test's template."
#: Members of blocks that are numbers, though a template may write them as text.
_INTEGERS = {"MinimumPollers", "MaximumPollers"}
_SAM_DESTINATIONS = ("SQS", "SNS", "S3")
_SAM_EVENTS = ("MSK", "SelfManagedKafka")
_SAM_FUNCTION, _FUNCTION = "AWS::Serverless::Function", "AWS::Lambda::Function"
_MAPPING = "AWS::Lambda::EventSourceMapping"


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateFunction:
    """A function as a template deploys it.

    Args:
        name: its name.
        handler: `module.handler`, `None` where the template has none (an image).
        code: the folder with its code, `None` where the template tells no folder.
        timeout: seconds.
        memory_size: megabytes.
        alias: the alias that the mapping invokes.
        environment: its variables.
    """

    name: str
    handler: str | None
    code: Path | None
    timeout: float
    memory_size: int
    alias: str | None
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateMapping:
    """A mapping as a template deploys it.

    Args:
        topic: the topic's name.
        function: what it invokes.
        managed: whether its cluster is MSK, not self-managed Kafka.
        parameters: all other settings, but for the addresses of a self-managed cluster.
    """

    topic: str
    function: TemplateFunction
    managed: bool
    parameters: MappingParameters

    @classmethod
    def read(
        cls, path: str | Path, function: str, event: str | None = None, *, values: Mapping[str, object] | None = None
    ) -> TemplateMapping:
        """Read a mapping from a template.

        Args:
            path: the template, YAML or JSON.
            function: the function's logical id.
            event: the name of its SAM event, or the logical id of an `AWS::Lambda::EventSourceMapping`; may be left out
                where the function has one Kafka mapping.
            values: see `Intrinsics`.

        Raises:
            TemplateError: the template has no such function or mapping, or a property that a mapping has not.
        """
        return _Reader(Document(path), values or {}).mapping(function, event)


class _Reader:
    def __init__(self, document: Document, values: Mapping[str, object]) -> None:
        self._document = document
        self._evaluate = Intrinsics(document, values).evaluate

    def mapping(self, function: str, event: str | None) -> TemplateMapping:
        resources = self._document.root.get("Resources")
        if resources is None:
            raise self._document.root.error("the template has no Resources.")
        place = resources.get(function)
        kind = place.get("Type") if place else None
        if place is None or kind is None or kind.value not in (_SAM_FUNCTION, _FUNCTION):
            names = [name for name, each in resources.items() if self._type(each) in (_SAM_FUNCTION, _FUNCTION)]
            raise resources.error(f"there is no function {function!r}; there are: {', '.join(names) or 'none'}.")
        found = {**dict(self._events(place)), **dict(self._mappings(resources, function))}
        if event is None and len(found) == 1:
            (event,) = found
        if event is None or event not in found:
            wanted = "name one of its Kafka mappings" if event is None else f"it has no Kafka mapping {event!r}"
            raise place.error(f"{function}: {wanted}; there are: {', '.join(found) or 'none'}.")
        mapping = found[event]
        return (
            self._sam(mapping, place, function)
            if self._type(mapping) in _SAM_EVENTS
            else self._resource(mapping, place, function)
        )

    @staticmethod
    def _type(place: Place) -> object:
        kind = place.get("Type") if isinstance(place.value, dict) else None
        return kind.value if kind else None

    def _events(self, function: Place) -> Iterator[tuple[str, Place]]:
        properties = function.get("Properties")
        events = properties.get("Events") if properties else None
        for name, event in events.items() if events else ():
            if self._type(event) in _SAM_EVENTS:
                yield name, event

    def _mappings(self, resources: Place, function: str) -> Iterator[tuple[str, Place]]:
        for name, resource in resources.items():
            if self._type(resource) != _MAPPING:
                continue
            properties = resource.get("Properties")
            target = properties.get("FunctionName") if properties else None
            if target is not None and function in _names(target):
                yield name, resource

    # --- the mapping

    def _sam(self, event: Place, function: Place, name: str) -> TemplateMapping:
        managed = self._type(event) == "MSK"
        properties = event.get("Properties")
        if properties is None:
            raise event.error(f"{event.path} has no Properties.")
        source = "Stream" if managed else "KafkaBootstrapServers"
        parameters: dict[str, Any] = {}
        for key, place in properties.items():
            if key == "SchemaRegistryConfig":
                raise place.error(_NO_REGISTRY)
            if key == "Stream" and managed:
                parameters["event_source_arn"] = self._evaluate(place)
            elif key not in ("Topics", source):
                self._add(parameters, _SAM, key, place, f"An event of type {self._type(event)}")
        return self._made(properties, parameters, self._function(function, name, None), managed=managed)

    def _resource(self, resource: Place, function: Place, name: str) -> TemplateMapping:
        properties = resource.get("Properties")
        assert properties is not None
        parameters: dict[str, Any] = {}
        for key, place in properties.items():
            if key == "EventSourceArn":
                parameters["event_source_arn"] = self._evaluate(place)
            elif key == "Tags":
                tags = cast("list[dict[str, str]]", self._evaluate(place))
                parameters["tags"] = {tag["Key"]: tag["Value"] for tag in tags}
            elif key not in ("FunctionName", "SelfManagedEventSource", "Topics"):
                self._add(parameters, _RESOURCE, key, place, _MAPPING)
        target = properties.get("FunctionName")
        assert target is not None
        invoked = str(self._evaluate(target)).rpartition(":function:")[2]
        alias = invoked.partition(":")[2] or None
        managed = properties.get("SelfManagedEventSource") is None
        return self._made(properties, parameters, self._function(function, name, alias), managed=managed)

    def _made(
        self, properties: Place, parameters: dict[str, Any], function: TemplateFunction, *, managed: bool
    ) -> TemplateMapping:
        topics = properties.get("Topics")
        names = self._evaluate(topics) if topics else None
        if not isinstance(names, list) or len(names) != 1:
            raise (topics or properties).error(f"{properties.path}.Topics: a mapping has exactly one topic (spec 2.2).")
        return TemplateMapping(
            topic=str(names[0]),
            function=function,
            managed=managed,
            parameters=cast(MappingParameters, parameters),
        )

    def _add(self, parameters: dict[str, Any], known: _Properties, key: str, place: Place, what: str) -> None:
        if key not in known:
            raise place.error(f"{what} has no property {key!r}; there are: {', '.join(sorted(known))}.")
        name, kind = known[key]
        value = self._evaluate(place)
        if value is None:
            return
        if isinstance(value, dict) and "SchemaRegistryConfig" in value:
            raise place.error(_NO_REGISTRY)
        if name == "destination_config" and known is _SAM:
            value = _without_type(value, place)
        value = _typed(value, kind, place)
        try:
            refuse_types(cast(MappingParameters, {name: value}))
        except TypeError as error:
            raise place.error(f"{place.path}: {error}") from error
        parameters[name] = value

    # --- the function

    def _function(self, place: Place, name: str, alias: str | None) -> TemplateFunction:
        kind = self._type(place)
        properties = {**self._globals(kind), **dict((place.get("Properties") or place).items())}

        def setting(key: str, default: object) -> object:
            found = properties.get(key)
            value = None if found is None else self._evaluate(found)
            return default if value is None else value

        code = setting("CodeUri" if kind == _SAM_FUNCTION else "Code", None)
        folder = self._document.path.parent / code if isinstance(code, str) and "://" not in code else None
        shared = self._globals(kind).get("Environment")
        variables: dict[str, str] = {}
        for environment in (shared, properties.get("Environment")):
            block = environment.get("Variables") if environment else None
            for key, item in block.items() if block else ():
                variables[key] = _text(self._evaluate(item))
        return TemplateFunction(
            name=str(setting("FunctionName", name)),
            handler=cast("str | None", setting("Handler", None)),
            code=folder,
            timeout=float(str(setting("Timeout", 3))),
            memory_size=int(str(setting("MemorySize", 128))),
            alias=alias or cast("str | None", setting("AutoPublishAlias", None)),
            environment=variables,
        )

    def _globals(self, kind: object) -> dict[str, Place]:
        every = self._document.root.get("Globals") if kind == _SAM_FUNCTION else None
        found = every.get("Function") if every else None
        return dict(found.items()) if found else {}


def _names(place: Place) -> set[str]:
    """Every logical id that a place refers to, and its own text."""
    value = place.value
    if isinstance(value, dict):
        return {name for item in value.values() for name in _names(item)}
    if isinstance(value, list):
        return {name for item in value for name in _names(item)}
    text = str(value)
    return {text, *(part.split(".")[0] for part in text.replace("}", "${").split("${")), text.split(".")[0]}


def _without_type(value: object, place: Place) -> object:
    """A SAM event's destination without its `Type`, of which SAM makes a policy and nothing else."""
    failure = value.get("OnFailure") if isinstance(value, dict) else None
    if not isinstance(failure, dict) or "Type" not in failure:
        return value
    if failure["Type"] not in _SAM_DESTINATIONS:
        types = ", ".join(_SAM_DESTINATIONS)
        raise place.error(f"{place.path}.OnFailure.Type: SAM has no type {failure['Type']!r}; there are: {types}.")
    return {"OnFailure": {key: item for key, item in failure.items() if key != "Type"}}


def _typed(value: object, kind: _Type, place: Place) -> object:
    """A property's value as the API takes it: templates may write numbers and booleans as text."""
    if kind == "integer" and isinstance(value, str):
        if not value.lstrip("-").isdigit():
            raise place.error(f"{place.path}: {value!r} is no number.")
        return int(value)
    if kind == "boolean" and isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise place.error(f"{place.path}: {value!r} is neither true nor false.")
        return value.lower() == "true"
    if kind == "block":
        return _numbers(value)
    return value


def _numbers(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: int(item) if key in _INTEGERS and isinstance(item, str) and item.isdigit() else _numbers(item)
            for key, item in value.items()
        }
    return [_numbers(item) for item in value] if isinstance(value, list) else value


def _text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
