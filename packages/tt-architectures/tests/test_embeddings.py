"""Embeddings: what a token and its place become, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_architectures.embeddings import (
    ALiBi,
    Embedding,
    LearnedPositions,
    Rotary,
    SinusoidalPositions,
    alibi_bias,
    alibi_slopes,
    apply_rotary,
    embedding,
    rotary_angles,
    sinusoidal,
)
from tt_foundation import RowsGradient, Tensor, check_gradients, grad, manual_seed


def normal(*shape: int, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0, 3)])
def test_embedding_gives_the_rows_named_and_their_gradients_add_up(shape: tuple[int, ...]) -> None:
    at = np.random.default_rng(0).integers(0, 5, shape)
    table = Tensor(normal(5, 3), requires_grad=True)
    out = embedding(at, table)
    assert np.array_equal(out.data, table.data[at])
    g = normal(*shape, 3)
    out.backward(g)
    expected = np.zeros((5, 3))
    np.add.at(expected, at, g)
    assert table.grad is not None
    np.testing.assert_allclose(table.grad.data, expected, rtol=1e-12)


@pytest.mark.parametrize("padding_idx", [None, 1])
def test_embedding_passes_gradient_checks_of_both_orders(padding_idx: int | None) -> None:
    at = np.array([[0, 1, 1], [3, 1, 0]])
    if padding_idx is None:
        check_gradients(lambda w: embedding(at, w * w), normal(4, 3))
    table = Tensor(normal(4, 3), requires_grad=True)
    (first,) = grad((embedding(at, table, padding_idx=padding_idx) ** 3).sum(), [table], create_graph=True)
    (second,) = grad(first.sum(), [table])
    counts = np.bincount(at.ravel(), minlength=4)[:, None]
    if padding_idx is not None:
        counts[padding_idx] = 0
    np.testing.assert_allclose(first.data, counts * 3 * table.data**2)
    np.testing.assert_allclose(second.data, counts * 6 * table.data)


def test_embedding_layer_starts_normal_with_padding_at_zero_and_repeats_with_its_generator() -> None:
    layer = Embedding(1000, 8, padding_idx=-1, rng=np.random.default_rng(3))
    assert layer.padding_idx == 999
    assert not layer.weight.data[999].any()
    assert abs(float(layer.weight.data.std()) - 1) < 0.05
    assert layer.weight.dtype == np.float32
    assert np.array_equal(layer.weight.data, Embedding(1000, 8, 999, rng=np.random.default_rng(3)).weight.data)
    manual_seed(7)
    first = Embedding(3, 2)
    manual_seed(7)
    assert np.array_equal(first.weight.data, Embedding(3, 2).weight.data)
    assert repr(layer) == "Embedding(1000, 8, padding_idx=999)"
    assert repr(first) == "Embedding(3, 2)"


def test_embedding_from_a_table_is_a_copy_of_it() -> None:
    table = normal(4, 3)
    layer = Embedding.from_pretrained(table, 0)
    assert layer.weight.dtype == np.float64
    table[:] = 0
    assert layer.weight.data.all()
    assert layer.padding_idx == 0


def test_the_padding_row_gets_no_gradient() -> None:
    layer = Embedding(4, 2, padding_idx=0)
    layer(Tensor(np.array([[0, 1], [0, 0]]))).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]


def test_the_gradient_of_a_table_that_is_a_leaf_is_rows_and_of_another_the_whole() -> None:
    layer = Embedding(1000, 4)
    layer(Tensor(np.array([[7, 5, 7]]))).sum().backward()
    kept = layer.weight.grad
    assert isinstance(kept, RowsGradient)
    assert kept.rows is not None
    assert list(kept.rows.index) == [5, 7]
    assert kept.rows.values.tolist() == [[1] * 4, [2] * 4]
    table = Tensor(normal(4, 2), requires_grad=True)
    layer = Embedding(4, 2)
    layer.weight = table * 2  # type: ignore[assignment]
    layer(Tensor(np.array([1, 1]))).sum().backward()
    assert table.grad is not None
    assert table.grad.tolist() == [[0, 0], [4, 4], [0, 0], [0, 0]]


@pytest.mark.parametrize("index", [[3, 1, 3], [0], []])
def test_rows_and_the_whole_are_the_same_gradient(index: list[int]) -> None:
    g = normal(len(index), 2)
    found = []
    for is_sparse in (False, True):
        table = Tensor(normal(4, 2), requires_grad=True)
        embedding(np.array(index, np.uint8), table, padding_idx=1, is_sparse=is_sparse).backward(g)
        assert table.grad is not None
        found.append(table.grad.data)
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_sinusoidal_positions_are_sines_and_cosines_of_falling_frequency() -> None:
    table = sinusoidal(np.array([0, 1, 50]), 6)
    assert table.dtype == np.float32
    for row, p in zip(table, (0, 1, 50), strict=True):
        angles = [p / 10_000 ** (2 * i / 6) for i in range(3)]
        expected = [f(a) for a in angles for f in (np.sin, np.cos)]
        np.testing.assert_allclose(row, expected, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: SinusoidalPositions(6), lambda: LearnedPositions(20, 6)])
def test_positions_are_added_from_zero_from_a_cache_or_for_each_sequence(make: Callable[[], Any]) -> None:
    layer = make()
    x = Tensor(normal(2, 5, 6, dtype=np.float32))
    whole = layer(x)
    assert whole.dtype == np.float32
    later = layer(x[:, 3:], np.array([3, 4]))
    assert np.array_equal(later.data, whole.data[:, 3:])
    each = layer(x[:, 3:], np.array([[3, 4], [0, 1]]))
    assert np.array_equal(each.data[0], whole.data[0, 3:])
    np.testing.assert_allclose(each.data[1], x.data[1, 3:] + (whole.data - x.data)[1, :2], atol=1e-6)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_turns_pairs_by_their_angle(interleaved: bool) -> None:
    x = normal(3, 6)
    cos, sin = rotary_angles(np.arange(3), 4)
    out = apply_rotary(x, cos, sin, interleaved=interleaved)
    pairs = [(0, 1), (2, 3)] if interleaved else [(0, 2), (1, 3)]
    for p in range(3):
        for i, (a, b) in enumerate(pairs):
            turn = np.exp(1j * p * 10_000 ** (-2 * i / 4))
            expected = complex(x[p, a], x[p, b]) * turn
            np.testing.assert_allclose([out[p, a], out[p, b]], [expected.real, expected.imag], rtol=1e-6)
    assert np.array_equal(out[:, 4:], x[:, 4:])


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_keeps_lengths_and_passes_gradient_checks(interleaved: bool) -> None:
    cos, sin = rotary_angles(np.arange(5), 4)
    x = normal(2, 5, 6)
    out = apply_rotary(x, cos, sin, interleaved=interleaved)
    np.testing.assert_allclose(np.linalg.norm(out, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-6)
    check_gradients(lambda t: apply_rotary(t, cos.astype(float), sin.astype(float), interleaved=interleaved), x)
    assert apply_rotary(x.astype(np.float32), cos, sin).dtype == np.float32


def test_rotary_scores_depend_on_the_distance_only() -> None:
    layer = Rotary(8)
    q, k = (Tensor(normal(1, 8)) for _ in range(2))

    def score(i: int, j: int) -> float:
        return float((layer(q, np.array([i])) * layer(k, np.array([j]))).sum())

    assert score(5, 2) == pytest.approx(score(105, 102), abs=1e-5)
    assert score(5, 2) != pytest.approx(score(5, 3), abs=1e-3)


def test_rotary_takes_positions_of_a_cache_and_of_each_sequence() -> None:
    layer = Rotary(4)
    x = Tensor(normal(2, 3, 5, 6))  # (batch, heads, seq, head_dim)
    whole = layer(x)
    assert np.array_equal(layer(x[:, :, 3:], np.array([3, 4])).data, whole.data[:, :, 3:])
    each = layer(x, np.stack([np.arange(5), np.arange(7, 12)]))
    assert np.array_equal(each.data[0], whole.data[0])
    assert np.array_equal(each.data[1], layer(x[1], np.arange(7, 12)).data)
    assert np.array_equal(layer(x[:, :, :0]).data, x.data[:, :, :0])
    assert [*layer.named_parameters()] == []


def test_alibi_slopes_are_those_of_the_paper() -> None:
    np.testing.assert_allclose(alibi_slopes(8), [2.0**-h for h in range(1, 9)])
    np.testing.assert_allclose(alibi_slopes(1), [2.0**-8])
    np.testing.assert_allclose(alibi_slopes(3), [2.0**-4, 2.0**-8, 2.0**-2])


def test_alibi_takes_away_in_proportion_to_the_distance() -> None:
    bias = alibi_bias(2, np.arange(3))
    assert bias.shape == (2, 3, 3)
    np.testing.assert_allclose(bias[0, 2], [-2 / 16, -1 / 16, 0])
    layer = ALiBi(2)
    whole = layer(Tensor(np.zeros((1, 2, 3, 3), np.float32)))
    last = layer(Tensor(np.zeros((1, 2, 1, 3), np.float32)))
    assert whole.dtype == np.float32
    assert np.array_equal(last.data, whole.data[:, :, 2:])
    each = layer(Tensor(np.zeros((2, 2, 1, 3))), np.array([[2], [0]]))
    assert np.array_equal(each.data[0, :, 0], whole.data[0, :, 2])
    assert np.array_equal(each.data[1, :, 0], whole.data[0, :, 0])


X = Tensor(np.zeros((2, 3, 6), np.float32))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Embedding(0, 3), ValueError, "sizes of at least 1, got 0 x 3"),
        (lambda: Embedding(4, 3, padding_idx=4), ValueError, "of 4 rows has no row 4 for padding"),
        (lambda: Embedding.from_pretrained(np.zeros(3)), ValueError, r"two axes, got shape \(3,\)"),
        (lambda: Embedding(4, 3)(Tensor([0.5])), TypeError, "integers, got float32"),
        (lambda: Embedding(4, 3)(Tensor([1, 4])), IndexError, "0 <= index < 4, got 1 to 4"),
        (lambda: Embedding(4, 3)(Tensor([-1, 2])), IndexError, "got -1 to 2"),
        (lambda: SinusoidalPositions(5), ValueError, "even size of at least 2, got 5"),
        (lambda: SinusoidalPositions(4)(X), ValueError, r"SinusoidalPositions\(.*x of shape \(..., seq, 4\), got"),
        (lambda: SinusoidalPositions(6)(X, np.arange(4)), ValueError, r"seq == 3, got \(4,\)"),
        (lambda: SinusoidalPositions(6)(X, np.zeros(3)), TypeError, "positions are integers, got float64"),
        (lambda: LearnedPositions(2, 6)(X), IndexError, "places 0 to 1, got position 2"),
        (lambda: LearnedPositions(5, 5)(X), ValueError, r"x of shape \(..., seq, 5\), got \(2, 3, 6\)"),
        (lambda: Rotary(3), ValueError, "even size of at least 2, got 3"),
        (lambda: Rotary(8)(X), ValueError, r"at least 8\), got \(2, 3, 6\)"),
        (lambda: Rotary(4)(X, np.array([-1, 0, 1])), ValueError, "count from 0, got -1"),
        (lambda: apply_rotary(X, *rotary_angles(np.arange(3), 8)), ValueError, r"turns 8 features, got x of shape"),
        (lambda: ALiBi(0), ValueError, "at least one head, got 0"),
        (lambda: ALiBi(3)(X), ValueError, r"scores of shape \(..., 3, q, k\), got \(2, 3, 6\)"),
        (lambda: ALiBi(2)(Tensor(np.zeros((2, 3, 1)))), ValueError, "more queries than keys, got 3 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
