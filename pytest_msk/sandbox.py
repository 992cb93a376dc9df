"""Sandbox: what one test makes on a broker, and its removal when the test has ended."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .brokers import Broker
from .clock import VirtualClock
from .errors import MskError
from .functions import Function
from .mapping import EventSourceMapping, EventSourceMappingError, MappingParameters
from .topics import Topic, legal_name

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["MskTopic", "Sandbox", "TopicConfig"]

TopicConfig: TypeAlias = "Mapping[str, str | int | float | bool]"


class MskTopic(Protocol):
    """What the fixture `msk_topic` gives, for annotations; see `Sandbox.topic`."""

    def __call__(self, name: str | None = None, partitions: int = 1, config: TopicConfig | None = None) -> Topic: ...


class Sandbox:
    """The topics and mappings of one test.

    Args:
        broker: where they are.
        clock: the test's clock.
        name: what made-up topic names begin with.
        timeout: seconds of real time that the broker may take to answer.
        parallel: whether other processes run tests at the same time.
        allow_aws: whether on-failure destinations may be in the real AWS.
    """

    def __init__(
        self,
        broker: Broker,
        clock: VirtualClock,
        name: str,
        timeout: float,
        *,
        parallel: bool = False,
        allow_aws: bool = False,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self._name = legal_name(name)
        self._timeout = timeout
        self._parallel = parallel
        self._allow_aws = allow_aws
        self._topics: list[Topic] = []
        self._mappings: list[EventSourceMapping] = []
        self._paths: list[str] = []
        self._groups_before = broker.groups()
        self._clients = broker.client_scope()
        self._clients.__enter__()
        self._security = broker.security_scope()
        self._security.__enter__()
        broker.use_clock(clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def mappings(self) -> tuple[EventSourceMapping, ...]:
        """The mappings that the test has made."""
        return tuple(self._mappings)

    def topic(self, name: str | None = None, partitions: int = 1, config: TopicConfig | None = None) -> Topic:
        """Create a topic that is deleted when the test has ended.

        Args:
            name: its exact name; made up from the test's name when it is not given.
            partitions: how many it has.
            config: topic settings under Kafka's own names; values as text, numbers or booleans.

        Raises:
            TopicExists: there is a topic of that name; it is not touched.
            BrokerError: the broker refused it.
            MskError: the name was given, and other processes use the same cluster.
            TypeError: an argument is not of its type.
        """
        __tracebackhide__ = True
        if not isinstance(partitions, int) or isinstance(partitions, bool):
            raise TypeError(f"partitions={partitions!r}: give a number of partitions.")
        if name is not None and self._parallel and self.broker.kind == "external":
            raise MskError(
                f"The topic name {name!r} was given, but several workers run tests on the same external cluster and "
                "would meet on it: run with -n 0, or let msk_topic() make the name up."
            )
        if name is None:
            name = f"{self._name}-{uuid.uuid4().hex[:8]}"
        settings = {key: _kafka_text(key, value) for key, value in (config or {}).items()}
        self.broker.create_topic(name, partitions=partitions, config=settings)
        topic = Topic(name, broker=self.broker, clock=self.clock, timeout=self._timeout)
        self._topics.append(topic)
        return topic

    def mapping(
        self, function: Function, topic: Topic | str, **parameters: Unpack[MappingParameters]
    ) -> EventSourceMapping:
        """Create an event source mapping that is closed when the test has ended; see `EventSourceMapping`."""
        __tracebackhide__ = True
        esm = EventSourceMapping(
            function,
            topic,
            broker=self.broker,
            clock=self.clock,
            timeout=self._timeout,
            allow_aws=self._allow_aws,
            **parameters,
        )
        for other in self._mappings:
            self._refuse_conflict(esm, other)
        self._mappings.append(esm)
        return esm

    def import_from(self, folder: str) -> None:
        """Let handlers be imported from a folder until the test has ended."""
        sys.path.insert(0, folder)
        self._paths.append(folder)

    def _refuse_conflict(self, new: EventSourceMapping, other: EventSourceMapping) -> None:
        """Two mappings of a cluster share neither a consumer group, nor function and topic (spec 2.6)."""
        if other.closed:
            return
        managed = new.config.event_source_arn is not None
        what = None
        if new.consumer_group_id == other.consumer_group_id:
            block = "amazonManagedKafkaEventSourceConfig" if managed else "selfManagedKafkaEventSourceConfig"
            what = f'{block}.consumerGroupId ("{new.consumer_group_id}")'
        elif new.topic == other.topic and new.function == other.function:
            what = f'function ("{new.function.arn}"), topics ("{new.topic}")'
        if what is None:
            return
        servers = self.broker.bootstrap_servers
        source = f'for cluster ("{new.config.event_source_arn}")' if managed else f'with event source ("{servers}")'
        raise EventSourceMappingError(
            "ResourceConflictException",
            f"An event source mapping {source}, {what} already exists. "
            f"Please update or delete the existing mapping with UUID {other.uuid}",
        )

    def close(self) -> None:
        """Close the mappings and clients, then delete the groups that the test used and the topics that it made."""
        with ExitStack() as stack:  # one failure does not keep the rest from being cleaned up
            for path in self._paths:
                stack.callback(sys.path.remove, path)
            for topic in self._topics:
                stack.callback(self.broker.delete_topic, topic.name)
            stack.callback(self._delete_groups)
            stack.push(self._security)
            stack.push(self._clients)
            for topic in self._topics:
                stack.callback(topic.close)
            for esm in self._mappings:
                stack.callback(esm.close)

    def _delete_groups(self) -> None:
        # A group that has members still belongs to something that outlives the test, such as a session's fixture.
        for group in self.broker.abandoned_groups() - self._groups_before:
            self.broker.delete_group(group)


def _kafka_text(name: str, value: str | int | float | bool) -> str:
    """A setting as Kafka writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"config[{name!r}] is {value!r}: give text, a number or a boolean.")
