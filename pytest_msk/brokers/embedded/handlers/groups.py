"""Consumer groups and their committed offsets: from the wire to the coordinator and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .._group_messages import (
    DescribedGroup,
    Heartbeat,
    HeartbeatResult,
    JoinGroup,
    JoinGroupResult,
    LeaveGroup,
    LeavingMember,
    SyncGroup,
    SyncGroupResult,
)
from ..call import Call
from ..errors import ErrorCode
from ..messages.groups import (
    DELETE_GROUPS,
    DESCRIBE_GROUPS,
    HEARTBEAT,
    JOIN_GROUP,
    LEAVE_GROUP,
    LIST_GROUPS,
    OFFSET_COMMIT,
    OFFSET_DELETE,
    OFFSET_FETCH,
    SYNC_GROUP,
)
from ..node import Node
from ..offsets import CommitOffsets, DeleteOffsets, FetchedOffset, FetchOffsets, OffsetCommit
from ..wire import Api, Struct

__all__ = ["handlers"]

_GROUP_OPERATIONS = sum(1 << operation for operation in (3, 6, 8, 10, 11))
_NOT_ASKED = -(1 << 31)


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    groups, committed = _Groups(node), _Committed(node)
    return (
        (JOIN_GROUP, groups.join),
        (SYNC_GROUP, groups.sync),
        (HEARTBEAT, groups.heartbeat),
        (LEAVE_GROUP, groups.leave),
        (DESCRIBE_GROUPS, groups.describe),
        (LIST_GROUPS, groups.list),
        (DELETE_GROUPS, groups.delete),
        (OFFSET_COMMIT, committed.commit),
        (OFFSET_FETCH, committed.fetch),
        (OFFSET_DELETE, committed.delete),
    )


class _Groups:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._groups = node.groups

    def join(self, call: Call, request: Struct) -> None:
        rebalance_timeout = request["rebalance_timeout_ms"]
        join = JoinGroup(
            group_id=request["group_id"],
            member_id=request["member_id"],
            group_instance_id=request["group_instance_id"],
            protocol_type=request["protocol_type"],
            protocols=tuple((protocol["name"], protocol["metadata"]) for protocol in request["protocols"]),
            session_timeout_ms=request["session_timeout_ms"],
            rebalance_timeout_ms=request["session_timeout_ms"] if call.version == 0 else rebalance_timeout,
            client_id=call.client_id,
            member_id_required=call.version >= 4,
            skip_assignment_supported=call.version >= 9,
            initial_delay=not (call.connection.any_order and self._node.hurry),
        )
        self._groups.join(join, lambda result: call.answer(_joined(call.version, result)))

    def sync(self, call: Call, request: Struct) -> Struct | None:
        if call.version >= 5 and None in (request["protocol_type"], request["protocol_name"]):
            error = ErrorCode.INCONSISTENT_GROUP_PROTOCOL
            return {"error_code": error, "protocol_type": None, "protocol_name": None, "assignment": b""}
        sync = SyncGroup(
            group_id=request["group_id"],
            generation_id=request["generation_id"],
            member_id=request["member_id"],
            group_instance_id=request["group_instance_id"],
            protocol_type=request["protocol_type"],
            protocol_name=request["protocol_name"],
            assignments=tuple((each["member_id"], each["assignment"]) for each in request["assignments"]),
        )

        def reply(result: SyncGroupResult) -> None:
            call.answer(
                {
                    "error_code": result.error,
                    "protocol_type": result.protocol_type,
                    "protocol_name": result.protocol_name,
                    "assignment": result.assignment,
                }
            )

        self._groups.sync(sync, reply)
        return None

    def heartbeat(self, call: Call, request: Struct) -> None:
        beat = Heartbeat(
            group_id=request["group_id"],
            generation_id=request["generation_id"],
            member_id=request["member_id"],
            group_instance_id=request["group_instance_id"],
            connection_id=call.connection.id,
        )

        def reply(result: HeartbeatResult) -> None:
            call.answer({"error_code": result.error})

        # A held answer comes after those of later requests: only for clients that do not mind.
        hold = self._node.hold_heartbeats and call.connection.any_order
        self._groups.heartbeat(beat, reply, hold=hold)
        if hold and not call.answered:
            call.detach()

    def leave(self, call: Call, request: Struct) -> Struct:
        if call.version < 3:
            members: tuple[LeavingMember, ...] = (LeavingMember(member_id=request["member_id"]),)
        else:
            members = tuple(
                LeavingMember(member_id=each["member_id"], group_instance_id=each["group_instance_id"])
                for each in request["members"]
            )
        result = self._groups.leave(LeaveGroup(group_id=request["group_id"], members=members))
        if call.version < 3:
            return {"error_code": result.error or result.members[0].error}
        return {
            "error_code": result.error,
            "members": [
                {"member_id": each.member_id, "group_instance_id": each.group_instance_id, "error_code": each.error}
                for each in result.members
            ],
        }

    def describe(self, call: Call, request: Struct) -> Struct:
        operations = _GROUP_OPERATIONS if request["include_authorized_operations"] else _NOT_ASKED
        return {
            "groups": [
                _described(call.version, self._groups.describe_classic(group_id), operations)
                for group_id in request["groups"]
            ]
        }

    def list(self, _call: Call, request: Struct) -> Struct:
        return {
            "error_code": ErrorCode.NONE,
            "groups": [
                {
                    "group_id": group.group_id,
                    "protocol_type": group.protocol_type,
                    "group_state": group.state.value,
                    "group_type": group.group_type,
                }
                for group in self._groups.list_groups(request["states_filter"], request["types_filter"])
            ],
        }

    def delete(self, _call: Call, request: Struct) -> Struct:
        return {
            "results": [
                {"group_id": each.group_id, "error_code": each.error}
                for each in self._groups.delete_groups(request["groups"])
            ]
        }


def _joined(version: int, result: JoinGroupResult) -> Struct:
    name = result.protocol_name
    return {
        "error_code": result.error,
        "generation_id": result.generation_id,
        "protocol_type": result.protocol_type,
        "protocol_name": "" if name is None and version < 7 else name,
        "leader": result.leader,
        "skip_assignment": result.skip_assignment,
        "member_id": result.member_id,
        "members": [
            {"member_id": each.member_id, "group_instance_id": each.group_instance_id, "metadata": each.metadata}
            for each in result.members
        ],
    }


def _described(version: int, group: DescribedGroup, operations: int) -> Struct:
    # Before version 6 a group that is not there is Dead, without an error.
    unknown = group.error is ErrorCode.GROUP_ID_NOT_FOUND
    return {
        "error_code": ErrorCode.NONE if unknown and version < 6 else group.error,
        "error_message": f"Group {group.group_id} not found." if unknown and version >= 6 else None,
        "group_id": group.group_id,
        "group_state": group.state.value,
        "protocol_type": group.protocol_type,
        "protocol_data": group.protocol,
        "members": [
            {
                "member_id": member.member_id,
                "group_instance_id": member.group_instance_id,
                "client_id": member.client_id,
                "client_host": member.client_host,
                "member_metadata": member.metadata,
                "member_assignment": member.assignment,
            }
            for member in group.members
        ],
        "authorized_operations": operations,
    }


class _Committed:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._groups = node.groups

    def commit(self, call: Call, request: Struct) -> Struct:
        offsets = tuple(
            OffsetCommit(
                topic=topic["name"],
                partition=partition["index"],
                offset=partition["offset"],
                leader_epoch=partition["leader_epoch"],
                metadata=partition["metadata"],
            )
            for topic in request["topics"]
            for partition in topic["partitions"]
            if self._node.topics.log(topic["name"], partition["index"]) is not None
        )
        results = self._groups.commit_offsets(
            CommitOffsets(
                group_id=request["group_id"],
                generation_id=request["generation_id"],
                member_id=request["member_id"],
                group_instance_id=request["group_instance_id"],
                retention_ms=request["retention_time_ms"],
                group_id_not_found_known=call.version >= 9,
                offsets=offsets,
            )
        )
        errors = {(result.topic, result.partition): result.error for result in results}
        return {"topics": _per_partition(request["topics"], errors)}

    def fetch(self, call: Call, request: Struct) -> Struct:
        if call.version < 8:
            return self._fetch_one(request, request["require_stable"])
        return {
            "groups": [
                {"group_id": group["group_id"], **self._fetch_one(group, request["require_stable"])}
                for group in request["groups"]
            ]
        }

    def _fetch_one(self, asked: Struct, stable: bool) -> Struct:
        topics = asked["topics"]
        wanted = (
            None
            if topics is None
            else tuple((topic["name"], index) for topic in topics for index in topic["partitions"])
        )
        result = self._groups.fetch_offsets(
            FetchOffsets(
                group_id=asked["group_id"],
                partitions=wanted,
                stable=stable,
                member_id=asked.get("member_id"),
                member_epoch=asked.get("member_epoch", -1),
            )
        )
        by_topic: dict[str, list[Struct]] = {} if topics is None else {topic["name"]: [] for topic in topics}
        for each in result.offsets:
            by_topic.setdefault(each.topic, []).append(_fetched(each))
        return {
            "error_code": result.error,
            "topics": [{"name": name, "partitions": partitions} for name, partitions in by_topic.items()],
        }

    def delete(self, _call: Call, request: Struct) -> Struct:
        known = tuple(
            (topic["name"], partition["index"])
            for topic in request["topics"]
            for partition in topic["partitions"]
            if self._node.topics.log(topic["name"], partition["index"]) is not None
        )
        result = self._groups.delete_offsets(DeleteOffsets(group_id=request["group_id"], partitions=known))
        if result.error:
            return {"error_code": result.error, "topics": []}
        errors = {(each.topic, each.partition): each.error for each in result.partitions}
        return {"error_code": ErrorCode.NONE, "topics": _per_partition(request["topics"], errors)}


def _per_partition(topics: list[Struct], errors: dict[tuple[str, int], ErrorCode]) -> list[Struct]:
    """Each partition of a request with its error; one that the coordinator was not asked about does not exist."""
    return [
        {
            "name": topic["name"],
            "partitions": [
                {
                    "index": partition["index"],
                    "error_code": errors.get((topic["name"], partition["index"]), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
                }
                for partition in topic["partitions"]
            ],
        }
        for topic in topics
    ]


def _fetched(each: FetchedOffset) -> Struct:
    return {
        "index": each.partition,
        "offset": each.offset,
        "leader_epoch": each.leader_epoch,
        "metadata": each.metadata,
        "error_code": each.error,
    }
