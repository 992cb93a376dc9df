"""security: what TLS costs the embedded broker, and what its four listeners cost at the start.

Certificates are made once in a process; imports are excluded, as in the start of the broker alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from .rows import Row, at_most, times_at_least
from .stage import Stage, seconds, take_turns

if TYPE_CHECKING:
    from pytest_msk.brokers.security import Authentication

__all__ = ["listening", "rows"]

_FIRST = "from benchmarks.security import listening; print(listening())"
_PARTITIONS = 4
_LISTENERS: tuple[Authentication, ...] = ("plaintext", "tls", "scram", "iam")
_NEEDED = ("bootstrap.servers", "security.protocol", "ssl.ca.location")


def rows(stage: Stage) -> Iterator[Row]:
    """The start, and the rates with TLS beside those without."""
    first = [
        float(subprocess.run([sys.executable, "-c", _FIRST], check=True, capture_output=True, text=True).stdout)
        for _ in range(stage.count(9, 1))
    ]
    yield at_most("four listeners ready, first in a process", median(first), "ms", 50)
    listening()
    yield at_most("four listeners ready, again", median(listening() for _ in range(stage.count(50, 3))), "ms", 50)
    yield from _rates(stage)


def listening() -> float:
    """Milliseconds until a new broker has all of MSK's listeners."""
    import cryptography.x509  # noqa: F401
    from confluent_kafka import Producer  # noqa: F401

    from pytest_msk.brokers.embedded import EmbeddedBroker

    began = time.perf_counter()
    with EmbeddedBroker() as broker:
        for auth in _LISTENERS:
            broker.bootstrap_servers_for(auth)
        return 1000 * (time.perf_counter() - began)


def _rates(stage: Stage) -> Iterator[Row]:
    total, rounds = stage.count(200_000, 8_000), stage.count(7, 1)
    settings = [_settings(stage, auth) for auth in ("tls", "plaintext")]
    topics = [stage.name() for _ in range(rounds + 1)]
    for name in topics:
        stage.broker.create_topic(name, partitions=_PARTITIONS)
    for action, what in ((_produce, "produce"), (_consume, "consume(5000)")):
        tls, plaintext = take_turns(
            rounds, *(partial(_rate, total, partial(action, each, iter(topics))) for each in settings)
        )
        yield times_at_least(f"{what} 100 B with TLS", tls, "k/s", "plaintext", plaintext, 0.5)
    for name in topics:
        stage.broker.delete_topic(name)


def _settings(stage: Stage, auth: Authentication) -> Mapping[str, Any]:
    """A client's own defaults, and what it needs to connect."""
    config = stage.broker.client_config(auth=auth)
    return {name: config[name] for name in _NEEDED if name in config}


def _rate(total: int, action: Callable[[int], float]) -> float:
    return total / action(total) / 1000


def _produce(settings: Mapping[str, Any], topics: Iterator[str], total: int) -> float:
    from confluent_kafka import Producer

    topic = next(topics)
    producer = Producer({**settings, "queue.buffering.max.messages": 1_000_000})
    producer.list_topics(topic, timeout=10)
    value = b"x" * 100

    def run() -> None:
        for number in range(total):
            producer.produce(topic, value, partition=number % _PARTITIONS)
        if producer.flush(120):
            raise RuntimeError("The broker did not acknowledge all records.")

    return seconds(run)


def _consume(settings: Mapping[str, Any], topics: Iterator[str], total: int) -> float:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    topic = next(topics)
    with closing(Consumer({**settings, "group.id": topic, "queued.min.messages": 1_000_000})) as consumer:
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(_PARTITIONS)])
        found = len(consumer.consume(1, 30))
        deadline = time.monotonic() + 120

        def run() -> None:
            nonlocal found
            while found < total:
                found += len(consumer.consume(min(5_000, total - found), 1))
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{found} of {total} records came within 120 s.")

        return seconds(run)
