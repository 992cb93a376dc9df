"""Real Kafka: the questions of the `Broker` protocol, put to a cluster over the network."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from ..clock import Clock, Deadline
from ..errors import BrokerError, NotSupported, TopicExists
from . import BrokerKind, ClientSetting, Committer, Limit, Watermarks
from ._log import read_offsets
from .admin import EARLIEST, LATEST, PAUSE, Admin, Refused
from .clients import Clients, committer
from .security import Authentication

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient
    from typing_extensions import Unpack

    from .embedded.faults import Faults
    from .embedded.nodes import BrokerNodes
    from .embedded.requests import Request, RequestScope

__all__ = ["KIT_TOPIC_CONFIG", "ClusterBroker"]

#: What a topic of the kit gets unless the caller says otherwise: a test's clock may stand anywhere, and Kafka
#: refuses records of the future and deletes those of the past by its own clock.
KIT_TOPIC_CONFIG: Mapping[str, str] = {"message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"}

# The topics that Kafka keeps for itself (org.apache.kafka.common.internals.Topic).
_INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})

# How long members may take to leave a group that is being deleted, seconds.
_LEAVING_TIMEOUT = 5.0


class ClusterBroker(ABC):
    """A Kafka cluster over the network; the base of the container and the external broker.

    Args:
        bootstrap_servers: `host:port`, several joined by commas.
        timeout: how long the cluster may take over one question, seconds.
        settings: what every client needs (librdkafka's names).
        secure: gives the settings of a way to authenticate and a user; None on a cluster whose users are not the kit's.
        topic_config: settings of each topic made here, below the caller's own.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        timeout: float,
        settings: Mapping[str, ClientSetting] | None = None,
        secure: Callable[[Authentication, str | None], Mapping[str, ClientSetting]] | None = None,
        topic_config: Mapping[str, str] = KIT_TOPIC_CONFIG,
    ) -> None:
        self.clients = Clients(bootstrap_servers, settings, secure=secure)
        self._timeout = timeout
        self._topic_config = dict(topic_config)
        self._admin = Admin(self.clients, timeout=timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.bootstrap_servers!r})"

    @property
    @abstractmethod
    def kind(self) -> BrokerKind:
        """Which of the three kinds this is."""

    @property
    @abstractmethod
    def limits(self) -> Sequence[Limit]:
        """What this kind does not do."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, several joined by commas."""
        return self.clients.bootstrap_servers

    # --- what only the embedded broker can do

    @property
    def nodes(self) -> BrokerNodes:
        """Refused: the nodes of real Kafka are not this process's."""
        raise self._embedded_only("stop nodes or move leaders")

    @property
    def faults(self) -> Faults:
        """Refused: real Kafka makes no mistakes on request."""
        raise self._embedded_only("make faults")

    def record_requests(self) -> None:
        """Refused: real Kafka does not show its requests."""
        raise self._embedded_only("record requests")

    def requests(
        self,
        api: str | None = None,  # noqa: ARG002
        **scope: Unpack[RequestScope],  # noqa: ARG002
    ) -> tuple[Request, ...]:
        """Refused: real Kafka does not show its requests."""
        raise self._embedded_only("record requests")

    def recover(self) -> None:  # noqa: B027 - it is complete
        """Nothing: real Kafka was not made to do anything wrong."""

    def _embedded_only(self, what: str) -> NotSupported:
        return NotSupported(
            f"The {self.kind} broker cannot {what}: that is the embedded broker's. Run this test on it, with "
            'pytest.mark.msk(broker="embedded") or --msk-broker=embedded.'
        )

    # --- clients

    def client_config(
        self, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> dict[str, ClientSetting]:
        """Settings for a confluent-kafka client, made quick for tests; see `Broker.client_config`."""
        return self.clients.client_config(auth=auth, user=user, **settings)

    def producer(
        self, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Producer:
        """A new producer; closed with the broker if the caller does not close it."""
        return self.clients.producer(auth=auth, user=user, **settings)

    def consumer(
        self, group: str, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Consumer:
        """A new consumer in `group`, from the earliest record on; it commits only when it is told to."""
        return self.clients.consumer(group, auth=auth, user=user, **settings)

    # --- topics

    def client_scope(self) -> AbstractContextManager[None]:
        """Close, at the end of a `with` block, the clients that were made in it and are still open."""
        return self.clients.scope()

    def create_topic(self, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic and return when a new client can use it.

        Args:
            name: its name.
            partitions: how many it has.
            config: topic settings under Kafka's own names.

        Raises:
            TopicExists: it is there already; it is not touched.
            BrokerError: the broker refused it, or it was not usable in time.
        """
        from confluent_kafka import KafkaError
        from confluent_kafka.cimpl import NewTopic

        asked = f"Creating topic {name!r} with {_partitions(partitions)}"
        deadline = Deadline(self._timeout)
        own = dict(self._topic_config)

        def create() -> None:
            topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config={**own, **(config or {})})
            self._admin.ask(asked, deadline, lambda a, t: a.create_topics([topic], request_timeout=t)[name])

        while (refused := self._admin.refusal(create)) is not None:
            code, reason = refused.error.code(), refused.error.str()
            if code == KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicExists(
                    f"Topic {name!r} is there already on {self.bootstrap_servers}, and it is not touched: "
                    "choose another name, or give none and the kit makes one up."
                ) from refused
            # Kafka below 3.6 has no message.timestamp.after.max.ms, and no limit there that it would lift.
            unknown = [key for key in own if key in reason]
            if code != KafkaError.INVALID_CONFIG or not unknown:
                raise refused
            del own[unknown[0]]
        self._created(name)
        self._admin.wait_until_usable(asked, name, range(partitions), deadline)

    def _created(self, name: str) -> None:  # noqa: B027 - most kinds need not know
        """Called as soon as a topic exists, usable or not."""

    def delete_topic(self, name: str) -> None:
        """Delete a topic and return when it is gone; one that is not there is no error."""
        from confluent_kafka import KafkaError

        asked = f"Deleting topic {name!r}"
        deadline = Deadline(self._timeout)
        try:
            self._admin.ask(asked, deadline, lambda a, t: a.delete_topics([name], request_timeout=t)[name])
        except Refused as refused:
            if refused.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
        while self.partition_count(name):
            self._admin.pause(f"{asked}: it is still there", deadline)

    def create_partitions(self, name: str, total: int) -> None:
        """Raise a topic's number of partitions to `total` and return when a new client can use them."""
        from confluent_kafka.cimpl import NewPartitions

        asked = f"Raising topic {name!r} to {_partitions(total)}"
        deadline = Deadline(self._timeout)
        new = NewPartitions(name, total)
        self._admin.ask(asked, deadline, lambda a, t: a.create_partitions([new], request_timeout=t)[name])
        self._admin.wait_until_usable(asked, name, range(total), deadline)

    def topics(self) -> frozenset[str]:
        """The names of all topics, internal ones left out."""
        asked = "Listing the topics"
        listed = self._admin.call(asked, lambda admin: admin.list_topics(timeout=self._timeout))
        return frozenset(listed.topics) - _INTERNAL_TOPICS

    def partition_count(self, name: str) -> int:
        """How many partitions a topic has; 0 when it does not exist."""
        from confluent_kafka import KafkaError, TopicCollection

        asked = f"Describing topic {name!r}"
        names = TopicCollection([name])  # list_topics(name) would create it where the cluster creates by mere use
        try:
            found = self._admin.ask(
                asked, Deadline(self._timeout), lambda a, t: a.describe_topics(names, request_timeout=t)[name]
            )
        except Refused as refused:
            if refused.error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION):
                return 0
            raise
        return len(found.partitions)

    # --- logs

    def watermarks(self, name: str) -> dict[int, Watermarks]:
        """Where the log of each partition begins and ends."""
        asked = f"Asking where the log of topic {name!r} begins and ends"
        partitions = range(self._partitions_of(name, asked))
        low = self._admin.offsets_at(asked, name, partitions, EARLIEST)
        high = self._admin.offsets_at(asked, name, partitions, LATEST)
        return {partition: Watermarks(low=low[partition], high=high[partition]) for partition in partitions}

    def offsets_for_time(self, name: str, timestamp_ms: int) -> dict[int, int]:
        """Per partition the offset of the first record with at least this timestamp (epoch ms), else the log's end."""
        asked = f"Asking for the offsets of topic {name!r} at {timestamp_ms} ms"
        partitions = range(self._partitions_of(name, asked))
        # The end comes first: a record that arrives in between is then at or after it.
        end = self._admin.offsets_at(asked, name, partitions, LATEST)
        # Below 0 are the protocol's names for the log's ends.
        found = self._admin.offsets_at(asked, name, partitions, max(0, timestamp_ms))
        return {partition: end[partition] if found[partition] < 0 else found[partition] for partition in partitions}

    def offsets(self, name: str) -> dict[int, tuple[range, ...]]:
        """Per partition the offsets at which the log holds a record now, ascending; control markers are none.

        The log itself is read: only its records say where compaction and transactions left gaps.
        """
        return read_offsets(self._admin, name, self.watermarks(name))

    def delete_records(self, name: str, before: Mapping[int, int]) -> None:
        """Delete each named partition's records below an offset.

        Raises:
            BrokerError: the broker refused, for instance because an offset lies beyond the log's end.
        """
        from confluent_kafka import TopicPartition

        asked = f"Deleting the records of topic {name!r} before {dict(before)}"
        deadline = Deadline(self._timeout)
        partitions = self._partitions_of(name, asked)
        missing = [partition for partition in before if not 0 <= partition < partitions]
        if missing:
            raise BrokerError(f"{asked}: there is no partition {missing[0]}, the topic has {_partitions(partitions)}.")

        def delete(admin: AdminClient, seconds: float) -> Mapping[Any, Future[object]]:
            # New objects for each attempt: confluent-kafka 2.8 frees those of one that the client refuses.
            cuts = [TopicPartition(name, partition, offset) for partition, offset in before.items()]
            return admin.delete_records(cuts, request_timeout=seconds)

        if before:
            self._admin.ask_leaders(asked, deadline, delete)

    def _partitions_of(self, name: str, asked: str) -> int:
        count = self.partition_count(name)
        if not count:
            raise BrokerError(f"{asked}: there is no such topic on {self.bootstrap_servers}. Create it first.")
        return count

    # --- groups

    def groups(self) -> frozenset[str]:
        """The ids of all consumer groups that the cluster knows."""
        return frozenset(group.group_id for group in self._admin.groups())

    def abandoned_groups(self) -> frozenset[str]:
        """The ids of the consumer groups without members that this session may delete."""
        from confluent_kafka import ConsumerGroupState

        return frozenset(group.group_id for group in self._admin.groups() if group.state == ConsumerGroupState.EMPTY)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """A group's committed offsets in a topic, per partition; a partition without one is left out."""
        from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError

        asked = f"Asking for the committed offsets of group {group!r}"
        request = [ConsumerGroupTopicPartitions(group)]
        try:
            found = self._admin.ask(
                asked,
                Deadline(self._timeout),
                lambda a, t: a.list_consumer_group_offsets(request, request_timeout=t)[group],
            )
        except Refused as refused:
            if refused.error.code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise
        return {at.partition: at.offset for at in found.topic_partitions if at.topic == topic and at.offset >= 0}

    def committer(self, consumer: Consumer, group: str, topic: str) -> Committer:  # noqa: ARG002 - the consumer knows
        """What commits as `consumer`, a member of `group`; see `Broker.committer`."""
        return committer(consumer, topic)

    def rebalancing(self, group: str) -> bool:
        """Whether a group is between two generations: its members are joining, or wait for their partitions."""
        from confluent_kafka import ConsumerGroupState

        asked = f"Asking for the state of group {group!r}"
        found = self._admin.ask(
            asked, Deadline(self._timeout), lambda a, t: a.describe_consumer_groups([group], request_timeout=t)[group]
        )
        return found.state in (ConsumerGroupState.PREPARING_REBALANCING, ConsumerGroupState.COMPLETING_REBALANCING)

    def delete_group(self, group: str) -> None:
        """Delete a group and its offsets; one that is not there is no error.

        Members that are just leaving are waited for, up to 5 s.

        Raises:
            BrokerError: the group still has members.
        """
        from confluent_kafka import KafkaError

        asked = f"Deleting group {group!r}"
        patience = min(self._timeout, _LEAVING_TIMEOUT)
        deadline = Deadline(patience)
        while (refused := self._admin.refusal(partial(self._delete_group, asked, group, deadline))) is not None:
            if refused.error.code() == KafkaError.GROUP_ID_NOT_FOUND:
                return
            if refused.error.code() != KafkaError.NON_EMPTY_GROUP:
                raise refused
            if deadline.passed:
                raise BrokerError(
                    f"{asked} on {self.bootstrap_servers} failed: it still has members after {patience:g} s. "
                    "Close the consumers that are in it first."
                ) from refused
            time.sleep(PAUSE)

    def _delete_group(self, asked: str, group: str, deadline: Deadline) -> None:
        self._admin.ask(asked, deadline, lambda a, t: a.delete_consumer_groups([group], request_timeout=t)[group])

    # --- time and end

    def use_clock(self, clock: Clock) -> None:  # noqa: B027 - it is complete
        """Nothing: real Kafka goes by its own clock. The kit's topics are made so that this does not show."""

    def close(self) -> None:
        """End every client that this broker made; calling it twice is no error."""
        self._admin.close()
        self.clients.close()


def _partitions(count: int) -> str:
    return f"{count} partition" if count == 1 else f"{count} partitions"
