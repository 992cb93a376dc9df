"""What goes in and out of the groups of the consumer protocol (KIP-848), without its wire form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ._assignors import Assignment
from ._consumer_group import TopicInfo
from ._topic_regex import any_topic

__all__ = [
    "ConsumerGroupConfig",
    "ConsumerHeartbeat",
    "ConsumerHeartbeatResult",
    "NoTopics",
    "TopicCatalog",
]


class TopicCatalog(Protocol):
    """The topics that there are, as groups look at them."""

    @property
    def version(self) -> int:
        """A number that is another one whenever a topic was created, grown or deleted."""

    def infos(self) -> Mapping[str, TopicInfo]:
        """Every topic, by name."""


class NoTopics:
    """A catalog without a topic."""

    version = 0

    def infos(self) -> Mapping[str, TopicInfo]:
        """None at all."""
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerGroupConfig:
    """The coordinator's settings, with Kafka's defaults.

    Args:
        assignors: `group.consumer.assignors`, the default one first.
        session_timeout_ms: `group.consumer.session.timeout.ms`.
        heartbeat_interval_ms: `group.consumer.heartbeat.interval.ms`, what members are told.
        max_size: `group.consumer.max.size`.
    """

    assignors: tuple[str, ...] = ("uniform", "range")
    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 5_000
    max_size: int = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerHeartbeat:
    """A member's heartbeat; what did not change since its last one is None, or -1.

    Args:
        member_epoch: 0 to join, -1 to leave, -2 for a static member that will be back.
        topics: the names that it subscribes to.
        may_see: whether it may know of a topic that its `regex` matches.
        owned: the partitions that it has, by topic id and number.
        id_required: whether the client makes its own member id (version 1 and up).
    """

    group_id: str
    member_id: str
    member_epoch: int
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int = -1
    topics: tuple[str, ...] | None = None
    regex: str | None = None
    may_see: Callable[[str], bool] = field(default=any_topic, repr=False, compare=False)
    assignor: str | None = None
    owned: Assignment | None = None
    client_id: str = ""
    client_host: str = "/127.0.0.1"
    id_required: bool = True

    @property
    def is_full(self) -> bool:
        """Whether it tells all, so that it is told all."""
        complete = self.rebalance_timeout_ms != -1 and self.topics is not None and self.owned is not None
        return self.member_epoch == 0 or complete


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerHeartbeatResult:
    """What a member is to do; `assignment` is None when that did not change."""

    member_id: str
    member_epoch: int
    heartbeat_interval_ms: int
    assignment: Assignment | None = None
