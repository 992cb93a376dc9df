"""CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from operator import itemgetter

from ..call import Call
from ..errors import ErrorCode, Refused
from ..messages.admin import CREATE_PARTITIONS, CREATE_TOPICS, DELETE_RECORDS, DELETE_TOPICS
from ..node import Node
from ..settings import TOPIC_CONFIGS
from ..topics import Topic
from ..wire import Api, Struct
from .configs import config_source

__all__ = ["handlers"]

_NO_ID = bytes(16)


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    admin = _Admin(node)
    return (
        (CREATE_TOPICS, admin.create_topics),
        (DELETE_TOPICS, admin.delete_topics),
        (CREATE_PARTITIONS, admin.create_partitions),
        (DELETE_RECORDS, admin.delete_records),
    )


class _Admin:
    def __init__(self, node: Node) -> None:
        self._node = node

    def create_topics(self, _call: Call, request: Struct) -> Struct:
        times = Counter(topic["name"] for topic in request["topics"])
        by_name = {topic["name"]: topic for topic in request["topics"]}
        return {"topics": [self._answer(by_name[name], times[name], request["validate_only"]) for name in by_name]}

    def _answer(self, asked: Struct, times: int, validate_only: bool) -> Struct:
        try:
            return self._create(asked, times, validate_only)
        except Refused as refused:
            code, message = refused.code, refused.message
            failed = {"name": asked["name"], "topic_id": _NO_ID, "error_code": code, "error_message": message}
            return {**failed, "configs": []}

    def _create(self, asked: Struct, times: int, validate_only: bool) -> Struct:
        if times > 1:
            raise Refused(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
        partitions, factor = asked["num_partitions"], asked["replication_factor"]
        if asked["assignments"] and (partitions != -1 or factor != -1):
            raise Refused(
                ErrorCode.INVALID_REQUEST,
                "A manual partition assignment was specified, but "
                + ("numPartitions was not set to -1." if partitions != -1 else "replication factor was not set to -1."),
            )
        topic = self._node.topics.create(
            asked["name"],
            partitions=partitions,
            replication_factor=factor,
            assignments=_assigned(asked["assignments"]) if asked["assignments"] else None,
            configs={config["name"]: config["value"] for config in asked["configs"]},
            validate_only=validate_only,
        )
        return {
            "name": topic.name,
            "topic_id": topic.id,
            "error_code": ErrorCode.NONE,
            "num_partitions": len(topic.partitions),
            "replication_factor": topic.replication_factor,
            "configs": [
                {
                    "name": name,
                    "value": topic.config(name),
                    "read_only": False,
                    "source": config_source(self._node.settings, topic, key),
                    "is_sensitive": False,
                }
                for name, key in TOPIC_CONFIGS.items()
            ],
        }

    def delete_topics(self, _call: Call, request: Struct) -> Struct:
        asked = Counter((each["name"], each["topic_id"]) for each in request["topics"])
        asked.update((name, _NO_ID) for name in request["topic_names"])
        answers = []
        for (name, topic_id), times in asked.items():
            answer: Struct = {"name": name, "topic_id": topic_id, "error_code": ErrorCode.NONE}
            try:
                topic = self._deleted(name, topic_id, times)
                answer.update(name=topic.name, topic_id=topic.id)
            except Refused as refused:
                answer.update(error_code=refused.code, error_message=refused.message)
            answers.append(answer)
        return {"responses": answers}

    def _deleted(self, name: str | None, topic_id: bytes, times: int) -> Topic:
        if name is None and topic_id == _NO_ID:
            raise Refused(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
        if name is not None and topic_id != _NO_ID:
            raise Refused(ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id.")
        if times > 1:
            raise Refused(ErrorCode.INVALID_REQUEST, f"Duplicate topic {'id' if name is None else 'name'}.")
        topic = self._node.topics.by_id(topic_id) if name is None else self._node.topics.get(name)
        if topic is None and name is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
        if topic is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
        if not self._node.settings.flag("delete.topic.enable"):
            raise Refused(ErrorCode.TOPIC_DELETION_DISABLED, "Topic deletion is disabled.")
        self._node.delete_topic(topic)
        return topic

    def create_partitions(self, _call: Call, request: Struct) -> Struct:
        times = Counter(asked["name"] for asked in request["topics"])
        answers = []
        for asked in {asked["name"]: asked for asked in request["topics"]}.values():
            answer: Struct = {"name": asked["name"], "error_code": ErrorCode.NONE}
            try:
                self._grow(asked, times[asked["name"]], request["validate_only"])
            except Refused as refused:
                answer.update(error_code=refused.code, error_message=refused.message)
            answers.append(answer)
        return {"results": answers}

    def _grow(self, asked: Struct, times: int, validate_only: bool) -> None:
        if times > 1:
            raise Refused(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
        topic = self._node.topics.get(asked["name"])
        if topic is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        given = asked["assignments"]
        assignments = None if given is None else [tuple(each["broker_ids"]) for each in given]
        self._node.topics.grow(topic, asked["count"], assignments=assignments, validate_only=validate_only)

    def delete_records(self, _call: Call, request: Struct) -> Struct:
        return {
            "topics": [
                {
                    "name": topic["name"],
                    "partitions": [self._trim(topic["name"], partition) for partition in topic["partitions"]],
                }
                for topic in request["topics"]
            ]
        }

    def _trim(self, name: str, partition: Struct) -> Struct:
        index = partition["index"]
        topic = self._node.topics.get(name)
        if topic is not None and not topic.log_config.delete:
            return {"index": index, "low_watermark": -1, "error_code": ErrorCode.POLICY_VIOLATION}
        try:
            log = self._node.log(name, index)
            log.trim(partition["offset"])
        except Refused as refused:
            return {"index": index, "low_watermark": -1, "error_code": refused.code}
        return {"index": index, "low_watermark": log.start_offset, "error_code": ErrorCode.NONE}


def _assigned(assignments: list[Struct]) -> list[tuple[int, ...]]:
    """The nodes of each partition's replicas, as a manual assignment has them."""
    times = Counter(each["partition_index"] for each in assignments)
    for index, count in times.items():
        if count > 1:
            raise Refused(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Found multiple manual partition assignments for partition {index}",
            )
    if sorted(times) != list(range(len(assignments))):
        raise Refused(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive 0-based integer sequence"
        )
    return [tuple(each["broker_ids"]) for each in sorted(assignments, key=itemgetter("partition_index"))]
