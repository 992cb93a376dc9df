"""Every configuration, driven through random outcomes: what AWS promises of a batch holds at every moment.

The pure machine alone is driven; what is known of it is what it asks for. A model beside it keeps what became of each
record.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import event, given, target
from hypothesis import strategies as st

from pytest_msk.events import Envelope
from pytest_msk.journal import Offsets, offset_runs
from pytest_msk.mapping.batching import Batch
from pytest_msk.mapping.delivery import Delivery, DeliveryState
from pytest_msk.mapping.rules import DeliveryRules
from pytest_msk.mapping.steps import Commit, Done, GiveUp, Invoke, SplitBatch, Wait

TOPIC = "orders"
START = 1_000_000
Place = tuple[int, int]

rules = st.builds(
    DeliveryRules,
    maximum_retry_attempts=st.sampled_from([-1, 0, 1, 2, 5]),
    maximum_record_age_ms=st.sampled_from([None, None, 60_000]),
    bisect=st.booleans(),
    item_failures=st.booleans(),
    strict_order=st.booleans(),
    destination=st.booleans(),
    backoff_ms=st.sampled_from([0, 0, 700, 61_000]),
)


@st.composite
def batches(draw) -> tuple[Batch, dict[int, int]]:
    """A batch of some partitions with gaps in their offsets, and where each of them is committed at the end."""
    found = draw(
        st.dictionaries(
            st.integers(0, 4), st.sets(st.integers(0, 40), min_size=1, max_size=9).map(sorted), min_size=1, max_size=3
        )
    )
    made = Batch(
        number=1,
        reason="size",
        count=sum(map(len, found.values())),
        records={partition: offset_runs(offsets) for partition, offsets in found.items()},
        payload=b"{}",
        closed_ms=START,
        oversized=sum(map(len, found.values())) == 1 and draw(st.booleans()),
        timestamps={p: [draw(st.integers(START - 90_000, START)) for _ in offsets] for p, offsets in found.items()},
        topic=TOPIC,
        envelope=Envelope(bootstrap_servers="b:9092"),
    )
    ends = {partition: offsets[-1] + 1 + draw(st.integers(0, 3)) for partition, offsets in found.items()}
    return made, ends | draw(st.dictionaries(st.integers(5, 6), st.integers(1, 9), max_size=1))


def places(records: Offsets) -> list[Place]:
    return [(partition, offset) for partition, runs in records.items() for run in runs for offset in run]


@dataclass
class Model:
    """What has become of a batch's records, as the machine's answers and the outcomes tell."""

    delivery: Delivery
    ends: dict[int, int]
    fate: dict[Place, str] = field(default_factory=dict)
    calls: Counter[Place] = field(default_factory=Counter)
    failed: set[Place] = field(default_factory=set)
    begun: set[Place] = field(default_factory=set)
    first: list[Place] = field(default_factory=list)
    committed: dict[int, int] = field(default_factory=dict)

    @property
    def open(self) -> list[Place]:
        return [place for place in places(self.delivery.batch.records) if place not in self.fate]

    def settle(self, found: list[Place], how: str) -> None:
        for place in found:
            assert place not in self.fate, f"{place} was {self.fate[place]} already"
            self.fate[place] = how

    def check(self) -> None:
        """No commit passes a record that is not done with, and nothing is forgotten."""
        lowest: dict[int, int] = {}
        for partition, offset in self.open:
            lowest[partition] = min(offset, lowest.get(partition, offset))
        assert all(position <= lowest.get(p, self.ends[p]) for p, position in self.committed.items())
        assert sorted(places(self.delivery.unresolved)) == sorted(self.open)


@given(batches(), rules, st.data())
def test_what_aws_promises_of_a_batch(made, rules, data):
    batch, ends = made
    delivery = Delivery(batch, ends, rules)
    model, now, attempts = Model(delivery, ends), START, 0
    for number in range(400):
        model.check()
        step = delivery.next(now)
        assert delivery.next(now) == step
        if isinstance(step, Done):
            break
        if isinstance(step, Wait):
            assert step.until_ms > now
            now = step.until_ms
        elif isinstance(step, Invoke):
            attempts += 1
            now = attempt(model, step, rules, now, data, calm=number > 60)
        elif isinstance(step, SplitBatch):
            assert rules.bisect
            assert set(places(step.left)) | set(places(step.right)) <= model.failed
            for partition in {*step.left} & {*step.right}:
                assert step.left[partition][-1].stop <= step.right[partition][0].start
            delivery.split()
        elif isinstance(step, GiveUp):
            give_up(model, step, rules, now)
            delivery.given_up()
        else:
            assert isinstance(step, Commit)
            assert step.positions
            assert all(position > model.committed.get(p, -1) for p, position in step.positions.items())
            model.committed.update(step.positions)
            model.check()
            delivery.committed()
    target(attempts)
    assert delivery.state is DeliveryState.DONE, "what need not fail comes to its end"
    assert model.open == []
    assert model.committed == ends
    for how in sorted(set(model.fate.values())):
        event(how)


def attempt(model: Model, step: Invoke, rules: DeliveryRules, now: int, data: st.DataObject, *, calm: bool) -> int:
    """One attempt with a random outcome; what follows from it is noted in the model. Answers the time afterwards."""
    found = places(step.records)
    assert found
    assert not {*found} & {*model.fate}, "nothing comes again that is done with"
    order = places(model.delivery.batch.records)
    assert found == sorted(found, key=order.index), "in the event's order"
    first_open = dict(reversed(model.open))
    for partition in step.records:
        offsets = [o for p, o in found if p == partition]
        assert offsets == sorted(offsets)
        assert offsets[0] == first_open[partition], "nothing passes a record of its partition that is not done with"
    model.begun.update(found)
    ends = (
        "succeeded" if calm else data.draw(st.sampled_from(["succeeded", "failed", "refused", "interrupted", "items"]))
    )
    model.delivery.invoked()
    now += data.draw(st.sampled_from([0, 0, 5, 30_000]))
    if ends == "interrupted":
        model.delivery.interrupted()
        return now
    if ends == "refused":
        model.delivery.refused(now)
        gone = dict.fromkeys(model.ends, 20) if data.draw(st.integers(0, 9)) == 0 else {}
        model.settle(places(model.delivery.truncated(gone)), "expired")
        return now
    model.calls.update(found)
    assert step.attempt == max(model.calls[place] for place in found), "attempts count the calls with these records"
    if ends == "failed":
        model.failed.update(found)
        model.delivery.failed(now)
        return now
    bad = data.draw(st.lists(st.sampled_from(found), min_size=1, unique=True)) if ends == "items" else []
    items = [{"itemIdentifier": {"partition": f"{TOPIC}-{p}", "offset": o}} for p, o in bad]
    strays = bool(items) and data.draw(st.integers(0, 9)) == 0
    if strays:
        items.append({"itemIdentifier": {"partition": f"{TOPIC}-0", "offset": 99}})
    answer = model.delivery.returned({"batchItemFailures": items}, now)
    assert (answer.invalid is not None) == (strays and rules.item_failures)
    if not rules.item_failures:
        bad = []
    if answer.invalid is not None:
        left = set(found)
    elif rules.strict_order:
        lows = {p: min(o for q, o in bad if q == p) for p, _ in bad}
        left = {(p, o) for p, o in found if p in lows and o >= lows[p]}
    else:
        left = set(bad)
    model.failed.update(left)
    model.settle([place for place in found if place not in left], "delivered")
    return now


def give_up(model: Model, step: GiveUp, rules: DeliveryRules, now: int) -> None:
    found = places(step.records)
    assert found
    calls = {model.calls[place] for place in found}
    assert step.invoke_count == max(1, *calls)
    if step.condition == "RetryAttemptsExhausted":
        assert rules.retries is not None
        assert {*found} <= model.failed
        assert step.answered
        if rules.bisect and not rules.item_failures:
            assert len(found) == 1, "a batch is split before it is given up"
        if not rules.bisect:
            assert calls == {rules.retries + 1}
    elif step.condition == "RecordAgeExceeded":
        assert rules.maximum_record_age_ms is not None
        times = {
            (p, o): time
            for p, runs in model.delivery.batch.records.items()
            for o, time in zip((o for run in runs for o in run), model.delivery.batch.timestamps[p], strict=True)
        }
        assert all(now - times[place] > rules.maximum_record_age_ms for place in found)
        assert not step.answered
    else:
        assert model.delivery.batch.oversized
        assert not model.begun
    model.settle(found, step.condition)
