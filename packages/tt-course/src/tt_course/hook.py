"""The import hook: some modules come from other files than their package's.

In a workspace those files are the learner's, for the modules they completed. Standard library only: it runs at the
start of the learner's own programs. A replaced module's own file is never opened, and no bytecode is read or written,
so that a file saved twice within a second is read twice.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["FRAMEWORK", "ORIGINS", "STARTUP", "WORKSPACE", "Finder", "call", "install", "origins", "replace"]

FRAMEWORK = "framework.json"
"""The workspace's file that says which modules are the learner's."""
WORKSPACE = "TITO_WORKSPACE"
"""The environment variable by which child processes inherit the hook."""
ORIGINS = "TITO_ORIGINS"
"""The environment variable naming a file in which a program leaves, at its end, where its modules came from."""
STARTUP = Path(__file__).parent / "startup"
"""The folder whose ``sitecustomize`` installs the hook before a program's first line."""


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
        root: the folder in which the packages of those second names lie, where they have files of their own.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        *,
        prepare: Mapping[str, str] | None = None,
        withheld: Sequence[str] = (),
        aliases: Mapping[str, str] | None = None,
        root: Path | None = None,
    ) -> None:
        self.files = dict(files)
        self.prepare = dict(prepare or {})
        self.withheld = set(withheld)
        self.aliases = dict(aliases or {})
        self.root = root
        self.parents = {
            ".".join(parts[:i]) for parts in (name.split(".") for name in self.aliases) for i in range(1, len(parts))
        }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self.files:
            own = self.files[fullname]
            loader = _FreshLoader(fullname, own, self.prepare.get(fullname))
            return importlib.util.spec_from_file_location(fullname, own, loader=loader)
        if fullname in self.withheld:
            return ModuleSpec(fullname, _EmptyLoader(), origin="withheld")
        if fullname in self.aliases:
            return ModuleSpec(fullname, _AliasLoader(self.aliases[fullname]))
        if fullname in self.parents and self.root is not None:
            folder = self.root.joinpath(*fullname.split("."))
            file = folder / "__init__.py"
            if file.is_file():
                return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=[str(folder)])
            spec = ModuleSpec(fullname, _EmptyLoader(), is_package=True)
            spec.submodule_search_locations = [str(folder)]
            return spec
        return None


def call(function: str, *args: Any) -> Any:
    """Call ``package.module:function``."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)(*args)


def replace(finder: Finder) -> None:
    """Put the finder before all others.

    Raises:
        ImportError: a module that it replaces is loaded already.
    """
    loaded = [name for name in [*finder.files, *finder.withheld] if name in sys.modules]
    if loaded:
        raise ImportError(
            f"{loaded[0]} is loaded already, so the file of the workspace cannot take its place; "
            "start the program with `tito run`, or import the workspace's package before anything else"
        )
    sys.meta_path.insert(0, finder)


def install(root: str | Path) -> None:
    """Make a workspace's completed modules the framework of this process and of those that it starts.

    Does nothing where that is done already.

    Raises:
        ImportError: a completed module is loaded already, from elsewhere.
        ValueError: the workspace's ``framework.json`` is missing or broken.
    """
    root = Path(root).resolve()
    if any(isinstance(finder, Finder) and finder.root == root for finder in sys.meta_path):
        return
    path = root / FRAMEWORK
    try:
        framework = json.loads(path.read_text(encoding="utf-8"))
        modules = framework["completed"]
        files = {name: str(root / entry["file"]) for name, entry in modules.items()}
        prepare = {name: entry["prepare"] for name, entry in modules.items() if entry.get("prepare")}
        aliases = dict(framework["imports"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is missing or broken ({error}); `tito system doctor` says more") from None
    gone = [file for file in files.values() if not Path(file).is_file()]
    if gone:
        raise ValueError(f"{gone[0]} is gone, though its module is complete; `tito module reset` brings a new one")
    replace(Finder(files, prepare=prepare, aliases=aliases, root=root))
    os.environ[WORKSPACE] = str(root)
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if str(STARTUP) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(STARTUP), *paths])
    if ORIGINS in os.environ:
        atexit.register(_leave_origins, os.environ.pop(ORIGINS), list(files))


def origins(names: Sequence[str]) -> dict[str, str]:
    """For each of these modules that is loaded, the file that it came from."""
    return {name: str(getattr(sys.modules[name].__spec__, "origin", "")) for name in names if name in sys.modules}


def _leave_origins(path: str, names: Sequence[str]) -> None:
    Path(path).write_text(json.dumps(origins(names)), encoding="utf-8")
