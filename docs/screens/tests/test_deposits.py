from collections import Counter

import pytest

from pytest_msk import assert_idempotent, decode

balances = Counter()


def deposit(event, context):
    for record in decode(event):
        balances[record.key_text] += record.json()["amount"]


@pytest.mark.msk(clock="2026-01-01T12:00:00Z")
def test_deposits_count_once(msk_topic, msk_esm):
    deposits = msk_topic("deposits", partitions=2)
    deposits.produce_many(({"amount": n} for n in range(12)), key=lambda value: f"c-{value['amount'] % 4}")
    esm = msk_esm(deposit, deposits, batch_size=5, consumer_group_id="wallet")
    esm.drain()
    assert_idempotent(esm, lambda: balances)
