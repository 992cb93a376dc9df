"""MSK's listeners on Apache Kafka's image: their settings, their users, and the ACLs that a test leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..clock import Deadline
from ._docker_container import LISTENER_PORTS
from .admin import Admin, Refused
from .certificates import Certificate, CertificateAuthority
from .security import Security

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._acl import AclBinding

__all__ = ["LISTENER_SETTINGS", "ScramUsers", "kept_acls", "secret_settings"]

_LISTENERS: Mapping[str, int] = {
    **{str(name): port for name, port in LISTENER_PORTS.items()},
    "CONTROLLER": 9093,
    "BROKER": 9095,
}
_LOCAL = ("CONTROLLER", "BROKER")
_PROTOCOLS = {
    "CONTROLLER": "PLAINTEXT",
    "BROKER": "PLAINTEXT",
    "PLAINTEXT": "PLAINTEXT",
    "TLS": "SSL",
    # Names with "SSL" in them would make the image look for Java's own keystores.
    "SCRAM": "SASL_SSL",
    "SASL": "SASL_SSL",
}
_MODULES = "org.apache.kafka.common.security"

#: What Kafka is told about its listeners, but for the secrets.
LISTENER_SETTINGS: Mapping[str, str] = {
    "listeners": ",".join(
        f"{name}://{'localhost' if name in _LOCAL else ''}:{port}" for name, port in _LISTENERS.items()
    ),
    "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in _PROTOCOLS.items()),
    "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
    "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
    "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
    "ssl.client.auth": "requested",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    # The plaintext listener is the kit's own door, and the broker's to itself, whatever ACLs a test makes.
    "super.users": "User:ANONYMOUS",
}


def secret_settings(security: Security, authority: CertificateAuthority, server: Certificate) -> dict[str, str]:
    """The certificates, and the users of SASL/PLAIN: what they are is fixed when Kafka starts."""
    trusted = "".join(Path(path).read_text("ascii") for path in (authority.path, *security.client_cas))
    users = "".join(f" user_{name}={_quoted(password)}" for name, password in security.users.items())
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": _one_line(server.path.read_text("ascii")),
        "ssl.keystore.key": _one_line(server.key_path.read_text("ascii")),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": _one_line(trusted),
        "listener.name.sasl.plain.sasl.jaas.config": f"{_MODULES}.plain.PlainLoginModule required{users};",
    }


def _one_line(pem: str) -> str:
    """A PEM text as a value in a properties file, to which the image writes its variables as they are."""
    return pem.replace("\n", "\\n")


def _quoted(text: str) -> str:
    """A text in a JAAS configuration, which stands in a properties file."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + inner.replace("\\", "\\\\") + '"'


class ScramUsers:
    """The SCRAM users of a cluster: those of `Security` when they are first needed, and those that a test sets.

    Args:
        security: the users whose passwords are known.
        admin: asks the cluster.
    """

    def __init__(self, security: Security, admin: Admin) -> None:
        self._known = dict(security.users)
        self._admin = admin
        self._made: dict[str, str] = {}

    def create(self, user: str) -> None:
        """See to it that a user of `Security` can log in."""
        if user in self._known and user not in self._made:
            self.set_password(user, self._known[user])

    def set_password(self, user: str, password: str) -> None:
        """Let a user log in with this password; returns when the broker knows it."""
        from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

        asked = f"Setting the password of user {user!r}"
        deadline = Deadline(self._admin.timeout)
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            info = ScramCredentialInfo(mechanism, 4096)
            self._alter(asked, deadline, user, UserScramCredentialUpsertion(user, info, password.encode()))
        self._made[user] = password
        # The controller has it; the broker hears of it a moment later.
        while self._admin.refusal(lambda: self._describe(asked, deadline, user)) is not None:
            self._admin.pause(f"{asked}: it is not known yet", deadline)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Have, after the block, the users from before it."""
        before = dict(self._made)
        try:
            yield
        finally:
            for user, password in tuple(self._made.items()):
                if user in before:
                    if before[user] != password:
                        self.set_password(user, before[user])
                elif self._known.get(user) != password:
                    self._delete(user)

    def _delete(self, user: str) -> None:
        from confluent_kafka.admin._scram import ScramMechanism, UserScramCredentialDeletion

        asked = f"Deleting user {user!r}"
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            self._alter(asked, Deadline(self._admin.timeout), user, UserScramCredentialDeletion(user, mechanism))
        del self._made[user]

    def _alter(self, asked: str, deadline: Deadline, user: str, change: Any) -> None:
        """One change in one request: Kafka refuses two of the same user, even of two mechanisms."""

        def alter(admin: AdminClient, seconds: float) -> Any:
            return admin.alter_user_scram_credentials([change], request_timeout=seconds)[user]

        self._admin.ask(asked, deadline, alter)

    def _describe(self, asked: str, deadline: Deadline, user: str) -> None:
        def describe(admin: AdminClient, seconds: float) -> Any:
            answers: Any = admin.describe_user_scram_credentials([user], request_timeout=seconds)
            return answers[user]

        self._admin.ask(asked, deadline, describe)


@contextmanager
def kept_acls(admin: Admin) -> Iterator[None]:
    """Have, after the block, the ACLs from before it; one look costs milliseconds."""
    before = set(_acls(admin))
    try:
        yield
    finally:
        after = set(_acls(admin))
        if made := after - before:
            _delete_acls(admin, made)
        if gone := before - after:
            _create_acls(admin, gone)


def _acls(admin: Admin) -> list[AclBinding]:
    from confluent_kafka.admin._acl import AclBindingFilter, AclOperation, AclPermissionType
    from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

    anything: Any = None
    everything = AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    try:
        return admin.ask(
            "Asking for the ACLs",
            Deadline(admin.timeout),
            lambda asked, seconds: asked.describe_acls(everything, request_timeout=seconds),
        )
    except Refused as refused:
        if refused.error.name() == "SECURITY_DISABLED":  # the caller's settings have no authorizer
            return []
        raise


def _delete_acls(admin: Admin, acls: set[AclBinding]) -> None:
    from confluent_kafka.admin._acl import AclBindingFilter

    filters = [
        AclBindingFilter(
            acl.restype,
            acl.name,
            acl.resource_pattern_type,
            acl.principal,
            acl.host,
            acl.operation,
            acl.permission_type,
        )
        for acl in acls
    ]
    admin.ask_leaders(
        "Deleting the ACLs of a test",
        Deadline(admin.timeout),
        lambda asked, seconds: asked.delete_acls(filters, request_timeout=seconds),
    )


def _create_acls(admin: Admin, acls: set[AclBinding]) -> None:
    admin.ask_leaders(
        "Bringing back the ACLs from before a test",
        Deadline(admin.timeout),
        lambda asked, seconds: asked.create_acls(list(acls), request_timeout=seconds),
    )
