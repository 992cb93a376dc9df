"""The configs of topics: which values are taken, how they are changed, and what holds from the next record on."""

from __future__ import annotations

import struct

import pytest
from broker_tools import PATIENCE, read_from, until
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from kafka_wire import array, batch, produce, record, string

ALTER_CONFIGS = 33
TOPIC, INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION, INVALID_RECORD = 2, 40, 3, 87

TAKEN = [
    ("cleanup.policy", "compact"),
    ("compression.type", "zstd"),
    ("delete.retention.ms", "5"),
    ("file.delete.delay.ms", "5"),
    ("flush.messages", "5"),
    ("flush.ms", "5"),
    ("index.interval.bytes", "5"),
    ("max.compaction.lag.ms", "5"),
    ("max.message.bytes", "5"),
    ("message.timestamp.before.max.ms", "5"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("min.compaction.lag.ms", "5"),
    ("min.insync.replicas", "1"),
    ("preallocate", "true"),
    ("retention.bytes", "5"),
    ("segment.bytes", "2000000"),
    ("segment.index.bytes", "500"),
    ("segment.jitter.ms", "5"),
    ("segment.ms", "5"),
    ("unclean.leader.election.enable", "true"),
]
REFUSED = [
    ("cleanup.policy", "shrink"),
    ("compression.type", "rar"),
    ("delete.retention.ms", "-1"),
    ("max.compaction.lag.ms", "0"),
    ("max.message.bytes", "-1"),
    ("max.message.bytes", "99999999999"),
    ("message.timestamp.type", "Now"),
    ("min.cleanable.dirty.ratio", "2"),
    ("min.cleanable.dirty.ratio", "much"),
    ("preallocate", "maybe"),
    ("retention.ms", "-2"),
    ("segment.ms", "0"),
]


def configs(admin, name):
    resource = ConfigResource(ResourceType.TOPIC, name)
    return admin.describe_configs([resource])[resource].result(PATIENCE)


def alter(admin, name, *changes, validate_only=False):
    """Change configs by (name, value, operation)."""
    entries = [ConfigEntry(key, value, incremental_operation=operation) for key, value, operation in changes]
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    admin.incremental_alter_configs([resource], validate_only=validate_only)[resource].result(PATIENCE)


def set_to(admin, name, **values):
    """Set configs (`_` for `.`), and wait until they hold."""
    wanted = {key.replace("_", "."): value for key, value in values.items()}
    alter(admin, name, *((key, value, AlterConfigOpType.SET) for key, value in wanted.items()))
    until(lambda: {key: configs(admin, name)[key].value for key in wanted}, lambda seen: seen == wanted)


def refused(admin, name, *changes):
    with pytest.raises(KafkaException) as caught:
        alter(admin, name, *changes)
    return caught.value.args[0].code()


@pytest.mark.parametrize(("key", "value"), TAKEN)
def test_a_config_is_kept_and_shown(admin, topic, key, value):
    name = topic(**{key: value})
    found = configs(admin, name)[key]
    assert (found.value, found.is_default) == (value, False)


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_a_config_that_cannot_be_is_refused(admin, topic, key, value):
    name = topic()
    assert refused(admin, name, (key, value, AlterConfigOpType.SET)) == KafkaError.INVALID_CONFIG


def test_two_lags_that_contradict_each_other_are_refused(admin, topic):
    name = topic(min_compaction_lag_ms=10)
    change = ("max.compaction.lag.ms", "5", AlterConfigOpType.SET)
    assert refused(admin, name, change) == KafkaError.INVALID_CONFIG


def test_an_item_is_put_into_a_list_and_taken_out(admin, topic):
    name = topic()

    def policy():
        return set(configs(admin, name)["cleanup.policy"].value.split(","))

    alter(admin, name, ("cleanup.policy", "compact", AlterConfigOpType.APPEND))
    until(policy, lambda seen: seen == {"delete", "compact"})
    alter(admin, name, ("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT))
    until(policy, lambda seen: seen == {"compact"})


def test_only_lists_have_items(admin, topic):
    name = topic()
    change = ("retention.ms", "5", AlterConfigOpType.APPEND)
    assert refused(admin, name, change) == KafkaError.INVALID_CONFIG


def test_one_wrong_change_keeps_the_others_out(admin, topic):
    name = topic()
    before = configs(admin, name)["flush.ms"].value
    good, bad = ("flush.ms", "5", AlterConfigOpType.SET), ("segment.ms", "0", AlterConfigOpType.SET)
    assert refused(admin, name, good, bad) == KafkaError.INVALID_CONFIG
    assert configs(admin, name)["flush.ms"].value == before


def test_a_dry_run_changes_nothing(admin, topic):
    name = topic()
    before = configs(admin, name)["flush.ms"].value
    alter(admin, name, ("flush.ms", "5", AlterConfigOpType.SET), validate_only=True)
    assert configs(admin, name)["flush.ms"].value == before


def test_configs_of_a_topic_that_is_not_there_are_not_changed(admin, new_name):
    change = ("flush.ms", "5", AlterConfigOpType.SET)
    assert refused(admin, new_name(), change) == KafkaError.UNKNOWN_TOPIC_OR_PART


def by_hand(wire, name, **values):
    """AlterConfigs (version 0): the error."""
    entries = array([string(key.replace("_", ".")) + string(value) for key, value in values.items()])
    answer = wire.ask(ALTER_CONFIGS, 0, array([struct.pack(">b", TOPIC) + string(name) + entries]) + b"\0")
    answer.int32()
    assert answer.int32() == 1
    return answer.int16()


def test_the_older_way_to_alter_replaces_all_configs(admin, topic, wire):
    name = topic(flush_ms=5)
    assert by_hand(wire, name, segment_ms="7000") == 0
    until(lambda: configs(admin, name)["segment.ms"].value, lambda seen: seen == "7000")
    assert configs(admin, name)["flush.ms"].is_default
    assert by_hand(wire, name, segment_ms="0") == INVALID_CONFIG
    assert by_hand(wire, f"{name}-not-there", segment_ms="7000") == UNKNOWN_TOPIC_OR_PARTITION


def test_the_timestamps_type_holds_from_the_next_record_on(admin, topic, send, consumer, group):
    name = topic()
    send(name, b"1", timestamp=1_600_000_000_000)
    set_to(admin, name, message_timestamp_type="LogAppendTime")
    send(name, b"2", timestamp=1_600_000_000_000)
    first, second = (message.timestamp() for message in read_from(consumer(group), name, 2))
    assert first == (TIMESTAMP_CREATE_TIME, 1_600_000_000_000)
    assert second[0] == TIMESTAMP_LOG_APPEND_TIME
    assert second[1] > first[1]


def test_a_topic_that_is_compacted_wants_keys_from_the_next_record_on(admin, topic, wire):
    name = topic()
    assert produce(wire, name, batch(record(0, b"no key")))[0] == 0
    set_to(admin, name, cleanup_policy="compact")
    until(lambda: produce(wire, name, batch(record(0, b"no key")))[0], lambda error: error == INVALID_RECORD)
    assert produce(wire, name, batch(record(0, b"value", key=b"key")))[0] == 0
    set_to(admin, name, cleanup_policy="delete")
    until(lambda: produce(wire, name, batch(record(0, b"no key")))[0], lambda error: error == 0)
