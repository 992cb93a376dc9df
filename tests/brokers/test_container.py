"""The container broker: what it asks of Docker, and what it says when Docker does not do it."""

from __future__ import annotations

import gc
import os
import random
import socket
import threading
import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from docker.errors import APIError, DockerException, ImageNotFound

from pytest_msk import BrokerUnavailable
from pytest_msk.brokers import _docker, _docker_container
from pytest_msk.brokers import container as under_test
from pytest_msk.brokers.cluster import KIT_TOPIC_CONFIG
from pytest_msk.brokers.container import LIMITS, ContainerBroker, available

IMAGE = "apache/kafka:4.3.1"


class FakeDaemon:
    """testcontainers' client of a daemon that has some images, and pulls others from a script."""

    def __init__(self, *images, pulling=()):
        self.had, self.pulling, self.pulled = set(images), pulling, []
        self.client = self
        self.images = self
        self.api = self

    def get(self, name):
        if name not in self.had:
            raise ImageNotFound(f"no {name}")

    def pull(self, repository, *, tag, stream, decode):
        assert stream
        assert decode
        self.pulled.append(f"{repository}:{tag}")
        yield from self.pulling


@pytest.fixture
def daemon(monkeypatch):
    """Puts a fake daemon in place of the machine's."""

    def install(*images, pulling=()):
        fake = FakeDaemon(*images, pulling=pulling)

        @contextmanager
        def docker(timeout):
            yield fake

        monkeypatch.setattr(under_test, "docker_client", docker)
        monkeypatch.setattr(under_test, "needed_images", lambda image: [image])
        return fake

    return install


@pytest.fixture
def no_daemon(monkeypatch):
    """An address at which no daemon listens."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    return "tcp://127.0.0.1:1"


# --- settings


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("auto.create.topics.enable", "KAFKA_AUTO_CREATE_TOPICS_ENABLE"),
        ("listener.name.a.scram-sha-512.sasl.jaas.config", "KAFKA_LISTENER_NAME_A_SCRAM___SHA___512_SASL_JAAS_CONFIG"),
        ("with_underscore", "KAFKA_WITH__UNDERSCORE"),
    ],
)
def test_kafkas_names_become_the_images_variables(name, variable):
    assert _docker_container._variable(name) == variable


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, {"retention.ms", "message.timestamp.after.max.ms"}),
        ({"log.retention.hours": "1"}, {"message.timestamp.after.max.ms"}),
        ({"log.message.timestamp.after.max.ms": "1"}, {"retention.ms"}),
        ({"num.partitions": "3"}, {"retention.ms", "message.timestamp.after.max.ms"}),
    ],
)
def test_the_kits_topic_settings_give_way_to_the_callers_broker_settings(given, left):
    assert under_test._topic_config(given) == {name: KIT_TOPIC_CONFIG[name] for name in left}


def test_limits_are_data():
    assert {limit.name for limit in LIMITS} == {"clock", "brokers", "iam", "plain users"}


# --- the port


def test_a_free_port_is_below_the_ephemeral_range_and_free():
    for _ in range(20):
        port = _docker_container._free_port("127.0.0.1")
        assert 20_000 <= port < 32_000
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_seeding_random_does_not_send_all_workers_to_one_port():
    random.seed(1)
    first = [_docker_container._free_port(None) for _ in range(5)]
    random.seed(1)
    assert [_docker_container._free_port(None) for _ in range(5)] != first


def test_a_port_that_is_taken_is_not_chosen(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        busy = taken.getsockname()[1]
        free = _docker_container._free_port("127.0.0.1")
        draws = iter([busy, busy, free])
        monkeypatch.setattr(_docker_container.random.SystemRandom, "choice", lambda self, ports: next(draws))
        assert _docker_container._free_port("127.0.0.1") == free


def test_localhost_is_given_as_the_address_that_is_bound():
    assert _docker_container._loopback("localhost") == "127.0.0.1"
    assert _docker_container._loopback("docker.example") == "docker.example"


class FakeContainer:
    """A container whose start goes as it is told."""

    def __init__(self, error=None):
        self.error, self.stopped, self.env = error, 0, {"KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://127.0.0.1:1,B://x:2"}

    def start(self):
        if self.error is not None:
            raise self.error

    def stop(self):
        self.stopped += 1

    def get_docker_client(self):
        return self

    @property
    def client(self):
        return self

    def close(self):
        pass


def started(monkeypatch, *errors):
    made = []

    def make(image, settings):
        made.append(FakeContainer(errors[len(made)] if len(made) < len(errors) else None))
        return made[-1]

    monkeypatch.setattr(_docker_container, "_container", make)
    return made


@pytest.mark.parametrize(
    "words",
    [
        "Bind for 127.0.0.1:2000 failed: port is already allocated",
        "listen tcp4 127.0.0.1:2000: bind: address already in use",
        "Ports are not available: exposing port TCP 127.0.0.1:2000",
    ],
)
def test_a_port_that_somebody_took_meanwhile_is_replaced(monkeypatch, words):
    made = started(monkeypatch, APIError("500", explanation=words), APIError("500", explanation=words))
    assert _docker_container.start_container(IMAGE, {}) is made[2]
    assert [one.stopped for one in made] == [1, 1, 0]


def test_ports_that_are_always_taken_are_an_error_at_last(monkeypatch):
    made = started(monkeypatch, *[APIError("500", explanation="port is already allocated")] * 10)
    with pytest.raises(BrokerUnavailable, match="port is already allocated"):
        _docker_container.start_container(IMAGE, {})
    assert [one.stopped for one in made] == [1] * 5


@pytest.mark.parametrize(
    "error",
    [APIError("500", explanation="no space left"), DockerException("no space left"), OSError("no space left")],
    ids=["api", "docker", "os"],
)
def test_a_start_that_fails_says_why_and_leaves_nothing(monkeypatch, error):
    made = started(monkeypatch, error)
    with pytest.raises(BrokerUnavailable) as raised:
        _docker_container.start_container(IMAGE, {})
    text = str(raised.value)
    assert f"could not start a container of {IMAGE}: no space left" in text
    assert "--msk-kafka-image" in text
    assert "--msk-broker=embedded" in text
    assert made[0].stopped == 1


def test_an_interrupted_start_leaves_nothing(monkeypatch):
    made = started(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _docker_container.start_container(IMAGE, {})
    assert made[0].stopped == 1


# --- the daemon and the image


def test_no_daemon_is_unavailable_with_its_address(no_daemon):
    with pytest.raises(BrokerUnavailable) as raised:
        ContainerBroker(pull=False)
    text = str(raised.value)
    assert text.startswith(f"The Docker daemon at {no_daemon} does not answer: ")
    assert text.endswith("Without Docker there is --msk-broker=embedded.")


def test_no_daemon_is_not_available(no_daemon):
    there, reason = available()
    assert not there
    assert no_daemon in reason


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
def test_a_daemon_that_is_not_there_leaves_no_socket_to_the_garbage_collector(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert not available()[0]
        gc.collect()
    assert [str(warning.message) for warning in caught if warning.category is ResourceWarning] == []


def test_the_environment_is_left_as_it_was(no_daemon, monkeypatch):
    before = dict(os.environ)
    available()
    assert dict(os.environ) == before
    monkeypatch.delenv("DOCKER_HOST")
    before = dict(os.environ)
    with _docker.environment_kept():
        os.environ["DOCKER_HOST"] = "tcp://elsewhere:1"
    assert dict(os.environ) == before


def test_available_wants_the_image_and_pulls_nothing(daemon):
    fake = daemon(IMAGE)
    assert available(IMAGE)[0]
    there, reason = available("other:1")
    assert not there
    assert "does not have the image other:1" in reason
    assert fake.pulled == []


def test_the_reaper_of_testcontainers_is_wanted_where_it_is_used(monkeypatch):
    config = SimpleNamespace(hub_image_name_prefix="mirror.example/", ryuk_disabled=False, ryuk_image="reaper:1")
    monkeypatch.setattr("testcontainers.core.config.testcontainers_config", config)
    assert _docker.needed_images(IMAGE) == [f"mirror.example/{IMAGE}", "reaper:1"]
    config.ryuk_disabled = True
    assert _docker.needed_images(IMAGE) == [f"mirror.example/{IMAGE}"]


def test_an_image_that_must_not_be_pulled_is_unavailable(daemon):
    fake = daemon()
    with pytest.raises(BrokerUnavailable, match=r"does not have the image apache/kafka:4\.3\.1, and it is not pulled"):
        ContainerBroker(IMAGE, pull=False)
    assert fake.pulled == []


def test_a_pull_tells_how_far_it_is(daemon, monkeypatch):
    monkeypatch.setattr(_docker, "_PULL_REPORTS", 0.0)
    fake = daemon(
        pulling=[
            {"status": "Pulling from apache/kafka", "id": "4.3.1"},
            {"status": "Downloading", "id": "a", "progressDetail": {"current": 1_000_000, "total": 5_000_000}},
            {"status": "Downloading", "id": "b", "progressDetail": {"current": 2_000_000, "total": 7_000_000}},
            {"status": "Downloading", "id": "a", "progressDetail": {"current": 5_000_000, "total": 5_000_000}},
            {"status": "Pull complete", "id": "a", "progressDetail": {}},
        ]
    )
    lines = []
    _docker.pull_image(fake, IMAGE, True, lines.append)
    assert fake.pulled == [IMAGE]
    assert lines == [
        f"msk: pulling {IMAGE} ...",
        f"msk: pulling {IMAGE}: 0 of 0 MB",
        f"msk: pulling {IMAGE}: 1 of 5 MB",
        f"msk: pulling {IMAGE}: 3 of 12 MB",
        f"msk: pulling {IMAGE}: 7 of 12 MB",
        f"msk: pulling {IMAGE}: 7 of 12 MB",
        f"msk: pulled {IMAGE}",
    ]


def test_a_pull_that_fails_says_why(daemon):
    fake = daemon(pulling=[{"error": "manifest unknown"}])
    with pytest.raises(BrokerUnavailable, match=r"pulling it failed: manifest unknown\. Choose another image"):
        _docker.pull_image(fake, IMAGE, True, lambda _: None)


# --- ready


def serving(*answers):
    """A port that sends one of the answers to each connection, and then closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_that_only_accepts_is_not_kafka():
    assert not under_test._answers(serving(b""))
    assert not under_test._answers(serving(b"\x00\x00\x00\x10half"))
    assert not under_test._answers("127.0.0.1:1")


def test_kafka_without_a_coordinator_is_not_ready():
    versions = b"\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    not_yet = b"\x00\x00\x00\x10\x00\x00\x00\x02\x00\x0f\xff\xff\xff\xff\x00\x00\xff\xff\xff\xff"
    found = not_yet.replace(b"\x00\x0f", b"\x00\x00")
    assert not under_test._answers(serving(versions + not_yet))
    assert under_test._answers(serving(versions + found))


def test_a_kafka_that_is_ready_is(server):
    assert under_test._answers(server.bootstrap_servers)
