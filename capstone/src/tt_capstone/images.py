"""Images: networks that read digits, an MLP and a small CNN, each trained, judged, saved and reloaded.

Knows the tiers by their public names; knows nothing of text or of how the report looks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tt_architectures import BatchNorm2d, Conv2d, MaxPool2d
from tt_foundation import (
    Adam,
    Array,
    Data,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    Tensor,
    Trainer,
    accuracy,
    batches,
    cross_entropy,
    digits,
    load,
    mnist,
    no_grad,
    save,
)  # fmt: skip

__all__ = ["DEFAULT_EPOCHS", "ImageOutcome", "ImageRun", "load_images", "train_classifier"]

DEFAULT_EPOCHS = {("digits", "mlp"): 15, ("digits", "cnn"): 10, ("mnist", "mlp"): 5, ("mnist", "cnn"): 1}
"""How often each model sees each data set, as half a minute allows or the few digits need."""


class ImageOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a classifier came to."""

    model: str
    parameters: int
    epochs: int
    train_s: float
    test_accuracy: float
    reloaded_accuracy: float
    path: str


class ImageRun(NamedTuple):
    """An outcome, and what a report shows of it: rows of epochs, scores ``(n, classes)``, the model's table."""

    outcome: ImageOutcome
    rows: Sequence[Mapping[str, float]]
    scores: Array
    summary: str


def load_images(name: str) -> tuple[str, Data]:
    """The data set's name and content, x ``(n, 1, height, width)``; ``"auto"`` is MNIST where TT_DATA has it."""
    if name == "auto":
        root = os.environ.get("TT_DATA")
        name = "mnist" if root and Path(root, "MNIST", "raw").is_dir() else "digits"
    return name, (mnist if name == "mnist" else digits)(as_images=True)


def _mlp(side: int, rng: np.random.Generator) -> Sequential:
    layers = [Flatten(), Linear(side * side, 128, rng=rng), ReLU(), Linear(128, 64, rng=rng), ReLU()]
    return Sequential([*layers, Linear(64, 10, rng=rng)])


def _cnn(side: int, rng: np.random.Generator) -> Sequential:
    return Sequential(
        [
            Conv2d(1, 16, 3, padding=1, bias=False, rng=rng), BatchNorm2d(16), ReLU(), MaxPool2d(2),
            Conv2d(16, 32, 3, padding=1, bias=False, rng=rng), BatchNorm2d(32), ReLU(), MaxPool2d(2),
            Flatten(), Linear(32 * (side // 4) ** 2, 10, rng=rng),
        ]
    )  # fmt: skip


_MODELS = {"mlp": _mlp, "cnn": _cnn}


def train_classifier(
    kind: str, name: str, data: Data, *, epochs: int | None, batch_size: int, lr: float, seed: int, folder: Path,
    progress: bool,
) -> ImageRun:  # fmt: skip
    """Train a model of a kind, ``"mlp"`` or ``"cnn"``, on images; a tenth of the training half is held out to validate.

    What comes back reads the test half from the saved and reloaded file too.
    """
    side = data.test_x.shape[-1]
    epochs = epochs or DEFAULT_EPOCHS[name, kind]
    rng = np.random.default_rng(seed)
    model = _MODELS[kind](side, rng)
    trainer: Trainer = Trainer(
        model, Adam(model.parameters(), lr=lr), cross_entropy, metrics={"accuracy": accuracy}, progress=progress
    )
    held_out = len(data.train_x) // 10
    train = batches(data.train_x[held_out:], data.train_y[held_out:], batch_size, rng)
    validation = batches(data.train_x[:held_out], data.train_y[:held_out], 512)
    began = time.perf_counter()
    trainer.fit(train, epochs, validation)
    train_s = time.perf_counter() - began

    scores = _scores(model, data.test_x)
    path = folder / f"{kind}.safetensors"
    save(path, model.state_dict(), {"model": kind, "data": name, "epochs": str(epochs)})
    again = _MODELS[kind](side, rng)
    again.load_state_dict(load(path).arrays)
    outcome = ImageOutcome(
        model=kind,
        parameters=sum(p.size for p in model.parameters()),
        epochs=epochs,
        train_s=train_s,
        test_accuracy=accuracy(scores, data.test_y),
        reloaded_accuracy=accuracy(_scores(again, data.test_x), data.test_y),
        path=str(path),
    )
    return ImageRun(outcome, trainer.history.rows, scores, model.summary())


def _scores(model: Sequential, x: Array) -> Array:
    """The model's scores of images, a thousand at a time: ``(n, 1, height, width) -> (n, classes)``."""
    model.eval()
    with no_grad():
        parts: list[Any] = [model(Tensor(x[at : at + 1000])).data for at in range(0, len(x), 1000)]
    return np.concatenate(parts)
