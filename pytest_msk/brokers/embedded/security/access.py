"""What can be done to what, by Kafka's own names and numbers, and what an authorizer answers.

Source: org.apache.kafka.common.acl.AclOperation and org.apache.kafka.common.resource.ResourceType.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

__all__ = ["ANONYMOUS", "CLUSTER_NAME", "SUPPORTED_OPERATIONS", "Authorizer", "Everything", "Operation", "ResourceType"]

#: The principal of a client that has not shown who it is.
ANONYMOUS = "User:ANONYMOUS"
#: The one resource of type CLUSTER.
CLUSTER_NAME = "kafka-cluster"


class Operation(IntEnum):
    """What is done to a resource."""

    UNKNOWN = 0
    ANY = 1
    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


class ResourceType(IntEnum):
    """What something is done to."""

    UNKNOWN = 0
    ANY = 1
    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


#: What can be asked about a resource of each type (AclEntry.supportedOperations).
SUPPORTED_OPERATIONS = {
    ResourceType.TOPIC: frozenset(Operation(n) for n in (3, 4, 5, 6, 7, 8, 10, 11)),
    ResourceType.GROUP: frozenset(Operation(n) for n in (3, 6, 8, 10, 11)),
    ResourceType.CLUSTER: frozenset(Operation(n) for n in (5, 7, 8, 9, 10, 11, 12)),
    ResourceType.TRANSACTIONAL_ID: frozenset(Operation(n) for n in (4, 8, 15)),
    ResourceType.DELEGATION_TOKEN: frozenset({Operation.DESCRIBE}),
    ResourceType.USER: frozenset({Operation.CREATE_TOKENS, Operation.DESCRIBE_TOKENS}),
}


class Authorizer(Protocol):
    """Says what one principal may do."""

    @property
    def allows_everything(self) -> bool:
        """Whether there is nothing to ask at this moment."""

    def allows(self, operation: Operation, kind: ResourceType, name: str) -> bool:
        """Whether it may do that to the resource."""

    def allows_some(self, operation: Operation, kind: ResourceType) -> bool:
        """Whether there may be any resource of that type to which it may do that."""


class Everything:
    """Lets everything be done: a super user's authorizer."""

    allows_everything = True

    def allows(self, operation: Operation, kind: ResourceType, name: str) -> bool:  # noqa: ARG002 - of the protocol
        """Yes."""
        return True

    def allows_some(self, operation: Operation, kind: ResourceType) -> bool:  # noqa: ARG002 - of the protocol
        """Yes."""
        return True
