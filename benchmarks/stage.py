"""Stage: where a benchmark runs, and how it takes the time."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_msk.brokers import Broker
from pytest_msk.clock import VirtualClock
from pytest_msk.sandbox import Sandbox

__all__ = ["Stage", "seconds", "take_turns"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A broker, and how much is to be done on it.

    Args:
        broker: where the benchmark runs.
        quick: small counts, to see that everything works.
    """

    broker: Broker
    quick: bool = False

    def count(self, full: int, quick: int) -> int:
        """How many of something: the first number, or with `quick` the second."""
        return quick if self.quick else full

    @contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        """What a test's fixtures work with, removed at the end of the block."""
        sandbox = Sandbox(self.broker, VirtualClock(), "benchmark", timeout=120)
        try:
            yield sandbox
        finally:
            sandbox.close()

    @staticmethod
    def name() -> str:
        """A name that nothing else has, for a topic or a group."""
        return f"benchmark-{uuid.uuid4().hex[:8]}"


def seconds(action: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def take_turns(rounds: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Each side's figures, measured in turns; the first round warms up and does not count."""
    figures: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for side, measured in zip(sides, figures, strict=True):
            figure = side()
            if turn:
                measured.append(figure)
    return figures
