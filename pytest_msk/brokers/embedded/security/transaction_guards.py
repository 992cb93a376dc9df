"""What a request may ask of transactions and idempotent producers."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ErrorCode
from ..wire import Struct
from .access import CLUSTER_NAME, Authorizer, Operation
from .refusals import CLUSTER, CODES, TOPIC, TRANSACTION, Guard, GuardedCall, add, refused_topic, show_only, split

__all__ = [
    "add_partitions",
    "describe_transactions",
    "in_transaction",
    "init_producer_id",
    "list_transactions",
    "write_markers",
]


def init_producer_id(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
    """InitProducerId, of a transaction or of an idempotent producer."""
    transaction = request["transactional_id"]
    if transaction is not None:
        kind, allowed = TRANSACTION, may.allows(Operation.WRITE, TRANSACTION, transaction)
    else:
        # Who may write anything may do so idempotently (KIP-679).
        kind = CLUSTER
        allowed = may.allows(Operation.IDEMPOTENT_WRITE, CLUSTER, CLUSTER_NAME) or may.allows_some(
            Operation.WRITE, TOPIC
        )
    if allowed:
        return request
    call.answer({"error_code": CODES[kind]})
    return None


def in_transaction(then: Callable[[], Guard] | None = None, *, per_partition: bool = False) -> Guard:
    """A request about one transaction; `then` gives what is asked next."""
    following = None if then is None else then()

    def guard(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
        code = CODES[TRANSACTION]
        if may.allows(Operation.WRITE, TRANSACTION, request["transactional_id"]):
            return request if following is None else following(may, call, request)
        if per_partition:
            call.answer({"topics": [refused_topic(topic, code, {}) for topic in request["topics"]]})
        else:
            call.answer({"error_code": code})
        return None

    return guard


def add_partitions(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
    """AddPartitionsToTxn."""
    topics = request["topics"]
    if not may.allows(Operation.WRITE, TRANSACTION, request["transactional_id"]):
        call.answer({"topics": [refused_topic(topic, CODES[TRANSACTION], {}) for topic in topics]})
        return None
    allowed, denied = split(topics, lambda topic: may.allows(Operation.WRITE, TOPIC, topic["name"]))
    if not denied:
        return request
    # All of them or none: those that would have been let through are not tried.
    answers = [refused_topic(topic, CODES[TOPIC], {}) for topic in denied]
    answers += [refused_topic(topic, ErrorCode.OPERATION_NOT_ATTEMPTED, {}) for topic in allowed]
    call.answer({"topics": answers})
    return None


def describe_transactions(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """DescribeTransactions, with the topics that may be seen."""
    ids = request["transactional_ids"]
    denied = [each for each in ids if not may.allows(Operation.DESCRIBE, TRANSACTION, each)]

    def amend(answer: Struct) -> Struct:
        for transaction in answer["transactions"]:
            topics = transaction.get("topics", ())
            transaction["topics"] = [each for each in topics if may.allows(Operation.DESCRIBE, TOPIC, each["name"])]
        return answer

    call.amend(amend)
    add(call, "transactions", [{"error_code": CODES[TRANSACTION], "transactional_id": each} for each in denied])
    return {**request, "transactional_ids": [each for each in ids if each not in denied]}


def list_transactions(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """ListTransactions: those that may be seen."""
    show_only(call, "transactions", lambda each: may.allows(Operation.DESCRIBE, TRANSACTION, each["transactional_id"]))
    return request


def write_markers(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
    # Brokers write them, and administrators that end a hanging transaction.
    """WriteTxnMarkers."""
    if any(may.allows(each, CLUSTER, CLUSTER_NAME) for each in (Operation.ALTER, Operation.CLUSTER_ACTION)):
        return request
    call.answer(
        {
            "markers": [
                {
                    "producer_id": marker["producer_id"],
                    "topics": [refused_topic(topic, CODES[CLUSTER], {}) for topic in marker["topics"]],
                }
                for marker in request["markers"]
            ]
        }
    )
    return None
