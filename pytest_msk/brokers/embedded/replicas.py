"""The replicas of one partition: on which nodes it lies, who leads it, who is in sync, and what an election costs.

Pure, and only numbers: every node reads the one log that there is, and a replica is where it ends. Followers that are
up have everything at once. A node that goes down keeps what the log held then; that counts again only when an unclean
election makes it the leader.

Rules: the set in sync is never empty; a leader is elected from it, in the order of the replicas; with
`unclean.leader.election.enable` from those that are up if nobody in sync is. Each change of the leader is a new epoch.
Source: "Replication" in Kafka's design documentation; KIP-101 and KIP-320 for the epochs.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

__all__ = ["Replicas", "place"]


def place(nodes: Sequence[int], count: int, factor: int, *, first: int = 0) -> list[tuple[int, ...]]:
    """The nodes of the replicas of each new partition; the first of each is its preferred leader.

    Partition p is led by the node at p modulo their number, and the nodes behind it follow: leaders are spread, and a
    test can know who leads what.

    Args:
        nodes: all nodes of the cluster, neighbours in different zones.
        count: how many partitions.
        factor: how many replicas each has.
        first: the number of the first one.
    """
    size = len(nodes)
    return [tuple(nodes[(at + step) % size] for step in range(factor)) for at in range(first, first + count)]


class Replicas:
    """Who has a partition.

    Args:
        nodes: the nodes of its replicas, the preferred leader first.
        up: the nodes that are up.
    """

    __slots__ = ("_ends", "_epochs", "in_sync", "leader", "leader_epoch", "nodes")

    def __init__(self, nodes: tuple[int, ...] = (1,), up: Container[int] | None = None) -> None:
        alive = nodes if up is None else tuple(node for node in nodes if node in up)
        self.nodes = nodes
        self.in_sync = alive or nodes
        self.leader: int | None = alive[0] if alive else None
        self.leader_epoch = 0
        #: Where each leader began: (its epoch, the offset of its first record).
        self._epochs: list[tuple[int, int]] = [(0, 0)]
        #: Where the log ended for those that are not in sync.
        self._ends: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"Replicas({self.nodes}, leader={self.leader}, epoch={self.leader_epoch}, in_sync={self.in_sync})"

    def update(self, up: Container[int], *, end: int, unclean: bool = False) -> int | None:
        """Follow a change of the nodes that are up.

        Args:
            up: those that are up now.
            end: the log's end offset.
            unclean: whether a node that is not in sync may lead when none other is up.

        Returns:
            The offset from which on records are lost with this election; None when all are kept.
        """
        alive = tuple(node for node in self.nodes if node in up)
        candidates = [node for node in alive if node in self.in_sync]
        cut = None
        if candidates:
            leader: int | None = self.leader if self.leader in candidates else candidates[0]
        elif alive and unclean:
            leader = alive[0]
            cut = self._ends.get(leader, 0)
            end = min(end, cut)
        else:
            leader = None
        if leader is not None:
            for node in self.in_sync:
                self._ends[node] = end
            self.in_sync = alive
            self._ends = {node: min(at, end) for node, at in self._ends.items() if node not in alive}
        self._lead(leader, end)
        return cut

    def move(self, node: int, *, end: int) -> bool:
        """Make a replica that is in sync the leader; whether it could be done."""
        if self.leader is None or node not in self.in_sync:
            return False
        self._lead(node, end)
        return True

    def _lead(self, leader: int | None, end: int) -> None:
        if leader == self.leader:
            return
        self.leader = leader
        self.leader_epoch += 1
        if leader is not None:
            self._epochs = [each for each in self._epochs if each[1] < end]
            self._epochs.append((self.leader_epoch, end))

    def epoch_at(self, offset: int) -> int:
        """The epoch in which the record at an offset was written, or will be."""
        return next((epoch for epoch, start in reversed(self._epochs) if start <= offset), 0)

    def epoch_end(self, epoch: int, log_end: int) -> tuple[int, int] | None:
        """The largest epoch up to `epoch` and the offset where it ends; None when no such epoch is known."""
        if epoch == self._epochs[-1][0]:
            return epoch, log_end
        later = next((start for known, start in self._epochs if known > epoch), None)
        if epoch < 0 or later is None:
            return None
        earlier = [known for known, _ in self._epochs if known <= epoch]
        return (earlier[-1] if earlier else epoch), later
