"""What the embedded broker does not do, as data: shown in the docs, each one tested."""

from __future__ import annotations

from .. import Limit
from .settings import TOPIC_CONFIGS

__all__ = ["LIMITS"]

_REAL = "a container broker (--msk-broker=container)"
_CLUSTER = "an external cluster (--msk-bootstrap-servers)"

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
REPLICATION_LAG = Limit(
    name="replication lag",
    reason="nodes that are up have every record at once: acks=1 loses nothing, the high watermark is the log's end",
    instead=_CLUSTER,
)
DIVERGENCE = Limit(
    name="divergence",
    reason="what an unclean election loses is lost for good: the node that had it does not bring it back",
    instead=_CLUSTER,
)
REASSIGNMENT = Limit(
    name="reassignment",
    reason="AlterPartitionReassignments and ElectLeaders are not spoken: replicas stay where they are",
    instead=f"msk_broker.nodes.elect_leader, or {_CLUSTER}",
)
NEAREST_REPLICA = Limit(
    name="nearest replica",
    reason="client.rack has no effect: every consumer is sent to the leader",
    instead=_CLUSTER,
)
TIERED_STORAGE = Limit(
    name="tiered storage",
    reason="remote.storage.enable=true is refused, as by a broker that has none: every record is in memory",
    instead=_CLUSTER,
)
FETCH_SESSIONS = Limit(
    name="fetch sessions",
    reason="each Fetch is answered in full, with session id 0",
    instead=_REAL,
)
TELEMETRY = Limit(
    name="telemetry",
    reason="clients are not asked for their metrics (GetTelemetrySubscriptions is not spoken)",
    instead=_REAL,
)
SEGMENTS = Limit(
    name="segments",
    reason="retention and compaction go batch by batch when the clock moves, not segment by segment some minutes later",
    instead=_REAL,
)
INSIDE_BATCHES = Limit(
    name="inside batches",
    reason="a batch is taken by its header: records that cannot be read, and a greatest timestamp that is none of "
    "theirs, are not noticed; no client makes such batches",
    instead=_REAL,
)
DOCUMENTATION = Limit(
    name="documentation",
    reason="DescribeConfigs does not explain the configs, whatever it is asked for",
    instead="Kafka's documentation",
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
    MECHANISMS,
    CONDITIONS,
    REPLICATION_LAG,
    DIVERGENCE,
    REASSIGNMENT,
    NEAREST_REPLICA,
    TIERED_STORAGE,
    FETCH_SESSIONS,
    TELEMETRY,
    SEGMENTS,
    INSIDE_BATCHES,
    DOCUMENTATION,
    INTERNAL_TOPICS,
    QUOTAS,
)
