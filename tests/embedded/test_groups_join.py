"""JoinGroup: who gets in, how long a rebalance waits, who leads, which protocol wins."""

from __future__ import annotations

import pytest
from group_bench import DELAY_MS, RANGE, REBALANCE_MS, ROUNDROBIN, SESSION_MS, Bench, Consumer, subscription

from pytest_msk.brokers.embedded.errors import ErrorCode


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("session_ms", [5_999, 1_800_001])
def test_session_timeout_out_of_bounds_is_refused(bench: Bench, session_ms: int) -> None:
    consumer = bench.consumer(session_ms=session_ms)
    assert consumer.ask().value.error is ErrorCode.INVALID_SESSION_TIMEOUT
    assert bench.coordinator.groups() == ()


@pytest.mark.parametrize("session_ms", [6_000, 1_800_000])
def test_session_timeout_at_its_bounds_is_taken(bench: Bench, session_ms: int) -> None:
    assert bench.consumer(session_ms=session_ms).ask().value.error is ErrorCode.MEMBER_ID_REQUIRED


def test_empty_group_id_is_refused(bench: Bench) -> None:
    assert bench.consumer(group="").ask().value.error is ErrorCode.INVALID_GROUP_ID


def test_member_id_for_unknown_group_is_unknown(bench: Bench) -> None:
    answer = bench.consumer(member_id="c-1").ask()
    assert answer.value.error is ErrorCode.UNKNOWN_MEMBER_ID
    assert answer.value.member_id == "c-1"
    assert bench.coordinator.groups() == ()


def test_member_id_that_was_never_given_out_is_unknown(bench: Bench) -> None:
    bench.consumer().join()
    assert bench.consumer(member_id="c-1").ask().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_new_member_is_given_an_id_and_told_to_come_back(bench: Bench) -> None:
    answer = bench.consumer(client_id="billing").ask()
    assert answer.value.error is ErrorCode.MEMBER_ID_REQUIRED
    assert answer.value.member_id.startswith("billing-")
    assert answer.value.generation_id == -1
    assert bench.state() == "Empty"


def test_old_client_joins_without_being_told_its_id_first(bench: Bench) -> None:
    answer = bench.consumer(client_id="billing", member_id_required=False).ask()
    assert answer.waits
    bench.advance(DELAY_MS)
    assert answer.value.error is ErrorCode.NONE
    assert answer.value.member_id.startswith("billing-")


def test_id_that_was_given_out_is_forgotten_after_the_session_timeout(bench: Bench) -> None:
    consumer = bench.consumer()
    consumer.member_id = consumer.ask().value.member_id
    bench.advance(SESSION_MS - 1)
    assert bench.scheduler.pending == 1
    bench.advance(1)
    assert bench.scheduler.pending == 0
    assert consumer.ask().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_static_member_needs_no_id_first_and_its_id_tells_its_name(bench: Bench) -> None:
    answer = bench.consumer(instance="till-1").ask()
    bench.advance(DELAY_MS)
    assert answer.value.member_id.startswith("till-1-")


def test_given_out_id_with_an_instance_id_is_a_server_error(bench: Bench) -> None:
    consumer = bench.consumer()
    consumer.member_id = consumer.ask().value.member_id
    consumer.instance = "till-1"
    assert consumer.ask().value.error is ErrorCode.UNKNOWN_SERVER_ERROR


def test_first_generation_waits_for_the_initial_rebalance_delay(bench: Bench) -> None:
    answer = bench.consumer().join()
    bench.advance(DELAY_MS - 1)
    assert answer.waits
    assert bench.state() == "PreparingRebalance"
    bench.advance(1)
    assert answer.value.generation_id == 1
    assert bench.state() == "CompletingRebalance"


def test_initial_delay_is_extended_while_members_join(bench: Bench) -> None:
    first = bench.consumer().join()
    bench.advance(DELAY_MS - 1)
    second = bench.consumer().join()
    bench.advance(1)
    assert first.waits
    assert second.waits
    bench.advance(DELAY_MS)
    assert first.value.generation_id == second.value.generation_id == 1


def test_initial_delay_is_not_extended_beyond_the_rebalance_timeout(bench: Bench) -> None:
    first = bench.consumer(rebalance_ms=2 * DELAY_MS).join()
    for _ in range(2):
        bench.advance(DELAY_MS - 1)
        bench.consumer(rebalance_ms=2 * DELAY_MS).join()
        bench.advance(1)
    assert first.value.error is ErrorCode.NONE


def test_initial_delay_is_not_extended_at_all_when_it_is_longer_than_the_rebalance_timeout(bench: Bench) -> None:
    first = bench.consumer(rebalance_ms=DELAY_MS - 1).join()
    bench.consumer(rebalance_ms=DELAY_MS - 1).join()
    bench.advance(DELAY_MS)
    assert first.value.error is ErrorCode.NONE


def test_every_initial_rebalance_begins_with_a_delay_of_its_own(bench: Bench) -> None:
    first = bench.consumer(instance="a")
    first.join()
    bench.consumer(instance="b").join()
    bench.coordinator.expire_member("g", "b")
    bench.coordinator.expire_member("g", "a")
    assert bench.state() == "Empty"
    joined = bench.consumer().join()
    bench.advance(DELAY_MS)
    assert joined.value.error is ErrorCode.NONE


def test_no_initial_delay_answers_at_the_next_turn() -> None:
    bench = Bench(initial_rebalance_delay_ms=0)
    answer = bench.consumer().join()
    assert answer.waits
    bench.advance(0)
    assert answer.value.generation_id == 1


def test_member_that_needs_no_delay_is_answered_at_the_next_turn_when_it_is_the_first(bench: Bench) -> None:
    first = bench.consumer(initial_delay=False).join()
    assert first.waits
    bench.advance(0)
    assert first.value.generation_id == 1


def test_member_that_needs_no_delay_does_not_end_the_delay_of_the_first(bench: Bench) -> None:
    first, second = bench.consumer().join(), bench.consumer(initial_delay=False).join()
    bench.advance(0)
    assert first.waits
    assert second.waits
    bench.advance(2 * DELAY_MS)
    assert first.value.generation_id == second.value.generation_id == 1


def test_generation_of_a_group_is_told(bench: Bench) -> None:
    assert bench.coordinator.generation("g") == -1
    bench.stable(bench.consumer())
    assert bench.coordinator.generation("g") == 1


def test_first_member_leads_and_alone_sees_the_members(bench: Bench) -> None:
    consumers = [bench.consumer(), bench.consumer()]
    first, second = (consumer.join() for consumer in consumers)
    bench.advance(2 * DELAY_MS)
    assert first.value.leader == second.value.leader == first.value.member_id
    assert [(member.member_id, member.metadata) for member in first.value.members] == [
        (first.value.member_id, RANGE[1]),
        (second.value.member_id, RANGE[1]),
    ]
    assert second.value.members == ()
    assert first.value.protocol_type == "consumer"


@pytest.mark.parametrize(
    ("supported", "chosen"),
    [
        ([(RANGE, ROUNDROBIN), (ROUNDROBIN,)], "roundrobin"),
        ([(RANGE, ROUNDROBIN), (ROUNDROBIN, RANGE), (ROUNDROBIN, RANGE)], "roundrobin"),
        ([(RANGE, ROUNDROBIN), (ROUNDROBIN, RANGE)], "range"),
    ],
    ids=["only common one", "most votes", "first member's among equals"],
)
def test_protocol_is_chosen_by_votes_among_the_common_ones(
    bench: Bench, supported: list[tuple[tuple[str, bytes], ...]], chosen: str
) -> None:
    answers = [bench.consumer(protocols=protocols).join() for protocols in supported]
    bench.advance(2 * DELAY_MS)
    assert {answer.value.protocol_name for answer in answers} == {chosen}


@pytest.mark.parametrize(
    "other",
    [
        {"protocols": (ROUNDROBIN,)},
        {"protocol_type": "connect"},
        {"protocols": ()},
    ],
    ids=["no common protocol", "other type", "no protocol"],
)
def test_member_that_does_not_fit_is_refused(bench: Bench, other: dict[str, object]) -> None:
    bench.stable(bench.consumer())
    answer = bench.consumer(**other).ask()
    assert answer.value.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert bench.state() == "Stable"


@pytest.mark.parametrize("wrong", [{"protocols": ()}, {"protocol_type": ""}])
def test_first_member_needs_a_type_and_a_protocol(bench: Bench, wrong: dict[str, object]) -> None:
    assert bench.consumer(**wrong).ask().value.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_member_cannot_change_to_a_protocol_that_the_others_lack(bench: Bench) -> None:
    first, second = bench.consumer(protocols=(RANGE, ROUNDROBIN)), bench.consumer(protocols=(RANGE,))
    bench.stable(first, second)
    first.protocols = (ROUNDROBIN,)
    assert first.ask().value.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_group_takes_no_more_than_its_maximum() -> None:
    bench = Bench(max_size=2)
    consumers = [bench.consumer(), bench.consumer()]
    bench.stable(*consumers)
    assert bench.consumer().ask().value.error is ErrorCode.GROUP_MAX_SIZE_REACHED
    consumers[0].join()
    assert bench.state() == "PreparingRebalance"
    assert bench.consumer(member_id_required=False).ask().waits
    late = consumers[1].ask()
    assert late.value.error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert late.value.member_id == ""
    assert len(bench.coordinator.describe("g").members) == 2


def test_given_out_id_is_forgotten_when_there_is_no_room() -> None:
    bench = Bench(max_size=1)
    waiting = bench.consumer()
    waiting.member_id = waiting.ask().value.member_id
    bench.stable(bench.consumer())
    assert waiting.ask().value.error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert waiting.ask().value.error is ErrorCode.GROUP_MAX_SIZE_REACHED
    bench.coordinator.expire_member("g", bench.coordinator.describe("g").members[0].member_id)
    assert waiting.ask().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_second_member_makes_the_first_one_join_again(bench: Bench) -> None:
    first, second = bench.consumer(), bench.consumer()
    bench.stable(first)
    joined = second.join()
    assert joined.waits
    assert first.heartbeat().value.error is ErrorCode.REBALANCE_IN_PROGRESS
    rejoined = first.join()
    assert joined.value.generation_id == rejoined.value.generation_id == 2
    assert rejoined.value.leader == first.member_id


def test_member_that_does_not_join_again_is_out_after_the_rebalance_timeout(bench: Bench) -> None:
    silent, second = bench.consumer(session_ms=600_000), bench.consumer()
    bench.stable(silent)
    joined = second.join()
    bench.advance(REBALANCE_MS - 1)
    assert joined.waits
    bench.advance(1)
    assert joined.value.leader == joined.value.member_id
    assert len(joined.value.members) == 1
    assert silent.heartbeat().value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_rebalance_waits_as_long_as_its_most_patient_member(bench: Bench) -> None:
    first = bench.consumer(session_ms=600_000, rebalance_ms=2 * REBALANCE_MS)
    bench.stable(first)
    joined = bench.consumer().join()
    bench.advance(2 * REBALANCE_MS - 1)
    assert joined.waits
    bench.advance(1)
    assert not joined.waits


def test_rebalance_waits_for_those_who_were_given_an_id(bench: Bench) -> None:
    first, second = bench.consumer(), bench.consumer()
    bench.stable(first)
    second.member_id = second.ask().value.member_id
    rejoined = first.join()
    assert rejoined.waits
    joined = second.ask()
    assert rejoined.value.generation_id == joined.value.generation_id == 2


def test_rebalance_ends_when_the_id_that_it_waits_for_expires(bench: Bench) -> None:
    first, second = bench.consumer(), bench.consumer()
    bench.stable(first)
    second.ask()
    rejoined = first.join()
    bench.advance(SESSION_MS)
    assert rejoined.value.generation_id == 2


def test_waiting_member_needs_no_heartbeat(bench: Bench) -> None:
    first, slow = bench.consumer(), bench.consumer(session_ms=600_000)
    bench.stable(first, slow)
    rejoined = first.join()
    bench.advance(REBALANCE_MS - 1)
    assert rejoined.waits
    bench.advance(1)
    first.accept(rejoined.value)
    bench.advance(SESSION_MS - 1)
    assert first.heartbeat().value.error is ErrorCode.NONE


def test_new_member_that_waits_for_too_long_has_to_ask_again(bench: Bench) -> None:
    bench.stable(bench.consumer(session_ms=1_800_000, rebalance_ms=600_000))
    joined = bench.consumer().join()
    bench.advance(5 * 60 * 1000 - 1)
    assert joined.waits
    bench.advance(1)
    assert joined.value.error is ErrorCode.UNKNOWN_MEMBER_ID


def test_leader_that_joins_again_begins_a_rebalance(bench: Bench) -> None:
    leader, follower = bench.consumer(), bench.consumer()
    bench.stable(leader, follower)
    rejoined = leader.join()
    assert rejoined.waits
    assert follower.heartbeat().value.error is ErrorCode.REBALANCE_IN_PROGRESS
    follower.join()
    assert rejoined.value.generation_id == 2


def test_follower_that_joins_again_unchanged_gets_the_current_generation(bench: Bench) -> None:
    leader, follower = bench.consumer(), bench.consumer()
    bench.stable(leader, follower)
    result = follower.join().value
    assert (result.generation_id, result.leader, result.members) == (1, leader.member_id, ())
    assert bench.state() == "Stable"


def test_follower_that_joins_again_with_other_topics_begins_a_rebalance(bench: Bench) -> None:
    leader, follower = bench.consumer(), bench.consumer()
    bench.stable(leader, follower)
    follower.protocols = (("range", subscription("orders", "refunds")),)
    assert follower.join().waits
    assert bench.state() == "PreparingRebalance"


def completing(bench: Bench) -> tuple[Consumer, Consumer]:
    consumers = (bench.consumer(), bench.consumer())
    joins = [consumer.join() for consumer in consumers]
    bench.advance(2 * DELAY_MS)
    for consumer, join in zip(consumers, joins, strict=True):
        consumer.accept(join.value)
    assert bench.state() == "CompletingRebalance"
    return consumers


def test_member_that_missed_its_answer_gets_it_again_before_the_sync(bench: Bench) -> None:
    leader, follower = completing(bench)
    again = leader.join().value
    assert (again.generation_id, len(again.members)) == (1, 2)
    assert follower.join().value.members == ()
    assert bench.state() == "CompletingRebalance"


def test_changed_metadata_before_the_sync_begins_a_rebalance(bench: Bench) -> None:
    leader, follower = completing(bench)
    waiting = follower.sync()
    leader.protocols = (("range", subscription("refunds")),)
    assert leader.join().waits
    assert waiting.value.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_join_that_is_sent_anew_ends_the_first_wait(bench: Bench) -> None:
    consumer = bench.consumer()
    first = consumer.join()
    second = consumer.ask()
    assert first.value.error is ErrorCode.REBALANCE_IN_PROGRESS
    bench.advance(DELAY_MS)
    assert second.value.generation_id == 1


def test_leader_that_does_not_join_again_is_replaced(bench: Bench) -> None:
    leader, follower = bench.consumer(session_ms=600_000), bench.consumer()
    bench.stable(leader, follower)
    follower.protocols = (("range", subscription("refunds")),)
    rejoined = follower.join()
    bench.advance(REBALANCE_MS)
    assert rejoined.value.leader == follower.member_id


def test_member_that_joins_again_may_change_its_timeouts(bench: Bench) -> None:
    consumer = bench.consumer()
    bench.stable(consumer)
    consumer.session_ms, consumer.rebalance_ms = 2 * SESSION_MS, 2 * REBALANCE_MS
    consumer.accept(consumer.join().value)
    (member,) = bench.coordinator.describe("g").members
    assert (member.session_timeout_ms, member.rebalance_timeout_ms) == (2 * SESSION_MS, 2 * REBALANCE_MS)
    bench.advance(2 * SESSION_MS - 1)
    assert consumer.heartbeat().value.error is ErrorCode.NONE


def test_member_that_joined_and_falls_silent_expires_after_its_session_timeout(bench: Bench) -> None:
    joined = bench.consumer().join()
    bench.advance(DELAY_MS)
    assert joined.value.error is ErrorCode.NONE
    bench.advance(SESSION_MS - 1)
    assert bench.state() == "CompletingRebalance"
    bench.advance(1)
    assert bench.state() == "Empty"


def test_rebalance_goes_on_when_one_of_two_that_it_waits_for_expires(bench: Bench) -> None:
    first, silent, slow = bench.consumer(), bench.consumer(), bench.consumer(session_ms=600_000)
    bench.stable(first, silent, slow)
    rejoined = first.join()
    bench.advance(SESSION_MS)
    assert len(bench.coordinator.describe("g").members) == 2
    assert rejoined.waits
    slow.join()
    assert rejoined.value.generation_id == 2
