"""The pages that repeat what the code says are held to it."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest

import pytest_msk
from pytest_msk.adversary import WAYS
from pytest_msk.brokers import container, external
from pytest_msk.brokers.embedded import limits as embedded
from pytest_msk.checks import CONFIGURATIONS, DEFINITIONS
from pytest_msk.filters.differences import DIFFERENCES
from pytest_msk.mapping import MappingParameters

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


def test_readme_lists_every_parameter():
    section = README.partition("## Parameters of a mapping")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(MappingParameters.__annotations__)


def test_assertions_page_shows_exactly_the_anomalies_the_configurations_and_the_ways():
    page = (ROOT / "docs" / "assertions.md").read_text("utf-8")
    rows = [
        f"| `{each.name}` | {each.severity} | {each.meaning} | {', '.join(each.legal)} | {each.jepsen} |"
        for each in DEFINITIONS.values()
    ]
    assert "\n".join(["| --- | --- | --- | --- | --- |", *rows, "<!-- /anomalies -->"]) in page
    rows = [f"| {name} | {meaning} |" for name, meaning in CONFIGURATIONS.items()]
    assert "\n".join(["| --- | --- |", *rows, "<!-- /configurations -->"]) in page
    assert all(f"| `{way}` | {meaning} |" in page for way, meaning in WAYS.items())


def test_assertions_page_lists_every_assertion_about_a_mapping():
    page = (ROOT / "docs" / "assertions.md").read_text("utf-8")
    about_patterns = {"assert_filtered", "assert_matches"}
    names = {name for name in pytest_msk.__all__ if name.startswith("assert_")} - about_patterns
    assert set(re.findall(r"^\| `(assert_\w+)\(", page, re.MULTILINE)) == names


@pytest.mark.parametrize("test", sorted((ROOT / "docs" / "screens" / "tests").glob("*.py")), ids=lambda path: path.stem)
def test_each_screen_is_of_a_test_that_fails_and_shows_its_deliveries(pytester, test):
    shutil.copy(test, pytester.path)
    result = pytester.runpytest_subprocess("--tb=short")
    result.assert_outcomes(failed=1)
    section = result.stdout.str().partition("- msk: ")[2]
    screen = (ROOT / "docs" / "screens" / f"{test.stem.removeprefix('test_')}.svg").read_text("utf-8")
    shown = re.sub(r"\s+", "", html.unescape(re.sub(r"<[^>]*>", "", screen)))
    lines = [line for line in section.splitlines()[1:] if re.match(r" *\+\d+\.\d{3} ", line)]
    assert lines
    assert [line for line in lines if re.sub(r"\s+", "", line) not in shown] == [], "run: python docs/screens"


CONFORMANCE = (ROOT / "docs" / "broker-conformance.md").read_text("utf-8")


def test_page_names_every_module_of_the_broker_conformance_suite():
    section = CONFORMANCE.partition("| module | what it asks |")[2].partition("\n\n")[0]
    there = {path.stem for path in (ROOT / "tests" / "conformance").glob("test_broker_*.py")}
    assert set(re.findall(r"test_broker_\w+", section)) == there


def test_page_names_tests_that_are_there_for_what_one_node_cannot_show():
    section = CONFORMANCE.partition("## What one real node cannot show")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 10
    for what, where, why in rows:
        assert why.removesuffix(" |").strip(), what
        modules = where.split(", ")
        assert modules, what
        for module in modules:
            assert "def test_" in (ROOT / module).read_text("utf-8") or "TestCase" in (ROOT / module).read_text("utf-8")


def test_the_suite_is_as_large_as_it_claims():
    """At least 300 tests of the broker run on both kinds; the same test in several versions or cases counts once."""
    names = {
        (path.stem, name)
        for path in (ROOT / "tests" / "conformance").glob("test_broker_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(names) >= 300
