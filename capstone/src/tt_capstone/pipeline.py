"""Pipeline: one configuration in, trained and saved models and a report out (module 20).

Knows which parts a run has; how images and text are learned stands in ``images`` and ``text``, how the report looks in
``report``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from tt_capstone.images import ImageOutcome, load_images, train_classifier
from tt_capstone.report import write_report
from tt_capstone.text import TextOutcome, load_text, train_writer
from tt_foundation import keep_freed_memory, manual_seed, peak_memory_bytes

__all__ = ["MODELS", "Config", "Outcome", "run"]

Kind: TypeAlias = Literal["mlp", "cnn", "gpt"]

MODELS: tuple[Kind, ...] = ("mlp", "cnn", "gpt")
"""What can be trained, two readers of images and a writer of text."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made from.

    ``data`` and ``text`` are ``"auto"``: MNIST and Tiny Shakespeare where ``TT_DATA`` names a folder that has them,
    else the digits of scikit-learn and Python's own language reference. ``epochs`` is for the readers of images;
    without it, as many as suit the data.
    """

    models: tuple[Kind, ...] = MODELS
    data: Literal["auto", "digits", "mnist"] = "auto"
    text: Literal["auto", "python", "shakespeare"] = "auto"
    epochs: int | None = None
    steps: int = 400
    batch_size: int = 64
    lr: float = 1e-3
    seed: int = 0
    folder: str = "out"
    progress: bool = True


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    data: str | None
    images: list[ImageOutcome]
    text: TextOutcome | None
    seconds: float
    peak_bytes: int
    report_path: str


def run(config: Config) -> Outcome:
    """Load, train, evaluate, save, reload and report; everything is written under ``config.folder``.

    Raises:
        ValueError: no models, or epochs, steps, batch size or rate below what makes sense.
        OSError: the folder cannot be made or written to.
        DatasetError, FileNotFoundError: the data are damaged or not where they should be.
    """
    sizes = (config.epochs is None or config.epochs >= 1, config.steps >= 1, config.batch_size >= 1, config.lr > 0)
    if not config.models or not all(sizes):
        raise ValueError(f"a run needs models, epochs, steps and batch_size >= 1 and lr > 0, got {config}")
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    manual_seed(config.seed)
    began = time.perf_counter()

    data_name, readers, writer = None, [], None
    kinds = [kind for kind in config.models if kind != "gpt"]
    if kinds:
        data_name, data = load_images(config.data)
        for kind in kinds:
            if config.progress:
                print(f"{kind} on {data_name}")
            readers.append(
                train_classifier(
                    kind, data_name, data, epochs=config.epochs, batch_size=config.batch_size, lr=config.lr,
                    seed=config.seed, folder=folder, progress=config.progress,
                )
            )  # fmt: skip
    if "gpt" in config.models:
        text_name, text = load_text(config.text)
        if config.progress:
            print(f"gpt on {text_name}")
        writer = train_writer(
            text_name, text, steps=config.steps, seed=config.seed, folder=folder, progress=config.progress
        )
    outcome = Outcome(
        data=data_name,
        images=[reader.outcome for reader in readers],
        text=None if writer is None else writer.outcome,
        seconds=time.perf_counter() - began,
        peak_bytes=peak_memory_bytes(),
        report_path=str(folder / "report.html"),
    )
    write_report(outcome, readers, data if readers else None, writer)
    return outcome
