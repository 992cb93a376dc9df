"""Whatever fails on the way, no record is lost and no commit passes one that is not resolved (spec 5.1, 5.13)."""

from __future__ import annotations

from base64 import b64decode

import pytest
from confluent_kafka import KafkaError

from pytest_msk import MskError, Topic, assert_at_least_once, assert_ordered
from pytest_msk.errors import BrokerError
from pytest_msk.filters import FilterCriteria
from pytest_msk.mapping.poller import Poller


def ignore(event, context):
    pass


class SlowClient:
    """The mapping's client, with the second record of partition 1 on its way for longer than the timeout."""

    def __init__(self, client):
        self.client, self.held, self.slow = client, [], True

    def __getattr__(self, name):
        return getattr(self.client, name)

    def consume(self, number, timeout):
        found = self.held + self.client.consume(number, timeout)
        self.held = [m for m in found if self.slow and m.partition() == 1 and m.offset() >= 1]
        return [m for m in found if m not in self.held]


def test_read_that_times_out_loses_nothing(msk_topic, msk_esm):
    topic = msk_topic(partitions=2)
    for n in range(10):
        topic.produce(b"x", partition=0, timestamp=1000 + n)
    topic.produce(b"y", partition=1, timestamp=1005)
    topic.produce(b"y", partition=1, timestamp=1009)
    esm = msk_esm(ignore, topic)
    esm._open()
    poller = esm._pipeline._pipelines[0]._poller
    poller._consumer, poller._timeout = SlowClient(poller._consumer), 1.0
    with pytest.raises(BrokerError, match=r"-1 ends at offset 2, but nothing came from offset 1 on within 1 s"):
        esm.drain()
    poller._consumer.slow, poller._timeout = False, 30.0
    esm.drain()
    assert_at_least_once(esm)
    assert_ordered(esm)


class FailingClient:
    """The mapping's client, which reports a lost connection amid the first messages."""

    def __init__(self, client):
        self.client, self.failed = client, False

    def __getattr__(self, name):
        return getattr(self.client, name)

    def consume(self, number, timeout):
        found = self.client.consume(number, timeout)
        if not self.failed and len(found) > 2:
            self.failed = True
            found.insert(1, Failure())
        return found


class Failure:
    def error(self):
        return KafkaError(KafkaError._TRANSPORT)

    def partition(self):
        return -1


def test_error_amid_the_messages_loses_none(msk_topic, msk_esm):
    topic = msk_topic()
    topic.produce_many([b"x"] * 200)
    esm = msk_esm(ignore, topic)
    esm._open()
    poller = esm._pipeline._pipelines[0]._poller
    poller._consumer = FailingClient(poller._consumer)
    with pytest.raises(BrokerError, match=r"Reading .* failed: .*_TRANSPORT"):
        esm.drain()
    esm.drain()
    assert_at_least_once(esm)


def test_commit_that_failed_is_made_up_for(msk_topic, msk_esm, msk_broker, monkeypatch):
    topic = msk_topic()
    topic.produce_many([b"x"] * 3)
    esm = msk_esm(ignore, topic)
    real, calls = Poller.commit, []

    def commit(self, positions):
        calls.append(positions)
        if len(calls) == 1:
            raise BrokerError("the coordinator is loading")
        return real(self, positions)

    monkeypatch.setattr(Poller, "commit", commit)
    with pytest.raises(BrokerError, match="the coordinator is loading"):
        esm.drain()
    esm.drain()
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 3}


def test_filter_that_fails_loses_nothing(msk_topic, msk_esm, monkeypatch):
    topic = msk_topic()
    topic.produce_many([{"a": 1}] * 4)
    esm = msk_esm(ignore, topic, filter_criteria={"Filters": [{"Pattern": '{"value": {"a": [1]}}'}]})
    decide, calls = FilterCriteria.decide, []

    def fail_once(self, value, metadata):
        calls.append(value)
        if len(calls) == 2:
            raise RuntimeError("a filter's bug")
        return decide(self, value, metadata)

    monkeypatch.setattr(FilterCriteria, "decide", fail_once)
    with pytest.raises(RuntimeError, match="a filter's bug"):
        esm.drain()
    esm.drain()
    assert_at_least_once(esm)


def made_again(broker, esm, partitions, records):
    broker.delete_topic(esm.topic)
    broker.create_topic(esm.topic, partitions=partitions)
    topic = Topic(esm.topic, broker=broker, clock=esm.clock)
    topic.produce_many([b"new"] * records)
    topic.close()


@pytest.mark.parametrize("partitions", [1, 3])
def test_topic_that_was_made_again_is_begun_again(msk_topic, msk_esm, msk_broker, partitions):
    topic, events = msk_topic(partitions=partitions), []
    topic.produce_many([b"old"] * 30)
    esm = msk_esm(lambda event, context: events.append(event), topic)
    esm.drain()
    events.clear()
    made_again(msk_broker, esm, 1, 5)
    with pytest.raises(AssertionError, match=r"unseen: .*-0 offsets 0-4"):
        assert_at_least_once(esm)
    esm.drain()
    assert [len(records) for event in events for records in event["records"].values()] == [5]
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_topic_that_was_made_again_is_begun_again_in_the_background(msk_topic, msk_esm, msk_broker):
    topic, events = msk_topic(), []
    topic.produce_many([b"old"] * 5)
    esm = msk_esm(lambda event, context: events.append(event), topic, maximum_batching_window_in_seconds=0)
    with esm.running():
        esm.wait_until(lambda: msk_broker.committed(esm.consumer_group_id, topic.name) == {0: 5})
        events.clear()
        made_again(msk_broker, esm, 1, 2)
        esm.wait_until(lambda: events)


def test_partition_that_is_added_is_read_in_the_background(msk_topic, msk_esm, msk_broker):
    topic, events = msk_topic(), []
    esm = msk_esm(lambda event, context: events.append(event), topic, maximum_batching_window_in_seconds=0)
    with esm.running():
        topic.produce(b"x")
        esm.wait_until(lambda: events)
        msk_broker.create_partitions(topic.name, 2)
        topic.produce(b"x", partition=1)
        esm.wait_until(lambda: len(events) == 2)
    assert topic.partitions == 2
    assert_at_least_once(esm)


def test_open_transaction_is_read(msk_topic, msk_esm, msk_broker):
    topic = msk_topic(partitions=2)
    topic.produce(b"a", partition=1)
    topic.produce(b"b", partition=0)
    producer = msk_broker.producer(transactional_id="open")
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic.name, b"open", partition=0)
    assert producer.flush(10) == 0
    esm = msk_esm(ignore, topic)
    esm.drain()
    producer.commit_transaction()
    esm.drain()
    assert_ordered(esm)
    assert_at_least_once(esm)


def test_aborted_transaction_is_read_and_its_marker_is_no_record(msk_topic, msk_esm, msk_broker):
    topic, values = msk_topic(), []
    topic.produce(b"a")
    producer = msk_broker.producer(transactional_id="aborted")
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic.name, b"aborted")
    assert producer.flush(10) == 0
    producer.abort_transaction()
    topic.produce(b"z")

    def note(event, context):
        values.extend(b64decode(record["value"]) for records in event["records"].values() for record in records)

    esm = msk_esm(note, topic)
    esm.drain()
    assert values == [b"a", b"aborted", b"z"]
    assert_at_least_once(esm)


@pytest.mark.parametrize("end", ["disable", "close", "delete"])
def test_function_cannot_end_its_own_mapping(msk_topic, msk_esm, end):
    def handler(event, context):
        with pytest.raises(MskError, match="The function ended the mapping that is calling it"):
            getattr(esm, end)()

    topic = msk_topic()
    topic.produce(b"x")
    esm = msk_esm(handler, topic)
    esm.drain()
    assert esm.state == "Enabled"
    assert_at_least_once(esm)


@pytest.mark.parametrize("end", ["disable", "close", "delete", "stop"])
def test_function_cannot_end_its_own_mapping_in_the_background(msk_topic, msk_esm, msk_clock, end):
    def handler(event, context):
        with pytest.raises(MskError, match="The function ended the mapping that is calling it"):
            getattr(esm, end)()

    topic = msk_topic()
    topic.produce(b"x")
    esm = msk_esm(handler, topic, maximum_batching_window_in_seconds=0)
    with esm.running():
        esm.wait_until(lambda: esm.last_processing_result == "OK")
    assert esm.state == "Enabled"
    msk_clock.advance(1)
