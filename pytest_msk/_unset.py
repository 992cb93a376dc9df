"""The default of an argument for which `None` says something."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["UNSET", "Unset"]


class Unset(Enum):
    """An argument that was not given."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return self.value


UNSET: Final = Unset.UNSET
