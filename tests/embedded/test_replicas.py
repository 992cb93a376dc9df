"""Leaders and replicas in sync: what an election keeps, and what it loses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytest_msk.brokers.embedded.replicas import Replicas, place

NODES = (1, 2, 3)


def test_leaders_go_round_and_the_nodes_behind_them_follow() -> None:
    assert place(NODES, 4, 2) == [(1, 2), (2, 3), (3, 1), (1, 2)]
    assert place(NODES, 2, 3, first=4) == [(2, 3, 1), (3, 1, 2)]
    assert place((1,), 2, 1) == [(1,), (1,)]


@given(nodes=st.integers(1, 9), count=st.integers(1, 30), data=st.data())
def test_replicas_lie_on_different_nodes_and_each_node_leads_its_share(nodes: int, count: int, data: st.DataObject):
    factor = data.draw(st.integers(1, nodes))
    placed = place(range(1, nodes + 1), count, factor)
    assert all(len(set(each)) == factor for each in placed)
    leads = [sum(each[0] == node for each in placed) for node in range(1, nodes + 1)]
    assert max(leads) - min(leads) <= 1


def test_the_next_replica_in_sync_follows_a_leader_that_is_down() -> None:
    replicas = Replicas(NODES)
    assert replicas.update({2, 3}, end=5) is None
    assert (replicas.leader, replicas.leader_epoch, replicas.in_sync) == (2, 1, (2, 3))
    assert replicas.update({1, 2, 3}, end=9) is None
    assert (replicas.leader, replicas.leader_epoch, replicas.in_sync) == (2, 1, NODES)


def test_the_last_one_in_sync_is_waited_for() -> None:
    replicas = Replicas(NODES)
    replicas.update({2, 3}, end=5)
    replicas.update({3}, end=6)
    replicas.update(set(), end=7)
    assert (replicas.leader, replicas.in_sync) == (None, (3,))
    replicas.update({1, 2}, end=7)
    assert (replicas.leader, replicas.in_sync) == (None, (3,))
    replicas.update({1, 2, 3}, end=7)
    assert (replicas.leader, replicas.in_sync) == (3, NODES)


def test_an_unclean_leader_has_what_was_there_when_it_went_down() -> None:
    replicas = Replicas(NODES)
    replicas.update({2, 3}, end=5)
    replicas.update({3}, end=6)
    assert replicas.update({1, 2}, end=7, unclean=True) == 5
    assert (replicas.leader, replicas.in_sync) == (1, (1, 2))


def test_zones_that_go_down_at_once_all_stay_in_sync() -> None:
    replicas = Replicas(NODES)
    replicas.update(set(), end=5)
    assert replicas.in_sync == NODES
    assert replicas.update({2}, end=5, unclean=True) is None
    assert replicas.leader == 2


def test_a_leader_can_be_moved_to_who_is_in_sync() -> None:
    replicas = Replicas((1, 2))
    assert replicas.move(2, end=4)
    assert (replicas.leader, replicas.leader_epoch) == (2, 1)
    assert not replicas.move(3, end=4)
    replicas.update({2}, end=4)
    assert not replicas.move(1, end=4)
    replicas.update(set(), end=4)
    assert not replicas.move(2, end=4)


def test_epochs_end_where_the_next_one_began() -> None:
    replicas = Replicas((1, 2))
    replicas.move(2, end=4)
    replicas.move(1, end=4)  # nothing was written in epoch 1
    replicas.move(2, end=9)
    assert replicas.leader_epoch == 3
    assert [replicas.epoch_end(epoch, 12) for epoch in (-1, 0, 1, 2, 3, 4)] == [
        *(None, (0, 4), (0, 4), (2, 9), (3, 12), None),
    ]
    assert [replicas.epoch_at(offset) for offset in (0, 3, 4, 8, 9, 12)] == [0, 0, 2, 2, 3, 3]


class ReplicaMachine(RuleBasedStateMachine):
    """Records are written while nodes go and come; the model knows which node has which of them."""

    @initialize(min_insync=st.integers(1, 3), unclean=st.booleans())
    def begin(self, min_insync: int, unclean: bool) -> None:
        self.min_insync, self.unclean = min_insync, unclean
        self.up = set(NODES)
        self.replicas = Replicas(NODES)
        self.log: list[int] = []  # the log that there is
        self.epochs: list[int] = []  # in which each of its records was written
        self.on_node: dict[int, list[int]] = {node: [] for node in NODES}  # each node's own, as Kafka would have it
        self.acknowledged: list[int] = []
        self.written = 0
        self.violated = False
        self.most_down = 0

    def _replicate(self) -> None:
        leader = self.replicas.leader
        if leader is not None:
            for node in self.replicas.in_sync:
                self.on_node[node] = list(self.on_node[leader])

    @rule()
    def produce_with_all_acks(self) -> None:
        if self.replicas.leader is None or len(self.replicas.in_sync) < self.min_insync:
            return
        self.acknowledged.append(self.written)
        self._append()

    @rule()
    def produce_with_one_ack(self) -> None:
        if self.replicas.leader is not None:
            self._append()

    def _append(self) -> None:
        assert self.replicas.leader is not None
        self.log.append(self.written)
        self.epochs.append(self.replicas.leader_epoch)
        self.on_node[self.replicas.leader].append(self.written)
        self.written += 1
        self._replicate()

    @rule(up=st.sets(st.sampled_from(NODES), max_size=2) | st.just(set(NODES)), records=st.integers(0, 2))
    def nodes_go_and_come(self, up: set[int], records: int) -> None:
        self.up = up
        self.violated |= bool(up) and not set(self.replicas.in_sync) & up  # nobody who is up has everything
        self.most_down = max(self.most_down, len(NODES) - len(up))
        cut = self.replicas.update(up, end=len(self.log), unclean=self.unclean)
        if cut is not None:
            assert self.unclean
            del self.log[cut:], self.epochs[cut:]
            for kept in self.on_node.values():  # what another node has more is lost for good: there is one log
                del kept[cut:]
        self._replicate()
        for _ in range(records):
            self.produce_with_one_ack()

    @precondition(lambda self: self.replicas.leader is not None)
    @rule(node=st.sampled_from(NODES))
    def leader_moves(self, node: int) -> None:
        assert self.replicas.move(node, end=len(self.log)) == (node in self.replicas.in_sync)

    @invariant()
    def the_leader_is_up_in_sync_and_has_the_log(self) -> None:
        leader = self.replicas.leader
        assert self.replicas.in_sync
        if leader is not None:
            assert leader in self.up
            assert leader in self.replicas.in_sync
            assert set(self.replicas.in_sync) == self.up
            assert self.on_node[leader] == self.log

    @invariant()
    def an_acknowledged_record_is_lost_by_an_unclean_election_alone(self) -> None:
        if not (self.unclean and self.violated):
            assert set(self.acknowledged) <= set(self.log)

    @invariant()
    def as_long_as_min_insync_holds_nothing_acknowledged_is_lost_at_all(self) -> None:
        if self.most_down < self.min_insync:
            assert set(self.acknowledged) <= set(self.log)

    @invariant()
    def every_record_has_the_epoch_in_which_it_was_written(self) -> None:
        assert [self.replicas.epoch_at(offset) for offset in range(len(self.log))] == self.epochs
        for offset, epoch in enumerate(self.epochs):
            found = self.replicas.epoch_end(epoch, len(self.log))
            assert found is not None
            assert found[0] == epoch
            assert offset < found[1] <= len(self.log)


TestReplicas = ReplicaMachine.TestCase
