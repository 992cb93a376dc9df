"""Provisioned mode: how many pollers a mapping keeps (spec 7.2)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ProvisionedPollers"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvisionedPollers:
    """The pollers of a mapping in provisioned mode.

    Args:
        minimum: pollers that are always there, 1 to 200.
        maximum: pollers at most, 1 to 2,000.
        group_name: the poller group that shares them; `None` for none.
    """

    minimum: int = 1
    maximum: int = 200
    group_name: str | None = None
