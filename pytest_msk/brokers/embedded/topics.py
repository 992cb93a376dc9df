"""The topics: their names, ids, configs and partitions."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator, Mapping

from ._consumer_group import TopicInfo
from .errors import ErrorCode, Refused
from .log import LogConfig, PartitionLog
from .settings import TOPIC_CONFIGS, Settings

__all__ = ["Topic", "Topics", "check_topic_configs", "check_topic_name"]

_LEGAL = frozenset(string.ascii_letters + string.digits + "._-")
_MAX_NAME = 249
_MAX_PARTITIONS = 10_000
_LAGS = ("min.compaction.lag.ms", "max.compaction.lag.ms")


def check_topic_name(name: str) -> None:
    """Apply Kafka's rule for topic names.

    Raises:
        Refused: INVALID_TOPIC_EXCEPTION with Kafka's text.
    """
    if not name:
        reason = "the empty string is not allowed"
    elif name in (".", ".."):
        reason = f"'{name}' is not allowed"
    elif len(name) > _MAX_NAME:
        reason = f"the length of '{name}' is longer than the max allowed length {_MAX_NAME}"
    elif not _LEGAL.issuperset(name):
        reason = f"'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    else:
        return
    raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {reason}")


def check_topic_configs(configs: Mapping[str, str | None]) -> dict[str, str]:
    """A topic's configs in the form in which Kafka shows them.

    Raises:
        Refused: INVALID_CONFIG with Kafka's text.
    """
    checked: dict[str, str] = {}
    for name, value in configs.items():
        key = TOPIC_CONFIGS.get(name)
        if key is None:
            raise Refused(ErrorCode.INVALID_CONFIG, f"Unknown topic config name: {name}")
        if value is None:
            raise Refused(ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {name}")
        checked[name] = key.check(value)
    low, high = (int(checked.get(name) or TOPIC_CONFIGS[name].default or 0) for name in _LAGS)
    if low > high:
        raise Refused(
            ErrorCode.INVALID_CONFIG, f"conflict topic config setting {_LAGS[0]} ({low}) > {_LAGS[1]} ({high})"
        )
    return checked


class Topic:
    """One topic.

    Args:
        configs: the configs of its own, checked.
    """

    def __init__(self, name: str, partitions: int, configs: Mapping[str, str], settings: Settings) -> None:
        self.name = name
        self.id = os.urandom(16)
        self.partitions = [PartitionLog(name, index) for index in range(partitions)]
        self._settings = settings
        self.configure(configs)

    def configure(self, configs: Mapping[str, str]) -> None:
        """Replace the configs of its own, which have been checked."""
        self.configs = dict(configs)
        policy = self.config("cleanup.policy").split(",")
        self.log_config = LogConfig(
            max_message_bytes=int(self.config("max.message.bytes")),
            log_append_time=self.config("message.timestamp.type") == "LogAppendTime",
            timestamp_before_max_ms=int(self.config("message.timestamp.before.max.ms")),
            timestamp_after_max_ms=int(self.config("message.timestamp.after.max.ms")),
            delete="delete" in policy,
            compact="compact" in policy,
            retention_ms=int(self.config("retention.ms")),
            retention_bytes=int(self.config("retention.bytes")),
            segment_ms=int(self.config("segment.ms")),
            min_compaction_lag_ms=int(self.config("min.compaction.lag.ms")),
            max_compaction_lag_ms=int(self.config("max.compaction.lag.ms")),
            min_cleanable_dirty_ratio=float(self.config("min.cleanable.dirty.ratio")),
            delete_retention_ms=int(self.config("delete.retention.ms")),
        )
        self.min_insync_replicas = int(self.config("min.insync.replicas"))

    def config(self, name: str) -> str:
        """A config's value: the topic's own, else the broker's."""
        own = self.configs.get(name)
        return self._settings.topic_default(TOPIC_CONFIGS[name]) if own is None else own

    def grow(self, total: int) -> None:
        """Add partitions up to `total`."""
        self.partitions += [PartitionLog(self.name, index) for index in range(len(self.partitions), total)]


class Topics:
    """All topics of the broker, by name and by id."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: Another number whenever a topic was created, grown or deleted.
        self.version = 0
        self._by_name: dict[str, Topic] = {}
        self._by_id: dict[bytes, Topic] = {}

    def __iter__(self) -> Iterator[Topic]:
        return iter(tuple(self._by_name.values()))

    def get(self, name: str) -> Topic | None:
        """The topic of that name, if there is one."""
        return self._by_name.get(name)

    def by_id(self, topic_id: bytes) -> Topic | None:
        """The topic of that id, if there is one."""
        return self._by_id.get(topic_id)

    def infos(self) -> dict[str, TopicInfo]:
        """Every topic's id and number of partitions, by name."""
        return {topic.name: TopicInfo(topic.id, len(topic.partitions)) for topic in self}

    def log(self, name: str, partition: int) -> PartitionLog | None:
        """A partition's log, if there is one."""
        topic = self._by_name.get(name)
        if topic is None or not 0 <= partition < len(topic.partitions):
            return None
        return topic.partitions[partition]

    def create(
        self,
        name: str,
        *,
        partitions: int = -1,
        replication_factor: int = -1,
        configs: Mapping[str, str | None] | None = None,
        validate_only: bool = False,
    ) -> Topic:
        """A new topic.

        Args:
            partitions: -1 for `num.partitions`.
            replication_factor: -1 for the default; there is one broker.
            validate_only: check everything, and create nothing.

        Raises:
            Refused: as Kafka refuses it.
        """
        if name in self._by_name:
            raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        check_topic_name(name)
        self._check_collision(name)
        if replication_factor < -1 or replication_factor == 0:
            raise Refused(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            )
        if partitions < -1 or partitions == 0:
            raise Refused(
                ErrorCode.INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value."
            )
        factor = self._settings.int("default.replication.factor") if replication_factor == -1 else replication_factor
        if factor > 1:
            raise Refused(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                f"Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot "
                "be reached because only 1 broker(s) are registered or some brokers have all their log directories "
                "cordoned.",
            )
        count = self._settings.int("num.partitions") if partitions == -1 else partitions
        if count > _MAX_PARTITIONS:
            raise Refused(
                ErrorCode.POLICY_VIOLATION,
                f"Excessively large number of partitions per request: {count} > {_MAX_PARTITIONS}.",
            )
        topic = Topic(name, count, check_topic_configs(configs or {}), self._settings)
        if not validate_only:
            self._by_name[name] = topic
            self._by_id[topic.id] = topic
            self.version += 1
        return topic

    def _check_collision(self, name: str) -> None:
        """Metrics of `a.b` and `a_b` have one name, so Kafka takes only one of them."""
        if "." not in name and "_" not in name:
            return
        flat = name.replace(".", "_")
        for other in self._by_name:
            if other.replace(".", "_") == flat:
                raise Refused(
                    ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic '{name}' collides with existing topic: {other}"
                )

    def delete(self, topic: Topic) -> None:
        """Remove a topic and its records."""
        del self._by_name[topic.name], self._by_id[topic.id]
        self.version += 1

    def grow(self, topic: Topic, total: int, *, validate_only: bool = False) -> None:
        """Raise a topic's number of partitions.

        Raises:
            Refused: INVALID_PARTITIONS, that is no more than there are.
        """
        now = len(topic.partitions)
        if total == now:
            raise Refused(ErrorCode.INVALID_PARTITIONS, f"Topic already has {now} partition(s).")
        if total < now:
            raise Refused(
                ErrorCode.INVALID_PARTITIONS,
                f"The topic {topic.name} currently has {now} partition(s); {total} would not be an increase.",
            )
        if total - now > _MAX_PARTITIONS:
            raise Refused(
                ErrorCode.POLICY_VIOLATION,
                f"Excessively large number of partitions per request: {total - now} > {_MAX_PARTITIONS}.",
            )
        if not validate_only:
            topic.grow(total)
            self.version += 1

    def clean(self, now_ms: int) -> None:
        """Apply each topic's retention and compaction at a time (epoch milliseconds)."""
        for topic in self:
            for log in topic.partitions:
                log.retain(topic.log_config, now_ms)
                log.compact(topic.log_config, now_ms)
