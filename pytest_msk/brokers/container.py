"""The container broker: real Apache Kafka in a Docker container that this process starts and removes."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from ..clock import Deadline
from ..errors import BrokerError, BrokerUnavailable
from . import Limit
from ._docker import (
    ALTERNATIVES,
    DAEMON_TIMEOUT,
    daemon_address,
    docker_client,
    has_image,
    needed_images,
    pull_image,
)
from ._docker_container import (
    KAFKA_PORT,
    has_exited,
    kafka_address,
    last_lines,
    remove_container,
    start_container,
)
from .cluster import KIT_TOPIC_CONFIG, ClusterBroker

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

__all__ = ["DEFAULT_IMAGE", "LIMITS", "ContainerBroker", "available"]

DEFAULT_IMAGE = "apache/kafka:4.3.1"

LIMITS: tuple[Limit, ...] = (
    Limit(
        name="clock",
        reason="Kafka's retention, timestamps and offset expiry follow the container's own clock.",
        instead="Topic.expire(), or --msk-broker=embedded, whose log follows msk_clock.",
    ),
    Limit(
        name="brokers",
        reason="The cluster has one broker: no replication, no failover to another one.",
        instead="--msk-broker=external with a cluster of several brokers.",
    ),
    Limit(
        name="listeners",
        reason="The container listens on PLAINTEXT only: no TLS, SASL or MSK IAM.",
        instead="--msk-broker=external with a cluster that has these listeners.",
    ),
)

# How long the daemon may take to say whether it is there, seconds.
_LOOK_TIMEOUT = 5

# How long Kafka may take to start at least, seconds: the official image takes 3 to 7 where nothing else runs.
_START_TIMEOUT = 60.0

# Seconds between two looks at a starting broker.
_PAUSE = 0.02

# The topic and the group of the round trip that shows that Kafka is ready.
_READY = "pytest-msk-ready"

_SETTINGS: Mapping[str, str] = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.quorum.voters": "1@localhost:9093",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "BROKER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "listeners": f"PLAINTEXT://:{KAFKA_PORT},CONTROLLER://localhost:9093,BROKER://localhost:9094",
    # One broker cannot keep the three copies that these ask for.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 partitions each by default: their creation is most of what the first group and transaction wait for.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    # A group of one starts at once; a production broker waits 3 s for more members.
    "group.initial.rebalance.delay.ms": "0",
    # A rebalance of the consumer protocol takes a few heartbeats; 5 s lie between two of them by default.
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "100",
    # As on MSK: a topic is not created by mere use.
    "auto.create.topics.enable": "false",
}

# Kafka's own names of the broker-wide settings that a caller may have meant instead of the kit's topic settings.
_BROKER_WIDE = {
    "retention.ms": ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
    "message.timestamp.after.max.ms": ("log.message.timestamp.after.max.ms",),
}


def available(image: str = DEFAULT_IMAGE) -> tuple[bool, str]:
    """Whether a container broker could start at once: a daemon answers, and the image is there. Nothing is pulled.

    Args:
        image: the image that would run.

    Returns:
        The answer, and its reason in words.
    """
    try:
        with docker_client(_LOOK_TIMEOUT) as client:
            for name in needed_images(image):
                if not has_image(client, name):
                    return False, f"the Docker daemon at {daemon_address()} does not have the image {name}"
    except BrokerUnavailable as error:
        return False, str(error)
    return True, f"the Docker daemon at {daemon_address()} has the image {image}"


class ContainerBroker(ClusterBroker):
    """Apache Kafka in a container of its own: KRaft, one node, on a free port of this machine.

    It is ready when it is made: a record was produced and consumed. `close` removes the container.

    Args:
        image: an image with the environment contract of `apache/kafka`.
        settings: broker settings under Kafka's own names; they win over the kit's.
        timeout: how long Kafka may take over one question, seconds; for its start it has at least 60.
        pull: whether an image that is not there is pulled.
        report: is told, line by line, how far a pull is.

    Raises:
        BrokerUnavailable: there is no Docker daemon, the image cannot be had, or Kafka did not start.
    """

    def __init__(
        self,
        image: str = DEFAULT_IMAGE,
        settings: Mapping[str, str] | None = None,
        *,
        timeout: float = 30.0,
        pull: bool = True,
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.image = image
        self._container: DockerContainer | None = None
        given = dict(settings or {})
        with docker_client(DAEMON_TIMEOUT) as client:
            for name in needed_images(image):
                if not has_image(client, name):
                    pull_image(client, name, pull, report or (lambda _: None))
        deadline = Deadline(max(timeout, _START_TIMEOUT))
        started = start_container(image, {**_SETTINGS, **given})
        try:
            address = kafka_address(started)
            super().__init__(address, timeout=timeout, topic_config=_topic_config(given))
            self._container = started
            self._wait_until_ready(deadline)
        except BaseException:
            self._container = None
            remove_container(started)
            raise

    @property
    def kind(self) -> Literal["container"]:
        """`container`."""
        return "container"

    @property
    def limits(self) -> Sequence[Limit]:
        """What one broker in a container does not do."""
        return LIMITS

    def close(self) -> None:
        """Close the clients, then remove the container; calling it twice is no error."""
        try:
            super().close()
        finally:
            container, self._container = self._container, None
            if container is not None:
                remove_container(container)

    def _wait_until_ready(self, deadline: Deadline) -> None:
        """Return when a record was produced and consumed; an open port alone may be Docker's own proxy."""
        looks = 0
        while not _answers(self.bootstrap_servers):
            looks += 1
            if looks % 10 == 0 and has_exited(self._container):
                raise self._did_not_start("the container exited")
            if deadline.passed:
                raise self._did_not_start("Kafka did not answer in time; --msk-timeout gives it longer")
            time.sleep(_PAUSE)
        try:
            self._round_trip(deadline)
        except BrokerError as error:
            raise self._did_not_start(str(error)) from error

    def _round_trip(self, deadline: Deadline) -> None:
        """Produce one record and consume it in a group, and leave nothing behind."""
        name = _READY
        self.create_topic(name)
        with self.clients.scope():
            producer = self.producer()
            producer.produce(name, b"ready")
            if producer.flush(deadline.left):
                raise BrokerError("a record was not taken in time")
            consumer = self.consumer(name)
            consumer.subscribe([name])
            while True:
                message = consumer.poll(min(0.5, deadline.left))
                if message is not None and message.error() is None:
                    break
                if deadline.passed:
                    raise BrokerError("a record that was produced could not be read in time")
        self.delete_group(name)
        self.delete_topic(name)

    def _did_not_start(self, reason: str) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"Kafka ({self.image}) did not start in a container of the Docker daemon at {daemon_address()}: {reason}. "
            f"{ALTERNATIVES}\nThe container's last lines:\n{last_lines(self._container)}"
        )


# --- what is asked of Kafka


def _topic_config(given: Mapping[str, str]) -> dict[str, str]:
    """The kit's topic settings without those that the caller decided for the whole broker."""
    return {name: value for name, value in KIT_TOPIC_CONFIG.items() if not given.keys() & _BROKER_WIDE[name]}


def _answers(address: str) -> bool:
    """Whether Kafka answers at `host:port`, and has a coordinator for a group.

    The first such question makes Kafka create the topic of committed offsets; a consumer that meets it unfinished
    asks again after a second.
    """
    versions = struct.pack(">hhih", 18, 0, 1, -1)  # ApiVersions, version 0
    group = _READY.encode()
    coordinator = struct.pack(f">hhihh{len(group)}s", 10, 0, 2, -1, len(group), group)  # FindCoordinator, version 0
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0) as connection:
            _ask_raw(connection, versions)
            (error,) = struct.unpack_from(">h", _ask_raw(connection, coordinator), 4)
    except OSError:
        return False
    return bool(error == 0)


def _ask_raw(connection: socket.socket, request: bytes) -> bytes:
    """Send a request and read its whole answer."""
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", _read(connection, 4))
    return _read(connection, size)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("the connection was closed within an answer")
        data += piece
    return data
