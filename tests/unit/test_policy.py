"""IAM policies: what a document allows, held to a slow reading of its statements, and what is no document."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.brokers.embedded.security.access import Operation, ResourceType
from pytest_msk.brokers.embedded.security.policy import IamAuthorizer, Policy
from pytest_msk.errors import BrokerError, NotSupported

CLUSTER = "arn:aws:kafka:us-east-1:123456789012:cluster/shop/uuid-1"
TOPICS = "arn:aws:kafka:us-east-1:123456789012:topic/shop/uuid-1/"
GROUPS = "arn:aws:kafka:us-east-1:123456789012:group/shop/uuid-1/"


def statement(effect, actions, resources):
    return {"Effect": effect, "Action": actions, "Resource": resources}


def policy(*statements):
    return Policy({"Version": "2012-10-17", "Statement": list(statements)})


def authorizer(*statements):
    return IamAuthorizer(policy(*statements), cluster_arn=CLUSTER)


ACTIONS = ("kafka-cluster:Connect", "kafka-cluster:ReadData", "kafka-cluster:WriteData")
ACTION_PATTERNS = ("*", "kafka-cluster:*", "kafka-cluster:*Data", "kafka-cluster:?eadData", "KAFKA-cluster:writedata")
RESOURCES = (CLUSTER, f"{TOPICS}orders", f"{TOPICS}refunds", f"{GROUPS}orders")
RESOURCE_PATTERNS = ("*", "arn:aws:kafka:*", f"{TOPICS}*", f"{TOPICS}orders", f"{TOPICS}?rder?", "arn:*:group/*/orders")

statements = st.builds(
    lambda effect, action_key, actions, resource_key, resources: {
        "Effect": effect,
        action_key: actions,
        resource_key: resources,
    },
    effect=st.sampled_from(["Allow", "Deny"]),
    action_key=st.sampled_from(["Action", "NotAction"]),
    actions=st.lists(st.sampled_from(ACTIONS + ACTION_PATTERNS), min_size=1, max_size=3),
    resource_key=st.sampled_from(["Resource", "NotResource"]),
    resources=st.lists(st.sampled_from(RESOURCES + RESOURCE_PATTERNS), min_size=1, max_size=3),
)


def slow_verdict(document, action, resource):
    verdicts = []
    for each in document:
        actions = [a.lower() for a in each.get("Action", each.get("NotAction"))]
        about = any(fnmatch.fnmatchcase(action.lower(), pattern) for pattern in actions) is ("Action" in each)
        resources = each.get("Resource", each.get("NotResource"))
        on = any(fnmatch.fnmatchcase(resource, pattern) for pattern in resources) is ("Resource" in each)
        if about and on:
            verdicts.append(each["Effect"])
    return "Allow" in verdicts and "Deny" not in verdicts


@given(
    document=st.lists(statements, min_size=1, max_size=4),
    action=st.sampled_from(ACTIONS),
    resource=st.sampled_from(RESOURCES),
)
def test_the_verdict_is_that_of_the_statements(document, action, resource):
    assert Policy({"Statement": document}).allows(action, resource) is slow_verdict(document, action, resource)


@given(document=st.lists(statements, min_size=1, max_size=4), topic=st.text("orders-0", min_size=1, max_size=8))
def test_a_topic_that_may_be_written_is_some_topic(document, topic):
    one = IamAuthorizer(Policy({"Statement": document}), cluster_arn=CLUSTER)
    if one.allows(Operation.WRITE, ResourceType.TOPIC, topic):
        assert one.allows_some(Operation.WRITE, ResourceType.TOPIC)


@pytest.mark.parametrize(
    ("resource", "some"),
    [
        ("*", True),
        (f"{TOPICS}*", True),
        (f"{TOPICS}orders", True),
        ("arn:aws:kafka:*:*:topic/*", True),
        ("arn:aws:kafka:us-east-1:123456789012:topic/shop/*/orders", True),
        (TOPICS, False),
        (f"{GROUPS}*", False),
        (CLUSTER, False),
        ("arn:aws:kafka:eu-west-1:123456789012:topic/shop/*", False),
        ("arn:aws:kafka:us-east-1:123456789012:topic/other/*", False),
    ],
)
def test_whether_there_may_be_something_to_write(resource, some):
    one = authorizer(statement("Allow", "kafka-cluster:WriteData", resource))
    assert one.allows_some(Operation.WRITE, ResourceType.TOPIC) is some
    denied = authorizer(
        statement("Allow", "kafka-cluster:WriteData", resource), statement("Deny", "kafka-cluster:*", "*")
    )
    assert not denied.allows_some(Operation.WRITE, ResourceType.TOPIC)


@pytest.mark.parametrize(
    ("action", "operation", "kind", "name", "resource"),
    [
        ("DescribeCluster", Operation.DESCRIBE, ResourceType.CLUSTER, "kafka-cluster", CLUSTER),
        ("AlterCluster", Operation.ALTER, ResourceType.CLUSTER, "kafka-cluster", CLUSTER),
        ("WriteDataIdempotently", Operation.IDEMPOTENT_WRITE, ResourceType.CLUSTER, "kafka-cluster", CLUSTER),
        (
            "DescribeClusterDynamicConfiguration",
            Operation.DESCRIBE_CONFIGS,
            ResourceType.CLUSTER,
            "kafka-cluster",
            CLUSTER,
        ),
        ("CreateTopic", Operation.CREATE, ResourceType.TOPIC, "orders", f"{TOPICS}orders"),
        ("DescribeTopic", Operation.DESCRIBE, ResourceType.TOPIC, "orders", f"{TOPICS}orders"),
        ("AlterTopic", Operation.ALTER, ResourceType.TOPIC, "orders", f"{TOPICS}orders"),
        ("DeleteTopic", Operation.DELETE, ResourceType.TOPIC, "orders", f"{TOPICS}orders"),
        ("ReadData", Operation.READ, ResourceType.TOPIC, "orders", f"{TOPICS}orders"),
        ("WriteData", Operation.WRITE, ResourceType.TOPIC, "orders", f"{TOPICS}orders"),
        (
            "AlterTopicDynamicConfiguration",
            Operation.ALTER_CONFIGS,
            ResourceType.TOPIC,
            "orders",
            f"{TOPICS}orders",
        ),
        ("AlterGroup", Operation.READ, ResourceType.GROUP, "g", f"{GROUPS}g"),
        ("DescribeGroup", Operation.DESCRIBE, ResourceType.GROUP, "g", f"{GROUPS}g"),
        ("DeleteGroup", Operation.DELETE, ResourceType.GROUP, "g", f"{GROUPS}g"),
        (
            "AlterTransactionalId",
            Operation.WRITE,
            ResourceType.TRANSACTIONAL_ID,
            "x",
            "arn:aws:kafka:us-east-1:123456789012:transactional-id/shop/uuid-1/x",
        ),
    ],
)
def test_each_operation_has_its_action(action, operation, kind, name, resource):
    assert authorizer(statement("Allow", f"kafka-cluster:{action}", resource)).allows(operation, kind, name)
    others = authorizer({"Effect": "Allow", "NotAction": f"kafka-cluster:{action}", "Resource": "*"})
    assert not others.allows(operation, kind, name)


def test_nothing_is_brought_along():
    # Unlike an ACL's: MSK's documentation lists DescribeTopic beside ReadData.
    one = authorizer(statement("Allow", "kafka-cluster:ReadData", "*"))
    assert not one.allows(Operation.DESCRIBE, ResourceType.TOPIC, "orders")


def test_what_has_no_action_is_not_allowed():
    one = authorizer(statement("Allow", "*", "*"))
    assert not one.allows(Operation.CLUSTER_ACTION, ResourceType.CLUSTER, "kafka-cluster")
    assert not one.allows(Operation.CREATE, ResourceType.CLUSTER, "kafka-cluster"), "topics are created one by one"


def test_without_a_policy_everything_is_allowed():
    one = IamAuthorizer(None, cluster_arn=CLUSTER)
    assert one.allows_everything
    assert one.may_connect()
    assert one.allows(Operation.CLUSTER_ACTION, ResourceType.CLUSTER, "kafka-cluster")
    assert one.allows_some(Operation.WRITE, ResourceType.TOPIC)


@pytest.mark.parametrize(
    ("resource", "may"), [("*", True), (CLUSTER, True), (f"{TOPICS}*", False), (CLUSTER.replace("shop", "x"), False)]
)
def test_who_may_connect(resource, may):
    assert authorizer(statement("Allow", "kafka-cluster:Connect", resource)).may_connect() is may


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "it has no Statement"),
        ({"Statement": []}, "it has no Statement"),
        ({"Statement": "Allow"}, "it has no Statement"),
        ({"Statement": ["Allow"]}, "a statement is 'Allow', not an object"),
        ({"Statement": {"Effect": "allow", "Action": "*", "Resource": "*"}}, "a statement's Effect is 'allow'"),
        ({"Statement": {"Effect": "Allow", "Resource": "*"}}, "needs one of Action and NotAction, and has 0"),
        (
            {"Statement": {"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}},
            "needs one of Action and NotAction, and has 2",
        ),
        ({"Statement": {"Effect": "Allow", "Action": "*"}}, "needs one of Resource and NotResource"),
        ({"Statement": {"Effect": "Allow", "Action": [], "Resource": "*"}}, "not a text or a list of texts"),
        ({"Statement": {"Effect": "Allow", "Action": [1], "Resource": "*"}}, "not a text or a list of texts"),
        ({"Statement": {"Effect": "Allow", "Action": "ReadData", "Resource": "*"}}, "'ReadData' names no service"),
        ({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "orders"}}, "'orders' is neither an ARN nor"),
        ({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}}, "has 'Principal'"),
    ],
)
def test_what_is_no_policy_document_is_refused(document, reason):
    with pytest.raises(BrokerError, match=r"^This is no IAM policy document: ") as raised:
        Policy(document)
    assert reason in str(raised.value)


def test_a_condition_is_refused_since_it_is_not_evaluated():
    with pytest.raises(NotSupported, match="conditions are not evaluated"):
        policy({**statement("Allow", "*", "*"), "Condition": {"Bool": {"aws:SecureTransport": "true"}}})


def test_one_statement_needs_no_list():
    assert Policy({"Statement": statement("Allow", "*", "*")}).allows("kafka-cluster:Connect", CLUSTER)
