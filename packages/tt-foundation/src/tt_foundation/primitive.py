"""Primitives: named functions from arrays to an array, and what can be hung on one.

A primitive's NumPy body is its specification. Rules (gradients), kernels (faster bodies for a backend) and observers
(profilers, checkers, exporters) attach from outside, by the decorators below; higher tiers and third parties use the
same ones as this package. Knows nothing of any particular operation, tensor class or tape: those register themselves.

::

    @primitive                                      @gradient(square, "x")
    def square(x: Array) -> Array:                  def square_wrt_x(g: Array, x: Array) -> Array:
        return np.multiply(x, x)                        return g * 2 * x
"""

from __future__ import annotations

import inspect
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from types import ModuleType
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tt_foundation.tensor import Tensor

__all__ = [
    "AffineOptional",
    "Array",
    "Binary",
    "BinaryOptional",
    "Kernel",
    "Mode",
    "Nary",
    "Observer",
    "Phase",
    "Primitive",
    "Procedure",
    "Rule",
    "Scalar",
    "Tape",
    "Ternary",
    "TernaryOptional",
    "Unary",
    "backends",
    "current_backend",
    "fused",
    "gradient",
    "kernel",
    "last_write",
    "mode",
    "observe",
    "observers",
    "primitive",
    "procedure",
    "reference_only",
    "register_backend",
    "register_tape",
    "register_tensor",
    "scope",
    "tape",
    "tensor_class",
    "tick",
    "use_backend",
    "written_since",
    "wrote",
]

Array: TypeAlias = npt.NDArray[Any]
Scalar: TypeAlias = bool | int | float
Phase: TypeAlias = Literal["forward", "backward", "scope"]
P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])


class Observer(Protocol):
    """Called before each operation, layer scope and backward rule with ``output=None``, and after it with that."""

    def __call__(
        self, op: Any, phase: Phase, inputs: Sequence[Any], params: Mapping[str, Any], output: Any, /
    ) -> None: ...


class Tape(Protocol):
    """What autograd registers: how an operation is remembered and how a gradient is asked for."""

    def record(
        self,
        op: Primitive,
        kernel: Kernel,
        args: tuple[Any, ...],
        arrays: list[Any],
        params: dict[str, Any],
        out: Array,
        saved: Any,
        tracked: int,
    ) -> Any:
        """Remember an operation; bit ``i`` of ``tracked`` says whether argument ``i`` wants a gradient."""
        ...

    def backward(
        self, root: Any, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False
    ) -> None: ...


class Mode:
    """What is switched per thread: gradient recording, the backend, the observers."""

    __slots__ = ("backend", "grad_enabled", "observers")

    def __init__(self) -> None:
        self.grad_enabled = True
        self.backend = os.environ.get("TT_BACKEND", "numpy")
        self.observers: tuple[Observer, ...] = ()


class _Thread(threading.local):
    def __init__(self) -> None:
        self.mode = Mode()


here = _Thread()
"""This thread's switches are ``here.mode``."""


def mode() -> Mode:
    """This thread's switches."""
    return here.mode


tick = itertools.count(1).__next__
"""The framework's clock: orders operations and writes."""

_new = object.__new__
_Tensor: type[Any] = type("NoTensorYet", (), {})
_tape: Tape | None = None
_record: Callable[..., Any] | None = None
_NumPyArray, _NumPyScalar = np.ndarray, np.generic  # looked up at every call of an operation


def register_tensor(cls: type[Any]) -> None:
    """Make ``cls`` the tensor class: it has ``data``, ``requires_grad``, ``grad`` and ``node``, and wraps an array."""
    global _Tensor
    _Tensor = cls


def tensor_class() -> type[Any]:
    """The registered tensor class."""
    return _Tensor


def register_tape(new: Tape | None) -> None:
    """Make ``new`` the tape; while there is none, nothing is tracked."""
    global _tape, _record
    _tape, _record = new, None if new is None else new.record


def tape() -> Tape:
    """The registered tape.

    Raises:
        RuntimeError: there is none yet.
    """
    if _tape is None:
        raise RuntimeError("gradients need autograd: import tt_foundation.autograd")
    return _tape


_writes: dict[int, list[Any]] = {}  # address -> weak reference to the owner, moment of its last write
_last_write = [0]


def _owner(array: Array) -> Array:
    """The array whose memory ``array`` shows."""
    while type(array.base) is np.ndarray:
        array = array.base
    return array


def wrote(*arrays: Array | None) -> None:
    """Enter an in-place write to ``arrays`` in the write log; every such operation of the library calls this."""
    _last_write[0] = moment = tick()
    last = None
    for array in arrays:
        if array is None or (last is not None and array.base is last):
            continue
        last = owner = array if array.base is None else _owner(array)
        entry = _writes.get(id(owner))  # of this very array: an entry goes when its array does
        if entry is None:
            _writes[id(owner)] = [_watched(owner), moment]
        else:
            entry[1] = moment


def _watched(owner: Array) -> weakref.ref[Array]:
    """A weak reference to an array that takes its entry out of the write log when the array goes."""
    key = id(owner)
    return weakref.ref(owner, lambda _: _writes.pop(key, None))


def last_write() -> int:
    """The moment of :func:`tick` at which any array was last written in place; 0 if none was."""
    return _last_write[0]


def written_since(values: Sequence[Any], moment: int) -> Array | None:
    """The first array among ``values`` whose memory was written in place after ``moment`` of :func:`tick`."""
    for value in values:
        if type(value) is np.ndarray:
            entry = _writes.get(id(value if value.base is None else _owner(value)))
            if entry is not None and entry[1] > moment:
                return value
    return None


def taker(indices: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A function that takes the elements at ``indices`` out of a sequence, as fast as can be."""
    if len(indices) > 1:
        return itemgetter(*indices)
    return (lambda values: (values[indices[0]],)) if indices else lambda values: ()


class Kernel:
    """One implementation of a primitive, and the pair rule that understands what it saved, if it has one."""

    __slots__ = ("function", "needs", "op", "rule", "statics", "take", "tolerance")

    def __init__(self, op: Primitive, function: Callable[..., Any], tolerance: float = 0.0) -> None:
        self.op = op
        self.function = function
        self.tolerance = tolerance
        self.rule: Callable[..., Any] | None = None
        self.needs: tuple[str, ...] = ()
        self.statics: tuple[str, ...] = ()
        self.take = taker([])

    def __call__(self, *arrays: Any, **params: Any) -> Any:
        return self.function(*arrays, **params)

    def gradient(self, rule: F) -> F:
        """Attach the pair's rule: ``rule(g, ...)`` naming any of ``saved``, ``out``, ``needs`` and static parameters.

        It returns one gradient (or None) for each positional argument of the primitive; ``needs[i]`` tells whether
        argument ``i`` wants one. It sees arrays only, never writes into ``g``, and gives new arrays, ``g`` or views of
        it.
        """
        self.needs, self.statics = _signature(rule)
        unknown = set(self.needs) - {"saved", "out", "needs"}
        if unknown:
            raise TypeError(f"a pair's rule may name saved, out and needs; {rule.__name__} names {sorted(unknown)}")
        self.take = taker([("saved", "out", "needs").index(name) for name in self.needs])
        self.rule = rule
        return rule


class Rule:
    """A gradient formula for one argument: what it names of the call, in order."""

    __slots__ = ("function", "needs", "statics")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.needs, self.statics = _signature(function)


def _signature(rule: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names a rule takes after ``g``: (positional, keyword-only)."""
    parameters = list(inspect.signature(rule).parameters.values())[1:]
    statics = tuple(p.name for p in parameters if p.kind == p.KEYWORD_ONLY)
    return tuple(p.name for p in parameters if p.kind != p.KEYWORD_ONLY), statics


class Primitive:
    """A named function from arrays to an array: called with tensors it returns a tensor, with arrays an array.

    Positional parameters are arrays (or None, or ``*arrays``); keyword-only ones are static. A fused primitive
    (``body`` is not None) is a composite: its body, written in primitives, is its definition.
    """

    def __init__(self, function: Callable[..., Any], body: Callable[..., Any] | None = None) -> None:
        self.name: str = function.__name__
        self.body = body
        self.reference = Kernel(self, function)
        self.kernels: dict[str, Kernel] = {}
        self.rules: dict[str, Rule] = {}
        parameters = inspect.signature(function).parameters.values()
        self.arguments = tuple(p.name for p in parameters if p.kind != p.KEYWORD_ONLY)
        self.is_variadic = any(p.kind == p.VAR_POSITIONAL for p in parameters)
        self.plans: dict[int, Any] = {}
        self._chains: dict[str, tuple[Kernel, ...]] = {}
        self.__name__ = self.__qualname__ = function.__name__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __call__(self, *args: Any, **params: Any) -> Any:
        now = here.mode
        if now.observers:
            return self._observed(args, params)
        arrays: list[Any] = []
        has_tensor = False
        tracked, bit = 0, 1
        for a in args:
            if isinstance(a, _Tensor):
                has_tensor = True
                if a.requires_grad:
                    tracked += bit
                arrays.append(a.data)
            elif a is None or not isinstance(a, _NumPyScalar):
                arrays.append(a)
            else:  # beside a tensor np.sqrt(2) is as weak as 2.0 is: it must not turn float32 into float64
                arrays.append(float(a) if type(a) is np.float64 and len(args) > 1 else np.asarray(a))
            bit += bit
        saved = None
        for implementation in self._chains.get(now.backend) or self._chain(now.backend):
            out = implementation.function(*arrays, **params)
            if out is not NotImplemented:
                break
        if type(out) is tuple:
            out, saved = out
        if type(out) is not _NumPyArray:
            out = np.asarray(out)
        if not has_tensor:
            return out
        result: Any = _new(_Tensor)
        result.data = out
        result.grad = None
        if tracked and now.grad_enabled and _record is not None and out.dtype.kind == "f":
            result.node = _record(self, implementation, args, arrays, params, out, saved, tracked)
            result.requires_grad = True
        else:
            result.node = None
            result.requires_grad = False
        return result

    def _observed(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Tell the observers before and after; they see the operation that was called, not those its body calls."""
        watching = here.mode.observers
        for observer in watching:
            observer(self, "forward", args, params, None)
        here.mode.observers = ()
        try:
            out = self(*args, **params)
        finally:
            here.mode.observers = watching
        for observer in watching:
            observer(self, "forward", args, params, out)
        return out

    def _chain(self, backend: str) -> tuple[Kernel, ...]:
        """The implementations to ask under ``backend``, first to last."""
        found = [self.kernels[name] for name in _fallbacks(backend) if name in self.kernels]
        self._chains[backend] = (*found, self.reference)
        return self._chains[backend]

    def __repr__(self) -> str:
        return f"<{'fused ' if self.body else ''}primitive {self.name}>"


class Procedure:
    """A function that writes into the arrays named in ``writes`` and returns None; backends replace it too."""

    def __init__(self, function: Callable[..., None], writes: tuple[str, ...]) -> None:
        self.name = self.__name__ = self.__qualname__ = function.__name__
        self.reference = function
        self.kernels: dict[str, Callable[..., Any]] = {}
        self._chains: dict[str, tuple[Callable[..., Any], ...]] = {}
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        names = list(inspect.signature(function).parameters)
        self.writes = tuple(names.index(name) for name in writes)

    def __call__(self, *args: Any, **params: Any) -> None:
        arrays = [_unwrap(a) for a in args]
        now = here.mode
        watching, now.observers = now.observers, ()
        for observer in watching:
            observer(self, "forward", args, params, None)
        try:
            for implementation in self._chains.get(now.backend) or self._chain(now.backend):
                if implementation(*arrays, **params) is not NotImplemented:
                    break
        finally:
            for i in self.writes:
                a = arrays[i]
                if type(a) is list:
                    wrote(*a)
                else:  # an array, or a list of views of one
                    wrote(getattr(a, "memory", a))
            now.observers = watching
        for observer in watching:
            observer(self, "forward", args, params, args)

    def _chain(self, backend: str) -> tuple[Callable[..., Any], ...]:
        """The implementations to ask under ``backend``, first to last."""
        found = [self.kernels[name] for name in _fallbacks(backend) if name in self.kernels]
        self._chains[backend] = (*found, self.reference)
        return self._chains[backend]

    def __repr__(self) -> str:
        return f"<procedure {self.name}>"


def _unwrap(a: Any) -> Any:
    """The array of a tensor, the arrays of a list of tensors, anything else as it is."""
    if isinstance(a, _Tensor):
        return a.data
    if type(a) is list and a and isinstance(a[0], _Tensor):
        return [item.data for item in a]
    return a


class _Named(Protocol):
    """What every primitive shows of itself, whatever it takes."""

    name: str
    __name__: str


class Unary(_Named, Protocol[P]):
    """A primitive of one array."""

    @overload
    def __call__(self, x: Tensor, /, *args: P.args, **params: P.kwargs) -> Tensor: ...
    @overload
    def __call__(self, x: Array | Scalar, /, *args: P.args, **params: P.kwargs) -> Array: ...


class Binary(_Named, Protocol[P]):
    """A primitive of two arrays, either of which may be a Python number."""

    @overload
    def __call__(self, x: Tensor, y: Tensor | Array | Scalar, /, *args: P.args, **params: P.kwargs) -> Tensor: ...
    @overload
    def __call__(self, x: Array | Scalar, y: Tensor, /, *args: P.args, **params: P.kwargs) -> Tensor: ...
    @overload
    def __call__(self, x: Array | Scalar, y: Array | Scalar, /, *args: P.args, **params: P.kwargs) -> Array: ...


class BinaryOptional(_Named, Protocol[P]):
    """A primitive of an array and perhaps a second."""

    @overload
    def __call__(
        self, x: Tensor, y: Tensor | Array | Scalar | None = None, /, *args: P.args, **params: P.kwargs
    ) -> Tensor: ...
    @overload
    def __call__(self, x: Array | Scalar, y: Tensor, /, *args: P.args, **params: P.kwargs) -> Tensor: ...
    @overload
    def __call__(
        self, x: Array | Scalar, y: Array | Scalar | None = None, /, *args: P.args, **params: P.kwargs
    ) -> Array: ...


class AffineOptional(_Named, Protocol[P]):
    """A primitive of an array and perhaps a weight and a bias."""

    @overload
    def __call__(
        self,
        x: Tensor,
        weight: Tensor | Array | None = None,
        bias: Tensor | Array | None = None,
        /,
        *args: P.args,
        **params: P.kwargs,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: Array | Scalar,
        weight: Tensor,
        bias: Tensor | Array | None = None,
        /,
        *args: P.args,
        **params: P.kwargs,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: Array | Scalar,
        weight: Array | None = None,
        bias: Array | None = None,
        /,
        *args: P.args,
        **params: P.kwargs,
    ) -> Array: ...


class Ternary(_Named, Protocol[P]):
    """A primitive of three arrays, any of which may be a Python number."""

    @overload
    def __call__(
        self,
        x: Tensor,
        y: Tensor | Array | Scalar,
        z: Tensor | Array | Scalar,
        /,
        *args: P.args,
        **params: P.kwargs,
    ) -> Tensor: ...
    @overload
    def __call__(
        self, x: Array | Scalar, y: Tensor, z: Tensor | Array | Scalar, /, *args: P.args, **params: P.kwargs
    ) -> Tensor: ...
    @overload
    def __call__(
        self, x: Array | Scalar, y: Array | Scalar, z: Tensor, /, *args: P.args, **params: P.kwargs
    ) -> Tensor: ...
    @overload
    def __call__(
        self, x: Array | Scalar, y: Array | Scalar, z: Array | Scalar, /, *args: P.args, **params: P.kwargs
    ) -> Array: ...


class TernaryOptional(_Named, Protocol[P]):
    """A primitive of two arrays and perhaps a third."""

    @overload
    def __call__(
        self,
        x: Tensor,
        y: Tensor | Array | Scalar,
        z: Tensor | Array | Scalar | None = None,
        /,
        *args: P.args,
        **params: P.kwargs,
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: Array | Scalar,
        y: Tensor,
        z: Tensor | Array | Scalar | None = None,
        /,
        *args: P.args,
        **params: P.kwargs,
    ) -> Tensor: ...
    @overload
    def __call__(
        self, x: Array | Scalar, y: Array | Scalar, z: Tensor, /, *args: P.args, **params: P.kwargs
    ) -> Tensor: ...
    @overload
    def __call__(
        self,
        x: Array | Scalar,
        y: Array | Scalar,
        z: Array | Scalar | None = None,
        /,
        *args: P.args,
        **params: P.kwargs,
    ) -> Array: ...


class Nary(_Named, Protocol):
    """A primitive of any number of arrays."""

    def __call__(self, *arrays: Tensor | Array, **params: Any) -> Tensor: ...


class _NaryBody(Protocol):
    """The body of a primitive of any number of arrays."""

    def __call__(self, *arrays: Array) -> Array: ...


@overload
def primitive(  # type: ignore[overload-overlap]  # what takes None takes an array too: the narrower wins
    function: Callable[Concatenate[Array, Array | None, Array | None, P], Array],
) -> AffineOptional[P]: ...
@overload
def primitive(function: Callable[Concatenate[Array, Array, Array | None, P], Array]) -> TernaryOptional[P]: ...
@overload
def primitive(function: Callable[Concatenate[Array, Array, Array, P], Array]) -> Ternary[P]: ...
@overload
def primitive(function: Callable[Concatenate[Array, Array | None, P], Array]) -> BinaryOptional[P]: ...
@overload
def primitive(function: Callable[Concatenate[Array, Array, P], Array]) -> Binary[P]: ...
@overload
def primitive(function: Callable[Concatenate[Array, P], Array]) -> Unary[P]: ...
def primitive(function: Any) -> Any:
    """Make a function from arrays to an array an operation of the framework; its body is the specification."""
    return Primitive(function)


@overload
def fused(  # type: ignore[overload-overlap]  # what takes None takes a tensor too: the narrower wins
    body: Callable[Concatenate[Tensor, Tensor | None, Tensor | None, P], Tensor],
) -> AffineOptional[P]: ...
@overload
def fused(body: Callable[Concatenate[Tensor, Tensor, Tensor | None, P], Tensor]) -> TernaryOptional[P]: ...
@overload
def fused(body: Callable[Concatenate[Tensor, Tensor, Tensor, P], Tensor]) -> Ternary[P]: ...
@overload
def fused(body: Callable[Concatenate[Tensor, Tensor | None, P], Tensor]) -> BinaryOptional[P]: ...
@overload
def fused(body: Callable[Concatenate[Tensor, Tensor, P], Tensor]) -> Binary[P]: ...
@overload
def fused(body: Callable[Concatenate[Tensor, P], Tensor]) -> Unary[P]: ...
def fused(body: Any) -> Any:
    """Make a composite, written in primitives, one operation that a backend may compute faster.

    Its body is its definition and gives every order of derivative: where the kernel that ran has no rule of its own,
    or ``create_graph`` asks for a graph, the engine runs the body on the inputs and walks what that recorded.
    """
    return Primitive(body, body)


def gradient(op: Any, argument: str) -> Callable[[F], F]:
    """Register the gradient of ``op`` with respect to one argument, as a formula ``rule(g, ...)``.

    The rule names what it needs: arguments of the primitive, ``out``, ``<argument>_shape`` (costs no array), and the
    call's static parameters as keyword-only ones. For ``*arrays`` it also takes ``i``, which of them it is for. What
    the rules of the tracked arguments name is exactly what the tape keeps. A rule never writes into ``g``, gives a new
    array, ``g`` or a view of it, and need not undo broadcasting.

    Raises:
        TypeError: the primitive has no such argument, or the rule names something that is not there.
    """
    if argument not in op.arguments:
        raise TypeError(f"{op.name} has no array argument {argument!r}; it has {', '.join(op.arguments)}")

    def register(rule: F) -> F:
        entry = Rule(rule)
        known = {"out", "i", *op.arguments, *(f"{name}_shape" for name in op.arguments)}
        unknown = set(entry.needs) - known
        if unknown:
            raise TypeError(f"{rule.__name__} names {sorted(unknown)}; {op.name} offers {', '.join(sorted(known))}")
        op.rules[argument] = entry
        op.plans.clear()
        return rule

    return register


@overload
def kernel(
    op: AffineOptional[P], backend: str, *, tolerance: float = ...
) -> Callable[[Callable[Concatenate[Array, Array | None, Array | None, P], Any]], Kernel]: ...
@overload
def kernel(  # type: ignore[overload-overlap]  # a kernel takes None where its primitive does: the narrower wins
    op: TernaryOptional[P], backend: str, *, tolerance: float = ...
) -> Callable[[Callable[Concatenate[Array, Array, Array | None, P], Any]], Kernel]: ...
@overload
def kernel(
    op: Ternary[P], backend: str, *, tolerance: float = ...
) -> Callable[[Callable[Concatenate[Array, Array, Array, P], Any]], Kernel]: ...
@overload
def kernel(  # type: ignore[overload-overlap]
    op: BinaryOptional[P], backend: str, *, tolerance: float = ...
) -> Callable[[Callable[Concatenate[Array, Array | None, P], Any]], Kernel]: ...
@overload
def kernel(
    op: Binary[P], backend: str, *, tolerance: float = ...
) -> Callable[[Callable[Concatenate[Array, Array, P], Any]], Kernel]: ...
@overload
def kernel(
    op: Unary[P], backend: str, *, tolerance: float = ...
) -> Callable[[Callable[Concatenate[Array, P], Any]], Kernel]: ...
@overload
def kernel(op: Procedure, backend: str) -> Callable[[F], F]: ...
def kernel(op: Any, backend: str, *, tolerance: float = 1e-5) -> Any:
    """Register a faster implementation of ``op`` for ``backend``.

    It returns an array; or ``(out, saved)``, where ``saved`` is private to it and the rule it then attaches with
    ``@thiskernel.gradient``; or ``NotImplemented``, and the next backend down answers. ``tolerance`` is the largest
    relative difference from the reference that it promises in float32.
    """

    if backend not in _falls_back_to:
        raise ValueError(_unknown(backend))

    def register(function: Any) -> Any:
        if isinstance(op, Procedure):
            op.kernels[backend] = function
            op._chains.clear()
            return function
        if inspect.signature(function).parameters.keys() != inspect.signature(op.__wrapped__).parameters.keys():
            raise TypeError(f"a kernel of {op.name} takes what {op.name}{inspect.signature(op.__wrapped__)} takes")
        made = op.kernels[backend] = Kernel(op, function, tolerance)
        op._chains.clear()
        return made

    return register


def procedure(*writes: str) -> Callable[[Callable[..., None]], Procedure]:
    """Make a function that writes into the arguments named here, and returns None, one that backends may replace."""
    return lambda function: Procedure(function, writes)


_falls_back_to: dict[str, str | None] = {"reference": None, "numpy": "reference"}


def _fallbacks(backend: str) -> Iterator[str]:
    """``backend`` and the ones that answer for it, in order."""
    name: str | None = backend
    while name is not None:
        if name not in _falls_back_to:
            _load_backend(name)
        yield name
        name = _falls_back_to[name]


def _load_backend(name: str) -> None:
    """Import the installed package that provides ``name``; it registers itself."""
    for entry in _installed_backends():
        if entry.name == name:
            entry.load()
    if name not in _falls_back_to:
        raise ValueError(_unknown(name))


def _installed_backends() -> Any:
    """The backends that installed packages provide."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return entry_points(group="tt_foundation.backends")


def _unknown(name: str) -> str:
    return f"unknown backend {name!r}; installed: {', '.join(backends())}"


def backends() -> list[str]:
    """The names of the backends at hand: registered ones, and those that installed packages provide."""
    return sorted({*_falls_back_to, *(entry.name for entry in _installed_backends())})


def register_backend(name: str, *, falls_back_to: str = "numpy") -> None:
    """Add a backend; ``falls_back_to`` answers for what it has no kernel for, or declines."""
    if falls_back_to not in _falls_back_to:
        raise ValueError(_unknown(falls_back_to))
    _falls_back_to[name] = falls_back_to


def reference_only(module: ModuleType) -> None:
    """Let no backend answer for the primitives and procedures that ``module`` defines: only their own bodies run."""
    for op in vars(module).values():
        if isinstance(op, Primitive | Procedure) and op.__module__ == module.__name__:
            op.kernels = _NoKernels()
            op._chains.clear()


class _NoKernels(dict[str, Any]):
    """The kernels of an operation that takes none."""

    def __setitem__(self, backend: str, kernel: Any) -> None:
        pass


def current_backend() -> str:
    """The backend of this thread."""
    return here.mode.backend


class use_backend:  # noqa: N801 - reads as a verb: `with use_backend("numba"):`
    """Switch this thread to a backend, from now on or, with ``with``, until the block ends.

    ``TT_BACKEND`` in the environment names the one that every thread starts with.

    Raises:
        ValueError: no such backend; the message lists the installed ones.
    """

    def __init__(self, name: str) -> None:
        list(_fallbacks(name))
        self._before = here.mode.backend
        here.mode.backend = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        here.mode.backend = self._before


def observers() -> tuple[Observer, ...]:
    """The observers of this thread."""
    return here.mode.observers


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Call ``observer(op, phase, inputs, params, output)`` around every operation of this thread in the block."""
    before = here.mode.observers
    here.mode.observers = (*before, observer)
    try:
        yield
    finally:
        here.mode.observers = before


def scope(layer: Any, run: Callable[..., Any], /, *args: Any, **params: Any) -> Any:
    """Run ``run(*args, **params)`` as a layer's scope: the observers are told when it is entered and left."""
    for observer in here.mode.observers:
        observer(layer, "scope", args, params, None)
    out = run(*args, **params)
    for observer in here.mode.observers:
        observer(layer, "scope", args, params, out)
    return out
