from __future__ import annotations

import pytest
from careful import Careful, HandlerFailed


@pytest.fixture
def visit(msk_topic, request):
    """Lets a consumer go through a failed call, a rebalance and a crash, over two partitions, some records filtered."""
    visited: list[Careful] = []

    def run(animal: type[Careful]) -> Careful:
        topic = msk_topic(partitions=2)
        values = [{"id": n, "kind": "refund" if n % 4 == 3 else "order"} for n in range(34)]
        topic.produce_many(values[:17], partition=0)
        topic.produce_many(values[17:], partition=1)
        calls = []

        def handle(records: list[object]) -> None:
            calls.append(records)
            if len(calls) == 1:
                raise HandlerFailed("told to")

        consumer = animal(topic, f"{topic.name}-{animal.__name__}", handle)
        visited.append(consumer)
        consumer.start()
        consumer.turn()
        consumer.turn()
        if not consumer.stopped:
            consumer.rebalance()
            consumer.turn(commit=False)
            consumer.crash()
        while consumer.turn():
            pass
        return consumer

    yield run
    for consumer in visited:
        consumer.close()
