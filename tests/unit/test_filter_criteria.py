"""FilterCriteria: Kafka's rules for formats, tombstones and a record's other properties (spec 6.1 to 6.3)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk import EventPattern, InvalidEventPattern, InvalidFilter, NotSupported
from pytest_msk.filters import MAX_FILTERS, FilterCriteria
from pytest_msk.filters.criteria import record_metadata


def criteria(*patterns: object, **options: object) -> FilterCriteria:
    texts = [pattern if isinstance(pattern, str) else json.dumps(pattern) for pattern in patterns]
    return FilterCriteria({"Filters": [{"Pattern": text} for text in texts]}, **options)


PLAIN, STRUCTURED = {"value": ["error", "42", '["a"]']}, {"value": {"status": ["ACTIVE"]}}
TABLE = [
    ("plain string, plain pattern: by criteria", PLAIN, b"error", "matched"),
    ("plain string, plain pattern: by criteria", PLAIN, b"errors", "filtered"),
    ("plain string, JSON pattern: passes", STRUCTURED, b"error", "unfiltered"),
    ("JSON, plain pattern: passes", PLAIN, b'{"status":"ACTIVE"}', "unfiltered"),
    ("JSON, JSON pattern: by criteria", STRUCTURED, b'{"status":"ACTIVE"}', "matched"),
    ("JSON, JSON pattern: by criteria", STRUCTURED, b'{"status":"GONE"}', "filtered"),
    ("JSON, JSON pattern: by criteria", STRUCTURED, b"{}", "filtered"),
    ("JSON, JSON pattern: by criteria", STRUCTURED, b' { "status" : "ACTIVE" }\n', "matched"),
    ("JSON, JSON pattern: by criteria", STRUCTURED, b'{"status":1,"status":"ACTIVE"}', "matched"),
    ("not UTF-8: passes", PLAIN, b"\xff", "unfiltered"),
    ("not UTF-8: passes", STRUCTURED, b"\xff", "unfiltered"),
    ("not UTF-8: passes", STRUCTURED, b'{"status":"\xff"}', "unfiltered"),
    ("broken JSON is a plain string", STRUCTURED, b'{"status":', "unfiltered"),
    ("broken JSON is a plain string", STRUCTURED, b'{"status":"ACTIVE"} and more', "unfiltered"),
    ("broken JSON is a plain string", {"value": ["{x"]}, b"{x", "matched"),
    ("a JSON scalar is a plain string", PLAIN, b"42", "matched"),
    ("a JSON scalar is a plain string", PLAIN, b"43", "filtered"),
    ("a JSON scalar is a plain string", {"value": [42]}, b"42", "filtered"),
    ("a JSON scalar is a plain string", STRUCTURED, b"42", "unfiltered"),
    ("a JSON array is a plain string", PLAIN, b'["a"]', "matched"),
    ("a JSON array is a plain string", STRUCTURED, b'[{"status":"GONE"}]', "unfiltered"),
    ("an empty value is a plain string", PLAIN, b"", "filtered"),
    ("an empty value is a plain string", {"value": [""]}, b"", "matched"),
    ("an empty value is a plain string", STRUCTURED, b"", "unfiltered"),
    ("a tombstone has no value", PLAIN, None, "filtered"),
    ("a tombstone has no value", STRUCTURED, None, "filtered"),
    ("a tombstone has no value", {"value": [{"exists": False}]}, None, "matched"),
    ("a tombstone has no value", {"value": {"status": [{"exists": False}]}}, None, "matched"),
    ("a tombstone has no value", {"value": [{"anything-but": "x"}]}, None, "filtered"),
    ("a dotted path is a JSON pattern", {"value.status": ["ACTIVE"]}, b'{"status":"GONE"}', "filtered"),
    ("a dotted path is a JSON pattern", {"value.status": ["ACTIVE"]}, b"GONE", "unfiltered"),
    ("each branch of $or is for its format", {"$or": [PLAIN, STRUCTURED]}, b"error", "matched"),
    ("each branch of $or is for its format", {"$or": [PLAIN, STRUCTURED]}, b'{"status":"ACTIVE"}', "matched"),
]


@pytest.mark.parametrize(("rule", "pattern", "value", "decision"), TABLE)
def test_the_format_table(rule, pattern, value, decision):
    assert criteria(pattern).decide(value) == decision, rule


@pytest.mark.parametrize(("rule", "pattern", "value", "decision"), TABLE)
def test_strictly_a_value_of_another_format_is_filtered(rule, pattern, value, decision):
    expected = "filtered" if decision == "unfiltered" else decision
    assert criteria(pattern, strict=True).decide(value) == expected, rule


@pytest.mark.parametrize("depth", [998, 2_000, 200_000])
def test_a_value_that_is_nested_too_deeply_is_a_plain_string(depth):
    value = b'{"a":' * depth + b"1" + b"}" * depth
    assert criteria(STRUCTURED).decide(value) == ("filtered" if depth < 1_000 else "unfiltered")


names = st.sampled_from(["a", "b"])
contents = st.dictionaries(names, st.sampled_from([None, 1, "x", ["x", 2], {"a": 1}]), max_size=2)
patterns = st.dictionaries(names, st.lists(st.sampled_from([1, "x", {"exists": False}]), min_size=1), min_size=1)


@given(patterns, contents, st.booleans())
def test_a_json_value_is_matched_as_the_value_of_the_event(pattern, content, strict):
    expected = "matched" if EventPattern({"value": pattern}).matches({"value": content}) else "filtered"
    value = json.dumps(content).encode()
    assert criteria({"value": pattern}, strict=strict).decide(value) == expected


ORDER = ["filtered", "unfiltered", "matched"]


@given(
    st.lists(patterns.map(lambda p: {"value": p}) | st.just(PLAIN), min_size=1, max_size=MAX_FILTERS),
    st.sampled_from([None, b"a", b"error", b"\xff", b'{"a":1}', b'{"b":null}']),
)
def test_the_best_decision_of_any_filter_counts(found, value):
    expected = max((criteria(pattern).decide(value) for pattern in found), key=ORDER.index)
    assert criteria(*found).decide(value) == expected


@pytest.mark.parametrize("block", [None, {}, {"Filters": []}])
def test_without_filters_everything_passes(block):
    found = FilterCriteria(block)
    assert not found
    assert [found.decide(value) for value in (None, b"", b"\xff", b"{}")] == ["matched"] * 4


@pytest.mark.parametrize("text", ["single-string", '[{"eventName": ["INSERT"=123}]', "{}", '{"value":1}', ""])
def test_a_bad_pattern_is_refused_with_awss_text_and_the_engines_reason(text):
    with pytest.raises(InvalidFilter) as raised:
        criteria(text)
    assert raised.value.message == "Invalid filter pattern definition."
    assert isinstance(raised.value.__cause__, InvalidEventPattern)
    assert str(raised.value) == f"Invalid filter pattern definition. {raised.value.__cause__}: {text}"


def test_there_are_five_filters_at_most_or_the_quota():
    assert criteria(*[PLAIN] * 5)
    with pytest.raises(InvalidFilter) as raised:
        criteria(*[PLAIN] * 6)
    assert str(raised.value) == (
        "A mapping has at most 5 filters (spec 6.1), 6 were given; filter_quota=10 is for accounts with a raised quota."
    )
    assert criteria(*[PLAIN] * 10, quota=10)
    with pytest.raises(InvalidFilter) as raised:
        criteria(*[PLAIN] * 11, quota=10)
    assert str(raised.value) == "A mapping has at most 10 filters (spec 6.1), 11 were given."


# --- other properties of a record


@pytest.mark.parametrize("name", ["status", "data.status", "valuable"])
def test_a_member_of_the_value_is_asked_for_within_it(name):
    for options in ({}, {"metadata": True}):
        with pytest.raises(NotSupported) as raised:
            criteria({name: ["a"], "amount": [1]}, **options)
        text = str(raised.value)
        assert f"filters on 'amount', {name!r}, but a Kafka mapping filters on 'value' (spec 6.2)." in text
        assert text.endswith('A member of the value is {"value": {"amount": [...]}}.')


@pytest.mark.parametrize("name", ["key", "topic", "headers"])
def test_other_properties_are_no_filters_field(name):
    for pattern in ({**PLAIN, name: ["a"]}, {"$or": [PLAIN, {name: ["a"]}]}):
        with pytest.raises(NotSupported) as raised:
            criteria(pattern)
        text = str(raised.value)
        assert f"filters on {name!r}, but a Kafka mapping filters on 'value' only (spec 6.2)." in text
        assert text.endswith("set filter_metadata=True.")


METADATA = record_metadata(
    "orders", 3, 17, 1_700_000_000_000, "CREATE_TIME", b"k1", b"", [("kind", b"new"), ("raw", b"\xff"), ("none", None)]
)


@pytest.mark.parametrize(
    ("pattern", "value", "decision"),
    [
        ({"topic": ["orders"], "partition": [3]}, b"any", "matched"),
        ({"topic": ["orders"], "partition": [4]}, b"any", "filtered"),
        ({"offset": [{"numeric": [">=", 17]}], "timestampType": ["CREATE_TIME"]}, None, "matched"),
        ({"key": [{"prefix": "k"}]}, b"\xff", "matched"),
        ({"headers": {"kind": ["new"]}}, b"", "matched"),
        ({"headers": {"raw": [{"exists": True}]}}, b"", "filtered"),
        ({"headers": {"none": [{"exists": False}]}}, b"", "matched"),
        ({"topic": ["orders"], **STRUCTURED}, b'{"status":"ACTIVE"}', "matched"),
        ({"topic": ["orders"], **STRUCTURED}, b'{"status":"GONE"}', "filtered"),
        ({"topic": ["orders"], **STRUCTURED}, b"text", "unfiltered"),
        ({"topic": ["others"], **STRUCTURED}, b"text", "filtered"),
        ({"topic": ["orders"], **PLAIN}, b'{"status":1.50,"status":2}', "unfiltered"),
        ({"topic": ["orders"], **STRUCTURED}, b'{"status":"ACTIVE","x":1.50}', "matched"),
    ],
)
def test_with_metadata_a_pattern_asks_for_them_too_and_a_mismatch_leaves_them_alone(pattern, value, decision):
    assert criteria(pattern, metadata=True).decide(value, METADATA) == decision


def test_a_key_that_is_no_text_has_no_value():
    for key in (None, b"\xff"):
        metadata = record_metadata("orders", 0, 0, 0, "CREATE_TIME", key, b"", None)
        assert criteria({"key": [{"exists": False}]}, metadata=True).decide(b"", metadata) == "matched"


# --- explanations


def test_an_explanation_has_a_line_for_each_filter_and_finding():
    found = criteria(STRUCTURED, PLAIN, {"value": {"status": ["GONE"]}})
    assert found.explain(b'{"status":"GONE"}').splitlines() == [
        'filter 1, {"value": {"status": ["ACTIVE"]}}, does not match:',
        '  value.status: "GONE", but wanted is "ACTIVE"',
        'filter 2, {"value": ["error", "42", "[\\"a\\"]"]}, lets the record pass, because it is for values of another '
        "format than this one, a JSON object",
        'filter 3, {"value": {"status": ["GONE"]}}, matches:',
        '  value.status: "GONE" matches "GONE"',
    ]


def test_an_explanation_says_what_is_for_another_format_and_what_of_the_rest_is_in_the_way():
    both = criteria({"$or": [{"value": ["x"]}, {"value": {"a": [1]}}]})
    heading, line = both.explain(b'{"a":2}').splitlines()
    assert heading.endswith(
        ", does not match, and lets the record pass, because in part it is for values of another format than this one, "
        "a JSON object:"
    )
    assert line == "  value.a: 2, but wanted is 1"
    on_topic = criteria({"topic": ["orders"], **STRUCTURED}, metadata=True)
    heading, line = on_topic.explain(b"text", {"topic": "others"}).splitlines()
    assert "does not match, because it is for values of another format" in heading
    assert line == '  topic: "others", but wanted is "orders"'
    strict = criteria(STRUCTURED, strict=True).explain(b"\xff")
    assert strict.endswith("does not match, because it is for values of another format than this one, not UTF-8")


def test_a_pattern_has_4096_characters_at_most():
    assert criteria({"value": ["x" * 4_081]})
    with pytest.raises(InvalidFilter, match=r"at most 4,096 characters \(spec 6\.1\), this one has 4,097\."):
        criteria({"value": ["x" * 4_082]})


def test_an_explanation_of_an_or_is_that_of_the_nearest_way():
    pattern = {"value": {"$or": [{"a": [1], "b": [1]}, {"a": [2], "c": [{"exists": False}]}]}}
    assert criteria(pattern).explain(b'{"a":1,"c":1}').splitlines()[1:] == [
        "  nearest of 2 ways:",
        "  value.b: no value, but wanted is 1",
    ]
