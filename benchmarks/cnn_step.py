"""One training step of a CNN on CIFAR-sized images: five convolutions with batch norm and relu, SGD, batches of 128.

    ./run python benchmarks/cnn_step.py --threads 2      (needs torch: pip install torch==2.13.0)

32-32-P-64-64-P-128-P-linear, as in ``tt_architectures.milestones.cnn_1998``. All memory stays with the process
(``tt_foundation.keep_freed_memory``), as in the commands of this project.
"""

import os
from typing import Any

import numpy as np

import harness

_THREADS = int(os.environ.get("BENCHMARK_THREADS", "1"))
_LAYERS = [(3, 32, False), (32, 32, True), (32, 64, False), (64, 64, True), (64, 128, True)]


def _batches() -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((128, 3, 32, 32), np.float32), rng.integers(0, 10, 128)) for _ in range(4)]


def _torch(channels_last: bool = False) -> harness.Step:
    import torch

    torch.set_num_threads(_THREADS)
    nn = torch.nn
    layers: list[Any] = []
    for inputs, outputs, is_pooled in _LAYERS:
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if is_pooled else []
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 10))
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in _batches()]
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        batches = [(x.contiguous(memory_format=torch.channels_last), y) for x, y in batches]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return harness.training_step(model, optimizer, nn.CrossEntropyLoss(), batches)


def _torch_channels_last() -> harness.Step:
    return _torch(channels_last=True)


def _ours() -> harness.Step:
    import tt_architectures as tt
    import tt_foundation as nn

    nn.set_num_threads(_THREADS)
    nn.keep_freed_memory()
    layers: list[Any] = []
    for inputs, outputs, is_pooled in _LAYERS:
        layers += [tt.Conv2d(inputs, outputs, 3, padding=1, bias=False), tt.BatchNorm2d(outputs), nn.ReLU()]
        layers += [tt.MaxPool2d(2)] if is_pooled else []
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 10))
    optimizer = nn.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batches = [(nn.Tensor(x), nn.Tensor(y)) for x, y in _batches()]
    return harness.training_step(model, optimizer, nn.CrossEntropyLoss(), batches)


CONTESTANTS = {
    "torch eager": ("torch", _torch),
    "torch eager, channels-last": ("torch", _torch_channels_last),
    "tt_architectures": ("tt_architectures", _ours),
}

if __name__ == "__main__":
    harness.main(__file__, list(CONTESTANTS))
