"""A mapping's states with their times, its updates, and what AWS says of it (spec 2.1, 2.5, 2.6, 5.8 to 5.12)."""

from __future__ import annotations

import pytest

from pytest_msk import (
    Attempt,
    BatchClosed,
    BrokerError,
    EventSourceMappingError,
    LambdaFunction,
    MskError,
    NotInvoked,
    PollFailed,
    StateChanged,
    Topic,
    assert_at_least_once,
    assert_ordered,
)
from pytest_msk.faults import fails, throttled

CONNECTION_ERROR = (
    "PROBLEM: Connection error. Please check your event source connection configuration. If your event source lives "
    "in a VPC, try setting up a new Lambda function or EC2 instance with the same VPC, Subnet, and Security Group "
    "settings. Connect the new device to the Kafka cluster and consume messages to ensure that the issue is not "
    "related to VPC or Endpoint configuration."
)


class Offsets:
    """A function that remembers (partition, offset) of all that it got."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def __call__(self, event, context):
        self.seen += [(r["partition"], r["offset"]) for group in event["records"].values() for r in group]


def states(esm) -> list[str]:
    return [event.state for event in esm.journal.of(StateChanged)]


# --- times


def test_transitions_take_no_time_unless_it_is_asked_for(msk_topic, msk_esm, msk_clock):
    before = msk_clock.now_ms()
    esm = msk_esm(Offsets(), msk_topic())
    esm.update(batch_size=5)
    esm.disable()
    esm.enable()
    assert states(esm) == ["Creating", "Enabled", "Updating", "Enabled", "Disabling", "Disabled", "Enabling", "Enabled"]
    assert {event.time_ms for event in esm.journal} == {before}
    assert (
        {event.reason for event in esm.journal.of(StateChanged)} == {esm.state_transition_reason} == {"USER_INITIATED"}
    )


def test_a_mapping_is_created_in_its_time_and_polls_only_then(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Offsets()
    topic.produce("x")
    before = msk_clock.now_ms()
    esm = msk_esm(function, topic, transition_in_seconds=120)
    assert esm.state == "Creating"
    assert esm.step() is None
    msk_clock.advance(119.999)
    assert esm.state == "Creating"
    msk_clock.advance(30)
    assert esm.step().state == "Enabled"
    assert [event.time_ms - before for event in esm.journal] == [0, 120_000]
    esm.drain()
    assert function.seen == [(0, 0)]


def test_draining_moves_the_clock_to_the_end_of_a_transition(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Offsets()
    topic.produce("x")
    before = msk_clock.now_ms()
    esm = msk_esm(function, topic, transition_in_seconds=90, maximum_batching_window_in_seconds=0)
    esm.drain()
    assert msk_clock.now_ms() == before + 90_000
    assert function.seen == [(0, 0)]


def test_calls_during_a_transition_are_refused(msk_topic, msk_esm, msk_clock):
    esm = msk_esm(Offsets(), msk_topic(), transition_in_seconds=60)
    for call in (esm.disable, esm.enable, lambda: esm.update(batch_size=1)):
        with pytest.raises(EventSourceMappingError) as refused:
            call()
        assert refused.value.code == "ResourceInUseException"
        assert str(refused.value) == "Cannot update the event source mapping because it is in use."
    with pytest.raises(EventSourceMappingError) as refused:
        esm.delete()
    assert str(refused.value) == "Cannot delete the event source mapping because it is in use."
    msk_clock.advance(60)
    esm.disable()
    assert esm.state == "Disabling"
    msk_clock.advance(60)
    assert esm.state == "Disabled"


def test_a_deletion_is_complete_at_once_and_a_deleted_mapping_does_not_exist(msk_topic, msk_esm, msk_clock):
    esm = msk_esm(Offsets(), msk_topic(), transition_in_seconds=60)
    msk_clock.advance(60)
    esm.delete()
    assert esm.state == "Deleted"
    assert states(esm)[-2:] == ["Deleting", "Deleted"]
    esm.delete()
    for call in (esm.disable, esm.enable, lambda: esm.update(batch_size=1)):
        with pytest.raises(EventSourceMappingError) as refused:
            call()
        assert refused.value.code == "ResourceNotFoundException"
        assert str(refused.value) == "The resource you requested does not exist."


def test_in_the_background_transitions_take_no_time(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce("x")
    esm = msk_esm(function, topic, transition_in_seconds=600, maximum_batching_window_in_seconds=0)
    with esm.running():
        esm.wait_until(lambda: function.seen == [(0, 0)])
        esm.update(batch_size=1)
        topic.produce("y")
        esm.wait_until(lambda: function.seen[-1] == (0, 1))
        esm.disable()
        assert esm.state == "Disabled"
        with pytest.raises(MskError, match=r"This mapping is Disabled, .*esm\.enable\(\) it first"):
            esm.wait_until(lambda: True)
        topic.produce("z")
        esm.enable()
        esm.wait_until(lambda: function.seen[-1] == (0, 2))
    esm.disable()
    with pytest.raises(MskError, match=r"esm\.enable\(\) it before you start it"):
        esm.start()


# --- update


def test_an_update_keeps_what_it_does_not_name_and_resumes_behind_the_last_commit(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(4))
    esm = msk_esm(function, topic, batch_size=2, maximum_batching_window_in_seconds=7)
    esm.drain()
    esm.update(batch_size=3)
    assert (esm.config.batch_size, esm.config.window_ms) == (3, 7_000)
    topic.produce_many(range(6))
    esm.drain()
    assert [batch.records for batch in esm.journal.of(BatchClosed)] == [
        {0: (range(2),)}, {0: (range(2, 4),)}, {0: (range(4, 7),)}, {0: (range(7, 10),)},
    ]  # fmt: skip
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_an_update_gives_up_the_batch_in_flight_and_its_records_come_again(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    topic.produce_many(range(4))
    esm = msk_esm(fails(function, on=1, after=True), topic, batch_size=4)
    while not function.seen:
        esm.step()
    esm.update(batch_size=2)
    esm.drain()
    assert function.seen == [(0, 0), (0, 1), (0, 2), (0, 3)] * 2
    assert_at_least_once(esm)
    assert_ordered(esm)


def test_an_update_counts_when_it_is_complete(msk_topic, msk_esm, msk_clock):
    esm = msk_esm(Offsets(), msk_topic(), transition_in_seconds=90)
    msk_clock.advance(90)
    esm.update(batch_size=3)
    assert (esm.state, esm.config.batch_size) == ("Updating", 100)
    msk_clock.advance(90)
    assert (esm.state, esm.config.batch_size) == ("Enabled", 3)


def test_an_update_of_a_disabled_mapping_leaves_it_disabled(msk_topic, msk_esm):
    esm = msk_esm(Offsets(), msk_topic(), enabled=False)
    esm.update(batch_size=3)
    assert states(esm) == ["Creating", "Disabled", "Updating", "Disabled"]
    esm.update(batch_size=4, enabled=True)
    assert states(esm)[-2:] == ["Enabling", "Enabled"]
    assert esm.config.batch_size == 4


def test_an_update_of_the_filters_and_their_removal(msk_topic, msk_esm):
    topic, function = msk_topic(), Offsets()
    only_a = {"Filters": [{"Pattern": '{"value": {"kind": ["a"]}}'}]}
    esm = msk_esm(function, topic)
    esm.update(filter_criteria=only_a)
    topic.produce_many({"kind": kind} for kind in "ab")
    esm.drain()
    esm.update(filter_criteria=None)
    topic.produce_many({"kind": kind} for kind in "ab")
    esm.drain()
    esm.update(filter_criteria={})
    topic.produce_many({"kind": kind} for kind in "ab")
    esm.drain()
    assert function.seen == [(0, 0), (0, 2), (0, 4), (0, 5)]


def test_an_update_calls_another_function(msk_topic, msk_esm):
    topic, first, second = msk_topic(), Offsets(), Offsets()
    esm = msk_esm(first, topic)
    topic.produce("a")
    esm.drain()
    esm.update(function=second)
    topic.produce("b")
    esm.drain()
    assert (first.seen, second.seen) == ([(0, 0)], [(0, 1)])
    with pytest.raises(EventSourceMappingError, match="at most 840"):
        esm.update(function=LambdaFunction(second, timeout=900))


def test_an_update_that_is_refused_changes_nothing(msk_topic, msk_esm):
    esm = msk_esm(Offsets(), msk_topic())
    before = list(esm.journal)
    with pytest.raises(EventSourceMappingError, match="less than or equal to 10000"):
        esm.update(batch_size=20_000)
    with pytest.raises(EventSourceMappingError, match=r"amazonManagedKafkaEventSourceConfig\.consumerGroupId"):
        esm.update(consumer_group_id=esm.consumer_group_id)
    with pytest.raises(TypeError, match="no parameter 'starting_position'"):
        esm.update(starting_position="LATEST")
    with pytest.raises(TypeError, match="Did you mean 'batch_size'"):
        esm.update(batch_sise=3)
    assert list(esm.journal) == before
    assert esm.config.batch_size == 100


# --- what AWS says of it


def test_last_processing_result_has_aws_texts(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Offsets()
    esm = msk_esm(fails(throttled(function, on=1), on=1), topic, maximum_batching_window_in_seconds=0)
    assert esm.last_processing_result == "No records processed"
    topic.produce("x")
    results = []
    while not function.seen:
        event = esm.step()
        if isinstance(event, Attempt | NotInvoked):
            results.append((type(event), esm.last_processing_result))
        elif event is None:
            msk_clock.advance(1)  # the pause after a throttle
    failed = "PROBLEM: Function call failed"
    assert results == [(Attempt, failed), (NotInvoked, failed), (Attempt, "OK")]
    with esm.faults.disconnected(), pytest.raises(BrokerError, match="out of the mapping's reach"):
        esm.drain()
    assert esm.last_processing_result == CONNECTION_ERROR
    assert esm.state == "Enabled"
    topic.produce("y")
    esm.drain()
    assert esm.last_processing_result == "OK"


def test_a_poller_that_is_not_authorized_stops_the_mapping(msk_topic, msk_esm, monkeypatch):
    topic = msk_topic()
    esm = msk_esm(Offsets(), topic)
    esm.drain()

    def refuse(name):
        raise BrokerError("Not authorized", code="TOPIC_AUTHORIZATION_FAILED")

    with monkeypatch.context() as patch:
        patch.setattr(esm.broker, "watermarks", refuse)
        with pytest.raises(BrokerError, match="Not authorized"):
            esm.step()
    assert (esm.state, esm.state_transition_reason) == ("Disabled", "EVENT_SOURCE_AUTHZ_ERROR")
    assert esm.last_processing_result == "PROBLEM: Cluster failed to authorize Lambda."
    assert esm.drain() == ()
    topic.produce("x")
    esm.enable()
    assert esm.state_transition_reason == "USER_INITIATED"
    assert len(esm.drain()) == 1
    assert esm.last_processing_result == "OK"


# --- topics that come later, and where a mapping begins


@pytest.fixture
def late_topic(msk_broker, msk_clock, new_name):
    """A topic that is not there yet, and what creates it."""
    name = new_name()

    def create() -> Topic:
        msk_broker.create_topic(name)
        return Topic(name, broker=msk_broker, clock=msk_clock)

    return name, create


@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST"])
def test_a_topic_that_does_not_exist_yet_is_begun_at_its_oldest_record(msk_esm, late_topic, position):
    (name, create), function = late_topic, Offsets()
    esm = msk_esm(function, name, starting_position=position)
    assert esm.state == "Enabled"
    with pytest.raises(BrokerError, match="which the broker does not have: create it"):
        esm.drain()
    assert esm.last_processing_result == CONNECTION_ERROR
    topic = create()
    topic.produce("x")
    topic.close()
    esm.drain()
    assert function.seen == [(0, 0)]
    assert esm.last_processing_result == "OK"
    assert_at_least_once(esm)


def test_a_topic_that_does_not_exist_yet_is_waited_for_in_the_background(msk_esm, late_topic):
    (name, create), function = late_topic, Offsets()
    esm = msk_esm(function, name, maximum_batching_window_in_seconds=0)
    with esm.running():
        esm.wait_until(lambda: esm.journal.of(PollFailed))
        topic = create()
        topic.produce("x")
        topic.close()
        esm.wait_until(lambda: function.seen == [(0, 0)])
    assert len(esm.journal.of(PollFailed)) == 1


def test_latest_at_first_poll_misses_what_comes_before_polling_begins(msk_topic, msk_esm, msk_clock):
    topic, function = msk_topic(), Offsets()
    esm = msk_esm(function, topic, starting_position="LATEST", latest_at_first_poll=True, transition_in_seconds=180)
    topic.produce("missed")
    msk_clock.advance(180)
    esm.drain()
    topic.produce("seen")
    esm.drain()
    assert function.seen == [(0, 1)]


def test_latest_at_first_poll_misses_records_at_an_update_before_the_first_commit(msk_topic, msk_esm):
    topic, function = msk_topic(partitions=1), Offsets()
    esm = msk_esm(function, topic, starting_position="LATEST", latest_at_first_poll=True)
    esm.drain()
    esm.update(batch_size=5)
    topic.produce("missed")
    esm.drain()
    topic.produce("seen")
    esm.drain()
    esm.update(batch_size=6)
    topic.produce("after a commit nothing is missed")
    esm.drain()
    assert function.seen == [(0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("parameters", "first"),
    [({}, 0), ({"starting_position": "LATEST"}, 3)],
    ids=["TRIM_HORIZON", "LATEST"],
)
def test_offsets_that_have_expired_lead_back_to_the_starting_position(
    msk_topic, msk_esm, msk_broker, parameters, first
):
    topic, function = msk_topic(), Offsets()
    esm = msk_esm(function, topic, **parameters)
    topic.produce("a")
    esm.drain()
    esm.disable()
    topic.produce_many("bc")
    msk_broker.delete_group(esm.consumer_group_id)
    function.seen.clear()
    esm.enable()
    esm.drain()
    topic.produce("d")
    esm.drain()
    assert function.seen[0] == (0, first)


@pytest.mark.msk(broker="embedded")
def test_offsets_of_a_mapping_that_is_disabled_for_too_long_expire(msk_topic, msk_esm, msk_broker, msk_clock):
    topic, function = msk_topic(), Offsets()
    topic.produce_many("ab")
    esm = msk_esm(function, topic)
    esm.drain()
    esm.disable()
    msk_clock.advance(8 * 24 * 3600)
    assert msk_broker.committed(esm.consumer_group_id, topic.name) == {}
    esm.enable()
    esm.drain()
    assert function.seen == [(0, 0), (0, 1)] * 2


def test_delete_keeps_the_groups_offsets_and_a_mapping_with_its_group_goes_on_there(msk_topic, msk_esm, msk_broker):
    topic, first, second = msk_topic(), Offsets(), Offsets()
    topic.produce_many("ab")
    esm = msk_esm(first, topic, consumer_group_id="kept")
    esm.drain()
    esm.delete()
    assert msk_broker.committed("kept", topic.name) == {0: 2}
    topic.produce("c")
    msk_esm(second, topic, consumer_group_id="kept").drain()
    assert second.seen == [(0, 2)]
    third = Offsets()
    msk_esm(third, topic).drain()
    assert third.seen == [(0, 0), (0, 1), (0, 2)]
