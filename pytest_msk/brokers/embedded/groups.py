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
from .offsets import (
    CommitOffsets,
    CommittedOffset,
    CommitTransactionOffsets,
    DeleteOffsets,
    DeleteOffsetsResult,
    FetchOffsets,
    FetchOffsetsResult,
    Offsets,
    PartitionResult,
    TopicPartition,
)

__all__ = ["GroupConfig", "GroupCoordinator", "Scheduler", "Timer"]


class GroupCoordinator:
    """The coordinator of every group of this broker; one thread calls it, its timers included.

    Args:
        scheduler: real time.
        config: the settings.
        wall_ms: the test's clock, epoch milliseconds; commits are stamped with it. The scheduler's by default.
        topics: what groups of the consumer protocol can be assigned; none by default.
        consumer_config: the settings of groups of the consumer protocol.

    Attributes:
        consumer_groups: those of the consumer protocol; a group is there or classic, never both.
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
        self._config = config
        self.consumer_groups = ConsumerGroups(scheduler, consumer_config or ConsumerGroupConfig(), topics or NoTopics())
        self._wall_ms = scheduler.now_ms if wall_ms is None else wall_ms
        self._groups: dict[str, Group] = {}
        self._offsets = Offsets()
        self._held = HeldHeartbeats(scheduler)
        self._rebalance = Rebalance(scheduler, config, self._held, self._wall_ms)
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

    # -- offsets -----------------------------------------------------------------------------------------------

    def commit_offsets(self, request: CommitOffsets) -> tuple[PartitionResult, ...]:
        """OffsetCommit; whether the topics exist is the caller's to check."""
        refusal = self._may_commit(request)
        results = []
        for commit in request.offsets:
            error = refusal
            if error is ErrorCode.NONE and len(commit.metadata or "") > self._config.offset_metadata_max_bytes:
                error = ErrorCode.OFFSET_METADATA_TOO_LARGE
            if error is ErrorCode.NONE:
                self._offsets.commit(
                    request.group_id, commit, now_ms=self._wall_ms(), retention_ms=request.retention_ms
                )
            results.append(PartitionResult(topic=commit.topic, partition=commit.partition, error=error))
        return tuple(results)

    def commit_offsets_in_transaction(self, request: CommitTransactionOffsets) -> tuple[PartitionResult, ...]:
        """TxnOffsetCommit; whether the topics exist, and the producer may, is the caller's to check."""
        refusal = self._may_commit_in_transaction(request)
        results = []
        for commit in request.offsets:
            error = refusal
            if error is ErrorCode.NONE and len(commit.metadata or "") > self._config.offset_metadata_max_bytes:
                error = ErrorCode.OFFSET_METADATA_TOO_LARGE
            if error is ErrorCode.NONE:
                self._offsets.commit_in_transaction(
                    request.group_id, request.producer_id, commit, now_ms=self._wall_ms()
                )
            results.append(PartitionResult(topic=commit.topic, partition=commit.partition, error=error))
        return tuple(results)

    def end_transaction(self, group_id: str, producer_id: int, *, commit: bool) -> None:
        """A producer's transaction ended: a group's offsets in it count, or never were."""
        self._offsets.end_transaction(group_id, producer_id, commit=commit)

    def fetch_offsets(self, request: FetchOffsets) -> FetchOffsetsResult:
        """OffsetFetch, for one group."""
        if request.group_id in self.consumer_groups and (request.member_id is not None or request.member_epoch >= 0):
            try:
                self.consumer_groups.check_fetch(request.group_id, request.member_id or "", request.member_epoch)
            except Refused as refused:
                return FetchOffsetsResult(error=refused.code)
        offsets = self._offsets.fetch(request.group_id, request.partitions, stable=request.stable)
        return FetchOffsetsResult(offsets=offsets)

    def delete_offsets(self, request: DeleteOffsets) -> DeleteOffsetsResult:
        """OffsetDelete; whether the topics exist is the caller's to check."""
        group = self._groups.get(request.group_id)
        if not request.group_id:
            return DeleteOffsetsResult(error=ErrorCode.INVALID_GROUP_ID)
        modern = request.group_id in self.consumer_groups
        if group is None and not modern:
            return DeleteOffsetsResult(error=ErrorCode.GROUP_ID_NOT_FOUND)
        if group is not None and group.state is not GroupState.EMPTY and not group.uses_consumer_protocol:
            return DeleteOffsetsResult(error=ErrorCode.NON_EMPTY_GROUP)
        results = []
        for topic, partition in request.partitions:
            if group is None:
                subscribed = self.consumer_groups.is_subscribed_to(request.group_id, topic)
            else:
                subscribed = group.is_subscribed_to(topic)
            if not subscribed:
                self._offsets.delete(request.group_id, topic, partition)
            error = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if subscribed else ErrorCode.NONE
            results.append(PartitionResult(topic=topic, partition=partition, error=error))
        return DeleteOffsetsResult(partitions=tuple(results))

    def forget_topic(self, topic: str) -> None:
        """A topic was deleted: no group has offsets in it any more."""
        self._offsets.delete_topic(topic)

    def expire_offsets(self, now_ms: int) -> None:
        """Forget the offsets whose retention is over, and the empty groups that are left with none.

        Args:
            now_ms: the test's clock, epoch milliseconds.
        """
        for group in tuple(self._groups.values()):

            def is_over(topic: str, kept: CommittedOffset, group: Group = group) -> bool:
                since = group.offset_ages_since(topic, kept.commit_timestamp)
                if since is None:
                    return False
                end = since + self._config.offsets_retention_ms
                return now_ms >= (end if kept.expire_timestamp is None else kept.expire_timestamp)

            none_left = self._offsets.expire(group.group_id, is_over)
            if none_left and group.state is GroupState.EMPTY and not group.pending_joins:
                self._forget(group)
        for group_id in self.consumer_groups.ids():

            def is_old(topic: str, kept: CommittedOffset, group_id: str = group_id) -> bool:
                over = now_ms >= kept.commit_timestamp + self._config.offsets_retention_ms
                return over and not self.consumer_groups.is_subscribed_to(group_id, topic)

            if self._offsets.expire(group_id, is_old) and self.consumer_groups.is_empty(group_id):
                self.consumer_groups.forget(group_id)

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

    def committed(self, group_id: str) -> dict[TopicPartition, CommittedOffset]:
        """A group's committed offsets; empty for an unknown group."""
        return self._offsets.of(group_id)

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

    def rebalance(self, group_id: str) -> None:
        """Let a group's members join again now.

        Raises:
            BrokerError: there is no such group, or it has no members.
        """
        group = self._groups.get(group_id)
        if group is None or not group.members:
            known = ", ".join(sorted(each.group_id for each in self._groups.values() if each.members)) or "none"
            raise BrokerError(
                f"Group {group_id!r} has no members that could rebalance; the groups with members are: {known}."
            )
        if group.can_rebalance:  # else it does already
            self._rebalance.prepare(group)

    def close(self) -> None:
        """Cancel every timer and forget every waiting reply: the broker ends."""
        self._held.close()
        self.consumer_groups.close()
        for group in self._groups.values():
            self._rebalance.stop(group)
        self._groups.clear()

    # -- inside ------------------------------------------------------------------------------------------------

    def _group(self, group_id: str) -> Group:
        group = self._groups.get(group_id)
        if group is None:
            group = self._groups[group_id] = Group(group_id, self._wall_ms())
        return group

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

    def _may_commit(self, request: CommitOffsets) -> ErrorCode:
        if request.group_id in self.consumer_groups:
            try:
                self.consumer_groups.check_commit(request.group_id, request.member_id, request.generation_id)
            except Refused as refused:
                return refused.code
            # A member of this protocol has to be able to read STALE_MEMBER_EPOCH.
            modern = request.group_id_not_found_known or request.generation_id < 0
            return ErrorCode.NONE if modern else ErrorCode.UNSUPPORTED_VERSION
        group = self._groups.get(request.group_id)
        if group is None:
            if request.generation_id >= 0:
                known = request.group_id_not_found_known
                return ErrorCode.GROUP_ID_NOT_FOUND if known else ErrorCode.ILLEGAL_GENERATION
            group = self._group(request.group_id)
        error = group.check_commit(request.member_id, request.group_instance_id, request.generation_id)
        if error is ErrorCode.NONE and group.state is not GroupState.EMPTY:
            # A member that commits lives, in the classic protocol.
            self._rebalance.keep_alive(group, group.members[request.member_id])
        return error

    def _may_commit_in_transaction(self, request: CommitTransactionOffsets) -> ErrorCode:
        if not request.group_id:
            return ErrorCode.INVALID_GROUP_ID
        if request.group_id in self.consumer_groups:
            try:
                self.consumer_groups.check_commit(request.group_id, request.member_id, request.generation_id)
            except Refused as refused:
                stale = refused.code is ErrorCode.STALE_MEMBER_EPOCH
                return ErrorCode.ILLEGAL_GENERATION if stale else refused.code
            return ErrorCode.NONE
        group = self._groups.get(request.group_id)
        if group is None:
            if request.generation_id >= 0:
                return ErrorCode.ILLEGAL_GENERATION
            group = self._group(request.group_id)
        return group.check_transaction_commit(request.member_id, request.group_instance_id, request.generation_id)

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

    def _forget(self, group: Group) -> None:
        self._rebalance.stop(group)
        group.become(GroupState.DEAD, self._wall_ms())
        self._offsets.delete_group(group.group_id)
        del self._groups[group.group_id]


def _differs(asked: str | None, actual: str | None) -> bool:
    return asked is not None and actual is not None and asked != actual
