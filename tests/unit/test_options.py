"""Settings: each declared once, read from four places, the closest first."""

from __future__ import annotations

import pytest

from pytest_msk import options
from pytest_msk.options import (
    ALLOW_AWS,
    BROKER,
    BROKER_SETTINGS,
    KAFKA_IMAGE,
    SETTINGS,
    TIMEOUT,
    Setting,
    broker_choices,
)

NUMBER = Setting(name="some_number", help="a number", default="1", read=int, metavar="N")


class Config:
    """What a setting asks a `pytest.Config` for."""

    def __init__(self, *, option: str | None = None, ini: str = "") -> None:
        self._option, self._ini = option, ini

    def getoption(self, name: str, default: object) -> str | None:
        assert (name, default) == ("msk_some_number", None)
        return self._option

    def getini(self, name: str) -> str:
        assert name == "msk_some_number"
        return self._ini


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    monkeypatch.delenv("PYTEST_MSK_SOME_NUMBER", raising=False)


def test_the_three_names_come_from_one():
    assert (NUMBER.option, NUMBER.ini, NUMBER.variable) == (
        "--msk-some-number",
        "msk_some_number",
        "PYTEST_MSK_SOME_NUMBER",
    )


@pytest.mark.parametrize(
    ("option", "variable", "ini", "found"),
    [
        ("4", "3", "2", (4, "--msk-some-number")),
        (None, "3", "2", (3, "PYTEST_MSK_SOME_NUMBER")),
        (None, None, "2", (2, "ini msk_some_number")),
        (None, None, "", (1, "default")),
        (None, "", "2", (2, "ini msk_some_number")),
    ],
    ids=["command line", "environment", "ini", "default", "empty variable"],
)
def test_the_closest_place_wins(monkeypatch, option, variable, ini, found):
    if variable is not None:
        monkeypatch.setenv("PYTEST_MSK_SOME_NUMBER", variable)
    config = Config(option=option, ini=ini)
    assert NUMBER.find(config) == found
    assert NUMBER.value(config) == found[0]


def test_a_bad_value_names_the_place_that_it_came_from(monkeypatch):
    monkeypatch.setenv("PYTEST_MSK_SOME_NUMBER", "many")
    with pytest.raises(pytest.UsageError) as raised:
        NUMBER.find(Config(ini="2"))
    assert str(raised.value).startswith("PYTEST_MSK_SOME_NUMBER: invalid literal for int()")


def test_a_bad_value_that_is_not_used_is_not_read():
    assert NUMBER.value(Config(option="4", ini="many")) == 4


def test_every_setting_is_listed_once_and_has_a_good_default():
    declared = [value for value in vars(options).values() if isinstance(value, Setting)]
    assert sorted(s.name for s in SETTINGS) == sorted(s.name for s in declared)
    for setting in SETTINGS:
        setting.read(setting.default)
    assert {s.name: s.read(s.default) for s in SETTINGS} == {
        "broker": ("embedded",),
        "bootstrap_servers": "",
        "kafka_image": "apache/kafka:4.3.1",
        "broker_settings": {},
        "timeout": 30.0,
        "allow_aws": False,
    }


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("embedded", ("embedded",)),
        ("auto", ("auto",)),
        ("container, embedded", ("container", "embedded")),
        ("external,external", ("external",)),
    ],
)
def test_kinds_of_broker_keep_their_order_and_come_once(text, choices):
    assert broker_choices(text) == choices


@pytest.mark.parametrize(
    ("text", "bad"), [("kafka", "kafka"), ("", ""), ("embedded,", ""), ("embedded;auto", "embedded;auto")]
)
def test_what_is_no_kind_of_broker_is_refused_with_the_good_ones(text, bad):
    with pytest.raises(ValueError, match="no kind of broker") as raised:
        BROKER.read(text)
    assert str(raised.value) == (
        f"{bad!r} is no kind of broker: there are embedded, container, external, auto, or several joined by commas."
    )


@pytest.mark.parametrize(("text", "seconds"), [("30", 30.0), ("0.5", 0.5), (" 2 ", 2.0)])
def test_a_timeout_is_a_number_of_seconds(text, seconds):
    assert TIMEOUT.read(text) == seconds


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "soon", ""])
def test_what_is_no_timeout_is_refused(text):
    with pytest.raises(ValueError, match="timeout") as raised:
        TIMEOUT.read(text)
    assert str(raised.value) == f"{text!r} is no timeout: give seconds, more than 0."


def test_broker_settings_stand_on_lines_or_between_commas():
    assert BROKER_SETTINGS.read("\n  num.partitions = 3, auto.create.topics.enable=true\n log.dirs=a=b \n x=") == {
        "num.partitions": "3",
        "auto.create.topics.enable": "true",
        "log.dirs": "a=b",
        "x": "",
    }


@pytest.mark.parametrize("item", ["num.partitions", "=3"])
def test_what_is_no_broker_setting_is_refused(item):
    with pytest.raises(ValueError, match="broker setting") as raised:
        BROKER_SETTINGS.read(f"a=b,{item}")
    assert str(raised.value) == f"{item!r} is no broker setting: give name=value, such as num.partitions=3."


@pytest.mark.parametrize(
    ("text", "on"), [("true", True), (" TRUE ", True), ("1", True), ("on", True), ("false", False), ("no", False)]
)
def test_the_real_aws_is_allowed_or_not(text, on):
    assert ALLOW_AWS.read(text) is on


@pytest.mark.parametrize("text", ["", "maybe", "arn:aws:sqs:eu-west-1:123456789012:dead-letters"])
def test_what_is_no_switch_is_refused(text):
    with pytest.raises(ValueError, match="neither on nor off") as raised:
        ALLOW_AWS.read(text)
    assert str(raised.value) == f"{text!r} is neither on nor off: give true or false."


@pytest.mark.parametrize("text", ["", "apache/kafka 4.3.1"])
def test_what_is_no_image_is_refused(text):
    with pytest.raises(ValueError, match="no image") as raised:
        KAFKA_IMAGE.read(text)
    assert str(raised.value) == f"{text!r} is no image: give a name such as apache/kafka:4.3.1."
