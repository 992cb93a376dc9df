import order_totals
import pytest


@pytest.fixture
def orders(msk_topic):
    """The topic under the name that production has."""
    return msk_topic("orders", partitions=3)


@pytest.fixture
def order_mapping(msk_esm, orders):
    """The mapping with the settings of the deployment template."""
    return msk_esm(order_totals.handler, orders, batch_size=50, maximum_batching_window_in_seconds=5)


@pytest.fixture(autouse=True)
def empty_totals():
    order_totals.totals.clear()
