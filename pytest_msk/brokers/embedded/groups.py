"""The consumer groups of this broker: Kafka's classic group protocol, without threads, sockets or a time of its own.

Requests go in as dataclasses, replies come out by a function that is called exactly once, now or later. Every wait is a
timer of the `Scheduler`, which runs on real time; the ages of committed offsets go by the test's clock (`wall_ms`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ._group_messages import (
    DeletedGroup,
    DescribedGroup,
    Heartbeat,
    HeartbeatResult,
    JoinGroup,
    JoinGroupResult,
    LeaveGroup,
    LeaveGroupResult,
    ListedGroup,
    Reply,
    SyncGroup,
    SyncGroupResult,
)
from .offsets import (
    CommitOffsets,
    CommittedOffset,
    DeleteOffsets,
    DeleteOffsetsResult,
    FetchOffsets,
    FetchOffsetsResult,
    PartitionResult,
    TopicPartition,
)

__all__ = ["GroupConfig", "GroupCoordinator", "Scheduler", "Timer"]


class Timer(Protocol):
    """Something that will happen; cancelling it twice, or after it happened, is no error."""

    def cancel(self) -> None:
        """Let it not happen."""


class Scheduler(Protocol):
    """Real time for the coordinator's session and rebalance timers."""

    def now_ms(self) -> int:
        """The current time, milliseconds."""

    def call_later(self, delay_ms: int, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, on the coordinator's thread, `delay_ms` from now; never during this call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupConfig:
    """The coordinator's settings, with Kafka's defaults.

    Args:
        min_session_timeout_ms: `group.min.session.timeout.ms`.
        max_session_timeout_ms: `group.max.session.timeout.ms`.
        initial_rebalance_delay_ms: `group.initial.rebalance.delay.ms`, how long an empty group waits for more members.
        max_size: `group.max.size`, the most members of one group.
        offsets_retention_ms: `offsets.retention.minutes`, here in milliseconds.
        offset_metadata_max_bytes: `offset.metadata.max.bytes`.
        hold_heartbeats: whether an answer to a heartbeat may wait for the next rebalance; Kafka itself never waits.
    """

    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 3_000
    max_size: int = 2**31 - 1
    offsets_retention_ms: int = 7 * 24 * 60 * 60 * 1000
    offset_metadata_max_bytes: int = 4_096
    hold_heartbeats: bool = True


class GroupCoordinator:
    """The coordinator of every group of this broker; one thread calls it, its timers included.

    Args:
        scheduler: real time.
        config: the settings.
        wall_ms: the test's clock, epoch milliseconds; commits are stamped with it. The scheduler's by default.
    """

    def __init__(self, scheduler: Scheduler, config: GroupConfig, *, wall_ms: Callable[[], int] | None = None) -> None:
        raise NotImplementedError

    # -- the protocol ------------------------------------------------------------------------------------------

    def join(self, request: JoinGroup, reply: Reply[JoinGroupResult]) -> None:
        """JoinGroup: answered when the join phase ends, or at once when it is refused or nothing changes."""
        raise NotImplementedError

    def sync(self, request: SyncGroup, reply: Reply[SyncGroupResult]) -> None:
        """SyncGroup: answered when the leader's assignments are there."""
        raise NotImplementedError

    def heartbeat(self, request: Heartbeat, reply: Reply[HeartbeatResult], *, hold: bool) -> None:
        """Heartbeat.

        Args:
            hold: whether the answer may wait (for 2 s or a third of the session timeout at most) so that a rebalance is
                told at once; only for clients that take answers out of order, or until `release_heartbeats`.
        """
        raise NotImplementedError

    def leave(self, request: LeaveGroup) -> LeaveGroupResult:
        """LeaveGroup: answered at once."""
        raise NotImplementedError

    def release_heartbeats(self, connection_id: int) -> None:
        """Answer the heartbeats held for a connection now, as success: its next request must not wait for them."""
        raise NotImplementedError

    def disconnected(self, connection_id: int) -> None:
        """A connection is gone: nothing is held for it any more. Its members stay until their sessions time out."""
        raise NotImplementedError

    # -- offsets -----------------------------------------------------------------------------------------------

    def commit_offsets(self, request: CommitOffsets) -> tuple[PartitionResult, ...]:
        """OffsetCommit; whether the topics exist is the caller's to check."""
        raise NotImplementedError

    def fetch_offsets(self, request: FetchOffsets) -> FetchOffsetsResult:
        """OffsetFetch, for one group."""
        raise NotImplementedError

    def delete_offsets(self, request: DeleteOffsets) -> DeleteOffsetsResult:
        """OffsetDelete; whether the topics exist is the caller's to check."""
        raise NotImplementedError

    def forget_topic(self, topic: str) -> None:
        """A topic was deleted: no group has offsets in it any more."""
        raise NotImplementedError

    def expire_offsets(self, now_ms: int) -> None:
        """Forget the offsets whose retention is over, and the empty groups that are left with none.

        Args:
            now_ms: the test's clock, epoch milliseconds.
        """
        raise NotImplementedError

    # -- administration ----------------------------------------------------------------------------------------

    def describe(self, group_id: str) -> DescribedGroup:
        """One group, as DescribeGroups shows it."""
        raise NotImplementedError

    def list_groups(self, states: Iterable[str] = (), types: Iterable[str] = ()) -> tuple[ListedGroup, ...]:
        """All groups, or those in the given states and of the given types (Kafka's names, any case)."""
        raise NotImplementedError

    def delete_groups(self, group_ids: Iterable[str]) -> tuple[DeletedGroup, ...]:
        """DeleteGroups: only groups without members go, with their offsets."""
        raise NotImplementedError

    # -- the Python face ---------------------------------------------------------------------------------------

    def groups(self) -> tuple[DescribedGroup, ...]:
        """Every group with its members, by id, whatever its state: subscriptions and assignments as they are now."""
        raise NotImplementedError

    def committed(self, group_id: str) -> dict[TopicPartition, CommittedOffset]:
        """A group's committed offsets; empty for an unknown group."""
        raise NotImplementedError

    def expire_member(self, group_id: str, member_id: str) -> None:
        """Let a member's session time out now.

        Args:
            member_id: its member id, or its group instance id.

        Raises:
            BrokerError: there is no such group or member.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Cancel every timer and forget every waiting reply: the broker ends."""
        raise NotImplementedError
