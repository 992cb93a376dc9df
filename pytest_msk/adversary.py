"""Adversary: delivers once more what a mapping has delivered, in the ways in which at least once allows it.

Each way goes through everything that succeeded, every partition in its order, to the end: a mapping that lost its
commits, or whose group was set back, would do the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ._ranges import Ranges
from .events import Envelope
from .functions import Delivered
from .journal import Offsets, Redelivered
from .mapping.batching import Batcher
from .mapping.response import read_response
from .records import Record
from .topics import Topic

if TYPE_CHECKING:
    from .mapping import EventSourceMapping

__all__ = ["WAYS", "Way", "assert_idempotent", "redeliver"]

#: How records come again.
Way: TypeAlias = Literal["replay", "split", "mix", "crash"]
WAYS: dict[Way, str] = {
    "replay": "every batch again as it was, as after a crash between the function and the commit",
    "split": "every batch again in smaller ones, as with another batch size or window",
    "mix": "everything in batches that mix the partitions in another way, as after a rebalance",
    "crash": "every batch twice, the second time with the beginning of the next one, as after a crash",
}

#: Outcomes that are looked at between events, to tell after which one they changed.
_LOOKS, _CHARACTERS = 200, 300


def redeliver(esm: EventSourceMapping, *ways: Way, seed: int = 0) -> tuple[Redelivered, ...]:
    """Deliver everything once more that has succeeded; the offsets stay as they are.

    Args:
        esm: a mapping that has been drained.
        ways: how, one after the other; all of `WAYS` by default.
        seed: decides where batches are cut and how partitions are mixed.

    Returns:
        What was delivered, as it stands in the journal.

    Raises:
        AssertionError: the function failed; its own exception is the cause.
        ValueError: there is no such way.
    """
    __tracebackhide__ = True
    return tuple(again for way in _chosen(ways) for again in _deliver(esm, way, seed))


def assert_idempotent(esm: EventSourceMapping, outcome: Callable[[], object], *ways: Way, seed: int = 0) -> None:
    """Assert that the function's outcome stays the same when everything is delivered once more, in several ways.

    Args:
        esm: a mapping that has been drained.
        outcome: gives what the function brings about, such as a table's content, to be compared.
        ways: how records come again; all of `WAYS` by default.
        seed: decides where batches are cut and how partitions are mixed.

    Raises:
        AssertionError: it changed, with the way, the records that came when it first did, and what changed; or the
            function failed on what it had had before.
    """
    __tracebackhide__ = True
    before = copy.deepcopy(outcome())
    for way in _chosen(ways):
        first: Redelivered | None = None
        for number, again in enumerate(_deliver(esm, way, seed)):
            if first is None and number < _LOOKS and outcome() != before:
                first = again
        after = outcome()
        if after != before:
            where = f"\n  first seen after {_places(esm.topic, first.records)} had come again" if first else ""
            raise AssertionError(
                f"{esm.function.name} is not idempotent: its outcome changed when the records of {esm.topic!r} came "
                f"again ({way}: {WAYS[way]}).{where}\n" + "\n".join(_change(before, after))
            )


def _chosen(ways: Sequence[Way]) -> Sequence[Way]:
    for way in ways:
        if way not in WAYS:
            raise ValueError(f"{way!r} is no way of delivering again: there are {', '.join(get_args(Way))}.")
    return ways or tuple(WAYS)


def _deliver(esm: EventSourceMapping, way: Way, seed: int) -> Iterator[Redelivered]:
    __tracebackhide__ = True
    esm.refuse_running()
    topic = Topic(esm.topic, broker=esm.broker, clock=esm.clock, timeout=esm.timeout)
    for records in _PLANS[way](_batches(esm, topic), Random(seed), esm.config.batch_size):
        for payload, offsets in _events(esm, records):
            yield _invoke(esm, way, payload, Delivered(offsets, topic.at))


def _batches(esm: EventSourceMapping, topic: Topic) -> list[list[Record]]:
    """What succeeded, batch by batch, each record once, as far as the log still has it."""
    present = {partition: Ranges(runs) for partition, runs in esm.broker.offsets(esm.topic).items()}
    done: dict[int, Ranges] = {}
    batches = []
    for call in esm.journal.invocations:
        wanted = {}
        for partition, runs in call.succeeded.items():
            seen = done.setdefault(partition, Ranges())
            new = [part for run in runs for part in seen.missing(run)]
            for part in new:
                seen.add(part)
            if left := tuple(part for run in new for part in present.get(partition, Ranges()).overlap(run)):
                wanted[partition] = left
        if wanted:
            batches.append(topic.at(wanted))
    return batches


def _replay(batches: list[list[Record]], _random: Random, _size: int) -> Iterator[list[Record]]:
    yield from batches


def _split(batches: list[list[Record]], random: Random, _size: int) -> Iterator[list[Record]]:
    for batch in batches:
        left = batch
        while left:
            cut = random.randint(1, max(1, len(left) - 1))
            yield left[:cut]
            left = left[cut:]


def _mix(batches: list[list[Record]], random: Random, size: int) -> Iterator[list[Record]]:
    queues: dict[int, list[Record]] = {}
    for record in (record for batch in batches for record in batch):
        queues.setdefault(record.partition, []).append(record)
    order = [partition for partition, queue in queues.items() for _ in queue]
    random.shuffle(order)
    heads = {partition: iter(queue) for partition, queue in queues.items()}
    mixed = [next(heads[partition]) for partition in order]
    for start in range(0, len(mixed), size):
        yield mixed[start : start + size]


def _crash(batches: list[list[Record]], random: Random, size: int) -> Iterator[list[Record]]:
    for number, batch in enumerate(batches, 1):
        following = batches[number] if number < len(batches) else []
        yield batch
        room = max(0, min(size - len(batch), len(following)))
        yield [*batch, *following[: random.randint(0, room)]]


_PLANS: dict[Way, Callable[[list[list[Record]], Random, int], Iterator[list[Record]]]] = {
    "replay": _replay,
    "split": _split,
    "mix": _mix,
    "crash": _crash,
}


def _events(esm: EventSourceMapping, records: list[Record]) -> Iterator[tuple[bytes, Offsets]]:
    """The events of these records: one, unless it would be too large."""
    config = esm.config
    envelope = Envelope(bootstrap_servers=esm.broker.bootstrap_servers, event_source_arn=config.event_source_arn)
    batcher = Batcher(esm.topic, envelope, max(config.batch_size, len(records)))
    grouped: dict[int, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.partition, []).append(record)
    for partition, group in grouped.items():
        left = group
        while left:
            texts = (record.to_json(null_tombstones=config.null_tombstones) for record in left)
            left = left[batcher.add(partition, [record.offset for record in left], texts) :]
            if left:
                batch = batcher.close(esm.clock.now_ms())
                yield batch.payload, batch.records
    if batcher.count:
        batch = batcher.close(esm.clock.now_ms())
        yield batch.payload, batch.records


def _invoke(esm: EventSourceMapping, way: Way, payload: bytes, delivered: Delivered) -> Redelivered:
    __tracebackhide__ = True
    invocation = esm.function.invoke(payload, esm.clock, delivered=delivered)
    error = None if invocation.error is None else str(invocation.error)
    if error is None and esm.config.report_batch_item_failures:
        response = read_response(invocation.result, esm.topic, delivered.offsets)
        if response.failed:
            error = f"batchItemFailures for {_places(esm.topic, response.failed)}"
        elif response.invalid is not None:
            error = f"an invalid response: {response.invalid}"
    again = Redelivered(
        time_ms=esm.clock.now_ms(),
        way=way,
        records=delivered.offsets,
        request_id=invocation.request_id,
        error=error,
    )
    esm.journal.append(again)
    if error is not None:
        raise AssertionError(
            f"{esm.function.name} is not idempotent: it failed when {_places(esm.topic, delivered.offsets)} came again "
            f"({way}: {WAYS[way]}) with {error}. A mapping would deliver them for ever."
        ) from (None if invocation.error is None else invocation.error.exception)
    return again


def _places(topic: str, records: Offsets) -> str:
    return "; ".join(
        f"{topic}-{partition} offsets {', '.join(f'{run.start}-{run.stop - 1}' for run in runs)}"
        for partition, runs in records.items()
    )


def _change(before: object, after: object) -> Iterator[str]:
    """What differs; of two mappings their members."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [n for n in dict.fromkeys([*before, *after]) if before.get(n, ...) != after.get(n, ...)]
        for name in names[:5]:
            was = _cut(before[name]) if name in before else "(absent)"
            yield f"  {name!r}: {was} before, {_cut(after[name]) if name in after else '(absent)'} after"
        if len(names) > 5:
            yield f"  ... and {len(names) - 5} more"
    else:
        yield f"  before: {_cut(before)}"
        yield f"  after:  {_cut(after)}"


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 3]}..."
