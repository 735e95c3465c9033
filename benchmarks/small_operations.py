"""Twenty operations on 4x4 tensors, tracked, forward and backward: what the framework itself costs.

./run python benchmarks/small_operations.py      (needs torch: pip install torch==2.13.0)
"""

from typing import Any

import numpy as np

import harness


def _values() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 4)).astype(np.float32), rng.normal(size=(4, 4)).astype(np.float32)


def _step(a: Any, b: Any) -> harness.Step:
    def step() -> None:
        y = a
        for _ in range(10):
            y = y * b + a
        y.sum().backward()
        a.grad = b.grad = None

    return step


def _torch() -> harness.Step:
    import torch

    torch.set_num_threads(1)
    a, b = (torch.tensor(v, requires_grad=True) for v in _values())
    return _step(a, b)


def _ours() -> harness.Step:
    import tt_foundation

    a, b = (tt_foundation.Tensor(v, requires_grad=True) for v in _values())
    return _step(a, b)


CONTESTANTS = {"torch eager": ("torch", _torch), "tt_foundation": ("tt_foundation", _ours)}

if __name__ == "__main__":
    harness.main(__file__, list(CONTESTANTS))
