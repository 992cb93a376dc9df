"""The transaction coordinator: who may write in which transaction, and how transactions end.

Pure: no I/O, no thread, and the time is handed in. A transactional id is in one of Kafka's states, and only the table
below leads from one to another. Kafka writes the markers of an ended transaction a little later (PrepareCommit,
PrepareAbort); here they are written by the same call, so that those two states are never seen.

    Empty ──▶ Ongoing ──▶ CompleteCommit, CompleteAbort ──▶ Ongoing (or Empty, by InitProducerId)

Source: KIP-98, KIP-360 (epochs), KIP-447 (offsets by group metadata), KIP-890 (verification); protocol of version 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from .errors import ErrorCode, Refused
from .offsets import TopicPartition

__all__ = [
    "DescribedTransaction",
    "EndedTransaction",
    "Producer",
    "TransactionConfig",
    "TransactionCoordinator",
    "TransactionState",
]

_LAST_EPOCH = 32_766  # one below the largest: the coordinator must be able to fence the last producer


class TransactionState(str, Enum):
    """The state of a transactional id, by the name that Kafka gives it in describe and list responses."""

    EMPTY = "Empty"
    ONGOING = "Ongoing"
    PREPARE_COMMIT = "PrepareCommit"
    PREPARE_ABORT = "PrepareAbort"
    COMPLETE_COMMIT = "CompleteCommit"
    COMPLETE_ABORT = "CompleteAbort"
    DEAD = "Dead"
    PREPARE_EPOCH_FENCE = "PrepareEpochFence"


_ENDED = (TransactionState.COMPLETE_COMMIT, TransactionState.COMPLETE_ABORT)
_NEXT_STATES: dict[TransactionState, frozenset[TransactionState]] = {
    TransactionState.EMPTY: frozenset({TransactionState.EMPTY, TransactionState.ONGOING}),
    TransactionState.ONGOING: frozenset({TransactionState.ONGOING, *_ENDED}),
    TransactionState.COMPLETE_COMMIT: frozenset({TransactionState.EMPTY, TransactionState.ONGOING}),
    TransactionState.COMPLETE_ABORT: frozenset({TransactionState.EMPTY, TransactionState.ONGOING}),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TransactionConfig:
    """The coordinator's settings, with Kafka's defaults, milliseconds.

    Args:
        max_timeout_ms: `transaction.max.timeout.ms`.
        id_expiration_ms: `transactional.id.expiration.ms`, how long an id without a transaction is remembered.
    """

    max_timeout_ms: int = 900_000
    id_expiration_ms: int = 604_800_000


@dataclass(frozen=True, slots=True)
class Producer:
    """A producer's id and epoch."""

    id: int
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedTransaction:
    """A transaction that ended: each partition gets a marker, and the offsets of each group are kept or dropped."""

    producer: Producer
    commit: bool
    partitions: tuple[TopicPartition, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribedTransaction:
    """A transactional id as DescribeTransactions shows it, and as a test looks at it.

    Args:
        started_ms: when its transaction began, epoch milliseconds; -1 if it has none.
        groups: whose offsets are in it.
    """

    transactional_id: str
    state: TransactionState
    producer: Producer
    timeout_ms: int
    started_ms: int
    partitions: frozenset[TopicPartition]
    groups: frozenset[str]


@dataclass(slots=True, kw_only=True)
class _Transaction:
    producer: Producer
    timeout_ms: int
    updated_ms: int
    state: TransactionState = TransactionState.EMPTY
    last_epoch: int = -1
    previous_id: int = -1
    started_ms: int = -1
    # In the order in which they were added, which is the order of the markers.
    partitions: dict[TopicPartition, None] = field(default_factory=dict)
    groups: dict[str, None] = field(default_factory=dict)

    def become(self, state: TransactionState, now_ms: int) -> None:
        if state not in _NEXT_STATES[self.state]:
            raise RuntimeError(f"A transaction is {self.state.value}, it can't become {state.value}.")
        self.state, self.updated_ms = state, now_ms

    @property
    def is_epoch_exhausted(self) -> bool:
        return self.producer.epoch >= _LAST_EPOCH


class TransactionCoordinator:
    """The coordinator of every transactional id of this cluster.

    Args:
        new_producer_id: gives out an id that no producer had.
        ended: writes the markers of a transaction and settles its groups' offsets; called once for each end.
    """

    def __init__(
        self,
        config: TransactionConfig,
        new_producer_id: Callable[[], int],
        ended: Callable[[EndedTransaction], None],
    ) -> None:
        self._config = config
        self._new_producer_id = new_producer_id
        self._ended = ended
        self._transactions: dict[str, _Transaction] = {}

    # -- the protocol ------------------------------------------------------------------------------------------

    def init_producer(
        self, transactional_id: str, timeout_ms: int, *, known: Producer | None = None, now_ms: int
    ) -> Producer:
        """InitProducerId: the id and epoch with which a producer begins; every older one of its id is fenced.

        Args:
            timeout_ms: how long a transaction may take, milliseconds.
            known: what the producer was until now, when it goes on after an error.
            now_ms: the broker's time, epoch milliseconds.

        Raises:
            Refused: INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT, PRODUCER_FENCED; CONCURRENT_TRANSACTIONS, an open
                transaction was aborted for it and the producer has to ask again.
        """
        if not transactional_id:
            raise Refused(ErrorCode.INVALID_REQUEST)
        if not 0 < timeout_ms <= self._config.max_timeout_ms:
            raise Refused(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
        transaction = self._transactions.get(transactional_id)
        if transaction is None:
            producer = Producer(self._new_producer_id(), 0)
            self._transactions[transactional_id] = _Transaction(
                producer=producer, timeout_ms=timeout_ms, updated_ms=now_ms
            )
            return producer
        current = transaction.producer
        if known is not None and not (
            known.id == current.id or (known.id == transaction.previous_id and known.epoch >= _LAST_EPOCH)
        ):
            raise Refused(ErrorCode.PRODUCER_FENCED)
        if transaction.state is TransactionState.ONGOING:
            self._abort(transaction, now_ms)
            raise Refused(ErrorCode.CONCURRENT_TRANSACTIONS)
        self._renew(transaction, known)
        transaction.become(TransactionState.EMPTY, now_ms)
        transaction.timeout_ms, transaction.started_ms = timeout_ms, -1
        return transaction.producer

    def _renew(self, transaction: _Transaction, known: Producer | None) -> None:
        """Give the next epoch, or a new id when the epochs of the old one are used up."""
        current = transaction.producer
        if transaction.is_epoch_exhausted and (known is None or known.epoch == current.epoch):
            transaction.producer, transaction.previous_id = Producer(self._new_producer_id(), 0), current.id
            transaction.last_epoch = -1 if known is None else current.epoch
        elif known is None or known.epoch == current.epoch:
            transaction.producer = Producer(current.id, current.epoch + 1)
            transaction.last_epoch = -1 if known is None else current.epoch
        elif known.epoch != transaction.last_epoch:  # else it asks again for what it was given
            raise Refused(ErrorCode.PRODUCER_FENCED)

    def add_partitions(
        self, transactional_id: str, producer: Producer, partitions: Iterable[TopicPartition], *, now_ms: int
    ) -> None:
        """AddPartitionsToTxn: the producer will write there; the first call begins its transaction.

        Raises:
            Refused: INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED.
        """
        transaction = self._of(transactional_id, producer)
        self._begin(transaction, now_ms)
        transaction.partitions.update(dict.fromkeys(partitions))

    def add_offsets(self, transactional_id: str, producer: Producer, group_id: str, *, now_ms: int) -> None:
        """AddOffsetsToTxn: the producer will commit offsets of a group; raises as `add_partitions` does."""
        transaction = self._of(transactional_id, producer)
        self._begin(transaction, now_ms)
        transaction.groups[group_id] = None

    @staticmethod
    def _begin(transaction: _Transaction, now_ms: int) -> None:
        if transaction.state is not TransactionState.ONGOING:
            transaction.started_ms = now_ms
        transaction.become(TransactionState.ONGOING, now_ms)

    def check_partition(self, transactional_id: str, producer: Producer, partition: TopicPartition) -> None:
        """Whether a producer may write to a partition: it was added to its transaction.

        Raises:
            Refused: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED; TRANSACTION_ABORTABLE, it was not added.
        """
        if partition not in self._of(transactional_id, producer).partitions:
            raise Refused(ErrorCode.TRANSACTION_ABORTABLE)

    def check_group(self, transactional_id: str, producer: Producer, group_id: str) -> None:
        """Whether a producer may commit offsets of a group; raises as `check_partition` does."""
        if group_id not in self._of(transactional_id, producer).groups:
            raise Refused(ErrorCode.TRANSACTION_ABORTABLE)

    def end(self, transactional_id: str, producer: Producer, *, commit: bool, now_ms: int) -> None:
        """EndTxn: commit or abort; the same end asked for again is no error.

        Raises:
            Refused: as `add_partitions`; INVALID_TXN_STATE, there is no transaction, or it ended the other way.
        """
        transaction = self._of(transactional_id, producer)
        if transaction.state is not TransactionState.ONGOING:
            if transaction.state is (TransactionState.COMPLETE_COMMIT if commit else TransactionState.COMPLETE_ABORT):
                return
            raise Refused(ErrorCode.INVALID_TXN_STATE)
        self._end(transaction, commit=commit, now_ms=now_ms)

    # -- time --------------------------------------------------------------------------------------------------

    def apply_time(self, now_ms: int) -> None:
        """Abort the transactions that took too long, and forget the ids that were not used for long."""
        for transactional_id, transaction in tuple(self._transactions.items()):
            if transaction.state is TransactionState.ONGOING:
                if now_ms - transaction.started_ms > transaction.timeout_ms:
                    self._abort(transaction, now_ms)
            elif now_ms - transaction.updated_ms >= self._config.id_expiration_ms:
                del self._transactions[transactional_id]

    # -- administration ----------------------------------------------------------------------------------------

    def describe(self, transactional_id: str) -> DescribedTransaction:
        """DescribeTransactions, for one id.

        Raises:
            Refused: INVALID_REQUEST, an empty id; TRANSACTIONAL_ID_NOT_FOUND.
        """
        if not transactional_id:
            raise Refused(ErrorCode.INVALID_REQUEST)
        transaction = self._transactions.get(transactional_id)
        if transaction is None:
            raise Refused(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
        return DescribedTransaction(
            transactional_id=transactional_id,
            state=transaction.state,
            producer=transaction.producer,
            timeout_ms=transaction.timeout_ms,
            started_ms=transaction.started_ms,
            partitions=frozenset(transaction.partitions),
            groups=frozenset(transaction.groups),
        )

    def transactions(self) -> tuple[DescribedTransaction, ...]:
        """Every transactional id, in the order in which they came."""
        return tuple(self.describe(each) for each in self._transactions)

    def forget_topic(self, topic: str) -> None:
        """A topic was deleted: no marker goes there."""
        for transaction in self._transactions.values():
            transaction.partitions = {each: None for each in transaction.partitions if each[0] != topic}

    # -- inside ------------------------------------------------------------------------------------------------

    def _of(self, transactional_id: str, producer: Producer) -> _Transaction:
        if not transactional_id:
            raise Refused(ErrorCode.INVALID_REQUEST)
        transaction = self._transactions.get(transactional_id)
        if transaction is None or transaction.producer.id != producer.id:
            raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
        if transaction.producer.epoch != producer.epoch:
            raise Refused(ErrorCode.PRODUCER_FENCED)
        return transaction

    def _abort(self, transaction: _Transaction, now_ms: int) -> None:
        """Abort what a producer left open; it is fenced by an epoch that nobody is given."""
        transaction.producer = Producer(transaction.producer.id, transaction.producer.epoch + 1)
        transaction.last_epoch = -1
        self._end(transaction, commit=False, now_ms=now_ms)

    def _end(self, transaction: _Transaction, *, commit: bool, now_ms: int) -> None:
        ended = EndedTransaction(
            producer=transaction.producer,
            commit=commit,
            partitions=tuple(transaction.partitions),
            groups=tuple(transaction.groups),
        )
        transaction.become(TransactionState.COMPLETE_COMMIT if commit else TransactionState.COMPLETE_ABORT, now_ms)
        transaction.partitions, transaction.groups = {}, {}
        self._ended(ended)
