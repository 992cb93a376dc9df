"""The parameters of a mapping: AWS's checks, in AWS's order, with AWS's texts (spec 2.6)."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from pytest_msk import EventSourceMappingError, InMemoryDestination, MskError, NotSupported
from pytest_msk.mapping.config import EventSourceMappingConfig
from pytest_msk.mapping.destinations import CallableDestination
from pytest_msk.mapping.provisioned import ProvisionedPollers
from pytest_msk.mapping.rules import DeliveryRules

NOW = 1_700_000_000_000
ARN = "arn:aws:kafka:us-east-1:123456789012:cluster/demo/751d2973-a626-431c-9d4e-d7975eb44dd7-2"
SERVERS = "b-1:9092,b-2:9092"
SELF_MANAGED = {
    "self_managed_event_source": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["b-2:9092", "b-1:9092"]}},
    "source_access_configurations": [{"Type": "VPC_SUBNET", "URI": "subnet:subnet-0011223344"}],
}
INVALID, SHAPE = "InvalidParameterValueException", "ValidationException"


def parse(topic: str = "orders", **parameters) -> EventSourceMappingConfig:
    return EventSourceMappingConfig.parse(
        topic, parameters, now_ms=NOW, cluster_arn=ARN, bootstrap_servers=lambda access: SERVERS
    )


def refused(topic: str = "orders", **parameters) -> tuple[str, str]:
    """The code and text with which the parameters are refused."""
    with pytest.raises(EventSourceMappingError) as raised:
        parse(topic, **parameters)
    assert str(raised.value) == raised.value.message
    return raised.value.code, raised.value.message


def violation(value: object, member: str, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"


def one(value: object, member: str, constraint: str) -> tuple[str, str]:
    return SHAPE, f"1 validation error detected: {violation(value, member, constraint)}"


# --- what is taken


def test_the_defaults_are_awss():
    config = parse()
    assert config.topic == "orders"
    assert (config.batch_size, config.window_ms) == (100, 500)
    assert (config.starting_position, config.starting_position_ms) == ("TRIM_HORIZON", None)
    assert (config.consumer_group_id, config.event_source_arn, config.enabled) == (None, ARN, True)
    assert not config.filters
    assert (config.null_tombstones, config.retry_backoff_ms) == (False, 0)


def test_parameters_are_taken_over():
    config = parse(
        batch_size=7, maximum_batching_window_in_seconds=3, starting_position="LATEST", consumer_group_id="billing",
        event_source_arn=ARN.replace("demo", "other"), enabled=False, null_tombstones=True,
        retry_backoff_in_seconds=0.25, filter_criteria={"Filters": [{"Pattern": '{"value":{"a":[1]}}'}]},
    )  # fmt: skip
    assert (config.batch_size, config.window_ms, config.starting_position) == (7, 3_000, "LATEST")
    assert (config.consumer_group_id, config.enabled) == ("billing", False)
    assert config.event_source_arn == ARN.replace("demo", "other")
    assert (config.null_tombstones, config.retry_backoff_ms) == (True, 250)
    assert [config.filters.decide(value) for value in (b'{"a":1}', b'{"a":2}')] == ["matched", "filtered"]


@pytest.mark.parametrize(("name", "value"), [("batch_size", 1), ("batch_size", 10_000)])
def test_the_bounds_of_the_batch_size_are_within(name, value):
    assert parse(**{name: value}).batch_size == value


@pytest.mark.parametrize(("seconds", "window_ms"), [(0, 0), (300, 300_000)])
def test_the_bounds_of_the_window_are_within(seconds, window_ms):
    assert parse(maximum_batching_window_in_seconds=seconds).window_ms == window_ms


@pytest.mark.parametrize(
    "timestamp",
    [1_600_000_000, 1_600_000_000.0, datetime(2020, 9, 13, 12, 26, 40, tzinfo=timezone.utc)],
    ids=["int", "float", "datetime"],
)
def test_at_timestamp_takes_epoch_seconds_or_a_datetime(timestamp):
    config = parse(starting_position="AT_TIMESTAMP", starting_position_timestamp=timestamp)
    assert config.starting_position_ms == 1_600_000_000_000


def test_at_timestamp_may_be_now():
    assert parse(starting_position="AT_TIMESTAMP", starting_position_timestamp=NOW / 1000).starting_position_ms == NOW


@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST"])
def test_without_a_timestamp_there_is_none(position):
    assert parse(starting_position=position).starting_position_ms is None


def test_a_self_managed_mapping_has_no_arn_and_names_the_brokers_in_any_order():
    assert parse(**SELF_MANAGED).event_source_arn is None


@pytest.mark.parametrize("group", ["g", "g" * 200, "a group/of:all*those+=.@-_signs"])
def test_a_consumer_groups_id_of_awss_form_is_taken(group):
    assert parse(consumer_group_id=group).consumer_group_id == group


def test_a_consumer_group_is_taken_from_the_block_of_its_kind():
    msk = parse(amazon_managed_kafka_event_source_config={"ConsumerGroupId": "g"})
    own = parse(**SELF_MANAGED, self_managed_kafka_event_source_config={"ConsumerGroupId": "g"})
    assert (msk.consumer_group_id, own.consumer_group_id) == ("g", "g")


def test_stream_mode_may_be_named():
    config = parse(**SELF_MANAGED, self_managed_kafka_event_source_config={"ConsumptionMode": "Stream"})
    assert config.consumer_group_id is None


def test_empty_blocks_are_taken():
    config = parse(filter_criteria={}, amazon_managed_kafka_event_source_config={"SchemaRegistryConfig": {}})
    assert not config.filters


@pytest.mark.parametrize("topic", ["ab", "a" * 249, "a.b_c-D9", "_a"])
def test_a_topic_of_awss_form_is_taken(topic):
    assert parse(topic).topic == topic


# --- names and types


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(TypeError) as raised:
        parse(batchsize=10)
    assert str(raised.value) == "An event source mapping has no parameter 'batchsize'. Did you mean 'batch_size'?"


def test_an_unknown_name_that_is_near_to_none_is_refused_with_all():
    with pytest.raises(TypeError) as raised:
        parse(zzz=10)
    text = str(raised.value)
    assert text.startswith("An event source mapping has no parameter 'zzz'. There are: amazon_managed_kafka_event_")
    assert "maximum_retry_attempts" in text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("topics", "The topic is the second argument: msk_esm(function, topic, ...)."),
        ("function_name", "The function is the first argument: msk_esm(function, topic, ...)."),
    ],
)
def test_what_is_an_argument_is_no_parameter(name, hint):
    with pytest.raises(TypeError) as raised:
        parse(**{name: "x"})
    assert str(raised.value) == f"An event source mapping has no parameter {name!r}. {hint}"


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("batch_size", "10", "int"),
        ("batch_size", 1.0, "int"),
        ("batch_size", True, "int"),
        ("batch_size", None, "int"),
        ("maximum_batching_window_in_seconds", 0.5, "int"),
        ("starting_position", 1, "str"),
        ("starting_position_timestamp", "2023-11-14", "datetime or int or float"),
        ("starting_position_timestamp", True, "datetime or int or float"),
        ("consumer_group_id", b"g", "str"),
        ("amazon_managed_kafka_event_source_config", "g", "Mapping"),
        ("self_managed_kafka_event_source_config", [], "Mapping"),
        ("event_source_arn", None, "str"),
        ("self_managed_event_source", "b-1:9092", "Mapping"),
        ("source_access_configurations", {"Type": "VPC_SUBNET"}, "list or tuple"),
        ("filter_criteria", [], "Mapping"),
        ("destination_config", "arn", "Mapping"),
        ("enabled", 1, "bool"),
        ("filter_quota", "10", "int"),
        ("filter_strict", 1, "bool"),
        ("filter_metadata", "no", "bool"),
        ("null_tombstones", "yes", "bool"),
        ("retry_backoff_in_seconds", "1", "int or float"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value, valid):
    with pytest.raises(TypeError) as raised:
        parse(**{name: value})
    assert str(raised.value) == (
        f"Invalid type for parameter {name}, value: {value!r}, type: {type(value)}, valid types: {valid}"
    )


@pytest.mark.parametrize(
    ("name", "value", "path", "found", "valid"),
    [
        ("amazon_managed_kafka_event_source_config", {"ConsumerGroupId": 5}, ".ConsumerGroupId", 5, "str"),
        ("filter_criteria", {"Filters": "x"}, ".Filters", "x", "list or tuple"),
        ("filter_criteria", {"Filters": [{"Pattern": "{}"}, "x"]}, ".Filters[1]", "x", "Mapping"),
        ("filter_criteria", {"Filters": [{"Pattern": {}}]}, ".Filters[0].Pattern", {}, "str"),
        ("source_access_configurations", [{"Type": None}], "[0].Type", None, "str"),
        (
            "self_managed_event_source",
            {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": "b-1:9092"}},
            ".Endpoints.KAFKA_BOOTSTRAP_SERVERS",
            "b-1:9092",
            "list or tuple",
        ),
    ],
)  # fmt: skip
def test_a_value_of_another_type_inside_a_block_is_refused(name, value, path, found, valid):
    with pytest.raises(TypeError) as raised:
        parse(**{name: value})
    assert str(raised.value) == (
        f"Invalid type for parameter {name}{path}, value: {found!r}, type: {type(found)}, valid types: {valid}"
    )


@pytest.mark.parametrize(
    ("name", "value", "path", "member", "members"),
    [
        (
            "amazon_managed_kafka_event_source_config", {"ConsumergroupId": "g"}, "", "ConsumergroupId",
            "ConsumerGroupId, SchemaRegistryConfig",
        ),
        (
            "self_managed_kafka_event_source_config", {"consumer_group_id": "g"}, "", "consumer_group_id",
            "ConsumerGroupId, SchemaRegistryConfig, ConsumptionMode",
        ),
        ("filter_criteria", {"Filters": [{"pattern": "{}"}]}, ".Filters[0]", "pattern", "Pattern"),
        ("self_managed_event_source", {"Endpoints": {"BROKERS": []}}, ".Endpoints", "BROKERS",
         "KAFKA_BOOTSTRAP_SERVERS"),
        ("source_access_configurations", [{"Uri": "subnet:x"}], "[0]", "Uri", "Type, URI"),
    ],
)  # fmt: skip
def test_a_member_that_a_block_has_not_is_refused(name, value, path, member, members):
    with pytest.raises(TypeError) as raised:
        parse(**{name: value})
    assert str(raised.value) == f'Unknown parameter in {name}{path}: "{member}", must be one of: {members}'


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_a_backoff_is_a_number_of_seconds(seconds):
    with pytest.raises(ValueError, match="seconds, 0 or more") as raised:
        parse(retry_backoff_in_seconds=seconds)
    assert str(raised.value) == f"retry_backoff_in_seconds={seconds!r}: seconds, 0 or more."


# --- shapes


@pytest.mark.parametrize(
    ("name", "value", "member", "constraint"),
    [
        ("batch_size", 20_000, "batchSize", "Member must have value less than or equal to 10000"),
        ("batch_size", 10_001, "batchSize", "Member must have value less than or equal to 10000"),
        ("batch_size", 0, "batchSize", "Member must have value greater than or equal to 1"),
        (
            "maximum_batching_window_in_seconds", 301, "maximumBatchingWindowInSeconds",
            "Member must have value less than or equal to 300",
        ),
        (
            "maximum_batching_window_in_seconds", -1, "maximumBatchingWindowInSeconds",
            "Member must have value greater than or equal to 0",
        ),
        (
            "starting_position", "invalid", "startingPosition",
            "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
        ),
        (
            "consumer_group_id", "g" * 201, "amazonManagedKafkaEventSourceConfig.consumerGroupId",
            "Member must have length less than or equal to 200",
        ),
        (
            "consumer_group_id", "", "amazonManagedKafkaEventSourceConfig.consumerGroupId",
            "Member must have length greater than or equal to 1",
        ),
        (
            "consumer_group_id", "größe", "amazonManagedKafkaEventSourceConfig.consumerGroupId",
            r"Member must satisfy regular expression pattern: [ a-zA-Z0-9-\/*:_+=.@-]*",
        ),
        (
            "event_source_arn", "demo", "eventSourceArn",
            r"Member must satisfy regular expression pattern: arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:"
            r"((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)",
        ),
    ],
)  # fmt: skip
def test_a_value_outside_its_shape_is_refused(name, value, member, constraint):
    assert refused(**{name: value}) == one(value, member, constraint)


def test_a_consumer_group_in_a_block_has_the_same_shape():
    member = "selfManagedKafkaEventSourceConfig.consumerGroupId"
    constraint = "Member must have length greater than or equal to 1"
    assert refused(**SELF_MANAGED, consumer_group_id="") == one("", member, constraint)
    block = {"ConsumerGroupId": ""}
    assert refused(**SELF_MANAGED, self_managed_kafka_event_source_config=block) == one("", member, constraint)


@pytest.mark.parametrize("topic", ["bad/topic", ".hidden", "a", "", "a" * 250, "orders\n", "größe"])
def test_a_topic_of_another_form_is_refused(topic):
    assert refused(topic) == one(
        f"[{topic}]",
        "topics",
        "Member must satisfy constraint: [Member must have length less than or equal to 249, "
        "Member must have length greater than or equal to 1, "
        r"Member must satisfy regular expression pattern: [^.]([a-zA-Z0-9\-_.]+), Member must not be null]",
    )


def test_a_filter_pattern_has_4096_characters_at_most():
    longest = '{"value":{"a":["' + "x" * 4076 + '"]}}'
    assert len(longest) == 4096
    good, bad = {"Pattern": longest}, {"Pattern": longest + " "}
    assert parse(filter_criteria={"Filters": [good]}).filters
    assert refused(filter_criteria={"Filters": [good, bad]}) == one(
        bad["Pattern"], "filterCriteria.filters.2.member.pattern", "Member must have length less than or equal to 4096"
    )


def test_shape_errors_are_reported_together_and_before_all_others():
    assert refused("bad/topic", batch_size=0, starting_position="NOW", queues=["q"]) == (
        SHAPE,
        "3 validation errors detected: "
        + "; ".join(
            [
                violation(0, "batchSize", "Member must have value greater than or equal to 1"),
                violation(
                    "NOW",
                    "startingPosition",
                    "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
                ),
                violation(
                    "[bad/topic]",
                    "topics",
                    "Member must satisfy constraint: [Member must have length less than or equal to 249, Member must "
                    "have length greater than or equal to 1, Member must satisfy regular expression pattern: "
                    r"[^.]([a-zA-Z0-9\-_.]+), Member must not be null]",
                ),
            ]
        ),
    )


# --- meaning

UNSUPPORTED = "Unsupported '{}' parameter for given event source mapping type."
NO_TIMESTAMP = "When the starting position is 'AT_TIMESTAMP', a starting position timestamp must be provided."
NO_ACCESS = "Required 'sourceAccessConfigurations' parameter is missing."
PROVISIONED_ONLY = (
    "{} is only available for Provisioned Mode. To configure {}, please enable Provisioned Mode by specifying "
    "MinimumPollers in ProvisionedPollerConfig."
)
ROWS = [
    ({"self_managed_event_source": {}}, "Unrecognized event source."),
    ({"self_managed_event_source": {"Endpoints": {}}}, "Unrecognized event source."),
    ({**SELF_MANAGED, "event_source_arn": ARN}, "Unrecognized event source."),
    ({**SELF_MANAGED, "source_access_configurations": []}, NO_ACCESS),
    ({"self_managed_event_source": SELF_MANAGED["self_managed_event_source"]}, NO_ACCESS),
    ({"starting_position": "AT_TIMESTAMP"}, NO_TIMESTAMP),
    (
        {"starting_position": "AT_TIMESTAMP", "starting_position_timestamp": NOW / 1000 + 1},
        "The starting position timestamp must not be in the future.",
    ),
    (
        {"starting_position_timestamp": 1},
        "StartingPositionTimestamp can only be used when the starting position is 'AT_TIMESTAMP'.",
    ),
    ({"queues": ["q"]}, UNSUPPORTED.format("queues")),
    ({"parallelization_factor": 2}, UNSUPPORTED.format("parallelizationFactor")),
    ({"tumbling_window_in_seconds": 2}, UNSUPPORTED.format("tumblingWindowInSeconds")),
    ({"scaling_config": {}}, UNSUPPORTED.format("scalingConfig")),
    ({"document_db_event_source_config": {}}, UNSUPPORTED.format("documentDBEventSourceConfig")),
    ({"self_managed_kafka_event_source_config": {}}, UNSUPPORTED.format("selfManagedKafkaEventSourceConfig")),
    (
        {**SELF_MANAGED, "amazon_managed_kafka_event_source_config": {}},
        UNSUPPORTED.format("amazonManagedKafkaEventSourceConfig"),
    ),
    ({"metrics_config": {"Metrics": ["EventCount"]}}, PROVISIONED_ONLY.format("MetricsConfig", "MetricsConfig")),
    ({"logging_config": {"SystemLogLevel": "INFO"}}, PROVISIONED_ONLY.format("LoggingConfig", "LoggingConfig")),
    (
        {"amazon_managed_kafka_event_source_config": {"SchemaRegistryConfig": {"EventRecordFormat": "JSON"}}},
        PROVISIONED_ONLY.format("SchemaRegistryConfig", "Schema Registry"),
    ),
    (
        {"destination_config": {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:123456789012:q"}}},
        "Unsupported DestinationConfig parameter for given event source mapping type.",
    ),
    ({"filter_criteria": {"Filters": [{"Pattern": "single-string"}]}}, "Invalid filter pattern definition."),
    (
        {"filter_criteria": {"Filters": [{"Pattern": '[{"eventName": ["INSERT"=123}]'}]}},
        "Invalid filter pattern definition.",
    ),
    ({"filter_criteria": {"Filters": [{}]}}, "Invalid filter pattern definition."),
    (
        {"filter_criteria": {"Filters": [{"Pattern": '{"value":{"a":[1]}}'}] * 6}},
        "A mapping has at most 5 filters (spec 6.1), 6 were given; filter_quota=10 is for accounts with a raised "
        "quota.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "message"), ROWS)
def test_what_aws_refuses_is_refused_with_its_text(parameters, message):
    assert refused(**parameters) == (INVALID, message)


def test_the_order_of_the_checks_for_msk():
    """Shapes, timestamp, queues, and only then a timestamp that stands alone."""
    assert refused("x", starting_position="AT_TIMESTAMP", queues=["q"])[0] == SHAPE
    assert refused(starting_position="AT_TIMESTAMP", queues=["q"]) == (INVALID, NO_TIMESTAMP)
    assert refused(starting_position_timestamp=1, queues=["q"]) == (INVALID, UNSUPPORTED.format("queues"))


def test_the_order_of_the_checks_for_self_managed_kafka():
    """Shapes, source access, timestamp, queues; what AWS refuses comes before what this kit cannot do."""
    elsewhere = {"self_managed_event_source": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}}}
    timestamp = {"starting_position": "AT_TIMESTAMP", "queues": ["q"]}
    assert refused(**elsewhere, **timestamp, batch_size=0)[0] == SHAPE
    assert refused(**elsewhere, **timestamp) == (INVALID, NO_ACCESS)
    assert refused(**SELF_MANAGED, **timestamp) == (INVALID, NO_TIMESTAMP)
    assert refused(**SELF_MANAGED, queues=["q"]) == (INVALID, UNSUPPORTED.format("queues"))


def test_a_timestamp_in_the_future_is_told_by_the_given_time():
    with pytest.raises(EventSourceMappingError):
        parse(starting_position="AT_TIMESTAMP", starting_position_timestamp=(NOW + 1) / 1000)


# --- what this kit does not do


@pytest.mark.parametrize(
    "block", ["amazon_managed_kafka_event_source_config", "self_managed_kafka_event_source_config"]
)
def test_a_consumer_group_is_given_in_one_place(block):
    kind = SELF_MANAGED if block.startswith("self") else {}
    with pytest.raises(TypeError) as raised:
        parse(**kind, consumer_group_id="g", **{block: {"ConsumerGroupId": "g"}})
    assert str(raised.value) == (
        "consumer_group_id is a shorthand for the block's ConsumerGroupId: give one of the two."
    )


def test_a_mapping_reads_from_the_broker_of_its_test_only():
    elsewhere = {
        **SELF_MANAGED,
        "self_managed_event_source": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}},
    }
    with pytest.raises(MskError) as raised:
        parse(**elsewhere)
    assert str(raised.value) == (
        "The mapping reads from the broker of this test, b-1:9092,b-2:9092, but self_managed_event_source names "
        "['kafka:1000']: give msk_broker.bootstrap_servers.split(',') as its KAFKA_BOOTSTRAP_SERVERS."
    )


@pytest.mark.parametrize("kind", [{}, SELF_MANAGED], ids=["msk", "self-managed"])
def test_authentication_is_never_left_out_in_silence(kind):
    access = [{"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"}, {"Type": "OAUTHBEARER_AUTH", "URI": "arn:secret"}]
    with pytest.raises(NotSupported, match=r"^Authentication by OAUTHBEARER_AUTH is not run: give one of"):
        parse(**{**kind, "source_access_configurations": access})


def test_queue_mode_is_refused():
    with pytest.raises(NotSupported, match=r"^ConsumptionMode: only 'Stream' is run"):
        parse(**SELF_MANAGED, self_managed_kafka_event_source_config={"ConsumptionMode": "Queue"})


def test_tags_and_a_key_are_taken():
    parse(tags={"team": "blue"}, kms_key_arn="arn:aws:kms:us-east-1:123456789012:key/1")
    with pytest.raises(EventSourceMappingError) as raised:
        parse(kms_key_arn="key")
    assert raised.value.message == (
        "1 validation error detected: Value 'key' at 'kMSKeyArn' failed to satisfy constraint: Member must satisfy "
        "regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"
    )


def test_system_logs_have_three_levels():
    parse(provisioned_poller_config={"MinimumPollers": 1}, logging_config={"SystemLogLevel": "DEBUG"})
    with pytest.raises(EventSourceMappingError) as raised:
        parse(provisioned_poller_config={"MinimumPollers": 1}, logging_config={"SystemLogLevel": "ERROR"})
    assert raised.value.message == (
        "1 validation error detected: Value 'ERROR' at 'loggingConfig.systemLogLevel' failed to satisfy constraint: "
        "Member must satisfy enum value set: [DEBUG, INFO, WARN]"
    )


def test_metrics_may_be_asked_for_in_provisioned_mode():
    metrics = ["EventCount", "ErrorCount", "KafkaMetrics"]
    config = parse(provisioned_poller_config={"MinimumPollers": 1}, metrics_config={"Metrics": metrics})
    assert config.provisioned is not None


@pytest.mark.parametrize(
    ("metrics", "constraint"),
    [
        (
            ["Everything"],
            "Value '[Everything]' at 'metricsConfig.metrics' failed to satisfy constraint: Member must satisfy "
            "constraint: [Member must satisfy enum value set: [EventCount, ErrorCount, KafkaMetrics]]",
        ),
        (
            ["EventCount"] * 4,
            "Value '[EventCount, EventCount, EventCount, EventCount]' at 'metricsConfig.metrics' failed to satisfy "
            "constraint: Member must have length less than or equal to 3",
        ),
    ],
)
def test_other_metrics_are_refused(metrics, constraint):
    with pytest.raises(EventSourceMappingError) as raised:
        parse(provisioned_poller_config={"MinimumPollers": 1}, metrics_config={"Metrics": metrics})
    assert str(raised.value) == f"1 validation error detected: {constraint}"


def test_with_provisioned_pollers_what_is_not_run_yet_is_named():
    registry = {"SchemaRegistryConfig": {"EventRecordFormat": "JSON"}}
    with pytest.raises(NotSupported, match=r"^SchemaRegistryConfig: schema registries are not run yet \(spec 9\)\.$"):
        parse(
            provisioned_poller_config={"MinimumPollers": 1},
            amazon_managed_kafka_event_source_config=registry,
        )


def test_a_filter_on_something_else_than_the_value_is_refused():
    with pytest.raises(NotSupported, match="filters on 'key', but a Kafka mapping filters on 'value' only"):
        parse(filter_criteria={"Filters": [{"Pattern": '{"key":["a"]}'}]})


def test_the_kits_options_for_filters_are_taken_over():
    on_topic = {"Filters": [{"Pattern": '{"topic":["orders"],"value":{"a":[1]}}'}] * 6}
    config = parse(filter_criteria=on_topic, filter_quota=10, filter_metadata=True)
    assert config.filters.metadata
    assert config.filters.decide(b"text", {"topic": "orders"}) == "unfiltered"
    strict = parse(filter_criteria=on_topic, filter_quota=6, filter_metadata=True, filter_strict=True)
    assert strict.filters.decide(b"text", {"topic": "orders"}) == "filtered"


@pytest.mark.parametrize("quota", [0, 11, -1])
def test_a_filter_quota_that_aws_does_not_give_is_refused(quota):
    with pytest.raises(ValueError, match=rf"filter_quota={quota}: filters of one mapping, 5 by default and at most 10"):
        parse(filter_quota=quota)


# --- failures and provisioned mode

PROVISIONED = {"provisioned_poller_config": {"MinimumPollers": 1}}
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failed-orders"


def on_failure(target: object) -> dict:
    return {"destination_config": {"OnFailure": {"Destination": target}}}


def test_on_demand_nothing_limits_a_batch():
    config = parse()
    assert config.provisioned is None
    assert config.destination is None
    assert config.rules == DeliveryRules()
    assert config.rules.retries is None


def test_the_parameters_of_provisioned_mode_are_taken_over():
    config = parse(
        provisioned_poller_config={"MinimumPollers": 2, "MaximumPollers": 5, "PollerGroupName": "shared_1"},
        maximum_retry_attempts=3, maximum_record_age_in_seconds=60, bisect_batch_on_function_error=True,
        function_response_types=["ReportBatchItemFailures"], retry_backoff_in_seconds=2, strict_order=True,
        **on_failure(QUEUE),
    )  # fmt: skip
    assert config.provisioned == ProvisionedPollers(minimum=2, maximum=5, group_name="shared_1")
    assert config.destination == QUEUE
    assert config.rules == DeliveryRules(
        maximum_retry_attempts=3, maximum_record_age_ms=60_000, bisect=True, item_failures=True, strict_order=True,
        destination=True, backoff_ms=2_000,
    )  # fmt: skip


def test_the_pollers_have_awss_defaults():
    assert parse(provisioned_poller_config={"MinimumPollers": 7}).provisioned == ProvisionedPollers(minimum=7)
    assert parse(provisioned_poller_config={"MaximumPollers": 7}).provisioned == ProvisionedPollers(maximum=7)
    assert parse(provisioned_poller_config={}).provisioned is None
    named = parse(provisioned_poller_config={"MinimumPollers": 1, "PollerGroupName": ""}).provisioned
    assert named == ProvisionedPollers()


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"maximum_retry_attempts": 0}, "MaximumRetryAttempts"),
        ({"maximum_record_age_in_seconds": 60}, "MaximumRecordAgeInSeconds"),
        ({"bisect_batch_on_function_error": True}, "BisectBatchOnFunctionError"),
        ({"function_response_types": ["ReportBatchItemFailures"]}, "FunctionResponseTypes"),
    ],
)
@pytest.mark.parametrize(
    "kind", [{}, SELF_MANAGED, {"provisioned_poller_config": {}}], ids=["MSK", "self-managed", "{}"]
)
def test_what_needs_provisioned_mode_is_refused_without_it(parameters, name, kind):
    assert refused(**parameters, **kind) == (
        INVALID,
        f"{name} is only available for Provisioned Mode. To configure {name}, please enable Provisioned Mode by "
        "specifying MinimumPollers in ProvisionedPollerConfig.",
    )
    parse(**parameters, **PROVISIONED)


def test_the_values_that_an_answer_of_aws_has_on_demand_are_taken():
    config = parse(
        maximum_retry_attempts=-1, maximum_record_age_in_seconds=-1, bisect_batch_on_function_error=False,
        function_response_types=[],
    )  # fmt: skip
    assert config.rules == DeliveryRules()


@pytest.mark.parametrize(
    ("name", "value", "member", "constraint"),
    [
        ("maximum_retry_attempts", -2, "maximumRetryAttempts", "Member must have value greater than or equal to -1"),
        ("maximum_retry_attempts", 10_001, "maximumRetryAttempts",
         "Member must have value less than or equal to 10000"),
        ("maximum_record_age_in_seconds", -2, "maximumRecordAgeInSeconds",
         "Member must have value greater than or equal to -1"),
        ("maximum_record_age_in_seconds", 604_801, "maximumRecordAgeInSeconds",
         "Member must have value less than or equal to 604800"),
    ],
)  # fmt: skip
def test_numbers_out_of_bounds_are_refused_by_their_shape(name, value, member, constraint):
    assert refused(**{name: value}, **PROVISIONED) == one(value, member, constraint)


@pytest.mark.parametrize(
    ("block", "value", "member", "constraint"),
    [
        ({"MinimumPollers": 0}, 0, "minimumPollers", "Member must have value greater than or equal to 1"),
        ({"MinimumPollers": 201}, 201, "minimumPollers", "Member must have value less than or equal to 200"),
        ({"MaximumPollers": 0}, 0, "maximumPollers", "Member must have value greater than or equal to 1"),
        ({"MaximumPollers": 10_001}, 10_001, "maximumPollers", "Member must have value less than or equal to 10000"),
        ({"PollerGroupName": "a b"}, "a b", "pollerGroupName",
         "Member must satisfy regular expression pattern: [a-zA-Z0-9-_]*"),
        ({"PollerGroupName": "x" * 129}, "x" * 129, "pollerGroupName",
         "Member must have length less than or equal to 128"),
    ],
)  # fmt: skip
def test_pollers_out_of_bounds_are_refused_by_their_shape(block, value, member, constraint):
    wanted = one(value, f"provisionedPollerConfig.{member}", constraint)
    assert refused(provisioned_poller_config=block) == wanted


def test_more_pollers_than_kafka_mappings_have_are_refused():
    assert refused(provisioned_poller_config={"MaximumPollers": 2_001}) == (
        INVALID,
        "Maximum provisioned pollers must be between 1 and 2000 inclusive.",
    )
    assert refused(provisioned_poller_config={"MinimumPollers": 5, "MaximumPollers": 4}) == (
        INVALID,
        "Minimum provisioned pollers must be less than or equal to maximum provisioned pollers.",
    )


@pytest.mark.parametrize("seconds", [0, 1, 59])
def test_record_ages_below_a_minute_are_refused(seconds):
    assert refused(maximum_record_age_in_seconds=seconds, **PROVISIONED) == (
        INVALID,
        "MaximumRecordAgeInSeconds must be between 60 and 604800 inclusive, or -1 for no limit.",
    )


def test_function_response_types_are_one_of_one():
    kinds = ["ReportBatchItemFailures"]
    enum = "Member must satisfy constraint: [Member must satisfy enum value set: [ReportBatchItemFailures]]"
    assert refused(function_response_types=["x"], **PROVISIONED) == one("[x]", "functionResponseTypes", enum)
    assert refused(function_response_types=kinds * 2, **PROVISIONED) == one(
        "[ReportBatchItemFailures, ReportBatchItemFailures]",
        "functionResponseTypes",
        "Member must have length less than or equal to 1",
    )


@pytest.mark.parametrize(
    "target",
    [
        QUEUE, "arn:aws:sns:us-east-1:123456789012:failed", "arn:aws:s3:::failed-orders",
        "arn:aws:s3:::failed.fifo", "arn:aws-cn:sqs:cn-north-1:123456789012:q",
    ],
)  # fmt: skip
def test_destinations_of_aws_are_taken_in_both_modes(target):
    assert parse(**on_failure(target)).destination == parse(**PROVISIONED, **on_failure(target)).destination == target


@pytest.mark.parametrize("block", [{}, {"OnFailure": {}}, {"OnFailure": {"Destination": ""}}])
def test_an_empty_destination_is_none(block):
    assert parse(destination_config=block).destination is None


def test_with_a_destination_of_either_mode_unlimited_retries_are_ten():
    assert parse(**on_failure(QUEUE)).rules.retries == parse(**PROVISIONED, **on_failure(QUEUE)).rules.retries == 10


@pytest.mark.parametrize(
    "target",
    [
        QUEUE + ".fifo", "arn:aws:sns:us-east-1:123456789012:failed.fifo",
        "arn:aws:lambda:us-east-1:123456789012:function:f", "arn:aws:kafka:us-east-1:123456789012:cluster/a/b",
    ],
)  # fmt: skip
def test_destinations_of_other_kinds_are_refused(target):
    assert refused(**PROVISIONED, **on_failure(target)) == (
        INVALID,
        f"The destination ARN {target} is invalid: an on-failure destination is a standard SQS queue, a standard SNS "
        "topic or an S3 bucket, or kafka://topic (spec 4.6).",
    )


def test_a_kafka_destination_needs_provisioned_mode_and_another_topic():
    assert parse(**PROVISIONED, **on_failure("kafka://failed-orders")).destination == "kafka://failed-orders"
    assert refused(**on_failure("kafka://failed-orders")) == (
        INVALID,
        "A Kafka on-failure destination is only available for Provisioned Mode. To configure a Kafka on-failure "
        "destination, please enable Provisioned Mode by specifying MinimumPollers in ProvisionedPollerConfig.",
    )
    assert refused(**PROVISIONED, **on_failure("kafka://orders")) == (
        INVALID,
        "The on-failure destination kafka://orders is the topic that the mapping reads: failed records would come back "
        "without end (spec 4.7).",
    )


@pytest.mark.parametrize("target", ["orders-dlq", "https://sqs.us-east-1.amazonaws.com/1/q", "kafka://", "kafka://.a"])
def test_a_destination_that_is_no_address_is_refused_by_its_shape(target):
    code, text = refused(**PROVISIONED, **on_failure(target))
    assert code == SHAPE
    assert text.startswith(
        f"1 validation error detected: Value '{target}' at 'destinationConfig.onFailure.destination' failed to satisfy "
        r"constraint: Member must satisfy regular expression pattern: $|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|arn:"
    )


def test_a_destination_longer_than_aws_takes_is_refused_by_its_shape():
    target = "arn:aws:s3:::" + "b" * 340
    wanted = one(target, "destinationConfig.onFailure.destination", "Member must have length less than or equal to 350")
    assert refused(**on_failure(target)) == wanted


def test_the_kits_own_destinations_are_taken_in_both_modes():
    kept, told = InMemoryDestination(), []
    for mode in ({}, PROVISIONED):
        assert parse(**mode, **on_failure(kept)).destination is kept
        named = parse(**mode, **on_failure(told.append)).destination
        assert isinstance(named, CallableDestination)
        assert named.name == "list.append"


@pytest.mark.parametrize("target", [5, b"x", True, None])
def test_a_destination_of_a_wrong_type_is_refused(target):
    with pytest.raises(TypeError) as raised:
        parse(**on_failure(target))
    assert str(raised.value).endswith("valid types: str or Destination or Callable")


def test_a_class_is_no_destination():
    with pytest.raises(TypeError, match=r"^Destination: InMemoryDestination is a class; give an instance of it\.$"):
        parse(**on_failure(InMemoryDestination))


def test_the_default_window_cannot_be_asked_for_in_seconds():
    assert parse().window_ms == 500
    with pytest.raises(TypeError, match=r"maximum_batching_window_in_seconds, value: 0\.5, type: <class 'float'>"):
        parse(maximum_batching_window_in_seconds=0.5)
    assert [parse(maximum_batching_window_in_seconds=s).window_ms for s in (0, 1)] == [0, 1_000]
