"""What the client libraries' tests share: a topic and a group of their own on the session's broker."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient

from pytest_msk import Broker, Security


@pytest.fixture
def name(msk_broker: Broker) -> Iterator[str]:
    """A name for a topic that the test makes; the topic is deleted afterwards."""
    made = f"c-{uuid.uuid4().hex[:12]}"
    yield made
    if msk_broker.partition_count(made):
        AdminClient(msk_broker.client_config()).delete_topics([made])[made].result(30)


@pytest.fixture
def topic(msk_broker: Broker) -> Iterator[str]:
    """A topic with two partitions."""
    made = f"c-{uuid.uuid4().hex[:12]}"
    msk_broker.create_topic(made, partitions=2)
    yield made
    msk_broker.delete_topic(made)


@pytest.fixture
def group(msk_broker: Broker) -> Iterator[str]:
    """A consumer group that is deleted after the test."""
    made = f"g-{uuid.uuid4().hex[:12]}"
    yield made
    if made in msk_broker.abandoned_groups():
        msk_broker.delete_group(made)


@pytest.fixture
def secure(msk_broker: Broker) -> Callable[[str], dict[str, str]]:
    """What a client is told so that it can authenticate, under names that other libraries' settings can be made of."""

    def ask(auth: str) -> dict[str, str]:
        if auth == "iam" and msk_broker.kind != "embedded":
            pytest.skip("IAM needs a class of AWS on the broker's side: --msk-broker=embedded has it")
        config = msk_broker.client_config(auth=auth)
        return {name.replace(".", "_"): str(value) for name, value in config.items()}

    return ask


@pytest.fixture
def iam_key(monkeypatch: pytest.MonkeyPatch, msk_security: Security) -> str:
    """Sets the environment in which AWS's libraries find the key of the tests; gives the region."""
    for name, value in msk_security.iam_key().environment(msk_security.region).items():
        monkeypatch.setenv(name, value)
    return msk_security.region
