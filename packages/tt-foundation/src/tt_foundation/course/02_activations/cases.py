"""Cases of module 02, Activations: small programs that are run on the learner's file and on the reference.

A case draws its inputs from ``rng``, shows them, and returns what came out: data, never a verdict. No gradient is asked
for here; but a fused function's body is also run on tensors, as module 05 will, and what happens inside is looked at.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np


def relu_keeps_what_is_positive(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, number, columns = rng.normal(size=(3, 4)), rng.normal(), int(rng.integers(1, 5))
    show(x=x, number=number, columns=columns)
    return {
        "relu(x)": tt.relu(tt.Tensor(x)),
        "of a number": tt.relu(tt.Tensor(np.array(number))),
        "of nothing": tt.relu(tt.Tensor(np.zeros((0, columns)))),
        "of an array": tt.relu(x),
    }


def relu_keeps_the_element_type(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, integers = rng.normal(size=(5,)).astype(np.float32), rng.integers(-5, 5, size=(6,))
    show(x=x, integers=integers)
    return {"float32": tt.relu(tt.Tensor(x)), "integers": tt.relu(tt.Tensor(integers))}


def relu_as_a_layer(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, 3))
    show(x=x)
    layer = tt.ReLU()
    return {"ReLU()(x)": layer(tt.Tensor(x)), "printed": repr(layer)}


def sigmoid_and_tanh(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3, 4)) * 3
    show(x=x)
    t = tt.Tensor(x)
    return {
        "sigmoid": tt.sigmoid(t),
        "Sigmoid()(x)": tt.Sigmoid()(t),
        "tanh": tt.tanh(t),
        "sigmoid(-x) + sigmoid(x)": tt.sigmoid(tt.Tensor(-x)) + tt.sigmoid(t),
        "2 sigmoid(2 x) - 1, which is tanh": 2 * tt.sigmoid(2 * t) - 1,
    }


def sigmoid_and_tanh_in_float32(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, number = rng.normal(size=(6,)).astype(np.float32), rng.normal(size=()).astype(np.float32)
    show(x=x, number=number)
    return {
        "sigmoid": tt.sigmoid(tt.Tensor(x)),
        "tanh": tt.tanh(tt.Tensor(x)),
        "sigmoid of a number": tt.sigmoid(tt.Tensor(number)),
        "sigmoid of nothing": tt.sigmoid(tt.Tensor(x[:0])),
    }


def sigmoid_far_from_zero(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = np.array([-1.0, -0.01, 0.0, 0.01, 1.0]) * rng.uniform(0.9e4, 1.1e4)
    near = rng.uniform(-30, -20, size=3)
    show(x=x, near=near)
    out, count = _quietly(lambda: tt.sigmoid(tt.Tensor(x)))
    single, single_count = _quietly(lambda: tt.sigmoid(tt.Tensor(x.astype(np.float32))))
    return {
        "sigmoid(x)": out,
        "sigmoid(x), warnings": count,
        "in float32": single,
        "in float32, warnings": single_count,
        "log sigmoid(near)": np.log(tt.sigmoid(tt.Tensor(near)).data),
    }


def softplus_near_zero(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, beta = rng.normal(size=(2, 3)), round(float(rng.uniform(1.5, 4)), 2)
    show(x=x, beta=beta)
    t = tt.Tensor(x)
    return {
        "softplus(x)": tt.softplus(t),
        "with beta": tt.softplus(t, beta=beta),
        "in float32": tt.softplus(tt.Tensor(x.astype(np.float32)), beta=beta),
        "as a layer": tt.Softplus(beta)(t),
    }


def softplus_far_from_zero(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = np.array([-1.0, -0.01, 0.01, 1.0]) * rng.uniform(0.9e4, 1.1e4)
    show(x=x)
    out, count = _quietly(lambda: tt.softplus(tt.Tensor(x)))
    single, _ = _quietly(lambda: tt.softplus(tt.Tensor(x.astype(np.float32)), beta=2.0))
    return {"softplus(x)": out, "warnings": count, "in float32 with beta=2": single}


def leaky_relu_lets_something_through(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, slope = rng.normal(size=(3, 4)), round(float(rng.uniform(0.05, 0.5)), 3)
    x[0, 0] = 0
    show(x=x, slope=slope)
    t = tt.Tensor(x)
    return {
        "leaky_relu(x)": tt.leaky_relu(t),
        "with the slope": tt.leaky_relu(t, negative_slope=slope),
        "in float32": tt.leaky_relu(tt.Tensor(x.astype(np.float32)), negative_slope=slope),
        "of nothing": tt.leaky_relu(tt.Tensor(x[:0])),
    }


def leaky_relu_with_any_slope(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(6,))
    steep, downward = round(float(rng.uniform(1.5, 3)), 2), round(float(rng.uniform(-2, -1)), 2)
    show(x=x, steep=steep, downward=downward)
    t = tt.Tensor(x)
    return {
        "a steep slope": tt.leaky_relu(t, negative_slope=steep),
        "a negative slope": tt.leaky_relu(t, negative_slope=downward),
        "slope 0": tt.leaky_relu(t, negative_slope=0.0),
    }


def leaky_relu_is_made_of_primitives(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, 3)) * 1e4
    show(x=x)
    return _inside(tt, tt.leaky_relu, tt.Tensor(x), negative_slope=0.1)


def leaky_relu_as_a_layer(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, slope = rng.normal(size=(2, 3)), round(float(rng.uniform(0.05, 0.5)), 3)
    show(x=x, slope=slope)
    t = tt.Tensor(x)
    return {
        "LeakyReLU()(x)": tt.LeakyReLU()(t),
        "LeakyReLU(slope)(x)": tt.LeakyReLU(slope)(t),
        "printed": repr(tt.LeakyReLU(slope)),
    }


def exponential_units(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, alpha = rng.normal(size=(3, 4)) * 2, round(float(rng.uniform(0.5, 2)), 3)
    show(x=x, alpha=alpha)
    t = tt.Tensor(x)
    return {
        "elu(x)": tt.elu(t),
        "with alpha": tt.elu(t, alpha=alpha),
        "selu(x)": tt.selu(t),
        "ELU(alpha)(x)": tt.ELU(alpha)(t),
        "in float32": tt.selu(tt.Tensor(x.astype(np.float32))),
    }


def selu_keeps_mean_and_variance(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(100, 100))
    show(x=x[:2, :5])
    out = tt.selu(tt.Tensor(x)).data
    return {"mean": float(out.mean()), "standard deviation": float(out.std())}


def exponential_units_far_from_zero(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = np.array([-1.0, 1.0]) * rng.uniform(0.9e4, 1.1e4)
    show(x=x)
    return {**_inside(tt, tt.elu, tt.Tensor(x), alpha=1.5), "selu(x)": tt.selu(tt.Tensor(x))}


def units_that_gate_themselves(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3, 4)) * 2
    show(x=x)
    t, single = tt.Tensor(x), tt.Tensor(x.astype(np.float32))
    return {
        "silu(x)": tt.silu(t),
        "mish(x)": tt.mish(t),
        "hardswish(x)": tt.hardswish(t),
        "silu in float32": tt.silu(single),
        "mish in float32": tt.mish(single),
        "hardswish in float32": tt.hardswish(single),
    }


def hardswish_piece_by_piece(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = np.concatenate([rng.uniform(-9, -3, 3), rng.uniform(-3, 3, 3), rng.uniform(3, 9, 3)])
    show(x=x)
    return {"hardswish(x)": tt.hardswish(tt.Tensor(x)), "at the corners": tt.hardswish(tt.Tensor([-3.0, 0.0, 3.0]))}


def units_that_gate_themselves_far_from_zero(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = np.array([-1.0, -0.01, 0.01, 1.0]) * rng.uniform(0.9e4, 1.1e4)
    show(x=x)
    out: dict[str, Any] = {}
    for op in (tt.silu, tt.mish, tt.hardswish):
        out.update({f"{op.name}, {name}": value for name, value in _inside(tt, op, tt.Tensor(x)).items()})
    return out


def gelu_both_ways(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3, 4)) * 2
    show(x=x)
    t = tt.Tensor(x)
    return {
        "gelu(x)": tt.gelu(t),
        'approximate="tanh"': tt.gelu(t, approximate="tanh"),
        "in float32": tt.gelu(tt.Tensor(x.astype(np.float32)), approximate="tanh"),
        'GELU("tanh")(x)': tt.GELU("tanh")(t),
        "of a number": tt.gelu(tt.Tensor(x[0, 0])),
    }


def gelu_far_from_zero(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = np.array([-1.0, -0.001, 0.001, 1.0]) * rng.uniform(0.9e4, 1.1e4)
    show(x=x)
    exact, fast = tt.Tensor(x), tt.Tensor(x.astype(np.float32))
    return {**_inside(tt, tt.gelu, exact), **_inside(tt, tt.gelu, fast, "tanh in float32, ", approximate="tanh")}


def gelu_refuses_what_it_does_not_know(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, name = rng.normal(size=(2,)), f"erf{int(rng.integers(2, 1000))}"
    show(x=x, name=name)
    t = tt.Tensor(x)
    return {"gelu(x)": tt.gelu(t), "another name": show.raises(lambda: tt.gelu(t, approximate=name), name)}


def softmax_along_each_axis(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3, 3))
    show(x=x)
    t = tt.Tensor(x)
    return {
        "softmax(x)": tt.softmax(t),
        "axis=0": tt.softmax(t, axis=0),
        "sums": tt.softmax(t).data.sum(axis=-1),
        "in float32": tt.softmax(tt.Tensor(x.astype(np.float32))),
    }


def softmax_of_more_and_fewer_axes(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, 3, 4))
    show(x=x)
    return {
        "axis=1 of three": tt.softmax(tt.Tensor(x), axis=1),
        "one row": tt.softmax(tt.Tensor(x[0, 0])),
        "no rows": tt.softmax(tt.Tensor(x[:0])),
        "as a layer": tt.Softmax(axis=0)(tt.Tensor(x)),
    }


def softmax_of_large_scores(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3, 4)) + np.array([[0.0], [1e4], [-1e4]])
    show(x=x)
    return {**_inside(tt, tt.softmax, tt.Tensor(x)), "in float32": tt.softmax(tt.Tensor(x.astype(np.float32) * 10))}


def softmax_looks_at_differences_only(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, shift = rng.normal(size=(2, 4)), float(rng.uniform(-100, 100))
    show(x=x, shift=shift)
    return {"softmax(x)": tt.softmax(tt.Tensor(x)), "softmax(x + shift)": tt.softmax(tt.Tensor(x + shift))}


def softmax_needs_its_axis(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, axis = rng.normal(size=(2, 3)), int(rng.integers(2, 9))
    show(x=x, axis=axis)
    t = tt.Tensor(x)
    return {"softmax(x)": tt.softmax(t), "axis": show.raises(lambda: tt.softmax(t, axis=axis), axis)}


def log_softmax_along_each_axis(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3, 3))
    show(x=x)
    t = tt.Tensor(x)
    return {
        "log_softmax(x)": tt.log_softmax(t),
        "axis=0": tt.log_softmax(t, axis=0),
        "in float32": tt.log_softmax(tt.Tensor(x.astype(np.float32))),
        "as a layer": tt.LogSoftmax(axis=0)(t),
        "no rows": tt.log_softmax(tt.Tensor(x[:0])),
    }


def log_softmax_of_large_scores(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3, 4)) * 1e4
    show(x=x)
    return {**_inside(tt, tt.log_softmax, tt.Tensor(x)), "in float32": tt.log_softmax(tt.Tensor(x.astype(np.float32)))}


def log_softmax_needs_its_axis(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, axis = rng.normal(size=(2, 3)), int(rng.integers(-9, -2))
    show(x=x, axis=axis)
    t = tt.Tensor(x)
    return {"log_softmax(x)": tt.log_softmax(t), "axis": show.raises(lambda: tt.log_softmax(t, axis=axis), axis)}


def _quietly(action: Callable[[], Any]) -> tuple[Any, int]:
    """What ``action`` gives, and how many warnings it gave on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = action()
    return out, len(caught)


def _inside(tt: Any, op: Any, x: Any, prefix: str = "", **params: Any) -> dict[str, Any]:
    """Run a fused function's body on a tensor, as module 05 does, and watch every operation in it."""
    infinite, outputs = [], []

    def watch(inner: Any, phase: str, inputs: Any, params: Any, output: Any) -> None:
        outputs.append(output)
        if output is not None and not np.isfinite(np.asarray(output)).all():
            infinite.append(inner.name)

    with tt.observe(watch):
        out = op.body(x, **params)
    return {
        f"{prefix}body on tensors": out,
        f"{prefix}body on tensors is an operation's": any(out is output for output in outputs),
        f"{prefix}not finite inside": ", ".join(infinite) or "nothing",
    }
