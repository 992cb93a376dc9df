"""Page: a test's deliveries as one HTML file that needs nothing else, for people."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING

from ..topics import legal_name
from .summary import Summary
from .text import chosen, gap
from .timeline import Row, Timeline, offsets_text

if TYPE_CHECKING:
    from jinja2 import Template

    from ..deliveries import Delivery

__all__ = ["Column", "Drawing", "drawing", "page", "page_name"]

#: Columns of the drawing, rows of the table and lines of the journal at most.
_COLUMNS, _CALLS, _LINES = 300, 500, 2_000
#: The drawing's measures in pixels: a lane, what stands above and below the lanes, and a letter.
_LANE, _HEAD, _FOOT, _LETTER = 46, 46, 26, 6.7
_GAP, _NARROW, _WIDE = 10, 52, 190


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What stands in a lane: a box with a text, and the commit behind it."""

    y: float
    text: str
    commit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One row of the timeline as a column of the drawing."""

    x: float
    width: float
    kind: str
    head: str
    time: str
    detail: str
    title: str
    cells: Sequence[Cell]

    @property
    def middle(self) -> float:
        """Where its middle is."""
        return self.x + self.width / 2

    @property
    def span(self) -> tuple[float, float] | None:
        """From where to where the line runs that joins its boxes."""
        lanes = [cell.y for cell in self.cells if cell.text]
        return (lanes[0], lanes[-1]) if len(lanes) > 1 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """The timeline, measured."""

    width: float
    height: float
    lanes: Sequence[tuple[str, float]]
    columns: Sequence[Column]


def drawing(found: Timeline) -> Drawing:
    """Measure a timeline."""
    rows, gaps = chosen(found.rows, _COLUMNS)
    ys = {partition: _HEAD + index * _LANE for index, partition in enumerate(found.partitions)}
    x, columns, last = float(_GAP), [], -1
    for index, row in rows:
        if index in gaps:
            text = gap(found.rows[index - gaps[index] : index])
            columns.append(Column(x=x, width=_NARROW, kind="gap", head="...", time="", detail="", title=text, cells=()))
            x += _NARROW + _GAP
        column = _column(found, row, x, ys, show_time=row.time_ms != last)
        last = row.time_ms
        columns.append(column)
        x += column.width + _GAP
    return Drawing(
        width=x,
        height=_HEAD + _LANE * len(ys) + _FOOT,
        lanes=[(f"{found.topic}-{partition}", y) for partition, y in ys.items()],
        columns=columns,
    )


def _column(found: Timeline, row: Row, x: float, ys: dict[int, int], *, show_time: bool) -> Column:
    cells = [
        Cell(
            y=y + _LANE / 2,
            text=row.cells.get(partition, ""),
            commit=str(row.commits[partition]) if partition in row.commits else "",
        )
        for partition, y in ys.items()
        if partition in row.cells or partition in row.commits
    ]
    first, last = row.attempts
    head = row.what
    if last > 1:
        head += f", try {first}" if first == last else f", tries {first}-{last}"
    texts = [head, *(f"{cell.text}  {cell.commit and '>' + cell.commit}" for cell in cells)]
    detail = row.detail if row.bad or row.kind == "group" else ""
    width = max(_NARROW, *(len(text) * _LETTER + 14 for text in texts), min(len(detail) * 5.6 + 6, _WIDE))
    room = int((width - 4) / 5.6)
    seconds = (row.time_ms - found.start_ms) / 1000
    title = "\n".join(filter(None, (f"{head} ({row.kind}) at {seconds:+.3f} s", row.detail)))
    return Column(
        x=x,
        width=width,
        kind=row.kind,
        head=head,
        time=f"{seconds:+.3f} s" if show_time else "",
        detail=detail if len(detail) <= room else f"{detail[: room - 1]}…",
        title=title,
        cells=cells,
    )


def page_name(nodeid: str) -> str:
    """The file's name: the test's own in letters that every file system has, and a few that make it unique."""
    digest = hashlib.sha256(nodeid.encode()).hexdigest()[:8]
    return f"{legal_name(nodeid, limit=120)}-{digest}.html"


def page(nodeid: str, outcome: str, failure: str, summaries: Sequence[Summary]) -> str:
    """The page's HTML.

    Args:
        nodeid: the test's id.
        outcome: `passed`, `failed` or `skipped`.
        failure: what the test failed with, as pytest shows it.
        summaries: its mappings.
    """
    return _template().render(
        nodeid=nodeid,
        outcome=outcome,
        failure=failure,
        mappings=[_mapping(summary) for summary in summaries],
        lane=_LANE,
        head=_HEAD,
    )


def _mapping(summary: Summary) -> dict[str, object]:
    esm, drawn = summary.esm, summary.timeline
    calls = esm.journal.invocations
    lines = esm.journal.to_json_lines().splitlines()
    config = esm.config
    return {
        "summary": summary,
        "timeline": drawn,
        "drawing": drawing(drawn),
        "facts": [
            ("calls", f"{drawn.calls}"),
            ("failed", f"{drawn.failures}"),
            ("batches", f"{len(esm.journal.batches)}"),
            ("filtered", f"{summary.filtered_count}"),
            ("lag", str(_lag(summary)) if summary.ends else "?"),
        ],
        "about": [
            ("topic", esm.topic),
            ("function", esm.function.name),
            ("consumer group", esm.consumer_group_id),
            ("broker", esm.broker.kind),
            ("state", esm.state),
            ("batch size", str(config.batch_size)),
            ("window", f"{config.window_ms / 1000:g} s"),
            ("starting position", config.starting_position),
        ],
        "calls": [_call(call) for call in calls[-_CALLS:]],
        "calls_cut": max(0, len(calls) - _CALLS),
        "lines": "\n".join(lines[:_LINES]),
        "lines_cut": max(0, len(lines) - _LINES),
    }


def _lag(summary: Summary) -> int:
    left = (end - summary.timeline.committed.get(partition, 0) for partition, end in summary.ends.items())
    return sum(amount for amount in left if amount > 0)


def _call(call: Delivery) -> dict[str, str]:
    return {
        "time": datetime.fromtimestamp(call.time_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        "batch": f"{call.batch}.{call.attempt}",
        "records": "; ".join(_places(call)),
        "kind": "ok" if call.ok else "partial" if call.succeeded else "failed",
        "error": call.error or "",
        "request_id": call.request_id,
        "log": call.log,
    }


def _places(call: Delivery) -> Iterator[str]:
    for partition, runs in call.records.items():
        yield f"{partition}: {offsets_text(runs, 6)}"


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("pytest_msk.report", "."), autoescape=True, trim_blocks=True)
    environment.lstrip_blocks = True
    return environment.get_template("page.html.jinja")
