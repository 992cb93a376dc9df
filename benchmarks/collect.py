"""collect: what the plugin adds to `pytest --collect-only`, whole processes that take turns.

Processes are compared by the fastest of each side: other work on the machine makes them slower by far more than 15 ms,
and never faster.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .rows import Row
from .stage import Stage, seconds, take_turns

__all__ = ["rows"]

_LIMIT_MS = 15


def rows(stage: Stage) -> Iterator[Row]:
    """The time with the plugin, without it, and the difference."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_nothing.py").write_text("def test_nothing(): pass\n", encoding="utf-8")

        def collect(*arguments: str) -> float:
            command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
            return 1000 * seconds(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))

        with_it, without = take_turns(stage.count(25, 2), collect, lambda: collect("-p", "no:pytest_msk"))
    more = min(with_it) - min(without)
    yield Row(
        what="pytest --collect-only",
        measured=f"{min(with_it):.0f} ms",
        compared=f"without the plugin: {min(without):.0f} ms",
        target=f"<= {_LIMIT_MS} ms more: {more:+.1f} ms",
        ok=more <= _LIMIT_MS,
    )
