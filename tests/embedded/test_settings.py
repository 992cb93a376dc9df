"""Broker settings and topic configs: Kafka's names, defaults, checks and texts."""

from __future__ import annotations

import pytest

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.errors import ErrorCode, Refused
from pytest_msk.brokers.embedded.settings import BROKER_SETTINGS, TOPIC_CONFIGS, Settings
from pytest_msk.brokers.embedded.topics import Topics, check_topic_configs, check_topic_name
from pytest_msk.errors import BrokerError, TopicExists


@pytest.mark.parametrize("key", [*TOPIC_CONFIGS.values(), *BROKER_SETTINGS.values()], ids=lambda key: key.name)
def test_each_default_passes_its_own_check(key) -> None:
    if key.default is not None:
        assert key.check(key.default) == key.default


# Each text is what Apache Kafka 4.3.1 answers.
@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"foo.bar": "1"}, "Unknown topic config name: foo.bar"),
        ({"retention.ms": "abc"}, "Invalid value abc for configuration retention.ms: Not a number of type LONG"),
        ({"retention.ms": "-5"}, "Invalid value -5 for configuration retention.ms: Value must be at least -1"),
        (
            {"retention.ms": "9" * 20},
            f"Invalid value {'9' * 20} for configuration retention.ms: Not a number of type LONG",
        ),
        (
            {"cleanup.policy": "foo"},
            "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            {"preallocate": "maybe"},
            "Invalid value maybe for configuration preallocate: Expected value to be either true or false",
        ),
        (
            {"message.timestamp.type": "x"},
            "Invalid value x for configuration message.timestamp.type: "
            "String must be one of: CreateTime, LogAppendTime",
        ),
        (
            {"min.insync.replicas": "99999999999"},
            "Invalid value 99999999999 for configuration min.insync.replicas: Not a number of type INT",
        ),
        (
            {"min.cleanable.dirty.ratio": "2"},
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
        (
            {"compression.gzip.level": "77"},
            "Invalid value 77 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        ({"segment.bytes": "1"}, "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"),
    ],
)
def test_a_bad_config_is_refused_in_kafkas_words(config: dict[str, str], text: str) -> None:
    with pytest.raises(Refused) as caught:
        check_topic_configs(config)
    assert (caught.value.code, caught.value.message) == (ErrorCode.INVALID_CONFIG, text)


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        ({"retention.ms": " 5 "}, {"retention.ms": "5"}),
        ({"preallocate": "TRUE"}, {"preallocate": "true"}),
        ({"cleanup.policy": "compact, delete"}, {"cleanup.policy": "compact,delete"}),
        ({"cleanup.policy": ""}, {"cleanup.policy": ""}),
        ({"compression.gzip.level": "-1"}, {"compression.gzip.level": "-1"}),
    ],
)
def test_good_configs(config: dict[str, str], shown: dict[str, str]) -> None:
    assert check_topic_configs(config) == shown


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("bad topic", "'bad topic' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        ("ä", "'ä' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        ("x" * 250, f"the length of '{'x' * 250}' is longer than the max allowed length 249"),
    ],
)
def test_a_bad_name_is_refused_in_kafkas_words(name: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        check_topic_name(name)
    assert caught.value.code is ErrorCode.INVALID_TOPIC_EXCEPTION
    assert caught.value.message == f"Topic name is invalid: {reason}"
    check_topic_name("x" * 249)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"partitions": 0}, ErrorCode.INVALID_PARTITIONS),
        ({"partitions": -2}, ErrorCode.INVALID_PARTITIONS),
        ({"partitions": 10_001}, ErrorCode.POLICY_VIOLATION),
        ({"replication_factor": 0}, ErrorCode.INVALID_REPLICATION_FACTOR),
        ({"replication_factor": 2}, ErrorCode.INVALID_REPLICATION_FACTOR),
    ],
)
def test_impossible_topics(arguments: dict[str, int], code: ErrorCode) -> None:
    topics = Topics(Settings())
    with pytest.raises(Refused) as caught:
        topics.create("t", **arguments)
    assert caught.value.code is code
    assert list(topics) == []


def test_names_whose_metrics_would_collide() -> None:
    topics = Topics(Settings())
    topics.create("a.b")
    with pytest.raises(Refused, match=r"collides with existing topic: a\.b"):
        topics.create("a_b")


def test_validate_only_creates_nothing() -> None:
    topics = Topics(Settings())
    assert len(topics.create("t", partitions=3, validate_only=True).partitions) == 3
    assert topics.get("t") is None


def test_an_unknown_setting_names_the_known_ones() -> None:
    with pytest.raises(BrokerError, match=r"no setting 'num\.partition'.*num\.partitions"):
        EmbeddedBroker({"num.partition": "3"})


def test_a_bad_setting_is_refused() -> None:
    with pytest.raises(BrokerError, match=r"Invalid value many for configuration num\.partitions: Not a number"):
        EmbeddedBroker({"num.partitions": "many"})


def test_num_partitions() -> None:
    topics = Topics(Settings({"num.partitions": "3"}))
    assert len(topics.create("t").partitions) == 3
    assert len(topics.create("u", partitions=1).partitions) == 1


def test_broker_settings_are_the_topics_defaults() -> None:
    topics = Topics(Settings({"message.max.bytes": "1000", "log.message.timestamp.type": "LogAppendTime"}))
    broker, own = topics.create("t"), topics.create("u", configs={"max.message.bytes": "2000"})
    assert (broker.log_config.max_message_bytes, own.log_config.max_message_bytes) == (1000, 2000)
    assert broker.log_config.log_append_time


@pytest.mark.parametrize(
    ("settings", "retention_ms"),
    [
        ({}, 604_800_000),
        ({"log.retention.hours": "1"}, 3_600_000),
        ({"log.retention.hours": "1", "log.retention.minutes": "2"}, 120_000),
        ({"log.retention.minutes": "2", "log.retention.ms": "3"}, 3),
        ({"log.retention.hours": "-1"}, -1),
    ],
)
def test_the_smallest_unit_of_retention_wins(settings: dict[str, str], retention_ms: int) -> None:
    assert Topics(Settings(settings)).create("t").log_config.retention_ms == retention_ms


def test_the_face_raises_the_kits_errors(broker: EmbeddedBroker) -> None:
    broker.create_topic("t")
    with pytest.raises(TopicExists, match="Topic 't' already exists"):
        broker.create_topic("t")
    with pytest.raises(BrokerError, match="Unknown topic config name"):
        broker.create_topic("u", config={"x": "1"})
