"""What the nodes of a cluster share about security: users, ACLs, IAM keys, certificates, and how a session begins."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import partial

from ....clock import RealClock
from ...certificates import session_authority
from ...security import IamKey, ListenerName, Security
from ..settings import Settings
from .access import ANONYMOUS, Authorizer, Everything
from .acl import AclAuthorizer, Acls
from .iam import IamServer, verify_token
from .plain import PlainServer
from .policy import IamAuthorizer, Policy
from .principals import PrincipalRules
from .scram import ScramCredential, ScramMechanism, ScramServer, derive
from .session import SaslServer, Session
from .tls import TlsTransport, server_context

__all__ = ["ClusterSecurity"]

# What a broker on this machine is called by its clients.
_HOSTS = ("localhost", "127.0.0.1")


class ClusterSecurity:
    """Users, ACLs, IAM keys and certificates. Its methods are called with the loop's lock held.

    Args:
        security: who may connect.
        settings: the cluster's.

    Raises:
        BrokerError: a policy or a principal mapping rule cannot be read.
    """

    def __init__(self, security: Security, settings: Settings) -> None:
        self.security = security
        self.acls = Acls(allow_if_none=settings.flag("allow.everyone.if.no.acl.found"))
        self.failure_delay_ms = settings.int("connection.failed.authentication.delay.ms")
        self._super_users = frozenset(
            name.strip() for name in (settings.get("super.users") or "").split(";") if name.strip()
        )
        self._client_auth = settings.get("ssl.client.auth")
        self._rules = PrincipalRules(settings.get("ssl.principal.mapping.rules") or "DEFAULT")
        self._max_session_ms = settings.int("connections.max.reauth.ms")
        self._passwords = dict(security.users)
        #: By user and mechanism. Those of a password that is known are made when the user first comes: it takes time.
        self._credentials: dict[tuple[str, ScramMechanism], ScramCredential | None] = {}
        self._iam = {
            key.access_key_id: IamAuthorizer(
                None if key.policy is None else Policy(key.policy), cluster_arn=security.cluster_arn
            )
            for key in security.iam_keys
        }
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._clock = RealClock()

    # --- users --------------------------------------------------------------------------------------------------------

    def set_password(self, user: str, password: str) -> None:
        """Let a user log in with this password by SASL/PLAIN and both SCRAM mechanisms."""
        self.forget(user)
        self._passwords[user] = password

    def set_credential(self, user: str, mechanism: ScramMechanism, credential: ScramCredential) -> None:
        """Let a user log in by one SCRAM mechanism with what AlterUserScramCredentials has sent."""
        self._credentials[user, mechanism] = credential

    def delete_credential(self, user: str, mechanism: ScramMechanism) -> None:
        """Let a user log in by that mechanism no more."""
        self._credentials[user, mechanism] = None

    def credential(self, user: str, mechanism: ScramMechanism) -> ScramCredential | None:
        """What is known of a user for a mechanism; None if nothing is."""
        if (user, mechanism) not in self._credentials and user in self._passwords:
            self._credentials[user, mechanism] = derive(mechanism, self._passwords[user])
        return self._credentials.get((user, mechanism))

    def users(self) -> set[str]:
        """The names of all users, whichever mechanism they have."""
        return {*self._passwords, *(user for (user, _), found in self._credentials.items() if found is not None)}

    def forget(self, user: str) -> None:
        """Delete a user; one that is not there is no error."""
        self._passwords.pop(user, None)
        self._credentials = {key: found for key, found in self._credentials.items() if key[0] != user}

    def kept(self) -> Callable[[], None]:
        """What brings back the users and ACLs of this moment."""
        passwords, credentials, acls = dict(self._passwords), dict(self._credentials), tuple(self.acls)

        def restore() -> None:
            self._passwords, self._credentials = dict(passwords), dict(credentials)
            self.acls.replace(acls)

        return restore

    # --- connections --------------------------------------------------------------------------------------------------

    def session(self, listener: ListenerName, host: str, rejected: Callable[[str], None]) -> Session:
        """A new connection's session.

        Args:
            host: the client's address.
            rejected: told in a sentence of each authentication that fails.
        """
        return Session(
            mechanisms=self._mechanisms(listener),
            authorizer=lambda principal, server: self._authorizer(principal, host, server),
            now_ms=lambda: self._clock.now_ms(),
            max_session_ms=self._max_session_ms,
            rejected=rejected,
        )

    @property
    def trusts_plaintext(self) -> bool:
        """Whether a client of the plaintext listener is never asked what it may do."""
        return ANONYMOUS in self._super_users

    def transport(self, listener: ListenerName, session: Session) -> TlsTransport | None:
        """The TLS of a new connection; None on the plaintext listener."""
        if listener == "PLAINTEXT":
            return None

        def established(certificate: bytes | None) -> None:
            if certificate is not None and listener == "TLS":
                session.identify(f"User:{self._rules.name_of(certificate)}")

        return TlsTransport(self.context(listener), established)

    def context(self, listener: ListenerName) -> ssl.SSLContext:
        """What the TLS connections of a listener share; made once."""
        wants_certificates = listener == "TLS"
        if wants_certificates not in self._contexts:
            authority = session_authority()
            client_auth = self._client_auth if wants_certificates else "none"
            self._contexts[wants_certificates] = server_context(
                authority.server(*_HOSTS),
                client_auth,  # type: ignore[arg-type]  # one of the setting's choices
                (authority.path, *self.security.client_cas) if wants_certificates else (),
            )
        return self._contexts[wants_certificates]

    def _mechanisms(self, listener: ListenerName) -> Mapping[str, Callable[[], SaslServer]]:
        if listener == "SCRAM":
            return {"SCRAM-SHA-512": partial(self._scram, "SCRAM-SHA-512")}
        if listener == "SASL":
            return {
                "PLAIN": lambda: PlainServer(self._passwords.get),
                "SCRAM-SHA-256": partial(self._scram, "SCRAM-SHA-256"),
                "SCRAM-SHA-512": partial(self._scram, "SCRAM-SHA-512"),
            }
        return {"OAUTHBEARER": self._iam_server} if listener == "IAM" else {}

    def _scram(self, mechanism: ScramMechanism) -> SaslServer:
        return ScramServer(mechanism, lambda user: self.credential(user, mechanism))

    def _iam_server(self) -> IamServer:
        security = self.security
        return IamServer(
            lambda token: verify_token(
                token, keys=security.iam_keys, region=security.region, now_ms=self._clock.now_ms()
            ),
            lambda key: self._iam[key.access_key_id].may_connect(),
        )

    def _authorizer(self, principal: str, host: str, server: SaslServer | None) -> Authorizer:
        if principal in self._super_users:
            return Everything()
        if isinstance(server, IamServer) and isinstance(server.key, IamKey):
            return self._iam[server.key.access_key_id]  # ACLs are not asked about IAM identities, as on MSK
        return AclAuthorizer(self.acls, principal=principal, host=host)
