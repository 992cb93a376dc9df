"""The MSK API under moto: what boto3 is told of a cluster, and what is left to moto."""

from __future__ import annotations

import boto3
import botocore.exceptions
import confluent_kafka
import moto
import pytest

UNKNOWN = "arn:aws:kafka:us-east-1:123456789012:cluster/none/0d9f5dcb-6b8c-4a27-9d57-1d2f1a4d2d0b-2"


def code(raised):
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def test_a_cluster_is_described_as_msk_does(msk_cluster, kafka):
    cluster = msk_cluster("orders", kafka_version="3.8.x", tags={"team": "blue"})
    info = kafka.describe_cluster(ClusterArn=cluster.arn)["ClusterInfo"]
    assert info["ClusterName"] == "orders"
    assert info["ClusterArn"] == cluster.arn
    assert info["State"] == "ACTIVE"
    assert info["Tags"] == {"team": "blue"}
    assert info["CreationTime"].tzinfo is not None
    assert info["CurrentBrokerSoftwareInfo"] == {"KafkaVersion": "3.8.x"}
    assert info["ClientAuthentication"]["Unauthenticated"] == {"Enabled": True}
    assert info["EncryptionInfo"]["EncryptionInTransit"] == {"ClientBroker": "PLAINTEXT", "InCluster": True}
    v2 = kafka.describe_cluster_v2(ClusterArn=cluster.arn)["ClusterInfo"]
    assert (v2["ClusterType"], v2["State"], v2["Provisioned"]["NumberOfBrokerNodes"]) == ("PROVISIONED", "ACTIVE", 1)


def test_a_serverless_cluster_has_iam_alone(msk_cluster, kafka):
    cluster = msk_cluster("orders", serverless=True)
    assert cluster.arn.endswith("-s1")
    info = kafka.describe_cluster_v2(ClusterArn=cluster.arn)["ClusterInfo"]
    assert info["Serverless"]["ClientAuthentication"] == {"Sasl": {"Iam": {"Enabled": True}}}
    assert "Provisioned" not in info
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        kafka.list_nodes(ClusterArn=cluster.arn)
    assert code(raised)[0] == "BadRequestException"
    with pytest.raises(ValueError, match="IAM alone"):
        msk_cluster("other", serverless=True, authentication=["scram"])


def test_an_application_that_asks_for_the_brokers_can_produce(msk_cluster, msk_topic, kafka):
    topic = msk_topic()
    servers = kafka.get_bootstrap_brokers(ClusterArn=msk_cluster().arn)["BootstrapBrokerString"]
    producer = confluent_kafka.Producer({"bootstrap.servers": servers})
    producer.produce(topic.name, b"x")
    assert producer.flush(20) == 0
    assert [record.value for record in topic.records()] == [b"x"]


@pytest.mark.msk(broker="embedded")
@pytest.mark.parametrize(
    ("method", "name"), [("mtls", "Tls"), ("scram", "SaslScram"), ("iam", "SaslIam")], ids=["mtls", "scram", "iam"]
)
def test_the_brokers_are_those_of_each_method_that_is_on(msk_broker, msk_cluster, msk_topic, kafka, method, name):
    topic = msk_topic()
    answer = kafka.get_bootstrap_brokers(ClusterArn=msk_cluster(authentication=[method]).arn)
    servers = answer[f"BootstrapBrokerString{name}"]
    assert [key for key in answer if key.startswith("Bootstrap")] == [f"BootstrapBrokerString{name}"]
    producer = confluent_kafka.Producer(msk_broker.client_config(auth=method, bootstrap_servers=servers))
    producer.produce(topic.name, b"x")
    assert producer.flush(20) == 0
    assert [record.value for record in topic.records()] == [b"x"]


def test_clusters_are_listed_with_those_of_moto(msk_cluster, kafka):
    group = {"InstanceType": "kafka.m5.large", "ClientSubnets": ["subnet-1"]}
    created = kafka.create_cluster(
        ClusterName="made-by-boto3", BrokerNodeGroupInfo=group, KafkaVersion="3.8.x", NumberOfBrokerNodes=3
    )
    mine = msk_cluster("orders")
    msk_cluster("serverless", serverless=True)
    assert [c["ClusterName"] for c in kafka.list_clusters()["ClusterInfoList"]] == ["orders", "made-by-boto3"]
    names = [c["ClusterName"] for c in kafka.list_clusters_v2()["ClusterInfoList"]]
    assert names == ["orders", "serverless", "made-by-boto3"]
    found = kafka.list_clusters_v2(ClusterTypeFilter="SERVERLESS")["ClusterInfoList"]
    assert [c["ClusterName"] for c in found] == ["serverless"]
    found = kafka.list_clusters(ClusterNameFilter="ord")["ClusterInfoList"]
    assert [c["ClusterArn"] for c in found] == [mine.arn]
    assert kafka.describe_cluster(ClusterArn=created["ClusterArn"])["ClusterInfo"]["ClusterName"] == "made-by-boto3"


def test_a_listing_has_pages(msk_cluster, kafka):
    for number in range(5):
        msk_cluster(f"c{number}")
    pages = list(kafka.get_paginator("list_clusters_v2").paginate(PaginationConfig={"PageSize": 2}))
    assert [[c["ClusterName"] for c in page["ClusterInfoList"]] for page in pages] == [
        ["c0", "c1"],
        ["c2", "c3"],
        ["c4"],
    ]
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        kafka.list_clusters_v2(NextToken="?")
    assert code(raised) == ("BadRequestException", "The token isn't valid.")


@pytest.mark.parametrize(
    "operation", ["describe_cluster", "describe_cluster_v2", "get_bootstrap_brokers", "list_nodes"]
)
def test_a_cluster_that_is_not_there_is_not_found(msk_cluster, kafka, operation):
    msk_cluster()
    with pytest.raises(kafka.exceptions.ClientError) as raised:
        getattr(kafka, operation)(ClusterArn=UNKNOWN)
    assert code(raised) == ("NotFoundException", "The requested resource doesn't exist.")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_what_is_no_arn_is_a_bad_request(msk_cluster, kafka):
    msk_cluster()
    with pytest.raises(kafka.exceptions.BadRequestException) as raised:
        kafka.describe_cluster(ClusterArn="orders")
    assert raised.value.response["InvalidParameter"] == "clusterArn"


def test_nodes_are_at_the_brokers_addresses(msk_cluster, msk_broker, kafka):
    cluster = msk_cluster(brokers=3)
    nodes = kafka.list_nodes(ClusterArn=cluster.arn)["NodeInfoList"]
    assert [node["BrokerNodeInfo"]["BrokerId"] for node in nodes] == [1, 2, 3]
    hosts = {address.rpartition(":")[0] for address in msk_broker.bootstrap_servers.split(",")}
    assert {host for node in nodes for host in node["BrokerNodeInfo"]["Endpoints"]} == hosts


def test_scram_secrets_are_associated(msk_cluster, kafka):
    arn = msk_cluster(authentication=["scram"]).arn
    secrets = boto3.client("secretsmanager", region_name="us-east-1")
    good = secrets.create_secret(Name="AmazonMSK_orders", SecretString='{"username": "ship", "password": "p"}')["ARN"]
    bad = "arn:aws:secretsmanager:us-east-1:123456789012:secret:orders-a1b2c3"
    missing = "arn:aws:secretsmanager:us-east-1:123456789012:secret:AmazonMSK_none-a1b2c3"
    empty = secrets.create_secret(Name="AmazonMSK_empty", SecretString="{}")["ARN"]
    answer = kafka.batch_associate_scram_secret(ClusterArn=arn, SecretArnList=[good, bad, missing, empty])
    refused = {each["SecretArn"]: each["ErrorMessage"] for each in answer["UnprocessedScramSecrets"]}
    assert list(refused) == [bad, missing, empty]
    assert "can't find the specified secret" in refused[missing]
    assert "has no username and no password" in refused[empty]
    assert kafka.list_scram_secrets(ClusterArn=arn)["SecretArnList"] == [good]
    assert not kafka.batch_disassociate_scram_secret(ClusterArn=arn, SecretArnList=[good])["UnprocessedScramSecrets"]
    assert kafka.list_scram_secrets(ClusterArn=arn)["SecretArnList"] == []


@pytest.mark.msk(broker="embedded")
def test_the_user_of_a_secret_that_is_associated_is_let_in(msk_broker, msk_cluster, msk_topic, kafka):
    secrets = boto3.client("secretsmanager", region_name="us-east-1")
    secret = secrets.create_secret(Name="AmazonMSK_ship", SecretString='{"username": "ship", "password": "p"}')["ARN"]
    topic = msk_topic()
    kafka.batch_associate_scram_secret(ClusterArn=msk_cluster(authentication=["scram"]).arn, SecretArnList=[secret])
    with msk_broker.producer(auth="scram", sasl_username="ship", sasl_password="p") as producer:
        producer.produce(topic.name, b"x")
        assert producer.flush(20) == 0
    assert [record.value for record in topic.records()] == [b"x"]


@pytest.mark.skipif(
    not hasattr(boto3.client("kafka", region_name="us-east-1"), "list_topics"),
    reason="boto3 is older than the operation",
)
def test_topics_are_listed(msk_cluster, msk_topic, kafka):
    topic = msk_topic(partitions=3)
    arn = msk_cluster().arn
    (found,) = kafka.list_topics(ClusterArn=arn, TopicNameFilter=topic.name)["Topics"]
    assert (found["TopicName"], found["PartitionCount"]) == (topic.name, 3)
    assert kafka.describe_topic(ClusterArn=arn, TopicName=topic.name)["Status"] == "ACTIVE"
    with pytest.raises(kafka.exceptions.NotFoundException):
        kafka.describe_topic(ClusterArn=arn, TopicName="nothing-of-that-name")


def test_tags_are_kept_by_the_cluster(msk_cluster, kafka):
    cluster = msk_cluster(tags={"a": "1"})
    kafka.tag_resource(ResourceArn=cluster.arn, Tags={"b": "2"})
    kafka.untag_resource(ResourceArn=cluster.arn, TagKeys=["a"])
    assert kafka.list_tags_for_resource(ResourceArn=cluster.arn)["Tags"] == {"b": "2"} == cluster.tags


def test_a_cluster_belongs_to_one_region_and_account(msk_cluster, kafka, monkeypatch):
    here = msk_cluster("here")
    there = msk_cluster("there", region="eu-west-1")
    other = msk_cluster("other", account_id="111122223333")
    assert [c["ClusterArn"] for c in kafka.list_clusters()["ClusterInfoList"]] == [here.arn]
    europe = boto3.client("kafka", region_name="eu-west-1")
    assert [c["ClusterArn"] for c in europe.list_clusters()["ClusterInfoList"]] == [there.arn]
    with pytest.raises(kafka.exceptions.NotFoundException):
        kafka.describe_cluster(ClusterArn=there.arn)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "111122223333")
    assert [c["ClusterArn"] for c in kafka.list_clusters()["ClusterInfoList"]] == [other.arn]


def test_clients_made_before_the_fixture_and_moto_started_after_it_are_served(request):
    secret = {"aws_access_key_id": "early", "aws_secret_access_key": "early"}
    early = boto3.client("kafka", region_name="us-east-1", **secret)
    clusters = request.getfixturevalue("msk_cluster")
    arn = clusters().arn
    with moto.mock_aws():
        assert early.describe_cluster(ClusterArn=arn)["ClusterInfo"]["ClusterArn"] == arn


def test_moto_is_left_as_it_was(request, kafka):
    from moto.core.botocore_stubber import BotocoreStubber

    from pytest_msk.aws import MskClusters

    before = BotocoreStubber.__call__
    clusters = MskClusters(request.getfixturevalue("_msk_sandbox"))
    clusters("orders")
    assert BotocoreStubber.__call__ is not before
    clusters.close()
    assert BotocoreStubber.__call__ is before
    assert kafka.list_clusters()["ClusterInfoList"] == []


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ({"name": "no name"}, "1 to 64 letters"),
        ({"account_id": "12"}, "12 digits"),
        ({"authentication": ["kerberos"]}, "unauthenticated, mtls, scram, iam"),
        ({"authentication": []}, "at least one of"),
    ],
)
def test_what_msk_would_not_take_is_refused(msk_cluster, argument, text):
    with pytest.raises(ValueError, match=text):
        msk_cluster(**argument)


def test_two_clusters_of_a_region_have_different_names(msk_cluster):
    msk_cluster("orders")
    msk_cluster("orders", region="eu-west-1")
    with pytest.raises(ValueError, match="already"):
        msk_cluster("orders")


def test_each_method_has_the_addresses_of_its_listener(msk_cluster, msk_broker, kafka):
    cluster = msk_cluster(authentication=["unauthenticated", "mtls", "scram"])
    found = kafka.get_bootstrap_brokers(ClusterArn=cluster.arn)
    found.pop("ResponseMetadata")
    assert found == {
        "BootstrapBrokerString": msk_broker.bootstrap_servers,
        "BootstrapBrokerStringTls": msk_broker.bootstrap_servers_for("mtls"),
        "BootstrapBrokerStringSaslScram": msk_broker.bootstrap_servers_for("scram"),
    }
    info = kafka.describe_cluster(ClusterArn=cluster.arn)["ClusterInfo"]
    assert info["EncryptionInfo"]["EncryptionInTransit"]["ClientBroker"] == "TLS_PLAINTEXT"
    assert info["ClientAuthentication"]["Sasl"] == {"Scram": {"Enabled": True}, "Iam": {"Enabled": False}}
