"""Metrics: AWS's numbers of a mapping, counted from its journal (spec 7.4), and the lag as the broker has it.

Counting is pure and goes on where it stopped: however often the metrics are read, each event is counted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from .._offsets import count_of
from ..journal import (
    Assigned,
    Attempt,
    BatchClosed,
    CommitFailed,
    Committed,
    DestinationFailed,
    Dropped,
    Event,
    Filtered,
    Journal,
    NotInvoked,
    Place,
    Polled,
    PollersScaled,
    PollFailed,
    PositionReset,
    SentToDestination,
)

__all__ = ["Lag", "Meter", "Metrics"]

#: Per partition how many offsets of the log the group has not committed.
Lag = Callable[[], Mapping[int, int]]

#: What a service answers that throttles: AWS's code, or the HTTP status.
_THROTTLES = ("TooManyRequestsException", "ThrottlingException", "HTTP 429", "429")


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """A mapping's metrics as they were when they were read; the names are AWS's own in snake_case.

    Args:
        polled_event_count: records read, those included that were read again.
        filtered_out_event_count: records that no filter matched.
        invoked_event_count: records that the function was called with; each retry counts again.
        failed_invoke_event_count: records of the calls that failed, and the item failures of the others.
        dropped_event_count: records that were given up and lost, be it that the destination did not take them; what
            retention removed does not count.
        on_failure_destination_delivered_event_count: records that the on-failure destination was told of.
        committed_event_count: by how much the committed offsets have moved on, over all partitions.
        polling_error_count: polls that failed.
        invoke_error_count: calls that failed, each for its whole batch.
        on_failure_destination_delivery_error_count: batches that the on-failure destination did not take.
        schema_registry_error_count: 0, for there is no schema registry yet.
        commit_error_count: commits that failed.
        provisioned_pollers: the most event pollers that there were.
        invocations: calls of the function.
        errors: calls that ended in a function error.
        throttles: calls that the service throttled.
        destination_delivery_failures: the function's metric for `on_failure_destination_delivery_error_count`.
    """

    polled_event_count: int = 0
    filtered_out_event_count: int = 0
    invoked_event_count: int = 0
    failed_invoke_event_count: int = 0
    dropped_event_count: int = 0
    on_failure_destination_delivered_event_count: int = 0
    committed_event_count: int = 0
    polling_error_count: int = 0
    invoke_error_count: int = 0
    on_failure_destination_delivery_error_count: int = 0
    schema_registry_error_count: int = 0
    commit_error_count: int = 0
    provisioned_pollers: int = 0
    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    destination_delivery_failures: int = 0
    _lag: Lag = field(repr=False, compare=False)

    @property
    def offset_lag(self) -> int:
        """How many offsets of the topic are not committed now, over all partitions.

        Raises:
            BrokerError: the broker does not answer.
        """
        return sum(self._lag().values())

    @property
    def sum_offset_lag(self) -> int:
        """The same under the name that the mapping's own metric has; see `offset_lag`."""
        return self.offset_lag

    @property
    def max_offset_lag(self) -> int:
        """How many offsets of the partition that is most behind are not committed now; see `offset_lag`."""
        return max(self._lag().values(), default=0)

    def by_name(self) -> dict[str, int]:
        """All of them under AWS's own names, such as `PolledEventCount`; it asks the broker for the lag."""
        names = [each.name for each in fields(self) if each.name != "_lag"]
        names += ["offset_lag", "sum_offset_lag", "max_offset_lag"]
        return {name.title().replace("_", ""): getattr(self, name) for name in names}


class Meter:
    """Counts what a journal says.

    Args:
        journal: the mapping's.
        lag: asks the broker.
    """

    def __init__(self, journal: Journal, lag: Lag) -> None:
        self._journal = journal
        self._lag = lag
        self._place: Place = (0, 0)
        self._counts: Counter[str] = Counter()
        self._batches: dict[int, int] = {}
        self._positions: dict[int, int] = {}

    def read(self) -> Metrics:
        """The metrics as they are now."""
        events, self._place = self._journal.since(self._place)
        for event in events:
            self._count(event)
        return Metrics(**self._counts, _lag=self._lag)

    def _count(self, event: Event) -> None:
        counts = self._counts
        if isinstance(event, Polled):
            counts["polled_event_count"] += count_of(event.records)
        elif isinstance(event, Filtered):
            counts["polled_event_count"] += count_of(event.records)
            counts["filtered_out_event_count"] += count_of(event.records)
        elif isinstance(event, BatchClosed):
            self._batches[event.batch] = count_of(event.records)
        elif isinstance(event, Attempt):
            self._count_attempt(event)
        elif isinstance(event, NotInvoked):
            counts["throttles"] += event.error.startswith(_THROTTLES)
        elif isinstance(event, Dropped):
            counts["dropped_event_count"] += count_of(event.records)
        elif isinstance(event, SentToDestination):
            counts["on_failure_destination_delivered_event_count"] += count_of(event.records)
        elif isinstance(event, DestinationFailed):
            counts["dropped_event_count"] += count_of(event.records)
            counts["on_failure_destination_delivery_error_count"] += 1
            counts["destination_delivery_failures"] += 1
        elif isinstance(event, Assigned):
            self._positions.update(event.positions)
            counts["provisioned_pollers"] = max(counts["provisioned_pollers"], 1)
        elif isinstance(event, PositionReset):
            self._positions[event.partition] = event.position
        elif isinstance(event, PollersScaled):
            counts["provisioned_pollers"] = max(counts["provisioned_pollers"], event.pollers)
        elif isinstance(event, Committed):
            self._count_commit(event.positions)
        elif isinstance(event, PollFailed):
            counts["polling_error_count"] += 1
        elif isinstance(event, CommitFailed):
            counts["commit_error_count"] += 1

    def _count_attempt(self, event: Attempt) -> None:
        counts = self._counts
        records = self._batches.get(event.batch, 0) if event.records is None else count_of(event.records)
        counts["invocations"] += 1
        counts["invoked_event_count"] += records
        counts["failed_invoke_event_count"] += records if event.failed else count_of(event.item_failures)
        counts["invoke_error_count"] += event.failed
        counts["errors"] += event.error is not None

    def _count_commit(self, positions: Mapping[int, int]) -> None:
        for partition, position in positions.items():
            self._counts["committed_event_count"] += position - self._positions.get(partition, position)
            self._positions[partition] = position
