"""Every animal of the zoo is caught by the check that names its fault, and the careful consumer by none."""

from __future__ import annotations

import pytest
from animals import FAULTS
from careful import Careful
from confluent_kafka import TopicPartition

from pytest_msk import (
    Consumption,
    assert_at_least_once,
    assert_committed,
    assert_no_anomalies,
    assert_ordered,
    find_anomalies,
)
from pytest_msk.checks import DEFINITIONS

#: What no consumer of this zoo does: transactions have a test of their own, and only a mapping gives records up.
ELSEWHERE = {"aborted-read", "dropped-record", "dead-lettered-record", "duplicate", "redelivery"}


def test_the_careful_consumer_is_caught_by_nothing(visit):
    consumer = visit(Careful)
    assert_no_anomalies(consumer.told)
    assert_at_least_once(consumer.told)
    assert_ordered(consumer.told)
    assert_committed(consumer.told)


@pytest.mark.parametrize("animal", FAULTS, ids=lambda animal: animal.__name__)
def test_each_animal_is_caught_by_the_check_that_names_its_fault(visit, animal):
    consumer = visit(animal)
    fault, follow = FAULTS[animal]
    found = {anomaly.name for anomaly in find_anomalies(consumer.told)}
    assert fault in found
    assert found - {fault} <= follow
    with pytest.raises(AssertionError, match=rf"(?s)to {animal.__name__}: .*{fault}"):
        assert_no_anomalies(consumer.told)


def test_there_are_twenty_animals_and_every_fault_has_one():
    assert len(FAULTS) >= 20
    assert {fault for fault, _ in FAULTS.values()} == set(DEFINITIONS) - ELSEWHERE


class CommitsTheLastOffsetInsteadOfTheNext(Careful):
    """The last record of each partition comes again after every restart."""

    def done(self, read):
        return {p: offset - 1 for p, offset in super().done(read).items()}


def test_an_offset_that_is_one_too_low_is_caught_by_what_is_committed(visit):
    consumer = visit(CommitsTheLastOffsetInsteadOfTheNext)
    assert_at_least_once(consumer.told)
    with pytest.raises(AssertionError) as raised:
        assert_committed(consumer.told)
    name, group = consumer.topic.name, consumer.group
    assert str(raised.value) == (
        f"Group {group!r} has not committed the end of each log in {name!r}:\n"
        f"  {name}-0: committed 16, expected 17: offset 16 is not committed\n"
        f"  {name}-1: committed 16, expected 17: offset 16 is not committed"
    )


def test_the_record_of_an_aborted_transaction_is_caught_under_read_committed(msk_topic, msk_broker):
    if any(limit.name == "transactions" and "refused" in limit.reason for limit in msk_broker.limits):
        pytest.skip(f"the {msk_broker.kind} broker has no transactions: --msk-broker=container has")
    topic = msk_topic()
    producer = msk_broker.producer(transactional_id="zoo")
    producer.init_transactions(20)
    for commits in (True, False, True):
        producer.begin_transaction()
        producer.produce(topic.name, b"%d" % commits)
        producer.flush()
        (producer.commit_transaction if commits else producer.abort_transaction)(20)
    consumer = msk_broker.consumer("zoo", isolation_level="read_uncommitted")
    consumer.assign([TopicPartition(topic.name, 0, 0)])
    read = []
    while len(read) < 3:
        read += consumer.consume(1, 0.2)
    careless = Consumption(topic, isolation_level="read_committed")
    careless.delivered(read)
    assert [anomaly.name for anomaly in find_anomalies(careless)] == ["aborted-read"]
    careful = Consumption(topic, isolation_level="read_committed")
    careful.delivered([read[0], read[2]])
    assert_no_anomalies(careful)
    assert_at_least_once(careful)
