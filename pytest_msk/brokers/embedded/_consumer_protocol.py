"""What consumers say to each other through the group: subscriptions and assignments (source: Kafka's
ConsumerProtocolSubscription and ConsumerProtocolAssignment messages).

To the coordinator both are bytes; it reads them only to know which topics a group uses, and for people who look at it.
Every version of both begins with its number and a list, and only those are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

__all__ = ["assigned_partitions", "encode_assignment", "encode_subscription", "subscribed_topics"]


def subscribed_topics(metadata: bytes) -> frozenset[str] | None:
    """The topics of a subscription; None when the bytes are not one."""
    try:
        _, count = struct.unpack_from(">hi", metadata)
        topics, at = set(), 6
        for _ in range(count):
            topic, at = _string(metadata, at)
            topics.add(topic)
    except (struct.error, ValueError):
        return None
    return frozenset(topics)


def assigned_partitions(assignment: bytes) -> frozenset[tuple[str, int]] | None:
    """The partitions of an assignment, as (topic, partition); None when the bytes are not one."""
    try:
        _, count = struct.unpack_from(">hi", assignment)
        partitions, at = set(), 6
        for _ in range(count):
            topic, at = _string(assignment, at)
            (numbers,) = struct.unpack_from(">i", assignment, at)
            if numbers < 0:
                return None
            partitions |= {(topic, number) for number in struct.unpack_from(f">{numbers}i", assignment, at + 4)}
            at += 4 + 4 * numbers
    except (struct.error, ValueError):
        return None
    return frozenset(partitions)


def encode_subscription(topics: Iterable[str]) -> bytes:
    """A subscription, version 0, without user data."""
    names = [_sized(topic) for topic in sorted(topics)]
    return struct.pack(">hi", 0, len(names)) + b"".join(names) + struct.pack(">i", -1)


def encode_assignment(partitions: Iterable[tuple[str, int]]) -> bytes:
    """An assignment of partitions, as (topic, partition), version 0, without user data."""
    by_topic: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        by_topic.setdefault(topic, []).append(partition)
    parts = [_sized(topic) + struct.pack(f">i{len(all_)}i", len(all_), *all_) for topic, all_ in by_topic.items()]
    return struct.pack(">hi", 0, len(parts)) + b"".join(parts) + struct.pack(">i", -1)


def _sized(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def _string(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    end = at + 2 + length
    if length < 0 or end > len(data):
        raise ValueError(f"A string of {length} bytes at {at} does not fit into {len(data)} bytes.")
    return data[at + 2 : end].decode(), end
