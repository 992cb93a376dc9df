"""The broker's settings and the topics' configs, under Kafka's own names, with Kafka's defaults and Kafka's checks.

Where a default is not Kafka's, its line says why. A name that is not in these tables is refused.
Source: "Broker Configs" and "Topic Configs" of Apache Kafka 4.3's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ...errors import BrokerError
from .errors import ErrorCode, Refused

__all__ = ["BROKER_SETTINGS", "TOPIC_CONFIGS", "ConfigKey", "Settings"]

ConfigType = Literal["boolean", "string", "int", "short", "long", "double", "list"]
_BITS = {"short": 16, "int": 32, "long": 64}
_LONG_MAX = str((1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One setting: its name, type, default, and what it may be.

    Args:
        default: as text; None for a setting that has no value of its own.
        low: the smallest number.
        high: the largest number.
        choices: the only strings, or items of a list.
        special: a number that is allowed outside the range.
        broker: of a topic's config, the broker setting that gives its default.
        acts: whether this broker does something with it; the others are kept and shown.
    """

    name: str
    type: ConfigType
    default: str | None
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    special: int | None = None
    broker: str | None = None
    acts: bool = False

    def check(self, value: str) -> str:
        """The value in the form in which Kafka shows it.

        Raises:
            Refused: INVALID_CONFIG with Kafka's text.
        """
        text = value.strip()
        if self.type == "boolean":
            if text.lower() not in ("true", "false"):
                raise self._invalid(value, "Expected value to be either true or false")
            return text.lower()
        if self.type in ("string", "list"):
            items = [item.strip() for item in text.split(",") if item.strip()] if self.type == "list" else [text]
            for item in items:
                if self.choices and item not in self.choices:
                    raise self._invalid(item, f"String must be one of: {', '.join(self.choices)}")
            return ",".join(items)
        number = self._number(value, text)
        shown: object = float(number) if self.type == "double" else text
        if number != self.special:
            if self.special is not None and self.low is not None and self.high is not None:
                if not self.low <= number <= self.high:
                    limits = f"Value must be between {self.low} and {self.high} or equal to {self.special}"
                    raise self._invalid(shown, limits)
            elif self.low is not None and number < self.low:
                raise self._invalid(shown, f"Value must be at least {self.low}")
            elif self.high is not None and number > self.high:
                raise self._invalid(shown, f"Value must be no more than {self.high}")
        return str(number)

    def _number(self, value: str, text: str) -> int | float:
        try:
            if self.type == "double":
                return float(text)
            number = int(text)
        except ValueError:
            raise self._invalid(value, f"Not a number of type {self.type.upper()}") from None
        limit = 1 << (_BITS[self.type] - 1)
        if not -limit <= number < limit:
            raise self._invalid(value, f"Not a number of type {self.type.upper()}")
        return number

    def _invalid(self, value: object, reason: str) -> Refused:
        return Refused(ErrorCode.INVALID_CONFIG, f"Invalid value {value} for configuration {self.name}: {reason}")


def _table(*keys: ConfigKey) -> dict[str, ConfigKey]:
    return {key.name: key for key in keys}


_CODECS = ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
_TIMESTAMPS = ("CreateTime", "LogAppendTime")
_POLICIES = ("compact", "delete")

TOPIC_CONFIGS: dict[str, ConfigKey] = _table(
    ConfigKey("cleanup.policy", "list", "delete", choices=_POLICIES, broker="log.cleanup.policy", acts=True),
    ConfigKey("compression.gzip.level", "int", "-1", 1, 9, special=-1, broker="compression.gzip.level"),
    ConfigKey("compression.lz4.level", "int", "9", 1, 17, broker="compression.lz4.level"),
    ConfigKey("compression.type", "string", "producer", choices=_CODECS, broker="compression.type"),
    ConfigKey("compression.zstd.level", "int", "3", -131072, 22, broker="compression.zstd.level"),
    ConfigKey("delete.retention.ms", "long", "86400000", 0, broker="log.cleaner.delete.retention.ms", acts=True),
    ConfigKey("file.delete.delay.ms", "long", "60000", 0, broker="log.segment.delete.delay.ms"),
    ConfigKey("flush.messages", "long", _LONG_MAX, 1, broker="log.flush.interval.messages"),
    ConfigKey("flush.ms", "long", _LONG_MAX, 0),
    ConfigKey("follower.replication.throttled.replicas", "list", ""),
    ConfigKey("index.interval.bytes", "int", "4096", 0, broker="log.index.interval.bytes"),
    ConfigKey("leader.replication.throttled.replicas", "list", ""),
    ConfigKey("local.retention.bytes", "long", "-2", -2, broker="log.local.retention.bytes"),
    ConfigKey("local.retention.ms", "long", "-2", -2, broker="log.local.retention.ms"),
    ConfigKey("max.compaction.lag.ms", "long", _LONG_MAX, 1, broker="log.cleaner.max.compaction.lag.ms", acts=True),
    ConfigKey("max.message.bytes", "int", "1048588", 0, broker="message.max.bytes", acts=True),
    ConfigKey(
        "message.timestamp.after.max.ms", "long", "3600000", 0, broker="log.message.timestamp.after.max.ms", acts=True
    ),
    ConfigKey(
        "message.timestamp.before.max.ms", "long", _LONG_MAX, 0, broker="log.message.timestamp.before.max.ms", acts=True
    ),
    ConfigKey(
        "message.timestamp.type",
        "string",
        "CreateTime",
        choices=_TIMESTAMPS,
        broker="log.message.timestamp.type",
        acts=True,
    ),
    ConfigKey("min.cleanable.dirty.ratio", "double", "0.5", 0, 1, broker="log.cleaner.min.cleanable.ratio", acts=True),
    ConfigKey("min.compaction.lag.ms", "long", "0", 0, broker="log.cleaner.min.compaction.lag.ms", acts=True),
    ConfigKey("min.insync.replicas", "int", "1", 1, broker="min.insync.replicas", acts=True),
    ConfigKey("preallocate", "boolean", "false", broker="log.preallocate"),
    ConfigKey("remote.log.copy.disable", "boolean", "false"),
    ConfigKey("remote.log.delete.on.disable", "boolean", "false"),
    ConfigKey("remote.storage.enable", "boolean", "false"),
    ConfigKey("retention.bytes", "long", "-1", broker="log.retention.bytes", acts=True),
    ConfigKey("retention.ms", "long", "604800000", -1, broker="log.retention.ms", acts=True),
    ConfigKey("segment.bytes", "int", "1073741824", 1048576, broker="log.segment.bytes"),
    ConfigKey("segment.index.bytes", "int", "10485760", 4, broker="log.index.size.max.bytes"),
    ConfigKey("segment.jitter.ms", "long", "0", 0),
    ConfigKey("segment.ms", "long", "604800000", 1, acts=True),
    ConfigKey("unclean.leader.election.enable", "boolean", "false", broker="unclean.leader.election.enable", acts=True),
)

BROKER_SETTINGS: dict[str, ConfigKey] = _table(
    # MSK's own default; Kafka's is false. It says what is allowed on what no ACL is about.
    ConfigKey("allow.everyone.if.no.acl.found", "boolean", "true", acts=True),
    # MSK's own default; Kafka's is true. Nothing is created by mere use.
    ConfigKey("auto.create.topics.enable", "boolean", "false", acts=True),
    ConfigKey("connection.failed.authentication.delay.ms", "int", "100", 0, acts=True),
    ConfigKey("connections.max.reauth.ms", "long", "0", acts=True),
    ConfigKey("default.replication.factor", "int", "1", 1, acts=True),
    ConfigKey("delete.topic.enable", "boolean", "true", acts=True),
    ConfigKey("fetch.max.bytes", "int", "57671680", 1024, acts=True),
    ConfigKey("group.consumer.assignors", "list", "uniform,range", choices=("uniform", "range"), acts=True),
    # Kafka's default of 5000 makes each rebalance of the consumer protocol take that long.
    ConfigKey("group.consumer.heartbeat.interval.ms", "int", "100", 1, acts=True),
    ConfigKey("group.consumer.max.size", "int", "2147483647", 1, acts=True),
    ConfigKey("group.consumer.session.timeout.ms", "int", "45000", 1, acts=True),
    # Kafka's default of 3000 makes each first join wait. 20 ms suffice for members that start together.
    ConfigKey("group.initial.rebalance.delay.ms", "int", "20", 0, acts=True),
    ConfigKey("group.max.session.timeout.ms", "int", "1800000", 1, acts=True),
    ConfigKey("group.max.size", "int", "2147483647", 1, acts=True),
    ConfigKey("group.min.session.timeout.ms", "int", "6000", 1, acts=True),
    ConfigKey("log.retention.check.interval.ms", "long", "300000", 1, acts=True),
    ConfigKey("log.retention.hours", "int", "168", acts=True),
    ConfigKey("log.retention.minutes", "int", None, acts=True),
    ConfigKey("max.connections", "int", "2147483647", 0, acts=True),
    ConfigKey("num.partitions", "int", "1", 1, acts=True),
    ConfigKey("offset.metadata.max.bytes", "int", "4096", acts=True),
    ConfigKey("offsets.retention.minutes", "int", "10080", 1, acts=True),
    ConfigKey("socket.request.max.bytes", "int", "104857600", 1, acts=True),
    # Kafka's default is none. So a listener serves clients with a certificate and clients without one.
    ConfigKey("ssl.client.auth", "string", "requested", choices=("required", "requested", "none"), acts=True),
    ConfigKey("ssl.principal.mapping.rules", "string", "DEFAULT", acts=True),
    # Kafka has none by default. The plaintext listener is the kit's own door, whatever ACLs a test makes.
    ConfigKey("super.users", "string", "User:ANONYMOUS", acts=True),
    ConfigKey("transaction.abort.timed.out.transaction.cleanup.interval.ms", "int", "10000", 1, acts=True),
    ConfigKey("transaction.max.timeout.ms", "int", "900000", 1, acts=True),
    ConfigKey("transactional.id.expiration.ms", "int", "604800000", 1, acts=True),
    *(
        ConfigKey(
            key.broker,
            key.type,
            None if key.broker == "log.retention.ms" else key.default,
            key.low,
            key.high,
            key.choices,
            key.special,
            acts=key.acts,
        )
        for key in TOPIC_CONFIGS.values()
        if key.broker is not None
    ),
)


class Settings:
    """The broker's settings: Kafka's defaults and what was given.

    Args:
        given: by Kafka's names, values as text.

    Raises:
        BrokerError: an unknown name or a bad value.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self.given: dict[str, str] = {}
        for name, value in (given or {}).items():
            key = BROKER_SETTINGS.get(name)
            if key is None:
                raise BrokerError(
                    f"The embedded broker has no setting {name!r}. It takes, under Kafka's own names: "
                    f"{', '.join(sorted(BROKER_SETTINGS))}."
                )
            try:
                self.given[name] = key.check(value)
            except Refused as error:
                raise BrokerError(f"{error.message}.") from None

    def get(self, name: str) -> str | None:
        """A setting as text; None when it has no value."""
        return self.given.get(name, BROKER_SETTINGS[name].default)

    def int(self, name: str) -> int:
        """A setting that is a number."""
        value = self.get(name)
        assert value is not None, name
        return int(value)

    def flag(self, name: str) -> bool:
        """A setting that is true or false."""
        return self.get(name) == "true"

    def topic_default(self, key: ConfigKey) -> str:
        """What a topic's config is when the topic does not say."""
        if key.name == "retention.ms" and "log.retention.ms" not in self.given:
            minutes = self.get("log.retention.minutes")
            minutes = str(self.int("log.retention.hours") * 60) if minutes is None else minutes
            return str(int(minutes) * 60_000) if int(minutes) >= 0 else "-1"
        value = self.get(key.broker) if key.broker is not None else key.default
        assert value is not None, key.name
        return value
