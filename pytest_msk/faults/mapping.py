"""MappingFaults: what goes wrong between a mapping and its broker because a test wants it to.

It is a plan that the poller asks at each turn. So it works on every kind of broker, real Kafka among them, and a
stepped run with faults is as repeatable as one without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from ..errors import BrokerError

__all__ = ["CommitFault", "MappingFaults", "PollerCrashed"]

#: What happens to one commit: refused with this error, lost on its way, answered to nobody, or never sent.
_CommitKind: TypeAlias = Literal["fail", "lose", "lose answer", "crash"]


class PollerCrashed(Exception):
    """The poller is to end without committing; its mapping makes another one."""


class CommitFault:
    """What is to happen to one commit.

    Args:
        kind: what.
        error: Kafka's name of the error that the mapping sees.
    """

    def __init__(self, kind: _CommitKind, error: str) -> None:
        self.kind = kind
        self.error = error

    def __repr__(self) -> str:
        return f"<{self.text}>"

    @property
    def text(self) -> str:
        """What the journal says of it."""
        return {
            "fail": f"commit refused with {self.error}",
            "lose": "commit lost",
            "lose answer": "answer to a commit lost",
            "crash": "poller crashed before its commit",
        }[self.kind]


class MappingFaults:
    """The faults of one mapping: asked for here, and taken by its poller when their time comes.

    Every method may be called before the mapping runs, between two steps, from the function, or while the mapping runs
    in the background. What happened is in the journal as `FaultInjected`.
    """

    def __init__(self) -> None:
        self._commits: deque[CommitFault] = deque()
        self._rebalances = 0
        self._connected = True

    def __repr__(self) -> str:
        return f"<MappingFaults: {', '.join(self.pending) or 'none is pending'}>"

    @property
    def pending(self) -> tuple[str, ...]:
        """The faults that were asked for and have not happened yet, in words."""
        cut = () if self._connected else ("broker out of reach",)
        return (*cut, *["rebalance"] * self._rebalances, *(fault.text for fault in self._commits))

    # --- what a test asks for

    def fail_commit(self, times: int = 1, *, error: str = "COORDINATOR_NOT_AVAILABLE") -> None:
        """Let the broker refuse the next commits: their offsets are committed with the next one that succeeds.

        Args:
            times: how many.
            error: Kafka's name of the error.
        """
        self._plan(CommitFault("fail", error), times)

    def lose_commit(self, times: int = 1, *, answer_only: bool = False) -> None:
        """Lose the next commits on their way: unless a later one passes them, a restart delivers the records again.

        Args:
            times: how many.
            answer_only: the broker gets the commit, and only its answer is lost: the mapping does not know.
        """
        self._plan(CommitFault("lose answer" if answer_only else "lose", "REQUEST_TIMED_OUT"), times)

    def crash_before_commit(self, times: int = 1) -> None:
        """Let the poller die when a batch is done and before it is committed: the next poller delivers it again.

        The group hears of it at once, where a real one would wait for the session timeout.
        """
        self._plan(CommitFault("crash", ""), times)

    def rebalance(self) -> None:
        """Let the poller leave its group and join again at its next turn: what is not committed is delivered again.

        Called from the function, this is a rebalance with a batch in flight.
        """
        self._rebalances += 1

    @contextmanager
    def disconnected(self) -> Generator[None, None, None]:
        """Keep the broker out of the mapping's reach within a `with` statement; everybody else still reaches it.

        Stepped, each step raises `BrokerError`, as it does when the broker is down; in the background the mapping goes
        on trying.
        """
        self._connected = False
        try:
            yield
        finally:
            self._connected = True

    def _plan(self, fault: CommitFault, times: int) -> None:
        if not isinstance(times, int) or isinstance(times, bool) or times < 1:
            raise ValueError(f"times={times!r}: how often it happens, 1 or more.")
        self._commits.extend([fault] * times)

    # --- what the poller asks

    @property
    def connected(self) -> bool:
        """Whether the broker is within the mapping's reach."""
        return self._connected

    def check_connection(self, broker: str) -> None:
        """Raise what a client meets whose broker is down.

        Args:
            broker: its addresses.

        Raises:
            BrokerError: the broker is out of reach.
        """
        if not self._connected:
            raise BrokerError(
                f"The broker {broker} is out of the mapping's reach, because the test has disconnected it "
                "(esm.faults.disconnected()).",
                code="_TRANSPORT",
            )

    def take_commit(self) -> CommitFault | None:
        """What happens to the commit that is made now; it is not pending any more."""
        return self._commits.popleft() if self._commits else None

    def take_rebalance(self) -> bool:
        """Whether the poller is to leave and join again now; it is not pending any more."""
        if not self._rebalances:
            return False
        self._rebalances -= 1
        return True
