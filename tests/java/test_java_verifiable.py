"""Kafka's own test clients, which say what they did in JSON: every record acknowledged, read once, committed."""

from __future__ import annotations

import pytest

CLIENTS = "org.apache.kafka.clients.consumer"


def produced(run, topic, count, *arguments):
    """Produce the numbers below `count`; (partition, offset) of each as acknowledged."""
    tool = run("kafka-verifiable-producer", "--topic", topic, "--max-messages", count, *arguments)
    acknowledged = tool.named("producer_send_success")
    assert tool.named("producer_send_error") == []
    assert [event["value"] for event in sorted(acknowledged, key=lambda event: int(event["value"].split(".")[-1]))]
    (summary,) = tool.named("tool_data")
    assert (summary["sent"], summary["acked"]) == (count, count)
    return [(event["partition"], event["offset"]) for event in acknowledged]


@pytest.fixture
def quick(tmp_path):
    """Settings of a member that hears of a rebalance soon: by its next heartbeat."""
    config = tmp_path / "consumer.properties"
    config.write_text("heartbeat.interval.ms=100\n")
    return ("--session-timeout", 10_000, "--command-config", config)


def consume(start, topic, group, *arguments):
    return start("kafka-verifiable-consumer", "--topic", topic, "--group-id", group, "--verbose", *arguments)


def read(tool):
    """(partition, offset) of each record that a consumer read."""
    return [(event["partition"], event["offset"]) for event in tool.named("record_data")]


def owned(tool):
    """The partitions that a consumer owns now."""
    mine = set()
    for event in tool.events:
        partitions = {each["partition"] for each in event.get("partitions", [])}
        if event["name"] == "partitions_assigned":
            mine |= partitions
        elif event["name"] == "partitions_revoked":
            mine -= partitions
    return mine


def settle(tools, partitions):
    """Wait until the consumers share the partitions evenly, none owned twice."""

    def shared():
        shares = [owned(tool) for tool in tools]
        return sorted(map(len, shares)) == even and set().union(*shares) == set(range(partitions))

    even = sorted(partitions // len(tools) + (at < partitions % len(tools)) for at in range(len(tools)))
    for tool in tools:
        tool.until(lambda tool=tool: shared() or len(owned(tool)) == partitions // len(tools))
    assert shared(), tools


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_every_record_is_acknowledged_at_an_offset_of_its_own(run, topic, msk_broker, acks):
    name = topic(partitions=3)
    places = produced(run, name, 300, "--acks", acks)
    ends = {partition: mark.high for partition, mark in msk_broker.watermarks(name).items()}
    assert sum(ends.values()) == 300
    if acks:  # without acknowledgements the producer knows of no offsets
        assert sorted(places) == [(partition, at) for partition in sorted(ends) for at in range(ends[partition])]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read_as_they_were_written(run, start, topic, group, tmp_path, codec):
    name = topic()
    config = tmp_path / "producer.properties"
    config.write_text(f"compression.type={codec}\nlinger.ms=20\n")
    produced(run, name, 200, "--command-config", config, "--value-prefix", 7)
    tool = consume(start, name, group, "--max-messages", 200).wait()
    assert [event["value"] for event in tool.named("record_data")] == [f"7.{n}" for n in range(200)]


def test_keys_decide_on_partitions(run, start, topic, group):
    name = topic(partitions=4)
    produced(run, name, 100, "--repeating-keys", 10)
    tool = consume(start, name, group, "--max-messages", 100).wait()
    places = {}
    for event in tool.named("record_data"):
        places.setdefault(event["key"], set()).add(event["partition"])
    assert len(places) == 10
    assert all(len(partitions) == 1 for partitions in places.values())


@pytest.mark.parametrize("commits", [(), ("--enable-autocommit",)], ids=["synchronous", "automatic"])
def test_a_group_reads_every_record_once_and_commits_the_end(run, start, topic, group, msk_broker, commits):
    name = topic(partitions=3)
    places = produced(run, name, 300)
    tool = consume(start, name, group, "--max-messages", 300, *commits).wait()
    assert tool.status == 0
    assert sorted(read(tool)) == sorted(places)
    assert tool.named("startup_complete")
    assert tool.named("shutdown_complete")
    ends = {partition: mark.high for partition, mark in msk_broker.watermarks(name).items() if mark.high}
    committed = {partition: offset for partition, offset in msk_broker.committed(group, name).items() if offset}
    assert committed == ends
    if not commits:
        assert all(event["success"] for event in tool.named("offsets_committed"))


def test_a_group_goes_on_behind_its_commit(run, start, topic, group):
    name = topic()
    first = produced(run, name, 50)
    assert read(consume(start, name, group, "--max-messages", 50).wait()) == first
    later = produced(run, name, 30)
    assert read(consume(start, name, group, "--max-messages", 30).wait()) == later


@pytest.mark.parametrize(
    "strategy",
    ["RangeAssignor", "RoundRobinAssignor", "CooperativeStickyAssignor", "consumer:uniform", "consumer:range"],
)
def test_two_members_share_the_partitions_and_one_takes_over(start, topic, group, run, quick, strategy):
    name = topic(partitions=4)
    protocol, _, assignor = strategy.partition(":")
    how = ("--assignment-strategy", f"{CLIENTS}.{strategy}", *quick)
    if assignor:  # group.protocol=consumer: the broker assigns
        how = ("--group-protocol", protocol, "--group-remote-assignor", assignor)
    members = [consume(start, name, group, *how)]
    settle(members, 4)
    members.append(consume(start, name, group, *how))
    settle(members, 4)
    places = produced(run, name, 200)
    half = {tool: [place for place in places if place[0] in owned(tool)] for tool in members}
    for tool in members:
        tool.until(lambda tool=tool: len(read(tool)) >= len(half[tool]))
        assert sorted(read(tool)) == sorted(half[tool])
    members[0].stop()
    assert members[0].wait().status == 0
    settle(members[1:], 4)
    later = produced(run, name, 100)
    members[1].until(lambda: len(read(members[1])) >= len(half[members[1]]) + 100)
    assert sorted(read(members[1])) == sorted(half[members[1]] + later), "and nothing twice"


def test_a_group_of_the_consumer_protocol_goes_on_behind_its_commit(run, start, topic, group, msk_broker):
    name, how = topic(partitions=2), ("--group-protocol", "consumer", "--max-messages", 40)
    for _ in range(2):
        places = produced(run, name, 40)
        tool = consume(start, name, group, *how).wait()
        assert tool.status == 0
        assert sorted(read(tool)) == sorted(places)
    committed = msk_broker.committed(group, name)
    assert sum(committed.values()) == 80


def test_a_static_member_comes_back_to_its_partitions(start, topic, group, quick):
    name = topic(partitions=4)
    members = [consume(start, name, group, "--group-instance-id", at, *quick) for at in "ab"]
    settle(members, 4)
    share, others = owned(members[0]), len(members[1].named("partitions_revoked"))
    members[0].stop()
    members[0].wait()
    again = consume(start, name, group, "--group-instance-id", "a", *quick)
    again.until(lambda: owned(again))
    assert owned(again) == share
    assert len(members[1].named("partitions_revoked")) == others, "the other member noticed nothing"


def test_records_come_while_a_consumer_waits(start, run, topic, group):
    name = topic()
    tool = consume(start, name, group)
    settle([tool], 1)
    for count in (10, 20):
        produced(run, name, 10)
        tool.until(lambda count=count: len(read(tool)) == count)


def test_a_producer_goes_on_until_it_is_told_to_stop(start, topic, msk_broker):
    name = topic()
    tool = start("kafka-verifiable-producer", "--topic", name, "--throughput", 500)
    tool.until(lambda: len(tool.named("producer_send_success")) > 100)
    tool.stop()
    assert tool.wait().status == 0
    offsets = [event["offset"] for event in tool.named("producer_send_success")]
    assert offsets == list(range(len(offsets)))
    assert msk_broker.watermarks(name)[0].high == len(offsets)
