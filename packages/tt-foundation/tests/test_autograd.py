"""The engine: what it computes, what it keeps, when it refuses."""

import gc
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from tt_foundation import activations
from tt_foundation.autograd import backward, checkpoint, enable_grad, grad, no_grad, register_hook
from tt_foundation.random import default_rng, manual_seed
from tt_foundation.tensor import Tensor, exp, log, matmul, maximum, multiply, sum, swapaxes


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def test_backward_adds_to_grad_and_grad_is_owned_by_its_leaf() -> None:
    x, y = leaf(3), leaf(3, seed=1)
    (x + y).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert not np.shares_memory(x.grad.data, y.grad.data)
    assert x.grad.data.flags.writeable
    assert x.grad.data.flags.c_contiguous
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]
    assert y.grad.tolist() == [1.0, 1.0, 1.0]


def test_a_gradient_given_by_the_caller_is_not_adopted() -> None:
    x, g = leaf(3), np.ones(3)
    (x + 0).backward(g)
    assert x.grad is not None
    assert not np.shares_memory(x.grad.data, g)
    x.grad = None
    x.backward(g)
    assert not np.shares_memory(x.grad.data, g)  # type: ignore[attr-defined]


def test_broadcasting_and_dtypes_are_undone() -> None:
    x, y = leaf(4, 1), Tensor(np.ones(3, np.float32), requires_grad=True)
    (x * y).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.shape, x.grad.dtype) == ((4, 1), np.float64)
    assert (y.grad.shape, y.grad.dtype) == ((3,), np.float32)


def test_backward_of_several_elements_needs_a_gradient() -> None:
    with pytest.raises(ValueError, match="backward needs a gradient for an output of shape \\(3,\\)"):
        backward(leaf(3) * 2)
    with pytest.raises(ValueError, match="gradient of shape \\(3,\\), got \\(2,\\)"):
        backward(leaf(3) * 2, np.ones(2))
    with pytest.raises(RuntimeError, match="requires grad"):
        backward(Tensor([1.0]))


def test_a_tape_walked_twice_needs_retain_graph() -> None:
    y = (leaf(3) * 2).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="the tape of sum was freed"):
        y.backward()


def test_no_grad_and_enable_grad_nest_and_decorate() -> None:
    x = leaf(2)

    @no_grad()
    def f() -> tuple[bool, bool, bool]:
        outside = (x * 2).requires_grad
        with enable_grad():
            inside = (x * 2).requires_grad
        return outside, inside, (x * 2).requires_grad

    assert f() == (False, True, False)
    assert (x * 2).requires_grad


def test_grad_leaves_grad_alone_and_gives_zeros_for_the_unused() -> None:
    x, y = leaf(2), leaf(2, seed=1)
    h = x * 3
    gx, gy, gh = grad((h * h).sum(), [x, y, h])
    assert x.grad is None
    np.testing.assert_allclose(gx.data, 18 * x.data)
    np.testing.assert_allclose(gh.data, 2 * h.data)
    assert gy.tolist() == [0.0, 0.0]


def test_derivatives_of_third_order_are_right() -> None:
    x = leaf(3)
    y = (exp(x) * x).sum()
    for order in range(1, 4):
        (g,) = grad(y, [x], create_graph=True)
        np.testing.assert_allclose(g.data, np.exp(x.data) * (x.data + order))
        y = g.sum()


def test_create_graph_goes_through_fused_operations() -> None:
    x = leaf(2, 3)
    (g,) = grad((activations.softmax(x, axis=-1) ** 2).sum(), [x], create_graph=True)
    (h,) = grad((g * g).sum(), [x])
    eps, d = 1e-6, np.random.default_rng(1).normal(size=(2, 3))

    def at(a: np.ndarray) -> float:
        t = Tensor(a, requires_grad=True)
        (g,) = grad((activations.softmax(t, axis=-1) ** 2).sum(), [t])
        return float((g.data**2).sum())

    numeric = (at(x.data + eps * d) - at(x.data - eps * d)) / (2 * eps)
    np.testing.assert_allclose((h.data * d).sum(), numeric, rtol=1e-6)


def test_a_hundred_thousand_operations_deep_runs_and_is_freed(no_collector: None) -> None:
    x = leaf(3)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 1.0]
    node = weakref.ref(y.node)
    del y
    assert node() is None


def test_a_deep_graph_never_walked_is_dropped_without_recursion(no_collector: None) -> None:
    y = leaf(1)
    for _ in range(100_000):
        y = y * 1.0
    del y


def test_layers_that_use_their_input_three_times_take_linear_work() -> None:
    x = leaf(2, 4)
    h = x
    for _ in range(20):
        h = matmul(activations.softmax(matmul(h, swapaxes(h)), axis=-1), h)
    calls = 0

    def count(g: Tensor) -> None:
        nonlocal calls
        calls += 1

    register_hook(x, count)
    h.sum().backward()
    assert calls == 1


def test_dropped_graphs_are_freed_without_the_collector(no_collector: None) -> None:
    x = leaf(3, 3)
    y = activations.softmax(matmul(x, x) * x, axis=-1)
    refs = [weakref.ref(y.node), weakref.ref(y.data)]
    del y
    assert [r() for r in refs] == [None, None]


def test_the_tape_keeps_only_what_rules_of_tracked_arguments_name(no_collector: None) -> None:
    x = leaf(3)
    h = x * 2.0
    inner = weakref.ref(h.data)
    t = activations.tanh(h)
    del h
    assert inner() is None
    w = leaf(3, 3)
    first_layer = matmul(Tensor(np.ones((2, 3))), w)
    assert [type(v) for v in first_layer.node.kept] == [np.ndarray, tuple]  # x, and the shape of w
    assert t.requires_grad


def test_an_in_place_write_to_what_the_tape_kept_is_refused() -> None:
    x, w = leaf(3, 3), leaf(3, 3, seed=1)
    y = (x * w).sum()
    with no_grad():
        w[1:] = 0.0
    with pytest.raises(RuntimeError, match="that multiply kept for its gradient was written in place"):
        y.backward()
    (x * w).sum().backward()


def test_writing_what_no_rule_needs_is_allowed() -> None:
    x, w = leaf(3), leaf(3, seed=1)
    y = (x + w).sum()
    with no_grad():
        w += 1.0
    y.backward()


def test_a_leaf_cannot_be_written_while_recording() -> None:
    x = leaf(3)
    with pytest.raises(RuntimeError, match="a leaf that requires grad cannot be written in place"):
        x[0] = 1.0
    with pytest.raises(RuntimeError, match="a leaf that requires grad cannot be written in place"):
        x += 1.0


def test_writing_a_tracked_tensor_is_differentiable() -> None:
    x, v = leaf(3), leaf(1, seed=1)
    y = x * 2
    y[0:1] = v * 3
    y += 1.0
    y.sum().backward()
    assert x.grad is not None
    assert v.grad is not None
    assert (x.grad.tolist(), v.grad.tolist()) == ([0.0, 2.0, 2.0], [3.0])


def test_hooks_see_the_whole_gradient_once_and_may_replace_it() -> None:
    x = leaf(2)
    h = x * 1.0
    seen: list[list[float]] = []
    register_hook(h, lambda g: seen.append(g.tolist()))
    remove = register_hook(x, lambda g: g * 10)
    (h + h * 2).sum().backward()
    assert seen == [[3.0, 3.0]]
    assert x.grad is not None
    assert x.grad.tolist() == [30.0, 30.0]
    remove()
    x.grad = None
    (x * 1).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]  # type: ignore[attr-defined]


def test_checkpoint_gives_the_same_gradients_and_draws_and_keeps_less() -> None:
    w = leaf(4, 4)

    def block(x: Tensor) -> Tensor:
        h = activations.tanh(matmul(x, w))
        return h * Tensor(default_rng().random((4, 4)))

    results = []
    for run in (block, lambda x: checkpoint(block, x)):
        manual_seed(3)
        x = leaf(4, 4, seed=1)
        y = run(x)
        y.sum().backward()
        assert x.grad is not None
        assert w.grad is not None
        results.append((y.data, x.grad.data, w.grad.data))
        w.grad = None
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoint_tracks_what_the_function_closes_over() -> None:
    w = leaf(2)
    checkpoint(lambda x: x * w, Tensor(np.ones(2))).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [1.0, 1.0]


def test_integers_are_never_tracked() -> None:
    with pytest.raises(TypeError, match="only floating-point tensors have gradients, got int64"):
        Tensor([1, 2], requires_grad=True)
    assert not (leaf(2) > 0).requires_grad
    assert not leaf(2).astype(np.int64).requires_grad


def test_ties_share_the_gradient_equally() -> None:
    x = Tensor([1.0, 1.0], requires_grad=True)
    x.max().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.5, 0.5]
    x.grad = None
    maximum(x, 1.0).sum().backward()
    assert x.grad.tolist() == [0.5, 0.5]  # type: ignore[attr-defined]


def test_a_rule_of_the_wrong_shape_is_named() -> None:
    from tt_foundation.primitive import Array, gradient, primitive

    @primitive
    def odd(x: Array) -> Array:
        return np.asarray(x * 1)

    @gradient(odd, "x")
    def odd_wrt_x(g: Array) -> Array:
        return g[:1]

    with pytest.raises(ValueError, match="a rule of odd gave a gradient of shape \\(1,\\) for an argument of shape"):
        odd(leaf(3)).sum().backward()


def test_recording_is_per_thread() -> None:
    seen: list[bool] = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(multiply(leaf(1), 2.0).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_infinite_gradients_are_answers_not_warnings() -> None:
    x = Tensor([0.0], requires_grad=True)
    log(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [np.inf]
    assert sum(x).item() == 0
