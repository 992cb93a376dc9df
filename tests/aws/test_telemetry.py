"""What CloudWatch knows of a mapping that boto3 has made: metrics by minutes of the clock, and system logs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import boto3
import pytest

from pytest_msk import MskError

PROVISIONED = {"ProvisionedPollerConfig": {"MinimumPollers": 1, "MaximumPollers": 1}}
EVERYTHING = {"MetricsConfig": {"Metrics": ["EventCount", "ErrorCount", "KafkaMetrics"]}}


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
    status, kafka = read_logs(esm)
    assert (status["eventType"], status["logLevel"]) == ("POLLER_STATUS_EVENT", "INFO")
    assert status["resourceArn"] == made["EventSourceMappingArn"]
    assert status["kafkaEventSourceConnection"]["assignedPartitions"] == [f"{topic}-0", f"{topic}-1"]
    assert status["kafkaEventSourceConnection"]["brokerEndpoints"] == msk_broker.bootstrap_servers.split(",")
    assert (kafka["eventType"], kafka["timestamp"] % 60_000) == ("KAFKA_STATUS_EVENT", 0)
    assert [row["committedOffset"] for row in kafka["kafkaPartitionOffsets"]] == [2, 2]
    assert len(read_logs(esm)) == 2, "nothing is written twice"


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
