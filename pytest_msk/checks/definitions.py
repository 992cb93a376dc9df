"""What can be wrong with a consumption: each anomaly's name, definition, severity, and where it is legal, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["CONFIGURATIONS", "DEFINITIONS", "AnomalyName", "Configuration", "Definition", "Severity"]

AnomalyName = Literal[
    "lost-write",
    "foreign-record",
    "inconsistent-offsets",
    "aborted-read",
    "unsafe-commit",
    "commit-beyond-end",
    "unowned-partition",
    "filtered-delivered",
    "matching-filtered",
    "unordered-event",
    "unordered-delivery",
    "skipped-offset",
    "passed-blocked-record",
    "concurrent-batches",
    "nonmonotonic-commit",
    "oversized-batch",
    "unexplained-redelivery",
    "blocked-record",
    "unseen",
    "dropped-record",
    "dead-lettered-record",
    "duplicate",
    "redelivery",
]
#: critical: data is lost or wrong. major: a guarantee is broken. minor: it is not finished, or legal somewhere.
Severity = Literal["critical", "major", "minor"]
#: What a consumer is set up for, where that makes something legal.
Configuration = Literal["at-least-once", "read-uncommitted", "limited-retries", "on-failure-destination"]
CONFIGURATIONS: dict[Configuration, str] = {
    "at-least-once": "the consumer commits after the function has succeeded, as every mapping does (spec 5.1)",
    "read-uncommitted": "the consumer's `isolation.level` is `read_uncommitted`, as a mapping's is (spec 5.13)",
    "limited-retries": "a record may be given up: a maximum of retries or of age, or an event that is too large for it",
    "on-failure-destination": "the mapping has an on-failure destination",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What one anomaly is.

    Args:
        name: its name.
        severity: how bad it is.
        meaning: what has happened.
        expected: what should have been.
        legal: the configurations in which it may happen.
        jepsen: what Jepsen's Kafka checker calls it, where it knows it.
    """

    name: AnomalyName
    severity: Severity
    meaning: str
    expected: str
    legal: tuple[Configuration, ...] = ()
    jepsen: str = ""

    @property
    def rank(self) -> int:
        """The worse, the lower."""
        return get_args(Severity).index(self.severity)


def _define(
    name: AnomalyName,
    severity: Severity,
    meaning: str,
    expected: str,
    *legal: Configuration,
    jepsen: str = "",
) -> Definition:
    return Definition(name=name, severity=severity, meaning=meaning, expected=expected, legal=legal, jepsen=jepsen)


_ALL = "every record from the starting position on is in a successful attempt, or filtered"

DEFINITIONS: dict[AnomalyName, Definition] = {
    each.name: each
    for each in (
        _define(
            "lost-write",
            "critical",
            "a record of the log is in no successful attempt and was not filtered, and its partition went on behind it",
            _ALL,
            jepsen="lost-write",
        ),
        _define(
            "foreign-record",
            "critical",
            "a record was delivered that the topic's log has never held",
            "only records of the topic are delivered",
        ),
        _define(
            "inconsistent-offsets",
            "critical",
            "the record that was delivered for an offset is not the one that the log, or another delivery, has there",
            "an offset stands for one record",
            jepsen="inconsistent-offsets",
        ),
        _define(
            "aborted-read",
            "critical",
            "a record of a transaction that was aborted was delivered",
            "a consumer with read_committed gets records of committed transactions only",
            "read-uncommitted",
            jepsen="G1a",
        ),
        _define(
            "unsafe-commit",
            "critical",
            "an offset was committed past a record that was neither in a successful attempt nor filtered",
            "no commit goes past the lowest record that is not dealt with: a crash now would lose it",
        ),
        _define(
            "commit-beyond-end",
            "critical",
            "an offset was committed behind the end of the log: records that come there are never read",
            "a commit names the next offset to be read",
        ),
        _define(
            "unowned-partition",
            "critical",
            "a consumer delivered or committed in a partition that its group had not given it, or had taken away",
            "a consumer works on its own partitions",
        ),
        _define(
            "filtered-delivered",
            "critical",
            "a record was delivered that no filter lets through",
            "the function gets only what a filter lets through",
        ),
        _define(
            "matching-filtered",
            "critical",
            "a record was put aside that a filter lets through",
            "every record that a filter lets through is delivered",
        ),
        _define(
            "unordered-event",
            "major",
            "in one event a record stands behind one with a higher offset of its partition",
            "offsets ascend inside an event",
            jepsen="int-nonmonotonic-poll",
        ),
        _define(
            "unordered-delivery",
            "major",
            "a record was delivered for the first time after one with a higher offset of its partition",
            "first deliveries of a partition are in offset order",
            jepsen="nonmonotonic-poll",
        ),
        _define(
            "skipped-offset",
            "major",
            "a delivery went past a record of its partition that had been neither delivered nor filtered by then",
            "each delivery begins where the partition's last one ended",
            jepsen="poll-skip",
        ),
        _define(
            "passed-blocked-record",
            "major",
            "a record was delivered while an earlier one of its partition had failed and was to be tried again",
            "nothing passes a record that has failed until it succeeds or is given up",
        ),
        _define(
            "concurrent-batches",
            "major",
            "a batch was closed while another one of its partition was still on its way to the function",
            "a partition is in one in-flight batch at most",
        ),
        _define(
            "nonmonotonic-commit",
            "major",
            "a commit went back behind the one before it",
            "committed offsets ascend, but for a position that was reset",
        ),
        _define(
            "oversized-batch",
            "major",
            "a batch has more records than the batch size, or more than 6,291,456 bytes",
            "a batch keeps to its limits (spec 3.1)",
        ),
        _define(
            "unexplained-redelivery",
            "major",
            "a record came again though its last attempt had succeeded and its partition had not been begun anew",
            "a record comes again only after a failed attempt, a rebalance or a restart",
        ),
        _define(
            "blocked-record",
            "minor",
            "a record failed in every attempt, and is still in the way of its partition",
            _ALL,
        ),
        _define(
            "unseen",
            "minor",
            "a record of the log was not delivered, and nothing behind it in its partition was",
            _ALL,
            jepsen="unseen",
        ),
        _define(
            "dropped-record",
            "minor",
            "a record was given up without a destination",
            _ALL,
            "limited-retries",
        ),
        _define(
            "dead-lettered-record",
            "minor",
            "a record was given up and sent to the on-failure destination",
            _ALL,
            "on-failure-destination",
        ),
        _define(
            "duplicate",
            "minor",
            "a record was in more than one successful attempt",
            "each record is in exactly one successful attempt",
            "at-least-once",
            jepsen="duplicate",
        ),
        _define(
            "redelivery",
            "minor",
            "a record was in more than one attempt, whatever came of the first one",
            "each record is in one attempt",
            "at-least-once",
        ),
    )
}
