"""Patterns of topic names in subscriptions of the consumer protocol, which Kafka reads with RE2."""

from __future__ import annotations

import re
from functools import lru_cache

from .errors import ErrorCode, Refused

__all__ = ["any_topic", "check", "matches"]

# What Python's syntax has and RE2's has not: looking around, references to groups, conditions, atomic groups.
_NOT_IN_RE2 = re.compile(r"(?<!\\)(?:\\\\)*(?:\(\?(?:[=!>(#]|<[=!]|P=)|\\[1-9])")


def any_topic(_name: str) -> bool:
    """What a member may see that may see every topic."""
    return True


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def check(pattern: str) -> None:
    """Refuse a pattern that Kafka could not read.

    Raises:
        Refused: INVALID_REGULAR_EXPRESSION.
    """
    reason = "its syntax is not RE2's" if _NOT_IN_RE2.search(pattern) else None
    try:
        _compiled(pattern)
    except re.error as error:
        reason = str(error)
    if reason is not None:
        raise Refused(
            ErrorCode.INVALID_REGULAR_EXPRESSION,
            f"SubscribedTopicRegex `{pattern}` is not a valid regular expression: {reason}.",
        )


def matches(pattern: str, topic: str) -> bool:
    """Whether a pattern that was checked matches a whole topic name."""
    return _compiled(pattern).fullmatch(topic) is not None
