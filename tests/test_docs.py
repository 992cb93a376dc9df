"""The pages that repeat what the code says are held to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_msk.brokers import container, external
from pytest_msk.brokers.embedded import limits as embedded
from pytest_msk.filters.differences import DIFFERENCES
from pytest_msk.mapping import MappingParameters, _validation

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "brokers.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("kind", [embedded, container, external], ids=["embedded", "container", "external"])
def test_page_shows_exactly_the_limits_of_each_kind(kind, request):
    name = request.node.callspec.id
    section = PAGE.partition(f"### {name}\n")[2].partition("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert rows == [f"| {limit.name} | {limit.reason} | {limit.instead} |" for limit in kind.LIMITS]


def test_page_shows_exactly_the_differences_from_the_reference_engine():
    section = (ROOT / "docs" / "filters.md").read_text("utf-8").partition("## Where the reference engine differs")[2]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert rows == [f"| {each.name} | {each.engine} | {each.here} |" for each in DIFFERENCES]


def test_readme_lists_every_parameter_and_what_is_not_run_yet():
    section = README.partition("## Parameters of a mapping")[2].partition("\n## ")[0]
    rows, _, refused = section.partition("Not run yet")
    assert re.findall(r"^\| `(\w+)`", rows, re.MULTILINE) == list(MappingParameters.__annotations__)
    assert sorted(re.findall(r"`([a-z_]+)`", refused)) == sorted(_validation._NOT_YET)
