import pytest
import sensor_alarm
from sensor_gateway import Gateway


@pytest.fixture
def readings(msk_topic):
    return msk_topic("readings", partitions=4)


@pytest.fixture
def gateway(msk_broker, readings):
    return Gateway(msk_broker.bootstrap_servers, readings.name)


@pytest.fixture
def alarms(monkeypatch):
    raised: list[str] = []
    monkeypatch.setattr(sensor_alarm, "alarms", raised)
    return raised
