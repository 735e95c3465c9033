"""Manifests: what a tier says of its course, read and checked without importing the tier.

A tier announces itself by an entry point of the group ``tito.tiers`` whose value is its import package; beside its
code lies ``course/`` with ``tier.toml`` and a folder for each module. Knows TOML and its own rules; knows nothing of
learners.
"""

from __future__ import annotations

import importlib.util
import keyword
from functools import cache, cached_property
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TypeVar

import msgspec

from tt_course.errors import CourseError

__all__ = [
    "Case",
    "Checkpoint",
    "Exercise",
    "Measurement",
    "Milestone",
    "Mistake",
    "Module",
    "ModuleManifest",
    "Reflection",
    "Tier",
    "TierManifest",
    "find_module",
    "load_tier",
    "tiers",
]

GROUP = "tito.tiers"


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Exercise(_Struct, frozen=True, kw_only=True):
    """Some definitions whose bodies the learner writes; ``id`` is ``number.order``."""

    id: str
    title: str
    definitions: list[str]
    points: int
    hints: list[str]

    @property
    def label(self) -> str:
        """The id as learners see it, ``05.1``."""
        number, _, order = self.id.partition(".")
        return f"{number:0>2}.{order}"


class Case(_Struct, frozen=True, kw_only=True):
    """A function of ``cases.py``, the exercise whose points hang on it and the ones that it runs through."""

    name: str
    exercise: str
    needs: list[str] = []
    rtol: float = 1e-5
    atol: float = 1e-6


class Mistake(_Struct, frozen=True, kw_only=True):
    """A common mistake as code: ``body`` in place of the reference's, and what helps whoever wrote it."""

    exercise: str
    definition: str
    body: str
    message: str


class Measurement(_Struct, frozen=True, kw_only=True):
    """A program that measures the learner's framework: ``main(tt, folder)`` in ``script``."""

    title: str
    script: str = "measure.py"


class Reflection(_Struct, frozen=True, kw_only=True):
    """A question to think about, and what a good answer names."""

    question: str
    rubric: list[str]


class ModuleManifest(_Struct, frozen=True, kw_only=True):
    """``module.toml``."""

    number: int
    source: str
    course_import: str
    title: str
    question: str
    matters: str
    prerequisites: list[int] = []
    exercise: list[Exercise]
    case: list[Case]
    mistake: list[Mistake] = []
    measurement: Measurement | None = None
    reflection: list[Reflection] = []


class Checkpoint(_Struct, frozen=True, kw_only=True):
    """A capability ("Can I ...?"), the modules it needs, and its program, a function of ``checkpoints.py``."""

    number: int
    name: str
    question: str
    modules: list[int] = []
    rtol: float = 1e-5
    atol: float = 1e-6


class Milestone(_Struct, frozen=True, kw_only=True):
    """A moment of history to relive: a program to run as a module, and the least that its figures must reach."""

    year: int
    name: str
    title: str = ""
    module: str
    arguments: list[str] = []
    needs: list[int] = []
    thresholds: dict[str, float] = {}


class TierManifest(_Struct, frozen=True, kw_only=True):
    """``tier.toml``.

    ``withheld`` modules are empty while learners' code is checked, ``prepare`` is called with each learner's module
    once it is loaded, ``reseed`` with a number before each case: both as ``package.module:function``.
    """

    name: str
    title: str
    package: str
    modules: list[str]
    withheld: list[str] = []
    prepare: str | None = None
    reseed: str | None = None
    checkpoint: list[Checkpoint] = []
    milestone: list[Milestone] = []


T = TypeVar("T")


def _read(path: Path, kind: type[T]) -> T:
    """A TOML file as a struct; what is wrong with it in one sentence."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise CourseError(f"{path} is missing") from None
    except (OSError, ValueError) as error:  # msgspec's and TOML's errors are ValueErrors
        raise CourseError(f"{path}: {error}") from None


class Module:
    """A module of a tier: its manifest, and where its files lie."""

    def __init__(self, tier: Tier, name: str) -> None:
        self.tier = tier
        self.name = name
        self.folder = tier.folder / name

    @property
    def number(self) -> int:
        """The module's number, which its folder's name starts with."""
        return int(self.name.partition("_")[0])

    @property
    def label(self) -> str:
        """The number in two digits."""
        return f"{self.number:02}"

    @cached_property
    def manifest(self) -> ModuleManifest:
        """``module.toml``, checked.

        Raises:
            CourseError: it is broken; the message says where.
        """
        path = self.folder / "module.toml"
        manifest = _read(path, ModuleManifest)
        problems = list(_problems(manifest, self))
        if problems:
            raise CourseError(f"{path}: {problems[0]}", "\n".join(problems[1:]))
        return manifest

    @property
    def cases(self) -> Path:
        """The file of the cases."""
        return self.folder / "cases.py"

    @cached_property
    def source(self) -> Path:
        """The reference file, which is the exercise."""
        return self.tier.source(self.manifest.source)

    @property
    def file_name(self) -> str:
        """The name of the learner's file."""
        return f"{self.manifest.source.rpartition('.')[2]}.py"

    def exercise(self, wanted: str) -> Exercise:
        """The exercise ``5.1``, also written ``05.1`` or ``1``.

        Raises:
            CourseError: there is none.
        """
        order = wanted.rpartition(".")[2]
        for exercise in self.manifest.exercise:
            if exercise.id.rpartition(".")[2] == order and wanted in (order, exercise.id, exercise.label):
                return exercise
        labels = [e.label for e in self.manifest.exercise]
        raise CourseError(f"module {self.label} has no exercise {wanted!r}; it has {labels[0]} to {labels[-1]}")

    def cases_of(self, exercise: Exercise) -> list[Case]:
        """The cases on which an exercise's points hang."""
        return [case for case in self.manifest.case if case.exercise == exercise.id]

    def __repr__(self) -> str:
        return f"<module {self.name} of {self.tier.name}>"


def _problems(m: ModuleManifest, module: Module) -> list[str]:
    """What a manifest that is well-formed TOML says wrongly."""
    found = []
    if m.number != module.number:
        found.append(f"number = {m.number} in the folder {module.name}")
    package = module.tier.manifest.package
    if m.source.partition(".")[0] != package:
        found.append(f"source = {m.source!r} is no module of {package}")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in m.course_import.split(".")):
        found.append(f"course_import = {m.course_import!r} cannot be imported")
    if any(p >= m.number or p < 1 for p in m.prerequisites):
        found.append(f"prerequisites = {m.prerequisites}: each must be a module before {m.number}")
    if not m.exercise:
        found.append("there is no [[exercise]]")
    order = {}
    owners: dict[str, str] = {}
    for i, exercise in enumerate(m.exercise):
        order[exercise.id] = i
        if exercise.id != f"{m.number}.{i + 1}":
            found.append(f"exercise {i + 1} has id {exercise.id!r}; in working order it is '{m.number}.{i + 1}'")
        if len(exercise.hints) != 3:
            found.append(f"exercise {exercise.id} has {len(exercise.hints)} hints; there are to be three")
        if exercise.points < 1:
            found.append(f"exercise {exercise.id} has {exercise.points} points")
        if not exercise.definitions:
            found.append(f"exercise {exercise.id} lists no definitions")
        for definition in exercise.definitions:
            if definition in owners:
                found.append(f"{definition} is listed by exercise {owners[definition]} and by {exercise.id}")
            owners[definition] = exercise.id
        if not any(case.exercise == exercise.id for case in m.case):
            found.append(f"exercise {exercise.id} has no case, so its points hang on nothing")
    names = [case.name for case in m.case]
    for case in m.case:
        if not case.name.isidentifier() or names.count(case.name) > 1:
            found.append(f"case name {case.name!r} is no function's name, or not the only one of that name")
        unknown = [e for e in [case.exercise, *case.needs] if e not in order]
        if unknown:
            found.append(f"case {case.name} names exercise {unknown[0]!r}, which is not there")
        elif any(order[need] > order[case.exercise] for need in case.needs):
            found.append(f"case {case.name} of exercise {case.exercise} needs a later one: {', '.join(case.needs)}")
        if not (case.rtol >= 0 and case.atol >= 0):
            found.append(f"case {case.name} has a negative tolerance")
    for mistake in m.mistake:
        if owners.get(mistake.definition) != mistake.exercise:
            where = owners.get(mistake.definition, "no exercise")
            found.append(f"a mistake of exercise {mistake.exercise} is in {mistake.definition}, which {where} lists")
    if m.measurement and not (module.folder / m.measurement.script).is_file():
        found.append(f"the measurement's script {m.measurement.script} is missing")
    if not module.cases.is_file():
        found.append("there is no cases.py beside it")
    return found


class Tier:
    """An installed tier with a course: its manifest, its modules, and where they lie."""

    def __init__(self, name: str, folder: Path, distribution: str = "") -> None:
        self.name = name
        self.folder = folder
        self.distribution = distribution

    @cached_property
    def manifest(self) -> TierManifest:
        """``tier.toml``.

        Raises:
            CourseError: it is broken; the message says where.
        """
        path = self.folder / "tier.toml"
        manifest = _read(path, TierManifest)
        for name in manifest.modules:
            if not name.partition("_")[0].isdigit():
                raise CourseError(f"{path}: module {name!r} must start with its number, as in 01_tensor")
        return manifest

    @cached_property
    def modules(self) -> list[Module]:
        """The modules in course order."""
        return [Module(self, name) for name in self.manifest.modules]

    @property
    def version(self) -> str:
        """The version of the distribution that brings the tier; empty where there is none."""
        return version(self.distribution) if self.distribution else ""

    def source(self, module: str) -> Path:
        """The file of a module of the tier's package, found without importing anything.

        Raises:
            CourseError: there is no such file.
        """
        base = self.folder.parent.joinpath(*module.split(".")[1:])
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file():
                return path
        raise CourseError(f"{module}, which the tier {self.name} names, has no file {base}.py")

    def __repr__(self) -> str:
        return f"<tier {self.name}>"


def _folder(package: str) -> Path | None:
    """Where a top-level package lies, found without importing it."""
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) if locations else None


@cache
def tiers() -> tuple[Tier, ...]:
    """The installed tiers, by the number of their first module.

    Raises:
        CourseError: a tier that is announced is not there, or its manifest is broken.
    """
    found = []
    for entry in entry_points(group=GROUP):
        folder = _folder(entry.value)
        if folder is None:
            raise CourseError(f"the tier {entry.name} names the package {entry.value!r}, which is not installed")
        found.append(Tier(entry.name, folder / "course", entry.dist.name if entry.dist else ""))
    unique = {tier.name: tier for tier in found}
    return tuple(sorted(unique.values(), key=lambda tier: [module.number for module in tier.modules[:1]]))


def load_tier(name: str) -> Tier:
    """The installed tier of that name.

    Raises:
        CourseError: there is none.
    """
    for tier in tiers():
        if tier.name == name:
            return tier
    raise CourseError(f"no tier {name!r}; {_installed()}")


def _installed() -> str:
    names = [tier.name for tier in tiers()]
    return f"installed: {', '.join(names)}" if names else "none is installed: pip install tt-foundation, for one"


def find_module(wanted: str, among: tuple[Tier, ...] | None = None) -> Module:
    """The module of that number or name: ``5``, ``05``, ``autograd`` or ``05_autograd``.

    Raises:
        CourseError: there is none.
    """
    modules = [module for tier in (tiers() if among is None else among) for module in tier.modules]
    for module in modules:
        number, _, name = module.name.partition("_")
        if wanted in (module.name, name) or (wanted.isdecimal() and int(wanted) == int(number)):
            return module
    known = ", ".join(f"{module.label} {module.name.partition('_')[2]}" for module in modules)
    raise CourseError(f"no module {wanted!r}; there are: {known}" if known else f"no module {wanted!r}; {_installed()}")
