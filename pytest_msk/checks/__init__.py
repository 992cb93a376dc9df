"""Checks: what a journal and a topic's log, held against each other, say about a consumption. Pure.

An anomaly has a name, a place and a sentence; `DEFINITIONS` says what each one is, how bad it is, and in which
configurations it is legal. Where Jepsen's Kafka checker has a name for it, that is the name.
"""

from __future__ import annotations

from itertools import chain

from .anomaly import Anomaly
from .batches import batch_anomalies
from .commits import commit_anomalies
from .contents import content_anomalies
from .coverage import coverage_anomalies, redelivery_anomalies
from .definitions import CONFIGURATIONS, DEFINITIONS, AnomalyName, Configuration, Definition, Severity
from .history import Contents, History
from .order import order_anomalies

__all__ = [
    "CONFIGURATIONS",
    "DEFINITIONS",
    "Anomaly",
    "AnomalyName",
    "Configuration",
    "Contents",
    "Definition",
    "History",
    "Severity",
    "anomalies",
    "batch_anomalies",
    "commit_anomalies",
    "content_anomalies",
    "coverage_anomalies",
    "order_anomalies",
    "redelivery_anomalies",
]

_CHECKS = (content_anomalies, coverage_anomalies, commit_anomalies, order_anomalies, batch_anomalies)


def anomalies(history: History, *, legal: bool = False) -> tuple[Anomaly, ...]:
    """Everything that is wrong with a consumption, the worst first.

    Args:
        history: what happened.
        legal: tell those too that are legal in the consumer's configuration.
    """
    found = chain.from_iterable(check(history) for check in _CHECKS)
    told = (each for each in found if legal or history.configurations.isdisjoint(each.definition.legal))
    return tuple(sorted(told, key=lambda each: each.definition.rank))
