"""How many event pollers a mapping is to have: documented limits, one rule at a time, and what holds for any load."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_msk.mapping.scaling import EVALUATION_MS, Evaluations, Load, Scaling

MB = 1024 * 1024
scalings = st.builds(
    lambda minimum, more, invocations: Scaling(minimum=minimum, maximum=minimum + more, invocations=invocations),
    st.integers(1, 20),
    st.integers(0, 40),
    st.sampled_from([1, 5]),
)
lags = st.dictionaries(st.integers(0, 30), st.integers(0, 10**7), max_size=12)


@st.composite
def loads(draw) -> Load:
    lag = draw(lags)
    return Load(
        pollers=draw(st.integers(1, max(1, len(lag)))),
        lag=lag,
        throttles=draw(st.integers(0, 2)),
        record_bytes=draw(st.floats(0, 1e6)),
        batch_records=draw(st.floats(1, 10_000)),
        invocation_ms=draw(st.floats(0, 840_000)),
    )


def lag(*records: int) -> dict[int, int]:
    return dict(enumerate(records))


@given(scalings, loads())
def test_there_are_never_more_pollers_than_partitions_and_the_limits_hold(scaling, load):
    pollers = scaling.decide(load).pollers
    assert 1 <= pollers <= max(1, load.partitions)
    assert pollers <= scaling.maximum
    assert pollers >= min(scaling.minimum, max(1, load.partitions))


@given(scalings, loads())
def test_a_throttled_function_never_gets_more_pollers_and_gets_fewer_where_the_limits_let_it(scaling, load):
    assume(load.throttles)
    fewest, most = scaling.bounds(load.partitions)
    decision = scaling.decide(load)
    assert decision.pollers <= max(load.pollers, fewest)
    if fewest < load.pollers <= most:
        assert (decision.pollers, decision.reason) == (load.pollers - 1, "throttled")


@given(scalings, loads(), lags)
def test_more_lag_never_means_fewer_pollers(scaling, load, more):
    grown = {partition: records + more.get(partition, 0) for partition, records in load.lag.items()}
    higher = Load(**{name: getattr(load, name) for name in load.__slots__} | {"lag": grown})
    assert scaling.decide(higher).pollers >= scaling.decide(load).pollers


@given(scalings, loads())
def test_the_same_load_comes_to_rest_within_as_many_evaluations_as_there_are_pollers(scaling, load):
    assume(not load.throttles)
    values = {name: getattr(load, name) for name in load.__slots__}
    for _ in range(load.pollers + load.partitions + 2):
        before, values["pollers"] = values["pollers"], scaling.decide(Load(**values)).pollers
    assert values["pollers"] == before


@given(st.integers(1, 200), loads())
def test_equal_minimum_and_maximum_switch_scaling_off(number, load):
    scaling = Scaling(minimum=number, maximum=number)
    assert not scaling.automatic
    assert scaling.decide(load).pollers == min(number, max(1, load.partitions))


@pytest.mark.parametrize(
    ("records", "pollers"),
    [((0, 0, 0, 0), 1), ((297, 1, 1, 1), 1), ((298, 1, 1, 1), 2), ((298, 300, 1, 1), 2), ((298, 301, 1, 1), 3),
     ((10**6, 1, 1, 1), 4)],
    ids=["no lag", "one minute of one", "one record more", "of two", "more than two", "a poller each"],
)  # fmt: skip
def test_a_poller_reads_five_megabytes_a_second(records, pollers):
    load = Load(pollers=1, lag=lag(*records), record_bytes=MB)
    assert Scaling().decide(load).pollers == pollers


@pytest.mark.parametrize(("invocations", "pollers"), [(5, 2), (1, 6)])
def test_a_provisioned_poller_has_five_invocations_running_and_an_on_demand_one_has_one(invocations, pollers):
    # 20 records in 50 ms are 2,000 a second with five invocations, the example of AWS's own page (spec 7.2).
    load = Load(pollers=1, lag=lag(*[20_000] * 7), batch_records=20, invocation_ms=50)
    scaling = Scaling(invocations=invocations)
    assert scaling.decide(load).pollers == pollers
    assert scaling.decide(load).reason == "lag"


def test_partitions_without_lag_get_no_pollers_of_their_own():
    load = Load(pollers=1, lag=lag(10**6, 10**6, 0, 0), batch_records=1, invocation_ms=1_000)
    assert Scaling().decide(load).pollers == 2


def test_pollers_go_one_by_one_when_fewer_would_do():
    load = Load(pollers=4, lag=lag(1, 0, 0, 0), batch_records=1, invocation_ms=1_000)
    assert (Scaling().decide(load).pollers, Scaling().decide(load).reason) == (3, "idle")


def test_fewer_partitions_than_the_minimum_get_one_poller_each():
    decision = Scaling(minimum=3, maximum=9).decide(Load(pollers=1, lag=lag(0, 0)))
    assert (decision.pollers, decision.reason) == (2, "bounds")


def test_a_topic_that_is_not_there_yet_has_one_poller():
    assert Scaling(minimum=5).decide(Load(pollers=1, lag={})).pollers == 1


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 1), (3, 2), (-1, -1)])
def test_limits_the_wrong_way_round_are_refused(minimum, maximum):
    with pytest.raises(ValueError, match=f"Pollers from {minimum} to {maximum}"):
        Scaling(minimum=minimum, maximum=maximum)


def test_a_minute_is_counted_from_the_start_and_what_it_saw_counts_once():
    evaluations = Evaluations(start_ms=1_000)
    assert evaluations.due_ms == 1_000 + EVALUATION_MS
    evaluations.batch(10, 2_000)
    evaluations.batch(30, 2_000)
    evaluations.call(100)
    evaluations.call(300)
    evaluations.throttle()
    late = 1_000 + 3 * EVALUATION_MS + 7
    assert evaluations.load(late, 2, {0: 5}) == Load(
        pollers=2, lag={0: 5}, throttles=1, record_bytes=100, batch_records=20, invocation_ms=200
    )
    assert evaluations.due_ms == 1_000 + 4 * EVALUATION_MS
    assert evaluations.load(late, 2, {0: 5}) == Load(pollers=2, lag={0: 5})
