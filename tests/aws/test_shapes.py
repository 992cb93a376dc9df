"""What boto3 is answered has the shapes of the service's own model: no other member, none of another type."""

from __future__ import annotations

import json
from datetime import datetime

import botocore.session
import pytest

from pytest_msk.aws import _rest_json as rest_json


def strangers(shape, value, path):
    """Where a value departs from a shape."""
    if shape.type_name == "structure":
        for name, item in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: not in {shape.name}"
            elif item is not None:
                yield from strangers(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list":
        for number, item in enumerate(value):
            yield from strangers(shape.member, item, f"{path}[{number}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from strangers(shape.value, item, f"{path}.{key}")
    else:
        kinds = {"integer": int, "long": int, "boolean": bool, "string": str, "double": float, "timestamp": datetime}
        if not isinstance(
            value, (kinds[shape.type_name], str) if shape.type_name == "timestamp" else kinds[shape.type_name]
        ):
            yield f"{path}: {value!r} is no {shape.type_name}"


@pytest.fixture
def answers(monkeypatch):
    """Every answer is held to its operation's shape before it is written; gives the names of those that were."""
    seen = []
    answer = rest_json.answer

    def checked(service, operation, result):
        model = botocore.session.Session().get_service_model(service).operation_model(operation)
        assert list(strangers(model.output_shape, result, operation) if model.output_shape else ()) == []
        seen.append(operation)
        return answer(service, operation, result)

    monkeypatch.setattr(rest_json, "answer", checked)
    return seen


def test_every_operation_of_msk(msk_cluster, msk_topic, kafka, answers):
    topic = msk_topic(partitions=2)
    arn = msk_cluster("orders", tags={"a": "1"}).arn
    msk_cluster("other", serverless=True)
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:AmazonMSK_orders-a1b2c3"
    kafka.describe_cluster(ClusterArn=arn)
    kafka.describe_cluster_v2(ClusterArn=arn)
    kafka.list_clusters()
    kafka.list_clusters_v2()
    kafka.get_bootstrap_brokers(ClusterArn=arn)
    kafka.list_nodes(ClusterArn=arn)
    kafka.batch_associate_scram_secret(ClusterArn=arn, SecretArnList=[secret, "arn:aws:secretsmanager:x"])
    kafka.list_scram_secrets(ClusterArn=arn)
    kafka.batch_disassociate_scram_secret(ClusterArn=arn, SecretArnList=[secret, secret])
    kafka.list_tags_for_resource(ResourceArn=arn)
    kafka.tag_resource(ResourceArn=arn, Tags={"b": "2"})
    kafka.untag_resource(ResourceArn=arn, TagKeys=["b"])
    if hasattr(kafka, "list_topics"):
        kafka.list_topics(ClusterArn=arn)
        kafka.describe_topic(ClusterArn=arn, TopicName=topic.name)
        kafka.describe_topic_partitions(ClusterArn=arn, TopicName=topic.name)
    assert len(answers) >= 12


def test_every_operation_of_lambda(msk_topic, functions, deploy, answers):
    made = deploy(
        msk_topic(),
        BatchSize=10,
        StartingPosition="AT_TIMESTAMP",
        StartingPositionTimestamp=datetime(2024, 1, 1),
        MaximumBatchingWindowInSeconds=5,
        ProvisionedPollerConfig={"MinimumPollers": 1, "MaximumPollers": 2},
        MaximumRetryAttempts=3,
        MaximumRecordAgeInSeconds=60,
        BisectBatchOnFunctionError=True,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        FilterCriteria={"Filters": [{"Pattern": json.dumps({"value": {"a": [1]}})}]},
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:q"}},
        MetricsConfig={"Metrics": ["EventCount"]},
        LoggingConfig={"SystemLogLevel": "INFO"},
        KMSKeyArn="arn:aws:kms:us-east-1:123456789012:key/1",
        Tags={"a": "1"},
    )
    functions.get_event_source_mapping(UUID=made["UUID"])
    functions.list_event_source_mappings()
    functions.update_event_source_mapping(UUID=made["UUID"], BatchSize=5)
    functions.list_tags(Resource=made["EventSourceMappingArn"])
    functions.delete_event_source_mapping(UUID=made["UUID"])
    assert len(answers) == 6
