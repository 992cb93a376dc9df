"""Where a mapping begins to read its partitions (spec 5.5, 5.7, 5.8)."""

from __future__ import annotations

from ..brokers import Broker, Watermarks
from .config import EventSourceMappingConfig

__all__ = ["StartingPositions"]


class StartingPositions:
    """The configured starting position, resolved when the mapping is made: a run does not depend on when it polls.

    Args:
        broker: where the topic is; a topic that is not there yet is begun at its oldest record.
        config: topic and starting position.
    """

    def __init__(self, broker: Broker, config: EventSourceMappingConfig) -> None:
        self._broker = broker
        self._config = config
        #: Per partition the first offset that the mapping reads if its group has committed none.
        self.origins: dict[int, int] = {}
        if config.starting_position != "TRIM_HORIZON" and broker.partition_count(config.topic):
            marks = broker.watermarks(config.topic)
            self.origins = {partition: self.now(partition, mark) for partition, mark in marks.items()}

    def now(self, partition: int, mark: Watermarks) -> int:
        """The starting position of a partition as its log stands now."""
        if self._config.starting_position == "LATEST":
            return mark.high
        if self._config.starting_position_ms is not None:
            return self._broker.offsets_for_time(self._config.topic, self._config.starting_position_ms)[partition]
        return mark.low

    def choose(self, partition: int, committed: int, mark: Watermarks) -> int:
        """Where to begin: at the group's committed offset if the log has it, else at the starting position.

        Args:
            partition: its number.
            committed: the group's offset, negative if it has none.
            mark: where the partition's log begins and ends.
        """
        if committed < 0:
            return max(mark.low, self.origins.get(partition, 0))  # a partition that was added later has no origin
        return committed if mark.low <= committed <= mark.high else self.now(partition, mark)
