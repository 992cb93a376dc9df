"""The Amazon MSK API for clusters of this kit: what boto3's client `kafka` is told of them. All else is moto's."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from ..errors import BrokerError, NotSupported
from ..mapping.connection import read_secret, secret_members
from ._interception import Call, Operation
from ._rest_json import ApiError, Parameters, members
from .bootstrap import bootstrap_strings
from .cluster import MskCluster

if TYPE_CHECKING:
    from moto.kafka.models import KafkaBackend

__all__ = ["KafkaApi"]

_SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:(.+)")
#: Largest page of a listing (`MaxResults`), and its size when none is asked for.
_PAGE = 100


class KafkaApi:
    """Answers for the clusters that it is given; a call about any other goes on to moto, which lacks much.

    Args:
        clusters: by ARN; what is added later is known at once.
    """

    def __init__(self, clusters: Mapping[str, MskCluster]) -> None:
        self._clusters = clusters

    @property
    def operations(self) -> dict[str, Operation]:
        """Every operation that is answered here, by its name."""
        ours: dict[str, Callable[[MskCluster, Parameters], Parameters]] = {
            "DescribeCluster": lambda cluster, _: {"ClusterInfo": _describe(cluster)},
            "DescribeClusterV2": lambda cluster, _: {"ClusterInfo": _describe_v2(cluster)},
            "GetBootstrapBrokers": lambda cluster, _: bootstrap_strings(cluster),
            "ListNodes": _list_nodes,
            "BatchAssociateScramSecret": _associate,
            "BatchDisassociateScramSecret": _disassociate,
            "ListScramSecrets": lambda cluster, asked: _page("SecretArnList", cluster.scram_secrets, asked),
            "ListTopics": _list_topics,
            "DescribeTopic": _describe_topic,
            "DescribeTopicPartitions": _describe_topic_partitions,
        }
        tags: dict[str, Callable[[MskCluster, Parameters], Parameters]] = {
            "ListTagsForResource": lambda cluster, _: {"Tags": cluster.tags},
            "TagResource": _tag,
            "UntagResource": _untag,
        }
        return {
            "ListClusters": self._list_clusters,
            "ListClustersV2": self._list_clusters_v2,
            **{name: self._of_cluster(answer) for name, answer in ours.items()},
            **{name: self._of_cluster(answer, key="ResourceArn") for name, answer in tags.items()},
        }

    def _of_cluster(
        self, answer: Callable[[MskCluster, Parameters], Parameters], *, key: str = "ClusterArn"
    ) -> Operation:
        def operation(call: Call) -> Parameters | None:
            arn = cast(str, call.parameters[key])
            cluster = self._clusters.get(arn)
            if cluster is not None and (cluster.region, cluster.account_id) == (call.region, call.account_id):
                return answer(cluster, call.parameters)
            if cluster is None and arn in _moto(call).clusters:
                return None
            if not re.fullmatch(r"arn:aws[a-z-]*:kafka:[a-z0-9-]+:\d{12}:.+", arn):
                raise _error("BadRequestException", "One or more of the parameters are not valid.", _lower(key))
            raise _error("NotFoundException", "The requested resource doesn't exist.", _lower(key), status=404)

        return operation

    def _mine(self, call: Call) -> Iterator[MskCluster]:
        prefix = _prefix(call)
        for cluster in self._clusters.values():
            here = (cluster.region, cluster.account_id) == (call.region, call.account_id)
            if here and cluster.name.startswith(prefix):
                yield cluster

    def _list_clusters(self, call: Call) -> Parameters:
        found = [_describe(cluster) for cluster in self._mine(call) if not cluster.serverless]
        backend = _moto(call)
        others = [backend.describe_cluster(arn) for arn in _of_moto(call, "PROVISIONED")]
        return _page("ClusterInfoList", [*found, *_read("ClusterInfo", others)], call.parameters)

    def _list_clusters_v2(self, call: Call) -> Parameters:
        kind = cast("str | None", call.parameters.get("ClusterTypeFilter"))
        found = [
            _describe_v2(cluster)
            for cluster in self._mine(call)
            if kind in (None, "SERVERLESS" if cluster.serverless else "PROVISIONED")
        ]
        backend = _moto(call)
        others = [backend.describe_cluster_v2(arn) for arn in _of_moto(call, kind)]
        return _page("ClusterInfoList", [*found, *_read("Cluster", others)], call.parameters)


def _prefix(call: Call) -> str:
    return cast(str, call.parameters.get("ClusterNameFilter", ""))


def _of_moto(call: Call, kind: str | None) -> list[str]:
    """The ARNs of the clusters that were made by boto3 and are listed."""
    prefix = _prefix(call)
    return [
        arn
        for arn, cluster in _moto(call).clusters.items()
        if cluster.cluster_name.startswith(prefix) and kind in (None, cluster.cluster_type)
    ]


def _read(shape: str, found: Iterable[Mapping[str, object]]) -> list[Parameters]:
    """What moto has written, under the API's names."""
    return [members("kafka", shape, item) for item in found]


def _moto(call: Call) -> KafkaBackend:
    from moto.kafka.models import kafka_backends

    return kafka_backends[call.account_id][call.region]


def _error(code: str, message: str, parameter: str, *, status: int = 400) -> ApiError:
    return ApiError(code, message, status=status, members={"invalidParameter": parameter})


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _page(key: str, items: Sequence[object], asked: Parameters) -> Parameters:
    """One page of a listing; the token is the place of the next page's first item."""
    size = cast(int, asked.get("MaxResults", _PAGE))
    if not 1 <= size <= _PAGE:
        raise _error("BadRequestException", "One or more of the parameters are not valid.", "maxResults")
    token = cast(str, asked.get("NextToken", ""))
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError as error:
        raise _error("BadRequestException", "The token isn't valid.", "nextToken") from error
    end = start + size
    more = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
    return {key: list(items[start:end]), "NextToken": more}


# --- describing


def _authentication(cluster: MskCluster) -> Parameters:
    on = cluster.authentication
    return {
        "Sasl": {"Scram": {"Enabled": "scram" in on}, "Iam": {"Enabled": "iam" in on}},
        "Tls": {"Enabled": "mtls" in on},
        "Unauthenticated": {"Enabled": "unauthenticated" in on},
    }


def _encryption(cluster: MskCluster) -> Parameters:
    plain = "unauthenticated" in cluster.authentication
    secure = len(cluster.authentication) > plain
    return {
        "EncryptionInTransit": {
            "ClientBroker": "TLS_PLAINTEXT" if plain and secure else "PLAINTEXT" if plain else "TLS",
            "InCluster": True,
        }
    }


def _provisioned(cluster: MskCluster) -> Parameters:
    return {
        "BrokerNodeGroupInfo": {
            "BrokerAZDistribution": "DEFAULT",
            "ClientSubnets": [f"subnet-{number:017x}" for number in range(1, cluster.brokers + 1)],
            "InstanceType": "kafka.m7g.large",
            "SecurityGroups": [f"sg-{1:017x}"],
            "StorageInfo": {"EbsStorageInfo": {"VolumeSize": 100}},
        },
        "ClientAuthentication": _authentication(cluster),
        "CurrentBrokerSoftwareInfo": {"KafkaVersion": cluster.kafka_version},
        "EncryptionInfo": _encryption(cluster),
        "EnhancedMonitoring": "DEFAULT",
        "NumberOfBrokerNodes": cluster.brokers,
        "StorageMode": "LOCAL",
    }


def _describe(cluster: MskCluster) -> Parameters:
    return {
        **_provisioned(cluster),
        "ClusterArn": cluster.arn,
        "ClusterName": cluster.name,
        "CreationTime": cluster.created,
        "CurrentVersion": "K1",
        "State": "ACTIVE",
        "Tags": cluster.tags,
    }


def _describe_v2(cluster: MskCluster) -> Parameters:
    found: Parameters = {
        "ClusterType": "SERVERLESS" if cluster.serverless else "PROVISIONED",
        "ClusterArn": cluster.arn,
        "ClusterName": cluster.name,
        "CreationTime": cluster.created,
        "CurrentVersion": "K1",
        "State": "ACTIVE",
        "Tags": cluster.tags,
    }
    if cluster.serverless:
        vpc = {"SubnetIds": [f"subnet-{number:017x}" for number in (1, 2)], "SecurityGroupIds": [f"sg-{1:017x}"]}
        found["Serverless"] = {"VpcConfigs": [vpc], "ClientAuthentication": {"Sasl": {"Iam": {"Enabled": True}}}}
    else:
        found["Provisioned"] = _provisioned(cluster)
    return found


def _list_nodes(cluster: MskCluster, asked: Parameters) -> Parameters:
    if cluster.serverless:
        raise _error("BadRequestException", "This operation cannot be performed on serverless clusters.", "clusterArn")
    addresses = cluster.broker.bootstrap_servers.split(",")
    base = cluster.arn.replace(":cluster/", ":broker/")
    nodes = [
        {
            "AddedToClusterTime": cluster.created.isoformat(),
            "InstanceType": "m7g.large",
            "NodeARN": f"{base}/{number}",
            "NodeType": "BROKER",
            "BrokerNodeInfo": {
                "BrokerId": float(number),
                "ClientSubnet": f"subnet-{number:017x}",
                "CurrentBrokerSoftwareInfo": {"KafkaVersion": cluster.kafka_version},
                "Endpoints": [addresses[(number - 1) % len(addresses)].rpartition(":")[0]],
            },
        }
        for number in range(1, cluster.brokers + 1)
    ]
    return _page("NodeInfoList", nodes, asked)


# --- secrets and tags


def _associate(cluster: MskCluster, asked: Parameters) -> Parameters:
    refused = []
    for arn in cast("list[str]", asked["SecretArnList"]):
        name = _SECRET.fullmatch(arn)
        if name is None or not name[1].startswith("AmazonMSK_"):
            refused.append(
                {
                    "SecretArn": arn,
                    "ErrorCode": "INVALID_INPUT",
                    "ErrorMessage": "The name of a secret for a cluster has to begin with AmazonMSK_.",
                }
            )
        elif arn not in cluster.scram_secrets:
            try:
                _let_in(cluster, arn)
            except BrokerError as error:
                refused.append({"SecretArn": arn, "ErrorCode": "INVALID_INPUT", "ErrorMessage": str(error)})
            else:
                cluster.scram_secrets.append(arn)
    return {"ClusterArn": cluster.arn, "UnprocessedScramSecrets": refused}


def _let_in(cluster: MskCluster, arn: str) -> None:
    """Let the user of a secret log in, as on MSK, where a secret that is associated makes one.

    Raises:
        BrokerError: the secret cannot be read, or is none of a user.
    """
    found = secret_members(arn, partial(read_secret, allow_aws=False), "username", "password")
    with suppress(NotSupported):  # an external cluster's users are its owner's
        cluster.broker.set_password(found["username"], found["password"])


def _disassociate(cluster: MskCluster, asked: Parameters) -> Parameters:
    refused = []
    for arn in cast("list[str]", asked["SecretArnList"]):
        if arn in cluster.scram_secrets:
            cluster.scram_secrets.remove(arn)
        else:
            text = "The secret is not associated with the cluster."
            refused.append({"SecretArn": arn, "ErrorCode": "INVALID_INPUT", "ErrorMessage": text})
    return {"ClusterArn": cluster.arn, "UnprocessedScramSecrets": refused}


def _tag(cluster: MskCluster, asked: Parameters) -> Parameters:
    cluster.tags.update(cast("dict[str, str]", asked["Tags"]))
    return {}


def _untag(cluster: MskCluster, asked: Parameters) -> Parameters:
    for key in cast("list[str]", asked["TagKeys"]):
        cluster.tags.pop(key, None)
    return {}


# --- topics


def _topic(cluster: MskCluster, name: str) -> Parameters:
    return {
        "TopicArn": f"{cluster.arn.replace(':cluster/', ':topic/')}/{name}",
        "TopicName": name,
        "PartitionCount": cluster.broker.partition_count(name),
        "ReplicationFactor": min(cluster.brokers, len(cluster.broker.bootstrap_servers.split(","))),
    }


def _list_topics(cluster: MskCluster, asked: Parameters) -> Parameters:
    prefix = cast(str, asked.get("TopicNameFilter", ""))
    names = sorted(name for name in cluster.broker.topics() if name.startswith(prefix))
    return _page("Topics", [{**_topic(cluster, name), "OutOfSyncReplicaCount": 0} for name in names], asked)


def _known_topic(cluster: MskCluster, asked: Parameters) -> str:
    name = cast(str, asked["TopicName"])
    if name not in cluster.broker.topics():
        raise _error("NotFoundException", "The requested resource doesn't exist.", "topicName", status=404)
    return name


def _describe_topic(cluster: MskCluster, asked: Parameters) -> Parameters:
    return {**_topic(cluster, _known_topic(cluster, asked)), "Status": "ACTIVE"}


def _describe_topic_partitions(cluster: MskCluster, asked: Parameters) -> Parameters:
    count = cluster.broker.partition_count(_known_topic(cluster, asked))
    rows = [{"Partition": number, "Leader": 1, "Replicas": [1], "Isr": [1]} for number in range(count)]
    return _page("Partitions", rows, asked)
