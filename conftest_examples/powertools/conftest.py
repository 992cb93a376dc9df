import pytest
from faker import Faker

from pytest_msk import KafkaProvider


@pytest.fixture
def shipments(msk_topic):
    return msk_topic("shipments", partitions=2)


@pytest.fixture
def sent(monkeypatch):
    """What the function has sent in this test."""
    notices: list[tuple[str, str]] = []
    monkeypatch.setattr("shipment_notices.sent", notices)
    return notices


@pytest.fixture
def fake():
    """A Faker of Japan with its own seed: the same names in every run."""
    fake = Faker("ja_JP")
    fake.add_provider(KafkaProvider)
    fake.seed_instance(1)
    return fake
