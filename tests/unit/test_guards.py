"""What is taken out of a request that asks for too much, and what is put into its answer instead."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_msk.brokers.embedded.errors import ErrorCode
from pytest_msk.brokers.embedded.messages import APIS
from pytest_msk.brokers.embedded.security.access import Operation, ResourceType
from pytest_msk.brokers.embedded.security.guards import Guards

TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
TRANSACTION = ResourceType.TRANSACTIONAL_ID
IDS = {b"1" * 16: "orders", b"2" * 16: "hidden"}


class Topics:
    """Two topics, one of which somebody may not know of."""

    def get(self, name):
        return SimpleNamespace(name=name) if name in IDS.values() else None

    def by_id(self, topic_id):
        return SimpleNamespace(name=IDS[topic_id]) if topic_id in IDS else None


class Allowed:
    """Allows these and nothing else."""

    allows_everything = False

    def __init__(self, *entries, some=False):
        self.entries, self.some = set(entries), some

    def allows(self, operation, kind, name):
        return (operation, kind, name) in self.entries

    def allows_some(self, operation, kind):
        return self.some


class Call:
    """A request of some version, and what becomes of it."""

    def __init__(self, version):
        self.version, self.answered, self.closes = version, None, False
        self.changes = []

    def answer(self, body):
        self.answered = body

    def amend(self, change):
        self.changes.append(change)

    def close_unanswered(self):
        self.closes = True

    def amended(self, body):
        for change in reversed(self.changes):
            body = change(body)
        return body


def check(key, request, *entries, version=0, auto_create=False, some=False):
    call = Call(version)
    guard = Guards(Topics(), auto_create=auto_create).of(key)
    passed = request if guard is None else guard(Allowed(*entries, some=some), call, request)
    return passed, call


def topics(*names):
    return [{"name": name, "partitions": [{"index": 0}]} for name in names]


def test_an_api_without_a_guard_is_everybodys():
    request = {"x": 1}
    assert check(18, request)[0] is request
    guards = Guards(Topics(), auto_create=False)
    everybodys = {api.name for key, api in APIS.items() if guards.of(key) is None}
    assert everybodys == {"ApiVersions", "SaslHandshake", "SaslAuthenticate"}


@pytest.mark.parametrize(
    ("key", "operation"),
    [
        (1, Operation.READ),
        (2, Operation.DESCRIBE),
        (21, Operation.DELETE),
        (23, Operation.DESCRIBE),
        (61, Operation.READ),
    ],
)
def test_topics_that_are_not_allowed_are_answered_beside_the_others(key, operation):
    passed, call = check(key, {"topics": topics("a", "b", "c")}, (operation, TOPIC, "b"))
    assert passed["topics"] == topics("b")
    answer = call.amended({"topics": topics("b")})
    assert [topic["name"] for topic in answer["topics"]] == ["b", "a", "c"]
    for topic in answer["topics"][1:]:
        assert [each["error_code"] for each in topic["partitions"]] == [ErrorCode.TOPIC_AUTHORIZATION_FAILED]


@given(allowed=st.sets(st.sampled_from("abcde")), asked=st.lists(st.sampled_from("abcde"), max_size=6))
def test_nothing_is_lost_and_nothing_let_through(allowed, asked):
    entries = [(Operation.READ, TOPIC, name) for name in allowed]
    passed, call = check(1, {"topics": topics(*asked)}, *entries)
    assert [topic["name"] for topic in passed["topics"]] == [name for name in asked if name in allowed]
    answer = call.amended({"topics": passed["topics"]})
    assert sorted(topic["name"] for topic in answer["topics"]) == sorted(asked)


@pytest.mark.parametrize("acks", [-1, 0, 1])
def test_a_refused_produce_without_an_answer_closes_the_connection(acks):
    request = {"transactional_id": None, "acks": acks, "topics": topics("a")}
    passed, call = check(0, request)
    assert passed["topics"] == []
    assert call.closes is (acks == 0)


def test_a_produce_in_a_transaction_that_is_not_allowed_writes_nothing():
    request = {"transactional_id": "x", "acks": -1, "topics": topics("a")}
    passed, call = check(0, request, (Operation.WRITE, TOPIC, "a"))
    assert passed["topics"] == []
    (topic,) = call.amended({"topics": []})["topics"]
    assert topic["partitions"][0]["error_code"] == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    passed, _ = check(0, request, (Operation.WRITE, TOPIC, "a"), (Operation.WRITE, TRANSACTION, "x"))
    assert passed["topics"] == topics("a")


# --- metadata


def metadata(*names, ids=(), create=True):
    asked = [{"name": name, "topic_id": bytes(16)} for name in names]
    asked += [{"name": None, "topic_id": topic_id} for topic_id in ids]
    return {"topics": asked, "allow_auto_topic_creation": create}


def test_an_id_of_a_topic_that_may_not_be_seen_tells_no_name():
    passed, call = check(3, metadata(ids=IDS), (Operation.DESCRIBE, TOPIC, "orders"), version=12)
    assert [topic["topic_id"] for topic in passed["topics"]] == [b"1" * 16]
    (hidden,) = call.amended({"topics": []})["topics"]
    assert (hidden["name"], hidden["topic_id"]) == (None, b"2" * 16)
    assert hidden["error_code"] == ErrorCode.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize("create_by", [None, "topic", "cluster"])
def test_a_topic_is_created_by_use_of_who_may_create_it(create_by):
    rights = [(Operation.DESCRIBE, TOPIC, "new"), (Operation.DESCRIBE, TOPIC, "orders")]
    if create_by == "topic":
        rights.append((Operation.CREATE, TOPIC, "new"))
    if create_by == "cluster":
        rights.append((Operation.CREATE, ResourceType.CLUSTER, "kafka-cluster"))
    passed, call = check(3, metadata("new", "orders"), *rights, version=4, auto_create=True)
    kept = ["orders"] if create_by is None else ["new", "orders"]
    assert [topic["name"] for topic in passed["topics"]] == kept
    refused = [topic["name"] for topic in call.amended({"topics": []})["topics"]]
    assert refused == (["new"] if create_by is None else [])


def test_without_creation_by_use_a_new_topic_is_only_looked_for():
    passed, _ = check(3, metadata("new"), (Operation.DESCRIBE, TOPIC, "new"), version=4)
    assert [topic["name"] for topic in passed["topics"]] == ["new"]


def test_version_0_without_an_allowed_topic_is_not_a_request_for_all():
    passed, call = check(3, metadata("hidden"), version=0)
    assert passed["topics"] == []
    answer = call.amended({"topics": [{"name": "orders"}]})
    assert [topic["name"] for topic in answer["topics"]] == ["hidden"]


@pytest.mark.parametrize(("version", "asked"), [(0, []), (1, None), (12, None)])
def test_a_request_for_all_topics_tells_of_the_visible_ones(version, asked):
    request = {"topics": asked, "allow_auto_topic_creation": True}
    passed, call = check(3, request, (Operation.DESCRIBE, TOPIC, "orders"), version=version)
    assert passed["topics"] == asked
    answer = call.amended({"topics": [{"name": "orders"}, {"name": "hidden"}]})
    assert [topic["name"] for topic in answer["topics"]] == ["orders"]


def test_a_request_for_no_topic_is_none_for_all():
    passed, call = check(3, {"topics": [], "allow_auto_topic_creation": True}, version=1)
    assert call.amended({"topics": []})["topics"] == passed["topics"] == []


# --- deletion by id


def test_a_topic_is_deleted_by_id_and_named_only_to_who_may_see_it():
    request = {"topic_names": [], "topics": [{"name": None, "topic_id": topic_id} for topic_id in IDS]}
    passed, call = check(20, request, (Operation.DESCRIBE, TOPIC, "orders"), version=6)
    assert passed["topics"] == []
    answer = call.amended({"responses": []})["responses"]
    assert [(each["name"], each["topic_id"]) for each in answer] == [("orders", b"1" * 16), (None, b"2" * 16)]


# --- groups


@pytest.mark.parametrize("key", [11, 12, 13, 14])
def test_a_member_of_a_group_that_is_not_allowed_is_answered_at_once(key):
    passed, call = check(key, {"group_id": "g"})
    assert passed is None
    assert call.answered["error_code"] == ErrorCode.GROUP_AUTHORIZATION_FAILED
    for version in (APIS[key].versions[0], APIS[key].versions[1]):
        APIS[key].encode_response(version, call.answered)
    request = {"group_id": "g"}
    assert check(key, request, (Operation.READ, GROUP, "g"))[0] is request


@pytest.mark.parametrize("version", [1, 5])
def test_offsets_of_a_group_that_is_not_allowed(version):
    request = {"group_id": "g", "topics": [{"name": "a", "partitions": [0, 1]}]}
    _, call = check(9, request, version=version)
    told = [each["error_code"] for topic in call.answered["topics"] for each in topic["partitions"]]
    assert told == ([ErrorCode.GROUP_AUTHORIZATION_FAILED] * 2 if version == 1 else [])
    assert APIS[9].encode_response(version, call.answered)


def test_offsets_of_several_groups():
    asked = [{"group_id": "g", "topics": None}, {"group_id": "h", "topics": None}]
    passed, call = check(9, {"groups": asked}, (Operation.DESCRIBE, GROUP, "g"), version=8)
    assert [group["group_id"] for group in passed["groups"]] == ["g"]
    found = {"group_id": "g", "error_code": 0, "topics": [{"name": "a", "partitions": []}]}
    answer = call.amended({"groups": [found]})
    assert [(group["group_id"], group["error_code"], group["topics"]) for group in answer["groups"]] == [
        ("g", 0, []),
        ("h", ErrorCode.GROUP_AUTHORIZATION_FAILED, []),
    ]


@pytest.mark.parametrize(("kind", "code"), [(0, 30), (1, 53)])
@pytest.mark.parametrize("version", [1, 4])
def test_a_coordinator_is_told_to_who_may_describe(kind, code, version):
    resource = GROUP if kind == 0 else TRANSACTION
    request = {"key_type": kind, "key": "mine", "coordinator_keys": ["mine", "other"]}
    passed, call = check(10, request, (Operation.DESCRIBE, resource, "mine"), version=version)
    if version == 1:
        assert passed is request
        _, call = check(10, {**request, "key": "other"}, version=version)
        assert call.answered["error_code"] == code
        return
    assert passed["coordinator_keys"] == ["mine"]
    (refused,) = call.amended({"coordinators": []})["coordinators"]
    assert (refused["key"], refused["error_code"]) == ("other", code)


@pytest.mark.parametrize(
    ("rights", "code"),
    [
        ([], ErrorCode.GROUP_AUTHORIZATION_FAILED),
        ([(Operation.READ, GROUP, "g")], ErrorCode.TOPIC_AUTHORIZATION_FAILED),
        ([(Operation.READ, GROUP, "g"), (Operation.DESCRIBE, TOPIC, "a")], None),
    ],
)
def test_a_member_of_the_consumer_protocol(rights, code):
    request = {"group_id": "g", "member_id": "m", "subscribed_topic_names": ["a"]}
    passed, call = check(68, request, *rights)
    assert (passed is None) is (code is not None)
    assert code is None or call.answered["error_code"] == code


# --- transactions


@pytest.mark.parametrize(
    ("rights", "some", "code"),
    [
        ([], False, ErrorCode.CLUSTER_AUTHORIZATION_FAILED),
        ([(Operation.IDEMPOTENT_WRITE, ResourceType.CLUSTER, "kafka-cluster")], False, None),
        ([], True, None),
    ],
)
def test_an_idempotent_producer_needs_something_to_write(rights, some, code):
    passed, call = check(22, {"transactional_id": None}, *rights, some=some)
    assert (passed is None) is (code is not None)
    assert code is None or call.answered == {"error_code": code}


WRITES_X, READS_G = (Operation.WRITE, TRANSACTION, "x"), (Operation.READ, GROUP, "g")


@pytest.mark.parametrize(
    ("key", "rights", "code"),
    [
        (22, [], 53),
        (25, [], 53),
        (25, [WRITES_X], 30),
        (25, [READS_G], 53),
        (25, [WRITES_X, READS_G], None),
        (26, [], 53),
        (26, [WRITES_X], None),
    ],
)
def test_a_transaction_belongs_to_who_may_write_it(key, rights, code):
    passed, call = check(key, {"transactional_id": "x", "group_id": "g"}, *rights)
    assert (passed is None) is (code is not None)
    assert code is None or call.answered["error_code"] == code


@pytest.mark.parametrize(
    ("rights", "code"), [([], 53), ([WRITES_X], 30), ([WRITES_X, READS_G], 29)], ids=["transaction", "group", "topic"]
)
def test_offsets_in_a_transaction(rights, code):
    request = {"transactional_id": "x", "group_id": "g", "topics": topics("a")}
    passed, call = check(28, request, *rights)
    answer = call.answered if passed is None else call.amended({"topics": []})
    assert [each["error_code"] for topic in answer["topics"] for each in topic["partitions"]] == [code]


def test_partitions_are_added_to_a_transaction_all_or_none():
    request = {
        "transactional_id": "x",
        "topics": [{"name": "a", "partitions": [0, 1]}, {"name": "b", "partitions": [0]}],
    }
    passed, call = check(24, request, WRITES_X, (Operation.WRITE, TOPIC, "a"))
    assert passed is None
    told = {topic["name"]: [each["error_code"] for each in topic["partitions"]] for topic in call.answered["topics"]}
    assert told == {"b": [29], "a": [55, 55]}
    rights = [(Operation.WRITE, TOPIC, name) for name in "ab"]
    assert check(24, request, WRITES_X, *rights)[0] is request
    _, call = check(24, request, *rights)
    assert {each["error_code"] for topic in call.answered["topics"] for each in topic["partitions"]} == {53}


def test_transactions_are_told_to_who_may_describe_them():
    rights = [(Operation.DESCRIBE, TRANSACTION, "x")]
    passed, call = check(65, {"transactional_ids": ["x", "y"]}, *rights)
    assert passed["transactional_ids"] == ["x"]
    (refused,) = call.amended({"transactions": []})["transactions"]
    assert refused == {"error_code": 53, "transactional_id": "y", "topics": []}
    found = {"error_code": 0, "transactional_id": "x", "topics": [{"name": "a"}, {"name": "b"}]}
    _, call = check(65, {"transactional_ids": ["x"]}, *rights, (Operation.DESCRIBE, TOPIC, "b"))
    assert call.amended({"transactions": [found]})["transactions"][0]["topics"] == [{"name": "b"}]
    _, call = check(66, {}, *rights)
    found = [{"transactional_id": "x"}, {"transactional_id": "y"}]
    assert call.amended({"transactions": found})["transactions"] == found[:1]


@pytest.mark.parametrize("right", [Operation.CLUSTER_ACTION, Operation.ALTER, None])
def test_markers_are_written_by_brokers_and_administrators(right):
    marker = {"producer_id": 7, "topics": [{"name": "a", "partitions": [0, 1]}]}
    rights = [] if right is None else [(right, ResourceType.CLUSTER, "kafka-cluster")]
    passed, call = check(27, {"markers": [marker]}, *rights, version=1)
    assert (passed is None) is (right is None)
    if right is None:
        (refused,) = call.answered["markers"]
        assert refused["producer_id"] == 7
        assert [each["error_code"] for each in refused["topics"][0]["partitions"]] == [31, 31]
        assert APIS[27].encode_response(1, call.answered)


def described(group, *names):
    topics = [{"topic_name": name, "partitions": [0]} for name in names]
    member = {"assignment": {"topic_partitions": topics[:1]}, "target_assignment": {"topic_partitions": topics}}
    return {"group_id": group, "error_code": 0, "members": [member], "authorized_operations": 1 << 3}


def test_a_group_of_the_consumer_protocol_is_described_to_who_may_see_it_and_its_topics():
    rights = [(Operation.DESCRIBE, GROUP, "g"), (Operation.DESCRIBE, GROUP, "h"), (Operation.DESCRIBE, TOPIC, "a")]
    passed, call = check(69, {"group_ids": ["g", "h", "i", "j"]}, *rights)
    assert passed["group_ids"] == ["g", "h"]
    answer = call.amended({"groups": [described("g", "a"), described("h", "a", "b")]})
    told = {group["group_id"]: (group["error_code"], len(group["members"])) for group in answer["groups"]}
    assert told == {"g": (0, 1), "h": (29, 0), "i": (30, 0), "j": (30, 0)}
    assert answer["groups"][0]["authorized_operations"] == 1 << Operation.DESCRIBE
    unknown = call.amended({"groups": [{"group_id": "g", "error_code": 69, "error_message": "no"}]})
    assert unknown["groups"][0]["error_code"] == 69
