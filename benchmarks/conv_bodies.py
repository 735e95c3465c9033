"""The three bodies of a convolution: six loops, im2col and one matrix product, im2col block by block; and PyTorch's.

    ./run python benchmarks/conv_bodies.py      (needs torch: pip install torch==2.13.0)

First a small convolution, forward, which the loops can do in a moment: 2 images of 16 x 16 pixels, 16 channels to 16,
kernels of 3 x 3. Then a layer as it is trained, forward and backward: 128 images of 32 x 32, 32 channels to 32. The
peaks of memory show what laying out every window of a batch at once costs.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

import harness

_THREADS = int(os.environ.get("BENCHMARK_THREADS", "1"))
_SMALL = (2, 16, 16, 16)
_LAYER = (128, 32, 32, 32)


def _arrays(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Images and a weight of as many kernels as channels."""
    rng = np.random.default_rng(0)
    c = shape[1]
    return rng.standard_normal(shape, np.float32), rng.standard_normal((c, c, 3, 3), np.float32)


def _loops() -> harness.Step:
    import tt_architectures as tt

    x, weight = _arrays(_SMALL)
    return lambda: tt.conv2d_loops(x, weight, padding=1)


def _ours(backend: str, shape: tuple[int, ...]) -> Callable[[], harness.Step]:
    def make() -> harness.Step:
        import tt_architectures as tt
        import tt_foundation as nn

        nn.set_num_threads(_THREADS)
        nn.keep_freed_memory()
        nn.use_backend(backend)
        x, weight = _arrays(shape)
        if shape == _SMALL:
            return lambda: tt.conv2d(x, weight, padding=1)
        images, kernels = nn.Tensor(tt.channels_last(x), requires_grad=True), nn.Tensor(weight, requires_grad=True)

        def step() -> None:
            images.grad = kernels.grad = None
            out = tt.conv2d(images, kernels, padding=1)
            out.backward(out.data)

        return step

    return make


def _torch(shape: tuple[int, ...]) -> Callable[[], harness.Step]:
    def make() -> harness.Step:
        import torch

        torch.set_num_threads(_THREADS)
        images, kernels = (torch.from_numpy(a) for a in _arrays(shape))
        conv2d = torch.nn.functional.conv2d
        if shape == _SMALL:
            return lambda: conv2d(images, kernels, padding=1)
        images.requires_grad_()
        kernels.requires_grad_()

        def step() -> None:
            images.grad = kernels.grad = None
            out = conv2d(images, kernels, padding=1)
            out.backward(out.detach())

        return step

    return make


_ON_SMALL = {
    "six loops": ("tt_architectures", _loops),
    "im2col": ("tt_architectures", _ours("reference", _SMALL)),
    "blocked": ("tt_architectures", _ours("numpy", _SMALL)),
    "torch eager": ("torch", _torch(_SMALL)),
}
_ON_LAYER = {
    "layer: torch eager": ("torch", _torch(_LAYER)),
    "layer: im2col": ("tt_architectures", _ours("reference", _LAYER)),
    "layer: blocked": ("tt_architectures", _ours("numpy", _LAYER)),
}
CONTESTANTS = {**_ON_SMALL, **_ON_LAYER}

if __name__ == "__main__":
    harness.main(__file__, list(_ON_SMALL))
    harness.main(__file__, list(_ON_LAYER))
