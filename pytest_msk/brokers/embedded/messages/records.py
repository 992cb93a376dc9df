"""Messages that write, read and find records."""

from __future__ import annotations

from ..wire import Api

__all__ = ["APIS", "FETCH", "INIT_PRODUCER_ID", "LIST_OFFSETS", "OFFSET_FOR_LEADER_EPOCH", "PRODUCE"]

PRODUCE = Api(
    key=0,
    name="Produce",
    versions=(3, 11),
    flexible=9,
    request="""
        transactional_id: string?
        acks: int16
        timeout_ms: int32
        topics: []
            name: string
            partitions: []
                index: int32
                records: records?
    """,
    response="""
        topics: []
            name: string
            partitions: []
                index: int32
                error_code: int16
                base_offset: int64
                log_append_time_ms: int64 = -1
                log_start_offset: int64 5+ = -1
                record_errors: [] 8+ = []
                    batch_index: int32
                    message: string?
                error_message: string? 8+ = null
        throttle_time_ms: int32 = 0
    """,
)

# Version 13 names topics by their ids. All clients still speak the names of 12.
FETCH = Api(
    key=1,
    name="Fetch",
    versions=(4, 12),
    flexible=12,
    request="""
        replica_id: int32
        max_wait_ms: int32
        min_bytes: int32
        max_bytes: int32
        isolation_level: int8
        session_id: int32 7+ = 0
        session_epoch: int32 7+ = -1
        topics: []
            name: string
            partitions: []
                index: int32
                current_leader_epoch: int32 9+ = -1
                fetch_offset: int64
                last_fetched_epoch: int32 12+ = -1
                log_start_offset: int64 5+ = -1
                max_bytes: int32
        forgotten_topics: [] 7+
            name: string
            partitions: []int32
        rack_id: string 11+
    """,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16 7+ = 0
        session_id: int32 7+ = 0
        topics: []
            name: string
            partitions: []
                index: int32
                error_code: int16
                high_watermark: int64
                last_stable_offset: int64
                log_start_offset: int64 5+
                aborted_transactions: []? = []
                    producer_id: int64
                    first_offset: int64
                preferred_read_replica: int32 11+ = -1
                records: records?
    """,
)

LIST_OFFSETS = Api(
    key=2,
    name="ListOffsets",
    versions=(1, 8),
    flexible=6,
    request="""
        replica_id: int32
        isolation_level: int8 2+
        topics: []
            name: string
            partitions: []
                index: int32
                current_leader_epoch: int32 4+ = -1
                timestamp: int64
    """,
    response="""
        throttle_time_ms: int32 2+ = 0
        topics: []
            name: string
            partitions: []
                index: int32
                error_code: int16
                timestamp: int64 = -1
                offset: int64 = -1
                leader_epoch: int32 4+ = -1
    """,
)

INIT_PRODUCER_ID = Api(
    key=22,
    name="InitProducerId",
    versions=(0, 5),
    flexible=2,
    request="""
        transactional_id: string?
        transaction_timeout_ms: int32
        producer_id: int64 3+ = -1
        producer_epoch: int16 3+ = -1
    """,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16
        producer_id: int64 = -1
        producer_epoch: int16 = -1
    """,
)

OFFSET_FOR_LEADER_EPOCH = Api(
    key=23,
    name="OffsetForLeaderEpoch",
    versions=(2, 4),
    flexible=4,
    request="""
        replica_id: int32 3+ = -2
        topics: []
            name: string
            partitions: []
                index: int32
                current_leader_epoch: int32
                leader_epoch: int32
    """,
    response="""
        throttle_time_ms: int32 = 0
        topics: []
            name: string
            partitions: []
                error_code: int16
                index: int32
                leader_epoch: int32 = -1
                end_offset: int64 = -1
    """,
)

APIS = (PRODUCE, FETCH, LIST_OFFSETS, INIT_PRODUCER_ID, OFFSET_FOR_LEADER_EPOCH)
