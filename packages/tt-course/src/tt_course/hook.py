"""The import hook: some modules come from other files than their package's.

In a workspace those files are the learner's, for the modules they completed. Standard library only: it runs at the
start of the learner's own programs. A replaced module's own file is never opened, and no bytecode is read or written,
so that a file saved twice within a second is read twice.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any

__all__ = ["Finder", "call", "replace"]


class _FreshLoader(SourceFileLoader):
    """Loads a file by its text alone, then prepares the module."""

    def __init__(self, name: str, path: str, prepare: str | None) -> None:
        super().__init__(name, path)
        self.prepare = prepare

    def path_stats(self, path: str) -> Any:
        raise OSError("no bytecode is kept")  # this is how SourceLoader learns that there is none

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if self.prepare:
            call(self.prepare, module)


class _EmptyLoader(importlib.abc.Loader):
    """Loads a module with nothing in it."""

    def exec_module(self, module: ModuleType) -> None:
        pass


class _AliasLoader(importlib.abc.Loader):
    """Loads another module under a second name."""

    def __init__(self, real: str) -> None:
        self.real = real

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(self.real)


class Finder(importlib.abc.MetaPathFinder):
    """Finds replaced modules, empties withheld ones, and gives modules a second name.

    Args:
        files: for a module's full name, the file to load.
        prepare: for a module's full name, what is called with it once it is loaded, as ``package.module:function``.
        withheld: modules that are to be empty.
        aliases: for a second name, the module's full name.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        *,
        prepare: Mapping[str, str] | None = None,
        withheld: Sequence[str] = (),
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.files = dict(files)
        self.prepare = dict(prepare or {})
        self.withheld = set(withheld)
        self.aliases = dict(aliases or {})
        self.parents = {
            ".".join(parts[:i]) for parts in (name.split(".") for name in self.aliases) for i in range(1, len(parts))
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self.files:
            file = self.files[fullname]
            loader = _FreshLoader(fullname, file, self.prepare.get(fullname))
            return importlib.util.spec_from_file_location(fullname, file, loader=loader)
        if fullname in self.withheld:
            return ModuleSpec(fullname, _EmptyLoader(), origin="withheld")
        if fullname in self.aliases:
            return ModuleSpec(fullname, _AliasLoader(self.aliases[fullname]))
        if fullname in self.parents and "." in fullname:
            return ModuleSpec(fullname, _EmptyLoader(), is_package=True)
        return None


def call(function: str, *args: Any) -> Any:
    """Call ``package.module:function``."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)(*args)


def replace(finder: Finder) -> None:
    """Put the finder before all others.

    Raises:
        RuntimeError: a module that it replaces is loaded already.
    """
    loaded = [name for name in [*finder.files, *finder.withheld] if name in sys.modules]
    if loaded:
        raise RuntimeError(f"{loaded[0]} is loaded already, so your file cannot take its place; import tinytorch first")
    sys.meta_path.insert(0, finder)
