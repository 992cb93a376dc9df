"""Waiting for a broker: always for something seen, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from confluent_kafka import Consumer, Message, TopicPartition

T = TypeVar("T")

#: How long a broker may take to get where a test wants it, seconds.
PATIENCE = 20.0


def read(consumer: Consumer, count: int, *, seconds: float = PATIENCE) -> list[Message]:
    """The next `count` records of a consumer; errors fail the test."""
    found: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            found.append(message)
    assert len(found) == count, f"{len(found)} of {count} records came within {seconds} s"
    return found


def read_from(consumer: Consumer, topic: str, count: int, *, partition: int = 0, offset: int = 0) -> list[Message]:
    """The `count` records of a partition from an offset on, without a group."""
    consumer.assign([TopicPartition(topic, partition, offset)])
    return read(consumer, count)


def until(
    look: Callable[[], T],
    wanted: Callable[[T], bool] = bool,
    *,
    pump: Iterable[Consumer] = (),
    seconds: float = PATIENCE,
) -> T:
    """Look until what is seen is wanted; the consumers in `pump` are polled meanwhile, and must get no errors."""
    deadline = time.monotonic() + seconds
    while not wanted(seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds} s"
        for one in pump:
            message = one.poll(0.01)
            assert message is None or message.error() is None, message.error()
        if not pump:
            time.sleep(0.01)
    return seen


def owned(consumer: Consumer) -> set[int]:
    """The partitions that a consumer has now."""
    return {at.partition for at in consumer.assignment()}
