"""Permissions: what the execution role of a mapping's function may do, by its policies in moto's IAM (spec 10)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

from ..brokers.embedded.security.policy import Policy
from ..errors import BrokerError
from ..mapping import EventSourceMapping, EventSourceMappingError
from ..mapping._shapes import invalid_parameter
from .cluster import MskCluster

__all__ = ["RolePermissions", "no_access"]

_NETWORK = (
    "CreateNetworkInterface",
    "DescribeNetworkInterfaces",
    "DeleteNetworkInterface",
    "DescribeVpcs",
    "DescribeSubnets",
    "DescribeSecurityGroups",
)
#: Per service of a destination what the role has to be allowed there.
_DESTINATIONS = {"sqs": ("SendMessage",), "sns": ("Publish",), "s3": ("PutObject", "ListBucket")}
_SERVICES = {"sqs": "SQS", "sns": "SNS", "s3": "S3"}


class RolePermissions:
    """The permissions of one role in a cluster, as they are whenever they are asked for.

    Args:
        role: its ARN.
        cluster: what mappings read from.
        account_id: whose it is.
        region: where the mapping is.
    """

    def __init__(self, role: str, cluster: MskCluster, *, account_id: str, region: str) -> None:
        self._name = role.rpartition("/")[2]
        self._cluster = cluster
        self._account_id = account_id
        self._region = region

    def check_creation(self, parameters: Mapping[str, object]) -> None:
        """Hold the role to what AWS looks at when a mapping is made or changed.

        Raises:
            EventSourceMappingError: the role lacks something.
        """
        allows, arn = self._policy().allows, self._cluster.arn
        described = allows("kafka:DescribeClusterV2", arn) or allows("kafka:DescribeCluster", arn)
        if not (described and allows("kafka:GetBootstrapBrokers", arn)):
            raise no_access(arn)
        if not parameters.get("provisioned_poller_config"):  # provisioned pollers are in no VPC of the account's
            for action in _NETWORK:
                _require(allows(f"ec2:{action}", "*"), action, "EC2")
        for item in cast("list[dict[str, str]]", parameters.get("source_access_configurations") or []):
            if ":secretsmanager:" in item.get("URI", ""):
                _require(allows("secretsmanager:GetSecretValue", item["URI"]), "GetSecretValue", "Secrets Manager")
        block = cast("dict[str, dict[str, object]]", parameters.get("destination_config") or {})
        target = block.get("OnFailure", {}).get("Destination")
        service = target.split(":")[2] if isinstance(target, str) and target.startswith("arn:") else ""
        for action in _DESTINATIONS.get(service, ()):
            resource = f"{target}/*" if action == "PutObject" else cast(str, target)
            _require(allows(f"{service}:{action}", resource), action, _SERVICES[service])

    def check_polling(self, esm: EventSourceMapping) -> None:
        """Hold the role to what the pollers need, before they connect.

        Raises:
            BrokerError: Lambda cannot assume it, or it lacks an action of `kafka-cluster` where IAM is the way in.
        """
        if not self._trusts_lambda():
            raise BrokerError(f"Lambda cannot assume the role {self._name!r}.", code="ROLE_NOT_ASSUMABLE")
        if esm.config.access.auth != "iam":
            return
        allows, arn = self._policy().allows, self._cluster.arn
        if not allows("kafka-cluster:Connect", arn):
            raise BrokerError(f"{self._name!r} lacks kafka-cluster:Connect.", code="SASL_AUTHENTICATION_FAILED")
        base = arn.partition(":cluster/")
        topic = f"{base[0]}:topic/{base[2]}/{esm.topic}"
        group = f"{base[0]}:group/{base[2]}/{esm.consumer_group_id}"
        for action, resource in (
            ("DescribeTopic", topic),
            ("ReadData", topic),
            ("AlterGroup", group),
            ("DescribeGroup", group),
        ):
            if not allows(f"kafka-cluster:{action}", resource):
                text = f"{self._name!r} lacks kafka-cluster:{action} on {resource}."
                raise BrokerError(text, code="TOPIC_AUTHORIZATION_FAILED")

    # --- what IAM has

    def _policy(self) -> Policy:
        statements = [statement for document in self._documents() for statement in _statements(document)]
        return Policy({"Statement": statements or {"Effect": "Deny", "Action": "*", "Resource": "*"}})

    def _documents(self) -> Iterator[Mapping[str, object]]:
        iam = self._client()
        for name in iam.list_role_policies(RoleName=self._name)["PolicyNames"]:
            yield _document(iam.get_role_policy(RoleName=self._name, PolicyName=name)["PolicyDocument"])
        for attached in iam.list_attached_role_policies(RoleName=self._name)["AttachedPolicies"]:
            arn = attached["PolicyArn"]
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
            yield _document(found["Document"])

    def _trusts_lambda(self) -> bool:
        trust = _document(self._client().get_role(RoleName=self._name)["Role"]["AssumeRolePolicyDocument"])
        for statement in _statements(trust):
            principal = statement.get("Principal")
            services = principal.get("Service") if isinstance(principal, Mapping) else None
            actions = statement.get("Action")
            if (
                statement.get("Effect") == "Allow"
                and "lambda.amazonaws.com" in ([services] if isinstance(services, str) else services or ())
                and "sts:AssumeRole" in ([actions] if isinstance(actions, str) else cast("list[str]", actions or ()))
            ):
                return True
        return False

    def _client(self) -> Any:
        from .client import moto_client

        return moto_client("iam", region=self._region, account_id=self._account_id)


def no_access(arn: str) -> EventSourceMappingError:
    """The API's error for a cluster that is not there, or that the role may not describe."""
    return invalid_parameter(
        f"Cannot access cluster {arn}. Please ensure the role can perform the DescribeClusterV2 (recommended) or "
        "DescribeCluster and GetBootstrapBrokers actions on your cluster in IAM."
    )


def _document(given: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", json.loads(unquote(given)) if isinstance(given, str) else given)


def _statements(document: Mapping[str, object]) -> list[Mapping[str, object]]:
    found = document.get("Statement") or []
    return [found] if isinstance(found, Mapping) else list(cast("list[Mapping[str, object]]", found))


def _require(allowed: bool, action: str, service: str) -> None:
    if not allowed:
        raise invalid_parameter(f"The provided execution role does not have permissions to call {action} on {service}")
