"""What a request may ask of topics."""

from __future__ import annotations

from typing import Protocol

from ..wire import Struct
from .access import CLUSTER_NAME, Authorizer, Operation, ResourceType
from .refusals import (
    CLUSTER,
    CODES,
    GROUP,
    NO_ID,
    TEXTS,
    TOPIC,
    TRANSACTION,
    Guard,
    GuardedCall,
    add,
    narrow,
    refused_topic,
    split,
)

__all__ = ["KnownTopics", "TopicGuards", "configs", "create_partitions", "create_topics", "per_topic", "produce"]

# org.apache.kafka.common.config.ConfigResource.Type; the others belong to the cluster.
_CONFIGS_OF = {2: TOPIC, 32: GROUP}


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class KnownTopics(Protocol):
    """The topics, as far as a guard asks about them."""

    def get(self, name: str) -> _Named | None:
        """The topic of that name."""

    def by_id(self, topic_id: bytes) -> _Named | None:
        """The topic of that id."""


class TopicGuards:
    """What has to look up the topics that a request names, or creates.

    Args:
        auto_create: whether topics are created by mere use.
    """

    def __init__(self, topics: KnownTopics, *, auto_create: bool) -> None:
        self._topics = topics
        self._auto_create = auto_create

    def metadata(self, may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
        """Metadata: what may not be seen is left out of all topics, and an error of those that are named."""
        asked = request["topics"]
        everything = asked is None or (call.version == 0 and not asked)
        denied: list[Struct] = []
        if not everything:
            create = request["allow_auto_topic_creation"] and self._auto_create
            kept = []
            for topic in asked:
                name = self._name(topic["name"], topic["topic_id"])
                if name is None or self._may_see(may, name, create=create):
                    kept.append(topic)
                else:
                    denied.append(
                        {
                            "error_code": CODES[TOPIC],
                            "name": topic["name"],
                            "topic_id": topic["topic_id"] if topic["name"] is None else NO_ID,
                            "partitions": [],
                        }
                    )
            request = {**request, "topics": kept}

        def amend(answer: Struct) -> Struct:
            topics = answer["topics"]
            if everything:
                topics = [topic for topic in topics if may.allows(Operation.DESCRIBE, TOPIC, topic["name"])]
            for topic in topics:
                narrow(may, topic, "topic_authorized_operations", TOPIC, topic["name"] or "")
            narrow(may, answer, "cluster_authorized_operations", CLUSTER, CLUSTER_NAME)
            return {**answer, "topics": [*topics, *denied]}

        call.amend(amend)
        if call.version == 0 and not everything and not request["topics"]:
            # A request for no topics at all is not one for all of them, as it would be in version 0.
            call.amend(lambda answer: {**answer, "topics": []})
        return request

    def _name(self, name: str | None, topic_id: bytes) -> str | None:
        """The name of a topic that a request names by either."""
        if name is not None:
            return name
        topic = self._topics.by_id(topic_id)
        return None if topic is None else topic.name

    def _may_see(self, may: Authorizer, name: str, *, create: bool) -> bool:
        if not may.allows(Operation.DESCRIBE, TOPIC, name):
            return False
        return not create or self._topics.get(name) is not None or may_create(may, name)

    def delete_topics(self, may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
        """DeleteTopics, by name or id."""
        refused: list[Struct] = []

        def keep(name: str | None, topic_id: bytes) -> bool:
            found = self._name(name, topic_id)
            if found is None or may.allows(Operation.DELETE, TOPIC, found):
                return True
            # Who may not even know of the topic is not told its name.
            told = found if name is not None or may.allows(Operation.DESCRIBE, TOPIC, found) else None
            refused.append(
                {"name": told, "topic_id": topic_id, "error_code": CODES[TOPIC], "error_message": TEXTS[TOPIC]}
            )
            return False

        allowed = {
            **request,
            "topic_names": [name for name in request["topic_names"] if keep(name, NO_ID)],
            "topics": [each for each in request["topics"] if keep(each["name"], each["topic_id"])],
        }
        add(call, "responses", refused)
        return allowed


def per_topic(operation: Operation, **fields: object) -> Guard:
    """Topics with partitions, each of which has an error of its own."""

    def guard(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
        allowed, denied = split(request["topics"], lambda topic: may.allows(operation, TOPIC, topic["name"]))
        add(call, "topics", [refused_topic(topic, CODES[TOPIC], fields) for topic in denied])
        return {**request, "topics": allowed}

    return guard


def produce(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """Produce: who may write the topics, and the transaction if it is in one."""

    def allowed(topic: Struct) -> bool:
        return may.allows(Operation.WRITE, TOPIC, topic["name"])

    transaction, code = request["transactional_id"], CODES[TOPIC]
    kept, denied = split(request["topics"], allowed)
    if transaction is not None and not may.allows(Operation.WRITE, TRANSACTION, transaction):
        kept, denied, code = [], request["topics"], CODES[TRANSACTION]
    if request["acks"]:
        add(call, "topics", [refused_topic(topic, code, {"base_offset": -1}) for topic in denied])
    elif denied:
        call.close_unanswered()
    return {**request, "topics": kept}


def create_topics(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """CreateTopics."""
    allowed, denied = split(request["topics"], lambda topic: may_create(may, topic["name"]))
    names = dict.fromkeys(topic["name"] for topic in denied)
    refused = [
        {"name": name, "topic_id": NO_ID, "error_code": CODES[TOPIC], "error_message": TEXTS[TOPIC]} for name in names
    ]
    add(call, "topics", refused)
    return {**request, "topics": allowed}


def may_create(may: Authorizer, name: str) -> bool:
    """Whether a topic of that name may be created: by the right to it, or to the cluster."""
    return may.allows(Operation.CREATE, CLUSTER, CLUSTER_NAME) or may.allows(Operation.CREATE, TOPIC, name)


def create_partitions(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """CreatePartitions."""
    allowed, denied = split(request["topics"], lambda topic: may.allows(Operation.ALTER, TOPIC, topic["name"]))
    refused = [{"name": topic["name"], "error_code": CODES[TOPIC], "error_message": TEXTS[TOPIC]} for topic in denied]
    add(call, "results", refused)
    return {**request, "topics": allowed}


def configs(operation: Operation, answers: str, **fields: object) -> Guard:
    """Requests about configs: of topics and groups, or of the cluster."""

    def guard(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
        def resource(each: Struct) -> tuple[ResourceType, str]:
            kind = _CONFIGS_OF.get(each["resource_type"], CLUSTER)
            return kind, CLUSTER_NAME if kind is CLUSTER else each["resource_name"]

        allowed, denied = split(request["resources"], lambda each: may.allows(operation, *resource(each)))
        refused = [
            {
                "error_code": CODES[resource(each)[0]],
                "error_message": TEXTS[resource(each)[0]],
                "resource_type": each["resource_type"],
                "resource_name": each["resource_name"],
                **fields,
            }
            for each in denied
        ]
        add(call, answers, refused)
        return {**request, "resources": allowed}

    return guard
