"""Attach: the deliveries of a test's mappings as sections of its report, and as a page that pytest-html links to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import REPORT
from . import sections
from .summary import Summary
from .text import coloured

if TYPE_CHECKING:
    import pytest

    from ..mapping import EventSourceMapping

__all__ = ["attach", "coloured_sections"]

#: What the titles of the kit's sections begin with.
_TITLE = "msk: "


def attach(report: pytest.TestReport, item: pytest.Item, mappings: Sequence[EventSourceMapping]) -> None:
    """Add sections to a failed test's report, and write its page if there is a folder for pages.

    Whatever goes wrong here is told in a section: it is not to hide why the test failed.
    """
    try:
        if report.failed:
            report.sections.extend(sections(mappings))
        if folder := REPORT.value(item.config):
            _write_page(report, item, mappings, item.config.invocation_params.dir / folder)
    except Exception as error:  # noqa: BLE001
        report.sections.append((f"{_TITLE}no deliveries", f"They could not be drawn: {type(error).__name__}: {error}"))


def _write_page(
    report: pytest.TestReport, item: pytest.Item, mappings: Sequence[EventSourceMapping], folder: Path
) -> None:
    from .page import page, page_name

    path = folder / page_name(item.nodeid)
    folder.mkdir(parents=True, exist_ok=True)
    failure = report.longreprtext if report.failed else ""
    path.write_text(page(item.nodeid, report.outcome, failure, [Summary.of(esm) for esm in mappings]), encoding="utf-8")
    html = item.config.getoption("htmlpath", None)
    if item.config.pluginmanager.hasplugin("html") and html:
        from pytest_html import extras  # type: ignore[import-untyped]

        target = os.path.relpath(path, (item.config.invocation_params.dir / html).parent)
        link = extras.url(target.replace(os.sep, "/"), name="msk deliveries")
        report.extras = [  # type: ignore[attr-defined]
            *getattr(report, "extras", []),
            link,
        ]


@contextmanager
def coloured_sections(config: pytest.Config, reports: Sequence[pytest.TestReport]) -> Iterator[None]:
    """Within a `with` block the reports' sections of the kit have colour, if the terminal has."""
    plain = [report.sections for report in reports]
    if config.get_terminal_writer().hasmarkup:
        for report in reports:
            report.sections = [
                (title, coloured(content) if title.startswith(_TITLE) else content)
                for title, content in report.sections
            ]
    try:
        yield
    finally:
        for report, sections_before in zip(reports, plain, strict=True):
            report.sections = sections_before
