import json

import pytest

from pytest_msk import decode


def charge(event, context):
    for record in decode(event):
        order = json.loads(record.value)
        total = order["amount"] * 1.2
        assert total > 0


@pytest.mark.msk(clock="2026-01-01T12:00:00Z")
def test_every_order_is_charged(msk_topic, msk_esm):
    orders = msk_topic("orders", partitions=2)
    for n in range(16):
        order = {"id": n, "type": "order" if n % 5 else "refund", "amount": 10 + n}
        if n == 9:
            del order["amount"]
        orders.produce(order, partition=n % 2)
    wanted = {"Filters": [{"Pattern": '{"value": {"type": ["order"]}}'}]}
    esm = msk_esm(charge, orders, batch_size=4, consumer_group_id="billing", filter_criteria=wanted)
    esm.drain(max_attempts=12)
