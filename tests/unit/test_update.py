"""What an update makes of a mapping's parameters: what keeps, what clears, what cannot be changed (spec 2.2, 2.6)."""

from __future__ import annotations

import pytest

from pytest_msk import EventSourceMappingError
from pytest_msk.mapping.update import FIXED, updated

FILTERS = {"Filters": [{"Pattern": '{"value": {"a": [1]}}'}]}


def test_what_is_not_sent_keeps_its_value_and_nothing_given_is_touched():
    before = {"batch_size": 5, "filter_criteria": FILTERS}
    changes = {"batch_size": 7}
    assert updated(before, changes) == {"batch_size": 7, "filter_criteria": FILTERS}
    assert before == {"batch_size": 5, "filter_criteria": FILTERS}
    assert changes == {"batch_size": 7}


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ({"filter_criteria": FILTERS}, {"filter_criteria": {}}, {}),
        ({"filter_criteria": FILTERS}, {"filter_criteria": {"Filters": []}}, {}),
        ({"filter_criteria": FILTERS}, {"filter_criteria": None}, {"filter_criteria": FILTERS}),
        ({"destination_config": {"OnFailure": {"Destination": "kafka://t"}}},
         {"destination_config": {"OnFailure": {"Destination": ""}}}, {}),
        ({"destination_config": {"OnFailure": {"Destination": "kafka://t"}}}, {"destination_config": {}},
         {"destination_config": {"OnFailure": {"Destination": "kafka://t"}}}),
        ({"metrics_config": {"Metrics": ["EventCount"]}}, {"metrics_config": {"Metrics": []}}, {}),
        ({"logging_config": {"SystemLogLevel": "INFO"}}, {"logging_config": {}}, {}),
        ({"kms_key_arn": "arn:aws:kms:eu-west-1:123456789012:key/k"}, {"kms_key_arn": ""}, {}),
        ({"provisioned_poller_config": {"MinimumPollers": 2}}, {"provisioned_poller_config": {}}, {}),
        ({"provisioned_poller_config": {"MinimumPollers": 2, "PollerGroupName": "g"}},
         {"provisioned_poller_config": {"MaximumPollers": 5}},
         {"provisioned_poller_config": {"MinimumPollers": 2, "PollerGroupName": "g", "MaximumPollers": 5}}),
        ({"provisioned_poller_config": {"MinimumPollers": 2, "PollerGroupName": "g"}},
         {"provisioned_poller_config": {"PollerGroupName": ""}},
         {"provisioned_poller_config": {"MinimumPollers": 2}}),
        ({"amazon_managed_kafka_event_source_config": {"ConsumerGroupId": "g"}},
         {"amazon_managed_kafka_event_source_config": {}},
         {"amazon_managed_kafka_event_source_config": {"ConsumerGroupId": "g"}}),
        ({"amazon_managed_kafka_event_source_config": {"ConsumerGroupId": "g"}},
         {"amazon_managed_kafka_event_source_config": {"SchemaRegistryConfig": {}}},
         {"amazon_managed_kafka_event_source_config": {"ConsumerGroupId": "g", "SchemaRegistryConfig": {}}}),
        ({"maximum_batching_window_in_seconds": 5}, {}, {"maximum_batching_window_in_seconds": 5}),
    ],
)  # fmt: skip
def test_what_keeps_and_what_clears(before, changes, after):
    assert updated(before, changes) == after


@pytest.mark.parametrize(
    ("before", "changes", "text"),
    [
        ({}, {"consumer_group_id": "g"}, "Unsupported 'amazonManagedKafkaEventSourceConfig.consumerGroupId' parameter "
         "for given event source mapping type."),
        ({"consumer_group_id": "g"}, {"amazon_managed_kafka_event_source_config": {"ConsumerGroupId": "g"}},
         "Unsupported 'amazonManagedKafkaEventSourceConfig.consumerGroupId' parameter for given event source mapping "
         "type."),
        ({"self_managed_event_source": {}}, {"consumer_group_id": "g"}, "Unsupported 'selfManagedKafkaEventSourceConfig"
         ".consumerGroupId' parameter for given event source mapping type."),
        ({"self_managed_event_source": {}}, {"self_managed_kafka_event_source_config": {"ConsumptionMode": "Stream"}},
         "Unsupported 'ConsumptionMode' parameter for given event source mapping type"),
    ],
)  # fmt: skip
def test_the_consumer_group_and_the_mode_of_consumption_cannot_be_sent_at_all(before, changes, text):
    with pytest.raises(EventSourceMappingError) as refused:
        updated(before, changes)
    assert refused.value.code == "InvalidParameterValueException"
    assert str(refused.value) == text


@pytest.mark.parametrize("name", [*FIXED])
def test_what_the_request_has_no_member_for_is_refused_as_boto3_would(name):
    with pytest.raises(TypeError, match=f"UpdateEventSourceMapping has no parameter '{name}'"):
        updated({}, {name: "x"})


def test_the_topic_cannot_be_changed():
    with pytest.raises(TypeError, match="cannot change the topic"):
        updated({}, {"topics": ["x"]})
