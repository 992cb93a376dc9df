"""FilterCriteria: which records a mapping lets through, by Kafka's rules for a record's value (spec 6.1 to 6.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict

from ..errors import MskError, NotSupported
from .documents import Document, read_plain
from .explanation import explain, printable
from .json_reader import InvalidJson, read_json
from .pattern import EventPattern
from .rules import Rules
from .syntax import InvalidEventPattern, Rule

__all__ = [
    "MAX_FILTERS",
    "MAX_FILTERS_RAISED",
    "Decision",
    "FilterCriteria",
    "FilterCriteriaBlock",
    "InvalidFilter",
    "record_metadata",
]

#: Filters of one mapping: AWS's default quota, and the highest to which it can be raised (spec 6.1).
MAX_FILTERS, MAX_FILTERS_RAISED = 5, 10

#: What becomes of a record: a filter matches; it is filtered out; or none matches, but one is for values of another
#: format, which is not held against it and lets it pass (spec 6.3).
Decision: TypeAlias = Literal["matched", "filtered", "unfiltered"]
#: What a value is: a JSON object, any other text, bytes that are no text, or a tombstone.
Format: TypeAlias = Literal["json", "text", "binary", "tombstone"]

#: The longest pattern (spec 6.1), and how much of one an explanation shows.
_MAX_PATTERN, _PATTERN_SHOWN = 4_096, 200
#: What patterns may ask for beside the value, if they may.
_METADATA = ("topic", "partition", "offset", "timestamp", "timestampType", "key", "headers")
_FORMATS: tuple[Format, ...] = ("json", "text", "binary", "tombstone")
_NAMES = {
    "json": "a JSON object",
    "text": "text that is no JSON object",
    "binary": "not UTF-8",
    "tombstone": "a tombstone",
}


class FilterBlock(TypedDict):
    """One filter as the API has it."""

    Pattern: str


class FilterCriteriaBlock(TypedDict, total=False):
    """The `FilterCriteria` block as the API has it."""

    Filters: Sequence[FilterBlock]


class InvalidFilter(MskError, ValueError):
    """A filter that Lambda would refuse.

    Args:
        message: AWS's text.
        reason: what is wrong with the pattern, which AWS does not say.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message if reason is None else f"{message} {reason}")
        self.message = message


class FilterCriteria:
    """The filters of a mapping: a record passes if any of them matches; without filters every record passes.

    Args:
        block: the API's own block.
        quota: how many filters there may be.
        strict: a record whose value has not the format of any filter's pattern is filtered out; AWS's table lets it
            pass (spec 6.3).
        metadata: patterns may ask for `topic`, `partition`, `offset`, `timestamp`, `timestampType`, `key` and `headers`
            too (spec 6.2).

    Raises:
        InvalidFilter: with AWS's text.
        NotSupported: a pattern on something other than `value`, without `metadata`.
    """

    def __init__(
        self,
        block: FilterCriteriaBlock | None = None,
        *,
        quota: int = MAX_FILTERS,
        strict: bool = False,
        metadata: bool = False,
    ) -> None:
        filters = (block or {}).get("Filters") or ()
        if len(filters) > quota:
            raised = (
                f"; filter_quota={MAX_FILTERS_RAISED} is for accounts with a raised quota"
                if quota == MAX_FILTERS
                else ""
            )
            raise InvalidFilter(f"A mapping has at most {quota} filters (spec 6.1), {len(filters)} were given{raised}.")
        self.metadata = metadata
        self._strict = strict
        self._patterns = tuple(_compile(item.get("Pattern", ""), metadata) for item in filters)
        self._by_format = {each: _Filters.of(self._patterns, each, strict) for each in _FORMATS}

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def decide(self, value: bytes | None, metadata: Mapping[str, object] | None = None) -> Decision:
        """What becomes of a record.

        Args:
            value: its value.
            metadata: its other properties, if patterns may ask for them.
        """
        if not self._patterns:
            return "matched"
        content, document = _read(value, metadata)
        filters = self._by_format[content]
        if filters.matching.hold(document):
            return "matched"
        return "unfiltered" if filters.passing is not None and filters.passing.hold(document) else "filtered"

    def explain(self, value: bytes | None, metadata: Mapping[str, object] | None = None) -> str:
        """Why a record passes or not: for each filter a line with its verdict, and below it what was found."""
        content, document = _read(value, metadata)
        return "\n".join(
            line
            for number, pattern in enumerate(self._patterns, 1)
            for line in _explain(f"filter {number}, {_cut(str(pattern))}", pattern, content, document, self._strict)
        )


def _explain(name: str, pattern: EventPattern, content: Format, document: Document, strict: bool) -> list[str]:
    filters = _Filters.of((pattern,), content, strict)
    verdicts: list[str] = []
    lines: list[str] = []
    if filters.matching.rules:
        found = explain(filters.matching, document)
        if found.matches:
            return [f"{name}, matches:", *(f"  {finding}" for finding in found.findings)]
        verdicts.append("does not match")
        nearest = [f"  nearest of {found.ways} ways:"] if found.ways > 1 else []
        lines.extend((*nearest, *(f"  {finding}" for finding in found.findings)))
    if filters.of_another_format:
        left = None if filters.passing is None else explain(filters.passing, document)
        verdict = "lets the record pass" if left is not None and left.matches else "does not match"
        part = "in part it is" if verdicts else "it is"
        verdicts.append(f"{verdict}, because {part} for values of another format than this one, {_NAMES[content]}")
        if left is not None and not left.matches:
            lines.extend(f"  {finding}" for finding in left.findings)
    return [f"{name}, {', and '.join(dict.fromkeys(verdicts))}{':' if lines else ''}", *lines]


def _cut(pattern: str) -> str:
    text = printable(pattern)
    return text if len(text) <= _PATTERN_SHOWN else f"{text[:_PATTERN_SHOWN]}..."


def record_metadata(
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    timestamp_type: str,
    key: bytes | None,
    _value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]] | None,
) -> dict[str, object]:
    """A record's properties but for its value, as patterns may ask for them.

    Names and numbers are those of the event (spec 1.2). AWS does not say what a key or a header is to a filter; here it
    is text where it is UTF-8, as a value is, and has no value otherwise.
    """
    metadata: dict[str, object] = {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "timestamp": timestamp,
        "timestampType": timestamp_type,
        "headers": [{name: text} for name, content in headers or () if (text := _text(content)) is not None],
    }
    text = _text(key)
    return metadata if text is None else {**metadata, "key": text}


def _text(content: bytes | None) -> str | None:
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        return None


@dataclass(frozen=True, slots=True)
class _Filters:
    """What the filters ask of values of one format.

    Args:
        matching: the rules that such a value can match.
        of_another_format: whether there are other rules.
        passing: what is left of these without what they ask of the value; `None` if they are strict.
    """

    matching: Rules
    of_another_format: bool
    passing: Rules | None

    @classmethod
    def of(cls, patterns: Sequence[EventPattern], content: Format, strict: bool) -> _Filters:
        """The filters of some patterns for values of a format, by the format table (spec 6.3)."""
        rules = [rule for pattern in patterns for rule in pattern.rules.rules]
        other = [rule for rule in rules if not _fits(rule, content)]
        passing = [{path: rule[path] for path in rule if not _is_value(path)} for rule in other]
        matching = Rules(rule for rule in rules if _fits(rule, content))
        return cls(matching, bool(other), Rules(passing) if passing and not strict else None)


def _fits(rule: Rule, content: Format) -> bool:
    """Whether a rule is held against values of a format: it asks for one like it, or for none."""
    wanted = {"text" if path == "value" else "json" for path in rule if _is_value(path)}
    return content == "tombstone" or not wanted or content in wanted


def _is_value(path: str) -> bool:
    return path == "value" or path.startswith("value.")


def _compile(text: str, metadata: bool) -> EventPattern:
    if len(text) > _MAX_PATTERN:
        raise InvalidFilter(
            f"A pattern has at most {_MAX_PATTERN:,} characters (spec 6.1), this one has {len(text):,}."
        )
    try:
        pattern = EventPattern(text)
    except InvalidEventPattern as error:
        raise InvalidFilter("Invalid filter pattern definition.", f"{error}: {_cut(text)}") from error
    others = sorted({path for rule in pattern.rules.rules for path in rule if not _is_value(path)})
    strange = [path for path in others if path.partition(".")[0] not in _METADATA]
    if strange:
        raise NotSupported(
            f"The pattern {_cut(text)} filters on {', '.join(map(repr, strange))}, but a Kafka mapping filters on "
            f'\'value\' (spec 6.2). A member of the value is {{"value": {{"{strange[0]}": [...]}}}}.'
        )
    if others and not metadata:
        raise NotSupported(
            f"The pattern {_cut(text)} filters on {', '.join(map(repr, others))}, but a Kafka mapping filters on "
            "'value' only (spec 6.2). To let patterns ask for a record's other properties, which AWS does not "
            "document, set filter_metadata=True."
        )
    return pattern


def _read(value: bytes | None, metadata: Mapping[str, object] | None) -> tuple[Format, Document]:
    """A value's format, and the event that patterns are held against."""
    others = dict(metadata or ())
    if value is None:
        return "tombstone", others
    plain = read_plain(value)
    if plain is not None:
        return "json", {**others, "value": plain}
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "binary", others
    try:
        content, end = read_json(text)
    except InvalidJson:
        return "text", {**others, "value": text}
    if isinstance(content, tuple) and not text[end:].strip(" \t\n\r"):
        return "json", (*others.items(), ("value", content))
    return "text", {**others, "value": text}
