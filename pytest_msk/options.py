"""Settings: each one declared once, with its option `--msk-x`, ini name `msk_x` and variable `PYTEST_MSK_X`.

The closest wins: command line, then environment, then ini, then default; the marker `msk` comes before all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import pytest

from .brokers import BROKER_KINDS, MOST_NODES

__all__ = [
    "ALLOW_AWS",
    "BOOTSTRAP_SERVERS",
    "BROKER",
    "BROKER_SETTINGS",
    "KAFKA_IMAGE",
    "REPORT",
    "SETTINGS",
    "TIMEOUT",
    "BrokerChoice",
    "Setting",
    "add_options",
    "broker_choices",
]

T = TypeVar("T")

#: A kind of broker, of embedded with a number of nodes; or `auto`: the container where it can be had, else embedded.
BrokerChoice = str


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """One setting.

    Args:
        name: its name in Python; the option, ini name and variable are made from it.
        help: one line.
        default: the text that is read when nothing is set.
        read: makes the value from text; a `ValueError` says what would be good.
        metavar: what stands for the value in the help.
    """

    name: str
    help: str
    default: str
    read: Callable[[str], T]
    metavar: str

    @property
    def option(self) -> str:
        """The command line option."""
        return f"--msk-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        """The name in an ini file."""
        return f"msk_{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"PYTEST_MSK_{self.name.upper()}"

    def find(self, config: pytest.Config) -> tuple[T, str]:
        """The value and where it was set.

        Raises:
            pytest.UsageError: the text is not a good value.
        """
        ini = config.getini(self.ini)
        for text, source in (
            (config.getoption(self.ini, None), self.option),
            (os.environ.get(self.variable), self.variable),
            (ini, f"ini {self.ini}"),
            (self.default, "default"),
        ):
            if text or source == "default":
                try:
                    return self.read(text or ""), source
                except ValueError as error:
                    raise pytest.UsageError(f"{source}: {error}") from error
        raise AssertionError("the default is always found")

    def value(self, config: pytest.Config) -> T:
        """The value; see `find`."""
        return self.find(config)[0]


def broker_choices(text: str) -> tuple[BrokerChoice, ...]:
    """Read a kind of broker, `auto`, or a list of kinds; `embedded:3` is an embedded cluster of three nodes."""
    good = (*BROKER_KINDS, "auto")
    choices = tuple(dict.fromkeys(choice.strip() for choice in text.split(",")))
    for choice in choices:
        kind, colon, nodes = choice.partition(":")
        if kind not in good:
            raise ValueError(
                f"{choice!r} is no kind of broker: there are {', '.join(good)}, or several joined by commas."
            )
        if colon and (kind != "embedded" or not nodes.isdecimal() or not 1 <= int(nodes) <= MOST_NODES):
            raise ValueError(
                f"{choice!r} is no number of nodes: give embedded:3 for an embedded cluster of three, up to "
                f"{MOST_NODES}; the other kinds are as large as they are."
            )
    return choices


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is no timeout: give seconds, more than 0.")
    return seconds


def _broker_settings(text: str) -> Mapping[str, str]:
    """Read `name=value` pairs under Kafka's own names, one a line or separated by commas."""
    settings = {}
    for item in filter(None, (part.strip() for line in text.splitlines() for part in line.split(","))):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not (name and equals):
            raise ValueError(f"{item!r} is no broker setting: give name=value, such as num.partitions=3.")
        settings[name] = value
    return settings


def _image(text: str) -> str:
    if not text or any(c.isspace() for c in text):
        raise ValueError(f"{text!r} is no image: give a name such as apache/kafka:4.3.1.")
    return text


def _switch(text: str) -> bool:
    switches = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.strip().lower() not in switches:
        raise ValueError(f"{text!r} is neither on nor off: give true or false.")
    return switches[text.strip().lower()]


BROKER = Setting(
    name="broker",
    help="Kafka that tests run on: embedded (embedded:3 for 3 nodes), container, external, auto, or a list of them",
    default="embedded",
    read=broker_choices,
    metavar="KIND[,KIND]",
)
BOOTSTRAP_SERVERS = Setting(
    name="bootstrap_servers",
    help="addresses of the cluster that --msk-broker=external uses",
    default="",
    read=str,
    metavar="HOST:PORT[,HOST:PORT]",
)
KAFKA_IMAGE = Setting(
    name="kafka_image",
    help="image that --msk-broker=container runs",
    default="apache/kafka:4.3.1",
    read=_image,
    metavar="IMAGE",
)
BROKER_SETTINGS = Setting(
    name="broker_settings",
    help="settings of the embedded or container broker, under Kafka's own names",
    default="",
    read=_broker_settings,
    metavar="NAME=VALUE[,NAME=VALUE]",
)
TIMEOUT = Setting(
    name="timeout",
    help="seconds of real time that a broker may take to answer",
    default="30",
    read=_seconds,
    metavar="SECONDS",
)
REPORT = Setting(
    name="report",
    help="folder that gets a page, deliveries drawn, of each test that used a mapping",
    default="",
    read=str,
    metavar="DIR",
)
ALLOW_AWS = Setting(
    name="allow_aws",
    help="whether on-failure destinations may be in the real AWS, not only under moto or at a loopback endpoint",
    default="false",
    read=_switch,
    metavar="true|false",
)
SETTINGS: tuple[Setting[object], ...] = (  # type: ignore[assignment]
    BROKER,
    BOOTSTRAP_SERVERS,
    KAFKA_IMAGE,
    BROKER_SETTINGS,
    TIMEOUT,
    ALLOW_AWS,
    REPORT,
)


def add_options(parser: pytest.Parser) -> None:
    """Declare every setting to pytest."""
    group = parser.getgroup("msk", "Amazon MSK event source mappings (pytest_msk)")
    for setting in SETTINGS:
        note = f"default: {setting.default}" if setting.default else "no default"
        group.addoption(
            setting.option, dest=setting.ini, default=None, metavar=setting.metavar, help=f"{setting.help} ({note})"
        )
        parser.addini(setting.ini, f"{setting.help} ({note})", type="string", default="")
