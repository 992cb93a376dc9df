"""Groups of the consumer protocol (KIP-848): from the wire to the coordinator and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .._assignors import Assignment
from .._consumer_group import ConsumerGroup
from .._topic_regex import any_topic
from ..call import Call
from ..consumer_groups import ConsumerHeartbeat
from ..errors import ErrorCode, Refused
from ..messages.groups import CONSUMER_GROUP_DESCRIBE, CONSUMER_GROUP_HEARTBEAT
from ..node import Node
from ..wire import Api, Struct

__all__ = ["handlers"]

_GROUP_OPERATIONS = sum(1 << operation for operation in (3, 6, 8, 10, 11))
_NOT_ASKED = -(1 << 31)


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    groups = _ConsumerGroups(node)
    return ((CONSUMER_GROUP_HEARTBEAT, groups.heartbeat), (CONSUMER_GROUP_DESCRIBE, groups.describe))


class _ConsumerGroups:
    def __init__(self, node: Node) -> None:
        self._groups = node.groups

    def heartbeat(self, call: Call, request: Struct) -> Struct:
        owned, topics = request["topic_partitions"], request["subscribed_topic_names"]
        beat = ConsumerHeartbeat(
            group_id=request["group_id"],
            member_id=request["member_id"],
            member_epoch=request["member_epoch"],
            instance_id=request["instance_id"],
            rack_id=request["rack_id"],
            rebalance_timeout_ms=request["rebalance_timeout_ms"],
            topics=None if topics is None else tuple(topics),
            regex=request["subscribed_topic_regex"],
            may_see=request.get("may_see", any_topic),
            assignor=request["server_assignor"],
            owned=None
            if owned is None
            else frozenset((topic["topic_id"], index) for topic in owned for index in topic["partitions"]),
            client_id=call.client_id,
            id_required=call.version >= 1,
        )
        try:
            result = self._groups.consumer_heartbeat(beat)
        except Refused as refused:
            return {"error_code": refused.code, "error_message": refused.message, "member_id": None}
        return {
            "error_code": ErrorCode.NONE,
            "error_message": None,
            "member_id": result.member_id,
            "member_epoch": result.member_epoch,
            "heartbeat_interval_ms": result.heartbeat_interval_ms,
            "assignment": None
            if result.assignment is None
            else {
                "topic_partitions": [
                    {"topic_id": topic, "partitions": indexes} for topic, indexes in _by_topic(result.assignment)
                ]
            },
        }

    def describe(self, _call: Call, request: Struct) -> Struct:
        operations = _GROUP_OPERATIONS if request["include_authorized_operations"] else _NOT_ASKED
        return {"groups": [self._describe(group_id, operations) for group_id in request["group_ids"]]}

    def _describe(self, group_id: str, operations: int) -> Struct:
        try:
            group = self._groups.consumer_groups.group(group_id)
        except Refused as refused:
            classic = self._groups.describe_classic(group_id).error is ErrorCode.NONE
            text = f"Group {group_id} is not a consumer group." if classic else refused.message
            return {"error_code": refused.code, "error_message": text, "group_id": group_id}
        names = self._groups.consumer_groups.names()
        return {
            "error_code": ErrorCode.NONE,
            "group_id": group_id,
            "group_state": group.state.value,
            "group_epoch": group.epoch,
            "assignment_epoch": group.target_epoch,
            "assignor_name": group.assignor,
            "members": _members(group, names),
            "authorized_operations": operations,
        }


def _members(group: ConsumerGroup, names: dict[bytes, str]) -> list[Struct]:
    return [
        {
            "member_id": each.member_id,
            "instance_id": each.instance_id,
            "rack_id": each.rack_id,
            "member_epoch": each.epoch,
            "client_id": each.client_id,
            "client_host": each.client_host,
            "subscribed_topic_names": sorted(each.topics),
            "subscribed_topic_regex": each.regex,
            "assignment": _assignment(each.assigned, names),
            "target_assignment": _assignment(group.target(each.member_id), names),
        }
        for each in group.members.values()
    ]


def _assignment(assignment: Assignment, names: dict[bytes, str]) -> Struct:
    return {
        "topic_partitions": [
            {"topic_id": topic, "topic_name": names[topic], "partitions": indexes}
            for topic, indexes in _by_topic(assignment)
            if topic in names
        ]
    }


def _by_topic(assignment: Assignment) -> list[tuple[bytes, list[int]]]:
    found: dict[bytes, list[int]] = {}
    for topic, index in sorted(assignment):
        found.setdefault(topic, []).append(index)
    return list(found.items())
