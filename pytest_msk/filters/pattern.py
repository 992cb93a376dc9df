"""EventPattern: an EventBridge pattern, compiled (event_patterns.md; spec 6.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from .documents import json_text, read_document
from .explanation import Explanation, explain
from .rules import Rules
from .syntax import InvalidEventPattern, read_rules

__all__ = ["EventPattern", "Json", "pattern_text"]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


class EventPattern:
    """A compiled pattern, with every operator of EventBridge.

    Args:
        pattern: the pattern as a mapping, or as JSON text.

    Raises:
        InvalidEventPattern: the engine refuses it; the text is the engine's, with the path in the pattern.
    """

    def __init__(self, pattern: Mapping[str, Json] | str) -> None:
        self._text = pattern_text(pattern)
        #: What the pattern asks for: one set of fields for each way of choosing branches of its `$or`.
        self.rules = Rules(read_rules(self._text))

    def __repr__(self) -> str:
        return f"EventPattern({self._text!r})"

    def __str__(self) -> str:
        return self._text

    def matches(self, event: Mapping[str, object] | str | bytes) -> bool:
        """Whether an event matches.

        Args:
            event: a mapping, or JSON text in UTF-8; text behind its closing brace is ignored.

        Raises:
            InvalidEvent: it is not a JSON object.
        """
        return self.rules.hold(read_document(event))

    def explain(self, event: Mapping[str, object] | str | bytes) -> Explanation:
        """Why an event matches or does not: a line for each field, with its values and what they were held against.

        Args:
            event: as in `matches`.

        Raises:
            InvalidEvent: it is not a JSON object.
        """
        return explain(self.rules, read_document(event))


def pattern_text(pattern: Mapping[str, Json] | str) -> str:
    """A pattern as JSON text.

    Raises:
        InvalidEventPattern: it is neither text nor a mapping that JSON has.
    """
    if isinstance(pattern, str):
        return pattern
    if not isinstance(pattern, Mapping):
        raise InvalidEventPattern(f"A pattern is a mapping, or JSON text as str, not {type(pattern).__name__}.")
    try:
        return json_text(pattern)
    except ValueError as error:
        raise InvalidEventPattern(f"No pattern: {error}") from error
