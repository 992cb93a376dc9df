"""Messages of transactions; InitProducerId is with those that write records, idempotent producers send it too."""

from __future__ import annotations

from ..wire import Api

__all__ = [
    "ADD_OFFSETS_TO_TXN",
    "ADD_PARTITIONS_TO_TXN",
    "APIS",
    "DESCRIBE_PRODUCERS",
    "DESCRIBE_TRANSACTIONS",
    "END_TXN",
    "LIST_TRANSACTIONS",
    "TXN_OFFSET_COMMIT",
    "WRITE_TXN_MARKERS",
]

# Version 4 is for brokers among each other.
ADD_PARTITIONS_TO_TXN = Api(
    key=24,
    name="AddPartitionsToTxn",
    versions=(0, 3),
    flexible=3,
    request="""
        transactional_id: string
        producer_id: int64
        producer_epoch: int16
        topics: []
            name: string
            partitions: []int32
    """,
    response="""
        throttle_time_ms: int32 = 0
        topics: []
            name: string
            partitions: []
                index: int32
                error_code: int16
    """,
)

ADD_OFFSETS_TO_TXN = Api(
    key=25,
    name="AddOffsetsToTxn",
    versions=(0, 4),
    flexible=3,
    request="""
        transactional_id: string
        producer_id: int64
        producer_epoch: int16
        group_id: string
    """,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16
    """,
)

# Version 5 raises the epoch with each transaction (transaction.version=2): clients use it when the feature is there.
END_TXN = Api(
    key=26,
    name="EndTxn",
    versions=(0, 4),
    flexible=3,
    request="""
        transactional_id: string
        producer_id: int64
        producer_epoch: int16
        committed: bool
    """,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16
    """,
)

WRITE_TXN_MARKERS = Api(
    key=27,
    name="WriteTxnMarkers",
    versions=(1, 1),
    flexible=1,
    request="""
        markers: []
            producer_id: int64
            producer_epoch: int16
            committed: bool
            topics: []
                name: string
                partitions: []int32
            coordinator_epoch: int32
    """,
    response="""
        markers: []
            producer_id: int64
            topics: []
                name: string
                partitions: []
                    index: int32
                    error_code: int16
    """,
)

TXN_OFFSET_COMMIT = Api(
    key=28,
    name="TxnOffsetCommit",
    versions=(0, 4),
    flexible=3,
    request="""
        transactional_id: string
        group_id: string
        producer_id: int64
        producer_epoch: int16
        generation_id: int32 3+ = -1
        member_id: string 3+
        group_instance_id: string? 3+
        topics: []
            name: string
            partitions: []
                index: int32
                offset: int64
                leader_epoch: int32 2+ = -1
                metadata: string?
    """,
    response="""
        throttle_time_ms: int32 = 0
        topics: []
            name: string
            partitions: []
                index: int32
                error_code: int16
    """,
)

DESCRIBE_PRODUCERS = Api(
    key=61,
    name="DescribeProducers",
    versions=(0, 0),
    flexible=0,
    request="""
        topics: []
            name: string
            partitions: []int32
    """,
    response="""
        throttle_time_ms: int32 = 0
        topics: []
            name: string
            partitions: []
                index: int32
                error_code: int16
                error_message: string? = null
                producers: [] = []
                    producer_id: int64
                    producer_epoch: int32
                    last_sequence: int32
                    last_timestamp: int64 = -1
                    coordinator_epoch: int32 = 0
                    transaction_start_offset: int64
    """,
)

DESCRIBE_TRANSACTIONS = Api(
    key=65,
    name="DescribeTransactions",
    versions=(0, 0),
    flexible=0,
    request="""
        transactional_ids: []string
    """,
    response="""
        throttle_time_ms: int32 = 0
        transactions: []
            error_code: int16
            transactional_id: string
            state: string = ""
            timeout_ms: int32 = 0
            started_ms: int64 = 0
            producer_id: int64 = 0
            producer_epoch: int16 = 0
            topics: [] = []
                name: string
                partitions: []int32
    """,
)

LIST_TRANSACTIONS = Api(
    key=66,
    name="ListTransactions",
    versions=(0, 1),
    flexible=0,
    request="""
        state_filters: []string
        producer_id_filters: []int64
        duration_filter_ms: int64 1+ = -1
    """,
    response="""
        throttle_time_ms: int32 = 0
        error_code: int16
        unknown_state_filters: []string
        transactions: []
            transactional_id: string
            producer_id: int64
            state: string
    """,
)

APIS = (
    ADD_PARTITIONS_TO_TXN,
    ADD_OFFSETS_TO_TXN,
    END_TXN,
    WRITE_TXN_MARKERS,
    TXN_OFFSET_COMMIT,
    DESCRIBE_PRODUCERS,
    DESCRIBE_TRANSACTIONS,
    LIST_TRANSACTIONS,
)
