"""Bootstrap brokers: the addresses of a cluster's listeners, by the way in which clients authenticate."""

from __future__ import annotations

from .cluster import MskCluster

__all__ = ["bootstrap_strings"]


def bootstrap_strings(cluster: MskCluster) -> dict[str, object]:
    """What `GetBootstrapBrokers` answers: the broker's real addresses for each method that is on (spec 8.1)."""
    found: dict[str, object] = {}
    if "unauthenticated" in cluster.authentication:
        found["BootstrapBrokerString"] = cluster.broker.bootstrap_servers
    return found
