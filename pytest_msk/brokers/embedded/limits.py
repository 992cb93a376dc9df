"""What the embedded broker does not do, as data: shown in the docs, each one tested."""

from __future__ import annotations

from .. import Limit

__all__ = ["CONSUMER_PROTOCOL_SENTENCE", "LIMITS", "TRANSACTIONS_SENTENCE"]

_REAL = "a container broker (--msk-broker=container)"

TRANSACTIONS = Limit(
    name="transactions",
    reason="a producer with a transactional.id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    instead=_REAL,
)
TRANSACTIONS_SENTENCE = (
    "The embedded broker has no transactions: run this test on a container broker (--msk-broker=container)."
)
COMPACTION = Limit(
    name="compaction",
    reason="cleanup.policy=compact is kept and wants keys, but no record is ever removed by its key",
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
MECHANISMS = Limit(
    name="mechanisms",
    reason="AWS_MSK_IAM (of MSK's Java library), GSSAPI and delegation tokens are not spoken",
    instead="OAUTHBEARER with a token of aws-msk-iam-sasl-signer, SCRAM, PLAIN or a client certificate",
)
CONDITIONS = Limit(
    name="conditions",
    reason="an IAM policy with a Condition is refused with a sentence",
    instead="the policy without it, on keys for which it would hold",
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
    COMPACTION,
    CONSUMER_PROTOCOL,
    MECHANISMS,
    CONDITIONS,
    REPLICATION,
    SEGMENTS,
    INTERNAL_TOPICS,
    QUOTAS,
)
