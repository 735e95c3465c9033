"""The cases of module 06: a few steps of each method, by gradients drawn for the case, and where they lead.

The formulas come first, called as procedures on arrays; the classes, with all that they keep between steps, after them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Results = dict[str, Any]

SHAPES = [(3, 2), (4,)]
"""Of a weight and a bias: a method must treat every parameter of its list."""


def _drawn(rng: np.random.Generator, steps: int) -> tuple[list[Any], list[list[Any]]]:
    """Two parameters, and the gradients of some steps."""
    params = [rng.normal(size=shape) for shape in SHAPES]
    return params, [[rng.normal(size=shape) for shape in SHAPES] for _ in range(steps)]


def _zeros() -> list[Any]:
    return [np.zeros(shape) for shape in SHAPES]


def _nothing() -> list[Any]:
    return [None for _ in SHAPES]


def _taken(step: Any, params: list[Any], grads: list[list[Any]], *kept: list[Any], **options: Any) -> Results:
    """The parameters after all the steps, and what was kept; the arrays that came in are what is looked at."""
    moved = [p.copy() for p in params]
    for t, some in enumerate(grads, start=1):
        step(moved, [g.copy() for g in some], *kept, step=t, **options)
    results = {f"parameter {i}": p for i, p in enumerate(moved)}
    for k, arrays in enumerate(kept):
        results |= {f"kept {k}, of parameter {i}": a for i, a in enumerate(arrays) if a is not None}
    return results


def _optimized(tt: Any, make: Callable[[list[Any]], Any], params: list[Any], grads: list[list[Any]]) -> Results:
    """The parameters after the steps of an optimizer made by ``make``."""
    leaves = [tt.Tensor(p.copy(), requires_grad=True) for p in params]
    optimizer = make(leaves)
    for some in grads:
        for leaf, g in zip(leaves, some, strict=True):
            leaf.grad = tt.Tensor(g.copy())
        optimizer.step()
    return {f"parameter {i}": leaf.detach() for i, leaf in enumerate(leaves)}


SGD = {"lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}


def down_the_slope(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 1)
    show(params=params, grads=grads[0], lr=0.1)
    return _taken(tt.sgd_step, params, grads, _nothing(), **SGD)


def a_step_writes_in_place(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    p, g = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)
    buffer = rng.normal(size=(3, 2)).astype(np.float32)
    show(p=p, g=g, buffer=buffer)
    view = p[1:]
    options = {**SGD, "momentum": 0.9, "weight_decay": 0.1}
    tt.sgd_step([p], [g], [buffer], step=2, **options)
    return {"rows of the same memory": view, "buffer": buffer, "the gradient is as it was": g, "type": str(p.dtype)}


def momentum_gathers(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 4)
    show(params=params, grads=grads, momentum=0.9)
    return _taken(tt.sgd_step, params, grads, _zeros(), **{**SGD, "momentum": 0.9})


def the_first_gradient_is_not_dampened(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    show(params=params, grads=grads, momentum=0.9, dampening=0.4)
    return _taken(tt.sgd_step, params, grads, _zeros(), **{**SGD, "momentum": 0.9, "dampening": 0.4})


def nesterov_looks_ahead(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    show(params=params, grads=grads, momentum=0.8)
    return _taken(tt.sgd_step, params, grads, _zeros(), **{**SGD, "momentum": 0.8, "nesterov": True})


def decay_pulls_to_zero(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    show(params=params, grads=grads, weight_decay=0.2)
    plain = _taken(tt.sgd_step, params, grads, _nothing(), **{**SGD, "weight_decay": 0.2})
    heavy = _taken(tt.sgd_step, params, grads, _zeros(), **{**SGD, "weight_decay": 0.2, "momentum": 0.9})
    return {**plain, **{f"{name}, with momentum": value for name, value in heavy.items()}}


def sgd_as_an_optimizer(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    show(params=params, grads=grads)
    return _optimized(tt, lambda p: tt.SGD(p, lr=0.05, momentum=0.9, nesterov=True), params, grads)


def sgd_refuses_what_makes_no_sense(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    lr, dampening = round(rng.uniform(0.1, 0.9), 3), round(rng.uniform(0.1, 0.9), 3)
    show(lr=lr, dampening=dampening)

    def made(**options: Any) -> Callable[[], Any]:
        return lambda: tt.SGD([tt.Tensor(np.ones(2), requires_grad=True)], **options)

    return {
        "nesterov without momentum": show.raises(made(lr=lr, nesterov=True), "nesterov"),
        "nesterov, dampened": show.raises(made(lr=lr, momentum=0.9, dampening=dampening, nesterov=True), "nesterov"),
        "nesterov": show.raises(made(lr=lr, momentum=0.9, nesterov=True)),
        "momentum, dampened": show.raises(made(lr=lr, momentum=0.9, dampening=dampening)),
        "a negative rate": show.raises(made(lr=-lr), "lr", -lr),
    }


def _with_gradients(tt: Any, grads: list[Any]) -> list[Any]:
    """Parameters with these gradients, and one that has none."""
    params = []
    for g in [*grads, None]:
        p = tt.Tensor(np.ones(3 if g is None else g.shape), requires_grad=True)
        p.grad = None if g is None else tt.Tensor(g.copy())
        params.append(p)
    return params


def _gradients(params: list[Any]) -> Results:
    return {f"gradient {i}": "none" if p.grad is None else p.grad.detach() for i, p in enumerate(params)}


def every_number_clipped(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    grads = [rng.normal(size=shape) * 2 for shape in SHAPES]
    grads[0][0] = 4.0, -4.0  # beyond the bound on both sides, whatever was drawn
    show(grads=grads, clip_value=1.5)
    params = _with_gradients(tt, grads)
    tt.clip_grad_value(params, 1.5)
    return _gradients(params)


def clipping_needs_a_bound(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    bound = -round(rng.uniform(0.1, 9.0), 3)
    show(bound=bound)
    params = _with_gradients(tt, [np.ones(2)])
    return {
        "below zero": show.raises(lambda: tt.clip_grad_value(params, bound), bound),
        "not a number": show.raises(lambda: tt.clip_grad_value(params, float("nan")), "nan"),
        **_gradients(params),
    }


def long_gradients_shortened(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    grads = [rng.normal(size=shape) * 3 for shape in SHAPES]
    show(grads=grads, max_norm=0.7)
    params = _with_gradients(tt, grads)
    norm = tt.clip_grad_norm(params, 0.7)
    return {"norm before": norm, **_gradients(params)}


def short_gradients_left_alone(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    grads = [rng.normal(size=shape) / 100 for shape in SHAPES]
    show(grads=grads, max_norm=5.0)
    params = _with_gradients(tt, grads)
    return {
        "norm before": tt.clip_grad_norm(params, 5.0),
        **_gradients(params),
        "no gradients at all": float(tt.clip_grad_norm([tt.Tensor(np.ones(2), requires_grad=True)], 1.0)),
        "a norm of 0": show.raises(lambda: tt.clip_grad_norm(params, 0.0), "max_norm"),
    }


ADAGRAD = {"lr": 0.5, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10}


def adagrad_slows_what_has_moved(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 4)
    show(params=params, grads=grads, lr=0.5)
    return _taken(tt.adagrad_step, params, grads, _zeros(), **ADAGRAD)


def adagrad_with_decays(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 4)
    show(params=params, grads=grads, lr_decay=0.3, weight_decay=0.1)
    return _taken(tt.adagrad_step, params, grads, _zeros(), **{**ADAGRAD, "lr_decay": 0.3, "weight_decay": 0.1})


def adagrad_starts_where_told(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 2)
    start = round(rng.uniform(0.5, 2.0), 2)
    show(params=params, grads=grads, initial_accumulator_value=start)
    return _optimized(tt, lambda p: tt.Adagrad(p, lr=0.5, initial_accumulator_value=start), params, grads)


RMSPROP = {"lr": 0.05, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False}


def rmsprop_forgets(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 4)
    show(params=params, grads=grads, alpha=0.9)
    return _taken(tt.rmsprop_step, params, grads, _zeros(), _nothing(), _nothing(), **RMSPROP)


def rmsprop_centered(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 4)
    show(params=params, grads=grads, alpha=0.9, centered=True)
    return _taken(tt.rmsprop_step, params, grads, _zeros(), _zeros(), _nothing(), **{**RMSPROP, "centered": True})


def rmsprop_with_momentum(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 4)
    show(params=params, grads=grads, momentum=0.8, weight_decay=0.1)
    options = {**RMSPROP, "momentum": 0.8, "weight_decay": 0.1}
    return _taken(tt.rmsprop_step, params, grads, _zeros(), _nothing(), _zeros(), **options)


ADAM = {
    "lr": 0.1,
    "betas": (0.9, 0.99),
    "eps": 1e-8,
    "weight_decay": 0.0,
    "amsgrad": False,
    "decoupled_weight_decay": False,
}


def adams_first_step(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 1)
    show(params=params, grads=grads, betas=(0.9, 0.99))
    return _taken(tt.adam_step, params, grads, _zeros(), _zeros(), _nothing(), **ADAM)


def adam_over_some_steps(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 5)
    show(params=params, grads=grads, betas=(0.9, 0.99))
    return _taken(tt.adam_step, params, grads, _zeros(), _zeros(), _nothing(), **ADAM)


def adam_where_eps_shows(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    small = [[g * 1e-3 for g in some] for some in grads]
    show(params=params, grads=small, eps=1e-2)
    return _taken(tt.adam_step, params, small, _zeros(), _zeros(), _nothing(), **{**ADAM, "eps": 1e-2})


def adam_with_decay_in_the_gradient(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    show(params=params, grads=grads, weight_decay=0.3)
    return _taken(tt.adam_step, params, grads, _zeros(), _zeros(), _nothing(), **{**ADAM, "weight_decay": 0.3})


def adam_with_decay_apart(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    show(params=params, grads=grads, weight_decay=0.3, decoupled_weight_decay=True)
    options = {**ADAM, "weight_decay": 0.3, "decoupled_weight_decay": True}
    return _taken(tt.adam_step, params, grads, _zeros(), _zeros(), _nothing(), **options)


def adam_that_remembers_the_largest(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 4)
    fading = [[g / 4**t for g in some] for t, some in enumerate(grads)]
    show(params=params, grads=fading, amsgrad=True)
    options = {**ADAM, "betas": (0.9, 0.5), "amsgrad": True}
    return _taken(tt.adam_step, params, fading, _zeros(), _zeros(), _zeros(), **options)


def adamw_as_an_optimizer(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    show(params=params, grads=grads, weight_decay=0.2)

    def made(leaves: list[Any]) -> Any:
        return tt.AdamW(leaves, lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2)

    group = tt.AdamW([tt.Tensor(np.ones(2), requires_grad=True)]).param_groups[0]
    return {
        **_optimized(tt, made, params, grads),
        "weight decay by default": group["weight_decay"],
        "decoupled": group["decoupled_weight_decay"],
        "amsgrad": group["amsgrad"],
    }


LION = {"lr": 0.01, "betas": (0.9, 0.99), "weight_decay": 0.0}


def lion_goes_by_the_sign(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 4)
    show(params=params, grads=grads, betas=(0.6, 0.3))
    return _taken(tt.lion_step, params, grads, _zeros(), **{**LION, "betas": (0.6, 0.3)})


def lion_with_decay(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads = _drawn(rng, 3)
    show(params=params, grads=grads, weight_decay=2.0)
    return _taken(tt.lion_step, params, grads, _zeros(), **{**LION, "weight_decay": 2.0})


NEWTON_SCHULZ = {"coefficients": (3.4445, -4.7750, 2.0315), "eps": 1e-7}


def singular_values_made_even(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    wide, tall = rng.normal(size=(3, 5)) * 4, rng.normal(size=(5, 3)) / 4
    show(wide=wide, tall=tall)
    results: Results = {}
    for name, matrix in (("wide", wide), ("tall", tall)):
        for steps in (1, 5):
            even = tt.orthogonalized(matrix, steps=steps, **NEWTON_SCHULZ)
            results[f"{name}, {steps} steps"] = even
            results[f"singular values of {name}, {steps} steps"] = np.linalg.svd(even, compute_uv=False)
    return results


def nothing_to_orthogonalize(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    matrix = rng.normal(size=(2, 3)) * 1e-3
    show(matrix=matrix, eps=0.1)
    return {
        "zeros": tt.orthogonalized(np.zeros((2, 3)), steps=5, **NEWTON_SCHULZ),
        "smaller than eps": tt.orthogonalized(matrix, coefficients=(2.0, -1.5, 0.5), eps=0.1, steps=2),
    }


MUON = {
    "lr": 0.1,
    "weight_decay": 0.0,
    "momentum": 0.9,
    "nesterov": False,
    "ns_coefficients": (3.4445, -4.7750, 2.0315),
    "eps": 1e-7,
    "ns_steps": 5,
    "adjust_lr_fn": None,
}


def _matrices(rng: np.random.Generator, steps: int) -> tuple[list[Any], list[list[Any]], list[Any]]:
    """A tall and a wide matrix, gradients for some steps, and empty buffers."""
    shapes = [(5, 2), (2, 4)]
    grads = [[rng.normal(size=shape) for shape in shapes] for _ in range(steps)]
    return [rng.normal(size=shape) for shape in shapes], grads, [np.zeros(shape) for shape in shapes]


def muon_turns_and_moves(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads, buffers = _matrices(rng, 3)
    show(params=params, grads=grads, momentum=0.9)
    return _taken(tt.muon_step, params, grads, buffers, **MUON)


def muon_as_it_is_used(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    params, grads, buffers = _matrices(rng, 3)
    show(params=params, grads=grads, momentum=0.9, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")
    options = {**MUON, "weight_decay": 0.5, "nesterov": True, "adjust_lr_fn": "match_rms_adamw"}
    return _taken(tt.muon_step, params, grads, buffers, **options)


def muon_takes_matrices_only(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    n = int(rng.integers(2, 1000))
    show(n=n)
    matrix, vector = (tt.Tensor(np.ones(shape), requires_grad=True) for shape in ((n, 2), (n,)))
    return {
        "a vector": show.raises(lambda: tt.Muon([matrix, vector])),
        "an unknown adjustment": show.raises(lambda: tt.Muon([matrix], adjust_lr_fn="fastest")),
        "a matrix": show.raises(lambda: tt.Muon([matrix], lr=0.1, adjust_lr_fn="original")),
        "a negative rate": show.raises(lambda: tt.Muon([matrix], lr=-1.0)),
    }


def all_of_them_learn(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    x, true = rng.normal(size=(32, 4)), rng.normal(size=(4, 3))
    y = x @ true + rng.normal(size=(32, 3)) / 10
    show(x=x, y=y)
    makers: dict[str, Callable[[list[Any]], Any]] = {
        "SGD": lambda p: tt.SGD(p, lr=0.1, momentum=0.9),
        "Adagrad": lambda p: tt.Adagrad(p, lr=0.5),
        "RMSprop": lambda p: tt.RMSprop(p, lr=0.05),
        "Adam": lambda p: tt.Adam(p, lr=0.1),
        "AdamW": lambda p: tt.AdamW(p, lr=0.1),
        "Lion": lambda p: tt.Lion(p, lr=0.05),
        "Muon": lambda p: tt.Muon(p, lr=0.1),
    }
    losses: Results = {}
    for name, made in makers.items():
        weight = tt.Tensor(np.zeros((4, 3)), requires_grad=True)
        optimizer = made([weight])
        seen = []
        for _ in range(15):
            optimizer.zero_grad()
            loss = tt.mse_loss(tt.Tensor(x) @ weight, tt.Tensor(y))
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        losses[f"losses of {name}"] = np.array(seen)
    return losses
