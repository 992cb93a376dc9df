"""The Hypothesis strategies: what they draw is what a mapping could send, and they reach what handlers forget."""

from __future__ import annotations

import itertools

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pytest_msk import Record, decode, msk_event, validate_event
from pytest_msk._partitioner import partition_of
from pytest_msk.strategies import events, records


@given(events())
def test_an_event_is_one_that_a_mapping_sends(event):
    assert validate_event(event) == []
    assert len(decode(event)) <= 10
    assert len(event["records"]) <= 3
    assert len({record.timestamp_type for record in decode(event)}) == 1, "it is a setting of the topic"


@given(records())
def test_a_record_alone_makes_an_event(record):
    assert decode(msk_event([record])) == (record,)


@given(events(max_partitions=1, max_records=2, topic="orders", event_source="SelfManagedKafka"))
def test_an_event_has_what_was_asked_for(event):
    assert event["eventSource"] == "SelfManagedKafka"
    assert list(event["records"]) == ["orders-0"]
    assert len(event["records"]["orders-0"]) <= 2


@given(
    events(
        keys=st.sampled_from(["a", "b"]),
        values=st.builds(lambda n: {"id": n}, st.integers(0, 9)),
        headers=st.just({"trace-id": "ë"}),
    )
)
def test_keys_values_and_headers_are_drawn_from_what_was_given(event):
    for record in decode(event):
        assert record.key_text in {"a", "b"}
        assert record.json()["id"] in range(10)
        assert record.headers == (("trace-id", "ë".encode()),)


@given(records(topic="orders", keys=st.none(), values=st.just("v"), headers=st.just(())))
def test_a_record_is_drawn_from_what_was_given(record):
    assert (record.topic, record.key, record.value, record.headers) == ("orders", None, b"v", ())


@given(events(max_partitions=5))
def test_a_key_has_one_partition(event):
    partitions: dict[bytes, set[int]] = {}
    for record in decode(event):
        if record.key is not None:
            partitions.setdefault(record.key, set()).add(record.partition)
    assert all(len(found) == 1 for found in partitions.values())
    count = max((record.partition for record in decode(event)), default=0) + 1
    assert any(all({partition_of(key, n)} == found for key, found in partitions.items()) for n in range(count, 6))


def gap(event: dict) -> bool:
    return any(
        later["offset"] - earlier["offset"] > 1
        for group in event["records"].values()
        for earlier, later in itertools.pairwise(group)
    )


REACHED = {
    "no key": lambda event: any(r.key is None for r in decode(event)),
    "empty key": lambda event: any(r.key == b"" for r in decode(event)),
    "tombstone": lambda event: any(r.value is None for r in decode(event)),
    "empty value": lambda event: any(r.value == b"" for r in decode(event)),
    "negative header byte": lambda event: any(
        byte > 127 for r in decode(event) for _, value in r.headers for byte in value
    ),
    "header twice": lambda event: any(len(r.headers) > len(dict(r.headers)) for r in decode(event)),
    "two partitions": lambda event: len(event["records"]) > 1,
    "gap": gap,
    "self-managed": lambda event: event["eventSource"] == "SelfManagedKafka",
    "log append time": lambda event: any(r.timestamp_type == "LOG_APPEND_TIME" for r in decode(event)),
    "no text": lambda event: any(_is_no_text(r) for r in decode(event)),
}  # fmt: skip


def _is_no_text(record: Record) -> bool:
    try:
        _ = record.text
    except ValueError:
        return True
    return False


def test_events_reach_what_handlers_forget():
    reached = set()

    @settings(max_examples=200, derandomize=True, phases=[Phase.generate])
    @given(events())
    def look(event):
        reached.update(name for name, is_there in REACHED.items() if is_there(event))

    look()
    assert reached == set(REACHED)
