"""Filters in a mapping: what is counted, invoked for, committed and written down (spec 6.3, 6.5)."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import EventPattern, Topic, VirtualClock, assert_at_least_once, assert_ordered, decode
from pytest_msk.journal import Attempt, BatchClosed, Committed, Filtered, Polled, Unfiltered
from pytest_msk.sandbox import Sandbox

ACTIVE = {"value": {"status": [{"prefix": "ACT"}], "amount": [{"numeric": [">", 100]}]}}


def criteria(*patterns: object) -> dict[str, object]:
    return {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}


class Values:
    """A function that remembers the values that it got."""

    def __init__(self) -> None:
        self.batches: list[list[bytes | None]] = []

    def __call__(self, event: dict, context: object) -> None:
        self.batches.append([record.value for record in decode(event)])

    @property
    def all(self) -> list[bytes | None]:
        return [value for batch in self.batches for value in batch]


def test_records_that_do_not_match_do_not_count_toward_the_batch_size(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(), Values()
    topic.produce_many({"status": "ACTIVE", "amount": n} for n in range(90, 112))
    esm = msk_esm(function, topic, batch_size=5, filter_criteria=criteria(ACTIVE))
    esm.drain()
    assert [[json.loads(value)["amount"] for value in batch] for batch in function.batches] == [
        [101, 102, 103, 104, 105],
        [106, 107, 108, 109, 110],
        [111],
    ]
    assert sum(len(run) for event in esm.journal.of(Filtered) for run in event.records[0]) == 11
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 22}
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_values_of_another_format_pass_and_the_journal_says_so(msk_topic, msk_esm):
    topic, function = msk_topic(), Values()
    values = [{"status": "ACTIVE", "amount": 101}, "text", {"status": "GONE"}, b"\xff", None, [1]]
    topic.produce_many(values)
    esm = msk_esm(function, topic, filter_criteria=criteria(ACTIVE))
    esm.drain()
    assert function.all == [b'{"status":"ACTIVE","amount":101}', b"text", b"\xff", b"[1]"]
    (polled,), (filtered,), (unfiltered,) = (esm.journal.of(kind) for kind in (Polled, Filtered, Unfiltered))
    assert polled.records == {0: (range(2), range(3, 4), range(5, 6))}
    assert filtered.records == {0: (range(2, 3), range(4, 5))}
    assert unfiltered.records == {0: (range(1, 2), range(3, 4), range(5, 6))}
    assert_at_least_once(esm)


def test_strictly_they_are_filtered(msk_topic, msk_esm, msk_broker):
    topic, function = msk_topic(), Values()
    topic.produce_many(["text", {"status": "ACTIVE", "amount": 101}, b"\xff"])
    esm = msk_esm(function, topic, filter_criteria=criteria(ACTIVE), filter_strict=True)
    esm.drain()
    assert function.all == [b'{"status":"ACTIVE","amount":101}']
    assert esm.journal.of(Unfiltered) == ()
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 3}
    assert_at_least_once(esm)


def test_polls_in_which_nothing_matched_are_committed_without_an_invocation(msk_topic, msk_esm, msk_broker, msk_clock):
    topic, function = msk_topic(partitions=2), Values()
    esm = msk_esm(function, topic, maximum_batching_window_in_seconds=300, filter_criteria=criteria(ACTIVE))
    for partition in (0, 1):
        topic.produce({"status": "GONE"}, partition=partition)
    esm.drain()
    assert function.batches == []
    assert esm.journal.of(Attempt) == esm.journal.of(BatchClosed) == ()
    assert [event.positions for event in esm.journal.of(Committed)] == [{0: 1, 1: 1}]

    topic.produce({"status": "ACTIVE", "amount": 101}, partition=1)
    topic.produce({"status": "GONE"}, partition=0)
    esm.drain()
    assert len(function.all) == 1
    assert [batch.reason for batch in esm.journal.of(BatchClosed)] == ["window"]
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 2, 1: 2}


def test_a_failing_batch_keeps_what_was_filtered_behind_it_uncommitted(msk_topic, msk_esm, msk_broker):
    topic, failures = msk_topic(), [RuntimeError("again"), RuntimeError("again")]

    def handler(event, context):
        if failures:
            raise failures.pop()

    topic.produce_many([{"status": "GONE"}, {"status": "ACTIVE", "amount": 101}, {"status": "GONE"}])
    esm = msk_esm(handler, topic, batch_size=1, filter_criteria=criteria(ACTIVE))
    assert [type(esm.step()) for _ in range(3)] == [Polled, BatchClosed, Attempt]
    assert msk_broker.committed(esm.consumer_group_id, topic.name).get(0, 0) == 0
    esm.drain()
    assert [attempt.error for attempt in esm.journal.of(Attempt)] == ["RuntimeError: again"] * 2 + [None]
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 3}


def test_with_metadata_a_filter_asks_for_a_records_other_properties(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=2), Values()
    for number in range(4):
        topic.produce(
            f"v{number}", key=f"k{number}", headers=[("kind", b"odd" if number % 2 else b"even")], partition=number // 2
        )
    patterns = criteria({"partition": [1], "headers": {"kind": ["odd"]}}, {"key": ["k0"], "value": ["v0"]})
    esm = msk_esm(function, topic, filter_criteria=patterns, filter_metadata=True)
    esm.drain()
    assert sorted(function.all) == [b"v0", b"v3"]
    assert_at_least_once(esm)


def test_background_filters_too(msk_topic, msk_esm):
    topic, function = msk_topic(), Values()
    esm = msk_esm(function, topic, filter_criteria=criteria(ACTIVE))
    with esm.running():
        topic.produce_many([{"status": "GONE"}, {"status": "ACTIVE", "amount": 101}, "text"])
        esm.wait_until(lambda: len(function.all) == 2)
    assert function.all == [b'{"status":"ACTIVE","amount":101}', b"text"]


alternatives = st.sampled_from(
    ["x", 1, None, {"exists": False}, {"prefix": "x"}, {"anything-but": "x"}, {"numeric": ["<", 1]}, {"wildcard": "*y"}]
)
patterns = st.dictionaries(st.sampled_from("ab"), st.lists(alternatives, min_size=1, max_size=2), min_size=1)
contents = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "xy", 1, 0.5, None, ["x", 2]]), max_size=3)


@given(pattern=patterns, values=st.lists(contents, max_size=12), batch_size=st.integers(1, 4))
def test_exactly_what_matches_is_delivered(msk_broker, pattern, values, batch_size):
    compiled, function = EventPattern({"value": pattern}), Values()
    with Sandbox(msk_broker, VirtualClock(), "filters", 30) as sandbox:
        topic: Topic = sandbox.topic()
        topic.produce_many(values)
        esm = sandbox.mapping(function, topic, batch_size=batch_size, filter_criteria=criteria({"value": pattern}))
        esm.drain()
        assert [json.loads(value) for value in function.all] == [v for v in values if compiled.matches({"value": v})]
        assert msk_broker.committed(esm.consumer_group_id, topic.name) == ({0: len(values)} if values else {})
        assert_at_least_once(esm)
        assert_ordered(esm)
