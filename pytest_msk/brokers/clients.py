"""Clients: confluent-kafka producers and consumers with the settings that make tests quick.

Each setting below was measured on a real broker and is here because it changes something; the comment says what.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..clock import Deadline
from ..errors import BrokerError, NotSupported
from . import ClientSetting, Committer
from .security import Authentication, check_authentication

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

    from ._quick import QuickConsumer, TrackedProducer

__all__ = ["Clients", "client_config", "committer"]

# The largest record that a client lets through; librdkafka's own limit of 1 MB would hide the topic's.
_LARGEST_RECORD_BYTES = 100_000_000

_QUICK: Mapping[str, ClientSetting] = {
    # Connect to every broker at once, not when the first request asks for it: 50 ms of a consumer's first record.
    # (With it reconnect.backoff.ms gains nothing; at 0 it burns two CPUs for as long as a broker is gone.)
    "enable.sparse.connections": False,
    # A broker that was away is found again within half a second, not within ten.
    "reconnect.backoff.max.ms": 500,
    # The last push of metrics holds up close() by 500 ms on a broker that takes telemetry, and test clients
    # are no business of whoever collects it.
    "enable.metrics.push": False,
    # A topic that is not there is an error after 5 s, not after 30: the kit's topics are usable when they are made.
    "topic.metadata.propagation.max.ms": 5_000,
    # A broker that ends is no news in a test run; failed connections are still logged.
    "log.connection.close": False,
}

# With TLS or SASL a connection takes longer than what is gained by having it early, and a client that keeps up all of
# them does not wait between its attempts: one that is refused would log a hundred failures a second.
_QUICK_SECURE: Mapping[str, ClientSetting] = {"enable.sparse.connections": True}

_QUICK_PRODUCER: Mapping[str, ClientSetting] = {
    # 5 ms by default before a record leaves; 0 halves the rate of produce() in a loop, 1 does not.
    "linger.ms": 1,
    # Java's partitioner, so that a key goes where the applications in front of MSK put it; librdkafka's own is CRC32.
    "partitioner": "murmur2_random",
    "message.max.bytes": _LARGEST_RECORD_BYTES,
}

_QUICK_CONSUMER: Mapping[str, ClientSetting] = {
    "auto.offset.reset": "earliest",
    # A commit is the test's decision. It also spares close() a wait of 500 ms for a coordinator that an
    # assign()ed consumer has no other use for.
    "enable.auto.commit": False,
    # 1 s by default, which is a hole of up to 0.95 s in a large read as soon as 100,000 records are waiting.
    "fetch.queue.backoff.ms": 10,
    # A partition that is added, sought or resumed waits for the answer to the fetch under way: 480 ms at the
    # default of 500. An idle consumer then asks 50 times a second, which costs 1 % of a CPU.
    "fetch.wait.max.ms": 20,
}

# The part of the time for closing that a producer may take to deliver; the rest is for what comes after it.
_FLUSH_SHARE = 0.75

# librdkafka's settings are written with dots, but for these.
_UNDERSCORED = frozenset({"log_level"})


def client_config(bootstrap_servers: str, settings: Mapping[str, ClientSetting]) -> dict[str, ClientSetting]:
    """Settings for any confluent-kafka client (producer, consumer, admin), made quick for tests.

    Args:
        bootstrap_servers: `host:port`, several joined by commas.
        settings: librdkafka's own settings, with dots or with `_` for `.`; they win.
    """
    given = _dotted(settings)
    secure = str(given.get("security.protocol", "plaintext")).lower() != "plaintext"
    return {"bootstrap.servers": bootstrap_servers, **_QUICK, **(_QUICK_SECURE if secure else {}), **given}


def committer(consumer: Consumer, topic: str) -> Committer:
    """What commits through a consumer's own connection; see `Broker.committer`."""
    from confluent_kafka import KafkaError, KafkaException, TopicPartition

    rebalanced = (
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._STATE,
    )

    def commit(positions: Mapping[int, int]) -> str | None:
        offsets = [TopicPartition(topic, partition, offset) for partition, offset in positions.items()]
        try:
            errors = [found.error for found in consumer.commit(offsets=offsets, asynchronous=False)]
        except KafkaException as raised:
            errors = [raised.args[0]]
        for error in filter(None, errors):
            if error.code() not in rebalanced:
                raise BrokerError(f"Committing {dict(positions)} of {topic!r} failed: {error.str()} ({error.name()}).")
            return str(error.str())
        return None

    return commit


def _dotted(settings: Mapping[str, ClientSetting]) -> dict[str, ClientSetting]:
    """Settings under librdkafka's own names; callbacks keep the underscore of theirs."""
    return {
        name if name in _UNDERSCORED or callable(value) else name.replace("_", "."): value
        for name, value in settings.items()
    }


class Clients:
    """The producers and consumers of one broker: made quick, and closed when nobody else did.

    Args:
        bootstrap_servers: `host:port`, several joined by commas.
        settings: what every client of this broker needs (librdkafka's names), such as its security settings.
        secure: gives the settings, with the address, of a way to authenticate and a user; None where there is none.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        settings: Mapping[str, ClientSetting] | None = None,
        *,
        secure: Callable[[Authentication, str | None], Mapping[str, ClientSetting]] | None = None,
    ) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._secure = secure
        self._settings = dict(settings or {})
        # By number, in the order in which they were made; a client that its owner closes leaves by itself. A producer
        # that its owner drops delivers and ends; a dropped consumer is kept, or its group would miss it for 45 s.
        self._open: dict[int, Callable[[], QuickConsumer | TrackedProducer | None]] = {}
        self._made = 0
        self._lock = threading.Lock()

    def client_config(
        self, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> dict[str, ClientSetting]:
        """Settings for a client that the caller makes and closes; see the function of the same name.

        Args:
            auth: how the client shows who it is.
            user: who it is; the first one that the broker knows if it is not given.
            settings: librdkafka's own settings with `_` for `.`; they win.

        Raises:
            BrokerError: the broker has no such user or way to authenticate.
        """
        own = {**_dotted(self._settings), **self._security(auth, user)}
        return client_config(self.bootstrap_servers, {**own, **_dotted(settings)})

    def _security(self, auth: Authentication | None, user: str | None) -> Mapping[str, ClientSetting]:
        if auth is None:
            if user is not None:
                raise BrokerError(f"user={user!r} was given without auth: say how it authenticates, as auth='scram'.")
            return {}
        checked = check_authentication(auth)
        if self._secure is None:
            raise NotSupported(
                f"auth={checked!r} on {self.bootstrap_servers}: this cluster's listeners and users are its owner's. "
                "Give the client its settings under librdkafka's names, as security_protocol='SASL_SSL'."
            )
        return self._secure(checked, user)

    def producer(
        self, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Producer:
        """A new producer, with Java's partitioner.

        Args:
            auth: how it shows who it is.
            user: who it is.
            settings: librdkafka's own settings with `_` for `.`; they win.
        """
        from ._quick import TrackedProducer

        config = {**self.client_config(auth=auth, user=user), **_QUICK_PRODUCER, **_dotted(settings)}
        producer = TrackedProducer(config, self._drop)
        self._keep(weakref.ref(producer))
        return producer

    def consumer(
        self, group: str, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Consumer:
        """A new consumer in `group`: from the earliest record on, and committing only when told to.

        Args:
            group: the consumer group's id.
            auth: how it shows who it is.
            user: who it is.
            settings: librdkafka's own settings with `_` for `.`; they win (`enable_auto_commit=True`).
        """
        from ._quick import QuickConsumer

        config = {**self.client_config(auth=auth, user=user), **_QUICK_CONSUMER, **_dotted(settings), "group.id": group}
        consumer = QuickConsumer(config, self._drop)
        self._keep(lambda: consumer)
        return consumer

    @contextlib.contextmanager
    def scope(self, *, timeout: float = 10.0) -> Iterator[None]:
        """Close, at the end of the block, what was made inside it and is still open.

        Args:
            timeout: for all of them together, seconds.
        """
        with self._lock:
            before = set(self._open)
        try:
            yield
        finally:
            self._close(lambda made: made not in before, timeout)

    def close(self, *, timeout: float = 10.0) -> None:
        """Close every client that is still open; calling it twice is no error.

        Args:
            timeout: for all of them together, seconds. A consumer that commits by itself and whose broker is gone
                waits for its whole session timeout (45 s): it is left to a thread that does not hold up the end of
                the process.

        Raises:
            BrokerError: a client did not close in time, or records that were produced did not reach the broker.
        """
        self._close(lambda _: True, timeout)

    def _keep(self, client: Callable[[], QuickConsumer | TrackedProducer | None]) -> None:
        with self._lock:
            self._made += 1
            self._open[self._made] = client

    def _drop(self, ended: QuickConsumer | TrackedProducer) -> None:
        with self._lock:
            self._open = {number: client for number, client in self._open.items() if client() not in (ended, None)}

    def _close(self, chosen: Callable[[int], bool], timeout: float) -> None:
        deadline = Deadline(timeout)
        with self._lock:
            found = [client() for number, client in self._open.items() if chosen(number)]
            self._open = {number: client for number, client in self._open.items() if not chosen(number)}
        clients = [client for client in found if client is not None]
        failures: list[str] = []
        endings = [
            threading.Thread(
                target=_end, args=(client, deadline, failures), name="pytest-msk-close-client", daemon=True
            )
            for client in clients
        ]
        for ending in endings:
            ending.start()
        for client, ending in zip(clients, endings, strict=True):
            ending.join(deadline.left)
            if ending.is_alive():
                failures.append(f"{type(client).__name__} did not close within {timeout:g} s")
        if failures:
            raise BrokerError(
                f"{len(failures)} of {len(clients)} clients of {self.bootstrap_servers} did not end as they should: "
                f"{'; '.join(failures)}. Close a client where it was made, while its broker still runs."
            )


def _end(client: QuickConsumer | TrackedProducer, deadline: Deadline, failures: list[str]) -> None:
    """Close one client, in time; what goes wrong is added to `failures`."""
    from confluent_kafka import KafkaError, KafkaException

    from ._quick import TrackedProducer

    try:
        if isinstance(client, TrackedProducer):
            left = client.flush(deadline.left * _FLUSH_SHARE)
            if left:
                # close() would wait for them as long as message.timeout.ms says: 5 minutes.
                client.purge()
                failures.append(f"a producer still held {left} undelivered records")
        client.close()
    except KafkaException as error:
        reason = error.args[0]
        fenced = reason.code() == KafkaError._FENCED
        if isinstance(client, TrackedProducer) and reason.fatal() and (fenced or not len(client)):
            _end_failed(client)
        else:
            failures.append(f"{type(client).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - whatever a caller's callback raises belongs to the caller's thread
        failures.append(f"{type(client).__name__}: {error}")


def _end_failed(producer: TrackedProducer) -> None:
    """Close a producer that its broker has refused for good, by fencing it for one: whoever used it was told so."""
    producer.purge()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it warns that it cannot abort its transaction
        producer.close()
