"""A million records through one mapping, some batches of which fail."""

from __future__ import annotations

from pytest_msk import assert_at_least_once, assert_ordered
from pytest_msk.journal import Attempt, BatchClosed

_RECORDS = 1_000_000
_FAILURES = 250


def test_a_million_records_are_delivered_in_order(msk_topic, msk_esm):
    calls = records = 0

    def handler(event, context):
        nonlocal calls, records
        calls += 1
        if calls % 40 == 0 and calls // 40 <= _FAILURES:
            raise ConnectionError("not now")
        records += sum(map(len, event["records"].values()))

    topic = msk_topic(partitions=6)
    topic.produce_many(({"id": number} for number in range(_RECORDS)), key=lambda value: str(value["id"] % 1_000))
    esm = msk_esm(handler, topic, batch_size=100)
    attempts = esm.drain()

    assert records == _RECORDS
    assert sum(attempt.error is not None for attempt in attempts) == _FAILURES
    assert len(esm.journal.of(Attempt)) == len(esm.journal.of(BatchClosed)) + _FAILURES
    assert_at_least_once(esm)
    assert_ordered(esm)
