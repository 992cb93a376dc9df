"""Real Kafka: the questions of the `Broker` protocol, asked through confluent-kafka's admin client."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from ..clock import Clock, Deadline
from ..errors import BrokerError, TopicExists
from . import BrokerKind, ClientSetting, Committer, Limit, Watermarks
from .clients import Clients, committer

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import Consumer, KafkaError, Message, Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._group import ConsumerGroupListing

__all__ = ["KIT_TOPIC_CONFIG", "ClusterBroker"]

T = TypeVar("T")

#: What a topic of the kit gets unless the caller says otherwise: a test's clock may stand anywhere, and Kafka
#: refuses records of the future and deletes those of the past by its own clock.
KIT_TOPIC_CONFIG: Mapping[str, str] = {"message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"}

# The topics that Kafka keeps for itself (org.apache.kafka.common.internals.Topic).
_INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})

# The protocol's names for the ends of a log, given as a time (ListOffsets).
_LATEST = -1
_EARLIEST = -2

# Between two looks at a broker that is still busy with what was asked, seconds.
_PAUSE = 0.01

# How long members may take to leave a group that is being deleted, seconds.
_LEAVING_TIMEOUT = 5.0

# The group that reads a log without joining or committing: the broker never hears its name.
_LOG_READER = "pytest-msk-log-reader"


class Refused(BrokerError):
    """The broker, or the client before it asked, answered with an error.

    Args:
        text: the whole sentence.
        error: the error that was given.
    """

    def __init__(self, text: str, error: KafkaError) -> None:
        super().__init__(text)
        self.error = error


class ClusterBroker(ABC):
    """A Kafka cluster over the network; the base of the container and the external broker.

    Args:
        bootstrap_servers: `host:port`, several joined by commas.
        timeout: how long the cluster may take over one question, seconds.
        settings: what every client needs (librdkafka's names).
        topic_config: settings of each topic made here, below the caller's own.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        timeout: float,
        settings: Mapping[str, ClientSetting] | None = None,
        topic_config: Mapping[str, str] = KIT_TOPIC_CONFIG,
    ) -> None:
        self.clients = Clients(bootstrap_servers, settings)
        self._timeout = timeout
        self._topic_config = dict(topic_config)
        self._admin_client: AdminClient | None = None

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

    # --- clients

    def client_config(self, **settings: ClientSetting) -> dict[str, ClientSetting]:
        """Settings for a confluent-kafka client, made quick for tests; `settings` (with `_` for `.`) win."""
        return self.clients.client_config(**settings)

    def producer(self, **settings: ClientSetting) -> Producer:
        """A new producer; closed with the broker if the caller does not close it."""
        return self.clients.producer(**settings)

    def consumer(self, group: str, **settings: ClientSetting) -> Consumer:
        """A new consumer in `group`, from the earliest record on; it commits only when it is told to."""
        return self.clients.consumer(group, **settings)

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
            self._ask(asked, deadline, lambda a, t: a.create_topics([topic], request_timeout=t)[name])

        while (refused := self._refusal(create)) is not None:
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
        self._wait_until_usable(asked, name, range(partitions), deadline)

    def _created(self, name: str) -> None:  # noqa: B027 - most kinds need not know
        """Called as soon as a topic exists, usable or not."""

    def delete_topic(self, name: str) -> None:
        """Delete a topic and return when it is gone; one that is not there is no error."""
        from confluent_kafka import KafkaError

        asked = f"Deleting topic {name!r}"
        deadline = Deadline(self._timeout)
        try:
            self._ask(asked, deadline, lambda a, t: a.delete_topics([name], request_timeout=t)[name])
        except Refused as refused:
            if refused.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
        while self.partition_count(name):
            self._pause(f"{asked}: it is still there", deadline)

    def create_partitions(self, name: str, total: int) -> None:
        """Raise a topic's number of partitions to `total` and return when a new client can use them."""
        from confluent_kafka.cimpl import NewPartitions

        asked = f"Raising topic {name!r} to {_partitions(total)}"
        deadline = Deadline(self._timeout)
        new = NewPartitions(name, total)
        self._ask(asked, deadline, lambda a, t: a.create_partitions([new], request_timeout=t)[name])
        self._wait_until_usable(asked, name, range(total), deadline)

    def topics(self) -> frozenset[str]:
        """The names of all topics, internal ones left out."""
        asked = "Listing the topics"
        listed = self._call(asked, lambda admin: admin.list_topics(timeout=self._timeout))
        return frozenset(listed.topics) - _INTERNAL_TOPICS

    def partition_count(self, name: str) -> int:
        """How many partitions a topic has; 0 when it does not exist."""
        from confluent_kafka import KafkaError, TopicCollection

        asked = f"Describing topic {name!r}"
        names = TopicCollection([name])  # list_topics(name) would create it where the cluster creates by mere use
        try:
            found = self._ask(
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
        low = self._offsets_at(asked, name, partitions, _EARLIEST)
        high = self._offsets_at(asked, name, partitions, _LATEST)
        return {partition: Watermarks(low=low[partition], high=high[partition]) for partition in partitions}

    def offsets_for_time(self, name: str, timestamp_ms: int) -> dict[int, int]:
        """Per partition the offset of the first record with at least this timestamp (epoch ms), else the log's end."""
        asked = f"Asking for the offsets of topic {name!r} at {timestamp_ms} ms"
        partitions = range(self._partitions_of(name, asked))
        # The end comes first: a record that arrives in between is then at or after it.
        end = self._offsets_at(asked, name, partitions, _LATEST)
        # Below 0 are the protocol's names for the log's ends.
        found = self._offsets_at(asked, name, partitions, max(0, timestamp_ms))
        return {partition: end[partition] if found[partition] < 0 else found[partition] for partition in partitions}

    def offsets(self, name: str) -> dict[int, tuple[range, ...]]:
        """Per partition the offsets at which the log holds a record now, ascending; control markers are none.

        The log itself is read: only its records say where compaction and transactions left gaps.
        """
        from confluent_kafka import TopicPartition

        asked = f"Reading the log of topic {name!r}"
        marks = self.watermarks(name)
        found: dict[int, list[range]] = {partition: [] for partition in marks}
        unread = {partition: mark.high for partition, mark in marks.items() if mark.low < mark.high}
        consumer = self.clients.consumer(
            _LOG_READER, enable_partition_eof=True, isolation_level="read_uncommitted", auto_offset_reset="error"
        )
        try:
            consumer.assign([TopicPartition(name, partition, marks[partition].low) for partition in unread])
            deadline = Deadline(self._timeout)
            while unread:
                messages = consumer.consume(10_000, 0) or consumer.consume(1, 0.1)
                if messages:
                    deadline = Deadline(self._timeout)  # of silence: a large log may take its time
                elif deadline.passed:
                    raise BrokerError(f"{asked} ended: {self.bootstrap_servers} sent nothing for {self._timeout:g} s.")
                for partition, offsets in _runs([message for message in messages if message.error() is None]):
                    _extend(found[partition], offsets, marks[partition].high)
                    if offsets[-1] + 1 >= marks[partition].high:
                        unread.pop(partition, None)
                for message in messages:
                    error = message.error()
                    if error is None:
                        continue
                    if error.code() != error._PARTITION_EOF:
                        raise self._refused(asked, error)
                    # The end also stands for the markers and gaps before it, which no record shows.
                    unread.pop(message.partition() or 0, None)
        finally:
            consumer.close()
        return {partition: tuple(ranges) for partition, ranges in found.items()}

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
            self._ask_leaders(asked, deadline, delete)

    # --- groups

    def groups(self) -> frozenset[str]:
        """The ids of all consumer groups that the cluster knows."""
        return frozenset(group.group_id for group in self._listed_groups())

    def abandoned_groups(self) -> frozenset[str]:
        """The ids of the consumer groups without members that this session may delete."""
        from confluent_kafka import ConsumerGroupState

        return frozenset(group.group_id for group in self._listed_groups() if group.state == ConsumerGroupState.EMPTY)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """A group's committed offsets in a topic, per partition; a partition without one is left out."""
        from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError

        asked = f"Asking for the committed offsets of group {group!r}"
        request = [ConsumerGroupTopicPartitions(group)]
        try:
            found = self._ask(
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
        found = self._ask(
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
        while (refused := self._refusal(partial(self._delete_group, asked, group, deadline))) is not None:
            if refused.error.code() == KafkaError.GROUP_ID_NOT_FOUND:
                return
            if refused.error.code() != KafkaError.NON_EMPTY_GROUP:
                raise refused
            if deadline.passed:
                raise BrokerError(
                    f"{asked} on {self.bootstrap_servers} failed: it still has members after {patience:g} s. "
                    "Close the consumers that are in it first."
                ) from refused
            time.sleep(_PAUSE)

    def _delete_group(self, asked: str, group: str, deadline: Deadline) -> None:
        self._ask(asked, deadline, lambda a, t: a.delete_consumer_groups([group], request_timeout=t)[group])

    # --- time and end

    def use_clock(self, clock: Clock) -> None:  # noqa: B027 - it is complete
        """Nothing: real Kafka goes by its own clock. The kit's topics are made so that this does not show."""

    def close(self) -> None:
        """End every client that this broker made; calling it twice is no error."""
        self._admin_client = None
        self.clients.close()

    # --- asking

    @property
    def _admin(self) -> AdminClient:
        if self._admin_client is None:
            from confluent_kafka.admin import AdminClient

            self._admin_client = AdminClient(self.clients.client_config())
        return self._admin_client

    def _call(self, asked: str, question: Callable[[AdminClient], T]) -> T:
        """Put a question; what the client itself refuses is an answer too."""
        from confluent_kafka import KafkaException

        try:
            return question(self._admin)
        except KafkaException as raised:
            raise self._refused(asked, raised.args[0]) from raised
        except (TypeError, ValueError) as raised:
            raise BrokerError(f"{asked} was not even sent: {raised}.") from raised

    def _ask(self, asked: str, deadline: Deadline, question: Callable[[AdminClient, float], Future[T]]) -> T:
        """Put a question that has one answer, and wait for it."""
        return self._answer(asked, deadline, self._call(asked, lambda admin: question(admin, _request(deadline))))

    def _ask_all(
        self, asked: str, deadline: Deadline, question: Callable[[AdminClient, float], Mapping[Any, Future[T]]]
    ) -> dict[Any, T]:
        """Put a question that has an answer for each of its keys, and wait for all of them."""
        answers = self._call(asked, lambda admin: question(admin, _request(deadline)))
        return {key: self._answer(asked, deadline, answer) for key, answer in answers.items()}

    def _answer(self, asked: str, deadline: Deadline, answer: Future[T]) -> T:
        from confluent_kafka import KafkaException

        try:
            return answer.result(deadline.left + 1)  # the client's own timeout comes first, and says more
        except KafkaException as raised:
            raise self._refused(asked, raised.args[0]) from raised
        except NoAnswer as late:
            raise BrokerError(
                f"{asked}: {self.bootstrap_servers} did not answer within {self._timeout:g} s (--msk-timeout)."
            ) from late

    def _refused(self, asked: str, error: KafkaError) -> Refused:
        advice = ""
        if error.code() in (error._TIMED_OUT, error._TRANSPORT, error._ALL_BROKERS_DOWN):
            advice = f" Is Kafka still running there? It has {self._timeout:g} s to answer (--msk-timeout)."
        return Refused(f"{asked} on {self.bootstrap_servers} failed: {error.str()} ({error.name()}).{advice}", error)

    def _listed_groups(self) -> list[ConsumerGroupListing]:
        from confluent_kafka import KafkaException

        asked = "Listing the consumer groups"
        listed = self._ask(asked, Deadline(self._timeout), lambda a, t: a.list_consumer_groups(request_timeout=t))
        for error in listed.errors:  # exceptions or what they wrap, as the version of confluent-kafka has it
            raise self._refused(asked, error.args[0] if isinstance(error, KafkaException) else error)
        return list(listed.valid)

    def _partitions_of(self, name: str, asked: str) -> int:
        count = self.partition_count(name)
        if not count:
            raise BrokerError(f"{asked}: there is no such topic on {self.bootstrap_servers}. Create it first.")
        return count

    def _offsets_at(
        self, asked: str, name: str, partitions: Iterable[int], when: int, deadline: Deadline | None = None
    ) -> dict[int, int]:
        """Per partition the offset at a time (epoch ms, or one of the protocol's names for the log's ends)."""
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

        spec = OffsetSpec.for_timestamp(when)  # it takes the names, too
        wanted = {TopicPartition(name, partition): spec for partition in partitions}
        found = self._ask_leaders(
            asked, deadline or Deadline(self._timeout), lambda a, t: a.list_offsets(wanted, request_timeout=t)
        )
        return {at.partition: info.offset for at, info in found.items()}

    def _ask_leaders(
        self, asked: str, deadline: Deadline, question: Callable[[AdminClient, float], Mapping[Any, Future[T]]]
    ) -> dict[Any, T]:
        """Put a question that goes to the leaders of partitions; leaders that are just changing are waited for."""
        from confluent_kafka import KafkaError

        changing = (
            KafkaError.LEADER_NOT_AVAILABLE,
            KafkaError.NOT_LEADER_FOR_PARTITION,
            KafkaError.REPLICA_NOT_AVAILABLE,
            KafkaError.UNKNOWN_LEADER_EPOCH,  # told of in the metadata, and not yet by the leader itself
            KafkaError.FENCED_LEADER_EPOCH,
        )
        stale = (KafkaError._UNKNOWN_PARTITION, KafkaError._NOENT)
        answers: list[dict[Any, T]] = []
        looked_again = False
        while refused := self._refusal(lambda: answers.append(self._ask_all(asked, deadline, question))):
            if refused.error.code() in changing:
                self._pause(f"{asked}: {refused.error.str()}", deadline)
            elif refused.error.code() in stale and not looked_again:
                # The client remembers a topic as it once was, without its newest partitions: make it look again.
                self._call(asked, lambda admin: admin.list_topics(timeout=_request(deadline)))
                looked_again = True
            else:
                raise refused
        return answers[0]

    def _wait_until_usable(self, asked: str, name: str, partitions: Iterable[int], deadline: Deadline) -> None:
        """Return when the leader of every partition answers: until then a fresh client meets errors and backs off."""
        from confluent_kafka import KafkaError

        not_yet = (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
            KafkaError._UNKNOWN_PARTITION,
            KafkaError._NOENT,
        )
        look = partial(self._offsets_at, asked, name, partitions, _LATEST, deadline)
        while (refused := self._refusal(look)) is not None:
            if refused.error.code() not in not_yet:
                raise refused
            self._pause(f"{asked}: it cannot be used yet ({refused.error.str()})", deadline)

    @staticmethod
    def _refusal(question: Callable[[], object]) -> Refused | None:
        """Put a question; returns what the broker refused it with."""
        try:
            question()
        except Refused as refused:
            return refused
        return None

    def _pause(self, state: str, deadline: Deadline) -> None:
        if deadline.passed:
            raise BrokerError(f"{state} on {self.bootstrap_servers} after {self._timeout:g} s (--msk-timeout).")
        time.sleep(_PAUSE)


def _request(deadline: Deadline) -> float:
    """The client's timeout for one request, seconds; it takes nothing below a millisecond."""
    return max(0.1, deadline.left)


def _partitions(count: int) -> str:
    return f"{count} partition" if count == 1 else f"{count} partitions"


def _runs(messages: list[Message]) -> Iterator[tuple[int, list[int]]]:
    """The partition and offsets of each run of records that come from one partition."""
    offsets = [message.offset() or 0 for message in messages]
    at = 0
    for partition, run in groupby([message.partition() or 0 for message in messages]):
        end = at + len(list(run))
        yield partition, offsets[at:end]
        at = end


def _extend(ranges: list[range], offsets: list[int], high: int) -> None:
    """Add ascending offsets below `high` to ranges, in one step where there is no gap."""
    if offsets[-1] >= high:
        offsets = [offset for offset in offsets if offset < high]
    if offsets and offsets[-1] - offsets[0] + 1 == len(offsets):
        new = [range(offsets[0], offsets[-1] + 1)]
    else:
        new = [range(offset, offset + 1) for offset in offsets]
    for piece in new:
        if ranges and ranges[-1].stop == piece.start:
            ranges[-1] = range(ranges[-1].start, piece.stop)
        else:
            ranges.append(piece)
