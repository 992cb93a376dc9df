"""The tests of what a mapping delivers, so often that a flake would show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_REPEATS = 200
_CONFORMANCE = Path(__file__).parents[1] / "conformance"
#: Generated runs have a count of their own.
_FILES = sorted(path.name for path in _CONFORMANCE.glob("test_mapping_*.py") if path.stem != "test_mapping_invariants")


@pytest.mark.parametrize("name", _FILES)
def test_no_repeat_fails(name, request):
    environment = os.environ | {
        "REPEATS": str(_REPEATS),
        "HYPOTHESIS_PROFILE": "quick",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    broker = request.config.getoption("--msk-broker") or "embedded"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "repeated", "-p", "no:cacheprovider", "--tb=long"]
    run = subprocess.run(
        [*command, f"--msk-broker={broker}", str(_CONFORMANCE / name)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout[-20_000:]}\n{run.stderr[-5_000:]}"
    assert (
        f"[{_REPEATS - 1}]"
        in subprocess.run(
            [*command, "--collect-only", str(_CONFORMANCE / name)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        ).stdout
    ), "the tests were not repeated"
