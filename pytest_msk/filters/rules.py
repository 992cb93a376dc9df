"""Rules: the rules of one or several patterns, held against an event in the quickest way that is exact."""

from __future__ import annotations

from collections.abc import Iterable

from .documents import Document
from .matcher import Check, Undecided, compile_rule
from .occurrences import Occurrence, Paths, occurrences
from .search import RuleSearch
from .syntax import Rule

__all__ = ["Rules"]

#: Names on the paths of all rules up to which these are compiled, which takes some ten microseconds a name.
_MAX_NAMES = 1_000


class Rules:
    """Rules of which one must hold.

    Args:
        rules: what each asks of an event's fields; one that asks nothing always holds.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._paths = Paths.of(path for rule in self.rules for path in rule)
        #: The compiled rules; `None` before they are asked for the first time, none where a search is to decide.
        self._checks: tuple[Check, ...] | None = None

    def hold(self, document: Document) -> bool:
        """Whether one of them holds for an event that was read."""
        checks = self._compile() if self._checks is None else self._checks
        if checks and type(document) is dict:
            try:
                for check in checks:
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

    def _compile(self) -> tuple[Check, ...]:
        names = sum(path.count(".") + 1 for rule in self.rules for path in rule)
        checks = [compile_rule(rule) for rule in self.rules] if names <= _MAX_NAMES else []
        self._checks = tuple(check for check in checks if check is not None)
        if len(self._checks) < len(self.rules):
            self._checks = ()
        return self._checks
