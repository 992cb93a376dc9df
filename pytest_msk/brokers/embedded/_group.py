"""One classic group: its state, its members and the rules that need nothing else.

A group is in one of five states, and only `become` changes it, along the table below:

    Empty ──▶ PreparingRebalance ──▶ CompletingRebalance ──▶ Stable
      ▲  ╲          │  ▲                     │                  │
      │   Dead      │  └─────────────────────┴──────────────────┘
      └─────────────┘

It knows no time and no timer of its own; what happens when is decided in `_group_rebalance`.
"""

from __future__ import annotations

from collections import Counter

from ._consumer_protocol import subscribed_topics
from ._group_member import Member
from ._group_messages import DescribedGroup, GroupState, JoinGroupResult, SyncGroupResult
from ._scheduler import Timer
from .errors import ErrorCode

__all__ = ["Group"]

_NEXT_STATES: dict[GroupState, frozenset[GroupState]] = {
    GroupState.EMPTY: frozenset({GroupState.PREPARING_REBALANCE, GroupState.DEAD}),
    GroupState.PREPARING_REBALANCE: frozenset({GroupState.COMPLETING_REBALANCE, GroupState.EMPTY}),
    GroupState.COMPLETING_REBALANCE: frozenset({GroupState.STABLE, GroupState.PREPARING_REBALANCE}),
    GroupState.STABLE: frozenset({GroupState.PREPARING_REBALANCE}),
    GroupState.DEAD: frozenset(),
}
_CONSUMER = "consumer"


class Group:
    """A group and who is in it.

    Attributes:
        state_since_ms: when it came into its state, epoch milliseconds of the test's clock.
        protocol_type: None until the first member: the group then only holds offsets ("simple").
        pending_joins: member ids that were given out and did not join yet, each with the timer that forgets it.
        pending_syncs: members of this generation whose SyncGroup has not come.
        subscribed_topics: of all members of this generation; None when they are not known.
    """

    def __init__(self, group_id: str, now_ms: int) -> None:
        self.group_id = group_id
        self.state = GroupState.EMPTY
        self.previous_state = GroupState.DEAD
        self.state_since_ms = now_ms
        self.generation_id = 0
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.leader: str | None = None
        self.members: dict[str, Member] = {}
        self.static_members: dict[str, str] = {}
        self.pending_joins: dict[str, Timer] = {}
        self.pending_syncs: set[str] = set()
        self.subscribed_topics: frozenset[str] | None = None
        self.join_timer: Timer | None = None
        self.sync_timer: Timer | None = None
        self.new_member_added = False
        self.initial_delay = True

    # -- states ------------------------------------------------------------------------------------------------

    def become(self, state: GroupState, now_ms: int) -> None:
        """Change the state.

        Raises:
            RuntimeError: the table has no such way; the coordinator is wrong.
        """
        if state not in _NEXT_STATES[self.state]:
            raise RuntimeError(f"Group {self.group_id!r} is {self.state.value}, it can't become {state.value}.")
        self.previous_state, self.state, self.state_since_ms = self.state, state, now_ms

    @property
    def can_rebalance(self) -> bool:
        """Whether a rebalance can begin now; not while one is being prepared."""
        return GroupState.PREPARING_REBALANCE in _NEXT_STATES[self.state]

    @property
    def in_initial_rebalance(self) -> bool:
        """Whether the group was empty before this rebalance, so that it waits for more members."""
        return self.state is GroupState.PREPARING_REBALANCE and self.previous_state is GroupState.EMPTY

    def next_generation(self, now_ms: int) -> None:
        """End the join phase with the members that are there."""
        self.generation_id += 1
        self.pending_syncs.clear()
        self.protocol_name = self.select_protocol() if self.members else None
        self.subscribed_topics = self._subscribed_topics()
        self.become(GroupState.COMPLETING_REBALANCE if self.members else GroupState.EMPTY, now_ms)

    # -- members -----------------------------------------------------------------------------------------------

    def add(self, member: Member, protocol_type: str) -> None:
        """Add a member; the first one says what type of group this is, and leads."""
        self.protocol_type = protocol_type
        if self.leader is None:
            self.leader = member.member_id
        self.members[member.member_id] = member
        if member.group_instance_id is not None:
            self.static_members[member.group_instance_id] = member.member_id

    def remove(self, member: Member) -> None:
        """Remove a member; when it led, the eldest of the others leads."""
        del self.members[member.member_id]
        if member.group_instance_id is not None:
            del self.static_members[member.group_instance_id]
        if self.leader == member.member_id:
            self.leader = next(iter(self.members), None)

    def rename(self, member: Member, member_id: str) -> None:
        """Give a static member the id of its new incarnation."""
        del self.members[member.member_id]
        if self.leader == member.member_id:
            self.leader = member_id
        if member.member_id in self.pending_syncs:
            self.pending_syncs.remove(member.member_id)
            self.pending_syncs.add(member_id)
        member.member_id = member_id
        self.members[member_id] = member
        if member.group_instance_id is not None:
            self.static_members[member.group_instance_id] = member_id

    def check_member(self, member_id: str, group_instance_id: str | None) -> ErrorCode:
        """Whether a request may speak for a member."""
        if group_instance_id is not None:
            known = self.static_members.get(group_instance_id)
            if known is not None and known != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
            if known is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    def check_generation(self, member_id: str, group_instance_id: str | None, generation_id: int) -> ErrorCode:
        """Whether a request may speak for a member of this generation."""
        error = self.check_member(member_id, group_instance_id)
        if error is ErrorCode.NONE and generation_id != self.generation_id:
            return ErrorCode.ILLEGAL_GENERATION
        return error

    def check_transaction_commit(self, member_id: str, group_instance_id: str | None, generation_id: int) -> ErrorCode:
        """Whether a commit in a transaction is accepted: a producer that names no member is believed."""
        if generation_id < 0 and (self.state is GroupState.EMPTY or not (member_id or group_instance_id)):
            return ErrorCode.NONE
        return self.check_generation(member_id, group_instance_id, generation_id)

    def check_commit(self, member_id: str, group_instance_id: str | None, generation_id: int) -> ErrorCode:
        """Whether a commit is accepted: from outside only while the group is empty, else from this generation."""
        if generation_id < 0 and self.state is GroupState.EMPTY:
            return ErrorCode.NONE
        error = self.check_generation(member_id, group_instance_id, generation_id)
        if error is ErrorCode.NONE and self.state is GroupState.COMPLETING_REBALANCE:
            return ErrorCode.REBALANCE_IN_PROGRESS
        return error

    @property
    def awaiting_join(self) -> list[Member]:
        """The members whose JoinGroup waits for the end of the join phase."""
        return [member for member in self.members.values() if member.joining is not None]

    @property
    def all_joined(self) -> bool:
        """Whether nobody is missing in the join phase, those who were given an id included."""
        return not self.pending_joins and all(member.joining is not None for member in self.members.values())

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long a rebalance waits: as long as its most patient member."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def elect_leader(self) -> bool:
        """Make sure that the leader is one who joined; returns False when nobody did."""
        joined = self.awaiting_join
        if all(member.member_id != self.leader for member in joined) and joined:
            self.leader = joined[0].member_id
        return bool(joined)

    # -- protocols ---------------------------------------------------------------------------------------------

    def supports(self, protocol_type: str, protocols: tuple[tuple[str, bytes], ...]) -> bool:
        """Whether somebody with these protocols can be in this group."""
        names = [name for name, _ in protocols]
        if self.state is GroupState.EMPTY:
            return bool(protocol_type and names)
        return protocol_type == self.protocol_type and any(
            all(name in member.protocol_names for member in self.members.values()) for name in names
        )

    def select_protocol(self) -> str:
        """The protocol with the most votes, of those that every member supports; the eldest member's among equals."""
        candidates = frozenset.intersection(*(member.protocol_names for member in self.members.values()))
        votes = Counter(member.vote(candidates) for member in self.members.values())
        return votes.most_common(1)[0][0]

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether a member reads a topic; yes for all when consumers do not tell."""
        if self.subscribed_topics is None:
            return self.uses_consumer_protocol
        return topic in self.subscribed_topics

    @property
    def uses_consumer_protocol(self) -> bool:
        """Whether the members are consumers, whose metadata are subscriptions."""
        return self.protocol_type == _CONSUMER

    def _subscribed_topics(self) -> frozenset[str] | None:
        if not self.uses_consumer_protocol:
            return None
        topics: set[str] = set()
        for member in self.members.values():
            subscription = subscribed_topics(member.metadata(self.protocol_name))
            if subscription is None:
                return None
            topics |= subscription
        return frozenset(topics)

    # -- retention ---------------------------------------------------------------------------------------------

    def offset_ages_since(self, topic: str, commit_timestamp: int) -> int | None:
        """When the retention of a committed offset began, epoch milliseconds; None while the group has a use for it.

        The offsets of a group that had members age together, from the moment it became empty; while there are members,
        only what they do not read ages, and only when they have settled. A simple group's offsets age one by one.
        """
        if self.is_subscribed_to(topic):
            return None
        if self.state is GroupState.EMPTY:
            return commit_timestamp if self.protocol_type is None else self.state_since_ms
        settled = self.state is GroupState.STABLE and self.subscribed_topics is not None
        return commit_timestamp if settled else None

    # -- views -------------------------------------------------------------------------------------------------

    def as_join_result(self, member: Member) -> JoinGroupResult:
        """This generation as JoinGroup answers it to a member: only the leader sees the others."""
        leads = self.leader == member.member_id
        return JoinGroupResult(
            generation_id=self.generation_id,
            protocol_type=self.protocol_type,
            protocol_name=self.protocol_name,
            leader=self.leader or "",
            member_id=member.member_id,
            members=tuple(each.as_joined(self.protocol_name) for each in self.members.values()) if leads else (),
        )

    def as_sync_result(self, member: Member) -> SyncGroupResult:
        """A member's assignment as SyncGroup answers it."""
        return SyncGroupResult(
            protocol_type=self.protocol_type, protocol_name=self.protocol_name, assignment=member.assignment
        )

    def as_described(self) -> DescribedGroup:
        """The group as DescribeGroups shows it: protocol and subscriptions only when it is stable."""
        protocol = self.protocol_name if self.state is GroupState.STABLE else None
        return DescribedGroup(
            group_id=self.group_id,
            state=self.state,
            protocol_type=self.protocol_type or "",
            protocol=protocol or "",
            generation_id=self.generation_id,
            leader=self.leader or "",
            members=tuple(member.as_described(protocol) for member in self.members.values()),
        )
