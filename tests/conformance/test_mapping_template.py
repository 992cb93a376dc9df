"""A mapping from a template: what will be deployed runs in the test."""

from __future__ import annotations

import sys

import pytest

from pytest_msk import LambdaFunction, TemplateError, assert_at_least_once

TEMPLATE = """\
Parameters:
  Topic: {Type: String}
Resources:
  Charge:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: charge
      Handler: template_app_7f3a.handler
      CodeUri: src
      Timeout: 20
      Environment:
        Variables: {CURRENCY: EUR}
      Events:
        Orders:
          Type: MSK
          Properties:
            Stream: arn:aws:kafka:us-east-1:123456789012:cluster/prod/751d2973-a626-431c-9d4e-d7975eb44dd7-2
            Topics: [!Ref Topic]
            StartingPosition: TRIM_HORIZON
            BatchSize: 4
        Own:
          Type: SelfManagedKafka
          Properties:
            KafkaBootstrapServers: [b-1.example.com:9094]
            SourceAccessConfigurations: [{Type: VPC_SUBNET, URI: subnet:subnet-1}]
            Topics: [!Ref Topic]
            ConsumerGroupId: !Sub own-${Topic}
"""
HANDLER = """\
import os

seen = []

def handler(event, context):
    seen.append((os.environ["CURRENCY"], sum(map(len, event["records"].values()))))
"""


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "template_app_7f3a.py").write_text(HANDLER, encoding="utf-8")
    yield path
    sys.modules.pop("template_app_7f3a", None)


def test_the_templates_own_handler_runs_with_its_settings(msk_topic, msk_esm, template):
    topic = msk_topic()
    topic.produce_many(range(10))
    esm = msk_esm.from_template(template, "Charge", "Orders", values={"Topic": topic.name})
    esm.drain()
    assert_at_least_once(esm)
    assert esm.function.module.seen == [("EUR", 4), ("EUR", 4), ("EUR", 2)]
    assert (esm.function.name, esm.function.timeout) == ("charge", 20)
    assert esm.config.event_source_arn.endswith("cluster/prod/751d2973-a626-431c-9d4e-d7975eb44dd7-2")


def test_another_handler_and_other_settings_win(msk_topic, msk_esm, template):
    topic = msk_topic()
    topic.produce_many(range(10))
    sizes = []

    def handler(event, context):
        sizes.append((context.function_name, sum(map(len, event["records"].values()))))

    esm = msk_esm.from_template(
        template, "Charge", "Orders", handler=handler, values={"Topic": topic.name}, batch_size=5
    )
    esm.drain()
    assert sizes == [("charge", 5), ("charge", 5)]
    given = LambdaFunction(handler, name="mine")
    esm = msk_esm.from_template(template, "Charge", "Orders", handler=given, values={"Topic": topic.name})
    assert esm.function is given


def test_a_self_managed_cluster_is_the_tests_broker(msk_topic, msk_esm, msk_broker, template):
    topic = msk_topic()
    topic.produce("x")
    events = []
    esm = msk_esm.from_template(
        template, "Charge", "Own", handler=lambda event, context: events.append(event), values={"Topic": topic.name}
    )
    esm.drain()
    assert esm.consumer_group_id == f"own-{topic.name}"
    assert events[0]["eventSource"] == "SelfManagedKafka"
    assert events[0]["bootstrapServers"] == msk_broker.bootstrap_servers


def test_folders_of_code_leave_the_path_with_the_test(pytester):
    pytester.makefile(".yaml", template=TEMPLATE)
    pytester.mkdir("src").joinpath("template_app_7f3a.py").write_text(HANDLER, encoding="utf-8")
    pytester.makepyfile(
        """
        import sys

        def test_one(msk_topic, msk_esm):
            msk_esm.from_template("template.yaml", "Charge", "Orders", values={"Topic": msk_topic().name}).drain()
            assert any(path.endswith("src") for path in sys.path)

        def test_two():
            assert not any(path.endswith("src") for path in sys.path)
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_an_error_of_the_template_has_its_line(msk_esm, template):
    with pytest.raises(TemplateError, match=r"template\.yaml:18: .*'Topic' is not in the template"):
        msk_esm.from_template(template, "Charge", "Orders")
