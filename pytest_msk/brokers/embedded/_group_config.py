"""The settings of the group coordinator, which Kafka calls `group.*` and `offsets.*`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GroupConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupConfig:
    """The coordinator's settings, with Kafka's defaults.

    Args:
        min_session_timeout_ms: `group.min.session.timeout.ms`.
        max_session_timeout_ms: `group.max.session.timeout.ms`.
        initial_rebalance_delay_ms: `group.initial.rebalance.delay.ms`, how long an empty group waits for more members.
        max_size: `group.max.size`, the most members of one group.
        offsets_retention_ms: `offsets.retention.minutes`, here in milliseconds.
        offset_metadata_max_bytes: `offset.metadata.max.bytes`, which Kafka counts in characters.
        hold_heartbeats: whether an answer to a heartbeat may wait for the next rebalance; Kafka itself never waits.
    """

    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 3_000
    max_size: int = 2**31 - 1
    offsets_retention_ms: int = 7 * 24 * 60 * 60 * 1000
    offset_metadata_max_bytes: int = 4_096
    hold_heartbeats: bool = True
