"""A coordinator on a table: time that the test moves, consumers that send what they are told, answers counted."""

from __future__ import annotations

import heapq
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pytest_msk.brokers.embedded._group_messages import (
    Heartbeat,
    HeartbeatResult,
    JoinGroup,
    JoinGroupResult,
    LeaveGroup,
    LeavingMember,
    SyncGroup,
    SyncGroupResult,
)
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.groups import GroupConfig, GroupCoordinator
from pytest_msk.brokers.embedded.offsets import CommitOffsets, FetchOffsets, OffsetCommit

SESSION_MS = 10_000
REBALANCE_MS = 60_000
DELAY_MS = 3_000

T = TypeVar("T")


class Answer(Generic[T]):
    """A reply function that takes one answer and keeps it."""

    def __init__(self) -> None:
        self.given: list[T] = []

    def __call__(self, value: T) -> None:
        assert not self.given, f"answered twice: {self.given[0]} and {value}"
        self.given.append(value)

    @property
    def waits(self) -> bool:
        return not self.given

    @property
    def value(self) -> T:
        assert self.given, "not answered yet"
        return self.given[0]


@dataclass
class FakeTimer:
    fn: Callable[[], None] | None

    def cancel(self) -> None:
        self.fn = None


class FakeScheduler:
    """Time that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, FakeTimer]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        return self.now

    def call_later(self, delay_ms: int, fn: Callable[[], None]) -> FakeTimer:
        assert delay_ms >= 0
        timer = FakeTimer(fn)
        heapq.heappush(self._heap, (self.now + delay_ms, next(self._order), timer))
        return timer

    def advance(self, ms: int) -> None:
        end = self.now + ms
        while self._heap and self._heap[0][0] <= end:
            self.now, _, timer = heapq.heappop(self._heap)
            fn, timer.fn = timer.fn, None
            if fn is not None:
                fn()
        self.now = end

    @property
    def pending(self) -> int:
        return sum(timer.fn is not None for _, _, timer in self._heap)


def subscription(*topics: str) -> bytes:
    """A consumer's metadata: version 0 of ConsumerProtocolSubscription, no user data."""
    names = b"".join(struct.pack(">h", len(topic)) + topic.encode() for topic in topics)
    return struct.pack(">hi", 0, len(topics)) + names + struct.pack(">i", -1)


def assignment(topic: str, *partitions: int) -> bytes:
    """A consumer's assignment: version 0 of ConsumerProtocolAssignment, no user data."""
    name = struct.pack(">h", len(topic)) + topic.encode()
    numbers = struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)
    return struct.pack(">hi", 0, 1) + name + numbers + struct.pack(">i", -1)


RANGE = ("range", subscription("orders"))
ROUNDROBIN = ("roundrobin", subscription("orders"))


class Bench:
    def __init__(self, **config: int | bool) -> None:
        self.scheduler = FakeScheduler()
        self.wall = 1_000_000
        settings = {"initial_rebalance_delay_ms": DELAY_MS, **config}
        self.coordinator = GroupCoordinator(
            self.scheduler,
            GroupConfig(**settings),  # type: ignore[arg-type]
            wall_ms=lambda: self.wall,
        )

    def consumer(self, **settings: object) -> Consumer:
        return Consumer(bench=self, **settings)  # type: ignore[arg-type]

    def advance(self, ms: int) -> None:
        self.scheduler.advance(ms)

    def state(self, group: str = "g") -> str:
        return self.coordinator.describe(group).state.value

    def stable(self, *consumers: Consumer) -> None:
        """Bring the given consumers, and nobody else, into one stable generation."""
        joins = [consumer.join() for consumer in consumers]
        # Whoever joins after the first one makes the group wait once more.
        self.advance(DELAY_MS * min(len(consumers), 2))
        for consumer, join in zip(consumers, joins, strict=True):
            consumer.accept(join.value)
        for consumer in consumers:
            consumer.sync({each.member_id: each.member_id.encode() for each in consumers} if consumer.leads else {})
        assert self.state(consumers[0].group) == "Stable"


@dataclass
class Consumer:
    """One client; `member_id` and `generation` are what it was told last."""

    bench: Bench
    group: str = "g"
    client_id: str = "c"
    instance: str | None = None
    protocols: tuple[tuple[str, bytes], ...] = (RANGE,)
    protocol_type: str = "consumer"
    session_ms: int = SESSION_MS
    rebalance_ms: int = REBALANCE_MS
    member_id_required: bool = True
    skip_assignment: bool = True
    initial_delay: bool = True
    connection: int = 1
    member_id: str = ""
    generation: int = -1
    leads: bool = field(default=False)

    def ask(self) -> Answer[JoinGroupResult]:
        """One JoinGroup, as it stands."""
        answer: Answer[JoinGroupResult] = Answer()
        self.bench.coordinator.join(
            JoinGroup(
                group_id=self.group,
                member_id=self.member_id,
                group_instance_id=self.instance,
                protocol_type=self.protocol_type,
                protocols=self.protocols,
                session_timeout_ms=self.session_ms,
                rebalance_timeout_ms=self.rebalance_ms,
                client_id=self.client_id,
                initial_delay=self.initial_delay,
                member_id_required=self.member_id_required,
                skip_assignment_supported=self.skip_assignment,
            ),
            answer,
        )
        return answer

    def join(self) -> Answer[JoinGroupResult]:
        """JoinGroup as a client does it: again with the id that it is given."""
        answer = self.ask()
        if answer.given and answer.value.error is ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = answer.value.member_id
            answer = self.ask()
        return answer

    def accept(self, result: JoinGroupResult) -> None:
        assert result.error is ErrorCode.NONE
        self.member_id, self.generation = result.member_id, result.generation_id
        self.leads = result.leader == result.member_id

    def sync(
        self,
        assignments: dict[str, bytes] | None = None,
        *,
        protocol_type: str | None = None,
        protocol_name: str | None = None,
        protocol_required: bool = False,
    ) -> Answer[SyncGroupResult]:
        answer: Answer[SyncGroupResult] = Answer()
        self.bench.coordinator.sync(
            SyncGroup(
                group_id=self.group,
                generation_id=self.generation,
                member_id=self.member_id,
                group_instance_id=self.instance,
                protocol_type=protocol_type,
                protocol_name=protocol_name,
                protocol_required=protocol_required,
                assignments=tuple((assignments or {}).items()),
            ),
            answer,
        )
        return answer

    def heartbeat(self, *, hold: bool = False) -> Answer[HeartbeatResult]:
        answer: Answer[HeartbeatResult] = Answer()
        self.bench.coordinator.heartbeat(
            Heartbeat(
                group_id=self.group,
                generation_id=self.generation,
                member_id=self.member_id,
                group_instance_id=self.instance,
                connection_id=self.connection,
            ),
            answer,
            hold=hold,
        )
        return answer

    def leave(self) -> ErrorCode:
        leaving = LeavingMember(member_id=self.member_id, group_instance_id=self.instance)
        result = self.bench.coordinator.leave(LeaveGroup(group_id=self.group, members=(leaving,)))
        return result.error or result.members[0].error

    def commit(self, offset: int = 5, **settings: object) -> ErrorCode:
        commit = OffsetCommit(topic="orders", partition=0, offset=offset)
        request = {
            "group_id": self.group,
            "generation_id": self.generation,
            "member_id": self.member_id,
            "group_instance_id": self.instance,
            "offsets": (commit,),
            **settings,
        }
        return self.bench.coordinator.commit_offsets(CommitOffsets(**request))[0].error  # type: ignore[arg-type]

    def committed(self, topic: str = "orders", partition: int = 0) -> int:
        request = FetchOffsets(group_id=self.group, partitions=((topic, partition),))
        return self.bench.coordinator.fetch_offsets(request).offsets[0].offset
