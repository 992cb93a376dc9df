"""What the tests of a broker share: each has topics and groups of its own, all have the session's broker."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from broker_tools import PATIENCE
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient
from kafka_wire import Wire

from pytest_msk import Broker


@pytest.fixture
def new_name(msk_broker: Broker, admin: AdminClient) -> Iterator[Callable[[], str]]:
    """Makes names; a topic of that name is deleted after the test, whoever made it."""
    names: list[str] = []

    def make() -> str:
        names.append(f"t-{uuid.uuid4().hex[:12]}")
        return names[-1]

    yield make
    left = sorted(name for name in msk_broker.topics() if name.endswith(tuple(names)) or name.startswith(tuple(names)))
    for answer in admin.delete_topics(left).values() if left else ():
        answer.result(PATIENCE)


@pytest.fixture
def topic(msk_broker: Broker, new_name: Callable[[], str]) -> Callable[..., str]:
    """Creates a topic and returns its name: `topic(partitions=1, **config)` with `_` for `.`."""

    def create(partitions: int = 1, **config: object) -> str:
        name = new_name()
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        msk_broker.create_topic(name, partitions=partitions, config=settings)
        return name

    return create


@pytest.fixture
def group() -> str:
    """A group id that nobody else has."""
    return f"g-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def admin(msk_broker: Broker) -> AdminClient:
    """An administrator. It cannot be closed, and the frames of expected errors may keep it past the broker: quiet."""
    return AdminClient(msk_broker.client_config(log_level=2))


@pytest.fixture
def wire(msk_broker: Broker) -> Iterator[Wire]:
    """A connection that speaks Kafka's protocol by hand."""
    with Wire(msk_broker.bootstrap_servers) as connection:
        yield connection


@pytest.fixture
def producer(msk_broker: Broker) -> Iterator[Callable[..., Producer]]:
    """Makes producers: `producer(**settings)`; all of them are closed after the test."""
    made: list[Producer] = []

    def make(**settings: Any) -> Producer:
        made.append(msk_broker.producer(**settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def consumer(msk_broker: Broker) -> Iterator[Callable[..., Consumer]]:
    """Makes consumers: `consumer(group, **settings)`; after the test they are closed and their groups deleted."""
    made: list[Consumer] = []
    left: set[str] = set()

    def make(group: str, **settings: Any) -> Consumer:
        made.append(msk_broker.consumer(group, **settings))
        if "group_instance_id" not in settings:  # a static member stays when it closes
            left.add(group)
        return made[-1]

    yield make
    for one in made:
        one.close()
    for group in left:
        msk_broker.delete_group(group)


@pytest.fixture
def send(producer: Callable[..., Producer]) -> Callable[..., list[Message]]:
    """Produces records and returns them as acknowledged: `send(topic, *values, **how)`, `how` as for `produce`."""
    shared: list[Producer] = []

    def deliver(topic: str, *values: bytes | None, settings: dict[str, Any] | None = None, **how: Any) -> list[Message]:
        if settings is not None:
            one = producer(**settings)
        else:
            if not shared:
                shared.append(producer())
            one = shared[0]
        done: list[Message] = []
        failures = []

        def report(error: object, message: Message) -> None:
            (done if error is None else failures).append(message if error is None else error)

        for value in values:
            one.produce(topic, value=value, on_delivery=report, **how)
        assert one.flush(PATIENCE) == 0
        assert not failures
        return done

    return deliver
