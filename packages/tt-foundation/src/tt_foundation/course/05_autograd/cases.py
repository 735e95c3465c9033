"""The cases of module 05: small programs whose results tell right derivatives from wrong ones.

Most run an operation on leaves, start the walk with a gradient of the case's own and give back what arrived. Many also
ask for a second derivative: there the rules run on tensors, so a rule that falls back on NumPy shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Results = dict[str, Any]


def _arrived(tt: Any, function: Callable[..., Any], g: Any = None, **inputs: Any) -> Results:
    """The output of ``function`` and, after a walk that starts with ``g``, the gradient of every input."""
    leaves = {name: tt.Tensor(value, requires_grad=True) for name, value in inputs.items()}
    out = function(*leaves.values())
    out.backward(g)
    return {"out": out.detach(), **{f"{name}.grad": _of(leaf) for name, leaf in leaves.items()}}


def _of(leaf: Any) -> Any:
    """A leaf's gradient, or that it has none."""
    return "no gradient" if leaf.grad is None else leaf.grad.detach()


def _bend(tt: Any, function: Callable[[Any], Any], x: Any) -> Any:
    """The second derivative of an elementwise function at ``x``: the rules' own results are walked again."""
    leaf = tt.Tensor(x, requires_grad=True)
    function(leaf).backward(np.ones_like(x), create_graph=True)
    first = leaf.grad
    leaf.grad = None
    if not first.requires_grad:
        return "the gradient was not recorded"
    first.backward(np.ones_like(x))
    return _of(leaf)


def _along(tt: Any, function: Callable[[Any], Any], x: Any, direction: Any) -> Any:
    """The second derivative of a function with one result, along a direction."""
    leaf = tt.Tensor(x, requires_grad=True)
    function(leaf).backward(create_graph=True)
    first = leaf.grad
    leaf.grad = None
    if not first.requires_grad:
        return "the gradient was not recorded"
    first.backward(direction)
    return _of(leaf)


def _recorded(tt: Any, function: Callable[[Any], Any], x: Any) -> Results:
    """The gradient of a function with one result, and whether it could be differentiated again."""
    leaf = tt.Tensor(x, requires_grad=True)
    function(leaf).backward(create_graph=True)
    return {"x.grad": _of(leaf), "recorded": bool(leaf.grad.requires_grad)}


def recording_stops_inside(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(2, 3))
    show(x=x)
    leaf = tt.Tensor(x, requires_grad=True)
    before = leaf + 1.0
    with tt.no_grad():
        inside = leaf + 1.0
    after = leaf + 1.0
    return {
        "values": inside.detach(),
        "recorded before": before.requires_grad,
        "recorded inside": inside.requires_grad,
        "recorded after": after.requires_grad,
    }


def recording_comes_back_as_it_was(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(3,))
    show(x=x)
    leaf = tt.Tensor(x, requires_grad=True)
    recorded = []
    with tt.no_grad():
        with tt.no_grad():
            recorded.append((leaf * 2.0).requires_grad)
        recorded.append((leaf * 2.0).requires_grad)
        with tt.enable_grad():
            recorded.append((leaf * 2.0).requires_grad)
        recorded.append((leaf * 2.0).requires_grad)
    out = leaf * 2.0
    recorded.append(out.requires_grad)
    return {"values": out.detach(), "recorded": np.array(recorded)}


def recording_comes_back_after_an_error(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(2,))
    show(x=x)
    leaf = tt.Tensor(x, requires_grad=True)

    def stumble() -> None:
        with tt.no_grad():
            raise ValueError("the block failed")

    said = show.raises(stumble)
    out = leaf + 1.0
    return {"values": out.detach(), "error passed on": said, "recorded after": out.requires_grad}


def the_walk_starts_with_what_is_given(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    number = np.array(rng.normal())
    show(x=x, g=g, number=number)
    leaf = tt.Tensor(x, requires_grad=True)
    leaf.backward(g)
    wrapped = tt.Tensor(x, requires_grad=True)
    wrapped.backward(tt.Tensor(g))
    alone = tt.Tensor(number, requires_grad=True)
    alone.backward()
    return {"from an array": _of(leaf), "from a tensor": _of(wrapped), "of one number": _of(alone)}


def gradients_add_up(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, first, second = rng.normal(size=(4,)), rng.normal(size=(4,)), rng.normal(size=(4,))
    show(x=x, first=first, second=second)
    leaf = tt.Tensor(x, requires_grad=True)
    leaf.backward(first)
    once = np.array(leaf.grad)
    leaf.backward(second)
    return {"after one walk": once, "after two walks": _of(leaf)}


def a_gradient_belongs_to_its_leaf(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(3,)), rng.normal(size=(3,))
    show(x=x, g=g)
    leaf = tt.Tensor(x, requires_grad=True)
    leaf.backward(g)
    before = np.array(leaf.grad)
    g *= 100.0
    return {
        "arrived": before,
        "after the seed was overwritten": _of(leaf),
        "can be written": bool(leaf.grad.data.flags.writeable),
        "is a tensor": isinstance(leaf.grad, tt.Tensor),
    }


def a_walk_says_what_it_needs(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    n = int(rng.integers(2, 1000))
    x = rng.normal(size=(n, 2))
    show(n=n)
    return {
        "nothing tracked": show.raises(lambda: tt.Tensor(1.0).backward()),
        "several elements and no gradient": show.raises(lambda: tt.Tensor(x, requires_grad=True).backward()),
        "another shape": show.raises(lambda: tt.Tensor(x, requires_grad=True).backward(np.ones((2, n + 1)))),
    }


def sums(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    show(x=x, y=y, g=g)
    return _arrived(tt, lambda x, y: x + y, g, x=x, y=y)


def differences(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    show(x=x, y=y, g=g)
    return _arrived(tt, lambda x, y: (-x) - y, g, x=x, y=y)


def a_tensor_used_twice(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(4,)), rng.normal(size=(4,)), rng.normal(size=(4,))
    show(x=x, y=y, g=g)

    def function(x: Any, y: Any) -> Any:
        z = x + y
        return (z + z) - (y - x)

    return _arrived(tt, function, g, x=x, y=y)


def rows_repeated(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(3, 4)), rng.normal(size=(4,)), rng.normal(size=(3, 4))
    show(x=x, y=y, g=g)
    return _arrived(tt, lambda x, y: x + y, g, x=x, y=y)


def columns_repeated(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(3, 1)), rng.normal(size=(1, 4)), rng.normal(size=(3, 4))
    show(x=x, y=y, g=g)
    return _arrived(tt, lambda x, y: x - y, g, x=x, y=y)


def many_axes_repeated(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(2, 1, 3)).astype(np.float32)
    y, number = rng.normal(size=(4, 1)).astype(np.float32), np.float32(rng.normal())
    g = rng.normal(size=(2, 4, 3)).astype(np.float32)
    show(x=x, y=y, number=number, g=g)
    return _arrived(tt, lambda x, y, number: x + y - number, g, x=x, y=y, number=np.array(number))


def a_rule_of_the_wrong_shape_is_named(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    n = int(rng.integers(2, 1000))
    x = rng.normal(size=(n,))
    show(n=n)

    @tt.primitive  # type: ignore[untyped-decorator]
    def doubled(x: Any) -> Any:
        return np.add(x, x)

    @tt.gradient(doubled, "x")  # type: ignore[untyped-decorator]
    def doubled_wrt_x(g: Any) -> Any:
        return np.ones((n + 1,))

    return {"said": show.raises(lambda: doubled(tt.Tensor(x, requires_grad=True)).backward(np.ones(n)))}


def products(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(3, 4)), rng.normal(size=(4,)), rng.normal(size=(3, 4))
    show(x=x, y=y, g=g)
    return _arrived(tt, lambda x, y: x * y, g, x=x, y=y)


def quotients(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(3, 4)), rng.uniform(0.5, 2.0, size=(3, 1)), rng.normal(size=(3, 4))
    show(x=x, y=y, g=g)
    return _arrived(tt, lambda x, y: x / y, g, x=x, y=y)


def a_cube_bends(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.uniform(0.5, 2.0, size=(4,))
    show(x=x)
    return {
        "second derivative of x x x": _bend(tt, lambda x: x * x * x, x),
        "second derivative of 1 / x": _bend(tt, lambda x: 1.0 / x, x),
    }


def powers(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.uniform(0.5, 2.0, size=(4,)), rng.normal(size=(4,))
    show(x=x, g=g)
    results: Results = {}
    for exponent in (3, -1.5, 0.5, 1):
        arrived = _arrived(tt, lambda x, to=exponent: x**to, g, x=x)
        results[f"x.grad of x ** {exponent}"] = arrived["x.grad"]
    return results


def powers_at_zero(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = np.where(rng.random(6) < 0.5, 0.0, rng.uniform(1.0, 2.0, size=6))
    x[0] = 0.0
    y, g = np.array([2.0, 0.0, 3.0, 1.0, 0.0, 2.0]), rng.normal(size=6)
    show(x=x, y=y, g=g)
    results = _arrived(tt, lambda x, y: x**y, g, x=x, y=y)
    results["x.grad of x ** 0"] = _arrived(tt, lambda x: x**0, g, x=x)["x.grad"]
    return results


def exponentials_and_logarithms(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.uniform(0.5, 3.0, size=(2, 3)), rng.normal(size=(2, 3))
    show(x=x, g=g)
    return {
        f"x.grad of {op.__name__}": _arrived(tt, lambda x, op=op: op(x), g, x=x)["x.grad"]
        for op in (tt.exp, tt.log, tt.sqrt)
    }


def exponentials_bend(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.uniform(0.5, 2.0, size=(3,))
    show(x=x)
    return {
        "exp(x) x": _bend(tt, lambda x: tt.exp(x) * x, x),
        "log(x)": _bend(tt, tt.log, x),
        "sqrt(x)": _bend(tt, tt.sqrt, x),
        "x ** 3": _bend(tt, lambda x: x**3, x),
    }


def absolute_values(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.integers(-2, 3, size=8).astype(np.float64), rng.normal(size=8)
    x[3] = 0.0
    show(x=x, g=g)
    return _arrived(tt, tt.abs, g, x=x)


def the_larger_and_the_smaller(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y = rng.integers(0, 4, size=(2, 6)).astype(np.float32), rng.integers(0, 4, size=(2, 6)).astype(np.float32)
    y[0, 0] = x[0, 0]
    g = rng.normal(size=(2, 6)).astype(np.float32)
    show(x=x, y=y, g=g)
    larger = _arrived(tt, tt.maximum, g, x=x, y=y)
    smaller = _arrived(tt, tt.minimum, g, x=x, y=y)
    return {f"{name} of {key}": r[key] for name, r in (("maximum", larger), ("minimum", smaller)) for key in r}


def a_choice(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    condition = rng.random((3, 4)) < 0.5
    x, y, g = rng.normal(size=(3, 4)), rng.normal(size=(4,)), rng.normal(size=(3, 4))
    show(condition=condition, x=x, y=y, g=g)
    return _arrived(tt, lambda x, y: tt.where(condition, x, y), g, x=x, y=y)


def sums_over_axes(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(2, 3, 4))
    show(x=x)
    results: Results = {}
    for axis in (None, 0, -1, (0, 2)):
        for keepdims in (False, True):
            g = rng.normal(size=x.sum(axis=axis, keepdims=keepdims).shape)
            function = lambda x, a=axis, k=keepdims: tt.sum(x, axis=a, keepdims=k)  # noqa: E731
            results[f"x.grad of sum over {axis}{', kept' if keepdims else ''}"] = _arrived(tt, function, g, x=x)[
                "x.grad"
            ]
    return results


def means_over_axes(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(2, 3, 4))
    show(x=x)
    results: Results = {}
    for axis in (None, 1, -1, (0, 2)):
        g = rng.normal(size=x.mean(axis=axis).shape)
        results[f"x.grad of mean over {axis}"] = _arrived(tt, lambda x, a=axis: tt.mean(x, axis=a), g, x=x)["x.grad"]
    return results


def spread_of_a_sample(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(5, 3))
    show(x=x)

    def variance(x: Any) -> Any:
        centred = x - x.mean(axis=0)
        return (centred * centred).mean()

    return _arrived(tt, variance, x=x)


def sums_in_operations(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(3, 4))
    show(x=x)

    def squares(x: Any) -> Any:
        rows, columns = x.sum(axis=1), x.mean(axis=0)
        return (rows * rows).sum() + (columns * columns).mean()

    return _recorded(tt, squares, x)


def the_largest(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.permutation(24).reshape(2, 3, 4) + rng.normal(size=(2, 3, 4)) / 10
    show(x=x)
    results: Results = {}
    for axis in (None, 0, -1, (1, 2)):
        g = rng.normal(size=x.max(axis=axis).shape)
        results[f"x.grad of max over {axis}"] = _arrived(tt, lambda x, a=axis: tt.max(x, axis=a), g, x=x)["x.grad"]
        results[f"x.grad of min over {axis}"] = _arrived(tt, lambda x, a=axis: tt.min(x, axis=a), g, x=x)["x.grad"]
    return results


def equals_share(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.integers(0, 3, size=(3, 6)).astype(np.float64)
    x[0] = 2.0
    g = rng.normal(size=(3, 1))
    show(x=x, g=g)
    return {
        "x.grad of max": _arrived(tt, lambda x: tt.max(x, axis=1, keepdims=True), g, x=x)["x.grad"],
        "x.grad of min": _arrived(tt, lambda x: tt.min(x, axis=1, keepdims=True), g, x=x)["x.grad"],
    }


def extremes_in_operations(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(3, 4))
    show(x=x)

    def squares(x: Any) -> Any:
        largest, smallest = x.max(axis=1), x.min(axis=0)
        return (largest * largest).sum() + (smallest * smallest).sum()

    return _recorded(tt, squares, x)


def matrices(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(3, 4)), rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    show(x=x, y=y, g=g)
    return _arrived(tt, tt.matmul, g, x=x, y=y)


def square_matrices(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    show(x=x, y=y, g=g)
    return _arrived(tt, tt.matmul, g, x=x, y=y)


def batches_of_matrices(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, g = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5)), rng.normal(size=(2, 3, 5))
    show(x=x, y=y, g=g)
    return _arrived(tt, tt.matmul, g, x=x, y=y)


def matrices_and_vectors(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    matrix, row, column = rng.normal(size=(3, 4)), rng.normal(size=(3,)), rng.normal(size=(4,))
    g3, g4, g = rng.normal(size=(3,)), rng.normal(size=(4,)), np.array(rng.normal())
    show(matrix=matrix, row=row, column=column)
    parts = {
        "matrix @ column": _arrived(tt, tt.matmul, g3, x=matrix, y=column),
        "row @ matrix": _arrived(tt, tt.matmul, g4, x=row, y=matrix),
        "row @ row": _arrived(tt, tt.matmul, g, x=row, y=row + 1),
    }
    return {f"{name}: {key}": part[key] for name, part in parts.items() for key in ("x.grad", "y.grad")}


def a_product_bends(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y, direction = rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), rng.normal(size=(2, 3))
    show(x=x, y=y, direction=direction)
    leaf, other = tt.Tensor(x, requires_grad=True), tt.Tensor(y, requires_grad=True)
    out = leaf @ other
    (out * out).backward(np.ones((2, 2)), create_graph=True)
    slope = leaf.grad
    leaf.grad = other.grad = None
    slope.backward(direction)
    return {"x": _of(leaf), "y": _of(other)}


def shapes_and_axes(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(2, 3, 4)), rng.normal(size=24)
    show(x=x, g=g)

    def arrived(function: Callable[[Any], Any], shape: tuple[int, ...]) -> Any:
        return _arrived(tt, function, g[: int(np.prod(shape))].reshape(shape), x=x)["x.grad"]

    return {
        "reshape": arrived(lambda x: x.reshape(6, -1), (6, 4)),
        "permute_dims": arrived(lambda x: x.permute_dims(2, 0, 1), (4, 2, 3)),
        "permute_dims, counted from the end": arrived(lambda x: x.permute_dims(-1, 0, -2), (4, 2, 3)),
        "T": arrived(lambda x: x.T, (4, 3, 2)),
        "swapaxes": arrived(lambda x: tt.swapaxes(x, axis1=0, axis2=2), (4, 3, 2)),
    }


def axes_of_a_cube(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(2, 2, 2)), rng.normal(size=(2, 2, 2))
    show(x=x, g=g)
    return _arrived(tt, lambda x: x.permute_dims(1, 2, 0), g, x=x)


def repeats_and_types(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(3, 1)), rng.normal(size=(2, 3, 4))
    show(x=x, g=g)
    results = _arrived(tt, lambda x: tt.broadcast_to(x, shape=(2, 3, 4)), g, x=x)
    single = x.astype(np.float32)
    g32 = g[0, :, :1].copy()
    results["through float64"] = _arrived(tt, lambda x: x.astype(np.float64), g32, x=single)["x.grad"]
    return results


def reductions_bend(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, direction = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    show(x=x, direction=direction)

    def squares(x: Any) -> Any:
        rows, largest = x.mean(axis=1), x.T.max(axis=1)
        return (rows * rows).sum() + (largest * largest).sum()

    return {"along the direction": _along(tt, squares, x, direction)}


def slices(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(4, 5)), rng.normal(size=(2, 3))
    show(x=x, g=g)
    return _arrived(tt, lambda x: x[1:3, ::2], g, x=x)


def rows_of_a_table(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    table, ids, g = rng.normal(size=(5, 3)), rng.integers(0, 5, size=6), rng.normal(size=(6, 3))
    ids[3] = ids[0]
    show(table=table, ids=ids, g=g)
    return _arrived(tt, lambda table: table[ids], g, table=table)


def chosen_by_a_mask(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(3, 4))
    show(x=x)
    return _arrived(tt, lambda x: x[x.data > 0], rng.normal(size=int((x > 0).sum())), x=x)


def written_at_an_index(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, value, g = rng.normal(size=(4, 3)), rng.normal(size=(3,)), rng.normal(size=(4, 3))
    show(x=x, value=value, g=g)
    return _arrived(tt, lambda x, value: tt.setitem(x, value, index=slice(1, 3)), g, x=x, value=value)


def added_at_an_index(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    values, index, g = rng.normal(size=(5,)), rng.integers(0, 3, size=5), rng.normal(size=(3,))
    show(values=values, index=index, g=g)
    return _arrived(tt, lambda values: tt.scatter_add(values, index=index, shape=(3,)), g, values=values)


def lookups_bend(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, direction, ids = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.integers(0, 4, size=5)
    show(x=x, direction=direction, ids=ids)

    def squares(x: Any) -> Any:
        rows, part = x[ids], tt.setitem(x, x[:2], index=slice(2, 4))
        return (rows * rows).sum() + (part * part).sum()

    return {"along the direction": _along(tt, squares, x, direction)}


def activations(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(2, 5)) * 3, rng.normal(size=(2, 5))
    x[0, 0] = 0.0
    show(x=x, g=g)
    arrived = {op.__name__: _arrived(tt, op, g, x=x)["x.grad"] for op in (tt.relu, tt.sigmoid, tt.tanh, tt.softplus)}
    arrived["softplus, beta=3"] = _arrived(tt, lambda x: tt.softplus(x, beta=3.0), g, x=x)["x.grad"]
    return arrived


def activations_bend(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x = rng.normal(size=(4,))
    show(x=x)
    return {op.__name__: _bend(tt, op, x) for op in (tt.sigmoid, tt.tanh, tt.softplus)}


def a_network(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, target = rng.normal(size=(6, 4)).astype(np.float32), rng.integers(0, 3, size=6)
    show(x=x, target=target)
    model = tt.Sequential([tt.Linear(4, 5, rng=rng), tt.Tanh(), tt.Linear(5, 3, rng=rng)])
    loss = tt.CrossEntropyLoss()(model(tt.Tensor(x)), target)
    loss.backward()
    return {"loss": loss.detach(), **{f"{name}.grad": _of(p) for name, p in model.named_parameters()}}


def gradients_asked_for(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, y = rng.normal(size=(3,)), rng.normal(size=(3,))
    show(x=x, y=y)
    a, b, unused = (tt.Tensor(v, requires_grad=True) for v in (x, y, x))
    middle = a * b
    outputs = (middle * middle).sum()
    of_a, of_middle, of_unused = tt.grad(outputs, [a, middle, unused])
    return {"a": of_a, "middle": of_middle, "unused": of_unused, "a.grad": _of(a), "b.grad": _of(b)}


def several_outputs(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    show(x=x, g=g)
    leaf = tt.Tensor(x, requires_grad=True)
    (both,) = tt.grad([leaf * leaf, (leaf * 3.0).sum()], [leaf], [g, None])
    plain = tt.Tensor(x)
    return {"both": both, "error": show.raises(lambda: tt.grad((leaf * plain).sum(), [leaf, plain]))}


def a_gradient_of_a_gradient(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, direction = rng.normal(size=(4,)), rng.normal(size=(4,))
    show(x=x, direction=direction)
    leaf = tt.Tensor(x, requires_grad=True)
    (slope,) = tt.grad((leaf**3).sum(), [leaf], create_graph=True)
    (along,) = tt.grad((slope * direction).sum(), [leaf])
    return {"slope": slope.detach(), "Hessian times direction": along}


def hooks(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, g = rng.normal(size=(3,)), rng.normal(size=(3,))
    show(x=x, g=g)
    leaf = tt.Tensor(x, requires_grad=True)
    middle = leaf * 2.0
    seen = []
    tt.register_hook(middle, lambda gradient: seen.append(np.array(gradient)))
    tt.register_hook(middle, lambda gradient: gradient * 10.0)
    remove = tt.register_hook(leaf, lambda gradient: gradient * 1000.0)
    remove()
    (middle + middle).backward(g)
    return {"seen": seen[0], "times seen": len(seen), "x.grad": _of(leaf)}


def hooks_that_spoil(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    n = int(rng.integers(2, 1000))
    x = rng.normal(size=(n,))
    show(n=n)
    leaf = tt.Tensor(x, requires_grad=True)
    tt.register_hook(leaf, lambda gradient: tt.Tensor(np.ones(n + 1)))
    other = tt.Tensor(x, requires_grad=True)
    seed = np.ones(n)

    def writes(gradient: Any) -> None:
        gradient.data[...] = 7.0

    tt.register_hook(other, writes)
    other.backward(seed)
    return {
        "another shape": show.raises(lambda: (leaf * 1.0).backward(np.ones(n))),
        "written into by a hook": _of(other),
        "the seed": seed,
    }


def recomputed(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, w, g = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=(3, 4))
    show(x=x, w=w, g=g)
    runs = []

    def block(x: Any, w: Any) -> Any:
        runs.append(1)
        return tt.tanh(tt.tanh(x @ w) @ w)

    a, b = tt.Tensor(x, requires_grad=True), tt.Tensor(w, requires_grad=True)
    out = tt.checkpoint(block, a, b)
    runs_forward = len(runs)
    out.backward(g)
    return {
        "out": out.detach(),
        "x.grad": _of(a),
        "w.grad": _of(b),
        "runs forward": runs_forward,
        "runs in all": len(runs),
    }


def the_tape_of_a_checkpoint(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    n = int(rng.integers(3, 1000))
    x = rng.normal(size=(5, n))
    show(n=n)

    def block(x: Any) -> Any:
        for _ in range(4):
            x = tt.exp(-x * x)
        return x

    plain = tt.graph_nodes(block(tt.Tensor(x, requires_grad=True)))
    short = tt.graph_nodes(tt.checkpoint(block, tt.Tensor(x, requires_grad=True)))
    return {
        "operations on the tape": len(plain),
        "operations with a checkpoint": len(short),
        "bytes with a checkpoint": sum(node.kept_bytes for node in short),
    }


def a_checkpoint_draws_the_same(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, seed = rng.normal(size=(4, 4)), int(rng.integers(1, 1000))
    show(x=x, seed=seed)
    tt.manual_seed(seed)
    leaf = tt.Tensor(x, requires_grad=True)
    out = tt.checkpoint(lambda x: tt.Dropout(0.5)(x) * 3.0, leaf)
    drawn_next = tt.default_rng().random()
    out.backward(np.ones((4, 4)))
    return {
        "out": out.detach(),
        "x.grad": _of(leaf),
        "the next draw": drawn_next,
        "and one more": tt.default_rng().random(),
    }


def a_checkpoint_of_what_it_closes_over(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, w = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    show(x=x, w=w)
    weight = tt.Tensor(w, requires_grad=True)
    out = tt.checkpoint(lambda x: tt.tanh(x @ weight), tt.Tensor(x))
    result: Results = {"recorded": out.requires_grad}
    if out.requires_grad:
        out.backward(np.ones((3, 2)))
    return {**result, "w.grad": _of(weight)}
