"""IAM policy documents: who holds one may do what its statements allow and none denies.

Source: AWS, "IAM JSON policy elements" and "Semantics of IAM policy actions and resources" for Amazon MSK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ....errors import BrokerError, NotSupported
from .access import Operation, ResourceType

__all__ = ["IamAuthorizer", "Policy"]

_TOPIC, _GROUP = ResourceType.TOPIC, ResourceType.GROUP
_CLUSTER, _TRANSACTION = ResourceType.CLUSTER, ResourceType.TRANSACTIONAL_ID

# An operation that has no action of its own is never allowed: MSK gives nobody CLUSTER_ACTION.
_ACTIONS = {
    (_CLUSTER, Operation.DESCRIBE): "DescribeCluster",
    (_CLUSTER, Operation.ALTER): "AlterCluster",
    (_CLUSTER, Operation.DESCRIBE_CONFIGS): "DescribeClusterDynamicConfiguration",
    (_CLUSTER, Operation.ALTER_CONFIGS): "AlterClusterDynamicConfiguration",
    (_CLUSTER, Operation.IDEMPOTENT_WRITE): "WriteDataIdempotently",
    (_TOPIC, Operation.CREATE): "CreateTopic",
    (_TOPIC, Operation.DESCRIBE): "DescribeTopic",
    (_TOPIC, Operation.ALTER): "AlterTopic",
    (_TOPIC, Operation.DELETE): "DeleteTopic",
    (_TOPIC, Operation.DESCRIBE_CONFIGS): "DescribeTopicDynamicConfiguration",
    (_TOPIC, Operation.ALTER_CONFIGS): "AlterTopicDynamicConfiguration",
    (_TOPIC, Operation.READ): "ReadData",
    (_TOPIC, Operation.WRITE): "WriteData",
    (_GROUP, Operation.READ): "AlterGroup",
    (_GROUP, Operation.DESCRIBE): "DescribeGroup",
    (_GROUP, Operation.DELETE): "DeleteGroup",
    (_TRANSACTION, Operation.WRITE): "AlterTransactionalId",
    (_TRANSACTION, Operation.DESCRIBE): "DescribeTransactionalId",
}
_KINDS = {_TOPIC: "topic", _GROUP: "group", _TRANSACTION: "transactional-id"}
_ELEMENTS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource"}


@dataclass(frozen=True, kw_only=True)
class _Statement:
    allow: bool
    actions: re.Pattern[str]
    not_actions: bool
    resources: re.Pattern[str]
    not_resources: bool
    resource_texts: tuple[str, ...]

    def is_about_action(self, action: str) -> bool:
        return (self.actions.fullmatch(action.lower()) is None) is self.not_actions

    def is_about(self, action: str, resource: str) -> bool:
        about = (self.resources.fullmatch(resource) is None) is self.not_resources
        return about and self.is_about_action(action)


class Policy:
    """A policy document that was read.

    Args:
        document: as JSON has it, with `Statement`.

    Raises:
        BrokerError: it is no policy document.
        NotSupported: it has a `Condition`, which is not evaluated.
    """

    def __init__(self, document: Mapping[str, object]) -> None:
        statements = document.get("Statement")
        if isinstance(statements, Mapping):
            statements = [statements]
        if not isinstance(statements, Sequence) or isinstance(statements, str) or not statements:
            raise _wrong("it has no Statement")
        self._statements = [_statement(each) for each in statements]

    def allows(self, action: str, resource: str) -> bool:
        """Whether an action is allowed.

        Args:
            action: with its service, such as `kafka-cluster:Connect`.
            resource: an ARN.
        """
        effects = [each.allow for each in self._statements if each.is_about(action, resource)]
        return bool(effects) and all(effects)

    def allows_some(self, action: str, under: str) -> bool:
        """Whether a statement allows the action on something below an ARN, and none denies it there altogether.

        Args:
            under: the beginning of the resources' ARNs, `arn:aws:kafka:us-east-1:123456789012:topic/name/uuid/`.
        """
        # Something below the ARN fits a pattern with wildcards when the pattern, up to where a wildcard stands, does.
        for each in self._statements:
            if each.allow and each.is_about_action(action):
                if each.not_resources:
                    return self.allows(action, f"{under}\0") or not self._denies_all(action, under)
                for text in each.resource_texts:
                    if _reaches(text, under) and not self._denies_all(action, under):
                        return True
        return False

    def _denies_all(self, action: str, under: str) -> bool:
        return any(not each.allow and each.is_about(action, f"{under}\0") for each in self._statements)


class IamAuthorizer:
    """What a policy lets an IAM identity do in a cluster.

    Args:
        policy: None allows everything.
        cluster_arn: the cluster's.
    """

    def __init__(self, policy: Policy | None, *, cluster_arn: str) -> None:
        self._policy = policy
        self._cluster_arn = cluster_arn
        self._account, _, name_and_id = cluster_arn.partition(":cluster/")
        self._name_and_id = name_and_id

    @property
    def allows_everything(self) -> bool:
        """Whether there is no policy to ask."""
        return self._policy is None

    def may_connect(self) -> bool:
        """Whether the identity may connect at all: `kafka-cluster:Connect`."""
        return self._policy is None or self._policy.allows("kafka-cluster:Connect", self._cluster_arn)

    def allows(self, operation: Operation, kind: ResourceType, name: str) -> bool:
        """Whether the identity may do that to the resource."""
        action = _ACTIONS.get((kind, operation))
        if self._policy is None:
            return True
        resource = self._cluster_arn if kind is _CLUSTER else self._under(kind) + name
        return action is not None and self._policy.allows(f"kafka-cluster:{action}", resource)

    def allows_some(self, operation: Operation, kind: ResourceType) -> bool:
        """Whether there may be any resource of that type to which the identity may do that."""
        action = _ACTIONS.get((kind, operation))
        if self._policy is None:
            return True
        return action is not None and self._policy.allows_some(f"kafka-cluster:{action}", self._under(kind))

    def _under(self, kind: ResourceType) -> str:
        return f"{self._account}:{_KINDS.get(kind, 'unknown')}/{self._name_and_id}/"


def _statement(given: object) -> _Statement:
    if not isinstance(given, Mapping):
        raise _wrong(f"a statement is {given!r}, not an object")
    if "Condition" in given:
        raise NotSupported(
            "The policy has a Condition, and conditions are not evaluated: leave it out of the policy that the test "
            "gives, and choose the keys so that it would hold."
        )
    if unknown := given.keys() - _ELEMENTS:
        raise _wrong(f"a statement has {min(map(str, unknown))!r}; it takes {', '.join(sorted(_ELEMENTS))}")
    if given.get("Effect") not in ("Allow", "Deny"):
        raise _wrong(f"a statement's Effect is {given.get('Effect')!r}, not 'Allow' or 'Deny'")
    actions, not_actions = _either(given, "Action")
    resources, not_resources = _either(given, "Resource")
    for action in actions:
        if action != "*" and ":" not in action:
            raise _wrong(f"the action {action!r} names no service: write it as in 'kafka-cluster:Connect'")
    for resource in resources:
        if resource != "*" and not resource.startswith("arn:"):
            raise _wrong(f"the resource {resource!r} is neither an ARN nor '*'")
    return _Statement(
        allow=given["Effect"] == "Allow",
        actions=_compiled(action.lower() for action in actions),
        not_actions=not_actions,
        resources=_compiled(resources),
        not_resources=not_resources,
        resource_texts=tuple(resources),
    )


def _either(statement: Mapping[object, object], name: str) -> tuple[list[str], bool]:
    """The texts of `Action` or of `NotAction`, and whether it is the second."""
    found = [key for key in (name, f"Not{name}") if key in statement]
    if len(found) != 1:
        raise _wrong(f"a statement needs one of {name} and Not{name}, and has {len(found)} of them")
    given = statement[found[0]]
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
        raise _wrong(f"a statement's {found[0]} is {given!r}, not a text or a list of texts")
    return list(texts), found[0] != name


def _compiled(texts: Sequence[str] | object) -> re.Pattern[str]:
    assert not isinstance(texts, str)
    return re.compile("|".join(_expression(text) for text in texts), re.DOTALL)  # type: ignore[attr-defined]


def _expression(text: str) -> str:
    return "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in text)


def _reaches(text: str, under: str) -> bool:
    """Whether a pattern fits anything that begins with `under`."""
    for at in range(len(text) + 1):
        if re.fullmatch(_expression(text[:at]), under, re.DOTALL) and (at < len(text) or text.endswith("*")):
            return True
    return False


def _wrong(reason: str) -> BrokerError:
    return BrokerError(f"This is no IAM policy document: {reason}.")
