"""small: a whole small test, against bare confluent-kafka.

The kit: a topic with 3 partitions, 100 records, a mapping, `drain()`, two assertions, and the removal of all that.
Bare: the same topic made and deleted, the same records produced, consumed in a group with the kit's own quick client
settings and handed to the handler as they are, the offsets committed, and the log read once more to see that every
record was there. It builds no event, keeps no journal and checks no order: the least that such a test can do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_msk import assert_at_least_once, assert_ordered

from .rows import Row, times_at_most
from .stage import Stage, seconds, take_turns

if TYPE_CHECKING:
    from confluent_kafka import Message

__all__ = ["rows"]

_RECORDS = 100
_PARTITIONS = 3
_ORDERS = [{"id": number, "customer": number % 7} for number in range(_RECORDS)]


def rows(stage: Stage) -> Iterator[Row]:
    """The small test's time, and bare confluent-kafka's."""
    sides = take_turns(stage.count(50, 3), lambda: seconds(lambda: _kit(stage)), lambda: seconds(lambda: _bare(stage)))
    kit, bare = ([1000 * figure for figure in side] for side in sides)
    yield times_at_most("small test", kit, "ms", "bare confluent-kafka", bare, 3)


def _kit(stage: Stage) -> None:
    charged = 0

    def charge(event, _context):
        nonlocal charged
        charged += sum(map(len, event["records"].values()))

    with stage.sandbox() as sandbox:
        orders = sandbox.topic(partitions=_PARTITIONS)
        orders.produce_many(_ORDERS, key=lambda order: str(order["customer"]))
        esm = sandbox.mapping(charge, orders)
        esm.drain()
        assert_at_least_once(esm)
        assert_ordered(esm)
    _check(charged)


def _bare(stage: Stage) -> None:
    import orjson
    from confluent_kafka import OFFSET_BEGINNING, TopicPartition

    charged = 0

    def charge(messages):
        nonlocal charged
        charged += len(messages)

    broker, topic, group = stage.broker, stage.name(), stage.name()
    broker.create_topic(topic, partitions=_PARTITIONS)
    with broker.producer() as producer:
        for order in _ORDERS:
            producer.produce(topic, orjson.dumps(order), str(order["customer"]).encode())
        producer.flush()
    with broker.consumer(group) as consumer:
        consumer.subscribe([topic])
        found: list[Message] = []
        while len(found) < _RECORDS:
            messages = consumer.consume(_RECORDS - len(found), 1)
            charge(messages)
            found += messages
        consumer.commit(asynchronous=False)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(_PARTITIONS)])
        log: list[Message] = []
        while len(log) < _RECORDS:
            log += consumer.consume(_RECORDS - len(log), 1)
    broker.delete_group(group)
    broker.delete_topic(topic)
    _check(charged)
    if {(m.partition(), m.offset()) for m in log} != {(m.partition(), m.offset()) for m in found}:
        raise RuntimeError("The log does not hold what was consumed.")


def _check(charged: int) -> None:
    if charged != _RECORDS:
        raise RuntimeError(f"{charged} of {_RECORDS} records were charged.")
