"""What a partition remembers of its idempotent producers, so that a batch sent twice is written once.

Source: KIP-98; Kafka keeps the last five batches of each producer, as many as a client may have in flight.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .batch import BatchHeader
from .errors import ErrorCode, Refused

__all__ = ["ProducerStates"]

_BATCHES_KEPT = 5
_LAST_SEQUENCE = 0x7FFF_FFFF


@dataclass(slots=True)
class _Producer:
    epoch: int
    last_sequence: int = -1
    batches: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=_BATCHES_KEPT))


class ProducerStates:
    """The producers that wrote to one partition."""

    def __init__(self) -> None:
        self._producers: dict[int, _Producer] = {}

    def check(self, header: BatchHeader) -> int | None:
        """Whether a batch may be appended.

        Returns:
            The base offset of the same batch where it was written before, else None.

        Raises:
            Refused: INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER.
        """
        producer = self._producers.get(header.producer_id)
        if producer is None:
            return None  # a producer that the log does not know, or no longer, starts where it is
        if header.producer_epoch < producer.epoch:
            raise Refused(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                _older(header.producer_id, header.producer_epoch, producer.epoch),
            )
        if header.producer_epoch > producer.epoch:
            expected = 0
        else:
            for first, last, base_offset in producer.batches:
                if first == header.base_sequence and last == header.last_sequence:
                    return base_offset
            expected = 0 if producer.last_sequence == _LAST_SEQUENCE else producer.last_sequence + 1
        if header.base_sequence != expected:
            raise Refused(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"Out of order sequence number for producer {header.producer_id}: {header.base_sequence} "
                f"(incoming seq. number), {producer.last_sequence} (current end sequence number)",
            )
        return None

    def fence(self, producer_id: int, epoch: int) -> None:
        """A transaction of the producer ends in an epoch: what it sends in an older one is refused from now on.

        Raises:
            Refused: INVALID_PRODUCER_EPOCH, the producer is in a newer epoch already.
        """
        producer = self._producers.get(producer_id)
        if producer is None or producer.epoch < epoch:
            self._producers[producer_id] = _Producer(epoch)
        elif producer.epoch > epoch:
            raise Refused(ErrorCode.INVALID_PRODUCER_EPOCH, _older(producer_id, epoch, producer.epoch))

    def active(self) -> tuple[tuple[int, int, int], ...]:
        """Every producer: its id, its epoch and its last sequence number, -1 for none."""
        return tuple((each, known.epoch, known.last_sequence) for each, known in self._producers.items())

    def add(self, header: BatchHeader, base_offset: int) -> None:
        """Remember a batch that is appended."""
        producer = self._producers.get(header.producer_id)
        if producer is None or producer.epoch != header.producer_epoch:
            producer = self._producers[header.producer_id] = _Producer(header.producer_epoch)
        producer.last_sequence = header.last_sequence
        producer.batches.append((header.base_sequence, header.last_sequence, base_offset))

    def truncate(self, end: int) -> None:
        """Forget the batches from an offset on; a producer that has none left starts where it is."""
        for producer_id, producer in tuple(self._producers.items()):
            while producer.batches and producer.batches[-1][2] >= end:
                producer.batches.pop()
            if producer.batches:
                producer.last_sequence = producer.batches[-1][1]
            else:
                del self._producers[producer_id]


def _older(producer_id: int, epoch: int, last: int) -> str:
    return f"Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch {last}"
