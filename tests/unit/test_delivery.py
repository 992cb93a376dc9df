"""What is to be done next with one batch: the table of states, and every rule that follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.mapping.batching import Batch
from pytest_msk.mapping.delivery import Commit, Delivery, DeliveryState, Done, Invoke, Wait

CLOSED = 1_000
CAUSES = ("invoked", "succeeded", "failed", "interrupted", "refused", "committed")
READY, RUNNING, WAITING, DELIVERED, DONE = DeliveryState
#: How a batch gets into each state, and where each report takes it; what is not here is refused.
WAYS = {
    READY: [],
    RUNNING: ["invoked"],
    WAITING: ["invoked", "failed"],
    DELIVERED: ["invoked", "succeeded"],
    DONE: ["invoked", "succeeded", "committed"],
}
TABLE = {
    (READY, "invoked"): RUNNING,
    (RUNNING, "succeeded"): DELIVERED,
    (RUNNING, "failed"): WAITING,
    (RUNNING, "interrupted"): READY,
    (RUNNING, "refused"): WAITING,
    (DELIVERED, "committed"): DONE,
}


def new(backoff_ms: int = 0) -> Delivery:
    batch = Batch(number=1, reason="size", count=1, records={0: (range(1),)}, payload=b"{}", closed_ms=CLOSED)
    return Delivery(batch, backoff_ms=backoff_ms)


def report(delivery: Delivery, cause: str, now_ms: int = CLOSED) -> None:
    if cause in ("failed", "refused"):
        getattr(delivery, cause)(now_ms)
    else:
        getattr(delivery, cause)()


def brought_to(state: DeliveryState, **settings) -> Delivery:
    delivery = new(**settings)
    for cause in WAYS[state]:
        report(delivery, cause)
    assert delivery.state is state
    return delivery


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("state", DeliveryState, ids=lambda state: state.name)
def test_every_report_in_every_state(state, cause):
    delivery = brought_to(state)
    before = (delivery.attempts, delivery.state)
    if (state, cause) in TABLE:
        report(delivery, cause)
        assert delivery.state is TABLE[state, cause]
    else:
        with pytest.raises(RuntimeError) as raised:
            report(delivery, cause)
        assert str(raised.value) == f"A batch that is {state.name} cannot be {cause}."
        assert (delivery.attempts, delivery.state) == before


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (READY, Invoke(attempt=1)),
        (WAITING, Wait(until_ms=CLOSED + 500)),
        (DELIVERED, Commit()),
        (DONE, Done()),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_is_next_in_every_state(state, step):
    delivery = brought_to(state, backoff_ms=500)
    assert [delivery.next(CLOSED), delivery.next(CLOSED + 499)] == [step, step]
    assert delivery.state is state


def test_nothing_is_next_while_an_attempt_is_running():
    with pytest.raises(RuntimeError) as raised:
        brought_to(RUNNING).next(CLOSED)
    assert str(raised.value) == "An attempt with this batch is running: report its outcome first."


def test_a_failed_attempt_is_followed_by_the_next_after_the_backoff():
    delivery = new(backoff_ms=500)
    delivery.invoked()
    delivery.failed(4_000)
    assert delivery.next(4_499) == Wait(until_ms=4_500)
    assert delivery.next(4_500) == Invoke(attempt=2)


def test_without_a_backoff_the_next_attempt_is_due_at_once():
    delivery = brought_to(WAITING)
    assert delivery.next(CLOSED) == Invoke(attempt=2)


def test_an_interrupted_attempt_does_not_count():
    delivery = brought_to(RUNNING)
    assert delivery.attempts == 1
    delivery.interrupted()
    assert delivery.attempts == 0
    assert delivery.next(CLOSED) == Invoke(attempt=1)


def test_a_refused_call_waits_like_a_failed_attempt_and_does_not_count():
    delivery = new(backoff_ms=500)
    delivery.invoked()
    delivery.refused(4_000)
    assert delivery.attempts == 0
    assert delivery.next(4_499) == Wait(until_ms=4_500)
    assert delivery.next(4_500) == Invoke(attempt=1)


@given(
    st.integers(0, 60_000),
    st.lists(
        st.tuples(st.sampled_from(["succeeded", "failed", "interrupted", "refused"]), st.integers(0, 10_000)),
        max_size=12,
    ),
)
def test_a_batch_is_tried_until_it_succeeds_and_committed_only_then(backoff, outcomes):
    delivery, now, failures = new(backoff), CLOSED, 0
    for outcome, passed in outcomes:
        step = delivery.next(now)
        if isinstance(step, Wait):
            assert now < step.until_ms <= now + backoff
            now = step.until_ms
            step = delivery.next(now)
        assert step == Invoke(attempt=failures + 1)
        delivery.invoked()
        assert delivery.attempts == failures + 1
        now += passed
        report(delivery, outcome, now)
        failures += outcome == "failed"
        if outcome == "succeeded":
            assert delivery.next(now) == Commit()
            delivery.committed()
            assert delivery.next(now) == Done()
            assert delivery.attempts == failures + 1
            return
        assert not isinstance(delivery.next(now), Commit | Done)
        assert delivery.attempts == failures
