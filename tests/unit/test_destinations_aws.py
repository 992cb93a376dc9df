"""Queues, topics and buckets under moto, what counts as a failed delivery, and that nothing reaches the real AWS."""

from __future__ import annotations

import json
import re
import socket

import boto3
import pytest
from failed_batches import UUID, failed, record
from moto import mock_aws

from pytest_msk import EmbeddedBroker, MskError, NotSupported
from pytest_msk.mapping.destinations import Destination, DestinationError
from pytest_msk.mapping.destinations.aws import S3Destination, SnsDestination, SqsDestination
from pytest_msk.mapping.destinations.bodies import metadata, metadata_with_payload
from pytest_msk.mapping.destinations.kafka import KafkaDestination
from pytest_msk.mapping.destinations.opening import open_destination

REGION = "eu-west-1"
ACCOUNT = "123456789012"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead-letters"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:dead-letters"
BUCKET = "arn:aws:s3:::dead-letters"
BATCH = failed(record(0, 1), record(1, 7))


@pytest.fixture
def aws():
    with mock_aws():
        yield


@pytest.fixture
def broker():
    broker = EmbeddedBroker()
    yield broker
    broker.close()


@pytest.fixture
def no_network(monkeypatch):
    """Fails the test instead of letting botocore open a connection."""

    def refuse(self, request):
        raise AssertionError(f"{request.url} was about to be sent")

    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", refuse)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")


def messages(url: str) -> list[str]:
    sqs = boto3.client("sqs", region_name=REGION)
    return [each["Body"] for each in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])]


def send(destination: Destination) -> None:
    try:
        destination.send(BATCH)
    finally:
        destination.close()


@pytest.mark.usefixtures("aws", "no_network")
def test_a_queue_gets_one_message_for_each_batch():
    url = boto3.client("sqs", region_name=REGION).create_queue(QueueName="dead-letters")["QueueUrl"]
    destination = SqsDestination(QUEUE)
    destination.send(BATCH)
    send(destination)
    assert messages(url) == [metadata(BATCH).decode()] * 2


@pytest.mark.usefixtures("aws", "no_network")
def test_a_topic_hands_the_message_on_to_its_subscribers():
    url = boto3.client("sqs", region_name=REGION).create_queue(QueueName="subscriber")["QueueUrl"]
    sns = boto3.client("sns", region_name=REGION)
    sns.create_topic(Name="dead-letters")
    sns.subscribe(TopicArn=TOPIC, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:subscriber")
    send(SnsDestination(TOPIC))
    (body,) = messages(url)
    assert json.loads(body)["Message"] == metadata(BATCH).decode()


@pytest.mark.usefixtures("aws", "no_network")
def test_a_bucket_gets_an_object_for_each_batch_with_its_event():
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="dead-letters")
    destination = S3Destination(BUCKET)
    destination.send(BATCH)
    send(destination)
    found = s3.list_objects_v2(Bucket="dead-letters")["Contents"]
    assert len(found) == 2
    for each in found:
        assert re.fullmatch(
            rf"aws/lambda/{UUID}/orders-0/2019/11/14/2019-11-14T00\.38\.06-[0-9a-f-]{{36}}", each["Key"]
        )
        assert s3.get_object(Bucket="dead-letters", Key=each["Key"])["Body"].read() == metadata_with_payload(BATCH)


@pytest.mark.usefixtures("aws", "no_network")
@pytest.mark.parametrize(
    ("destination", "error"),
    [
        (
            SqsDestination(QUEUE),
            r"^arn:aws:sqs:.*:dead-letters: \S*NonExistentQueue: The specified queue does not exist",
        ),
        (SnsDestination(TOPIC), r"^arn:aws:sns:.*:dead-letters: NotFound: \w+ does not exist$"),
        (S3Destination(BUCKET), r"^arn:aws:s3:::dead-letters: NoSuchBucket: The specified bucket does not exist$"),
    ],
    ids=["sqs", "sns", "s3"],
)
def test_what_is_not_there_is_a_failed_delivery(destination, error):
    with pytest.raises(DestinationError, match=error):
        send(destination)


@pytest.mark.usefixtures("aws")
def test_a_queue_that_is_made_later_is_found():
    destination = SqsDestination(QUEUE)
    with pytest.raises(DestinationError, match="NonExistentQueue"):
        destination.send(BATCH)
    url = boto3.client("sqs", region_name=REGION).create_queue(QueueName="dead-letters")["QueueUrl"]
    send(destination)
    assert len(messages(url)) == 1


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("destination", "host"),
    [
        (SqsDestination(QUEUE), "sqs.eu-west-1.amazonaws.com"),
        (SnsDestination(TOPIC), "sns.eu-west-1.amazonaws.com"),
        (S3Destination(BUCKET), r"s3(\.\S+)?\.amazonaws\.com"),
    ],
    ids=["sqs", "sns", "s3"],
)
def test_nothing_reaches_the_real_aws_by_accident(destination, host):
    with pytest.raises(MskError, match=rf"dead-letters is at {host}, which is not this machine\. Run the") as raised:
        send(destination)
    assert not isinstance(raised.value, DestinationError)
    assert str(raised.value).endswith("or let requests go to the real AWS with --msk-allow-aws=true.")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("target", [QUEUE, TOPIC, BUCKET], ids=["sqs", "sns", "s3"])
def test_the_real_aws_is_asked_when_it_is_allowed(target, broker):
    destination = open_destination(target, broker=broker, timeout=5, allow_aws=True)
    with pytest.raises(AssertionError, match=r"^https://\S+\.amazonaws\.com/\S* was about to be sent"):
        send(destination)


def test_a_loopback_endpoint_that_does_not_answer_is_a_failed_delivery(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        with pytest.raises(DestinationError, match=f'Could not connect to the endpoint URL: "{url}/dead-letters/aws'):
            send(S3Destination(BUCKET, timeout=1))


def test_missing_credentials_end_the_test(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(
        MskError, match=r"cannot be asked: Unable to locate credentials\. Run the test under moto"
    ) as raised:
        send(SqsDestination(QUEUE))
    assert not isinstance(raised.value, DestinationError)


@pytest.mark.parametrize(
    ("target", "kind"),
    [(QUEUE, SqsDestination), (TOPIC, SnsDestination), (BUCKET, S3Destination), ("kafka://dead", KafkaDestination)],
)
def test_a_name_opens_its_destination(target, kind, broker):
    destination = open_destination(target, broker=broker, timeout=5)
    assert isinstance(destination, kind)
    assert isinstance(destination, Destination)
    assert destination.name == target


@pytest.mark.parametrize("target", ["arn:aws:kinesis:eu-west-1:123456789012:stream/dead", "dead", ""])
def test_any_other_name_is_refused(target, broker):
    with pytest.raises(NotSupported, match=rf"^The on-failure destination {target!r} is none of a mapping's"):
        open_destination(target, broker=broker, timeout=5)
