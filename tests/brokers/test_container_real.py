"""Containers that are really started, where a Docker daemon has the image."""

from __future__ import annotations

import docker
import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from pytest_msk import BrokerError, BrokerUnavailable, NotSupported
from pytest_msk.brokers import container as under_test
from pytest_msk.brokers.container import ContainerBroker, available
from pytest_msk.clock import Deadline


@pytest.fixture(autouse=True)
def _docker():
    there, reason = available()
    if not there:
        pytest.skip(f"{reason}: these tests start containers")


@pytest.fixture
def started(monkeypatch):
    """The ids of the containers that a test starts."""
    ids = []
    start = under_test.start_container

    def remember(*arguments):
        container = start(*arguments)
        ids.append(container.get_wrapped_container().id)
        return container

    monkeypatch.setattr(under_test, "start_container", remember)
    return ids


def exists(container_id):
    client = docker.from_env()
    try:
        client.containers.get(container_id)
    except docker.errors.NotFound:
        return False
    finally:
        client.close()
    return True


def test_it_is_ready_when_it_is_made_and_gone_when_it_is_closed(started):
    broker = ContainerBroker(settings={"num.partitions": "3", "log.retention.hours": "7"}, pull=False)
    try:
        assert broker.kind == "container"
        assert not broker.bootstrap_servers.startswith("localhost")
        assert broker.topics() == broker.groups() == frozenset(), "the round trip left nothing"
        assert [exists(one) for one in started] == [True]
        producer = broker.producer(transactional_id="t")
        broker.create_topic("t")
        producer.init_transactions(30)
        for end in (producer.commit_transaction, producer.abort_transaction):
            producer.begin_transaction()
            producer.produce("t", b"x")
            producer.flush()
            end(30)
        assert broker.offsets("t") == {0: (range(1), range(2, 3))}, "control markers are no records"
    finally:
        broker.close()
    broker.close()
    assert [exists(one) for one in started] == [False]


def test_two_brokers_do_not_meet():
    first = ContainerBroker(pull=False)
    try:
        second = ContainerBroker(pull=False)
        try:
            assert first.bootstrap_servers != second.bootstrap_servers
            first.create_topic("only-here")
            assert second.topics() == frozenset()
        finally:
            second.close()
    finally:
        first.close()


def test_a_container_that_exits_shows_its_last_lines_and_is_removed(started):
    with pytest.raises(BrokerUnavailable) as raised:
        ContainerBroker(settings={"num.partitions": "many"}, pull=False)
    text = str(raised.value)
    assert "did not start in a container of the Docker daemon at" in text
    assert "the container exited" in text
    assert "--msk-kafka-image" in text
    assert "num.partitions" in text.partition("The container's last lines:")[2]
    assert [exists(one) for one in started] == [False]


def test_a_certificate_can_be_required_and_iam_is_not_there():
    broker = ContainerBroker(settings={"ssl.client.auth": "required"}, pull=False)
    try:
        admin = AdminClient(broker.client_config(auth="mtls", log_level=0))
        assert admin.list_topics(timeout=30).brokers
        told = []
        config = {**broker.client_config(auth="tls", log_level=0), "error_cb": lambda error: told.append(error.code())}
        anonymous = AdminClient(config)
        deadline = Deadline(30)
        while not told and not deadline.passed:
            anonymous.poll(0.05)
        assert told[0] in (KafkaError._SSL, KafkaError._TRANSPORT)
        with pytest.raises(NotSupported, match=r"auth='iam' on the container broker: .* --msk-broker=embedded"):
            broker.client_config(auth="iam")
    finally:
        broker.close()
    with pytest.raises(BrokerError, match="The container broker is closed"):
        broker.bootstrap_servers_for("tls")
