"""What groups, of both protocols, do with committed offsets: who may commit, what is read, what expires."""

from __future__ import annotations

from collections.abc import Callable

from ._group import Group
from ._group_config import GroupConfig
from ._group_messages import GroupState
from ._group_rebalance import Rebalance
from .consumer_groups import ConsumerGroups
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

__all__ = ["GroupOffsets"]


class GroupOffsets:
    """The offsets of every group, with the rules of the groups.

    Args:
        rebalance: keeps a member alive that commits.
        consumer_groups: the groups of the consumer protocol.
        wall_ms: the test's clock, epoch milliseconds; commits are stamped with it.

    Attributes:
        consumer_groups: those of the consumer protocol; a group is there or classic, never both.
    """

    def __init__(
        self, config: GroupConfig, rebalance: Rebalance, consumer_groups: ConsumerGroups, wall_ms: Callable[[], int]
    ) -> None:
        self._config = config
        self._rebalance = rebalance
        self.consumer_groups = consumer_groups
        self._wall_ms = wall_ms
        self._groups: dict[str, Group] = {}
        self._offsets = Offsets()

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

    def committed(self, group_id: str) -> dict[TopicPartition, CommittedOffset]:
        """A group's committed offsets; empty for an unknown group."""
        return self._offsets.of(group_id)

    # -- inside ------------------------------------------------------------------------------------------------

    def _group(self, group_id: str) -> Group:
        group = self._groups.get(group_id)
        if group is None:
            group = self._groups[group_id] = Group(group_id, self._wall_ms())
        return group

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

    def _forget(self, group: Group) -> None:
        self._rebalance.stop(group)
        group.become(GroupState.DEAD, self._wall_ms())
        self._offsets.delete_group(group.group_id)
        del self._groups[group.group_id]
