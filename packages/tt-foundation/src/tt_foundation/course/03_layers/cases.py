"""Cases of module 03, Layers: small programs that are run on the learner's file and on the reference.

A case draws its inputs from ``rng``, shows them, and returns what came out: data, never a verdict. No gradient is asked
for here. Where a layer draws numbers, its docstring says how, so the same generator gives the same numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np


def an_affine_map(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, weight, bias = rng.normal(size=(2, 3)), rng.normal(size=(4, 3)), rng.normal(size=(4,))
    show(x=x, weight=weight, bias=bias)
    t, w, b = tt.Tensor(x), tt.Tensor(weight), tt.Tensor(bias)
    return {
        "linear(x, weight, bias)": tt.linear(t, w, b),
        "without a bias": tt.linear(t, w),
        "in float32": tt.linear(*(tt.Tensor(a.astype(np.float32)) for a in (x, weight, bias))),
        "of no rows": tt.linear(tt.Tensor(x[:0]), w, b),
    }


def a_square_weight_does_not_show_its_order(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, weight = rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    show(x=x, weight=weight)
    return {"linear(x, weight)": tt.linear(tt.Tensor(x), tt.Tensor(weight))}


def an_affine_map_of_other_axes(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, weight, bias = rng.normal(size=(2, 5, 3)), rng.normal(size=(4, 3)), rng.normal(size=(4,))
    show(x=x, weight=weight, bias=bias)
    w, b = tt.Tensor(weight), tt.Tensor(bias)
    return {"three axes": tt.linear(tt.Tensor(x), w, b), "one axis": tt.linear(tt.Tensor(x[0, 0]), w, b)}


def an_affine_map_with_a_relu(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, weight, bias = rng.normal(size=(3, 3)), rng.normal(size=(4, 3)), rng.normal(size=(4,)) - 1
    show(x=x, weight=weight, bias=bias)
    t, w, b = tt.Tensor(x), tt.Tensor(weight), tt.Tensor(bias)
    return {
        "with relu": tt.linear(t, w, b, activation="relu"),
        "without a bias": tt.linear(t, w, activation="relu"),
        "body on tensors": tt.linear.body(t, w, b, activation="relu"),
        "body is of operations": _all_operations(
            tt, lambda: tt.linear.body(t, w, b, activation="relu"), lambda: tt.linear.body(t, w)
        ),
    }


def an_affine_map_that_does_not_fit(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    n, k, name = int(rng.integers(2, 9)), int(rng.integers(2, 9)), f"relu{int(rng.integers(2, 99))}"
    x, weight = rng.normal(size=(n, k)), rng.normal(size=(4, k + 1))
    show(x=x, weight=weight, activation=name)
    t, w = tt.Tensor(x), tt.Tensor(weight)
    return {
        "last axis": show.raises(lambda: tt.linear(t, w), x.shape),
        "activation": show.raises(lambda: tt.linear(t, tt.Tensor(weight[:, 1:]), activation=name), name),
    }


def xavier_draws(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed, gain = int(rng.integers(1000)), round(float(rng.uniform(0.5, 2)), 2)
    show(shape=(4, 3), seed=seed, gain=gain)
    out: dict[str, Any] = {}
    for fill in (tt.xavier_uniform, tt.xavier_normal):
        name = fill.__name__
        for dtype in (np.float32, np.float64):
            weight = tt.Tensor(np.zeros((4, 3), dtype))
            fill(weight, rng=np.random.default_rng(seed))
            out[f"{name}, {np.dtype(dtype)}"] = weight
        weight = tt.Tensor(np.zeros((4, 3)))
        fill(weight, gain=gain, rng=np.random.default_rng(seed))
        out[f"{name} with gain"] = weight
    return out


def xavier_of_a_convolution(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed = int(rng.integers(1000))
    show(shape=(4, 2, 3, 3), seed=seed)
    uniform, normal = tt.Tensor(np.zeros((4, 2, 3, 3))), tt.Tensor(np.zeros((4, 2, 3, 3)))
    tt.xavier_uniform(uniform, rng=np.random.default_rng(seed))
    tt.xavier_normal(normal, rng=np.random.default_rng(seed))
    return {"xavier_uniform": uniform, "xavier_normal": normal}


def xavier_writes_into_the_weight(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed = int(rng.integers(1000))
    memory = np.zeros((3, 2))
    show(shape=memory.shape, seed=seed)
    weight = tt.Tensor(memory)
    moment = tt.last_write()
    returned = tt.xavier_uniform(weight, rng=np.random.default_rng(seed))
    return {
        "the memory that was there": memory,
        "returned": returned,
        "in the log of writes": tt.last_write() > moment,
        "of one axis": show.raises(lambda: tt.xavier_normal(tt.Tensor(np.zeros(seed % 90 + 10))), (seed % 90 + 10,)),
    }


def without_a_generator_the_process_draws(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed = int(rng.integers(1000))
    show(seed=seed)
    weight = tt.Tensor(np.zeros((2, 3)))
    tt.manual_seed(seed)
    tt.xavier_uniform(weight)
    return {"after manual_seed(seed)": weight}


def kaiming_draws(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed, gain = int(rng.integers(1000)), round(float(rng.uniform(0.5, 2)), 2)
    show(shape=(4, 3), seed=seed, gain=gain)
    out: dict[str, Any] = {}
    for fill in (tt.kaiming_uniform, tt.kaiming_normal):
        for dtype in (np.float32, np.float64):
            weight = tt.Tensor(np.zeros((4, 3), dtype))
            fill(weight, rng=np.random.default_rng(seed))
            out[f"{fill.__name__}, {np.dtype(dtype)}"] = weight
        weight = tt.Tensor(np.zeros((4, 3)))
        fill(weight, gain=gain, rng=np.random.default_rng(seed))
        out[f"{fill.__name__} with gain"] = weight
    return out


def kaiming_of_a_convolution_and_of_nothing(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed = int(rng.integers(1000))
    show(shape=(4, 2, 3, 3), seed=seed)
    uniform, normal, none = tt.Tensor(np.zeros((4, 2, 3, 3))), tt.Tensor(np.zeros((4, 2, 3, 3))), np.zeros((4, 0))
    tt.kaiming_uniform(uniform, rng=np.random.default_rng(seed))
    tt.kaiming_normal(normal, rng=np.random.default_rng(seed))
    tt.kaiming_uniform(tt.Tensor(none), rng=np.random.default_rng(seed))
    tt.kaiming_normal(tt.Tensor(none), rng=np.random.default_rng(seed))
    return {"kaiming_uniform": uniform, "kaiming_normal": normal, "no inputs": none}


def kaiming_keeps_the_signal_alive(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(20, 64))
    show(x=x[:1, :8])
    signal = tt.Tensor(x)
    sizes = []
    for _ in range(8):
        weight = tt.Tensor(np.zeros((64, 64)))
        tt.kaiming_normal(weight, rng=rng)
        signal = tt.linear(signal, weight, activation="relu")
        sizes.append(float(np.sqrt((signal.data**2).mean())))
    return {"size of the signal, layer by layer": np.array(sizes)}


def linear_draws_its_weight_then_its_bias(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed, inputs, outputs = (int(n) for n in rng.integers(2, 6, size=3))
    show(seed=seed, in_features=inputs, out_features=outputs)
    generator = np.random.default_rng(seed)
    layer = tt.Linear(inputs, outputs, rng=generator)
    return {"weight": layer.weight, "bias": layer.bias, "drawn next": generator.random()}


def linear_without_a_bias_or_in_float64(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed = int(rng.integers(1000))
    show(seed=seed)
    plain = tt.Linear(3, 2, bias=False, rng=np.random.default_rng(seed))
    double = tt.Linear(3, 2, rng=np.random.default_rng(seed), dtype=np.float64)
    return {"weight": plain.weight, "no bias": plain.bias, "float64 weight": double.weight, "float64 bias": double.bias}


def linear_has_parameters(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    inputs, outputs = (int(n) for n in rng.integers(2, 9, size=2))
    show(in_features=inputs, out_features=outputs)
    layer = tt.Linear(inputs, outputs)
    parameters = dict(layer.named_parameters())
    return {
        "names": ", ".join(parameters),
        "kinds": ", ".join(type(p).__name__ for p in parameters.values()),
        "shapes": str([p.shape for p in parameters.values()]),
        "in_features": layer.in_features,
        "out_features": layer.out_features,
        "bias=False": ", ".join(name for name, _ in tt.Linear(inputs, outputs, bias=False).named_parameters()),
    }


def linear_refuses_sizes_below_one(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    inputs, outputs = -int(rng.integers(1, 20)), int(rng.integers(1, 20))
    show(in_features=inputs, out_features=outputs)
    return {
        "inputs": show.raises(lambda: tt.Linear(inputs, outputs), inputs, outputs),
        "outputs": show.raises(lambda: tt.Linear(outputs, 0), outputs, 0),
    }


def linear_after_manual_seed(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed = int(rng.integers(1000))
    show(seed=seed)
    tt.manual_seed(seed)
    first, second = tt.Linear(2, 2), tt.Linear(2, 2)
    return {"first weight": first.weight, "second weight": second.weight}


def linear_maps_what_comes_in(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    seed = int(rng.integers(1000))
    show(x=x, seed=seed)
    layer = tt.Linear(3, 4, rng=np.random.default_rng(seed))
    return {
        "three axes": layer(tt.Tensor(x)),
        "two axes": layer(tt.Tensor(x[0])),
        "one axis": layer(tt.Tensor(x[0, 0])),
        "no rows": layer(tt.Tensor(x[0, :0])),
        "activated": layer.activated(tt.Tensor(x[0]), "relu"),
    }


def linear_names_what_does_not_fit(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    inputs, n = int(rng.integers(2, 9)), int(rng.integers(2, 9))
    x = rng.normal(size=(n, inputs + 1)).astype(np.float32)
    show(in_features=inputs, x=x)
    layer = tt.Linear(inputs, 4)
    return {
        "what fits": layer(tt.Tensor(x[:, 1:] * 0)).shape,
        "shape": show.raises(lambda: layer(tt.Tensor(x)), inputs, x.shape),
        "type": show.raises(lambda: layer(tt.Tensor(x[:, 1:].astype(np.float64))), "float32", "float64"),
        "a number": show.raises(lambda: layer(tt.Tensor(1.0)), inputs, ()),
    }


def dropping_by_a_mask(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, mask, p = rng.normal(size=(2, 4)), rng.random((2, 4)) < 0.5, round(float(rng.uniform(0.2, 0.8)), 2)
    show(x=x, mask=mask, p=p)
    return {
        "dropout(x, mask, p)": tt.dropout(tt.Tensor(x), mask, p=p),
        "in float32": tt.dropout(tt.Tensor(x.astype(np.float32)), mask, p=p),
        "p=0": tt.dropout(tt.Tensor(x), mask, p=0.0),
        "p=1": tt.dropout(tt.Tensor(x), np.zeros((2, 4), bool), p=1.0),
        "body on tensors": tt.dropout.body(tt.Tensor(x), tt.Tensor(mask), p=p),
        "body is of operations": _all_operations(tt, lambda: tt.dropout.body(tt.Tensor(x), tt.Tensor(mask), p=p)),
    }


def dropout_draws_its_mask(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, p, seed = rng.normal(size=(3, 4)), round(float(rng.uniform(0.1, 0.4)), 2), int(rng.integers(1000))
    show(x=x, p=p, seed=seed)
    layer = tt.Dropout(p, rng=np.random.default_rng(seed))
    return {"first": layer(tt.Tensor(x)), "second": layer(tt.Tensor(x)), "printed": repr(layer)}


def dropout_rests_when_it_does_not_train(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, seed = rng.normal(size=(3, 4)), int(rng.integers(1000))
    show(x=x, seed=seed)
    generator = np.random.default_rng(seed)
    layer, t = tt.Dropout(0.5, rng=generator), tt.Tensor(x)
    layer.eval()
    resting = layer(t)
    never = tt.Dropout(0.0, rng=generator)(t)
    layer.train()
    return {
        "after eval()": resting,
        "after eval() it is x": resting is t,
        "p=0": never,
        "after train()": layer(t),
        "p=1": tt.Dropout(1.0)(t),
    }


def dropout_keeps_the_mean(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    p, seed = round(float(rng.uniform(0.2, 0.8)), 2), int(rng.integers(1000))
    show(x="200 x 200 ones", p=p, seed=seed)
    out = tt.Dropout(p, rng=np.random.default_rng(seed))(tt.Tensor(np.ones((200, 200), np.float32)))
    return {"mean": float(out.data.mean()), "share of zeros": float((out.data == 0).mean()), "out": out}


def dropout_needs_a_probability(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    p = round(float(rng.uniform(1.1, 9)), 2)
    show(p=p)
    return {"above 1": show.raises(lambda: tt.Dropout(p), p), "below 0": show.raises(lambda: tt.Dropout(-p), -p)}


def flatten_keeps_the_batch(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, int(rng.integers(2, 5)), 2))
    show(x=x)
    layer = tt.Flatten()
    return {
        "three axes": layer(tt.Tensor(x)),
        "two axes": layer(tt.Tensor(x[0])),
        "one axis": layer(tt.Tensor(x[0, :, 0])),
        "memory": "shared" if np.shares_memory(layer(tt.Tensor(x)).data, x) else "its own",
        "is an operation's": _all_operations(tt, lambda: layer(tt.Tensor(x))),
    }


def flatten_of_an_empty_batch(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    rows, columns = (int(n) for n in rng.integers(1, 9, size=2))
    x = np.zeros((0, rows, columns), np.float32)
    show(x=x, rows=rows, columns=columns)
    return {"Flatten()(x)": tt.Flatten()(tt.Tensor(x))}


def sequential_runs_its_layers_in_order(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, seed = rng.normal(size=(3, 4)).astype(np.float32), int(rng.integers(1000))
    show(x=x, seed=seed)
    generator, t = np.random.default_rng(seed), tt.Tensor(x)
    layers = [tt.Linear(4, 5, rng=generator), tt.ReLU(), tt.Linear(5, 3, rng=generator), tt.Tanh()]
    return {
        "of a list": tt.Sequential(layers)(t),
        "one by one": tt.Sequential(*layers)(t),
        "of a generator": tt.Sequential(layer for layer in layers)(t),
        "of nothing": tt.Sequential()(t),
        "tanh before relu": tt.Sequential(tt.Tanh(), tt.ReLU())(t),
        "linear, relu, relu": tt.Sequential(layers[0], tt.ReLU(), tt.ReLU())(t),
    }


def sequential_can_be_taken_apart(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, seed = rng.normal(size=(2, 3)).astype(np.float32), int(rng.integers(1000))
    show(x=x, seed=seed)
    generator = np.random.default_rng(seed)
    model = tt.Sequential(tt.Linear(3, 3, rng=generator), tt.Sigmoid(), tt.Linear(3, 2, rng=generator))
    return {
        "length": len(model),
        "the first two": model[:2](tt.Tensor(x)),
        "the last": repr(model[-1]),
        "names": ", ".join(type(layer).__name__ for layer in model),
    }


def sequential_finds_all_parameters(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    hidden = int(rng.integers(2, 99))
    show(hidden=hidden)
    model = tt.Sequential(tt.Linear(4, hidden), tt.Sequential([tt.ReLU(), tt.Linear(hidden, 3, bias=False)]))
    return {
        "names": ", ".join(name for name, _ in model.named_parameters()),
        "parameters": sum(p.size for p in model.parameters()),
        "bytes": sum(p.nbytes for p in model.parameters()),
        "printed": repr(model),
    }


def sequential_lets_observers_see_its_layers(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, 3)).astype(np.float32)
    show(x=x)
    model = tt.Sequential(tt.Linear(3, 3, rng=rng), tt.ReLU(), tt.Dropout(0.5, rng=rng))
    model.eval()
    seen = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any) -> None:
        if phase == "scope" and output is not None:
            seen.append(type(op).__name__)

    with tt.observe(watch):
        out = model(tt.Tensor(x))
    return {"out": out, "layers seen": ", ".join(seen)}


def sequential_refuses_what_is_no_layer(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    place = int(rng.integers(1, 99))
    layers = [tt.ReLU() for _ in range(place)]
    show(place=place, found="abs")
    kind = type(abs).__name__
    return {"a function": show.raises(lambda: tt.Sequential([*layers, abs]), kind, place)}


def orthogonal_draws(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed, gain = int(rng.integers(1000)), round(float(rng.uniform(0.5, 2)), 2)
    show(seed=seed, gain=gain)
    out: dict[str, Any] = {}
    for shape in [(5, 3), (3, 5), (4, 4), (2, 3, 2)]:
        weight = tt.Tensor(np.zeros(shape))
        tt.orthogonal(weight, gain=gain, rng=np.random.default_rng(seed))
        out[str(shape)] = weight
    return {**out, "of one axis": show.raises(lambda: tt.orthogonal(tt.Tensor(np.zeros(5))), (5,))}


def orthogonal_keeps_lengths(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    seed, x = int(rng.integers(1000)), rng.normal(size=(2, 4))
    show(seed=seed, x=x)
    weight = tt.Tensor(np.zeros((6, 4), np.float32))
    tt.orthogonal(weight, rng=np.random.default_rng(seed))
    mapped = tt.linear(tt.Tensor(x), tt.Tensor(weight.data.astype(np.float64)))
    return {
        "weight": weight,
        "weight.T weight": weight.data.T @ weight.data,
        "lengths before": np.linalg.norm(x, axis=1),
        "lengths after": np.linalg.norm(mapped.data, axis=1),
    }


def _all_operations(tt: Any, *actions: Callable[[], Any]) -> bool:
    """Whether each action's result is what an operation gave, which observers and module 05 can see."""
    outputs: list[Any] = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any) -> None:
        if phase == "forward":
            outputs.append(output)

    with tt.observe(watch):
        results = [action() for action in actions]
    return all(any(result is output for output in outputs) for result in results)
