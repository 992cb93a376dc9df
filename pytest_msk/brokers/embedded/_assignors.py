"""The server-side assignors of the consumer protocol: `uniform` and `range`.

Pure functions of who is there, what they read and what they had. Source: KIP-848, and Kafka's assignors of these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ASSIGNORS", "Assignment", "AssignorMember", "range_assignor", "uniform_assignor"]

Assignment = frozenset[tuple[bytes, int]]
"""Partitions by topic id and number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssignorMember:
    """A member as an assignor sees it.

    Args:
        topics: the ids of the topics that it reads, of those that exist.
        target: what it was to have until now.
    """

    member_id: str
    instance_id: str | None
    topics: frozenset[bytes]
    target: Assignment


Assignor = Callable[[Sequence[AssignorMember], Mapping[bytes, int]], dict[str, Assignment]]


def range_assignor(members: Sequence[AssignorMember], partitions: Mapping[bytes, int]) -> dict[str, Assignment]:
    """Give each member a range of each topic; the first ones get one more. Members of static names come first.

    Args:
        partitions: how many partitions each topic has, by its id.
    """
    ordered = sorted(members, key=lambda each: (each.instance_id is None, each.instance_id or each.member_id))
    shares: dict[str, set[tuple[bytes, int]]] = {each.member_id: set() for each in ordered}
    for topic, count in partitions.items():
        readers = [each for each in ordered if topic in each.topics]
        at = 0
        for number, reader in enumerate(readers):
            size = count // len(readers) + (number < count % len(readers))
            shares[reader.member_id] |= {(topic, partition) for partition in range(at, at + size)}
            at += size
    return {member_id: frozenset(share) for member_id, share in shares.items()}


def uniform_assignor(members: Sequence[AssignorMember], partitions: Mapping[bytes, int]) -> dict[str, Assignment]:
    """Give all members as equal shares as their subscriptions allow, and let each keep what it can.

    Args:
        partitions: how many partitions each topic has, by its id.
    """
    shares = {
        each.member_id: {
            place for place in sorted(each.target) if place[0] in each.topics and place[1] < partitions.get(place[0], 0)
        }
        for each in members
    }
    taken: set[tuple[bytes, int]] = set()
    for share in shares.values():  # nobody keeps what another one keeps
        share -= taken
        taken |= share
    readers = {topic: [each.member_id for each in members if topic in each.topics] for topic in partitions}
    for topic, count in partitions.items():
        for partition in range(count):
            if (topic, partition) not in taken and readers[topic]:
                shares[min(readers[topic], key=lambda each: len(shares[each]))].add((topic, partition))
    _balance(shares, readers)
    return {member_id: frozenset(share) for member_id, share in shares.items()}


def _balance(shares: dict[str, set[tuple[bytes, int]]], readers: Mapping[bytes, Sequence[str]]) -> None:
    """Move partitions one by one from a member with more to a member with at least two less, until none can be moved.

    Each move makes the sum of the squares of the shares smaller, so that it ends.
    """
    moved = True
    while moved:
        moved = False
        for giver in sorted(shares, key=lambda each: -len(shares[each])):
            for place in sorted(shares[giver], reverse=True):
                taker = min(readers[place[0]], key=lambda each: len(shares[each]))
                if len(shares[giver]) - len(shares[taker]) >= 2:
                    shares[giver].remove(place)
                    shares[taker].add(place)
                    moved = True


ASSIGNORS: dict[str, Assignor] = {"uniform": uniform_assignor, "range": range_assignor}
