"""aiokafka with its default settings."""

from __future__ import annotations

import asyncio
import time

import pytest

aiokafka = pytest.importorskip("aiokafka", reason="needs aiokafka")
admin_api = pytest.importorskip("aiokafka.admin", reason="needs aiokafka")
config_api = pytest.importorskip("aiokafka.admin.config_resource", reason="needs aiokafka")

PATIENCE = 30.0

_TOPIC_ALREADY_EXISTS = 36


def run(coroutine):
    """Run a test's coroutine to its end, in time."""
    return asyncio.run(asyncio.wait_for(coroutine, 2 * PATIENCE))


async def produce(broker, topic, *values):
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        sent = [await producer.send(topic, value=value, key=value, headers=[("h", b"\x00\xff")]) for value in values]
        return [await one for one in sent]


def consumer(broker, group, topic):
    """A consumer with default settings but for the place where it starts."""
    return aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=broker.bootstrap_servers, group_id=group, auto_offset_reset="earliest"
    )


async def read(one, count):
    return [await asyncio.wait_for(one.getone(), PATIENCE) for _ in range(count)]


async def wait_for(seen):
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def test_produce_and_consume(msk_broker, topic, group):
    values = [b"%d" % n for n in range(200)]

    async def scenario():
        stored = await produce(msk_broker, topic, *values)
        async with consumer(msk_broker, group, topic) as one:
            return stored, await read(one, 200)

    stored, found = run(scenario())
    assert sorted(record.value for record in found) == sorted(values)
    assert all(record.key == record.value for record in found)
    assert all(list(record.headers) == [("h", b"\x00\xff")] for record in found)
    assert {(one.partition, one.offset) for one in stored} == {(one.partition, one.offset) for one in found}


def test_two_members_share_a_group(msk_broker, topic, group):
    async def scenario():
        async with consumer(msk_broker, group, topic) as first, consumer(msk_broker, group, topic) as second:
            await wait_for(lambda: [len(one.assignment()) for one in (first, second)] == [1, 1])
            await produce(msk_broker, topic, *(b"%d" % n for n in range(50)))
            found = []
            deadline = time.monotonic() + PATIENCE
            while len(found) < 50 and time.monotonic() < deadline:
                for one in (first, second):
                    for records in (await one.getmany(timeout_ms=100)).values():
                        found += [record.value for record in records]
            return found

    assert sorted(run(scenario())) == sorted(b"%d" % n for n in range(50))


def test_commit_and_resume(msk_broker, topic, group):
    async def scenario():
        await produce(msk_broker, topic, b"a", b"b", b"c")
        async with consumer(msk_broker, group, topic) as first:
            await read(first, 3)
            await first.commit()
        await produce(msk_broker, topic, b"d")
        async with consumer(msk_broker, group, topic) as second:
            return await read(second, 1)

    assert [record.value for record in run(scenario())] == [b"d"]


def test_an_idempotent_producer(msk_broker, topic, group):
    async def scenario():
        where = {"bootstrap_servers": msk_broker.bootstrap_servers}
        async with aiokafka.AIOKafkaProducer(enable_idempotence=True, **where) as producer:
            for n in range(50):
                await producer.send_and_wait(topic, b"%d" % n, partition=0)

    run(scenario())
    assert msk_broker.watermarks(topic)[0].high == 50


def test_administer(msk_broker, name, group):
    async def scenario():
        admin = admin_api.AIOKafkaAdminClient(bootstrap_servers=msk_broker.bootstrap_servers)
        await admin.start()
        try:
            await admin.create_topics([admin_api.NewTopic(name, 1, 1, topic_configs={"retention.ms": "5000"})])
            await wait_for(lambda: msk_broker.partition_count(name) == 1)
            await admin.create_partitions({name: admin_api.NewPartitions(2)})
            await wait_for(lambda: msk_broker.partition_count(name) == 2)
            assert name in await admin.list_topics()
            configs = await admin.describe_configs(
                [config_api.ConfigResource(config_api.ConfigResourceType.TOPIC, name)]
            )
            assert "5000" in str(configs)
            (described,) = await admin.describe_topics([name])
            assert len(described["partitions"]) == 2
            again = await admin.create_topics([admin_api.NewTopic(name, 1, 1)])
            assert [error for _, error, *_ in again.topic_errors] == [_TOPIC_ALREADY_EXISTS]
            await produce(msk_broker, name, b"a", b"b")
            async with consumer(msk_broker, group, name) as one:
                await read(one, 2)
                await one.commit()
                assert group in str(await admin.list_consumer_groups())
                offsets = await admin.list_consumer_group_offsets(group)
                assert sum(at.offset for at in offsets.values() if at.offset > 0) == 2
            await admin.delete_topics([name])
            await wait_for(lambda: msk_broker.partition_count(name) == 0)
        finally:
            await admin.close()

    run(scenario())


def test_a_transaction_with_its_offsets(msk_broker, topic, group):
    async def scenario():
        await produce(msk_broker, topic, b"1", b"2", b"3")
        settings = {"bootstrap_servers": msk_broker.bootstrap_servers, "transactional_id": f"x-{topic}"}
        async with consumer(msk_broker, group, topic) as source, aiokafka.AIOKafkaProducer(**settings) as producer:
            found = await read(source, 3)
            for end in (producer.abort_transaction, producer.commit_transaction):
                await producer.begin_transaction()
                for record in found:
                    await producer.send_and_wait(topic, value=b"out of " + record.value)
                positions = {at: await source.position(at) for at in source.assignment()}
                await producer.send_offsets_to_transaction(positions, group)
                await end()
        reader = aiokafka.AIOKafkaConsumer(
            topic,
            bootstrap_servers=msk_broker.bootstrap_servers,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        async with reader:
            return await read(reader, 6)

    found = run(scenario())
    wanted = [b"1", b"2", b"3", b"out of 1", b"out of 2", b"out of 3"]
    assert sorted(record.value for record in found) == wanted
    assert sum(msk_broker.committed(group, topic).values()) == 3


@pytest.mark.msk(broker="embedded:3")
def test_producer_and_consumer_go_on_when_a_broker_goes_down(msk_broker, topic, group):
    async def scenario():
        found = []
        async with (
            aiokafka.AIOKafkaProducer(bootstrap_servers=msk_broker.bootstrap_servers, acks="all") as producer,
            consumer(msk_broker, group, topic) as one,
        ):
            for number in range(10):
                await producer.send_and_wait(topic, b"%d" % number, partition=number % 2)
            found += await read(one, 10)
            await one.commit()
            msk_broker.nodes.coordinator(group).stop()
            msk_broker.nodes.start()
            msk_broker.nodes[1].stop()
            for number in range(10, 20):
                await producer.send_and_wait(topic, b"%d" % number, partition=number % 2)
            found += await read(one, 10)
            await one.commit()
            msk_broker.nodes.start()
        return found

    found = run(scenario())
    assert sorted(int(record.value) for record in found) == list(range(20))
    assert msk_broker.committed(group, topic) == {0: 10, 1: 10}
