"""What destinations get, byte for byte: AWS's samples with their members in AWS's order (spec 4.6, 4.7)."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from failed_batches import ARN, FUNCTION, START, UUID, failed, record
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.mapping.destinations import ResponseContext
from pytest_msk.mapping.destinations.bodies import _timestamp, kafka_messages, metadata, metadata_with_payload, s3_key

BATCH = failed(record(0, 15), record(0, 17, START + 300), record(2, 4, START + 745))
HEAD = (
    '{"requestContext":{"requestId":"316aa6d0-8154-4a5b-9af7-85d5f4a6bc81",'
    '"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:charge","condition":"RetryAttemptsExhausted",'
    '"approximateInvokeCount":11},'
    '"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},'
    '"version":"1.0","timestamp":"2019-11-14T00:38:06.021Z",'
)
METADATA = (
    HEAD + f'"KafkaBatchInfo":{{"batchSize":3,"eventSourceArn":"{ARN}",'
    f'"bootstrapServers":"b-1.demo:9098,b-2.demo:9098","payloadSize":{len(BATCH.payload)},'
    '"recordsInfo":{"orders-0":{"firstRecordOffset":"15","lastRecordOffset":"17",'
    '"firstRecordTimestamp":"2019-11-14T00:38:04.835Z","lastRecordTimestamp":"2019-11-14T00:38:05.135Z"},'
    '"orders-2":{"firstRecordOffset":"4","lastRecordOffset":"4",'
    '"firstRecordTimestamp":"2019-11-14T00:38:05.580Z","lastRecordTimestamp":"2019-11-14T00:38:05.580Z"}}}}'
)


def test_sqs_and_sns_get_the_metadata_of_the_batch():
    assert metadata(BATCH).decode() == METADATA


def test_s3_gets_the_whole_event_beside_it_as_escaped_text():
    assert metadata_with_payload(BATCH).decode() == f'{METADATA[:-1]},"payload":{json.dumps(BATCH.payload.decode())}}}'
    assert json.loads(json.loads(metadata_with_payload(BATCH))["payload"]) == BATCH.event


def test_an_s3_key_tells_mapping_partition_and_time():
    assert s3_key(BATCH, "the-id") == (f"aws/lambda/{UUID}/orders-0/2019/11/14/2019-11-14T00.38.06-the-id")


def test_a_kafka_topic_gets_a_message_for_each_record_with_an_event_of_it_alone():
    ((_, first), (_, second), (last, _)) = kafka_messages(BATCH)
    event = (
        f'"bootstrapServers":"b-1.demo:9098,b-2.demo:9098","eventSource":"aws:kafka","eventSourceArn":"{ARN}",'
        '"records":{"orders-0":[{"headers":[],"key":"dGVzdC1rZXk=","offset":17,"partition":0,'
        '"timestamp":1573691885135,"timestampType":"CREATE_TIME","topic":"orders","value":"dGVzdC12YWx1ZQ=="}]}'
    )
    assert second.decode() == (
        HEAD.replace("RetryAttemptsExhausted", "RetriesExhausted").replace(":charge", ":charge:$LATEST")
        + f'"KafkaBatchInfo":{{"batchSize":1,"eventSourceArn":"{ARN}",'
        f'"bootstrapServers":"b-1.demo:9098,b-2.demo:9098","payloadSize":{len(event) + 2},'
        '"recordInfo":{"offset":"17","timestamp":"2019-11-14T00:38:05.135Z"}},'
        f'"payload":{{{event}}}}}'
    )
    assert json.loads(first)["KafkaBatchInfo"]["recordInfo"]["offset"] == "15"
    assert last == record(2, 4, START + 745)


@pytest.mark.parametrize("condition", ["RecordAgeExceeded", "MaximumPayloadSizeExceeded"])
def test_other_conditions_have_one_name_everywhere_and_no_answer_of_the_function(condition):
    batch = failed(record(0, 1), condition=condition, response=None)
    for body in (metadata(batch), next(kafka_messages(batch))[1]):
        body = json.loads(body)
        assert body["requestContext"]["condition"] == condition
        assert body["responseContext"] is None


def test_item_failures_are_no_function_error():
    batch = failed(record(0, 1), response=ResponseContext(executed_version="7", function_error=None))
    assert json.loads(metadata(batch))["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "7",
        "functionError": None,
    }


def test_self_managed_kafka_has_no_arn():
    batch = failed(record(0, 1), arn=None)
    message = json.loads(next(kafka_messages(batch))[1])
    assert list(json.loads(metadata(batch))["KafkaBatchInfo"]) == [
        "batchSize", "bootstrapServers", "payloadSize", "recordsInfo",
    ]  # fmt: skip
    assert message["payload"]["eventSource"] == "SelfManagedKafka"
    assert "eventSourceArn" not in message["payload"]


@pytest.mark.parametrize("arn", [f"{FUNCTION}:live", f"{FUNCTION}:7", f"{FUNCTION}:$LATEST"])
def test_a_qualified_function_arn_stays_as_it_is(arn):
    batch = failed(record(0, 1), function_arn=arn)
    assert json.loads(next(kafka_messages(batch))[1])["requestContext"]["functionArn"] == arn
    assert json.loads(metadata(batch))["requestContext"]["functionArn"] == arn


@pytest.mark.parametrize("null", [True, False])
def test_a_record_is_as_the_function_saw_it(null):
    batch = failed(record(0, 1, key=None, value=None), null_tombstones=null)
    (found,) = json.loads(next(kafka_messages(batch))[1])["payload"]["records"]["orders-0"]
    assert "key" not in found
    assert found.get("value", "absent") == (None if null else "absent")


@given(st.integers(0, 253_402_300_799_999))
def test_a_timestamp_is_iso_8601_with_milliseconds(time_ms):
    text = _timestamp(time_ms)
    assert len(text) == len("2019-11-14T00:38:06.021Z")
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds() * 1000 == pytest.approx(
        time_ms, abs=0.5
    )


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (253_402_300_800_000, "+10000-01-01T00:00:00.000Z"),
        (2**63 - 1, "+292278994-08-17T07:12:55.807Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_a_timestamp_beyond_the_calendar_reads_as_java_writes_it(time_ms, text):
    assert _timestamp(time_ms) == text
