"""Administration by hand: what Kafka refuses, with which code and in which words."""

from __future__ import annotations

import pytest
from broker_tools import until
from kafka_api import ask, create_topic, describe_configs

UNKNOWN_TOPIC, INVALID_TOPIC, EXISTS, INVALID_PARTITIONS, INVALID_FACTOR = 3, 17, 36, 37, 38
INVALID_ASSIGNMENT, INVALID_CONFIG, INVALID_REQUEST, POLICY, UNKNOWN_ID = 39, 40, 42, 44, 100
TOPIC, BROKER = 2, 4
NO_ID = bytes(16)
SET, DELETE, APPEND, SUBTRACT = range(4)
BAD_NAME = (
    "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
)
MALFORMED = (
    "This most likely occurs because of a request being malformed by the client library or the message was sent to an "
    "incompatible broker. See the broker logs for more details."
)


def told(answer):
    return answer["error_code"], answer["error_message"]


def topic_id(wire, name):
    asked = [{"topic_id": NO_ID, "name": name}]
    return metadata(wire, asked)["topics"][0]["topic_id"]


def metadata(wire, topics, version=None, **flags):
    defaults = {
        "allow_auto_topic_creation": False,
        "include_topic_authorized_operations": False,
        "include_cluster_authorized_operations": False,
    }
    return ask(wire, "Metadata", version, topics=topics, **{**defaults, **flags})


# --- CreateTopics


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        (
            {"num_partitions": 0},
            INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            {"num_partitions": -2},
            INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        ({"num_partitions": 10_001}, POLICY, "Excessively large number of partitions per request."),
        (
            {"replication_factor": 0},
            INVALID_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            {"replication_factor": 3},
            INVALID_FACTOR,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because "
            "only 1 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
    ],
    ids=["none", "-2", "too many", "no copy", "three copies"],
)
def test_a_topic_of_an_impossible_size(wire, new_name, msk_broker, fields, code, words):
    name = new_name()
    answer = create_topic(wire, name, **fields)
    assert told(answer) == (code, words)
    assert (answer["topic_id"], answer["num_partitions"], answer["replication_factor"]) == (NO_ID, -1, -1)
    assert answer["configs"] == []
    assert name not in msk_broker.topics()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("x" * 250, f"the length of '{'x' * 250}' is longer than the max allowed length 249"),
        ("a b", BAD_NAME.partition(": ")[2]),
    ],
    ids=["empty", "dot", "dots", "long", "space"],
)
def test_a_topic_of_an_impossible_name(wire, name, words):
    assert told(create_topic(wire, name)) == (INVALID_TOPIC, f"Topic name is invalid: {words}")


def assigned(*replicas, numbers=None):
    return [
        {"partition_index": number, "broker_ids": list(nodes)}
        for number, nodes in zip(numbers or range(len(replicas)), replicas, strict=True)
    ]


def test_a_topic_is_made_as_it_was_assigned(wire, new_name, msk_broker):
    name = new_name()
    answer = create_topic(wire, name, num_partitions=-1, replication_factor=-1, assignments=assigned([1], [1], [1]))
    assert (answer["error_code"], answer["num_partitions"], answer["replication_factor"]) == (0, 3, 1)
    until(lambda: msk_broker.partition_count(name), lambda count: count == 3)


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (assigned([7]), "The manual partition assignment includes broker 7, but no such broker is registered."),
        (assigned([1, 1]), "The manual partition assignment includes the broker 1 more than once."),
        (assigned([]), "The manual partition assignment includes an empty replica list."),
        (assigned([1], [1], numbers=(0, 2)), "partitions should be a consecutive 0-based integer sequence"),
        (assigned([1], [1], numbers=(0, 0)), "Found multiple manual partition assignments for partition 0"),
    ],
    ids=["unknown broker", "twice", "nowhere", "gap", "two"],
)
def test_an_impossible_assignment(wire, new_name, assignments, words):
    answer = create_topic(wire, new_name(), num_partitions=-1, replication_factor=-1, assignments=assignments)
    assert told(answer) == (INVALID_ASSIGNMENT, words)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"num_partitions": 1, "replication_factor": -1}, "numPartitions"),
        ({"num_partitions": -1, "replication_factor": 1}, "replication factor"),
    ],
    ids=["partitions", "replicas"],
)
def test_an_assignment_has_no_numbers_beside_it(wire, new_name, fields, word):
    answer = create_topic(wire, new_name(), assignments=assigned([1]), **fields)
    words = f"A manual partition assignment was specified, but {word} was not set to -1."
    assert told(answer) == (INVALID_REQUEST, words)


def test_a_topic_that_is_asked_for_twice_is_not_made(wire, new_name, msk_broker):
    name = new_name()
    topic = {"name": name, "num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": []}
    answers = ask(wire, "CreateTopics", topics=[topic, topic], timeout_ms=10_000, validate_only=False)["topics"]
    assert [told(answer) for answer in answers] == [(INVALID_REQUEST, "Duplicate topic name.")]
    assert name not in msk_broker.topics()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"no.such": "1"}, "Unknown topic config name: no.such"),
        ({"retention.ms": None}, "Null value not supported for topic configs: retention.ms"),
        ({"retention.ms": ""}, "Invalid value  for configuration retention.ms: Not a number of type LONG"),
        ({"retention.ms": "-2"}, "Invalid value -2 for configuration retention.ms: Value must be at least -1"),
        (
            {"cleanup.policy": "compact,shred"},
            "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            {"max.message.bytes": "9999999999"},
            "Invalid value 9999999999 for configuration max.message.bytes: Not a number of type INT",
        ),
        ({"segment.ms": "0"}, "Invalid value 0 for configuration segment.ms: Value must be at least 1"),
        (
            {"preallocate": "maybe"},
            "Invalid value maybe for configuration preallocate: Expected value to be either true or false",
        ),
        (
            {"compression.gzip.level": "10"},
            "Invalid value 10 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            {"min.cleanable.dirty.ratio": "2"},
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
        (
            {"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"},
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        (
            {"remote.storage.enable": "true"},
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log "
            "storage.",
        ),
        ({"message.format.version": "2.0"}, "Unknown topic config name: message.format.version"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_config_is_refused_in_kafkas_words(wire, new_name, config, words):
    assert told(create_topic(wire, new_name(), configs=config)) == (INVALID_CONFIG, words)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (("preallocate", "TRUE"), "true"),
        (("cleanup.policy", "compact, delete"), "compact,delete"),
        (("cleanup.policy", ""), ""),
        (("retention.bytes", "-7"), "-7"),
        (("compression.gzip.level", "-1"), "-1"),
        (("leader.replication.throttled.replicas", "0:1"), "0:1"),
    ],
    ids=str,
)
def test_an_odd_config_is_taken(wire, new_name, given, shown):
    key, value = given
    name = new_name()
    assert create_topic(wire, name, configs={key: value})["error_code"] == 0
    until(lambda: values(wire, name, key), lambda seen: seen == {key: shown})


def test_a_dry_run_answers_as_the_real_one(wire, new_name, msk_broker):
    name = new_name()
    answer = create_topic(wire, name, validate_only=True, num_partitions=4)
    assert (answer["error_code"], answer["num_partitions"], answer["replication_factor"]) == (0, 4, 1)
    assert len(answer["configs"]) > 25
    assert name not in msk_broker.topics()


# --- DeleteTopics


def delete(wire, *topics):
    answers = ask(wire, "DeleteTopics", topics=list(topics), topic_names=[], timeout_ms=10_000)["responses"]
    return [(one["name"], one["topic_id"], *told(one)) for one in answers]


def test_a_topic_is_deleted_by_its_id(wire, topic, msk_broker):
    name = topic()
    number = topic_id(wire, name)
    assert delete(wire, {"name": None, "topic_id": number}) == [(name, number, 0, None)]
    until(msk_broker.topics, lambda names: name not in names)
    words = "This server does not host this topic ID."
    assert delete(wire, {"name": None, "topic_id": number}) == [(None, number, UNKNOWN_ID, words)]


def test_a_topic_is_named_in_one_way(wire, topic, msk_broker):
    name = topic()
    number = topic_id(wire, name)
    both, neither = {"name": name, "topic_id": number}, {"name": None, "topic_id": NO_ID}
    words = "You may not specify both topic name and topic id."
    assert delete(wire, both) == [(name, number, INVALID_REQUEST, words)]
    assert delete(wire, neither) == [(None, NO_ID, INVALID_REQUEST, "Neither topic name nor id were specified.")]
    assert name in msk_broker.topics()


def test_a_topic_that_is_to_be_deleted_twice_stays(wire, topic, msk_broker):
    name = topic()
    one = {"name": name, "topic_id": NO_ID}
    assert delete(wire, one, one) == [(name, NO_ID, INVALID_REQUEST, "Duplicate topic name.")]
    assert name in msk_broker.topics()


@pytest.mark.parametrize("name", ["t-not-there", "a b"])
def test_a_name_that_no_topic_has(wire, name):
    words = "This server does not host this topic-partition."
    assert delete(wire, {"name": name, "topic_id": NO_ID}) == [(name, NO_ID, UNKNOWN_TOPIC, words)]


# --- CreatePartitions


def grow(wire, *asked, validate_only=False):
    topics = [{"name": name, "count": count, "assignments": given} for name, count, given in asked]
    answers = ask(wire, "CreatePartitions", topics=topics, timeout_ms=10_000, validate_only=validate_only)["results"]
    return [told(answer) for answer in answers]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (2, "The topic {0} currently has 3 partition(s); 2 would not be an increase."),
        (3, "Topic already has 3 partition(s)."),
        (0, "The topic {0} currently has 3 partition(s); 0 would not be an increase."),
        (-1, "The topic {0} currently has 3 partition(s); -1 would not be an increase."),
    ],
)
def test_a_topic_does_not_shrink(wire, topic, count, words):
    name = topic(partitions=3)
    assert grow(wire, (name, count, None)) == [(INVALID_PARTITIONS, words.format(name))]


@pytest.mark.parametrize(
    ("count", "nodes", "words"),
    [
        (5, [[1]], "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."),
        (4, [[1], [1]], "Attempted to add 1 additional partition(s), but only 2 assignment(s) were specified."),
        (4, [], "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified."),
        (4, [[9]], "The manual partition assignment includes broker 9, but no such broker is registered."),
        (4, [[1, 1]], "The manual partition assignment includes the broker 1 more than once."),
        (4, [[]], "The manual partition assignment includes an empty replica list."),
    ],
    ids=["too few", "too many", "none", "unknown broker", "twice", "nowhere"],
)
def test_an_impossible_assignment_of_new_partitions(wire, topic, msk_broker, count, nodes, words):
    name = topic(partitions=3)
    given = [{"broker_ids": each} for each in nodes]
    assert grow(wire, (name, count, given)) == [(INVALID_ASSIGNMENT, words)]
    assert msk_broker.partition_count(name) == 3


def test_new_partitions_are_made_as_they_were_assigned(wire, topic, msk_broker):
    name, given = topic(), [{"broker_ids": [1]}]
    assert grow(wire, (name, 2, given), validate_only=True) == [(0, None)]
    assert msk_broker.partition_count(name) == 1
    assert grow(wire, (name, 2, given)) == [(0, None)]
    until(lambda: msk_broker.partition_count(name), lambda count: count == 2)


def test_a_topic_that_is_to_grow_twice_does_not(wire, topic, msk_broker):
    name = topic()
    assert grow(wire, (name, 3, None), (name, 3, None)) == [(INVALID_REQUEST, "Duplicate topic name.")]
    assert msk_broker.partition_count(name) == 1


# --- Metadata


def found(answer):
    return [(one["error_code"], one["name"], len(one["partitions"])) for one in answer["topics"]]


@pytest.mark.parametrize(
    ("name", "code"), [("t-not-there", UNKNOWN_TOPIC), ("a b", INVALID_TOPIC), ("", INVALID_TOPIC)]
)
@pytest.mark.parametrize("version", [0, 4, 9, 12])
def test_metadata_of_what_is_not_there(wire, version, name, code):
    assert found(metadata(wire, [{"topic_id": NO_ID, "name": name}], version)) == [(code, name, 0)]


def test_a_topic_is_found_by_its_id_whatever_name_stands_beside_it(wire, topic):
    name = topic(partitions=2)
    number = topic_id(wire, name)
    for beside in (None, "", "other"):
        assert found(metadata(wire, [{"topic_id": number, "name": beside}])) == [(0, name, 2)]


def test_an_id_that_no_topic_has(wire, topic):
    unknown = {"topic_id": b"no such topic id", "name": None}
    assert found(metadata(wire, [unknown])) == [(UNKNOWN_ID, None, 0)]
    by_name = {"topic_id": NO_ID, "name": topic()}
    assert found(metadata(wire, [unknown, by_name])) == [(UNKNOWN_ID, None, 0)], "names beside ids do not count"


@pytest.mark.parametrize("version", [10, 11])
def test_ids_are_asked_for_from_version_12_on(wire, version):
    answer = metadata(wire, [{"topic_id": b"no such topic id", "name": "x"}], version)
    assert found(answer) == [(INVALID_REQUEST, "x", 0)]


@pytest.mark.parametrize("version", [1, 12])
def test_no_topics_are_none(wire, topic, version):
    topic()
    assert metadata(wire, [], version)["topics"] == []


def test_version_0_says_all_by_saying_none(wire, topic):
    name = topic()
    assert name in {one["name"] for one in metadata(wire, [], 0)["topics"]}
    assert name in {one["name"] for one in metadata(wire, None, 12)["topics"]}


def test_a_topic_that_is_asked_for_twice_is_told_once(wire, topic):
    name = topic()
    assert found(metadata(wire, [{"topic_id": NO_ID, "name": name}] * 2)) == [(0, name, 1)]


def test_what_may_be_done_is_told_on_request(wire, topic):
    asked = [{"topic_id": NO_ID, "name": topic()}]
    flags = {"include_topic_authorized_operations": True, "include_cluster_authorized_operations": True}
    answer = metadata(wire, asked, 10, **flags)
    # read, write, create, delete, alter, describe and the two of configs; of the cluster without read, write, delete
    assert answer["topics"][0]["topic_authorized_operations"] == 0b1101_1111_1000
    assert answer["cluster_authorized_operations"] == 0b1_1111_1010_0000


# --- DescribeConfigs


@pytest.mark.parametrize(
    ("kind", "name", "code", "words"),
    [
        (TOPIC, "t-not-there", UNKNOWN_TOPIC, ""),
        (TOPIC, "", INVALID_TOPIC, "Topic name is invalid: the empty string is not allowed"),
        (TOPIC, "a b", INVALID_TOPIC, BAD_NAME),
        (BROKER, "99", INVALID_REQUEST, "Unexpected broker id, expected 1 or empty string, but received 99"),
        (BROKER, "x", INVALID_REQUEST, "Broker id must be an integer, but it is: x"),
        (1, "x", INVALID_REQUEST, MALFORMED),
        (77, "x", INVALID_REQUEST, MALFORMED),
    ],
    ids=["no topic", "no name", "bad name", "no broker", "no number", "any", "no kind"],
)
def test_configs_of_what_is_not_there(wire, kind, name, code, words):
    answer = describe_configs(wire, kind, name)
    assert (told(answer), answer["configs"]) == ((code, words), {})


def test_configs_that_are_named_are_described(wire, topic):
    name = topic()
    assert set(describe_configs(wire, TOPIC, name, ["retention.ms", "no.such"])["configs"]) == {"retention.ms"}
    everything = describe_configs(wire, TOPIC, name)["configs"]
    assert describe_configs(wire, TOPIC, name, [])["configs"] == everything, "none is all"
    assert len(everything) == 33


def test_every_config_has_kafkas_default_and_type(wire, new_name, msk_broker):
    name = new_name()
    create_topic(wire, name)
    until(lambda: msk_broker.partition_count(name))
    configs = describe_configs(wire, TOPIC, name)["configs"]
    flat = {key: (config["value"], config["config_type"]) for key, config in configs.items()}
    forever, boolean, string, integer, long, double, listed = str(2**63 - 1), 1, 2, 3, 5, 6, 7
    assert flat == {
        "cleanup.policy": ("delete", listed),
        "compression.gzip.level": ("-1", integer),
        "compression.lz4.level": ("9", integer),
        "compression.type": ("producer", string),
        "compression.zstd.level": ("3", integer),
        "delete.retention.ms": ("86400000", long),
        "file.delete.delay.ms": ("60000", long),
        "flush.messages": (forever, long),
        "flush.ms": (forever, long),
        "follower.replication.throttled.replicas": ("", listed),
        "index.interval.bytes": ("4096", integer),
        "leader.replication.throttled.replicas": ("", listed),
        "local.retention.bytes": ("-2", long),
        "local.retention.ms": ("-2", long),
        "max.compaction.lag.ms": (forever, long),
        "max.message.bytes": ("1048588", integer),
        "message.timestamp.after.max.ms": ("3600000", long),
        "message.timestamp.before.max.ms": (forever, long),
        "message.timestamp.type": ("CreateTime", string),
        "min.cleanable.dirty.ratio": ("0.5", double),
        "min.compaction.lag.ms": ("0", long),
        "min.insync.replicas": ("1", integer),
        "preallocate": ("false", boolean),
        "remote.log.copy.disable": ("false", boolean),
        "remote.log.delete.on.disable": ("false", boolean),
        "remote.storage.enable": ("false", boolean),
        "retention.bytes": ("-1", long),
        "retention.ms": ("604800000", long),
        "segment.bytes": ("1073741824", integer),
        "segment.index.bytes": ("10485760", integer),
        "segment.jitter.ms": ("0", long),
        "segment.ms": ("604800000", long),
        "unclean.leader.election.enable": ("false", boolean),
    }


def test_synonyms_are_told_on_request(wire, topic):
    name = topic(retention_ms=5)
    configs = describe_configs(wire, TOPIC, name, include_synonyms=True)["configs"]
    synonyms = {
        key: [(one["name"], one["value"], one["source"]) for one in configs[key]["synonyms"]]
        for key in ("retention.ms", "cleanup.policy", "max.message.bytes", "segment.ms")
    }
    assert synonyms == {
        "retention.ms": [("retention.ms", "5", 1)],
        "cleanup.policy": [("log.cleanup.policy", "delete", 5)],
        "max.message.bytes": [("message.max.bytes", "1048588", 5)],
        "segment.ms": [],
    }


# --- changing configs


def change(wire, name, *changes, kind=TOPIC, validate_only=False, times=1):
    configs = [{"name": key, "operation": operation, "value": value} for key, operation, value in changes]
    resource = {"resource_type": kind, "resource_name": name, "configs": configs}
    answers = ask(wire, "IncrementalAlterConfigs", resources=[resource] * times, validate_only=validate_only)
    return [told(answer) for answer in answers["responses"]]


def values(wire, name, *keys):
    return {key: config["value"] for key, config in describe_configs(wire, TOPIC, name, list(keys))["configs"].items()}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (
            [("retention.ms", SET, "soon")],
            INVALID_CONFIG,
            "Invalid value soon for configuration retention.ms: Not a number of type LONG",
        ),
        ([("no.such", SET, "1")], INVALID_CONFIG, "Unknown topic config name: no.such"),
        (
            [("retention.ms", APPEND, "1")],
            INVALID_CONFIG,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            [("retention.ms", SUBTRACT, "1")],
            INVALID_CONFIG,
            "Can't SUBTRACT to key retention.ms because its type is not LIST.",
        ),
        ([("retention.ms", SET, None)], INVALID_REQUEST, "Null value not supported for : retention.ms"),
        (
            [("retention.ms", SET, "1"), ("retention.ms", SET, "2")],
            INVALID_REQUEST,
            "Error due to duplicate config keys",
        ),
        ([("retention.ms", 9, "1")], -1, None),
        (
            [("cleanup.policy", APPEND, "shred")],
            INVALID_CONFIG,
            "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
        ),
    ],
    ids=["value", "name", "append", "subtract", "null", "twice", "operation", "item"],
)
def test_a_change_is_refused_in_kafkas_words(wire, topic, changes, code, words):
    name = topic(retention_ms=5)
    assert change(wire, name, *changes) == [(code, words)]
    assert values(wire, name, "retention.ms", "cleanup.policy") == {"retention.ms": "5", "cleanup.policy": "delete"}


@pytest.mark.parametrize(
    ("kind", "name", "code", "words"),
    [
        (TOPIC, "t-not-there", UNKNOWN_TOPIC, "The topic 't-not-there' does not exist."),
        (TOPIC, "a b", INVALID_TOPIC, BAD_NAME),
        (TOPIC, "", INVALID_REQUEST, "Default topic resources are not allowed."),
        (1, "x", INVALID_REQUEST, "Unknown resource type 1"),
        (9, "x", INVALID_REQUEST, "Unknown resource type 9"),
    ],
    ids=["no topic", "bad name", "no name", "any", "no kind"],
)
def test_what_cannot_be_changed(wire, kind, name, code, words):
    assert change(wire, name, ("retention.ms", SET, "1"), kind=kind) == [(code, words)]


def test_a_resource_is_changed_once(wire, topic):
    name = topic()
    words = "Each resource must appear at most once."
    assert change(wire, name, ("retention.ms", SET, "1"), times=2) == [(INVALID_REQUEST, words)] * 2


def test_a_dry_run_changes_nothing(wire, topic):
    name = topic(retention_ms=5)
    assert change(wire, name, ("retention.ms", SET, "1"), validate_only=True) == [(0, None)]
    assert change(wire, name) == [(0, None)], "nor does a change of nothing"
    assert values(wire, name, "retention.ms") == {"retention.ms": "5"}


def test_taking_back_what_was_never_set_is_no_error(wire, topic):
    assert change(wire, topic(), ("retention.bytes", DELETE, None)) == [(0, None)]
    assert change(wire, topic(), ("no.such", DELETE, None)) == [(0, None)]


@pytest.mark.parametrize(
    ("operation", "value", "policy"),
    [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact,delete", "delete,compact"),
        (APPEND, "delete", "delete"),
        (SUBTRACT, "compact", "delete"),
        (SUBTRACT, "delete", ""),
        (SET, "compact", "compact"),
    ],
)
def test_a_list_is_changed_by_its_items(wire, topic, operation, value, policy):
    name = topic()
    assert change(wire, name, ("cleanup.policy", operation, value)) == [(0, None)]
    until(lambda: values(wire, name, "cleanup.policy")["cleanup.policy"], lambda seen: seen == policy)


@pytest.mark.parametrize(
    ("configs", "code", "words"),
    [
        ([("retention.ms", None)], INVALID_REQUEST, "Null value not supported for : retention.ms"),
        ([("retention.ms", "1"), ("retention.ms", "2")], INVALID_REQUEST, "Error due to duplicate config keys"),
        ([("no.such", "1")], INVALID_CONFIG, "Unknown topic config name: no.such"),
    ],
    ids=["null", "twice", "name"],
)
def test_configs_that_cannot_be_replaced(wire, topic, configs, code, words):
    name = topic(retention_ms=5)
    given = [{"name": key, "value": value} for key, value in configs]
    resource = {"resource_type": TOPIC, "resource_name": name, "configs": given}
    (answer,) = ask(wire, "AlterConfigs", resources=[resource], validate_only=False)["responses"]
    assert told(answer) == (code, words)
    assert values(wire, name, "retention.ms") == {"retention.ms": "5"}


# --- the cluster


@pytest.mark.parametrize(("version", "words"), [(0, None), (1, "NONE"), (3, "NONE"), (4, ""), (5, "")])
def test_a_coordinator_that_is_found_comes_with_these_words(wire, group, version, words):
    answer = ask(wire, "FindCoordinator", version, key=group, key_type=0, coordinator_keys=[group])
    one = answer["coordinators"][0] if version >= 4 else answer
    assert told(one) == (0, words)


def test_the_coordinators_of_several_groups_are_found_at_once(wire, group):
    groups = [group, f"{group}-2", ""]
    answer = ask(wire, "FindCoordinator", key_type=0, coordinator_keys=groups)
    assert [(one["key"], one["error_code"]) for one in answer["coordinators"]] == [(each, 0) for each in groups]


@pytest.mark.parametrize("version", [1, 4])
def test_a_kind_of_coordinator_that_does_not_exist(wire, version):
    answer = ask(wire, "FindCoordinator", version, key="x", key_type=7, coordinator_keys=["x"])
    one = answer["coordinators"][0] if version >= 4 else answer
    assert (told(one), one["node_id"], one["port"]) == ((INVALID_REQUEST, MALFORMED), -1, -1)


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        (2, 114, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"),
        (3, 115, "Unsupported endpoint type 3"),
    ],
    ids=["controllers", "unknown"],
)
def test_a_broker_describes_brokers_only(wire, kind, code, words):
    answer = ask(wire, "DescribeCluster", include_cluster_authorized_operations=False, endpoint_type=kind)
    assert (told(answer), answer["brokers"], answer["controller_id"]) == ((code, words), [], -1)


def test_what_may_be_done_with_the_cluster_is_told_on_request(wire):
    answer = ask(wire, "DescribeCluster", include_cluster_authorized_operations=True, endpoint_type=1)
    assert answer["cluster_authorized_operations"] == 0b1_1111_1010_0000


@pytest.mark.parametrize("name", ["", "bad name!", "-x", "x-"])
def test_a_client_that_names_itself_badly_is_refused(wire, name):
    for fields in (
        {"client_software_name": name, "client_software_version": "1"},
        {"client_software_name": "ok", "client_software_version": name},
    ):
        answer = ask(wire, "ApiVersions", 3, **fields)
        assert (answer["error_code"], answer["api_keys"]) == (INVALID_REQUEST, [])
