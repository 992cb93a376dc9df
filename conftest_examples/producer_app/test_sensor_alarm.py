import sensor_alarm

from pytest_msk import assert_at_least_once, assert_ordered


def test_only_the_hot_reading_raises_an_alarm(msk_event, alarms):
    """The handler alone; the next test runs the gateway and the mapping."""
    event = msk_event(
        [{"sensor": f"s{n}", "celsius": celsius} for n, celsius in enumerate([20, 91, 90])],
        topic="readings",
        key=lambda reading: reading["sensor"],
        partitions=4,
    )
    sensor_alarm.handler(event, None)

    assert alarms == ["s1"]


def test_hot_sensor_raises_an_alarm(gateway, readings, msk_esm, alarms):
    esm = msk_esm(sensor_alarm.handler, readings, maximum_batching_window_in_seconds=0)
    with esm.running():
        sending = gateway.forward({"sensor": f"s{n}", "celsius": 100 if n == 7 else 20} for n in range(50))
        esm.wait_until(lambda: alarms)
        sending.join()

    esm.drain()  # stepped again: whatever came while the mapping was being stopped
    assert alarms == ["s7"]
    assert_at_least_once(esm)
    assert_ordered(esm)
