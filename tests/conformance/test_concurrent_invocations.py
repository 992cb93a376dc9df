"""A provisioned poller has up to five batches under way, none with a partition of another (spec 7.2, 7.3)."""

from __future__ import annotations

import pytest

from pytest_msk import Attempt, BatchClosed, DeliveryBlocked, assert_at_least_once, assert_ordered

PROVISIONED = {"MinimumPollers": 1}


class Poisoned:
    """A function that cannot take the value `poison`."""

    def __init__(self):
        self.seen: list[tuple[int, int]] = []
        self.mended = False

    def __call__(self, event, context):
        records = [record for group in event["records"].values() for record in group]
        if any(record["value"] == "cG9pc29u" for record in records) and not self.mended:
            raise ValueError("poison")
        self.seen += [(record["partition"], record["offset"]) for record in records]


def produce(topic, poisoned: int) -> None:
    """Poison in the first partitions, then more in every partition."""
    for partition in range(poisoned):
        topic.produce("poison", partition=partition)
    for _ in range(3):
        for partition in range(topic.partitions):
            topic.produce("good", partition=partition)


def step_until(esm, condition) -> None:
    for _ in range(300):
        if condition():
            return
        esm.step()
    raise AssertionError(f"{esm.journal[-9:]}")


@pytest.mark.parametrize("poisoned", [1, 4])
def test_batches_of_other_partitions_pass_one_that_is_held_up(msk_topic, msk_esm, poisoned):
    topic, function = msk_topic(partitions=5), Poisoned()
    produce(topic, poisoned)
    esm = msk_esm(
        function, topic, batch_size=1, maximum_batching_window_in_seconds=0, provisioned_poller_config=PROVISIONED
    )
    left = {(partition, offset) for partition in range(poisoned, 5) for offset in range(3)}
    step_until(esm, lambda: esm.metrics.committed_event_count == len(left))
    assert set(function.seen) == left
    assert esm.metrics.offset_lag == 4 * poisoned
    function.mended = True
    esm.drain()
    assert esm.metrics.offset_lag == 0
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_five_that_are_held_up_hold_up_the_rest(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=6), Poisoned()
    produce(topic, 5)
    esm = msk_esm(
        function, topic, batch_size=1, maximum_batching_window_in_seconds=0, provisioned_poller_config=PROVISIONED
    )
    for _ in range(100):
        esm.step()
    assert [tuple(batch.records) for batch in esm.journal.of(BatchClosed)] == [(n,) for n in range(5)]
    assert function.seen == []
    # They are tried again in turn.
    turns = [attempt.batch for attempt in esm.journal.of(Attempt)][-10:]
    assert sorted(turns[:5]) == sorted(turns[5:]) == [1, 2, 3, 4, 5]
    assert turns[:5] == turns[5:]


def test_on_demand_one_batch_is_under_way_at_a_time(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=2), Poisoned()
    produce(topic, 1)
    esm = msk_esm(function, topic, batch_size=1, maximum_batching_window_in_seconds=0)
    for _ in range(30):
        esm.step()
    assert len(esm.journal.of(BatchClosed)) == 1
    assert function.seen == []


def test_drain_gives_up_on_the_batch_that_is_held_up(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=2), Poisoned()
    produce(topic, 1)
    esm = msk_esm(
        function, topic, batch_size=1, maximum_batching_window_in_seconds=0, provisioned_poller_config=PROVISIONED
    )
    with pytest.raises(
        DeliveryBlocked, match=r"^Batch 1 \(1 record: \S+-0 offsets 0-0\) failed 30 times in a row"
    ) as raised:
        esm.drain(max_attempts=30)
    assert (raised.value.batch, raised.value.failures) == (1, 30)
    assert function.seen == [(1, 0), (1, 1), (1, 2)]


def test_a_batch_that_runs_out_of_retries_lets_its_partition_go_on(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=3), Poisoned()
    produce(topic, 2)
    esm = msk_esm(
        function,
        topic,
        batch_size=1,
        maximum_batching_window_in_seconds=0,
        provisioned_poller_config=PROVISIONED,
        maximum_retry_attempts=3,
    )
    esm.drain()
    assert esm.metrics.dropped_event_count == 2
    assert esm.metrics.invocations == 2 * 4 + 9
    assert_at_least_once(esm, allow=("dropped",))
    assert_ordered(esm)
