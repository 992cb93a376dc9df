from pathlib import Path

import boto3
import moto
import pytest


@pytest.fixture
def queue():
    """The queue of the template, in moto; messages are read with `queue.receive_messages()`."""
    with moto.mock_aws():
        yield boto3.resource("sqs", region_name="us-east-1").create_queue(QueueName="payments-dead-letters")


@pytest.fixture
def payments(msk_topic):
    return msk_topic("payments")


@pytest.fixture
def payment_mapping(msk_esm, msk_cluster, payments, queue):
    """The mapping that the template deploys, on a cluster that boto3 could find too."""
    template = Path(__file__).parent / "template.yaml"
    return msk_esm.from_template(template, "Pay", "Payments", values={"Cluster": msk_cluster("payments").arn})
