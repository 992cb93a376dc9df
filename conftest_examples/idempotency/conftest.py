import pytest
from wallet import Wallets


@pytest.fixture
def wallets():
    return Wallets()


@pytest.fixture
def audit():
    """An audit service that is down for the third payment, once."""
    down = iter([False, False, True])

    def send(payment):
        if next(down, False):
            raise ConnectionError("audit service unavailable")

    return send


@pytest.fixture
def paid(msk_topic):
    """Five payments of 10 each into one wallet."""
    topic = msk_topic("payments")
    topic.produce_many({"id": f"p{n}", "wallet": "w1", "amount": 10} for n in range(5))
    return topic
