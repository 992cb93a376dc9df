"""What the embedded broker does not do, as data: shown in the docs, each one tested."""

from __future__ import annotations

from .. import Limit

__all__ = ["CONSUMER_PROTOCOL_SENTENCE", "LIMITS"]

_REAL = "a container broker (--msk-broker=container)"

TRANSACTIONS = Limit(
    name="transactions",
    reason="they end at once (no PrepareCommit is ever seen), and are those of transaction.version=1: an epoch is not "
    "raised with each transaction",
    instead=_REAL,
)
CONSUMER_PROTOCOL = Limit(
    name="consumer protocol",
    reason="group.protocol=consumer (KIP-848) is refused with UNSUPPORTED_VERSION; share groups are not spoken",
    instead=f"group.protocol=classic, or {_REAL}",
)
CONSUMER_PROTOCOL_SENTENCE = (
    "The embedded broker has no groups of the consumer protocol: set group.protocol=classic, or run this test on a "
    "container broker (--msk-broker=container)."
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
    reason="retention deletes batch by batch when the clock moves, not segment by segment some minutes later",
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
    SECURITY,
    REPLICATION,
    SEGMENTS,
    INTERNAL_TOPICS,
    QUOTAS,
)
