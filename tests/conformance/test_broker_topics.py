"""Topics and the cluster: made, changed, described and deleted, with Kafka's errors for what it refuses."""

from __future__ import annotations

import pytest
from broker_tools import PATIENCE, read_from, until
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

LONGEST = 249


def refusal(future):
    """The error that an administrator's question ends with."""
    with pytest.raises(KafkaException) as raised:
        future.result(PATIENCE)
    return raised.value.args[0]


def create(admin, name, partitions=1, replicas=-1, validate_only=False, **config):
    settings = {key.replace("_", "."): str(value) for key, value in config.items()}
    topic = NewTopic(name, partitions, replicas, config=settings)
    return admin.create_topics([topic], validate_only=validate_only)[name]


def configs(admin, kind, name):
    resource = ConfigResource(kind, name)
    return admin.describe_configs([resource])[resource].result(PATIENCE)


# --- creating


def test_a_topic_has_the_partitions_that_were_asked_for(admin, new_name, msk_broker):
    name = new_name()
    create(admin, name, 7).result(PATIENCE)
    until(lambda: msk_broker.partition_count(name), lambda count: count == 7)
    described = admin.describe_topics(TopicCollection([name]))[name].result(PATIENCE)
    assert [partition.id for partition in described.partitions] == list(range(7))
    assert not described.is_internal


def test_several_topics_are_made_by_one_question_and_one_failure_does_not_harm_the_rest(admin, new_name, msk_broker):
    good, other = new_name(), new_name()
    asked = [NewTopic(good, 1), NewTopic("not a name", 1), NewTopic(other, 2)]
    answers = admin.create_topics(asked)
    answers[good].result(PATIENCE)
    answers[other].result(PATIENCE)
    assert refusal(answers["not a name"]).code() == KafkaError.TOPIC_EXCEPTION
    until(msk_broker.topics, lambda names: {good, other} <= names)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a b", "a/b", "ü", "a\n", "x" * (LONGEST + 1)], ids=lambda name: repr(name[:6])
)
def test_an_illegal_name_is_refused(admin, name):
    assert refusal(create(admin, name)).code() == KafkaError.TOPIC_EXCEPTION


@pytest.mark.parametrize("shape", ["._-", "UPPER.lower_0-9", "..."])
def test_every_legal_character_is_taken(admin, new_name, msk_broker, shape):
    name = f"{shape}{new_name()}"
    create(admin, name).result(PATIENCE)
    until(msk_broker.topics, lambda names: name in names)


def test_the_longest_name_is_taken(admin, new_name, msk_broker):
    name = new_name().ljust(LONGEST, "x")
    create(admin, name).result(PATIENCE)
    until(msk_broker.topics, lambda names: name in names)


def test_a_topic_that_is_there_is_not_made_again(admin, topic):
    name = topic(partitions=2)
    error = refusal(create(admin, name, 5))
    assert error.code() == KafkaError.TOPIC_ALREADY_EXISTS
    assert error.str() == f"Topic '{name}' already exists."


def test_names_that_differ_by_dot_and_underscore_only_collide(admin, new_name, msk_broker):
    name = new_name().replace("-", ".")
    create(admin, name).result(PATIENCE)
    until(lambda: msk_broker.partition_count(name))
    try:
        assert refusal(create(admin, name.replace(".", "_"))).code() == KafkaError.TOPIC_EXCEPTION
    finally:
        admin.delete_topics([name])[name].result(PATIENCE)


def test_a_topic_has_at_least_one_partition(admin, new_name, msk_broker):
    name = new_name()
    assert refusal(create(admin, name, 0)).code() == KafkaError.INVALID_PARTITIONS
    assert name not in msk_broker.topics()


def test_no_number_of_partitions_means_the_brokers_own(admin, new_name, msk_broker):
    name = new_name()
    create(admin, name, -1).result(PATIENCE)
    until(lambda: msk_broker.partition_count(name), lambda count: count == 1)


def test_each_broker_holds_one_replica(admin, new_name, msk_broker):
    name, brokers = new_name(), len(admin.describe_cluster().result(PATIENCE).nodes)
    assert refusal(create(admin, name, replicas=brokers + 1)).code() == KafkaError.INVALID_REPLICATION_FACTOR
    assert name not in msk_broker.topics()


@pytest.mark.parametrize(
    "config",
    [
        {"no_such_setting": "1"},
        {"retention_ms": "soon"},
        {"cleanup_policy": "shred"},
        {"compression_type": "rar"},
        {"max_message_bytes": "-5"},
        {"message_timestamp_type": "Never"},
        {"min_insync_replicas": "0"},
    ],
    ids=lambda config: next(iter(config)),
)
def test_a_wrong_setting_is_refused(admin, new_name, msk_broker, config):
    name = new_name()
    assert refusal(create(admin, name, **config)).code() == KafkaError.INVALID_CONFIG
    assert name not in msk_broker.topics()


def test_a_dry_run_says_what_is_wrong_and_makes_nothing(admin, new_name, msk_broker):
    name = new_name()
    create(admin, name, validate_only=True).result(PATIENCE)
    assert refusal(create(admin, name, validate_only=True, retention_ms="soon")).code() == KafkaError.INVALID_CONFIG
    assert name not in msk_broker.topics()


# --- deleting


def test_a_deleted_topic_is_gone_and_its_name_is_free(admin, topic, msk_broker):
    name = topic(partitions=3)
    admin.delete_topics([name])[name].result(PATIENCE)
    until(msk_broker.topics, lambda names: name not in names)
    create(admin, name, 1).result(PATIENCE)
    until(lambda: msk_broker.partition_count(name), lambda count: count == 1)


def test_a_topic_that_is_not_there_cannot_be_deleted(admin, new_name):
    name = new_name()
    assert refusal(admin.delete_topics([name])[name]).code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_topic_that_is_not_there_cannot_be_described(admin, new_name):
    name = new_name()
    answer = admin.describe_topics(TopicCollection([name]))[name]
    assert refusal(answer).code() == KafkaError.UNKNOWN_TOPIC_OR_PART


# --- partitions


def test_partitions_are_added_and_the_old_ones_keep_their_records(admin, topic, send, consumer, group, msk_broker):
    name = topic()
    send(name, b"old", partition=0)
    admin.create_partitions([NewPartitions(name, 4)])[name].result(PATIENCE)
    until(lambda: msk_broker.partition_count(name), lambda count: count == 4)
    assert [msk_broker.watermarks(name)[p].high for p in range(4)] == [1, 0, 0, 0]
    assert read_from(consumer(group), name, 1)[0].value() == b"old"


@pytest.mark.parametrize(
    ("total", "words"),
    [
        (2, "The topic {0} currently has 3 partition(s); 2 would not be an increase."),
        (3, "Topic already has 3 partition(s)."),
    ],
)
def test_partitions_are_never_taken_away(admin, topic, msk_broker, total, words):
    name = topic(partitions=3)
    error = refusal(admin.create_partitions([NewPartitions(name, total)])[name])
    assert (error.code(), error.str()) == (KafkaError.INVALID_PARTITIONS, words.format(name))
    assert msk_broker.partition_count(name) == 3


def test_partitions_of_a_topic_that_is_not_there_are_refused(admin, new_name):
    name = new_name()
    error = refusal(admin.create_partitions([NewPartitions(name, 2)])[name])
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_dry_run_adds_no_partitions(admin, topic, msk_broker):
    name = topic()
    admin.create_partitions([NewPartitions(name, 2)], validate_only=True)[name].result(PATIENCE)
    assert msk_broker.partition_count(name) == 1


# --- deleting records


def test_deleted_records_are_gone_and_the_rest_keep_their_offsets(admin, topic, send, consumer, group):
    name = topic()
    send(name, *(b"%d" % n for n in range(5)))
    where = TopicPartition(name, 0, 3)
    assert admin.delete_records([where])[where].result(PATIENCE).low_watermark == 3
    assert [one.offset() for one in read_from(consumer(group), name, 2, offset=3)] == [3, 4]


def test_minus_1_deletes_all_records(admin, topic, send, msk_broker):
    name = topic()
    send(name, *[b"x"] * 5)
    where = TopicPartition(name, 0, -1)
    assert admin.delete_records([where])[where].result(PATIENCE).low_watermark == 5
    assert (msk_broker.watermarks(name)[0].low, msk_broker.watermarks(name)[0].high) == (5, 5)


def test_deleting_below_the_first_record_changes_nothing(admin, topic, send, msk_broker):
    name = topic()
    send(name, *[b"x"] * 5)
    for offset in (3, 1):
        where = TopicPartition(name, 0, offset)
        assert admin.delete_records([where])[where].result(PATIENCE).low_watermark == 3
    assert msk_broker.watermarks(name)[0].low == 3


def test_records_beyond_the_end_cannot_be_deleted(admin, topic, send, msk_broker):
    name = topic()
    send(name, *[b"x"] * 5)
    where = TopicPartition(name, 0, 6)
    assert refusal(admin.delete_records([where])[where]).code() == KafkaError.OFFSET_OUT_OF_RANGE
    assert msk_broker.watermarks(name)[0].low == 0


# --- settings


def test_a_topics_settings_are_described_with_where_they_come_from(admin, new_name, msk_broker):
    name = new_name()
    create(admin, name, retention_ms=12_345).result(PATIENCE)
    until(lambda: msk_broker.partition_count(name))
    found = configs(admin, ResourceType.TOPIC, name)
    assert (found["retention.ms"].value, found["retention.ms"].is_default) == ("12345", False)
    assert (found["cleanup.policy"].value, found["cleanup.policy"].is_default) == ("delete", True)
    assert found["max.message.bytes"].value == "1048588"
    assert found["compression.type"].value == "producer"
    assert found["message.timestamp.type"].value == "CreateTime"
    assert found["message.timestamp.after.max.ms"].value == "3600000"
    assert not any(entry.is_read_only or entry.is_sensitive for entry in found.values())


def test_settings_of_a_topic_that_is_not_there_are_unknown(admin, new_name):
    resource = ConfigResource(ResourceType.TOPIC, new_name())
    assert refusal(admin.describe_configs([resource])[resource]).code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def alter(admin, name, key, value, operation=AlterConfigOpType.SET):
    entry = ConfigEntry(key, value, incremental_operation=operation)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    return admin.incremental_alter_configs([resource])[resource]


def test_a_setting_is_changed_and_taken_back(admin, topic):
    name = topic()

    def limit():
        return configs(admin, ResourceType.TOPIC, name)["max.message.bytes"].value

    alter(admin, name, "max.message.bytes", "5000").result(PATIENCE)
    until(limit, lambda value: value == "5000")
    alter(admin, name, "max.message.bytes", None, AlterConfigOpType.DELETE).result(PATIENCE)
    until(limit, lambda value: value == "1048588")


def test_a_changed_setting_holds_for_the_next_record(admin, topic, producer):
    name = topic()
    alter(admin, name, "max.message.bytes", "5000").result(PATIENCE)
    until(lambda: configs(admin, ResourceType.TOPIC, name)["max.message.bytes"].value, lambda value: value == "5000")
    errors = []
    one = producer()
    one.produce(name, b"x" * 10_000, on_delivery=lambda error, _: errors.append(error.code()))
    assert one.flush(PATIENCE) == 0
    assert errors == [KafkaError.MSG_SIZE_TOO_LARGE]


@pytest.mark.parametrize(("key", "value"), [("retention.ms", "soon"), ("no.such.setting", "1")])
def test_a_wrong_change_is_refused_and_changes_nothing(admin, topic, key, value):
    name = topic()
    before = configs(admin, ResourceType.TOPIC, name)["retention.ms"].value
    assert refusal(alter(admin, name, key, value)).code() == KafkaError.INVALID_CONFIG
    assert configs(admin, ResourceType.TOPIC, name)["retention.ms"].value == before


def test_the_brokers_settings_can_be_read(admin):
    node = next(iter(admin.list_topics(timeout=PATIENCE).brokers))
    found = configs(admin, ResourceType.BROKER, str(node))
    assert found["auto.create.topics.enable"].value == "false"
    assert found["group.min.session.timeout.ms"].value == "6000"
    assert found["num.partitions"].value == "1"


# --- the cluster


def test_the_cluster_has_an_id_a_controller_and_a_node_that_can_be_reached(admin, msk_broker):
    cluster = admin.describe_cluster().result(PATIENCE)
    assert cluster.cluster_id
    assert f"{cluster.controller.host}:{cluster.controller.port}" in msk_broker.bootstrap_servers.split(",")
    assert cluster.controller.id in [node.id for node in cluster.nodes]


def test_the_list_of_topics_shows_each_with_its_partitions(admin, topic):
    names = {topic(): 1, topic(partitions=3): 3}
    listed = admin.list_topics(timeout=PATIENCE).topics
    assert {name: len(listed[name].partitions) for name in names} == names


def test_a_topic_is_not_created_by_mere_use(new_name, producer, consumer, group, msk_broker):
    name = new_name()
    errors = []
    one = producer(topic_metadata_propagation_max_ms=50, allow_auto_create_topics=True)
    one.produce(name, b"x", on_delivery=lambda error, _: errors.append(error.code()))
    assert one.flush(PATIENCE) == 0
    assert errors == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    reader = consumer(group, allow_auto_create_topics=True)
    reader.subscribe([name])
    message = reader.poll(PATIENCE)
    assert message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert name not in msk_broker.topics()
