"""The external broker: a cluster that somebody else runs. What was there before is never touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Literal

from ..clock import Deadline
from ..errors import BrokerError, BrokerUnavailable, NotSupported
from . import ClientSetting, Limit
from .cluster import ClusterBroker
from .security import Authentication

if TYPE_CHECKING:
    from confluent_kafka import Consumer

__all__ = ["LIMITS", "ExternalBroker"]

LIMITS: tuple[Limit, ...] = (
    Limit(
        name="clock",
        reason="Kafka's retention, timestamps and offset expiry follow the cluster's own clock.",
        instead="Topic.expire(), or --msk-broker=embedded, whose log follows msk_clock.",
    ),
    Limit(
        name="settings",
        reason="The cluster's settings are its owner's: msk_broker_settings has no effect on it.",
        instead="the config of a topic, or --msk-broker=container.",
    ),
    Limit(
        name="existing",
        reason="Topics that the kit did not make and groups that it did not use are neither changed nor deleted.",
        instead="names that the kit makes up, or --msk-broker=container, which starts empty.",
    ),
)


_OWNERS = (
    "this cluster's listeners and users are its owner's. Give each client its settings under librdkafka's names, as "
    "security_protocol='SASL_SSL'."
)


class ExternalBroker(ClusterBroker):
    """A running Kafka cluster. Topics made and groups used through this object are deleted by `close`.

    Args:
        bootstrap_servers: `host:port`, several joined by commas.
        timeout: how long the cluster may take over one question, seconds.
        settings: what every client needs (librdkafka's names), such as security settings.

    Raises:
        BrokerUnavailable: the cluster does not answer.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        timeout: float = 30.0,
        settings: Mapping[str, ClientSetting] | None = None,
    ) -> None:
        super().__init__(bootstrap_servers, timeout=timeout, settings=settings)
        self._made_topics: set[str] = set()
        self._used_groups: set[str] = set()
        try:
            self._groups_before = super().groups()
        except BrokerError as error:
            super().close()
            raise BrokerUnavailable(
                f"No Kafka answers at {bootstrap_servers} (--msk-bootstrap-servers): {error} "
                "Start it, correct the address, or run without it: --msk-broker=embedded."
            ) from error

    @property
    def kind(self) -> Literal["external"]:
        """`external`."""
        return "external"

    @property
    def limits(self) -> Sequence[Limit]:
        """What is not done on somebody else's cluster."""
        return LIMITS

    # --- security is the owner's

    def bootstrap_servers_for(self, auth: Authentication) -> str:
        """Nothing: which listener is for whom is not known here.

        Raises:
            NotSupported: always.
        """
        raise NotSupported(f"auth={auth!r} on {self.bootstrap_servers}: {_OWNERS}")

    def set_password(self, user: str, password: str) -> None:  # noqa: ARG002 - of the protocol
        """Nothing: the cluster's users are its owner's.

        Raises:
            NotSupported: always.
        """
        raise NotSupported(f"Setting the password of {user!r} on {self.bootstrap_servers}: {_OWNERS}")

    def security_scope(self) -> AbstractContextManager[None]:
        """Nothing to bring back: users and ACLs are the owner's."""
        return nullcontext()

    # --- groups: the kit's own are those that its consumers were in

    def consumer(
        self, group: str, *, auth: Authentication | None = None, user: str | None = None, **settings: ClientSetting
    ) -> Consumer:
        """A new consumer in `group`, from the earliest record on; it commits only when it is told to.

        Raises:
            BrokerError: the group was there before the tests; reading in it would move its offsets or its members.
        """
        if group in self._groups_before:
            raise BrokerError(
                f"Group {group!r} was on {self.bootstrap_servers} before the tests; a consumer in it would change "
                "its members and offsets. Choose another group id, or delete the group first if it is left from a test."
            )
        self._used_groups.add(group)
        return super().consumer(group, auth=auth, user=user, **settings)

    def abandoned_groups(self) -> frozenset[str]:
        """The ids of the groups without members that the kit used."""
        return super().abandoned_groups() & self._used_groups

    def delete_group(self, group: str) -> None:
        """Delete a group that the kit used; one that is not there is no error.

        Raises:
            BrokerError: the group is not the kit's, or it still has members.
        """
        if group in self._used_groups:
            super().delete_group(group)
        elif group in self.groups():
            raise self._not_ours(f"Deleting group {group!r}", "No consumer of the kit was in it.")

    # --- topics: the kit's own are those that it created

    def _created(self, name: str) -> None:
        self._made_topics.add(name)

    def delete_topic(self, name: str) -> None:
        """Delete a topic that the kit made and return when it is gone; one that is not there is no error.

        Raises:
            BrokerError: somebody else made it.
        """
        if name in self._made_topics:
            super().delete_topic(name)
            self._made_topics.discard(name)
        elif self.partition_count(name):
            raise self._not_ours(f"Deleting topic {name!r}", _NOT_MADE_HERE)

    def create_partitions(self, name: str, total: int) -> None:
        """Raise the number of partitions of a topic that the kit made to `total`.

        Raises:
            BrokerError: somebody else made it, or the cluster refused.
        """
        if name not in self._made_topics:
            raise self._not_ours(f"Raising topic {name!r} to {total} partitions", _NOT_MADE_HERE)
        super().create_partitions(name, total)

    def delete_records(self, name: str, before: Mapping[int, int]) -> None:
        """Delete records, below an offset, of a topic that the kit made.

        Raises:
            BrokerError: somebody else made it, or the cluster refused.
        """
        if name not in self._made_topics:
            raise self._not_ours(f"Deleting records of topic {name!r}", _NOT_MADE_HERE)
        super().delete_records(name, before)

    # --- end

    def close(self) -> None:
        """Close the clients, then delete the groups that they used and the topics made here; twice is no error.

        Raises:
            BrokerError: something could not be cleaned up; the text names what is left on the cluster.
        """
        try:
            self.clients.close()
            self._clean_up()
        finally:
            super().close()

    def _clean_up(self) -> None:
        groups, self._used_groups = self._used_groups, set()
        topics, self._made_topics = self._made_topics, set()
        delete_group, delete_topic = super().delete_group, super().delete_topic
        left: list[tuple[str, Callable[[], None]]] = [
            *((f"group {name!r}", partial(delete_group, name)) for name in sorted(groups)),
            *((f"topic {name!r}", partial(delete_topic, name)) for name in sorted(topics)),
        ]
        deadline = Deadline(self._timeout)
        failures = []
        for what, delete in left:
            if deadline.passed:
                failures.append(f"{what} (no time was left)")
                continue
            try:
                delete()
            except BrokerError as error:
                failures.append(f"{what} ({error})")
        if failures:
            raise BrokerError(
                f"The tests left something behind on {self.bootstrap_servers}; delete it by hand: {'; '.join(failures)}"
            )

    def _not_ours(self, asked: str, why: str) -> BrokerError:
        return BrokerError(
            f"{asked} is refused: it is on {self.bootstrap_servers}, which others use too, and is not the kit's. {why}"
        )


_NOT_MADE_HERE = "Only topics made through msk_topic or msk_broker.create_topic are changed."
