"""The response table: what a function's answer means for the records that it was called with (spec 4.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.journal import offset_runs
from pytest_msk.mapping.response import BatchResponse, read_response

TOPIC = "my-topic"
RECORDS = {0: (range(100, 103), range(105, 106)), 1: (range(7, 8),)}
FAILURES = "response['batchItemFailures']"
IDENTIFIER = f"{FAILURES}[0]['itemIdentifier']"


def items(*identifiers: object) -> dict:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


def item(partition: object = "my-topic-0", offset: object = 100) -> dict:
    return {"partition": partition, "offset": offset}


@pytest.mark.parametrize(
    "response",
    [
        None, "", [], {}, {"batchItemFailures": []}, {"batchItemFailures": None},
        {"statusCode": 200, "body": "charged"},
    ],
    ids=repr,
)  # fmt: skip
def test_responses_that_mean_success(response):
    assert read_response(response, TOPIC, RECORDS) == BatchResponse()


@pytest.mark.parametrize(
    ("response", "failed"),
    [
        (items(item()), {0: (range(100, 101),)}),
        (items(item("my-topic-1", 7)), {1: (range(7, 8),)}),
        (items(item("my-topic-1", 7), item(offset=105), item(offset=100), item(offset=101)),
         {0: (range(100, 102), range(105, 106)), 1: (range(7, 8),)}),
        (items(item(), item()), {0: (range(100, 101),)}),
        (items(*(item(offset=o) for o in (100, 101, 102, 105)), item("my-topic-1", 7)), RECORDS),
        ({**items(item()), "statusCode": 200}, {0: (range(100, 101),)}),
        (items({**item(), "topic": "my-topic"}), {0: (range(100, 101),)}),
    ],
)  # fmt: skip
def test_responses_that_report_some_records(response, failed):
    answer = read_response(response, TOPIC, RECORDS)
    assert answer == BatchResponse(failed=failed)
    assert list(answer.failed) == [partition for partition in RECORDS if partition in failed]


INVALID = [
    ("done", "response is 'done': it is an object with 'batchItemFailures', or nothing (spec 4.5)."),
    (0, "response is 0: it is an object with 'batchItemFailures', or nothing (spec 4.5)."),
    (False, "response is False: it is an object with 'batchItemFailures', or nothing (spec 4.5)."),
    ([item()], "response is [{'partition': 'my-topic-0', 'offset': 100}]: it is an object with 'batchItemFailures', or "
     "nothing (spec 4.5)."),
    ({"batchItemFailures": ""}, f"{FAILURES} is '': it is a list (spec 4.5)."),
    ({"batchItemFailures": {}}, f"{FAILURES} is {{}}: it is a list (spec 4.5)."),
    ({"batchItemFailures": ["my-topic-0-100"]},
     f"{FAILURES}[0] is 'my-topic-0-100': it is an object with 'itemIdentifier' (spec 4.5)."),
    ({"batchItemFailures": [None]}, f"{FAILURES}[0] is None: it is an object with 'itemIdentifier' (spec 4.5)."),
    (items(None), f"{IDENTIFIER} is None: it is an object with 'partition' and 'offset' (spec 4.5)."),
    (items(""), f"{IDENTIFIER} is '': it is an object with 'partition' and 'offset' (spec 4.5)."),
    (items("my-topic-0-100"),
     f"{IDENTIFIER} is 'my-topic-0-100': it is an object with 'partition' and 'offset' (spec 4.5)."),
    ({"batchItemFailures": [{"foo": item()}]},
     f"{IDENTIFIER} is missing: it is an object with 'partition' and 'offset' (spec 4.5)."),
    ({"batchItemFailures": [{"foo": None}]},
     f"{IDENTIFIER} is missing: it is an object with 'partition' and 'offset' (spec 4.5)."),
    (items({"foo": 1}),
     f"{IDENTIFIER}['partition'] is missing: it is topic and partition, such as 'orders-0' (spec 4.5)."),
    (items(item(0)), f"{IDENTIFIER}['partition'] is 0: it is topic and partition, such as 'orders-0' (spec 4.5)."),
    (items({"partition": "my-topic-0"}), f"{IDENTIFIER}['offset'] is missing: it is a whole number (spec 4.5)."),
    (items(item(offset="100")), f"{IDENTIFIER}['offset'] is '100': it is a whole number (spec 4.5)."),
    (items(item(offset=100.0)), f"{IDENTIFIER}['offset'] is 100.0: it is a whole number (spec 4.5)."),
    (items(item(offset=True)), f"{IDENTIFIER}['offset'] is True: it is a whole number (spec 4.5)."),
    (items(item(offset=None)), f"{IDENTIFIER}['offset'] is None: it is a whole number (spec 4.5)."),
    (items(item(offset=103)), f"{FAILURES}[0] names 'my-topic-0' offset 103, which was not in the event (spec 4.5)."),
    (items(item("my-topic-1")), f"{FAILURES}[0] names 'my-topic-1' offset 100, which was not in the event (spec 4.5)."),
    (items(item("my-topic-2")), f"{FAILURES}[0] names 'my-topic-2' offset 100, which was not in the event (spec 4.5)."),
    (items(item("my-topic")), f"{FAILURES}[0] names 'my-topic' offset 100, which was not in the event (spec 4.5)."),
    (items(item(), item(offset=-1)),
     f"{FAILURES}[1] names 'my-topic-0' offset -1, which was not in the event (spec 4.5)."),
]  # fmt: skip


@pytest.mark.parametrize(("response", "reason"), INVALID, ids=[reason[:70] for _, reason in INVALID])
def test_responses_that_fail_the_whole_batch_say_why(response, reason):
    assert read_response(response, TOPIC, RECORDS) == BatchResponse(invalid=reason)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["batchItemFailures", "itemIdentifier", "partition", "offset", "x"]), inner, max_size=3
    ),
)  # fmt: skip


@given(json)
def test_any_response_is_success_some_records_of_the_event_or_invalid(response):
    answer = read_response(response, TOPIC, RECORDS)
    assert answer.invalid is None or answer.failed == {}
    assert answer.failed == {}, "none of these names a partition of the event"


@given(st.sets(st.sampled_from([(0, 100), (0, 101), (0, 102), (0, 105), (1, 7)])))
def test_what_is_reported_is_what_failed(failed):
    answer = read_response(items(*(item(f"{TOPIC}-{p}", o) for p, o in failed)), TOPIC, RECORDS)
    wanted = {p: offset_runs(sorted(o for q, o in failed if q == p)) for p in RECORDS}
    assert answer.failed == {p: runs for p, runs in wanted.items() if runs}
