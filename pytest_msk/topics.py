"""Topic: produce records and read the log back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, cast

from .brokers import Broker, Watermarks
from .clock import Clock, Deadline
from .errors import BrokerError
from .journal import Offsets
from .records import Header, Record
from .serialization import Headers, Key, raw_headers, raw_key, raw_value

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

__all__ = ["IsolationLevel", "Topic", "legal_name"]

V = TypeVar("V")
IsolationLevel: TypeAlias = Literal["read_uncommitted", "read_committed"]

#: Kafka's code of a timestamp that the broker set.
_LOG_APPEND_TIME = 2


def legal_name(text: str, *, limit: int = 200) -> str:
    """A topic name made from any text: letters, digits, `.`, `_` and `-`, at most `limit` characters.

    Characters that a name cannot have become `-`; of a long text the end is kept, where it differs most.
    """
    name = re.sub(r"[^a-zA-Z0-9._-]+", "-", text).strip("-.")[-limit:].lstrip("-.")
    return name or "topic"


class Topic:
    """A topic of a broker.

    Args:
        name: its name.
        broker: where it is.
        clock: gives records the time.
        timeout: seconds of real time that the broker may take.
    """

    def __init__(self, name: str, *, broker: Broker, clock: Clock, timeout: float = 30.0) -> None:
        self.name = name
        self._broker = broker
        self._clock = clock
        self._timeout = timeout
        self._round_robin = count()
        self._producer: Producer | None = None
        self._producer_partitions = 0

    def __repr__(self) -> str:
        return f"Topic({self.name!r}, partitions={self.partitions})"

    def __str__(self) -> str:
        return self.name

    @property
    def partitions(self) -> int:
        """How many partitions the topic has now."""
        return self._broker.partition_count(self.name)

    @property
    def broker(self) -> Broker:
        """Where the topic is."""
        return self._broker

    @property
    def clock(self) -> Clock:
        """What gives its records the time."""
        return self._clock

    # --- producing

    def produce(
        self,
        value: V,
        key: Key[V] = None,
        headers: Headers = None,
        partition: int | None = None,
        timestamp: int | None = None,
    ) -> Record:
        """Produce one record and return when the broker has acknowledged it.

        Args:
            value: bytes, text (as UTF-8, not JSON), `None` for a tombstone, or whatever JSON can say.
            key: bytes, text, or a function of the value; records with a key go to the partition that Java's
                producer would choose, those without go round robin from partition 0.
            headers: (name, value) pairs; a mapping will do where no name comes twice.
            partition: the partition's number, instead of the key's.
            timestamp: epoch milliseconds, the clock's time by default.

        Returns:
            The record as it stands in the log.

        Raises:
            BrokerError: the broker refused it, or did not answer in time.
            TypeError: a value, key or header is not of its type.
        """
        sent: list[Message] = []
        self._send([value], key, headers, partition, timestamp, sent.append)
        return _record(sent[0], raw_key(key, value), raw_value(value), tuple(raw_headers(headers)))

    def produce_many(
        self,
        values: Iterable[V],
        key: Key[V] = None,
        headers: Headers = None,
        partition: int | None = None,
        timestamp: int | None = None,
    ) -> int:
        """Produce records in order and return when the broker has acknowledged all of them; see `produce`.

        Returns:
            How many records there were.
        """
        return self._send(values, key, headers, partition, timestamp, None)

    def _send(
        self,
        values: Iterable[V],
        key: Key[V],
        headers: Headers,
        partition: int | None,
        timestamp: int | None,
        acknowledged: Callable[[Message], None] | None,
    ) -> int:
        from confluent_kafka import KafkaException

        pairs = raw_headers(headers)
        _check_timestamp(self._clock.now_ms() if timestamp is None else timestamp)
        partitions = self.partitions
        producer = self._open_producer(partitions)
        refused: list[tuple[KafkaError, Message]] = []
        number = 0

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                refused.append((error, message))
            elif acknowledged is not None:
                acknowledged(message)

        try:
            for value in values:
                number += 1
                key_bytes = raw_key(key, value)
                target = -1 if partition is None else partition
                if partition is None and key_bytes is None:
                    target = next(self._round_robin) % partitions
                send = partial(
                    producer.produce,
                    self.name,
                    value=raw_value(value),
                    key=key_bytes,
                    headers=cast("list[tuple[str, str | bytes | None]]", pairs),
                    timestamp=self._clock.now_ms() if timestamp is None else timestamp,
                    partition=target,
                    on_delivery=report,
                )
                try:
                    send()
                except BufferError:  # the client's queue is full: it must send before it takes more
                    producer.flush(self._timeout)
                    send()
        except KafkaException as raised:
            raise BrokerError(f"Record {number} for {self.name!r} was refused: {raised.args[0].str()}.") from raised
        finally:
            left = producer.flush(self._timeout)
        if left:
            raise BrokerError(
                f"The broker did not acknowledge {left} of {number} records for {self.name!r} within "
                f"{self._timeout:g} s (--msk-timeout)."
            )
        if refused:
            error, message = refused[0]
            raise BrokerError(
                f"The broker refused {len(refused)} of {number} records for {self.name!r}, the first one, for "
                f"partition {message.partition()}, with: {error.str()} ({error.name()})."
            )
        return number

    def _open_producer(self, partitions: int) -> Producer:
        """A producer for this topic as it is now: one that is kept would not notice other partitions."""
        if self._producer is None or self._producer_partitions != partitions:
            self.close()
            self._producer = self._broker.producer(message_max_bytes=1_000_000_000)
            self._producer_partitions = partitions
        return self._producer

    # --- looking

    def records(self, *, isolation_level: IsolationLevel = "read_uncommitted") -> list[Record]:
        """All records of the log as it stands now, by partition and offset.

        Args:
            isolation_level: Kafka's own: with `read_committed` records of aborted and open transactions are left out.

        Raises:
            BrokerError: the log could not be read within the timeout.
        """
        spans = {partition: range(m.low, m.high) for partition, m in sorted(self.watermarks().items())}
        return self._read(spans, isolation_level)

    def at(self, offsets: Offsets) -> list[Record]:
        """The records at these offsets, in this order of partitions.

        Args:
            offsets: per partition ascending ranges of offsets.

        Raises:
            BrokerError: the log could not be read within the timeout, or does not hold them any more.
        """
        spans = {
            partition: range(max(offsets[partition][0].start, m.low), min(offsets[partition][-1].stop, m.high))
            for partition, m in self.watermarks().items()
            if partition in offsets
        }
        found = {(record.partition, record.offset): record for record in self._read(spans)}
        wanted = [(partition, offset) for partition, runs in offsets.items() for run in runs for offset in run]
        if missing := [place for place in wanted if place not in found]:
            where = "the first one at partition {}, offset {}".format(*missing[0])
            what = f"{len(missing)} of {len(wanted)} records are not in the log of {self.name!r} any more"
            raise BrokerError(f"{what}, {where}: they have expired, or the topic was deleted.")
        return [found[place] for place in wanted]

    def _read(self, spans: Mapping[int, range], isolation_level: IsolationLevel = "read_uncommitted") -> list[Record]:
        """The records of the log at these offsets, by partition as they are given, and offset."""
        from confluent_kafka import TopicPartition

        spans = {partition: span for partition, span in spans.items() if span}
        found: dict[int, list[Record]] = {partition: [] for partition in spans}
        if not spans:
            return []
        consumer = self._broker.consumer(
            "pytest_msk-log-reader",
            enable_partition_eof=True,
            enable_auto_commit=False,
            isolation_level=isolation_level,
        )
        deadline = Deadline(self._timeout)
        try:
            consumer.assign([TopicPartition(self.name, partition, span.start) for partition, span in spans.items()])
            unread = set(spans)
            while unread:
                if deadline.passed:
                    raise BrokerError(
                        f"The log of {self.name!r} was not read within {self._timeout:g} s (--msk-timeout)."
                    )
                for message in consumer.consume(1_000, 0) or consumer.consume(1, 0.1):
                    error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
                    if error is None:
                        if offset in spans[partition]:
                            key, value = message.key(), message.value()
                            headers = cast("list[Header]", message.headers() or [])
                            found[partition].append(_record(message, key, value, tuple(headers)))
                    elif error.code() != error._PARTITION_EOF:
                        raise BrokerError(f"Reading the log of {self.name!r} failed: {error.str()} ({error.name()}).")
                    if error is not None or offset + 1 >= spans[partition].stop:
                        unread.discard(partition)
        finally:
            consumer.close()
        return [record for records in found.values() for record in records]

    def watermarks(self) -> dict[int, Watermarks]:
        """Where the log of each partition begins and ends."""
        return self._broker.watermarks(self.name)

    def expire(self, before: int | Mapping[int, int] | None = None) -> None:
        """Delete the oldest records, as retention would.

        Args:
            before: the first offset that is kept, for every partition or per partition; `None` keeps nothing.

        Raises:
            BrokerError: the broker refused, for instance because an offset lies beyond the log's end.
        """
        if before is None:
            before = {partition: mark.high for partition, mark in self.watermarks().items()}
        elif isinstance(before, int):
            marks = self.watermarks()
            before = {partition: min(before, mark.high) for partition, mark in marks.items() if mark.low < before}
        self._broker.delete_records(self.name, before)

    def close(self) -> None:
        """Free the topic's producer; the topic itself stays."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(self._timeout)


def _check_timestamp(timestamp: object) -> None:
    if not isinstance(timestamp, int) or isinstance(timestamp, bool):
        raise TypeError(f"A timestamp is epoch milliseconds, not {timestamp!r}.")
    if not 0 < timestamp < 2**63:
        raise ValueError(
            f"timestamp={timestamp}: give epoch milliseconds, 1 or more; the client takes 0 for the machine's time."
        )


def _record(message: Message, key: bytes | None, value: bytes | None, headers: tuple[Header, ...]) -> Record:
    kind, timestamp = message.timestamp()
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp=timestamp,
        timestamp_type="LOG_APPEND_TIME" if kind == _LOG_APPEND_TIME else "CREATE_TIME",
        key=key,
        value=value,
        headers=headers,
    )
