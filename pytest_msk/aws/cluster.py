"""MskCluster: an Amazon MSK cluster that boto3 finds under moto, and whose brokers are a real broker's addresses."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal, cast, get_args

from ..brokers import Broker

__all__ = ["DEFAULT_ACCOUNT_ID", "DEFAULT_REGION", "ClusterAuthentication", "MskCluster"]

#: moto's own account, and the region in which a cluster is made when none is given.
DEFAULT_ACCOUNT_ID = "123456789012"
DEFAULT_REGION = "us-east-1"

#: How clients of an MSK cluster may authenticate (spec 8.1).
ClusterAuthentication = Literal["unauthenticated", "mtls", "scram", "iam"]
_AUTHENTICATIONS = cast("tuple[ClusterAuthentication, ...]", get_args(ClusterAuthentication))
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,63}")


@dataclass(kw_only=True, eq=False)
class MskCluster:
    """An ACTIVE cluster of Amazon MSK.

    Args:
        name: 1 to 64 letters, digits and hyphens.
        broker: what its clients talk to.
        arn: in AWS's form.
        authentication: the methods that are on.
        serverless: whether it is an MSK Serverless cluster, which has IAM alone.
        kafka_version: as `DescribeCluster` tells it.
        brokers: number of its broker nodes, as `DescribeCluster` tells it.
        region: where it is.
        account_id: whose it is.
        tags: by key.
        scram_secrets: ARNs of the secrets that are associated with it.
        transition_in_seconds: how long creating, updating, enabling and disabling a mapping takes on the clock.
        permissions: whether execution roles are held to their policies in moto's IAM.
        created: when it was made.
    """

    name: str
    broker: Broker = field(repr=False)
    arn: str
    authentication: frozenset[ClusterAuthentication]
    serverless: bool = False
    kafka_version: str = "3.9.x"
    brokers: int
    region: str = DEFAULT_REGION
    account_id: str = DEFAULT_ACCOUNT_ID
    tags: dict[str, str] = field(default_factory=dict)
    scram_secrets: list[str] = field(default_factory=list)
    transition_in_seconds: float = 0
    permissions: bool = False
    created: datetime

    @classmethod
    def make(
        cls,
        broker: Broker,
        *,
        name: str = "demo",
        authentication: Iterable[ClusterAuthentication] | None = None,
        serverless: bool = False,
        kafka_version: str = "3.9.x",
        brokers: int | None = None,
        region: str = DEFAULT_REGION,
        account_id: str = DEFAULT_ACCOUNT_ID,
        tags: Mapping[str, str] | None = None,
        transition_in_seconds: float = 0,
        permissions: bool = False,
        created: datetime | None = None,
    ) -> MskCluster:
        """A cluster with a new ARN.

        Raises:
            ValueError: an argument that MSK would not take; the text lists what it takes.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"name={name!r}: a cluster's name is 1 to 64 letters, digits and hyphens.")
        if not re.fullmatch(r"\d{12}", account_id):
            raise ValueError(f"account_id={account_id!r}: an AWS account has 12 digits.")
        default: tuple[ClusterAuthentication, ...] = ("iam",) if serverless else ("unauthenticated",)
        methods = frozenset(default if authentication is None else authentication)
        if unknown := methods - set(_AUTHENTICATIONS):
            raise ValueError(
                f"authentication={sorted(unknown)!r}: the methods of MSK are {', '.join(_AUTHENTICATIONS)} (spec 8.1)."
            )
        if not methods:
            raise ValueError(f"authentication is empty: give at least one of {', '.join(_AUTHENTICATIONS)}.")
        if serverless and methods != {"iam"}:
            raise ValueError(f"authentication={sorted(methods)!r}: MSK Serverless has IAM alone.")
        partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
        suffix = "s1" if serverless else "2"
        return cls(
            name=name,
            broker=broker,
            arn=f"arn:{partition}:kafka:{region}:{account_id}:cluster/{name}/{uuid.uuid4()}-{suffix}",
            authentication=methods,
            serverless=serverless,
            kafka_version=kafka_version,
            brokers=len(broker.bootstrap_servers.split(",")) if brokers is None else brokers,
            region=region,
            account_id=account_id,
            tags=dict(tags or {}),
            transition_in_seconds=transition_in_seconds,
            permissions=permissions,
            created=created or datetime.now(timezone.utc),
        )
