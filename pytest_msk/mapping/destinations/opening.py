"""Destinations by what a mapping's configuration names."""

from __future__ import annotations

from ...brokers import Broker
from ...errors import NotSupported
from .failure import Destination

__all__ = ["open_destination"]


def open_destination(target: str, *, broker: Broker, mapping_uuid: str, timeout: float) -> Destination:  # noqa: ARG001 - for those that follow
    """The destination that a mapping sends to.

    Args:
        target: an ARN, or `kafka://topic`, as `OnFailure` has it.
        broker: the mapping's own.
        mapping_uuid: the mapping's UUID.
        timeout: seconds of real time that the destination may take to answer.

    Raises:
        NotSupported: this kind of destination is not run yet.
    """
    raise NotSupported(
        f"AWS would send to {target}, but this version of pytest_msk does not yet: give an InMemoryDestination or "
        "a callable instead."
    )
