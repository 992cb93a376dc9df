"""Messages that create, grow, trim and delete topics."""

from __future__ import annotations

from ..wire import Api

__all__ = ["APIS", "CREATE_PARTITIONS", "CREATE_TOPICS", "DELETE_RECORDS", "DELETE_TOPICS"]

CREATE_TOPICS = Api(
    key=19,
    name="CreateTopics",
    versions=(2, 7),
    flexible=5,
    request="""
        topics: []
            name: string
            num_partitions: int32
            replication_factor: int16
            assignments: []
                partition_index: int32
                broker_ids: []int32
            configs: []
                name: string
                value: string?
        timeout_ms: int32
        validate_only: bool
    """,
    response="""
        throttle_time_ms: int32 = 0
        topics: []
            name: string
            topic_id: uuid 7+
            error_code: int16
            error_message: string? = null
            num_partitions: int32 5+ = -1
            replication_factor: int16 5+ = -1
            configs: []? 5+ = null
                name: string
                value: string?
                read_only: bool
                source: int8
                is_sensitive: bool
    """,
)

DELETE_TOPICS = Api(
    key=20,
    name="DeleteTopics",
    versions=(1, 6),
    flexible=4,
    request="""
        topics: [] 6+
            name: string?
            topic_id: uuid
        topic_names: []string 0-5
        timeout_ms: int32
    """,
    response="""
        throttle_time_ms: int32 = 0
        responses: []
            name: string?
            topic_id: uuid 6+
            error_code: int16
            error_message: string? 5+ = null
    """,
)

CREATE_PARTITIONS = Api(
    key=37,
    name="CreatePartitions",
    versions=(0, 3),
    flexible=2,
    request="""
        topics: []
            name: string
            count: int32
            assignments: []?
                broker_ids: []int32
        timeout_ms: int32
        validate_only: bool
    """,
    response="""
        throttle_time_ms: int32 = 0
        results: []
            name: string
            error_code: int16
            error_message: string? = null
    """,
)

DELETE_RECORDS = Api(
    key=21,
    name="DeleteRecords",
    versions=(0, 2),
    flexible=2,
    request="""
        topics: []
            name: string
            partitions: []
                index: int32
                offset: int64
        timeout_ms: int32
    """,
    response="""
        throttle_time_ms: int32 = 0
        topics: []
            name: string
            partitions: []
                index: int32
                low_watermark: int64
                error_code: int16
    """,
)

APIS = (CREATE_TOPICS, DELETE_TOPICS, CREATE_PARTITIONS, DELETE_RECORDS)
