"""Whatever goes wrong, and in whatever order: what the function saw and what the group committed agree with the log.

The rules here are those of docs/design.md, "Invariants", told without the journal: from the log, from what the function
got and answered, and from what the broker holds.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_msk import BrokerError, InMemoryDestination, LambdaFunction, ServiceError, find_anomalies
from pytest_msk.clock import VirtualClock
from pytest_msk.sandbox import Sandbox

PARTITIONS = 3
CALLS = ("fail", "fail after", "time out", "throttle", "rebalance", "crash")
FAULTS = ("fail commit", "lose commit", "lose answer", "crash", "rebalance")


@dataclass(frozen=True)
class Produce:
    partition: int
    count: int


@dataclass(frozen=True)
class Calls:
    """What the next calls of the function are to do."""

    outcomes: tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    kind: str


@dataclass(frozen=True)
class Expire:
    partition: int
    keep: int


@dataclass(frozen=True)
class Update:
    batch_size: int


@dataclass(frozen=True)
class Simple:
    """`restart`, `disconnect` (for one step), or `drain`."""

    kind: str


@dataclass(frozen=True)
class Steps:
    count: int


programs = st.lists(
    st.one_of(
        st.builds(Produce, st.integers(0, PARTITIONS - 1), st.integers(1, 9)),
        st.builds(Calls, st.lists(st.sampled_from(CALLS), min_size=1, max_size=4).map(tuple)),
        st.builds(Fault, st.sampled_from(FAULTS)),
        st.builds(Expire, st.integers(0, PARTITIONS - 1), st.integers(0, 3)),
        st.builds(Update, st.integers(1, 9)),
        st.builds(Steps, st.integers(1, 7)),
        st.builds(Simple, st.sampled_from(["restart", "disconnect", "drain"])),
    ),
    max_size=16,
)


class World:
    """One mapping, its topic, and what has been seen of them."""

    def __init__(self, sandbox: Sandbox, clock: VirtualClock, batch_size: int, mode: str) -> None:
        self.clock = clock
        self.given_up = InMemoryDestination()
        self.outcomes: list[str] = []
        self.delivered: dict[int, set[int]] = defaultdict(set)
        self.done: dict[int, set[int]] = defaultdict(set)
        self.filtered: dict[int, set[int]] = defaultdict(set)
        self.expired: dict[int, int] = defaultdict(int)
        self.numbers = 0
        self.topic = sandbox.topic("random-faults", partitions=PARTITIONS)
        self.esm = sandbox.mapping(
            LambdaFunction(self.handler, name="f"),
            self.topic,
            batch_size=batch_size,
            filter_criteria={"Filters": [{"Pattern": '{"value": {"third": [false]}}'}]},
            **self.parameters(mode),
        )

    def parameters(self, mode: str) -> dict[str, object]:
        if mode == "provisioned":
            return {
                "provisioned_poller_config": {"MinimumPollers": 2, "MaximumPollers": 2},
                "maximum_retry_attempts": 1,
                "bisect_batch_on_function_error": True,
                "destination_config": {"OnFailure": {"Destination": self.given_up}},
            }
        return {"event_pollers": 2} if mode == "two pollers" else {}

    def handler(self, event, context):
        outcome = self.outcomes.pop(0) if self.outcomes else "succeed"
        if outcome == "throttle":
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.")
        got = {(r["partition"], r["offset"]): r["value"] for group in event["records"].values() for r in group}
        assert 0 < len(got) <= self.esm.config.batch_size
        for (partition, offset), value in got.items():
            assert not json.loads(base64.b64decode(value))["third"], "a filtered record was delivered"
            self.check_order(partition, offset)
            self.delivered[partition].add(offset)
        if outcome == "fail":
            raise ValueError("told to")
        if outcome == "time out":
            self.clock.advance(10)
            return
        if outcome == "rebalance":
            self.esm.faults.rebalance()
        if outcome == "crash":
            self.esm.faults.crash_before_commit()
        if outcome == "fail after":
            raise KeyError("told to")
        for partition, offset in got:
            self.done[partition].add(offset)

    def settled(self, partition: int) -> set[int]:
        """What needs no delivery any more: done, filtered, or sent to the destination."""
        sent = {r.offset for m in self.given_up.messages for r in m.records if r.partition == partition}
        return self.done[partition] | self.filtered[partition] | sent

    def check_order(self, partition: int, offset: int) -> None:
        """A record that is delivered for the first time comes behind all of its partition that lie before it."""
        seen = self.delivered[partition]
        if offset not in seen:
            before = range(self.expired[partition], offset)
            assert not [o for o in before if o not in seen and o not in self.filtered[partition]], "passed a record"
            assert not seen or max(seen) < offset, "came late"

    def check_commits(self) -> None:
        """No commit passes a record that is neither done, nor filtered, nor expired."""
        for partition, position in self.esm.broker.committed(self.esm.consumer_group_id, self.topic.name).items():
            open_ = range(self.expired[partition], position)
            settled = self.settled(partition)
            assert [o for o in open_ if o not in settled] == [], f"commit {position} of partition {partition} passes it"

    def do(self, operation) -> None:
        esm = self.esm
        if isinstance(operation, Produce):
            values = [{"n": n, "third": n % 3 == 0} for n in range(self.numbers, self.numbers + operation.count)]
            self.numbers += operation.count
            start = self.topic.watermarks()[operation.partition].high
            self.topic.produce_many(values, partition=operation.partition)
            self.filtered[operation.partition] |= {start + i for i, value in enumerate(values) if value["third"]}
        elif isinstance(operation, Calls):
            self.outcomes += operation.outcomes
        elif isinstance(operation, Fault):
            {
                "fail commit": esm.faults.fail_commit,
                "lose commit": esm.faults.lose_commit,
                "lose answer": lambda: esm.faults.lose_commit(answer_only=True),
                "crash": esm.faults.crash_before_commit,
                "rebalance": esm.faults.rebalance,
            }[operation.kind]()
        elif isinstance(operation, Expire):
            mark = self.topic.watermarks()[operation.partition]
            before = max(mark.high - operation.keep, mark.low)
            self.topic.expire({operation.partition: before})
            self.expired[operation.partition] = before
        elif isinstance(operation, Update):
            esm.update(batch_size=operation.batch_size)
        elif isinstance(operation, Steps):
            for _ in range(operation.count):
                esm.step()
                self.check_commits()
        elif operation.kind == "restart":
            esm.disable()
            esm.enable()
        elif operation.kind == "disconnect":
            with esm.faults.disconnected(), suppress(BrokerError):  # a step that needs no broker raises nothing
                esm.step()
        else:
            esm.drain()
        self.check_commits()

    def check_end(self) -> None:
        """When the faults are over, each record of the log is done or filtered, and committed."""
        self.esm.drain()
        while self.esm.faults.pending or self.outcomes:
            self.do(Produce(0, 1))
            self.do(Simple("drain"))
        for partition in range(PARTITIONS):
            self.do(Produce(partition, 1))
        self.do(Simple("drain"))
        marks = self.topic.watermarks()
        for partition, mark in marks.items():
            settled = self.settled(partition)
            assert [o for o in range(mark.low, mark.high) if o not in settled] == [], f"lost in partition {partition}"
        committed = self.esm.broker.committed(self.esm.consumer_group_id, self.topic.name)
        assert committed == {partition: mark.high for partition, mark in marks.items()}
        assert find_anomalies(self.esm, allow=("destination",)) == ()


@pytest.mark.msk(broker="embedded")
@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(
    mode=st.sampled_from(["one poller", "two pollers", "provisioned"]), batch_size=st.integers(1, 9), program=programs
)
def test_nothing_is_lost_or_out_of_order_whatever_goes_wrong(msk_broker, mode, batch_size, program):
    clock = VirtualClock(1_790_000_000_000)
    with Sandbox(msk_broker, clock, "random-faults", 30) as sandbox:
        world = World(sandbox, clock, batch_size, mode)
        for operation in program:
            world.do(operation)
        world.check_end()
