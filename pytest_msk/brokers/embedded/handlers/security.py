"""SaslHandshake, SaslAuthenticate, and the administration of SCRAM users and ACLs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import TypeVar

from ..call import Call
from ..errors import ErrorCode, Refused
from ..messages.security import (
    ALTER_USER_SCRAM_CREDENTIALS,
    CREATE_ACLS,
    DELETE_ACLS,
    DESCRIBE_ACLS,
    DESCRIBE_USER_SCRAM_CREDENTIALS,
    SASL_AUTHENTICATE,
    SASL_HANDSHAKE,
)
from ..security.access import Operation, ResourceType
from ..security.acl import Acl, AclFilter, PatternType, Permission
from ..security.scram import ScramMechanism, from_salted
from ..security.session import Answer
from ..security.state import ClusterSecurity
from ..wire import Api, Struct

__all__ = ["handlers"]

_Number = TypeVar("_Number", ResourceType, PatternType, Operation, Permission)

# org.apache.kafka.clients.admin.ScramMechanism and the limits of KIP-554.
_MECHANISMS: dict[int, ScramMechanism] = {1: "SCRAM-SHA-256", 2: "SCRAM-SHA-512"}
_MIN_ITERATIONS, _MAX_ITERATIONS = 4096, 16384


def handlers(security: ClusterSecurity) -> Iterable[tuple[Api, Callable[[Call, Struct], Struct | None]]]:
    """The handlers of this module's APIs."""
    sasl, users, acls = _Sasl(security), _Users(security), _Acls(security)
    return (
        (SASL_HANDSHAKE, sasl.handshake),
        (SASL_AUTHENTICATE, sasl.authenticate),
        (DESCRIBE_USER_SCRAM_CREDENTIALS, users.describe),
        (ALTER_USER_SCRAM_CREDENTIALS, users.alter),
        (DESCRIBE_ACLS, acls.describe),
        (CREATE_ACLS, acls.create),
        (DELETE_ACLS, acls.delete),
    )


class _Sasl:
    def __init__(self, security: ClusterSecurity) -> None:
        self._security = security

    def handshake(self, call: Call, request: Struct) -> None:
        session = call.connection.session

        def refused(answer: Answer) -> Struct:
            known = answer.code is ErrorCode.UNSUPPORTED_SASL_MECHANISM
            return {"error_code": answer.code, "mechanisms": session.mechanisms if known else []}

        self._answer(
            call,
            lambda: {"error_code": ErrorCode.NONE, "mechanisms": session.handshake(call.version, request["mechanism"])},
            refused,
        )

    def authenticate(self, call: Call, request: Struct) -> None:
        def authenticated() -> Struct:
            message, lifetime_ms = call.connection.session.authenticate(request["auth_bytes"])
            return {
                "error_code": ErrorCode.NONE,
                "error_message": "",
                "auth_bytes": message,
                "session_lifetime_ms": lifetime_ms,
            }

        self._answer(
            call,
            authenticated,
            lambda answer: {"error_code": answer.code, "error_message": answer.message, "auth_bytes": b""},
        )

    def _answer(self, call: Call, ask: Callable[[], Struct], refused: Callable[[Answer], Struct]) -> None:
        try:
            call.answer(ask())
        except Answer as answer:
            if answer.ends:
                call.take_no_more(self._security.failure_delay_ms)
            call.answer(refused(answer))


class _Users:
    def __init__(self, security: ClusterSecurity) -> None:
        self._security = security

    def describe(self, _call: Call, request: Struct) -> Struct:
        if not request["users"]:
            found = (self._described(user, 1) for user in sorted(self._security.users()))
            return {"error_code": ErrorCode.NONE, "results": [each for each in found if each["credential_infos"]]}
        times = Counter(user["name"] for user in request["users"])
        return {"error_code": ErrorCode.NONE, "results": [self._described(user, times[user]) for user in times]}

    def _described(self, user: str, times: int) -> Struct:
        refusal: tuple[ErrorCode, str] | None = None
        infos = []
        if times > 1:
            refusal = (
                ErrorCode.DUPLICATE_RESOURCE,
                f"Cannot describe SCRAM credentials for the same user twice in a single request: {user}",
            )
        else:
            for number, mechanism in _MECHANISMS.items():
                credential = self._security.credential(user, mechanism)
                if credential is not None:
                    infos.append({"mechanism": number, "iterations": credential.iterations})
            if not infos:
                text = f"Attempt to describe a user credential that does not exist: {user}"
                refusal = ErrorCode.RESOURCE_NOT_FOUND, text
        code, message = refusal or (ErrorCode.NONE, None)
        return {"user": user, "error_code": code, "error_message": message, "credential_infos": infos}

    def alter(self, _call: Call, request: Struct) -> Struct:
        changes = [*request["deletions"], *request["upsertions"]]
        times = Counter(change["name"] for change in changes)
        results = []
        for user in dict.fromkeys(change["name"] for change in changes):
            answer: Struct = {"user": user, "error_code": ErrorCode.NONE}
            try:
                self._alter(
                    [each for each in request["deletions"] if each["name"] == user],
                    [each for each in request["upsertions"] if each["name"] == user],
                    twice=times[user] > 1,
                )
            except Refused as refused:
                answer.update(error_code=refused.code, error_message=refused.message)
            results.append(answer)
        return {"results": results}

    def _alter(self, deletions: list[Struct], upsertions: list[Struct], *, twice: bool) -> None:
        """Change one user, or nothing of it.

        Raises:
            Refused: with Kafka's code and text.
        """
        if twice:
            raise Refused(
                ErrorCode.DUPLICATE_RESOURCE,
                "A user credential cannot be altered twice in the same request",
            )
        for change in (*deletions, *upsertions):
            if not change["name"]:
                raise Refused(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Username must not be empty")
            if change["mechanism"] not in _MECHANISMS:
                raise Refused(ErrorCode.UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism")
        for change in upsertions:
            if change["iterations"] > _MAX_ITERATIONS:
                raise Refused(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too many iterations")
            if change["iterations"] < _MIN_ITERATIONS:
                raise Refused(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too few iterations")
        for change in deletions:
            if self._security.credential(change["name"], _MECHANISMS[change["mechanism"]]) is None:
                raise Refused(ErrorCode.RESOURCE_NOT_FOUND, "Attempt to delete a user credential that does not exist")
        for change in deletions:
            self._security.delete_credential(change["name"], _MECHANISMS[change["mechanism"]])
        for change in upsertions:
            mechanism = _MECHANISMS[change["mechanism"]]
            credential = from_salted(
                mechanism, change["salted_password"], salt=change["salt"], iterations=change["iterations"]
            )
            self._security.set_credential(change["name"], mechanism, credential)


class _Acls:
    def __init__(self, security: ClusterSecurity) -> None:
        self._acls = security.acls

    def describe(self, _call: Call, request: Struct) -> Struct:
        try:
            found = self._acls.find(_filter(request))
        except Refused as refused:
            return {"error_code": refused.code, "error_message": refused.message, "resources": []}

        def pattern(acl: Acl) -> tuple[int, str, int]:
            return acl.resource_type, acl.resource_name, acl.pattern_type

        return {
            "error_code": ErrorCode.NONE,
            "resources": [
                {
                    "resource_type": kind,
                    "resource_name": name,
                    "pattern_type": pattern_type,
                    "acls": [_entry(acl) for acl in acls],
                }
                for (kind, name, pattern_type), acls in groupby(sorted(found, key=pattern), pattern)
            ],
        }

    def create(self, _call: Call, request: Struct) -> Struct:
        answers = []
        for asked in request["creations"]:
            answer: Struct = {"error_code": ErrorCode.NONE}
            try:
                acl = Acl(**_pattern(asked))
                acl.check()
                self._acls.add(acl)
            except Refused as refused:
                answer.update(error_code=refused.code, error_message=refused.message)
            answers.append(answer)
        return {"results": answers}

    def delete(self, _call: Call, request: Struct) -> Struct:
        answers = []
        for asked in request["filters"]:
            answer: Struct = {"error_code": ErrorCode.NONE, "matching_acls": []}
            try:
                found = self._acls.find(_filter(asked))
                self._acls.remove(found)
                answer["matching_acls"] = [
                    {
                        "error_code": ErrorCode.NONE,
                        "resource_type": acl.resource_type,
                        "resource_name": acl.resource_name,
                        "pattern_type": acl.pattern_type,
                        **_entry(acl),
                    }
                    for acl in found
                ]
            except Refused as refused:
                answer.update(error_code=refused.code, error_message=refused.message)
            answers.append(answer)
        return {"results": answers}


def _entry(acl: Acl) -> Struct:
    return {
        "principal": acl.principal,
        "host": acl.host,
        "operation": acl.operation,
        "permission_type": acl.permission,
    }


def _filter(asked: Struct) -> AclFilter:
    found = AclFilter(**_pattern(asked))
    found.check()
    return found


def _pattern(asked: Struct) -> Struct:
    return {
        "resource_type": _number(ResourceType, asked["resource_type"]),
        "resource_name": asked["resource_name"],
        "pattern_type": _number(PatternType, asked["pattern_type"]),
        "principal": asked["principal"],
        "host": asked["host"],
        "operation": _number(Operation, asked["operation"]),
        "permission": _number(Permission, asked["permission_type"]),
    }


def _number(kind: type[_Number], number: int) -> _Number:
    """What a number stands for; UNKNOWN for one that stands for nothing."""
    return kind(number) if number in [each.value for each in kind] else kind(0)
