"""Who may join a group, and what a JoinGroup changes: new members, known ones, static ones that come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ._group import Group
from ._group_config import GroupConfig
from ._group_member import Member
from ._group_messages import GroupState, JoinGroup, JoinGroupResult, Reply, SyncGroupResult
from ._group_rebalance import Rebalance
from ._held_heartbeats import HeldHeartbeats
from .errors import ErrorCode

__all__ = ["Admission"]

# A new member's JoinGroup may wait this long; its session timeout does not count before it is in a generation.
_NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000


class Admission:
    """Decides on JoinGroup requests to a group that exists.

    Args:
        new_id: makes the unique part of a member id.
    """

    def __init__(
        self, config: GroupConfig, rebalance: Rebalance, held: HeldHeartbeats, new_id: Callable[[], str]
    ) -> None:
        self._config = config
        self._rebalance = rebalance
        self._held = held
        self._new_id = new_id

    def join(self, group: Group, request: JoinGroup, reply: Reply[JoinGroupResult]) -> None:
        """Admit a member or refuse it."""
        if not self._has_room(group, request.member_id):
            self._turn_away(group, request.member_id)
            reply(JoinGroupResult(error=ErrorCode.GROUP_MAX_SIZE_REACHED))
        elif not group.supports(request.protocol_type, request.protocols):
            reply(_refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, request))
        elif not request.member_id:
            self._join_new(group, request, reply)
        elif request.member_id in group.pending_joins:
            self._join_pending(group, request, reply)
        else:
            self._join_known(group, request, reply)

    # -- room --------------------------------------------------------------------------------------------------

    def _has_room(self, group: Group, member_id: str) -> bool:
        member = group.members.get(member_id)
        if group.state is GroupState.EMPTY:
            return True
        if group.state is GroupState.PREPARING_REBALANCE:
            # Those who wait count, not those who are members: there is no room for the last ones to join again.
            waits = member is not None and member.joining is not None
            return waits or len(group.awaiting_join) < self._config.max_size
        return member is not None or len(group.members) < self._config.max_size

    def _turn_away(self, group: Group, member_id: str) -> None:
        if member_id in group.members:
            self._rebalance.remove(group, group.members[member_id])
        elif member_id in group.pending_joins:
            group.pending_joins.pop(member_id).cancel()

    # -- new members -------------------------------------------------------------------------------------------

    def _join_new(self, group: Group, request: JoinGroup, reply: Reply[JoinGroupResult]) -> None:
        if request.group_instance_id is None:
            member_id = f"{request.client_id}-{self._new_id()}"
            if request.member_id_required:
                self._rebalance.give_out(group, member_id, request.session_timeout_ms)
                reply(JoinGroupResult(error=ErrorCode.MEMBER_ID_REQUIRED, member_id=member_id))
            else:
                self._add(group, request, member_id, reply)
            return
        member_id = f"{request.group_instance_id}-{self._new_id()}"
        known = group.static_members.get(request.group_instance_id)
        if known is None:
            self._add(group, request, member_id, reply)
        else:
            self._replace_static(group, request, group.members[known], member_id, reply)

    def _join_pending(self, group: Group, request: JoinGroup, reply: Reply[JoinGroupResult]) -> None:
        if request.group_instance_id is not None:
            # Member ids are given out to dynamic members only; Kafka fails on this in the same way.
            reply(JoinGroupResult(error=ErrorCode.UNKNOWN_SERVER_ERROR))
            return
        group.pending_joins.pop(request.member_id).cancel()
        self._add(group, request, request.member_id, reply)

    def _add(self, group: Group, request: JoinGroup, member_id: str, reply: Reply[JoinGroupResult]) -> None:
        member = Member(
            member_id=member_id,
            group_instance_id=request.group_instance_id,
            client_id=request.client_id,
            client_host=request.client_host,
            session_timeout_ms=request.session_timeout_ms,
            rebalance_timeout_ms=request.rebalance_timeout_ms,
            protocols=request.protocols,
            is_new=True,
            joining=reply,
        )
        group.new_member_added = True
        group.add(member, request.protocol_type)
        self._rebalance.keep_alive(group, member, _NEW_MEMBER_JOIN_TIMEOUT_MS)
        self._rebalance.prepare_or_complete(group)

    # -- known members -----------------------------------------------------------------------------------------

    def _join_known(self, group: Group, request: JoinGroup, reply: Reply[JoinGroupResult]) -> None:
        error = group.check_member(request.member_id, request.group_instance_id)
        if error is not ErrorCode.NONE:
            reply(_refusal(error, request))
            return
        member = group.members[request.member_id]
        self._held.answer(member)
        unchanged = member.protocols == request.protocols
        leads_stable_group = group.state is GroupState.STABLE and group.leader == member.member_id
        if group.state is GroupState.PREPARING_REBALANCE or not unchanged or leads_stable_group:
            # A leader of a stable group that joins again knows a reason, such as partitions that were added.
            self._update(member, request, reply)
            self._rebalance.prepare_or_complete(group)
        else:
            reply(group.as_join_result(member))

    @staticmethod
    def _update(member: Member, request: JoinGroup, reply: Reply[JoinGroupResult]) -> None:
        # A JoinGroup that was still waiting has been sent anew: its answer must not be awaited for ever.
        member.answer_join(JoinGroupResult(error=ErrorCode.REBALANCE_IN_PROGRESS, member_id=member.member_id))
        member.protocols = request.protocols
        member.rebalance_timeout_ms = request.rebalance_timeout_ms
        member.session_timeout_ms = request.session_timeout_ms
        member.joining = reply

    def _replace_static(
        self, group: Group, request: JoinGroup, member: Member, member_id: str, reply: Reply[JoinGroupResult]
    ) -> None:
        former_leader = group.leader
        member.answer_join(JoinGroupResult(error=ErrorCode.FENCED_INSTANCE_ID, member_id=member.member_id))
        member.answer_sync(SyncGroupResult(error=ErrorCode.FENCED_INSTANCE_ID))
        self._held.answer(member, ErrorCode.FENCED_INSTANCE_ID)
        group.rename(member, member_id)
        member.is_new = False
        self._update(member, request, reply)
        self._rebalance.keep_alive(group, member)
        if group.state is GroupState.STABLE and group.select_protocol() == group.protocol_name:
            # It comes back within its session and changes nothing for the others: it gets its assignment back.
            result = group.as_join_result(member)
            leads = group.leader == member_id
            if request.skip_assignment_supported:
                member.answer_join(replace(result, skip_assignment=leads))
            else:
                # An older client that is told that it leads would assign anew; it is told of a leader that is gone.
                member.answer_join(replace(result, leader=former_leader or "", members=()))
        else:
            self._rebalance.prepare_or_complete(group)


def _refusal(error: ErrorCode, request: JoinGroup) -> JoinGroupResult:
    return JoinGroupResult(error=error, member_id=request.member_id)
