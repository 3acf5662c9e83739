"""Finds plugins: the modules of a ★ folder, and what other distributions offer under the same entry-point group.

A plugin folder is a package whose modules each are one plugin, named by the module. `plugins("tocsin.web.pages")`
yields them with the entry points of group `tocsin.web.pages`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import entry_points
from types import ModuleType


def plugins(package: str) -> Iterator[tuple[str, ModuleType]]:
    """(name, module) of every plugin of `package`, in alphabetical order, entry points last."""
    for name, load in loaders(package):
        yield name, load()


def loaders(package: str) -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    """The same with a function that imports the module, for who can do without one that cannot be imported."""
    folder = importlib.import_module(package)
    for info in sorted(pkgutil.iter_modules(folder.__path__), key=lambda found: found.name):
        if not info.name.startswith("_"):
            yield info.name, partial(importlib.import_module, f"{package}.{info.name}")
    for point in sorted(entry_points(group=package), key=lambda found: found.name):
        yield point.name, point.load
