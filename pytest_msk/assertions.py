"""Assertions about a mapping's deliveries; they raise `AssertionError` themselves and need no rewriting."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from typing import TYPE_CHECKING, get_args

from .checks import Allowed, Anomaly, delivery_anomalies, order_anomalies

if TYPE_CHECKING:
    from .mapping import EventSourceMapping

__all__ = ["assert_at_least_once", "assert_ordered", "find_anomalies"]

#: Anomalies that a message lists; the rest are counted.
_SHOWN = 5


def find_anomalies(esm: EventSourceMapping, *, allow: Collection[Allowed] = ()) -> tuple[Anomaly, ...]:
    """Everything that is wrong with a mapping's deliveries: in their order, and held against the topic's log.

    Args:
        esm: the mapping.
        allow: what may become of a record besides: `"dropped"`, `"destination"`.
    """
    return (*_order(esm), *_delivery(esm, allow))


def assert_ordered(esm: EventSourceMapping) -> None:
    """Assert that each partition's records were delivered in order.

    Offsets ascend inside each event, first deliveries ascend, nothing passed a batch that had failed, and a record came
    again only after a failed attempt, a rebalance or a restart.

    Raises:
        AssertionError: with topic, partition, offsets, batch and attempt.
    """
    _refuse(esm, "were not delivered in order", _order(esm))


def assert_at_least_once(esm: EventSourceMapping, *, allow: Collection[Allowed] = ()) -> None:
    """Assert that each record of the topic, from the starting position on, was in a successful attempt or filtered.

    The topic's own log says which records there are; those that have expired meanwhile do not count.

    Args:
        esm: the mapping.
        allow: what may become of a record besides: `"dropped"`, given up without a destination or with one that did
            not take it, and `"destination"`, sent to the on-failure destination.

    Raises:
        AssertionError: with topic, partition, offsets, and what happened to them.
    """
    _refuse(esm, "were not all delivered", _delivery(esm, allow))


def _order(esm: EventSourceMapping) -> tuple[Anomaly, ...]:
    return tuple(order_anomalies(esm.topic, esm.journal))


def _delivery(esm: EventSourceMapping, allow: Collection[Allowed]) -> tuple[Anomaly, ...]:
    unknown = {*allow} - {*get_args(Allowed)}
    if isinstance(allow, str) or unknown:
        raise ValueError(f"allow={allow!r}: a tuple of {' and '.join(map(repr, get_args(Allowed)))}.")
    ends = {partition: mark.high for partition, mark in esm.broker.watermarks(esm.topic).items()}
    log = esm.broker.offsets(esm.topic)
    return tuple(delivery_anomalies(esm.topic, esm.journal, log, esm.starting.origins, ends, allow))


def _refuse(esm: EventSourceMapping, what: str, anomalies: tuple[Anomaly, ...]) -> None:
    if not anomalies:
        return
    lines = [f"  {anomaly}" for anomaly in anomalies[:_SHOWN]]
    if len(anomalies) > _SHOWN:
        lines.append(f"  ... and {len(anomalies) - _SHOWN} more")
    __tracebackhide__ = True
    raise AssertionError("\n".join(chain([f"The records of {esm.topic!r} {what} to {esm.function.name}:"], lines)))
