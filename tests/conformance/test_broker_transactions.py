"""Transactions: what committed and uncommitted readers see, who is fenced, and offsets as a part of a transaction."""

from __future__ import annotations

import uuid

import pytest
from broker_tools import PATIENCE, read, read_from, until
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from kafka_wire import (
    Transactional,
    batch,
    fetch,
    fetch_committed,
    init_transactional,
    last_stable_offset,
    list_offset,
    produce,
    record,
)

UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE = 3, 42, 47, 48
INVALID_PRODUCER_ID_MAPPING, INVALID_TRANSACTION_TIMEOUT, OPERATION_NOT_ATTEMPTED, PRODUCER_FENCED = 49, 50, 55, 90
COMMITTED, UNCOMMITTED = {"isolation_level": "read_committed"}, {"isolation_level": "read_uncommitted"}


@pytest.fixture
def name():
    """A transactional id that nobody else has."""
    return f"x-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def transactional(producer, name):
    """Makes transactional producers, all of the same id unless another is given."""

    def make(transactional_id=name, **settings):
        one = producer(transactional_id=transactional_id, **settings)
        one.init_transactions(PATIENCE)
        return one

    return make


@pytest.fixture
def by_hand(wire, name):
    """A transactional producer by hand."""
    return Transactional(wire, name)


def run(one, topic, *values, commit=True, partition=0):
    """One transaction."""
    one.begin_transaction()
    for value in values:
        one.produce(topic, value, partition=partition)
    if commit:
        one.commit_transaction(PATIENCE)
    else:
        assert one.flush(PATIENCE) == 0  # else what is on its way is not sent at all
        one.abort_transaction(PATIENCE)


def values(messages):
    return [message.value() for message in messages]


def ended(wire, topic, end):
    """Wait until every transaction is decided and its markers are written."""
    until(lambda: last_stable_offset(wire, topic), lambda seen: seen == end)


# --- what readers see


def test_a_committed_transaction_is_read_by_all(topic, transactional, consumer, group):
    name = topic()
    run(transactional(), name, b"a", b"b")
    for number, isolation in enumerate((COMMITTED, UNCOMMITTED)):
        assert values(read_from(consumer(f"{group}-{number}", **isolation), name, 2)) == [b"a", b"b"]


def test_an_aborted_transaction_is_hidden_from_committed_readers(topic, transactional, send, consumer, group):
    name = topic()
    run(transactional(), name, b"a", b"b", commit=False)
    send(name, b"behind")
    assert values(read_from(consumer(f"{group}-1", **COMMITTED), name, 1)) == [b"behind"]
    assert values(read_from(consumer(f"{group}-2", **UNCOMMITTED), name, 3)) == [b"a", b"b", b"behind"]


def test_a_marker_takes_an_offset_in_each_partition_of_its_transaction(topic, transactional, msk_broker):
    name = topic(partitions=3)
    one = transactional()
    one.begin_transaction()
    for partition in (0, 1):
        one.produce(name, b"x", partition=partition)
    one.commit_transaction(PATIENCE)
    until(
        lambda: {at: marks.high for at, marks in msk_broker.watermarks(name).items()},
        lambda seen: seen == {0: 2, 1: 2, 2: 0},
    )
    assert msk_broker.offsets(name) == {0: (range(1),), 1: (range(1),), 2: ()}


def test_transactions_one_after_another_leave_a_gap_each(topic, transactional, msk_broker, wire):
    name = topic()
    one = transactional()
    for commit in (True, False, True):
        run(one, name, b"x", commit=commit)
    ended(wire, name, 6)
    assert msk_broker.offsets(name) == {0: (range(1), range(2, 3), range(4, 5))}


def test_committed_readers_stop_where_a_transaction_is_open(topic, by_hand, send, wire):
    name = topic()
    send(name, b"before")
    assert by_hand.add(name) == [0]
    assert by_hand.produce(name, b"open") == (0, 1)
    send(name, b"behind")
    aborted, stable, data = fetch_committed(wire, name, 0)
    assert (aborted, stable) == ([], 1)
    assert b"before" in data
    assert b"open" not in data
    assert fetch_committed(wire, name, 1)[2] == b""
    assert b"behind" in fetch(wire, name, 1)[2]
    assert (last_stable_offset(wire, name), list_offset(wire, name, -1)[2]) == (1, 3)


@pytest.mark.parametrize("commit", [True, False])
def test_the_end_of_a_transaction_shows_what_lies_behind_it(topic, by_hand, send, consumer, group, commit):
    name = topic()
    by_hand.add(name)
    by_hand.produce(name, b"open")
    send(name, b"behind")
    reader = consumer(group, **COMMITTED)
    reader.assign([TopicPartition(name, 0, 0)])
    assert reader.poll(0.1) is None
    assert by_hand.end(commit=commit) == 0
    wanted = [b"open", b"behind"] if commit else [b"behind"]
    assert values(read(reader, len(wanted))) == wanted


def test_records_of_two_transactions_are_read_in_the_order_of_their_offsets(topic, wire, name, consumer, group):
    topic_name = topic()
    first, second = Transactional(wire, name), Transactional(wire, f"{name}-2")
    for one in (first, second):
        assert one.add(topic_name) == [0]
    for one, value in [(first, b"1"), (second, b"2"), (first, b"3"), (second, b"4")]:
        assert one.produce(topic_name, value)[0] == 0
    assert second.end() == 0
    assert last_stable_offset(wire, topic_name) == 0, "the first one is still open"
    assert first.end() == 0
    assert values(read_from(consumer(group, **COMMITTED), topic_name, 4)) == [b"1", b"2", b"3", b"4"]


def test_of_two_transactions_at_once_only_the_aborted_one_is_hidden(topic, wire, name, consumer, group):
    topic_name = topic()
    good, bad = Transactional(wire, name), Transactional(wire, f"{name}-2")
    for one in (good, bad):
        one.add(topic_name)
    for one, value in [(good, b"1"), (bad, b"2"), (good, b"3"), (bad, b"4")]:
        one.produce(topic_name, value)
    bad.end(commit=False)
    until(lambda: list_offset(wire, topic_name, -1)[2], lambda end: end == 5)  # its marker comes before the other one's
    good.end()
    ended(wire, topic_name, 6)
    assert values(read_from(consumer(group, **COMMITTED), topic_name, 2)) == [b"1", b"3"]
    assert fetch_committed(wire, topic_name, 0)[0] == [(bad.id, 1)]
    assert fetch_committed(wire, topic_name, 5)[0] == []


def test_a_reader_that_starts_inside_an_aborted_transaction_sees_nothing_of_it(
    topic, transactional, send, consumer, group
):
    name = topic()
    run(transactional(), name, b"a", b"b", b"c", commit=False)
    send(name, b"behind")
    assert values(read_from(consumer(group, **COMMITTED), name, 1, offset=1)) == [b"behind"]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_transactions_are_compressed_as_any_records(topic, transactional, consumer, group, codec):
    name = topic()
    one = transactional(compression_type=codec)
    run(one, name, *[b"aborted" * 100] * 3, commit=False)
    run(one, name, *[b"committed" * 100] * 3)
    assert values(read_from(consumer(group, **COMMITTED), name, 3)) == [b"committed" * 100] * 3


def test_a_transaction_of_many_topics_and_partitions_is_whole(topic, transactional, consumer, group):
    names = [topic(partitions=3) for _ in range(3)]
    one = transactional()
    for commit in (False, True):
        one.begin_transaction()
        for name in names:
            for partition in range(3):
                one.produce(name, b"%d" % commit, partition=partition)
        assert one.flush(PATIENCE) == 0
        (one.commit_transaction if commit else one.abort_transaction)(PATIENCE)
    reader = consumer(group, **COMMITTED)
    reader.assign([TopicPartition(name, partition, 0) for name in names for partition in range(3)])
    found = read(reader, 9)
    assert {(message.topic(), message.partition()) for message in found} == {(n, p) for n in names for p in range(3)}
    assert set(values(found)) == {b"1"}


def test_a_transaction_without_records_leaves_no_trace(topic, transactional, msk_broker):
    name = topic()
    one = transactional()
    for end in (one.commit_transaction, one.abort_transaction):
        one.begin_transaction()
        end(PATIENCE)
    run(one, name, b"x")
    until(lambda: msk_broker.watermarks(name)[0].high, lambda seen: seen == 2)


def test_records_of_an_aborted_transaction_that_were_deleted_are_no_matter(
    topic, transactional, send, consumer, group, msk_broker
):
    name = topic()
    run(transactional(), name, b"a", b"b", commit=False)
    send(name, b"behind")
    msk_broker.delete_records(name, {0: 1})
    assert values(read_from(consumer(group, **COMMITTED), name, 1, offset=1)) == [b"behind"]


def test_a_time_is_not_found_behind_the_last_stable_offset(topic, by_hand, wire):
    name = topic()
    by_hand.add(name)
    by_hand.produce(name, b"open")
    assert list_offset(wire, name, 0)[2] == 0
    assert last_stable_offset(wire, name) == 0


# --- fencing


def test_a_second_producer_of_an_id_fences_the_first(topic, name, transactional, msk_broker):
    topic_name = topic()
    first = Producer(msk_broker.client_config(transactional_id=name, log_level=0))
    first.init_transactions(PATIENCE)
    run(first, topic_name, b"1")
    run(transactional(), topic_name, b"2")
    first.begin_transaction()
    first.produce(topic_name, b"zombie")
    with pytest.raises(KafkaException) as caught:
        first.commit_transaction(PATIENCE)
    assert caught.value.args[0].code() == KafkaError._FENCED
    assert caught.value.args[0].fatal()


def test_a_second_producer_aborts_what_the_first_one_left_open(topic, wire, name, transactional, consumer, group):
    topic_name = topic()
    first = Transactional(wire, name)
    first.add(topic_name)
    first.produce(topic_name, b"left open")
    run(transactional(), topic_name, b"second")
    assert values(read_from(consumer(group, **COMMITTED), topic_name, 1)) == [b"second"]
    assert first.end() == PRODUCER_FENCED


def test_a_producer_id_stays_with_its_transactional_id_and_its_epoch_rises(wire, name):
    error, first_id, first_epoch = init_transactional(wire, name)
    assert (error, first_epoch) == (0, 0)
    error, second_id, second_epoch = init_transactional(wire, name)
    assert (error, second_id) == (0, first_id)
    assert second_epoch > first_epoch
    assert init_transactional(wire, f"{name}-2")[1] != first_id


@pytest.mark.parametrize(("version", "error"), [(0, INVALID_PRODUCER_EPOCH), (2, PRODUCER_FENCED)])
def test_a_fenced_producer_is_told_so_by_every_request(topic, wire, name, group, version, error):
    topic_name = topic()
    old = Transactional(wire, name)
    Transactional(wire, name)
    assert old.add(topic_name, version=version) == [error]
    assert old.add_offsets(group, version=version) == error
    assert old.end(version=version) == error
    assert old.produce(topic_name, b"zombie")[0] == INVALID_PRODUCER_EPOCH
    assert list_offset(wire, topic_name, -1)[2] == 0


# --- what is refused


@pytest.mark.parametrize("timeout_ms", [0, -1, 900_001])
def test_a_transaction_timeout_has_limits(wire, name, timeout_ms):
    assert init_transactional(wire, name, timeout_ms=timeout_ms)[0] == INVALID_TRANSACTION_TIMEOUT


def test_an_empty_transactional_id_is_refused(wire):
    assert init_transactional(wire, "")[0] == INVALID_REQUEST


def test_a_client_hears_that_its_timeout_is_too_long(msk_broker, name):
    settings = {"transaction_timeout_ms": 900_001, "message_timeout_ms": 900_001, "log_level": 0}
    one = Producer(msk_broker.client_config(transactional_id=name, **settings))
    with pytest.raises(KafkaException) as caught:
        one.init_transactions(PATIENCE)
    assert caught.value.args[0].code() == KafkaError.INVALID_TRANSACTION_TIMEOUT


@pytest.mark.parametrize("wrong", ["name", "id"])
def test_a_producer_that_the_coordinator_does_not_know(topic, by_hand, group, wrong):
    topic_name = topic()
    if wrong == "name":
        by_hand.name += "-unknown"
    else:
        by_hand.id += 1_000_000
    assert by_hand.add(topic_name) == [INVALID_PRODUCER_ID_MAPPING]
    assert by_hand.add_offsets(group) == INVALID_PRODUCER_ID_MAPPING
    assert by_hand.end() == INVALID_PRODUCER_ID_MAPPING


@pytest.mark.parametrize("commit", [True, False])
def test_there_is_nothing_to_end_before_a_transaction_begins(by_hand, commit):
    assert by_hand.end(commit=commit) == INVALID_TXN_STATE


@pytest.mark.parametrize("commit", [True, False])
def test_an_end_that_is_asked_for_again_is_no_error_and_the_other_end_is_one(topic, by_hand, wire, commit):
    name = topic()
    by_hand.add(name)
    by_hand.produce(name, b"x")
    assert [by_hand.end(commit=commit) for _ in range(3)] == [0, 0, 0]
    assert by_hand.end(commit=not commit) == INVALID_TXN_STATE
    ended(wire, name, 2)


def test_one_partition_that_is_not_there_keeps_all_out_of_a_transaction(topic, by_hand):
    name = topic()
    assert by_hand.add(name, 0, 7) == [OPERATION_NOT_ATTEMPTED, UNKNOWN_TOPIC_OR_PARTITION]
    assert by_hand.produce(name, b"x") == (INVALID_TXN_STATE, -1)


def test_a_partition_that_was_not_added_is_not_written_to(topic, by_hand, wire):
    name = topic(partitions=2)
    assert by_hand.add(name, 1) == [0]
    assert by_hand.produce(name, b"x") == (INVALID_TXN_STATE, -1)
    assert list_offset(wire, name, -1)[2] == 0


def test_a_partition_has_to_be_added_to_each_transaction(topic, by_hand, wire):
    name = topic()
    by_hand.add(name)
    by_hand.produce(name, b"x")
    by_hand.end()
    ended(wire, name, 2)
    assert by_hand.produce(name, b"y")[0] == INVALID_TXN_STATE
    assert by_hand.add(name) == [0]
    assert by_hand.produce(name, b"y") == (0, 2)


def test_a_producer_writes_nothing_else_into_a_partition_of_its_open_transaction(topic, by_hand, wire):
    name = topic()
    by_hand.add(name)
    by_hand.produce(name, b"x")
    plain = batch(record(0, b"plain"), producer=(by_hand.id, by_hand.epoch, 1))
    assert produce(wire, name, plain)[0] == INVALID_TXN_STATE


def test_a_transactional_batch_that_is_sent_again_is_stored_once(topic, by_hand, wire):
    name = topic()
    by_hand.add(name)
    assert by_hand.produce(name, b"x") == (0, 0)
    by_hand.sequence = 0
    assert by_hand.produce(name, b"x") == (0, 0)
    by_hand.end()
    ended(wire, name, 2)


def test_the_sequence_of_a_producer_goes_on_in_its_next_transaction(topic, by_hand, wire):
    name = topic()
    for first in (0, 2):
        by_hand.add(name)
        assert by_hand.produce(name, b"x") == (0, first)
        by_hand.end()
        ended(wire, name, first + 2)
    assert by_hand.sequence == 2


# --- offsets in a transaction


@pytest.mark.parametrize("commit", [True, False])
def test_offsets_are_committed_with_their_transaction(topic, transactional, send, consumer, group, msk_broker, commit):
    name = topic()
    send(name, b"in")
    reader = consumer(group)
    reader.subscribe([name])
    read(reader, 1)
    one = transactional()
    one.begin_transaction()
    one.send_offsets_to_transaction([TopicPartition(name, 0, 1)], reader.consumer_group_metadata(), PATIENCE)
    assert msk_broker.committed(group, name) == {}
    (one.commit_transaction if commit else one.abort_transaction)(PATIENCE)
    wanted = {0: 1} if commit else {}
    until(lambda: msk_broker.committed(group, name), lambda seen: seen == wanted)


def test_records_and_offsets_go_together(topic, transactional, send, consumer, group, msk_broker):
    source, target = topic(), topic()
    send(source, b"1", b"2", b"3")
    reader = consumer(group)
    reader.subscribe([source])
    found = read(reader, 3)
    one = transactional()
    for end in (one.abort_transaction, one.commit_transaction):
        one.begin_transaction()
        for message in found:
            one.produce(target, b"out of " + message.value())
        one.send_offsets_to_transaction([TopicPartition(source, 0, 3)], reader.consumer_group_metadata(), PATIENCE)
        assert one.flush(PATIENCE) == 0
        end(PATIENCE)
    until(lambda: msk_broker.committed(group, source), lambda seen: seen == {0: 3})
    seen = read_from(consumer(f"{group}-out", **COMMITTED), target, 3)
    assert values(seen) == [b"out of 1", b"out of 2", b"out of 3"]
    assert seen[0].offset() > 2


def test_a_member_of_an_older_generation_cannot_put_offsets_into_a_transaction(
    topic, transactional, consumer, group, msk_broker
):
    name = topic(partitions=2)
    first = consumer(group, heartbeat_interval_ms=100)
    first.subscribe([name])
    until(first.assignment, lambda seen: len(seen) == 2, pump=[first])
    old = first.consumer_group_metadata()
    second = consumer(group, heartbeat_interval_ms=100)
    second.subscribe([name])
    until(
        lambda: (first.assignment(), second.assignment()),
        lambda seen: [*map(len, seen)] == [1, 1],
        pump=[first, second],
    )
    one = transactional()
    one.begin_transaction()
    with pytest.raises(KafkaException) as caught:
        one.send_offsets_to_transaction([TopicPartition(name, 0, 1)], old, PATIENCE)
    assert caught.value.args[0].code() in (KafkaError.ILLEGAL_GENERATION, KafkaError._FENCED)
    one.abort_transaction(PATIENCE)
    assert msk_broker.committed(group, name) == {}


def test_offsets_by_hand(topic, by_hand, group, msk_broker):
    name = topic()
    assert by_hand.add_offsets(group) == 0
    assert by_hand.commit_offset(group, name, 5) == 0
    assert by_hand.commit_offset(group, name, 5, partition=9) == UNKNOWN_TOPIC_OR_PARTITION
    assert by_hand.end() == 0
    until(lambda: msk_broker.committed(group, name), lambda seen: seen == {0: 5})
    msk_broker.delete_group(group)


def test_offsets_of_a_group_that_was_not_added_are_refused(topic, by_hand, group, msk_broker):
    name = topic()
    assert by_hand.add(name) == [0]
    assert by_hand.commit_offset(group, name, 5) == INVALID_TXN_STATE
    by_hand.end(commit=False)
    assert msk_broker.committed(group, name) == {}
