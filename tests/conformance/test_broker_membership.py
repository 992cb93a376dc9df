"""The classic group protocol by hand: who may join, who is told what, and with which error."""

from __future__ import annotations

import pytest
from broker_tools import until
from kafka_api import (
    answered,
    ask,
    commit,
    heartbeat,
    join,
    join_fields,
    leave,
    member_of,
    send,
    subscription,
    sync,
    sync_fields,
)
from kafka_wire import Wire

INVALID_GROUP, UNKNOWN_MEMBER, ILLEGAL_GENERATION, INCONSISTENT = 24, 25, 22, 23
INVALID_SESSION, REBALANCING, MEMBER_ID_REQUIRED, FENCED, NON_EMPTY = 26, 27, 79, 82, 68
UNKNOWN_TOPIC, TOO_LARGE, INVALID_COMMIT_SIZE = 3, 12, 28


@pytest.fixture
def members(msk_broker, group):
    """Makes members of the group, each on a connection of its own; all leave after the test."""
    made = []

    class Member:
        def __init__(self, **fields):
            self.wire = Wire(msk_broker.bootstrap_servers)
            self.fields, self.id, self.generation, self.asked = fields, "", -1, None
            made.append(self)

        def begin(self, **more):
            """Send JoinGroup, under an id if the broker wants one; the answer comes when all have joined."""
            fields = {**self.fields, **more}
            if not self.id and "group_instance_id" not in fields:
                self.id = join(self.wire, group, **fields)["member_id"]
            self.asked = send(self.wire, "JoinGroup", **join_fields(group, self.id, **fields))
            return self

        def joined(self):
            """The answer to JoinGroup."""
            answer = answered(self.wire, "JoinGroup", 9, self.asked)
            self.id, self.generation = answer["member_id"] or self.id, answer["generation_id"]
            return answer

        def sync(self, **fields):
            return sync(self.wire, group, self.id, self.generation, **fields)

        def begin_sync(self, **fields):
            return send(self.wire, "SyncGroup", **sync_fields(group, self.id, self.generation, **fields))

        def beat(self, **fields):
            return heartbeat(self.wire, group, self.id, self.generation, **fields)

    yield Member
    with Wire(msk_broker.bootstrap_servers) as last:
        (found,) = ask(last, "DescribeGroups", groups=[group], include_authorized_operations=False)["groups"]
        for each in found["members"]:
            leave(last, group, each["member_id"], instance=each["group_instance_id"])
    for one in made:
        one.wire.socket.close()
    msk_broker.delete_group(group)


def stable(member):
    """Take a member into a generation of its own."""
    member.begin()
    member.joined()
    answer = member.sync(protocol_name=member.fields.get("protocols", [{"name": "range"}])[0]["name"])
    assert answer["error_code"] == 0


@pytest.fixture
def together(wire, group):
    """Brings members into one generation, led by the first; it returns their answers to JoinGroup."""

    def bring(first, *others):
        stable(first)
        for one in others:
            one.begin()
        until(lambda: size(wire, group), lambda count: count == 1 + len(others))
        assert first.beat() == REBALANCING
        first.begin()
        return [one.joined() for one in (first, *others)]

    return bring


def size(wire, group):
    (found,) = ask(wire, "DescribeGroups", groups=[group], include_authorized_operations=False)["groups"]
    return len(found["members"])


def state(wire, group):
    (found,) = ask(wire, "DescribeGroups", groups=[group], include_authorized_operations=False)["groups"]
    return found["group_state"]


# --- joining


def test_a_group_needs_a_name(wire):
    assert join(wire, "")["error_code"] == INVALID_GROUP


@pytest.mark.parametrize("timeout", [0, 5_999, 1_800_001, -1])
def test_a_session_timeout_has_limits(wire, group, timeout):
    assert join(wire, group, session_timeout_ms=timeout)["error_code"] == INVALID_SESSION


@pytest.mark.parametrize("timeout", [6_000, 1_800_000])
def test_a_session_timeout_at_its_limit_is_taken(wire, group, timeout):
    member = member_of(wire, group, session_timeout_ms=timeout)
    leave(wire, group, member)


def test_a_member_id_that_the_group_does_not_know_is_refused(wire, group):
    assert join(wire, group, "made-up")["error_code"] == UNKNOWN_MEMBER


def test_a_member_id_that_a_living_group_does_not_know_is_refused(wire, group, members):
    stable(members())
    assert join(wire, group, "made-up")["error_code"] == UNKNOWN_MEMBER


def test_a_member_needs_a_strategy(wire, group):
    assert join(wire, group, protocols=[])["error_code"] == INCONSISTENT


def test_a_member_needs_a_kind_of_group(wire, group):
    assert join(wire, group, protocol_type="")["error_code"] == INCONSISTENT


def test_a_member_of_another_kind_is_refused(wire, group, members):
    stable(members())
    assert join(wire, group, protocol_type="connect")["error_code"] == INCONSISTENT


def test_a_member_without_a_common_strategy_is_refused(wire, group, members):
    stable(members())
    other = [{"name": "sticky", "metadata": b""}]
    assert join(wire, group, protocols=other)["error_code"] == INCONSISTENT


def test_an_id_that_was_given_is_good_once_the_member_comes_again(wire, group):
    first = join(wire, group)
    assert first["error_code"] == MEMBER_ID_REQUIRED
    assert size(wire, group) == 0
    assert join(wire, group, first["member_id"])["error_code"] == 0
    leave(wire, group, first["member_id"])


def test_a_static_member_needs_no_second_request(wire, group):
    answer = join(wire, group, group_instance_id="one")
    assert answer["error_code"] == 0
    assert answer["member_id"].startswith("one-")
    assert answer["members"][0]["group_instance_id"] == "one"
    leave(wire, group, answer["member_id"], instance="one")


def test_the_name_of_a_client_is_part_of_its_member_id(wire, group):
    assert join(wire, group)["member_id"].startswith("conformance-")


def test_the_leader_gets_what_every_member_sent(members, together):
    first, second = members(), members(protocols=[{"name": "range", "metadata": subscription("other")}])
    led, followed = together(first, second)
    seen = {each["member_id"]: each["metadata"] for each in led["members"]}
    assert seen == {first.id: subscription("t"), second.id: subscription("other")}
    assert followed["members"] == []
    assert led["leader"] == followed["leader"] == first.id


def test_the_strategy_is_the_one_that_most_members_prefer(members, together):
    def wants(*names):
        return members(protocols=[{"name": name, "metadata": b""} for name in names])

    answers = together(wants("a", "b"), wants("b", "a"), wants("b", "a"))
    assert {answer["protocol_name"] for answer in answers} == {"b"}


def test_a_strategy_that_one_member_lacks_is_not_chosen(members, together):
    first = members(protocols=[{"name": "a", "metadata": b""}, {"name": "c", "metadata": b""}])
    second = members(protocols=[{"name": "b", "metadata": b""}, {"name": "c", "metadata": b""}])
    assert {answer["protocol_name"] for answer in together(first, second)} == {"c"}


def test_generations_are_counted(members):
    one = members()
    seen = []
    for _ in range(3):
        one.begin()
        seen.append(one.joined()["generation_id"])
        one.sync()
    assert seen == [1, 2, 3]


def test_a_follower_that_joins_again_unchanged_starts_no_rebalance(members, together):
    leader, follower = members(), members()
    together(leader, follower)
    leader.sync(assignments=[{"member_id": one.id, "assignment": b""} for one in (leader, follower)])
    follower.sync(assignments=[])
    before = follower.generation
    follower.begin()
    assert follower.joined()["generation_id"] == before
    assert leader.beat() == 0


def test_a_leader_that_joins_again_starts_a_rebalance(members):
    one = members()
    stable(one)
    before = one.generation
    one.begin()
    assert one.joined()["generation_id"] == before + 1


def test_a_member_with_other_metadata_starts_a_rebalance(members, together):
    leader, follower = members(), members()
    together(leader, follower)
    leader.sync(), follower.sync(assignments=[])
    follower.begin(protocols=[{"name": "range", "metadata": subscription("other")}])
    until(leader.beat, lambda error: error == REBALANCING)
    leader.begin()
    assert leader.joined()["generation_id"] == follower.joined()["generation_id"] == 3


# --- syncing


def test_each_member_gets_what_the_leader_gave_it(members, together):
    first, second = members(), members()
    together(first, second)
    waiting = second.begin_sync(assignments=[])
    given = [{"member_id": first.id, "assignment": b"1"}, {"member_id": second.id, "assignment": b"2"}]
    assert first.sync(assignments=given)["assignment"] == b"1"
    assert answered(second.wire, "SyncGroup", 5, waiting)["assignment"] == b"2"


def test_a_member_that_the_leader_forgot_gets_nothing(members):
    one = members().begin()
    one.joined()
    answer = one.sync(assignments=[])
    assert (answer["error_code"], answer["assignment"]) == (0, b"")


def test_a_member_syncs_again_and_gets_the_same(members):
    one = members().begin()
    one.joined()
    assert one.sync()["assignment"] == b"all"
    again = one.sync(assignments=[{"member_id": one.id, "assignment": b"else"}])
    assert (again["error_code"], again["assignment"]) == (0, b"all")


def test_a_sync_of_another_generation_is_refused(wire, group, members):
    one = members().begin()
    one.joined()
    for generation in (0, 2, -1):
        assert sync(wire, group, one.id, generation)["error_code"] == ILLEGAL_GENERATION


def test_a_sync_of_a_stranger_is_refused(wire, group, members):
    stable(members())
    assert sync(wire, group, "stranger")["error_code"] == UNKNOWN_MEMBER


def test_a_sync_in_a_group_that_is_not_there_is_refused(wire, group):
    assert sync(wire, group, "stranger")["error_code"] == UNKNOWN_MEMBER
    assert sync(wire, "", "stranger")["error_code"] == INVALID_GROUP


@pytest.mark.parametrize(
    "fields",
    [{"protocol_type": "connect"}, {"protocol_name": "sticky"}, {"protocol_type": None}, {"protocol_name": None}],
    ids=["type", "name", "no type", "no name"],
)
def test_a_sync_for_another_strategy_is_refused(members, fields):
    one = members().begin()
    one.joined()
    assert one.sync(**fields)["error_code"] == INCONSISTENT


def test_a_sync_while_members_join_is_told_to_join(members):
    first, second = members(), members()
    stable(first)
    second.begin()
    until(first.beat, lambda error: error == REBALANCING)
    assert first.sync()["error_code"] == REBALANCING
    first.begin()
    first.joined(), second.joined()


# --- heartbeats


def test_a_heartbeat_of_a_member_is_good(members):
    one = members()
    stable(one)
    assert one.beat() == 0


def test_a_heartbeat_before_the_sync_is_good(members):
    one = members().begin()
    one.joined()
    assert one.beat() in (0, REBALANCING)


@pytest.mark.parametrize("generation", [0, 2, -1])
def test_a_heartbeat_of_another_generation_is_refused(wire, group, members, generation):
    one = members()
    stable(one)
    assert heartbeat(wire, group, one.id, generation) == ILLEGAL_GENERATION


def test_a_heartbeat_of_a_stranger_is_refused(wire, group, members):
    stable(members())
    assert heartbeat(wire, group, "stranger") == UNKNOWN_MEMBER


def test_a_heartbeat_in_a_group_that_is_not_there_is_refused(wire, group):
    assert heartbeat(wire, group, "stranger") == UNKNOWN_MEMBER
    assert heartbeat(wire, "", "stranger") == INVALID_GROUP


def test_a_heartbeat_tells_of_a_rebalance(members):
    first, second = members(), members()
    stable(first)
    second.begin()
    until(first.beat, lambda error: error == REBALANCING)
    first.begin()
    assert first.joined()["error_code"] == second.joined()["error_code"] == 0


# --- leaving


def test_who_leaves_is_forgotten(wire, group, members):
    one = members()
    stable(one)
    assert leave(wire, group, one.id)["members"][0]["error_code"] == 0
    assert one.beat() == UNKNOWN_MEMBER
    assert state(wire, group) == "Empty"


def test_several_members_leave_at_once(wire, group, members, together):
    first, second = members(), members()
    together(first, second)
    left = leave(wire, group, first.id, "stranger", second.id)["members"]
    wanted = {first.id: 0, "stranger": UNKNOWN_MEMBER, second.id: 0}
    assert {each["member_id"]: each["error_code"] for each in left} == wanted
    assert state(wire, group) == "Empty"


def test_nobody_leaves_a_group_that_is_not_there(wire, group):
    answer = leave(wire, group, "stranger")
    assert answer["error_code"] or answer["members"][0]["error_code"] == UNKNOWN_MEMBER
    assert leave(wire, group, "stranger", version=2)["error_code"] == UNKNOWN_MEMBER


def test_the_others_of_a_member_that_leaves_rebalance(wire, group, members, together):
    first, second = members(), members()
    together(first, second)
    first.sync(), second.sync(assignments=[])
    leave(wire, group, second.id)
    assert first.beat() == REBALANCING


# --- static members


def test_a_static_member_that_comes_back_keeps_its_share_and_generation(wire, group, members):
    one = members(group_instance_id="one").begin()
    one.joined()
    one.sync(group_instance_id="one")
    again = members(group_instance_id="one").begin()
    answer = again.joined()
    assert (answer["error_code"], answer["generation_id"], answer["skip_assignment"]) == (0, 1, True)
    assert again.id != one.id
    assert again.sync(group_instance_id="one", assignments=[])["assignment"] == b"all"


def test_a_static_member_that_was_replaced_is_fenced(wire, group, topic, members):
    one = members(group_instance_id="one").begin()
    one.joined()
    one.sync(group_instance_id="one")
    again = members(group_instance_id="one").begin()
    again.joined()
    assert one.beat(group_instance_id="one") == FENCED
    assert one.sync(group_instance_id="one")["error_code"] == FENCED
    name = topic()
    assert commit(wire, group, name, 1, member=one.id, generation=1, group_instance_id="one") == FENCED
    assert join(wire, group, one.id, group_instance_id="one")["error_code"] == FENCED
    (left,) = leave(wire, group, one.id, instance="one")["members"]
    assert left["error_code"] == FENCED


def test_a_static_member_is_known_by_its_instance_id(wire, group, members):
    one = members(group_instance_id="one").begin()
    one.joined()
    (left,) = leave(wire, group, "", instance="one")["members"]
    assert (left["error_code"], left["group_instance_id"]) == (0, "one")
    assert state(wire, group) == "Empty"


def test_an_instance_id_that_nobody_has_is_unknown(wire, group, members):
    stable(members())
    (left,) = leave(wire, group, "", instance="nobody")["members"]
    assert left["error_code"] == UNKNOWN_MEMBER
    assert heartbeat(wire, group, "x", group_instance_id="nobody") == UNKNOWN_MEMBER
    assert join(wire, group, "x", group_instance_id="nobody")["error_code"] == UNKNOWN_MEMBER


# --- commits of members


def test_a_member_commits(wire, group, topic, members, msk_broker):
    one, name = members(), topic()
    stable(one)
    assert commit(wire, group, name, 4, member=one.id, generation=one.generation) == 0
    assert msk_broker.committed(group, name) == {0: 4}


@pytest.mark.parametrize("generation", [0, 2])
def test_a_commit_of_another_generation_is_refused(wire, group, topic, members, msk_broker, generation):
    one, name = members(), topic()
    stable(one)
    assert commit(wire, group, name, 4, member=one.id, generation=generation) == ILLEGAL_GENERATION
    assert msk_broker.committed(group, name) == {}


def test_a_commit_of_a_stranger_is_refused(wire, group, topic, members):
    stable(members())
    name = topic()
    assert commit(wire, group, name, 4, member="stranger", generation=1) == UNKNOWN_MEMBER
    assert commit(wire, group, name, 4) == UNKNOWN_MEMBER, "nor without a name, while there are members"


def test_a_commit_of_a_member_in_a_group_that_is_not_there_is_refused(wire, group, topic):
    assert commit(wire, group, topic(), 4, member="stranger", generation=1, version=8) == ILLEGAL_GENERATION
    assert commit(wire, group, topic(), 4, member="stranger", generation=1, version=9) == 69


def test_a_commit_before_the_sync_is_told_to_wait(wire, group, topic, members):
    one = members().begin()
    one.joined()
    assert commit(wire, group, topic(), 4, member=one.id, generation=one.generation) == REBALANCING


def test_a_commit_while_others_join_is_taken(wire, group, topic, members, msk_broker):
    first, second, name = members(), members(), topic()
    stable(first)
    second.begin()
    until(first.beat, lambda error: error == REBALANCING)
    assert commit(wire, group, name, 4, member=first.id, generation=first.generation) == 0
    first.begin()
    first.joined(), second.joined()
    assert msk_broker.committed(group, name) == {0: 4}


def test_a_group_with_members_is_not_deleted(wire, group, members):
    stable(members())
    assert ask(wire, "DeleteGroups", groups=[group])["results"] == [{"group_id": group, "error_code": NON_EMPTY}]


def test_states_are_seen_as_they_pass(wire, group, members):
    first, second = members(), members()
    assert state(wire, group) == "Dead"
    first.begin()
    first.joined()
    assert state(wire, group) == "CompletingRebalance"
    first.sync()
    assert state(wire, group) == "Stable"
    second.begin()
    until(lambda: state(wire, group), lambda seen: seen == "PreparingRebalance")
    first.begin()
    first.joined(), second.joined()
