"""Answers to heartbeats that wait, so that a member hears of a rebalance at once and not at its next heartbeat.

Kafka answers a heartbeat immediately. Here the answer may wait for a short while. Whatever ends the wait, the answer is
one that Kafka could have given to a heartbeat that arrived a little later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ._group_member import Member
from ._group_messages import HeartbeatResult, Reply
from ._scheduler import Scheduler, Timer
from .errors import ErrorCode

__all__ = ["HeldHeartbeats"]

# Just before librdkafka's next heartbeat is due (3 s by default): the next one to be held comes at once. A wait that is
# longer would make it skip a heartbeat, a shorter one would leave a gap in which a member hears of nothing.
_LONGEST_MS = 2_900


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    connection_id: int
    reply: Reply[HeartbeatResult]
    keep_alive: Callable[[], None]
    timer: Timer


class HeldHeartbeats:
    """At most one waiting heartbeat for each member."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._by_member: dict[Member, _Held] = {}

    def hold(
        self, member: Member, connection_id: int, reply: Reply[HeartbeatResult], keep_alive: Callable[[], None]
    ) -> None:
        """Let a heartbeat wait, for 2.9 s or half of the member's session timeout at most.

        Args:
            keep_alive: called when the wait ends and the member is still connected: it has been alive until then.
        """
        delay_ms = min(_LONGEST_MS, member.session_timeout_ms // 2)
        timer = self._scheduler.call_later(delay_ms, lambda: self.answer(member))
        self._by_member[member] = _Held(connection_id=connection_id, reply=reply, keep_alive=keep_alive, timer=timer)

    def answer(self, member: Member, error: ErrorCode = ErrorCode.NONE) -> None:
        """Answer a member's waiting heartbeat, if there is one."""
        if member in self._by_member:
            held = self._take(member)
            held.keep_alive()
            held.reply(HeartbeatResult(error=error))

    def answer_connection(self, connection_id: int) -> None:
        """Answer all that wait on a connection, as success."""
        for member in self._on_connection(connection_id):
            self.answer(member)

    def forget_connection(self, connection_id: int) -> None:
        """Answer all that wait on a dead connection: nobody hears it, and it keeps nobody alive."""
        for member in self._on_connection(connection_id):
            self._take(member).reply(HeartbeatResult())

    def close(self) -> None:
        """Forget all that wait, unanswered."""
        for member in tuple(self._by_member):
            self._take(member)

    def _on_connection(self, connection_id: int) -> list[Member]:
        return [member for member, held in self._by_member.items() if held.connection_id == connection_id]

    def _take(self, member: Member) -> _Held:
        held = self._by_member.pop(member)
        held.timer.cancel()
        return held
