"""What a model costs: numbers to store, and operations to compute.

Counted by watching one forward pass; the model is asked nothing. Knows the operations that multiply and add;
normalization, activations and pools, a few operations a number, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tt_foundation import Module, Tensor, no_grad, observe

__all__ = ["count_flops", "count_parameters"]


def count_parameters(model: Module[..., Any]) -> int:
    """How many numbers a model learns, shared ones once."""
    return sum(p.size for p in model.parameters())


def count_flops(model: Module[..., Any], *inputs: Tensor) -> int:
    """Floating-point operations of one forward pass in evaluation mode: a multiplication and an addition are two."""
    total = 0

    def watch(op: Any, phase: str, inputs: Sequence[Any], params: Mapping[str, Any], output: Any, /) -> None:
        nonlocal total
        if phase == "forward" and output is not None and getattr(op, "name", "") in _COUNTS:
            total += _COUNTS[op.name]([np.shape(x) for x in inputs], np.shape(output))

    was_training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad(), observe(watch):
            model(*inputs)
    finally:
        for module, is_training in was_training:
            module.training = is_training
    return total


Shape = tuple[int, ...]

_COUNTS: dict[str, Callable[[list[Shape], Shape], int]] = {
    "conv2d": lambda inputs, out: 2 * math.prod(out) * math.prod(inputs[1][1:]),
    "conv2d_input_gradient": lambda inputs, out: 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:]),
    "linear": lambda inputs, out: 2 * math.prod(out) * inputs[1][-1],
    "matmul": lambda inputs, out: 2 * math.prod(out) * inputs[0][-1],
    "scaled_dot_product_attention": lambda inputs, out: 4 * math.prod(out) * inputs[1][-2],
    "self_attention": lambda inputs, out: 4 * math.prod(out) * out[-2],
}
"""What an operation costs, by the shapes of its inputs and its output."""
