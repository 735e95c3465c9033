"""1998: convolutions see.

A small convolutional network learns ten kinds of things in photographs (CIFAR-10, where TT_DATA or the cache has it),
or handwriting. LeCun, Bottou, Bengio and Haffner (1998), Gradient-Based Learning Applied to Document Recognition; with
what was found since: batch norm (2015), one-cycle rates (2017), label smoothing (2016), reflected crops and flips.

    TT_DATA=... python -m tt_architectures.milestones.cnn_1998 --data cifar10 --epochs 2

On CIFAR-10 two epochs recognise 78 % of the test images, six (the default) 86 %.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from tt_architectures.data import DataLoader, TensorDataset
from tt_architectures.datasets import cifar10
from tt_architectures.normalization import BatchNorm2d
from tt_architectures.spatial import Conv2d, MaxPool2d
from tt_architectures.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip, Transform
from tt_foundation import (
    SGD,
    Array,
    Data,
    Flatten,
    Linear,
    Module,
    OneCycleLR,
    ReLU,
    Sequential,
    Tensor,
    cross_entropy,
    digits,
    flip,
    mnist,
    no_grad,
)
from tt_foundation.milestones.command import Result, run

__all__ = ["main", "network"]

_BATCH = 128


def network(channels: int, size: int, classes: int) -> Sequential:
    """Five convolutions, a pool after the second, fourth and fifth: ``(n, channels, size, size) -> (n, classes)``.

    For 32 x 32 colour images and ten classes: 160,234 parameters, 58 million floating-point operations an image.
    """
    layers: list[Module[[Tensor], Tensor]] = []
    for inputs, outputs, is_pooled in [
        (channels, 32, False), (32, 32, True), (32, 64, False), (64, 64, True), (64, 128, True)
    ]:  # fmt: skip
        layers += [Conv2d(inputs, outputs, 3, padding=1, bias=False), BatchNorm2d(outputs), ReLU()]
        if is_pooled:
            layers.append(MaxPool2d(2))
    return Sequential(*layers, Flatten(), Linear(128 * (size // 8) ** 2, classes))


def load(name: str) -> Data:
    """The data set of that name as images, ``(n, channels, height, width)``."""
    data = {"cifar10": lambda: cifar10(as_uint8=True), "mnist": mnist, "digits": digits}[name]()
    if data.train_x.ndim == 4:
        return data
    side = round(data.train_x.shape[1] ** 0.5)
    return data._replace(train_x=data.train_x.reshape(-1, 1, side, side), test_x=data.test_x.reshape(-1, 1, side, side))


def main(options: argparse.Namespace) -> Result:
    """Train on images moved a little (photographs mirrored too); the accuracy is on the test images.

    Each test photograph is seen twice, once in a mirror; the two answers are added.
    """
    data = load(options.data)
    is_photograph = options.data == "cifar10"
    channels, side = data.train_x.shape[1:3]
    normalize = Normalize(*_statistics(data.train_x))
    moves: list[Transform] = [RandomCrop(max(1, side // 8), "reflect" if is_photograph else "constant")]
    if is_photograph:
        moves.append(RandomHorizontalFlip())
    loader = DataLoader(
        TensorDataset(data.train_x, data.train_y), _BATCH, shuffle=True, drop_last=True, num_workers=1,
        persistent_workers=True, transform=Compose([*moves, normalize]),
    )  # fmt: skip
    model = network(channels, side, 10)
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = OneCycleLR(optimizer, max_lr=0.2, total_steps=options.epochs * len(loader), pct_start=0.25)
    for epoch in range(options.epochs):
        start, loss_sum, right = time.perf_counter(), 0.0, 0
        for batch in loader:
            logits = model(batch.x)
            loss = cross_entropy(logits, batch.y, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += loss.item()
            right += int((logits.data.argmax(axis=1) == batch.y.data).sum())
        print(
            f"epoch {epoch + 1}: training loss {loss_sum / len(loader):.3f}, "
            f"accuracy {right / (len(loader) * _BATCH):.2%}, {time.perf_counter() - start:.1f} s, "
            f"of which {loader.wait_s:.1f} s waiting for images"
        )
    accuracy = _test(model, data, normalize, is_photograph)
    return Result(accuracy, sum(p.size for p in model.parameters()))


def _statistics(x: Array) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel, of images in [0, 1] or bytes."""
    unit = 255 if x.dtype == np.uint8 else 1
    sample = x[:: max(1, len(x) // 5000)].astype(np.float64) / unit
    return list(sample.mean(axis=(0, 2, 3))), list(sample.std(axis=(0, 2, 3)))


def _test(model: Sequential, data: Data, normalize: Normalize, is_mirrored: bool) -> float:
    """The share of test images that are recognised."""
    model.eval()
    right = 0
    with no_grad():
        for start in range(0, len(data.test_x), 500):
            x = Tensor(normalize(data.test_x[start : start + 500]))
            logits = model(x) + model(flip(x, axis=3)) if is_mirrored else model(x)
            right += int((logits.data.argmax(axis=1) == data.test_y[start : start + 500]).sum())
    return right / len(data.test_x)


if __name__ == "__main__":
    has_data = "TT_DATA" in os.environ
    run(
        main,
        "A convolutional network sees.",
        data=["cifar10", "mnist", "digits"] if has_data else ["digits", "cifar10", "mnist"],
        epochs={"cifar10": 6, "mnist": 2, "digits": 8},
    )
