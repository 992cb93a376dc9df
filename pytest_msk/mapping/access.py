"""Access: how a mapping's pollers show the cluster who they are (spec 8.1, 8.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..brokers import Broker
from ..brokers.security import Authentication
from ..errors import NotSupported
from ._shapes import invalid_parameter
from .parameters import SourceAccessConfiguration, Unsecured

__all__ = ["Access", "access_of"]

#: Types of a source access configuration with the way to authenticate, in AWS's order of choice.
_MANAGED: dict[str, Authentication] = {"CLIENT_CERTIFICATE_TLS_AUTH": "mtls", "SASL_SCRAM_512_AUTH": "scram"}
_SELF_MANAGED: dict[str, Authentication] = {
    **_MANAGED,
    "SASL_SCRAM_256_AUTH": "scram-sha-256",
    "BASIC_AUTH": "plain",
}
#: Of the network's types the form of what they name, with or without its kind before it (spec 8.2).
_NETWORK = {
    "VPC_SUBNET": re.compile(r"(subnet:)?subnet-[0-9a-zA-Z]+"),
    "VPC_SECURITY_GROUP": re.compile(r"(security_group:)?sg-[0-9a-zA-Z]+"),
}
_ROOT_CA = "SERVER_ROOT_CA_CERTIFICATE"
#: Of AWS's types those that this kit does not run.
_NOT_RUN = (
    "OAUTHBEARER_AUTH",
    "OAUTHBEARER_SCOPE",
    "OAUTHBEARER_AUDIENCE",
    "OAUTHBEARER_LOGICAL_CLUSTER",
    "OAUTHBEARER_IDENTITY_POOL",
    "IAM_AUTH",
    "IAM_OAUTHBEARER_AUTH",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """How pollers connect.

    Args:
        auth: the way to authenticate; `None` for the broker's plaintext listener.
        secret: the ARN of the secret with the credentials, where the way needs one.
        root_ca: the ARN of the secret with the certificate of the brokers' authority.
        public_ca: whether only authorities that everybody trusts are trusted: a self-managed cluster without a
            `root_ca`.
    """

    auth: Authentication | None = None
    secret: str | None = None
    root_ca: str | None = None
    public_ca: bool = False

    def bootstrap_servers(self, broker: Broker) -> str:
        """The addresses of the broker's listener for this way in."""
        return broker.bootstrap_servers if self.auth is None else broker.bootstrap_servers_for(self.auth)


def access_of(
    configurations: Sequence[SourceAccessConfiguration], *, managed: bool, unsecured: Unsecured = "plaintext"
) -> Access:
    """How a mapping with these source access configurations connects: by the strongest way that has a secret.

    Args:
        configurations: the API's list.
        managed: whether the cluster is MSK.
        unsecured: the way where no secret is given.

    Raises:
        EventSourceMappingError: a type that this kind of cluster has not.
        NotSupported: a type that is not run here.
    """
    __tracebackhide__ = True
    given = {item.get("Type", ""): item.get("URI") for item in configurations}
    known = _MANAGED if managed else _SELF_MANAGED
    for kind in given:
        if kind in _NOT_RUN:
            raise NotSupported(f"Authentication by {kind} is not run: give one of {', '.join((*known, _ROOT_CA))}.")
        if kind not in (*known, *_NETWORK) and (managed or kind != _ROOT_CA):
            raise invalid_parameter(f"Unsupported SourceAccessType {kind} for given event source mapping type.")
    for item in configurations:
        form, text = _NETWORK.get(item.get("Type", "")), item.get("URI", "")
        if form is not None and not form.fullmatch(text):
            raise invalid_parameter(f"Invalid {item.get('Type')} in SourceAccessConfigurations: {text!r}.")
    root_ca = given.get(_ROOT_CA)
    for kind, auth in known.items():
        if kind in given:
            return Access(auth=auth, secret=given[kind], root_ca=root_ca, public_ca=not managed and root_ca is None)
    if root_ca is not None:
        return Access(auth="tls", root_ca=root_ca)
    return Access() if unsecured == "plaintext" else Access(auth=unsecured)
