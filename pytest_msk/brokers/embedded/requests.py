"""Requests as a fault or a test sees them: what they ask for, of which topics, partitions and groups.

Pure. A request asks for parts: a partition of a topic, a topic, a group. A fault may concern some of them only, so that
a request can be cut in two: the parts that are meant, and the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

from ...errors import BrokerError
from .messages import APIS
from .wire import Api, Struct

__all__ = ["Part", "Request", "RequestFilter", "RequestScope", "api_named", "narrowed", "split"]

_GROUP_KEY = 0
_TOPIC_RESOURCE, _GROUP_RESOURCE = 2, 32
_BY_NAME = {api.name: api for api in APIS.values()}


def api_named(name: str) -> Api:
    """The API of that name.

    Raises:
        BrokerError: this broker speaks none of that name.
    """
    api = _BY_NAME.get(name)
    if api is None:
        raise BrokerError(
            f"The embedded broker speaks no API {name!r}. It speaks, by Kafka's own names: "
            f"{', '.join(sorted(_BY_NAME))}."
        )
    return api


class Part(NamedTuple):
    """What one item of a request is about; None where it has no such thing."""

    topic: str | None = None
    partition: int | None = None
    group: str | None = None


_Keep = Callable[[Part], bool]


def narrowed(body: Struct, keep: _Keep) -> tuple[Struct, int]:
    """A request with only those items of which `keep(part)` is true, and how many these are.

    A request without items counts as one part, and is left as it is.
    """
    cut = dict(body)
    group = _own_group(body)
    kept = items = 0
    for name, narrow in _LISTS.items():
        found = body.get(name)
        if found is None or not isinstance(found, list | tuple):
            continue
        parts = [narrow(item, group, body, keep) for item in found]
        cut[name] = [item for item, count in parts if count]
        kept += sum(count for _, count in parts)
        items += len(parts)
    if not items:
        return cut, int(keep(Part(group=group)))
    return cut, kept


def split(body: Struct, meant: _Keep) -> tuple[Struct | None, Struct | None]:
    """A request without the parts that are meant, and with them alone; None where nothing is left."""
    rest, left = narrowed(body, lambda part: not meant(part))
    those, hit = narrowed(body, meant)
    return rest if left else None, those if hit else None


def _own_group(body: Struct) -> str | None:
    if "key_type" in body:
        return body["key"] if body["key_type"] == _GROUP_KEY and body["key"] else None
    group = body.get("group_id")
    return group if isinstance(group, str) and group else None


def _topic(item: object, group: str | None, _body: Struct, keep: _Keep) -> tuple[object, int]:
    if isinstance(item, str):
        return item, int(keep(Part(item, None, group)))
    assert isinstance(item, dict)
    name, partitions = item.get("name"), item.get("partitions")
    if partitions is None:
        return item, int(keep(Part(name, None, group)))
    kept = [each for each in partitions if keep(Part(name, each["index"] if isinstance(each, dict) else each, group))]
    return {**item, "partitions": kept}, len(kept)


def _group(item: object, _group: str | None, _body: Struct, keep: _Keep) -> tuple[object, int]:
    if isinstance(item, str):
        return item, int(keep(Part(group=item)))
    assert isinstance(item, dict)
    return narrowed(item, keep)


def _coordinator_key(item: object, _group: str | None, body: Struct, keep: _Keep) -> tuple[object, int]:
    assert isinstance(item, str)
    return item, int(keep(Part(group=item if body["key_type"] == _GROUP_KEY else None)))


def _resource(item: object, _group: str | None, _body: Struct, keep: _Keep) -> tuple[object, int]:
    assert isinstance(item, dict)
    kind, name = item["resource_type"], item["resource_name"]
    part = Part(
        topic=name if kind == _TOPIC_RESOURCE else None,
        group=name if kind == _GROUP_RESOURCE else None,
    )
    return item, int(keep(part))


_LISTS: Mapping[str, Callable[[object, str | None, Struct, _Keep], tuple[object, int]]] = {
    "topics": _topic,
    "topic_names": _topic,
    "groups": _group,
    "group_ids": _group,
    "coordinator_keys": _coordinator_key,
    "resources": _resource,
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request that came in.

    Args:
        api: its API, by Kafka's own name, such as `Produce`.
        version: the version of the API.
        node: the id of the node that it came to.
        client_id: the client's `client.id`.
        body: its fields as this broker names them; of records only how many bytes they are.
    """

    api: str
    version: int
    node: int
    client_id: str
    body: Mapping[str, object]

    @property
    def parts(self) -> tuple[Part, ...]:
        """What it asks for."""
        parts: list[Part] = []
        narrowed(dict(self.body), lambda part: not parts.append(part))  # type: ignore[func-returns-value]
        return tuple(parts)

    @property
    def topics(self) -> frozenset[str]:
        """The topics that it names."""
        return frozenset(part.topic for part in self.parts if part.topic is not None)

    @property
    def partitions(self) -> frozenset[tuple[str, int]]:
        """The partitions that it names: (topic, partition)."""
        return frozenset((p.topic, p.partition) for p in self.parts if p.topic is not None and p.partition is not None)

    @property
    def groups(self) -> frozenset[str]:
        """The consumer groups that it names."""
        return frozenset(part.group for part in self.parts if part.group is not None)

    @classmethod
    def of(cls, api: Api, version: int, node: int, client_id: str, body: Struct) -> Request:
        """The request that a decoded message is."""
        return cls(api=api.name, version=version, node=node, client_id=client_id, body=_without_records(body))


def _without_records(fields: Struct) -> Struct:
    return {
        name: len(value)
        if isinstance(value, memoryview)
        else [_without_records(item) for item in value]
        if isinstance(value, list) and value and isinstance(value[0], dict)
        else value
        for name, value in fields.items()
    }


class RequestScope(TypedDict, total=False):
    """Which requests are meant.

    Args:
        topic: requests, or the parts of them, about this topic.
        partition: about this partition.
        group: about this consumer group.
        client_id: of clients with this `client.id`.
        node: that came to the node of this id.
    """

    topic: str
    partition: int
    group: str
    client_id: str
    node: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFilter:
    """A `RequestScope` and an API; what is None may be anything."""

    api: str | None = None
    topic: str | None = None
    partition: int | None = None
    group: str | None = None
    client_id: str | None = None
    node: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it means whole requests, not parts of them."""
        return self.topic is None and self.partition is None and self.group is None

    def means(self, part: Part) -> bool:
        """Whether a part of a request is meant."""
        return (
            (self.topic is None or part.topic == self.topic)
            and (self.partition is None or part.partition == self.partition)
            and (self.group is None or part.group == self.group)
        )

    def matches(self, request: Request) -> bool:
        """Whether a request, or a part of it, is meant."""
        return (
            (self.api is None or request.api == self.api)
            and (self.client_id is None or request.client_id == self.client_id)
            and (self.node is None or request.node == self.node)
            and (self.whole or any(self.means(part) for part in request.parts))
        )
