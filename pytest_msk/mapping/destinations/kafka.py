"""Destination in the source's own cluster: a topic that gets one message for each record (spec 4.7)."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from ...brokers import Broker
from ...errors import BrokerError
from .bodies import kafka_messages
from .failure import DestinationError, FailedBatch

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

__all__ = ["KafkaDestination"]


class KafkaDestination:
    """A topic of the mapping's broker.

    A message has the record's key and so its partition as Java's producer would choose it; those without a key go round
    robin from partition 0.

    Args:
        topic: the topic's name.
        broker: the mapping's own.
        timeout: seconds of real time that the broker may take.
    """

    def __init__(self, topic: str, *, broker: Broker, timeout: float = 30.0) -> None:
        self.name = f"kafka://{topic}"
        self._topic = topic
        self._broker = broker
        self._timeout = timeout
        self._producer: Producer | None = None
        self._turns = count()

    def send(self, failed: FailedBatch) -> None:
        """See `Destination`. Where the broker refuses one message, all count as lost, though others are there."""
        from confluent_kafka import KafkaException

        try:
            partitions = self._broker.partition_count(self._topic)
            if not partitions:
                raise DestinationError(f"{self.name}: the broker has no topic of that name.")
            self._produce(failed, partitions)
        except BrokerError as raised:
            raise DestinationError(f"{self.name}: {raised}") from raised
        except KafkaException as raised:
            raise DestinationError(f"{self.name}: {_text(raised.args[0])}") from raised

    def _produce(self, failed: FailedBatch, partitions: int) -> None:
        producer = self._open()
        refused: list[KafkaError] = []
        number = 0

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                refused.append(error)

        for record, value in kafka_messages(failed):
            number += 1
            partition = -1 if record.key is not None else next(self._turns) % partitions
            produce = partial(producer.produce, self._topic, value, record.key, partition)
            try:
                produce(on_delivery=report, timestamp=failed.time_ms)
            except BufferError:  # the client's queue is full: it must send before it takes more
                producer.flush(self._timeout)
                produce(on_delivery=report, timestamp=failed.time_ms)
        if left := producer.flush(self._timeout):
            raise DestinationError(
                f"{self.name}: the broker did not acknowledge {left} of {number} messages within {self._timeout:g} s."
            )
        if refused:
            raise DestinationError(
                f"{self.name}: the broker refused {len(refused)} of {number} messages, the first one with: "
                f"{_text(refused[0])}"
            )

    def _open(self) -> Producer:
        if self._producer is None:
            self._producer = self._broker.producer(
                message_timeout_ms=max(1, int(self._timeout * 1000)),
                batch_num_messages=1,  # the broker refuses whole batches: a message that is too large, and no other
            )
        return self._producer

    def close(self) -> None:
        """Free the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(self._timeout)


def _text(error: KafkaError) -> str:
    return f"{error.str()} ({error.name()})."
