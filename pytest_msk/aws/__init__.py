"""AWS: an MSK cluster and its event source mappings for boto3, under moto."""

from __future__ import annotations

from .cluster import ClusterAuthentication, MskCluster
from .clusters import MskClusters

__all__ = ["ClusterAuthentication", "MskCluster", "MskClusters"]
