"""Groups of the consumer protocol on a table: what members are told, and what holds whatever they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from group_bench import REBALANCE_MS, FakeScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pytest_msk.brokers.embedded._assignors import ASSIGNORS, Assignment, AssignorMember
from pytest_msk.brokers.embedded._consumer_group import TopicInfo
from pytest_msk.brokers.embedded._topic_regex import check, matches
from pytest_msk.brokers.embedded.consumer_groups import (
    ConsumerGroupConfig,
    ConsumerHeartbeat,
    ConsumerHeartbeatResult,
)
from pytest_msk.brokers.embedded.errors import ErrorCode, Refused
from pytest_msk.brokers.embedded.groups import GroupConfig, GroupCoordinator
from pytest_msk.brokers.embedded.offsets import CommitOffsets, FetchOffsets, OffsetCommit
from pytest_msk.errors import BrokerError

SESSION_MS = 45_000
NONE: Assignment = frozenset()
ORDERS, REFUNDS = b"o" * 16, b"r" * 16


@dataclass
class Catalog:
    version: int = 1
    topics: dict[str, TopicInfo] = field(default_factory=lambda: {"orders": TopicInfo(ORDERS, 4)})

    def infos(self) -> Mapping[str, TopicInfo]:
        return dict(self.topics)

    def put(self, name: str, info: TopicInfo | None) -> None:
        self.version += 1
        if info is None:
            del self.topics[name]
        else:
            self.topics[name] = info


class Bench:
    def __init__(self, **config: object) -> None:
        self.scheduler = FakeScheduler()
        self.catalog = Catalog()
        self.wall = 1_000_000
        self.coordinator = GroupCoordinator(
            self.scheduler,
            GroupConfig(),
            wall_ms=lambda: self.wall,
            topics=self.catalog,
            consumer_config=ConsumerGroupConfig(**config),  # type: ignore[arg-type]
        )

    def consumer(self, member_id: str, *topics: str, **settings: object) -> Consumer:
        return Consumer(self, member_id, topics or ("orders",), **settings)  # type: ignore[arg-type]

    def state(self) -> str:
        return self.coordinator.describe("g").state.value

    def settle(self, *consumers: Consumer) -> None:
        """Let everybody send heartbeats until nothing changes any more."""
        for _ in range(10):
            for each in consumers:
                each.beat()


@dataclass
class Consumer:
    """One member: it does what it is told, when the test lets it."""

    bench: Bench
    member_id: str
    topics: tuple[str, ...]
    instance: str | None = None
    assignor: str | None = None
    regex: str | None = None
    rebalance_ms: int = REBALANCE_MS
    epoch: int = 0
    owned: Assignment = NONE
    told: Assignment = NONE

    def ask(self, epoch: int, *, full: bool, owned: Assignment | None) -> ConsumerHeartbeatResult:
        return self.bench.coordinator.consumer_heartbeat(
            ConsumerHeartbeat(
                group_id="g",
                member_id=self.member_id,
                member_epoch=epoch,
                instance_id=self.instance,
                rebalance_timeout_ms=self.rebalance_ms if full else -1,
                topics=self.topics if full else None,
                regex=self.regex if full else None,
                assignor=self.assignor if full else None,
                owned=owned,
            )
        )

    def join(self) -> Consumer:
        self.owned = self.told = NONE
        self._take(self.ask(0, full=True, owned=NONE))
        return self

    def beat(self, *, obey: bool = True) -> ConsumerHeartbeatResult:
        """A heartbeat that tells what it has; it gives back and takes what it is told before the next one."""
        if obey:
            self.owned = self.told
        result = self.ask(self.epoch, full=False, owned=self.owned)
        self._take(result)
        return result

    def _take(self, result: ConsumerHeartbeatResult) -> None:
        self.epoch = result.member_epoch
        if result.assignment is not None:
            self.told = result.assignment

    def leave(self, epoch: int = -1) -> None:
        result = self.ask(epoch, full=False, owned=None)
        assert result.member_epoch == epoch
        self.epoch, self.owned, self.told = 0, NONE, NONE

    @property
    def partitions(self) -> list[int]:
        return sorted(partition for _, partition in self.told)

    def commit(self, offset: int = 5, *, epoch: int | None = None, version: int = 9) -> ErrorCode:
        request = CommitOffsets(
            group_id="g",
            member_id=self.member_id,
            generation_id=self.epoch if epoch is None else epoch,
            group_id_not_found_known=version >= 9,
            offsets=(OffsetCommit(topic="orders", partition=0, offset=offset),),
        )
        return self.bench.coordinator.commit_offsets(request)[0].error


@pytest.fixture
def bench() -> Bench:
    return Bench()


def refusal(call: object, *arguments: object, **named: object) -> tuple[ErrorCode, str]:
    with pytest.raises(Refused) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return caught.value.code, caught.value.message or ""


# --- joining, leaving


def test_the_first_member_gets_everything_at_once(bench: Bench) -> None:
    one = bench.consumer("a").join()
    assert (one.epoch, one.partitions, bench.state()) == (1, [0, 1, 2, 3], "Stable")
    assert one.beat().assignment is None, "it did not change"


def test_a_second_member_gets_its_share_when_the_first_one_has_given_it_back(bench: Bench) -> None:
    one, two = bench.consumer("a").join(), bench.consumer("b").join()
    assert (two.epoch, two.partitions, bench.state()) == (2, [], "Reconciling")
    one.beat()
    assert (one.epoch, one.partitions) == (1, [0, 1]), "it stays in its epoch until it has given back"
    two.beat()
    assert two.partitions == []
    one.beat()
    assert one.epoch == 2
    two.beat()
    assert (two.partitions, bench.state()) == ([2, 3], "Stable")


def test_a_member_that_does_not_give_back_is_fenced_after_its_rebalance_timeout(bench: Bench) -> None:
    one, two = bench.consumer("a", rebalance_ms=20_000).join(), bench.consumer("b").join()
    one.beat()
    for _ in range(4):
        bench.scheduler.advance(5_000)
        if bench.scheduler.now < 20_000:
            one.beat(obey=False)
        two.beat()
    assert (two.partitions, bench.state()) == ([0, 1, 2, 3], "Stable")
    assert refusal(one.beat)[0] is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_silent_member_is_fenced_after_its_session(bench: Bench) -> None:
    one, two = bench.consumer("a").join(), bench.consumer("b").join()
    bench.settle(one, two)
    bench.scheduler.advance(SESSION_MS - 1)
    two.beat()
    bench.scheduler.advance(1)
    bench.settle(two)
    assert two.partitions == [0, 1, 2, 3]


def test_a_member_that_leaves_gives_its_share_back(bench: Bench) -> None:
    one, two = bench.consumer("a").join(), bench.consumer("b").join()
    bench.settle(one, two)
    two.leave()
    bench.settle(one)
    assert one.partitions == [0, 1, 2, 3]
    one.leave()
    assert bench.state() == "Empty"
    assert bench.scheduler.pending == 0


def test_topics_that_come_grow_and_go(bench: Bench) -> None:
    one = bench.consumer("a", "orders", "refunds").join()
    bench.catalog.put("refunds", TopicInfo(REFUNDS, 1))
    bench.settle(one)
    assert (REFUNDS, 0) in one.told
    bench.catalog.put("orders", TopicInfo(ORDERS, 6))
    bench.settle(one)
    assert len(one.told) == 7
    bench.catalog.put("orders", None)
    bench.settle(one)
    assert one.told == {(REFUNDS, 0)}
    epoch = one.epoch
    bench.catalog.put("unread", TopicInfo(b"u" * 16, 9))
    bench.settle(one)
    assert one.epoch == epoch, "nobody reads it"


def test_a_pattern_is_matched_against_whole_names_and_against_new_topics(bench: Bench) -> None:
    one = bench.consumer("a", "refunds", regex="ord.*").join()
    assert len(one.told) == 4
    bench.catalog.put("orders2", TopicInfo(b"2" * 16, 1))
    bench.catalog.put("reorders", TopicInfo(b"3" * 16, 1))
    bench.catalog.put("refunds", TopicInfo(REFUNDS, 1))
    bench.settle(one)
    assert {topic for topic, _ in one.told} == {ORDERS, b"2" * 16, REFUNDS}


@pytest.mark.parametrize("pattern", ["(", "a(?=b)", r"(a)\1", "(?<!a)b", "(?P=x)"])
def test_a_pattern_that_is_none(bench: Bench, pattern: str) -> None:
    code, text = refusal(bench.consumer("a", regex=pattern).join)
    assert code is ErrorCode.INVALID_REGULAR_EXPRESSION
    assert text.startswith(f"SubscribedTopicRegex `{pattern}` is not a valid regular expression: ")
    assert bench.coordinator.groups() == ()


@pytest.mark.parametrize("pattern", [r"\\1", "(?:a|b)+", "(?i)ORD", r"\(?=", "[=!]"])
def test_a_pattern_that_is_one(pattern: str) -> None:
    check(pattern)
    assert not matches(pattern, "nothing like it")


def test_most_members_choose_the_assignor(bench: Bench) -> None:
    members = [
        bench.consumer(name, assignor=assignor).join()
        for name, assignor in zip("abc", ["range", None, None], strict=True)
    ]
    bench.settle(*members)
    described = bench.coordinator.describe("g")
    assert described.protocol == "range"
    assert sorted(sorted(partition for _, partition in each.partitions) for each in described.members) == [
        [0, 1],
        [2],
        [3],
    ]


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"group_id": ""}, "GroupId can't be empty."),
        ({"member_id": ""}, "MemberId can't be empty."),
        ({"instance_id": ""}, "InstanceId can't be empty."),
        ({"rack_id": ""}, "RackId can't be empty."),
        ({"rebalance_timeout_ms": -1}, "RebalanceTimeoutMs must be provided in first request."),
        ({"owned": None}, "TopicPartitions must be empty when (re-)joining."),
        ({"owned": frozenset({(ORDERS, 0)})}, "TopicPartitions must be empty when (re-)joining."),
        ({"member_epoch": -2}, "InstanceId can't be null."),
        (
            {"topics": None},
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
    ],
)
def test_a_heartbeat_whose_fields_do_not_go_together(bench: Bench, changes: dict[str, object], text: str) -> None:
    fields = {
        "group_id": "g",
        "member_id": "a",
        "member_epoch": 0,
        "rebalance_timeout_ms": 1,
        "topics": ("orders",),
        "owned": NONE,
        **changes,
    }
    beat = ConsumerHeartbeat(**fields)  # type: ignore[arg-type]
    assert refusal(bench.coordinator.consumer_heartbeat, beat) == (ErrorCode.INVALID_REQUEST, text)


def test_an_unknown_assignor(bench: Bench) -> None:
    code, text = refusal(bench.consumer("a", assignor="sticky").join)
    assert code is ErrorCode.UNSUPPORTED_ASSIGNOR
    assert text == "ServerAssignor sticky is not supported. Supported assignors: uniform, range."


def test_unknown_groups_and_members(bench: Bench) -> None:
    stranger = bench.consumer("b", epoch=1)
    assert refusal(stranger.beat) == (ErrorCode.GROUP_ID_NOT_FOUND, "Group g not found.")
    assert refusal(stranger.leave)[0] is ErrorCode.GROUP_ID_NOT_FOUND
    bench.consumer("a").join()
    assert refusal(stranger.beat) == (ErrorCode.UNKNOWN_MEMBER_ID, "Member b is not a member of group g.")
    assert refusal(stranger.leave)[0] is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_member_of_another_epoch_is_fenced_unless_an_answer_was_lost(bench: Bench) -> None:
    one = bench.consumer("a").join()
    assert refusal(one.ask, 2, full=False, owned=None)[0] is ErrorCode.FENCED_MEMBER_EPOCH
    two = bench.consumer("b").join()
    bench.settle(one, two)
    assert one.epoch == 2
    assert one.ask(1, full=False, owned=one.owned).member_epoch == 2
    assert refusal(one.ask, 1, full=False, owned=None)[0] is ErrorCode.FENCED_MEMBER_EPOCH
    assert refusal(one.ask, 1, full=False, owned=frozenset({(ORDERS, 3)}))[0] is ErrorCode.FENCED_MEMBER_EPOCH
    one.join()
    bench.settle(one, two)
    assert one.partitions == [0, 1]


def test_a_full_group() -> None:
    bench = Bench(max_size=1)
    one = bench.consumer("a").join()
    assert refusal(bench.consumer("b").join)[0] is ErrorCode.GROUP_MAX_SIZE_REACHED
    one.beat()


# --- static members


def test_a_static_member_that_comes_back_has_what_it_had(bench: Bench) -> None:
    one, two = bench.consumer("a", instance="i").join(), bench.consumer("b").join()
    bench.settle(one, two)
    epoch = two.epoch
    one.leave(-2)
    bench.settle(two)
    assert two.partitions == [2, 3]
    again = bench.consumer("c", instance="i").join()
    assert (again.partitions, again.epoch) == ([0, 1], epoch)
    bench.settle(again, two)
    assert two.epoch == epoch, "the group did not move"


def test_a_static_member_that_does_not_come_back_is_removed_after_its_session(bench: Bench) -> None:
    one, two = bench.consumer("a", instance="i").join(), bench.consumer("b").join()
    bench.settle(one, two)
    one.leave(-2)
    for _ in range(9):
        bench.scheduler.advance(5_000)
        two.beat()
    bench.settle(two)
    assert two.partitions == [0, 1, 2, 3]


def test_a_static_name_has_one_owner(bench: Bench) -> None:
    one = bench.consumer("a", instance="i").join()
    code, text = refusal(bench.consumer("b", instance="i").join)
    assert code is ErrorCode.UNRELEASED_INSTANCE_ID
    assert text == (
        "Static member b with instance id i cannot join the group because the instance id is owned by a member."
    )
    assert refusal(bench.consumer("b", instance="i", epoch=1).beat)[0] is ErrorCode.FENCED_INSTANCE_ID
    assert refusal(bench.consumer("a", instance="j", epoch=1).beat)[0] is ErrorCode.UNKNOWN_MEMBER_ID
    one.leave()
    assert bench.consumer("b", instance="i").join().partitions == [0, 1, 2, 3]


# --- offsets


def test_only_a_member_of_this_epoch_commits(bench: Bench) -> None:
    one = bench.consumer("a").join()
    assert one.commit() is ErrorCode.NONE
    assert one.commit(epoch=0) is ErrorCode.STALE_MEMBER_EPOCH
    assert one.commit(epoch=2) is ErrorCode.STALE_MEMBER_EPOCH
    assert one.commit(version=8) is ErrorCode.UNSUPPORTED_VERSION
    assert bench.consumer("b", epoch=1).commit() is ErrorCode.UNKNOWN_MEMBER_ID
    assert bench.consumer("", epoch=-1).commit() is ErrorCode.UNKNOWN_MEMBER_ID
    one.leave()
    assert bench.consumer("", epoch=-1).commit(9) is ErrorCode.NONE
    assert bench.coordinator.committed("g")["orders", 0].offset == 9


def test_a_member_reads_offsets_in_its_epoch_and_strangers_without_one(bench: Bench) -> None:
    one = bench.consumer("a").join()
    one.commit(7)

    def fetched(**who: object) -> tuple[ErrorCode, list[int]]:
        request = FetchOffsets(group_id="g", partitions=(("orders", 0),), **who)  # type: ignore[arg-type]
        result = bench.coordinator.fetch_offsets(request)
        return result.error, [each.offset for each in result.offsets]

    assert fetched() == fetched(member_id="a", member_epoch=1) == (ErrorCode.NONE, [7])
    assert fetched(member_id="a", member_epoch=0) == (ErrorCode.STALE_MEMBER_EPOCH, [])
    assert fetched(member_id="b", member_epoch=1) == (ErrorCode.UNKNOWN_MEMBER_ID, [])


def test_offsets_of_what_nobody_reads_expire_on_the_clock(bench: Bench) -> None:
    week = 7 * 24 * 3600 * 1000
    one = bench.consumer("a").join()
    one.commit(7)
    bench.coordinator.expire_offsets(bench.wall + week)
    assert bench.coordinator.committed("g")
    one.leave()
    bench.coordinator.expire_offsets(bench.wall + week - 1)
    assert bench.coordinator.committed("g")
    bench.coordinator.expire_offsets(bench.wall + week)
    assert bench.coordinator.groups() == ()


# --- both protocols, administration


def test_an_empty_group_changes_its_protocol_and_keeps_its_offsets(bench: Bench) -> None:
    outside = bench.consumer("", epoch=-1)
    outside.commit(3)
    assert bench.coordinator.describe("g").group_type == "classic"
    one = bench.consumer("a").join()
    assert bench.coordinator.describe("g").group_type == "consumer"
    assert bench.coordinator.committed("g")["orders", 0].offset == 3
    assert [(each.group_id, each.group_type) for each in bench.coordinator.list_groups()] == [("g", "consumer")]
    assert bench.coordinator.list_groups(types=["classic"]) == ()
    assert bench.coordinator.describe_classic("g").error is ErrorCode.GROUP_ID_NOT_FOUND
    assert [each.error for each in bench.coordinator.delete_groups(["g"])] == [ErrorCode.NON_EMPTY_GROUP]
    one.leave()
    assert [each.error for each in bench.coordinator.delete_groups(["g"])] == [ErrorCode.NONE]
    assert bench.coordinator.committed("g") == {}


def test_a_member_is_expired_by_its_name(bench: Bench) -> None:
    one, two = bench.consumer("a", instance="i").join(), bench.consumer("b").join()
    bench.coordinator.expire_member("g", "i")
    bench.settle(two)
    assert two.partitions == [0, 1, 2, 3]
    assert refusal(one.beat)[0] is ErrorCode.UNKNOWN_MEMBER_ID
    with pytest.raises(BrokerError, match="Group 'g' has no member 'i'; its members are: b"):
        bench.coordinator.expire_member("g", "i")


# --- assignors


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[AssignorMember], dict[bytes, int]]:
    topics = {bytes([number]) * 16: draw(st.integers(0, 6)) for number in range(draw(st.integers(1, 3)))}
    same = draw(st.booleans())
    everything = frozenset(topics)
    left = {(topic, partition) for topic, count in topics.items() for partition in range(count)}
    members = []
    for number in range(draw(st.integers(1, 5))):
        had = frozenset(each for each in sorted(left) if draw(st.booleans()))
        left -= had
        members.append(
            AssignorMember(
                member_id=f"m{number}",
                instance_id=draw(st.sampled_from([None, f"i{number}"])),
                topics=everything if same else frozenset(draw(st.sets(st.sampled_from(sorted(topics))))),
                target=had,
            )
        )
    return members, topics


@pytest.mark.parametrize("assignor", sorted(ASSIGNORS))
@given(group=groups())
def test_every_partition_that_somebody_reads_has_one_owner(
    assignor: str, group: tuple[list[AssignorMember], dict[bytes, int]]
) -> None:
    members, topics = group
    shares = ASSIGNORS[assignor](members, topics)
    assert set(shares) == {each.member_id for each in members}
    given_out = [place for share in shares.values() for place in share]
    read = {topic for each in members for topic in each.topics}
    assert sorted(given_out) == sorted((topic, at) for topic in topics if topic in read for at in range(topics[topic]))
    assert all(topic in each.topics for each in members for topic, _ in shares[each.member_id])
    again = [
        AssignorMember(member_id=e.member_id, instance_id=e.instance_id, topics=e.topics, target=shares[e.member_id])
        for e in members
    ]
    assert ASSIGNORS[assignor](again, topics) == shares, "who has a fair share keeps it"
    if assignor == "uniform" and len({each.topics for each in members}) == 1:
        sizes = [len(share) for share in shares.values()]
        assert max(sizes) - min(sizes) <= 1
        kept = sum(len(shares[each.member_id] & each.target) for each in members)
        fair, extra = divmod(len(given_out), len(members))
        most = sorted((len({p for p in e.target if p[0] in e.topics}) for e in members), reverse=True)
        assert kept >= sum(min(had, fair) for had in most), "nobody gives up more than it has too much"
        assert extra == 0 or kept >= min(1, sum(most))


# --- histories


class ConsumerGroups(RuleBasedStateMachine):
    """Members come, go, fall silent, are slow to give back, lose answers and are thrown out; topics grow and go."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.live: list[Consumer] = []
        self.gone: list[Consumer] = []
        self.names = iter(range(1_000_000))
        self.last_epoch = 0

    @precondition(lambda self: len(self.live) < 4)
    @rule(topics=st.sampled_from([("orders",), ("refunds",), ("orders", "refunds")]), static=st.booleans())
    def member_joins(self, topics: tuple[str, ...], static: bool) -> None:
        number = next(self.names)
        self.live.append(self.bench.consumer(f"m{number}", *topics, instance=f"i{number}" if static else None).join())

    @rule(data=st.data(), obey=st.booleans())
    def member_sends_a_heartbeat(self, data: st.DataObject, obey: bool) -> None:
        for member in self.one(data):
            member.beat(obey=obey)

    @rule(data=st.data())
    def answer_is_lost(self, data: st.DataObject) -> None:
        for member in self.one(data):
            member.owned = member.told
            member.ask(member.epoch, full=False, owned=member.owned)
            try:
                member._take(member.ask(member.epoch, full=True, owned=member.owned))
            except Refused:  # it has something of an epoch that is over, and gives up everything
                member.join()

    @rule(data=st.data(), topics=st.sampled_from([("orders",), ("refunds",)]))
    def member_reads_something_else(self, data: st.DataObject, topics: tuple[str, ...]) -> None:
        for member in self.one(data):
            member.topics = topics
            member.owned = member.told
            member._take(member.ask(member.epoch, full=True, owned=member.owned))

    @rule(data=st.data(), how=st.sampled_from(["leave", "expire"]))
    def member_goes(self, data: st.DataObject, how: str) -> None:
        for member in self.one(data):
            self.live.remove(member)
            if how == "leave":
                member.leave()
            else:
                self.bench.coordinator.expire_member("g", member.member_id)
                assert refusal(member.beat)[0] in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.GROUP_ID_NOT_FOUND)

    @rule(data=st.data())
    def static_member_restarts(self, data: st.DataObject) -> None:
        for member in self.one(data):
            if member.instance is not None:
                group = self.bench.coordinator.consumer_groups.group("g")
                before, version = group.epoch, group.catalog_version
                member.leave(-2)
                member.member_id = f"m{next(self.names)}"
                member.join()
                assert group.epoch == before or version != self.bench.catalog.version

    @rule(partitions=st.integers(1, 8), name=st.sampled_from(["orders", "refunds"]))
    def topic_changes(self, partitions: int, name: str) -> None:
        known = self.bench.catalog.topics.get(name)
        if known is None or known.partitions < partitions:
            self.bench.catalog.put(name, TopicInfo(ORDERS if name == "orders" else REFUNDS, partitions))

    @rule(name=st.sampled_from(["orders", "refunds"]))
    def topic_is_deleted(self, name: str) -> None:
        if name in self.bench.catalog.topics:
            self.bench.catalog.put(name, None)

    @rule(seconds=st.sampled_from([1, 30]))
    def time_passes(self, seconds: int) -> None:
        self.bench.scheduler.advance(seconds * 1000)
        known = {each.member_id for each in self.bench.coordinator.describe("g").members}
        self.live = [member for member in self.live if member.member_id in known]

    def one(self, data: st.DataObject) -> list[Consumer]:
        return [data.draw(st.sampled_from(self.live))] if self.live else []

    @invariant()
    def a_partition_has_one_owner(self) -> None:
        owners = [place for member in self.live for place in member.owned | member.told]
        assert len(owners) == len(set(owners)), "two members were told the same partition"

    @invariant()
    def epochs_only_rise_and_nobody_is_ahead_of_the_group(self) -> None:
        if "g" in self.bench.coordinator.consumer_groups:
            group = self.bench.coordinator.consumer_groups.group("g")
            assert self.last_epoch <= group.epoch
            assert group.target_epoch <= group.epoch
            assert all(each.epoch <= group.target_epoch for each in group.members.values())
            self.last_epoch = group.epoch

    def teardown(self) -> None:
        for _ in range(3):
            self.bench.settle(*self.live)
        if self.live:
            assert self.bench.state() == "Stable"
            infos = self.bench.catalog.topics
            wanted = {
                (infos[name].id, partition)
                for member in self.live
                for name in member.topics
                if name in infos
                for partition in range(infos[name].partitions)
            }
            assert {place for member in self.live for place in member.told} == wanted
        self.bench.scheduler.advance(10 * SESSION_MS)
        assert self.bench.state() in ("Empty", "Dead")
        assert self.bench.scheduler.pending == 0


ConsumerGroups.TestCase.settings = settings(deadline=None, stateful_step_count=30)
TestConsumerGroups = ConsumerGroups.TestCase
