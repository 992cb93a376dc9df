"""What goes in and out of the group coordinator: Kafka's group requests and responses without their wire form.

Names are those of Kafka's message definitions. Each request holds what one member sent; each result is what the
member gets. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from ._consumer_protocol import assigned_partitions, subscribed_topics
from .errors import ErrorCode

__all__ = [
    "DeletedGroup",
    "DescribedGroup",
    "GroupMember",
    "GroupState",
    "Heartbeat",
    "HeartbeatResult",
    "JoinGroup",
    "JoinGroupResult",
    "JoinedMember",
    "LeaveGroup",
    "LeaveGroupResult",
    "LeavingMember",
    "LeftMember",
    "ListedGroup",
    "Reply",
    "SyncGroup",
    "SyncGroupResult",
]

_Response = TypeVar("_Response")

Reply = Callable[[_Response], None]
"""Called exactly once with the response, during the call or later."""


class GroupState(str, Enum):
    """The state of a group, by the name that Kafka gives it in describe and list responses.

    A classic group prepares and completes rebalances; one of the consumer protocol is assigning, then reconciling.
    """

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    ASSIGNING = "Assigning"
    RECONCILING = "Reconciling"
    STABLE = "Stable"
    DEAD = "Dead"


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinGroup:
    """A member asks to be in the group's next generation.

    Args:
        group_id: the group.
        member_id: the id that the coordinator gave; empty for a new member.
        group_instance_id: the name of a static member; None for a dynamic one.
        protocol_type: `consumer` for consumers.
        protocols: the assignors that the member supports, best first: (name, metadata).
        session_timeout_ms: the member is dead when it is silent for this long.
        rebalance_timeout_ms: how long a rebalance waits for this member; version 0 has none, give the session timeout.
        client_id: of the request's header; new member ids start with it.
        client_host: the peer's address as Kafka shows it, such as `/127.0.0.1`.
        member_id_required: whether the client knows MEMBER_ID_REQUIRED (JoinGroup version 4 and up).
        skip_assignment_supported: whether the client knows skip_assignment (JoinGroup version 9 and up).
        initial_delay: whether a group that was empty waits for more members when this one joins.
    """

    group_id: str
    member_id: str = ""
    group_instance_id: str | None = None
    protocol_type: str = "consumer"
    protocols: tuple[tuple[str, bytes], ...]
    session_timeout_ms: int
    rebalance_timeout_ms: int
    client_id: str = ""
    client_host: str = "/127.0.0.1"
    member_id_required: bool = True
    skip_assignment_supported: bool = True
    initial_delay: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedMember:
    """One member as the leader sees it in its JoinGroup response."""

    member_id: str
    group_instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinGroupResult:
    """What a member gets when the join phase is over, or at once when it is refused.

    `members` is filled for the leader only. `protocol_name` is None where Kafka's version 7 and up has null;
    older versions write an empty string for it.
    """

    error: ErrorCode = ErrorCode.NONE
    generation_id: int = -1
    protocol_type: str | None = None
    protocol_name: str | None = None
    leader: str = ""
    skip_assignment: bool = False
    member_id: str = ""
    members: tuple[JoinedMember, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncGroup:
    """A member asks for its assignment; the leader brings everyone's.

    Args:
        protocol_type: as JoinGroup answered it; None below version 5.
        protocol_name: likewise.
        protocol_required: whether both must be there (SyncGroup version 5 and up).
        assignments: (member id, assignment) pairs; a follower has none.
    """

    group_id: str
    generation_id: int
    member_id: str
    group_instance_id: str | None = None
    protocol_type: str | None = None
    protocol_name: str | None = None
    protocol_required: bool = False
    assignments: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncGroupResult:
    """A member's assignment, or why it gets none."""

    error: ErrorCode = ErrorCode.NONE
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heartbeat:
    """A member says that it lives. `connection_id` is the server's name for the connection that it came on."""

    group_id: str
    generation_id: int
    member_id: str
    group_instance_id: str | None = None
    connection_id: int = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class HeartbeatResult:
    """Whether the member may go on."""

    error: ErrorCode = ErrorCode.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class LeavingMember:
    """Who shall leave: by member id, or by group instance id with an empty member id."""

    member_id: str = ""
    group_instance_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaveGroup:
    """Members leave; below version 3 there is exactly one, by member id."""

    group_id: str
    members: tuple[LeavingMember, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftMember:
    """How it went for one of the leaving members; below version 3 its error is the response's."""

    member_id: str
    group_instance_id: str | None
    error: ErrorCode = ErrorCode.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaveGroupResult:
    """The answer to LeaveGroup: an error of the whole request, or one for each member."""

    error: ErrorCode = ErrorCode.NONE
    members: tuple[LeftMember, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupMember:
    """One member of a group, as it is now.

    Args:
        metadata: what it sent for the group's protocol (a consumer's subscription); empty unless the group is stable.
        assignment: what the leader gave it last; it keeps that while a rebalance is prepared.
        epoch: the member's, in a group of the consumer protocol; -1 in a classic one.
    """

    member_id: str
    group_instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    metadata: bytes
    assignment: bytes
    epoch: int = -1

    @property
    def topics(self) -> frozenset[str]:
        """The topics that it subscribes to; none when the group is not stable, or not one of consumers."""
        return subscribed_topics(self.metadata) or frozenset()

    @property
    def partitions(self) -> frozenset[tuple[str, int]]:
        """The partitions that it was given, as (topic, partition); none when the group is not one of consumers."""
        return assigned_partitions(self.assignment) or frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribedGroup:
    """One group as DescribeGroups shows it, and as a test looks at it.

    `protocol` is the assignor's name, empty unless the group is stable; an unknown group is Dead with
    GROUP_ID_NOT_FOUND, which versions below 6 of the request send as no error. `generation_id` and `leader` are for
    tests: the wire has no place for them. In a group of the consumer protocol `generation_id` is the group's epoch, and
    nobody leads.
    """

    group_id: str
    error: ErrorCode = ErrorCode.NONE
    state: GroupState = GroupState.DEAD
    protocol_type: str = ""
    protocol: str = ""
    generation_id: int = -1
    leader: str = ""
    members: tuple[GroupMember, ...] = ()
    group_type: str = "classic"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedGroup:
    """One group as ListGroups shows it, of type `classic` or `consumer`."""

    group_id: str
    protocol_type: str
    state: GroupState
    group_type: str = "classic"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletedGroup:
    """How it went for one of the groups to delete."""

    group_id: str
    error: ErrorCode = ErrorCode.NONE
