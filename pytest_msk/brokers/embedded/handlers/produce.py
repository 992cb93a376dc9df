"""Produce: how records come in."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from ..batch import HEADER_BYTES
from ..call import Call
from ..errors import ErrorCode, Refused
from ..log import Appended, PartitionLog
from ..messages.records import PRODUCE
from ..node import Node
from ..transactions import Producer
from ..wire import Api, Buffer, Struct

__all__ = ["handlers"]

_ZSTD_SINCE = 7
_ABORTABLE_SINCE = 11
_ATTRIBUTES_LOW_BYTE = 22
_TRANSACTIONAL = 0x10
_PRODUCER = struct.Struct(">qh")
_PRODUCER_AT = 43


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    return ((PRODUCE, _Produce(node).produce),)


class _Produce:
    def __init__(self, node: Node) -> None:
        self._node = node

    def produce(self, call: Call, request: Struct) -> Struct | None:
        acks, transactional_id = request["acks"], request["transactional_id"]
        # One transactional batch without a transactional id, and nothing of the request is written.
        unauthorized = transactional_id is None and any(
            _is_transactional(partition["records"]) for topic in request["topics"] for partition in topic["partitions"]
        )
        now_ms, latest_ms = self._node.now_ms(), self._node.latest_ms()
        grown: list[tuple[PartitionLog, int]] = []
        failed = False
        topics = []
        for topic in request["topics"]:
            partitions = []
            for partition in topic["partitions"]:
                try:
                    if transactional_id is not None or unauthorized:
                        self._check_transaction(call.version, transactional_id, topic["name"], partition)
                    log, appended = self._append(call.version, acks, topic["name"], partition, now_ms, latest_ms)
                except Refused as refused:
                    failed = True
                    partitions.append(_refusal(partition["index"], refused))
                    continue
                grown.append((log, appended.size))
                partitions.append(
                    {
                        "index": partition["index"],
                        "error_code": ErrorCode.NONE,
                        "base_offset": appended.base_offset,
                        "log_append_time_ms": appended.timestamp,
                        "log_start_offset": log.start_offset,
                    }
                )
            topics.append({"name": topic["name"], "partitions": partitions})
        if acks != 0:
            call.answer({"topics": topics})
        elif failed:
            call.close()  # Kafka's only way to tell a producer that wants no answer
        else:
            call.answer_nothing()
        for log, size in grown:
            self._node.waiting.grown(log, size)
        return None

    def _append(
        self, version: int, acks: int, topic_name: str, partition: Struct, now_ms: int, latest_ms: int
    ) -> tuple[PartitionLog, Appended]:
        if acks not in (-1, 0, 1):
            raise Refused(ErrorCode.INVALID_REQUIRED_ACKS)
        topic = self._node.topic(topic_name)
        log = self._node.log(topic_name, partition["index"])
        records = partition["records"]
        if not records:
            raise Refused(
                ErrorCode.INVALID_RECORD,
                f"Produce requests with version {version} must have at least one record batch per partition",
            )
        if version < _ZSTD_SINCE and len(records) > _ATTRIBUTES_LOW_BYTE and records[_ATTRIBUTES_LOW_BYTE] & 7 == 4:
            raise Refused(
                ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
                f"Produce requests with version {version} are not allowed to use ZStandard compression",
            )
        if acks == -1 and topic.min_insync_replicas > 1:
            _check_in_sync(log, topic.min_insync_replicas)
        return log, log.append(records, topic.log_config, now_ms=now_ms, latest_ms=latest_ms)

    def _check_transaction(self, version: int, transactional_id: str | None, topic: str, partition: Struct) -> None:
        """Ask the coordinator about a transactional batch, unless its partition knows the transaction already."""
        if transactional_id is None:
            raise Refused(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        records = partition["records"]
        if not _is_transactional(records) or len(records) < HEADER_BYTES:
            return
        producer = Producer(*_PRODUCER.unpack_from(records, _PRODUCER_AT))
        log = self._node.topics.log(topic, partition["index"])
        if log is None or log.in_transaction(producer.id):
            return
        try:
            self._node.transactions.check_partition(transactional_id, producer, (topic, partition["index"]))
        except Refused as refused:
            if refused.code is ErrorCode.PRODUCER_FENCED:
                raise Refused(ErrorCode.INVALID_PRODUCER_EPOCH) from None
            if refused.code is ErrorCode.TRANSACTION_ABORTABLE and version < _ABORTABLE_SINCE:
                text = "Partition was not added to the transaction"
                raise Refused(ErrorCode.INVALID_TXN_STATE, text) from None
            raise


def _is_transactional(records: Buffer | None) -> bool:
    if records is None or len(records) <= _ATTRIBUTES_LOW_BYTE:
        return False
    return bool(records[_ATTRIBUTES_LOW_BYTE] & _TRANSACTIONAL)


def _check_in_sync(log: PartitionLog, wanted: int) -> None:
    """Apply `min.insync.replicas`; more than there are replicas means all of them."""
    in_sync, wanted = log.replicas.in_sync, min(wanted, len(log.replicas.nodes))
    if len(in_sync) < wanted:
        raise Refused(
            ErrorCode.NOT_ENOUGH_REPLICAS,
            f"The size of the current ISR : {len(in_sync)} is insufficient to satisfy the min.isr requirement of "
            f"{wanted} for partition {log.topic}-{log.partition}, live replica(s) broker.id are : "
            f"Set({', '.join(map(str, in_sync))})",
        )


def _refusal(index: int, refused: Refused) -> Struct:
    return {
        "index": index,
        "error_code": refused.code,
        "base_offset": -1,
        "record_errors": [{"batch_index": at, "message": text} for at, text in refused.record_errors],
        # Kafka tells producers no more than the code, but where single records are at fault.
        "error_message": refused.message if refused.record_errors else None,
    }
