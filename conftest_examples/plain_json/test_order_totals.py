import order_totals
import pytest

from pytest_msk import DeliveryBlocked, assert_at_least_once, assert_ordered


def by_customer(order):
    return order["customer"]


def test_handler_adds_up_a_batch(msk_event):
    """The handler alone, with the event that the mapping would send; the rest of this file runs the mapping."""
    event = msk_event(
        [{"customer": "c1", "amount": 2.5}, {"customer": "Zoë", "amount": 1.0}], topic="orders", partitions=3
    )
    order_totals.handler(event, None)

    assert order_totals.totals == {"c1": 2.5, "Zoë": 1.0}


def test_orders_are_added_up(orders, order_mapping):
    orders.produce_many(({"customer": f"c{n % 4}", "amount": 2.5} for n in range(120)), key=by_customer)
    order_mapping.drain()

    assert order_totals.totals == {"c0": 75.0, "c1": 75.0, "c2": 75.0, "c3": 75.0}
    assert_at_least_once(order_mapping)
    assert_ordered(order_mapping)


def test_order_without_an_amount_blocks_its_partition(orders, order_mapping):
    """What production would do with a poison record: nothing behind it is delivered, for as long as it is there."""
    orders.produce({"customer": "c1"}, partition=0)
    orders.produce({"customer": "c2", "amount": 1.0}, partition=0)

    with pytest.raises(DeliveryBlocked, match="KeyError: 'amount'"):
        order_mapping.drain(max_attempts=3)
    assert order_totals.totals == {}


def test_tombstone_is_a_record_without_a_value(msk_event):
    with pytest.raises(KeyError, match="value"):
        order_totals.handler(msk_event([None], topic="orders", key="c1"), None)


def test_tombstone_blocks_its_partition(orders, order_mapping):
    orders.produce(None, key="c1")

    with pytest.raises(DeliveryBlocked, match="KeyError: 'value'"):
        order_mapping.drain(max_attempts=1)
