"""The timeline as text: at most a screen, plain ASCII, so that every terminal and every CI log can show it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .timeline import Row, Timeline

__all__ = ["HEIGHT", "WIDTH", "chosen", "coloured", "gap", "text"]

#: A screen, lines and columns.
HEIGHT, WIDTH = 24, 80
_LEFT, _MIN_RIGHT, _MAX_LANE = 22, 18, 20
_WORDS = {"ok": "ok", "failed": "FAILED", "partial": "PARTLY", "lost": "LOST", "waiting": "waiting", "again": "ok"}


def text(found: Timeline, *, height: int = HEIGHT, width: int = WIDTH) -> list[str]:
    """A timeline's lines.

    Args:
        found: what is drawn.
        height: lines at most, 8 or more.
        width: columns at most, 60 or more.
    """
    if not found.rows:
        return ["nothing has happened"]
    rows, gaps = chosen(found.rows, height - 3)
    lanes, lane_widths = _lanes(found, rows, width)
    right = width - _LEFT - sum(lane_widths) - len(lane_widths)
    hidden = len(found.partitions) - len(lanes)
    heads = [_fit(f"{found.topic}-{p}", w, start=False) for p, w in zip(lanes, lane_widths, strict=True)]
    more = f"+{hidden} partition{'s' * (hidden > 1)}" if hidden else ""
    lines = [_line("seconds", "", heads, lane_widths, more, right)]
    for index, row in rows:
        if index in gaps:
            lines.append(f"  ... {gap(found.rows[index - gaps[index] : index])} ...")
        seconds = f"{(row.time_ms - found.start_ms) / 1000:+.3f}"
        cells = [_cell(row, partition) for partition in lanes]
        lines.append(_line(seconds, _what(row), cells, lane_widths, _outcome(row), right))
    if any(row.commits for _, row in rows):
        lines.append("[n]: committed up to offset n")
    return lines


def chosen(rows: Sequence[Row], height: int) -> tuple[list[tuple[int, Row]], dict[int, int]]:
    """The rows that are shown, and before which of them how many are left out."""
    total = len(rows)
    # The end comes first, then faults with what stands around them, then the beginning, then the rest from the end.
    bad = [index for index, row in enumerate(rows) if row.bad]
    near = [index + by for index in reversed(bad) for by in (0, -1, 1)]
    order = dict.fromkeys([*range(total - 4, total), *near, *range(3), *range(total - 1, -1, -1)])
    chosen: set[int] = set()
    for index in order:
        if 0 <= index < total:
            larger = chosen | {index}
            if len(larger) + len(_gaps(larger)) > height:
                break
            chosen = larger
    return [(index, rows[index]) for index in sorted(chosen)], _gaps(chosen)


def _gaps(chosen: set[int]) -> dict[int, int]:
    before, gaps = -1, {}
    for index in sorted(chosen):
        if index - before > 1:
            gaps[index] = index - before - 1
        before = index
    return gaps


def gap(rows: Sequence[Row]) -> str:
    """What rows that are left out stand for, in a few words."""
    calls, failed = sum(row.calls for row in rows), sum(row.calls for row in rows if row.bad)
    others = len(rows) - sum(1 for row in rows if row.calls)
    count = "1 call" if calls == 1 else f"{calls} calls"
    parts = [f"{count}, {failed or 'none'} of them failed"] if calls else []
    if others:
        parts.append(f"{others} other thing{'s' * (others > 1)}")
    return " and ".join(parts)


def _lanes(found: Timeline, rows: Sequence[tuple[int, Row]], width: int) -> tuple[list[int], list[int]]:
    """The partitions that have room, those where something is to be seen first, and the width of each."""
    room = width - _LEFT - _MIN_RIGHT
    latest = sorted(rows, key=lambda item: (not item[1].bad, not item[1].calls, -item[0]))
    seen = [p for _, row in latest for p in (*row.cells, *row.commits)]
    taken: dict[int, int] = {}
    for partition in dict.fromkeys([*seen, *found.partitions]):
        cells = [len(_cell(row, partition)) for _, row in rows]
        need = min(_MAX_LANE, max([len(f"{found.topic}-{partition}"[-_MAX_LANE // 2 :]), 6, *cells]))
        if sum(taken.values()) + len(taken) + need + 1 > room:
            break
        taken[partition] = need
    if not taken and found.partitions:
        taken[seen[0]] = max(6, room - 1)
    lanes = sorted(taken)
    return lanes, [taken[partition] for partition in lanes]


def _line(seconds: str, what: str, cells: Sequence[str], widths: Sequence[int], right: str, room: int) -> str:
    middle = "".join(f" {_fit(cell, width):<{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{seconds:>9} {_fit(what, 12):<12}{middle} {_fit(right, max(room - 1, 0))}".rstrip()


def _what(row: Row) -> str:
    first, last = row.attempts
    if last <= 1:
        return row.what
    return f"{row.what}.{first}" if first == last else f"{row.what}.{first}-{last}"


def _cell(row: Row, partition: int) -> str:
    commit = f"[{row.commits[partition]}]" if partition in row.commits else ""
    cell = row.cells.get(partition, "")
    return f"{cell} {commit}".strip() or "."


def _outcome(row: Row) -> str:
    word = _WORDS.get(row.kind, "")
    times = row.attempts[1] - row.attempts[0] + 1
    if times > 1:
        word += f" x{times}"
    detail = "" if row.kind in ("ok", "again") and row.detail == "size" else " ".join(row.detail.split())
    return f"{word} {detail}".strip()


def _fit(cell: str, width: int, *, start: bool = True) -> str:
    """A text that is not too long; of a longer one the start is kept, or the end."""
    cell = cell.encode("ascii", "backslashreplace").decode()
    if len(cell) <= width:
        return cell
    return f"{cell[: max(width - 2, 0)]}.."[:width] if start else f"..{cell[len(cell) - width + 2 :]}"[:width]


_RESET = "\033[0m"
_COLOURS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(FAILED|LOST)\b.*"), "\033[31m"),
    (re.compile(r"\bPARTLY\b.*"), "\033[33m"),
    (re.compile(r"\bok\b"), "\033[32m"),
    (re.compile(r"\[\d+\]"), "\033[36m"),
    (re.compile(r"^ *[+-]\d+\.\d{3}"), "\033[2m"),
    (re.compile(r"^\[n\].*|^ *seconds.*"), "\033[2m"),
    (re.compile(r"\b(revoked|assigned|state|split|reset)\b"), "\033[33m"),
    (re.compile(r"^! [a-z-]+"), "\033[1;31m"),
)


def coloured(plain: str) -> str:
    """A text of this kind with a terminal's colours."""
    return "\n".join(map(_colour, plain.split("\n")))


def _colour(line: str) -> str:
    if line.startswith("  ... "):
        return f"\033[2m{line}{_RESET}"
    for pattern, colour in _COLOURS:
        line = pattern.sub(lambda found, colour=colour: f"{colour}{found[0]}{_RESET}", line)  # type: ignore[misc]
    return line
