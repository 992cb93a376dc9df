"""Random correct runs raise nothing: of the careful consumer, and of mappings with every rule for failures."""

from __future__ import annotations

from careful import Careful, HandlerFailed
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_msk import InMemoryDestination, assert_at_least_once, assert_committed, decode, find_anomalies
from pytest_msk.clock import VirtualClock
from pytest_msk.sandbox import Sandbox

#: 2,000 runs in the long profile, and a share of them on every day.
RUNS = settings().max_examples if settings().max_examples > 100 else 8
START_MS = 1_790_000_000_000


def sandbox(broker) -> Sandbox:
    return Sandbox(broker, VirtualClock(START_MS), "random", 30)


counts = st.lists(st.integers(0, 12), min_size=1, max_size=3)
moves = st.lists(
    st.sampled_from(["turn", "turn", "uncommitted turn", "rebalance", "crash", "produce"]), min_size=1, max_size=8
)


def values(start: int, count: int) -> list[dict[str, object]]:
    return [{"id": n, "kind": "refund" if n % 3 == 2 else "order"} for n in range(start, start + count)]


@settings(max_examples=RUNS)
@given(counts=counts, program=moves, failures=st.sets(st.integers(0, 12), max_size=6))
def test_the_careful_consumer(msk_broker, counts, program, failures):
    calls = []

    def handle(records):
        calls.append(records)
        if len(calls) in failures:
            raise HandlerFailed("told to")

    with sandbox(msk_broker) as made:
        topic = made.topic(partitions=len(counts))
        for partition, count in enumerate(counts):
            topic.produce_many(values(0, count), partition=partition)
        consumer = Careful(topic, topic.name, handle)
        try:
            consumer.start()
            for move in program:
                if move == "rebalance":
                    consumer.rebalance()
                elif move == "crash":
                    consumer.crash()
                elif move == "produce":
                    topic.produce_many(values(20, 3), partition=0)
                elif not consumer.turn(commit=move == "turn") or move != "turn":
                    consumer.crash()
            while consumer.turn():
                pass
            assert find_anomalies(consumer.told) == ()
            assert_at_least_once(consumer.told)
            assert_committed(consumer.told)
        finally:
            consumer.close()


rules = st.fixed_dictionaries(
    {},
    optional={
        "maximum_retry_attempts": st.integers(0, 3),
        "bisect_batch_on_function_error": st.booleans(),
        "function_response_types": st.just(["ReportBatchItemFailures"]),
        "strict_order": st.booleans(),
        "filter_criteria": st.just({"Filters": [{"Pattern": '{"value": {"kind": ["order"]}}'}]}),
    },
)


@settings(max_examples=RUNS)
@given(
    counts=counts,
    batch_size=st.integers(1, 8),
    rules=rules,
    destination=st.booleans(),
    poison=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 11)), max_size=4),
    patience=st.integers(1, 9),
    restarts=st.sets(st.integers(1, 30), max_size=3),
)
def test_mappings(msk_broker, counts, batch_size, rules, destination, poison, patience, restarts):
    """Poison fails until it has failed often enough in all, by an exception or as an item failure."""
    failed = 0

    def function(event, context):
        nonlocal failed
        bad = [r for r in decode(event) if (r.partition, r.offset) in poison]
        if not bad or failed >= patience:
            return None
        failed += 1
        if "function_response_types" in rules and failed % 3:
            names = [{"partition": f"{r.topic}-{r.partition}", "offset": r.offset} for r in bad]
            return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}
        raise ValueError("poison")

    with sandbox(msk_broker) as made:
        topic = made.topic(partitions=len(counts))
        for partition, count in enumerate(counts):
            topic.produce_many(values(0, count), partition=partition)
        if destination:
            rules = {**rules, "destination_config": {"OnFailure": {"Destination": InMemoryDestination()}}}
        esm = made.mapping(
            function, topic, batch_size=batch_size, provisioned_poller_config={"MinimumPollers": 1}, **rules
        )
        steps = 0
        while esm.step() is not None:
            steps += 1
            if steps in restarts:
                esm.disable()
                esm.enable()
        esm.drain()
        assert find_anomalies(esm, allow=("dropped", "destination")) == ()
        assert_at_least_once(esm, allow=("dropped", "destination"))
