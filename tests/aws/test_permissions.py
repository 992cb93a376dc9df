"""What the execution role lacks shows as on AWS, where a cluster asks for it (spec 8.4, 10)."""

from __future__ import annotations

import json

import boto3
import pytest
from deployment import package

from pytest_msk import BrokerError

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
MSK = ["kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers"]
NETWORK = ["ec2:*"]
IAM = [
    "kafka-cluster:Connect",
    "kafka-cluster:DescribeTopic",
    "kafka-cluster:ReadData",
    "kafka-cluster:AlterGroup",
    "kafka-cluster:DescribeGroup",
]


@pytest.fixture
def iam(aws):
    return boto3.client("iam", region_name="us-east-1")


@pytest.fixture
def deploy(iam, msk_cluster, msk_topic):
    """Creates a mapping whose function's role may do what is given."""
    functions = boto3.client("lambda", region_name="us-east-1")

    def create(*actions, trust=TRUST, authentication=("unauthenticated",), **settings):
        arn = iam.create_role(RoleName="charging", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        allow(iam, *actions)
        functions.create_function(
            FunctionName="charge", Runtime="python3.12", Role=arn, Handler="a.b", Code={"ZipFile": package(a="")}
        )
        msk_cluster.bind("charge", lambda event, context: None)
        topic = msk_topic()
        topic.produce("x")
        cluster = msk_cluster("orders", permissions=True, authentication=authentication)
        return functions.create_event_source_mapping(
            FunctionName="charge", EventSourceArn=cluster.arn, Topics=[topic.name], **settings
        )

    create.functions = functions
    return create


def allow(iam, *actions):
    statement = {"Effect": "Allow", "Action": list(actions) or ["none:None"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="charging", PolicyName="inline", PolicyDocument=document)


def refusal(deploy, *actions, **settings):
    with pytest.raises(deploy.functions.exceptions.InvalidParameterValueException) as raised:
        deploy(*actions, **settings)
    return raised.value.response["Error"]["Message"]


def test_a_role_with_all_that_is_needed(deploy, msk_cluster):
    esm = msk_cluster.mapping(deploy(*MSK, *NETWORK)["UUID"])
    esm.drain()
    assert esm.last_processing_result == "OK"


def test_a_managed_policy_counts_too(deploy, iam, msk_cluster):
    statement = {"Effect": "Allow", "Action": [*MSK, *NETWORK], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    arn = iam.create_policy(PolicyName="msk", PolicyDocument=document)["Policy"]["Arn"]
    assert refusal(deploy).startswith("Cannot access cluster")
    iam.attach_role_policy(RoleName="charging", PolicyArn=arn)
    cluster = next(iter(msk_cluster._clusters.values()))
    asked = {"FunctionName": "charge", "EventSourceArn": cluster.arn, "Topics": ["orders"]}
    assert deploy.functions.create_event_source_mapping(**asked)["State"] == "Creating"


@pytest.mark.parametrize(
    ("actions", "settings", "text"),
    [
        (NETWORK, {}, "Cannot access cluster "),
        ([*NETWORK, "kafka:DescribeClusterV2"], {}, "Cannot access cluster "),
        (
            MSK,
            {},
            "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
        ),
        (
            [*MSK, *NETWORK],
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:q"}}},
            "The provided execution role does not have permissions to call SendMessage on SQS",
        ),
        (
            [*MSK, *NETWORK],
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}},
            "The provided execution role does not have permissions to call PutObject on S3",
        ),
        (
            [*MSK, *NETWORK],
            {
                "SourceAccessConfigurations": [
                    {
                        "Type": "SASL_SCRAM_512_AUTH",
                        "URI": "arn:aws:secretsmanager:us-east-1:123456789012:secret:AmazonMSK_o-a1b2c3",
                    }
                ]
            },
            "The provided execution role does not have permissions to call GetSecretValue on Secrets Manager",
        ),
    ],
)
def test_what_is_missing_is_told_when_the_mapping_is_made(deploy, actions, settings, text):
    assert refusal(deploy, *actions, **settings).startswith(text)


def test_provisioned_pollers_need_no_network_interfaces(deploy):
    assert deploy(*MSK, ProvisionedPollerConfig={"MinimumPollers": 1})["State"] == "Creating"


def test_a_role_that_lambda_cannot_assume(deploy, msk_cluster):
    esm = msk_cluster.mapping(deploy(*MSK, *NETWORK, trust={"Statement": []})["UUID"])
    with pytest.raises(BrokerError, match="cannot assume the role 'charging'"):
        esm.drain()
    assert esm.last_processing_result.startswith("PROBLEM: Lambda failed to assume your function execution role.")


@pytest.mark.msk(broker="embedded")
@pytest.mark.parametrize(
    ("missing", "result"),
    [
        ("kafka-cluster:Connect", "PROBLEM: SASL authentication failed."),
        ("kafka-cluster:ReadData", "PROBLEM: Cluster failed to authorize Lambda."),
        ("kafka-cluster:AlterGroup", "PROBLEM: Cluster failed to authorize Lambda."),
    ],
)
def test_what_iam_access_needs_is_told_by_the_result_until_it_is_mended(deploy, iam, msk_cluster, missing, result):
    some = [action for action in IAM if action != missing]
    esm = msk_cluster.mapping(deploy(*MSK, *NETWORK, *some, authentication=["iam"])["UUID"])
    with pytest.raises(BrokerError, match=missing):
        esm.drain()
    assert esm.last_processing_result == result
    assert esm.state == "Disabled"
    allow(iam, *MSK, *NETWORK, *IAM)
    esm.enable()
    esm.drain()
    assert esm.last_processing_result == "OK"
