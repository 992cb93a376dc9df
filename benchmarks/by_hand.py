"""What people write without the kit: a consumer, a loop, and a dict that is meant to look like Lambda's event."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

__all__ = ["deliver", "read"]

_ARN = "arn:aws:kafka:us-east-1:123456789012:cluster/by-hand/4a5f3c1e-7d0b-4b7e-9d55-2f6c8f0a1b3c-2"


def read(consumer: Consumer, count: Callable[[int], object], total: int, size: int) -> None:
    """Consume `total` records, `size` at a time, and do nothing but count them."""
    found = 0
    while found < total:
        messages = _records(consumer, size)
        found += len(messages)
        count(len(messages))


def deliver(consumer: Consumer, handler: Callable[..., object], total: int, size: int) -> None:
    """Consume `total` records, `size` at a time, call the handler with their event and commit."""
    found = 0
    while found < total:
        messages = _records(consumer, size)
        if messages:
            found += len(messages)
            handler(json.loads(json.dumps(_event(messages))), None)
            consumer.commit(asynchronous=False)


def _records(consumer: Consumer, size: int) -> list[Message]:
    messages = consumer.consume(size, 1)
    for message in messages:
        if message.error() is not None:
            raise RuntimeError(message.error())
    return messages


def _event(messages: list[Message]) -> dict[str, object]:
    records: dict[str, list[dict[str, object]]] = {}
    for message in messages:
        kind, timestamp = message.timestamp()
        record: dict[str, object] = {
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp": timestamp,
            "timestampType": "LOG_APPEND_TIME" if kind == 2 else "CREATE_TIME",
            "headers": [
                {name: [byte - 256 if byte > 127 else byte for byte in value]}
                for name, value in message.headers() or []
            ],
        }
        key, value = message.key(), message.value()
        if key is not None:
            record["key"] = b64encode(key).decode()
        if value is not None:
            record["value"] = b64encode(value).decode()
        records.setdefault(f"{message.topic()}-{message.partition()}", []).append(record)
    return {"eventSource": "aws:kafka", "eventSourceArn": _ARN, "bootstrapServers": "b-1:9092", "records": records}
