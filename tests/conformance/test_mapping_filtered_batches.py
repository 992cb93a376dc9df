"""Filters and the payload limit together: what is put aside behind a record that did not fit is not read yet."""

from __future__ import annotations

import json

from pytest_msk import assert_at_least_once, assert_ordered
from pytest_msk.journal import BatchClosed, Committed, Filtered, Polled

_WANTED = {"Filters": [{"Pattern": json.dumps({"value": {"wanted": [True]}})}]}


def test_records_filtered_behind_one_that_does_not_fit_wait_for_their_batch(msk_topic, msk_esm):
    topic = msk_topic(config={"max.message.bytes": "8000000"})
    large = "x" * 2_000_000
    wanted = [True, False, True, False, True, False, False, True]
    topic.produce_many({"wanted": each, "text": large if each else ""} for each in wanted)
    esm = msk_esm(lambda event, context: None, topic, filter_criteria=_WANTED)
    esm.drain()

    assert [b.records for b in esm.journal.of(BatchClosed)] == [
        {0: (range(1), range(2, 3))},
        {0: (range(4, 5), range(7, 8))},
    ]
    assert [p.records for p in esm.journal.of(Polled)] == [b.records for b in esm.journal.of(BatchClosed)]
    assert [f.records for f in esm.journal.of(Filtered)] == [{0: (range(1, 2), range(3, 4))}, {0: (range(5, 7),)}]
    assert [c.positions for c in esm.journal.of(Committed)] == [{0: 4}, {0: 8}]
    assert_at_least_once(esm)
    assert_ordered(esm)
