"""kafka-python, 2 and 3, with its default settings."""

from __future__ import annotations

import threading
import time

import pytest

kafka = pytest.importorskip("kafka", reason="needs kafka-python")
admin_api = pytest.importorskip("kafka.admin", reason="needs kafka-python")

PATIENCE = 30.0
PATIENCE_MS = int(PATIENCE * 1000)


@pytest.fixture
def opened():
    """Closes what a test opens with it, the last first."""
    made = []

    def keep(one):
        made.append(one)
        return one

    yield keep
    for one in reversed(made):
        one.close()


def produce(opened, broker, topic, *values):
    producer = opened(kafka.KafkaProducer(bootstrap_servers=broker.bootstrap_servers))
    sent = [producer.send(topic, value=value, key=value, headers=[("h", b"\x00\xff")]) for value in values]
    producer.flush(PATIENCE)
    return [one.get(PATIENCE) for one in sent]


def consumer(opened, broker, group, topic):
    """A consumer with default settings but for the place where it starts."""
    return opened(
        kafka.KafkaConsumer(
            topic, bootstrap_servers=broker.bootstrap_servers, group_id=group, auto_offset_reset="earliest"
        )
    )


def read(one, count):
    found = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        for records in one.poll(timeout_ms=200).values():
            found += records
    assert len(found) == count
    return found


def wait_for(seen):
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_produce_and_consume(msk_broker, topic, group, opened):
    values = [b"%d" % n for n in range(200)]
    stored = produce(opened, msk_broker, topic, *values)
    found = read(consumer(opened, msk_broker, group, topic), 200)
    assert sorted(record.value for record in found) == sorted(values)
    assert all(record.key == record.value for record in found)
    assert all([tuple(header) for header in record.headers] == [("h", b"\x00\xff")] for record in found)
    assert {(one.partition, one.offset) for one in stored} == {(one.partition, one.offset) for one in found}


def test_two_members_share_a_group(msk_broker, topic, group, opened):
    # Each in a thread of its own and with a second for each poll, as applications have it: kafka-python 3.0 can lose
    # the assignment when a poll ends between JoinGroup and SyncGroup.
    members = [consumer(opened, msk_broker, group, topic) for _ in range(2)]
    found: list[list[bytes]] = [[], []]
    done = threading.Event()

    def run(number):
        while not done.is_set():
            for records in members[number].poll(timeout_ms=1_000).values():
                found[number] += [record.value for record in records]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: [len(one.assignment()) for one in members] == [1, 1])
        produce(opened, msk_broker, topic, *(b"%d" % n for n in range(50)))
        wait_for(lambda: len(found[0]) + len(found[1]) >= 50)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert sorted(found[0] + found[1]) == sorted(b"%d" % n for n in range(50))
    assert all(found), "both had their share"


def test_commit_and_resume(msk_broker, topic, group, opened):
    produce(opened, msk_broker, topic, b"a", b"b", b"c")
    first = consumer(opened, msk_broker, group, topic)
    read(first, 3)
    first.commit()
    first.close()
    assert sum(msk_broker.committed(group, topic).values()) == 3
    produce(opened, msk_broker, topic, b"d")
    assert read(consumer(opened, msk_broker, group, topic), 1)[0].value == b"d"


def test_administer(msk_broker, name, opened):
    admin = opened(admin_api.KafkaAdminClient(bootstrap_servers=msk_broker.bootstrap_servers))
    admin.create_topics([admin_api.NewTopic(name, 1, 1, topic_configs={"retention.ms": "5000"})])
    wait_for(lambda: msk_broker.partition_count(name) == 1)
    admin.create_partitions({name: admin_api.NewPartitions(2)})
    wait_for(lambda: msk_broker.partition_count(name) == 2)
    assert name in str(admin.list_topics())
    assert "5000" in str(admin.describe_configs([admin_api.ConfigResource(admin_api.ConfigResourceType.TOPIC, name)]))
    (described,) = admin.describe_topics([name])
    assert len(described["partitions"]) == 2
    produce(opened, msk_broker, name, *(b"%d" % n for n in range(20)))
    admin.delete_records({kafka.TopicPartition(name, partition): -1 for partition in range(2)})
    assert all(mark.low == mark.high for mark in msk_broker.watermarks(name).values())
    assert admin.describe_cluster()
    with pytest.raises(kafka.errors.TopicAlreadyExistsError):
        admin.create_topics([admin_api.NewTopic(name, 1, 1)])
    admin.delete_topics([name])
    wait_for(lambda: msk_broker.partition_count(name) == 0)


def test_administer_groups(msk_broker, topic, group, opened):
    produce(opened, msk_broker, topic, b"a", b"b", b"c")
    one = consumer(opened, msk_broker, group, topic)
    read(one, 3)
    one.commit()
    admin = opened(admin_api.KafkaAdminClient(bootstrap_servers=msk_broker.bootstrap_servers))
    if hasattr(admin, "list_groups"):  # kafka-python 3
        listed, described = admin.list_groups, admin.describe_groups
        offsets, delete = admin.list_group_offsets, admin.delete_groups
    else:
        listed, described = admin.list_consumer_groups, admin.describe_consumer_groups
        offsets, delete = admin.list_consumer_group_offsets, admin.delete_consumer_groups
    assert group in str(listed())
    assert "Stable" in str(described([group]))
    assert topic in str(offsets({group: None} if hasattr(admin, "list_groups") else group))
    one.close()
    wait_for(lambda: "Empty" in str(described([group])))
    delete([group])
    assert group not in msk_broker.groups()


def test_a_transaction_with_its_offsets(msk_broker, topic, group, opened):
    produce(opened, msk_broker, topic, b"1", b"2", b"3")
    source = consumer(opened, msk_broker, group, topic)
    found = read(source, 3)
    settings = {"bootstrap_servers": msk_broker.bootstrap_servers, "transactional_id": f"x-{topic}"}
    producer = opened(kafka.KafkaProducer(**settings))
    producer.init_transactions()
    member = source.group_metadata() if hasattr(source, "group_metadata") else group
    for end in (producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        sent = [producer.send(topic, value=b"out of " + record.value) for record in found]
        producer.flush(PATIENCE)
        assert all(one.get(PATIENCE) for one in sent)
        producer.send_offsets_to_transaction({at: offset_of(source.position(at)) for at in source.assignment()}, member)
        end()
    assert sum(msk_broker.committed(group, topic).values()) == 3
    reader = opened(
        kafka.KafkaConsumer(
            topic,
            bootstrap_servers=msk_broker.bootstrap_servers,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
    )
    wanted = [b"1", b"2", b"3", b"out of 1", b"out of 2", b"out of 3"]
    assert sorted(record.value for record in read(reader, 6)) == wanted


def offset_of(position):
    """A position as each version of the library takes it."""
    fields = {"offset": position, "metadata": "", "leader_epoch": -1}
    return kafka.structs.OffsetAndMetadata(*(fields[name] for name in kafka.structs.OffsetAndMetadata._fields))
