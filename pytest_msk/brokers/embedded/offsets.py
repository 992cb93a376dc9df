"""The offsets that groups have committed, and when they are forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import ErrorCode

__all__ = [
    "CommitOffsets",
    "CommitTransactionOffsets",
    "CommittedOffset",
    "DeleteOffsets",
    "DeleteOffsetsResult",
    "FetchOffsets",
    "FetchOffsetsResult",
    "FetchedOffset",
    "OffsetCommit",
    "Offsets",
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
        retention_ms: how long to keep these offsets (versions 2 to 4 of the request); -1 for the broker's setting.
        group_id_not_found_known: whether the client knows GROUP_ID_NOT_FOUND here (version 9 and up).
    """

    group_id: str
    generation_id: int = -1
    member_id: str = ""
    group_instance_id: str | None = None
    retention_ms: int = -1
    group_id_not_found_known: bool = True
    offsets: tuple[OffsetCommit, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitTransactionOffsets:
    """A commit of a group's offsets in a producer's transaction: they count when that is committed.

    Args:
        generation_id: of the member that read; -1 with an empty `member_id` where the producer does not tell.
    """

    group_id: str
    producer_id: int
    generation_id: int = -1
    member_id: str = ""
    group_instance_id: str | None = None
    offsets: tuple[OffsetCommit, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionResult:
    """How it went for one partition of a request, in the request's order."""

    topic: str
    partition: int
    error: ErrorCode = ErrorCode.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchOffsets:
    """Ask for a group's committed offsets; `partitions` None asks for all that there are.

    Args:
        stable: refuse a partition whose offset an open transaction may change.
        member_id: who asks, in a group of the consumer protocol; None where the client does not tell.
    """

    group_id: str
    partitions: tuple[TopicPartition, ...] | None
    stable: bool = False
    member_id: str | None = None
    member_epoch: int = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedOffset:
    """A partition's committed offset; -1 when there is none."""

    topic: str
    partition: int
    offset: int = -1
    leader_epoch: int = -1
    metadata: str = ""
    error: ErrorCode = ErrorCode.NONE


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
        order: counts the commits, those in transactions included.
    """

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp: int
    expire_timestamp: int | None
    order: int = field(default=0, compare=False)


class Offsets:
    """The committed offsets of every group, without their rules: whether a commit may be is the group's to say."""

    def __init__(self) -> None:
        self._by_group: dict[str, dict[TopicPartition, CommittedOffset]] = {}
        self._pending: dict[str, dict[int, dict[TopicPartition, CommittedOffset]]] = {}
        self._order = itertools.count()

    def of(self, group_id: str) -> dict[TopicPartition, CommittedOffset]:
        """A group's offsets, a copy; empty for an unknown group."""
        return dict(self._by_group.get(group_id, {}))

    def commit(self, group_id: str, commit: OffsetCommit, *, now_ms: int, retention_ms: int) -> None:
        """Keep one partition's offset.

        Args:
            now_ms: the test's clock, epoch milliseconds.
            retention_ms: how long, as the client asked for; -1 for the broker's setting.
        """
        kept = self._kept(commit, now_ms=now_ms, retention_ms=retention_ms)
        self._by_group.setdefault(group_id, {})[commit.topic, commit.partition] = kept

    def commit_in_transaction(self, group_id: str, producer_id: int, commit: OffsetCommit, *, now_ms: int) -> None:
        """Keep one partition's offset until a producer's transaction ends; `now_ms` as for `commit`."""
        pending = self._pending.setdefault(group_id, {}).setdefault(producer_id, {})
        pending[commit.topic, commit.partition] = self._kept(commit, now_ms=now_ms, retention_ms=-1)

    def end_transaction(self, group_id: str, producer_id: int, *, commit: bool) -> None:
        """A producer's transaction ended: its offsets count, unless something newer was committed, or are dropped."""
        of_group = self._pending.get(group_id, {})
        pending = of_group.pop(producer_id, {})
        if not of_group:
            self._pending.pop(group_id, None)
        if not commit:
            return
        offsets = self._by_group.setdefault(group_id, {}) if pending else {}
        for key, kept in pending.items():
            if key not in offsets or offsets[key].order < kept.order:
                offsets[key] = kept

    def _kept(self, commit: OffsetCommit, *, now_ms: int, retention_ms: int) -> CommittedOffset:
        return CommittedOffset(
            offset=commit.offset,
            leader_epoch=commit.leader_epoch,
            metadata=commit.metadata or "",
            order=next(self._order),
            commit_timestamp=now_ms,
            expire_timestamp=None if retention_ms == -1 else now_ms + retention_ms,
        )

    def has_pending(self, group_id: str) -> bool:
        """Whether an open transaction has offsets of a group."""
        return group_id in self._pending

    def fetch(
        self, group_id: str, partitions: tuple[TopicPartition, ...] | None, *, stable: bool = False
    ) -> tuple[FetchedOffset, ...]:
        """Offsets as OffsetFetch answers them; all that there are for `partitions` None.

        Args:
            stable: answer UNSTABLE_OFFSET_COMMIT for a partition that an open transaction may change.
        """
        offsets = self._by_group.get(group_id, {})
        unstable = {key for each in self._pending.get(group_id, {}).values() for key in each} if stable else set()
        found = []
        for topic, partition in sorted(offsets) if partitions is None else partitions:
            kept = offsets.get((topic, partition))
            if (topic, partition) in unstable:
                error = ErrorCode.UNSTABLE_OFFSET_COMMIT
                found.append(FetchedOffset(topic=topic, partition=partition, error=error))
            elif kept is None:
                found.append(FetchedOffset(topic=topic, partition=partition))
            else:
                found.append(
                    FetchedOffset(
                        topic=topic,
                        partition=partition,
                        offset=kept.offset,
                        leader_epoch=kept.leader_epoch,
                        metadata=kept.metadata,
                    )
                )
        return tuple(found)

    def delete(self, group_id: str, topic: str, partition: int) -> None:
        """Forget one partition's offset; one that is not there is no error."""
        self._forget(group_id, lambda key, _: key == (topic, partition))

    def delete_group(self, group_id: str) -> None:
        """Forget a group's offsets."""
        self._by_group.pop(group_id, None)
        self._pending.pop(group_id, None)

    def delete_topic(self, topic: str) -> None:
        """Forget every group's offsets in a topic."""
        for group_id in tuple(self._by_group):
            self._forget(group_id, lambda key, _: key[0] == topic)
        for of_group in self._pending.values():
            for producer_id, pending in of_group.items():
                of_group[producer_id] = {key: kept for key, kept in pending.items() if key[0] != topic}

    def expire(self, group_id: str, is_over: Callable[[str, CommittedOffset], bool]) -> bool:
        """Forget the offsets of which `is_over(topic, offset)` is true; returns whether the group has none left.

        An offset that an open transaction may replace stays, as in Kafka.
        """
        pending = {key for each in self._pending.get(group_id, {}).values() for key in each}
        self._forget(group_id, lambda key, kept: key not in pending and is_over(key[0], kept))
        return group_id not in self._by_group and group_id not in self._pending

    def _forget(self, group_id: str, is_over: Callable[[TopicPartition, CommittedOffset], bool]) -> None:
        offsets = self._by_group.get(group_id, {})
        left = {key: kept for key, kept in offsets.items() if not is_over(key, kept)}
        if left:
            self._by_group[group_id] = left
        else:
            self._by_group.pop(group_id, None)
