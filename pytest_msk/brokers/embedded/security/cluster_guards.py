"""What a request may ask of the cluster as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..wire import Struct
from .access import CLUSTER_NAME, Authorizer, Operation
from .refusals import CLUSTER, CODES, TEXTS, Guard, GuardedCall, narrow

__all__ = ["describe_cluster", "for_each", "on_cluster", "refused_users"]


def on_cluster(operation: Operation, refusal: Callable[[Struct], Struct]) -> Guard:
    """A request about the cluster as a whole."""

    def guard(may: Authorizer, call: GuardedCall, request: Struct) -> Struct | None:
        if may.allows(operation, CLUSTER, CLUSTER_NAME):
            return request
        call.answer({"error_code": CODES[CLUSTER], "error_message": TEXTS[CLUSTER], **refusal(request)})
        return None

    return guard


def for_each(asked: Iterable[Struct], **fields: object) -> Struct:
    """The refusal of a request whose answer has a result for each thing asked for."""
    refusal = {"error_code": CODES[CLUSTER], "error_message": TEXTS[CLUSTER], **fields}
    return {"results": [refusal for _ in asked]}


def refused_users(request: Struct) -> Struct:
    """The refusal of AlterUserScramCredentials."""
    users = dict.fromkeys(each["name"] for each in (*request["deletions"], *request["upsertions"]))
    code, text = CODES[CLUSTER], TEXTS[CLUSTER]
    return {"results": [{"user": user, "error_code": code, "error_message": text} for user in users]}


def describe_cluster(may: Authorizer, call: GuardedCall, request: Struct) -> Struct:
    """DescribeCluster is everybody's, but not all that it tells."""

    def amend(answer: Struct) -> Struct:
        narrow(may, answer, "cluster_authorized_operations", CLUSTER, CLUSTER_NAME)
        return answer

    call.amend(amend)
    return request
