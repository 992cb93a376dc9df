"""Records that a mapping gives up, on their way to its on-failure destination (spec 4.6, 4.7)."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

from pytest_msk import DestinationFailed, MskError, SentToDestination, assert_at_least_once, decode

REGION = "us-east-1"
QUEUE = f"arn:aws:sqs:{REGION}:123456789012:dead-letters"


def refuse(event, context):
    raise ValueError("no")


def to(destination: str, **more) -> dict[str, object]:
    """A mapping's parameters: no retries, no wait."""
    return {
        "destination_config": {"OnFailure": {"Destination": destination}},
        "provisioned_poller_config": {"MinimumPollers": 1},
        "maximum_retry_attempts": 0,
        "maximum_batching_window_in_seconds": 0,
    } | more


@pytest.fixture
def queue():
    """Reads the bodies of a queue's messages."""
    with mock_aws():
        sqs = boto3.client("sqs", region_name=REGION)
        url = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
        yield lambda: [
            json.loads(message["Body"])
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        ]


def test_a_queue_is_told_of_each_batch(msk_topic, msk_esm, msk_broker, queue):
    topic = msk_topic(partitions=2)
    topic.produce_many(range(4), partition=1)
    esm = msk_esm(refuse, topic, **to(QUEUE, batch_size=3, maximum_retry_attempts=2))
    esm.drain()
    first, second = sorted(queue(), key=lambda body: -body["KafkaBatchInfo"]["batchSize"])
    assert first["requestContext"] == {
        "requestId": esm.function.invocations[2].request_id,
        "functionArn": esm.function.arn,
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 3,
    }
    assert first["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert first["KafkaBatchInfo"]["bootstrapServers"] == msk_broker.bootstrap_servers
    assert first["KafkaBatchInfo"]["eventSourceArn"] == esm.config.event_source_arn
    info = first["KafkaBatchInfo"]["recordsInfo"][f"{topic.name}-1"]
    assert (info["firstRecordOffset"], info["lastRecordOffset"]) == ("0", "2")
    assert second["KafkaBatchInfo"]["recordsInfo"][f"{topic.name}-1"]["firstRecordOffset"] == "3"
    assert esm.metrics.on_failure_destination_delivered_event_count == 4
    assert esm.metrics.dropped_event_count == esm.metrics.offset_lag == 0
    assert [event.destination for event in esm.journal.of(SentToDestination)] == [QUEUE] * 2


def test_on_demand_has_ten_retries_before_the_destination(msk_topic, msk_esm, queue):
    topic = msk_topic()
    topic.produce("x")
    destination = {"OnFailure": {"Destination": QUEUE}}
    esm = msk_esm(refuse, topic, destination_config=destination, maximum_batching_window_in_seconds=0)
    esm.drain()
    (body,) = queue()
    assert body["requestContext"]["approximateInvokeCount"] == esm.metrics.invocations == 11


def test_a_bucket_gets_the_whole_event(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce("x", key="k")
    with mock_aws():
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket="dead-letters")
        esm = msk_esm(refuse, topic, **to("arn:aws:s3:::dead-letters"))
        esm.drain()
        (found,) = s3.list_objects_v2(Bucket="dead-letters")["Contents"]
        body = json.loads(s3.get_object(Bucket="dead-letters", Key=found["Key"])["Body"].read())
    assert found["Key"].startswith(f"aws/lambda/{esm.uuid}/{topic.name}-0/")
    assert decode(json.loads(body["payload"])) == tuple(topic.records())


def test_an_sns_topic_tells_its_subscribers(msk_topic, msk_esm, queue):
    topic = msk_topic()
    topic.produce("x")
    sns = boto3.client("sns", region_name=REGION)
    arn = sns.create_topic(Name="dead-letters")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=QUEUE)
    esm = msk_esm(refuse, topic, **to(arn))
    esm.drain()
    (body,) = queue()
    assert json.loads(body["Message"])["KafkaBatchInfo"]["batchSize"] == 1


def test_a_queue_that_is_not_there_loses_the_records(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce_many(range(3))
    with mock_aws():
        esm = msk_esm(refuse, topic, **to(QUEUE))
        esm.drain()
    (event,) = esm.journal.of(DestinationFailed)
    assert "NonExistentQueue" in event.error
    metrics = esm.metrics
    assert (metrics.dropped_event_count, metrics.on_failure_destination_delivered_event_count) == (3, 0)
    assert metrics.on_failure_destination_delivery_error_count == metrics.destination_delivery_failures == 1
    assert metrics.offset_lag == 0


def test_nothing_goes_to_the_real_aws_and_nothing_is_committed(msk_topic, msk_esm, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    topic = msk_topic()
    topic.produce("x")
    esm = msk_esm(refuse, topic, **to(QUEUE))
    with pytest.raises(MskError, match=r"is at sqs\.us-east-1\.amazonaws\.com, which is not this machine"):
        esm.drain()
    assert esm.metrics.offset_lag == 1


def test_a_topic_of_the_cluster_gets_each_record(msk_topic, msk_esm):
    topic, dead = msk_topic(partitions=2), msk_topic()
    topic.produce_many(range(3), key="k")
    esm = msk_esm(refuse, topic, **to(f"kafka://{dead.name}"))
    esm.drain()
    found = [json.loads(record.value) for record in dead.records()]
    assert [record.key for record in dead.records()] == [b"k"] * 3
    assert [body["KafkaBatchInfo"]["recordInfo"]["offset"] for body in found] == ["0", "1", "2"]
    assert {body["requestContext"]["condition"] for body in found} == {"RetriesExhausted"}
    assert {body["requestContext"]["functionArn"] for body in found} == {f"{esm.function.arn}:$LATEST"}
    assert esm.metrics.on_failure_destination_delivered_event_count == 3


def test_what_failed_can_be_delivered_again_from_the_dead_letter_topic(msk_topic, msk_esm):
    topic, dead = msk_topic(), msk_topic()
    topic.produce({"order": 1})
    msk_esm(refuse, topic, **to(f"kafka://{dead.name}")).drain()
    seen = []
    again = msk_esm(lambda event, context: seen.append(event), dead)
    again.drain()
    assert len(seen) == 1
    assert_at_least_once(again)


def test_several_pollers_share_one_destination(msk_topic, msk_esm, queue):
    topic = msk_topic(partitions=2)
    for partition in (0, 1):
        topic.produce("x", partition=partition)
    pollers = {"MinimumPollers": 2, "MaximumPollers": 2}
    esm = msk_esm(refuse, topic, **to(QUEUE, provisioned_poller_config=pollers))
    esm.drain()
    assert esm.event_pollers == 2
    assert sorted(key for body in queue() for key in body["KafkaBatchInfo"]["recordsInfo"]) == [
        f"{topic.name}-0",
        f"{topic.name}-1",
    ]
