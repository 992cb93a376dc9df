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
            ["no element of an array has all that is wanted: a.b: 1, wanted is 1; a.c: 2, wanted is 2"],
        ),
        (
            {"a": {"b": [1], "c": [{"exists": False}]}},
            {"a": [{"b": 1, "c": 2}]},
            ['no element of an array has all that is wanted: a.b: 1, wanted is 1; a.c: 2, wanted is {"exists":false}'],
        ),
        (
            {"a": {"b": [1], "c": [{"exists": False}]}},
            {"a": [{"b": 1}, {"c": 2}]},
            ["a.b: 1 matches 1", "a.c: no value in the element of the array, as wanted"],
        ),
        ({"a": [9]}, {"a": [1, 2, 3, 4, 5, 6, 7, 7, 8]}, ["a: 1, 2, 3, 4, 5, 6 and 2 more, but wanted is 9"]),
        ({"a": ["x"]}, {"a": "y" * 200}, [f'a: "{"y" * 119}..., but wanted is "x"']),
        ({"a": ["x", {"suffix": "y"}]}, {"a": ["zy", "no"]}, ['a: "zy" matches {"suffix":"y"}']),
        ({"a": ["x", {"prefix": "y"}]}, {"a": ["x", "yy"]}, ['a: "x" matches "x", "yy" matches {"prefix":"y"}']),
        (
            {"a": [str(n) for n in range(9)]},
            {"a": "x"},
            ['a: "x", but wanted is one of "0", "1", "2", "3", "4", "5" and 3 more'],
        ),
        ({"a\nb\x1b": ["x"]}, {"a\nb\x1b": "\u2028\x7f"}, ['a\\nb\\u001b: "\\u2028\\u007f", but wanted is "x"']),
        ({"": [1]}, {}, ['"": no value, but wanted is 1']),
        ({"a": ["x"]}, '{"a":"\\ud800"}', ['a: "\\ud800", but wanted is "x"']),
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
