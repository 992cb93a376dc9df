import json

import pytest

from pytest_msk import assert_at_least_once


def dead_letters(queue):
    return [json.loads(message.body) for message in queue.receive_messages(MaxNumberOfMessages=10)]


def test_payments_are_paid_in_the_currency_of_the_template(payments, payment_mapping, queue):
    payments.produce_many({"amount": amount} for amount in (1, 2.5))
    payment_mapping.drain()

    assert payment_mapping.function.module.paid == ["1.00 EUR", "2.50 EUR"]
    assert_at_least_once(payment_mapping)
    assert dead_letters(queue) == []


def test_a_payment_that_is_none_is_found_alone_and_reported(payments, payment_mapping, queue):
    payments.produce_many({"amount": amount} for amount in (1, "free", 3))
    payment_mapping.drain()

    (letter,) = dead_letters(queue)
    assert letter["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert letter["requestContext"]["functionArn"].endswith(":function:pay")
    offsets = letter["KafkaBatchInfo"]["recordsInfo"]["payments-0"]
    assert (offsets["firstRecordOffset"], offsets["lastRecordOffset"]) == ("1", "1")
    assert {"1.00 EUR", "3.00 EUR"} <= set(payment_mapping.function.module.paid)


def test_what_was_reported_can_be_read_again_from_the_topic(payments, payment_mapping, queue):
    payments.produce({"amount": "free"}, key="customer-7")
    payment_mapping.drain()

    (letter,) = dead_letters(queue)
    ((name, info),) = letter["KafkaBatchInfo"]["recordsInfo"].items()
    topic, _, partition = name.rpartition("-")
    (record,) = [
        each
        for each in payments.records()
        if each.partition == int(partition) and each.offset == int(info["firstRecordOffset"])
    ]
    assert (topic, record.key_text, record.json()) == ("payments", "customer-7", {"amount": "free"})
    with pytest.raises(AssertionError, match="destination"):
        assert_at_least_once(payment_mapping)
    assert_at_least_once(payment_mapping, allow=("destination",))
