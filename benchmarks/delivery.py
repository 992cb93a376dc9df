"""delivery: ten mappings, each in its group, on one topic of 50 partitions with 100,000 records, under random faults.

Functions fail and are throttled, pollers die and groups rebalance with a batch in flight, commits are refused or lost.
The mappings take turns, step by step. Each handler holds what it gets against what it has had: a gap, a record that
comes late, or one that never comes ends it with an error. The time is that of a million deliveries and more.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from pytest_msk import EventSourceMapping, KafkaEvent, LambdaContext, ServiceError, Topic, find_anomalies
from pytest_msk.journal import FaultInjected
from pytest_msk.sandbox import Sandbox

from .rows import Row, at_most
from .stage import Stage, seconds
from .throughput import produce

__all__ = ["rows"]

_MAPPINGS = 10
_PARTITIONS = 50
_BATCH = 500
#: How often a call, or a step, meets each of its faults.
_CALL_FAULTS = {"fail": 0.03, "fail after": 0.02, "throttle": 0.02, "rebalance": 0.005, "crash": 0.005}
_STEP_FAULTS = {"fail commit": 0.005, "lose commit": 0.005, "lose answer": 0.005}


def rows(stage: Stage) -> Iterator[Row]:
    """The time of the run, and how much went wrong in it."""
    total = stage.count(100_000, 5_000)
    with stage.sandbox() as sandbox:
        topic = sandbox.topic(partitions=_PARTITIONS)
        produce(stage, topic.name, _PARTITIONS, total)
        watched = [_Watched(sandbox, topic, number) for number in range(_MAPPINGS)]
        took = seconds(lambda: _run(watched))
        for each in watched:
            each.check(topic)
        deliveries, faults = sum(w.deliveries for w in watched), sum(w.faults for w in watched)
    what = f"{_MAPPINGS} mappings, {_PARTITIONS} partitions, {total:,} records, {stage.broker.kind}"
    yield at_most(what, took, "s", 120)
    yield Row(what="  nothing lost, nothing out of order", measured=f"{deliveries:,} deliveries, {faults:,} faults")


class _Watched:
    """A mapping whose function has bad luck, and what it saw."""

    def __init__(self, sandbox: Sandbox, topic: Topic, number: int) -> None:
        self._luck = random.Random(number)
        self._next = dict.fromkeys(range(_PARTITIONS), 0)
        self._done = dict.fromkeys(range(_PARTITIONS), 0)
        self._wrong = ""
        self.deliveries = self.faults = 0
        self.esm: EventSourceMapping = sandbox.mapping(
            lambda event, context: self._handle(event, context), topic, batch_size=_BATCH
        )

    def step(self) -> bool:
        """Do one thing; whether there was one."""
        for kind in _happening(self._luck, _STEP_FAULTS):
            if kind == "fail commit":
                self.esm.faults.fail_commit()
            else:
                self.esm.faults.lose_commit(answer_only=kind == "lose answer")
        event = self.esm.step()
        if self._wrong:
            raise RuntimeError(f"{self.esm}: {self._wrong}")
        return event is not None

    def _handle(self, event: KafkaEvent, _context: LambdaContext) -> None:
        happening = _happening(self._luck, _CALL_FAULTS)
        self.faults += len(set(happening) - {"rebalance", "crash"})  # those two are in the journal
        if "throttle" in happening:
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.")
        if "fail" in happening:
            raise ValueError("told to")
        for records in event["records"].values():
            partition, offsets = records[0]["partition"], [record["offset"] for record in records]
            first, last = offsets[0], offsets[-1]
            if offsets != list(range(first, last + 1)) or first > self._next[partition]:
                self._wrong = f"{offsets} of partition {partition} came, but {self._next[partition]} was next."
            self._next[partition] = max(self._next[partition], last + 1)
            self.deliveries += len(records)
        if "rebalance" in happening:
            self.esm.faults.rebalance()
        if "crash" in happening:
            self.esm.faults.crash_before_commit()
        if "fail after" in happening:
            raise KeyError("told to")
        for records in event["records"].values():
            partition = records[0]["partition"]
            if records[0]["offset"] > self._done[partition]:
                self._wrong = f"offset {self._done[partition]} of partition {partition} was passed."
            self._done[partition] = max(self._done[partition], records[-1]["offset"] + 1)

    def check(self, topic: Topic) -> None:
        """Raise if a record is missing, or the checks of the kit find anything."""
        ends = {partition: mark.high for partition, mark in topic.watermarks().items()}
        if self._done != ends:
            raise RuntimeError(f"{self.esm}: done up to {self._done}, but the logs end at {ends}.")
        anomalies = find_anomalies(self.esm)
        if anomalies:
            raise RuntimeError(f"{self.esm}: {len(anomalies)} anomalies, the first one: {anomalies[0]}")
        self.faults += len(self.esm.journal.of(FaultInjected))


def _happening(luck: random.Random, faults: dict[str, float]) -> list[str]:
    return [kind for kind, share in faults.items() if luck.random() < share]


def _run(watched: list[_Watched]) -> None:
    """Step the mappings in turns until each has nothing to do, and then to the end of its window."""
    busy = list(watched)
    while busy:
        busy = [each for each in busy if each.step()]
    for each in watched:
        each.esm.drain()
