"""confluent-kafka with its default settings."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

PATIENCE = 30.0


def produce(broker, topic, *values, **settings):
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, **settings})
    errors = []
    for value in values:
        producer.produce(
            topic, value, key=value, headers=[("h", b"\x00\xff")], on_delivery=lambda e, _: errors.append(e)
        )
    assert producer.flush(PATIENCE) == 0
    assert errors == [None] * len(values)


def consumer(broker, group, topic, **settings):
    """A consumer with default settings but for the place where it starts."""
    one = Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": group, "auto.offset.reset": "earliest", **settings}
    )
    one.subscribe([topic])
    return one


def read(one, count):
    found = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        message = one.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            found.append(message)
    assert len(found) == count
    return found


def test_produce_and_consume(msk_broker, topic, group):
    values = [b"%d" % n for n in range(200)]
    produce(msk_broker, topic, *values)
    one = consumer(msk_broker, group, topic)
    found = read(one, 200)
    one.close()
    assert sorted(message.value() for message in found) == sorted(values)
    assert all(message.key() == message.value() for message in found)
    assert all(message.headers() == [("h", b"\x00\xff")] for message in found)
    for partition in range(2):
        offsets = [message.offset() for message in found if message.partition() == partition]
        assert offsets == list(range(len(offsets)))


def test_two_members_share_a_group(msk_broker, topic, group):
    members = [consumer(msk_broker, group, topic) for _ in range(2)]
    deadline = time.monotonic() + PATIENCE
    while [len(one.assignment()) for one in members] != [1, 1]:
        assert time.monotonic() < deadline, [one.assignment() for one in members]
        for one in members:
            message = one.poll(0.05)
            assert message is None or message.error() is None
    produce(msk_broker, topic, *(b"%d" % n for n in range(50)))
    found = []
    while len(found) < 50 and time.monotonic() < deadline:
        for one in members:
            found += [message.value() for message in one.consume(50, 0.1)]
    for one in members:
        one.close()
    assert sorted(found) == sorted(b"%d" % n for n in range(50))


def test_commit_and_resume(msk_broker, topic, group):
    produce(msk_broker, topic, b"a", b"b", b"c")
    first = consumer(msk_broker, group, topic)
    read(first, 3)
    first.commit(asynchronous=False)
    first.close()
    produce(msk_broker, topic, b"d")
    second = consumer(msk_broker, group, topic)
    assert read(second, 1)[0].value() == b"d"
    second.close()
    assert sum(msk_broker.committed(group, topic).values()) == 4, "its default is to commit when it closes"


def test_administer(msk_broker, name):
    admin = AdminClient({"bootstrap.servers": msk_broker.bootstrap_servers})

    def done(answers):
        return [answer.result(PATIENCE) for answer in answers.values()]

    done(admin.create_topics([NewTopic(name, 1, config={"retention.ms": "5000"})]))
    wait_for(lambda: msk_broker.partition_count(name) == 1)
    done(admin.create_partitions([NewPartitions(name, 2)]))
    wait_for(lambda: msk_broker.partition_count(name) == 2)
    (described,) = done(admin.describe_topics(TopicCollection([name])))
    assert len(described.partitions) == 2
    assert name in admin.list_topics(timeout=PATIENCE).topics
    (configs,) = done(admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]))
    assert configs["retention.ms"].value == "5000"
    produce(msk_broker, name, *(b"%d" % n for n in range(20)))
    done(admin.delete_records([TopicPartition(name, partition, -1) for partition in range(2)]))
    assert all(mark.low == mark.high for mark in msk_broker.watermarks(name).values())
    assert admin.describe_cluster().result(PATIENCE).nodes
    done(admin.delete_topics([name]))
    wait_for(lambda: msk_broker.partition_count(name) == 0)


def wait_for(seen):
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_transaction_with_its_offsets(msk_broker, topic, group):
    produce(msk_broker, topic, b"1", b"2", b"3")
    source = consumer(msk_broker, group, topic, **{"enable.auto.commit": False})
    found = read(source, 3)
    producer = Producer({"bootstrap.servers": msk_broker.bootstrap_servers, "transactional.id": f"x-{topic}"})
    producer.init_transactions(PATIENCE)
    for end in (producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        for message in found:
            producer.produce(topic, b"out of " + message.value())
        positions = source.position(source.assignment())
        producer.send_offsets_to_transaction(positions, source.consumer_group_metadata(), PATIENCE)
        assert producer.flush(PATIENCE) == 0
        end(PATIENCE)
    source.close()
    other = consumer(msk_broker, group, topic, **{"isolation.level": "read_committed"})
    assert sorted(message.value() for message in read(other, 3)) == [b"out of 1", b"out of 2", b"out of 3"]
    other.close()
