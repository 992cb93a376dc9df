"""docs/conformance.md names tests that there are, and says truly on which brokers they run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pytest_msk.mapping import MappingParameters

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "conformance.md").read_text("utf-8")
SPEC = (ROOT / "docs" / "spec" / "esm.md").read_text("utf-8")
CHAPTERS = ("2", "3", "4", "5", "7")


def rows(heading: str) -> list[list[str]]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


STATEMENTS = rows("Statements")
CHOICES = rows("What nobody knows, and what is done here")


def brokers_of(name: str) -> str | None:
    """On which brokers a test runs, by where it is and how it is marked; `None` when there is no such test."""
    module, _, function = name.partition("::")
    for path in [
        found for folder in ("conformance", "aws", "unit") for found in ROOT.glob(f"tests/{folder}/{module}.py")
    ]:
        tree = ast.parse(path.read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                if path.parent.name == "unit":
                    return "none"
                pinned = any("broker='embedded'" in ast.unparse(each) for each in node.decorator_list)
                return "embedded" if pinned else "both"
    return None


@pytest.mark.parametrize("row", STATEMENTS, ids=lambda row: f"{row[0]} {row[2]}")
def test_each_statement_has_a_test_or_says_why_not(row):
    section, mark, statement, brokers, shown = row
    assert section.partition(".")[0] in CHAPTERS
    assert mark in ("D", "M")
    assert statement
    names = re.findall(r"`(test_\w+::test_\w+)`", shown)
    if brokers == "open":
        assert shown != "".join(f"`{name}`" for name in names), "an open statement says why it is open"
        assert all(brokers_of(name) for name in names)
    else:
        assert [f"`{name}`" for name in names] == [shown]
        assert brokers_of(names[0]) == brokers


@pytest.mark.parametrize("row", CHOICES, ids=lambda row: f"{row[0]} {row[1]}")
def test_each_choice_has_a_test_and_its_option_is_there(row):
    section, question, choice, option, shown = row
    assert section.partition(".")[0] in CHAPTERS
    assert question
    assert choice
    assert option.strip("`") in {"", *MappingParameters.__annotations__}
    assert brokers_of(shown.strip("`"))


def test_every_section_of_the_chapters_is_there():
    wanted = {
        number for number in re.findall(r"^### (\d+\.\d+) ", SPEC, re.MULTILINE) if number.partition(".")[0] in CHAPTERS
    }
    fifth = SPEC.partition("\n## 5. ")[2].partition("\n## ")[0]
    wanted |= {f"5.{number}" for number in re.findall(r"^(\d+)\. ", fifth, re.MULTILINE)}
    wanted -= {"4.8"}  # it points to chapter 9
    assert {row[0] for row in [*STATEMENTS, *CHOICES]} >= wanted


def test_no_statement_stands_twice():
    said = [(row[0], row[2]) for row in STATEMENTS] + [(row[0], row[1]) for row in CHOICES]
    assert len(said) == len(set(said))
