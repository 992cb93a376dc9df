"""Powertools for AWS Lambda reads every event that is made here, but for what it could not read from AWS either."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import aws_events
import freezegun
import pytest
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import KafkaEvent
from aws_lambda_powertools.utilities.kafka import ConsumerRecords, kafka_consumer
from aws_lambda_powertools.utilities.parser.models import KafkaMskEventModel, KafkaSelfManagedEventModel
from faker import Faker
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import KafkaProvider, LambdaContext, Record, SchemaMetadata, decode, msk_event
from pytest_msk.strategies import events

# Its models are loaded when freezegun looks for the time in them, and pydantic makes no model of a frozen datetime.
freezegun.configure(extend_ignore_list=["aws_lambda_powertools"])

AVRO = SchemaMetadata(data_format="AVRO", schema_id="1234")
GAP = [Record(topic="t", partition=0, offset=n, timestamp=1_700_000_000_000, value=b"v") for n in (3, 9)]


class Read(NamedTuple):
    """A record as a reader of Powertools gives it."""

    place: tuple[str, int, int, int]
    key: bytes | str | None
    value: bytes | str
    headers: dict[str, bytes]


def place(record: Any) -> tuple[str, int, int, int]:
    at = record.timestamp
    return record.topic, record.partition, record.offset, at if isinstance(at, int) else round(at.timestamp() * 1_000)


# --- the readers


def data_class(event: dict) -> list[Read]:
    return [Read(place(r), r.decoded_key, r.decoded_value, dict(r.decoded_headers)) for r in KafkaEvent(event).records]


def parser(event: dict) -> list[Read]:
    model = KafkaMskEventModel if event["eventSource"] == "aws:kafka" else KafkaSelfManagedEventModel
    parsed = model.model_validate(event)
    return [
        Read(place(r), r.key, r.value, {name: value for header in r.headers for name, value in header.items()})
        for group in parsed.records.values()
        for r in group
    ]


def consumer_records(event: dict) -> list[Read]:
    read = []

    @kafka_consumer()
    def handler(records: ConsumerRecords, context: LambdaContext) -> None:
        read.extend(Read(place(r), r.key, r.value, dict(r.headers)) for r in records.records)

    handler(event, None)
    return read


def batch_processor(event: dict) -> list[Read]:
    """Each record of the batch fails: what is reported names it as Lambda needs it (spec 4.5)."""
    read = []

    def refuse(record: Any) -> None:
        read.append(Read(place(record), record.decoded_key, record.decoded_value, dict(record.decoded_headers)))
        raise ValueError("no")

    processor = BatchProcessor(event_type=EventType.Kafka, raise_on_entire_batch_failure=False)
    response = process_partial_response(event, refuse, processor, None)
    assert response["batchItemFailures"] == [
        {"itemIdentifier": {"partition": key, "offset": record["offset"]}}
        for key, group in event["records"].items()
        for record in group
    ]
    return read


def _bytes(record: Record) -> Read:
    headers = {name.lower(): value for name, value in record.headers}
    return Read(place(record), record.key, record.value, headers)


def _text(record: Record) -> Read:
    return _bytes(record)._replace(key=record.key_text, value=record.text)


def _model(record: Record) -> Read:
    return _bytes(record)._replace(value=record.text, headers=dict(record.headers))


class Reader(NamedTuple):
    read: Callable[[dict], list[Read]]
    expected: Callable[[Record], Read]


READERS = {
    "data class": Reader(data_class, _bytes),
    "parser": Reader(parser, _model),
    "ConsumerRecords": Reader(consumer_records, _text),
    "batch processor": Reader(batch_processor, _bytes),
}

# --- what an event can have, and what Powertools makes of it

FEATURES: dict[str, dict[str, Any]] = {
    "nothing given": {},
    "json": {"values": [{"name": "Zoë"}]},
    "text": {"values": ["Zoë"]},
    "empty value": {"values": [""]},
    "value that is no UTF-8": {"values": [b"\xff"]},
    "tombstone": {"values": [None], "key": "k"},
    "tombstone as null": {"values": [None], "key": "k", "null_tombstones": True},
    "no key": {"values": ["v"]},
    "empty key": {"values": ["v"], "key": ""},
    "key that is no UTF-8": {"values": ["v"], "key": b"\xff"},
    "negative header bytes": {"headers": {"name": "Zoë", "raw": b"\x80\xff"}},
    "empty header": {"headers": {"name": b""}},
    "null header": {"headers": {"name": None}},
    "header that comes twice": {"headers": [("a", "1"), ("a", "2")]},
    "headers that differ in case": {"headers": [("a", "1"), ("A", "2")]},
    "several partitions": {"values": ["a", "b", "c"], "partitions": 2},
    "gaps between offsets": {"values": GAP},
    "timestamp of 1970": {"timestamp": 1_000},
    "64-bit offset": {"offset": 2**63 - 1},
    "broker's timestamp": {"timestamp_type": "LOG_APPEND_TIME", "timestamp": 1_700_000_000_123},
    "schema metadata": {"values": ["v"], "key": "k", "value_schema_metadata": AVRO, "key_schema_metadata": AVRO},
    "self-managed": {"event_source": "SelfManagedKafka"},
    "hyphens and dots": {"topic": "my-topic.v-1"},
}  # fmt: skip

#: What Powertools 3.37 cannot read, or reads as something else, though AWS sends it.
_NO_VALUE = "asks for the value, and a tombstone has none (spec 1.4)"
_NULL = "decodes the value, and cannot decode a null"
_NO_TEXT = "takes the value for UTF-8"
_NO_HEADER = "counts the bytes of a header that has none; nobody has seen yet what AWS sends (spec 1.3)"
LIMITS = {
    ("tombstone", "data class"): _NO_VALUE,
    ("tombstone", "parser"): _NO_VALUE,
    ("tombstone", "ConsumerRecords"): _NO_VALUE,
    ("tombstone", "batch processor"): _NO_VALUE,
    ("tombstone as null", "data class"): _NULL,
    ("tombstone as null", "parser"): _NULL,
    ("tombstone as null", "ConsumerRecords"): _NULL,
    ("tombstone as null", "batch processor"): _NULL,
    ("value that is no UTF-8", "parser"): _NO_TEXT,
    ("value that is no UTF-8", "ConsumerRecords"): _NO_TEXT,
    ("key that is no UTF-8", "ConsumerRecords"): "takes the key for UTF-8",
    ("empty key", "ConsumerRecords"): "takes an empty key for none",
    ("timestamp of 1970", "parser"): "takes a small number for seconds",
    **{("null header", reader): _NO_HEADER for reader in READERS},
}


def outcome(reader: Reader, event: dict) -> list[Read] | Exception:
    try:
        return reader.read(copy.deepcopy(event))
    except Exception as error:  # noqa: BLE001 - whatever it raises, it does not read this event
        return error


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("feature", FEATURES)
def test_powertools_reads_an_event(feature, reader):
    event = msk_event(**FEATURES[feature])
    try:
        expected = [READERS[reader].expected(record) for record in decode(event)]
    except ValueError as no_text:
        expected = no_text
    read = outcome(READERS[reader], event)
    assert (read != expected) == ((feature, reader) in LIMITS), read


def test_limits_are_of_features_and_readers():
    assert {feature for feature, _ in LIMITS} <= set(FEATURES)
    assert {reader for _, reader in LIMITS} <= set(READERS)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "text",
    [aws_events.SAMPLE_MSK, aws_events.SAMPLE_SELF_MANAGED, aws_events.REFERENCE],
    ids=["sample of MSK", "self-managed sample", "reference"],
)
def test_powertools_reads_aws_own_events(text, reader):
    event = json.loads(text)
    if reader == "ConsumerRecords" and text != aws_events.REFERENCE:
        assert isinstance(outcome(READERS[reader], event), UnicodeDecodeError), "the key of the samples is no UTF-8"
    else:
        assert outcome(READERS[reader], event) == [READERS[reader].expected(record) for record in decode(event)]


@given(
    events(
        keys=st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=9),
        values=st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    )
)
def test_powertools_reads_every_event_of_the_strategies(event):
    for reader in READERS.values():
        assert outcome(reader, event) == [reader.expected(record) for record in decode(event)]


@pytest.mark.parametrize("seed", range(5))
def test_powertools_reads_every_event_of_the_provider(seed):
    fake = Faker(["de_DE", "ja_JP", "en_US"][seed % 3])
    fake.add_provider(KafkaProvider)
    fake.seed_instance(seed)
    event = fake.msk_event(records=20, partitions=4)
    for reader in READERS.values():
        assert outcome(reader, event) == [reader.expected(record) for record in decode(event)]


def test_log_has_what_powertools_logs_in_the_form_that_the_page_says(pytester):
    module = """
        from aws_lambda_powertools import Logger

        logger = Logger(service=__name__)

        @logger.inject_lambda_context
        def handler(event, context):
            logger.info("seen")
    """
    pytester.makepyfile(
        imported=module,
        left_to_the_call=module,
        test_log="""
            import json
            import imported
            import pytest
            from pytest_msk import LambdaFunction, msk_event

            @pytest.mark.parametrize("target", [imported.handler, "imported.handler"])
            def test_imported(target, capsys):
                invocation = LambdaFunction(target).invoke(msk_event())
                assert invocation.log.startswith("[INFO]")
                assert invocation.log.endswith(f"{invocation.request_id}\\tseen\\n")

            def test_left_to_the_call():
                invocation = LambdaFunction("left_to_the_call.handler").invoke(msk_event())
                assert json.loads(invocation.log)["function_request_id"] == invocation.request_id

            def test_imported_by_an_earlier_call():
                import left_to_the_call
                invocation = LambdaFunction(left_to_the_call.handler).invoke(msk_event())
                assert json.loads(invocation.log)["message"] == "seen"
        """,
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=4)
