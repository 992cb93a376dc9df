"""Export: a journal as JSON lines that people and programs can read, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import cast

from .journal import EVENT_KINDS, Event, Journal, Offsets

__all__ = ["from_json_lines", "to_json_lines"]

_KINDS = {kind.__name__: kind for kind in EVENT_KINDS}


def to_json_lines(journal: Journal) -> str:
    """A journal's events as JSON, one a line."""
    return "".join(f"{json.dumps(_to_json(journal.topic, event), ensure_ascii=False)}\n" for event in journal)


def from_json_lines(text: str) -> Journal:
    """The journal that `to_json_lines` wrote.

    Raises:
        ValueError: a line is no event.
    """
    journal = Journal()
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        try:
            row = cast("dict[str, object]", json.loads(line))
            journal.topic = str(row.pop("topic"))
            journal.append(_from_json(row))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"Line {number} is no event of a journal ({error!r}): {line[:80]}") from error
    return journal


def _to_json(topic: str, event: Event) -> dict[str, object]:
    row: dict[str, object] = {"event": type(event).__name__, "topic": topic}
    for each in fields(event):
        value = getattr(event, each.name)
        write = _WRITERS.get(str(each.type).removesuffix(" | None"))
        row[each.name] = value if write is None or value is None else write(value)
    return row


def _from_json(row: dict[str, object]) -> Event:
    name = row.pop("event")
    if name not in _KINDS:
        raise ValueError(f"there is no event {name!r}")
    kind = _KINDS[str(name)]
    types = {each.name: str(each.type).removesuffix(" | None") for each in fields(kind)}
    values = {}
    for key, value in row.items():
        read = _READERS.get(types[key])
        values[key] = value if read is None or value is None else read(value)
    return cast("Callable[..., Event]", kind)(**values)


def _write_offsets(value: Offsets) -> dict[int, list[list[int]]]:
    return {partition: [[run.start, run.stop - 1] for run in runs] for partition, runs in value.items()}


def _read_offsets(value: Mapping[str, list[list[int]]]) -> Offsets:
    return {int(key): tuple(range(first, last + 1) for first, last in runs) for key, runs in value.items()}


_WRITERS: dict[str, Callable[..., object]] = {"Offsets": _write_offsets, "Positions": dict, "tuple[int, ...]": list}
_READERS: dict[str, Callable[..., object]] = {
    "Offsets": _read_offsets,
    "Positions": lambda value: {int(key): offset for key, offset in value.items()},
    "tuple[int, ...]": tuple,
}
