"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from ..call import Call
from ..errors import INVALID_REQUEST_SENTENCE, ErrorCode, Refused
from ..messages.configs import ALTER_CONFIGS, DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS
from ..node import Node
from ..settings import BROKER_SETTINGS, TOPIC_CONFIGS, ConfigKey, Settings
from ..topics import Topic, check_topic_configs, check_topic_name
from ..wire import Api, Struct

__all__ = ["config_source", "handlers"]

_TOPIC, _BROKER = 2, 4
# Topics, brokers, and what this broker keeps no configs of: loggers, client metrics, groups.
_ALTERABLE = frozenset([_TOPIC, _BROKER, 8, 16, 32])
_SOURCE_TOPIC, _SOURCE_BROKER, _SOURCE_DEFAULT = 1, 4, 5
_TYPES = {"boolean": 1, "string": 2, "int": 3, "short": 4, "long": 5, "double": 6, "list": 7}
_SET, _DELETE, _APPEND, _SUBTRACT = range(4)


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    configs = _Configs(node)
    return (
        (DESCRIBE_CONFIGS, configs.describe),
        (ALTER_CONFIGS, configs.alter),
        (INCREMENTAL_ALTER_CONFIGS, configs.alter_incrementally),
    )


def config_source(settings: Settings, topic: Topic, key: ConfigKey) -> int:
    """Where a topic's config has its value from, as Kafka's number: the topic, the broker's settings, the default."""
    if key.name in topic.configs:
        return _SOURCE_TOPIC
    return _SOURCE_BROKER if key.broker in settings.given else _SOURCE_DEFAULT


class _Configs:
    def __init__(self, node: Node) -> None:
        self._node = node

    def describe(self, _call: Call, request: Struct) -> Struct:
        return {"results": [self._describe(resource, request["include_synonyms"]) for resource in request["resources"]]}

    def _describe(self, resource: Struct, synonyms: bool) -> Struct:
        kind, name, wanted = resource["resource_type"], resource["resource_name"], resource["configuration_keys"]
        answer = {"error_code": ErrorCode.NONE, "error_message": "", "resource_type": kind, "resource_name": name}
        try:
            entries = self._entries(kind, name)
        except Refused as refused:
            return {**answer, "error_code": refused.code, "error_message": refused.message or "", "configs": []}
        configs = [entry for entry in entries if not wanted or entry["name"] in wanted]
        if not synonyms:
            for entry in configs:
                entry["synonyms"] = []
        return {**answer, "configs": configs}

    def _entries(self, kind: int, name: str) -> list[Struct]:
        if kind == _TOPIC:
            check_topic_name(name)
            return self._topic_entries(self._node.topic(name))
        if kind == _BROKER:
            return self._broker_entries(name)
        raise Refused(ErrorCode.INVALID_REQUEST, INVALID_REQUEST_SENTENCE)

    def _topic_entries(self, topic: Topic) -> list[Struct]:
        settings = self._node.settings
        entries = []
        for name, key in TOPIC_CONFIGS.items():
            synonyms = []
            if name in topic.configs:
                synonyms.append({"name": name, "value": topic.configs[name], "source": _SOURCE_TOPIC})
            synonyms += _broker_synonyms(settings, key)
            source = config_source(settings, topic, key)
            entries.append(_entry(key, topic.config(name), source, synonyms))
        return entries

    def _broker_entries(self, name: str) -> list[Struct]:
        if name and not name.lstrip("-").isdecimal():
            raise Refused(ErrorCode.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}")
        if name not in ("", str(self._node.id)):
            raise Refused(
                ErrorCode.INVALID_REQUEST,
                f"Unexpected broker id, expected {self._node.id} or empty string, but received {name}",
            )
        if not name:
            return []  # the cluster-wide dynamic configs: none can be set
        settings = self._node.settings
        entries = []
        for key in BROKER_SETTINGS.values():
            given = key.name in settings.given
            own = ConfigKey(key.name, key.type, key.default, broker=key.name)
            source = _SOURCE_BROKER if given else _SOURCE_DEFAULT
            # What a setting does is fixed when the broker starts.
            entries.append(_entry(key, settings.get(key.name), source, _broker_synonyms(settings, own), read_only=True))
        return entries

    def alter(self, _call: Call, request: Struct) -> Struct:
        return self._alter_all(request, _replaced)

    def alter_incrementally(self, _call: Call, request: Struct) -> Struct:
        return self._alter_all(request, _incremented)

    def _alterable(self, kind: int, name: str) -> Topic:
        if kind not in _ALTERABLE:
            raise Refused(ErrorCode.INVALID_REQUEST, f"Unknown resource type {kind}")
        if kind != _TOPIC:
            raise Refused(
                ErrorCode.INVALID_REQUEST,
                "The embedded broker's own settings are given when it starts; only topics can be altered.",
            )
        if not name:
            raise Refused(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
        check_topic_name(name)
        topic = self._node.topics.get(name)
        if topic is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
        return topic

    def _alter_all(self, request: Struct, change: Callable[[Topic, list[Struct]], Mapping[str, str | None]]) -> Struct:
        times = Counter((each["resource_type"], each["resource_name"]) for each in request["resources"])
        answers = []
        for resource in request["resources"]:
            kind, name = resource["resource_type"], resource["resource_name"]
            answer: Struct = {"error_code": ErrorCode.NONE, "resource_type": kind, "resource_name": name}
            try:
                _check_request(resource["configs"], times[kind, name])
                topic = self._alterable(kind, name)
                configs = check_topic_configs(change(topic, resource["configs"]))
                if not request["validate_only"]:
                    topic.configure(configs)
            except Refused as refused:
                answer.update(error_code=refused.code, error_message=refused.message)
            answers.append(answer)
        return {"responses": answers}


def _check_request(configs: list[Struct], times: int) -> None:
    """What Kafka asks of every change, before it looks at what is changed."""
    if times > 1:
        raise Refused(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
    if len({config["name"] for config in configs}) < len(configs):
        raise Refused(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    empty = [config["name"] for config in configs if config["value"] is None and config.get("operation") != _DELETE]
    if empty:
        raise Refused(ErrorCode.INVALID_REQUEST, f"Null value not supported for : {','.join(empty)}")


def _replaced(_topic: Topic, configs: list[Struct]) -> Mapping[str, str | None]:
    return {config["name"]: config["value"] for config in configs}


def _incremented(topic: Topic, configs: list[Struct]) -> Mapping[str, str | None]:
    """A topic's configs with changes applied one by one."""
    result: dict[str, str | None] = dict(topic.configs)
    for config in configs:
        name, operation, value = config["name"], config["operation"], config["value"]
        key = TOPIC_CONFIGS.get(name)
        if operation == _DELETE:
            result.pop(name, None)
        elif operation == _SET or key is None:
            result[name] = value
        elif operation in (_APPEND, _SUBTRACT):
            if key.type != "list":
                word = "APPEND" if operation == _APPEND else "SUBTRACT"
                raise Refused(ErrorCode.INVALID_CONFIG, f"Can't {word} to key {name} because its type is not LIST.")
            items = [item for item in (result.get(name) or topic.config(name)).split(",") if item]
            given = [item.strip() for item in (value or "").split(",") if item.strip()]
            if operation == _APPEND:
                items += [item for item in given if item not in items]
            else:
                items = [item for item in items if item not in given]
            result[name] = ",".join(items)
        else:
            raise Refused(ErrorCode.UNKNOWN_SERVER_ERROR)
    return result


def _broker_synonyms(settings: Settings, key: ConfigKey) -> list[Struct]:
    if key.broker is None:
        return []
    synonyms = []
    if key.broker in settings.given:
        synonyms.append({"name": key.broker, "value": settings.given[key.broker], "source": _SOURCE_BROKER})
    default = BROKER_SETTINGS[key.broker].default
    if default is not None:
        synonyms.append({"name": key.broker, "value": default, "source": _SOURCE_DEFAULT})
    return synonyms


def _entry(
    key: ConfigKey, value: str | None, source: int, synonyms: list[Struct], *, read_only: bool = False
) -> Struct:
    return {
        "name": key.name,
        "value": value,
        "read_only": read_only,
        "source": source,
        "is_sensitive": False,
        "synonyms": synonyms,
        "config_type": _TYPES[key.type],
    }
