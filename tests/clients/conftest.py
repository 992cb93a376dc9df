"""What the client libraries' tests share: a topic and a group of their own on the session's broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient

from pytest_msk import Broker


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
