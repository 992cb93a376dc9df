"""Modules of a new execution environment: a handler's module and its neighbours, imported once more.

Lambda starts a new environment with a new process. Here the handler's module is imported anew, and with it each module
that this import loads from the same *project root*: the folder on `sys.path` in which the handler's topmost package or
module lies; for an installed package it is the package's own folder. What lies in `site-packages`, the standard library
and what a handler imports only while it runs stay as they are. The new modules belong to the function alone: they stand
in `sys.modules` while it is called, and the test's own imports keep the modules that they have. Where none of them was
there before, they are imported as ever.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import TypeAlias

__all__ = ["Modules", "import_anew"]

#: Modules by their full names.
Modules: TypeAlias = "Mapping[str, ModuleType]"

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STANDARD_LIBRARY = os.path.dirname(os.path.realpath(os.__file__))


def import_anew(module: str, load: Callable[[], ModuleType]) -> tuple[ModuleType, Modules]:
    """Import a module and what that imports from its project root, whether they are there already or not.

    Args:
        module: its full name.
        load: imports it.

    Returns:
        The new module, and all that are new with it; `sys.modules` is as it was before. None of them when none would
        have taken the place of another one: they are in `sys.modules` then.
    """
    __tracebackhide__ = True
    root = _project_root(module.partition(".")[0])
    kept = {name: found for name, found in tuple(sys.modules.items()) if _below(found, root)}
    for name in kept:
        del sys.modules[name]
    others = dict(sys.modules)
    new: dict[str, ModuleType] = {}
    try:
        loaded = load()
    finally:
        for name, found in tuple(sys.modules.items()):
            if found is not others.get(name) and _below(found, root):
                new[name] = sys.modules.pop(name)
        sys.modules.update(kept)
    if kept.keys().isdisjoint(new):
        sys.modules.update(new)
        return loaded, {}
    return loaded, new


def _project_root(top: str) -> str:
    """Where the project lies whose topmost package or module this is; it need not be imported."""
    module = sys.modules.get(top)
    spec = find_spec(top) if top and module is None else None
    if spec is not None:
        place = _place(spec.submodule_search_locations or (), spec.origin if spec.has_location else None)
    else:
        place = None if module is None else _module_place(module)
    if place is None:  # made by hand, or not there: it has nothing but itself
        return f"<{top}>"
    folder = os.path.dirname(place)
    return place if os.path.basename(folder) in _INSTALLED else folder


def _module_place(module: ModuleType) -> str | None:
    return _place(getattr(module, "__path__", ()), getattr(module, "__file__", None))


def _place(folders: Iterable[str], file: object) -> str | None:
    """A module's file, or a package's folder."""
    place = next(iter(folders), file)
    return _real_path(place) if isinstance(place, str) else None


#: Every cold start asks for those of all modules, which takes a tenth of a second.
_real_path = lru_cache(maxsize=8192)(os.path.realpath)


def _below(module: object, root: str) -> bool:
    """Whether a module belongs to the project; the kit never does, not even to its own."""
    if not isinstance(module, ModuleType) or module.__name__.partition(".")[0] == "pytest_msk":
        return False
    place = _module_place(module)
    if place is None or not _lies_in(place, root):
        return False
    if _lies_in(_STANDARD_LIBRARY, root) and _lies_in(place, _STANDARD_LIBRARY):
        return False  # an interpreter in a folder of the project
    return _INSTALLED.isdisjoint(place[len(root) :].split(os.sep))


def _lies_in(place: str, folder: str) -> bool:
    return place == folder or place.startswith(folder.rstrip(os.sep) + os.sep)
