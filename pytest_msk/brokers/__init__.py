"""Brokers: one protocol, three kinds.

*embedded* is Kafka in Python, in a thread of this process; *container* is real Apache Kafka through
testcontainers; *external* is a cluster that somebody else runs. Everything else in this project knows only `Broker`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from typing_extensions import Unpack

    from ..clock import Clock
    from .embedded.faults import Faults
    from .embedded.nodes import BrokerNodes
    from .embedded.requests import Request, RequestScope
    from .security import Authentication

__all__ = [
    "BROKER_KINDS",
    "MOST_NODES",
    "Broker",
    "BrokerKind",
    "ClientSetting",
    "Committer",
    "Limit",
    "Watermarks",
]

BrokerKind = Literal["embedded", "container", "external"]
BROKER_KINDS: tuple[BrokerKind, ...] = ("embedded", "container", "external")

#: Of an embedded cluster, as of one of MSK.
MOST_NODES = 30

# A callable is a callback under confluent-kafka's own name, such as `oauth_cb`.
ClientSetting: TypeAlias = "str | int | float | bool | Callable[..., object]"
Committer: TypeAlias = "Callable[[Mapping[int, int]], str | None]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Watermarks:
    """Where a partition's log begins and ends: offsets `low` ≤ o < `high`."""

    low: int
    high: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One thing that a kind of broker does not do, and what to use instead."""

    name: str
    reason: str
    instead: str


class Broker(Protocol):
    """A Kafka broker as the rest of the kit sees it.

    Every method that asks the broker something raises `BrokerError` when the broker refuses or does not answer.
    """

    @property
    def kind(self) -> BrokerKind:
        """Which of the three kinds this is."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, several joined by commas."""

    @property
    def limits(self) -> Sequence[Limit]:
        """What this kind does not do."""

    @property
    def nodes(self) -> BrokerNodes:
        """The nodes of the cluster by id: `nodes[2].stop()`; embedded only.

        Raises:
            NotSupported: this kind cannot do that.
        """

    @property
    def faults(self) -> Faults:
        """What a test lets the broker do wrong: `faults.fail("Produce", "NOT_ENOUGH_REPLICAS")`; embedded only.

        Raises:
            NotSupported: this kind cannot do that.
        """

    def record_requests(self) -> None:
        """Keep the requests that come in from now on, for `requests`; embedded only.

        Raises:
            NotSupported: this kind cannot do that.
        """

    def requests(self, api: str | None = None, **scope: Unpack[RequestScope]) -> tuple[Request, ...]:
        """The requests since `record_requests`, the oldest first; embedded only.

        Args:
            api: by Kafka's own name, such as `OffsetCommit`; None for every API.
            scope: `topic`, `partition`, `group`, `client_id` or `node` that they are about, or came from or to.

        Raises:
            NotSupported: this kind cannot do that.
        """

    def recover(self) -> None:
        """End what a test let this broker do wrong; the fixtures call it after each test."""

    def client_config(
        self, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> dict[str, ClientSetting]:
        """Settings for a confluent-kafka client, made quick for tests.

        Args:
            auth: how the client shows who it is: `plaintext`, `tls`, `mtls`, `scram`, `iam`, and for self-managed
                clusters `scram-sha-256` and `plain`.
            user: who it is: a user's name, for `iam` an access key's id, for `mtls` a certificate's subject; the first
                one that the broker knows if it is not given.
            settings: librdkafka's own settings with `_` for `.`; they win.

        Raises:
            BrokerError: the broker has no such user.
            NotSupported: this kind of broker has no such listener.
        """

    def bootstrap_servers_for(self, auth: Authentication) -> str:
        """The addresses for clients that authenticate in this way.

        Raises:
            NotSupported: this kind of broker has no such listener.
        """

    def set_password(self, user: str, password: str) -> None:
        """Let a user log in with this password by SASL/SCRAM; a new one is made, a known one gets another password.

        Raises:
            NotSupported: this kind of broker's users are somebody else's.
        """

    def security_scope(self) -> AbstractContextManager[None]:
        """Have, after a `with` block, the users and ACLs from before it, where they are this kit's."""

    def producer(
        self, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Producer:
        """A new producer on this broker; closed with the broker if the caller does not close it."""

    def consumer(
        self, group: str, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Consumer:
        """A new consumer in `group`, from the earliest record on; closed with the broker if the caller does not."""

    def client_scope(self) -> AbstractContextManager[None]:
        """Close, at the end of a `with` block, the clients that were made in it and are still open."""

    def create_topic(self, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic and return when it can be used.

        Raises:
            TopicExists: it is there already.
        """

    def delete_topic(self, name: str) -> None:
        """Delete a topic; one that is not there is no error."""

    def create_partitions(self, name: str, total: int) -> None:
        """Raise a topic's number of partitions to `total`."""

    def topics(self) -> frozenset[str]:
        """The names of all topics, internal ones left out."""

    def partition_count(self, name: str) -> int:
        """How many partitions a topic has; 0 when it does not exist."""

    def watermarks(self, name: str) -> dict[int, Watermarks]:
        """Where the log of each partition begins and ends."""

    def offsets_for_time(self, name: str, timestamp_ms: int) -> dict[int, int]:
        """Per partition the offset of the first record with at least this timestamp (epoch ms), else the log's end."""

    def offsets(self, name: str) -> dict[int, tuple[range, ...]]:
        """Per partition the offsets at which the log holds a record now, ascending; control markers are none."""

    def delete_records(self, name: str, before: Mapping[int, int]) -> None:
        """Delete each named partition's records below an offset."""

    def groups(self) -> frozenset[str]:
        """The ids of all consumer groups that the broker knows."""

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """A group's committed offsets in a topic, per partition; a partition without one is left out."""

    def abandoned_groups(self) -> frozenset[str]:
        """The ids of the consumer groups without members that this session may delete."""

    def committer(self, consumer: Consumer, group: str, topic: str) -> Committer:
        """What commits as `consumer`, a member of `group`, for as long as its assignment lasts.

        Returns:
            A function of the next offsets to be read, per partition. It answers `None` when the broker has them, and
            the broker's reason when it refused because the group has rebalanced; other refusals are `BrokerError`.
        """

    def rebalancing(self, group: str) -> bool:
        """Whether a group is between two generations: its members are joining, or wait for their partitions."""

    def delete_group(self, group: str) -> None:
        """Delete a group and its offsets; one that is not there is no error."""

    def use_clock(self, clock: Clock) -> None:
        """Let retention and record timestamps follow `clock`, where this kind can."""

    def close(self) -> None:
        """End every client that this broker made, and what it started itself; calling it twice is no error."""
