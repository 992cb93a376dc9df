"""The container broker: real Apache Kafka in a Docker container that this process starts and removes."""

from __future__ import annotations

import io
import os
import random
import socket
import struct
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from ..clock import Deadline
from ..errors import BrokerError, BrokerUnavailable
from . import Limit
from .admin import KIT_TOPIC_CONFIG, ClusterBroker

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.docker_client import DockerClient

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

# The port inside the container; the one outside is chosen for each container.
_KAFKA_PORT = 9092

# Below the range from which systems take ports for outgoing connections, so that none is taken in between.
_HOST_PORTS = range(20_000, 32_000)
_PORT_ATTEMPTS = 5

# How long the daemon may take over one request, seconds; to say whether it is there it gets less.
_DAEMON_TIMEOUT = 60
_LOOK_TIMEOUT = 5

# How long Kafka may take to start at least, seconds: the official image takes 3 to 7 where nothing else runs.
_START_TIMEOUT = 60.0

# What a daemon says when a port was taken after it was found free.
_PORT_TAKEN = ("port is already allocated", "address already in use", "ports are not available")

# Where a container whose address is known only after its start finds what it must advertise.
_ENVIRONMENT_FILE = "pytest-msk-environment"

# Seconds between two lines about an image that is being pulled, and between two looks at a starting broker.
_PULL_REPORTS = 2.0
_PAUSE = 0.02

# Kafka wants 290 MiB after its start and 485 MiB under load; the heap is bounded, and so is the container.
_HEAP = "-Xms256m -Xmx512m"
_MEMORY_LIMIT = "1g"

_LOG_LINES = 15

# The topic and the group of the round trip that shows that Kafka is ready.
_READY = "pytest-msk-ready"

_ALTERNATIVES = "Choose another image with --msk-kafka-image, or run without Docker: --msk-broker=embedded."

_SETTINGS: Mapping[str, str] = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.quorum.voters": "1@localhost:9093",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "BROKER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "listeners": f"PLAINTEXT://:{_KAFKA_PORT},CONTROLLER://localhost:9093,BROKER://localhost:9094",
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
        with _docker(_LOOK_TIMEOUT) as client:
            for name in _images(image):
                if not _has_image(client, name):
                    return False, f"the Docker daemon at {_daemon()} does not have the image {name}"
    except BrokerUnavailable as error:
        return False, str(error)
    return True, f"the Docker daemon at {_daemon()} has the image {image}"


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
        with _docker(_DAEMON_TIMEOUT) as client:
            for name in _images(image):
                if not _has_image(client, name):
                    _pull(client, name, pull, report or (lambda _: None))
        deadline = Deadline(max(timeout, _START_TIMEOUT))
        started = _start(image, {**_SETTINGS, **given})
        try:
            address = _address(started)
            super().__init__(address, timeout=timeout, topic_config=_topic_config(given))
            self._container = started
            self._wait_until_ready(deadline)
        except BaseException:
            self._container = None
            _remove(started)
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
                _remove(container)

    def _wait_until_ready(self, deadline: Deadline) -> None:
        """Return when a record was produced and consumed; an open port alone may be Docker's own proxy."""
        looks = 0
        while not _answers(self.bootstrap_servers):
            looks += 1
            if looks % 10 == 0 and _exited(self._container):
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
            f"Kafka ({self.image}) did not start in a container of the Docker daemon at {_daemon()}: {reason}. "
            f"{_ALTERNATIVES}\nThe container's last lines:\n{_last_lines(self._container)}"
        )


# --- what is asked of Kafka


def _variable(name: str) -> str:
    """The environment variable that the image turns into a setting."""
    return "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper()


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


# --- what is asked of Docker


def _start(image: str, settings: Mapping[str, str]) -> DockerContainer:
    """Start a container on a port that is free; another one is tried when somebody was faster."""
    from docker.errors import APIError, DockerException

    for attempt in range(_PORT_ATTEMPTS):
        container = _container(image, settings)
        try:
            with _environment_kept():
                container.start()
            _tell_environment(container)
        except APIError as error:
            _remove(container)
            reason = str(error.explanation or error)
            if attempt + 1 < _PORT_ATTEMPTS and any(words in reason.lower() for words in _PORT_TAKEN):
                continue
            raise _no_container(image, reason) from error
        except (DockerException, OSError) as error:
            _remove(container)
            raise _no_container(image, str(error)) from error
        except BaseException:
            _remove(container)
            raise
        return container
    raise AssertionError("the last attempt returns or raises")


def _container(image: str, settings: Mapping[str, str]) -> DockerContainer:
    """A container that is ready to start."""
    from testcontainers.core.config import ConnectionMode, testcontainers_config
    from testcontainers.core.container import DockerContainer

    with _environment_kept():
        container = DockerContainer(image, docker_client_kw={"timeout": _DAEMON_TIMEOUT})
    container.with_kwargs(labels={"pytest-msk": "broker"}, mem_limit=_MEMORY_LIMIT)
    for name, value in {**settings, "heap.opts": settings.get("heap.opts", _HEAP)}.items():
        container.with_env(_variable(name), value)
    docker = container.get_docker_client()
    mode = docker.get_connection_mode()
    if mode is ConnectionMode.docker_host or testcontainers_config.tc_host_override:
        host = _loopback(docker.host())
        port = _free_port(host)
        # On a daemon of this machine nobody else shall see the broker; a remote one must show it.
        ports: dict[str, Any] = {f"{_KAFKA_PORT}/tcp": (host, port) if _is_loopback(host) else port}
        container.ports = ports
        container.with_env(*_advertised(f"{host}:{port}"))
        return container
    # This process runs in a container itself. What the new one must advertise is known when it has an address, so it
    # waits for that before it does what its image says.
    if mode is ConnectionMode.gateway_ip:
        container.ports = {f"{_KAFKA_PORT}/tcp": _free_port(None)}
    config = docker.client.images.get(container.image).attrs["Config"]
    script = f'until [ -s /tmp/{_ENVIRONMENT_FILE} ]; do sleep 0.05; done; . /tmp/{_ENVIRONMENT_FILE}; exec "$@"'
    container.with_command(["sh", "-c", script, "sh", *(config.get("Cmd") or ["/etc/kafka/docker/run"])])
    return container


def _advertised(address: str) -> tuple[str, str]:
    return _variable("advertised.listeners"), f"PLAINTEXT://{address},BROKER://localhost:9094"


def _address(container: DockerContainer) -> str:
    """Where this process reaches Kafka, `host:port`."""
    advertised = container.env.get(_variable("advertised.listeners"))
    if advertised is not None:
        return advertised.removeprefix("PLAINTEXT://").partition(",")[0]
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(_KAFKA_PORT)}"


def _tell_environment(container: DockerContainer) -> None:
    """Tell a container that waits for its address what to advertise."""
    if _variable("advertised.listeners") in container.env:
        return
    name, value = _advertised(_address(container))
    text = f"export {name}='{value}'\n".encode()
    with io.BytesIO() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(_ENVIRONMENT_FILE)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, io.BytesIO(text))
        container.get_wrapped_container().put_archive("/tmp", archive.getvalue())


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.startswith("127.")


def _loopback(host: str) -> str:
    """The host, but 127.0.0.1 for `localhost`: clients would try ::1 first, where nothing listens."""
    return "127.0.0.1" if host == "localhost" else host


def _free_port(host: str | None) -> int:
    """A port that nobody listens on; on a remote daemon only its start can tell."""
    chance = random.SystemRandom()  # a test run that seeds `random` would send all its workers to one port
    while True:
        port = chance.choice(_HOST_PORTS)
        if host is None or not _is_loopback(host):
            return port
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe, suppress(OSError):
            probe.bind((host, port))
            return port


def _images(image: str) -> list[str]:
    """The images that a start needs: Kafka's, and that of testcontainers' reaper where it is used."""
    from testcontainers.core.config import testcontainers_config

    reaper = [] if testcontainers_config.ryuk_disabled else [testcontainers_config.ryuk_image]
    # The prefix is younger than the oldest testcontainers that this project takes.
    return [getattr(testcontainers_config, "hub_image_name_prefix", "") + image, *reaper]


def _has_image(client: DockerClient, name: str) -> bool:
    from docker.errors import DockerException, ImageNotFound

    try:
        client.client.images.get(name)
    except ImageNotFound:
        return False
    except (DockerException, OSError) as error:
        raise _no_daemon(error) from error
    return True


def _pull(client: DockerClient, name: str, allowed: bool, report: Callable[[str], None]) -> None:
    """Pull an image, with a line every two seconds."""
    from docker.errors import DockerException
    from docker.utils import parse_repository_tag
    from testcontainers.core.config import testcontainers_config

    missing = f"The Docker daemon at {_daemon()} does not have the image {name}"
    if name == testcontainers_config.ryuk_image:
        missing += ", with which testcontainers cleans up (TESTCONTAINERS_RYUK_DISABLED=true does without it)"
    if not allowed:
        raise BrokerUnavailable(f"{missing}, and it is not pulled unless it is asked for. {_ALTERNATIVES}")
    repository, tag = parse_repository_tag(name)
    layers: dict[str, tuple[int, int]] = {}
    silence = Deadline(_PULL_REPORTS)
    report(f"msk: pulling {name} ...")
    try:
        for line in client.client.api.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if "error" in line:
                raise BrokerUnavailable(f"{missing}, and pulling it failed: {line['error']}. {_ALTERNATIVES}")
            progress = line.get("progressDetail") or {}
            if "total" in progress:
                layers[line.get("id", "")] = (progress.get("current", 0), progress["total"])
            if silence.passed:
                silence = Deadline(_PULL_REPORTS)
                done, total = (sum(column) / 1e6 for column in zip(*layers.values(), strict=True)) if layers else (0, 0)
                report(f"msk: pulling {name}: {done:.0f} of {total:.0f} MB")
    except (DockerException, OSError) as error:
        raise BrokerUnavailable(f"{missing}, and pulling it failed: {error}. {_ALTERNATIVES}") from error
    report(f"msk: pulled {name}")


@contextmanager
def _docker(timeout: int) -> Iterator[DockerClient]:
    """testcontainers' Docker client, which knows contexts, properties files and remote daemons."""
    from docker.errors import DockerException
    from testcontainers.core.docker_client import DockerClient

    try:
        with _environment_kept():
            client = DockerClient(timeout=timeout)
    except (DockerException, OSError) as error:
        raise _no_daemon(error) from error
    try:
        yield client
    finally:
        client.client.close()


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo what testcontainers does to DOCKER_HOST: the environment belongs to the tests."""
    before = os.environ.get("DOCKER_HOST")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("DOCKER_HOST", None)
        else:
            os.environ["DOCKER_HOST"] = before


def _daemon() -> str:
    """The daemon's address, for people."""
    from testcontainers.core.docker_client import get_docker_host

    return get_docker_host() or "its default address (DOCKER_HOST is not set)"


def _no_daemon(error: Exception) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"The Docker daemon at {_daemon()} does not answer: {error}. Start it, or set DOCKER_HOST to one that "
        "runs. Without Docker there is --msk-broker=embedded."
    )


def _no_container(image: str, reason: str) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"The Docker daemon at {_daemon()} could not start a container of {image}: {reason}. {_ALTERNATIVES}"
    )


def _exited(container: DockerContainer | None) -> bool:
    from docker.errors import NotFound

    assert container is not None
    wrapped = container.get_wrapped_container()
    try:
        wrapped.reload()
    except NotFound:
        return True
    return wrapped.status in ("exited", "dead", "removing")


def _last_lines(container: DockerContainer | None) -> str:
    from docker.errors import DockerException

    assert container is not None
    try:
        text = container.get_wrapped_container().logs(tail=_LOG_LINES)
    except (DockerException, OSError) as error:
        return f"(they cannot be read: {error})"
    return text.decode(errors="replace").rstrip() or "(none)"


def _remove(container: DockerContainer) -> None:
    """Remove a container at once, with its volumes; one that is gone already is no error."""
    from docker.errors import NotFound

    try:
        with suppress(NotFound):
            container.stop()
    finally:
        container.get_docker_client().client.close()
