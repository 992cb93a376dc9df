"""The list of differences from the reference engine says what the engine here does."""

from __future__ import annotations

import pytest

from pytest_msk import EventPattern, InvalidEventPattern
from pytest_msk.filters.differences import DIFFERENCES


@pytest.mark.parametrize("difference", DIFFERENCES, ids=[each.name for each in DIFFERENCES])
def test_the_verdict_is_the_listed_one(difference):
    try:
        verdict = "match" if EventPattern(difference.pattern).matches(difference.event) else "no-match"
    except InvalidEventPattern:
        verdict = "invalid"
    assert verdict == difference.verdict
