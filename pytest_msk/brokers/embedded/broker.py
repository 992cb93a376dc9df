"""The embedded broker as a test sees it: started, asked, looked into, made to fail, closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from ...clock import Clock, RealClock, VirtualClock
from ...errors import BrokerError, TopicExists
from .. import BrokerKind, ClientSetting, Committer, Limit, Watermarks
from ..certificates import session_authority
from ..client_security import client_security
from ..clients import Clients, committer
from ..security import LISTENER_OF, Authentication, Security, check_authentication
from ._group_messages import DescribedGroup, GroupState
from .batch import RecordInBatch
from .cluster import Cluster, cluster_settings
from .connection import Connection
from .errors import ErrorCode, Refused
from .faults import Faults
from .gate import Gate, RequestLog
from .handlers import handlers_of
from .limits import LIMITS
from .listeners import Listeners
from .log import PartitionLog
from .loop import Loop
from .node import Node
from .nodes import BrokerNodes
from .offsets import CommitOffsets, OffsetCommit
from .requests import Request, RequestFilter, RequestScope, api_named
from .security.guards import Guards
from .security.state import ClusterSecurity
from .server import close_in_children
from .settings import Settings
from .topics import Topic
from .transactions import DescribedTransaction

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from typing_extensions import Unpack

__all__ = ["EmbeddedBroker"]

# What a topic of the kit gets on every kind of broker, and the broker's settings by which a test says otherwise.
_KIT_TOPIC_CONFIGS = {
    "message.timestamp.after.max.ms": (str(2**63 - 1), "log.message.timestamp.after.max.ms"),
    "retention.ms": ("-1", "log.retention.ms", "log.retention.minutes", "log.retention.hours"),
}

_FAILURES_KEPT = 100

_Result = TypeVar("_Result")

#: How a commit is refused to a member that is out of step with its group.
_REBALANCED = (
    ErrorCode.UNKNOWN_MEMBER_ID,
    ErrorCode.ILLEGAL_GENERATION,
    ErrorCode.REBALANCE_IN_PROGRESS,
    ErrorCode.STALE_MEMBER_EPOCH,
)
#: The states of a group that is on its way from one assignment to the next.
_REBALANCING = (
    GroupState.PREPARING_REBALANCE,
    GroupState.COMPLETING_REBALANCE,
    GroupState.ASSIGNING,
    GroupState.RECONCILING,
)


class EmbeddedBroker:
    """A Kafka cluster in a thread of this process, on free ports of 127.0.0.1; it can be used when it is made.

    Args:
        settings: broker settings under Kafka's own names, as text.
        nodes: how many brokers the cluster has; with several, replication is as MSK sets it: three replicas of which
            two have to be in sync, or two of which one has to.
        security: the users, IAM keys and certificate authorities that its listeners know.
        clock: what record timestamps, retention and the expiry of committed offsets follow; the machine's by default.
        hold_heartbeats: whether the members of a group hear of a new one at once, by the answer to a heartbeat that
            was held for it. It makes a second consumer join in milliseconds; a real broker takes up to the heartbeat
            interval, 3 seconds. Only librdkafka's clients are treated so.

    Raises:
        BrokerError: a setting is unknown or has a bad value, or that is no number of nodes.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        nodes: int = 1,
        security: Security | None = None,
        clock: Clock | None = None,
        hold_heartbeats: bool = True,
    ) -> None:
        checked = Settings(cluster_settings(nodes, settings))
        self._security = ClusterSecurity(security or Security(), checked)
        self._failures: list[BaseException] = []
        self._pid = os.getpid()
        self._closed = False
        self._loop = Loop("pytest_msk embedded broker", self._failed)
        self._cluster = Cluster(checked, clock or RealClock(), self._loop, nodes=nodes, hold_heartbeats=hold_heartbeats)
        self._requests = RequestLog()
        self._faults = Faults(self._look, self._rebalance)
        guards = Guards(self._cluster.topics, auto_create=checked.flag("auto.create.topics.enable"))
        self._gate = Gate(self._loop, self._faults, self._requests, guards, self._crash)
        self._listeners: dict[int, Listeners] = {}
        peers = {node_id: Node(self._cluster, node_id) for node_id in self._cluster.ids}
        self._node = peers[1]  # what all nodes share can be asked of any of them
        self._unwatch: Callable[[], None] | None = None
        self._topic_configs = {
            name: value for name, (value, *named) in _KIT_TOPIC_CONFIGS.items() if not checked.given.keys() & set(named)
        }
        for node in peers.values():
            listeners = Listeners(
                self._loop,
                node_id=node.id,
                security=self._security,
                peers=self._listeners,
                max_request=checked.int("socket.request.max.bytes"),
                max_connections=checked.int("max.connections"),
                gone=self._gone,
            )
            node.port, node.peers = listeners.port(), peers
            listeners.serve(self._gate.before(node, handlers_of(node, self._security)))
            close_in_children(listeners)
        self._nodes = BrokerNodes(peers.values(), self._set_up, self._held)
        self._clients = Clients(self.bootstrap_servers, secure=self._client_security)
        if clock is not None:
            self.use_clock(clock)
        self._loop.start()
        with self._loop.lock:
            self._check_retention_later()
            self._check_transactions_later()

    def __repr__(self) -> str:
        return f"EmbeddedBroker({self.bootstrap_servers!r}{', closed' if self._closed else ''})"

    def __enter__(self) -> EmbeddedBroker:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def kind(self) -> BrokerKind:
        """`embedded`."""
        return "embedded"

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:port` of every node, joined by commas."""
        return ",".join(node.address for node in self._node.peers.values())

    @property
    def limits(self) -> Sequence[Limit]:
        """What this broker does not do."""
        return LIMITS

    @property
    def failures(self) -> tuple[BaseException, ...]:
        """Exceptions inside the broker so far; `close` raises the first one."""
        return tuple(self._failures)

    @property
    def rejections(self) -> tuple[str, ...]:
        """Why connections were closed on clients: requests that are malformed or not spoken, in sentences."""
        with self._held():
            return tuple(sentence for listeners in self._listeners.values() for sentence in listeners.rejections)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> BrokerNodes:
        """The cluster's nodes by id: `nodes[2].stop()`, `nodes.stop(zone="use1-az1")`, `nodes.leader("orders", 0)`."""
        return self._nodes

    @property
    def faults(self) -> Faults:
        """What a test lets this broker do wrong: errors, delays, lost connections, crashes, rebalances."""
        return self._faults

    def record_requests(self) -> None:
        """Keep the requests that come in from now on, the last 10,000 of them, for `requests`."""
        with self._held():
            self._requests.start()
            self._gate.look()

    def requests(self, api: str | None = None, **scope: Unpack[RequestScope]) -> tuple[Request, ...]:
        """The requests since `record_requests`, the oldest first.

        Args:
            api: by Kafka's own name, such as `OffsetCommit`; None for every API.
            scope: `topic`, `partition`, `group`, `client_id` or `node` that they are about, or came from or to.

        Raises:
            BrokerError: requests are not recorded, or there is no such API.
        """
        if api is not None:
            api_named(api)
        with self._held():
            return self._requests.find(RequestFilter(api=api, **scope))

    def recover(self) -> None:
        """End all faults, start the nodes that are down, let everything be led where it was, and record no more.

        The fixtures call it after each test.

        Raises:
            BrokerError: a function of a fault failed.
        """
        if self._closed or os.getpid() != self._pid:
            return
        if not (self._gate.open and self._gate.idle and self._cluster.at_home):
            self._loop.call(self._recover)
        self._faults.reset()

    # --- clients --------------------------------------------------------------------------------------------------

    def client_config(
        self, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> dict[str, ClientSetting]:
        """Settings for a confluent-kafka client, made quick for tests; see `Broker.client_config`."""
        return self._clients.client_config(auth=auth, user=user, **settings)

    def producer(
        self, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Producer:
        """A new producer, closed with the broker if the caller does not close it."""
        return self._clients.producer(auth=auth, user=user, **settings)

    def consumer(
        self, group: str, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Consumer:
        """A new consumer in `group`, from the earliest record on; closed with the broker if the caller does not."""
        return self._clients.consumer(group, auth=auth, user=user, **settings)

    # --- security -------------------------------------------------------------------------------------------------

    @property
    def security(self) -> Security:
        """The users, IAM keys and cluster ARN that were given."""
        return self._security.security

    def bootstrap_servers_for(self, auth: Authentication) -> str:
        """The addresses for clients that authenticate in this way; the listener is opened by its first use."""
        listener = LISTENER_OF[check_authentication(auth)]
        with self._held():
            nodes = self._node.peers.values()
            return ",".join(f"{node.host}:{self._listeners[node.id].port(listener)}" for node in nodes)

    def set_password(self, user: str, password: str) -> None:
        """Let a user log in with this password by SASL/SCRAM and SASL/PLAIN."""
        with self._held():
            self._security.set_password(user, password)

    @contextmanager
    def security_scope(self) -> Iterator[None]:
        """Have, after a `with` block, the users and ACLs from before it."""
        with self._held():
            restore = self._security.kept()
        try:
            yield
        finally:
            with self._loop.lock:
                restore()

    def _client_security(self, auth: Authentication, user: str | None) -> dict[str, ClientSetting]:
        servers = self.bootstrap_servers_for(auth)
        return {
            **client_security(auth, user, self._security.security, session_authority),
            "bootstrap.servers": servers,
        }

    # --- topics ---------------------------------------------------------------------------------------------------

    def client_scope(self) -> AbstractContextManager[None]:
        """Close, at the end of a `with` block, the clients that were made in it and are still open."""
        return self._clients.scope()

    def create_topic(self, name: str, *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic; it can be used at once.

        As on every broker of the kit, its records may have any timestamp and are kept for ever, unless `config` or the
        broker's settings say otherwise.

        Raises:
            TopicExists: it is there already.
            BrokerError: the name, the number or a config is refused.
        """
        configs = {**self._topic_configs, **(config or {})}
        self._ask(lambda: self._node.topics.create(name, partitions=partitions, configs=configs))

    def delete_topic(self, name: str) -> None:
        """Delete a topic with every group's offsets in it; one that is not there is no error."""
        with self._held():
            topic = self._node.topics.get(name)
            if topic is not None:
                self._node.delete_topic(topic)

    def create_partitions(self, name: str, total: int) -> None:
        """Raise a topic's number of partitions to `total`.

        Raises:
            BrokerError: there is no such topic, or `total` is no more than it has.
        """
        self._ask(lambda: self._node.topics.grow(self._topic(name), total))

    def topics(self) -> frozenset[str]:
        """The names of all topics."""
        with self._held():
            return frozenset(topic.name for topic in self._node.topics)

    def partition_count(self, name: str) -> int:
        """How many partitions a topic has; 0 when it does not exist."""
        with self._held():
            topic = self._node.topics.get(name)
            return 0 if topic is None else len(topic.partitions)

    # --- logs -----------------------------------------------------------------------------------------------------

    def watermarks(self, name: str) -> dict[int, Watermarks]:
        """Where the log of each partition begins and ends."""
        return self._per_partition(name, lambda log: Watermarks(low=log.start_offset, high=log.end_offset))

    def offsets_for_time(self, name: str, timestamp_ms: int) -> dict[int, int]:
        """Per partition the offset of the first record with at least this timestamp (epoch ms), else the log's end."""

        def find(log: PartitionLog) -> int:
            found = log.find_timestamp(timestamp_ms)
            return log.end_offset if found is None else found[0]

        return self._per_partition(name, find)

    def offsets(self, name: str) -> dict[int, tuple[range, ...]]:
        """Per partition the offsets at which the log holds a record now, ascending."""
        return self._per_partition(name, PartitionLog.offsets)

    def records(self, name: str, partition: int = 0, *, start: int = 0) -> Iterator[RecordInBatch]:
        """The records of a partition as they are in the log now, from an offset on.

        Raises:
            BrokerError: there is no such partition.
        """
        with self._held():
            log = self._node.topics.log(name, partition)
            if log is None:
                raise BrokerError(f"There is no partition {name}-{partition} on the embedded broker.")
            return log.records(start)

    def compact(self, name: str) -> None:
        """Clean a compacted topic now, whatever the age of its records: of each key the latest one stays.

        As Kafka's cleaner would once every segment is closed; tombstones stay for `delete.retention.ms`, counted from
        the first cleaning that met them.

        Raises:
            BrokerError: there is no such topic, or its `cleanup.policy` has no `compact`.
        """

        def clean() -> None:
            topic = self._topic(name)
            if not topic.log_config.compact:
                policy = topic.config("cleanup.policy")
                raise Refused(
                    ErrorCode.POLICY_VIOLATION,
                    f"Topic {name!r} is not compacted: its cleanup.policy is {policy}, set it to compact.",
                )
            for log in topic.partitions:
                log.compact(topic.log_config, self._node.now_ms(), everything=True)

        self._ask(clean)

    def transactions(self) -> tuple[DescribedTransaction, ...]:
        """Every transactional id as it is now: state, producer, partitions, and the groups whose offsets are in it."""
        with self._held():
            return self._node.transactions.transactions()

    def delete_records(self, name: str, before: Mapping[int, int]) -> None:
        """Delete each named partition's records below an offset (-1: all).

        Raises:
            BrokerError: there is no such partition, or the offset lies behind its end.
        """

        def trim() -> None:
            self._topic(name)
            for partition, offset in before.items():
                log = self._node.topics.log(name, partition)
                if log is None:
                    raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Topic {name!r} has no partition {partition}.")
                log.trim(offset)

        self._ask(trim)

    # --- groups ---------------------------------------------------------------------------------------------------

    def groups(self) -> frozenset[str]:
        """The ids of all consumer groups."""
        with self._held():
            return frozenset(group.group_id for group in self._node.groups.groups())

    def abandoned_groups(self) -> frozenset[str]:
        """The ids of the consumer groups without members."""
        with self._held():
            return frozenset(g.group_id for g in self._node.groups.groups() if g.state is GroupState.EMPTY)

    def describe_group(self, group: str) -> DescribedGroup:
        """A group as it is now: state, generation, members with subscriptions and partitions; `Dead` if unknown."""
        with self._held():
            return self._node.groups.describe(group)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """A group's committed offsets in a topic, per partition; a partition without one is left out."""
        with self._held():
            committed = self._node.groups.committed(group)
        return {partition: each.offset for (name, partition), each in committed.items() if name == topic}

    def committer(self, consumer: Consumer, group: str, topic: str) -> Committer:
        """What commits as `consumer`, a member of `group`; see `Broker.committer`.

        The commit is the one that the consumer would send, without the way over its socket, which takes longer than all
        that a mapping does with a small batch.
        """
        member = consumer.memberid() or ""
        sent = committer(consumer, topic)

        def commit(positions: Mapping[int, int]) -> str | None:
            if not (self._gate.open and self._cluster.whole and self._security.trusts_plaintext):
                return sent(positions)  # what concerns requests concerns this commit too
            offsets = (OffsetCommit(topic=topic, partition=p, offset=offset) for p, offset in positions.items())
            with self._held():
                groups = self._node.groups
                generation = groups.generation(group, member)
                request = CommitOffsets(
                    group_id=group, member_id=member, generation_id=generation, offsets=tuple(offsets)
                )
                refused = [result.error for result in groups.commit_offsets(request) if result.error]
            if refused and refused[0] not in _REBALANCED:
                what = f"commit {dict(positions)} of {topic!r}"
                raise BrokerError(f"The embedded broker refused to {what}: {refused[0].name}.")
            return refused[0].name if refused else None

        return commit

    def rebalancing(self, group: str) -> bool:
        """Whether a group is between two generations: its members are joining, or wait for their partitions."""
        return self.describe_group(group).state in _REBALANCING

    def delete_group(self, group: str) -> None:
        """Delete a group and its offsets; one that is not there is no error.

        Raises:
            BrokerError: it has members.
        """
        with self._held():
            (result,) = self._node.groups.delete_groups([group])
        if result.error is ErrorCode.NON_EMPTY_GROUP:
            raise BrokerError(f"Group {group!r} has members: close its consumers before you delete it.")

    def expire_member(self, group: str, member_id: str) -> None:
        """Let a member's session time out now, as if it had been silent for that long.

        Args:
            member_id: its member id or its group instance id; `describe_group` has both.

        Raises:
            BrokerError: there is no such group or member.
        """
        with self._held():
            self._node.groups.expire_member(group, member_id)

    # --- time, end ------------------------------------------------------------------------------------------------

    def use_clock(self, clock: Clock) -> None:
        """Let record timestamps, retention and offset expiry follow `clock`; what is due goes when it moves."""
        with self._held():
            if self._unwatch is not None:
                self._unwatch()
                self._unwatch = None
            self._cluster.clock = clock
            if isinstance(clock, VirtualClock):
                self._unwatch = clock.watch(self._moved)

    def close(self) -> None:
        """Close the clients that this broker made, its connections and its thread; calling it twice is no error.

        Raises:
            BrokerError: something inside the broker failed while it ran; the failure is the cause.
        """
        if self._closed or os.getpid() != self._pid:
            return
        self._clients.close()
        self._closed = True
        if self._unwatch is not None:
            self._unwatch()
        with self._loop.lock:
            self._node.groups.close()
        self._loop.stop()
        for listeners in self._listeners.values():
            listeners.close()
        self._loop.discard()
        if self._failures:
            raise BrokerError(
                f"The embedded broker failed {len(self._failures)} time(s) while it ran; the first failure is the "
                "cause of this error. It is a bug of pytest_msk: please report it."
            ) from self._failures[0]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _held(self) -> AbstractContextManager[object]:
        if os.getpid() != self._pid:
            raise BrokerError(
                "The embedded broker runs in the process that started it, and this is a fork of it: a child may use "
                "clients of the broker, not the broker itself."
            )
        if self._closed:
            raise BrokerError("The embedded broker is closed.")
        return self._loop.lock

    def _ask(self, action: Callable[[], _Result]) -> _Result:
        try:
            with self._held():
                return action()
        except Refused as refused:
            text = refused.message or f"The embedded broker refused it: {refused.code.name}."
            error = TopicExists if refused.code is ErrorCode.TOPIC_ALREADY_EXISTS else BrokerError
            raise error(text) from None

    def _topic(self, name: str) -> Topic:
        topic = self._node.topics.get(name)
        if topic is None:
            known = ", ".join(sorted(each.name for each in self._node.topics)) or "none"
            raise Refused(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                f"There is no topic {name!r} on the embedded broker; its topics are: {known}.",
            )
        return topic

    def _per_partition(self, name: str, look: Callable[[PartitionLog], _Result]) -> dict[int, _Result]:
        return self._ask(lambda: {log.partition: look(log) for log in self._topic(name).partitions})

    def _moved(self, now_ms: int) -> None:
        with self._loop.lock:
            self._node.apply_time(now_ms)

    def _check_retention_later(self) -> None:
        def check() -> None:
            self._node.apply_time(self._node.now_ms())
            self._check_retention_later()

        self._loop.call_later(self._node.settings.int("log.retention.check.interval.ms"), check)

    def _check_transactions_later(self) -> None:
        def check() -> None:
            self._node.transactions.apply_time(self._node.now_ms())
            self._check_transactions_later()

        interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
        self._loop.call_later(self._node.settings.int(interval), check)

    def _look(self) -> None:
        self._gate.look()

    def _rebalance(self, group: str) -> None:
        with self._held():
            self._cluster.groups.rebalance(group)

    def _set_up(self, up: set[int]) -> None:
        with self._held():
            pass  # refuses a closed broker, and a fork
        self._loop.call(lambda: self._change_nodes(up))

    def _change_nodes(self, up: set[int]) -> None:
        for node_id in self._cluster.up - up:
            self._listeners[node_id].close()
        self._cluster.set_up(up)
        for node_id in up:
            self._listeners[node_id].listen()
            self._node.peers[node_id].port = self._listeners[node_id].port()
        self._clients.bootstrap_servers = self.bootstrap_servers

    def _crash(self, node_id: int, stays_down: bool) -> None:
        if stays_down:
            self._change_nodes(self._cluster.up - {node_id})
        else:
            self._listeners[node_id].drop()

    def _recover(self) -> None:
        self._requests.stop()
        for fault in self._faults:
            fault.end()
        self._gate.look()
        self._gate.release()
        self._change_nodes(set(self._cluster.ids))
        self._cluster.elect_preferred()

    def _failed(self, failure: BaseException) -> None:
        if len(self._failures) < _FAILURES_KEPT:
            self._failures.append(failure)

    def _gone(self, connection: Connection) -> None:
        self._node.groups.disconnected(connection.id)
