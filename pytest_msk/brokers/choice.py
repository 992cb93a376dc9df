"""The brokers of a test session: each kind is started when a test first needs it, and all are closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import BrokerUnavailable
from . import Broker
from .security import Security

__all__ = ["Brokers"]


class Brokers:
    """Starts brokers by kind and keeps them.

    Args:
        settings: broker settings under Kafka's own names, for the kinds that are started here.
        image: the image that the container kind runs.
        bootstrap_servers: the cluster that the external kind uses.
        security: the users, IAM keys and authorities of the kinds that are started here.
        timeout: seconds that a broker may take to answer.
        report: is told what takes long, such as pulling an image.
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, str],
        image: str,
        bootstrap_servers: str,
        timeout: float,
        report: Callable[[str], None],
        security: Security | None = None,
    ) -> None:
        self._settings = settings
        self._image = image
        self._bootstrap_servers = bootstrap_servers
        self._timeout = timeout
        self._report = report
        self._security = security
        self._open: dict[str, Broker] = {}
        self._auto: str | None = None

    def get(self, choice: str) -> Broker:
        """The session's broker of a kind.

        Args:
            choice: a kind; `embedded:3` for a cluster of three nodes; `auto` for the container where daemon and image
                are at hand, else embedded.

        Raises:
            BrokerUnavailable: what was asked for by name cannot be had.
        """
        if choice == "auto":
            from .container import available

            if self._auto is None:
                there, reason = available(self._image)
                self._auto = "container" if there else "embedded"
                self._report(f"msk: auto runs on the {self._auto} broker" + ("" if there else f": {reason}"))
            choice = self._auto
        if choice not in self._open:
            self._open[choice] = self._start(choice)
        return self._open[choice]

    def _start(self, choice: str) -> Broker:
        kind, _, nodes = choice.partition(":")
        if kind == "embedded":
            from .embedded import EmbeddedBroker

            return EmbeddedBroker(self._settings, nodes=int(nodes or 1), security=self._security)
        if kind == "container":
            from .container import ContainerBroker

            return ContainerBroker(
                self._image, self._settings, security=self._security, timeout=self._timeout, report=self._report
            )
        from .external import ExternalBroker

        if not self._bootstrap_servers:
            raise BrokerUnavailable(
                "The external broker was asked for, but no address was given: set --msk-bootstrap-servers=HOST:PORT, "
                "PYTEST_MSK_BOOTSTRAP_SERVERS or the ini setting msk_bootstrap_servers."
            )
        return ExternalBroker(self._bootstrap_servers, timeout=self._timeout)

    def recover(self) -> None:
        """End what a test let these brokers do wrong."""
        for broker in self._open.values():
            broker.recover()

    def close(self) -> None:
        """Close every broker that was started."""
        brokers, self._open = list(self._open.values()), {}
        for broker in brokers:
            broker.close()
