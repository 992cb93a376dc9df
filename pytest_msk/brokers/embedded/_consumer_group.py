"""One group of the consumer protocol (KIP-848): its members, what each has, and what each is to have.

The group has an epoch, which rises when members or topics change, and a target assignment of that epoch. Every member
comes to its target by heartbeats of its own: it gives back what it must not have (*unrevoked*), goes to the target's
epoch, and takes what the others have released (*unreleased* until then). A partition has one owner at every moment.

It knows no time and no timer; what happens when is decided in `consumer_groups`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from ._assignors import ASSIGNORS, Assignment, AssignorMember
from ._group_messages import GroupState
from ._topic_regex import any_topic, matches
from .errors import ErrorCode, Refused

__all__ = ["LEFT", "LEFT_FOR_NOW", "ConsumerGroup", "ConsumerMember", "MemberState", "TopicInfo"]

LEFT, LEFT_FOR_NOW = -1, -2
_NOTHING: Assignment = frozenset()


class MemberState(str, Enum):
    """How far a member is on its way to its target."""

    STABLE = "stable"
    UNREVOKED = "unrevoked partitions"
    UNRELEASED = "unreleased partitions"


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic that exists: its id and its number of partitions."""

    id: bytes
    partitions: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerMember:
    """A member, as it is now.

    Args:
        topics: the names that it subscribes to; those that match `regex` come on top.
        may_see: whether it may know of a topic that its `regex` matches.
        epoch: the epoch that it is in; 0 while it joins, -2 for a static member that left for now.
        assigned: what it may have.
        revoking: what it has to give back first.
    """

    member_id: str
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    rebalance_timeout_ms: int = -1
    topics: frozenset[str] = frozenset()
    regex: str | None = None
    may_see: Callable[[str], bool] = field(default=any_topic, repr=False, compare=False)
    assignor: str | None = None
    epoch: int = 0
    previous_epoch: int = -1
    state: MemberState = MemberState.STABLE
    assigned: Assignment = _NOTHING
    revoking: Assignment = _NOTHING

    @property
    def owned(self) -> Assignment:
        """What nobody else may have."""
        return self.assigned | self.revoking

    def check_epoch(self, epoch: int, owned: Assignment | None) -> None:
        """Whether a heartbeat of this epoch may speak for the member.

        Raises:
            Refused: FENCED_MEMBER_EPOCH.
        """
        if epoch == self.epoch:
            return
        # The answer that raised the epoch may have been lost.
        if epoch < self.epoch and epoch == self.previous_epoch and owned is not None and owned <= self.assigned:
            return
        size = "greater" if epoch > self.epoch else "smaller"
        raise Refused(
            ErrorCode.FENCED_MEMBER_EPOCH,
            f"The consumer group member has a {size} member epoch ({epoch}) than the one known by the group "
            f"coordinator ({self.epoch}). The member must abandon all its partitions and rejoin.",
        )


class ConsumerGroup:
    """A group and who is in it.

    Attributes:
        epoch: rises with every change of members, subscriptions and topics.
        target_epoch: the epoch of the target assignment.
        topics: the subscribed topics that exist, as they were when the epoch rose last.
        catalog_version: of the topics when they were looked at last.
    """

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.epoch = 0
        self.target_epoch = 0
        self.members: dict[str, ConsumerMember] = {}
        self.static_members: dict[str, str] = {}
        self.topics: dict[str, TopicInfo] = {}
        self.catalog_version = -1
        self.assignor = ""
        self._target: dict[str, Assignment] = {}

    @property
    def state(self) -> GroupState:
        """Empty, Assigning, Reconciling or Stable."""
        if not self.members:
            return GroupState.EMPTY
        if self.epoch > self.target_epoch:
            return GroupState.ASSIGNING
        settled = all(
            each.state is MemberState.STABLE and each.epoch == self.target_epoch for each in self.members.values()
        )
        return GroupState.STABLE if settled else GroupState.RECONCILING

    def member(self, member_id: str) -> ConsumerMember:
        """The member of that id.

        Raises:
            Refused: UNKNOWN_MEMBER_ID.
        """
        member = self.members.get(member_id)
        if member is None:
            raise Refused(ErrorCode.UNKNOWN_MEMBER_ID, f"Member {member_id} is not a member of group {self.group_id}.")
        return member

    def static_member(self, instance_id: str, member_id: str) -> ConsumerMember:
        """The member of that static name, which must have this id.

        Raises:
            Refused: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
        """
        known = self.static_members.get(instance_id)
        if known is None:
            raise Refused(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
        if known != member_id:
            raise Refused(
                ErrorCode.FENCED_INSTANCE_ID,
                f"Static member {member_id} with instance id {instance_id} was fenced by member {known}.",
            )
        return self.members[known]

    def put(self, member: ConsumerMember) -> None:
        """Add a member, or what became of it."""
        self.members[member.member_id] = member
        if member.instance_id is not None:
            self.static_members[member.instance_id] = member.member_id

    def replace(self, member: ConsumerMember, member_id: str) -> ConsumerMember:
        """Give a static member that comes back its place under its new id."""
        self.members = {key: each for key, each in self.members.items() if key != member.member_id}
        self._target[member_id] = self._target.pop(member.member_id, _NOTHING)
        back = replace(member, member_id=member_id, epoch=0, previous_epoch=0)
        self.put(back)
        return back

    def remove(self, member: ConsumerMember) -> None:
        """Take a member out: the others share what it had from their next heartbeats on."""
        del self.members[member.member_id]
        self._target.pop(member.member_id, None)
        if member.instance_id is not None:
            self.static_members.pop(member.instance_id, None)
        self.epoch += 1

    def target(self, member_id: str) -> Assignment:
        """What a member is to have."""
        return self._target.get(member_id, _NOTHING)

    def subscription(self, member: ConsumerMember) -> dict[str, TopicInfo]:
        """The topics that a member reads, of those that exist."""
        return {
            name: info
            for name, info in self.topics.items()
            if name in member.topics
            or (member.regex is not None and matches(member.regex, name) and member.may_see(name))
        }

    def assign(self, default: str) -> None:
        """Make a target assignment for the group's epoch, by the assignor that most members prefer.

        Args:
            default: the assignor's name when no member prefers one.
        """
        votes = Counter(each.assignor for each in self.members.values() if each.assignor is not None)
        self.assignor = votes.most_common(1)[0][0] if votes else default
        members = [
            AssignorMember(
                member_id=each.member_id,
                instance_id=each.instance_id,
                topics=frozenset(info.id for info in self.subscription(each).values()),
                target=self.target(each.member_id),
            )
            for each in self.members.values()
        ]
        partitions = {info.id: info.partitions for _, info in sorted(self.topics.items())}
        self._target = ASSIGNORS[self.assignor](members, partitions)
        self.target_epoch = self.epoch

    def reconcile(self, member: ConsumerMember, owned: Assignment | None) -> ConsumerMember:
        """A member's next step to its target; the member itself when there is none.

        Args:
            owned: what the member says that it has; None where it does not say.
        """
        if member.state is MemberState.STABLE and member.epoch == self.target_epoch:
            return member
        epoch = member.epoch
        if member.state is MemberState.UNREVOKED:
            if owned is None or owned & member.revoking:
                return member
            epoch += 1
        target = self.target(member.member_id)
        kept, revoking = member.assigned & target, member.assigned - target
        if revoking and (owned is None or owned & revoking):
            return replace(
                member,
                state=MemberState.UNREVOKED,
                previous_epoch=member.epoch,
                epoch=epoch,
                assigned=kept,
                revoking=revoking,
            )
        taken = {place for each in self.members.values() if each.member_id != member.member_id for place in each.owned}
        missing = target - kept
        free = missing - taken
        return replace(
            member,
            state=MemberState.STABLE if free == missing else MemberState.UNRELEASED,
            previous_epoch=member.epoch,
            epoch=self.target_epoch,
            assigned=kept | free,
            revoking=_NOTHING,
        )

    def see_topics(self, catalog: Mapping[str, TopicInfo], version: int) -> None:
        """Look at the subscribed topics anew; the epoch rises when they changed."""
        self.catalog_version = version
        names = frozenset(name for each in self.members.values() for name in each.topics)
        patterns = {(each.regex, each.may_see) for each in self.members.values() if each.regex is not None}
        topics = {
            name: info
            for name, info in catalog.items()
            if name in names or any(matches(pattern, name) and may_see(name) for pattern, may_see in patterns)
        }
        if topics != self.topics:
            self.topics = topics
            self.epoch += 1

    def is_subscribed_to(self, topic: str) -> bool:
        """Whether a member reads a topic."""
        return topic in self.topics and any(topic in self.subscription(each) for each in self.members.values())
