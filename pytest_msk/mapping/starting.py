"""Where a mapping begins to read its partitions (spec 5.5, 5.7, 5.8)."""

from __future__ import annotations

from collections.abc import Iterable

from ..brokers import Broker, Watermarks
from .config import EventSourceMappingConfig

__all__ = ["StartingPositions"]


class StartingPositions:
    """The configured starting position, resolved when the mapping is made: a run does not depend on when it polls.

    With `latest_at_first_poll` LATEST is the end of a partition's log when the poller gets the partition and the group
    has committed nothing in it, as on AWS: what is produced between creation and polling is missed.

    Args:
        broker: where the topic is; a topic that is not there yet is begun at its oldest record.
        config: topic and starting position.
    """

    def __init__(self, broker: Broker, config: EventSourceMappingConfig) -> None:
        self._broker = broker
        self._config = config
        #: Per partition the first offset that the mapping reads if its group has committed none.
        self.origins: dict[int, int] = {}
        #: Partitions in which the group has had a committed offset: if it has none any more, it has expired.
        self._begun: set[int] = set()
        self._late = config.starting_position == "LATEST" and config.latest_at_first_poll
        if config.starting_position != "TRIM_HORIZON" and not self._late and broker.partition_count(config.topic):
            marks = broker.watermarks(config.topic)
            self.origins = {partition: self.now(partition, mark) for partition, mark in marks.items()}

    def now(self, partition: int, mark: Watermarks) -> int:
        """The starting position of a partition as its log stands now."""
        if self._config.starting_position == "LATEST":
            return mark.high
        if self._config.starting_position_ms is not None:
            return self._broker.offsets_for_time(self._config.topic, self._config.starting_position_ms)[partition]
        return mark.low

    def committed(self, partitions: Iterable[int]) -> None:
        """Note that the group has offsets in these partitions: the origin was for their first beginning only."""
        self._begun.update(partitions)

    def choose(self, partition: int, committed: int, mark: Watermarks) -> int:
        """Where to begin: at the group's committed offset if the log has it, else at the starting position.

        Args:
            partition: its number.
            committed: the group's offset, negative if it has none.
            mark: where the partition's log begins and ends.
        """
        if committed < 0:
            if self._late or partition in self._begun:
                return self.now(partition, mark)
            return max(mark.low, self.origins.get(partition, 0))  # a partition that was added later has no origin
        self._begun.add(partition)
        return committed if mark.low <= committed <= mark.high else self.now(partition, mark)
