"""History: what a consumer did with a topic, and what the topic's log says. What every check is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..deliveries import Delivery, follow
from ..events import MAX_PAYLOAD
from ..filters.criteria import Decision
from ..journal import Event, Offsets, Positions
from ..records import Record
from .anomaly import Anomaly
from .definitions import AnomalyName, Configuration

__all__ = ["Contents", "History"]

#: Records by partition and offset.
Contents: TypeAlias = "Mapping[tuple[int, int], Record]"


@dataclass(frozen=True, kw_only=True)
class History:
    """What a consumer did with a topic, and what the topic's log says.

    Args:
        topic: the topic's name.
        events: the journal.
        log: the offsets at which the log holds a record.
        origins: where a partition begins that was never assigned.
        ends: where the logs end; `None` when nobody has looked.
        configurations: what the consumer is set up for.
        batch_size: records of a batch at most; `None` for no limit.
        max_payload: bytes of an event at most.
        decide: what the filters make of a record; `None` when there are none.
        contents: reads the log's records.
        received: records as a consumer got them that is not the kit's.
        aborted: the offsets of records whose transaction was aborted.
        mapping: whether the consumer is a mapping of the kit's, which can be drained.
    """

    topic: str
    events: Sequence[Event]
    log: Offsets = field(default_factory=dict)
    origins: Positions = field(default_factory=dict)
    ends: Positions | None = None
    configurations: frozenset[Configuration] = frozenset({"at-least-once", "read-uncommitted"})
    batch_size: int | None = None
    max_payload: int = MAX_PAYLOAD
    decide: Callable[[Record], Decision] | None = None
    contents: Callable[[], Contents] = field(default=dict)
    received: Sequence[Record] = ()
    aborted: Offsets = field(default_factory=dict)
    mapping: bool = True

    def steps(self) -> Iterator[Event | Delivery]:
        """The events in order, with a `Delivery` in place of each `Attempt`."""
        return follow(self.events)

    def anomaly(
        self,
        name: AnomalyName,
        partition: int,
        offsets: range,
        text: str,
        delivery: Delivery | None = None,
        *,
        batch: int | None = None,
    ) -> Anomaly:
        """An anomaly of this topic, with the batch and the attempt of a delivery, or with a batch alone."""
        return Anomaly(
            name=name,
            topic=self.topic,
            partition=partition,
            offsets=offsets,
            batch=batch if delivery is None else delivery.batch,
            attempt=None if delivery is None else delivery.attempt,
            text=text,
        )
