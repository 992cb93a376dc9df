"""ListOffsets and OffsetForLeaderEpoch: where records are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from ..call import Call
from ..errors import ErrorCode, Refused
from ..log import PartitionLog
from ..messages.records import LIST_OFFSETS, OFFSET_FOR_LEADER_EPOCH
from ..node import Node
from ..wire import Api, Struct
from .fetch import check_epoch

__all__ = ["handlers"]

_READ_COMMITTED = 1
_LATEST, _EARLIEST, _MAX_TIMESTAMP, _EARLIEST_LOCAL = -1, -2, -3, -4
_SINCE = {_MAX_TIMESTAMP: 7, _EARLIEST_LOCAL: 8}


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    offsets = _Offsets(node)
    return ((LIST_OFFSETS, offsets.list_offsets), (OFFSET_FOR_LEADER_EPOCH, offsets.offset_for_leader_epoch))


class _Offsets:
    def __init__(self, node: Node) -> None:
        self._node = node

    def list_offsets(self, call: Call, request: Struct) -> Struct:
        committed = request["isolation_level"] == _READ_COMMITTED
        times = Counter((topic["name"], each["index"]) for topic in request["topics"] for each in topic["partitions"])

        def answer(topic: str, partition: Struct) -> Struct:
            if times[topic, partition["index"]] > 1:
                return {"index": partition["index"], "error_code": ErrorCode.INVALID_REQUEST}
            return self._list_one(call.version, topic, partition, committed)

        return {
            "topics": [
                {"name": topic["name"], "partitions": [answer(topic["name"], each) for each in topic["partitions"]]}
                for topic in request["topics"]
            ]
        }

    def _list_one(self, version: int, topic: str, partition: Struct, committed: bool) -> Struct:
        index = partition["index"]
        try:
            log = self._log(topic, index, partition["current_leader_epoch"])
            end = log.last_stable_offset if committed else log.end_offset
            found = _find(log, partition["timestamp"], end, version)
        except Refused as refused:
            return {"index": index, "error_code": refused.code}
        if found is None:
            return {"index": index, "error_code": ErrorCode.NONE}
        offset, timestamp = found
        return {
            "index": index,
            "error_code": ErrorCode.NONE,
            "timestamp": timestamp,
            "offset": offset,
            "leader_epoch": log.replicas.epoch_at(offset),
        }

    def _log(self, topic: str, index: int, epoch: int) -> PartitionLog:
        log = self._node.log(topic, index)
        check_epoch(log, epoch)
        return log

    def offset_for_leader_epoch(self, _call: Call, request: Struct) -> Struct:
        return {
            "topics": [
                {
                    "name": topic["name"],
                    "partitions": [self._epoch_end(topic["name"], partition) for partition in topic["partitions"]],
                }
                for topic in request["topics"]
            ]
        }

    def _epoch_end(self, topic: str, partition: Struct) -> Struct:
        index = partition["index"]
        try:
            log = self._log(topic, index, partition["current_leader_epoch"])
        except Refused as refused:
            return {"index": index, "error_code": refused.code}
        found = log.replicas.epoch_end(partition["leader_epoch"], log.end_offset)
        if found is None:
            return {"index": index, "error_code": ErrorCode.NONE}
        epoch, end = found
        return {"index": index, "error_code": ErrorCode.NONE, "leader_epoch": epoch, "end_offset": end}


def _find(log: PartitionLog, timestamp: int, end: int, version: int) -> tuple[int, int] | None:
    """The offset and timestamp that a ListOffsets timestamp stands for; None if there is none below `end`."""
    if version < _SINCE.get(timestamp, 0):
        raise Refused(ErrorCode.UNSUPPORTED_VERSION)
    if timestamp == _LATEST:
        return end, -1
    if timestamp in (_EARLIEST, _EARLIEST_LOCAL):
        return log.start_offset, -1
    if timestamp < 0 and timestamp != _MAX_TIMESTAMP:
        raise Refused(ErrorCode.UNSUPPORTED_VERSION)
    found = log.find_max_timestamp() if timestamp == _MAX_TIMESTAMP else log.find_timestamp(timestamp)
    return found if found is not None and found[0] < end else None
