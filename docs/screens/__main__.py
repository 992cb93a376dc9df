"""The command `python docs/screens`: runs the failing tests beside it and draws what a terminal shows of them.

Each becomes an SVG in this folder, drawn by Rich (`pip install -e '.[docs]'`). Where there is a Chromium, the page of
one of them is photographed too, light and dark. Request ids are made up anew by every run, and are replaced, so that a
file changes only when the report does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

HERE = Path(__file__).parent
TESTS = HERE / "tests"
#: The test whose page is photographed.
PAGE = "test_poison"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    """Draw every screen."""
    for test in sorted(TESTS.glob("test_*.py")):
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            output = run(test, work)
            (HERE / f"{test.stem.removeprefix('test_')}.svg").write_text(draw(test.name, output), encoding="utf-8")
            if test.stem == PAGE:
                photograph(work)
    return 0


def run(test: Path, work: Path) -> str:
    """What pytest says of a failing test on a terminal of 96 columns."""
    shutil.copy(test, work)
    command = [sys.executable, "-m", "pytest", "--color=yes", "--tb=short", "--msk-report=pages", "-q", test.name]
    environment = {**os.environ, "COLUMNS": "96"}
    result = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 1:
        raise SystemExit(f"{test.name} is to fail, but pytest ended with {result.returncode}:\n{result.stdout}")
    output = re.sub(r"\(invocation [0-9a-f]{8}\)", "(invocation 5e8a7c10)", result.stdout)
    output = output.replace(f"{work}{os.sep}", "")
    return re.sub(r" in \d+\.\d\ds", " in 0.10s", output)


def draw(name: str, output: str) -> str:
    """A terminal's screen as SVG, with the fonts that there are."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=96, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(output.strip("\n")))
    no_download = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title=f"pytest {name}", theme=MONOKAI, code_format=no_download, unique_id="screen")


def photograph(work: Path) -> None:
    """The page, light and dark, if there is a browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("no Chromium: the pictures of the page stay as they are")
        return
    (page,) = (work / "pages").glob("*.html")
    for number, scheme in enumerate(("dark", "light")):
        picture = HERE / f"page-{scheme}.png"
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1180,760",
            f"--blink-settings=preferredColorScheme={number}", f"--screenshot={picture}", page.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, capture_output=True, check=True, timeout=120)


if __name__ == "__main__":
    sys.exit(main())
