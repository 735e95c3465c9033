"""Autograd: derivatives of anything made of primitives (module 05).

Two halves. First the engine: operations on tracked tensors leave a node on the tape, and ``backward`` walks the nodes
from the last to the first, asking each for the gradients of its inputs. Then the rules: one formula for each argument
of each primitive of modules 01 to 04. Knows primitives, tensors and their tape; knows nothing of optimizers.

Rumelhart, Hinton and Williams (1986), Learning Representations by Back-Propagating Errors; the tape with one formula
per argument follows Maclaurin, Duvenaud and Adams (2015), Autograd.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Callable, Collection, Sequence
from contextlib import ContextDecorator
from typing import Any, TypeAlias

import numpy as np

from tt_foundation import activations
from tt_foundation.primitive import (
    Array,
    Kernel,
    Primitive,
    Rule,
    gradient,
    last_write,
    mode,
    register_tape,
    taker,
    tick,
    written_since,
)
from tt_foundation.random import generator_state, set_generator_state
from tt_foundation.rows import Rows, with_rows
from tt_foundation.tensor import (
    Axis,
    Tensor,
    abs,
    add,
    astype,
    broadcast_to,
    divide,
    equal,
    exp,
    getitem,
    greater,
    less,
    log,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    multiply,
    negative,
    permute_dims,
    pow,
    reshape,
    scatter_add,
    setitem,
    sqrt,
    subtract,
    sum,
    swapaxes,
    where,
)

__all__ = ["Leaf", "Node", "Plan", "backward", "checkpoint", "enable_grad", "grad", "no_grad", "register_hook"]

_new = object.__new__

Gradient: TypeAlias = "Array | Tensor"
Hook: TypeAlias = Callable[[Tensor], "Tensor | None"]


class Plan:
    """What the tape keeps of a primitive's calls when a given set of its arguments is tracked, made once."""

    __slots__ = ("arrays", "names", "needs", "of_tracked", "positions", "shapes", "steps", "take")

    def __init__(self, op: Primitive, tracked: int) -> None:
        count = tracked.bit_length()
        self.positions = [i for i in range(count) if tracked >> i & 1]
        self.of_tracked = taker(self.positions)
        arguments = op.arguments * count if op.is_variadic else op.arguments
        rules = [op.rules.get(arguments[i]) for i in self.positions] if op.body is None else []
        named = dict.fromkeys(name for rule in rules if rule is not None for name in rule.needs if name != "i")
        shapes = [name for name in named if name.endswith("_shape") and name not in op.arguments]
        arrays = [name for name in named if name not in shapes]
        self.arrays = [-1 if name == "out" else op.arguments.index(name) for name in arrays]
        self.shapes = [op.arguments.index(name.removesuffix("_shape")) for name in shapes]
        self.names = arrays + shapes
        self.steps = [
            (_no_rule(op, arguments[i]), [], ())
            if rule is None
            else (_of_argument(rule, i), [self.names.index(n) for n in rule.needs if n != "i"], rule.statics)
            for i, rule in zip(self.positions, rules, strict=False)
        ]
        self.take = taker(self.arrays)
        self.needs = tuple(i in self.positions for i in range(len(arguments)))


def _of_argument(rule: Rule, i: int) -> Callable[..., Any]:
    """A rule's formula, told which of ``*arrays`` it is for where it asks."""
    if "i" not in rule.needs:
        return rule.function
    at = rule.needs.index("i")
    return lambda g, *values, **params: rule.function(g, *values[:at], i, *values[at:], **params)


def _no_rule(op: Primitive, argument: str) -> Callable[..., Any]:
    """A rule that says there is none."""

    def rule(g: Any) -> Any:
        raise RuntimeError(f"{op.name} has no gradient with respect to {argument!r}")

    return rule


class Node:
    """One operation on the tape: what ran, what its rules need, and the nodes its tracked inputs came from."""

    __slots__ = (
        "__weakref__", "dtype", "hooks", "inputs", "kept", "kernel", "op", "params", "parents", "plan", "seq", "shape",
    )  # fmt: skip

    op: Primitive
    kernel: Kernel
    plan: Plan
    parents: list[Node | Leaf]
    params: dict[str, Any]
    kept: tuple[Any, ...] | None
    inputs: Sequence[Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    hooks: list[Hook] | None
    seq: int


class Leaf:
    """Where a walk ends: a tensor that requires a gradient and that no operation made."""

    __slots__ = ("__weakref__", "dtype", "hooks", "shape", "tensor")
    op = None
    seq = 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)
        self.shape = tensor.data.shape
        self.dtype = tensor.data.dtype
        self.hooks: list[Hook] | None = None


def _node_of(tensor: Tensor) -> Node | Leaf:
    """The place on the tape of a tensor that requires a gradient."""
    if tensor.node is None or (tensor.node.op is None and tensor.node.shape != tensor.data.shape):
        tensor.node = Leaf(tensor)
    node: Node | Leaf = tensor.node
    return node


def record(
    op: Primitive,
    kernel: Kernel,
    args: tuple[Any, ...],
    arrays: list[Any],
    params: dict[str, Any],
    out: Array,
    saved: Any,
    tracked: int,
) -> Node:
    """Put an operation on the tape, with exactly what the rules of its tracked arguments name."""
    plan = op.plans.get(tracked)
    if plan is None:
        plan = op.plans[tracked] = Plan(op, tracked)
    parents: list[Node | Leaf] = []
    for a in plan.of_tracked(args):
        parents.append(a.node or _node_of(a))
    node = _new(Node)
    node.op, node.kernel, node.plan = op, kernel, plan
    node.parents, node.params, node.inputs = parents, params, ()
    node.shape, node.dtype = out.shape, out.dtype
    node.hooks = None
    node.seq = tick()
    if op.body is not None:
        node.inputs = arrays
        node.kept = kernel.take((saved, out, plan.needs))
    elif op.is_variadic:
        shapes = tuple([np.shape(a) for a in arrays])
        node.kept = (*(out if i < 0 else tuple(arrays) for i in plan.arrays), *(shapes for _ in plan.shapes))
    else:
        arrays.append(out)
        node.kept = plan.take(arrays)
        if plan.shapes:
            node.kept += tuple([np.shape(arrays[i]) for i in plan.shapes])
    return node


class _GradMode(ContextDecorator):
    """Switches recording for this thread, for a ``with`` block or a decorated function."""

    enabled: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode().grad_enabled)
        mode().grad_enabled = self.enabled

    def __exit__(self, *error: object) -> None:
        mode().grad_enabled = self._before.pop()


class no_grad(_GradMode):  # noqa: N801 - PyTorch's name
    """Record nothing: what is computed inside cannot be differentiated and keeps nothing alive."""

    enabled = False


class enable_grad(_GradMode):  # noqa: N801 - PyTorch's name
    """Record again inside a :class:`no_grad`."""

    enabled = True


def backward(
    root: Tensor,
    gradient: Tensor | Array | None = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradient of ``root`` to ``grad`` of every leaf that it was made from.

    Args:
        root: a tensor that requires a gradient.
        gradient: the gradient of what is differentiated with respect to ``root``; 1 for a root of one element.
        retain_graph: keep what the tape holds, so that it can be walked again.
        create_graph: record the walk too, so that the gradients can be differentiated.

    Raises:
        RuntimeError: ``root`` requires no gradient, the tape was freed, or a kept array was written in place.
        ValueError: ``gradient`` is missing for a root of several elements, or has another shape.
    """
    seed = gradient.data if isinstance(gradient, Tensor) else gradient
    taken = set() if seed is None else {id(seed if seed.base is None else seed.base)}
    for leaf, g in _walk([root], [gradient], retain_graph or create_graph, create_graph).items():
        tensor = leaf.tensor()
        if tensor is None:
            continue
        if create_graph:
            tensor.grad = g if tensor.grad is None else tensor.grad + g
        elif type(g) is Rows:
            tensor.grad = with_rows(tensor.grad, g)
        elif tensor.grad is not None:
            with no_grad():
                tensor.grad += g
        else:
            base = g.base
            owner = id(g if base is None else base)
            if owner in taken or not _lies_as(g, tensor.data):
                copy = np.empty_like(tensor.data, subok=False)
                copy[...] = g
                g, owner = copy, id(copy)
            taken.add(owner)
            tensor.grad = Tensor(g)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Sequence[Tensor],
    gradients: Sequence[Tensor | Array | None] | None = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> list[Tensor]:
    """The gradients of ``outputs`` with respect to ``inputs``, leaving every ``grad`` alone.

    An input that the outputs were not made from has gradient zero.

    Raises:
        RuntimeError, ValueError: as :func:`backward`.
    """
    roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    for i, x in enumerate(inputs):
        if not x.requires_grad:
            raise RuntimeError(f"input {i} requires no gradient")
    wanted = [_node_of(x) for x in inputs]
    seeds = list(gradients) if gradients is not None else [None] * len(roots)
    found = _walk(roots, seeds, retain_graph or create_graph, create_graph, set(wanted))
    results: list[Tensor] = []
    for x, node in zip(inputs, wanted, strict=True):
        part = found.get(node)
        zero = np.zeros_like(x.data) if part is None else part
        results.append(zero if isinstance(zero, Tensor) else Tensor(np.array(zero)))
    return results


def register_hook(tensor: Tensor, hook: Hook) -> Callable[[], None]:
    """Call ``hook(gradient)`` with the whole gradient of ``tensor`` in every walk; what it returns replaces it.

    Returns a function that removes the hook.

    Raises:
        RuntimeError: ``tensor`` requires no gradient.
    """
    if not tensor.requires_grad:
        raise RuntimeError("a tensor that requires no gradient has none to hook")
    node = _node_of(tensor)
    node.hooks = hooks = [*(node.hooks or []), hook]

    def remove() -> None:
        if hook in hooks:
            hooks.remove(hook)

    return remove


def _walk(
    roots: Sequence[Tensor],
    seeds: Sequence[Tensor | Array | None],
    retain: bool,
    create_graph: bool,
    wanted: Collection[Node | Leaf] = (),
) -> dict[Any, Any]:
    """Walk the tape from ``roots``, last operation first; the gradients of the leaves reached and of nodes ``wanted``.

    Several leaves may have one array, or views of it, as their gradient; so may a leaf and a seed.
    """
    heap: list[tuple[int, Node]] = []
    gradients: dict[Node | Leaf, Any] = {}
    found: dict[Node | Leaf, Gradient] = {}
    push, pop = heapq.heappush, heapq.heappop

    now = mode()
    was_enabled, watching = now.grad_enabled, now.observers
    now.grad_enabled, now.observers = create_graph, ()
    try:
        with np.errstate(all="ignore"):  # an infinite gradient is an answer, as it is in the forward pass
            for root, seed in zip(roots, seeds, strict=True):
                to: Any = _node_of(root)
                part = _seed(root, seed, create_graph)
                if to in gradients:
                    part = gradients[to] + part
                elif to.op is not None:
                    push(heap, (-to.seq, to))
                gradients[to] = part
            latest = last_write()
            while heap:
                node = pop(heap)[1]
                g = gradients.pop(node)
                if node.hooks:
                    g = _run_hooks(node.hooks, g)
                    latest = last_write()
                if wanted and node in wanted:
                    found[node] = g
                if node.kept is None:
                    raise RuntimeError(f"the tape of {node.op.name} was freed: use retain_graph=True to walk it twice")
                if node.seq < latest:
                    _check_unwritten(node)
                if watching:
                    for observer in watching:
                        observer(node.op, "backward", (node, g), node.params, None)
                plan = node.plan
                parents: Sequence[Any] = node.parents
                if not plan.steps:
                    rule, statics = node.kernel.rule, node.kernel.statics
                    if rule is None or create_graph:
                        parents, parts = _splice(node, g)
                    elif statics:
                        parts = plan.of_tracked(rule(g, *node.kept, **_statics(statics, node.params)))
                    else:
                        parts = plan.of_tracked(rule(g, *node.kept))
                else:
                    kept = _as_tensors(node) if create_graph else node.kept
                    parts = []
                    for rule, places, statics in plan.steps:
                        if statics:
                            parts.append(rule(g, *[kept[i] for i in places], **_statics(statics, node.params)))
                        elif not places:
                            parts.append(rule(g))
                        elif len(places) == 1:
                            parts.append(rule(g, kept[places[0]]))
                        else:
                            parts.append(rule(g, *[kept[i] for i in places]))
                if watching:
                    for observer in watching:
                        observer(node.op, "backward", (node, g), node.params, parts)
                if not retain:
                    node.kept, node.inputs = None, ()
                for to, part in zip(parents, parts):  # noqa: B905 - as many, by construction
                    if part is None:
                        continue
                    if part.shape != to.shape:
                        part = _unbroadcast(part, to.shape, node)
                    if part.dtype is not to.dtype:
                        part = astype(part, dtype=to.dtype)
                    if to in gradients:
                        gradients[to] = gradients[to] + part
                    else:
                        gradients[to] = part
                        if to.op is not None:
                            push(heap, (-to.seq, to))
            for leaf, g in gradients.items():  # all nodes have been popped
                found[leaf] = _run_hooks(leaf.hooks, g) if leaf.hooks else g
            return found
    finally:
        now.grad_enabled, now.observers = was_enabled, watching


def _seed(root: Tensor, seed: Tensor | Array | None, create_graph: bool) -> Gradient:
    """The gradient that a walk starts with."""
    if not root.requires_grad:
        raise RuntimeError("backward needs a tensor that requires grad: nothing it was made from does")
    if seed is None:
        if root.size != 1:
            raise ValueError(f"backward needs a gradient for an output of shape {root.shape}; or sum it first")
        seed = np.asarray(1, root.dtype).reshape(root.shape)
    if seed.shape != root.shape:
        raise ValueError(f"backward needs a gradient of shape {root.shape}, got {seed.shape}")
    if create_graph:
        return seed if isinstance(seed, Tensor) else Tensor(seed)
    return seed.data if isinstance(seed, Tensor) else seed


def _run_hooks(hooks: list[Hook], g: Gradient) -> Gradient:
    for hook in list(hooks):
        result = hook(g if isinstance(g, Tensor) else Tensor(np.array(g)))
        if result is not None:
            if result.shape != g.shape:
                raise ValueError(f"a hook must return a gradient of shape {g.shape}, got {result.shape}")
            g = result if isinstance(g, Tensor) else result.data
    return g


def _flat(kept: tuple[Any, ...] | None) -> list[Any]:
    """The kept values, with what is in tuples beside the rest."""
    values: list[Any] = []
    for value in kept or ():
        if type(value) is tuple:
            values.extend(value)
        else:
            values.append(value)
    return values


def _lies_as(g: Array, data: Array) -> bool:
    """Whether a gradient fills memory of its own, and lies in it as its leaf does."""
    if g.strides != data.strides:
        return False
    base = g.base
    return base is None or (type(base) is np.ndarray and base.size == g.size and g.flags.writeable)


def _check_unwritten(node: Node) -> None:
    """Raise if an array that the node kept was written in place after the node ran."""
    array = written_since(node.kept or (), node.seq)
    if array is None and (node.op.body is not None or node.op.is_variadic):
        array = written_since([*_flat(node.kept), *node.inputs], node.seq)
    if array is not None:
        raise RuntimeError(
            f"an array of shape {array.shape} that {node.op.name} kept for its gradient was written in place after "
            "it ran: make a new array instead, or write after backward"
        )


def _statics(names: tuple[str, ...], params: dict[str, Any]) -> dict[str, Any]:
    """The static parameters of a call that a rule names."""
    return {name: params[name] for name in names if name in params}


def _as_tensors(node: Node) -> list[Any]:
    """What a plain primitive's node kept, as tensors attached where they came from, so that rules are recorded."""
    op, plan = node.op, node.plan
    parents = dict(zip(plan.positions, node.parents, strict=True))
    tensors: list[Any] = []
    for name, value in zip(plan.names, node.kept or (), strict=True):
        if name == "out":
            tensors.append(_attached(value, node))
        elif name not in op.arguments:
            tensors.append(value)
        elif op.is_variadic:
            tensors.append(tuple(_attached(v, parents.get(i)) for i, v in enumerate(value)))
        else:
            tensors.append(_attached(value, parents.get(op.arguments.index(name))))
    return tensors


def _attached(value: Any, parent: Node | Leaf | None) -> Any:
    """A tensor over a kept array, made by ``parent``; numbers and None as they are."""
    if type(value) is not np.ndarray:
        return value
    tensor = Tensor(value)
    tensor.node, tensor.requires_grad = parent, parent is not None
    return tensor


def _splice(node: Node, g: Gradient) -> tuple[Sequence[Any], Sequence[Any]]:
    """Run the body of a fused primitive on the node's inputs: the walk goes on through what that records."""
    parents = dict(zip(node.plan.positions, node.parents, strict=True))
    args = [_attached(a, parents.get(i)) for i, a in enumerate(node.inputs)]
    now = mode()
    create_graph, now.grad_enabled = now.grad_enabled, True
    try:
        assert node.op.body is not None
        out = node.op.body(*args, **node.params)
    finally:
        now.grad_enabled = create_graph
    if isinstance(out, Tensor) and out.requires_grad:
        return [_node_of(out)], [g]
    return [], []


def _unbroadcast(part: Any, shape: tuple[int, ...], node: Node | None) -> Any:
    """Undo broadcasting: sum over the axes that were repeated."""
    extra = len(part.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, size in enumerate(shape) if size == 1 and part.shape[i + extra] != 1
    )
    total = sum(part, axis=axes, keepdims=True) if axes else part
    if extra < 0 or total.shape[extra:] != shape:
        name = "the body of a fused primitive" if node is None else f"a rule of {node.op.name}"
        raise ValueError(f"{name} gave a gradient of shape {part.shape} for an argument of shape {shape}")
    return reshape(total, shape=shape)


def checkpoint(function: Callable[..., Tensor], *args: Tensor) -> Tensor:
    """``function(*args)``, keeping only the arguments on the tape and computing the rest again in ``backward``.

    The process's generator is put back for the second run, so that dropout draws the same.

    Chen, Xu, Zhang and Guestrin (2016), Training Deep Nets with Sublinear Memory Cost.
    """
    before = generator_state()

    def body(*tensors: Any) -> Tensor:
        now = generator_state()
        set_generator_state(before)
        try:
            return function(*tensors)
        finally:
            set_generator_state(now)

    def forward(*arrays: Any) -> Array:
        with no_grad():
            return function(*(Tensor(a) if type(a) is np.ndarray else a for a in arrays)).data

    op = Primitive(forward, body)
    op.name = f"checkpoint({getattr(function, '__name__', type(function).__name__)})"
    out: Tensor = op(*args)
    if mode().grad_enabled and not out.requires_grad:  # what the function closes over may still want a gradient
        out.node = record(op, op.reference, args, [a.data for a in args], {}, out.data, None, 0)
        out.requires_grad = True
    return out


class _TheTape:
    record = staticmethod(record)
    backward = staticmethod(backward)


register_tape(_TheTape())


@gradient(add, "x")
def add_wrt_x(g: Array) -> Array:
    """What comes back belongs to ``x``; ``g`` belongs to the sum. Broadcasting need not be undone here."""
    return g


@gradient(add, "y")
def add_wrt_y(g: Array) -> Array:
    return g


@gradient(subtract, "x")
def subtract_wrt_x(g: Array) -> Array:
    return g


@gradient(subtract, "y")
def subtract_wrt_y(g: Array) -> Array:
    """The difference falls as ``y`` grows."""
    return negative(g)


@gradient(multiply, "x")
def multiply_wrt_x(g: Array, y: Array) -> Array:
    return g * y


@gradient(multiply, "y")
def multiply_wrt_y(g: Array, x: Array) -> Array:
    return g * x


@gradient(divide, "x")
def divide_wrt_x(g: Array, y: Array) -> Array:
    return divide(g, y)


@gradient(divide, "y")
def divide_wrt_y(g: Array, x: Array, y: Array) -> Array:
    """``x / y`` is ``x`` times the power -1 of ``y``."""
    return divide(-g * x, y * y)


@gradient(negative, "x")
def negative_wrt_x(g: Array) -> Array:
    return -g


@gradient(pow, "x")
def pow_wrt_x(g: Array, x: Array, y: Array) -> Array:
    """Where the exponent is 0 the power is constant: 0 there, at ``x`` = 0 too."""
    if isinstance(y, int | float):
        return g * (y * pow(x, y - 1)) if y else g * 0
    return g * (y * pow(x, where(equal(y, 0), 1, y - 1)))


@gradient(pow, "y")
def pow_wrt_y(g: Array, x: Array, out: Array) -> Array:
    """At ``x`` = 0 the gradient is 0, not the NaN of ``0 * log(0)``."""
    return g * (out * log(where(equal(x, 0), 1, x)))


@gradient(exp, "x")
def exp_wrt_x(g: Array, out: Array) -> Array:
    return g * out


@gradient(log, "x")
def log_wrt_x(g: Array, x: Array) -> Array:
    return divide(g, x)


@gradient(sqrt, "x")
def sqrt_wrt_x(g: Array, out: Array) -> Array:
    return divide(g, 2 * out)


@gradient(abs, "x")
def abs_wrt_x(g: Array, x: Array) -> Array:
    """The slope is 1 above 0, -1 below, and taken as 0 at the kink."""
    return where(less(x, 0), -g, g * greater(x, 0))


@gradient(maximum, "x")
def maximum_wrt_x(g: Array, x: Array, y: Array) -> Array:
    """The larger of two gets the whole gradient; of two equals each gets half."""
    return g * _share(greater(x, y), equal(x, y), g)


@gradient(maximum, "y")
def maximum_wrt_y(g: Array, x: Array, y: Array) -> Array:
    return g * _share(less(x, y), equal(x, y), g)


@gradient(minimum, "x")
def minimum_wrt_x(g: Array, x: Array, y: Array) -> Array:
    """The smaller of two gets the whole gradient; of two equals each gets half."""
    return g * _share(less(x, y), equal(x, y), g)


@gradient(minimum, "y")
def minimum_wrt_y(g: Array, x: Array, y: Array) -> Array:
    return g * _share(greater(x, y), equal(x, y), g)


def _share(wins: Any, ties: Any, like: Array) -> Any:
    """1 for a winner, one half where two are equal: what each gets of the gradient."""
    return astype(wins, dtype=like.dtype) + astype(ties, dtype=like.dtype) * 0.5


@gradient(where, "x")
def where_wrt_x(g: Array, condition: Array) -> Array:
    """``x`` gets the gradient where it was chosen."""
    return where(condition, g, 0)


@gradient(where, "y")
def where_wrt_y(g: Array, condition: Array) -> Array:
    return where(condition, 0, g)


@gradient(matmul, "x")
def matmul_wrt_x(g: Array, x_shape: tuple[int, ...], y: Array) -> Array:
    """Of ``x``'s shape, but for axes that were broadcast; an axis that a vector lost in the product comes back."""
    if len(y.shape) == 1:
        return _column(g) * y if len(x_shape) > 1 else g * y
    if len(x_shape) == 1:
        return matmul(y, _column(g))[..., 0]
    return matmul(g, swapaxes(y))


@gradient(matmul, "y")
def matmul_wrt_y(g: Array, x: Array, y_shape: tuple[int, ...]) -> Array:
    """Of ``y``'s shape, but for axes that were broadcast; as :func:`matmul_wrt_x`."""
    if len(y_shape) == 1:
        return _column(g) * x if len(x.shape) > 1 else g * x
    if len(x.shape) == 1:
        return _column(x) * reshape(g, shape=(*g.shape[:-1], 1, g.shape[-1]))
    return matmul(swapaxes(x), g)


def _column(x: Array) -> Array:
    return reshape(x, shape=(*x.shape, 1))


@gradient(sum, "x")
def sum_wrt_x(g: Array, x_shape: tuple[int, ...], *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Every element went into its sum once."""
    return broadcast_to(_keepdims(g, x_shape, axis), shape=x_shape)


@gradient(mean, "x")
def mean_wrt_x(g: Array, x_shape: tuple[int, ...], *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Every element went into its mean with a share of one over their number."""
    g = _keepdims(g, x_shape, axis)
    count = np.prod(x_shape, dtype=int) // np.prod(g.shape, dtype=int) if 0 not in g.shape else 1
    return broadcast_to(g / int(count) if count else g, shape=x_shape)


@gradient(max, "x")
def max_wrt_x(g: Array, x: Array, out: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest gets the gradient; equals share it."""
    return _to_extreme(g, x, out, axis)


@gradient(min, "x")
def min_wrt_x(g: Array, x: Array, out: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest gets the gradient; equals share it."""
    return _to_extreme(g, x, out, axis)


def _to_extreme(g: Array, x: Array, out: Array, axis: Axis) -> Array:
    """The gradient of a largest or smallest element, in equal shares where several are."""
    is_extreme = astype(equal(x, _keepdims(out, x.shape, axis)), dtype=x.dtype)
    return is_extreme * (_keepdims(g, x.shape, axis) / sum(is_extreme, axis=axis, keepdims=True))


def _keepdims(g: Array, shape: tuple[int, ...], axis: Axis) -> Array:
    """A reduction of something of ``shape`` over ``axis``, with the reduced axes back, of size 1."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = {a % len(shape) for a in axes} if shape else set()
    return reshape(g, shape=tuple(1 if i in reduced else n for i, n in enumerate(shape)))


@gradient(reshape, "x")
def reshape_wrt_x(g: Array, x_shape: tuple[int, ...]) -> Array:
    """The elements back in their first shape."""
    return reshape(g, shape=x_shape)


@gradient(permute_dims, "x")
def permute_dims_wrt_x(g: Array, *, axes: tuple[int, ...]) -> Array:
    """The axes back where they came from."""
    order = [a % len(axes) for a in axes]
    return permute_dims(g, axes=tuple(order.index(i) for i in range(len(order))))


@gradient(swapaxes, "x")
def swapaxes_wrt_x(g: Array, *, axis1: int = -1, axis2: int = -2) -> Array:
    """An exchange undoes itself."""
    return swapaxes(g, axis1=axis1, axis2=axis2)


@gradient(broadcast_to, "x")
def broadcast_to_wrt_x(g: Array) -> Array:
    """The engine sums over what was repeated."""
    return g


@gradient(astype, "x")
def astype_wrt_x(g: Array) -> Array:
    """The engine gives every gradient its argument's type."""
    return g


@gradient(getitem, "x")
def getitem_wrt_x(g: Array, x_shape: tuple[int, ...], *, index: Any) -> Array:
    """Zero but at the index; an element that was taken twice gets the sum of both."""
    return scatter_add(g, index=index, shape=x_shape)


@gradient(scatter_add, "values")
def scatter_add_wrt_values(g: Array, *, index: Any) -> Array:
    return getitem(g, index=index)


@gradient(setitem, "x")
def setitem_wrt_x(g: Array, *, index: Any) -> Array:
    """What was overwritten gets nothing."""
    return setitem(g, np.zeros((), g.dtype), index=index)


@gradient(setitem, "value")
def setitem_wrt_value(g: Array, *, index: Any) -> Array:
    """Of the shape of what was written; broadcasting need not be undone here."""
    return getitem(g, index=index)


@gradient(activations.relu, "x")
def relu_wrt_x(g: Array, out: Array) -> Array:
    """The slope is 1 where the output is positive and 0 elsewhere, at the kink too."""
    return g * greater(out, 0)


@gradient(activations.sigmoid, "x")
def sigmoid_wrt_x(g: Array, out: Array) -> Array:
    """The slope is ``out (1 - out)``: no second exponential."""
    return g * out * (1 - out)


@gradient(activations.tanh, "x")
def tanh_wrt_x(g: Array, out: Array) -> Array:
    """The slope is ``1 - out^2``."""
    return g * (1 - out * out)


@gradient(activations.softplus, "x")
def softplus_wrt_x(g: Array, x: Array, *, beta: float = 1.0) -> Array:
    """The slope of a smooth relu is a smooth step."""
    return g * activations.sigmoid(beta * x)
