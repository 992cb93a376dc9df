"""What CloudWatch knows of a mapping that boto3 has made: metrics by minutes of the clock, and system logs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import boto3
import pytest

from pytest_msk import BrokerError, DeliveryBlocked, LambdaFunction, MskError

PROVISIONED = {"ProvisionedPollerConfig": {"MinimumPollers": 1, "MaximumPollers": 1}}
REPORT = ["ReportBatchItemFailures"]
EVERYTHING = {"MetricsConfig": {"Metrics": ["EventCount", "ErrorCount", "KafkaMetrics"]}}


@pytest.fixture(autouse=True)
def a_new_minute(msk_clock):
    """The clock begins with a minute: what is told by minutes does not depend on when a test is run."""
    msk_clock.advance((60_000 - msk_clock.now_ms() % 60_000) / 1000)


@pytest.fixture
def cloudwatch(aws):
    return boto3.client("cloudwatch", region_name="us-east-1")


@pytest.fixture
def sums(cloudwatch, msk_clock):
    """`sums(name, **dimension)`: a metric's sums by minute."""

    def read(name, **dimension):
        now = datetime.fromtimestamp(msk_clock.now_ms() / 1000, timezone.utc)
        ((key, value),) = dimension.items()
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value}],
            StartTime=now - timedelta(days=1),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return [point["Sum"] for point in sorted(found, key=lambda point: point["Timestamp"])]

    return read


@pytest.mark.msk(clock="2026-01-01T12:00:00Z")
def test_metrics_are_counted_by_minutes(msk_topic, msk_cluster, msk_clock, deploy, sums):
    topic = msk_topic()
    made = deploy(topic, BatchSize=10, **PROVISIONED, **EVERYTHING)
    esm = msk_cluster.mapping(made["UUID"])
    topic.produce_many(range(20))
    esm.drain()
    msk_clock.advance(120)
    topic.produce_many(range(5))
    esm.drain()
    assert sums("PolledEventCount", EventSourceMappingUUID=esm.uuid) == [20, 5]
    assert sums("CommittedEventCount", EventSourceMappingUUID=esm.uuid) == [20, 5]
    assert sums("Invocations", FunctionName="charge") == [2, 1]
    assert sums("Errors", FunctionName="charge") == []
    assert sums("PolledEventCount", EventSourceMappingUUID=esm.uuid) == [20, 5], "nothing is sent twice"


def test_a_lag_is_sent_once_in_a_minute_and_not_while_the_mapping_is_disabled(
    msk_topic, msk_cluster, msk_clock, deploy, sums
):
    topic = msk_topic()
    esm = msk_cluster.mapping(deploy(topic)["UUID"])
    topic.produce_many(range(3))
    assert [sums("OffsetLag", FunctionName="charge") for _ in range(3)] == [[3]] * 3
    esm.disable()
    msk_clock.advance(60)
    assert sums("OffsetLag", FunctionName="charge") == [3]


def test_only_the_groups_that_are_asked_for_are_sent(msk_topic, msk_cluster, deploy, sums, cloudwatch):
    topic = msk_topic()
    esm = msk_cluster.mapping(deploy(topic)["UUID"])
    topic.produce_many(range(3))
    assert sums("OffsetLag", FunctionName="charge") == [3]
    esm.drain()
    assert sums("PolledEventCount", EventSourceMappingUUID=esm.uuid) == []
    assert sums("Invocations", FunctionName="charge") == [1]
    names = {metric["MetricName"] for metric in cloudwatch.list_metrics(Namespace="AWS/Lambda")["Metrics"]}
    assert names == {"Invocations", "OffsetLag"}


def read_logs(esm):
    logs = boto3.client("logs", region_name="us-east-1")
    streams = logs.describe_log_streams(logGroupName="/aws/lambda/charge")["logStreams"]
    found = []
    for stream in streams:
        name = stream["logStreamName"]
        assert name.endswith(f"/{esm.uuid}")
        events = logs.get_log_events(logGroupName="/aws/lambda/charge", logStreamName=name, startFromHead=True)
        found += [json.loads(event["message"]) for event in events["events"]]
    return found


def test_system_logs_say_what_the_poller_does(msk_topic, msk_cluster, msk_clock, msk_broker, deploy):
    topic = msk_topic(partitions=2)
    made = deploy(topic, **PROVISIONED, LoggingConfig={"SystemLogLevel": "DEBUG"})
    assert made["LoggingConfig"] == {"SystemLogLevel": "DEBUG"}
    esm = msk_cluster.mapping(made["UUID"])
    topic.produce_many(range(4))
    esm.drain()
    msk_clock.advance(120)
    topic.produce("x")
    esm.drain()
    status, kafka, second = read_logs(esm)
    assert second["timestamp"] - kafka["timestamp"] == 60_000, "every minute, be there something to tell or not"
    assert (status["eventType"], status["logLevel"]) == ("POLLER_STATUS_EVENT", "INFO")
    assert status["resourceArn"] == made["EventSourceMappingArn"]
    assert status["kafkaEventSourceConnection"]["assignedPartitions"] == [f"{topic}-0", f"{topic}-1"]
    assert status["kafkaEventSourceConnection"]["brokerEndpoints"] == msk_broker.bootstrap_servers.split(",")
    assert (kafka["eventType"], kafka["timestamp"] % 60_000) == ("KAFKA_STATUS_EVENT", 0)
    assert status["kafkaEventSourceConnection"]["securityProtocol"] == "PLAINTEXT"
    assert status["kafkaEventSourceConnection"]["totalPartitionCount"] == 2
    assert [(row["processedOffset"], row["committedOffset"]) for row in kafka["kafkaPartitionOffsets"]] == [(1, 2)] * 2
    assert len(read_logs(esm)) == 3, "nothing is written twice"
    msk_clock.advance(60)
    assert [line["eventType"] for line in read_logs(esm)[3:]] == ["KAFKA_STATUS_EVENT"]


def test_offsets_that_are_not_processed_yet_are_not_said_to_be(msk_topic, msk_cluster, msk_clock, deploy):
    topic = msk_topic()
    made = deploy(topic, **PROVISIONED, LoggingConfig={"SystemLogLevel": "DEBUG"}, FunctionResponseTypes=REPORT)
    esm = msk_cluster.mapping(made["UUID"])
    topic.produce_many(range(4))
    failed = [{"itemIdentifier": {"partition": f"{topic}-0", "offset": 2}}]
    esm.update(function=LambdaFunction(lambda event, context: {"batchItemFailures": failed}, name="charge"))
    with pytest.raises(DeliveryBlocked):
        esm.drain(max_attempts=2)
    msk_clock.advance(60)
    (row,) = read_logs(esm)[-1]["kafkaPartitionOffsets"]
    del row["partition"]
    assert row == {"endOffset": 4, "consumedOffset": 3, "processedOffset": 1, "committedOffset": 2}


def test_a_poller_that_cannot_connect_names_the_clients_exception(msk_topic, msk_cluster, functions, function):
    topic, cluster = msk_topic(), msk_cluster("secured", authentication=["scram"])
    function()
    secret = boto3.client("secretsmanager", region_name="us-east-1").create_secret(
        Name="AmazonMSK_orders", SecretString=json.dumps({"username": "alice", "password": "wrong"})
    )["ARN"]
    made = functions.create_event_source_mapping(
        FunctionName="charge",
        EventSourceArn=cluster.arn,
        Topics=[topic.name],
        SourceAccessConfigurations=[{"Type": "SASL_SCRAM_512_AUTH", "URI": secret}],
        LoggingConfig={"SystemLogLevel": "WARN"},
        **PROVISIONED,
    )
    esm = msk_cluster.mapping(made["UUID"])
    with pytest.raises(BrokerError):
        esm.drain()
    (line,) = read_logs(esm)
    assert line["error"]["errorCode"] == "org.apache.kafka.common.errors.SaslAuthenticationException"


@pytest.mark.msk(clock="2020-01-01T12:00:00Z")
def test_logs_that_cloudwatch_refuses_are_not_lost_in_silence(msk_topic, msk_cluster, deploy):
    topic = msk_topic()
    made = deploy(topic, **PROVISIONED, LoggingConfig={"SystemLogLevel": "INFO"})
    topic.produce("x")
    msk_cluster.mapping(made["UUID"]).drain()
    with pytest.raises(MskError, match="older than 14 days"):
        boto3.client("logs", region_name="us-east-1").describe_log_groups()


def test_a_level_leaves_out_what_is_below_it(msk_topic, msk_cluster, deploy):
    topic = msk_topic()
    made = deploy(topic, **PROVISIONED, LoggingConfig={"SystemLogLevel": "WARN"})
    topic.produce("x")
    msk_cluster.mapping(made["UUID"]).drain()
    logs = boto3.client("logs", region_name="us-east-1")
    assert logs.describe_log_groups()["logGroups"] == []
