"""A pytest plugin that runs every test as often as the environment variable REPEATS says."""

from __future__ import annotations

import os

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.fixturenames.append("repeat")
    metafunc.parametrize("repeat", range(int(os.environ["REPEATS"])))
