"""Fetch: how records go out, now or when enough of them have come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..call import Call
from ..errors import ErrorCode, Refused
from ..log import PartitionLog
from ..messages.records import FETCH
from ..node import Node
from ..wire import Api, Struct

__all__ = ["check_epoch", "handlers"]

_READ_COMMITTED = 1


def handlers(node: Node) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    return ((FETCH, _Fetch(node).fetch),)


def check_epoch(log: PartitionLog, epoch: int) -> None:
    """Compare the leader epoch that a client knows with the partition's; -1 knows none.

    Raises:
        Refused: FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH.
    """
    current = log.replicas.leader_epoch
    if epoch not in (-1, current):
        raise Refused(ErrorCode.UNKNOWN_LEADER_EPOCH if epoch > current else ErrorCode.FENCED_LEADER_EPOCH)


@dataclass(slots=True)
class _Found:
    """What a Fetch gets at this moment."""

    topics: list[Struct]
    logs: list[PartitionLog]
    size: int
    failed: bool


class _Fetch:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._max_bytes = node.settings.int("fetch.max.bytes")

    def fetch(self, call: Call, request: Struct) -> Struct | None:
        if request["session_id"] != 0:  # no session was ever opened: each answer's session id is 0
            return {"error_code": ErrorCode.FETCH_SESSION_ID_NOT_FOUND, "topics": []}
        found = self._find(request)
        if self._missing(request, found) <= 0 or request["max_wait_ms"] <= 0:
            return {"topics": found.topics}
        self._wait(call, request, found, time.monotonic() + request["max_wait_ms"] / 1000)
        return None

    def _missing(self, request: Struct, found: _Found) -> int:
        """The bytes that a Fetch waits for; none when it must be answered now."""
        if found.failed or not found.logs:
            return 0
        wanted: int = min(request["min_bytes"], request["max_bytes"], self._max_bytes)
        return wanted - found.size

    def _wait(self, call: Call, request: Struct, before: _Found, deadline: float) -> None:
        waiting = self._node.waiting
        committed = request["isolation_level"] == _READ_COMMITTED
        # What a read_committed consumer may read does not grow with the log: it grows with the end of a transaction.
        missing = 1 if committed else self._missing(request, before)

        def wake() -> None:
            found = self._find(request)
            if committed and self._missing(request, found) > 0 and time.monotonic() < deadline:
                self._wait(call, request, found, deadline)
            else:
                call.answer({"topics": found.topics})

        delay_ms = max(math.ceil((deadline - time.monotonic()) * 1000), 0)
        wait = waiting.add(before.logs, missing, delay_ms, wake)
        call.connection.if_dropped = lambda: waiting.cancel(wait)

    def _find(self, request: Struct) -> _Found:
        found = _Found([], [], 0, False)
        budget = min(request["max_bytes"], self._max_bytes)
        for topic in request["topics"]:
            partitions = []
            for partition in topic["partitions"]:
                committed = request["isolation_level"] == _READ_COMMITTED
                answer = self._read(topic["name"], partition, budget - found.size, found, committed)
                partitions.append(answer)
            found.topics.append({"name": topic["name"], "partitions": partitions})
        return found

    def _read(self, topic: str, partition: Struct, budget: int, found: _Found, committed: bool) -> Struct:
        index = partition["index"]
        try:
            log = self._node.log(topic, index)
            check_epoch(log, partition["current_leader_epoch"])
            # The first batch is given however large it is: else its reader would never come past it.
            batches, size = log.read(
                partition["fetch_offset"],
                min(budget, partition["max_bytes"]),
                at_least_one=found.size == 0,
                committed=committed,
            )
        except Refused as refused:
            # A leader that fails answers at once; what it does not have does not end the wait for what it has.
            found.failed |= refused.code is not ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            return {
                "index": index,
                "error_code": refused.code,
                "high_watermark": -1,
                "last_stable_offset": -1,
                "log_start_offset": -1,
                "records": b"",
            }
        found.logs.append(log)
        found.size += size
        return {
            "index": index,
            "error_code": ErrorCode.NONE,
            "high_watermark": log.end_offset,
            "last_stable_offset": log.last_stable_offset,
            "log_start_offset": log.start_offset,
            "aborted_transactions": [
                {"producer_id": each.producer_id, "first_offset": each.first_offset}
                for each in log.aborted(partition["fetch_offset"], batches)
            ]
            if committed
            else None,
            "records": batches,
        }
