"""Every example project works as a project of its own, run from its own folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "conftest_examples"
PROJECTS = sorted(path.parent.name for path in EXAMPLES.glob("*/conftest.py"))


def test_there_are_examples():
    assert len(PROJECTS) >= 4


@pytest.mark.parametrize("project", PROJECTS)
def test_example_works_alone(project, tmp_path):
    copy = shutil.copytree(EXAMPLES / project, tmp_path / project)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error"]
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
