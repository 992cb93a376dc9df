"""A container of Kafka's image: started on a port that is free, looked at, and removed."""

from __future__ import annotations

import io
import random
import socket
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import BrokerUnavailable
from ._docker import ALTERNATIVES, DAEMON_TIMEOUT, daemon_address, environment_kept
from .security import ListenerName

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

__all__ = ["LISTENER_PORTS", "has_exited", "kafka_address", "last_lines", "remove_container", "start_container"]

#: The listeners' ports inside the container; those outside are chosen for each container.
LISTENER_PORTS: Mapping[ListenerName, int] = {"PLAINTEXT": 9092, "TLS": 9094, "SCRAM": 9096, "SASL": 9097}

# Below the range from which systems take ports for outgoing connections, so that none is taken in between.
_HOST_PORTS = range(20_000, 32_000)
_PORT_ATTEMPTS = 5

# What a daemon says when a port was taken after it was found free.
_PORT_TAKEN = ("port is already allocated", "address already in use", "ports are not available")

# Where a container whose address is known only after its start finds what it must advertise.
_ENVIRONMENT_FILE = "pytest-msk-environment"

# Kafka wants 290 MiB after its start and 485 MiB under load; the heap is bounded, and so is the container.
_HEAP = "-Xms256m -Xmx512m"
_MEMORY_LIMIT = "1g"

_LOG_LINES = 15


def start_container(image: str, settings: Mapping[str, str]) -> DockerContainer:
    """Start a container on a port that is free; another one is tried when somebody was faster."""
    from docker.errors import APIError, DockerException

    for attempt in range(_PORT_ATTEMPTS):
        container = _container(image, settings)
        try:
            with environment_kept():
                container.start()
            _tell_environment(container)
        except APIError as error:
            remove_container(container)
            reason = str(error.explanation or error)
            if attempt + 1 < _PORT_ATTEMPTS and any(words in reason.lower() for words in _PORT_TAKEN):
                continue
            raise _no_container(image, reason) from error
        except (DockerException, OSError) as error:
            remove_container(container)
            raise _no_container(image, str(error)) from error
        except BaseException:
            remove_container(container)
            raise
        return container
    raise AssertionError("the last attempt returns or raises")


def kafka_address(container: DockerContainer, listener: ListenerName = "PLAINTEXT") -> str:
    """Where this process reaches Kafka, `host:port`."""
    advertised = container.env.get(_variable("advertised.listeners"))
    if advertised is not None:
        return dict(each.split("://") for each in advertised.split(","))[listener]
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(LISTENER_PORTS[listener])}"


def has_exited(container: DockerContainer | None) -> bool:
    """Whether a container that was started has ended, or is gone."""
    from docker.errors import NotFound

    assert container is not None
    wrapped = container.get_wrapped_container()
    try:
        wrapped.reload()
    except NotFound:
        return True
    return wrapped.status in ("exited", "dead", "removing")


def last_lines(container: DockerContainer | None) -> str:
    """The end of what a container wrote, for people."""
    from docker.errors import DockerException

    assert container is not None
    try:
        text = container.get_wrapped_container().logs(tail=_LOG_LINES)
    except (DockerException, OSError) as error:
        return f"(they cannot be read: {error})"
    return text.decode(errors="replace").rstrip() or "(none)"


def remove_container(container: DockerContainer) -> None:
    """Remove a container at once, with its volumes; one that is gone already is no error."""
    from docker.errors import NotFound

    try:
        with suppress(NotFound):
            container.stop()
    finally:
        container.get_docker_client().client.close()


def _no_container(image: str, reason: str) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"The Docker daemon at {daemon_address()} could not start a container of {image}: {reason}. {ALTERNATIVES}"
    )


# --- what a container is told


def _container(image: str, settings: Mapping[str, str]) -> DockerContainer:
    """A container that is ready to start."""
    from testcontainers.core.config import ConnectionMode, testcontainers_config
    from testcontainers.core.container import DockerContainer

    with environment_kept():
        container = DockerContainer(image, docker_client_kw={"timeout": DAEMON_TIMEOUT})
    container.with_kwargs(labels={"pytest-msk": "broker"}, mem_limit=_MEMORY_LIMIT)
    for name, value in {**settings, "heap.opts": settings.get("heap.opts", _HEAP)}.items():
        container.with_env(_variable(name), value)
    docker = container.get_docker_client()
    mode = docker.get_connection_mode()
    if mode is ConnectionMode.docker_host or testcontainers_config.tc_host_override:
        host = _loopback(docker.host())
        outside = {listener: _free_port(host) for listener in LISTENER_PORTS}
        # On a daemon of this machine nobody else shall see the broker; a remote one must show it.
        ports: dict[str, Any] = {
            f"{inside}/tcp": (host, outside[listener]) if _is_loopback(host) else outside[listener]
            for listener, inside in LISTENER_PORTS.items()
        }
        container.ports = ports
        container.with_env(*_advertised({listener: f"{host}:{port}" for listener, port in outside.items()}))
        return container
    # This process runs in a container itself. What the new one must advertise is known when it has an address, so it
    # waits for that before it does what its image says.
    if mode is ConnectionMode.gateway_ip:
        container.ports = {f"{inside}/tcp": _free_port(None) for inside in LISTENER_PORTS.values()}
    config = docker.client.images.get(container.image).attrs["Config"]
    script = f'until [ -s /tmp/{_ENVIRONMENT_FILE} ]; do sleep 0.05; done; . /tmp/{_ENVIRONMENT_FILE}; exec "$@"'
    container.with_command(["sh", "-c", script, "sh", *(config.get("Cmd") or ["/etc/kafka/docker/run"])])
    return container


def _variable(name: str) -> str:
    """The environment variable that the image turns into a setting."""
    return "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper()


def _advertised(addresses: Mapping[ListenerName, str]) -> tuple[str, str]:
    outside = [f"{name}://{at}" for name, at in addresses.items()]
    return _variable("advertised.listeners"), ",".join([*outside, "BROKER://localhost:9095"])


def _tell_environment(container: DockerContainer) -> None:
    """Tell a container that waits for its address what to advertise."""
    if _variable("advertised.listeners") in container.env:
        return
    name, value = _advertised({listener: kafka_address(container, listener) for listener in LISTENER_PORTS})
    text = f"export {name}='{value}'\n".encode()
    with io.BytesIO() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(_ENVIRONMENT_FILE)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, io.BytesIO(text))
        container.get_wrapped_container().put_archive("/tmp", archive.getvalue())


# --- where it listens


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
