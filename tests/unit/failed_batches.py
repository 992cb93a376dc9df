"""Batches that a mapping has given up, made by hand."""

from __future__ import annotations

from pytest_msk import Record
from pytest_msk.events import Envelope
from pytest_msk.mapping.destinations import FailedBatch, ResponseContext

UUID = "4f9c1c0e-0c1f-4f0e-9a51-3a8a0a7f3f10"
ARN = "arn:aws:kafka:us-east-1:123456789012:cluster/demo/751d2973-a626-431c-9d4e-d7975eb44dd7-2"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:charge"
#: 2019-11-14T00:38:04.835Z
START = 1_573_691_884_835


def record(partition: int, offset: int, timestamp: int = START, **others) -> Record:
    values = {"key": b"test-key", "value": b"test-value"} | others
    return Record(topic="orders", partition=partition, offset=offset, timestamp=timestamp, **values)


def failed(*records: Record, arn: str | None = ARN, null_tombstones: bool = False, **others) -> FailedBatch:
    """A batch of these records that failed at 2019-11-14T00:38:06.021Z, after eleven calls."""
    envelope = Envelope(bootstrap_servers="b-1.demo:9098,b-2.demo:9098", event_source_arn=arn)
    texts: dict[str, list[bytes]] = {}
    for each in records:
        texts.setdefault(f"{each.topic}-{each.partition}", []).append(each.to_json(null_tombstones=null_tombstones))
    values = {
        "condition": "RetryAttemptsExhausted",
        "time_ms": START + 1_186,
        "batch": 1,
        "mapping_uuid": UUID,
        "request_id": "316aa6d0-8154-4a5b-9af7-85d5f4a6bc81",
        "function_arn": FUNCTION,
        "invoke_count": 11,
        "response": ResponseContext(),
        "topic": "orders",
        "envelope": envelope,
        "payload": envelope.payload(texts),
    }
    return FailedBatch(**values | others)
