"""The convolutional models against the same ones in PyTorch: outputs, all gradients, running statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tt_architectures as tt
from tt_architectures.milestones.cnn_1998 import network
from tt_foundation import Tensor, backward, cross_entropy, use_backend


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)]


def vgg() -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for width in (32, 64, 128):
        for _ in range(2):
            layers += [*conv(channels, width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def milestone() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs, pools in [(3, 32, 0), (32, 32, 1), (32, 64, 0), (64, 64, 1), (64, 128, 1)]:
        layers += [*conv(inputs, outputs), nn.ReLU(), *[nn.MaxPool2d(2)] * pools]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 10))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv(inputs, outputs, 3, stride), nn.ReLU(), *conv(outputs, outputs))
        self.stride, self.added = stride, outputs - inputs
        is_projected = shortcut == "conv" and (stride != 1 or self.added)
        self.projection = nn.Sequential(*conv(inputs, outputs, 1, stride)) if is_projected else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.projection is not None:
            kept = self.projection(x)
        else:
            half = self.added // 2
            kept = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.added - half))
        return torch.relu(self.body(x) + kept)


def resnet(depth: int, shortcut: str) -> nn.Module:
    layers: list[nn.Module] = [*conv(3, 16), nn.ReLU()]
    channels = 16
    for stage, width in enumerate((16, 32, 64)):
        for i in range((depth - 2) // 6):
            layers.append(Block(channels, width, 2 if stage and not i else 1, shortcut))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


MODELS: list[tuple[Callable[[], Any], Callable[[], nn.Module], tuple[int, ...]]] = [
    (tt.LeNet5, lenet, (1, 28, 28)),
    (tt.SmallVGG, vgg, (3, 32, 32)),
    (tt.resnet8, lambda: resnet(8, "pad"), (3, 32, 32)),
    (tt.resnet20, lambda: resnet(20, "pad"), (3, 32, 32)),
    (lambda: tt.ResNet(8, shortcut="conv"), lambda: resnet(8, "conv"), (3, 32, 32)),
    (lambda: network(3, 32, 10), milestone, (3, 32, 32)),
]


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize(("make", "make_reference", "shape"), MODELS)
def test_a_model_with_pytorchs_weights_is_that_of_pytorch(
    make: Callable[[], Any],
    make_reference: Callable[[], nn.Module],
    shape: tuple[int, ...],
    is_training: bool,
    backend: str,
) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model, reference = make(), make_reference()
    names = [*model.state_dict()]
    theirs = reference.state_dict()
    for name, array in theirs.items():
        if name.endswith("running_mean"):
            array.normal_(0, 0.1)
        elif name.endswith("running_var"):
            array.uniform_(0.5, 2)
    ours = order_of(model)
    assert len(ours) == len(names) == len(theirs)
    model.load_state_dict({a: b.numpy() for a, b in zip(ours, theirs.values(), strict=True)})
    model.train(is_training)
    reference.train(is_training)
    x, y = rng.normal(size=(4, *shape)).astype(np.float32), rng.integers(0, 10, 4)
    mine, other = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    with use_backend(backend):
        out = model(mine)
        backward(cross_entropy(out, y))
    expected = reference(other)
    nn.functional.cross_entropy(expected, torch.tensor(y)).backward()
    close(out.data, expected, 1e-5)
    close(mine.grad, other.grad, 1e-4)
    for (name, p), q in zip(model.named_parameters(), reference.parameters(), strict=True):
        close(p.grad, q.grad, 1e-4, name)
    state = model.state_dict()
    for name, array in zip(ours, reference.state_dict().values(), strict=True):
        close(state[name], array, 1e-5, name)


def order_of(model: Any) -> list[str]:
    """The names of the state module by module, as PyTorch has them."""
    return [name for path, module in model.named_modules() for name in own(path, module)]


def own(path: str, module: Any) -> list[str]:
    children = {name.split(".")[0] for name, _ in module.named_children()}
    return [f"{path}.{name}" for name in module.state_dict() if name.split(".")[0] not in children]


def close(got: Any, right: Any, tolerance: float, name: str = "") -> None:
    """Within a tolerance of the largest number."""
    right = right.detach().numpy()
    scale = max(1.0, float(np.abs(right).max())) if tolerance == 1e-5 else float(np.abs(right).max())
    np.testing.assert_allclose(np.asarray(got), right, rtol=0, atol=tolerance * scale + 1e-8, err_msg=name)
