"""Row: one line of the table, with its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Row", "at_least", "at_most", "render", "times_at_least", "times_at_most"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Args:
        what: what was measured, on which broker.
        measured: the figure with its unit.
        compared: what it is compared with, and that figure.
        ratio: measured by compared.
        target: what the figure or the ratio is to be.
        ok: whether it is, `None` where there is no target.
    """

    what: str
    measured: str
    compared: str = ""
    ratio: float | None = None
    target: str = ""
    ok: bool | None = None


def at_most(what: str, figure: float, unit: str, limit: float) -> Row:
    """A figure that is not to exceed a limit."""
    return Row(what=what, measured=_text(figure, unit), target=f"<= {limit:,g} {unit}", ok=figure <= limit)


def at_least(what: str, figure: float, unit: str, limit: float) -> Row:
    """A figure that is to reach a limit."""
    return Row(what=what, measured=_text(figure, unit), target=f">= {limit:,g} {unit}", ok=figure >= limit)


def times_at_most(
    what: str, figures: Sequence[float], unit: str, name: str, others: Sequence[float], limit: float
) -> Row:
    """Two sides that took turns; the first is not to be more than `limit` times the second."""
    row = _compare(what, figures, unit, name, others)
    assert row.ratio is not None
    return Row(**{**vars(row), "target": f"<= {limit:g} x", "ok": row.ratio <= limit})


def times_at_least(
    what: str, figures: Sequence[float], unit: str, name: str, others: Sequence[float], limit: float | None
) -> Row:
    """Two sides that took turns; the first is to be at least `limit` times the second."""
    row = _compare(what, figures, unit, name, others)
    if limit is None:
        return row
    assert row.ratio is not None
    return Row(**{**vars(row), "target": f">= {limit:g} x", "ok": row.ratio >= limit})


def _compare(what: str, figures: Sequence[float], unit: str, name: str, others: Sequence[float]) -> Row:
    return Row(
        what=what,
        measured=_text(median(figures), unit),
        compared=f"{name}: {_text(median(others), unit)}",
        ratio=median(a / b for a, b in zip(figures, others, strict=True)),
    )


def _text(figure: float, unit: str) -> str:
    digits = 0 if figure >= 100 else 1 if figure >= 10 else 2
    return f"{figure:,.{digits}f} {unit}"


def render(rows: Sequence[Row]) -> str:
    """The rows as a table in plain text."""
    lines = [("what", "measured", "compared with", "ratio", "target", "ok?")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        ok = "" if row.ok is None else "ok" if row.ok else "MISSED"
        lines.append((row.what, row.measured, row.compared, ratio, row.target, ok))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])
