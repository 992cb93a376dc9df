"""What the embedded broker does not do, as data: shown in the docs, each one tested."""

from __future__ import annotations

from .. import Limit
from .settings import TOPIC_CONFIGS

__all__ = ["LIMITS"]

_REAL = "a container broker (--msk-broker=container)"

TRANSACTIONS = Limit(
    name="transactions",
    reason="they end at once (no PrepareCommit is ever seen), and are those of transaction.version=1: an epoch is not "
    "raised with each transaction",
    instead=_REAL,
)
CONSUMER_PROTOCOL = Limit(
    name="consumer protocol",
    reason="a group has members of one protocol only (group.consumer.migration.policy=disabled); share groups are not "
    "spoken",
    instead=_REAL,
)
TOPIC_CONFIGS_WITHOUT_EFFECT = Limit(
    name="topic configs",
    reason="these are kept and shown, and have no effect: "
    + ", ".join(sorted(name for name, key in TOPIC_CONFIGS.items() if not key.acts)),
    instead=_REAL,
)
SECURITY = Limit(
    name="security",
    reason="the listener is PLAINTEXT: no TLS, no SASL, no ACLs",
    instead="an external cluster (--msk-bootstrap-servers)",
)
REPLICATION = Limit(
    name="replication",
    reason="there is one broker: no replication factor above 1, no failover, no new leader epochs",
    instead="an external cluster (--msk-bootstrap-servers)",
)
SEGMENTS = Limit(
    name="segments",
    reason="retention and compaction go batch by batch when the clock moves, not segment by segment some minutes later",
    instead=_REAL,
)
INTERNAL_TOPICS = Limit(
    name="internal topics",
    reason="committed offsets are not kept in a topic: there is no __consumer_offsets to read",
    instead=_REAL,
)
QUOTAS = Limit(name="quotas", reason="clients are never throttled, and idle connections are not closed", instead=_REAL)

LIMITS: tuple[Limit, ...] = (
    TRANSACTIONS,
    CONSUMER_PROTOCOL,
    TOPIC_CONFIGS_WITHOUT_EFFECT,
    SECURITY,
    REPLICATION,
    SEGMENTS,
    INTERNAL_TOPICS,
    QUOTAS,
)
