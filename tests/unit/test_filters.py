"""Filters: exact values of event patterns, and the rules for a Kafka record's value (spec 6)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import EventPattern, InvalidEventPattern, NotSupported
from pytest_msk.filters import MAX_FILTERS, FilterCriteria
from pytest_msk.filters.criteria import InvalidFilter

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "event_pattern_vectors.json").read_text(encoding="utf-8"))
leaves = (
    st.none()
    | st.booleans()
    | st.sampled_from(["", "a", "A", "1", "true", "null"])
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 0.5, 1.0, -0.0, 300.0])
)
names = st.sampled_from(["a", "b", "c"])
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
).map(lambda value: {"value": value})
patterns = st.recursive(
    st.lists(leaves, min_size=1, max_size=3),
    lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3),
    max_leaves=5,
).map(lambda value: {"value": value})


def uses_exact_values_only(node: object) -> bool:
    if isinstance(node, dict):
        return "$or" not in node and all(map(uses_exact_values_only, node.values()))
    return not isinstance(node, list) or not any(isinstance(item, dict) for item in node)


def verdict(pattern: object, event: object) -> str:
    try:
        return "match" if EventPattern(pattern).matches(event) else "no-match"
    except InvalidEventPattern:
        return "invalid"


# --- patterns


def test_exact_values_match_as_in_the_reference_engine():
    cases = [case for case in VECTORS if isinstance(case["pattern"], dict) and uses_exact_values_only(case["pattern"])]
    assert len(cases) >= 80
    wrong = [case for case in cases if verdict(case["pattern"], case["event"]) != case["verdict"]]
    assert wrong == []


def equal(one: object, other: object) -> bool:
    """Exact equality, by kind: null, booleans, numbers, text."""
    kinds = [
        next(n for n, kind in enumerate((type(None), bool, (int, float), str)) if isinstance(v, kind))
        for v in (one, other)
    ]
    return kinds[0] == kinds[1] and one == other


def holds(pattern: object, value: object) -> bool:
    """The rules of exact patterns, written a second time: any element of an array will do, all fields must match."""
    if isinstance(value, list):
        return any(holds(pattern, item) for item in value)
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(n in value and holds(p, value[n]) for n, p in pattern.items())
    return not isinstance(value, dict) and any(equal(alternative, value) for alternative in pattern)


@given(patterns, documents)
def test_a_pattern_holds_by_its_rules(pattern, document):
    expected = holds(pattern, document)
    assert EventPattern(pattern).matches(document) is expected
    assert EventPattern(json.dumps(pattern)).matches(json.dumps(document)) is expected


@pytest.mark.parametrize(
    ("alternative", "value", "matches"),
    [
        ("a", "a", True),
        ("a", "A", False),
        ("a", "ab", False),
        ("é", "e\u0301", False),
        (300, 300.0, True),
        (3e2, 300, True),
        (0, -0.0, True),
        (1, "1", False),
        ("1", 1, False),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (True, "true", False),
        (False, None, False),
        (None, None, True),
        (None, "null", False),
        (None, 0, False),
        ("", "", True),
        ("", None, False),
    ],
)
def test_equality_is_by_kind_and_value(alternative, value, matches):
    assert EventPattern({"f": [alternative]}).matches({"f": value}) is matches


@pytest.mark.parametrize(
    ("pattern", "event", "matches"),
    [
        ({"a": {"b": [1]}, "c": [2]}, {"a": {"b": 1}, "c": 2}, True),
        ({"a": {"b": [1]}, "c": [2]}, {"a": {"b": 1}}, False),
        ({"a": [1, 2]}, {"a": 2}, True),
        ({"a": [None]}, {}, False),
        ({"a": [1]}, {"a": [3, [1]]}, True),
        ({"a": [1]}, {"a": []}, False),
        ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1}, {"c": 2}]}, False),
        ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1, "c": 3}, {"b": 1, "c": 2}]}, True),
        ({"a.b": [1]}, {"a": {"b": 1}}, True),
        ({"a": {"b": [1]}}, {"a.b": 1}, True),
        ({"a": {"b": [1]}, "a.c": [2]}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": {"b": [1]}, "a.c": [2]}, {"a": {"b": 3, "c": 2}}, False),
        ({"a": [1]}, {"a": {"b": 1}}, False),
        ({"a": {"b": [1]}}, {"a": 1}, False),
    ],
)
def test_structure(pattern, event, matches):
    assert EventPattern(pattern).matches(event) is matches
    assert EventPattern(json.dumps(pattern)).matches(json.dumps(event).encode()) is matches


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ({}, "Empty objects are not allowed"),
        ({"a": {}}, "Empty objects are not allowed at a"),
        ({"a": []}, "Empty arrays are not allowed at a"),
        ({"a": {"b": []}}, "Empty arrays are not allowed at a.b"),
        ({"a": "x"}, '"a" must be an object or an array'),
        ({"a": {"b": 1}}, '"b" must be an object or an array at a'),
        ({"a": [[1]]}, "Match value must be String, number, true, false, or null at a"),
        ("[1]", "Filter is not an object"),
        ('"a"', "Filter is not an object"),
    ],
)
def test_what_is_no_pattern_is_refused_in_the_engines_words(pattern, text):
    with pytest.raises(InvalidEventPattern) as raised:
        EventPattern(pattern)
    assert str(raised.value).startswith(text)


def test_a_pattern_that_is_no_json_is_refused():
    with pytest.raises(InvalidEventPattern, match=r"^A pattern is a JSON object, but its text is not JSON: "):
        EventPattern('[{"eventName": ["INSERT"=123}]')


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ({"a": [{"prefix": "x"}]}, "'prefix' at a"),
        ({"a": {"b": ["x", {"anything-but": ["y"]}]}}, "'anything-but' at a.b"),
        ({"$or": [{"a": [1]}, {"b": [2]}]}, "'$or'"),
    ],
)
def test_an_operator_is_refused_by_name_and_never_read_as_something_else(pattern, name):
    with pytest.raises(NotSupported, match="not supported yet") as raised:
        EventPattern(pattern)
    assert name in str(raised.value)


def test_a_patterns_repr_is_the_pattern():
    assert repr(EventPattern({"a": [None]})) == """EventPattern({"a": [null]})"""


# --- the rules for a record's value


def criteria(*found: object) -> FilterCriteria:
    return FilterCriteria({"Filters": [{"Pattern": json.dumps(pattern)} for pattern in found]})


PLAIN, STRUCTURED = {"value": ["error", "42", '["a"]']}, {"value": {"status": ["ACTIVE"]}}
TABLE = [
    ("plain string, plain pattern: by criteria", PLAIN, b"error", True),
    ("plain string, plain pattern: by criteria", PLAIN, b"errors", False),
    ("plain string, JSON pattern: passes", STRUCTURED, b"error", True),
    ("broken JSON is a plain string", STRUCTURED, b'{"status":', True),
    ("JSON, plain pattern: passes", PLAIN, b'{"status":"ACTIVE"}', True),
    ("JSON, JSON pattern: by criteria", STRUCTURED, b'{"status":"ACTIVE"}', True),
    ("JSON, JSON pattern: by criteria", STRUCTURED, b'{"status":"GONE"}', False),
    ("JSON, JSON pattern: by criteria", STRUCTURED, b"{}", False),
    ("not UTF-8: passes", PLAIN, b"\xff", True),
    ("not UTF-8: passes", STRUCTURED, b"\xff", True),
    ("a JSON scalar is a plain string", PLAIN, b"42", True),
    ("a JSON scalar is a plain string", PLAIN, b"43", False),
    ("a JSON scalar is a plain string", STRUCTURED, b"42", True),
    ("a JSON array is a plain string", PLAIN, b'["a"]', True),
    ("a JSON array is a plain string", STRUCTURED, b'[{"status":"GONE"}]', True),
    ("an empty value is a plain string", PLAIN, b"", False),
    ("an empty value is a plain string", STRUCTURED, b"", True),
    ("a tombstone has no value to match", PLAIN, None, False),
    ("a tombstone has no value to match", STRUCTURED, None, False),
    ("a dotted path is a JSON pattern", {"value.status": ["ACTIVE"]}, b'{"status":"GONE"}', False),
    ("a dotted path is a JSON pattern", {"value.status": ["ACTIVE"]}, b"GONE", True),
]


@pytest.mark.parametrize(("rule", "pattern", "value", "passes"), TABLE)
def test_the_format_table(rule, pattern, value, passes):
    assert criteria(pattern).passes(value) is passes, rule


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_a_value_that_is_nested_too_deeply_is_a_plain_string(depth):
    value = b'{"a":' * depth + b"1" + b"}" * depth
    assert criteria(STRUCTURED).passes(value)


@given(patterns, st.dictionaries(names, leaves, max_size=3))
def test_a_json_value_is_matched_as_the_event_s_value(pattern, content):
    passes = criteria(pattern).passes(json.dumps(content).encode())
    if isinstance(pattern["value"], list):
        assert passes
    else:
        assert passes is EventPattern(pattern).matches({"value": content})


@given(st.lists(patterns, max_size=MAX_FILTERS), st.sampled_from([None, b"a", b"\xff", b'{"a":1}', b'{"b":null}']))
def test_a_record_passes_if_any_filter_lets_it(found, value):
    assert criteria(*found).passes(value) is (not found or any(criteria(p).passes(value) for p in found))
    assert bool(criteria(*found)) is bool(found)


@pytest.mark.parametrize("block", [None, {}, {"Filters": []}])
def test_without_filters_everything_passes(block):
    found = FilterCriteria(block)
    assert not found
    assert [found.passes(value) for value in (None, b"", b"\xff", b"{}")] == [True] * 4


@pytest.mark.parametrize("text", ["single-string", '[{"eventName": ["INSERT"=123}]', "{}", '{"value":1}', ""])
def test_a_bad_pattern_is_refused_with_awss_text_and_the_engines_reason(text):
    with pytest.raises(InvalidFilter) as raised:
        FilterCriteria({"Filters": [{"Pattern": text}]})
    assert str(raised.value) == "Invalid filter pattern definition."
    assert isinstance(raised.value.__cause__, InvalidEventPattern)


def test_there_are_five_filters_at_most():
    assert criteria(*[PLAIN] * 5)
    with pytest.raises(InvalidFilter) as raised:
        criteria(*[PLAIN] * 6)
    assert str(raised.value) == "A mapping has at most 5 filters (spec 6.1); 6 were given."


@pytest.mark.parametrize("name", ["key", "topic", "headers", "valuable"])
def test_other_members_of_a_record_are_no_filters_field(name):
    with pytest.raises(NotSupported) as raised:
        criteria({**PLAIN, name: ["a"]})
    assert f"filters on {name!r}, but a Kafka mapping filters on 'value' only (spec 6.2)." in str(raised.value)
