"""What the tests of Kafka's own tools share: one JVM for all, a topic and a group for each."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka_tools import SERVER, Jvm, Tool, missing

from pytest_msk import Broker


@pytest.fixture(scope="session")
def jvm() -> Iterator[Jvm]:
    """The JVM; without a JDK or Kafka's jars the test is skipped."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with Jvm() as started:
        yield started


@pytest.fixture
def new_name(msk_broker: Broker) -> Iterator[Callable[[], str]]:
    """Makes names; a topic of that name is deleted after the test, whoever made it."""
    made: list[str] = []

    def make() -> str:
        made.append(f"j-{uuid.uuid4().hex[:12]}")
        return made[-1]

    yield make
    for name in made:
        msk_broker.delete_topic(name)


@pytest.fixture
def topic(msk_broker: Broker, new_name: Callable[[], str]) -> Callable[..., str]:
    """Creates a topic: `topic(partitions=1)`."""

    def create(partitions: int = 1) -> str:
        name = new_name()
        msk_broker.create_topic(name, partitions=partitions)
        return name

    return create


@pytest.fixture
def group(msk_broker: Broker) -> Iterator[str]:
    """A consumer group that is deleted after the test."""
    made = f"g-{uuid.uuid4().hex[:12]}"
    yield made
    if made in msk_broker.abandoned_groups():
        msk_broker.delete_group(made)


@pytest.fixture
def start(jvm: Jvm, msk_broker: Broker, new_name: object, group: str) -> Iterator[Callable[..., Tool]]:
    """Starts a tool on the broker: `start("kafka-topics", "--list")`; what runs is stopped before its topics go."""
    started: list[Tool] = []

    def begin(tool: str, *arguments: object, stdin: str = "", server: str | None = None) -> Tool:
        words = arguments if SERVER in arguments else ("--bootstrap-server", SERVER, *arguments)
        where = server or msk_broker.bootstrap_servers
        started.append(jvm.start(tool, [where if word is SERVER else word for word in words], stdin=stdin))
        return started[-1]

    yield begin
    for one in started:
        if one.status is None:
            one.stop()
            one.wait()


@pytest.fixture
def run(start: Callable[..., Tool]) -> Callable[..., Tool]:
    """Runs a tool to its end, which has to be good: `run("kafka-topics", "--list").lines`."""

    def do(tool: str, *arguments: object, **how: Any) -> Tool:
        ended = start(tool, *arguments, **how).wait()
        assert ended.status == 0, ended
        return ended

    return do
