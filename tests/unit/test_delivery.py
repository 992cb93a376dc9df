"""What is to be done next with one batch: the table of states, and every rule that follows from it."""

from __future__ import annotations

import pytest

from pytest_msk.events import Envelope
from pytest_msk.mapping.batching import Batch
from pytest_msk.mapping.delivery import Delivery, DeliveryState
from pytest_msk.mapping.rules import DeliveryRules
from pytest_msk.mapping.steps import Commit, Done, GiveUp, Invoke, SplitBatch, Step, Wait

CLOSED = 1_000
TOPIC = "orders"
CAUSES = ("invoked", "returned", "failed", "interrupted", "refused", "split", "given_up", "committed")
PENDING, RUNNING, FAILED, EXHAUSTED, RESOLVED, DONE = DeliveryState
#: How a batch of two records gets into each state, and where each report takes it; what is not here is refused.
WAYS = {
    PENDING: [],
    RUNNING: ["invoked"],
    FAILED: ["invoked", "failed"],
    EXHAUSTED: ["invoked", "failed", "split", "invoked", "failed"],
    RESOLVED: ["invoked", "returned"],
    DONE: ["invoked", "returned", "committed"],
}
TABLE = {
    (PENDING, "invoked"): RUNNING,
    (RUNNING, "returned"): RESOLVED,
    (RUNNING, "failed"): FAILED,
    (RUNNING, "interrupted"): PENDING,
    (RUNNING, "refused"): PENDING,
    (FAILED, "split"): PENDING,
    (EXHAUSTED, "given_up"): RESOLVED,
    (RESOLVED, "committed"): DONE,
}
SPLITTING = DeliveryRules(maximum_retry_attempts=0, bisect=True)


def batch(**partitions: int | range) -> Batch:
    """A batch of `p0=3` records of partition 0, or of some offsets; their timestamps are their offsets."""
    records = {int(name[1:]): (range(o) if isinstance(o, int) else o,) for name, o in partitions.items()}
    return Batch(
        number=1,
        reason="size",
        count=sum(len(run) for runs in records.values() for run in runs),
        records=records,
        payload=b"{}",
        closed_ms=CLOSED,
        timestamps={partition: list(runs[0]) for partition, runs in records.items()},
        topic=TOPIC,
        envelope=Envelope(bootstrap_servers="b:9092"),
    )


def new(rules: DeliveryRules | None = None, **partitions: int | range) -> Delivery:
    made = batch(**(partitions or {"p0": 2}))
    return Delivery(made, {p: runs[-1].stop for p, runs in made.records.items()}, rules or DeliveryRules())


def report(delivery: Delivery, cause: str, now_ms: int = CLOSED) -> None:
    if cause in ("failed", "refused"):
        getattr(delivery, cause)(now_ms)
    elif cause == "returned":
        delivery.returned(None, now_ms)
    else:
        getattr(delivery, cause)()


def failures(*items: tuple[int, int]) -> dict:
    """A response that reports these (partition, offset)."""
    return {
        "batchItemFailures": [{"itemIdentifier": {"partition": f"{TOPIC}-{p}", "offset": o}} for p, o in items],
    }


def attempt(delivery: Delivery, outcome: object, now_ms: int = CLOSED) -> Step:
    """One attempt, which is due: `"failed"`, `"refused"`, or what the function returns; answers what is next."""
    assert isinstance(delivery.next(now_ms), Invoke)
    delivery.invoked()
    if outcome in ("failed", "refused"):
        getattr(delivery, str(outcome))(now_ms)
    else:
        delivery.returned(outcome, now_ms)
    return delivery.next(now_ms)


# --- the table


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("state", DeliveryState, ids=lambda state: state.name)
def test_every_report_in_every_state(state, cause):
    delivery = new(SPLITTING)
    for way in WAYS[state]:
        report(delivery, way)
    assert delivery.state is state
    before = (delivery.attempts, delivery.unresolved)
    if (state, cause) in TABLE:
        report(delivery, cause)
        assert delivery.state is TABLE[state, cause]
    else:
        with pytest.raises(RuntimeError) as raised:
            report(delivery, cause)
        assert str(raised.value) == f"A batch that is {state.name} cannot be {cause.replace('_', ' ')}."
        assert (delivery.state, delivery.attempts, delivery.unresolved) == (state, *before)


def test_nothing_is_next_while_an_attempt_is_running():
    delivery = new()
    delivery.invoked()
    with pytest.raises(RuntimeError) as raised:
        delivery.next(CLOSED)
    assert str(raised.value) == "An attempt with this batch is running: report its outcome first."


def test_the_answer_stays_the_same_until_something_is_reported():
    delivery = new(DeliveryRules(backoff_ms=500))
    assert [delivery.next(CLOSED), delivery.next(CLOSED)] == [Invoke(attempt=1, records={0: (range(2),)})] * 2
    attempt(delivery, "failed")
    assert [delivery.next(CLOSED), delivery.next(CLOSED + 499)] == [Wait(until_ms=CLOSED + 500)] * 2
    delivery.next(CLOSED + 500)
    delivery.invoked()
    delivery.returned(None, CLOSED + 500)
    assert [delivery.next(CLOSED + 500)] * 2 == [Commit(positions={0: 2})] * 2
    delivery.committed()
    assert [delivery.next(CLOSED + 500), delivery.next(CLOSED + 600)] == [Done(), Done()]


# --- the whole batch (spec 4.1)


def test_a_failed_batch_is_tried_again_whole_without_end():
    delivery = new(DeliveryRules(backoff_ms=500))
    for number in range(1, 200):
        now = CLOSED + 500 * number
        assert delivery.next(now) == Invoke(attempt=number, records=delivery.batch.records)
        assert attempt(delivery, "failed", now) == Wait(until_ms=now + 500)


def test_an_interrupted_attempt_does_not_count():
    delivery = new()
    delivery.invoked()
    assert delivery.attempts == 1
    delivery.interrupted()
    assert delivery.next(CLOSED) == Invoke(attempt=1, records={0: (range(2),)})


def test_throttles_back_off_ever_longer_and_do_not_count():
    delivery, now, pauses = new(DeliveryRules(maximum_retry_attempts=0)), CLOSED, []
    for _ in range(12):
        step = attempt(delivery, "refused", now)
        assert isinstance(step, Wait)
        pauses.append(step.until_ms - now)
        now = step.until_ms
    assert pauses == [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000]
    assert delivery.attempts == 0
    assert attempt(delivery, None, now) == Commit(positions={0: 2})


def test_a_throttle_waits_no_shorter_than_a_failed_attempt():
    delivery = new(DeliveryRules(backoff_ms=700))
    assert attempt(delivery, "refused") == Wait(until_ms=CLOSED + 700)


def test_an_attempt_begins_the_throttles_pauses_anew():
    delivery = new()
    attempt(delivery, "refused")
    attempt(delivery, "refused", CLOSED + 100)
    attempt(delivery, "failed", CLOSED + 300)
    assert attempt(delivery, "refused", CLOSED + 300) == Wait(until_ms=CLOSED + 400)


@pytest.mark.parametrize("response", [None, failures((0, 1)), {"batchItemFailures": "x"}, 5])
def test_a_response_is_not_looked_at_unless_item_failures_are_reported(response):
    assert attempt(new(), response) == Commit(positions={0: 2})


# --- retries that run out (spec 4.2)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_exclude_the_first_attempt(retries):
    delivery = new(DeliveryRules(maximum_retry_attempts=retries))
    for _ in range(retries):
        assert isinstance(attempt(delivery, "failed"), Invoke)
    assert attempt(delivery, "failed") == GiveUp(
        condition="RetryAttemptsExhausted",
        records=delivery.batch.records,
        invoke_count=retries + 1,
        called=True,
        answered=True,
    )
    delivery.given_up()
    assert delivery.next(CLOSED) == Commit(positions={0: 2})
    delivery.committed()
    assert delivery.next(CLOSED) == Done()


@pytest.mark.parametrize(
    ("attempts", "destination", "retries"),
    [(-1, False, None), (-1, True, 10), (0, True, 0), (11, True, 11), (5, False, 5)],
)
def test_unlimited_retries_are_ten_with_a_destination(attempts, destination, retries):
    assert DeliveryRules(maximum_retry_attempts=attempts, destination=destination).retries == retries


def test_with_a_destination_there_are_eleven_invocations():
    delivery, count = new(DeliveryRules(destination=True)), 0
    while not isinstance(delivery.next(CLOSED), GiveUp):
        attempt(delivery, "failed")
        count += 1
    assert count == 11


# --- record age (spec 4.3)


def test_what_is_too_old_is_given_up_before_the_first_attempt_and_the_rest_goes_on():
    delivery = new(DeliveryRules(maximum_record_age_ms=990), p0=range(5, 15))
    assert delivery.next(CLOSED) == GiveUp(
        condition="RecordAgeExceeded", records={0: (range(5, 10),)}, invoke_count=1, called=False, answered=False
    )
    delivery.given_up()
    assert delivery.next(CLOSED) == Commit(positions={0: 10})
    delivery.committed()
    assert delivery.next(CLOSED) == Invoke(attempt=1, records={0: (range(10, 15),)})
    assert attempt(delivery, None) == Commit(positions={0: 15})


def test_what_grows_too_old_between_retries_is_given_up():
    delivery = new(DeliveryRules(maximum_record_age_ms=2_000, backoff_ms=600), p0=2)
    assert attempt(delivery, "failed", 1_000) == Wait(until_ms=1_600)
    assert attempt(delivery, "failed", 1_600) == Wait(until_ms=2_200)
    step = delivery.next(2_200)
    assert step == GiveUp(
        condition="RecordAgeExceeded", records={0: (range(2),)}, invoke_count=2, called=True, answered=False
    )


def test_a_record_may_be_exactly_as_old_as_is_allowed():
    delivery = new(DeliveryRules(maximum_record_age_ms=1_000), p0=1)
    assert isinstance(delivery.next(1_000), Invoke)
    assert isinstance(delivery.next(1_001), GiveUp)


def test_when_all_that_is_first_in_turn_will_be_too_old():
    assert new().too_old_ms is None
    delivery = new(DeliveryRules(maximum_record_age_ms=60_000), p0=3, p1=range(7, 9))
    assert delivery.too_old_ms == 60_009
    attempt(delivery, None)
    delivery.committed()
    assert delivery.too_old_ms is None


# --- splitting (spec 4.4)


def test_a_failed_batch_is_split_and_the_left_half_is_finished_first():
    delivery = new(DeliveryRules(maximum_retry_attempts=1, bisect=True), p0=5)
    assert attempt(delivery, "failed") == SplitBatch(left={0: (range(2),)}, right={0: (range(2, 5),)})
    delivery.split()
    assert delivery.next(CLOSED) == Invoke(attempt=2, records={0: (range(2),)})
    assert attempt(delivery, None) == Commit(positions={0: 2})
    delivery.committed()
    assert delivery.next(CLOSED) == Invoke(attempt=2, records={0: (range(2, 5),)})
    assert attempt(delivery, None) == Commit(positions={0: 5})


def test_a_split_follows_the_events_order_across_partitions():
    delivery = new(DeliveryRules(bisect=True), p2=3, p0=2)
    assert attempt(delivery, "failed") == SplitBatch(left={2: (range(2),)}, right={2: (range(2, 3),), 0: (range(2),)})


def test_a_split_consumes_no_retry_and_halves_count_the_attempts_on():
    """The poison record is found though there are no retries, and is given up after its one retry otherwise."""
    for retries in (0, 1):
        delivery, invoked, given_up = new(DeliveryRules(maximum_retry_attempts=retries, bisect=True), p0=8), [], []
        while not isinstance(step := delivery.next(CLOSED), Done):
            if isinstance(step, Invoke):
                offsets = [o for run in step.records[0] for o in run]
                invoked.append((step.attempt, offsets))
                attempt(delivery, "failed" if 5 in offsets else None)
            elif isinstance(step, SplitBatch):
                delivery.split()
            elif isinstance(step, GiveUp):
                given_up.append((step.records, step.invoke_count))
                delivery.given_up()
            else:
                delivery.committed()
        assert given_up == [({0: (range(5, 6),)}, 4 + retries)]
        assert invoked == [
            (1, [0, 1, 2, 3, 4, 5, 6, 7]), (2, [0, 1, 2, 3]), (2, [4, 5, 6, 7]), (3, [4, 5]), (4, [4]),
            *[(4 + n, [5]) for n in range(retries + 1)], (3, [6, 7]),
        ]  # fmt: skip


def test_a_split_waits_for_the_backoff():
    delivery = new(DeliveryRules(bisect=True, backoff_ms=500))
    attempt(delivery, "failed", 2_000)
    delivery.split()
    assert delivery.next(2_000) == Wait(until_ms=2_500)


# --- item failures (spec 4.5)


def test_only_what_failed_is_tried_again_and_the_commit_stops_at_the_lowest_of_it():
    delivery = new(DeliveryRules(item_failures=True), p0=6, p1=3)
    assert attempt(delivery, failures((0, 4), (0, 2))) == Commit(positions={0: 2, 1: 3})
    delivery.committed()
    left = {0: (range(2, 3), range(4, 5))}
    assert delivery.unresolved == left
    assert delivery.next(CLOSED) == Invoke(attempt=2, records=left)
    assert attempt(delivery, failures((0, 4))) == Commit(positions={0: 4})
    delivery.committed()
    assert attempt(delivery, None) == Commit(positions={0: 6})


def test_nothing_is_committed_twice():
    delivery = new(DeliveryRules(item_failures=True), p0=3)
    assert attempt(delivery, failures((0, 0), (0, 1))) == Invoke(attempt=2, records={0: (range(2),)})
    assert attempt(delivery, failures((0, 0))) == Invoke(attempt=3, records={0: (range(1),)})
    assert attempt(delivery, None) == Commit(positions={0: 3})


def test_in_strict_order_all_from_the_lowest_failure_on_are_tried_again():
    delivery = new(DeliveryRules(item_failures=True, strict_order=True), p0=6, p1=3)
    delivery.invoked()
    answer = delivery.returned(failures((0, 4), (0, 2)), CLOSED)
    assert answer.failed == {0: (range(2, 6),)}
    assert delivery.next(CLOSED) == Commit(positions={0: 2, 1: 3})
    delivery.committed()
    assert delivery.next(CLOSED) == Invoke(attempt=2, records={0: (range(2, 6),)})


def test_item_failures_consume_retries():
    delivery = new(DeliveryRules(item_failures=True, maximum_retry_attempts=1), p0=4)
    attempt(delivery, failures((0, 1), (0, 3)))
    delivery.committed()
    assert attempt(delivery, failures((0, 3))) == GiveUp(
        condition="RetryAttemptsExhausted", records={0: (range(3, 4),)}, invoke_count=2, called=True, answered=True
    )
    delivery.given_up()
    assert delivery.next(CLOSED) == Commit(positions={0: 4})


def test_an_invalid_response_is_a_failure_of_the_whole_batch():
    rules = DeliveryRules(item_failures=True, maximum_retry_attempts=1)
    delivery = new(rules, p0=4)
    delivery.invoked()
    answer = delivery.returned(failures((0, 1), (0, 9)), CLOSED)
    assert answer.invalid == (
        "response['batchItemFailures'][1] names 'orders-0' offset 9, which was not in the event (spec 4.5)."
    )
    assert delivery.next(CLOSED) == Invoke(attempt=2, records=delivery.batch.records)
    assert isinstance(attempt(delivery, 5), GiveUp)


def test_errors_and_invalid_responses_split_and_item_failures_do_not():
    rules = DeliveryRules(item_failures=True, bisect=True)
    assert isinstance(attempt(new(rules), "failed"), SplitBatch)
    assert isinstance(attempt(new(rules), "nonsense"), SplitBatch)
    assert isinstance(attempt(new(rules), failures((0, 0), (0, 1))), Invoke)


def test_a_record_that_succeeded_may_not_be_reported_later():
    delivery = new(DeliveryRules(item_failures=True), p0=3)
    attempt(delivery, failures((0, 1)))
    delivery.committed()
    delivery.invoked()
    assert "offset 0, which was not in the event" in str(delivery.returned(failures((0, 0)), CLOSED).invalid)
    assert delivery.next(CLOSED) == Invoke(attempt=3, records={0: (range(1, 2),)})


# --- too large (spec 3.4), and expired (spec 5.14)


def test_a_record_that_is_too_large_is_given_up_at_once():
    made = batch(p0=1)
    object.__setattr__(made, "oversized", True)
    delivery = Delivery(made, {0: 1}, DeliveryRules())
    assert delivery.next(CLOSED) == GiveUp(
        condition="MaximumPayloadSizeExceeded",
        records={0: (range(1),)},
        invoke_count=1,
        called=False,
        answered=False,
    )
    delivery.given_up()
    assert delivery.next(CLOSED) == Commit(positions={0: 1})


def test_records_that_expired_are_not_tried_again():
    delivery = new(p0=4, p1=3)
    attempt(delivery, "failed")
    assert delivery.truncated({0: 3, 1: 0}) == {0: (range(3),)}
    assert delivery.next(CLOSED) == Commit(positions={0: 3})
    delivery.committed()
    assert delivery.next(CLOSED) == Invoke(attempt=2, records={0: (range(3, 4),), 1: (range(3),)})
    assert delivery.truncated({0: 3, 1: 0}) == {}
    assert delivery.truncated({0: 9, 1: 9}) == {0: (range(3, 4),), 1: (range(3),)}
    assert delivery.next(CLOSED) == Commit(positions={0: 4, 1: 3})
    delivery.committed()
    assert delivery.next(CLOSED) == Done()


def test_both_halves_of_a_split_batch_may_expire():
    delivery = new(DeliveryRules(bisect=True), p0=4)
    attempt(delivery, "failed")
    delivery.split()
    assert delivery.truncated({0: 3}) == {0: (range(3),)}
    assert delivery.next(CLOSED) == Commit(positions={0: 3})
    delivery.committed()
    assert delivery.next(CLOSED) == Invoke(attempt=2, records={0: (range(3, 4),)})


# --- commits


def test_offsets_that_the_filters_put_aside_are_committed_with_the_first_commit_that_passes_them():
    made = batch(p0=range(3, 5))
    delivery = Delivery(made, {0: 9, 1: 4}, DeliveryRules(item_failures=True))
    assert attempt(delivery, failures((0, 4))) == Commit(positions={0: 4, 1: 4})
    delivery.committed()
    assert attempt(delivery, None) == Commit(positions={0: 9})
