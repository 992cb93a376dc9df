"""Every Python snippet of the README and the docs runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE), 1
    )
]


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippet_runs(pytester, code):
    pytester.makepyfile(code)
    result = pytester.runpytest_subprocess("-W", "error")
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes().get("passed", 0) >= 1


def test_readme_names_every_option_and_fixture():
    from pytest_msk import options, plugin

    text = (ROOT / "README.md").read_text("utf-8")
    for setting in options.SETTINGS:
        assert f"`{setting.option}=" in text
    for name in [name for name in vars(plugin) if name.startswith("msk_")]:
        assert f"`{name}" in text
