"""Templates: what is read from SAM and CloudFormation, and what is said of a template that is wrong."""

from __future__ import annotations

import pytest

from pytest_msk import TemplateError
from pytest_msk.events import CLUSTER_ARN
from pytest_msk.template import TemplateMapping

SAM = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Size:
    Type: Number
    Default: 50
  Stage:
    Type: String
  Groups:
    Type: CommaDelimitedList
    Default: one, two
Globals:
  Function:
    Timeout: 30
    Environment:
      Variables:
        STAGE: !Ref Stage
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Mappings:
  Pollers:
    prod:
      Minimum: 2
    test:
      Minimum: 1
Resources:
  DeadLetters:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub orders-${Stage}-dlq
  Cluster:
    Type: AWS::MSK::Cluster
  Charge:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Join ["-", [charge, !Ref Stage]]
      Handler: app.handler
      CodeUri: src/
      MemorySize: 512
      AutoPublishAlias: live
      Environment:
        Variables:
          DEBUG: true
          QUEUE: !Ref DeadLetters
      Events:
        Orders:
          Type: MSK
          Properties:
            Stream: !GetAtt Cluster.Arn
            Topics:
              - orders
            BatchSize: !Ref Size
            StartingPosition: LATEST
            ConsumerGroupId: !Sub "${AWS::StackName}-${Stage}"
            Enabled: "true"
            MaximumBatchingWindowInSeconds: !If [IsProd, 5, !Ref AWS::NoValue]
            FilterCriteria:
              Filters:
                - Pattern: '{"value": {"kind": ["a"]}}'
            ProvisionedPollerConfig:
              MinimumPollers: !FindInMap [Pollers, !Ref Stage, Minimum]
              MaximumPollers: "4"
            DestinationConfig:
              OnFailure:
                Type: SQS
                Destination: !GetAtt DeadLetters.Arn
        Timer:
          Type: Schedule
          Properties:
            Schedule: rate(1 minute)
"""


@pytest.fixture
def template(tmp_path):
    def write(text):
        path = tmp_path / "template.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_sam_event_becomes_the_mapping_that_is_deployed(template):
    path = template(SAM)
    found = TemplateMapping.read(path, "Charge", "Orders", values={"Stage": "test"})
    assert found.topic == "orders"
    assert found.managed
    assert found.parameters == {
        "event_source_arn": CLUSTER_ARN,
        "batch_size": 50,
        "starting_position": "LATEST",
        "consumer_group_id": "test-test",
        "enabled": True,
        "filter_criteria": {"Filters": [{"Pattern": '{"value": {"kind": ["a"]}}'}]},
        "provisioned_poller_config": {"MinimumPollers": 1, "MaximumPollers": 4},
        "destination_config": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:orders-test-dlq"}},
    }
    function = found.function
    assert (function.name, function.handler, function.alias) == ("charge-test", "app.handler", "live")
    assert (function.timeout, function.memory_size) == (30, 512)
    assert function.environment == {
        "STAGE": "test",
        "DEBUG": "true",
        "QUEUE": "https://sqs.us-east-1.amazonaws.com/123456789012/orders-test-dlq",
    }
    assert function.code == path.parent / "src"


def test_the_type_of_a_destination_is_for_sam_alone(template):
    text = SAM.replace("                Type: SQS\n", "")
    assert text != SAM
    given = [
        TemplateMapping.read(template(each), "Charge", values={"Stage": "test"}).parameters for each in (SAM, text)
    ]
    assert given[0]["destination_config"] == given[1]["destination_config"]


def test_conditions_and_maps_follow_the_values(template):
    found = TemplateMapping.read(template(SAM), "Charge", values={"Stage": "prod", "Size": 7})
    assert found.parameters["batch_size"] == 7
    assert found.parameters["maximum_batching_window_in_seconds"] == 5
    assert found.parameters["provisioned_poller_config"]["MinimumPollers"] == 2


CLOUDFORMATION = """\
{
  "Resources": {
    "Charge": {
      "Type": "AWS::Lambda::Function",
      "Properties": {"Handler": "app.handler", "Runtime": "python3.12", "Code": {"S3Bucket": "b", "S3Key": "k"}}
    },
    "Live": {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "Charge"}, "Name": "live"}},
    "Orders": {
      "Type": "AWS::Lambda::EventSourceMapping",
      "Properties": {
        "FunctionName": {"Fn::Sub": "${Charge.Arn}:live"},
        "SelfManagedEventSource": {"Endpoints": {"KafkaBootstrapServers": ["b-1.example.com:9094"]}},
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "charging"},
        "SourceAccessConfigurations": [{"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"}],
        "Topics": ["orders"],
        "BatchSize": "10",
        "Tags": [{"Key": "team", "Value": "blue"}]
      }
    }
  }
}
"""


def test_a_cloudformation_resource_becomes_the_mapping_that_is_deployed(template):
    found = TemplateMapping.read(template(CLOUDFORMATION), "Charge")
    assert not found.managed
    assert found.function.alias == "live"
    assert found.function.code is None
    assert found.parameters == {
        "self_managed_kafka_event_source_config": {"ConsumerGroupId": "charging"},
        "source_access_configurations": [{"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"}],
        "batch_size": 10,
        "tags": {"team": "blue"},
    }


def test_a_schema_registry_is_refused_with_its_line(template):
    text = SAM.replace(
        "            Enabled:", "            SchemaRegistryConfig: {EventRecordFormat: JSON}\n            Enabled:"
    )
    line = text[: text.index("SchemaRegistryConfig")].count("\n") + 1
    with pytest.raises(TemplateError, match=rf":{line}: SchemaRegistryConfig: schema registries are not run here"):
        TemplateMapping.read(template(text), "Charge", values={"Stage": "test"})


@pytest.mark.parametrize(
    ("old", "new", "at", "text"),
    [
        ("BatchSize: !Ref Size", "BatchSizes: 3", "BatchSizes", "has no property 'BatchSizes'; there are: BatchSize, "),
        ("BatchSize: !Ref Size", "BatchSize: many", "BatchSize:", "'many' is no number"),
        ("BatchSize: !Ref Size", "BatchSize: !Cidr [a, b]", "BatchSize:", "Fn::Cidr is not evaluated here"),
        ("BatchSize: !Ref Size", "BatchSize: !Ref Sizes", "BatchSize:", "neither a parameter nor a resource"),
        ("BatchSize: !Ref Size", "BatchSize: !ImportValue size", "BatchSize:", "give it, values={'size': ...}"),
        ("BatchSize: !Ref Size", "BatchSize: 1.5", "BatchSize:", "Invalid type for parameter batch_size, value: 1.5"),
        (
            "MinimumPollers:",
            "Minimum:",
            "ProvisionedPollerConfig:",
            'Unknown parameter in provisioned_poller_config: "Mi',
        ),
        ('Enabled: "true"', "Enabled: perhaps", "Enabled:", "neither true nor false"),
        ("!If [IsProd, 5", "!If [IsProduction, 5", "MaximumBatching", "no condition 'IsProduction'"),
        (
            "[Pollers, !Ref Stage, Minimum]",
            "[Pollers, none]",
            "MinimumPollers:",
            "no Pollers / none in the template's Mappings",
        ),
        ("              - orders", "              - orders\n              - more", "Topics:", "exactly one topic"),
        ("Transform:", "Transform: [", "Parameters:", "this is no YAML"),
        (
            "            StartingPosition: LATEST",
            "            BatchSize: 3",
            "BatchSize:",
            "BatchSize stands here twice",
        ),
        ("Timer:", "Orders:", "Orders:", "Orders stands here twice"),
        (
            "Type: SQS",
            "Type: Queue",
            "DestinationConfig:",
            "OnFailure.Type: SAM has no type 'Queue'; there are: SQS, SNS, S3.",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(template, old, new, at, text):
    written = SAM.replace(old, new, 1)
    path = template(written)
    with pytest.raises(TemplateError) as raised:
        TemplateMapping.read(path, "Charge", "Orders", values={"Stage": "test"})
    assert text in str(raised.value)
    line = written[: written.rindex(at)].count("\n") + 1
    assert str(raised.value).startswith(f"{path}:{line}: "), str(raised.value)


@pytest.mark.parametrize(
    ("function", "event", "text"),
    [
        ("Pay", None, "there is no function 'Pay'; there are: Charge."),
        ("Charge", "Timer", "it has no Kafka mapping 'Timer'; there are: Orders."),
    ],
)
def test_names_that_are_not_there_are_answered_with_those_that_are(template, function, event, text):
    with pytest.raises(TemplateError, match=text.replace(".", r"\.")):
        TemplateMapping.read(template(SAM), function, event, values={"Stage": "test"})


def test_a_value_that_only_the_deployment_knows_has_to_be_given(template):
    with pytest.raises(TemplateError, match=r"the value of 'Stage' is not in the template: give it, values="):
        TemplateMapping.read(template(SAM), "Charge", "Orders")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ('!Sub ["${A}-${!B}", {A: x}]', "x-${B}"),
        ("!Select [1, !Ref Groups]", "two"),
        ('!Select [0, !Split ["/", "a/b"]]', "a"),
        ("!Base64 x", "eA=="),
        ("!ImportValue shared-group", "imported"),
        ('"{{resolve:ssm:/group}}"', "from ssm"),
        ("!GetAtt Charge.Version", "7"),
        ("!If [IsProd, a, b]", "b"),
    ],
)
def test_intrinsic_functions(template, value, wanted):
    text = SAM.replace('!Sub "${AWS::StackName}-${Stage}"', value)
    values = {
        "Stage": "test",
        "shared-group": "imported",
        "{{resolve:ssm:/group}}": "from ssm",
        "Charge.Version": "7",
    }
    assert TemplateMapping.read(template(text), "Charge", values=values).parameters["consumer_group_id"] == wanted


def test_a_template_that_is_not_there_is_looked_for_beside_the_test(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TemplateError) as raised:
        TemplateMapping.read("template.yaml", "Charge")
    assert str(raised.value) == (
        f"There is no template {tmp_path / 'template.yaml'}. Give its path from the test's own file: "
        'Path(__file__).parent / "template.yaml".'
    )
    with pytest.raises(TemplateError, match=r"There is no template .*template\.yaml\.$"):
        TemplateMapping.read(tmp_path / "template.yaml", "Charge")


def test_an_alias_that_contains_itself_is_refused(template):
    with pytest.raises(TemplateError, match="an alias of this YAML contains itself"):
        TemplateMapping.read(template("Resources: &all\n  Charge: *all\n"), "Charge")
