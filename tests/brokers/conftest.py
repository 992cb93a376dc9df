from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_msk.brokers.embedded import EmbeddedBroker


@pytest.fixture
def server() -> Iterator[EmbeddedBroker]:
    """A Kafka to talk to, which tests may close; the brokers under test know only its address."""
    with EmbeddedBroker() as broker:
        yield broker
