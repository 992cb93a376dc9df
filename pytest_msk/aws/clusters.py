"""MskClusters: what the fixture `msk_cluster` gives, the MSK clusters of one test."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from ..errors import MskError
from ..functions import Handler
from ..mapping import EventSourceMapping
from ..sandbox import Sandbox
from ._interception import Interception
from .cluster import DEFAULT_ACCOUNT_ID, DEFAULT_REGION, ClusterAuthentication, MskCluster
from .functions import AwsFunctions
from .kafka_api import KafkaApi
from .lambda_api import LambdaApi
from .telemetry import Telemetry

__all__ = ["MskClusters"]


class MskClusters:
    """Makes clusters that boto3 finds as long as moto is active.

    Args:
        sandbox: the test's broker, clock and mappings.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._clusters: dict[str, MskCluster] = {}
        self._telemetries: dict[str, Telemetry] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._functions = AwsFunctions(self._unpack)
        self._mappings = LambdaApi(sandbox, self._clusters, self._functions)
        self._interception = Interception(
            {"kafka": KafkaApi(self._clusters).operations, "lambda": self._mappings.operations},
            before={"monitoring": self._send_metrics, "logs": self._send_logs},
        )
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
        transition_in_seconds: float = 0,
        permissions: bool = False,
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
            transition_in_seconds: how long creating, updating, enabling and disabling one of its mappings takes on the
                clock; AWS needs up to 90 seconds (spec 2.5). Meanwhile other calls get `ResourceInUseException`.
            permissions: hold the execution roles of its mappings' functions to their policies in moto's IAM (spec 10).

        Raises:
            ValueError: MSK would not take an argument, or there is a cluster of that name.
        """
        __tracebackhide__ = True
        cluster = MskCluster.make(
            self._sandbox.broker,
            name=name,
            authentication=authentication,
            serverless=serverless,
            kafka_version=kafka_version,
            brokers=brokers,
            region=region,
            account_id=account_id,
            tags=tags,
            transition_in_seconds=transition_in_seconds,
            permissions=permissions,
            created=datetime.fromtimestamp(self._sandbox.clock.now_ms() / 1000, timezone.utc),
        )
        for other in self._clusters.values():
            if (other.name, other.region, other.account_id) == (name, region, account_id):
                raise ValueError(f"There is a cluster {name!r} in {region} already: give this one another name.")
        self._clusters[cluster.arn] = cluster
        return cluster

    def bind(
        self, function: str, handler: Handler, *, region: str = DEFAULT_REGION, account_id: str = DEFAULT_ACCOUNT_ID
    ) -> None:
        """Let a Lambda function that was created in moto run a handler of this process.

        Without it the function's own deployment package is unpacked and imported. Timeout, memory and environment are
        those that moto has for it when a mapping is made.

        Args:
            function: its name.
            handler: called with (event, context).
            region: where it is.
            account_id: whose it is.

        Raises:
            MskError: a mapping invokes it already.
            TypeError: the handler is none.
        """
        __tracebackhide__ = True
        prefix = f":lambda:{region}:{account_id}:function:{function}"
        for found in self._mappings.mappings.values():
            if f"{found.function_arn}:".partition(prefix)[2].startswith(":") and found.esm.state != "Deleted":
                raise MskError(
                    f"The mapping {found.esm.uuid} invokes {function!r} already, with what its deployment package or "
                    "an earlier bind gave it: bind the handler before create_event_source_mapping is called."
                )
        self._functions.bind(function, handler, region=region, account_id=account_id)

    @property
    def mappings(self) -> tuple[EventSourceMapping, ...]:
        """The mappings that were made by boto3, in the order of their creation; deleted ones too."""
        return tuple(found.esm for found in self._mappings.mappings.values())

    def mapping(self, uuid: str) -> EventSourceMapping:
        """The mapping that boto3 has made under this UUID, to be stepped, drained and looked at.

        Raises:
            KeyError: boto3 has made none with this UUID.
        """
        found = self._mappings.mappings.get(uuid)
        if found is None:
            raise KeyError(
                f"boto3 has made no Kafka mapping with the UUID {uuid!r}; it has: {list(self._mappings.mappings)}"
            )
        return found.esm

    def _send_metrics(self) -> None:
        for telemetry in self._telemetry():
            telemetry.send_metrics()

    def _send_logs(self) -> None:
        for telemetry in self._telemetry():
            telemetry.send_logs()

    def _telemetry(self) -> tuple[Telemetry, ...]:
        for uuid, deployed in self._mappings.mappings.items():
            if uuid not in self._telemetries:
                self._telemetries[uuid] = Telemetry(deployed)
        return tuple(self._telemetries.values())

    def _unpack(self, name: str, package: zipfile.ZipFile) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="pytest-msk-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name) / f"{len(list(Path(self._folder.name).iterdir()))}-{name}"
        package.extractall(folder)
        self._sandbox.import_from(str(folder))
        return folder

    def close(self) -> None:
        """Leave boto3's calls to moto again."""
        self._interception.stop()
        if self._folder is not None:
            self._folder.cleanup()
