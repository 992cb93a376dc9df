"""throughput: records per second through poll, event, JSON, handler and commit, against the loop people write by hand.

Both sides read the same topic in a group of their own, with the kit's quick client settings, 100 records a batch and a
synchronous commit after each; the time runs from the subscription to the last commit. Values are 100 bytes of JSON with
a key. The share of bare `consume(100)`, which only counts, is told as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from . import by_hand
from .rows import Row, times_at_least
from .stage import Stage, seconds, take_turns

__all__ = ["produce", "rows"]

_BATCH = 100


def rows(stage: Stage) -> Iterator[Row]:
    """The rates with one partition and with three."""
    total = stage.count(100_000, 5_000)
    for partitions in (1, 3):
        kit, hand, bare = _rates(stage, partitions, total)
        what = f"records/s, {partitions} partition{'s' * (partitions > 1)}"
        yield times_at_least(what, kit, "k/s", "loop by hand", hand, 2)
        yield times_at_least(what, kit, "k/s", "consume() alone", bare, None)


def _rates(stage: Stage, partitions: int, total: int) -> list[list[float]]:
    with stage.sandbox() as sandbox:
        topic = sandbox.topic(partitions=partitions)
        produce(stage, topic.name, partitions, total)
        seen = 0

        def handler(event, _context):
            nonlocal seen
            seen += sum(map(len, event["records"].values()))

        def kit() -> None:
            with sandbox.mapping(handler, topic, batch_size=_BATCH) as esm:
                esm.drain()

        def rate(deliver: Callable[[], object]) -> float:
            nonlocal seen
            seen = 0
            took = seconds(deliver)
            if seen != total:
                raise RuntimeError(f"{seen} of {total} records reached the handler.")
            return total / took / 1000

        def by_hands() -> None:
            with stage.broker.consumer(stage.name()) as consumer:
                consumer.subscribe([topic.name])
                by_hand.deliver(consumer, handler, total, _BATCH)

        def bare() -> float:
            with stage.broker.consumer(stage.name()) as consumer:
                consumer.subscribe([topic.name])
                return total / seconds(lambda: by_hand.read(consumer, total, _BATCH)) / 1000

        return take_turns(stage.count(7, 1), lambda: rate(kit), lambda: rate(by_hands), bare)


def produce(stage: Stage, topic: str, partitions: int, total: int) -> None:
    """Produce records as an application does: at the time that it is, with a key and 100 bytes of JSON."""
    with stage.broker.producer(linger_ms=5) as producer:
        for number in range(total):
            value = b'{"id":%d,"customer":%d,"note":"' % (number, number % 7)
            producer.produce(
                topic,
                value + b"x" * (98 - len(value)) + b'"}',
                b"%d" % number,
                partition=number % partitions,
                timestamp=time.time_ns() // 1_000_000,
            )
            if number % 10_000 == 0:
                producer.flush()
        producer.flush()
