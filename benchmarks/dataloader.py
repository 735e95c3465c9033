"""Loading beside PyTorch's loader: samples a second, and how long a training would wait for its batches.

Images as large as CIFAR-10's, in batches, in a drawn order. ``plain`` takes them as they are; ``augmented`` also pads,
crops, flips and normalises: here by the loader's ``transform``, there by the same code in ``collate_fn``, with each
example fetched by itself, as PyTorch does it. Then the same with a step of so many milliseconds of arithmetic on one
core after each batch: the wait is what loading adds to it. All are gone through in turns; the figures are medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from torch.utils import data as torch_data

from tt_architectures import Compose, DataLoader, Normalize, RandomCrop, RandomHorizontalFlip, TensorDataset
from tt_foundation import keep_freed_memory

AUGMENT = Compose([RandomCrop(4), RandomHorizontalFlip(), Normalize([0.49, 0.48, 0.45], [0.25, 0.24, 0.26])])


def collate(augment: bool, examples: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of single examples of PyTorch's, augmented as ours are."""
    x, y = torch_data.default_collate(examples)
    return (torch.from_numpy(AUGMENT(x.numpy())) if augment else x), y


def ours(x: Any, y: Any, size: int, workers: int, augment: bool) -> Iterable[Any]:
    return DataLoader(
        TensorDataset(x, y),
        size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        transform=AUGMENT if augment else None,
    )


def theirs(x: Any, y: Any, size: int, workers: int, augment: bool) -> Iterable[Any]:
    return torch_data.DataLoader(
        torch_data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)),
        size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=partial(collate, augment),
    )


def one_pass(loader: Iterable[Any], step: Callable[[], object] | None = None) -> tuple[float, float, int]:
    """Seconds of a pass, seconds of them spent waiting, and the number of batches."""
    waited, batches = 0.0, 0
    began = before = time.perf_counter()
    for _ in loader:
        waited += time.perf_counter() - before
        batches += 1
        if step is not None:
            step()
        before = time.perf_counter()
    return time.perf_counter() - began, waited, batches


def arithmetic(milliseconds: float) -> Callable[[], object]:
    """A step of about so many milliseconds, on one core."""
    a = np.random.default_rng(0).random((384, 384), dtype=np.float32)
    began = time.perf_counter()
    for _ in range(50):
        a @ a
    repeats = max(1, round(milliseconds / 1e3 / ((time.perf_counter() - began) / 50)))
    return lambda: [a @ a for _ in range(repeats)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--step-ms", type=float, default=20)
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.random((options.images, 32, 32, 3), dtype=np.float32).transpose(0, 3, 1, 2)
    y = rng.integers(10, size=options.images)
    step = arithmetic(options.step_ms)
    loaders = {
        (name, "augmented" if augment else "plain", workers): make(x, y, options.batch_size, workers, augment)
        for augment in (False, True)
        for workers in (0, 1, 2)
        for name, make in (("torch", theirs), ("ours", ours))
    }
    rates: dict[Any, list[float]] = {key: [] for key in loaders}
    waits: dict[Any, list[float]] = {key: [] for key in loaders}
    for loader in loaders.values():
        one_pass(loader)  # starts the workers
    for _ in range(options.rounds):
        for key, loader in loaders.items():
            seconds, _, batches = one_pass(loader)
            rates[key].append(batches * options.batch_size / seconds)
            _, waited, batches = one_pass(loader, step)
            waits[key].append(waited / batches)
    print(f"{options.images} images, batches of {options.batch_size}, {options.rounds} rounds in turns")
    print(f"{'':<22} {'samples/s':>10} {'x torch':>8} {f'wait, ms a step of {options.step_ms:g}':>24} {'torch':>8}")
    for name, kind, workers in loaders:
        if name == "ours":
            our, their = (name, kind, workers), ("torch", kind, workers)
            ratio = statistics.median(a / b for a, b in zip(rates[our], rates[their], strict=True))
            wait, torch_wait = (statistics.median(waits[key]) * 1e3 for key in (our, their))
            label = f"{kind}, {workers} workers"
            print(f"{label:<22} {statistics.median(rates[our]):>10.0f} {ratio:>8.1f} {wait:>24.3f} {torch_wait:>8.3f}")


if __name__ == "__main__":
    main()
