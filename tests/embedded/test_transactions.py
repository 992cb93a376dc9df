"""The transaction coordinator on a table: what each request is answered, and what holds after any history."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from wire_client import NOW, batch

from pytest_msk.brokers.embedded.batch import BatchHeader, RecordInBatch, records_of
from pytest_msk.brokers.embedded.errors import ErrorCode, Refused
from pytest_msk.brokers.embedded.log import LogConfig, PartitionLog
from pytest_msk.brokers.embedded.transactions import (
    EndedTransaction,
    Producer,
    TransactionConfig,
    TransactionCoordinator,
)

ORDERS = ("orders", 0)
TIMEOUT_MS = 60_000


class Bench:
    """A coordinator, its clock, and the transactions that ended."""

    def __init__(self, *, first_id: int = 0) -> None:
        self.now = NOW
        self.ended: list[EndedTransaction] = []
        ids = itertools.count(first_id)
        self.coordinator = TransactionCoordinator(TransactionConfig(), lambda: next(ids), self.ended.append)

    def init(self, name: str = "x", *, known: Producer | None = None, timeout_ms: int = TIMEOUT_MS) -> Producer:
        return self.coordinator.init_producer(name, timeout_ms, known=known, now_ms=self.now)

    def add(self, producer: Producer, *places: tuple[str, int], name: str = "x") -> None:
        self.coordinator.add_partitions(name, producer, places or (ORDERS,), now_ms=self.now)

    def end(self, producer: Producer, *, commit: bool = True, name: str = "x") -> None:
        self.coordinator.end(name, producer, commit=commit, now_ms=self.now)

    @property
    def state(self) -> str:
        return self.coordinator.describe("x").state.value


@pytest.fixture
def bench() -> Bench:
    return Bench()


def refused(call: Callable[..., object], *arguments: object, **named: object) -> ErrorCode:
    with pytest.raises(Refused) as caught:
        call(*arguments, **named)
    return caught.value.code


def test_a_new_id_begins_with_epoch_0_and_each_new_producer_of_it_is_one_higher(bench: Bench) -> None:
    assert [bench.init(), bench.init(), bench.init("other")] == [Producer(0, 0), Producer(0, 1), Producer(1, 0)]


@pytest.mark.parametrize(
    ("name", "timeout_ms", "code"),
    [
        ("", TIMEOUT_MS, ErrorCode.INVALID_REQUEST),
        ("x", 0, ErrorCode.INVALID_TRANSACTION_TIMEOUT),
        ("x", -1, ErrorCode.INVALID_TRANSACTION_TIMEOUT),
        ("x", 900_001, ErrorCode.INVALID_TRANSACTION_TIMEOUT),
    ],
)
def test_what_a_producer_may_not_ask_for(bench: Bench, name: str, timeout_ms: int, code: ErrorCode) -> None:
    assert refused(bench.init, name, timeout_ms=timeout_ms) is code
    assert bench.coordinator.transactions() == ()


def test_a_transaction_begins_with_its_first_partition_and_ends_once(bench: Bench) -> None:
    producer = bench.init()
    assert bench.state == "Empty"
    bench.add(producer, ORDERS, ("orders", 1))
    assert bench.state == "Ongoing"
    bench.coordinator.add_offsets("x", producer, "readers", now_ms=bench.now)
    bench.add(producer, ORDERS)
    bench.end(producer)
    assert bench.state == "CompleteCommit"
    ended = EndedTransaction(producer=producer, commit=True, partitions=(ORDERS, ("orders", 1)), groups=("readers",))
    assert bench.ended == [ended]
    bench.end(producer)  # a client that heard no answer asks again
    assert bench.ended == [ended]
    assert refused(bench.end, producer, commit=False) is ErrorCode.INVALID_TXN_STATE


def test_nothing_to_end(bench: Bench) -> None:
    assert refused(bench.end, bench.init()) is ErrorCode.INVALID_TXN_STATE
    assert bench.ended == []


@pytest.mark.parametrize(
    ("producer", "name", "code"),
    [
        (Producer(0, 0), "", ErrorCode.INVALID_REQUEST),
        (Producer(0, 0), "unknown", ErrorCode.INVALID_PRODUCER_ID_MAPPING),
        (Producer(7, 0), "x", ErrorCode.INVALID_PRODUCER_ID_MAPPING),
        (Producer(0, 1), "x", ErrorCode.PRODUCER_FENCED),
        (Producer(0, -1), "x", ErrorCode.PRODUCER_FENCED),
    ],
)
def test_who_may_not_speak_for_an_id(bench: Bench, producer: Producer, name: str, code: ErrorCode) -> None:
    bench.init()
    assert refused(bench.add, producer, name=name) is code
    assert refused(bench.end, producer, name=name) is code
    assert refused(bench.coordinator.add_offsets, name, producer, "g", now_ms=NOW) is code
    assert refused(bench.coordinator.check_partition, name, producer, ORDERS) is code
    assert refused(bench.coordinator.check_group, name, producer, "g") is code


def test_a_partition_or_a_group_that_was_not_added_is_not_written_to(bench: Bench) -> None:
    producer = bench.init()
    bench.add(producer)
    bench.coordinator.check_partition("x", producer, ORDERS)
    check, groups = bench.coordinator.check_partition, bench.coordinator.check_group
    assert refused(check, "x", producer, ("orders", 1)) is ErrorCode.TRANSACTION_ABORTABLE
    assert refused(groups, "x", producer, "g") is ErrorCode.TRANSACTION_ABORTABLE
    bench.end(producer)
    assert refused(check, "x", producer, ORDERS) is ErrorCode.TRANSACTION_ABORTABLE


def test_a_second_producer_aborts_what_the_first_one_left_open_and_fences_it(bench: Bench) -> None:
    first = bench.init()
    bench.add(first)
    assert refused(bench.init) is ErrorCode.CONCURRENT_TRANSACTIONS
    (ended,) = bench.ended
    assert (ended.commit, ended.producer) == (False, Producer(0, 1))
    assert bench.init() == Producer(0, 2)
    assert refused(bench.add, first) is ErrorCode.PRODUCER_FENCED
    assert refused(bench.end, first) is ErrorCode.PRODUCER_FENCED


def test_a_producer_that_goes_on_after_an_error_is_given_the_next_epoch_and_asks_as_often_as_it_wants(
    bench: Bench,
) -> None:
    first = bench.init()
    second = bench.init(known=first)
    assert second == Producer(0, 1)
    assert bench.init(known=first) == second, "it did not hear the answer"
    assert bench.init(known=second) == Producer(0, 2)
    assert refused(bench.init, known=first) is ErrorCode.PRODUCER_FENCED
    assert refused(bench.init, known=Producer(9, 0)) is ErrorCode.PRODUCER_FENCED


def test_a_producer_that_was_replaced_cannot_go_on(bench: Bench) -> None:
    first = bench.init()
    bench.init()
    assert refused(bench.init, known=first) is ErrorCode.PRODUCER_FENCED


def test_when_all_epochs_are_used_up_there_is_a_new_producer_id(bench: Bench) -> None:
    producer = bench.init()
    while producer.epoch < 32_766:
        producer = bench.init()
    assert bench.init(known=producer) == Producer(1, 0)
    assert bench.init(known=Producer(0, 32_766)) == Producer(1, 0), "it did not hear of the new id"
    assert refused(bench.init, known=Producer(0, 5)) is ErrorCode.PRODUCER_FENCED


def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(bench: Bench) -> None:
    producer = bench.init(timeout_ms=1000)
    bench.add(producer)
    bench.coordinator.apply_time(NOW + 1000)
    assert bench.state == "Ongoing"
    bench.now += 700
    bench.add(producer, ("orders", 1))  # does not begin anew
    bench.coordinator.apply_time(NOW + 1001)
    assert bench.state == "CompleteAbort"
    assert [each.commit for each in bench.ended] == [False]
    assert refused(bench.end, producer) is ErrorCode.PRODUCER_FENCED
    assert bench.init(known=Producer(0, 1)) == Producer(0, 2)


def test_an_id_that_is_not_used_is_forgotten(bench: Bench) -> None:
    producer = bench.init()
    bench.coordinator.apply_time(NOW + 604_799_999)
    assert bench.state == "Empty"
    bench.coordinator.apply_time(NOW + 604_800_000)
    assert refused(bench.coordinator.describe, "x") is ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
    assert refused(bench.add, producer) is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert bench.init() == Producer(1, 0)


def test_a_deleted_topic_gets_no_marker(bench: Bench) -> None:
    producer = bench.init()
    bench.add(producer, ORDERS, ("refunds", 0))
    bench.coordinator.forget_topic("orders")
    bench.end(producer)
    assert bench.ended[0].partitions == (("refunds", 0),)


# --- histories

#: What a producer is told whose epoch is over.
FENCED = (ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.INVALID_PRODUCER_ID_MAPPING)


def code_of(call: Callable[[], object]) -> ErrorCode:
    """How a call is answered."""
    try:
        call()
    except Refused as refused:
        return refused.code
    return ErrorCode.NONE


@dataclass
class Client:
    """A transactional producer, and its next sequence number in each partition."""

    name: str
    producer: Producer
    sequences: dict[int, int] = field(default_factory=dict)


class Transactions(RuleBasedStateMachine):
    """Producers of two ids come, write to two logs, end and time out; zombies go on. Plain producers write between.

    The model: which values were acknowledged in which transaction, and how each transaction ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        ids = itertools.count(1)
        self.logs = [PartitionLog("orders", at) for at in range(2)]
        self.coordinator = TransactionCoordinator(TransactionConfig(), lambda: next(ids), self._write_markers)
        self.clients: list[Client] = []
        self.values = itertools.count()
        self.acknowledged: list[list[tuple[int, bytes]]] = [[], []]  # (offset, value), in order
        self.undecided: list[dict[int, tuple[int, bytes]]] = [{}, {}]  # offset: (producer id, value)
        self.committed: list[dict[int, bytes]] = [{}, {}]
        self.last_stable = [0, 0]

    def _write_markers(self, ended: EndedTransaction) -> None:
        for _, at in ended.partitions:
            self.logs[at].end_transaction(ended.producer.id, ended.producer.epoch, commit=ended.commit, now_ms=self.now)
            mine = [each for each, (owner, _) in self.undecided[at].items() if owner == ended.producer.id]
            for offset in mine:
                _, value = self.undecided[at].pop(offset)
                if ended.commit:
                    self.committed[at][offset] = value

    def _fenced(self, client: Client) -> bool:
        return client.producer != self.coordinator.describe(client.name).producer

    @rule(name=st.sampled_from("ab"))
    def producer_starts(self, name: str) -> None:
        def start() -> None:
            self.clients.append(Client(name, self.coordinator.init_producer(name, TIMEOUT_MS, now_ms=self.now)))

        code = code_of(start)
        if code is not ErrorCode.NONE:
            assert code is ErrorCode.CONCURRENT_TRANSACTIONS
            assert code_of(start) is ErrorCode.NONE

    @rule(data=st.data(), at=st.integers(0, 1), count=st.integers(1, 3), added=st.sampled_from([True, True, False]))
    def producer_writes(self, data: st.DataObject, at: int, count: int, added: bool) -> None:
        for client in self._one(data):
            values = [b"%d" % next(self.values) for _ in range(count)]
            bases: list[int] = []
            code = code_of(lambda c=client, v=values, b=bases: b.append(self._write(c, at, v, added)))  # type: ignore[misc]
            if self._fenced(client):
                assert code in FENCED, "a zombie has written"
            elif not bases:
                assert not added
                assert code is ErrorCode.TRANSACTION_ABORTABLE
            for base in bases:
                client.sequences[at] = client.sequences.get(at, 0) + count
                self.acknowledged[at] += enumerate(values, base)
                self.undecided[at].update((each, (client.producer.id, v)) for each, v in enumerate(values, base))

    def _write(self, client: Client, at: int, values: list[bytes], added: bool) -> int:
        if added:
            self.coordinator.add_partitions(client.name, client.producer, [("orders", at)], now_ms=self.now)
        if not self.logs[at].in_transaction(client.producer.id):
            self.coordinator.check_partition(client.name, client.producer, ("orders", at))
        raw = batch(
            *values,
            producer_id=client.producer.id,
            producer_epoch=client.producer.epoch,
            base_sequence=client.sequences.get(at, 0),
            attributes=0x10,
        )
        return self.logs[at].append(raw, LogConfig(), now_ms=self.now).base_offset

    @rule(data=st.data(), commit=st.booleans())
    def producer_ends(self, data: st.DataObject, commit: bool) -> None:
        for client in self._one(data):
            fenced = self._fenced(client)
            arguments = {"commit": commit, "now_ms": self.now}
            code = code_of(lambda c=client, a=arguments: self.coordinator.end(c.name, c.producer, **a))  # type: ignore[misc]
            assert code in (FENCED if fenced else (ErrorCode.NONE, ErrorCode.INVALID_TXN_STATE))

    @rule(at=st.integers(0, 1))
    def plain_producer_writes(self, at: int) -> None:
        value = b"%d" % next(self.values)
        base = self.logs[at].append(batch(value), LogConfig(), now_ms=self.now).base_offset
        self.acknowledged[at].append((base, value))
        self.committed[at][base] = value

    @rule(seconds=st.sampled_from([1, 59, 61]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000
        self.coordinator.apply_time(self.now)

    def _one(self, data: st.DataObject) -> list[Client]:
        return [data.draw(st.sampled_from(self.clients))] if self.clients else []

    @invariant()
    def nothing_that_was_acknowledged_is_lost(self) -> None:
        for log, acknowledged in zip(self.logs, self.acknowledged, strict=True):
            assert [(each.offset, each.value) for each in log.records()] == acknowledged
            offsets = [offset for each in log.offsets() for offset in each]
            assert offsets == [offset for offset, _ in acknowledged]

    @invariant()
    def the_last_stable_offset_is_the_first_undecided_one_and_never_goes_back(self) -> None:
        for at, log in enumerate(self.logs):
            assert log.last_stable_offset == min(self.undecided[at], default=log.end_offset)
            assert self.last_stable[at] <= log.last_stable_offset <= log.end_offset
            self.last_stable[at] = log.last_stable_offset

    @invariant()
    def a_committed_reader_sees_exactly_what_was_committed_in_order(self) -> None:
        for at, log in enumerate(self.logs):
            for size in (1, 1 << 20):
                seen = list(read_committed(log, size))
                stable = {each: value for each, value in self.committed[at].items() if each < log.last_stable_offset}
                assert [(each.offset, each.value) for each in seen] == sorted(stable.items())


def read_committed(log: PartitionLog, max_bytes: int) -> list[RecordInBatch]:
    """What a consumer makes of what it fetches, in the way that Kafka's own client does it."""
    seen: list[RecordInBatch] = []
    at = log.start_offset
    while True:
        batches, _ = log.read(at, max_bytes, at_least_one=True, committed=True)
        if not batches:
            return seen
        aborted = sorted(log.aborted(at, batches), key=lambda each: each.first_offset)
        dropped: set[int] = set()
        for raw in batches:
            header = BatchHeader.read(raw)
            last = header.base_offset + header.last_offset_delta
            while aborted and aborted[0].first_offset <= last:
                dropped.add(aborted.pop(0).producer_id)
            if header.control:
                (marker,) = records_of(raw)
                if marker.key == b"\0\0\0\0":
                    dropped.discard(header.producer_id)
            elif not (header.transactional and header.producer_id in dropped):
                seen += [each for each in records_of(raw) if each.offset >= at]
            at = last + 1


Transactions.TestCase.settings = settings(deadline=None, stateful_step_count=30)
TestTransactions = Transactions.TestCase
