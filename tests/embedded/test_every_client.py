"""Client libraries with their default settings: produce, consume in groups, commit, resume, administer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec

from pytest_msk.brokers.embedded import EmbeddedBroker
from pytest_msk.brokers.embedded.settings import TOPIC_CONFIGS

PATIENCE = 20


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"


@pytest.fixture(autouse=True)
def _no_failure_inside(broker: EmbeddedBroker) -> object:
    yield
    assert broker.failures == ()
    assert broker.rejections == ()


class TestConfluent:
    def produce(self, broker: EmbeddedBroker, topic: str, *values: bytes, **settings: object) -> None:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, **settings})
        errors = []
        for value in values:
            producer.produce(topic, value, key=value, on_delivery=lambda error, _: error and errors.append(error))
        assert producer.flush(PATIENCE) == 0
        assert errors == []

    def consumer(self, broker: EmbeddedBroker, group: str, **settings: object) -> Consumer:
        base = {"bootstrap.servers": broker.bootstrap_servers, "group.id": group, "auto.offset.reset": "earliest"}
        return Consumer({**base, **settings})

    def read(self, consumer: Consumer, count: int) -> set[bytes]:
        found: list[bytes] = []
        end = time.monotonic() + PATIENCE
        while len(found) < count and time.monotonic() < end:
            found += [message.value() for message in consumer.consume(count, 0.2)]
        assert len(found) == count
        return set(found)

    @pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
    @pytest.mark.parametrize("idempotent", [False, True])
    def test_what_is_produced_is_consumed(self, broker: EmbeddedBroker, codec: str, idempotent: bool) -> None:
        broker.create_topic("t", partitions=3)
        values = {b"value %d" % at * 20 for at in range(200)}
        self.produce(broker, "t", *values, **{"compression.type": codec, "enable.idempotence": idempotent})
        consumer = self.consumer(broker, "g")
        consumer.subscribe(["t"])
        assert self.read(consumer, 200) == values
        consumer.close()
        assert {each.value for partition in range(3) for each in broker.records("t", partition)} == values

    def test_a_group_resumes_from_its_commit(self, broker: EmbeddedBroker) -> None:
        broker.create_topic("t")
        self.produce(broker, "t", b"a", b"b")
        for expected in ({b"a", b"b"}, {b"c"}):
            consumer = self.consumer(broker, "g")
            consumer.subscribe(["t"])
            assert self.read(consumer, len(expected)) == expected
            consumer.commit(asynchronous=False)
            consumer.close()
            self.produce(broker, "t", b"c")
        assert broker.committed("g", "t") == {0: 3}

    def test_members_share_the_partitions_at_once(self, broker: EmbeddedBroker) -> None:
        broker.create_topic("t", partitions=2)
        self.produce(broker, "t", *(b"%d" % at for at in range(20)))
        consumers = [self.consumer(broker, "g") for _ in range(2)]
        for consumer in consumers:
            consumer.subscribe(["t"])
            until(lambda: consumers[0].poll(0.01) is None and consumers[0].assignment())

        def both() -> bool:
            for consumer in consumers:
                consumer.poll(0.01)
            return [len(consumer.assignment()) for consumer in consumers] == [1, 1]

        until(both)
        group = broker.describe_group("g")
        assert sorted(partition for member in group.members for _, partition in member.partitions) == [0, 1]
        for consumer in consumers:
            consumer.close()
        assert broker.describe_group("g").members == ()

    def test_a_member_that_expires_loses_its_partitions(self, broker: EmbeddedBroker) -> None:
        broker.create_topic("t")
        first, second = self.consumer(broker, "g"), self.consumer(broker, "g")
        first.subscribe(["t"])
        until(lambda: first.poll(0.01) is None and first.assignment())
        (member,) = broker.describe_group("g").members
        broker.expire_member("g", member.member_id)
        second.subscribe(["t"])
        until(lambda: second.poll(0.01) is None and second.assignment())
        second.close()
        first.close()

    def test_administration(self, broker: EmbeddedBroker) -> None:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})

        def done(futures: dict) -> list:
            return [future.result(PATIENCE) for future in futures.values()]

        done(admin.create_topics([NewTopic("t", 2, 1, config={"retention.ms": "5000"})]))
        self.produce(broker, "t", *(b"%d" % at for at in range(20)))
        done(admin.create_partitions([NewPartitions("t", 3)]))
        assert sorted(admin.list_topics("t", PATIENCE).topics["t"].partitions) == [0, 1, 2]
        (description,) = done(admin.describe_topics(TopicCollection(["t"])))
        assert [len(partition.replicas) for partition in description.partitions] == [1, 1, 1]
        ends = admin.list_offsets({TopicPartition("t", at): OffsetSpec.latest() for at in range(3)})
        assert sum(result.offset for result in done(ends)) == 20
        low = done(admin.delete_records([TopicPartition("t", 0, -1)]))[0].low_watermark
        assert low == broker.watermarks("t")[0].high

        resource = ConfigResource(ConfigResource.Type.TOPIC, "t")
        (configs,) = done(admin.describe_configs([resource]))
        assert configs.keys() == TOPIC_CONFIGS.keys()
        assert (configs["retention.ms"].value, configs["retention.ms"].is_default) == ("5000", False)
        (broker_configs,) = done(admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, "1")]))
        assert broker_configs["auto.create.topics.enable"].value == "false"
        assert broker_configs["auto.create.topics.enable"].is_read_only

        consumer = self.consumer(broker, "g")
        consumer.subscribe(["t"])
        self.read(consumer, 20 - low)
        consumer.commit(asynchronous=False)
        (group,) = done(admin.describe_consumer_groups(["g"]))
        assert [len(member.assignment.topic_partitions) for member in group.members] == [3]
        with pytest.raises(KafkaException):
            done(admin.delete_consumer_groups(["g"]))
        consumer.close()
        assert [each.group_id for each in admin.list_consumer_groups().result(PATIENCE).valid] == ["g"]
        done(admin.delete_consumer_groups(["g"]))
        assert broker.groups() == frozenset()

        cluster = admin.describe_cluster(include_authorized_operations=True).result(PATIENCE)
        assert [f"{node.host}:{node.port}" for node in cluster.nodes] == [broker.bootstrap_servers]
        done(admin.delete_topics(["t"]))
        assert broker.topics() == frozenset()

    def test_configs_are_altered_one_by_one(self, broker: EmbeddedBroker) -> None:
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry

        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        broker.create_topic("t", config={"retention.bytes": "7"})

        def alter(name: str, value: str | None, operation: AlterConfigOpType) -> None:
            entry = ConfigEntry(name, value, incremental_operation=operation)
            resource = ConfigResource(ConfigResource.Type.TOPIC, "t", incremental_configs=[entry])
            for future in admin.incremental_alter_configs([resource]).values():
                future.result(PATIENCE)

        topic = broker._node.topic("t")
        alter("retention.ms", "9", AlterConfigOpType.SET)
        assert topic.log_config.retention_ms == 9
        alter("retention.bytes", None, AlterConfigOpType.DELETE)
        assert topic.log_config.retention_bytes == -1
        alter("cleanup.policy", "compact", AlterConfigOpType.APPEND)
        assert topic.log_config.compact
        assert topic.log_config.delete
        alter("cleanup.policy", "delete", AlterConfigOpType.SUBTRACT)
        assert not topic.log_config.delete
        for name, value, operation, text in (
            ("retention.ms", "x", AlterConfigOpType.SET, "Not a number of type LONG"),
            ("retention.ms", "5", AlterConfigOpType.APPEND, "its type is not LIST"),
            ("nope", "5", AlterConfigOpType.SET, "Unknown topic config name: nope"),
        ):
            with pytest.raises(KafkaException, match=text):
                alter(name, value, operation)

    def test_topics_are_not_created_by_mere_use(self, broker: EmbeddedBroker) -> None:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        assert admin.list_topics("t", PATIENCE).topics["t"].error.code() == 3
        assert broker.topics() == frozenset()


def test_topics_are_created_by_mere_use_where_that_is_set() -> None:
    with EmbeddedBroker({"auto.create.topics.enable": "true", "num.partitions": "2"}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        producer.produce("t", b"x")
        assert producer.flush(PATIENCE) == 0
        assert broker.partition_count("t") == 2
        assert (
            AdminClient(broker.client_config()).list_topics("not legal", PATIENCE).topics["not legal"].error.code()
            == 17
        )


def test_three_records_of_6_mb(broker: EmbeddedBroker) -> None:
    broker.create_topic("t", config={"max.message.bytes": "10000000"})
    producer, consumer = broker.producer(), broker.consumer("g")
    values = [bytes([at]) * 6_000_000 for at in range(3)]
    for value in values:
        producer.produce("t", value, partition=0)
    assert producer.flush(PATIENCE) == 0
    consumer.assign([TopicPartition("t", 0, 0)])
    found: list[bytes] = []
    until(lambda: found.extend(message.value() for message in consumer.consume(3, 0.5)) or len(found) == 3)
    assert found == values


def test_kafka_python(broker: EmbeddedBroker) -> None:
    kafka = pytest.importorskip("kafka")
    from kafka.admin import NewTopic as KafkaNewTopic

    where = {"bootstrap_servers": broker.bootstrap_servers}
    admin = kafka.KafkaAdminClient(**where)
    admin.create_topics([KafkaNewTopic("t", 2, 1)])
    producer = kafka.KafkaProducer(**where)
    sent = [producer.send("t", b"%d" % at, key=b"k%d" % at, headers=[("h", b"v")]) for at in range(20)]
    producer.flush(PATIENCE)
    assert all(each.get(PATIENCE) for each in sent)

    def consume(count: int) -> set[bytes]:
        consumer = kafka.KafkaConsumer(
            "t", group_id="g", auto_offset_reset="earliest", consumer_timeout_ms=PATIENCE * 1000, **where
        )
        found = set()
        for message in consumer:
            found.add(message.value)
            if len(found) == count:
                break
        consumer.commit()
        consumer.close()
        return found

    assert consume(20) == {b"%d" % at for at in range(20)}
    producer.send("t", b"new").get(PATIENCE)
    assert consume(1) == {b"new"}
    assert sum(broker.committed("g", "t").values()) == 21
    admin.delete_topics(["t"])
    assert broker.topics() == frozenset()
    producer.close()
    admin.close()


def test_aiokafka(broker: EmbeddedBroker) -> None:
    aiokafka = pytest.importorskip("aiokafka")
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin import NewTopic as AioNewTopic

    where = {"bootstrap_servers": broker.bootstrap_servers}

    async def consume(count: int) -> set[bytes]:
        consumer = aiokafka.AIOKafkaConsumer("t", group_id="g", auto_offset_reset="earliest", **where)
        await consumer.start()
        try:
            found = {(await consumer.getone()).value for _ in range(count)}
            await consumer.commit()
        finally:
            await consumer.stop()
        return found

    async def everything() -> None:
        admin = AIOKafkaAdminClient(**where)
        await admin.start()
        await admin.create_topics([AioNewTopic("t", 2, 1)])
        producer = aiokafka.AIOKafkaProducer(enable_idempotence=True, **where)
        await producer.start()
        for at in range(20):
            await producer.send_and_wait("t", b"%d" % at)
        assert await consume(20) == {b"%d" % at for at in range(20)}
        await producer.send_and_wait("t", b"new")
        assert await consume(1) == {b"new"}
        await producer.stop()
        await admin.delete_topics(["t"])
        await admin.close()

    asyncio.run(asyncio.wait_for(everything(), PATIENCE))
    assert broker.topics() == frozenset()
