"""The course, walked from end to end: a new learner rebuilds the installed foundation tier and trains on their code.

The learner types in the reference's bodies, one exercise at a time. The checks between two exercises run as a batch, on
the texts that their file had.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tt_course import manifest
from tt_course.check import verdicts
from tt_course.manifest import Module
from tt_course.runner import Variant, job_of, run
from tt_course.starter import bodies, with_bodies
from tt_course.workspace import Workspace

pytestmark = pytest.mark.slow

MODULES = ["01_tensor", "02_activations", "03_layers", "04_losses", "05_autograd", "06_optim", "07_training"]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def row(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


def tito(folder: Path, *arguments: str, **environment: str) -> Done:
    """What the command does in a folder, as a learner starts it."""
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "TITO_WORKSPACE")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tt_course", *arguments],
        cwd=folder,
        env=known | environment,
        capture_output=True,
        text=True,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace in which all seven modules were rebuilt, as the assertions on the way saw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)  # another test's toy tier is not this learner's
        manifest.tiers.cache_clear()
        shared = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            shared = shared.parent  # whichever process comes first does it for all
        with (shared / "learner.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            workspace = Workspace(shared / "learner")
            if not (shared / "learner.done").exists():
                shutil.rmtree(workspace.root, ignore_errors=True)
                _rebuild_all(workspace)
                (shared / "learner.done").touch()
        yield workspace


def _rebuild_all(workspace: Workspace) -> None:
    done = tito(workspace.root.parent, "init", str(workspace.root), "--tier", "foundation", "--json")
    assert done.code == 0, done.err
    assert done.row["modules"] == MODULES
    for module in workspace.modules:
        _rebuild(workspace, module)


def _rebuild(workspace: Workspace, module: Module) -> None:
    """Start, see a check fail, type in exercise by exercise, complete."""
    root, label = workspace.root, module.label
    total = sum(exercise.points for exercise in module.manifest.exercise)
    assert tito(root, "module", "start", label).code == 0
    failing = tito(root, "module", "check", label, "--json")
    assert failing.code == 1, failing.err
    assert failing.row["points"] == 0
    assert failing.row["error"] is None
    assert {exercise["state"] for exercise in failing.row["exercises"]} == {"to do"}
    _type_in(workspace, module)
    done = tito(root, "module", "complete", label, "--json")
    assert done.code == 0, done.out + done.err
    assert (done.row["points"], done.row["total"]) == (total, total)


def _type_in(workspace: Workspace, module: Module) -> None:
    """Type in one exercise's bodies after another: each turns from failing to passing, the earlier ones stay passed."""
    file, exercises = workspace.file(module), module.manifest.exercise
    reference = module.source.read_text()
    steps = [file]
    for k, exercise in enumerate(exercises):
        text = with_bodies(file.read_text(), bodies(reference, exercise.definitions))
        file.write_text(text)
        step = workspace.root / ".tito" / f"step-{module.label}-{k + 1}" / file.name
        step.parent.mkdir()
        step.write_text(text)
        steps.append(step)
    assert file.read_text() == reference
    starter = steps[1].parent.with_name(f"step-{module.label}-0") / file.name
    starter.parent.mkdir()
    starter.write_text(
        with_bodies(reference, {d: "raise NotImplementedError" for e in exercises for d in e.definitions})
    )
    steps[0] = starter
    earlier = workspace.files()
    job = job_of(module, [case.name for case in module.manifest.case], seed=7, others=workspace.learners())
    variants = [Variant({**earlier, module.manifest.source: step}) for step in steps]
    expected, *runs = run(job, [Variant(), *variants], limit_s=300)
    for k, found in enumerate(runs):
        states = {v.exercise.label: v.state for v in verdicts(module, found, expected)}
        labels = [exercise.label for exercise in exercises]
        assert {label for label in labels[:k] if states[label] != "passed"} == set(), (module, k, states)
        if k < len(labels):
            assert states[labels[k]] != "passed", (module, k)
        points = sum(v.points for v in verdicts(module, found, expected)[:k])
        assert points == sum(exercise.points for exercise in exercises[:k])


def test_every_module_is_complete_and_merged_into_main(rebuilt: Workspace) -> None:
    row = tito(rebuilt.root, "progress", "--json").row
    assert [module["state"] for module in row["modules"]] == ["complete"] * len(MODULES)
    assert row["points"] == row["total"]
    assert rebuilt.git.branch() == "main"
    assert not rebuilt.save("nothing is left to commit")


SPY = """
import sys

opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
"""

XOR = """
import json
import sitecustomize_spy
import numpy as np
from tinytorch.core.autograd import no_grad
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.losses import cross_entropy
from tinytorch.core.activations import Tanh
from tinytorch.core.optimizers import Adam
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import Trainer
import inspect, tt_foundation

tt_foundation.manual_seed(0)
x = Tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = Tensor(np.array([0, 1, 1, 0]))
model = Sequential([Linear(2, 8), Tanh(), Linear(8, 2)])
optimizer = Adam(model.parameters(), lr=0.05)
for _ in range(200):
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()
files = {c.__name__: inspect.getfile(c) for c in (Linear, Tanh, Adam, Tensor, Trainer, no_grad)}
print(json.dumps({"answers": model(x).argmax(axis=1).tolist(), "files": files, "is": Linear is tt_foundation.Linear,
                  "module": Linear.__module__, "opened": sitecustomize_spy.opened}))
"""


def test_what_a_learner_imports_is_their_own_and_the_reference_of_a_completed_module_is_never_opened(
    rebuilt: Workspace, tmp_path: Path
) -> None:
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "sitecustomize_spy.py").write_text(SPY)
    (spy / "sitecustomize.py").write_text("import sitecustomize_spy\n")
    script = tmp_path / "xor.py"
    script.write_text(textwrap.dedent(XOR))
    done = tito(rebuilt.root, "run", str(script), PYTHONPATH=str(spy))
    assert done.code == 0, done.err
    row = done.row
    assert row["answers"] == [0, 1, 1, 0]
    assert row["is"]
    assert row["module"] == "tt_foundation.layers"
    own = rebuilt.root / "modules"
    assert row["files"] == {
        "Linear": str(own / "03_layers" / "layers.py"),
        "Tanh": str(own / "02_activations" / "activations.py"),
        "Adam": str(own / "06_optim" / "optim.py"),
        "Tensor": str(own / "01_tensor" / "tensor.py"),
        "Trainer": str(own / "07_training" / "training.py"),
        "no_grad": str(own / "05_autograd" / "autograd.py"),
    }
    assert str(own / "01_tensor" / "tensor.py") in row["opened"]
    package = rebuilt.modules[0].source.parent
    assert str(package / "module.py") in row["opened"] or any("module.cpython" in name for name in row["opened"])
    for module in rebuilt.modules:
        cached = f"{module.source.parent}{os.sep}__pycache__{os.sep}{module.source.stem}."
        assert [n for n in row["opened"] if n == str(module.source) or n.startswith(cached)] == []


def test_xor_is_learned_on_the_learners_files(rebuilt: Workspace) -> None:
    done = tito(rebuilt.root, "milestone", "run", "1969", "--json")
    assert done.code == 0, done.err
    assert done.row["passed"]
    assert set(done.row["origins"].values()) == {str(path) for path in rebuilt.files().values()}


@pytest.mark.data
def test_mnist_is_learned_on_the_learners_files(rebuilt: Workspace) -> None:
    done = tito(rebuilt.root, "milestone", "run", "1986", "--json", "--data", "mnist", "--epochs", "1")
    assert done.code == 0, done.err
    assert done.row["figures"]["accuracy"] >= 0.95
    assert set(done.row["origins"].values()) == {str(path) for path in rebuilt.files().values()}


def test_all_checkpoints_pass_on_the_learners_files(rebuilt: Workspace) -> None:
    done = tito(rebuilt.root, "checkpoint", "run", "--json")
    assert done.code == 0, done.out + done.err
    assert len(done.row["checkpoints"]) == 8
    assert all(point["passed"] for point in done.row["checkpoints"])
