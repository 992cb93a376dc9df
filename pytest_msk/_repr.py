"""Reprs of frozen dataclasses that leave out what is at its default: what is told is what matters."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["short_repr"]


def short_repr(self: DataclassInstance) -> str:
    """The call that makes this object, without the arguments that are at their default."""
    shown = []
    for each in fields(self):
        value = getattr(self, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if each.repr and (default is MISSING or value != default):
            shown.append(f"{each.name}={value!r}")
    return f"{type(self).__name__}({', '.join(shown)})"
