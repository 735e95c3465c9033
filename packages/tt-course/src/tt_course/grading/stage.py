"""The stage: the files that the process running a submission may see.

The tier's other modules (not the graded one, not what the tier withholds, not the course with its hints), what the tier
needs from other distributions, the module's cases, and the engine's worker. Metadata that lists a tier's files is left
out with the rest. Knows distributions and tiers; knows nothing of sandboxes.
"""

from __future__ import annotations

import compileall
import py_compile
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from tt_course import hook, values, worker
from tt_course.manifest import Module, Tier, tiers

__all__ = ["ABSENT", "Stage"]

# Libraries that would answer for a learner; none is ever shown, and asking for one is noted.
ABSENT = ("jax", "jaxlib", "keras", "mlx", "mxnet", "tensorflow", "theano", "tinygrad", "torch", "torchvision")


class Stage:
    """The files for grading one module, gathered in ``folder``.

    Raises:
        CourseError: the tier names files that are not there.
    """

    def __init__(self, module: Module, folder: Path) -> None:
        self.module = module
        self.engine = folder / "engine"
        self.site = folder / "site"
        self.cases = folder / "cases" / "cases.py"
        self.others: dict[str, Path] = {}  # top-level names of other distributions, and where they lie
        self.seen = {module.tier.manifest.package}
        folder.mkdir(parents=True, exist_ok=True)
        self._gather_engine()
        gone = {module.source, *(module.tier.source(name) for name in module.tier.manifest.withheld)}
        self._gather_tier(module.tier, gone)
        known = {_plain(tier.distribution): tier for tier in tiers() if tier.distribution}
        for found in _needed(module.tier.distribution):
            name = _plain(found.metadata["Name"])
            if name == _plain(module.tier.distribution):
                continue
            if name in known:
                self.seen.add(known[name].manifest.package)
                self._gather_tier(known[name], set())
            else:
                self.others.update(_top_level(found))
        # Bytecode once here instead of in every sandbox. Its own files' names stay as they are inside.
        for part, shown in ((self.engine, "/engine"), (self.site, "/site"), (self.cases.parent, "/cases")):
            compileall.compile_dir(
                part,
                quiet=2,
                stripdir=str(part),
                prependdir=shown,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)

    @property
    def absent(self) -> list[str]:
        """Names that a submission cannot import, and that it might try."""
        above = [tier.manifest.package for tier in tiers() if tier.manifest.package not in self.seen]
        return [*ABSENT, *above, *self.module.tier.manifest.withheld]

    def _gather_engine(self) -> None:
        package = self.engine / "tt_course"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        for part in (hook, values, worker):
            assert part.__file__ is not None
            shutil.copyfile(part.__file__, package / Path(part.__file__).name)
        shutil.copyfile(Path(__file__).with_name("inside.py"), self.engine / "inside.py")
        self.cases.parent.mkdir()
        shutil.copyfile(self.module.cases, self.cases)

    def _gather_tier(self, tier: Tier, gone: set[Path]) -> None:
        """Copy a tier's package without its course, bytecode and the files in ``gone``."""
        source = tier.folder.parent

        def left_out(folder: str, names: list[str]) -> set[str]:
            at = Path(folder)
            course = {tier.folder.name} if at == source else set()
            return course | {
                name for name in names if name == "__pycache__" or name.endswith(".pyc") or at / name in gone
            }

        shutil.copytree(source, self.site / tier.manifest.package, ignore=left_out)


def _plain(name: str) -> str:
    """A distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(name: str) -> Iterator[Distribution]:
    """A distribution and all that it requires, without extras; and NumPy, which the worker needs."""
    todo, done = [name, "numpy"], {""}
    while todo:
        name = todo.pop()
        if _plain(name) in done:
            continue
        done.add(_plain(name))
        try:
            found = distribution(name)
        except PackageNotFoundError:  # required on other systems only
            continue
        yield found
        for requirement in found.requires or []:
            wanted, _, marker = requirement.partition(";")
            if "extra" not in marker:
                todo.append(re.split(r"[^\w.-]", wanted.strip(), maxsplit=1)[0])


def _top_level(found: Distribution) -> dict[str, Path]:
    """The files and folders that a distribution put beside each other, without its metadata."""
    names = {file.parts[0] for file in found.files or []}
    kept = {name for name in names if name not in ("..", "__pycache__") and not name.endswith((".dist-info", ".pth"))}
    places = {name: Path(str(found.locate_file(name))) for name in kept}
    return {name: path for name, path in places.items() if path.exists()}
