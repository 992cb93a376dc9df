"""filters: the pattern engine against moto's matcher and against hand-written code; its time over an event's size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial

import orjson

from pytest_msk import EventPattern
from pytest_msk.filters import FilterCriteria

from .rows import Row, at_most, times_at_least, times_at_most
from .stage import Stage, take_turns

__all__ = ["rows"]

#: The pattern and the event of docs/spec/event_patterns.md, "Speed".
_PATTERN = {"value": {"status": ["ACTIVE"], "amount": [{"numeric": [">", 100]}], "name": [{"prefix": "AB"}]}}
_VALUE = {
    "id": 12345, "status": "ACTIVE", "amount": 120.5, "name": "ABcdef", "tags": ["a", "b"],
    "nested": {"x": 1, "y": "z"}, "note": "n" * 60,
}  # fmt: skip


def rows(stage: Stage) -> Iterator[Row]:
    """Rates for an event that matches and one that does not, from JSON bytes; and what a hostile pattern costs."""
    ours = EventPattern(_PATTERN).matches
    others = {"moto's matcher": (_moto(), 8.0), "orjson and a closure": (_by_hand, 0.5), "orjson alone": (_parse, None)}
    rounds, count = stage.count(21, 3), stage.count(4_000, 100)
    for kind, value in (("match", _VALUE), ("no match", {**_VALUE, "name": "zz"})):
        event = orjson.dumps({"value": value})
        for name, (other, target) in others.items():
            figures = take_turns(rounds, partial(_rate, ours, event, count), partial(_rate, other, event, count))
            yield times_at_least(f"filters: {kind}", figures[0], "k/s", name, figures[1], target)
    criteria = FilterCriteria({"Filters": [{"Pattern": json.dumps(_PATTERN)}]}).decide
    for kind, event in (
        ("by Kafka's rules", orjson.dumps(_VALUE)),
        ("escaped text", json.dumps({**_VALUE, "n": "é"}).encode()),
    ):
        figures = take_turns(rounds, partial(_rate, criteria, event, count), partial(_rate, _parse, event, count))
        yield times_at_least(f"filters: a record's value, {kind}", figures[0], "k/s", "orjson alone", figures[1], None)
    yield from _growth(stage)


def _growth(stage: Stage) -> Iterator[Row]:
    """Ten times the event is to take about ten times as long, whatever the pattern."""
    size = stage.count(2_000, 100)
    items = {"items": {"sku": ["x"], "qty": [{"numeric": [">", 5]}], "gone": [{"exists": False}]}}
    cases = {
        "an array of objects": (items, lambda n: {"items": [{"sku": "x", "qty": 1} for _ in range(n)]}),
        "a wildcard": ({"text": [{"wildcard": "*a" * 100 + "*b"}]}, lambda n: {"text": "a" * 10 * n}),
    }
    for name, (pattern, make) in cases.items():
        matches = EventPattern(pattern).matches
        small, large = (orjson.dumps(make(n)) for n in (size, 10 * size))
        figures = take_turns(5, partial(_time, matches, large), partial(_time, matches, small))
        yield times_at_most(f"filters: {name}, ten times as large", figures[0], "ms", "once", figures[1], 20)
    branches = {f"k{n}": {"$or": [{"a": [1]}, {"b": [1]}]} for n in range(10)}
    deep = EventPattern(branches).matches
    event = orjson.dumps({f"k{n}": {"a": 1} for n in range(9)})
    yield at_most("filters: 1,024 ways to choose branches, none matches", _time(deep, event), "ms", 50)


def _rate(call: Callable[[bytes], object], event: bytes, count: int) -> float:
    """Thousand events a second."""
    began = time.process_time()
    for _ in range(count):
        call(event)
    return count / (time.process_time() - began) / 1_000


def _time(call: Callable[[bytes], object], event: bytes) -> float:
    """Milliseconds."""
    began = time.process_time()
    call(event)
    return 1_000 * (time.process_time() - began)


def _parse(event: bytes) -> object:
    return orjson.loads(event)


def _by_hand(event: bytes) -> bool:
    value = orjson.loads(event)["value"]
    return value["status"] == "ACTIVE" and value["amount"] > 100 and value["name"].startswith("AB")


def _moto() -> Callable[[bytes], object]:
    from moto.events.models import EventPattern as MotoPattern

    pattern = MotoPattern.load(json.dumps(_PATTERN))
    return lambda event: pattern.matches_event(json.loads(event))
