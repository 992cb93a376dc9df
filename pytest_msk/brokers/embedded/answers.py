"""Answers that say an error, for any API: made from the table of its response and the items of its request. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import ErrorCode
from .wire import Api, Field, Struct, fields_of

__all__ = ["error_answer", "merged"]

# Where the response calls the items of its request by another name.
_ITEMS: Mapping[str, tuple[str, ...]] = {
    "responses": ("topics", "topic_names", "resources"),
    "results": ("topics", "groups", "resources"),
    "coordinators": ("coordinator_keys",),
}
# The field that an item which is no struct becomes.
_NAMES = ("name", "group_id", "key", "index")
# What Kafka answers with -1 when there is an error, whatever the request had there.
_NOWHERE = frozenset(
    [
        "base_offset",
        "end_offset",
        "generation_id",
        "high_watermark",
        "last_stable_offset",
        "leader_epoch",
        "log_append_time_ms",
        "log_start_offset",
        "low_watermark",
        "member_epoch",
        "node_id",
        "num_partitions",
        "offset",
        "port",
        "producer_epoch",
        "producer_id",
        "replication_factor",
        "timestamp",
    ]
)
_EMPTY = {"string": "", "bytes": b"", "records": b"", "uuid": bytes(16), "bool": False}


def error_answer(api: Api, version: int, request: Struct, code: ErrorCode, message: str | None = None) -> Struct | None:
    """The answer in which everything that a request asked for has an error; None if it has no place for one."""
    placed: list[bool] = []
    answer = _filled(fields_of(api.response), request, version, code, message, placed)
    return answer if placed else None


def _filled(
    fields: Sequence[Field],
    source: Mapping[str, object],
    version: int,
    code: int,
    message: str | None,
    placed: list[bool],
) -> Struct:
    answer: Struct = {}
    for field in fields:
        name = field.name
        if name == "error_code":
            answer[name] = code
            if version in field.versions:
                placed.append(True)
        elif name == "error_message":
            answer[name] = message if field.nullable else message or ""
        elif name in _NOWHERE and not field.array:
            answer[name] = -1
        elif field.array:
            items = () if field.nullable else _items(name, source)
            answer[name] = (
                [_filled(field.children, _named(item, field), version, code, message, placed) for item in items]
                if field.children
                else []
            )
        elif name in source and field.type != "records" and not field.children:
            answer[name] = source[name]
        else:
            answer[name] = field.default if field.has_default else None if field.nullable else _EMPTY.get(field.type, 0)
    return answer


def _items(name: str, source: Mapping[str, object]) -> Sequence[object]:
    found: list[object] = []
    for each in _ITEMS.get(name, (name,)):
        value = source.get(each)
        if isinstance(value, list | tuple):
            found += value
    return found


def _named(item: object, field: Field) -> Mapping[str, object]:
    if isinstance(item, Mapping):
        return item
    return {next(child.name for child in field.children if child.name in _NAMES): item}


def merged(answer: Struct, more: Struct) -> Struct:
    """An answer with the items of another one in it."""
    result = dict(answer)
    for name, value in more.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            items = list(result.get(name) or ())
            for item in value:
                twin = next((at for at, each in enumerate(items) if _same(each, item)), None)
                if twin is None:
                    items.append(item)
                else:
                    items[twin] = merged(items[twin], item)
            result[name] = items
    return result


def _same(one: Struct, other: Struct) -> bool:
    """Whether both are the topic, or the group, of which each answer has a part."""
    return any(name in one and one[name] == other.get(name) for name in ("name", "group_id")) and any(
        name in one for name in ("partitions", "topics")
    )
