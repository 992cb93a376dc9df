"""Bodies: the texts that destinations get, member by member in the order of AWS's samples (spec 4.6, 4.7). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import orjson

from ...events import partition_key
from ...records import Record
from .failure import FailedBatch

__all__ = ["kafka_messages", "metadata", "metadata_with_payload", "s3_key"]

#: After so many years, and so many seconds, the calendar is the same again.
_CALENDAR_YEARS, _CALENDAR_SECONDS = 400, 146_097 * 86_400


def metadata(failed: FailedBatch) -> bytes:
    """The SQS message body and the SNS message: what failed, without the records."""
    return orjson.dumps(_metadata(failed))


def metadata_with_payload(failed: FailedBatch) -> bytes:
    """The S3 object: the same with the whole event as escaped JSON text."""
    return orjson.dumps({**_metadata(failed), "payload": failed.payload.decode()})


def s3_key(failed: FailedBatch, object_id: str) -> str:
    """The S3 object's key. AWS documents none for Kafka: this is that of its other streams, with the first
    topic-partition in place of the shard (spec 4.6).

    Args:
        failed: the batch.
        object_id: a random UUID.
    """
    partition = next(iter(failed.event["records"]))
    day, _, time = _timestamp(failed.time_ms).partition("T")
    time = time.partition(".")[0].replace(":", ".")
    return f"aws/lambda/{failed.mapping_uuid}/{partition}/{day.replace('-', '/')}/{day}T{time}-{object_id}"


def kafka_messages(failed: FailedBatch) -> Iterator[tuple[Record, bytes]]:
    """One message for each record: the record, whose key it has, and the value (spec 4.7)."""
    context = _context(failed)
    context["functionArn"] = _qualified(failed.function_arn)
    if failed.condition == "RetryAttemptsExhausted":
        context["condition"] = "RetriesExhausted"
    events = (item for group in failed.event["records"].values() for item in group)
    for record, event in zip(failed.records, events, strict=True):
        alone = failed.envelope.payload({partition_key(record.topic, record.partition): [orjson.dumps(event)]})
        info: dict[str, object] = {
            **_batch_info(failed, 1, len(alone)),
            "recordInfo": {"offset": str(record.offset), "timestamp": _timestamp(record.timestamp)},
        }
        message = {
            **_answer(failed, context),
            "KafkaBatchInfo": info,
            # The members of the one-record event stand in alphabetical order, as in AWS's sample.
            "payload": orjson.Fragment(orjson.dumps(orjson.loads(alone), option=orjson.OPT_SORT_KEYS)),
        }
        yield record, orjson.dumps(message)


def _metadata(failed: FailedBatch) -> dict[str, object]:
    partitions: dict[str, list[Record]] = {}
    for record in failed.records:
        partitions.setdefault(partition_key(record.topic, record.partition), []).append(record)
    info: dict[str, object] = {
        **_batch_info(failed, len(failed.records), len(failed.payload)),
        "recordsInfo": {
            key: {
                "firstRecordOffset": str(records[0].offset),
                "lastRecordOffset": str(records[-1].offset),
                "firstRecordTimestamp": _timestamp(records[0].timestamp),
                "lastRecordTimestamp": _timestamp(records[-1].timestamp),
            }
            for key, records in partitions.items()
        },
    }
    return {**_answer(failed, _context(failed)), "KafkaBatchInfo": info}


def _context(failed: FailedBatch) -> dict[str, object]:
    return {
        "requestId": failed.request_id,
        "functionArn": failed.function_arn,
        "condition": failed.condition,
        "approximateInvokeCount": failed.invoke_count,
    }


def _answer(failed: FailedBatch, context: dict[str, object]) -> dict[str, object]:
    """The members that say what the function did."""
    response = failed.response
    return {
        "requestContext": context,
        "responseContext": None
        if response is None
        else {
            "statusCode": response.status_code,
            "executedVersion": response.executed_version,
            "functionError": response.function_error,
        },
        "version": "1.0",
        "timestamp": _timestamp(failed.time_ms),
    }


def _batch_info(failed: FailedBatch, batch_size: int, payload_size: int) -> dict[str, object]:
    info: dict[str, object] = {"batchSize": batch_size}
    if failed.envelope.event_source_arn is not None:  # what AWS says of self-managed Kafka is not known (spec 4.6)
        info["eventSourceArn"] = failed.envelope.event_source_arn
    return {**info, "bootstrapServers": failed.envelope.bootstrap_servers, "payloadSize": payload_size}


def _qualified(arn: str) -> str:
    """A function's ARN with its qualifier, `$LATEST` if it has none."""
    return arn if len(arn.split(":")) > 7 else f"{arn}:$LATEST"


def _timestamp(time_ms: int) -> str:
    """ISO 8601 with milliseconds and `Z`, for any time that a record can have: the calendar repeats."""
    cycles, seconds = divmod(time_ms // 1000, _CALENDAR_SECONDS)
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    year = moment.year + cycles * _CALENDAR_YEARS
    return f"{'+' if year > 9999 else ''}{year:04d}-{moment:%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"
