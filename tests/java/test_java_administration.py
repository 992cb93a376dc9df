"""Kafka's command-line tools for topics, configs, groups, offsets and records."""

from __future__ import annotations

import json

import pytest
from kafka_tools import SERVER


def table(tool, group):
    """The rows of a group in a table with a header, as dicts."""
    rows = [line.split() for line in tool.lines if line.strip()]
    (head,) = [row for row in rows if row[0] == "GROUP"]
    return [dict(zip(head, row, strict=False)) for row in rows if row[0] == group]


def fill(run, topic, count):
    run("kafka-console-producer", "--topic", topic, stdin="".join(f"{n}\n" for n in range(count)))


# --- topics


def test_a_topic_is_created_listed_described_grown_and_deleted(run, new_name, msk_broker):
    name = new_name()
    made = run("kafka-topics", "--create", "--topic", name, "--partitions", 3, "--config", "retention.ms=5000")
    assert f"Created topic {name}." in made.lines
    assert name in run("kafka-topics", "--list").lines
    head, *partitions = run("kafka-topics", "--describe", "--topic", name).lines
    assert f"Topic: {name}" in head
    assert "PartitionCount: 3" in head
    assert "ReplicationFactor: 1" in head
    assert "retention.ms=5000" in head
    assert [line.split("Partition: ")[1].split()[0] for line in partitions] == ["0", "1", "2"]
    run("kafka-topics", "--alter", "--topic", name, "--partitions", 5)
    assert msk_broker.partition_count(name) == 5
    run("kafka-topics", "--delete", "--topic", name)
    assert name not in run("kafka-topics", "--list").lines


def test_a_topic_is_described_by_its_id(run, topic):
    name = topic()
    (head, _) = run("kafka-topics", "--describe", "--topic", name).lines
    topic_id = head.split("TopicId: ")[1].split()[0]
    assert run("kafka-topics", "--describe", "--topic-id", topic_id).lines[0] == head


def test_a_topic_that_is_there_is_not_made_again(run, start, topic):
    name = topic()
    tool = start("kafka-topics", "--create", "--topic", name).wait()
    assert tool.status == 1
    assert any(f"Topic '{name}' already exists." in line for line in tool.lines + tool.errors), tool
    run("kafka-topics", "--create", "--topic", name, "--if-not-exists")


def test_partitions_are_not_taken_away(start, topic):
    name = topic(partitions=3)
    tool = start("kafka-topics", "--alter", "--topic", name, "--partitions", 2).wait()
    assert tool.status == 1
    assert any("currently has 3 partition(s); 2 would not be an increase" in one for one in tool.lines + tool.errors)


@pytest.mark.parametrize("what", ["--describe", "--delete"])
def test_a_topic_that_is_not_there(start, new_name, what):
    name = new_name()
    tool = start("kafka-topics", what, "--topic", name).wait()
    assert tool.status == 1
    assert any(f"Topic '{name}' does not exist as expected" in line for line in tool.lines + tool.errors), tool


# --- configs


def configs(run, name, *arguments):
    tool = run("kafka-configs", "--describe", "--entity-type", "topics", "--entity-name", name, *arguments)
    return dict(line.split()[0].split("=", 1) for line in tool.lines if "=" in line.split()[0])


def alter(start, name, *arguments):
    return start("kafka-configs", "--alter", "--entity-type", "topics", "--entity-name", name, *arguments).wait()


def test_a_topics_config_is_changed_and_taken_back(run, start, new_name, msk_broker):
    name = new_name()
    run("kafka-topics", "--create", "--topic", name)
    assert configs(run, name) == {}
    assert alter(start, name, "--add-config", "retention.ms=777,cleanup.policy=[compact,delete]").status == 0
    assert configs(run, name) == {"retention.ms": "777", "cleanup.policy": "compact,delete"}
    assert alter(start, name, "--delete-config", "retention.ms").status == 0
    assert configs(run, name) == {"cleanup.policy": "compact,delete"}
    everything = configs(run, name, "--all")
    assert everything["retention.ms"] == "604800000"
    assert len(everything) > 25


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("no.such=1", "Unknown topic config name: no.such"),
        ("retention.ms=soon", "Invalid value soon for configuration retention.ms: Not a number of type LONG"),
    ],
)
def test_a_wrong_config_is_refused(start, topic, config, words):
    tool = alter(start, topic(), "--add-config", config)
    assert tool.status == 1
    assert any(words in line for line in tool.lines + tool.errors), tool


def test_the_brokers_configs_are_shown(run):
    described = run("kafka-configs", "--describe", "--entity-type", "brokers", "--entity-name", 1, "--all")
    assert any(line.strip().startswith("auto.create.topics.enable=false") for line in described.lines), described


# --- groups


@pytest.fixture
def idle_group(run, topic, group):
    """A group without members that read 6 of 10 records of a topic: (group, topic)."""
    name = topic()
    fill(run, name, 10)
    arguments = ("--topic", name, "--group", group, "--from-beginning", "--max-messages", 6)
    run("kafka-console-consumer", *arguments, "--command-property", "max.poll.records=1")
    return group, name


def groups(run, *arguments):
    return run("kafka-consumer-groups", *arguments)


def test_a_groups_lag_is_described(run, idle_group):
    group, name = idle_group
    assert group in groups(run, "--list").lines
    (row,) = table(groups(run, "--describe", "--group", group), group)
    assert (row["TOPIC"], row["PARTITION"]) == (name, "0")
    assert (row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row["LAG"]) == ("6", "10", "4")
    states = groups(run, "--list", "--state").lines
    assert any(line.split() == [group, "Empty"] for line in states)
    described = groups(run, "--describe", "--group", group, "--state")
    assert any("Empty" in line for line in described.lines), described


def test_a_groups_members_are_described(run, start, topic, group):
    name = topic(partitions=2)
    member = start("kafka-verifiable-consumer", "--topic", name, "--group-id", group)
    member.until(lambda: member.named("partitions_assigned"))
    (row,) = table(groups(run, "--describe", "--group", group, "--members", "--verbose"), group)
    assert row["#PARTITIONS"] == "2"
    assert row["CURRENT-ASSIGNMENT"] == f"{name}:0,1"
    state = groups(run, "--describe", "--group", group, "--state").lines
    assert any("range" in line and "Stable" in line for line in state)


@pytest.mark.parametrize(
    ("how", "offset"),
    [
        (("--to-earliest",), 0),
        (("--to-latest",), 10),
        (("--to-offset", 3), 3),
        (("--shift-by", -2), 4),
        (("--to-datetime", "2000-01-01T00:00:00.000"), 0),
        (("--by-duration", "PT0S"), 10),
        (("--to-current",), 6),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else str(value),
)
def test_offsets_are_reset(run, idle_group, msk_broker, how, offset):
    group, name = idle_group
    groups(run, "--reset-offsets", "--group", group, "--topic", name, *how, "--dry-run")
    assert msk_broker.committed(group, name) == {0: 6}, "a dry run changes nothing"
    (row,) = table(groups(run, "--reset-offsets", "--group", group, "--topic", name, *how, "--execute"), group)
    assert row["NEW-OFFSET"] == str(offset)
    assert msk_broker.committed(group, name) == {0: offset}


def test_offsets_of_an_active_group_are_not_reset(run, start, topic, group, msk_broker):
    name = topic()
    fill(run, name, 3)
    member = start("kafka-verifiable-consumer", "--topic", name, "--group-id", group)
    member.until(lambda: member.named("offsets_committed"))
    tool = start(
        "kafka-consumer-groups", "--reset-offsets", "--group", group, "--topic", name, "--to-earliest", "--execute"
    ).wait()
    assert any("can only be reset if the group" in line for line in tool.lines + tool.errors), tool
    assert msk_broker.committed(group, name) == {0: 3}


def test_offsets_are_deleted(run, idle_group, msk_broker):
    group, name = idle_group
    groups(run, "--delete-offsets", "--group", group, "--topic", name)
    assert msk_broker.committed(group, name) == {}


def test_a_group_is_deleted(run, idle_group, msk_broker):
    group, _ = idle_group
    assert any("successful" in line for line in groups(run, "--delete", "--group", group).lines)
    assert group not in msk_broker.groups()


def test_a_group_with_members_is_not_deleted(start, topic, group, msk_broker):
    member = start("kafka-verifiable-consumer", "--topic", topic(), "--group-id", group)
    member.until(lambda: member.named("partitions_assigned"))
    tool = start("kafka-consumer-groups", "--delete", "--group", group).wait()
    assert any("GroupNotEmptyException" in line for line in tool.lines + tool.errors), tool
    assert group in msk_broker.groups()


def test_groups_of_every_type_are_listed(run, idle_group):
    group, _ = idle_group
    rows = [line.split() for line in run("kafka-groups", "--list").lines]
    assert [group, "Classic", "consumer"] in rows


# --- offsets and records


@pytest.mark.parametrize(("time", "offset"), [("latest", 10), ("earliest", 0), ("max-timestamp", None), (1, 0)])
def test_offsets_are_found(run, topic, time, offset):
    name = topic()
    fill(run, name, 10)
    (line,) = run("kafka-get-offsets", "--topic", name, "--time", time).lines
    found = int(line.removeprefix(f"{name}:0:"))
    assert found in range(10) if offset is None else found == offset


def test_there_is_no_offset_of_a_time_to_come(run, topic):
    name = topic()
    fill(run, name, 10)
    assert run("kafka-get-offsets", "--topic", name, "--time", 4_102_444_800_000).lines == []


def test_records_are_deleted(run, topic, msk_broker, tmp_path):
    name = topic()
    fill(run, name, 10)
    orders = tmp_path / "orders.json"
    orders.write_text(json.dumps({"version": 1, "partitions": [{"topic": name, "partition": 0, "offset": 4}]}))
    tool = run("kafka-delete-records", "--offset-json-file", orders)
    assert any(f"partition: {name}-0\tlow_watermark: 4" in line for line in tool.lines), tool
    assert msk_broker.watermarks(name)[0].low == 4
    assert run("kafka-get-offsets", "--topic", name, "--time", "earliest").lines == [f"{name}:0:4"]


# --- the cluster


def test_the_cluster_tells_its_id(run):
    (line,) = run("kafka-cluster", "cluster-id", "--bootstrap-server", SERVER).lines
    assert line.startswith("Cluster ID: ")
    assert len(line.split()[-1]) == 22


def test_the_brokers_versions_are_usable_by_this_client(run, msk_broker):
    lines = run("kafka-broker-api-versions").lines
    assert lines[0].startswith(f"{msk_broker.bootstrap_servers} (id: 1 ")
    usable = {line.split("(")[0].strip(): line for line in lines if "[usable:" in line}
    assert {"Produce", "Fetch", "Metadata", "JoinGroup", "OffsetCommit", "CreateTopics"} <= usable.keys()
