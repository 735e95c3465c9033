"""A training run killed at any moment resumes from its last checkpoint and ends with the bits of one never killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

RUN = """
import sys
from pathlib import Path
import numpy as np
from tt_foundation.activations import ReLU
from tt_foundation.callbacks import BestCheckpoints, CSVLog
from tt_foundation.datasets import batches
from tt_foundation.layers import Dropout, Linear, Sequential
from tt_foundation.losses import CrossEntropyLoss
from tt_foundation.optim import Adam
from tt_foundation.random import manual_seed
from tt_foundation.schedules import cosine_with_warmup
from tt_foundation.serialization import save
from tt_foundation.training import Trainer

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
x = rng.normal(size=(96, 8)).astype(np.float32)
y = (x.sum(axis=1) > 0).astype(np.int64)
manual_seed(1)
model = Sequential([Linear(8, 16), ReLU(), Dropout(0.3), Linear(16, 2)])
optimizer = Adam(model.parameters(), lr=0.01)
trainer = Trainer(
    model, optimizer, CrossEntropyLoss(), accumulate=2, clip_norm=1.0, progress=False, schedule_per="step",
    schedule=cosine_with_warmup(optimizer, 10, 80),
    callbacks=[BestCheckpoints(folder / "best", k=2), CSVLog(folder / "log.csv")],
)
checkpoint = folder / "run.safetensors"
if checkpoint.exists():
    trainer.resume(checkpoint)
print("ready", flush=True)
held = batches(x, y, 10, np.random.default_rng(3))
trainer.fit(batches(x, y, 10, np.random.default_rng(2)), 16, held, checkpoint=checkpoint, checkpoint_every=2)
save(folder / "final.safetensors", model.state_dict())
print("done", flush=True)
"""


def ends(script: Path, folder: Path, limit_s: float) -> bool:
    """Whether the run, in a process of its own and past its imports, ends well before it is killed."""
    with subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        try:
            run.wait(limit_s)
        except subprocess.TimeoutExpired:
            run.kill()
            return False
    assert run.returncode == 0
    return True


def results(folder: Path) -> dict[str, bytes | list[str]]:
    """Every file that the run leaves, the log without its last column, seconds."""
    found: dict[str, bytes | list[str]] = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.safetensors"))
        if path.name != "run.safetensors"
    }
    found["log.csv"] = [line.rsplit(",", 1)[0] for line in (folder / "log.csv").read_text().splitlines()]
    return found


@pytest.mark.slow
def test_a_run_killed_at_fifty_moments_ends_with_the_bits_of_one_never_killed(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    whole = tmp_path / "whole"
    whole.mkdir()
    began = time.monotonic()
    assert ends(script, whole, 60)
    took_s = time.monotonic() - began

    def killed_ten_times(lane: int) -> list[Path]:
        """The folders of the runs that were killed, once or more: one that ends too soon is followed by another."""
        moments = random.Random(lane)
        folders = [tmp_path / f"lane-{lane}-0"]
        folders[-1].mkdir()
        kills = 0
        while kills < 10:
            if ends(script, folders[-1], moments.uniform(0, took_s / 4)):
                folders.append(tmp_path / f"lane-{lane}-{len(folders)}")
                folders[-1].mkdir()
            else:
                kills += 1
        assert ends(script, folders[-1], 60)
        return folders

    with ThreadPoolExecutor(2) as lanes:
        folders = [folder for lane in lanes.map(killed_ten_times, range(5)) for folder in lane]
    expected = results(whole)
    for folder in folders:
        assert results(folder) == expected
        assert not list(folder.rglob("*.partial"))
