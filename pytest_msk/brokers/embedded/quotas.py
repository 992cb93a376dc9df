"""Connection quotas: how much of this process the clients of one node may take, on all of its listeners together."""

from __future__ import annotations

from collections.abc import Callable

from .connection import Connection

__all__ = ["ConnectionQuotas"]

_MOST_CONNECTIONS = 4096
#: Of requests that are not complete; the largest one allowed always fits.
_MOST_BUFFERED = 256 << 20


class ConnectionQuotas:
    """The open connections of a node, and what is kept of their requests.

    Args:
        max_connections: how many connections there may be; then the one that is idle for longest is closed.
    """

    def __init__(self, *, max_connections: int) -> None:
        self.connections: set[Connection] = set()
        self._most_connections = min(max_connections, _most_connections())
        self._buffered = 0

    def has_room(self, rejected: Callable[[str], None]) -> bool:
        """Whether there may be one more connection, for which an idle one may have to go.

        Args:
            rejected: told in a sentence of what had to be closed.
        """
        there = len(self.connections)
        if there < self._most_connections:
            return True
        idle = [connection for connection in self.connections if not connection.busy]
        if not idle:
            rejected(f"A connection was closed at once: {there} are open, all of them in use (max.connections).")
            return False
        rejected(f"The connection that had been idle for longest was closed: {there} were open (max.connections).")
        min(idle, key=lambda connection: connection.last_request).close()
        return True

    def buffer(self, more: int) -> None:
        """Keep requests that are not complete within bounds: the client that takes most of them is closed."""
        self._buffered += more
        if self._buffered > _MOST_BUFFERED and self.connections:
            largest = max(self.connections, key=lambda connection: connection.buffered)
            largest.reject(
                f"{self._buffered} bytes of incomplete requests were kept; the connection that had sent most of them, "
                f"{largest.buffered}, was closed."
            )


def _most_connections() -> int:
    """How many connections leave the process descriptors for the rest of its work, and for its own ends of them."""
    try:
        import resource
    except ImportError:  # Windows
        return _MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(min(soft // 2, _MOST_CONNECTIONS), 16)
