"""Cases of module 04, Losses: small programs that are run on the learner's file and on the reference.

A case draws its inputs from ``rng``, shows them, and returns what came out: data, never a verdict. No gradient is asked
for here; but what happens inside a loss is looked at, for an infinity inside is a NaN in module 05.
"""

from collections.abc import Callable
from typing import Any

import numpy as np


def squared_errors(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, target = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    show(x=x, target=target)
    return _reductions(tt, lambda **how: tt.mse_loss(tt.Tensor(x), tt.Tensor(target), **how))


def squared_errors_in_float32_and_of_little(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, target = rng.normal(size=(4,)).astype(np.float32), rng.normal(size=(4,)).astype(np.float32)
    show(x=x, target=target)
    t, y = tt.Tensor(x), tt.Tensor(target)
    return {
        "float32": tt.mse_loss(t, y),
        "of one number": tt.mse_loss(t[0], y[0]),
        "sum of nothing": tt.mse_loss(t[:0], y[:0], reduction="sum"),
        "mean of nothing": tt.mse_loss(t[:0], y[:0]),
    }


def shapes_that_differ_are_refused(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    n = int(rng.integers(2, 30))
    x, target = rng.normal(size=(n, 1)), rng.normal(size=(n,))
    show(x=x, target=target)
    t, y = tt.Tensor(x), tt.Tensor(target)
    return {
        "shapes alike": tt.mse_loss(t[:, 0], y),
        "shapes that differ": show.raises(lambda: tt.mse_loss(t, y), x.shape, target.shape),
    }


def a_reduction_that_is_none_of_the_three(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, name = rng.normal(size=(2,)), f"median{int(rng.integers(2, 99))}"
    show(x=x, reduction=name)
    t = tt.Tensor(x)
    return {
        "sum": tt.mse_loss(t, -t, reduction="sum"),
        "reduction": show.raises(lambda: tt.mse_loss(t, t, reduction=name), name),
    }


def absolute_errors(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, target = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    show(x=x, target=target)
    t, y = tt.Tensor(x), tt.Tensor(target)
    return {
        **_reductions(tt, lambda **how: tt.l1_loss(t, y, **how)),
        "shapes": show.raises(lambda: tt.l1_loss(t, y[0]), x.shape, target[0].shape),
    }


def huber_near_and_far(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    target, delta = rng.normal(size=(6,)), round(float(rng.uniform(0.5, 2)), 2)
    x = target + delta * np.array([0.0, 0.3, -0.9, 1.1, -3.0, 1e4])
    show(x=x, target=target, delta=delta)
    t, y = tt.Tensor(x), tt.Tensor(target)
    return {
        **_reductions(tt, lambda **how: tt.huber_loss(t, y, delta=delta, **how)),
        "delta=1": tt.huber_loss(t, y),
        "in float32": tt.huber_loss(tt.Tensor(x.astype(np.float32)), tt.Tensor(target.astype(np.float32))),
    }


def huber_refuses(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, delta = rng.normal(size=(3,)), -round(float(rng.uniform(0.1, 9)), 2)
    show(x=x, delta=delta)
    t = tt.Tensor(x)
    return {
        "what fits": tt.huber_loss(t, -t),
        "delta": show.raises(lambda: tt.huber_loss(t, t, delta=delta), delta),
        "delta=0": show.raises(lambda: tt.huber_loss(t, t, delta=0)),
        "shapes": show.raises(lambda: tt.huber_loss(t, t[:2]), (3,), (2,)),
    }


def losses_as_modules(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, target, delta = rng.normal(size=(3, 2)) * 3, rng.normal(size=(3, 2)), round(float(rng.uniform(1.5, 3)), 2)
    name = f"median{int(rng.integers(2, 99))}"
    show(x=x, target=target, delta=delta, name=name)
    t, y = tt.Tensor(x), tt.Tensor(target)
    return {
        "MSELoss()": tt.MSELoss()(t, y),
        'MSELoss("sum")': tt.MSELoss("sum")(t, y),
        'L1Loss("none")': tt.L1Loss("none")(t, y),
        "HuberLoss(delta=delta)": tt.HuberLoss(delta=delta)(t, y),
        'HuberLoss("sum")': tt.HuberLoss("sum")(t, y),
        "printed": repr(tt.HuberLoss("sum", delta)),
        "another reduction": show.raises(lambda: tt.MSELoss(name), name),
    }


def hinge_of_right_and_wrong(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, target = rng.normal(size=(2, 4)) * 2, np.where(rng.random((2, 4)) < 0.5, -1.0, 1.0)
    target[0, :2], x[0, :2] = [-1, 1], [-3, 3]
    margin = round(float(rng.uniform(0.2, 2)), 2)
    show(x=x, target=target, margin=margin)
    t, y = tt.Tensor(x), tt.Tensor(target)
    return {
        **_reductions(tt, lambda **how: tt.hinge_loss(t, y, **how)),
        "with the margin": tt.hinge_loss(t, y, margin=margin, reduction="none"),
        "shapes": show.raises(lambda: tt.hinge_loss(t, y[:1]), x.shape, target[:1].shape),
        "far away": tt.hinge_loss(t * 1e4, y),
    }


def the_score_at_each_class(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    log_p, ids = np.log(rng.dirichlet(np.ones(3), size=4)), rng.integers(0, 3, size=4)
    show(log_p=log_p, ids=ids)
    t = tt.Tensor(log_p)
    return {
        "nll_loss": tt.nll_loss(t, tt.Tensor(ids), reduction="none"),
        "ids as an array": tt.nll_loss(t, ids, reduction="sum"),
        "of 32 bits": tt.nll_loss(t, ids.astype(np.int32)),
    }


def the_score_at_each_class_of_each_place(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    log_p, ids = np.log(rng.dirichlet(np.ones(3), size=(2, 4))).swapaxes(1, 2), rng.integers(0, 3, size=(2, 4))
    show(log_p=log_p, ids=ids)
    picture = np.stack([log_p, log_p - 1], axis=3)
    return {
        "(batch, classes, length)": tt.nll_loss(tt.Tensor(log_p), ids, reduction="none"),
        "(batch, classes, height, width)": tt.nll_loss(tt.Tensor(picture), np.stack([ids, ids], 2), reduction="none"),
    }


def ids_that_are_no_classes(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    n, classes = int(rng.integers(2, 9)), int(rng.integers(2, 9))
    log_p, ids = np.log(rng.dirichlet(np.ones(classes), size=n)), rng.integers(0, classes, size=n)
    high, low = ids.copy(), ids.copy()
    high[1], low[0] = classes + 3, -7
    show(log_p=log_p, ids=ids, high=high, low=low)
    t = tt.Tensor(log_p)
    return {
        "too high": show.raises(lambda: tt.nll_loss(t, high), classes, classes + 3),
        "too low": show.raises(lambda: tt.nll_loss(t, low), classes, -7),
        "-7 ignored": tt.nll_loss(t, low, ignore_index=-7, reduction="none"),
        "floats": show.raises(lambda: tt.nll_loss(t, ids.astype(np.float32)), "float32", ids.shape),
        "another shape": show.raises(lambda: tt.nll_loss(t, ids[:, None]), ids.shape, (n, 1)),
    }


def nll_reduced(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    log_p, ids = np.log(rng.dirichlet(np.ones(3), size=5)), rng.integers(0, 3, size=5)
    show(log_p=log_p, ids=ids)
    t = tt.Tensor(log_p)
    return {
        **_reductions(tt, lambda **how: tt.nll_loss(t, ids, **how)),
        "in float32": tt.nll_loss(tt.Tensor(log_p.astype(np.float32)), ids),
        "no examples, sum": tt.nll_loss(t[:0], ids[:0], reduction="sum"),
        "no examples, mean": tt.nll_loss(t[:0], ids[:0]),
        "as a module": tt.NLLLoss(reduction="sum")(t, tt.Tensor(ids)),
    }


def nll_with_weights_and_ignored_examples(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    log_p, ids, weight = np.log(rng.dirichlet(np.ones(3), size=5)), rng.integers(0, 3, size=5), rng.uniform(0.5, 2, 3)
    some = np.where([True, False, False, True, False], -100, ids)
    show(log_p=log_p, ids=some, weight=weight)
    t, w = tt.Tensor(log_p), tt.Tensor(weight)
    return {
        "weighted mean": tt.nll_loss(t, ids, w),
        "weighted": tt.nll_loss(t, ids, w, reduction="none"),
        "mean of those that count": tt.nll_loss(t, some),
        "weighted mean of those that count": tt.nll_loss(t, some, w),
        "those that count": tt.nll_loss(t, some, w, reduction="none"),
        "ignoring class 0": tt.nll_loss(t, ids % 2, ignore_index=0, reduction="sum"),
    }


def nll_refuses(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    classes = int(rng.integers(3, 30))
    log_p, ids = rng.normal(size=(2, classes)), rng.integers(0, classes, size=2)
    show(log_p=log_p, ids=ids)
    t, w = tt.Tensor(log_p), tt.Tensor(np.ones(classes + 1))
    return {
        "what fits": tt.nll_loss(t, ids),
        "a weight too many": show.raises(lambda: tt.nll_loss(t, ids, w), log_p.shape, (classes + 1,)),
        "one axis": show.raises(lambda: tt.nll_loss(t[0], ids[:1]), (classes,)),
    }


def cross_entropy_of_ids(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    logits, ids = rng.normal(size=(4, 3)) * 2, rng.integers(0, 3, size=4)
    show(logits=logits, ids=ids)
    t, y = tt.Tensor(logits), tt.Tensor(ids)
    return {
        **_reductions(tt, lambda **how: tt.class_cross_entropy(t, y, **how)),
        "in float32": tt.class_cross_entropy(tt.Tensor(logits.astype(np.float32)), y),
        "all alike, which is log 3": tt.class_cross_entropy(t * 0, y),
        "body on tensors": tt.class_cross_entropy.body(t, y),
        "no examples": tt.class_cross_entropy(t[:0], y[:0], reduction="sum"),
    }


def cross_entropy_of_ids_at_each_place(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    logits, ids, weight = rng.normal(size=(2, 3, 3)), rng.integers(0, 3, size=(2, 3)), rng.uniform(0.5, 2, 3)
    show(logits=logits, ids=ids, weight=weight)
    t, y, w = tt.Tensor(logits), tt.Tensor(ids), tt.Tensor(weight)
    return {
        "(batch, classes, length)": tt.class_cross_entropy(t, y, reduction="none"),
        "weighted": tt.class_cross_entropy(t, y, w),
        "smoothed": tt.class_cross_entropy(t, y, label_smoothing=0.2, reduction="none"),
        "weighted and smoothed": tt.class_cross_entropy(t, y, w, label_smoothing=0.2),
    }


def cross_entropy_of_large_scores(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    logits, ids = rng.normal(size=(5, 3)) * 1e4, rng.integers(0, 3, size=5)
    show(logits=logits, ids=ids)
    t, y = tt.Tensor(logits), tt.Tensor(ids)
    return {
        **_inside(tt, lambda: tt.class_cross_entropy.body(t, y, reduction="none")),
        "in float32": tt.class_cross_entropy(tt.Tensor(logits.astype(np.float32)), y),
    }


def cross_entropy_with_weights_and_ignored_examples(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    logits, ids, weight = rng.normal(size=(5, 3)), rng.integers(0, 3, size=5), rng.uniform(0.5, 2, 3)
    ids[[1, 4]] = -100
    show(logits=logits, ids=ids, weight=weight)
    t, y, w = tt.Tensor(logits), tt.Tensor(ids), tt.Tensor(weight)
    return {
        "mean of those that count": tt.class_cross_entropy(t, y),
        "weighted mean": tt.class_cross_entropy(t, y, w),
        "weighted": tt.class_cross_entropy(t, y, w, reduction="none"),
        "ignoring another id": tt.class_cross_entropy(t, tt.Tensor(ids % 3), ignore_index=2, reduction="none"),
        "none counts": tt.class_cross_entropy(t, tt.Tensor(ids * 0 - 100)),
    }


def cross_entropy_with_smoothed_labels(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    logits, ids, weight = rng.normal(size=(4, 3)), rng.integers(0, 3, size=4), rng.uniform(0.5, 2, 3)
    ids[0] = -100
    smoothing = round(float(rng.uniform(0.1, 0.5)), 2)
    show(logits=logits, ids=ids, weight=weight, label_smoothing=smoothing)
    t, y, w = tt.Tensor(logits), tt.Tensor(ids), tt.Tensor(weight)
    return {
        **_reductions(tt, lambda **how: tt.class_cross_entropy(t, y, label_smoothing=smoothing, **how)),
        "weighted": tt.class_cross_entropy(t, y, w, label_smoothing=smoothing, reduction="none"),
        "weighted mean": tt.class_cross_entropy(t, y, w, label_smoothing=smoothing),
        "all of it spread": tt.class_cross_entropy(t, y, label_smoothing=1.0, reduction="none"),
    }


def cross_entropy_checks_then_counts(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    logits, ids, weight = rng.normal(size=(4, 3)), rng.integers(0, 3, size=4), rng.uniform(0.5, 2, 3)
    show(logits=logits, ids=ids, weight=weight)
    t, w = tt.Tensor(logits), tt.Tensor(weight)
    return {
        **_reductions(tt, lambda **how: tt.cross_entropy(t, tt.Tensor(ids), **how)),
        "ids as an array": tt.cross_entropy(t, ids),
        "all at once": tt.cross_entropy(t, ids, w, ignore_index=1, label_smoothing=0.1),
        "one example": tt.cross_entropy(t[0], tt.Tensor(ids)[0]),
        "one example, none": tt.cross_entropy(t[0], tt.Tensor(ids)[0], reduction="none"),
        "no examples": tt.cross_entropy(t[:0], ids[:0], reduction="sum"),
    }


def cross_entropy_of_probabilities(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    logits, target, weight = rng.normal(size=(4, 3)), rng.dirichlet(np.ones(3), size=4), rng.uniform(0.5, 2, 3)
    show(logits=logits, target=target, weight=weight)
    t, y, w = tt.Tensor(logits), tt.Tensor(target), tt.Tensor(weight)
    return {
        **_reductions(tt, lambda **how: tt.cross_entropy(t, y, **how)),
        "weighted": tt.cross_entropy(t, y, w),
        "smoothed": tt.cross_entropy(t, y, label_smoothing=0.2),
        "one example": tt.cross_entropy(t[0], y[0]),
        "of large scores": tt.cross_entropy(t * 1e4, y),
    }


def cross_entropy_refuses(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    n, classes = int(rng.integers(2, 9)), int(rng.integers(3, 9))
    logits, ids, share = rng.normal(size=(n, classes)), rng.integers(0, classes, size=n), 1 + round(rng.random(), 3)
    show(logits=logits, ids=ids, label_smoothing=share)
    t = tt.Tensor(logits)
    return {
        "what fits": tt.cross_entropy(t, ids),
        "label smoothing": show.raises(lambda: tt.cross_entropy(t, ids, label_smoothing=share), share),
        "a class too high": show.raises(lambda: tt.cross_entropy(t, ids + classes), classes, ids[0] + classes),
        "a weight too few": show.raises(
            lambda: tt.cross_entropy(t, ids, tt.Tensor(np.ones(classes - 1))), logits.shape, (classes - 1,)
        ),
        "ids of another shape": show.raises(lambda: tt.cross_entropy(t, ids[1:]), ids.shape, ids[1:].shape),
        "floats of another shape": show.raises(lambda: tt.cross_entropy(t, ids * 1.0), "float64", ids.shape),
        "a number": show.raises(lambda: tt.cross_entropy(tt.Tensor(1.0), ids)),
    }


def cross_entropy_as_a_module(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    logits, ids, weight = rng.normal(size=(4, 3)), rng.integers(0, 3, size=4), rng.uniform(0.5, 2, 3)
    show(logits=logits, ids=ids, weight=weight)
    t, y, w = tt.Tensor(logits), tt.Tensor(ids), tt.Tensor(weight)
    return {
        "CrossEntropyLoss()": tt.CrossEntropyLoss()(t, y),
        "with everything": tt.CrossEntropyLoss(w, 1, "sum", 0.1)(t, y),
        "with names": tt.CrossEntropyLoss(weight=w, label_smoothing=0.3)(t, y),
    }


def binary_cross_entropy_of_probabilities(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    p, target, weight = rng.random((3, 2)), rng.integers(0, 2, size=(3, 2)) * 1.0, rng.uniform(0.5, 2, size=(2,))
    show(p=p, target=target, weight=weight)
    t, y, w = tt.Tensor(p), tt.Tensor(target), tt.Tensor(weight)
    single = tt.Tensor(p.astype(np.float32)), tt.Tensor(target.astype(np.float32))
    return {
        **_reductions(tt, lambda **how: tt.binary_cross_entropy(t, y, **how)),
        "weighted": tt.binary_cross_entropy(t, y, w),
        "soft targets": tt.binary_cross_entropy(t, tt.Tensor(p[::-1])),
        "in float32": tt.binary_cross_entropy(*single),
        "as a module": tt.BCELoss(reduction="sum")(t, y),
    }


def binary_cross_entropy_at_the_ends(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    p, target = np.array([0.0, 1.0, 0.0, 1.0, 1e-60, rng.random()]), np.array([0.0, 1.0, 1.0, 0.0, 1.0, rng.random()])
    show(p=p, target=target)
    t, y = tt.Tensor(p), tt.Tensor(target)
    return _inside(tt, lambda: tt.binary_cross_entropy(t, y, reduction="none"))


def binary_cross_entropy_refuses(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    n = int(rng.integers(2, 30))
    p = rng.random(n)
    scores = p * 3 + 1
    show(p=p, scores=scores)
    t = tt.Tensor(p)
    return {
        "what fits": tt.binary_cross_entropy(t, t),
        "scores": show.raises(lambda: tt.binary_cross_entropy(tt.Tensor(scores), t)).split()[0],
        "below 0": show.raises(lambda: tt.binary_cross_entropy(tt.Tensor(-scores), t)).split()[0],
        "shapes": show.raises(lambda: tt.binary_cross_entropy(t, t[:1]), (n,), (1,)),
    }


def binary_cross_entropy_of_scores(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, target = rng.normal(size=(3, 2)) * 2, rng.integers(0, 2, size=(3, 2)) * 1.0
    target[0] = [0, 1]
    weight, pos_weight = rng.uniform(0.5, 2, size=(2,)), rng.uniform(2, 5, size=(2,))
    show(x=x, target=target, weight=weight, pos_weight=pos_weight)
    t, y, w, p = tt.Tensor(x), tt.Tensor(target), tt.Tensor(weight), tt.Tensor(pos_weight)
    loss = tt.binary_cross_entropy_with_logits
    return {
        **_reductions(tt, lambda **how: loss(t, y, **how)),
        "weighted": loss(t, y, w),
        "with pos_weight": loss(t, y, pos_weight=p, reduction="none"),
        "with both": loss(t, y, w, pos_weight=p),
        "as a module": tt.BCEWithLogitsLoss(w, "sum", p)(t, y),
        "shapes": show.raises(lambda: loss(t, y[0]), x.shape, target[0].shape),
    }


def binary_cross_entropy_of_large_scores(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, target = rng.uniform(0.5e4, 1.5e4, 4) * [1, 1, -1, -1], np.array([0.0, 1.0, 0.0, 1.0])
    show(x=x, target=target)
    t, y = tt.Tensor(x), tt.Tensor(target)
    single = tt.Tensor(x.astype(np.float32)), tt.Tensor(target.astype(np.float32))
    loss = tt.binary_cross_entropy_with_logits
    return {
        **_inside(tt, lambda: loss(t, y, reduction="none")),
        "in float32": loss(*single),
        "logarithm for a sure, right yes": np.log(loss(tt.Tensor(x[:1] / 500), y[1:2]).data),
    }


def divergence_of_distributions(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    log_p, target = np.log(rng.dirichlet(np.ones(3), size=4)), rng.dirichlet(np.ones(3), size=4)
    show(log_p=log_p, target=target)
    t, y = tt.Tensor(log_p), tt.Tensor(target)
    return {
        **_reductions(tt, lambda **how: tt.kl_div(t, y, **how)),
        "batchmean": tt.kl_div(t, y, reduction="batchmean"),
        "of logarithms": tt.kl_div(t, tt.Tensor(np.log(target)), log_target=True),
        "of itself": tt.kl_div(t, tt.Tensor(np.exp(log_p)), reduction="batchmean"),
        "in float32": tt.kl_div(tt.Tensor(log_p.astype(np.float32)), tt.Tensor(target.astype(np.float32))),
        "as a module": tt.KLDivLoss("batchmean")(t, y),
        "shapes": show.raises(lambda: tt.kl_div(t, y[0]), log_p.shape, target[0].shape),
    }


def divergence_where_the_target_is_zero(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    log_p, ids = rng.normal(size=(4, 3)) * 1e4, rng.integers(0, 3, size=4)
    target = np.eye(3)[ids]
    show(log_p=log_p, target=target)
    t, y = tt.Tensor(log_p), tt.Tensor(target)
    return _inside(tt, lambda: tt.kl_div(t, y, reduction="none"))


def _reductions(tt: Any, loss: Callable[..., Any]) -> dict[str, Any]:
    """The loss as every reduction has it, and whether each came from an operation, as module 05 needs it."""
    outputs: list[Any] = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any) -> None:
        if phase == "forward":
            outputs.append(output)

    with tt.observe(watch):
        losses = {"mean": loss(), "sum": loss(reduction="sum"), "none": loss(reduction="none")}
    return {**losses, "made of operations": all(any(a is b for b in outputs) for a in losses.values())}


def _inside(tt: Any, loss: Callable[[], Any]) -> dict[str, Any]:
    """What the loss is, and which operations in it gave something that is not finite."""
    infinite = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any) -> None:
        if output is not None and not np.isfinite(np.asarray(output)).all():
            infinite.append(op.name)

    with tt.observe(watch):
        out = loss()
    return {"loss": out, "not finite inside": ", ".join(infinite) or "nothing"}
