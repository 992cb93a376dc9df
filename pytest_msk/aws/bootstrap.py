"""Bootstrap brokers: the addresses of a cluster's listeners, by the way in which clients authenticate."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from ..brokers.security import Authentication
from ..errors import NotSupported
from .cluster import ClusterAuthentication, MskCluster

__all__ = ["bootstrap_strings"]

_STRINGS: Mapping[ClusterAuthentication, tuple[str, Authentication]] = {
    "unauthenticated": ("BootstrapBrokerString", "plaintext"),
    "mtls": ("BootstrapBrokerStringTls", "mtls"),
    "scram": ("BootstrapBrokerStringSaslScram", "scram"),
    "iam": ("BootstrapBrokerStringSaslIam", "iam"),
}


def bootstrap_strings(cluster: MskCluster) -> dict[str, object]:
    """What `GetBootstrapBrokers` answers: the broker's real addresses for each method that is on (spec 8.1).

    A method for which the broker under test has no listener of the kit is left out.
    """
    found: dict[str, object] = {}
    for method, (name, auth) in _STRINGS.items():
        if method == "unauthenticated" and method in cluster.authentication:
            found[name] = cluster.broker.bootstrap_servers
        elif method in cluster.authentication:
            with contextlib.suppress(NotSupported):
                found[name] = cluster.broker.bootstrap_servers_for(auth)
    return found
