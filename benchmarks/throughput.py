"""throughput: records per second through poll, event, JSON, handler and commit, against the loop people write by hand.

Both sides read the same topic in a group of their own with the kit's quick client settings, 100 records a batch and a
synchronous commit after each. Values are 100 bytes of JSON with a key. The time runs from the first record that the
handler gets to the end of the last commit, so that joining the group is in no rate. The share of bare `consume(100)`,
which only counts, is told as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from . import by_hand
from .rows import Row, times_at_least
from .stage import Stage, take_turns

__all__ = ["produce", "rows"]

_BATCH = 100


def rows(stage: Stage) -> Iterator[Row]:
    """The rates with one partition and with three."""
    total = stage.count(50_000, 5_000)
    for partitions in (1, 3):
        kit, hand, bare = _rates(stage, partitions, total)
        what = f"records/s, {partitions} partition{'s' * (partitions > 1)}"
        yield times_at_least(what, kit, "k/s", "loop by hand", hand, 2)
        yield times_at_least(what, kit, "k/s", "consume() alone", bare, None)


class _Handler:
    """Counts records, and remembers when the first ones came."""

    def __init__(self) -> None:
        self.seen = 0
        self.began = 0.0

    def __call__(self, event: dict[str, dict[str, list[object]]], _context: object) -> None:
        self.count(sum(map(len, event["records"].values())))

    def count(self, records: int) -> None:
        if not self.seen:
            self.began = time.perf_counter()
        self.seen += records

    def rate(self, total: int) -> float:
        """Thousands of records a second since the first ones."""
        took = time.perf_counter() - self.began
        if self.seen != total:
            raise RuntimeError(f"{self.seen} of {total} records came.")
        return total / took / 1000


def _rates(stage: Stage, partitions: int, total: int) -> list[list[float]]:
    with stage.sandbox() as sandbox:
        topic = sandbox.topic(partitions=partitions)
        produce(stage, topic.name, partitions, total)

        def kit() -> float:
            handler = _Handler()
            with sandbox.mapping(handler, topic, batch_size=_BATCH) as esm:
                esm.drain()
                return handler.rate(total)

        def hand() -> float:
            return read(lambda consumer, handler: by_hand.deliver(consumer, handler, total, _BATCH))

        def bare() -> float:
            return read(lambda consumer, handler: by_hand.read(consumer, handler.count, total, _BATCH))

        def read(loop: Callable[..., None]) -> float:
            handler = _Handler()
            with stage.broker.consumer(stage.name()) as consumer:
                consumer.subscribe([topic.name])
                loop(consumer, handler)
                return handler.rate(total)

        return take_turns(stage.count(21, 1), kit, hand, bare)


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
