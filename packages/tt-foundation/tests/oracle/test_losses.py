"""Every loss against PyTorch: values and gradients over a table of arguments, shapes and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tt_foundation import losses
from tt_foundation.autograd import grad
from tt_foundation.tensor import Tensor

RTOL = {"float32": 2e-5, "float64": 1e-11}
ATOL = {"float32": 2e-6, "float64": 1e-12}

SHAPES: list[tuple[int, ...]] = [(), (5,), (3, 4), (2, 3, 4), (0, 3)]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.normal(size=shape)


def probability(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.uniform(0.01, 0.99, shape)


ELEMENTWISE = [
    # ours                               PyTorch's     input        target                  options
    ("mse_loss", F.mse_loss, normal, normal, {}),
    ("l1_loss", F.l1_loss, normal, normal, {}),
    ("huber_loss", F.huber_loss, normal, normal, {}),
    ("huber_loss", F.huber_loss, normal, normal, {"delta": 0.3}),
    ("binary_cross_entropy", F.binary_cross_entropy, probability, probability, {}),
    ("binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits, normal, probability, {}),
    ("kl_div", F.kl_div, normal, probability, {}),
    ("kl_div", F.kl_div, normal, normal, {"log_target": True}),
]

CLASSES: list[dict[str, Any]] = [
    {},
    {"ignore_index": 1},
    {"label_smoothing": 0.1},
    {"weight": True},
    {"weight": True, "ignore_index": 2},
    {"weight": True, "ignore_index": 2, "label_smoothing": 0.3},
]


def compare(
    mine: Callable[..., Tensor],
    theirs: Callable[..., torch.Tensor],
    arrays: list[Any],
    options: dict[str, Any],
    tensor_options: dict[str, Any] | None = None,
) -> None:
    """Values, and the gradients with respect to every floating-point argument of a random inner product."""
    dtype = str(arrays[0].dtype)
    ours = [Tensor(a.copy(), requires_grad=a.dtype.kind == "f") for a in arrays]
    reference = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    weights = tensor_options or {}
    out = mine(*ours, **options, **{k: Tensor(a) for k, a in weights.items()})
    expected = theirs(*reference, **options, **{k: torch.tensor(a) for k, a in weights.items()})
    assert str(out.dtype) == dtype
    tolerance: dict[str, Any] = {"rtol": RTOL[dtype], "atol": ATOL[dtype]}
    np.testing.assert_allclose(out.data, expected.detach().numpy(), **tolerance)
    g = np.asarray(np.random.default_rng(9).normal(size=out.shape), dtype)
    wanted = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    got = grad(out, [ours[i] for i in wanted], [Tensor(g)])
    right = torch.autograd.grad(expected, [reference[i] for i in wanted], torch.tensor(g))
    for a, b in zip(got, right, strict=True):
        np.testing.assert_allclose(a.data, b.numpy(), **tolerance)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "theirs", "make", "make_target", "options"), ELEMENTWISE)
def test_an_elementwise_loss_is_that_of_pytorch(
    name: str, theirs: Any, make: Any, make_target: Any, options: dict[str, Any], shape: Any, reduction: str, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    arrays = [np.asarray(make(rng, shape), dtype), np.asarray(make_target(rng, shape), dtype)]
    compare(getattr(losses, name), theirs, arrays, {**options, "reduction": reduction})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2), (2, 4, 3, 2), (0, 4), (4,)])
@pytest.mark.parametrize("options", CLASSES)
@pytest.mark.parametrize("target", ["ids", "probabilities"])
def test_cross_entropy_is_that_of_pytorch(
    target: str, options: dict[str, Any], shape: tuple[int, ...], reduction: str, dtype: str
) -> None:
    if target == "probabilities":
        options = {k: v for k, v in options.items() if k != "ignore_index"}
    rng = np.random.default_rng(0)
    logits = np.asarray(rng.normal(size=shape), dtype)
    ids = np.asarray(rng.integers(0, 4, (*shape[: -len(shape) + (len(shape) > 1)], *shape[2:])))
    if target == "probabilities":
        wanted = np.asarray(rng.dirichlet(np.ones(4), ids.shape), dtype)
        wanted = np.moveaxis(wanted, -1, 1 if len(shape) > 1 else 0).copy()
    else:
        wanted = ids
    options = {**options, "reduction": reduction}
    weight = {"weight": np.asarray(rng.uniform(0.5, 2, 4), dtype)} if options.pop("weight", False) else {}
    compare(losses.cross_entropy, F.cross_entropy, [logits, wanted], options, weight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2), (2, 4, 3, 2), (0, 4)])
@pytest.mark.parametrize("options", [o for o in CLASSES if "label_smoothing" not in o])
def test_nll_loss_is_that_of_pytorch(
    options: dict[str, Any], shape: tuple[int, ...], reduction: str, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    log_p = np.asarray(rng.normal(size=shape), dtype)
    ids = rng.integers(0, 4, (shape[0], *shape[2:]))
    options = {**options, "reduction": reduction}
    weight = {"weight": np.asarray(rng.uniform(0.5, 2, 4), dtype)} if options.pop("weight", False) else {}
    compare(losses.nll_loss, F.nll_loss, [log_p, ids], options, weight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_weighted_binary_cross_entropy_with_logits_is_that_of_pytorch(scale: float, dtype: str) -> None:
    rng = np.random.default_rng(0)
    arrays = [np.asarray(rng.normal(size=(3, 4)) * scale, dtype), np.asarray(rng.uniform(size=(3, 4)), dtype)]
    shapes: dict[str, tuple[int, ...]] = {"weight": (3, 4), "pos_weight": (4,)}
    weights = {name: np.asarray(rng.uniform(size=shape), dtype) for name, shape in shapes.items()}
    compare(losses.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, arrays, {}, weights)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_scores_far_apart_is_that_of_pytorch(dtype: str) -> None:
    logits = np.asarray(np.random.default_rng(0).normal(size=(6, 5)) * 1e4, dtype)
    compare(losses.cross_entropy, F.cross_entropy, [logits, np.array([0, 1, 2, 3, 4, 0])], {"reduction": "sum"})


def test_batchmean_is_that_of_pytorch() -> None:
    rng = np.random.default_rng(0)
    compare(losses.kl_div, F.kl_div, [normal(rng, (3, 4)), probability(rng, (3, 4))], {"reduction": "batchmean"})


@pytest.mark.parametrize("margin", [1.0, 0.5])
def test_hinge_loss_is_pytorchs_margin_ranking_loss_against_zero(margin: float) -> None:
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(3, 4)), rng.choice([-1.0, 1.0], (3, 4))
    out = losses.hinge_loss(Tensor(x), Tensor(target), margin=margin)
    expected = F.margin_ranking_loss(torch.tensor(x), torch.zeros(3, 4), torch.tensor(target), margin=margin)
    np.testing.assert_allclose(out.data, expected.numpy())
