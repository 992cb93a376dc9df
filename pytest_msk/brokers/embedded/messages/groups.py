"""Messages of consumer groups, of both protocols, and of committed offsets."""

from __future__ import annotations

from ..wire import Api

__all__ = [
    "APIS",
    "CONSUMER_GROUP_DESCRIBE",
    "CONSUMER_GROUP_HEARTBEAT",
    "DELETE_GROUPS",
    "DESCRIBE_GROUPS",
    "HEARTBEAT",
    "JOIN_GROUP",
    "LEAVE_GROUP",
    "LIST_GROUPS",
    "OFFSET_COMMIT",
    "OFFSET_DELETE",
    "OFFSET_FETCH",
    "SYNC_GROUP",
]

OFFSET_COMMIT = Api(
    key=8,
    name="OffsetCommit",
    versions=(2, 9),
    flexible=8,
    request="""
        group_id: string
        generation_id: int32
        member_id: string
        group_instance_id: string? 7+
        retention_time_ms: int64 2-4 = -1
        topics: []
            name: string
            partitions: []
                index: int32
                offset: int64
                leader_epoch: int32 6+ = -1
                metadata: string?
    """,
    response="""
        throttle_time_ms: int32 3+ = 0
        topics: []
            name: string
            partitions: []
                index: int32
                error_code: int16
    """,
)

OFFSET_FETCH = Api(
    key=9,
    name="OffsetFetch",
    versions=(1, 9),
    flexible=6,
    request="""
        group_id: string 0-7
        topics: []? 0-7
            name: string
            partitions: []int32
        groups: [] 8+
            group_id: string
            member_id: string? 9+
            member_epoch: int32 9+ = -1
            topics: []?
                name: string
                partitions: []int32
        require_stable: bool 7+
    """,
    response="""
        throttle_time_ms: int32 3+ = 0
        topics: [] 0-7 = []
            name: string
            partitions: []
                index: int32
                offset: int64
                leader_epoch: int32 5+ = -1
                metadata: string?
                error_code: int16
        error_code: int16 2-7 = 0
        groups: [] 8+ = []
            group_id: string
            topics: []
                name: string
                partitions: []
                    index: int32
                    offset: int64
                    leader_epoch: int32 = -1
                    metadata: string?
                    error_code: int16
            error_code: int16
    """,
)

JOIN_GROUP = Api(
    key=11,
    name="JoinGroup",
    versions=(0, 9),
    flexible=6,
    request="""
        group_id: string
        session_timeout_ms: int32
        rebalance_timeout_ms: int32 1+ = -1
        member_id: string
        group_instance_id: string? 5+
        protocol_type: string
        protocols: []
            name: string
            metadata: bytes
        reason: string? 8+
    """,
    response="""
        throttle_time_ms: int32 2+ = 0
        error_code: int16
        generation_id: int32
        protocol_type: string? 7+
        protocol_name: string?
        leader: string
        skip_assignment: bool 9+ = false
        member_id: string
        members: []
            member_id: string
            group_instance_id: string? 5+
            metadata: bytes
    """,
)

SYNC_GROUP = Api(
    key=14,
    name="SyncGroup",
    versions=(0, 5),
    flexible=4,
    request="""
        group_id: string
        generation_id: int32
        member_id: string
        group_instance_id: string? 3+
        protocol_type: string? 5+
        protocol_name: string? 5+
        assignments: []
            member_id: string
            assignment: bytes
    """,
    response="""
        throttle_time_ms: int32 1+ = 0
        error_code: int16
        protocol_type: string? 5+
        protocol_name: string? 5+
        assignment: bytes
    """,
)

HEARTBEAT = Api(
    key=12,
    name="Heartbeat",
    versions=(0, 4),
    flexible=4,
    request="""
        group_id: string
        generation_id: int32
        member_id: string
        group_instance_id: string? 3+
    """,
    response="""
        throttle_time_ms: int32 1+ = 0
        error_code: int16
    """,
)

LEAVE_GROUP = Api(
    key=13,
    name="LeaveGroup",
    versions=(0, 5),
    flexible=4,
    request="""
        group_id: string
        member_id: string 0-2
        members: [] 3+
            member_id: string
            group_instance_id: string?
            reason: string? 5+
    """,
    response="""
        throttle_time_ms: int32 1+ = 0
        error_code: int16
        members: [] 3+ = []
            member_id: string
            group_instance_id: string?
            error_code: int16
    """,
)

DESCRIBE_GROUPS = Api(
    key=15,
    name="DescribeGroups",
    versions=(0, 6),
    flexible=5,
    request="""
        groups: []string
        include_authorized_operations: bool 3+
    """,
    response="""
        throttle_time_ms: int32 1+ = 0
        groups: []
            error_code: int16
            error_message: string? 6+ = null
            group_id: string
            group_state: string
            protocol_type: string
            protocol_data: string
            members: []
                member_id: string
                group_instance_id: string? 4+
                client_id: string
                client_host: string
                member_metadata: bytes
                member_assignment: bytes
            authorized_operations: int32 3+ = -2147483648
    """,
)

LIST_GROUPS = Api(
    key=16,
    name="ListGroups",
    versions=(0, 5),
    flexible=3,
    request="""
        states_filter: []string 4+
        types_filter: []string 5+
    """,
    response="""
        throttle_time_ms: int32 1+ = 0
        error_code: int16
        groups: []
            group_id: string
            protocol_type: string
            group_state: string 4+
            group_type: string 5+
    """,
)

DELETE_GROUPS = Api(
    key=42,
    name="DeleteGroups",
    versions=(0, 2),
    flexible=2,
    request="""
        groups: []string
    """,
    response="""
        throttle_time_ms: int32 = 0
        results: []
            group_id: string
            error_code: int16
    """,
)

OFFSET_DELETE = Api(
    key=47,
    name="OffsetDelete",
    versions=(0, 0),
    flexible=None,
    request="""
        group_id: string
        topics: []
            name: string
            partitions: []
                index: int32
    """,
    response="""
        error_code: int16
        throttle_time_ms: int32 = 0
        topics: []
            name: string
            partitions: []
                index: int32
                error_code: int16
    """,
)

CONSUMER_GROUP_HEARTBEAT = Api(
    key=68,
    name="ConsumerGroupHeartbeat",
    versions=(0, 1),
    flexible=0,
    request="""
        group_id: string
        member_id: string
        member_epoch: int32
        instance_id: string?
        rack_id: string?
        rebalance_timeout_ms: int32
        subscribed_topic_names: []string?
        subscribed_topic_regex: string? 1+
        server_assignor: string?
        topic_partitions: []?
            topic_id: uuid
            partitions: []int32
    """,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16
        error_message: string?
        member_id: string?
        member_epoch: int32 = 0
        heartbeat_interval_ms: int32 = 0
        assignment: struct? = null
            topic_partitions: []
                topic_id: uuid
                partitions: []int32
    """,
)

_ASSIGNMENT = """
                    topic_partitions: []
                        topic_id: uuid
                        topic_name: string
                        partitions: []int32
"""

CONSUMER_GROUP_DESCRIBE = Api(
    key=69,
    name="ConsumerGroupDescribe",
    versions=(0, 1),
    flexible=0,
    request="""
        group_ids: []string
        include_authorized_operations: bool
    """,
    response=f"""
        throttle_time_ms: int32 = 0
        groups: []
            error_code: int16
            error_message: string? = null
            group_id: string
            group_state: string = ""
            group_epoch: int32 = 0
            assignment_epoch: int32 = 0
            assignor_name: string = ""
            members: [] = []
                member_id: string
                instance_id: string?
                rack_id: string?
                member_epoch: int32
                client_id: string
                client_host: string
                subscribed_topic_names: []string
                subscribed_topic_regex: string?
                assignment: struct{_ASSIGNMENT}
                target_assignment: struct{_ASSIGNMENT}
                member_type: int8 1+ = 1
            authorized_operations: int32 = -2147483648
    """,
)

APIS = (
    CONSUMER_GROUP_HEARTBEAT,
    CONSUMER_GROUP_DESCRIBE,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    JOIN_GROUP,
    SYNC_GROUP,
    HEARTBEAT,
    LEAVE_GROUP,
    DESCRIBE_GROUPS,
    LIST_GROUPS,
    DELETE_GROUPS,
    OFFSET_DELETE,
)
