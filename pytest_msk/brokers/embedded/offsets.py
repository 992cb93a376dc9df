"""The offsets that groups have committed, and when they are forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ErrorCode

__all__ = [
    "CommitOffsets",
    "CommittedOffset",
    "DeleteOffsets",
    "DeleteOffsetsResult",
    "FetchOffsets",
    "FetchOffsetsResult",
    "FetchedOffset",
    "OffsetCommit",
    "PartitionResult",
    "TopicPartition",
]

TopicPartition = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class OffsetCommit:
    """One partition's offset in a commit; `metadata` is None where the client sent null."""

    topic: str
    partition: int
    offset: int
    leader_epoch: int = -1
    metadata: str | None = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitOffsets:
    """A commit of a group's offsets.

    Args:
        generation_id: the member's generation; -1 and an empty `member_id` for a commit from outside the group.
        retention_ms: how long to keep these offsets (versions 2 to 4 of the request); -1 for the group's setting.
    """

    group_id: str
    generation_id: int = -1
    member_id: str = ""
    group_instance_id: str | None = None
    retention_ms: int = -1
    offsets: tuple[OffsetCommit, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionResult:
    """How it went for one partition of a request, in the request's order."""

    topic: str
    partition: int
    error: ErrorCode = ErrorCode.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOffsets:
    """Ask for a group's committed offsets; `partitions` None asks for all that there are."""

    group_id: str
    partitions: tuple[TopicPartition, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedOffset:
    """A partition's committed offset; -1 when there is none."""

    topic: str
    partition: int
    offset: int = -1
    leader_epoch: int = -1
    metadata: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOffsetsResult:
    """A group's committed offsets, in the request's order, or by topic and partition when it asked for all."""

    error: ErrorCode = ErrorCode.NONE
    offsets: tuple[FetchedOffset, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteOffsets:
    """Delete a group's offsets of some partitions."""

    group_id: str
    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteOffsetsResult:
    """The answer to OffsetDelete: an error of the whole request, or one for each partition."""

    error: ErrorCode = ErrorCode.NONE
    partitions: tuple[PartitionResult, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CommittedOffset:
    """A committed offset as it is kept.

    Args:
        commit_timestamp: when it was committed, epoch milliseconds of the test's clock.
        expire_timestamp: when it goes, epoch milliseconds; None when the group's retention decides.
    """

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp: int
    expire_timestamp: int | None
