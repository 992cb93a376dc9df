"""Requests by name and field in every version, and the answers as dicts.

The tables are the embedded broker's own. That real Kafka understands what they write, and that nothing is left of its
answers when they are read, shows that the tables are right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kafka_wire import Wire

from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.wire import Api, _compiled

_API_VERSIONS = 18

#: The APIs that have a test in every version, by `every_version`.
covered: set[int] = set()


def api(name: str) -> Api:
    """An API by Kafka's name."""
    (found,) = [each for each in APIS.values() if each.name == name]
    return found


def every_version(name: str) -> Callable[[Any], Any]:
    """Runs a test with `version` as each of the API's that the embedded broker speaks."""
    low, high = api(name).versions
    covered.add(api(name).key)
    return pytest.mark.parametrize("version", range(low, high + 1))


def ask(wire: Wire, name: str, version: int | None = None, **body: Any) -> dict[str, Any]:
    """Send a request, in the highest version if none is given; its answer, read to the last byte."""
    one = api(name)
    version = one.versions[1] if version is None else version
    flexible = one.is_flexible(version)
    sent = wire.send(one.key, version, b"".join(one.encode_request(version, body)), flexible=flexible)
    return answered(wire, name, version, sent)


def answered(wire: Wire, name: str, version: int, sent: int) -> dict[str, Any]:
    """The answer to a request that was sent."""
    one = api(name)
    answer = wire.receive()
    assert answer.int32() == sent
    flexible = one.is_flexible(version)
    start = 5 if flexible and one.key != _API_VERSIONS else 4
    decode, _, budget = _compiled(one.response, version, flexible)
    budget.left = 1_000_000
    message, end = decode(memoryview(answer.data), start)
    assert end == len(answer.data), f"{len(answer.data) - end} bytes of the answer are not understood"
    return dict(message)


def send(wire: Wire, name: str, version: int | None = None, **body: Any) -> int:
    """Send a request without waiting for its answer; its correlation id."""
    one = api(name)
    version = one.versions[1] if version is None else version
    data = b"".join(one.encode_request(version, body))
    return wire.send(one.key, version, data, flexible=one.is_flexible(version))


# --- the requests, with what most tests want of them


def produce(
    wire: Wire, topic: str, *batches: bytes | None, version: int | None = None, acks: int = -1, partition: int = 0
) -> dict[str, Any]:
    """Produce to one partition; its part of the answer."""
    (data,) = batches
    topics = [{"name": topic, "partitions": [{"index": partition, "records": data}]}]
    answer = ask(wire, "Produce", version, transactional_id=None, acks=acks, timeout_ms=5_000, topics=topics)
    return dict(answer["topics"][0]["partitions"][0])


def fetch(wire: Wire, topic: str, offset: int = 0, *, version: int | None = None, **fields: Any) -> dict[str, Any]:
    """Fetch from one partition; its part of the answer. Fields of the partition and of the request by name."""
    partition = {
        "index": fields.pop("partition", 0),
        "fetch_offset": offset,
        "max_bytes": fields.pop("partition_max_bytes", 1_000_000),
        "current_leader_epoch": fields.pop("current_leader_epoch", -1),
        "last_fetched_epoch": -1,
        "log_start_offset": -1,
    }
    answer = fetch_all(wire, [{"name": topic, "partitions": [partition]}], version=version, **fields)
    assert answer["error_code"] == 0, answer
    return dict(answer["topics"][0]["partitions"][0])


def fetch_all(wire: Wire, topics: list[Any], *, version: int | None = None, **fields: Any) -> dict[str, Any]:
    """Fetch from several partitions; the whole answer."""
    defaults = {
        "replica_id": -1,
        "max_wait_ms": 0,
        "min_bytes": 1,
        "max_bytes": 10_000_000,
        "isolation_level": 0,
        "session_id": 0,
        "session_epoch": -1,
        "forgotten_topics": [],
        "rack_id": "",
    }
    return ask(wire, "Fetch", version, topics=topics, **{**defaults, **fields})


def list_offsets(
    wire: Wire, topic: str, timestamp: int, *, partition: int = 0, version: int | None = None, epoch: int = -1
) -> dict[str, Any]:
    """ListOffsets of one partition; its part of the answer."""
    wanted = {"index": partition, "current_leader_epoch": epoch, "timestamp": timestamp}
    topics = [{"name": topic, "partitions": [wanted]}]
    answer = ask(wire, "ListOffsets", version, replica_id=-1, isolation_level=0, topics=topics, timeout_ms=5_000)
    return dict(answer["topics"][0]["partitions"][0])


def subscription(*topics: str) -> bytes:
    """A consumer's metadata in JoinGroup: version 0, without user data."""
    names = b"".join(len(topic).to_bytes(2, "big") + topic.encode() for topic in topics)
    return b"\0\0" + len(topics).to_bytes(4, "big") + names + b"\xff\xff\xff\xff"


def join(wire: Wire, group: str, member: str = "", version: int | None = None, **fields: Any) -> dict[str, Any]:
    """JoinGroup."""
    return ask(wire, "JoinGroup", version, **join_fields(group, member, **fields))


def join_fields(group: str, member: str = "", **fields: Any) -> dict[str, Any]:
    """JoinGroup's fields."""
    return {
        "group_id": group,
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 10_000,
        "member_id": member,
        "group_instance_id": None,
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": subscription("t")}],
        "reason": None,
        **fields,
    }


def member_of(wire: Wire, group: str, **fields: Any) -> str:
    """Join a group that nobody is in, in two steps as KIP-394 wants it; the member's id. Its generation is 1."""
    first = join(wire, group, **fields)
    assert first["error_code"] in (0, 79), first
    if first["error_code"] == 79:
        first = join(wire, group, first["member_id"], **fields)
    assert (first["error_code"], first["generation_id"]) == (0, 1), first
    return str(first["member_id"])


def sync(
    wire: Wire, group: str, member: str, generation: int = 1, version: int | None = None, **fields: Any
) -> dict[str, Any]:
    """SyncGroup; a leader assigns itself b"all"."""
    return ask(wire, "SyncGroup", version, **sync_fields(group, member, generation, **fields))


def sync_fields(group: str, member: str, generation: int = 1, **fields: Any) -> dict[str, Any]:
    """SyncGroup's fields."""
    return {
        "group_id": group,
        "generation_id": generation,
        "member_id": member,
        "group_instance_id": None,
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": [{"member_id": member, "assignment": b"all"}],
        **fields,
    }


def heartbeat(wire: Wire, group: str, member: str, generation: int = 1, version: int = 4, **fields: Any) -> int:
    """Heartbeat; its error."""
    named = {"group_id": group, "generation_id": generation, "member_id": member, "group_instance_id": None}
    return int(ask(wire, "Heartbeat", version, **{**named, **fields})["error_code"])


def leave(wire: Wire, group: str, *members: str, version: int = 5, instance: str | None = None) -> dict[str, Any]:
    """LeaveGroup."""
    named = [{"member_id": member, "group_instance_id": instance, "reason": None} for member in members]
    return ask(wire, "LeaveGroup", version, group_id=group, member_id=members[0], members=named)


def commit(
    wire: Wire,
    group: str,
    topic: str,
    offset: int,
    *,
    partition: int = 0,
    member: str = "",
    generation: int = -1,
    version: int | None = None,
    metadata: str | None = "",
    **fields: Any,
) -> int:
    """OffsetCommit of one partition; its error."""
    place = {"index": partition, "offset": offset, "leader_epoch": -1, "metadata": metadata}
    answer = ask(
        wire,
        "OffsetCommit",
        version,
        **{
            "group_id": group,
            "generation_id": generation,
            "member_id": member,
            "group_instance_id": None,
            "retention_time_ms": -1,
            "topics": [{"name": topic, "partitions": [place]}],
            **fields,
        },
    )
    return int(answer["topics"][0]["partitions"][0]["error_code"])


def committed(wire: Wire, group: str, topics: Any, version: int = 9, **fields: Any) -> dict[str, Any]:
    """OffsetFetch for one group: error and topics, in whichever version. `topics`: {name: partitions} or None."""
    wanted = None if topics is None else [{"name": name, "partitions": list(each)} for name, each in topics.items()]
    one = {"group_id": group, "topics": wanted}
    entry = {**one, "member_id": fields.pop("member", None), "member_epoch": fields.pop("epoch", -1)}
    answer = ask(wire, "OffsetFetch", version, **one, groups=[entry], require_stable=False)
    return dict(answer if version < 8 else answer["groups"][0])


def create_topic(wire: Wire, name: str, *, version: int | None = None, validate_only: bool = False, **fields: Any):
    """CreateTopics for one topic; its part of the answer. Configs as a dict."""
    configs = [{"name": key, "value": value} for key, value in fields.pop("configs", {}).items()]
    topic = {"name": name, "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": configs}
    topics = [{**topic, **fields}]
    answer = ask(wire, "CreateTopics", version, topics=topics, timeout_ms=10_000, validate_only=validate_only)
    return dict(answer["topics"][0])


def describe_configs(wire: Wire, kind: int, name: str, keys: Any = None, *, version: int | None = None, **fields: Any):
    """DescribeConfigs for one resource; its part of the answer, with `configs` by name."""
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
    flags = {"include_synonyms": False, "include_documentation": False, **fields}
    (result,) = ask(wire, "DescribeConfigs", version, resources=[resource], **flags)["results"]
    return {**result, "configs": {config["name"]: config for config in result["configs"]}}
