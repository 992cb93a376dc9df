from __future__ import annotations

from collections.abc import Iterator

import pytest
from wire_client import WireClient

from pytest_msk.brokers.embedded import EmbeddedBroker


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def client(broker: EmbeddedBroker) -> Iterator[WireClient]:
    with WireClient(broker.bootstrap_servers) as client:
        yield client
