"""Transactions: from the wire to the coordinator and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..call import Call
from ..errors import ErrorCode, Refused
from ..messages.records import INIT_PRODUCER_ID
from ..messages.transactions import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    DESCRIBE_PRODUCERS,
    DESCRIBE_TRANSACTIONS,
    END_TXN,
    LIST_TRANSACTIONS,
    TXN_OFFSET_COMMIT,
    WRITE_TXN_MARKERS,
)
from ..node import Node
from ..offsets import CommitTransactionOffsets, OffsetCommit
from ..transactions import Producer, TransactionState
from ..wire import Api, Struct

__all__ = ["handlers"]

# The first version of each API whose clients know PRODUCER_FENCED; older ones are told INVALID_PRODUCER_EPOCH.
_FENCED_SINCE = {INIT_PRODUCER_ID: 4, ADD_PARTITIONS_TO_TXN: 2, ADD_OFFSETS_TO_TXN: 2, END_TXN: 2}
_ABORTABLE_SINCE = 4


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    transactions = _Transactions(node)
    return (
        (INIT_PRODUCER_ID, transactions.init_producer_id),
        (ADD_PARTITIONS_TO_TXN, transactions.add_partitions),
        (ADD_OFFSETS_TO_TXN, transactions.add_offsets),
        (END_TXN, transactions.end),
        (WRITE_TXN_MARKERS, transactions.write_markers),
        (TXN_OFFSET_COMMIT, transactions.commit_offsets),
        (DESCRIBE_PRODUCERS, transactions.describe_producers),
        (DESCRIBE_TRANSACTIONS, transactions.describe),
        (LIST_TRANSACTIONS, transactions.list),
    )


class _Transactions:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._transactions = node.transactions

    def init_producer_id(self, call: Call, request: Struct) -> Struct:
        known = _producer(request)
        if (known.id == -1) != (known.epoch == -1):
            return {"error_code": ErrorCode.INVALID_REQUEST}
        try:
            if request["transactional_id"] is None:
                producer = Producer(next(self._node.producer_ids), 0)
            else:
                producer = self._transactions.init_producer(
                    request["transactional_id"],
                    request["transaction_timeout_ms"],
                    known=None if known.id == -1 else known,
                    now_ms=self._node.now_ms(),
                )
        except Refused as refused:
            return {"error_code": _code(call, refused)}
        return {"error_code": ErrorCode.NONE, "producer_id": producer.id, "producer_epoch": producer.epoch}

    def add_partitions(self, call: Call, request: Struct) -> Struct:
        places = [(topic["name"], index) for topic in request["topics"] for index in topic["partitions"]]
        unknown = {place for place in places if self._node.topics.log(*place) is None}
        code = ErrorCode.OPERATION_NOT_ATTEMPTED
        if not unknown:
            code = ErrorCode.NONE
            try:
                self._transactions.add_partitions(
                    request["transactional_id"], _producer(request), places, now_ms=self._node.now_ms()
                )
            except Refused as refused:
                code = _code(call, refused)
        return {
            "topics": [
                {
                    "name": topic["name"],
                    "partitions": [
                        {
                            "index": index,
                            "error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                            if (topic["name"], index) in unknown
                            else code,
                        }
                        for index in topic["partitions"]
                    ],
                }
                for topic in request["topics"]
            ]
        }

    def add_offsets(self, call: Call, request: Struct) -> Struct:
        try:
            self._transactions.add_offsets(
                request["transactional_id"], _producer(request), request["group_id"], now_ms=self._node.now_ms()
            )
        except Refused as refused:
            return {"error_code": _code(call, refused)}
        return {"error_code": ErrorCode.NONE}

    def end(self, call: Call, request: Struct) -> Struct:
        try:
            self._transactions.end(
                request["transactional_id"],
                _producer(request),
                commit=request["committed"],
                now_ms=self._node.now_ms(),
            )
        except Refused as refused:
            return {"error_code": _code(call, refused)}
        return {"error_code": ErrorCode.NONE}

    def write_markers(self, _call: Call, request: Struct) -> Struct:
        """An administrator ends a transaction that hangs in some partitions."""
        return {
            "markers": [
                {
                    "producer_id": marker["producer_id"],
                    "topics": [
                        {
                            "name": topic["name"],
                            "partitions": [
                                {"index": index, "error_code": self._write_marker(topic["name"], index, marker)}
                                for index in topic["partitions"]
                            ],
                        }
                        for topic in marker["topics"]
                    ],
                }
                for marker in request["markers"]
            ]
        }

    def _write_marker(self, topic: str, index: int, marker: Struct) -> ErrorCode:
        try:
            log = self._node.log(topic, index)
        except Refused as refused:
            return refused.code
        return self._node.write_marker(log, _producer(marker), commit=marker["committed"])

    def commit_offsets(self, call: Call, request: Struct) -> Struct:
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
        errors = {}
        try:
            self._check_group(call.version, request)
        except Refused as refused:
            errors = {(each.topic, each.partition): refused.code for each in offsets}
        else:
            results = self._node.groups.commit_offsets_in_transaction(
                CommitTransactionOffsets(
                    group_id=request["group_id"],
                    producer_id=request["producer_id"],
                    generation_id=request["generation_id"],
                    member_id=request["member_id"],
                    group_instance_id=request["group_instance_id"],
                    offsets=offsets,
                )
            )
            errors = {(each.topic, each.partition): each.error for each in results}
        return {
            "topics": [
                {
                    "name": topic["name"],
                    "partitions": [
                        {
                            "index": partition["index"],
                            "error_code": errors.get(
                                (topic["name"], partition["index"]), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
                            ),
                        }
                        for partition in topic["partitions"]
                    ],
                }
                for topic in request["topics"]
            ]
        }

    def _check_group(self, version: int, request: Struct) -> None:
        if not request["group_id"]:
            raise Refused(ErrorCode.INVALID_GROUP_ID)
        try:
            self._transactions.check_group(request["transactional_id"], _producer(request), request["group_id"])
        except Refused as refused:
            if refused.code is ErrorCode.PRODUCER_FENCED:
                raise Refused(ErrorCode.INVALID_PRODUCER_EPOCH) from None
            if refused.code is ErrorCode.TRANSACTION_ABORTABLE and version < _ABORTABLE_SINCE:
                raise Refused(ErrorCode.INVALID_TXN_STATE) from None
            raise

    def describe(self, _call: Call, request: Struct) -> Struct:
        return {"transactions": [self._describe(each) for each in request["transactional_ids"]]}

    def _describe(self, transactional_id: str) -> Struct:
        try:
            found = self._transactions.describe(transactional_id)
        except Refused as refused:
            return {"error_code": refused.code, "transactional_id": transactional_id}
        topics: dict[str, list[int]] = {}
        for topic, index in sorted(found.partitions):
            topics.setdefault(topic, []).append(index)
        return {
            "error_code": ErrorCode.NONE,
            "transactional_id": transactional_id,
            "state": found.state.value,
            "timeout_ms": found.timeout_ms,
            "started_ms": found.started_ms,
            "producer_id": found.producer.id,
            "producer_epoch": found.producer.epoch,
            "topics": [{"name": name, "partitions": indexes} for name, indexes in topics.items()],
        }

    def list(self, _call: Call, request: Struct) -> Struct:
        states, producers = set(request["state_filters"]), set(request["producer_id_filters"])
        known = {state.value for state in TransactionState}
        now_ms, duration_ms = self._node.now_ms(), request["duration_filter_ms"]
        return {
            "error_code": ErrorCode.NONE,
            "unknown_state_filters": sorted(states - known),
            "transactions": [
                {"transactional_id": each.transactional_id, "producer_id": each.producer.id, "state": each.state.value}
                for each in self._transactions.transactions()
                if (not states or each.state.value in states)
                and (not producers or each.producer.id in producers)
                and (duration_ms < 0 or (each.started_ms >= 0 and now_ms - each.started_ms > duration_ms))
            ],
        }

    def describe_producers(self, _call: Call, request: Struct) -> Struct:
        return {
            "topics": [
                {
                    "name": topic["name"],
                    "partitions": [self._producers(topic["name"], index) for index in topic["partitions"]],
                }
                for topic in request["topics"]
            ]
        }

    def _producers(self, topic: str, index: int) -> Struct:
        log = self._node.topics.log(topic, index)
        if log is None:
            return {"index": index, "error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
        return {
            "index": index,
            "error_code": ErrorCode.NONE,
            "producers": [
                {
                    "producer_id": producer_id,
                    "producer_epoch": epoch,
                    "last_sequence": sequence,
                    "transaction_start_offset": start,
                }
                for producer_id, epoch, sequence, start in log.producers
            ],
        }


def _producer(request: Struct) -> Producer:
    return Producer(request["producer_id"], request["producer_epoch"])


def _code(call: Call, refused: Refused) -> ErrorCode:
    if refused.code is ErrorCode.PRODUCER_FENCED and call.version < _FENCED_SINCE[call.api]:
        return ErrorCode.INVALID_PRODUCER_EPOCH
    return refused.code
