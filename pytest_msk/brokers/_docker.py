"""The Docker daemon: a client of it, the images that it has, and those that it pulls."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import TYPE_CHECKING

from ..clock import Deadline
from ..errors import BrokerUnavailable

if TYPE_CHECKING:
    from testcontainers.core.docker_client import DockerClient

__all__ = [
    "ALTERNATIVES",
    "DAEMON_TIMEOUT",
    "daemon_address",
    "docker_client",
    "environment_kept",
    "has_image",
    "needed_images",
    "pull_image",
]

#: How long the daemon may take over one request, seconds.
DAEMON_TIMEOUT = 60

#: What to do where this image cannot be had or started.
ALTERNATIVES = "Choose another image with --msk-kafka-image, or run without Docker: --msk-broker=embedded."

# Seconds between two lines about an image that is being pulled.
_PULL_REPORTS = 2.0


@contextmanager
def docker_client(timeout: int) -> Iterator[DockerClient]:
    """testcontainers' Docker client, which knows contexts, properties files and remote daemons."""
    from docker.errors import DockerException
    from testcontainers.core.docker_client import DockerClient

    try:
        with environment_kept():
            client = DockerClient(timeout=timeout)
    except (DockerException, OSError) as error:
        _close_sockets(error)
        raise _no_daemon(error) from error
    try:
        yield client
    finally:
        client.client.close()


@contextmanager
def environment_kept() -> Iterator[None]:
    """Undo what testcontainers does to DOCKER_HOST: the environment belongs to the tests."""
    before = os.environ.get("DOCKER_HOST")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("DOCKER_HOST", None)
        else:
            os.environ["DOCKER_HOST"] = before


def daemon_address() -> str:
    """The daemon's address, for people."""
    from testcontainers.core.docker_client import get_docker_host

    return get_docker_host() or "its default address (DOCKER_HOST is not set)"


def needed_images(image: str) -> list[str]:
    """The images that a start needs: Kafka's, and that of testcontainers' reaper where it is used."""
    from testcontainers.core.config import testcontainers_config

    reaper = [] if testcontainers_config.ryuk_disabled else [testcontainers_config.ryuk_image]
    # The prefix is younger than the oldest testcontainers that this project takes.
    return [getattr(testcontainers_config, "hub_image_name_prefix", "") + image, *reaper]


def has_image(client: DockerClient, name: str) -> bool:
    """Whether the daemon has an image."""
    from docker.errors import DockerException, ImageNotFound

    try:
        client.client.images.get(name)
    except ImageNotFound:
        return False
    except (DockerException, OSError) as error:
        raise _no_daemon(error) from error
    return True


def pull_image(client: DockerClient, name: str, allowed: bool, report: Callable[[str], None]) -> None:
    """Pull an image, with a line every two seconds."""
    from docker.errors import DockerException
    from docker.utils import parse_repository_tag
    from testcontainers.core.config import testcontainers_config

    missing = f"The Docker daemon at {daemon_address()} does not have the image {name}"
    if name == testcontainers_config.ryuk_image:
        missing += ", with which testcontainers cleans up (TESTCONTAINERS_RYUK_DISABLED=true does without it)"
    if not allowed:
        raise BrokerUnavailable(f"{missing}, and it is not pulled unless it is asked for. {ALTERNATIVES}")
    repository, tag = parse_repository_tag(name)
    layers: dict[str, tuple[int, int]] = {}
    silence = Deadline(_PULL_REPORTS)
    report(f"msk: pulling {name} ...")
    try:
        for line in client.client.api.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if "error" in line:
                raise BrokerUnavailable(f"{missing}, and pulling it failed: {line['error']}. {ALTERNATIVES}")
            progress = line.get("progressDetail") or {}
            if "total" in progress:
                layers[line.get("id", "")] = (progress.get("current", 0), progress["total"])
            if silence.passed:
                silence = Deadline(_PULL_REPORTS)
                done, total = (sum(column) / 1e6 for column in zip(*layers.values(), strict=True)) if layers else (0, 0)
                report(f"msk: pulling {name}: {done:.0f} of {total:.0f} MB")
    except (DockerException, OSError) as error:
        raise BrokerUnavailable(f"{missing}, and pulling it failed: {error}. {ALTERNATIVES}") from error
    report(f"msk: pulled {name}")


def _close_sockets(error: BaseException) -> None:
    """Close what a client that could not be made has opened: docker leaves it to the garbage collector, which warns."""
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in walk_tb(cause.__traceback__):
            for value in frame.f_locals.values():
                if isinstance(value, socket.socket):
                    value.close()
        cause = cause.__cause__ or cause.__context__


def _no_daemon(error: Exception) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"The Docker daemon at {daemon_address()} does not answer: {error}. Start it, or set DOCKER_HOST to one that "
        "runs. Without Docker there is --msk-broker=embedded."
    )
