"""Access control lists, judged as Kafka's StandardAuthorizer does.

A DENY that fits wins over every ALLOW; a resource that no ACL is about is everybody's when
`allow.everyone.if.no.acl.found` is true, MSK's default. READ, WRITE, DELETE and ALTER bring DESCRIBE along, and
ALTER_CONFIGS brings DESCRIBE_CONFIGS; only when allowed, not when denied.

Source: org.apache.kafka.metadata.authorizer.StandardAuthorizerData and org.apache.kafka.server.authorizer.Authorizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from ..errors import ErrorCode, Refused
from .access import CLUSTER_NAME, Operation, ResourceType

__all__ = ["Acl", "AclAuthorizer", "AclFilter", "Acls", "PatternType", "Permission"]

_ANYTHING = "*"
# What an allowed operation brings along.
_DESCRIBING = frozenset({Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER})
_IMPLIED_BY = {Operation.DESCRIBE: _DESCRIBING, Operation.DESCRIBE_CONFIGS: frozenset({Operation.ALTER_CONFIGS})}
#: Any name will do: what Kafka asks when it wants to know whether there is anything to be done at all.
_ANY_NAME = "hardcode"


class PatternType(IntEnum):
    """How a resource's name is meant."""

    UNKNOWN = 0
    ANY = 1
    MATCH = 2
    LITERAL = 3
    PREFIXED = 4


class Permission(IntEnum):
    """Whether an ACL gives or takes."""

    UNKNOWN = 0
    ANY = 1
    DENY = 2
    ALLOW = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Acl:
    """One access control entry on one resource pattern.

    Args:
        principal: `User:name`, or `User:*` for everybody.
        host: the client's address, or `*`.
    """

    resource_type: ResourceType
    resource_name: str
    pattern_type: PatternType
    principal: str
    host: str
    operation: Operation
    permission: Permission

    def is_about(self, kind: ResourceType, name: str) -> bool:
        """Whether the resource fits the pattern."""
        if self.resource_type is not kind:
            return False
        if self.pattern_type is PatternType.PREFIXED:
            return name.startswith(self.resource_name)
        return self.resource_name in (name, _ANYTHING)

    def is_for(self, principal: str, host: str) -> bool:
        """Whether it is about this client."""
        return self.principal in (principal, "User:*") and self.host in (host, _ANYTHING)

    def covers(self, operation: Operation) -> bool:
        """Whether it gives, or takes, the operation."""
        if self.operation in (operation, Operation.ALL):
            return True
        return self.permission is Permission.ALLOW and self.operation in _IMPLIED_BY.get(operation, ())

    def check(self) -> None:
        """Apply Kafka's rules for an ACL that is created.

        Raises:
            Refused: INVALID_REQUEST with a text.
        """
        for what, value, good in (
            ("resourceType", self.resource_type, self.resource_type > ResourceType.ANY),
            ("patternType", self.pattern_type, self.pattern_type > PatternType.MATCH),
            ("operation", self.operation, self.operation > Operation.ANY),
            ("permissionType", self.permission, self.permission > Permission.ANY),
        ):
            if not good:
                raise Refused(ErrorCode.INVALID_REQUEST, f"Invalid {what} {value.name}")
        if self.resource_type is ResourceType.CLUSTER and self.resource_name != CLUSTER_NAME:
            raise Refused(ErrorCode.INVALID_REQUEST, f"The only valid name for the CLUSTER resource is {CLUSTER_NAME}")
        if not self.resource_name:
            raise Refused(ErrorCode.INVALID_REQUEST, "Invalid empty resource name")
        if ":" not in self.principal:
            raise Refused(
                ErrorCode.INVALID_REQUEST,
                f"Could not parse principal from `{self.principal}` (no colon is present separating the principal type "
                "from the principal name)",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class AclFilter:
    """Which ACLs are meant; None and ANY mean all of them."""

    resource_type: ResourceType
    resource_name: str | None
    pattern_type: PatternType
    principal: str | None
    host: str | None
    operation: Operation
    permission: Permission

    def check(self) -> None:
        """Refuse what no ACL can have.

        Raises:
            Refused: INVALID_REQUEST with Kafka's text.
        """
        if PatternType.UNKNOWN is self.pattern_type or 0 in (self.resource_type, self.operation, self.permission):
            raise Refused(ErrorCode.INVALID_REQUEST, f"The AclBindingFilter must not contain UNKNOWN elements: {self}")

    def fits(self, acl: Acl) -> bool:
        """Whether the ACL is meant."""
        return (
            self.resource_type in (ResourceType.ANY, acl.resource_type)
            and self.principal in (None, acl.principal)
            and self.host in (None, acl.host)
            and self.operation in (Operation.ANY, acl.operation)
            and self.permission in (Permission.ANY, acl.permission)
            and self._fits_pattern(acl)
        )

    def _fits_pattern(self, acl: Acl) -> bool:
        if self.pattern_type not in (PatternType.ANY, PatternType.MATCH, acl.pattern_type):
            return False
        if self.resource_name is None:
            return True
        if self.pattern_type is PatternType.MATCH:
            return acl.is_about(acl.resource_type, self.resource_name)
        return acl.resource_name == self.resource_name


class Acls:
    """The cluster's ACLs, in the order in which they came.

    Args:
        allow_if_none: `allow.everyone.if.no.acl.found`.
    """

    def __init__(self, *, allow_if_none: bool) -> None:
        self.allow_if_none = allow_if_none
        self._acls: dict[Acl, None] = {}

    def __iter__(self) -> Iterator[Acl]:
        return iter(tuple(self._acls))

    def __len__(self) -> int:
        return len(self._acls)

    def add(self, acl: Acl) -> None:
        """Add an ACL; one that is there is no error."""
        self._acls[acl] = None

    def replace(self, acls: Iterable[Acl]) -> None:
        """Let these be all."""
        self._acls = dict.fromkeys(acls)

    def find(self, wanted: AclFilter) -> list[Acl]:
        """Those that a filter means."""
        return [acl for acl in self._acls if wanted.fits(acl)]

    def remove(self, acls: Iterable[Acl]) -> None:
        """Remove these."""
        for acl in acls:
            self._acls.pop(acl, None)


class AclAuthorizer:
    """What the ACLs let one client do.

    Args:
        acls: the cluster's, whatever they are when something is asked.
        principal: `User:name`.
        host: the client's address.
    """

    def __init__(self, acls: Acls, *, principal: str, host: str) -> None:
        self._acls = acls
        self._principal = principal
        self._host = host

    @property
    def allows_everything(self) -> bool:
        """Whether there is no ACL at all, and that lets everything through."""
        return not len(self._acls) and self._acls.allow_if_none

    def allows(self, operation: Operation, kind: ResourceType, name: str) -> bool:
        """Whether the client may do that to the resource."""
        found, allowed = False, False
        for acl in self._acls:
            if acl.is_about(kind, name):
                found = True
                if acl.is_for(self._principal, self._host) and acl.covers(operation):
                    if acl.permission is Permission.DENY:
                        return False
                    allowed = True
        return allowed or (not found and self._acls.allow_if_none)

    def allows_some(self, operation: Operation, kind: ResourceType) -> bool:
        """Whether there may be any resource of that type to which the client may do that."""
        mine = [
            acl
            for acl in self._acls
            if acl.resource_type is kind and acl.is_for(self._principal, self._host) and acl.covers(operation)
        ]
        denied = [acl for acl in mine if acl.permission is Permission.DENY]
        if any(acl.pattern_type is PatternType.LITERAL and acl.resource_name == _ANYTHING for acl in denied):
            return False
        if self.allows(operation, kind, _ANY_NAME):
            return True
        return any(acl.permission is Permission.ALLOW and not _is_denied(acl, denied) for acl in mine)


def _is_denied(allowed: Acl, denied: list[Acl]) -> bool:
    """Whether everything that an ALLOW is about is taken away by a DENY."""
    if allowed.pattern_type is PatternType.LITERAL and allowed.resource_name == _ANYTHING:
        return False
    for deny in denied:
        if deny.pattern_type is PatternType.PREFIXED and allowed.resource_name.startswith(deny.resource_name):
            return True
        both_literal = allowed.pattern_type is PatternType.LITERAL is deny.pattern_type
        if both_literal and allowed.resource_name == deny.resource_name:
            return True
    return False
