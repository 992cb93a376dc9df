"""EventPattern: verdicts and messages of the reference engine, structure, numbers, and what must not blow up."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pytest_msk import EventPattern, InvalidEvent, InvalidEventPattern
from pytest_msk.filters.syntax import MAX_RULES

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "event_pattern_vectors.json").read_text(encoding="utf-8"))


def verdict(pattern: object, event: object) -> tuple[str, str | None]:
    try:
        return ("match" if EventPattern(pattern).matches(event) else "no-match"), None
    except InvalidEventPattern as error:
        return "invalid", error.message


def engines_message(case: dict[str, object]) -> str | None:
    error = case.get("error")
    return None if error is None else str(error).partition(": ")[2]


def test_the_vectors_are_there():
    assert len(VECTORS) == 674
    assert {case["verdict"] for case in VECTORS} == {"match", "no-match", "invalid"}


@pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
def test_the_verdict_is_the_reference_engines(case):
    expected = (case["verdict"], engines_message(case))
    assert verdict(case["pattern"], case["event"]) == expected
    if not isinstance(case["pattern"], str) and not isinstance(case["event"], str):
        texts = [json.dumps(case[name], ensure_ascii=False) for name in ("pattern", "event")]
        assert verdict(texts[0], texts[1]) == expected
        assert verdict(texts[0], texts[1].encode()) == expected
        assert verdict(texts[0], json.dumps(case["event"], indent=1)) == expected  # white space, escaped characters


def matches(pattern: object, event: object) -> bool:
    return EventPattern(pattern).matches(event)


# --- structure (facts 1 to 8)


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": {"b": {"c": [1]}}}, {"a.b": {"c": 1}}, True),
        ({"a": {"b": {"c": [1]}}}, {"a": {"b.c": 1}}, True),
        ({"a": {"b": {"c": [1]}}}, {"a.b.c": 1, "a": {}}, True),
        ({"a.b": [1]}, {"a": [{"b": 2}], "a.b": 1}, True),
        ({"a": {"b": [1]}, "a.c": [2]}, {"a": [{"b": 1}], "a.c": 2}, True),
        ({"a": {"b": [1]}, "a.c": [2]}, {"a": [{"b": 1}, {"c": 2}], "a.c": 2}, True),
        ({"a": {"b": [1]}, "a.c": [2]}, {"a": [{"b": 1}, {"c": 2}], "a.c": 3}, False),
        ({"a": {"b": [1]}, "a.c": [2]}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": {"": [1]}}, {"a": {"": 1}}, False),
        ({"a": {"": [1]}}, {"a.": 1}, True),
        ({"": {"a": [1]}}, {"a": 1}, True),
        ({"": {"a": [1]}}, {"": {"a": 1}}, False),
        ({".a": [1]}, {"": {"a": 1}}, True),
        ({"a..b": [1]}, {"a": {"": {"b": 1}}}, True),
        ({".": [1]}, {"": {"": 1}}, False),
        ({".": [1]}, {".": 1}, True),
        ({"a": [1]}, '{"a":2,"a":1}', True),
        ({"a": {"b": [1], "c": [2]}}, '{"a":[{"b":1}],"a":[{"c":2}]}', True),
        ({"a": {"b": [1], "c": [2]}}, '{"a":[{"b":1},{"c":2}]}', False),
        ({"a": {"b": [1], "c": [2]}}, '{"a":{"b":1},"a":{"c":2}}', True),
        ({"a": [1]}, {"a": [[[2], [1]]]}, True),
        ({"a": {"b": [1], "c": [2]}}, {"a": [[{"b": 1}, {"c": 2}], [{"b": 1, "c": 2}]]}, True),
        ({"a": {"b": [{"exists": False}], "c": [2]}}, {"a": [{"b": 1}, {"c": 2}]}, False),
        ({"a": {"b": [1], "c": [{"exists": False}]}}, {"a": [{"b": 1}, {"c": 2}]}, True),
        ({"a": {"b": [{"exists": False}]}}, {"a": [{"c": 1}, {}]}, True),
        ({"a": {"b": [{"exists": False}]}}, {"a": [{"c": 1}, {"b": 1}]}, False),
        ({"a": [{"exists": False}, 1]}, {"a": [{}, []]}, True),
        (
            {"a": {"a": [1], "c": [{"exists": False}], "z": [1]}, "b": {"a": [1], "z": [1]}},
            {"a": [{"a": 1, "z": 1}, {"c": 1}], "b": [{"a": 1, "z": 1}]},
            True,
        ),
        (
            {"a": {"b": {"x": [1]}, "c": {"y": [1]}, "d": [{"exists": False}]}},
            {"a": [{"b": [{"x": 1}], "c": [{"y": 2}]}, {"b": [{"x": 1}], "c": [{"y": 1}]}, {"d": 1}]},
            True,
        ),
        ({"a": [1]}, '{"a":1} and more', True),
        ('{"a":[1]} and more', {"a": 1}, True),
        ('{"a":[1],"a":[2]}', {"a": 1}, False),
        ('{"a":{"b":[1]},"a":{"c":[2]}}', {"a": {"b": 1, "c": 2}}, True),
        ('{"a":{"b":[1]},"a":{"c":[2]}}', {"a": {"c": 2}}, False),
    ],
)
def test_structure(pattern, event, expected):
    assert matches(pattern, event) is expected


# --- values (facts 9 to 17)


@pytest.mark.parametrize(
    ("alternative", "value", "expected"),
    [
        ("1e400", "1e400", True),
        ("1e400", "1E400", False),
        ("300", "3e2", True),
        ("0", "-0.0", True),
        ("9007199254740993", "9007199254740993", True),
        ("9007199254740993", "9007199254740992", False),
        ("9007199254740992", "9007199254740993", False),
        ("0.1", "0.1000000000000000055511151231257827", False),
        ("5e-324", "5e-324", True),
        ("5e-324", "4.9e-324", False),
        ("1e99999999999999999999", "1e99999999999999999999", True),
        ("1e23", "100000000000000000000000", True),
        ("0", "0e2147483647", True),
        ("0", "0e2147483648", False),
        ('{"numeric":[">",1]}', "9007199254740993", False),
        ('{"numeric":[">",1]}', "9007199254740994", True),
        ('{"numeric":[">",1]}', "123456789012345680000", True),
        ('{"numeric":[">",1]}', "1.00000000000000000001", False),
        ('{"numeric":["<",1]}', "1e-400", False),
        ('{"numeric":["<=",1.5,2]}', "1", None),
        ('{"anything-but":1}', "1.0", False),
        ('{"anything-but":1}', "1.00000000000000000001", True),
        ('{"anything-but":[1,2]}', '"1"', True),
        ('{"anything-but":"x"}', "null", True),
        ('{"anything-but":{"prefix":["a","b"]}}', '"bc"', False),
        ('{"anything-but":{"wildcard":"a*c"}}', '"abc"', False),
        ('{"anything-but":{"equals-ignore-case":["AB"]}}', '"aB"', False),
        ('{"equals-ignore-case":"ß"}', '"SS"', True),
        ('{"equals-ignore-case":"ß"}', '"ss"', False),
        ('{"equals-ignore-case":"ss"}', '"ß"', False),
        ('{"equals-ignore-case":"ǅ"}', '"ǅ"', False),
        ('{"equals-ignore-case":"ǅ"}', '"ǆ"', True),
        ('{"equals-ignore-case":"𐐀"}', '"𐐨"', True),
        ('{"prefix":{"equals-ignore-case":"aß"}}', '"ASSx"', True),
        ('{"suffix":{"equals-ignore-case":"ßa"}}', '"xSSA"', True),
        ('{"suffix":{"equals-ignore-case":"ßa"}}', '"xSsA"', False),
        ('{"wildcard":"*a*a*"}', '"a"', False),
        ('{"wildcard":"ab*ba"}', '"aba"', False),
        ('{"wildcard":"a\\\\*\\\\\\\\*"}', '"a*\\\\z"', True),
        ('"10.0.0.1"', '"010.000.0.1"', True),
        ('"::ffff:a00:1"', '"10.0.0.1"', True),
        ('"10.0.0.1"', '"0a00:0001::"', False),
        ('{"exactly":"10.0.0.1"}', '"010.0.0.1"', False),
        ('{"cidr":"10.0.0.77/8"}', '"10.255.0.1"', True),
        ('{"cidr":"10.0.0.77/8"}', '"11.0.0.1"', False),
        ('{"cidr":"10.0.0.0/0"}', '"::1"', False),
        ('{"cidr":"::/0"}', '"00001::"', True),
        ('{"cidr":"::/0"}', '"12345::"', False),
        ('{"cidr":"10.0.0.0/8"}', '"10.0.0.1.example"', False),
        ('{"cidr":"10.0.0.0/+08//"}', '"10.0.0.1"', True),
        ('{"cidr":"10.0.0.0/8"}', '"010.000.000.001"', True),
        ('{"cidr":"10.0.0.0/8"}', '"0010.000.000.001"', False),
    ],
)
def test_values(alternative, value, expected):
    if expected is None:
        with pytest.raises(InvalidEventPattern):
            EventPattern(f'{{"f":[{alternative}]}}')
    else:
        assert matches(f'{{"f":[{alternative}]}}', f'{{"f":{value}}}') is expected
        assert matches(f'{{"f":[{alternative}]}}', f'{{"f":[{value}, {value}]}}') is expected


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"$or": [{"a": [1]}, {"b": [2]}], "a": [3]}, {"a": 1, "b": 2}, False),
        ({"$or": [{"a": [1]}, {"b": [2]}], "a": [3]}, {"a": 3}, True),
        ({"a": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"a": 1}, True),
        ({"a": [3], "$or": [{"a": [1]}, {"b": [2]}]}, {"a": 3, "b": 2}, True),
        ('{"$or":[{"a":[1]},{"b":[1]}],"$or":[{"c":[1]},{"d":[1]}]}', {"a": 1, "d": 1}, True),
        ('{"$or":[{"a":[1]},{"b":[1]}],"$or":[{"c":[1]},{"d":[1]}]}', {"a": 1, "b": 1}, False),
        ({"x": {"$or": [{"a": [1]}, {"b": [2]}]}}, {"x": {"b": 2}}, True),
        ({"$or": ["a"]}, {"$or": "a"}, True),
        ({"$or": {"a": [1]}}, {"$or": {"a": 1}}, True),
        ({"$or": [{"a": [1]}, {"not-x": [1]}]}, {"not-x": 1}, True),
        ({"$or": [{"a": ["p"]}, {"a": ["q", "p"]}]}, {"a": "q"}, True),  # fact 19
    ],
)
def test_or(pattern, event, expected):
    assert matches(pattern, event) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        {"$or": [{"a": [1]}]},
        {"$or": [{"a": [1]}, {}]},
        {"$or": [{"a": [1]}, 1]},
        {"$or": [{"a": [1]}, {"prefix": ["x"]}]},
        {"$or": [{"a": [1]}, {"b": {"c": {"regex": [1]}}}]},
        {"$or": [{"a": [1]}, {"b": [2]}], "c": {"$or": 5}},
    ],
)
def test_what_is_no_or_is_an_ordinary_field(pattern):
    assert verdict(pattern, {}) == ("invalid", "Unrecognized match type a")


@pytest.mark.parametrize(
    ("pattern", "message", "path"),
    [
        ({"a": {"b": ["x", {"prefix": 1}]}}, "prefix match pattern must be a string", "a.b[1]"),
        ({"a": {"b": []}}, "Empty arrays are not allowed", "a.b"),
        ({"a": {"b": {}}}, "Empty objects are not allowed", "a.b"),
        ({"a": {"b": 1}}, '"b" must be an object or an array', "a.b"),
        ({}, "Empty objects are not allowed", ""),
        ("[]", "Filter is not an object", ""),
        ({"a": [{"anything-but": {"wildcard": ["x**"]}}]}, "Unsupported anything-but pattern: wildcard", "a[0]"),
        ({"a": [{"wildcard": "é**"}]}, "Consecutive wildcard characters at pos 3", "a[0]"),
        ({"a": [{"numeric": []}]}, "Invalid member in numeric match: ]", "a[0]"),
        ({"a": [{"numeric": [">", 1, "=", 2]}]}, "Bad numeric range operator: =", "a[0]"),
        ({"a": [{"cidr": "10.0.0.256/8"}]}, "Invalid IP address: 10.0.0.256", "a[0]"),
        ({"a": [{"cidr": "10.0.0/8"}]}, "Nonstandard IP address: 10.0.0", "a[0]"),
        ({"a": [{"cidr": "10.0.0.0/-8"}]}, "Malformed CIDR, mask bits must not be negative", "a[0]"),
        ({"a": [{"cidr": "10.0.0.0/+"}]}, "Malformed CIDR, mask bits must be an integer", "a[0]"),
        ({"a": [{"cidr": f"10.0.0.0/{'1' * 5_000}"}]}, "Malformed CIDR, mask bits must be an integer", "a[0]"),
        ({"a": [{"cidr": "10.0.0.0/32"}]}, "IPv4 mask bits must be < 32", "a[0]"),
        ({"a": [{"cidr": "0010.000.000.001/8"}]}, "Invalid IP address: 0010.000.000.001", "a[0]"),
        ({"a": [{"anything-but": "x", "y": 1}]}, "Too many elements in numeric expression", "a[0]"),
    ],
)
def test_what_the_engine_refuses_is_refused_in_its_words_with_the_path(pattern, message, path):
    with pytest.raises(InvalidEventPattern) as raised:
        EventPattern(pattern)
    assert (raised.value.message, raised.value.path) == (message, path)
    assert str(raised.value) == (f"{message} (at {path})" if path else message)


def test_the_reason_of_an_error_in_a_pattern_with_or_is_kept():
    with pytest.raises(InvalidEventPattern, match="Unrecognized match type a") as raised:
        EventPattern({"$or": [{"a": [1]}, {"b": [{"prefix": 5}]}]})
    assert str(raised.value.__cause__) == "prefix match pattern must be a string (at b[0])"


def test_an_error_without_or_has_no_other_one_behind_it():
    with pytest.raises(InvalidEventPattern) as raised:
        EventPattern({"b": [{"prefix": 5}]})
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("alternative", "message"),
    [
        ('{"cidr": "x"}', "Malformed CIDR, one '/' required"),
        ('{"anything-but": 1e400}', "Cannot compare number : 1e400"),
        ('{"anything-but": [1e400]}', "Unrecognized match type a"),
        ('{"numeric": ["=", 1e400]}', "Unrecognized match type a"),
    ],
)
def test_some_faults_within_or_are_reported_at_once(alternative, message):
    assert verdict(f'{{"$or": [{{"a": [1]}}, {{"b": [{alternative}]}}]}}', {}) == ("invalid", message)


def test_a_fault_in_a_branch_comes_before_what_is_wrong_behind_it():
    assert verdict({"$or": [{"a": [{"cidr": "x"}]}]}, {}) == ("invalid", "Malformed CIDR, one '/' required")
    assert verdict({"$or": [{"a": [1]}, 1, {"b": [{"cidr": "x"}]}]}, {}) == ("invalid", "Unrecognized match type a")


def test_a_rule_has_256_fields_at_most():
    fields = {f"f{n}": [n] for n in range(256)}
    assert matches(fields, {f"f{n}": n for n in range(256)})
    assert verdict({**fields, "g": [1]}, {}) == ("invalid", "Size of rule exceeds max value of 256")


@pytest.mark.parametrize(
    "pattern", ["{", '{"a":', '{"a":[1', '{"a":[01]}', '{"a":[1,]}', {"a": [float("nan")]}, {"a": [b"x"]}]
)
def test_a_pattern_that_is_no_json_is_refused(pattern):
    with pytest.raises(InvalidEventPattern, match="JSON"):
        EventPattern(pattern)


@pytest.mark.parametrize(
    "event",
    [None, 1, bytearray(b"{}"),
     "", "[]", "1", "null", '{"a":', '{"a":01}', '{"a":NaN}', b"\xff", b'{"a":"\xff"}', {"a": float("inf")}, {"a": {1}},
     '{"a":' + "[" * 1_001 + "]" * 1_001 + "}", '{"a":' + "1" * 1_001 + "}"],
)  # fmt: skip
def test_what_is_no_event_is_refused(event):
    with pytest.raises(InvalidEvent):
        matches({"a": [1]}, event)


def test_a_pattern_shows_its_text():
    assert repr(EventPattern({"a": [None]})) == """EventPattern('{"a": [null]}')"""
    assert str(EventPattern('{"a":[null]}')) == '{"a":[null]}'


# --- what must not blow up


def seconds(pattern: EventPattern, event: bytes, runs: int = 7) -> float:
    """The thread's own time: a machine that is busy with something else does not count."""
    best = float("inf")
    for _ in range(runs):
        start = time.thread_time()
        pattern.matches(event)
        best = min(best, time.thread_time() - start)
    return best


@pytest.mark.parametrize("depth", [100, 999])
def test_a_deep_pattern_needs_no_recursion(depth):
    text = '{"a":' * depth + "{0}" + "}" * depth
    pattern = EventPattern(text.replace("{0}", "[1]"))
    assert pattern.matches(text.replace("{0}", "1"))
    assert not pattern.matches(text.replace("{0}", "2"))
    assert "no value" not in str(pattern.explain(text.replace("{0}", "2")))


def test_a_deep_event_needs_no_recursion():
    nested = '{"a":' + "[" * 998 + "1" + "]" * 998 + ',"b":[[1]]}'
    assert matches({"a": [1], "b": [1]}, nested)
    assert not matches({"a": [2]}, nested)
    assert matches({"a": [{"exists": False}, 1], "b": [{"exists": True}]}, nested)


def test_deep_or_branches_need_no_recursion():
    pattern = '{"a":[0]}'
    for number in range(1, 480):
        pattern = f'{{"$or":[{pattern},{{"a":[{number}]}}]}}'
    assert matches(pattern, {"a": 0})
    assert matches(pattern, {"a": 479})
    assert not matches(pattern, {"a": 480})


def test_or_branches_that_combine_in_too_many_ways_are_refused_at_once():
    def combined(fields: int) -> dict[str, object]:
        return {f"k{n}": {"$or": [{"a": [1]}, {"b": [1]}]} for n in range(fields)}

    event = {f"k{n}": {"b": 1} for n in range(14)}
    assert MAX_RULES == 2**14
    assert matches(combined(14), event)
    assert not matches(combined(14), {**event, "k3": {"c": 1}})
    start = time.perf_counter()
    with pytest.raises(InvalidEventPattern, match="combine in more than 16,384 ways"):
        EventPattern(combined(100))
    assert time.perf_counter() - start < 10


def test_or_branches_with_very_many_fields_are_refused_at_once():
    branches = {f"k{n}": {"$or": [{"a": [1]}, {"b": [1]}]} for n in range(14)}
    assert verdict({**{f"f{n}": [1] for n in range(4_000)}, **branches}, {}) == (
        "invalid",
        "Size of rule exceeds max value of 256",
    )
    message = "The branches of $or combine in more than 16,384 ways, or have more than 262,144 fields in all of these"
    assert verdict({**{f"f{n}": [1] for n in range(200)}, **branches}, {}) == ("invalid", message)


def test_deep_fields_in_many_branches_cost_nothing_before_they_are_asked_for():
    fields = ",".join(f'"x{n}":' + '{"a":' * 60 + "[1]" + "}" * 60 for n in range(10))
    branches = ",".join(f'"k{n}":{{"$or":[{{"a":[1]}},{{"b":[1]}}]}}' for n in range(6))
    start = time.perf_counter()
    assert not matches(f"{{{fields},{branches}}}", {})
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "alternative",
    [
        {"cidr": "::/1"},
        {"wildcard": "*".join("a" * 200) + "*b"},
        {"wildcard": "*a" * 100 + "*"},
        {"suffix": {"equals-ignore-case": "a" * 200 + "b"}},
        {"equals-ignore-case": "ß" * 200},
        {"anything-but": {"wildcard": ["*a*b*" * 1, "*".join("ab" * 50)]}},
    ],
)
def test_a_hostile_text_takes_linear_time(alternative):
    pattern = EventPattern({"f": [alternative]})
    text = ":" if "cidr" in alternative else "a"
    short, long = (json.dumps({"f": text * length + "a"}).encode() for length in (20_000, 200_000))
    assert seconds(pattern, long) < 0.5
    assert seconds(pattern, long) < 60 * max(seconds(pattern, short), 1e-5)


@pytest.mark.parametrize(
    "pattern",
    [
        {"items": {"sku": ["x"], "qty": [{"numeric": [">", 5]}], "note": ["none"]}},
        {"items": {"a": [{"exists": True}], "zz": [{"exists": False}], "note": ["none"]}},
        {"items": {"sku": ["x"]}, "others": {"sku": ["none"], "a": [{"exists": False}]}},
        {"orders": {"items": {"sku": ["x"]}, "others": {"sku": ["x"]}, "z": [{"exists": False}]}},
    ],
)
def test_time_grows_with_the_size_of_an_array(pattern):
    compiled = EventPattern(pattern)

    def event(size: int) -> bytes:
        items = [{"a": n, "sku": "x", "qty": 1, "zz": 1} for n in range(size)]
        return json.dumps(
            {"items": items, "others": items, "orders": [{"items": items, "others": items, "z": 1}]}
        ).encode()

    small, large = event(300), event(6_000)
    assert not compiled.matches(large)
    assert seconds(compiled, large) < 150 * seconds(compiled, small)
