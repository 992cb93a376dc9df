"""Assertions about a mapping's deliveries; they raise `AssertionError` themselves and need no rewriting."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from .checks import Anomaly, delivery_anomalies, order_anomalies

if TYPE_CHECKING:
    from .mapping import EventSourceMapping

__all__ = ["assert_at_least_once", "assert_ordered", "find_anomalies"]

#: Anomalies that a message lists; the rest are counted.
_SHOWN = 5


def find_anomalies(esm: EventSourceMapping) -> tuple[Anomaly, ...]:
    """Everything that is wrong with a mapping's deliveries: in their order, and held against the topic's log."""
    return (*_order(esm), *_delivery(esm))


def assert_ordered(esm: EventSourceMapping) -> None:
    """Assert that each partition's records were delivered in order.

    Offsets ascend inside each event, first deliveries ascend, nothing passed a batch that had failed, and a record came
    again only after a failed attempt, a rebalance or a restart.

    Raises:
        AssertionError: with topic, partition, offsets, batch and attempt.
    """
    _refuse(esm, "were not delivered in order", _order(esm))


def assert_at_least_once(esm: EventSourceMapping) -> None:
    """Assert that each record of the topic, from the starting position on, was in a successful attempt or filtered.

    The topic's own log says which records there are; those that have expired meanwhile do not count.

    Raises:
        AssertionError: with topic, partition, offsets, and what happened to them.
    """
    _refuse(esm, "were not all delivered", _delivery(esm))


def _order(esm: EventSourceMapping) -> tuple[Anomaly, ...]:
    return tuple(order_anomalies(esm.topic, esm.journal))


def _delivery(esm: EventSourceMapping) -> tuple[Anomaly, ...]:
    ends = {partition: mark.high for partition, mark in esm.broker.watermarks(esm.topic).items()}
    return tuple(delivery_anomalies(esm.topic, esm.journal, esm.broker.offsets(esm.topic), esm.starting.origins, ends))


def _refuse(esm: EventSourceMapping, what: str, anomalies: tuple[Anomaly, ...]) -> None:
    if not anomalies:
        return
    lines = [f"  {anomaly}" for anomaly in anomalies[:_SHOWN]]
    if len(anomalies) > _SHOWN:
        lines.append(f"  ... and {len(anomalies) - _SHOWN} more")
    __tracebackhide__ = True
    raise AssertionError("\n".join(chain([f"The records of {esm.topic!r} {what} to {esm.function.name}:"], lines)))
