"""Questions to real Kafka, put through confluent-kafka's admin client and answered in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import TimeoutError as NoAnswer
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..clock import Deadline
from ..errors import BrokerError
from .clients import Clients

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka import KafkaError
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._group import ConsumerGroupListing

__all__ = ["EARLIEST", "LATEST", "PAUSE", "Admin", "Refused"]

T = TypeVar("T")

#: The protocol's names for the ends of a log, given as a time (ListOffsets).
LATEST = -1
EARLIEST = -2

#: Between two looks at a broker that is still busy with what was asked, seconds.
PAUSE = 0.01


class Refused(BrokerError):
    """The broker, or the client before it asked, answered with an error.

    Args:
        text: the whole sentence.
        error: the error that was given.
    """

    def __init__(self, text: str, error: KafkaError) -> None:
        super().__init__(text)
        self.error = error


class Admin:
    """Asks a cluster. Every error's sentence begins with `asked`, the question in words.

    Args:
        clients: those of the cluster; the admin client, made when it is first needed, has their settings.
        timeout: how long the cluster may take over one question, seconds.
    """

    def __init__(self, clients: Clients, *, timeout: float) -> None:
        self.clients = clients
        self.timeout = timeout
        self._made: AdminClient | None = None

    def close(self) -> None:
        """Let the admin client go; a question after that makes a new one."""
        self._made = None

    # --- questions in general

    def call(self, asked: str, question: Callable[[AdminClient], T]) -> T:
        """Put a question; what the client itself refuses is an answer too."""
        from confluent_kafka import KafkaException

        try:
            return question(self._client)
        except KafkaException as raised:
            raise self.refused(asked, raised.args[0]) from raised
        except (TypeError, ValueError) as raised:
            raise BrokerError(f"{asked} was not even sent: {raised}.") from raised

    def ask(self, asked: str, deadline: Deadline, question: Callable[[AdminClient, float], Future[T]]) -> T:
        """Put a question that has one answer, and wait for it."""
        return self._answer(asked, deadline, self.call(asked, lambda admin: question(admin, _request(deadline))))

    def ask_leaders(
        self, asked: str, deadline: Deadline, question: Callable[[AdminClient, float], Mapping[Any, Future[T]]]
    ) -> dict[Any, T]:
        """Put a question that goes to the leaders of partitions; leaders that are just changing are waited for."""
        from confluent_kafka import KafkaError

        changing = (
            KafkaError.LEADER_NOT_AVAILABLE,
            KafkaError.NOT_LEADER_FOR_PARTITION,
            KafkaError.REPLICA_NOT_AVAILABLE,
            KafkaError.UNKNOWN_LEADER_EPOCH,  # told of in the metadata, and not yet by the leader itself
            KafkaError.FENCED_LEADER_EPOCH,
        )
        stale = (KafkaError._UNKNOWN_PARTITION, KafkaError._NOENT)
        answers: list[dict[Any, T]] = []
        looked_again = False
        while refused := self.refusal(lambda: answers.append(self._ask_all(asked, deadline, question))):
            if refused.error.code() in changing:
                self.pause(f"{asked}: {refused.error.str()}", deadline)
            elif refused.error.code() in stale and not looked_again:
                # The client remembers a topic as it once was, without its newest partitions: make it look again.
                self.call(asked, lambda admin: admin.list_topics(timeout=_request(deadline)))
                looked_again = True
            else:
                raise refused
        return answers[0]

    @staticmethod
    def refusal(question: Callable[[], object]) -> Refused | None:
        """Put a question; returns what the broker refused it with."""
        try:
            question()
        except Refused as refused:
            return refused
        return None

    def refused(self, asked: str, error: KafkaError) -> Refused:
        """The sentence for an error that the broker or the client gave."""
        advice = ""
        if error.code() in (error._TIMED_OUT, error._TRANSPORT, error._ALL_BROKERS_DOWN):
            advice = f" Is Kafka still running there? It has {self.timeout:g} s to answer (--msk-timeout)."
        return Refused(
            f"{asked} on {self.clients.bootstrap_servers} failed: {error.str()} ({error.name()}).{advice}", error
        )

    def pause(self, state: str, deadline: Deadline) -> None:
        """Wait a little before the next look; past the deadline the state of things is the error."""
        if deadline.passed:
            raise BrokerError(f"{state} on {self.clients.bootstrap_servers} after {self.timeout:g} s (--msk-timeout).")
        time.sleep(PAUSE)

    # --- questions that have a name

    def groups(self) -> list[ConsumerGroupListing]:
        """All consumer groups that the cluster knows."""
        from confluent_kafka import KafkaException

        asked = "Listing the consumer groups"
        listed = self.ask(asked, Deadline(self.timeout), lambda a, t: a.list_consumer_groups(request_timeout=t))
        for error in listed.errors:  # exceptions or what they wrap, as the version of confluent-kafka has it
            raise self.refused(asked, error.args[0] if isinstance(error, KafkaException) else error)
        return list(listed.valid)

    def offsets_at(
        self, asked: str, name: str, partitions: Iterable[int], when: int, deadline: Deadline | None = None
    ) -> dict[int, int]:
        """Per partition the offset at a time (epoch ms, or one of the protocol's names for the log's ends)."""
        from confluent_kafka import TopicPartition
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

        spec = OffsetSpec.for_timestamp(when)  # it takes the names, too
        wanted = {TopicPartition(name, partition): spec for partition in partitions}
        found = self.ask_leaders(
            asked, deadline or Deadline(self.timeout), lambda a, t: a.list_offsets(wanted, request_timeout=t)
        )
        return {at.partition: info.offset for at, info in found.items()}

    def wait_until_usable(self, asked: str, name: str, partitions: Iterable[int], deadline: Deadline) -> None:
        """Return when the leader of every partition answers: until then a fresh client meets errors and backs off."""
        from confluent_kafka import KafkaError

        not_yet = (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
            KafkaError._UNKNOWN_PARTITION,
            KafkaError._NOENT,
        )
        look = partial(self.offsets_at, asked, name, partitions, LATEST, deadline)
        while (refused := self.refusal(look)) is not None:
            if refused.error.code() not in not_yet:
                raise refused
            self.pause(f"{asked}: it cannot be used yet ({refused.error.str()})", deadline)

    # --- the client and its answers

    @property
    def _client(self) -> AdminClient:
        if self._made is None:
            from confluent_kafka.admin import AdminClient

            self._made = AdminClient(self.clients.client_config())  # type: ignore[arg-type]  # callbacks are settings too
        return self._made

    def _ask_all(
        self, asked: str, deadline: Deadline, question: Callable[[AdminClient, float], Mapping[Any, Future[T]]]
    ) -> dict[Any, T]:
        """Put a question that has an answer for each of its keys, and wait for all of them."""
        answers = self.call(asked, lambda admin: question(admin, _request(deadline)))
        return {key: self._answer(asked, deadline, answer) for key, answer in answers.items()}

    def _answer(self, asked: str, deadline: Deadline, answer: Future[T]) -> T:
        from confluent_kafka import KafkaException

        try:
            return answer.result(deadline.left + 1)  # the client's own timeout comes first, and says more
        except KafkaException as raised:
            raise self.refused(asked, raised.args[0]) from raised
        except NoAnswer as late:
            raise BrokerError(
                f"{asked}: {self.clients.bootstrap_servers} did not answer within {self.timeout:g} s (--msk-timeout)."
            ) from late


def _request(deadline: Deadline) -> float:
    """The client's timeout for one request, seconds; it takes nothing below a millisecond."""
    return max(0.1, deadline.left)
