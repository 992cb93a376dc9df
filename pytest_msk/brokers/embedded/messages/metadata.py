"""Messages by which a client finds out about the broker, the cluster and its topics."""

from __future__ import annotations

from ..wire import Api

__all__ = ["APIS", "API_VERSIONS", "DESCRIBE_CLUSTER", "FIND_COORDINATOR", "METADATA"]

API_VERSIONS = Api(
    key=18,
    name="ApiVersions",
    versions=(0, 4),
    flexible=3,
    request="""
        client_software_name: string 3+
        client_software_version: string 3+
    """,
    response="""
        error_code: int16
        api_keys: []
            key: int16
            min_version: int16
            max_version: int16
        throttle_time_ms: int32 1+ = 0
    """,
)

METADATA = Api(
    key=3,
    name="Metadata",
    versions=(0, 12),
    flexible=9,
    request="""
        topics: []?
            topic_id: uuid 10+
            name: string?
        allow_auto_topic_creation: bool 4+ = true
        include_cluster_authorized_operations: bool 8-10
        include_topic_authorized_operations: bool 8+
    """,
    response="""
        throttle_time_ms: int32 3+ = 0
        brokers: []
            node_id: int32
            host: string
            port: int32
            rack: string? 1+ = null
        cluster_id: string? 2+
        controller_id: int32 1+
        topics: []
            error_code: int16
            name: string?
            topic_id: uuid 10+
            is_internal: bool 1+ = false
            partitions: []
                error_code: int16
                index: int32
                leader_id: int32
                leader_epoch: int32 7+
                replica_nodes: []int32
                isr_nodes: []int32
                offline_replicas: []int32 5+ = []
            topic_authorized_operations: int32 8+ = -2147483648
        cluster_authorized_operations: int32 8-10 = -2147483648
    """,
)

FIND_COORDINATOR = Api(
    key=10,
    name="FindCoordinator",
    versions=(0, 5),
    flexible=3,
    request="""
        key: string 0-3
        key_type: int8 1+
        coordinator_keys: []string 4+
    """,
    response="""
        throttle_time_ms: int32 1+ = 0
        error_code: int16 0-3 = 0
        error_message: string? 1-3 = null
        node_id: int32 0-3 = -1
        host: string 0-3 = ""
        port: int32 0-3 = -1
        coordinators: [] 4+ = []
            key: string
            node_id: int32
            host: string
            port: int32
            error_code: int16
            error_message: string? = null
    """,
)

DESCRIBE_CLUSTER = Api(
    key=60,
    name="DescribeCluster",
    versions=(0, 1),
    flexible=0,
    request="""
        include_cluster_authorized_operations: bool
        endpoint_type: int8 1+ = 1
    """,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16
        error_message: string? = null
        endpoint_type: int8 1+ = 1
        cluster_id: string
        controller_id: int32 = -1
        brokers: []
            broker_id: int32
            host: string
            port: int32
            rack: string? = null
        cluster_authorized_operations: int32 = -2147483648
    """,
)

APIS = (API_VERSIONS, METADATA, FIND_COORDINATOR, DESCRIBE_CLUSTER)
