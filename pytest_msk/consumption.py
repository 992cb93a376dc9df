"""Consumption: what a consumer that is not the kit's did with a topic's records, as the test tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from ._plain_records import PlainRecord, as_record
from .clock import VirtualClock
from .filters.criteria import FilterCriteria, FilterCriteriaBlock
from .journal import (
    Assigned,
    Attempt,
    BatchClosed,
    CloseReason,
    CommitFailed,
    Committed,
    Filtered,
    Journal,
    Offsets,
    Polled,
    Revoked,
    StateChanged,
    offset_runs,
)
from .records import Record
from .topics import IsolationLevel, Topic

__all__ = ["Consumption"]


class Consumption:
    """A journal of somebody else's consumer: the assertions take it as they take a mapping.

        consumption = Consumption(orders, group="billing")
        consumption.delivered(messages)
        consumption.committed({0: 5})
        assert_at_least_once(consumption)

    Args:
        topic: the topic, or its name where no log is to be looked at.
        group: the consumer group's id, for `assert_committed`.
        name: what messages call the consumer.
        batch_size: records of a batch at most; `None` for no limit.
        filter_criteria: the filters that the consumer goes by, the API's own block.
        isolation_level: Kafka's own; with `read_committed` a record of an aborted transaction is an anomaly.
    """

    def __init__(
        self,
        topic: Topic | str,
        *,
        group: str | None = None,
        name: str = "the consumer",
        batch_size: int | None = None,
        filter_criteria: FilterCriteriaBlock | None = None,
        isolation_level: IsolationLevel = "read_uncommitted",
    ) -> None:
        self.topic = topic
        self.group = group
        self.name = name
        self.batch_size = batch_size
        self.filters = FilterCriteria(filter_criteria)
        self.isolation_level = isolation_level
        self.journal = Journal(str(topic))
        #: Every record that was delivered, in order.
        self.received: list[Record] = []
        self._clock = topic.clock if isinstance(topic, Topic) else VirtualClock()
        self._attempts: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Consumption of {self.journal.topic} by {self.name}, {len(self.journal)} events>"

    # --- the group

    def assigned(self, positions: Mapping[int, int]) -> None:
        """The group gave these partitions, to be read from these offsets on."""
        self.journal.append(Assigned(time_ms=self._clock.now_ms(), positions=dict(positions)))

    def revoked(self, partitions: Iterable[int]) -> None:
        """The group took these partitions away: what was not committed may come again."""
        self.journal.append(Revoked(time_ms=self._clock.now_ms(), partitions=tuple(partitions)))

    def restarted(self) -> None:
        """The consumer ended, or crashed, and begins again: what was not committed may come again."""
        now = self._clock.now_ms()
        self.journal.append(StateChanged(time_ms=now, state="Disabled", reason="restarted"))
        self.journal.append(StateChanged(time_ms=now, state="Enabled", reason="restarted"))

    # --- records

    def polled(self, records: Iterable[PlainRecord]) -> None:
        """The consumer read these records."""
        self.journal.append(Polled(time_ms=self._clock.now_ms(), records=_offsets(map(as_record, records))))

    def filtered(self, records: Iterable[PlainRecord]) -> None:
        """The consumer put these records aside: its filters do not let them through."""
        self.journal.append(Filtered(time_ms=self._clock.now_ms(), records=_offsets(map(as_record, records))))

    def batch(self, records: Iterable[PlainRecord], *, reason: CloseReason = "size") -> int:
        """These records are to be handed over together, in this order.

        Returns:
            The batch's number, for `attempted`.
        """
        found = tuple(map(as_record, records))
        self.received += found
        number = len(self._attempts) + 1
        self._attempts[number] = 0
        size = sum(len(record.key or b"") + len(record.value or b"") for record in found)
        now = self._clock.now_ms()
        self.journal.append(
            BatchClosed(time_ms=now, batch=number, reason=reason, payload_size=size, records=_offsets(found))
        )
        return number

    def attempted(
        self, batch: int, *, error: BaseException | str | None = None, failed: Iterable[PlainRecord] = ()
    ) -> None:
        """A batch was handed over.

        Args:
            batch: its number.
            error: what it ended with; `None` for success.
            failed: records of it that failed, where the others did not.
        """
        self._attempts[batch] += 1
        if isinstance(error, BaseException):
            error = f"{type(error).__name__}: {error}"
        attempt = self._attempts[batch]
        self.journal.append(
            Attempt(
                time_ms=self._clock.now_ms(),
                batch=batch,
                attempt=attempt,
                request_id=f"{batch}.{attempt}",
                error=error,
                item_failures=_offsets(map(as_record, failed)),
            )
        )

    def delivered(self, records: Iterable[PlainRecord], *, error: BaseException | str | None = None) -> int:
        """A batch of these records was handed over, once; see `batch` and `attempted`."""
        number = self.batch(records)
        self.attempted(number, error=error)
        return number

    # --- commits

    def committed(self, positions: Mapping[int, int]) -> None:
        """The broker took a commit: per partition the next offset to be read."""
        self.journal.append(Committed(time_ms=self._clock.now_ms(), positions=dict(positions)))

    def commit_failed(self, positions: Mapping[int, int], error: BaseException | str) -> None:
        """The broker refused a commit."""
        now = self._clock.now_ms()
        self.journal.append(CommitFailed(time_ms=now, positions=dict(positions), error=str(error)))


def _offsets(records: Iterable[Record]) -> Offsets:
    """The records' offsets, partitions and offsets in the order in which they come."""
    found: dict[int, list[int]] = {}
    for record in records:
        found.setdefault(record.partition, []).append(record.offset)
    return {partition: _runs(offsets) for partition, offsets in found.items()}


def _runs(offsets: Sequence[int]) -> tuple[range, ...]:
    """Offsets in any order as ranges in this order."""
    breaks = [0, *(i for i in range(1, len(offsets)) if offsets[i] <= offsets[i - 1]), len(offsets)]
    return tuple(run for a, b in pairwise(breaks) for run in offset_runs(offsets[a:b]))
