"""What a request may ask of consumer groups and their committed offsets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..errors import ErrorCode
from ..wire import Struct
from .access import CLUSTER_NAME, Authorizer, Operation
from .refusals import (
    CLUSTER,
    CODES,
    GROUP,
    TEXTS,
    TOPIC,
    TRANSACTION,
    Guard,
    GuardedCall,
    add,
    narrow,
    refused_topic,
    show_only,
    split,
)

__all__ = [
    "consumer_group_describe",
    "consumer_group_heartbeat",
    "delete_groups",
    "describe_groups",
    "find_coordinator",
    "in_group",
    "list_groups",
    "offset_fetch",
]


def in_group(
    operation: Operation, then: Guard | None = None, *, per_partition: bool = False, **fields: object
) -> Guard:
    """A request about one group.

    Args:
        then: what is asked next.
        per_partition: whether the error is given for each partition, and not once.
        fields: the rest of a refusal.
    """

    def guard(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
        if may.allows(operation, GROUP, request["group_id"]):
            return request if then is None else then(may, call, request)
        if per_partition:
            call.answer({"topics": [refused_topic(topic, CODES[GROUP], {}) for topic in request["topics"]]})
        else:
            call.answer({"error_code": CODES[GROUP], **fields})
        return None

    return guard


def offset_fetch(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
    """OffsetFetch, of one group or of several."""
    if call.version >= 8:
        groups, denied = split(
            request["groups"], lambda group: may.allows(Operation.DESCRIBE, GROUP, group["group_id"])
        )
        refused = [{"group_id": group["group_id"], "topics": [], "error_code": CODES[GROUP]} for group in denied]
        cut = {group["group_id"]: _fetched_topics(may, group["topics"]) for group in groups}
        add(call, "groups", refused)
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
    if not may.allows(Operation.DESCRIBE, GROUP, request["group_id"]):
        topics = [_unfetched(topic, CODES[GROUP]) for topic in request["topics"] or ()] if call.version < 2 else []
        call.answer({"error_code": CODES[GROUP], "topics": topics})
        return None
    allowed, amend = _fetched_topics(may, request["topics"])
    call.amend(lambda answer: {**answer, "topics": amend(answer["topics"])})
    return {**request, "topics": allowed}


def _fetched_topics(
    may: Authorizer, asked: list[Struct] | None
) -> tuple[list[Struct] | None, Callable[[list[Struct]], list[Struct]]]:
    """The topics whose offsets may be seen, and what becomes of the answer."""

    def is_visible(topic: Struct) -> bool:
        return may.allows(Operation.DESCRIBE, TOPIC, topic["name"])

    if asked is None:
        return None, lambda found: [topic for topic in found if is_visible(topic)]
    allowed, denied = split(asked, is_visible)
    return allowed, lambda found: [*found, *(_unfetched(topic, CODES[TOPIC]) for topic in denied)]


def _unfetched(topic: Struct, code: ErrorCode) -> Struct:
    return {
        "name": topic["name"],
        "partitions": [
            {"index": index, "offset": -1, "leader_epoch": -1, "metadata": "", "error_code": code}
            for index in topic["partitions"]
        ],
    }


def find_coordinator(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
    """FindCoordinator, of groups and of transactions."""
    kind = {0: GROUP, 1: TRANSACTION}.get(request["key_type"])
    if kind is None:
        return request
    refusal = {"error_code": CODES[kind], "error_message": TEXTS[kind], "node_id": -1, "host": "", "port": -1}
    if call.version < 4:
        if may.allows(Operation.DESCRIBE, kind, request["key"]):
            return request
        call.answer(refusal)
        return None
    denied = [key for key in request["coordinator_keys"] if not may.allows(Operation.DESCRIBE, kind, key)]
    add(call, "coordinators", [{"key": key, **refusal} for key in denied])
    return {**request, "coordinator_keys": [key for key in request["coordinator_keys"] if key not in denied]}


def describe_groups(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """DescribeGroups."""
    denied = [group for group in request["groups"] if not may.allows(Operation.DESCRIBE, GROUP, group)]
    unknown = dict.fromkeys(("group_state", "protocol_type", "protocol_data"), "")

    def amend(answer: Struct) -> Struct:
        for group in answer["groups"]:
            narrow(may, group, "authorized_operations", GROUP, group["group_id"])
        return answer

    call.amend(amend)
    add(
        call,
        "groups",
        [{"error_code": CODES[GROUP], "group_id": group, **unknown, "members": []} for group in denied],
    )
    return {**request, "groups": [group for group in request["groups"] if group not in denied]}


def list_groups(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """ListGroups: those that may be seen."""
    if not may.allows(Operation.DESCRIBE, CLUSTER, CLUSTER_NAME):
        show_only(call, "groups", lambda group: may.allows(Operation.DESCRIBE, GROUP, group["group_id"]))
    return request


def delete_groups(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """DeleteGroups."""
    denied = [group for group in request["groups"] if not may.allows(Operation.DELETE, GROUP, group)]
    add(call, "results", [{"group_id": group, "error_code": CODES[GROUP]} for group in denied])
    return {**request, "groups": [group for group in request["groups"] if group not in denied]}


def consumer_group_heartbeat(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
    """ConsumerGroupHeartbeat: who may read the group and see the topics it names."""
    topics = request["subscribed_topic_names"] or ()
    if not may.allows(Operation.READ, GROUP, request["group_id"]):
        kind = GROUP
    elif not all(may.allows(Operation.DESCRIBE, TOPIC, topic) for topic in topics):
        kind = TOPIC
    else:
        # What a pattern matches is known to the group alone, and of that a member is given what it may see.
        return {**request, "may_see": partial(may.allows, Operation.DESCRIBE, TOPIC)}
    call.answer({"error_code": CODES[kind], "error_message": TEXTS[kind], "member_id": request["member_id"]})
    return None


def consumer_group_describe(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """ConsumerGroupDescribe, but for groups that have topics which may not be seen."""
    denied = [group for group in request["group_ids"] if not may.allows(Operation.DESCRIBE, GROUP, group)]

    def seen(group: Struct) -> Struct:
        assignments = [
            member[name] for member in group.get("members", ()) for name in ("assignment", "target_assignment")
        ]
        names = {topic["topic_name"] for assignment in assignments for topic in assignment["topic_partitions"]}
        if all(may.allows(Operation.DESCRIBE, TOPIC, name) for name in names):
            narrow(may, group, "authorized_operations", GROUP, group["group_id"])
            return group
        text = "The group has described topic(s) that the client is not authorized to describe."
        return _undescribed(group["group_id"], CODES[TOPIC], text)

    call.amend(lambda answer: {**answer, "groups": [seen(group) for group in answer["groups"]]})
    add(call, "groups", [_undescribed(group, CODES[GROUP], None) for group in denied])
    return {**request, "group_ids": [group for group in request["group_ids"] if group not in denied]}


def _undescribed(group: str, code: ErrorCode, message: str | None) -> Struct:
    return {"error_code": code, "error_message": message, "group_id": group, "members": []}
