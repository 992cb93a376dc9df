"""The response of a function with ReportBatchItemFailures: which records it reports as failed (spec 4.5). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

from .._event_record import found_as, shown
from ..events import partition_key
from ..journal import Offsets, offset_runs

__all__ = ["BatchResponse", "read_response"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResponse:
    """What a response says of the records that the function was called with.

    Args:
        failed: those that are to be tried again; none of them means success.
        invalid: a sentence on what makes it invalid, so that all are tried again; `None` if nothing does.
    """

    failed: Offsets = field(default_factory=dict)
    invalid: str | None = None


class _Invalid(Exception):
    """The response is invalid; the text says why."""


def read_response(response: object, topic: str, records: Offsets) -> BatchResponse:
    """What a function's response says; anything empty is success, and what cannot be understood is a failure.

    Args:
        response: what the function returned, as its JSON reads.
        topic: the records' topic.
        records: what it was called with.
    """
    try:
        return BatchResponse(failed=_failed(response, topic, records))
    except _Invalid as found:
        return BatchResponse(invalid=str(found))


def _failed(response: object, topic: str, records: Offsets) -> Offsets:
    if response is None or response in ("", [], {}):
        return {}
    if not isinstance(response, Mapping):
        raise _Invalid(
            f"response is {shown(response)}: it is an object with 'batchItemFailures', or nothing (spec 4.5)."
        )
    items = response.get("batchItemFailures")
    if items is None:
        return {}
    path = "response['batchItemFailures']"
    if not isinstance(items, list):
        raise _Invalid(f"{path} is {shown(items)}: it is a list (spec 4.5).")
    partitions = {partition_key(topic, partition): partition for partition in records}
    sent: dict[int, set[int]] = {}
    found: dict[int, set[int]] = {}
    for number, item in enumerate(items):
        key, offset = _identifier(item, f"{path}[{number}]")
        partition = partitions.get(key)
        if partition is not None and partition not in sent:
            sent[partition] = set(chain(*records[partition]))
        if partition is None or offset not in sent[partition]:
            raise _Invalid(f"{path}[{number}] names {key!r} offset {offset}, which was not in the event (spec 4.5).")
        found.setdefault(partition, set()).add(offset)
    return {partition: offset_runs(sorted(found[partition])) for partition in records if partition in found}


def _identifier(item: object, path: str) -> tuple[str, int]:
    """The `topic-partition` and the offset that one item failure names."""
    if not isinstance(item, Mapping):
        raise _Invalid(f"{path} is {shown(item)}: it is an object with 'itemIdentifier' (spec 4.5).")
    identifier = item.get("itemIdentifier")
    if not isinstance(identifier, Mapping):
        found = found_as(item, "itemIdentifier")
        raise _Invalid(f"{path}['itemIdentifier'] {found}: it is an object with 'partition' and 'offset' (spec 4.5).")
    path = f"{path}['itemIdentifier']"
    key, offset = identifier.get("partition"), identifier.get("offset")
    if not isinstance(key, str):
        found = found_as(identifier, "partition")
        raise _Invalid(f"{path}['partition'] {found}: it is topic and partition, such as 'orders-0' (spec 4.5).")
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise _Invalid(f"{path}['offset'] {found_as(identifier, 'offset')}: it is a whole number (spec 4.5).")
    return key, offset
