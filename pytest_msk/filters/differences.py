"""Differences: where the reference engine wavers or slips, and what is answered here instead, as data.

Observed on `event-ruler` 2.1.0 under Java 17. In everything else the verdict is the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DIFFERENCES", "Difference"]

Verdict = Literal["match", "no-match", "invalid"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One difference, with an example.

    Args:
        name: what to call it.
        engine: what the reference engine does.
        here: what is answered here, and why.
        pattern: a pattern, JSON text.
        event: an event, JSON text.
        verdict: what is answered here.
    """

    name: str
    engine: str
    here: str
    pattern: str
    event: str
    verdict: Verdict


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        name="$or branches that share values",
        engine="loses a branch whose field has a value in common with another one's; which one is a matter of chance",
        here="every branch counts",
        pattern='{"$or":[{"a":["p"]},{"a":["p","q"]}]}',
        event='{"a":"q"}',
        verdict="match",
    ),
    Difference(
        name="alternatives in each other's way",
        engine="may lose an exact value beside ranges, prefixes or networks in one list",
        here="every alternative counts",
        pattern='{"a":[1e-400,{"cidr":"16.0.0.0/7"}]}',
        event='{"a":1e-400}',
        verdict="match",
    ),
    Difference(
        name="a number as an address",
        engine="takes a number for the hexadecimal digits of an IP address",
        here="an address is a text",
        pattern='{"a":[{"cidr":"16.0.0.0/8"}]}',
        event='{"a":10000000}',
        verdict="no-match",
    ),
    Difference(
        name="an address of the other family",
        engine="compares the leading hexadecimal digits of IPv4 and IPv6 addresses",
        here="an address is in a network of its own family only",
        pattern='{"a":[{"cidr":"0.0.0.0/1"}]}',
        event='{"a":"::1"}',
        verdict="no-match",
    ),
    Difference(
        name="quotes at the edge",
        engine="holds a prefix that ends in a quote, or a suffix that begins with one, against JSON's own quotes",
        here="the quotes of JSON are no part of a text",
        pattern='{"a":[{"prefix":"b\\""}]}',
        event='{"a":"b"}',
        verdict="no-match",
    ),
    Difference(
        name="ignoring case beyond the basic plane",
        engine="breaks such a character into two halves, which become question marks",
        here="it has a lower and an upper form as any other",
        pattern='{"a":[{"equals-ignore-case":"\\ud801\\udc00"}]}',
        event='{"a":"\\ud801\\udc28"}',
        verdict="match",
    ),
    Difference(
        name="half a character",
        engine="takes half a surrogate pair for a question mark",
        here="it is equal to itself alone",
        pattern='{"a":[{"prefix":"\\ud800"}]}',
        event='{"a":"?"}',
        verdict="no-match",
    ),
    Difference(
        name="a value beside an array",
        engine="forgets a value outside of an array when the array has one at the same path",
        here="every value counts (fact 2)",
        pattern='{"a":{"b":[1],"c":[2]}}',
        event='{"a":[{"b":1,"c":1}],"a":{"c":2}}',
        verdict="match",
    ),
    Difference(
        name="an empty list under anything-but",
        engine="fails with an error of its own, or takes the pattern and never matches",
        here="refused: empty arrays are not allowed",
        pattern='{"a":[{"anything-but":{"prefix":[]}}]}',
        event='{"a":"x"}',
        verdict="invalid",
    ),
    Difference(
        name="ranges from the largest double on",
        engine="fails with an error of its own",
        here="a range like any other",
        pattern='{"a":[{"numeric":[">=",1.7976931348623157e308]}]}',
        event='{"a":1.7976931348623157e308}',
        verdict="match",
    ),
    Difference(
        name="the shortest text of a double",
        engine="before Java 19 some texts were not the shortest, and such a number cannot be compared",
        here="the shortest text, as since Java 19 (fact 10)",
        pattern='{"a":[{"numeric":["=",1e23]}]}',
        event='{"a":1e23}',
        verdict="match",
    ),
    Difference(
        name="characters that are new",
        engine="knows no case pairs that are younger than its Java's Unicode",
        here="case pairs are those of the running Python's Unicode",
        pattern='{"a":[{"equals-ignore-case":"\u2c2f"}]}',
        event='{"a":"\u2c5f"}',
        verdict="match" if "\u2c2f".lower() == "\u2c5f" else "no-match",
    ),
    Difference(
        name="exponents beyond 32 bits",
        engine="refuses such a number in a range or under anything-but with another message",
        here="the message is that of any number that cannot be compared",
        pattern='{"a":[{"numeric":["<",1e2147483648]}]}',
        event='{"a":1}',
        verdict="invalid",
    ),
    Difference(
        name="very many branches",
        engine="takes seconds to minutes, and all memory in the end",
        here="refused when the branches combine in more than 16,384 ways, or 262,144 fields",
        pattern="{" + ",".join(f'"k{n}":{{"$or":[{{"a":[1]}},{{"b":[1]}}]}}' for n in range(15)) + "}",
        event="{}",
        verdict="invalid",
    ),
    Difference(
        name="a text that is no JSON",
        engine="reads as it goes, so that what is wrong earlier in a broken pattern is said first",
        here="a pattern that is not JSON is refused as such",
        pattern='{"a":1,',
        event="{}",
        verdict="invalid",
    ),
)
