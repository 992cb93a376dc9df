"""Made-up records and events of the Faker provider."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
from faker import Faker

from pytest_msk import KafkaProvider, NotAKafkaEvent, Record, decode, validate_event
from pytest_msk._partitioner import partition_of


def faker(locale: str = "en_US", seed: int = 1) -> Faker:
    fake = Faker(locale)
    fake.add_provider(KafkaProvider)
    fake.seed_instance(seed)
    return fake


def test_a_record_is_a_plausible_order():
    record = faker().kafka_record()
    assert (record.topic, record.partition, record.timestamp_type) == ("orders", 0, "CREATE_TIME")
    assert record.key_text.startswith("customer-")
    assert sorted(record.json()) == ["city", "customer", "email", "id", "total"]
    assert [name for name, _ in record.headers] == ["trace-id", "city"]
    assert 2024 <= _year(record) <= 2025


def _year(record: Record) -> int:
    return 1970 + record.timestamp // (1_000 * 60 * 60 * 24 * 365.2425)


def test_what_is_given_is_not_made_up():
    record = faker().kafka_record(topic="t", partition=3, offset=4, timestamp=5, key=b"k", content="v")
    assert (record.topic, record.partition, record.offset, record.timestamp) == ("t", 3, 4, 5)
    assert (record.key, record.value) == (b"k", b"v")


@pytest.mark.parametrize("awkward", [False, True])
def test_the_same_seed_gives_the_same_event(awkward):
    fake = faker(seed=7)
    first = fake.msk_event(records=20, partitions=4, awkward=awkward)
    assert fake.msk_event(records=20, partitions=4, awkward=awkward) != first
    fake.seed_instance(7)
    assert fake.msk_event(records=20, partitions=4, awkward=awkward) == first
    assert faker(seed=7).msk_event(records=20, partitions=4, awkward=awkward) == first
    assert faker(seed=8).msk_event(records=20, partitions=4, awkward=awkward) != first


def test_the_content_is_of_the_locale():
    (record,) = decode(faker("ja_JP").msk_event())
    assert not record.json()["customer"].isascii()
    assert any(byte < 0 for byte in record.to_event()["headers"][1]["city"])


@pytest.mark.parametrize("seed", range(5))
def test_an_event_is_one_that_a_mapping_sends(seed):
    event = faker(seed=seed).msk_event(records=30, partitions=5, event_source="SelfManagedKafka")
    records = decode(event)
    assert validate_event(event) == []
    assert event["eventSource"] == "SelfManagedKafka"
    assert Counter(record.partition for record in records) == dict.fromkeys(range(5), 6)
    assert all(partition_of(record.key, 5) == record.partition for record in records)
    for partition in range(5):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(offsets[0], offsets[0] + 6))
    assert [record.timestamp for record in records[:6]] == sorted(record.timestamp for record in records[:6])


def test_a_record_can_be_without_a_key():
    fake = faker()
    assert fake.kafka_record(key=None).key is None
    assert [record.key for record in decode(fake.msk_event(records=3, key=None))] == [None] * 3


def test_each_of_many_partitions_has_its_share_before_long():
    event = faker().msk_event(records=500, partitions=500, content="x")
    assert {len(group) for group in event["records"].values()} == {1}


def test_an_event_has_one_record_and_begins_at_the_given_time():
    (record,) = decode(faker().msk_event(topic="returns", timestamp=1_700_000_000_000))
    assert (record.topic, record.partition, record.timestamp) == ("returns", 0, 1_700_000_000_000)


def test_the_content_comes_from_a_template():
    template = {"n": "{{random_int}}", "who": "{{ name }}", "text": "Dear {{name}}!", "list": ["{{boolean}}", 1, None]}
    content = faker().kafka_record(content=template).json()
    assert isinstance(content["n"], int)
    assert isinstance(content["who"], str)
    assert "{" not in content["who"] + content["text"]
    assert content["text"].startswith("Dear ")
    assert content["list"][0] in (True, False)
    assert content["list"][1:] == [1, None]


def test_a_template_may_be_text():
    assert "{" not in faker().kafka_record(content="{{name}} lives in {{city}}").text


def test_a_template_with_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="Unknown formatter 'no_such_thing'"):
        faker().kafka_record(content=["{{no_such_thing}}"])


def test_the_content_comes_from_a_function_of_the_generator_and_the_key_from_the_content():
    event = faker().msk_event(
        records=3, partitions=8, content=lambda fake: {"id": fake.random_int()}, key=lambda order: str(order["id"])
    )
    records = decode(event)
    assert len(records) == 3
    assert [record.key_text for record in records] == [str(record.json()["id"]) for record in records]
    assert all(partition_of(record.key, 8) == record.partition for record in records)


@pytest.mark.parametrize("seed", range(10))
def test_an_awkward_event_has_all_that_handlers_forget(seed):
    event = faker(seed=seed).msk_event(awkward=True)
    records = decode(event)
    assert validate_event(event) == []
    assert len({record.partition for record in records}) == 3
    assert all(record.key is None or partition_of(record.key, 3) == record.partition for record in records)
    assert any(record.key is None and record.value is not None for record in records)
    assert any(record.key is not None and record.value is None for record in records)
    assert any(record.key is None and record.value is None and not record.headers for record in records)
    assert b"" in [record.key for record in records]
    assert b"" in [record.value for record in records]
    assert any(_is_no_text(record.key) for record in records)
    assert any(_is_no_text(record.value) for record in records)
    assert any(_is_no_json(record.value) for record in records)
    headers = [[(name, value) for name, value in record.headers] for record in records]
    assert any(min(value, default=0) > 127 for pairs in headers for _, value in pairs if value)
    assert any(value == b"" for pairs in headers for _, value in pairs)
    assert any(len(pairs) > len(dict(pairs)) for pairs in headers)
    assert any(len(dict(pairs)) > len({name.lower() for name, _ in pairs}) for pairs in headers)
    offsets = [[record["offset"] for record in group] for group in event["records"].values()]
    assert any(b - a > 1 for group in offsets for a, b in itertools.pairwise(group))


def _is_no_text(raw: bytes | None) -> bool:
    try:
        (raw or b"").decode()
    except UnicodeDecodeError:
        return True
    return False


def _is_no_json(raw: bytes | None) -> bool:
    if not raw or _is_no_text(raw):
        return False
    try:
        json.loads(raw)
    except ValueError:
        return True
    return False


def test_oddities_come_in_random_order():
    orders = set()
    for seed in range(5):
        records = sorted(decode(faker(seed=seed).msk_event(awkward=True)), key=lambda record: record.timestamp)
        orders.add(tuple(record.value is None for record in records))
    assert len(orders) > 1


def test_an_awkward_record_has_one_oddity():
    fake = faker()
    records = [fake.kafka_record(awkward=True) for _ in range(60)]
    assert {record.value is None for record in records} == {record.key is None for record in records} == {True, False}


def test_more_awkward_records_begin_the_oddities_again():
    records = decode(faker().msk_event(records=44, partitions=1, awkward=True))
    assert sum(record.value is None for record in records) == 8
    assert sum(record.key is None for record in records) == 8


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"partitions": 0}, "partitions=0: give a number, 1 or more."),
        ({"partitions": "3"}, "partitions='3': give a number, 1 or more."),
        ({"records": -1}, "records=-1: give a number, 0 or more."),
        ({"timestamp": "now"}, "timestamp='now': give a number, -1 or more."),
    ],
    ids=str,
)
def test_what_is_no_number_is_refused(arguments, text):
    with pytest.raises(ValueError, match="give a number") as raised:
        faker().msk_event(**arguments)
    assert str(raised.value) == text


def test_an_event_without_records_is_refused():
    with pytest.raises(NotAKafkaEvent):
        faker().msk_event(records=0)
