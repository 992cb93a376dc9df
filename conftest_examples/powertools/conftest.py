import pytest


@pytest.fixture
def shipments(msk_topic):
    return msk_topic("shipments", partitions=2)


@pytest.fixture
def sent(monkeypatch):
    """What the function has sent in this test."""
    notices: list[tuple[str, str]] = []
    monkeypatch.setattr("shipment_notices.sent", notices)
    return notices
