"""The consumer groups of this broker, without threads, sockets or a time of their own: Kafka's classic group protocol
here, the consumer protocol (KIP-848) in `consumer_groups`, the offsets of both.

Requests go in as dataclasses, replies come out by a function that is called exactly once, now or later. Every wait is a
timer of the `Scheduler`, which runs on real time; the ages of committed offsets go by the test's clock (`wall_ms`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import uuid4

from ...errors import BrokerError
from ._group import Group
from ._group_admission import Admission
from ._group_config import GroupConfig
from ._group_messages import (
    DeletedGroup,
    DescribedGroup,
    GroupState,
    Heartbeat,
    HeartbeatResult,
    JoinGroup,
    JoinGroupResult,
    LeaveGroup,
    LeaveGroupResult,
    LeavingMember,
    LeftMember,
    ListedGroup,
    Reply,
    SyncGroup,
    SyncGroupResult,
)
from ._group_offsets import GroupOffsets
from ._group_rebalance import Rebalance
from ._held_heartbeats import HeldHeartbeats
from ._scheduler import Scheduler, Timer
from .consumer_groups import (
    ConsumerGroupConfig,
    ConsumerGroups,
    ConsumerHeartbeat,
    ConsumerHeartbeatResult,
    NoTopics,
    TopicCatalog,
)
from .errors import ErrorCode, Refused

__all__ = ["GroupConfig", "GroupCoordinator", "Scheduler", "Timer"]


class GroupCoordinator(GroupOffsets):
    """The coordinator of every group of this broker; one thread calls it, its timers included.

    Args:
        scheduler: real time.
        config: the settings.
        wall_ms: the test's clock, epoch milliseconds; commits are stamped with it. The scheduler's by default.
        topics: what groups of the consumer protocol can be assigned; none by default.
        consumer_config: the settings of groups of the consumer protocol.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        config: GroupConfig,
        *,
        wall_ms: Callable[[], int] | None = None,
        topics: TopicCatalog | None = None,
        consumer_config: ConsumerGroupConfig | None = None,
    ) -> None:
        held = HeldHeartbeats(scheduler)
        wall = scheduler.now_ms if wall_ms is None else wall_ms
        modern = ConsumerGroups(scheduler, consumer_config or ConsumerGroupConfig(), topics or NoTopics())
        super().__init__(config, Rebalance(scheduler, config, held, wall), modern, wall)
        self._held = held
        self._admission = Admission(config, self._rebalance, self._held, lambda: str(uuid4()))

    # -- the protocol ------------------------------------------------------------------------------------------

    def join(self, request: JoinGroup, reply: Reply[JoinGroupResult]) -> None:
        """JoinGroup: answered when the join phase ends, or at once when it is refused or nothing changes."""
        config = self._config
        if not request.group_id:
            error = ErrorCode.INVALID_GROUP_ID
        elif not config.min_session_timeout_ms <= request.session_timeout_ms <= config.max_session_timeout_ms:
            error = ErrorCode.INVALID_SESSION_TIMEOUT
        elif request.group_id in self.consumer_groups and not self.consumer_groups.is_empty(request.group_id):
            error = ErrorCode.INCONSISTENT_GROUP_PROTOCOL  # as with group.consumer.migration.policy=disabled
        elif request.member_id and request.group_id not in self._groups:
            error = ErrorCode.UNKNOWN_MEMBER_ID
        else:
            if request.group_id in self.consumer_groups:
                self.consumer_groups.forget(request.group_id)
            group = self._group(request.group_id)
            if not group.members:
                group.initial_delay = request.initial_delay
            self._admission.join(group, request, reply)
            return
        reply(JoinGroupResult(error=error, member_id=request.member_id))

    def sync(self, request: SyncGroup, reply: Reply[SyncGroupResult]) -> None:
        """SyncGroup: answered when the leader's assignments are there."""
        if request.protocol_required and (request.protocol_type is None or request.protocol_name is None):
            reply(SyncGroupResult(error=ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
            return
        group, error = self._member_of(
            request.group_id, request.member_id, request.group_instance_id, request.generation_id
        )
        if group is None:
            reply(SyncGroupResult(error=error))
        elif _differs(request.protocol_type, group.protocol_type) or _differs(
            request.protocol_name, group.protocol_name
        ):
            reply(SyncGroupResult(error=ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
        elif group.state is GroupState.PREPARING_REBALANCE:
            reply(SyncGroupResult(error=ErrorCode.REBALANCE_IN_PROGRESS))
        else:
            member = group.members[request.member_id]
            self._held.answer(member)
            self._rebalance.synced(group, member)
            if group.state is GroupState.STABLE:
                reply(group.as_sync_result(member))
                return
            # A SyncGroup that was still waiting has been sent anew: its answer must not be awaited for ever.
            member.answer_sync(SyncGroupResult(error=ErrorCode.REBALANCE_IN_PROGRESS))
            member.syncing = reply
            if group.leader == request.member_id:
                self._rebalance.assign(group, dict(request.assignments))

    def heartbeat(self, request: Heartbeat, reply: Reply[HeartbeatResult], *, hold: bool) -> None:
        """Heartbeat.

        Args:
            hold: whether the answer may wait (for 2.9 s or half of the session timeout at most) so that a rebalance is
                told at once; only for clients that take answers out of order, or until `release_heartbeats`.
        """
        group, error = self._member_of(
            request.group_id, request.member_id, request.group_instance_id, request.generation_id
        )
        if group is None:
            reply(HeartbeatResult(error=error))
            return
        member = group.members[request.member_id]
        self._held.answer(member)
        self._rebalance.keep_alive(group, member)
        if group.state is GroupState.PREPARING_REBALANCE:
            reply(HeartbeatResult(error=ErrorCode.REBALANCE_IN_PROGRESS))
        elif hold and self._config.hold_heartbeats:
            self._held.hold(member, request.connection_id, reply, lambda: self._rebalance.keep_alive(group, member))
        else:
            reply(HeartbeatResult())

    def leave(self, request: LeaveGroup) -> LeaveGroupResult:
        """LeaveGroup: answered at once."""
        if not request.group_id:
            return LeaveGroupResult(error=ErrorCode.INVALID_GROUP_ID)
        group = self._groups.get(request.group_id)
        errors = [
            ErrorCode.UNKNOWN_MEMBER_ID if group is None else self._leave(group, each) for each in request.members
        ]
        if group is not None and group.state is not GroupState.EMPTY and ErrorCode.NONE in errors:
            self._rebalance.prepare_or_complete(group)
        return LeaveGroupResult(
            members=tuple(
                LeftMember(member_id=each.member_id, group_instance_id=each.group_instance_id, error=error)
                for each, error in zip(request.members, errors, strict=True)
            )
        )

    def consumer_heartbeat(self, beat: ConsumerHeartbeat) -> ConsumerHeartbeatResult:
        """ConsumerGroupHeartbeat: answered at once.

        Raises:
            Refused: as Kafka refuses it; GROUP_ID_NOT_FOUND for a classic group that has members.
        """
        self.consumer_groups.check(beat)
        group = self._groups.get(beat.group_id)
        if group is not None:
            # An empty group changes its protocol and keeps its offsets; Kafka's other upgrades are not there.
            if beat.member_epoch != 0 or group.state is not GroupState.EMPTY or group.pending_joins:
                raise Refused(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {beat.group_id} is not a consumer group.")
            self._rebalance.stop(group)
            del self._groups[beat.group_id]
        return self.consumer_groups.heartbeat(beat)

    def release_heartbeats(self, connection_id: int) -> None:
        """Answer the heartbeats held for a connection now, as success: its next request must not wait for them."""
        self._held.answer_connection(connection_id)

    def disconnected(self, connection_id: int) -> None:
        """A connection is gone: nothing is held for it any more. Its members stay until their sessions time out."""
        self._held.forget_connection(connection_id)

    # -- administration ----------------------------------------------------------------------------------------

    def describe(self, group_id: str) -> DescribedGroup:
        """One group, of either protocol, as a test looks at it."""
        if group_id in self.consumer_groups:
            return self.consumer_groups.describe(group_id)
        return self.describe_classic(group_id)

    def describe_classic(self, group_id: str) -> DescribedGroup:
        """One group, as DescribeGroups shows it, which knows only classic ones."""
        group = self._groups.get(group_id)
        if group is None:
            return DescribedGroup(group_id=group_id, error=ErrorCode.GROUP_ID_NOT_FOUND)
        return group.as_described()

    def generation(self, group_id: str, member_id: str = "") -> int:
        """With which generation, or member epoch, a member commits; -1 when there is no such group."""
        if group_id in self.consumer_groups:
            member = self.consumer_groups.group(group_id).members.get(member_id)
            return -1 if member is None else member.epoch
        group = self._groups.get(group_id)
        return -1 if group is None else group.generation_id

    def list_groups(self, states: Iterable[str] = (), types: Iterable[str] = ()) -> tuple[ListedGroup, ...]:
        """All groups, or those in the given states and of the given types (Kafka's names, any case)."""
        listed = [
            ListedGroup(group_id=group.group_id, protocol_type=group.protocol_type or "", state=group.state)
            for group in self._groups.values()
        ]
        listed += [
            ListedGroup(
                group_id=group_id,
                protocol_type="consumer",
                state=self.consumer_groups.group(group_id).state,
                group_type="consumer",
            )
            for group_id in self.consumer_groups.ids()
        ]
        wanted_states = {state.strip().lower() for state in states} or {group.state.value.lower() for group in listed}
        wanted_types = {name.strip().lower() for name in types} or {group.group_type for group in listed}
        return tuple(
            group for group in listed if group.state.value.lower() in wanted_states and group.group_type in wanted_types
        )

    def delete_groups(self, group_ids: Iterable[str]) -> tuple[DeletedGroup, ...]:
        """DeleteGroups: only groups without members go, with their offsets."""
        return tuple(DeletedGroup(group_id=group_id, error=self._delete_group(group_id)) for group_id in group_ids)

    # -- the Python face ---------------------------------------------------------------------------------------

    def groups(self) -> tuple[DescribedGroup, ...]:
        """Every group with its members as they are now, by id."""
        return tuple(self.describe(group_id) for group_id in sorted({*self._groups, *self.consumer_groups.ids()}))

    def expire_member(self, group_id: str, member_id: str) -> None:
        """Let a member's session time out now.

        Args:
            member_id: its member id, or its group instance id.

        Raises:
            BrokerError: there is no such group or member.
        """
        if group_id in self.consumer_groups:
            found = self.consumer_groups.expire_member(group_id, member_id)
        elif group_id in self._groups:
            group = self._groups[group_id]
            member = group.members.get(group.static_members.get(member_id, member_id))
            found = member is not None
            if member is not None:
                self._rebalance.expire(group, member)
        else:
            known = ", ".join(each.group_id for each in self.groups()) or "none"
            raise BrokerError(f"There is no group {group_id!r} whose member could expire; the groups are: {known}.")
        if not found:
            known = ", ".join(each.member_id for each in self.describe(group_id).members) or "none"
            raise BrokerError(f"Group {group_id!r} has no member {member_id!r}; its members are: {known}.")

    def close(self) -> None:
        """Cancel every timer and forget every waiting reply: the broker ends."""
        self._held.close()
        self.consumer_groups.close()
        for group in self._groups.values():
            self._rebalance.stop(group)
        self._groups.clear()

    # -- inside ------------------------------------------------------------------------------------------------

    def _member_of(
        self, group_id: str, member_id: str, group_instance_id: str | None, generation_id: int
    ) -> tuple[Group | None, ErrorCode]:
        """The group for which a member speaks, or None and why it may not."""
        if not group_id:
            return None, ErrorCode.INVALID_GROUP_ID
        group = self._groups.get(group_id)
        if group is None:
            return None, ErrorCode.UNKNOWN_MEMBER_ID
        error = group.check_generation(member_id, group_instance_id, generation_id)
        return (group if error is ErrorCode.NONE else None), error

    def _leave(self, group: Group, leaving: LeavingMember) -> ErrorCode:
        member_id = leaving.member_id
        if not member_id and leaving.group_instance_id is not None:
            member_id = group.static_members.get(leaving.group_instance_id, "")
        elif member_id in group.pending_joins:
            group.pending_joins.pop(member_id).cancel()
            return ErrorCode.NONE
        error = group.check_member(member_id, leaving.group_instance_id)
        if error is ErrorCode.NONE:
            # Its heartbeat came before it left: that one was in order.
            self._rebalance.remove(group, group.members[member_id], heartbeat_error=ErrorCode.NONE)
        return error

    def _delete_group(self, group_id: str) -> ErrorCode:
        if group_id in self.consumer_groups:
            if not self.consumer_groups.is_empty(group_id):
                return ErrorCode.NON_EMPTY_GROUP
            self.consumer_groups.forget(group_id)
            self._offsets.delete_group(group_id)
            return ErrorCode.NONE
        group = self._groups.get(group_id)
        if group is None:
            return ErrorCode.GROUP_ID_NOT_FOUND
        if group.state is not GroupState.EMPTY:
            return ErrorCode.NON_EMPTY_GROUP
        self._forget(group)
        return ErrorCode.NONE


def _differs(asked: str | None, actual: str | None) -> bool:
    return asked is not None and actual is not None and asked != actual
