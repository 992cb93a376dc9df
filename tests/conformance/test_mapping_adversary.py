"""Everything once more: in four ways, in every partition's order, and the function's outcome is to stay the same."""

from __future__ import annotations

import pytest

from pytest_msk import MskError, assert_at_least_once, assert_exactly_once, assert_idempotent, assert_ordered, decode
from pytest_msk.adversary import WAYS
from pytest_msk.journal import Redelivered


class Wallet:
    """Adds amounts up; an idempotent one knows which records it has had."""

    def __init__(self, *, idempotent: bool) -> None:
        self.idempotent = idempotent
        self.balances: dict[str, int] = {}
        self.seen: set[tuple[int, int]] = set()
        self.calls: list[list[tuple[int, int]]] = []

    def __call__(self, event, context):
        records = decode(event)
        self.calls.append([(record.partition, record.offset) for record in records])
        for record in records:
            place = (record.partition, record.offset)
            if not (self.idempotent and place in self.seen):
                self.balances[record.key_text] = self.balances.get(record.key_text, 0) + record.json()["amount"]
            self.seen.add(place)


@pytest.fixture
def drained(msk_topic, msk_esm):
    """Makes a drained mapping of 40 records in three partitions."""

    def make(function, **parameters):
        topic = msk_topic(partitions=3)
        topic.produce_many(({"amount": n} for n in range(40)), key=lambda value: f"c-{value['amount'] % 7}")
        esm = msk_esm(function, topic, batch_size=9, **parameters)
        esm.drain()
        return esm

    return make


def test_an_idempotent_function_passes(drained):
    wallet = Wallet(idempotent=True)
    esm = drained(wallet)
    before = esm.broker.committed(esm.consumer_group_id, esm.topic)
    assert_idempotent(esm, lambda: wallet.balances)
    assert {again.way for again in esm.journal.of(Redelivered)} == set(WAYS)
    assert esm.broker.committed(esm.consumer_group_id, esm.topic) == before
    assert_at_least_once(esm)
    assert_ordered(esm)
    assert_exactly_once(esm)


@pytest.mark.parametrize("way", WAYS)
def test_a_function_that_is_not_idempotent_is_found_in_each_way(drained, way):
    wallet = Wallet(idempotent=False)
    esm = drained(wallet)
    with pytest.raises(AssertionError) as raised:
        assert_idempotent(esm, lambda: wallet.balances, way)
    first, seen, *changes = str(raised.value).splitlines()
    assert first == (
        f"Wallet is not idempotent: its outcome changed when the records of {esm.topic!r} came again "
        f"({way}: {WAYS[way]})."
    )
    assert seen.startswith(f"  first seen after {esm.topic}-")
    assert all(line.startswith(("  'c-", "  ... and")) for line in changes)
    assert changes


@pytest.mark.parametrize("way", WAYS)
def test_each_way_delivers_everything_in_every_partitions_order(drained, way):
    wallet = Wallet(idempotent=True)
    esm = drained(wallet)
    original, wallet.calls = wallet.calls, []
    again = esm.redeliver_everything(way)
    assert len(again) == len(wallet.calls)
    places = [place for call in wallet.calls for place in call]
    assert set(places) == {place for call in original for place in call}
    first = list(dict.fromkeys(places))
    for partition in range(3):
        offsets = [offset for p, offset in first if p == partition]
        assert offsets == sorted(offsets)
    assert all(len(call) <= 9 for call in wallet.calls)
    if way == "replay":
        assert wallet.calls == original
    else:
        assert wallet.calls != original
    if way == "crash":
        assert len(places) >= 2 * len(first)
    else:
        assert len(places) == len(first)


def test_the_same_seed_gives_the_same_events(drained):
    wallet = Wallet(idempotent=True)
    esm = drained(wallet)
    runs = []
    for seed in (1, 1, 2):
        wallet.calls = []
        esm.redeliver_everything(seed=seed)
        runs.append(wallet.calls)
    assert runs[0] == runs[1] != runs[2]


def test_a_function_that_fails_on_what_it_had_is_not_idempotent(drained):
    taken = set()

    def insert(event, context):
        for record in decode(event):
            if (record.partition, record.offset) in taken:
                raise KeyError("duplicate key")
            taken.add((record.partition, record.offset))

    esm = drained(insert)
    with pytest.raises(
        AssertionError, match=r"insert is not idempotent: it failed when .* came again \(replay"
    ) as raised:
        esm.redeliver_everything()
    assert isinstance(raised.value.__cause__, KeyError)
    (again,) = esm.journal.of(Redelivered)
    assert again.error == "KeyError: 'duplicate key'"


def test_what_never_succeeded_does_not_come_again(msk_topic, msk_esm):
    calls = []

    def fail_first(event, context):
        calls.append([record.offset for record in decode(event)])
        if len(calls) == 1:
            raise ValueError("no")

    topic = msk_topic()
    topic.produce_many("abc")
    esm = msk_esm(fail_first, topic)
    esm.step()  # nothing has succeeded yet
    assert esm.redeliver_everything() == ()
    esm.drain()
    assert calls == [[0, 1, 2]] * 2
    esm.redeliver_everything("replay")
    assert calls == [[0, 1, 2]] * 3


def test_records_that_have_expired_do_not_come_again(msk_topic, msk_esm):
    calls = []
    topic = msk_topic()
    topic.produce_many("abc")
    esm = msk_esm(lambda event, context: calls.append([record.offset for record in decode(event)]), topic)
    esm.drain()
    topic.expire(before=2)
    calls.clear()
    esm.redeliver_everything("replay")
    assert calls == [[2]]


def test_an_unknown_way_is_refused_with_those_that_there_are(drained):
    esm = drained(Wallet(idempotent=True))
    with pytest.raises(ValueError, match="'twice' is no way of delivering again: there are replay, split, mix, crash"):
        esm.redeliver_everything("twice")


def test_a_mapping_in_the_background_is_refused(drained):
    esm = drained(Wallet(idempotent=True))
    with esm.running(), pytest.raises(MskError, match="runs in the background"):
        esm.redeliver_everything()
