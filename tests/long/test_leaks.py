"""Nothing but the session's broker outlives its test."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_msk.clock import VirtualClock
from pytest_msk.sandbox import Sandbox

psutil = pytest.importorskip("psutil")

_MAPPINGS = 500


def _use_one(broker, number: int) -> None:
    """A test's life: a topic, a record, a mapping that delivers it, stepped or in the background."""
    delivered = []
    sandbox = Sandbox(broker, VirtualClock(), f"leak-{number}", timeout=60)
    try:
        topic = sandbox.topic(partitions=2)
        topic.produce({"number": number})
        esm = sandbox.mapping(
            lambda event, context: delivered.append(event), topic, maximum_batching_window_in_seconds=0
        )
        if number % 5:
            esm.drain()
        else:
            with esm.running():
                esm.wait_until(lambda: delivered)
        assert len(delivered) == 1
    finally:
        sandbox.close()


def _held(broker) -> dict[str, object]:
    process = psutil.Process()
    return {
        "threads of Python": sorted(thread.name for thread in threading.enumerate()),
        "threads of the process": process.num_threads(),
        "descriptors": process.num_handles() if psutil.WINDOWS else process.num_fds(),
        "topics": broker.topics(),
        "groups": broker.groups(),
    }


def test_closed_mappings_leave_nothing_behind(msk_broker):
    for number in range(20):  # what is made once and kept has been made now
        _use_one(msk_broker, number)
    before = _held(msk_broker)
    for number in range(_MAPPINGS):
        _use_one(msk_broker, number)
    deadline = time.monotonic() + 10  # a client's last connection may be closed by its other side a moment later
    while (after := _held(msk_broker)) != before and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert after == before
