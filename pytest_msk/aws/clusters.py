"""MskClusters: what the fixture `msk_cluster` gives, the MSK clusters of one test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone

from ..brokers import Broker
from ..clock import Clock
from ._interception import Interception
from .cluster import DEFAULT_ACCOUNT_ID, DEFAULT_REGION, ClusterAuthentication, MskCluster
from .kafka_api import KafkaApi

__all__ = ["MskClusters"]


class MskClusters:
    """Makes clusters that boto3 finds as long as moto is active.

    Args:
        broker: what stands behind them.
        clock: the test's clock.
    """

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._clusters: dict[str, MskCluster] = {}
        self._interception = Interception({"kafka": KafkaApi(self._clusters).operations})
        self._interception.start()

    def __call__(
        self,
        name: str = "demo",
        *,
        authentication: Iterable[ClusterAuthentication] | None = None,
        serverless: bool = False,
        kafka_version: str = "3.9.x",
        brokers: int | None = None,
        region: str = DEFAULT_REGION,
        account_id: str = DEFAULT_ACCOUNT_ID,
        tags: Mapping[str, str] | None = None,
    ) -> MskCluster:
        """Make an ACTIVE cluster; its bootstrap brokers are the broker's addresses.

        Args:
            name: 1 to 64 letters, digits and hyphens.
            authentication: the methods that are on, of `unauthenticated`, `mtls`, `scram`, `iam`; `unauthenticated`
                alone when none is given, `iam` for a serverless cluster.
            serverless: make an MSK Serverless cluster.
            kafka_version: what `DescribeCluster` tells.
            brokers: number of broker nodes that `DescribeCluster` tells; as many as the broker has when not given.
            region: where it is.
            account_id: whose it is; moto's own account when not given.
            tags: by key.

        Raises:
            ValueError: MSK would not take an argument, or there is a cluster of that name.
        """
        __tracebackhide__ = True
        cluster = MskCluster.make(
            self._broker,
            name=name,
            authentication=authentication,
            serverless=serverless,
            kafka_version=kafka_version,
            brokers=brokers,
            region=region,
            account_id=account_id,
            tags=tags,
            created=datetime.fromtimestamp(self._clock.now_ms() / 1000, timezone.utc),
        )
        for other in self._clusters.values():
            if (other.name, other.region, other.account_id) == (name, region, account_id):
                raise ValueError(f"There is a cluster {name!r} in {region} already: give this one another name.")
        self._clusters[cluster.arn] = cluster
        return cluster

    def close(self) -> None:
        """Leave boto3's calls to moto again."""
        self._interception.stop()
