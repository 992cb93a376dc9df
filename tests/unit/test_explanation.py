"""Explanations: the field that is in the way, its values, and what they were held against."""

from __future__ import annotations

import pytest

from pytest_msk import EventPattern


def explain(pattern: object, event: object) -> list[str]:
    return str(EventPattern(pattern).explain(event)).splitlines()


@pytest.mark.parametrize(
    ("pattern", "event", "lines"),
    [
        ({"a": [1]}, {"a": 2}, ["a: 2, but wanted is 1"]),
        ({"a": [1, "x"]}, {}, ['a: no value, but wanted is one of 1, "x"']),
        ({"a": [1]}, {"a": {"b": 1}}, ["a: no value, but wanted is 1"]),
        ({"a": {"b": [True]}}, {"a": [{"b": None}, {"b": "é"}]}, ['a.b: null, "é", but wanted is true']),
        ({"a": [{"exists": False}]}, {"a": 0.5}, ['a: 0.5, but wanted is {"exists":false}']),
        ({"a": [{"numeric": [">", 5]}]}, '{"a":1e400}', ['a: 1e400, but wanted is {"numeric":[">",5]}']),
        ({"a": [1], "b": [2], "c": [3]}, {"a": 1}, ["b: no value, but wanted is 2", "c: no value, but wanted is 3"]),
        (
            {"a": {"b": [1], "c": [2]}},
            {"a": [{"b": 1}, {"c": 2}]},
            ["a.b and a.c: each is there as wanted, but not all in the same element of an array"],
        ),
        ({"a": [9]}, {"a": [1, 2, 3, 4, 5, 6, 6]}, ["a: 1, 2, 3, 4 and 2 more, but wanted is 9"]),
        ({"a": ["x"]}, {"a": "y" * 200}, [f'a: "{"y" * 79}..., but wanted is "x"']),
        ({"a": ["x", {"suffix": "y"}]}, {"a": ["zy", "no"]}, ['a: "zy" matches {"suffix":"y"}']),
        ({"a": [{"exists": False}], "b": [1]}, {"b": 1.0}, ["a: no value, as wanted", "b: 1 matches 1"]),
    ],
)
def test_lines(pattern, event, lines):
    assert explain(pattern, event) == lines


def test_findings_are_there_to_be_asked():
    explanation = EventPattern({"a": [1, {"prefix": "x"}], "b": [2]}).explain({"a": "y", "b": 2})
    assert not explanation.matches
    (finding,) = explanation.findings
    assert (finding.paths, finding.matches) == (("a",), False)
    assert (finding.values, finding.alternatives) == (('"y"',), ("1", '{"prefix":"x"}'))


def test_of_several_ways_the_nearest_is_told():
    pattern = {"$or": [{"a": [1], "b": [1]}, {"c": [1]}, {"a": [2], "d": [1]}]}
    explanation = EventPattern(pattern).explain({"a": 9, "c": 2})
    assert explanation.ways == 3
    assert str(explanation) == "c: 2, but wanted is 1"
