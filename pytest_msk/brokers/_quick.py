"""The client classes behind `Clients`; importing this module imports confluent-kafka."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Producer, TopicPartition

from ..clock import Deadline

__all__ = ["QuickConsumer", "TrackedProducer"]

# How long a new assignment may be looked up before that is left to librdkafka's own timers, seconds.
_LOOKUP_TIMEOUT = 5.0

# How long a consumer that is closed waits until it has left its group, seconds.
_LAST_REBALANCE = 3.0

# How long a dropped producer may take to deliver what it holds, seconds.
_LAST_FLUSH_TIMEOUT = 5.0

_RESET_TO = {
    "earliest": OFFSET_BEGINNING,
    "beginning": OFFSET_BEGINNING,
    "smallest": OFFSET_BEGINNING,
    "latest": OFFSET_END,
    "end": OFFSET_END,
    "largest": OFFSET_END,
}


class QuickConsumer(Consumer):
    """A consumer that starts to read as soon as it has partitions.

    Where a group has no committed offset, librdkafka resets the position by a timer of 100 ms. This class asks the
    broker at once and hands the answer to `assign`; a caller with an `on_assign` of its own keeps that.

    Args:
        config: confluent-kafka's configuration.
        closed: called when the consumer is closed, with the consumer.
    """

    def __init__(self, config: dict[str, Any], closed: Callable[[QuickConsumer], None]) -> None:
        super().__init__(config)
        self._closed = closed
        self._reset_to = _RESET_TO.get(str(config.get("auto.offset.reset", "largest")))
        strategy = str(config.get("partition.assignment.strategy", ""))
        # A member of the consumer protocol makes its own id and keeps it when it leaves.
        self._keeps_id = config.get("group.protocol") == "consumer"
        self._incremental = "cooperative" in strategy or self._keeps_id
        self._is_open = True
        self._static = bool(config.get("group.instance.id"))
        self._subscribed = False

    def subscribe(self, topics: list[str], *args: Any, **callbacks: Any) -> None:
        if not args and self._reset_to is not None:
            callbacks.setdefault("on_assign", _start_at_once)
        self._subscribed = True
        super().subscribe(topics, *args, **callbacks)

    def unsubscribe(self) -> None:
        self._subscribed = False
        super().unsubscribe()

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            if self._subscribed and not self._static:
                self._leave()
            super().close()
            self._closed(self)

    def _leave(self) -> None:
        """Leave the group before the client is closed.

        A close that meets a rebalance may never return: a callback that is still queued then asks for an assignment
        that nobody serves any more, and holds Python's lock meanwhile. A static member is not taken out of its group by
        a close, as it would be by this.
        """
        try:
            super().unsubscribe()
        except KafkaException:
            return  # a client with a fatal error, such as one that was fenced, has left already
        deadline = Deadline(_LAST_REBALANCE)
        while (self.assignment() or (self.memberid() and not self._keeps_id)) and not deadline.passed:
            self.poll(0.005)  # gives no records: the client has paused what it gives back

    def __enter__(self) -> QuickConsumer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _start_at_once(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """Assign `partitions` with the offsets to start from, so that no timer has to find them."""
    assert isinstance(consumer, QuickConsumer)
    assert consumer._reset_to is not None
    if not consumer._is_open:
        return  # nothing will be read, and a client that is being closed gets no answer before the timeout
    try:
        stored = consumer.committed(partitions, timeout=_LOOKUP_TIMEOUT)
        known = [partition for partition in stored if partition.offset >= 0]
        fresh = [
            TopicPartition(partition.topic, partition.partition, consumer._reset_to)
            for partition in stored
            if partition.offset < 0
        ]
        # A logical offset is a legal "time": one request for all partitions instead of one for each.
        found = consumer.offsets_for_times(fresh, timeout=_LOOKUP_TIMEOUT) if fresh else []
    except KafkaException:
        # Nothing is lost: librdkafka assigns when the callback does not, and its own look-up reports what is wrong.
        return
    if any(partition.error is not None for partition in (*stored, *found)):
        return
    if consumer._incremental:
        consumer.incremental_assign([*known, *found])
    else:
        consumer.assign([*known, *found])


class TrackedProducer(Producer):
    """A producer that tells when it was closed, and closes on every version of confluent-kafka.

    Args:
        config: confluent-kafka's configuration.
        closed: called when the producer is closed, with the producer.
    """

    def __init__(self, config: dict[str, Any], closed: Callable[[TrackedProducer], None]) -> None:
        super().__init__(config)
        self._closed = closed
        self._is_open = True

    def close(self) -> bool:
        """Deliver what is queued and end the producer; returns whether everything was delivered."""
        if not self._is_open:
            return True
        self._is_open = False
        # Producer.close is younger than the oldest confluent-kafka that this project takes.
        ended = bool(super().close()) if hasattr(Producer, "close") else self.flush() == 0
        self._closed(self)
        return ended

    def __del__(self) -> None:
        # Dropped while records are on their way: without this they would be lost without a word.
        if getattr(self, "_is_open", False) and len(self):
            self.flush(_LAST_FLUSH_TIMEOUT)

    def __enter__(self) -> TrackedProducer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
