"""Event patterns and events as JSON text, of one small vocabulary so that they often match.

`patterns()` are valid, or spoilt in one place. `make_event` makes an event with much of what a pattern asks for, and
`spoil` changes one token of a JSON text; these take a source of randomness, which is a hundred times as fast as
Hypothesis, and shrinks well enough: an event gets smaller with its pattern.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytest_msk.filters.json_reader import InvalidJson, JsonNumber, JsonValue, read_json

__all__ = ["SCALARS", "alternatives", "make_event", "patterns", "randoms", "spoil"]

Texts = SearchStrategy[str]
randoms = st.integers(0, 2**32 - 1).map(Random)

# fmt: off
NAMES = ["a", "b", "c"]
ODD_NAMES = ["a.b", "", "a.b", "", "b-", "é", "c.", ".a", "a..b", "\U0001f600", "ﬀ", "$or", "prefix", "="]
STRINGS = ["a", "b", "", "ab", "Ab", "aB", "abab", "ba", "true", "1", "10.0.0.1"]
ODD_STRINGS = [
    "ß", "ss", "SS", "sS", "ßa", "aß", "σ", "ς", "Σ", "ǅ", "ǆ", "Ǆ", "İ", "i̇", "ı", "I", "K", "k", "ŉ", "ʼN", "Ⱥ",
    "ⱥ", "日本", "a日", '"', 'a"', '"a', "*", "a*b", "\\", "a\\", "\\*", "\n", "a\nb", "a\n", "?", " a", "300", "1.0",
    "\x7f", "\U0001f600", "a\U0001f600", "\U00010400", "\U00010428", "\ud800", "\udc00a", "null",
]
ADDRESSES = [
    "10.0.0.1", "010.0.0.1", "::ffff:a00:1", "10.0.0.77", "16.0.0.0", "::1", "0:0:0:0:0:0:0:1", "00001::", "a00:1::",
    "2001:db8::1", "2001:DB8::0001", "::", "10.0.0.256", "1.2.3", ":", ":::", "1::2::3", "10.0.0.0/8",
]
WILDCARDS = [
    "a*", "*", "*b", "a*b", "*a*", "a*b*", "*ab*", "", "a", "a\\*b", "\\\\", "*\\\\*", "?*", "*\n*", "*ß", "日*",
    "a*a*b", "*a*\\*", "ab*ba",
]
BAD_WILDCARDS = ["**", "a\\b", "\\", "*\\"]
CIDRS = [
    "10.0.0.0/8", "10.0.0.77/24", "10.0.0.0/31", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1/127", "::ffff:a00:1/8",
    "010.0.0.0/+8", "10.0.0.0/8/", "1.2.3.4/-0",
]
BAD_CIDRS = [
    "10.0.0.0", "10.0.0.0/32", "::/128", "/8", "10.0.0.0/x", "::1::/8", "10.0.0.0/-1", "1/2/3", "/", "::ffff:a00:1/96",
]
NUMBERS = ["1", "0", "2", "10", "300", "-1", "2.5", "1.0", "3e2"]
ODD_NUMBERS = [
    "-0", "-0.0", "0e5", "1E1", "1e+1", "10.0", "3.0e2", "0.03e4", "-10", "0.1", "0.10", "1e-1", "25e-1", "99.99",
    "9007199254740992", "4.9e-324", "9.9e-324", "2.5e-323", "1e23", "1e16", "1.7976931348623157e308",
    "123456789012345680", "1e-300", "0e2147483647",
]
INCOMPARABLE = [
    "9007199254740993", "9007199254740993.0", "-9007199254740993", "18446744073709551617", "0.10000000000000001",
    "1e400", "1E400", "1e-400", "5e-324", "1e-323", "0e2147483648",
]
JUNK = ['"x"', "1", "true", "null", "[]", "{}", "[1]", '["x"]', '{"a":1}', '{"prefix":"x"}', "[[1]]", '"="', '"<"']
OPERATORS = [
    "exists", "anything-but", "numeric", "prefix", "suffix", "equals-ignore-case", "wildcard", "cidr", "exactly",
    "regex", "PREFIX", "$or",
]
RANGES = [
    '["=",{}]', '[">",{}]', '[">=",{}]', '["<",{}]', '["<=",{}]',
    '[">",{},"<",{}]', '[">",{},"<=",{}]', '[">=",{},"<",{}]', '[">=",{},"<=",{}]',
]
PLAIN = ['["a"]', "[1]", '["b",1]', '[{"exists":false}]', '[{"exists":true}]', '["a",{"exists":false}]']
# fmt: on


def quoted(strings: list[str]) -> list[str]:
    """The strings as JSON texts, in both spellings."""
    return [json.dumps(string, ensure_ascii=ascii_only) for string in strings for ascii_only in (True, False)]


SCALARS = [
    *quoted(STRINGS * 12 + ODD_STRINGS + ADDRESSES),
    *(NUMBERS * 16 + ODD_NUMBERS * 4 + INCOMPARABLE * 4),
    *["true", "false", "null"] * 40,
]


def either(common: list[str], times: int, rare: list[str]) -> Texts:
    return st.sampled_from(common * times + rare)


def several(items: Texts, at_least: int) -> SearchStrategy[tuple[str, ...]]:
    """As few as that, or one or two more."""
    sizes = [at_least] * 5 + [at_least + 1] * 3 + [at_least + 2]
    return st.sampled_from([st.tuples(*[items] * size) for size in sizes]).flatmap(lambda chosen: chosen)


def array(items: Texts, at_least: int = 1) -> Texts:
    return several(items, at_least).map(lambda texts: f"[{','.join(texts)}]")


def obj(members: Texts) -> Texts:
    """An object, in which a name may come twice."""
    return several(members, 1).map(lambda texts: f"{{{', '.join(texts)}}}")


def member(names: Texts, values: Texts) -> Texts:
    return st.tuples(names, values).map(":".join)


name = either(quoted(NAMES), 16, quoted(ODD_NAMES))
string = either(quoted(STRINGS), 12, quoted(ODD_STRINGS + ADDRESSES))
bound = either(NUMBERS, 12, [*ODD_NUMBERS, *ODD_NUMBERS, *INCOMPARABLE])
scalar = st.sampled_from(SCALARS)


# --- patterns


def operator(called: str, operand: Texts) -> Texts:
    return operand.map(lambda text: f'{{"{called}":{text}}}')


def one_or_several(items: Texts) -> Texts:
    return items | array(items)


wildcard = either(quoted(WILDCARDS), 10, quoted(BAD_WILDCARDS))
in_range = st.builds(
    lambda form, bounds: form.format(*sorted(bounds, key=float)), st.sampled_from(RANGES), st.tuples(bound, bound)
)
ignore_case = operator("equals-ignore-case", string)
excluded = st.one_of(
    one_or_several(string),
    one_or_several(bound),
    *(operator(called, one_or_several(string)) for called in ("prefix", "suffix", "equals-ignore-case")),
    operator("wildcard", one_or_several(wildcard)),
)
expression = st.one_of(
    operator("exists", st.sampled_from(["true", "false"])),
    operator("anything-but", excluded),
    operator("numeric", in_range),
    operator("prefix", string | ignore_case),
    operator("suffix", string | ignore_case),
    ignore_case,
    operator("exactly", string),
    operator("wildcard", wildcard),
    operator("cidr", either(quoted(CIDRS), 10, quoted(BAD_CIDRS))),
)
alternatives = st.sampled_from(PLAIN) | array(scalar | expression)


@cache
def fields(depth: int) -> Texts:
    """The object of a pattern's fields, or of a branch's; `$or` is there in all its forms, and what resembles it."""
    field = member(name, alternatives)
    if depth == 0:
        return obj(field)
    inner = fields(depth - 1)
    operands = st.sampled_from([array(inner, 2)] * 20 + [array(inner), array(inner | expression), array(expression)])
    branches = operands.flatmap(lambda chosen: chosen).map('"$or":{}'.format)
    return obj(st.one_of(field, field, member(name, inner), member(name, inner), branches))


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"{}\[\],:]+|.', re.DOTALL)
REPLACEMENTS = {
    "{": ["", "{{", '{"a":', "[", " \n{"],
    "}": ["", "}}", "]", ',"x":1}', ',"prefix":"x"}', "} and more"],
    "[": ["", "[[", "[1,", "{"],
    "]": ["", "]]", "}", ',"<",3]', ",1]", ',"x"]', ",[]]", ",{}]"],
    ",": ["", ",,", ":", "\n,", "\x00,", "\ufeff,"],
    ":": ["", "::", ",", " : "],
}
BROKEN = ["{}0", "0{}", "{}.", "{}e", '"{}"', "", "NaN", "tru", "'x'", '"\\x"', '"\\ud8"', '"', '"\x01"']


def spoil(text: str, random: Random) -> str:
    """The text with one of its tokens changed: still JSON, or not."""
    tokens = TOKEN.findall(text) or [""]
    at = random.randrange(len(tokens))
    others = [random.choice(quoted(OPERATORS)), random.choice(JUNK), random.choice(BROKEN).replace("{}", tokens[at])]
    tokens[at] = random.choice(REPLACEMENTS.get(tokens[at], others))
    return "".join(tokens)


def patterns() -> Texts:
    """Patterns, most of them valid."""
    valid = st.one_of(fields(0), fields(1), fields(1), fields(2))
    return st.one_of(valid, valid, valid, valid, st.builds(spoil, valid, randoms))


# --- events

Wish = tuple[tuple[str, ...], str]  # the names that lead to a field, and the JSON text of a value that it may like


def wishes(pattern: JsonValue, names: tuple[str, ...] = ()) -> Iterator[Wish]:
    """Every text, number, true, false and null under a pattern's fields; what is there and what is not for `exists`."""
    if isinstance(pattern, tuple):
        for called, value in pattern:
            if called == "exists":
                yield from ((names, text) for text in ("[]", "{}", '"a"'))
            else:
                yield from wishes(value, names if called in OPERATORS else (*names, called))
    elif isinstance(pattern, list):
        for value in pattern:
            yield from wishes(value, names)
    elif names:
        yield names, pattern.text if isinstance(pattern, JsonNumber) else json.dumps(pattern)


def likely_values(wish: str) -> list[str]:
    """Values like one that is wished for: itself, spelt differently, longer at one end, of another case, an address."""
    if wish[0] != '"':
        return [wish, wish, f"{wish}.0" if wish.strip("-").isdigit() else wish.replace("1e", "1E")]
    text = json.loads(wish)
    others = [f"{text}a", f"a{text}", text.upper(), text.casefold(), text.replace("*", "b")]
    others.append(re.sub(r"(.)\*\1", r"\1", text))  # of "ab*ba" no more than "aba"
    return [*[wish] * 4, *map(json.dumps, ADDRESSES[:12] if re.match("[0-9:]", text) else others)]


def any_value(random: Random, depth: int = 0) -> str:
    kind = random.choice(["scalar"] * 3 + ["array", "object"] * (depth < 3))
    if kind == "scalar":
        return random.choice(SCALARS)
    inside = [any_value(random, depth + 1) for _ in range(random.randrange(3))]
    if kind == "array":
        return f"[{','.join(inside)}]"
    return f"{{{','.join(f'{json.dumps(random.choice(NAMES + ODD_NAMES))}:{value}' for value in inside)}}}"


def likely_value(wished: list[Wish], random: Random, depth: int = 0) -> str:
    """A value in which many of the wishes come true, each where its names lead to."""
    if depth and random.random() < 0.05:
        return any_value(random)
    if 0 < depth < 5 and random.random() < 0.3:
        return f"[{','.join(likely_value(wished, random, depth + 1) for _ in range(random.randint(1, 3)))}]"
    here = [value for names, value in wished if not names]
    inside = [called for called in dict.fromkeys(names[0] for names, _ in wished if names) if random.random() < 0.9]
    if here and (not inside or random.random() < 0.5):
        return random.choice(likely_values(random.choice(here)))
    members = []
    for called in inside + inside[:1] * (random.random() < 0.1):  # one of them twice
        below = [(names[1:], value) for names, value in wished if names[:1] == (called,)]
        members.append(f"{json.dumps(called)}:{likely_value(below, random, depth + 1)}")
    if random.random() < 0.3:
        members.append(f"{json.dumps(random.choice(NAMES + ODD_NAMES))}:{any_value(random)}")
    return f"{{{','.join(members)}}}"


def make_event(pattern: str, random: Random) -> str:
    """An event, most of the time a valid one, with much of what the pattern asks for."""
    try:
        wished = list(wishes(read_json(pattern)[0]))
    except InvalidJson:
        wished = []
    how = random.choice(["as it is", "objects", "objects", "objects", "dots"])
    if how == "objects":
        wished = [(tuple(".".join(names).strip(".").split(".")), value) for names, value in wished]
    elif how == "dots":
        wished = [((".".join(names),), value) for names, value in wished]
    text = likely_value(wished, random)
    return text if random.random() < 0.95 else spoil(text, random)
