"""Plots: what the layers of this tier look for, and what they see.

Every function returns a matplotlib Figure, as those of ``tt_foundation.plots``. Needs matplotlib, the extra ``[plot]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tt_foundation import Array, Module, Tensor, no_grad, observe, plot_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["feature_maps", "plot_feature_maps", "plot_filters"]


def feature_maps(model: Module[[Tensor], Tensor], x: Array | Tensor) -> dict[str, Array]:
    """What every layer makes of images, by the layer's path: arrays ``(n, c, h, w)``, in the order they are made.

    Layers whose output is no image are left out. The model is run as it stands, training or not, without gradients.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    maps: dict[str, Array] = {}

    def watch(op: Any, phase: str, inputs: Sequence[Any], params: Mapping[str, Any], output: Any, /) -> None:
        if phase == "scope" and isinstance(output, Tensor) and output.ndim == 4 and id(op) in paths:
            if not any(True for _ in op.named_children()):
                maps[paths[id(op)]] = output.data

    with no_grad(), observe(watch):
        model(x if isinstance(x, Tensor) else Tensor(x))
    return maps


def plot_feature_maps(maps: Array | Tensor, columns: int = 8) -> Figure:
    """The channels of one image, each in its own range of grey: ``(c, h, w)``, or ``(1, c, h, w)``.

    Raises:
        ValueError: another shape, or no channels.
    """
    channels = maps.data if isinstance(maps, Tensor) else np.asarray(maps)
    if channels.ndim == 4 and len(channels) == 1:
        channels = channels[0]
    if channels.ndim != 3:
        raise ValueError(f"feature maps of one image have shape (c, h, w) or (1, c, h, w), got {channels.shape}")
    return plot_images(np.ascontiguousarray(channels), [str(i) for i in range(len(channels))], columns)


def plot_filters(weight: Array | Tensor, columns: int = 8, most: int = 64) -> Figure:
    """The kernels of a convolution, at most ``most``: ``(out, c, kh, kw)``.

    Kernels of three channels are shown in colour, grey being 0; of others, each channel is a grey picture.

    Raises:
        ValueError: another shape, or no kernels.
    """
    kernels = weight.data if isinstance(weight, Tensor) else np.asarray(weight)
    if kernels.ndim != 4:
        raise ValueError(f"kernels have shape (out, c, kh, kw), got {kernels.shape}")
    if kernels.shape[1] == 3:
        largest = np.abs(kernels).max(initial=0) or 1.0
        return plot_images(0.5 + kernels[:most] / (2 * largest), columns=columns)
    return plot_images(kernels.reshape(-1, *kernels.shape[2:])[:most], columns=columns)
