"""How a guard refuses: what is not allowed is taken out of a request, and its error put into the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from ..errors import ErrorCode
from ..wire import Struct
from .access import SUPPORTED_OPERATIONS, Authorizer, Operation, ResourceType

__all__ = [
    "CLUSTER",
    "CODES",
    "GROUP",
    "NO_ID",
    "TEXTS",
    "TOPIC",
    "TRANSACTION",
    "Guard",
    "GuardedCall",
    "add",
    "narrow",
    "refused_topic",
    "show_only",
    "split",
]

TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
CLUSTER, TRANSACTION = ResourceType.CLUSTER, ResourceType.TRANSACTIONAL_ID
NO_ID = bytes(16)
_NOT_ASKED = -(1 << 31)
CODES = {
    TOPIC: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    GROUP: ErrorCode.GROUP_AUTHORIZATION_FAILED,
    CLUSTER: ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
    TRANSACTION: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
TEXTS = {
    TOPIC: "Topic authorization failed.",
    GROUP: "Group authorization failed.",
    CLUSTER: "Cluster authorization failed.",
    TRANSACTION: "Transactional Id authorization failed.",
}


class GuardedCall(Protocol):
    """What a guard needs of a request."""

    version: int

    def answer(self, body: Struct) -> None:
        """Answer it."""

    def amend(self, change: Callable[[Struct], Struct]) -> None:
        """Change the answer before it is sent."""

    def close_unanswered(self) -> None:
        """Close the connection when the request wants no answer."""


Guard: TypeAlias = Callable[[Authorizer, GuardedCall, Struct], "Struct | None"]


def split(items: Iterable[Struct], allowed: Callable[[Struct], bool]) -> tuple[list[Struct], list[Struct]]:
    """What is allowed, and what is not."""
    kept: list[Struct] = []
    denied: list[Struct] = []
    for item in items:
        (kept if allowed(item) else denied).append(item)
    return kept, denied


def refused_topic(topic: Struct, code: ErrorCode, fields: Struct) -> Struct:
    """A topic in an answer, each partition of which has that error."""
    indices = [each["index"] if isinstance(each, dict) else each for each in topic["partitions"]]
    return {"name": topic["name"], "partitions": [{"index": at, "error_code": code, **fields} for at in indices]}


def add(call: GuardedCall, name: str, refused: list[Struct]) -> None:
    """Let the answer have these beside what the handler puts there."""
    if refused:
        call.amend(lambda answer: {**answer, name: [*answer[name], *refused]})


def show_only(call: GuardedCall, name: str, visible: Callable[[Struct], bool]) -> None:
    """Let the answer have only what may be seen."""
    call.amend(lambda answer: {**answer, name: [each for each in answer[name] if visible(each)]})


def narrow(may: Authorizer, answer: Struct, field: str, kind: ResourceType, name: str) -> None:
    """Let a set of allowed operations, where one was asked for, be what is allowed."""
    if answer.get(field, _NOT_ASKED) == _NOT_ASKED:
        return
    if kind is CLUSTER and not may.allows(Operation.DESCRIBE, kind, name):
        answer[field] = 0
    else:
        answer[field] = sum(1 << each for each in SUPPORTED_OPERATIONS[kind] if may.allows(each, kind, name))
