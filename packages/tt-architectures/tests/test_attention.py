"""Attention: what it computes, whom it lets see what, and that all ways of computing it agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_architectures import attention_kernels
from tt_architectures.attention import (
    MultiHeadAttention,
    attention_maps,
    attention_weights,
    causal_mask,
    merge_heads,
    padding_mask,
    scaled_dot_product_attention,
    self_attention,
    split_heads,
)
from tt_architectures.embeddings import Rotary
from tt_foundation import Array, Tensor, check_gradients, check_kernel, grad, no_grad, use_backend

Shape = tuple[int, ...]


def draw(*shapes: Shape, dtype: Any = np.float32) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def a_mask(*shape: int) -> Array:
    """A random mask whose first query sees nothing."""
    mask = np.random.default_rng(1).random(shape) < 0.6
    mask[..., 0, :] = False
    return mask


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_attention_is_its_formula(backend: str) -> None:
    q, k, v = draw((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6))
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(4)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    with use_backend(backend):
        out = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v))
    np.testing.assert_allclose(out.data, weights @ v, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_true_takes_part_and_a_query_that_sees_nothing_takes_nothing(backend: str) -> None:
    q, k, v = draw((1, 1, 3, 4), (1, 1, 3, 4), (1, 1, 3, 4))
    mask = np.array([[True, False, False], [False, False, False], [True, False, True]])
    with use_backend(backend):
        out = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), mask).data[0, 0]
    np.testing.assert_allclose(out[0], v[0, 0, 0], rtol=1e-6)
    assert not out[1].any()
    without = scaled_dot_product_attention(Tensor(q[:, :, 2:]), Tensor(k[:, :, ::2]), Tensor(v[:, :, ::2]))
    np.testing.assert_allclose(out[2:], without.data[0, 0], rtol=1e-5)


KERNEL_ROWS: list[tuple[list[Shape], Shape | None, Shape | None, dict[str, Any]]] = [
    # query, key, value                                       mask            keep             options
    ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)], None, None, {}),
    ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)], None, None, {"is_causal": True, "scale": 0.3}),
    ([(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)], (5, 7), (2, 3, 5, 7), {"dropout_p": 0.25}),
    ([(2, 3, 6, 4), (2, 3, 6, 4), (2, 3, 6, 4)], (2, 1, 6, 6), None, {"is_causal": True}),
    ([(2, 2, 3, 5, 4), (2, 2, 1, 7, 4), (2, 2, 1, 7, 4)], None, None, {"is_causal": True}),
    ([(2, 2, 3, 5, 4), (2, 2, 1, 7, 4), (2, 2, 1, 7, 4)], (2, 1, 1, 5, 7), None, {}),
    ([(3, 150, 4), (3, 150, 4), (3, 150, 4)], None, None, {"is_causal": True}),
    ([(2, 3, 1, 4), (2, 3, 9, 4), (2, 3, 9, 4)], None, None, {"is_causal": True}),
    ([(2, 3, 200, 8), (2, 3, 200, 8), (2, 3, 200, 8)], (200, 200), (2, 3, 200, 200), {"dropout_p": 0.5}),
    ([(2, 3, 200, 8), (2, 3, 230, 8), (2, 3, 230, 8)], None, None, {"is_causal": True}),
    ([(1, 2, 300, 8), (1, 2, 2100, 8), (1, 2, 2100, 8)], None, None, {"is_causal": True}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", range(len(KERNEL_ROWS)))
def test_tiles_give_what_the_body_gives(row: int, dtype: Any) -> None:
    shapes, mask_shape, keep_shape, options = KERNEL_ROWS[row]
    mask = None if mask_shape is None else a_mask(*mask_shape)
    keep = None if keep_shape is None else np.random.default_rng(2).random(keep_shape) >= options["dropout_p"]
    check_kernel(scaled_dot_product_attention, "numpy", *draw(*shapes, dtype=dtype), mask, None, keep, **options)


@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"mask": a_mask(90, 90)}], ids=["plain", "causal", "mask"]
)
def test_scores_far_apart_are_a_sure_choice(options: dict[str, Any]) -> None:
    q, k, v = draw((2, 3, 90, 8), (2, 3, 90, 8), (2, 3, 90, 8), dtype=np.float64)
    options = dict(options)
    mask = options.pop("mask", None)
    check_kernel(scaled_dot_product_attention, "numpy", q * 30, k * 30, v, mask, **options)


def test_small_tiles_give_what_the_body_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_kernels, "_TILE", 40)
    for shapes, mask_shape, _, options in KERNEL_ROWS[:8]:
        if "dropout_p" not in options:
            mask = None if mask_shape is None else a_mask(*mask_shape)
            check_kernel(scaled_dot_product_attention, "numpy", *draw(*shapes), mask, **options)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize(
    "options",
    [{}, {"is_causal": True}, {"mask": a_mask(5, 7)}, {"keep": np.tri(5, 7, 1, dtype=bool), "dropout_p": 0.3}],
    ids=["plain", "causal", "mask", "dropout"],
)
def test_first_and_second_derivatives_are_right(options: dict[str, Any], backend: str) -> None:
    options = dict(options)
    mask, keep = options.pop("mask", None), options.pop("keep", None)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, mask, None, keep, **options)

    with use_backend(backend):
        check_gradients(attend, *draw((2, 1, 5, 4), (2, 1, 7, 4), (2, 1, 7, 3)))


def test_a_bias_is_added_to_the_scores_and_learns() -> None:
    q, k, v, bias = draw((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5), (3, 4, 4))
    mask = np.where(causal_mask(4, 4), 0, -np.inf).astype(np.float32)
    biased = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), None, mask)
    causal = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), is_causal=True)
    np.testing.assert_allclose(biased.data, causal.data, rtol=1e-5, atol=1e-6)
    check_gradients(lambda b: scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), None, b), bias, order=1)


def test_masks_say_who_is_seen() -> None:
    assert causal_mask(2, 3).tolist() == [[True, True, False], [True, True, True]]
    assert padding_mask(np.array([1, 3]), 3)[:, 0, 0].tolist() == [[True, False, False], [True, True, True]]


def test_heads_are_split_and_merged() -> None:
    (x,) = draw((2, 3, 8))
    heads = split_heads(Tensor(x), num_heads=4)
    assert heads.shape == (2, 4, 3, 2)
    assert np.array_equal(heads.data[1, 2], x[1, :, 4:6])
    assert np.array_equal(merge_heads(heads).data, x)
    check_gradients(lambda t: split_heads(t, num_heads=2) * split_heads(t, num_heads=2), x)
    check_gradients(lambda t: merge_heads(t) * merge_heads(t), heads.data)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
def test_a_token_never_sees_a_later_one(num_kv_heads: int, backend: str) -> None:
    layer = MultiHeadAttention(16, 4, num_kv_heads=num_kv_heads, rng=np.random.default_rng(0))
    (data,) = draw((2, 9, 16))
    x = Tensor(data, requires_grad=True)
    with use_backend(backend):
        out = layer(x, is_causal=True)
        (slope,) = grad((out[:, 4] * out[:, 4]).sum(), [x])
    assert slope.data[:, :5].any(axis=-1).all()
    assert not slope.data[:, 5:].any()


def test_heads_that_share_keys_compute_what_repeated_keys_compute() -> None:
    grouped = MultiHeadAttention(12, 6, num_kv_heads=2, rng=np.random.default_rng(0))
    whole = MultiHeadAttention(12, 6, rng=np.random.default_rng(1))
    state = grouped.state_dict()
    for name in ("in_proj.weight", "in_proj.bias"):
        q, k, v = np.split(state[name].reshape(10, 2, -1), [6, 8])
        every = np.concatenate([q, np.repeat(k, 3, axis=0), np.repeat(v, 3, axis=0)])
        state[name] = every.reshape(whole.state_dict()[name].shape)
    whole.load_state_dict(state)
    x = Tensor(draw((2, 5, 12))[0])
    for mask in (None, a_mask(2, 1, 5, 5), a_mask(2, 6, 5, 5), a_mask(5, 5)):
        np.testing.assert_allclose(grouped(x, mask=mask).data, whole(x, mask=mask).data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("seq", [5, 150])
def test_attention_of_packed_projections_is_that_of_its_parts(groups: int, is_causal: bool, seq: int) -> None:
    (packed,) = draw((2, seq, (4 + 2 * groups) * 3))
    options: dict[str, Any] = {"num_heads": 4, "num_kv_heads": groups, "is_causal": is_causal}
    check_kernel(self_attention, "numpy", packed, **options)
    mask, keep = a_mask(2, 1, seq, seq), np.random.default_rng(2).random((2, 4, seq, seq)) >= 0.3
    check_kernel(self_attention, "numpy", packed, mask, keep, dropout_p=0.3, **options)
    heads = packed.reshape(2, seq, -1, 3).swapaxes(1, 2)
    k, v = (np.repeat(part, 4 // groups, axis=1) for part in (heads[:, 4 : 4 + groups], heads[:, 4 + groups :]))
    expected = merge_heads(scaled_dot_product_attention(heads[:, :4], k, v, is_causal=is_causal))
    np.testing.assert_allclose(self_attention(packed, **options), expected, rtol=1e-5, atol=1e-5)


def test_first_and_second_derivatives_of_packed_attention_are_right() -> None:
    def attend(packed: Tensor) -> Tensor:
        return self_attention(packed, num_heads=2, num_kv_heads=1, is_causal=True)

    for backend in ("reference", "numpy"):
        with use_backend(backend):
            check_gradients(attend, *draw((2, 4, 12)))


def test_the_newest_token_alone_sees_what_it_sees_in_the_whole() -> None:
    q, k, v = draw((2, 4, 9, 8), (2, 4, 9, 8), (2, 4, 9, 8))
    whole = scaled_dot_product_attention(Tensor(q), Tensor(k), Tensor(v), is_causal=True).data
    with no_grad():
        last = scaled_dot_product_attention(Tensor(q[:, :, -1:]), Tensor(k), Tensor(v)).data
    np.testing.assert_allclose(last, whole[:, :, -1:], rtol=1e-5, atol=1e-6)


class Kept:
    """A cache as plain as can be."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.kept: dict[int, list[Array]] = {}

    def update(self, layer: int, k: Tensor, v: Tensor, positions: Array) -> tuple[Tensor, Tensor, Array]:
        shape = (*k.shape[:2], self.capacity, k.shape[3])
        kept = self.kept.setdefault(layer, [np.full(shape, np.nan, np.float32) for _ in range(2)])
        rows = np.arange(len(positions))[:, None]
        for memory, new in zip(kept, (k, v), strict=True):
            memory[rows, :, positions] = new.data.swapaxes(1, 2)
        lengths = positions[:, -1] + 1
        longest = int(lengths.max())
        return Tensor(np.nan_to_num(kept[0][:, :, :longest])), Tensor(np.nan_to_num(kept[1][:, :, :longest])), lengths


@pytest.mark.parametrize("rotation", [None, Rotary(4)], ids=["plain", "rotary"])
@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
def test_a_cache_gives_what_the_whole_sequence_gives_for_rows_of_different_lengths(
    num_kv_heads: int, rotation: Rotary | None
) -> None:
    layer = MultiHeadAttention(16, 4, num_kv_heads=num_kv_heads, rotation=rotation, rng=np.random.default_rng(0))
    (x,) = draw((2, 8, 16))
    whole = layer(Tensor(x), is_causal=True).data
    cache = Kept(10)
    lengths = np.array([3, 5])
    prompt = np.arange(5)[None].repeat(2, axis=0)  # the first row is padded with two tokens that must not count
    with no_grad():
        first = layer(Tensor(x[:, :5]), cache=cache, positions=prompt).data
        np.testing.assert_allclose(first[0, :3], whole[0, :3], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(first[1], whole[1, :5], rtol=1e-5, atol=1e-6)
        for step in range(3):
            positions = (lengths + step)[:, None]
            out = layer(Tensor(x[np.arange(2)[:, None], positions]), cache=cache, positions=positions).data
            np.testing.assert_allclose(out[0, 0], whole[0, 3 + step], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(out[1, 0], whole[1, 5 + step], rtol=1e-5, atol=1e-6)


def test_dropout_drops_weights_while_training_only() -> None:
    layer = MultiHeadAttention(8, 2, dropout=0.5, rng=np.random.default_rng(3))
    x = Tensor(draw((1, 6, 8))[0])
    assert not np.array_equal(layer(x).data, layer(x).data)
    layer.eval()
    assert np.array_equal(layer(x).data, layer(x).data)


def test_the_maps_are_the_weights_of_every_attention() -> None:
    layer = MultiHeadAttention(8, 4, num_kv_heads=2, rng=np.random.default_rng(0))
    x, memory = (Tensor(a) for a in draw((2, 5, 8), (2, 7, 8)))
    (own,) = attention_maps(layer, x, is_causal=True)
    (other,) = attention_maps(layer, x, memory)
    assert own.shape == (2, 4, 5, 5)
    assert other.shape == (2, 4, 5, 7)
    np.testing.assert_allclose(own.sum(-1), 1, rtol=1e-5)
    assert not np.triu(own[0, 0], 1).any()


def small(**options: Any) -> MultiHeadAttention:
    return MultiHeadAttention(8, 2, rng=np.random.default_rng(0), **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda q, k: scaled_dot_product_attention(q, k, k), ValueError, r"query.shape\[-1\] == key.shape\[-1\]"),
        (lambda q, k: scaled_dot_product_attention(q, q, k), ValueError, r"key.shape\[-2\] == value.shape\[-2\]"),
        (
            lambda q, k: scaled_dot_product_attention(q, q, q, np.ones((3, 3), np.float32)),
            TypeError,
            "mask is boolean, True takes part; got float32",
        ),
        (lambda q, k: attention_weights(q, k), ValueError, r"got \(1, 1, 3, 8\) and \(1, 1, 4, 5\)"),
        (lambda q, k: MultiHeadAttention(10, 4), ValueError, "embed_dim % num_heads == 0, got 10 and 4"),
        (lambda q, k: small(num_kv_heads=3), ValueError, "num_heads % num_kv_heads == 0, got 2 and 3"),
        (lambda q, k: small(dropout=1.0), ValueError, "0 <= dropout < 1, got 1.0"),
        (lambda q, k: small()(q[0], cache=Kept(4)), ValueError, "a cache needs positions"),
        (
            lambda q, k: small()(q[0], cache=Kept(4), positions=np.arange(3)[None]),
            RuntimeError,
            "a cache keeps no gradients",
        ),
    ],
)
def test_wrong_calls_say_what_is_wrong(call: Callable[..., object], error: type[Exception], message: str) -> None:
    q, k = draw((1, 1, 3, 8), (1, 1, 4, 5))
    for backend in ("reference", "numpy"):
        with use_backend(backend), pytest.raises(error, match=message):
            call(Tensor(q), Tensor(k))
