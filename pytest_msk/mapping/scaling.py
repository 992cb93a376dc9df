"""Scaling: how many event pollers a mapping is to have (spec 7.1, 7.2). Pure: it is told the load of the last minute.

The offset lag is evaluated once a minute, and what follows from it happens at once. The rules, first one first:

1. A poller is a consumer of the group, so there are never more than partitions; minimum and maximum hold besides.
2. The function was throttled: one poller fewer.
3. The pollers cannot work the lag off within the next minute: as many as can, but no more than partitions that lag.
4. One poller fewer could work it off: one fewer.

What one poller can do is AWS's documented limit, 5 MB a second and five invocations at a time; on demand it is one
invocation at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, inf

from ..journal import ScalingReason
from .provisioned import ProvisionedPollers

__all__ = [
    "DEFAULT_MAXIMUM_POLLERS",
    "ON_DEMAND_INVOCATIONS",
    "PROVISIONED_INVOCATIONS",
    "Evaluations",
    "Load",
    "Scaling",
    "ScalingDecision",
]

#: How often the lag is evaluated, milliseconds.
EVALUATION_MS = 60_000
#: What one poller reads at most, bytes a second: 5 MB.
POLLER_BYTES_PER_SECOND = 5 * 1024 * 1024
#: Invocations that one poller has running at most, provisioned and on demand.
PROVISIONED_INVOCATIONS, ON_DEMAND_INVOCATIONS = 5, 1
#: MaximumPollers where it is not given.
DEFAULT_MAXIMUM_POLLERS = 200
_EVENT_POLLERS = "a number of event pollers, 1 or more, or 'auto'."


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """Within which limits a mapping's pollers are scaled.

    Args:
        minimum: pollers at least, as far as there are partitions.
        maximum: pollers at most.
        invocations: how many each may have running at a time.
        bytes_per_second: what each reads at most.

    Raises:
        ValueError: minimum or maximum is below 1, or they are the wrong way round.
    """

    minimum: int = 1
    maximum: int = DEFAULT_MAXIMUM_POLLERS
    invocations: int = ON_DEMAND_INVOCATIONS
    bytes_per_second: int = POLLER_BYTES_PER_SECOND

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"Pollers from {self.minimum} to {self.maximum}: give 1 or more, the lower number first.")

    @classmethod
    def of(cls, event_pollers: int | str | None, provisioned: ProvisionedPollers | None) -> Scaling | None:
        """The limits that a mapping's parameters set; `None` for one poller, for ever.

        Args:
            event_pollers: the parameter of that name.
            provisioned: the pollers of provisioned mode.

        Raises:
            ValueError: the parameter is neither a number nor `auto`, or a number in provisioned mode.
        """
        if isinstance(event_pollers, str) and event_pollers != "auto":
            raise ValueError(f"event_pollers={event_pollers!r}: {_EVENT_POLLERS}")
        if isinstance(event_pollers, int) and event_pollers < 1:
            raise ValueError(f"event_pollers={event_pollers!r}: {_EVENT_POLLERS}")
        if isinstance(event_pollers, int) and provisioned is not None:
            raise ValueError(
                f"event_pollers={event_pollers!r}: in provisioned mode MinimumPollers and MaximumPollers of "
                "provisioned_poller_config say how many there are."
            )
        if provisioned is not None:
            if event_pollers is None and provisioned.minimum == 1:
                return None
            return cls(minimum=provisioned.minimum, maximum=provisioned.maximum, invocations=PROVISIONED_INVOCATIONS)
        if event_pollers in (None, 1):
            return None
        return cls() if isinstance(event_pollers, str) else cls(minimum=event_pollers, maximum=event_pollers)

    @property
    def automatic(self) -> bool:
        """Whether the number ever changes: equal minimum and maximum switch scaling off (spec 7.2)."""
        return self.minimum < self.maximum

    def bounds(self, partitions: int) -> tuple[int, int]:
        """The fewest and the most pollers of a topic with so many partitions; one that is not there yet has one."""
        most = min(self.maximum, max(1, partitions))
        return min(self.minimum, most), most

    def decide(self, load: Load) -> ScalingDecision:
        """How many pollers there are to be now."""
        fewest, most = self.bounds(load.partitions)
        wanted, reason = self._wanted(load)
        pollers = min(max(wanted, fewest), most)
        return ScalingDecision(pollers=pollers, reason=reason if pollers == wanted else "bounds")

    def _wanted(self, load: Load) -> tuple[int, ScalingReason]:
        if load.throttles:
            return load.pollers - 1, "throttled"
        needed = self._needed(load)
        if needed > load.pollers:
            return needed, "lag"
        if needed < load.pollers:
            return load.pollers - 1, "idle"
        return load.pollers, "steady"

    def _needed(self, load: Load) -> int:
        """The fewest pollers that work the lag off within a minute."""
        lagging = sum(1 for lag in load.lag.values() if lag > 0)
        capacity = self._records_per_minute(load)
        total = sum(load.lag.values())
        return min(lagging, ceil(total / capacity)) if total and capacity < inf else min(lagging, 1)

    def _records_per_minute(self, load: Load) -> float:
        """What one poller gets through: as much as it may read, or as the function takes off it."""
        seconds = EVALUATION_MS / 1000
        by_bytes = seconds * self.bytes_per_second / load.record_bytes if load.record_bytes else inf
        by_calls = inf
        if load.invocation_ms:
            by_calls = self.invocations * load.batch_records * EVALUATION_MS / load.invocation_ms
        return max(1.0, min(by_bytes, by_calls))


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What a mapping had to do since the last evaluation.

    Args:
        pollers: how many there are.
        lag: per partition of the topic, records behind the committed offset.
        throttles: how often the function was to be called and was not.
        record_bytes: bytes of a record in an event on average; 0 where none was sent.
        batch_records: records of a batch on average.
        invocation_ms: how long the function ran on average, milliseconds; 0 where no time passed.
    """

    pollers: int
    lag: Mapping[int, int]
    throttles: int = 0
    record_bytes: float = 0
    batch_records: float = 0
    invocation_ms: float = 0

    @property
    def partitions(self) -> int:
        """How many partitions the topic has."""
        return len(self.lag)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalingDecision:
    """How many pollers there are to be, and which rule says so."""

    pollers: int
    reason: ScalingReason


@dataclass(kw_only=True, slots=True)
class Evaluations:
    """When the lag is to be evaluated, and what has happened since it was.

    Args:
        start_ms: when the pollers began, epoch milliseconds.
    """

    start_ms: int
    _throttles: int = field(default=0, init=False)
    _batches: int = field(default=0, init=False)
    _records: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)
    _calls: int = field(default=0, init=False)
    _running_ms: int = field(default=0, init=False)

    @property
    def due_ms(self) -> int:
        """When the next evaluation is due, epoch milliseconds."""
        return self.start_ms + EVALUATION_MS

    def batch(self, records: int, payload_size: int) -> None:
        """Note a batch."""
        self._batches += 1
        self._records += records
        self._bytes += payload_size

    def call(self, duration_ms: int) -> None:
        """Note a call of the function."""
        self._calls += 1
        self._running_ms += duration_ms

    def throttle(self) -> None:
        """Note that the function was to be called and was not."""
        self._throttles += 1

    def load(self, now_ms: int, pollers: int, lag: Mapping[int, int]) -> Load:
        """What there was to do since the last evaluation; the next minute begins with the last one that has ended."""
        load = Load(
            pollers=pollers,
            lag=lag,
            throttles=self._throttles,
            record_bytes=self._bytes / self._records if self._records else 0,
            batch_records=self._records / self._batches if self._batches else 0,
            invocation_ms=self._running_ms / self._calls if self._calls else 0,
        )
        self.start_ms = now_ms - (now_ms - self.start_ms) % EVALUATION_MS
        self._throttles = self._batches = self._records = self._bytes = self._calls = self._running_ms = 0
        return load
