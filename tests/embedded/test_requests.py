"""Requests in parts, and answers that say an error: for every API and version that the broker speaks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_wire import EVERY_API, messages

from pytest_msk.brokers.embedded.answers import error_answer, merged
from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.messages.admin import DELETE_TOPICS
from pytest_msk.brokers.embedded.messages.groups import DESCRIBE_GROUPS, JOIN_GROUP
from pytest_msk.brokers.embedded.messages.metadata import METADATA
from pytest_msk.brokers.embedded.messages.records import FETCH, PRODUCE
from pytest_msk.brokers.embedded.requests import Part, Request, RequestFilter, api_named, narrowed, split
from pytest_msk.brokers.embedded.wire import Api, fields_of
from pytest_msk.errors import BrokerError


def request(api: str, **body: object) -> Request:
    return Request(api=api, version=0, node=1, client_id="app", body=body)


TWO_TOPICS = [
    {"name": "a", "partitions": [{"index": 0}, {"index": 1}]},
    {"name": "b", "partitions": [{"index": 0}]},
]


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ({"topics": TWO_TOPICS}, [Part("a", 0), Part("a", 1), Part("b", 0)]),
        ({"group_id": "g", "topics": TWO_TOPICS}, [Part("a", 0, "g"), Part("a", 1, "g"), Part("b", 0, "g")]),
        ({"group_id": "g", "topics": None}, [Part(group="g")]),
        ({"topics": [{"name": "a", "partitions": [3, 4]}]}, [Part("a", 3), Part("a", 4)]),
        ({"topics": [{"name": "a", "configs": []}]}, [Part("a")]),
        ({"topics": [], "topic_names": ["a", "b"]}, [Part("a"), Part("b")]),
        ({"groups": ["g", "h"]}, [Part(group="g"), Part(group="h")]),
        ({"groups": [{"group_id": "g", "topics": TWO_TOPICS[1:]}]}, [Part("b", 0, "g")]),
        ({"key": "g", "key_type": 0}, [Part(group="g")]),
        ({"key": "tx", "key_type": 1}, [Part()]),
        ({"key": "", "key_type": 0, "coordinator_keys": ["g", "h"]}, [Part(group="g"), Part(group="h")]),
        ({"resources": [{"resource_type": 2, "resource_name": "a"}]}, [Part("a")]),
        ({"resources": [{"resource_type": 4, "resource_name": "1"}]}, [Part()]),
        ({"group_id": "g", "member_id": "m"}, [Part(group="g")]),
        ({"states_filter": []}, [Part()]),
    ],
)
def test_what_a_request_asks_for(body: dict[str, object], parts: list[Part]) -> None:
    assert list(request("x", **body).parts) == parts


def test_names_in_a_request() -> None:
    commit = request("OffsetCommit", group_id="g", topics=TWO_TOPICS)
    assert commit.topics == {"a", "b"}
    assert commit.partitions == {("a", 0), ("a", 1), ("b", 0)}
    assert commit.groups == {"g"}


def test_a_request_is_cut_in_two() -> None:
    rest, those = split({"acks": 1, "topics": TWO_TOPICS}, lambda part: part == Part("a", 1))
    assert rest == {"acks": 1, "topics": [{"name": "a", "partitions": [{"index": 0}]}, TWO_TOPICS[1]]}
    assert those == {"acks": 1, "topics": [{"name": "a", "partitions": [{"index": 1}]}]}
    assert split({"topics": TWO_TOPICS}, lambda part: False) == ({"topics": TWO_TOPICS}, None)
    assert split({"topics": TWO_TOPICS}, lambda part: True) == (None, {"topics": TWO_TOPICS})
    assert split({"group_id": "g"}, lambda part: part.group == "g") == (None, {"group_id": "g"})


@settings(max_examples=20)
@given(data=st.data())
@EVERY_API
def test_every_request_can_be_cut_and_put_together(api: Api, data: st.DataObject) -> None:
    version = data.draw(st.integers(*api.versions))
    body = data.draw(messages(fields_of(api.request), version))
    parts: list[Part] = []
    narrowed(body, lambda part: not parts.append(part))
    meant = set(data.draw(st.lists(st.sampled_from(parts)))) if parts else set()
    rest, those = split(body, meant.__contains__)
    assert (rest is None) == (set(parts) <= meant)
    assert (those is None) == (not meant)
    for piece in (rest, those):
        if piece is not None:
            b"".join(api.encode_request(version, piece))


@settings(max_examples=20)
@given(data=st.data(), code=st.sampled_from(ErrorCode))
@EVERY_API
def test_every_request_can_be_answered_with_an_error(api: Api, data: st.DataObject, code: ErrorCode) -> None:
    version = data.draw(st.integers(*api.versions))
    body = data.draw(messages(fields_of(api.request), version))
    answer = error_answer(api, version, body, code, "because")
    if answer is None:
        return
    raw = b"".join(api.encode_response(version, answer))
    assert str(int(code)) in str(api.decode_response(version, raw))


def test_an_error_of_a_produce_is_as_kafka_writes_it() -> None:
    body = {"acks": -1, "topics": [{"name": "t", "partitions": [{"index": 3, "records": b"x"}]}]}
    assert error_answer(PRODUCE, 8, body, ErrorCode.NOT_ENOUGH_REPLICAS, "text") == {
        "topics": [
            {
                "name": "t",
                "partitions": [
                    {
                        "index": 3,
                        "error_code": 19,
                        "base_offset": -1,
                        "log_append_time_ms": -1,
                        "log_start_offset": -1,
                        "record_errors": [],
                        "error_message": "text",
                    }
                ],
            }
        ],
        "throttle_time_ms": 0,
    }


def test_errors_where_request_and_answer_have_other_names() -> None:
    join = error_answer(JOIN_GROUP, 5, {"group_id": "g", "member_id": "m", "protocol_type": "consumer"}, ErrorCode(24))
    assert (join["error_code"], join["generation_id"], join["member_id"]) == (24, -1, "m")
    described = error_answer(DESCRIBE_GROUPS, 5, {"groups": ["g", "h"]}, ErrorCode.NOT_COORDINATOR)
    assert [(each["group_id"], each["error_code"]) for each in described["groups"]] == [("g", 16), ("h", 16)]
    deleted = error_answer(DELETE_TOPICS, 3, {"topics": (), "topic_names": ["t"]}, ErrorCode.POLICY_VIOLATION)
    assert [(each["name"], each["error_code"]) for each in deleted["responses"]] == [("t", 44)]


def test_an_answer_without_a_place_for_an_error_is_none() -> None:
    assert error_answer(METADATA, 9, {"topics": []}, ErrorCode.LEADER_NOT_AVAILABLE) is None
    assert error_answer(FETCH, 6, {"topics": []}, ErrorCode.KAFKA_STORAGE_ERROR) is None
    assert error_answer(FETCH, 7, {"topics": []}, ErrorCode.KAFKA_STORAGE_ERROR) is not None


def test_answers_are_put_together_topic_by_topic() -> None:
    one = {"throttle_time_ms": 0, "topics": [{"name": "a", "partitions": [{"index": 0, "error_code": 0}]}]}
    other = {
        "throttle_time_ms": 0,
        "topics": [
            {"name": "a", "partitions": [{"index": 1, "error_code": 6}]},
            {"name": "b", "partitions": [{"index": 0, "error_code": 6}]},
        ],
    }
    both = merged(one, other)
    assert [(topic["name"], [each["index"] for each in topic["partitions"]]) for topic in both["topics"]] == [
        *(("a", [0, 1]), ("b", [0])),
    ]
    assert len(one["topics"][0]["partitions"]) == 1
    assert merged({"topics": [{"name": "a", "id": 1}]}, {"topics": [{"name": "a", "id": 2}]}) == {
        "topics": [{"name": "a", "id": 1}, {"name": "a", "id": 2}]
    }


@pytest.mark.parametrize(
    ("meant", "matches"),
    [
        ({}, True),
        ({"api": "OffsetCommit"}, True),
        ({"api": "Produce"}, False),
        ({"topic": "a"}, True),
        ({"topic": "c"}, False),
        ({"topic": "a", "partition": 1}, True),
        ({"topic": "b", "partition": 1}, False),
        ({"partition": 1}, True),
        ({"group": "g", "topic": "b"}, True),
        ({"group": "h", "topic": "b"}, False),
        ({"client_id": "app"}, True),
        ({"client_id": "other"}, False),
        ({"node": 1}, True),
        ({"node": 2}, False),
    ],
)
def test_which_requests_are_meant(meant: dict[str, object], matches: bool) -> None:
    assert RequestFilter(**meant).matches(request("OffsetCommit", group_id="g", topics=TWO_TOPICS)) == matches


def test_records_are_kept_as_their_size() -> None:
    body = {"acks": 1, "topics": [{"name": "t", "partitions": [{"index": 0, "records": memoryview(b"12345")}]}]}
    seen = Request.of(PRODUCE, 9, 1, "app", body)
    assert seen.body["topics"] == [{"name": "t", "partitions": [{"index": 0, "records": 5}]}]


def test_apis_have_kafkas_names() -> None:
    assert {api_named(api.name) for api in APIS.values()} == set(APIS.values())
    with pytest.raises(BrokerError, match=r"speaks no API 'produce'\. It speaks, .* Produce, "):
        api_named("produce")
