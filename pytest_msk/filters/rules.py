"""Rules: the rules of one or several patterns, held against an event in the quickest way that is exact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from .documents import Document
from .matcher import Check, Undecided, compile_rule
from .occurrences import Occurrence, Paths, occurrences
from .search import RuleSearch
from .syntax import Rule

__all__ = ["Rules"]

#: More rules than these are not compiled, which takes a tenth of a millisecond each: they are searched.
_MAX_COMPILED = 64


class Rules:
    """Rules of which one must hold.

    Args:
        rules: what each asks of an event's fields; one that asks nothing always holds.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._paths = Paths.of(path for rule in self.rules for path in rule)
        checks = [compile_rule(rule) for rule in self.rules] if len(self.rules) <= _MAX_COMPILED else [None]
        self._compiled = None not in checks
        self._checks = cast("list[Check]", checks)

    def hold(self, document: Document) -> bool:
        """Whether one of them holds for an event that was read."""
        if self._compiled and type(document) is dict:
            try:
                for check in self._checks:
                    if check(document):
                        return True
            except Undecided:
                return self._search(document)
            return False
        return self._search(document)

    def occurrences(self, document: Document) -> dict[str, list[Occurrence]]:
        """The values that an event has at the rules' paths."""
        return occurrences(self._paths, document)

    def _search(self, document: Document) -> bool:
        return RuleSearch(self.occurrences(document)).any_holds(self.rules)
