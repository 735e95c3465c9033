"""Pipeline: one configuration in, a trained and saved model and a report out (module 20).

Knows the tiers by their public names; knows nothing of how the report looks.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from tt_capstone.report import write_report
from tt_foundation import (
    Adam,
    Data,
    Linear,
    ReLU,
    Sequential,
    Tensor,
    Trainer,
    accuracy,
    batches,
    confusion_matrix,
    cross_entropy,
    digits,
    keep_freed_memory,
    load,
    manual_seed,
    mnist,
    no_grad,
    peak_memory_bytes,
    save,
)  # fmt: skip

__all__ = ["Config", "Outcome", "run"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made from.

    ``data`` is ``"digits"``, ``"mnist"``, or ``"auto"``: MNIST where ``TT_DATA`` names a folder that has it.
    """

    data: Literal["auto", "digits", "mnist"] = "auto"
    epochs: int = 15
    batch_size: int = 64
    lr: float = 1e-3
    seed: int = 0
    folder: str = "out"
    progress: bool = True


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    data: str
    parameters: int
    test_accuracy: float
    reloaded_accuracy: float
    seconds: dict[str, float]
    peak_bytes: int
    model_path: str
    report_path: str


def _loaded(name: str) -> tuple[str, Data]:
    """The data set's name and content, ``"auto"`` decided."""
    if name == "auto":
        root = os.environ.get("TT_DATA")
        name = "mnist" if root and Path(root, "MNIST", "raw").is_dir() else "digits"
    return name, mnist() if name == "mnist" else digits()


def _model(features: int) -> Sequential:
    return Sequential([Linear(features, 128), ReLU(), Linear(128, 64), ReLU(), Linear(64, 10)])


def run(config: Config) -> Outcome:
    """Load, train, evaluate, save, reload and report; everything is written under ``config.folder``.

    Raises:
        ValueError: epochs, batch size or rate below what makes sense.
        OSError: the folder cannot be made or written to.
        DatasetError, FileNotFoundError: the data are damaged or not where they should be.
    """
    if config.epochs < 1 or config.batch_size < 1 or config.lr <= 0:
        raise ValueError(f"a run needs epochs >= 1, batch_size >= 1 and lr > 0, got {config}")
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    manual_seed(config.seed)
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def ended(stage: str) -> None:
        nonlocal began
        now = time.perf_counter()
        seconds[stage], began = now - began, now

    name, data = _loaded(config.data)
    ended("load")

    model = _model(data.train_x.shape[1])
    optimizer = Adam(model.parameters(), lr=config.lr)
    trainer = Trainer(model, optimizer, cross_entropy, metrics={"accuracy": accuracy}, progress=config.progress)
    rng = np.random.default_rng(config.seed)
    held_out = len(data.train_x) // 10
    train = batches(data.train_x[held_out:], data.train_y[held_out:], config.batch_size, rng)
    validation = batches(data.train_x[:held_out], data.train_y[:held_out], 512)
    trainer.fit(train, config.epochs, validation)
    ended("train")

    model.eval()
    with no_grad():
        scores = model(Tensor(data.test_x)).data
    test_accuracy = accuracy(scores, data.test_y)
    ended("evaluate")

    model_path = folder / "model.safetensors"
    save(model_path, model.state_dict(), {"data": name, "epochs": str(config.epochs)})
    again = _model(data.train_x.shape[1])
    again.load_state_dict(load(model_path).arrays)
    with no_grad():
        reloaded_accuracy = accuracy(again.eval()(Tensor(data.test_x)), data.test_y)
    ended("save and reload")

    outcome = Outcome(
        data=name,
        parameters=sum(p.size for p in model.parameters()),
        test_accuracy=test_accuracy,
        reloaded_accuracy=reloaded_accuracy,
        seconds=seconds,
        peak_bytes=peak_memory_bytes(),
        model_path=str(model_path),
        report_path=str(folder / "report.html"),
    )
    side = int(data.test_x.shape[1] ** 0.5)
    write_report(
        outcome.report_path,
        title=f"An MLP on {name}",
        outcome=msgspec.to_builtins(outcome),
        summary=model.summary(),
        rows=trainer.history.rows,
        matrix=confusion_matrix(scores, data.test_y, 10),
        images=data.test_x.reshape(-1, side, side),
        scores=scores,
        labels=data.test_y,
    )
    return outcome
