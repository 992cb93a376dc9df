"""Report: what a failed test says of the mappings that it used, as text in its report and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .summary import Summary
from .text import HEIGHT, coloured

if TYPE_CHECKING:
    from ..mapping import EventSourceMapping

__all__ = ["Summary", "coloured", "sections"]

#: The fewest lines of a section.
_LEAST = 12


def sections(mappings: Sequence[EventSourceMapping]) -> Iterator[tuple[str, str]]:
    """The sections of a failed test's report, title and text: together at most a screen while there are two or less."""
    height = max(_LEAST, (HEIGHT - len(mappings)) // max(1, len(mappings)))
    for esm in mappings:
        summary = Summary.of(esm)
        yield summary.title, "\n".join(summary.lines(height))
