"""ApiVersions, Metadata, FindCoordinator, DescribeCluster: what there is, and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ..call import Call
from ..errors import INVALID_REQUEST_SENTENCE, ErrorCode, Refused
from ..log import PartitionLog
from ..messages import APIS
from ..messages.metadata import API_VERSIONS, DESCRIBE_CLUSTER, FIND_COORDINATOR, METADATA
from ..messages.records import PRODUCE
from ..node import Node
from ..topics import Topic, check_topic_name
from ..wire import Api, Struct

__all__ = ["handlers"]

_NO_ID = bytes(16)
_TOPIC_IDS_SINCE = 12
_SEVERAL_SINCE = 4
_SOFTWARE_SINCE = 3
_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
_NOT_ASKED = -(1 << 31)
# Without an authorizer everything is allowed; bit n stands for Kafka's AclOperation n.
_CLUSTER_OPERATIONS = sum(1 << operation for operation in (5, 7, 8, 9, 10, 11, 12))
_TOPIC_OPERATIONS = sum(1 << operation for operation in (3, 4, 5, 6, 7, 8, 10, 11))
_GROUP, _TRANSACTION, _SHARE = 0, 1, 2
_BROKERS, _CONTROLLERS = 1, 2

# Clients that are librdkafka take answers in any order: it finds the request by its correlation id.
_LIBRDKAFKA = ("librdkafka", "confluent-kafka-", "rdkafka")


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    cluster = _Cluster(node)
    return (
        (API_VERSIONS, cluster.api_versions),
        (METADATA, cluster.metadata),
        (FIND_COORDINATOR, cluster.find_coordinator),
        (DESCRIBE_CLUSTER, cluster.describe_cluster),
    )


class _Cluster:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._api_keys = [
            {
                "key": api.key,
                # Clients take their version of record batches from Produce's lowest version, so that Kafka itself
                # says 0 here and refuses what is below 3 (KAFKA-18659).
                "min_version": 0 if api is PRODUCE else api.versions[0],
                "max_version": api.versions[1],
            }
            for api in APIS.values()
        ]

    def api_versions(self, call: Call, request: Struct) -> Struct | None:
        if not API_VERSIONS.speaks(call.version):
            body = {"error_code": ErrorCode.UNSUPPORTED_VERSION, "api_keys": self._api_keys}
            call.answer_version(0, body)
            return None
        name, version = request["client_software_name"], request["client_software_version"]
        if call.version >= _SOFTWARE_SINCE and not (_SOFTWARE.fullmatch(name) and _SOFTWARE.fullmatch(version)):
            return {"error_code": ErrorCode.INVALID_REQUEST, "api_keys": []}
        call.connection.software = f"{name} {version}".strip()
        call.connection.any_order = name.startswith(_LIBRDKAFKA) or "librdkafka" in version
        return {"error_code": ErrorCode.NONE, "api_keys": self._api_keys}

    def metadata(self, call: Call, request: Struct) -> Struct:
        node, asked = self._node, request["topics"]
        if asked is None or (call.version == 0 and not asked):
            topics = [self._topic(topic) for topic in node.topics]
        else:
            create = request["allow_auto_topic_creation"] and node.settings.flag("auto.create.topics.enable")
            if call.version < _TOPIC_IDS_SINCE and any(each["topic_id"] != _NO_ID for each in asked):
                return self._metadata_refused(asked)
            by_id = any(each["topic_id"] != _NO_ID for each in asked)  # then names do not count
            wanted = [(each["name"], each["topic_id"]) for each in asked if not by_id or each["topic_id"] != _NO_ID]
            topics = [self._asked(name, topic_id, create) for name, topic_id in dict.fromkeys(wanted)]
        if request["include_topic_authorized_operations"]:
            for topic in topics:
                topic["topic_authorized_operations"] = _TOPIC_OPERATIONS
        asked_cluster = request["include_cluster_authorized_operations"]
        return {
            "brokers": self._brokers("node_id"),
            "cluster_id": node.cluster_id,
            "controller_id": node.controller_id,
            "topics": topics,
            "cluster_authorized_operations": _CLUSTER_OPERATIONS if asked_cluster else _NOT_ASKED,
        }

    def _metadata_refused(self, asked: list[Struct]) -> Struct:
        refused = [
            {"error_code": ErrorCode.INVALID_REQUEST, "name": each["name"] or "", "topic_id": each["topic_id"]}
            for each in asked
        ]
        topics = [{**topic, "partitions": []} for topic in refused]
        return {"brokers": [], "cluster_id": None, "controller_id": -1, "topics": topics}

    def _brokers(self, id_name: str) -> list[Struct]:
        up = (node for node in self._node.peers.values() if node.id in self._node.cluster.up)
        return [{id_name: each.id, "host": each.host, "port": each.port, "rack": each.rack} for each in up]

    def _asked(self, name: str | None, topic_id: bytes, create: bool) -> Struct:
        topics = self._node.topics
        by_id = topic_id != _NO_ID  # Java's administrator sends an empty name beside the id
        topic = topics.by_id(topic_id) if by_id else topics.get(name or "")
        if topic is not None:
            return self._topic(topic)
        if name is None or by_id:
            return {"error_code": ErrorCode.UNKNOWN_TOPIC_ID, "name": None, "topic_id": topic_id, "partitions": []}
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        try:
            check_topic_name(name)
            if create:
                return self._topic(topics.create(name))
        except Refused as refused:
            error = refused.code
        return {"error_code": error, "name": name, "topic_id": _NO_ID, "partitions": []}

    def _topic(self, topic: Topic) -> Struct:
        return {
            "error_code": ErrorCode.NONE,
            "name": topic.name,
            "topic_id": topic.id,
            "partitions": [self._partition(log) for log in topic.partitions],
        }

    def _partition(self, log: PartitionLog) -> Struct:
        replicas = log.replicas
        leaderless = replicas.leader is None
        up = self._node.cluster.up
        return {
            "error_code": ErrorCode.LEADER_NOT_AVAILABLE if leaderless else ErrorCode.NONE,
            "index": log.partition,
            "leader_id": -1 if leaderless else replicas.leader,
            "leader_epoch": replicas.leader_epoch,
            "replica_nodes": replicas.nodes,
            "isr_nodes": replicas.in_sync,
            "offline_replicas": [node for node in replicas.nodes if node not in up],
        }

    def find_coordinator(self, call: Call, request: Struct) -> Struct:
        key_type = request["key_type"]
        if call.version >= _SEVERAL_SINCE:
            return {
                "coordinators": [
                    {"key": key, **self._coordinator(key_type, key, call.version)}
                    for key in request["coordinator_keys"]
                ]
            }
        return self._coordinator(key_type, request["key"], call.version)

    def _coordinator(self, key_type: int, key: str, version: int) -> Struct:
        nowhere = {"node_id": -1, "host": "", "port": -1}
        if key_type in (_GROUP, _TRANSACTION):
            found = self._node.cluster.coordinator(key)
            if found is None:
                return {"error_code": ErrorCode.COORDINATOR_NOT_AVAILABLE, "error_message": None, **nowhere}
            node = self._node.peers[found]
            where = {"node_id": node.id, "host": node.host, "port": node.port}
            # Kafka's text for no error, as far as the version has one.
            return {"error_code": ErrorCode.NONE, "error_message": "" if version >= _SEVERAL_SINCE else "NONE", **where}
        return {
            "error_code": ErrorCode.INVALID_REQUEST,
            "error_message": "" if key_type == _SHARE else INVALID_REQUEST_SENTENCE,
            **nowhere,
        }

    def describe_cluster(self, _call: Call, request: Struct) -> Struct:
        kind = request["endpoint_type"]
        if kind != _BROKERS:
            code, text = ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"Unsupported endpoint type {kind}"
            if kind == _CONTROLLERS:
                code = ErrorCode.MISMATCHED_ENDPOINT_TYPE
                text = (
                    "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                )
            return {"error_code": code, "error_message": text, "cluster_id": "", "brokers": []}
        answer: Struct = {"cluster_id": self._node.cluster_id, "controller_id": self._node.controller_id}
        if request["include_cluster_authorized_operations"]:
            answer["cluster_authorized_operations"] = _CLUSTER_OPERATIONS
        return {**answer, "error_code": ErrorCode.NONE, "brokers": self._brokers("broker_id")}
