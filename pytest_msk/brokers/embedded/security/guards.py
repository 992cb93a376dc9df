"""What a request may ask for: each API's part that is not allowed is taken out of it, and answered with its error.

A handler knows nothing of authorization: it gets what is allowed, and what was taken out is put into its answer.
Source: KafkaApis and ControllerApis of Apache Kafka; "Operations and Resources on Protocols" of its documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from ..errors import ErrorCode
from ..wire import Struct
from .access import CLUSTER_NAME, SUPPORTED_OPERATIONS, Authorizer, Operation, ResourceType

__all__ = ["Guards", "KnownTopics"]

_TOPIC, _GROUP = ResourceType.TOPIC, ResourceType.GROUP
_CLUSTER, _TRANSACTION = ResourceType.CLUSTER, ResourceType.TRANSACTIONAL_ID
_NOT_ASKED = -(1 << 31)
_NO_ID = bytes(16)
_CODES = {
    _TOPIC: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    _GROUP: ErrorCode.GROUP_AUTHORIZATION_FAILED,
    _CLUSTER: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
    _TRANSACTION: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_TEXTS = {
    _TOPIC: "Topic authorization failed.",
    _GROUP: "Group authorization failed.",
    _CLUSTER: "Cluster authorization failed.",
    _TRANSACTION: "Transactional Id authorization failed.",
}
# org.apache.kafka.common.config.ConfigResource.Type; the others belong to the cluster.
_CONFIGS_OF = {2: _TOPIC, 32: _GROUP}

Amend: TypeAlias = Callable[[Struct], Struct]


class _Call(Protocol):
    """What a guard needs of a request."""

    version: int

    def answer(self, body: Struct) -> None:
        """Answer it."""

    def amend(self, change: Amend) -> None:
        """Change the answer before it is sent."""

    def close_unanswered(self) -> None:
        """Close the connection when the request wants no answer."""


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class KnownTopics(Protocol):
    """The topics, as far as a guard asks about them."""

    def get(self, name: str) -> _Named | None:
        """The topic of that name."""

    def by_id(self, topic_id: bytes) -> _Named | None:
        """The topic of that id."""


_Guard: TypeAlias = Callable[[Authorizer, _Call, Struct], "Struct | None"]


class Guards:
    """The guards of all APIs.

    Args:
        auto_create: whether topics are created by mere use.
    """

    def __init__(self, topics: KnownTopics, *, auto_create: bool) -> None:
        self._topics = topics
        self._auto_create = auto_create
        self._guards: dict[int, _Guard] = {
            0: _produce,
            1: _per_topic(Operation.READ, high_watermark=-1, last_stable_offset=-1, log_start_offset=-1, records=b""),
            2: _per_topic(Operation.DESCRIBE),
            3: self._metadata,
            8: _in_group(Operation.READ, _per_topic(Operation.READ), per_partition=True),
            9: _offset_fetch,
            10: _find_coordinator,
            11: _in_group(
                Operation.READ,
                protocol_type=None,
                generation_id=-1,
                protocol_name="",
                leader="",
                member_id="",
                members=[],
            ),
            12: _in_group(Operation.READ),
            13: _in_group(Operation.READ, members=[]),
            14: _in_group(Operation.READ, protocol_type=None, protocol_name=None, assignment=b""),
            15: _describe_groups,
            16: _list_groups,
            19: _create_topics,
            20: self._delete_topics,
            21: _per_topic(Operation.DELETE, low_watermark=-1),
            22: _init_producer_id,
            23: _per_topic(Operation.DESCRIBE),
            24: _add_partitions,
            25: _in_transaction(lambda: _in_group(Operation.READ)),
            26: _in_transaction(),
            28: _in_transaction(
                lambda: _in_group(Operation.READ, _per_topic(Operation.READ), per_partition=True), per_partition=True
            ),
            29: _on_cluster(Operation.DESCRIBE, lambda _: {"resources": []}),
            30: _on_cluster(Operation.ALTER, lambda request: _for_each(request["creations"])),
            31: _on_cluster(Operation.ALTER, lambda request: _for_each(request["filters"], matching_acls=[])),
            32: _configs(Operation.DESCRIBE_CONFIGS, "results", configs=[]),
            33: _configs(Operation.ALTER_CONFIGS, "responses"),
            37: _create_partitions,
            42: _delete_groups,
            44: _configs(Operation.ALTER_CONFIGS, "responses"),
            47: _in_group(Operation.DELETE, _per_topic(Operation.READ), topics=[]),
            50: _on_cluster(
                Operation.DESCRIBE, lambda request: _for_each(request["users"] or (), user="", credential_infos=[])
            ),
            51: _on_cluster(Operation.ALTER, _refused_users),
            60: _describe_cluster,
            61: _per_topic(Operation.READ, error_message=_TEXTS[_TOPIC]),
            65: _describe_transactions,
            66: _list_transactions,
            68: _consumer_group_heartbeat,
        }

    def check(self, api_key: int, may: Authorizer, call: _Call, request: Struct) -> Struct | None:
        """The part of a request that is allowed; None when it is answered already."""
        guard = self._guards.get(api_key)
        return request if guard is None else guard(may, call, request)

    def _metadata(self, may: Authorizer, call: _Call, request: Struct) -> Struct:
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
                            "error_code": _CODES[_TOPIC],
                            "name": topic["name"],
                            "topic_id": topic["topic_id"] if topic["name"] is None else _NO_ID,
                            "partitions": [],
                        }
                    )
            # A request for no topics at all is not one for all of them, as it would be in version 0.
            request = {**request, "topics": kept}
            if call.version == 0 and not kept:
                call.amend(lambda answer: {**answer, "topics": []})

        def amend(answer: Struct) -> Struct:
            topics = answer["topics"]
            if everything:
                topics = [topic for topic in topics if may.allows(Operation.DESCRIBE, _TOPIC, topic["name"])]
            for topic in topics:
                _narrow(may, topic, "topic_authorized_operations", _TOPIC, topic["name"] or "")
            _narrow(may, answer, "cluster_authorized_operations", _CLUSTER, CLUSTER_NAME)
            return {**answer, "topics": [*topics, *denied]}

        call.amend(amend)
        return request

    def _name(self, name: str | None, topic_id: bytes) -> str | None:
        """The name of a topic that a request names by either."""
        if name is not None:
            return name
        topic = self._topics.by_id(topic_id)
        return None if topic is None else topic.name

    def _may_see(self, may: Authorizer, name: str, *, create: bool) -> bool:
        if not may.allows(Operation.DESCRIBE, _TOPIC, name):
            return False
        return not create or self._topics.get(name) is not None or _may_create(may, name)

    def _delete_topics(self, may: Authorizer, call: _Call, request: Struct) -> Struct:
        refused: list[Struct] = []

        def keep(name: str | None, topic_id: bytes) -> bool:
            found = self._name(name, topic_id)
            if found is None or may.allows(Operation.DELETE, _TOPIC, found):
                return True
            # Who may not even know of the topic is not told its name.
            told = found if name is not None or may.allows(Operation.DESCRIBE, _TOPIC, found) else None
            refused.append(
                {"name": told, "topic_id": topic_id, "error_code": _CODES[_TOPIC], "error_message": _TEXTS[_TOPIC]}
            )
            return False

        allowed = {
            **request,
            "topic_names": [name for name in request["topic_names"] if keep(name, _NO_ID)],
            "topics": [each for each in request["topics"] if keep(each["name"], each["topic_id"])],
        }
        _add(call, "responses", refused)
        return allowed


# --- topics -------------------------------------------------------------------------------------------------------


def _per_topic(operation: Operation, **fields: object) -> _Guard:
    """Topics with partitions, each of which has an error of its own."""

    def guard(may: Authorizer, call: _Call, request: Struct) -> Struct:
        allowed, denied = _split(request["topics"], lambda topic: may.allows(operation, _TOPIC, topic["name"]))
        _add(call, "topics", [_refused_topic(topic, _CODES[_TOPIC], fields) for topic in denied])
        return {**request, "topics": allowed}

    return guard


def _produce(may: Authorizer, call: _Call, request: Struct) -> Struct:
    def allowed(topic: Struct) -> bool:
        return may.allows(Operation.WRITE, _TOPIC, topic["name"])

    transaction, code = request["transactional_id"], _CODES[_TOPIC]
    kept, denied = _split(request["topics"], allowed)
    if transaction is not None and not may.allows(Operation.WRITE, _TRANSACTION, transaction):
        kept, denied, code = [], request["topics"], _CODES[_TRANSACTION]
    if denied and request["acks"] == 0:
        call.close_unanswered()
    _add(call, "topics", [_refused_topic(topic, code, {"base_offset": -1}) for topic in denied])
    return {**request, "topics": kept}


def _create_topics(may: Authorizer, call: _Call, request: Struct) -> Struct:
    allowed, denied = _split(request["topics"], lambda topic: _may_create(may, topic["name"]))
    names = dict.fromkeys(topic["name"] for topic in denied)
    refused = [
        {"name": name, "topic_id": _NO_ID, "error_code": _CODES[_TOPIC], "error_message": _TEXTS[_TOPIC]}
        for name in names
    ]
    _add(call, "topics", refused)
    return {**request, "topics": allowed}


def _may_create(may: Authorizer, name: str) -> bool:
    return may.allows(Operation.CREATE, _CLUSTER, CLUSTER_NAME) or may.allows(Operation.CREATE, _TOPIC, name)


def _create_partitions(may: Authorizer, call: _Call, request: Struct) -> Struct:
    allowed, denied = _split(request["topics"], lambda topic: may.allows(Operation.ALTER, _TOPIC, topic["name"]))
    refused = [
        {"name": topic["name"], "error_code": _CODES[_TOPIC], "error_message": _TEXTS[_TOPIC]} for topic in denied
    ]
    _add(call, "results", refused)
    return {**request, "topics": allowed}


def _configs(operation: Operation, answers: str, **fields: object) -> _Guard:
    def guard(may: Authorizer, call: _Call, request: Struct) -> Struct:
        def resource(each: Struct) -> tuple[ResourceType, str]:
            kind = _CONFIGS_OF.get(each["resource_type"], _CLUSTER)
            return kind, CLUSTER_NAME if kind is _CLUSTER else each["resource_name"]

        allowed, denied = _split(request["resources"], lambda each: may.allows(operation, *resource(each)))
        refused = [
            {
                "error_code": _CODES[resource(each)[0]],
                "error_message": _TEXTS[resource(each)[0]],
                "resource_type": each["resource_type"],
                "resource_name": each["resource_name"],
                **fields,
            }
            for each in denied
        ]
        _add(call, answers, refused)
        return {**request, "resources": allowed}

    return guard


# --- groups -------------------------------------------------------------------------------------------------------


def _in_group(
    operation: Operation, then: _Guard | None = None, *, per_partition: bool = False, **fields: object
) -> _Guard:
    """A request about one group.

    Args:
        then: what is asked next.
        per_partition: whether the error is given for each partition, and not once.
        fields: the rest of a refusal.
    """

    def guard(may: Authorizer, call: _Call, request: Struct) -> Struct | None:
        if may.allows(operation, _GROUP, request["group_id"]):
            return request if then is None else then(may, call, request)
        if per_partition:
            call.answer({"topics": [_refused_topic(topic, _CODES[_GROUP], {}) for topic in request["topics"]]})
        else:
            call.answer({"error_code": _CODES[_GROUP], **fields})
        return None

    return guard


def _offset_fetch(may: Authorizer, call: _Call, request: Struct) -> Struct | None:
    if call.version >= 8:
        groups, denied = _split(
            request["groups"], lambda group: may.allows(Operation.DESCRIBE, _GROUP, group["group_id"])
        )
        refused = [{"group_id": group["group_id"], "topics": [], "error_code": _CODES[_GROUP]} for group in denied]
        cut = {group["group_id"]: _fetched_topics(may, group["topics"]) for group in groups}
        _add(call, "groups", refused)
        call.amend(
            lambda answer: {
                **answer,
                "groups": [
                    {**group, "topics": cut[group["group_id"]][1](group["topics"])}
                    if group["group_id"] in cut
                    else group
                    for group in answer["groups"]
                ],
            }
        )
        return {**request, "groups": [{**group, "topics": cut[group["group_id"]][0]} for group in groups]}
    if not may.allows(Operation.DESCRIBE, _GROUP, request["group_id"]):
        topics = [_unfetched(topic, _CODES[_GROUP]) for topic in request["topics"] or ()] if call.version < 2 else []
        call.answer({"error_code": _CODES[_GROUP], "topics": topics})
        return None
    allowed, amend = _fetched_topics(may, request["topics"])
    call.amend(lambda answer: {**answer, "topics": amend(answer["topics"])})
    return {**request, "topics": allowed}


def _fetched_topics(
    may: Authorizer, asked: list[Struct] | None
) -> tuple[list[Struct] | None, Callable[[list[Struct]], list[Struct]]]:
    """The topics whose offsets may be seen, and what becomes of the answer."""

    def is_visible(topic: Struct) -> bool:
        return may.allows(Operation.DESCRIBE, _TOPIC, topic["name"])

    if asked is None:
        return None, lambda found: [topic for topic in found if is_visible(topic)]
    allowed, denied = _split(asked, is_visible)
    return allowed, lambda found: [*found, *(_unfetched(topic, _CODES[_TOPIC]) for topic in denied)]


def _unfetched(topic: Struct, code: ErrorCode) -> Struct:
    return {
        "name": topic["name"],
        "partitions": [
            {"index": index, "offset": -1, "leader_epoch": -1, "metadata": "", "error_code": code}
            for index in topic["partitions"]
        ],
    }


def _find_coordinator(may: Authorizer, call: _Call, request: Struct) -> Struct | None:
    kind = {0: _GROUP, 1: _TRANSACTION}.get(request["key_type"])
    if kind is None:
        return request
    refusal = {"error_code": _CODES[kind], "error_message": _TEXTS[kind], "node_id": -1, "host": "", "port": -1}
    if call.version < 4:
        if may.allows(Operation.DESCRIBE, kind, request["key"]):
            return request
        call.answer(refusal)
        return None
    denied = [key for key in request["coordinator_keys"] if not may.allows(Operation.DESCRIBE, kind, key)]
    _add(call, "coordinators", [{"key": key, **refusal} for key in denied])
    return {**request, "coordinator_keys": [key for key in request["coordinator_keys"] if key not in denied]}


def _describe_groups(may: Authorizer, call: _Call, request: Struct) -> Struct:
    denied = [group for group in request["groups"] if not may.allows(Operation.DESCRIBE, _GROUP, group)]
    unknown = dict.fromkeys(("group_state", "protocol_type", "protocol_data"), "")

    def amend(answer: Struct) -> Struct:
        for group in answer["groups"]:
            _narrow(may, group, "authorized_operations", _GROUP, group["group_id"])
        return answer

    call.amend(amend)
    _add(
        call,
        "groups",
        [{"error_code": _CODES[_GROUP], "group_id": group, **unknown, "members": []} for group in denied],
    )
    return {**request, "groups": [group for group in request["groups"] if group not in denied]}


def _list_groups(may: Authorizer, call: _Call, request: Struct) -> Struct:
    if not may.allows(Operation.DESCRIBE, _CLUSTER, CLUSTER_NAME):
        _filter(call, "groups", lambda group: may.allows(Operation.DESCRIBE, _GROUP, group["group_id"]))
    return request


def _delete_groups(may: Authorizer, call: _Call, request: Struct) -> Struct:
    denied = [group for group in request["groups"] if not may.allows(Operation.DELETE, _GROUP, group)]
    _add(call, "results", [{"group_id": group, "error_code": _CODES[_GROUP]} for group in denied])
    return {**request, "groups": [group for group in request["groups"] if group not in denied]}


def _consumer_group_heartbeat(may: Authorizer, call: _Call, request: Struct) -> Struct | None:
    topics = request["subscribed_topic_names"] or ()
    if not may.allows(Operation.READ, _GROUP, request["group_id"]):
        kind = _GROUP
    elif not all(may.allows(Operation.DESCRIBE, _TOPIC, topic) for topic in topics):
        kind = _TOPIC
    else:
        return request
    call.answer({"error_code": _CODES[kind], "error_message": _TEXTS[kind], "member_id": request["member_id"]})
    return None


# --- transactions -------------------------------------------------------------------------------------------------


def _init_producer_id(may: Authorizer, call: _Call, request: Struct) -> Struct | None:
    transaction = request["transactional_id"]
    if transaction is not None:
        kind, allowed = _TRANSACTION, may.allows(Operation.WRITE, _TRANSACTION, transaction)
    else:
        # Who may write anything may do so idempotently (KIP-679).
        kind = _CLUSTER
        allowed = may.allows(Operation.IDEMPOTENT_WRITE, _CLUSTER, CLUSTER_NAME) or may.allows_some(
            Operation.WRITE, _TOPIC
        )
    if allowed:
        return request
    call.answer({"error_code": _CODES[kind]})
    return None


def _in_transaction(then: Callable[[], _Guard] | None = None, *, per_partition: bool = False) -> _Guard:
    following = None if then is None else then()

    def guard(may: Authorizer, call: _Call, request: Struct) -> Struct | None:
        code = _CODES[_TRANSACTION]
        if may.allows(Operation.WRITE, _TRANSACTION, request["transactional_id"]):
            return request if following is None else following(may, call, request)
        if per_partition:
            call.answer({"topics": [_refused_topic(topic, code, {}) for topic in request["topics"]]})
        else:
            call.answer({"error_code": code})
        return None

    return guard


def _add_partitions(may: Authorizer, call: _Call, request: Struct) -> Struct | None:
    topics = request["topics"]
    if not may.allows(Operation.WRITE, _TRANSACTION, request["transactional_id"]):
        call.answer({"topics": [_refused_topic(topic, _CODES[_TRANSACTION], {}) for topic in topics]})
        return None
    allowed, denied = _split(topics, lambda topic: may.allows(Operation.WRITE, _TOPIC, topic["name"]))
    if not denied:
        return request
    # All of them or none: those that would have been let through are not tried.
    answers = [_refused_topic(topic, _CODES[_TOPIC], {}) for topic in denied]
    answers += [_refused_topic(topic, ErrorCode.OPERATION_NOT_ATTEMPTED, {}) for topic in allowed]
    call.answer({"topics": answers})
    return None


def _describe_transactions(may: Authorizer, call: _Call, request: Struct) -> Struct:
    ids = request["transactional_ids"]
    denied = [each for each in ids if not may.allows(Operation.DESCRIBE, _TRANSACTION, each)]
    _add(call, "transactions", [{"error_code": _CODES[_TRANSACTION], "transactional_id": each} for each in denied])
    return {**request, "transactional_ids": [each for each in ids if each not in denied]}


def _list_transactions(may: Authorizer, call: _Call, request: Struct) -> Struct:
    _filter(call, "transactions", lambda each: may.allows(Operation.DESCRIBE, _TRANSACTION, each["transactional_id"]))
    return request


# --- the cluster --------------------------------------------------------------------------------------------------


def _on_cluster(operation: Operation, refusal: Callable[[Struct], Struct]) -> _Guard:
    """A request about the cluster as a whole."""

    def guard(may: Authorizer, call: _Call, request: Struct) -> Struct | None:
        if may.allows(operation, _CLUSTER, CLUSTER_NAME):
            return request
        call.answer({"error_code": _CODES[_CLUSTER], "error_message": _TEXTS[_CLUSTER], **refusal(request)})
        return None

    return guard


def _for_each(asked: Iterable[Struct], **fields: object) -> Struct:
    refusal = {"error_code": _CODES[_CLUSTER], "error_message": _TEXTS[_CLUSTER], **fields}
    return {"results": [refusal for _ in asked]}


def _refused_users(request: Struct) -> Struct:
    users = dict.fromkeys(each["name"] for each in (*request["deletions"], *request["upsertions"]))
    code, text = _CODES[_CLUSTER], _TEXTS[_CLUSTER]
    return {"results": [{"user": user, "error_code": code, "error_message": text} for user in users]}


def _describe_cluster(may: Authorizer, call: _Call, request: Struct) -> Struct:
    def amend(answer: Struct) -> Struct:
        _narrow(may, answer, "cluster_authorized_operations", _CLUSTER, CLUSTER_NAME)
        return answer

    call.amend(amend)
    return request


# --- inside -------------------------------------------------------------------------------------------------------


def _split(items: Iterable[Struct], allowed: Callable[[Struct], bool]) -> tuple[list[Struct], list[Struct]]:
    kept: list[Struct] = []
    denied: list[Struct] = []
    for item in items:
        (kept if allowed(item) else denied).append(item)
    return kept, denied


def _refused_topic(topic: Struct, code: ErrorCode, fields: Struct) -> Struct:
    indices = [each["index"] if isinstance(each, dict) else each for each in topic["partitions"]]
    return {"name": topic["name"], "partitions": [{"index": at, "error_code": code, **fields} for at in indices]}


def _add(call: _Call, name: str, refused: list[Struct]) -> None:
    """Let the answer have these beside what the handler puts there."""
    if refused:
        call.amend(lambda answer: {**answer, name: [*answer[name], *refused]})


def _filter(call: _Call, name: str, visible: Callable[[Struct], bool]) -> None:
    """Let the answer have only what may be seen."""
    call.amend(lambda answer: {**answer, name: [each for each in answer[name] if visible(each)]})


def _narrow(may: Authorizer, answer: Struct, field: str, kind: ResourceType, name: str) -> None:
    """Let a set of allowed operations, where one was asked for, be what is allowed."""
    if answer.get(field, _NOT_ASKED) == _NOT_ASKED:
        return
    if kind is _CLUSTER and not may.allows(Operation.DESCRIBE, kind, name):
        answer[field] = 0
    else:
        answer[field] = sum(1 << each for each in SUPPORTED_OPERATIONS[kind] if may.allows(each, kind, name))
