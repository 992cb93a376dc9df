"""embedded: the broker alone, against librdkafka's mock cluster where there is something to compare.

Start: from the constructor to the answer to the first request, imports excluded. Clients have librdkafka's default
settings; only the rates are taken with larger queues, because at the default a client stops reading for up to a second
when 100,000 records are waiting.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from .rows import Row, at_least, at_most, times_at_least
from .stage import Stage, seconds, take_turns

if TYPE_CHECKING:
    from confluent_kafka import Consumer

__all__ = ["ready", "rows"]

_FIRST = "from benchmarks.embedded import ready; import confluent_kafka; print(ready())"
#: librdkafka's mock cluster gives a topic 4 partitions and loses what exceeds 5 MiB in one: hence two topics.
_TOPICS, _PARTITIONS = 2, 4
_LARGE_PRODUCER_QUEUE = {"queue.buffering.max.messages": 1_000_000}
_LARGE_CONSUMER_QUEUE = {"queued.min.messages": 1_000_000}


def rows(stage: Stage) -> Iterator[Row]:
    """Start, one record, rates, a second member, a large partition, many topics, many brokers."""
    yield from _start(stage)
    yield from _one_record(stage)
    yield from _rates(stage)
    yield from _second_member(stage)
    yield from _large_partition(stage)
    yield from _many_topics(stage)
    yield from _many_brokers(stage)


# --- start


def ready() -> float:
    """Milliseconds until a new broker has answered a request."""
    from pytest_msk.brokers.embedded import EmbeddedBroker

    began = time.perf_counter()
    broker = EmbeddedBroker()
    try:
        host, port = broker.bootstrap_servers.split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))  # ApiVersions, version 0, without a client id
            client.recv(4, socket.MSG_WAITALL)
        return 1000 * (time.perf_counter() - began)
    finally:
        broker.close()


def _start(stage: Stage) -> Iterator[Row]:
    first = [
        float(subprocess.run([sys.executable, "-c", _FIRST], check=True, capture_output=True, text=True).stdout)
        for _ in range(stage.count(9, 1))
    ]
    yield at_most("embedded broker ready, first in a process", median(first), "ms", 20)
    ready()
    yield at_most("embedded broker ready, again", median(ready() for _ in range(stage.count(50, 3))), "ms", 2)


# --- one record


def _one_record(stage: Stage) -> Iterator[Row]:
    from confluent_kafka import Producer

    topic = stage.name()
    stage.broker.create_topic(topic)
    took = []
    producer = Producer({"bootstrap.servers": stage.broker.bootstrap_servers})
    with closing(_consumer(stage.broker.bootstrap_servers, stage.name())) as consumer:
        consumer.subscribe([topic])
        for number in range(stage.count(300, 20) + 1):
            began = time.perf_counter()
            producer.produce(topic, b"%d" % number)
            producer.flush()
            message = None
            while message is None:
                message = consumer.poll(1)
            if number:  # the first one waits for the group
                took.append(1000 * (time.perf_counter() - began))
    stage.broker.delete_topic(topic)
    yield at_most("one record at client defaults", median(took), "ms", 3)


# --- rates


def _rates(stage: Stage) -> Iterator[Row]:
    with _mock_cluster() as mock:
        large = _Load(
            stage=stage, total=stage.count(200_000, 8_000), batch=10_000, topics=_TOPICS, partitions=_PARTITIONS
        )
        produced, consumed = large.rates(mock, stage.count(7, 1))
        yield times_at_least("produce 100 B", produced[0], "k/s", "mock cluster", produced[1], 0.7)
        yield times_at_least("consume(5000) 100 B", consumed[0], "k/s", "mock cluster", consumed[1], 0.7)
        single = _Load(stage=stage, total=stage.count(20_000, 800), batch=1, topics=1, partitions=1)
        produced, consumed = single.rates(mock, stage.count(2, 1))
        yield times_at_least("produce single-record batches", produced[0], "k/s", "mock cluster", produced[1], None)
        yield times_at_least("consume single-record batches", consumed[0], "k/s", "mock cluster", consumed[1], 20)


@contextmanager
def _mock_cluster() -> Iterator[str]:
    """The address of librdkafka's own test cluster, which lives in the client that asks for it."""
    from confluent_kafka import Producer

    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(timeout=10).brokers.values()
    yield f"{broker.host}:{broker.port}"


@dataclass(frozen=True, kw_only=True)
class _Load:
    """Records of 100 bytes that are produced and read back.

    Args:
        total: how many.
        batch: records of one batch at most.
        topics: over how many topics they are spread.
        partitions: over how many partitions of each topic.
    """

    stage: Stage
    total: int
    batch: int
    topics: int
    partitions: int

    def rates(self, mock: str, rounds: int) -> tuple[list[list[float]], list[list[float]]]:
        """Thousands of records a second: produced and consumed, each by the embedded broker and by the mock."""
        turns = [[self.stage.name() for _ in range(self.topics)] for _ in range(rounds + 1)]
        for name in chain.from_iterable(turns):
            self.stage.broker.create_topic(name, partitions=self.partitions)
        servers = (self.stage.broker.bootstrap_servers, mock)
        produced = take_turns(rounds, *(partial(self._turn, self._produce, at, iter(turns)) for at in servers))
        consumed = take_turns(rounds, *(partial(self._turn, self._consume, at, iter(turns)) for at in servers))
        for name in chain.from_iterable(turns):
            self.stage.broker.delete_topic(name)
        return produced, consumed

    def _turn(self, action: Callable[[str, list[str]], float], servers: str, turns: Iterator[list[str]]) -> float:
        return self.total / action(servers, next(turns)) / 1000

    def _produce(self, servers: str, topics: list[str]) -> float:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": servers, "batch.num.messages": self.batch, **_LARGE_PRODUCER_QUEUE})
        for topic in topics:
            producer.list_topics(topic, timeout=10)
        value = b"x" * 100

        def run() -> None:
            for number in range(self.total):
                partition = number // self.topics % self.partitions
                producer.produce(topics[number % self.topics], value, partition=partition)
            if producer.flush(120):
                raise RuntimeError(f"{servers} did not acknowledge all records.")

        return seconds(run)

    def _consume(self, servers: str, topics: list[str]) -> float:
        from confluent_kafka import OFFSET_BEGINNING, TopicPartition

        with closing(_consumer(servers, self.stage.name(), **_LARGE_CONSUMER_QUEUE)) as consumer:
            consumer.assign(
                [
                    TopicPartition(topic, number, OFFSET_BEGINNING)
                    for topic in topics
                    for number in range(self.partitions)
                ]
            )
            found = len(consumer.consume(1, 30))
            deadline = time.monotonic() + 120

            def run() -> None:
                nonlocal found
                while found < self.total:
                    found += len(consumer.consume(min(5_000, self.total - found), 1))
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"{servers} gave {found} of {self.total} records within 120 s.")

            return seconds(run)


def _consumer(servers: str, group: str, **settings: int) -> Consumer:
    from confluent_kafka import Consumer

    return Consumer({"bootstrap.servers": servers, "group.id": group, "auto.offset.reset": "earliest", **settings})


# --- groups and sizes


def _second_member(stage: Stage) -> Iterator[Row]:
    took = []
    for _ in range(stage.count(15, 1)):
        topic, group = stage.name(), stage.name()
        stage.broker.create_topic(topic, partitions=2)
        servers = stage.broker.bootstrap_servers
        with closing(_consumer(servers, group)) as first, closing(_consumer(servers, group)) as second:
            first.subscribe([topic])
            _poll_until(lambda first=first: first.assignment(), first)
            began = time.perf_counter()
            second.subscribe([topic])
            _poll_until(lambda second=second: second.assignment(), first, second)
            took.append(time.perf_counter() - began)
        stage.broker.delete_topic(topic)
    yield at_most("second member at client defaults", median(took), "s", 0.2)


def _poll_until(condition, *consumers: Consumer) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        for consumer in consumers:
            consumer.poll(0.002)
        if time.monotonic() > deadline:
            raise RuntimeError("The group did not come to rest within 60 s.")


def _large_partition(stage: Stage) -> Iterator[Row]:
    megabytes = stage.count(100, 4)
    topic = stage.name()
    stage.broker.create_topic(topic)
    written, read = hashlib.sha256(), hashlib.sha256()
    with stage.broker.producer() as producer:
        for number in range(megabytes * 2):
            value = number.to_bytes(4, "big") * 125_000
            written.update(value)
            producer.produce(topic, value)
            producer.flush()
    found = 0
    with stage.broker.consumer(stage.name()) as consumer:
        consumer.subscribe([topic])
        deadline = time.monotonic() + 60
        while found < megabytes * 2 and time.monotonic() < deadline:
            for message in consumer.consume(100, 0.1):
                read.update(message.value() or b"")
                found += 1
    stage.broker.delete_topic(topic)
    intact = found / 2 if written.digest() == read.digest() else 0
    yield at_least(f"read back of {megabytes} MB in a partition", intact, "MB", megabytes)


def _many_topics(stage: Stage) -> Iterator[Row]:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    count = stage.count(1_000, 50)
    took = []
    for _ in range(stage.count(5, 1)):
        names = [stage.name() for _ in range(count)]
        admin = AdminClient({"bootstrap.servers": stage.broker.bootstrap_servers})
        admin.list_topics(timeout=10)
        topics = [NewTopic(name, num_partitions=10, replication_factor=1) for name in names]

        def create(admin: AdminClient = admin, topics: list[NewTopic] = topics) -> None:
            for answer in admin.create_topics(topics).values():
                answer.result(60)

        took.append(seconds(create))
        for answer in admin.delete_topics(names).values():
            answer.result(60)
    yield at_most(f"{count:,} topics with 10 partitions created by one request", median(took), "s", 1)
    took = []
    for _ in range(stage.count(5, 1)):
        names = [stage.name() for _ in range(count)]

        def create_each(names: list[str] = names) -> None:
            for name in names:
                stage.broker.create_topic(name, partitions=10)

        took.append(seconds(create_each))
        for name in names:
            stage.broker.delete_topic(name)
    yield at_most(f"{count:,} topics with 10 partitions created one by one", median(took), "s", 1)


def _many_brokers(stage: Stage) -> Iterator[Row]:
    def held() -> int:
        descriptors = Path("/proc/self/fd")
        return threading.active_count() + (len(list(descriptors.iterdir())) if descriptors.exists() else 0)

    ready()
    before, count = held(), stage.count(300, 20)
    for _ in range(count):
        ready()
    yield at_most(f"threads and descriptors left by {count} brokers", held() - before, "", 0)
