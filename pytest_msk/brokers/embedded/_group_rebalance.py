"""How groups move: sessions that time out, and rebalances from the first JoinGroup to the last assignment.

Everything that waits is a timer on the scheduler: a member's session, a member id given out, the join phase of a group,
the sync phase of a group. A group without members has none of them, but for member ids given out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ._group import Group
from ._group_config import GroupConfig
from ._group_member import Member
from ._group_messages import GroupState, JoinGroupResult, SyncGroupResult
from ._held_heartbeats import HeldHeartbeats
from ._scheduler import Scheduler, Timer
from .errors import ErrorCode

__all__ = ["Rebalance"]


class Rebalance:
    """Moves groups through their states.

    Args:
        held: the waiting heartbeats, which a rebalance answers.
        wall_ms: the test's clock, epoch milliseconds; the time of a state change.
    """

    def __init__(
        self, scheduler: Scheduler, config: GroupConfig, held: HeldHeartbeats, wall_ms: Callable[[], int]
    ) -> None:
        self._scheduler = scheduler
        self._config = config
        self._held = held
        self._wall_ms = wall_ms

    # -- sessions ----------------------------------------------------------------------------------------------

    def keep_alive(self, group: Group, member: Member, timeout_ms: int | None = None) -> None:
        """Begin a member's session anew; `timeout_ms` for another time than its session timeout."""
        member.stop_session()
        delay_ms = member.session_timeout_ms if timeout_ms is None else timeout_ms
        member.session = self._scheduler.call_later(delay_ms, lambda: self._session_over(group, member))

    def _session_over(self, group: Group, member: Member) -> None:
        # A member that is excused gets a new session when the wait is over.
        if not member.excused:
            self.expire(group, member)

    def expire(self, group: Group, member: Member) -> None:
        """A member is dead: remove it and let the others share what it had."""
        self.remove(group, member)
        self._after_removal(group)

    def _after_removal(self, group: Group) -> None:
        if group.can_rebalance:
            self.prepare(group)
        elif group.all_joined:
            self.complete(group)

    def remove(
        self,
        group: Group,
        member: Member,
        error: ErrorCode = ErrorCode.UNKNOWN_MEMBER_ID,
        heartbeat_error: ErrorCode = ErrorCode.UNKNOWN_MEMBER_ID,
    ) -> None:
        """Take a member out and answer what it waits for; the group goes on as if nothing had happened."""
        member.answer_join(JoinGroupResult(error=error))
        member.answer_sync(SyncGroupResult(error=error))
        self._held.answer(member, heartbeat_error)
        member.stop_session()
        group.remove(member)

    def give_out(self, group: Group, member_id: str, timeout_ms: int) -> None:
        """Remember a member id until it joins, for `timeout_ms` at most."""
        group.pending_joins[member_id] = self._scheduler.call_later(
            timeout_ms, lambda: self._given_out_id_expired(group, member_id)
        )

    def _given_out_id_expired(self, group: Group, member_id: str) -> None:
        del group.pending_joins[member_id]
        if group.state is GroupState.PREPARING_REBALANCE and group.all_joined:
            self.complete(group)

    # -- the join phase ----------------------------------------------------------------------------------------

    def prepare_or_complete(self, group: Group) -> None:
        """Something changed in the group: begin a rebalance, or end its join phase when nobody is missing any more."""
        if group.can_rebalance:
            self.prepare(group)
        elif group.state is GroupState.PREPARING_REBALANCE and not group.in_initial_rebalance and group.all_joined:
            self.complete(group)

    def prepare(self, group: Group) -> None:
        """Begin a rebalance: everybody has to join again."""
        if group.state is GroupState.COMPLETING_REBALANCE:
            for member in group.members.values():
                member.assignment = b""
                if member.answer_sync(SyncGroupResult(error=ErrorCode.REBALANCE_IN_PROGRESS)):
                    self.keep_alive(group, member)
        _stop(group.sync_timer)
        group.become(GroupState.PREPARING_REBALANCE, self._wall_ms())
        for member in group.members.values():
            self._held.answer(member, ErrorCode.REBALANCE_IN_PROGRESS)
        if group.in_initial_rebalance:
            group.new_member_added = False
            delay_ms = self._config.initial_rebalance_delay_ms if group.initial_delay else 0
            self._wait_for_more(group, delay_ms, max(group.rebalance_timeout_ms - delay_ms, 0))
        elif group.all_joined:
            self.complete(group)
        else:
            self._wait_for_all(group)

    def _wait_for_all(self, group: Group) -> None:
        group.join_timer = self._scheduler.call_later(group.rebalance_timeout_ms, lambda: self.complete(group))

    def _wait_for_more(self, group: Group, delay_ms: int, remaining_ms: int) -> None:
        def over() -> None:
            if group.new_member_added and remaining_ms:
                group.new_member_added = False
                next_ms = min(self._config.initial_rebalance_delay_ms, remaining_ms)
                self._wait_for_more(group, next_ms, max(remaining_ms - delay_ms, 0))
            else:
                self.complete(group)

        group.join_timer = self._scheduler.call_later(delay_ms, over)

    def complete(self, group: Group) -> None:
        """End the join phase: dynamic members that did not join are out, the others are the next generation."""
        _stop(group.join_timer)
        for member in tuple(group.members.values()):
            if member.joining is None and member.group_instance_id is None:
                self.remove(group, member)
        if group.members and not group.elect_leader():
            # Only static members are left and none of them joined: their sessions decide.
            self._wait_for_all(group)
            return
        group.next_generation(self._wall_ms())
        if not group.members:
            return
        for member in group.members.values():
            member.answer_join(group.as_join_result(member))
            member.is_new = False
            self.keep_alive(group, member)
            group.pending_syncs.add(member.member_id)
        group.sync_timer = self._scheduler.call_later(group.rebalance_timeout_ms, lambda: self._sync_timed_out(group))

    # -- the sync phase ----------------------------------------------------------------------------------------

    def synced(self, group: Group, member: Member) -> None:
        """A member's SyncGroup came; after the last one nobody is waited for."""
        group.pending_syncs.discard(member.member_id)
        if not group.pending_syncs:
            _stop(group.sync_timer)

    def assign(self, group: Group, assignments: Mapping[str, bytes]) -> None:
        """The leader's assignments came: the group is stable; a member that it left out gets an empty one."""
        group.become(GroupState.STABLE, self._wall_ms())
        for member in group.members.values():
            member.assignment = assignments.get(member.member_id, b"")
            if member.answer_sync(group.as_sync_result(member)):
                self.keep_alive(group, member)

    def _sync_timed_out(self, group: Group) -> None:
        for member_id in tuple(group.pending_syncs):
            self.remove(group, group.members[member_id])
        self.prepare(group)

    # -- the end -----------------------------------------------------------------------------------------------

    def stop(self, group: Group) -> None:
        """Cancel all timers of a group."""
        _stop(group.join_timer)
        _stop(group.sync_timer)
        for timer in group.pending_joins.values():
            timer.cancel()
        for member in group.members.values():
            member.stop_session()


def _stop(timer: Timer | None) -> None:
    if timer is not None:
        timer.cancel()
