"""Whatever consumers do, and whenever: what holds for every group at every moment.

Two kinds of consumers meet in one group. *Live* ones behave as a client library does. *Rude* ones send any request at
any time, fall silent, lose their connection, are started twice under one name, and are thrown out.
"""

from __future__ import annotations

from group_bench import RANGE, ROUNDROBIN, SESSION_MS, Answer, Bench, Consumer, subscription
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pytest_msk.brokers.embedded._group_messages import HeartbeatResult, JoinGroupResult, SyncGroupResult
from pytest_msk.brokers.embedded.errors import ErrorCode

TICK_MS = 500
HEARTBEAT_MS = 3_000
PROTOCOLS = ((RANGE,), (RANGE, ROUNDROBIN), (ROUNDROBIN, RANGE), (("range", subscription("refunds")),))


class Watch:
    """Every JoinGroup answer that a step brought, and every answer that is still owed."""

    def __init__(self) -> None:
        self.answers: list[Answer[JoinGroupResult] | Answer[SyncGroupResult] | Answer[HeartbeatResult]] = []
        self.joins: list[Answer[JoinGroupResult]] = []

    def join(self, consumer: Consumer) -> Answer[JoinGroupResult]:
        answer = consumer.join()
        self.answers.append(answer)
        self.joins.append(answer)
        return answer

    def sync(self, consumer: Consumer, assignments: dict[str, bytes]) -> Answer[SyncGroupResult]:
        answer = consumer.sync(assignments)
        self.answers.append(answer)
        return answer

    def heartbeat(self, consumer: Consumer, *, hold: bool) -> Answer[HeartbeatResult]:
        answer = consumer.heartbeat(hold=hold)
        self.answers.append(answer)
        return answer

    def new_generation(self) -> list[JoinGroupResult]:
        """The members that came into a generation since the last call."""
        given = [answer for answer in self.joins if answer.given]
        self.joins = [answer for answer in self.joins if answer.waits]
        return [answer.value for answer in given if answer.value.error is ErrorCode.NONE]


class Live:
    """A client that does what it is told, in time."""

    def __init__(self, consumer: Consumer, watch: Watch, *, hold: bool) -> None:
        self.consumer, self.watch, self.hold = consumer, watch, hold
        self.join: Answer[JoinGroupResult] | None = watch.join(consumer)
        self.sync: Answer[SyncGroupResult] | None = None
        self.heartbeat: Answer[HeartbeatResult] | None = None
        self.next_heartbeat = 0

    def tick(self, now: int) -> None:
        if self.join is not None and self.join.given:
            result, self.join = self.join.value, None
            self.consumer.accept(result)
            self.sync = self.watch.sync(self.consumer, {member.member_id: b"share" for member in result.members})
            self.next_heartbeat = now + HEARTBEAT_MS
        if self.sync is not None and self.sync.given:
            error, self.sync = self.sync.value.error, None
            self.obey(error)
        if self.heartbeat is not None and self.heartbeat.given:
            error, self.heartbeat = self.heartbeat.value.error, None
            # An answer to a heartbeat of before the rejoin says nothing new.
            if self.join is None:
                self.obey(error)
        if self.join is None and self.heartbeat is None and now >= self.next_heartbeat:
            self.heartbeat = self.watch.heartbeat(self.consumer, hold=self.hold)
            self.next_heartbeat = now + HEARTBEAT_MS

    def obey(self, error: ErrorCode) -> None:
        assert error in (ErrorCode.NONE, ErrorCode.REBALANCE_IN_PROGRESS), f"a live member was told {error.name}"
        if error is ErrorCode.REBALANCE_IN_PROGRESS:
            self.sync = None
            self.join = self.watch.join(self.consumer)


class Groups(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.watch = Watch()
        self.live: list[Live] = []
        self.rude: list[Consumer] = []
        self.last_generation = 0

    # -- what happens ------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.live) < 3)
    @rule(hold=st.booleans(), protocols=st.sampled_from(PROTOCOLS[:3]))
    def live_member_starts(self, hold: bool, protocols: tuple[tuple[str, bytes], ...]) -> None:
        consumer = self.bench.consumer(protocols=protocols, connection=len(self.live))
        self.live.append(Live(consumer, self.watch, hold=hold))

    @rule(at=st.integers(0, 2))
    def live_member_leaves(self, at: int) -> None:
        if at < len(self.live) and self.live[at].join is None:
            assert self.live.pop(at).consumer.leave() is ErrorCode.NONE

    @precondition(lambda self: len(self.rude) < 4)
    @rule(
        instance=st.sampled_from([None, "a", "b"]),
        session_ms=st.sampled_from([6_000, SESSION_MS, 60_000]),
        rebalance_ms=st.sampled_from([5_000, 60_000]),
        protocols=st.sampled_from(PROTOCOLS),
        modern=st.booleans(),
    )
    def rude_member_starts(
        self,
        instance: str | None,
        session_ms: int,
        rebalance_ms: int,
        protocols: tuple[tuple[str, bytes], ...],
        modern: bool,
    ) -> None:
        consumer = self.bench.consumer(
            instance=instance,
            session_ms=session_ms,
            rebalance_ms=rebalance_ms,
            protocols=protocols,
            member_id_required=modern,
            skip_assignment=modern,
            connection=100 + len(self.rude),
        )
        self.rude.append(consumer)
        self.watch.join(consumer)

    @rule(data=st.data(), modern=st.booleans())
    def rude_member_joins(self, data: st.DataObject, modern: bool) -> None:
        for consumer in self.one_rude(data):
            if consumer.instance is None and modern:
                self.watch.answers.append(answer := consumer.ask())
                self.watch.joins.append(answer)
            else:
                self.watch.join(consumer)

    @rule(data=st.data(), leads=st.booleans())
    def rude_member_syncs(self, data: st.DataObject, leads: bool) -> None:
        for consumer in self.one_rude(data):
            self.watch.sync(consumer, {"nobody": b"all"} if leads else {})

    @rule(data=st.data(), hold=st.booleans())
    def rude_member_sends_a_heartbeat(self, data: st.DataObject, hold: bool) -> None:
        for consumer in self.one_rude(data):
            self.watch.heartbeat(consumer, hold=hold)

    @rule(data=st.data())
    def rude_member_commits(self, data: st.DataObject) -> None:
        for consumer in self.one_rude(data):
            consumer.commit()

    @rule(data=st.data(), protocols=st.sampled_from(PROTOCOLS))
    def rude_member_changes_its_mind(self, data: st.DataObject, protocols: tuple[tuple[str, bytes], ...]) -> None:
        for consumer in self.one_rude(data):
            consumer.protocols = protocols

    @rule(data=st.data())
    def rude_member_leaves(self, data: st.DataObject) -> None:
        for consumer in self.one_rude(data):
            consumer.leave()

    @rule(data=st.data())
    def rude_member_is_thrown_out(self, data: st.DataObject) -> None:
        for consumer in self.one_rude(data):
            if any(member.member_id == consumer.member_id for member in self.bench.coordinator.describe("g").members):
                self.bench.coordinator.expire_member("g", consumer.member_id)

    @rule(data=st.data(), dies=st.booleans())
    def rude_connection_says_something_else_or_dies(self, data: st.DataObject, dies: bool) -> None:
        for consumer in self.one_rude(data):
            if dies:
                self.bench.coordinator.disconnected(consumer.connection)
            else:
                self.bench.coordinator.release_heartbeats(consumer.connection)

    @rule(data=st.data())
    def rude_member_learns_where_it_is(self, data: st.DataObject) -> None:
        for consumer in self.one_rude(data):
            group = self.bench.coordinator.describe("g")
            for member in group.members:
                mine = member.member_id == consumer.member_id
                if mine or (consumer.instance is not None and member.group_instance_id == consumer.instance):
                    consumer.member_id, consumer.generation = member.member_id, group.generation_id

    @rule(ticks=st.sampled_from([1, 2, 6, 12, 30, 130]))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self.bench.advance(TICK_MS)
            self.holds()
            for live in self.live:
                live.tick(self.bench.scheduler.now)
                self.holds()

    def one_rude(self, data: st.DataObject) -> list[Consumer]:
        return [data.draw(st.sampled_from(self.rude))] if self.rude else []

    # -- what holds --------------------------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        group = self.bench.coordinator.describe("g")
        members = {member.member_id for member in group.members}
        assert group.generation_id >= self.last_generation or group.error
        self.last_generation = max(self.last_generation, group.generation_id)
        assert (group.leader in members) == bool(members)
        if group.state.value in ("Empty", "Dead"):
            assert not members
        elif group.state.value in ("CompletingRebalance", "Stable"):
            assert members
        self.one_generation_sees_the_same(members)

    def one_generation_sees_the_same(self, members: set[str]) -> None:
        results = self.watch.new_generation()
        assert len({(result.generation_id, result.protocol_type, result.protocol_name) for result in results}) <= 1
        for result in results:
            assert result.generation_id == self.last_generation
            assert result.member_id in members
        leaders = [result for result in results if result.members]
        assert len(leaders) <= 1
        for leader in leaders:
            assert leader.leader == leader.member_id
            assert {member.member_id for member in leader.members} == members
        if len(results) > 1:
            assert len(leaders) == 1
            assert {result.leader for result in results} == {leaders[0].member_id}

    def teardown(self) -> None:
        # Everybody falls silent: within their timeouts all are gone, everything is answered, and nothing is left.
        self.bench.advance(30 * 60 * 1000)
        assert self.bench.scheduler.pending == 0
        assert [answer for answer in self.watch.answers if answer.waits] == []
        assert self.bench.state() in ("Empty", "Dead")


Groups.TestCase.settings = settings(deadline=None)
TestGroups = Groups.TestCase
