"""Convolutions, pools and what resizes images against PyTorch's: values and gradients, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import tt_architectures as tt
from tt_foundation import Tensor, grad, use_backend

ATOL = {"float32": 1e-5, "float64": 1e-11}
BACKENDS = pytest.mark.parametrize("backend", ["reference", "numpy"])
LAYOUTS = pytest.mark.parametrize("layout", ["channels first", "channels last"])
KINDS = pytest.mark.parametrize(
    ("layout", "dtype"),
    [("channels first", "float32"), ("channels last", "float32"), ("channels last", "float64")],
)


def laid(x: Any, layout: str) -> Any:
    """An image in that order in memory."""
    return np.ascontiguousarray(x) if layout == "channels first" else np.array(tt.channels_last(x))


def compare(
    mine: Callable[..., Tensor], theirs: Callable[..., torch.Tensor], arrays: list[Any], dtype: str = "float32"
) -> None:
    """Values within 1e-5, and gradients of a random inner product within 1e-4, of the largest (at least 1)."""
    arrays = [a.astype(dtype, order="K") for a in arrays]
    ours = [Tensor(a, requires_grad=True) for a in arrays]
    reference = [torch.tensor(np.ascontiguousarray(a), requires_grad=True) for a in arrays]
    out, expected = mine(*ours), theirs(*reference)
    assert out.shape == tuple(expected.shape)
    assert str(out.dtype) == dtype
    close(out.data, expected, ATOL[dtype])
    g = np.random.default_rng(9).normal(size=out.shape).astype(dtype)
    got = grad(out, ours, [Tensor(g)])
    right = torch.autograd.grad(expected, reference, torch.tensor(g))
    for a, b in zip(got, right, strict=True):
        close(a.data, b, 10 * ATOL[dtype])


def close(got: Any, right: torch.Tensor, tolerance: float) -> None:
    scale = max(right.detach().abs().max().item(), 1) if right.numel() else 1
    np.testing.assert_allclose(got, right.detach().numpy(), rtol=0, atol=tolerance * scale)


def is_channels_last(x: Any) -> bool:
    return bool(np.moveaxis(x, 1, -1).flags.c_contiguous)


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    # image             weight         arguments
    ((2, 3, 8, 8), (4, 3, 3, 3), {}),
    ((2, 3, 8, 8), (4, 3, 3, 3), {"padding": 1}),
    ((2, 3, 9, 7), (4, 3, 3, 3), {"padding": 1, "stride": 2}),
    ((2, 3, 8, 7), (5, 3, 3, 2), {"padding": (1, 0), "stride": (2, 1)}),
    ((2, 3, 9, 9), (4, 3, 3, 3), {"padding": 2, "dilation": 2}),
    ((2, 3, 9, 11), (4, 3, 2, 3), {"padding": (0, 3), "dilation": (1, 3), "stride": (1, 2)}),
    ((2, 4, 6, 6), (6, 2, 3, 3), {"padding": 1, "groups": 2}),
    ((2, 4, 6, 6), (4, 1, 3, 3), {"padding": 1, "groups": 4}),
    ((2, 4, 7, 7), (8, 2, 3, 3), {"padding": 1, "groups": 2, "stride": 2, "dilation": 2}),
    ((2, 5, 6, 6), (7, 5, 1, 1), {}),
    ((2, 5, 7, 6), (7, 5, 1, 1), {"stride": 2}),
    ((2, 5, 6, 6), (7, 5, 1, 1), {"padding": 1}),
    ((2, 3, 6, 6), (4, 3, 6, 6), {}),
    ((2, 3, 6, 6), (4, 3, 3, 3), {"padding": 5}),
    ((2, 3, 6, 6), (4, 3, 3, 3), {"padding": "same"}),
    ((2, 3, 6, 7), (4, 3, 4, 2), {"padding": "same"}),
    ((2, 3, 6, 7), (4, 3, 2, 3), {"padding": "same", "dilation": 3}),
    ((2, 3, 6, 7), (4, 3, 2, 3), {"padding": "valid", "stride": 3}),
    ((2, 1, 5, 5), (1, 1, 2, 2), {"stride": 4}),
    ((0, 3, 6, 6), (4, 3, 3, 3), {"padding": 1}),
    ((3, 16, 40, 40), (24, 16, 3, 3), {"padding": 1}),  # several blocks an image
    ((70, 16, 8, 8), (40, 16, 3, 3), {"padding": 1}),  # several images a block
    ((3, 8, 41, 40), (16, 8, 5, 5), {"padding": 2, "stride": 2}),
    ((1, 3, 96, 90), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@BACKENDS
@KINDS
@pytest.mark.parametrize(("image", "weight", "options"), CONVOLUTIONS)
def test_conv2d_is_that_of_pytorch(
    image: tuple[int, ...], weight: tuple[int, ...], options: dict[str, Any], dtype: str, layout: str, backend: str
) -> None:
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=shape) for shape in (image, weight, weight[:1]))
    with use_backend(backend):
        compare(
            lambda x, w: tt.conv2d(x, w, **options), lambda x, w: F.conv2d(x, w, **options), [laid(x, layout), w], dtype
        )
        compare(
            lambda x, w, b: tt.conv2d(x, w, b, **options),
            lambda x, w, b: F.conv2d(x, w, b, **options),
            [laid(x, layout), w, b],
            dtype,
        )
        assert is_channels_last(tt.conv2d(laid(x, layout), w, b, **options))


@BACKENDS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "weight", "options"),
    [
        ((2, 3, 9), (4, 3, 3), {}),
        ((2, 3, 9), (4, 3, 2), {"stride": 2, "padding": 1}),
        ((2, 4, 9), (6, 2, 3), {"groups": 2, "dilation": 2, "padding": 3}),
        ((2, 3, 9), (4, 3, 5), {"padding": "same"}),
        ((2, 3, 9), (4, 3, 5), {"padding": "valid"}),
    ],
)
def test_conv1d_is_that_of_pytorch(shape: Any, weight: Any, options: dict[str, Any], dtype: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in (shape, weight, weight[:1])]
    with use_backend(backend):
        compare(lambda *a: tt.conv1d(*a, **options), lambda *a: F.conv1d(*a, **options), arrays, dtype)


@BACKENDS
@KINDS
@pytest.mark.parametrize(
    ("image", "weight", "options"),
    [
        ((2, 3, 5, 5), (3, 4, 3, 3), {}),
        ((2, 3, 5, 4), (3, 4, 3, 2), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((2, 3, 5, 4), (3, 4, 3, 3), {"stride": (2, 3), "padding": (0, 2), "output_padding": (1, 2)}),
        ((2, 4, 5, 5), (4, 3, 3, 3), {"groups": 2, "stride": 2}),
        ((2, 4, 5, 5), (4, 3, 2, 3), {"dilation": 2, "padding": 1, "output_padding": 1}),
        ((2, 3, 5, 5), (3, 4, 1, 1), {"stride": 3}),
    ],
)
def test_conv_transpose2d_is_that_of_pytorch(
    image: Any, weight: Any, options: dict[str, Any], dtype: str, layout: str, backend: str
) -> None:
    rng = np.random.default_rng(0)
    out = weight[1] * options.get("groups", 1)
    arrays = [laid(rng.normal(size=image), layout), rng.normal(size=weight), rng.normal(size=out)]
    with use_backend(backend):
        compare(
            lambda *a: tt.conv_transpose2d(*a, **options), lambda *a: F.conv_transpose2d(*a, **options), arrays, dtype
        )
        assert is_channels_last(tt.conv_transpose2d(*map(Tensor, arrays), **options).data)


IMAGES: list[tuple[int, ...]] = [(2, 3, 8, 8), (3, 5, 9, 7), (0, 3, 8, 8), (20, 40, 12, 12)]

POOLS: list[tuple[str, dict[str, Any]]] = [
    ("max_pool2d", {"kernel_size": 2}),
    ("max_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("max_pool2d", {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0)}),
    ("max_pool2d", {"kernel_size": 2, "dilation": 2, "stride": 1, "padding": 1}),
    ("max_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("max_pool2d", {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
    ("max_pool2d", {"kernel_size": 2, "ceil_mode": True}),
    ("avg_pool2d", {"kernel_size": 2}),
    ("avg_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("avg_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ("avg_pool2d", {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0)}),
    ("avg_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("avg_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
    ("avg_pool2d", {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
    ("avg_pool2d", {"kernel_size": 2, "divisor_override": 3}),
]


@BACKENDS
@KINDS
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize(("name", "options"), POOLS)
def test_a_pool_is_that_of_pytorch(
    name: str, options: dict[str, Any], image: Any, dtype: str, layout: str, backend: str
) -> None:
    x = np.random.default_rng(0).normal(size=image)
    x = laid(np.round(2 * x) / 2, layout)  # of equal numbers there are many
    mine, theirs = getattr(tt, name), getattr(F, name)
    with use_backend(backend):
        compare(lambda x: mine(x, **options), lambda x: theirs(x, **options), [x], dtype)
        assert is_channels_last(mine(x, **options))


@BACKENDS
@LAYOUTS
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("size", [1, 2, (3, 2), (4, 7), (9, 11)])
@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
def test_an_adaptive_pool_is_that_of_pytorch(name: str, size: Any, image: Any, layout: str, backend: str) -> None:
    x = laid(np.random.default_rng(0).normal(size=image), layout)
    with use_backend(backend):
        compare(lambda x: getattr(tt, name)(x, size), lambda x: getattr(F, name)(x, size), [x])
        assert is_channels_last(getattr(tt, name)(Tensor(x), size).data)


@BACKENDS
@LAYOUTS
@pytest.mark.parametrize("image", IMAGES[:2])
@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 2},
        {"scale_factor": 1.7},
        {"scale_factor": (2.0, 0.6)},
        {"size": 5},
        {"size": (13, 20)},
        {"mode": "bilinear", "scale_factor": 2},
        {"mode": "bilinear", "scale_factor": (1.3, 0.6)},
        {"mode": "bilinear", "size": (13, 5)},
        {"mode": "bilinear", "size": (1, 20), "align_corners": True},
        {"mode": "bilinear", "scale_factor": 2, "align_corners": True},
    ],
)
def test_upsample_is_that_of_pytorch(options: dict[str, Any], image: Any, layout: str, backend: str) -> None:
    x = laid(np.random.default_rng(0).normal(size=image), layout)
    with use_backend(backend):
        compare(lambda x: tt.upsample(x, **options), lambda x: F.interpolate(x, **options), [x])
        assert is_channels_last(tt.upsample(Tensor(x), **options).data)


LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Conv1d", (3, 4, 3), {"padding": 1, "stride": 2}, (2, 3, 9)),
    ("Conv2d", (3, 4, 3), {}, (2, 3, 8, 8)),
    ("Conv2d", (4, 6, (3, 2), 2, 1), {"groups": 2, "bias": False}, (2, 4, 8, 8)),
    ("Conv2d", (3, 4, 3), {"padding": "same", "dilation": 2}, (2, 3, 8, 8)),
    ("ConvTranspose2d", (3, 4, 3, 2, 1, 1), {}, (2, 3, 8, 8)),
    ("ConvTranspose2d", (4, 6, 3), {"groups": 2, "bias": False, "dilation": 2}, (2, 4, 8, 8)),
    ("MaxPool2d", (2,), {}, (2, 3, 8, 8)),
    ("MaxPool2d", (3, 2, 1), {"ceil_mode": True}, (2, 3, 8, 8)),
    ("AvgPool2d", (3, 2, 1), {"count_include_pad": False}, (2, 3, 8, 8)),
    ("AdaptiveAvgPool2d", (3,), {}, (2, 3, 8, 8)),
    ("AdaptiveMaxPool2d", ((2, 3),), {}, (2, 3, 8, 8)),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear"}, (2, 3, 8, 8)),
]


@BACKENDS
@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS)
def test_a_layer_with_pytorchs_weights_is_that_of_pytorch(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...], backend: str
) -> None:
    torch.manual_seed(1)
    layer, reference = getattr(tt, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    layer.load_state_dict({key: value.numpy() for key, value in reference.state_dict().items()})
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with use_backend(backend):
        ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        out, expected = layer(ours), reference(theirs)
        close(out.data, expected, 1e-5)
        g = np.random.default_rng(9).normal(size=out.shape).astype(np.float32)
        got = grad(out, [ours, *layer.parameters()], [Tensor(g)])
        right = torch.autograd.grad(expected, [theirs, *reference.parameters()], torch.tensor(g))
        for a, b in zip(got, right, strict=True):
            close(a.data, b, 1e-4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("name", "arguments"), [("Conv2d", (40, 60, 3)), ("Conv1d", (40, 60, 5)), ("ConvTranspose2d", (40, 60, 3))]
)
def test_a_convolution_starts_in_the_range_where_pytorchs_does(name: str, arguments: Any, bias: bool) -> None:
    torch.manual_seed(0)
    ours = getattr(tt, name)(*arguments, bias=bias, rng=np.random.default_rng(0))
    theirs = getattr(torch.nn, name)(*arguments, bias=bias)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.shape == tuple(q.shape)
        assert abs(np.abs(p.data).max() / q.abs().max().item() - 1) < 0.1
        assert abs(p.data.std() / q.std().item() - 1) < 0.3
