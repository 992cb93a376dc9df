"""Event source mappings by boto3: made, run, looked at, changed and deleted as on AWS (spec 2)."""

from __future__ import annotations

import json

import boto3
import botocore.session
import pytest
from deployment import package

from pytest_msk import BrokerError, MskError, assert_at_least_once


def error(raised):
    answer = raised.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def refuse_strangers(answer):
    """Every member of an answer is one of the service's model, of the type that it says."""
    shape = botocore.session.Session().get_service_model("lambda").shape_for("EventSourceMappingConfiguration")
    kinds = {"string": str, "integer": int, "boolean": bool, "list": list, "structure": dict}
    for name, value in answer.items():
        if name != "ResponseMetadata":
            kind = shape.members[name].type_name
            assert kind == "timestamp" or isinstance(value, kinds[kind]), (name, value)


def test_a_mapping_made_by_boto3_runs(msk_topic, msk_cluster, deploy, seen):
    topic = msk_topic()
    topic.produce_many(range(25))
    made = deploy(topic, BatchSize=10, StartingPosition="TRIM_HORIZON")
    esm = msk_cluster.mapping(made["UUID"])
    esm.drain()
    assert_at_least_once(esm)
    assert [sum(map(len, event["records"].values())) for event, _ in seen] == [10, 10, 5]
    assert seen[0][0]["eventSourceArn"] == made["EventSourceArn"]
    assert seen[0][1].invoked_function_arn == made["FunctionArn"]
    assert msk_cluster.mappings == (esm,)


def test_the_answer_is_the_one_that_aws_gives(msk_topic, functions, deploy, msk_clock):
    topic = msk_topic()
    made = deploy(topic)
    made.pop("ResponseMetadata")
    refuse_strangers(made)
    uuid = made.pop("UUID")
    assert made.pop("LastModified").timestamp() == pytest.approx(msk_clock.now_ms() / 1000, abs=0.001)
    assert made == {
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:123456789012:event-source-mapping:{uuid}",
        "EventSourceArn": made["EventSourceArn"],
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:charge",
        "Topics": [topic.name],
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        "LastProcessingResult": "No records processed",
        "BatchSize": 100,
        "StartingPosition": "TRIM_HORIZON",
        "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": uuid},
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "BisectBatchOnFunctionError": False,
        "FunctionResponseTypes": [],
    }
    found = functions.get_event_source_mapping(UUID=uuid)
    assert found["State"] == "Enabled"
    assert {**made, "State": "Enabled"}.items() <= found.items()


def test_a_self_managed_cluster_has_its_addresses_sorted(msk_topic, msk_broker, deploy, functions, function):
    function()
    servers = msk_broker.bootstrap_servers.split(",")
    made = functions.create_event_source_mapping(
        FunctionName="charge",
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": servers}},
        SourceAccessConfigurations=[{"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"}],
        Topics=[msk_topic().name],
        SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": "charging"},
    )
    refuse_strangers(made)
    assert made["SelfManagedEventSource"] == {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": sorted(servers)}}
    assert made["SelfManagedKafkaEventSourceConfig"] == {"ConsumerGroupId": "charging"}
    assert "EventSourceArn" not in made


@pytest.fixture
def in_ireland(aws):
    return boto3.client("lambda", region_name="eu-west-1")


def test_mappings_are_listed_by_function_and_source(msk_topic, msk_cluster, functions, function, deploy, in_ireland):
    first = deploy(msk_topic())
    function("pay")
    msk_cluster.bind("pay", print)
    second = deploy(msk_topic(), FunctionName="pay")
    sqs = boto3.client("sqs", region_name="us-east-1")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    queue = functions.create_event_source_mapping(FunctionName="pay", EventSourceArn=arn)

    def listed(**filters):
        return [each["UUID"] for each in functions.list_event_source_mappings(**filters)["EventSourceMappings"]]

    assert listed() == [first["UUID"], second["UUID"], queue["UUID"]]
    assert listed(FunctionName="charge") == [first["UUID"]]
    assert listed(FunctionName="pay") == [second["UUID"], queue["UUID"]]
    assert listed(EventSourceArn=first["EventSourceArn"]) == [first["UUID"], second["UUID"]]
    assert listed(EventSourceArn=arn) == [queue["UUID"]]
    assert functions.get_event_source_mapping(UUID=queue["UUID"])["EventSourceArn"] == arn
    assert in_ireland.list_event_source_mappings()["EventSourceMappings"] == []
    pages = functions.get_paginator("list_event_source_mappings").paginate(PaginationConfig={"PageSize": 2})
    assert [len(page["EventSourceMappings"]) for page in pages] == [2, 1]


def test_an_update_changes_what_is_sent(msk_topic, msk_cluster, functions, deploy, seen):
    topic = msk_topic()
    made = deploy(topic, BatchSize=10, FilterCriteria={"Filters": [{"Pattern": '{"value": {"a": [1]}}'}]})
    assert made["FilterCriteria"]["Filters"]
    answer = functions.update_event_source_mapping(UUID=made["UUID"], BatchSize=3, FilterCriteria={})
    refuse_strangers(answer)
    assert (answer["State"], answer["BatchSize"]) == ("Updating", 3)
    assert "FilterCriteria" not in answer
    topic.produce_many(range(6))
    msk_cluster.mapping(made["UUID"]).drain()
    assert [sum(map(len, event["records"].values())) for event, _ in seen] == [3, 3]


def test_a_mapping_is_disabled_and_enabled(msk_topic, functions, deploy):
    uuid = deploy(msk_topic())["UUID"]
    assert functions.update_event_source_mapping(UUID=uuid, Enabled=False)["State"] == "Disabling"
    assert functions.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    assert functions.update_event_source_mapping(UUID=uuid, Enabled=True)["State"] == "Enabling"
    assert functions.get_event_source_mapping(UUID=uuid)["State"] == "Enabled"


def test_transitions_take_their_time_on_the_clock(msk_topic, msk_clock, msk_cluster, functions, function):
    function()
    msk_cluster.bind("charge", print)
    arn = msk_cluster("slow", transition_in_seconds=60).arn
    asked = {"FunctionName": "charge", "EventSourceArn": arn, "Topics": [msk_topic().name]}
    uuid = functions.create_event_source_mapping(**asked)["UUID"]
    assert functions.get_event_source_mapping(UUID=uuid)["State"] == "Creating"
    with pytest.raises(functions.exceptions.ResourceInUseException) as raised:
        functions.update_event_source_mapping(UUID=uuid, BatchSize=2)
    assert error(raised)[2] == 400
    msk_clock.advance(60)
    assert functions.get_event_source_mapping(UUID=uuid)["State"] == "Enabled"


def test_a_deleted_mapping_is_not_found(msk_topic, msk_cluster, functions, deploy):
    uuid = deploy(msk_topic())["UUID"]
    assert functions.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    for operation in ("get", "update", "delete"):
        with pytest.raises(functions.exceptions.ResourceNotFoundException) as raised:
            getattr(functions, f"{operation}_event_source_mapping")(UUID=uuid)
        assert error(raised) == ("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    assert functions.list_event_source_mappings()["EventSourceMappings"] == []
    assert msk_cluster.mapping(uuid).state == "Deleted"


def test_two_mappings_of_a_function_and_topic_conflict(msk_topic, functions, deploy):
    topic = msk_topic()
    first = deploy(topic)
    with pytest.raises(functions.exceptions.ResourceConflictException) as raised:
        deploy(topic)
    code, text, status = error(raised)
    assert (code, status) == ("ResourceConflictException", 409)
    assert text == (
        f'An event source mapping for cluster ("{first["EventSourceArn"]}"), function ("{first["FunctionArn"]}"), '
        f'topics ("{topic}") already exists. Please update or delete the existing mapping with UUID {first["UUID"]}'
    )


def test_a_function_has_all_forms_of_its_name(msk_topic, functions, function, deploy, msk_cluster):
    deploy(msk_topic())
    version = functions.publish_version(FunctionName="charge")["Version"]
    functions.create_alias(FunctionName="charge", Name="live", FunctionVersion=version)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:charge"
    for name, wanted in [
        (arn, arn),
        ("123456789012:function:charge", arn),
        ("charge:live", f"{arn}:live"),
        (f"charge:{version}", f"{arn}:{version}"),
        (f"{arn}:$LATEST", f"{arn}:$LATEST"),
    ]:
        assert deploy(msk_topic(), FunctionName=name)["FunctionArn"] == wanted
    with pytest.raises(functions.exceptions.InvalidParameterValueException) as raised:
        deploy(msk_topic(), FunctionName="charge:nothing")
    assert error(raised)[1] == "Function does not exist"


def test_the_functions_own_settings_count(msk_topic, msk_cluster, functions, function):
    contexts = []
    function("charge", Timeout=30, MemorySize=512, Environment={"Variables": {"STAGE": "test"}})

    def handler(event, context):
        import os

        contexts.append((context.memory_limit_in_mb, context.get_remaining_time_in_millis(), os.environ["STAGE"]))

    msk_cluster.bind("charge", handler)
    topic = msk_topic()
    topic.produce("x")
    asked = {"FunctionName": "charge", "EventSourceArn": msk_cluster().arn, "Topics": [topic.name]}
    msk_cluster.mapping(functions.create_event_source_mapping(**asked)["UUID"]).drain()
    assert contexts == [("512", 30_000, "test")]


def test_a_function_without_a_bound_handler_runs_its_deployment_package(msk_topic, msk_cluster, functions, function):
    code = package(
        charge_zip_1b7e="import other_zip_1b7e\ndef handler(event, context):\n    other_zip_1b7e.seen.append(event)",
        other_zip_1b7e="seen = []",
    )
    function("charge", code=code, Handler="charge_zip_1b7e.handler")
    topic = msk_topic()
    topic.produce("x")
    asked = {"FunctionName": "charge", "EventSourceArn": msk_cluster().arn, "Topics": [topic.name]}
    esm = msk_cluster.mapping(functions.create_event_source_mapping(**asked)["UUID"])
    esm.drain()
    assert len(esm.function.module.other_zip_1b7e.seen) == 1


def test_a_function_of_another_runtime_has_to_be_bound(msk_topic, msk_cluster, functions, function):
    function("charge", Runtime="nodejs20.x")
    asked = {"FunctionName": "charge", "EventSourceArn": msk_cluster().arn, "Topics": [msk_topic().name]}
    with pytest.raises(Exception, match=r"runs nodejs20\.x.*msk_cluster\.bind\('charge', handler\)"):
        functions.create_event_source_mapping(**asked)


def test_tags(msk_topic, functions, deploy):
    arn = deploy(msk_topic(), Tags={"team": "blue"})["EventSourceMappingArn"]
    functions.tag_resource(Resource=arn, Tags={"more": "1"})
    functions.untag_resource(Resource=arn, TagKeys=["team"])
    assert functions.list_tags(Resource=arn)["Tags"] == {"more": "1"}
    assert functions.list_tags(Resource="arn:aws:lambda:us-east-1:123456789012:function:charge")["Tags"] == {}


UNKNOWN = "arn:aws:kafka:us-east-1:123456789012:cluster/none/751d2973-a626-431c-9d4e-d7975eb44dd7-2"


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"EventSourceArn": None}, "InvalidParameterValueException", "Unrecognized event source."),
        ({"Topics": None}, "InvalidParameterValueException", "Required 'topics' parameter is missing."),
        (
            {"Topics": ["one", "two"]},
            "ValidationException",
            "1 validation error detected: Value '[one, two]' at 'topics' failed to satisfy constraint: Member must "
            "have length less than or equal to 1",
        ),
        (
            {"StartingPosition": "invalid"},
            "ValidationException",
            "1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member "
            "must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
        ),
        ({"FunctionName": "nobody"}, "InvalidParameterValueException", "Function does not exist"),
        (
            {"EventSourceArn": UNKNOWN},
            "InvalidParameterValueException",
            f"Cannot access cluster {UNKNOWN}. Please ensure the role can perform the DescribeClusterV2 (recommended) "
            "or DescribeCluster and GetBootstrapBrokers actions on your cluster in IAM.",
        ),
        (
            {"StartingPosition": "AT_TIMESTAMP"},
            "InvalidParameterValueException",
            "When the starting position is 'AT_TIMESTAMP', a starting position timestamp must be provided.",
        ),
        (
            {"Queues": ["q"]},
            "InvalidParameterValueException",
            "Unsupported 'queues' parameter for given event source mapping type.",
        ),
        (
            {"ParallelizationFactor": 2},
            "InvalidParameterValueException",
            "Unsupported 'parallelizationFactor' parameter for given event source mapping type.",
        ),
        (
            {"FilterCriteria": {"Filters": [{"Pattern": "single-string"}]}},
            "InvalidParameterValueException",
            "Invalid filter pattern definition.",
        ),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:123456789012:q"}}},
            "InvalidParameterValueException",
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ),
        (
            {"MetricsConfig": {"Metrics": ["EventCount"]}},
            "InvalidParameterValueException",
            "MetricsConfig is only available for Provisioned Mode. To configure MetricsConfig, please enable "
            "Provisioned Mode by specifying MinimumPollers in ProvisionedPollerConfig.",
        ),
        (
            {"AmazonManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": {"EventRecordFormat": "JSON"}}},
            "InvalidParameterValueException",
            "SchemaRegistryConfig is only available for Provisioned Mode. To configure Schema Registry, please enable "
            "Provisioned Mode by specifying MinimumPollers in ProvisionedPollerConfig.",
        ),
    ],
)
def test_what_aws_refuses_is_refused_with_its_text(functions, function, msk_cluster, changes, code, text):
    function()
    asked = {"FunctionName": "charge", "EventSourceArn": msk_cluster().arn, "Topics": ["orders"]}
    given = {key: value for key, value in {**asked, **changes}.items() if value is not None}
    with pytest.raises(functions.exceptions.ClientError) as raised:
        functions.create_event_source_mapping(**given)
    assert error(raised) == (code, text, 400)
    assert msk_cluster.mappings == ()


def test_numbers_beyond_their_bounds_are_refused_by_the_service(functions, function, msk_cluster):
    function()
    asked = {"FunctionName": "charge", "EventSourceArn": msk_cluster().arn, "Topics": ["orders"], "BatchSize": 20_000}
    with pytest.raises(functions.exceptions.ClientError) as raised:
        functions.create_event_source_mapping(**asked)
    assert error(raised)[1] == (
        "1 validation error detected: Value '20000' at 'batchSize' failed to satisfy constraint: Member must have "
        "value less than or equal to 10000"
    )


def test_an_update_cannot_change_the_group(msk_topic, functions, deploy):
    uuid = deploy(msk_topic())["UUID"]
    refused = pytest.raises(functions.exceptions.InvalidParameterValueException)
    with refused as raised:
        functions.update_event_source_mapping(UUID=uuid, AmazonManagedKafkaEventSourceConfig={"ConsumerGroupId": uuid})
    assert error(raised)[1] == (
        "Unsupported 'amazonManagedKafkaEventSourceConfig.consumerGroupId' parameter for given event source mapping "
        "type."
    )


def test_mappings_are_closed_with_the_test(pytester):
    pytester.makepyfile(
        """
        import boto3, moto, pytest

        kept = {}

        @moto.mock_aws
        def test_one(msk_cluster, msk_topic):
            iam = boto3.client("iam", region_name="us-east-1")
            role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
            client = boto3.client("lambda", region_name="us-east-1")
            settings = {"Runtime": "python3.12", "Role": role, "Handler": "a.b", "Code": {"ZipFile": b""}}
            client.create_function(FunctionName="f", **settings)
            msk_cluster.bind("f", lambda event, context: None)
            topic = msk_topic()
            topic.produce("x")
            asked = {"FunctionName": "f", "EventSourceArn": msk_cluster().arn, "Topics": [topic.name]}
            kept["esm"] = msk_cluster.mapping(client.create_event_source_mapping(**asked)["UUID"])
            kept["esm"].drain()
            assert len(kept["esm"].function.invocations) == 1

        def test_two():
            assert kept["esm"].closed
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


# --- authentication


@pytest.mark.msk(broker="embedded")
def test_pollers_use_iam_where_it_is_on(msk_topic, msk_cluster, msk_broker, functions, function):
    function()
    events = []
    msk_cluster.bind("charge", lambda event, context: events.append(event))
    cluster = msk_cluster("secure", authentication=["iam", "unauthenticated"])
    topic = msk_topic()
    topic.produce("x")
    asked = {"FunctionName": "charge", "EventSourceArn": cluster.arn, "Topics": [topic.name]}
    msk_cluster.mapping(functions.create_event_source_mapping(**asked)["UUID"]).drain()
    assert events[0]["bootstrapServers"] == msk_broker.bootstrap_servers_for("iam")


def test_pollers_use_the_secret_that_is_given(msk_topic, msk_cluster, msk_broker, functions, function):
    function()
    events = []
    msk_cluster.bind("charge", lambda event, context: events.append(event))
    secrets = boto3.client("secretsmanager", region_name="us-east-1")
    text = json.dumps({"username": "alice", "password": "wrong"})
    arn = secrets.create_secret(Name="AmazonMSK_orders", SecretString=text)["ARN"]
    cluster = msk_cluster("secure", authentication=["scram"])
    topic = msk_topic()
    topic.produce("x")
    asked = {"FunctionName": "charge", "EventSourceArn": cluster.arn, "Topics": [topic.name]}
    with pytest.raises(functions.exceptions.InvalidParameterValueException) as raised:
        functions.create_event_source_mapping(**asked)
    assert error(raised)[1] == "Required 'sourceAccessConfigurations' parameter is missing."
    access = [{"Type": "SASL_SCRAM_512_AUTH", "URI": arn}]
    made = functions.create_event_source_mapping(**asked, SourceAccessConfigurations=access)
    assert made["SourceAccessConfigurations"] == access
    with pytest.raises(BrokerError):
        msk_cluster.mapping(made["UUID"]).drain()
    found = functions.get_event_source_mapping(UUID=made["UUID"])
    assert found["LastProcessingResult"] == "PROBLEM: SASL authentication failed."
    assert (found["State"], found["StateTransitionReason"]) == ("Disabled", "EVENT_SOURCE_AUTHN_ERROR")
    secrets.put_secret_value(SecretId=arn, SecretString=json.dumps({"username": "alice", "password": "alice's secret"}))
    functions.update_event_source_mapping(UUID=made["UUID"], Enabled=True)
    msk_cluster.mapping(made["UUID"]).drain()
    assert functions.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"] == "OK"
    assert events[0]["bootstrapServers"] == msk_broker.bootstrap_servers_for("scram")


def test_a_functions_timeout_is_at_most_840_seconds(functions, function, msk_cluster):
    function("charge", Timeout=900)
    asked = {"FunctionName": "charge", "EventSourceArn": msk_cluster().arn, "Topics": ["orders"]}
    msk_cluster.bind("charge", print)
    with pytest.raises(functions.exceptions.InvalidParameterValueException) as raised:
        functions.create_event_source_mapping(**asked)
    assert "may have at most 840" in error(raised)[1]


def test_vpc_settings_are_checked_for_their_form(msk_topic, deploy, functions):
    good = [
        {"Type": "VPC_SUBNET", "URI": "subnet-1a2b"},
        {"Type": "VPC_SECURITY_GROUP", "URI": "security_group:sg-1a2b"},
    ]
    assert deploy(msk_topic(), SourceAccessConfigurations=good)["State"] == "Creating"
    with pytest.raises(functions.exceptions.InvalidParameterValueException) as raised:
        deploy(msk_topic(), SourceAccessConfigurations=[{"Type": "VPC_SUBNET", "URI": "sg-1a2b"}])
    assert error(raised)[1] == "Invalid VPC_SUBNET in SourceAccessConfigurations: 'sg-1a2b'."


def test_an_update_leads_back_to_on_demand_mode_and_shows_a_filter_whose_key_is_gone(msk_topic, functions, deploy):
    filters = {"Filters": [{"Pattern": '{"value": {"a": [1]}}'}]}
    made = deploy(
        msk_topic(),
        ProvisionedPollerConfig={"MinimumPollers": 1},
        MaximumRetryAttempts=3,
        MetricsConfig={"Metrics": ["EventCount"]},
        LoggingConfig={"SystemLogLevel": "INFO"},
        FilterCriteria=filters,
        KMSKeyArn="arn:aws:kms:us-east-1:123456789012:key/5a5ad2d2-2f0c-4c5b-9d0b-d5f2d8d8d8d8",
    )
    functions.update_event_source_mapping(
        UUID=made["UUID"],
        ProvisionedPollerConfig={},
        MaximumRetryAttempts=-1,
        MetricsConfig={"Metrics": []},
        LoggingConfig={},
        KMSKeyArn="",
    )
    (found,) = functions.list_event_source_mappings()["EventSourceMappings"]
    assert found["FilterCriteria"] == filters
    assert found.keys().isdisjoint({"ProvisionedPollerConfig", "MetricsConfig", "LoggingConfig", "KMSKeyArn"})


def test_a_handler_is_bound_before_its_mapping_is_made(msk_topic, msk_cluster, functions, deploy, function):
    uuid = deploy(msk_topic())["UUID"]
    with pytest.raises(MskError, match=rf"The mapping {uuid} invokes 'charge' already"):
        msk_cluster.bind("charge", print)
    function("charge-more")
    msk_cluster.bind("charge-more", print)
    functions.delete_event_source_mapping(UUID=uuid)
    msk_cluster.bind("charge", print)
