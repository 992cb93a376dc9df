"""Java's transactional clients: copied exactly once, aborted, listed and hidden until they end."""

from __future__ import annotations

import pytest
from kafka_tools import SERVER


def committed_lines(run, topic, count):
    arguments = ("--from-beginning", "--max-messages", count, "--isolation-level", "read_committed")
    return run("kafka-console-consumer", "--topic", topic, *arguments).lines


def nothing_more(run, topic, group):
    """Whether a read_committed consumer of a group finds nothing behind what it has read."""
    arguments = ("--group", group, "--timeout-ms", 500, "--isolation-level", "read_committed")
    return run("kafka-console-consumer", "--topic", topic, *arguments).lines == []


def fill(run, topic, count):
    run("kafka-console-producer", "--topic", topic, stdin="".join(f"{n}\n" for n in range(count)))


def copy(run, source, target, group, *arguments):
    return run(
        "transactional-message-copier",
        *("--broker-list", SERVER, "--input-topic", source, "--input-partition", 0, "--output-topic", target),
        *("--transactional-id", f"{group}-copier", "--consumer-group", group, "--transaction-size", 20),
        *arguments,
    )


@pytest.mark.parametrize(
    "how", [(), ("--use-group-metadata",), ("--group-mode", "--use-group-metadata")], ids=["old", "new", "subscribed"]
)
def test_records_are_copied_once_with_their_offsets(run, topic, group, msk_broker, how):
    source, target = topic(), topic()
    fill(run, source, 100)
    copy(run, source, target, group, *how)
    assert committed_lines(run, target, 100) == [str(n) for n in range(100)]
    assert msk_broker.committed(group, source) == {0: 100}
    # five transactions of 20 records: each ends with a marker, which takes an offset
    assert msk_broker.watermarks(target)[0].high == 105


def test_aborted_copies_are_hidden_and_made_again(run, topic, group, msk_broker):
    source, target = topic(), topic()
    fill(run, source, 200)
    copy(run, source, target, group, "--enable-random-aborts", "--use-group-metadata")
    assert committed_lines(run, target, 200) == [str(n) for n in range(200)]
    assert msk_broker.committed(group, source) == {0: 200}


def test_a_producer_commits_as_time_goes_by(run, topic, group, msk_broker):
    name = topic(partitions=2)
    run(
        "kafka-producer-perf-test",
        *("--topic", name, "--num-records", 400, "--record-size", 10, "--throughput", 2_000),
        *("--transactional-id", group, "--transaction-duration-ms", 50),
    )
    read = committed_lines(run, name, 400)
    assert len(read) == 400
    assert sum(mark.high for mark in msk_broker.watermarks(name).values()) > 400, "there are markers too"


def test_an_open_transaction_is_hidden_described_and_aborted(run, topic, group, msk_broker):
    name = topic()
    producer = msk_broker.producer(transactional_id=group)
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, b"open")
    assert producer.flush(30) == 0
    rows = [line.split() for line in run("kafka-transactions", "list").lines]
    assert "Ongoing" in next(row for row in rows if row[0] == group)
    described = run("kafka-transactions", "describe", "--transactional-id", group).lines
    assert any("Ongoing" in line and f"{name}-0" in line for line in described), described
    (producing,) = [
        line.split()
        for line in run("kafka-transactions", "describe-producers", "--topic", name, "--partition", 0).lines
        if line[:1].isdigit()
    ]
    assert producing[-1] == "0", "where its transaction begins"
    assert nothing_more(run, name, group)
    run("kafka-transactions", "abort", "--topic", name, "--partition", 0, "--start-offset", 0)
    run("kafka-console-producer", "--topic", name, stdin="later\n")
    assert committed_lines(run, name, 1) == ["later"]
