"""Modules of a new execution environment: a handler's module and its neighbours, imported once more.

Lambda starts a new environment with a new process. Here the handler's module is imported anew, and with it each module
that this import loads from the same *project root*: the folder on `sys.path` in which the handler's topmost package or
module lies; for an installed package it is the package's own folder. What lies in `site-packages`, the standard library
and what a handler imports only while it runs stay as they are. The new modules belong to the function alone: they stand
in `sys.modules` while it is called, and the test's own imports keep the modules that they have.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

__all__ = ["Modules", "import_anew"]

#: Modules by their full names.
Modules: TypeAlias = "Mapping[str, ModuleType]"

_INSTALLED = frozenset({"site-packages", "dist-packages"})


def import_anew(module: ModuleType, load: Callable[[], ModuleType]) -> tuple[ModuleType, Modules]:
    """Import a module once more, and what that imports from its project root.

    Args:
        module: the one that is there.
        load: imports it.

    Returns:
        The new module, and all that are new with it; `sys.modules` is as it was before.
    """
    root = _project_root(module)
    kept = {name: found for name, found in tuple(sys.modules.items()) if _below(found, root)}
    for name in kept:
        del sys.modules[name]
    new: dict[str, ModuleType] = {}
    try:
        loaded = load()
    finally:
        new.update({name: found for name, found in tuple(sys.modules.items()) if _below(found, root)})
        for name in new:
            del sys.modules[name]
        sys.modules.update(kept)
    return loaded, new


def _project_root(module: ModuleType) -> Path:
    top = sys.modules[module.__name__.partition(".")[0]]
    place = _place(top)
    if place is None:  # made by hand: it has nothing but itself
        return Path(f"<{top.__name__}>")
    return place if place.parent.name in _INSTALLED else place.parent


def _place(module: ModuleType) -> Path | None:
    """A module's file, or a package's folder."""
    folders = list(getattr(module, "__path__", ()))
    place = folders[0] if folders else getattr(module, "__file__", None)
    return Path(place).resolve() if isinstance(place, str) else None


def _below(module: object, root: Path) -> bool:
    """Whether a module belongs to the project; the kit never does, not even to its own."""
    if not isinstance(module, ModuleType) or module.__name__.partition(".")[0] == "pytest_msk":
        return False
    place = _place(module)
    return place is not None and place.is_relative_to(root) and _INSTALLED.isdisjoint(place.relative_to(root).parts)
