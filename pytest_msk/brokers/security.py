"""What a cluster's listeners know: users and their passwords, IAM keys, and who may do what at first.

MSK's listeners are PLAINTEXT (its port 9092), TLS with or without client certificates (9094), SASL/SCRAM (9096) and
SASL/IAM (9098). A self-managed cluster has SASL/PLAIN and SCRAM-SHA-256 too: they share a listener of their own here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ..errors import BrokerError

__all__ = [
    "AUTHENTICATIONS",
    "LISTENER_OF",
    "MECHANISM_OF",
    "Authentication",
    "IamKey",
    "ListenerName",
    "Security",
    "check_authentication",
]

#: How a client shows who it is.
Authentication = Literal["plaintext", "tls", "mtls", "scram", "scram-sha-256", "plain", "iam"]
AUTHENTICATIONS: tuple[Authentication, ...] = get_args(Authentication)

#: The listeners by name. SASL is the one of self-managed clusters.
ListenerName = Literal["PLAINTEXT", "TLS", "SCRAM", "SASL", "IAM"]

LISTENER_OF: Mapping[Authentication, ListenerName] = {
    "plaintext": "PLAINTEXT",
    "tls": "TLS",
    "mtls": "TLS",
    "scram": "SCRAM",
    "scram-sha-256": "SASL",
    "plain": "SASL",
    "iam": "IAM",
}
MECHANISM_OF: Mapping[Authentication, str] = {
    "scram": "SCRAM-SHA-512",
    "scram-sha-256": "SCRAM-SHA-256",
    "plain": "PLAIN",
    "iam": "OAUTHBEARER",
}


def check_authentication(auth: str) -> Authentication:
    """The way to authenticate of that name.

    Raises:
        BrokerError: there is none.
    """
    for known in AUTHENTICATIONS:
        if auth == known:
            return known
    raise BrokerError(f"There is no auth={auth!r}: there are {', '.join(AUTHENTICATIONS)}.")


@dataclass(frozen=True, kw_only=True)
class IamKey:
    """An access key of an IAM user or role that may connect to the IAM listener.

    Args:
        access_key_id: as in `AWS_ACCESS_KEY_ID`.
        secret_access_key: as in `AWS_SECRET_ACCESS_KEY`.
        session_token: of temporary credentials, as in `AWS_SESSION_TOKEN`.
        arn: whose key it is.
        policy: the identity's policy document with `kafka-cluster:*` actions; without one everything is allowed.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    arn: str = "arn:aws:iam::123456789012:user/pytest-msk"
    policy: Mapping[str, object] | None = None

    def environment(self, region: str) -> dict[str, str]:
        """The environment variables by which AWS's libraries find this key.

        Args:
            region: the cluster's, such as `Security.region`.
        """
        found = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
        }
        return found if self.session_token is None else {**found, "AWS_SESSION_TOKEN": self.session_token}


@dataclass(frozen=True, kw_only=True)
class Security:
    """Who may connect to a broker of the kit, and how.

    Args:
        users: names and passwords for SASL/SCRAM and SASL/PLAIN.
        iam_keys: keys for SASL/IAM. The default is the key that moto's documentation gives to tests.
        client_cas: PEM files of certificate authorities whose client certificates are trusted, beside the kit's own.
        cluster_arn: what policies name the cluster by; its region is the one that tokens must be signed for.
    """

    users: Mapping[str, str] = field(default_factory=lambda: {"msk-user": "msk-password"}, repr=False)
    iam_keys: Sequence[IamKey] = (IamKey(access_key_id="testing", secret_access_key="testing"),)
    client_cas: Sequence[str | Path] = ()
    cluster_arn: str = "arn:aws:kafka:us-east-1:123456789012:cluster/pytest-msk/00000000-0000-4000-8000-000000000000-1"

    def __post_init__(self) -> None:
        parts = self.cluster_arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "kafka" or not parts[5].startswith("cluster/") or parts[5].count("/") != 2:
            raise BrokerError(
                f"{self.cluster_arn!r} is no ARN of an MSK cluster: it looks like "
                "arn:aws:kafka:us-east-1:123456789012:cluster/name/uuid."
            )
        ids = [key.access_key_id for key in self.iam_keys]
        for access_key_id in ids:
            if ids.count(access_key_id) > 1:
                raise BrokerError(f"The access key {access_key_id!r} is given twice among the IAM keys.")
        for name, password in self.users.items():
            if not (name and password):
                raise BrokerError(f"User {name!r} needs a name and a password, and one of them is empty.")

    def __repr__(self) -> str:
        users = ", ".join(self.users)
        return f"Security(users: {users or 'none'}; iam_keys={self.iam_keys!r}, cluster_arn={self.cluster_arn!r})"

    @property
    def region(self) -> str:
        """The AWS region of the cluster."""
        return self.cluster_arn.split(":")[3]

    def iam_key(self, access_key_id: str | None = None) -> IamKey:
        """The key of that id; the first one if none is asked for.

        Raises:
            BrokerError: there is no such key.
        """
        for key in self.iam_keys:
            if access_key_id in (None, key.access_key_id):
                return key
        known = ", ".join(key.access_key_id for key in self.iam_keys) or "none"
        asked = "no IAM key at all" if access_key_id is None else f"no IAM key {access_key_id!r}"
        raise BrokerError(f"The broker has {asked}; it has: {known}. Give keys with Security(iam_keys=[...]).")

    def password(self, user: str | None = None) -> tuple[str, str]:
        """The user of that name with the password; the first one if none is asked for.

        Raises:
            BrokerError: there is no such user.
        """
        name = next(iter(self.users), None) if user is None else user
        if name is None or name not in self.users:
            known = ", ".join(self.users) or "none"
            raise BrokerError(
                f"The broker has no user {name!r}; it has: {known}. Give users with Security(users={{...}}), or pass "
                "sasl_username and sasl_password for one that a test creates itself."
            )
        return name, self.users[name]
