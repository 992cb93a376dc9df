"""The groups of the consumer protocol (KIP-848), without threads, sockets or a time of their own.

Members send heartbeats, and the coordinator assigns: `uniform` or `range`. Sessions and revocations that take too long
are timers of the `Scheduler`, on real time.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from ._assignors import Assignment
from ._consumer_group import LEFT, LEFT_FOR_NOW, ConsumerGroup, ConsumerMember, MemberState
from ._consumer_group_messages import (
    ConsumerGroupConfig,
    ConsumerHeartbeat,
    ConsumerHeartbeatResult,
    NoTopics,
    TopicCatalog,
)
from ._consumer_protocol import encode_assignment, encode_subscription
from ._group_messages import DescribedGroup, GroupMember, GroupState
from ._scheduler import Scheduler, Timer
from ._topic_regex import check
from .errors import ErrorCode, Refused

__all__ = [
    "ConsumerGroupConfig",
    "ConsumerGroups",
    "ConsumerHeartbeat",
    "ConsumerHeartbeatResult",
    "NoTopics",
    "TopicCatalog",
]


class ConsumerGroups:
    """Every group of the consumer protocol.

    Args:
        topics: what can be assigned.
    """

    def __init__(self, scheduler: Scheduler, config: ConsumerGroupConfig, topics: TopicCatalog) -> None:
        self._scheduler = scheduler
        self._config = config
        self._topics = topics
        self._groups: dict[str, ConsumerGroup] = {}
        self._sessions: dict[tuple[str, str], Timer] = {}
        self._revocations: dict[tuple[str, str], Timer] = {}

    def __contains__(self, group_id: str) -> bool:
        return group_id in self._groups

    def ids(self) -> tuple[str, ...]:
        """The ids of all groups."""
        return tuple(self._groups)

    # -- the protocol ------------------------------------------------------------------------------------------

    def heartbeat(self, beat: ConsumerHeartbeat) -> ConsumerHeartbeatResult:
        """ConsumerGroupHeartbeat, of a group that is not a classic one.

        Raises:
            Refused: with Kafka's error and text; the group is as it was.
        """
        self.check(beat)
        if beat.member_epoch in (LEFT, LEFT_FOR_NOW):
            return self._leave(beat)
        group = self._groups.get(beat.group_id)
        if group is None:
            if beat.member_epoch != 0:
                raise _not_found(beat.group_id)
            group = ConsumerGroup(beat.group_id)
        before = self._admit(group, beat)
        self._groups[beat.group_id] = group
        member = replace(
            before,
            instance_id=beat.instance_id or before.instance_id,
            rack_id=beat.rack_id or before.rack_id,
            rebalance_timeout_ms=before.rebalance_timeout_ms
            if beat.rebalance_timeout_ms == -1
            else beat.rebalance_timeout_ms,
            topics=before.topics if beat.topics is None else frozenset(beat.topics),
            regex=before.regex if beat.regex is None else beat.regex or None,
            may_see=before.may_see if beat.regex is None else beat.may_see,
            assignor=beat.assignor or before.assignor,
            client_id=beat.client_id,
            client_host=beat.client_host,
        )
        self._update(group, member, beat.owned)
        member = group.members[member.member_id]
        self._keep_alive(group, member)
        told = beat.is_full or member.assigned != before.assigned
        return self._result(member, member.epoch, member.assigned if told else None)

    def check(self, beat: ConsumerHeartbeat) -> None:
        """Whether a heartbeat's fields go together, whatever the group.

        Raises:
            Refused: INVALID_REQUEST, UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION.
        """
        epoch = beat.member_epoch
        wrong = None
        if not beat.group_id:
            wrong = "GroupId can't be empty."
        elif beat.instance_id == "":
            wrong = "InstanceId can't be empty."
        elif beat.rack_id == "":
            wrong = "RackId can't be empty."
        elif not beat.member_id and (beat.id_required or epoch != 0):
            wrong = "MemberId can't be empty."
        elif epoch == 0 and beat.rebalance_timeout_ms == -1:
            wrong = "RebalanceTimeoutMs must be provided in first request."
        elif epoch == 0 and beat.owned != frozenset():
            wrong = "TopicPartitions must be empty when (re-)joining."
        elif epoch == 0 and beat.topics is None and beat.regex is None:
            wrong = "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
        elif epoch == LEFT_FOR_NOW and beat.instance_id is None:
            wrong = "InstanceId can't be null."
        elif epoch < LEFT_FOR_NOW:
            wrong = f"MemberEpoch is {epoch}, but must be greater than or equal to -2."
        if wrong is not None:
            raise Refused(ErrorCode.INVALID_REQUEST, wrong)
        if beat.assignor is not None and beat.assignor not in self._config.assignors:
            raise Refused(
                ErrorCode.UNSUPPORTED_ASSIGNOR,
                f"ServerAssignor {beat.assignor} is not supported. Supported assignors: "
                f"{', '.join(self._config.assignors)}.",
            )
        if beat.regex:
            check(beat.regex)

    def _admit(self, group: ConsumerGroup, beat: ConsumerHeartbeat) -> ConsumerMember:
        """The member for which a heartbeat speaks, as it was; a new one is in the group only when it is updated."""
        joins = beat.member_epoch == 0
        member_id = beat.member_id or str(uuid4())
        known = group.members.get(member_id)
        if known is None and joins and len(group.members) >= self._config.max_size:
            raise Refused(
                ErrorCode.GROUP_MAX_SIZE_REACHED,
                f"The consumer group has reached its maximum capacity of {self._config.max_size} members.",
            )
        if beat.instance_id is not None:
            return self._admit_static(group, beat, beat.instance_id, member_id)
        if not joins:
            member = group.member(member_id)
            member.check_epoch(beat.member_epoch, beat.owned)
            return member
        return ConsumerMember(member_id=member_id) if known is None else _anew(known)

    def _admit_static(
        self, group: ConsumerGroup, beat: ConsumerHeartbeat, instance_id: str, member_id: str
    ) -> ConsumerMember:
        if beat.member_epoch != 0:
            member = group.static_member(instance_id, member_id)
            member.check_epoch(beat.member_epoch, beat.owned)
            return member
        owner = group.static_members.get(instance_id)
        if owner is None:
            return ConsumerMember(member_id=member_id)
        member = group.members[owner]
        if owner == member_id:
            return _anew(member)
        if member.epoch != LEFT_FOR_NOW:
            raise Refused(
                ErrorCode.UNRELEASED_INSTANCE_ID,
                f"Static member {member_id} with instance id {instance_id} cannot join the group because the instance "
                f"id is owned by {owner} member.",
            )
        self._forget_timers(group, member)
        return group.replace(member, member_id)

    def _update(self, group: ConsumerGroup, member: ConsumerMember, owned: Assignment | None) -> None:
        """A member has spoken: the group's epoch, its target and the member's next step follow from that."""
        former = group.members.get(member.member_id)
        changed = former is None or (former.topics, former.regex, former.assignor) != (
            member.topics,
            member.regex,
            member.assignor,
        )
        group.put(member)
        if changed:
            group.epoch += 1
        if changed or group.catalog_version != self._topics.version:
            epoch = group.epoch
            group.see_topics(self._topics.infos(), self._topics.version)
            if changed:
                group.epoch = epoch  # one change, one epoch
        if group.epoch > group.target_epoch:
            group.assign(self._config.assignors[0])
        stepped = group.reconcile(member, owned)
        if stepped is not member:
            group.put(stepped)
            self._watch_revocation(group, stepped)

    def _leave(self, beat: ConsumerHeartbeat) -> ConsumerHeartbeatResult:
        group = self._groups.get(beat.group_id)
        if group is None:
            raise _not_found(beat.group_id)
        if beat.instance_id is None:
            member = group.member(beat.member_id)
        else:
            member = group.static_member(beat.instance_id, beat.member_id)
        if beat.member_epoch == LEFT_FOR_NOW:
            # It keeps its place and its partitions until its session is over.
            group.put(replace(member, epoch=LEFT_FOR_NOW, revoking=frozenset()))
            self._stop(self._revocations, group, member)
        else:
            self._fence(group, member)
        return ConsumerHeartbeatResult(
            member_id=beat.member_id, member_epoch=beat.member_epoch, heartbeat_interval_ms=0
        )

    def _result(self, member: ConsumerMember, epoch: int, assignment: Assignment | None) -> ConsumerHeartbeatResult:
        return ConsumerHeartbeatResult(
            member_id=member.member_id,
            member_epoch=epoch,
            heartbeat_interval_ms=self._config.heartbeat_interval_ms,
            assignment=assignment,
        )

    # -- offsets -----------------------------------------------------------------------------------------------

    def check_commit(self, group_id: str, member_id: str, member_epoch: int) -> None:
        """Whether a commit is accepted: from outside only while the group is empty, else from the member's epoch.

        Raises:
            Refused: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH.
        """
        group = self._groups[group_id]
        if member_epoch < 0 and not group.members:
            return
        member = group.member(member_id)
        if member_epoch != member.epoch:
            raise _stale(member_epoch, member.epoch)

    def check_fetch(self, group_id: str, member_id: str, member_epoch: int) -> None:
        """Whether a member may read the group's offsets; raises as `check_commit` does."""
        member = self._groups[group_id].member(member_id)
        if member_epoch != member.epoch:
            raise _stale(member_epoch, member.epoch)

    def is_subscribed_to(self, group_id: str, topic: str) -> bool:
        """Whether a member of a group reads a topic."""
        return self._groups[group_id].is_subscribed_to(topic)

    # -- administration ----------------------------------------------------------------------------------------

    def group(self, group_id: str) -> ConsumerGroup:
        """A group, to be looked at.

        Raises:
            Refused: GROUP_ID_NOT_FOUND.
        """
        group = self._groups.get(group_id)
        if group is None:
            raise _not_found(group_id)
        return group

    def names(self) -> dict[bytes, str]:
        """The names of all topics, by their ids."""
        return {info.id: name for name, info in self._topics.infos().items()}

    def describe(self, group_id: str) -> DescribedGroup:
        """A group as a test looks at it."""
        group, names = self._groups[group_id], self.names()
        return DescribedGroup(
            group_id=group_id,
            state=group.state,
            protocol_type="consumer",
            protocol=group.assignor,
            generation_id=group.epoch,
            group_type="consumer",
            members=tuple(
                GroupMember(
                    member_id=each.member_id,
                    group_instance_id=each.instance_id,
                    client_id=each.client_id,
                    client_host=each.client_host,
                    session_timeout_ms=self._config.session_timeout_ms,
                    rebalance_timeout_ms=each.rebalance_timeout_ms,
                    metadata=encode_subscription(group.subscription(each)),
                    assignment=encode_assignment(
                        (names[topic], partition) for topic, partition in each.assigned if topic in names
                    ),
                    epoch=each.epoch,
                )
                for each in group.members.values()
            ),
        )

    def is_empty(self, group_id: str) -> bool:
        """Whether a group has no members."""
        return self._groups[group_id].state is GroupState.EMPTY

    def forget(self, group_id: str) -> None:
        """Remove a group without members."""
        del self._groups[group_id]

    def expire_member(self, group_id: str, member_id: str) -> bool:
        """Let a member's session time out now; whether there was such a member id or group instance id."""
        group = self._groups[group_id]
        member = group.members.get(group.static_members.get(member_id, member_id))
        if member is not None:
            self._fence(group, member)
        return member is not None

    def close(self) -> None:
        """Cancel every timer: the broker ends."""
        for timer in (*self._sessions.values(), *self._revocations.values()):
            timer.cancel()
        self._groups.clear()

    # -- timers ------------------------------------------------------------------------------------------------

    def _keep_alive(self, group: ConsumerGroup, member: ConsumerMember) -> None:
        key = group.group_id, member.member_id
        self._stop(self._sessions, group, member)
        self._sessions[key] = self._scheduler.call_later(
            self._config.session_timeout_ms, lambda: self._fence(group, group.members[key[1]])
        )

    def _watch_revocation(self, group: ConsumerGroup, member: ConsumerMember) -> None:
        self._stop(self._revocations, group, member)
        if member.state is not MemberState.UNREVOKED:
            return
        key, epoch = (group.group_id, member.member_id), member.epoch

        def over() -> None:
            late = group.members[key[1]]
            if late.epoch == epoch:
                self._fence(group, late)

        self._revocations[key] = self._scheduler.call_later(member.rebalance_timeout_ms, over)

    def _fence(self, group: ConsumerGroup, member: ConsumerMember) -> None:
        self._forget_timers(group, member)
        group.remove(member)

    def _forget_timers(self, group: ConsumerGroup, member: ConsumerMember) -> None:
        self._stop(self._sessions, group, member)
        self._stop(self._revocations, group, member)

    @staticmethod
    def _stop(timers: dict[tuple[str, str], Timer], group: ConsumerGroup, member: ConsumerMember) -> None:
        timer = timers.pop((group.group_id, member.member_id), None)
        if timer is not None:
            timer.cancel()


def _anew(member: ConsumerMember) -> ConsumerMember:
    """A member that was fenced and has given up everything: it begins again."""
    return replace(
        member, epoch=0, previous_epoch=0, state=MemberState.STABLE, assigned=frozenset(), revoking=frozenset()
    )


def _not_found(group_id: str) -> Refused:
    return Refused(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")


def _stale(received: int, expected: int) -> Refused:
    text = f"The received member epoch {received} does not match the expected member epoch {expected}."
    return Refused(ErrorCode.STALE_MEMBER_EPOCH, text)
