"""Property tests of event patterns: the engine against a slow interpreter, and against itself."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pattern_interpreter import paths, verdict
from pattern_strategies import SCALARS, alternatives, make_event, patterns, randoms, spoil

from pytest_msk import EventPattern, InvalidEvent, InvalidEventPattern
from pytest_msk.errors import MskError
from pytest_msk.filters.json_reader import InvalidJson, read_json

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "event_pattern_vectors.json").read_text(encoding="utf-8"))
OPERATORS = [
    "exists", "anything-but", "numeric", "prefix", "suffix", "equals-ignore-case", "wildcard", "cidr", "exactly",
]  # fmt: skip
EVENTS = 10  # for one pattern: they cost less than the pattern


def engines_verdicts(pattern: object, events: list[object]) -> list[str]:
    try:
        compiled = EventPattern(pattern)
    except InvalidEventPattern:
        return ["invalid"] * len(events)

    def one(event: object) -> str:
        try:
            return "match" if compiled.matches(event) else "no-match"
        except InvalidEvent:
            return "no event"

    return list(map(one, events))


def interpreters_verdict(pattern: str, event: str) -> str:
    try:
        is_event = isinstance(read_json(event)[0], tuple)
    except InvalidJson:
        is_event = False
    found = verdict(pattern, event)
    return found if is_event or found == "invalid" else "no event"


def disagreements(pattern: str, events: list[str]) -> list[tuple[str, str, str]]:
    """The events, shortest first, on which they disagree, with the engine's verdict and the interpreter's."""
    interpreters = [interpreters_verdict(pattern, event) for event in events]
    found = zip(events, engines_verdicts(pattern, events), interpreters, strict=True)
    return sorted((each for each in found if each[1] != each[2]), key=lambda each: len(each[0]))


# --- the interpreter


def test_the_interpreter_gives_the_reference_engines_verdicts():
    def text(value: object) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    wrong = [case["name"] for case in VECTORS if verdict(text(case["pattern"]), text(case["event"])) != case["verdict"]]
    assert wrong == []


def test_generated_cases_are_of_every_kind():
    seen: Counter[str] = Counter()

    @settings(max_examples=300, database=None)
    @given(patterns(), randoms)
    def collect(pattern: str, random: Random) -> None:
        for found in {verdict(pattern, make_event(pattern, random)) for _ in range(EVENTS)}:
            seen.update([found, *(f"{found} {name}" for name in (*OPERATORS, "$or") if f'"{name}"' in pattern)])

    collect()
    assert min(seen["match"], seen["no-match"], seen["invalid"]) >= 10, seen
    assert all(seen[f"match {name}"] or seen[f"no-match {name}"] for name in (*OPERATORS, "$or")), seen


@settings(max_examples=6 * settings.default.max_examples)
@given(patterns(), randoms)
def test_the_engine_agrees_with_the_interpreter(pattern, random):
    assert disagreements(pattern, [make_event(pattern, random) for _ in range(EVENTS)]) == []


@settings(max_examples=2 * settings.default.max_examples)
@given(alternatives)
def test_they_agree_on_every_kind_of_value(alternatives):
    assert disagreements(f'{{"a":{alternatives}}}', [f'{{"a":{value}}}' for value in sorted({*SCALARS})]) == []


# --- whatever the text

spoilt = st.builds(lambda text, random: spoil(spoil(text, random), random), patterns(), randoms)
any_text = st.one_of(st.text(), spoilt)
any_bytes = st.one_of(
    st.binary(),
    st.builds(lambda text, code: text.encode(code, "surrogatepass"), any_text, st.sampled_from(["utf-8", "utf-16"])),
    st.builds(lambda text, odd: text.encode(errors="replace").replace(b"a", odd, 1), any_text, st.binary()),
)


def test_what_is_refused_is_a_value_error_of_ours():
    assert all(
        issubclass(error, MskError) and issubclass(error, ValueError) for error in (InvalidEventPattern, InvalidEvent)
    )


@given(any_text)
@example('{"a":[{"cidr":"10.0.0.0/' + "1" * 5_000 + '"}]}')  # more digits than Python reads
@example('{"a":[{"numeric":["=",1e' + "9" * 900 + "]}]}")
@example('{"a":[0e' + "9" * 900 + "]}")
def test_any_text_is_a_pattern_or_refused(text):
    with suppress(InvalidEventPattern):
        EventPattern(text).matches("{}")


@given(any_text | any_bytes)
@example('{"a":-1e' + "9" * 900 + "}")
@example('{"a":"' + "1" * 5_000 + '.0.0.1"}')
def test_any_text_or_bytes_are_an_event_or_refused(event):
    pattern = EventPattern('{"a":[{"numeric":[">",1]},{"exists":false},"10.0.0.1"],"$or":[{"b":["x"]},{"a.b":[1]}]}')
    with suppress(InvalidEvent):
        assert pattern.explain(event).matches == pattern.matches(event)


# --- whatever the spelling


def escaped(text: str) -> str:
    """The JSON text with every character of its strings as an escape."""

    def escape(string: re.Match[str]) -> str:
        units = json.loads(string[0]).encode("utf-16-be", "surrogatepass").hex()
        return '"' + re.sub("....", r"\\u\g<0>", units) + '"'

    return re.sub(r'"(?:[^"\\]|\\.)*"', escape, text)


def spellings(value: dict[str, object]) -> list[object]:
    """A mapping and its JSON texts."""
    text = json.dumps(value)
    return [value, text, json.dumps(value, indent=2, ensure_ascii=False), escaped(text), f"\r\n\t {text} more"]


@given(patterns(), randoms)
def test_a_mapping_and_its_texts_have_one_verdict(text, random):
    try:
        pattern, event = json.loads(text), json.loads(make_event(text, random))
        json.dumps([pattern, event], allow_nan=False)
    except ValueError:
        assume(False)
    assume(isinstance(pattern, dict) and isinstance(event, dict))
    events = spellings(event)
    for spelling in spellings(event)[1:]:
        with suppress(UnicodeEncodeError):  # half of a surrogate pair, which UTF-8 does not have
            events.append(spelling.encode())
    found = {each for spelling in spellings(pattern) for each in engines_verdicts(spelling, events)}
    assert len(found) == 1
    assert "no event" not in found


# --- explanations

SOME = '{"a":{"b":[1],"c":[{"exists":false}]}}'


@given(patterns(), randoms.map(lambda random: partial(make_event, random=random)))
@example(SOME, lambda pattern: '{"a":[{"b":1},{"c":2}]}')
@example(SOME, lambda pattern: '{"a":[{"b":2},{"b":1,"c":2}]}')
def test_an_explanation_says_what_matches_says(text, event_for):
    try:
        pattern = EventPattern(text)
    except InvalidEventPattern:
        assume(False)
    for event in [event_for(text) for _ in range(EVENTS)]:
        with suppress(InvalidEvent):
            explanation = pattern.explain(event)
            assert explanation.matches is pattern.matches(event)
            named = {path for finding in explanation.findings for path in finding.paths}
            assert named
            assert named <= paths(text)
            assert all(path in str(explanation) for path in named)
