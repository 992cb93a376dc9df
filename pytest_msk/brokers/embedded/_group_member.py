"""One member of a classic group: what it said when it joined, and which of its requests wait for an answer."""

from __future__ import annotations

from dataclasses import dataclass

from ._group_messages import GroupMember, JoinedMember, JoinGroupResult, Reply, SyncGroupResult
from ._scheduler import Timer

__all__ = ["Member"]


@dataclass(eq=False, kw_only=True, slots=True)
class Member:
    """A member, dynamic or static.

    Args:
        is_new: it has not been in a generation yet: its session runs even while its JoinGroup waits.
        joining: the reply of its JoinGroup, while that waits for the end of the join phase.
        syncing: the reply of its SyncGroup, while that waits for the leader.
        session: the timer that expires it.
    """

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    assignment: bytes = b""
    is_new: bool = False
    joining: Reply[JoinGroupResult] | None = None
    syncing: Reply[SyncGroupResult] | None = None
    session: Timer | None = None

    @property
    def protocol_names(self) -> frozenset[str]:
        """The names of the protocols that it supports."""
        return frozenset(name for name, _ in self.protocols)

    @property
    def excused(self) -> bool:
        """Whether it needs no heartbeat now: it waits for the others, not they for it."""
        return not self.is_new and (self.joining is not None or self.syncing is not None)

    def metadata(self, protocol: str | None) -> bytes:
        """What it sent for a protocol; empty for one that it does not support."""
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")

    def vote(self, candidates: frozenset[str]) -> str:
        """The candidate that it likes best."""
        return next(name for name, _ in self.protocols if name in candidates)

    def answer_join(self, result: JoinGroupResult) -> None:
        """Answer its waiting JoinGroup, if there is one."""
        reply, self.joining = self.joining, None
        if reply is not None:
            reply(result)

    def answer_sync(self, result: SyncGroupResult) -> bool:
        """Answer its waiting SyncGroup; returns whether there was one."""
        reply, self.syncing = self.syncing, None
        if reply is not None:
            reply(result)
        return reply is not None

    def stop_session(self) -> None:
        """Cancel the timer that would expire it."""
        if self.session is not None:
            self.session.cancel()

    def as_joined(self, protocol: str | None) -> JoinedMember:
        """It as the leader sees it."""
        return JoinedMember(
            member_id=self.member_id, group_instance_id=self.group_instance_id, metadata=self.metadata(protocol)
        )

    def as_described(self, protocol: str | None) -> GroupMember:
        """It as DescribeGroups shows it; its metadata only for a chosen protocol."""
        return GroupMember(
            member_id=self.member_id,
            group_instance_id=self.group_instance_id,
            client_id=self.client_id,
            client_host=self.client_host,
            session_timeout_ms=self.session_timeout_ms,
            rebalance_timeout_ms=self.rebalance_timeout_ms,
            metadata=self.metadata(protocol),
            assignment=self.assignment,
        )
