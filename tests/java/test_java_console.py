"""Kafka's console clients and speed tests: what goes in on one side comes out on the other."""

from __future__ import annotations

import pytest
from kafka_tools import SERVER


def write(run, topic, *lines, properties=(), arguments=()):
    options = [word for each in properties for word in ("--reader-property", each)]
    run("kafka-console-producer", "--topic", topic, *options, *arguments, stdin="".join(f"{line}\n" for line in lines))


def read(run, topic, count, *arguments, shown=()):
    options = [word for each in shown for word in ("--formatter-property", f"print.{each}=true")]
    where = () if "--offset" in arguments else ("--from-beginning",)
    tool = run("kafka-console-consumer", "--topic", topic, *where, "--max-messages", count, *options, *arguments)
    assert tool.errors[-1] == f"Processed a total of {count} messages"
    return tool.lines


def test_lines_come_out_in_their_order(run, topic):
    name = topic()
    lines = [f"line {n} – ü" for n in range(50)]
    write(run, name, *lines)
    assert read(run, name, 50) == lines


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_lines(run, topic, codec):
    name = topic()
    write(run, name, *"abc", arguments=("--compression-codec", codec))
    assert read(run, name, 3) == ["a", "b", "c"]


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_kind_of_acks(run, topic, msk_broker, acks):
    name = topic()
    write(
        run,
        name,
        *"abc",
        arguments=(
            "--request-required-acks",
            acks,
        ),
    )
    assert read(run, name, 3) == ["a", "b", "c"]


def test_keys_headers_and_places(run, topic):
    name = topic()
    write(
        run,
        name,
        "h1:v1,h2:v2\tk\tvalue",
        "h:ü\tNULL\tNULL",
        properties=("parse.key=true", "parse.headers=true", "null.marker=NULL"),
    )
    shown = read(run, name, 2, shown=("key", "headers", "partition", "offset"))
    assert shown == [
        "Partition:0\tOffset:0\th1:v1,h2:v2\tk\tvalue",
        "Partition:0\tOffset:1\th:ü\tnull\tnull",
    ]


def test_a_partition_is_read_from_an_offset(run, topic):
    name = topic(partitions=1)
    write(run, name, *"abcdef")
    assert read(run, name, 2, "--partition", 0, "--offset", 3) == ["d", "e"]


def test_a_group_that_was_named_commits(run, topic, group, msk_broker):
    name = topic()
    write(run, name, *"abc")
    assert read(run, name, 3, "--group", group) == ["a", "b", "c"]
    assert msk_broker.committed(group, name) == {0: 3}
    write(run, name, "d")
    assert run("kafka-console-consumer", "--topic", name, "--group", group, "--max-messages", 1).lines == ["d"]


def test_topics_that_match_a_pattern_are_read(run, new_name, msk_broker):
    first = new_name()
    msk_broker.create_topic(first)
    second = f"{first}-2"
    msk_broker.create_topic(second)
    try:
        write(run, first, "a")
        write(run, second, "b")
        tool = run("kafka-console-consumer", "--include", f"{first}.*", "--from-beginning", "--max-messages", 2)
        assert sorted(tool.lines) == ["a", "b"]
    finally:
        msk_broker.delete_topic(second)


def test_a_topic_that_is_not_there_times_out(start, new_name, msk_broker):
    name = new_name()
    tool = start("kafka-console-producer", "--topic", name, "--max-block-ms", 300, "--sync", stdin="lost\n").wait()
    assert any("not present in metadata" in line for line in tool.errors), tool
    assert name not in msk_broker.topics()


def test_a_consumer_of_an_empty_topic_ends_when_nothing_comes(run, topic):
    tool = run("kafka-console-consumer", "--topic", topic(), "--from-beginning", "--timeout-ms", 500)
    assert tool.lines == []
    assert tool.errors[-1] == "Processed a total of 0 messages"


def test_the_speed_tests_write_and_read_all_they_should(run, topic, group, msk_broker):
    name = topic(partitions=2)
    speed = run(
        "kafka-producer-perf-test",
        *("--topic", name, "--num-records", 5_000, "--record-size", 100, "--throughput", -1),
        *("--command-property", "acks=all"),
    )
    assert any(line.startswith("5000 records sent") for line in speed.lines), speed
    assert sum(mark.high for mark in msk_broker.watermarks(name).values()) == 5_000
    tool = run(
        "kafka-consumer-perf-test", "--topic", name, "--group", group, "--num-records", 5_000, "--timeout", 20_000
    )
    assert ", 5000, " in tool.lines[-1], tool


def test_the_way_through_the_broker_is_measured(run, topic):
    tool = run("kafka-e2e-latency", SERVER, topic(), 20, "all", 100)
    assert any(line.startswith("Percentiles:") for line in tool.lines), tool
