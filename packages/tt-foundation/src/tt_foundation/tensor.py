"""Tensor: an n-dimensional array that operations understand (module 01).

A tensor is a NumPy array with a memory of where it came from. Operations are primitives: functions from arrays to
an array, whose NumPy body says what they compute. Knows arrays and primitives; knows nothing of gradients: it has a
place for them, and the rules stand in ``autograd``. The rest of the array library is in ``array/``.

Arithmetic broadcasts and promotes types as NumPy does, with Python numbers taking the type of the tensor they meet.
What has no finite answer gives inf or NaN, and no warning: a training loop looks at numbers, not at a log.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tt_foundation.primitive import Array, Scalar, mode, primitive, register_tensor, tape, wrote

__all__ = [
    "Axis",
    "Index",
    "Operand",
    "Tensor",
    "abs",
    "add",
    "argmax",
    "astype",
    "broadcast_to",
    "divide",
    "equal",
    "exp",
    "getitem",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "log",
    "logical_not",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "permute_dims",
    "pow",
    "reshape",
    "scatter_add",
    "setitem",
    "sqrt",
    "subtract",
    "sum",
    "swapaxes",
    "where",
]

_NumPyArray = np.ndarray  # looked up whenever a tensor is made

Axis: TypeAlias = int | tuple[int, ...] | None
IndexItem: TypeAlias = "int | slice | EllipsisType | Array | Tensor | Sequence[int] | None"
Index: TypeAlias = "IndexItem | tuple[IndexItem, ...]"
Operand: TypeAlias = "Tensor | Array | Scalar"


@primitive
def add(x: Array, y: Array) -> Array:
    """Sum, ``x + y``: ``(*), (*) -> (*)`` with broadcasting."""
    return np.add(x, y)


@primitive
def subtract(x: Array, y: Array) -> Array:
    """Difference, ``x - y``: ``(*), (*) -> (*)`` with broadcasting."""
    return np.subtract(x, y)


@primitive
def multiply(x: Array, y: Array) -> Array:
    """Elementwise product, ``x * y``: ``(*), (*) -> (*)`` with broadcasting."""
    return np.multiply(x, y)


@primitive
def divide(x: Array, y: Array) -> Array:
    """Quotient, ``x / y``: ``(*), (*) -> (*)`` with broadcasting; by zero it is infinite or NaN, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(x, y)


@primitive
def negative(x: Array) -> Array:
    """``-x``: ``(*) -> (*)``."""
    return np.negative(x)


@primitive
def pow(x: Array, y: Array) -> Array:
    """Power, ``x ** y``: ``(*), (*) -> (*)`` with broadcasting.

    Infinite where it overflows, NaN for a fractional power of a negative number, both without a warning.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(x) ** y


@primitive
def exp(x: Array) -> Array:
    """Exponential: ``(*) -> (*)``; infinite where it overflows, without a warning."""
    with np.errstate(over="ignore"):
        return np.exp(x)


@primitive
def log(x: Array) -> Array:
    """Natural logarithm: ``(*) -> (*)``; -inf at 0 and NaN below, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


@primitive
def sqrt(x: Array) -> Array:
    """Square root: ``(*) -> (*)``; NaN below 0, without a warning."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


@primitive
def abs(x: Array) -> Array:
    """Absolute value: ``(*) -> (*)``."""
    return np.abs(x)


@primitive
def maximum(x: Array, y: Array) -> Array:
    """The larger of two, element by element: ``(*), (*) -> (*)`` with broadcasting."""
    return np.maximum(x, y)


@primitive
def minimum(x: Array, y: Array) -> Array:
    """The smaller of two, element by element: ``(*), (*) -> (*)`` with broadcasting."""
    return np.minimum(x, y)


@primitive
def where(condition: Array, x: Array, y: Array) -> Array:
    """``x`` where the condition holds and ``y`` elsewhere: ``(*), (*), (*) -> (*)`` with broadcasting."""
    return np.where(condition, x, y)


@primitive
def equal(x: Array, y: Array) -> Array:
    """Whether ``x == y``, element by element: ``(*), (*) -> (*)`` of booleans."""
    return np.equal(x, y)


@primitive
def not_equal(x: Array, y: Array) -> Array:
    """Whether ``x != y``, element by element: ``(*), (*) -> (*)`` of booleans."""
    return np.not_equal(x, y)


@primitive
def less(x: Array, y: Array) -> Array:
    """Whether ``x < y``, element by element: ``(*), (*) -> (*)`` of booleans."""
    return np.less(x, y)


@primitive
def less_equal(x: Array, y: Array) -> Array:
    """Whether ``x <= y``, element by element: ``(*), (*) -> (*)`` of booleans."""
    return np.less_equal(x, y)


@primitive
def greater(x: Array, y: Array) -> Array:
    """Whether ``x > y``, element by element: ``(*), (*) -> (*)`` of booleans."""
    return np.greater(x, y)


@primitive
def greater_equal(x: Array, y: Array) -> Array:
    """Whether ``x >= y``, element by element: ``(*), (*) -> (*)`` of booleans."""
    return np.greater_equal(x, y)


@primitive
def logical_not(x: Array) -> Array:
    """Whether an element is false or zero: ``(*) -> (*)`` of booleans."""
    return np.logical_not(x)


@primitive
def matmul(x: Array, y: Array) -> Array:
    """Matrix product over the last two axes: ``(..., n, k) @ (..., k, m) -> (..., n, m)``.

    A 1-D ``x`` is a row and a 1-D ``y`` a column; the axis that this adds is dropped again.

    Raises:
        ValueError: the inner dimensions differ, or one of the two has no axis; the message names both shapes.
    """
    try:
        return np.matmul(x, y)
    except ValueError:
        rows = "x.shape[-1] == y.shape[-2]" if np.ndim(y) > 1 else "x.shape[-1] == y.shape[-1]"
        raise ValueError(f"matmul needs {rows}, got {np.shape(x)} @ {np.shape(y)}") from None


@primitive
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Sum over ``axis``, all of them by default: ``(..., n, ...) -> (..., ...)``."""
    return x.sum(axis=axis, keepdims=keepdims)


@primitive
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Mean over ``axis``, all of them by default: ``(..., n, ...) -> (..., ...)``.

    Floating-point also for integers and booleans; NaN over no elements, without a warning.
    """
    with np.errstate(invalid="ignore"):
        total = np.asarray(x.sum(axis=axis, keepdims=keepdims))
        return np.divide(total, x.size // total.size if total.size else 1)


@primitive
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Largest element over ``axis``, all of them by default: ``(..., n, ...) -> (..., ...)``."""
    return x.max(axis=axis, keepdims=keepdims)


@primitive
def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Smallest element over ``axis``, all of them by default: ``(..., n, ...) -> (..., ...)``."""
    return x.min(axis=axis, keepdims=keepdims)


@primitive
def argmax(x: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Index of the first largest element along ``axis``, in the flat array by default: int64, not differentiable."""
    return np.argmax(x, axis=axis, keepdims=keepdims)


@primitive
def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """The same elements in another shape, a view where strides allow; one ``-1`` is worked out."""
    return np.reshape(x, shape)


@primitive
def permute_dims(x: Array, *, axes: tuple[int, ...]) -> Array:
    """The axes in another order, a view: axis ``i`` of the result is axis ``axes[i]`` of ``x``."""
    return np.transpose(x, axes)


@primitive
def swapaxes(x: Array, *, axis1: int = -1, axis2: int = -2) -> Array:
    """Two axes exchanged, a view; by default the last two: ``(..., n, m) -> (..., m, n)``."""
    return np.swapaxes(x, axis1, axis2)


@primitive
def broadcast_to(x: Array, *, shape: tuple[int, ...]) -> Array:
    """``x`` repeated to ``shape``: a read-only view with stride 0 along the repeated axes."""
    return np.broadcast_to(x, shape)


@primitive
def astype(x: Array, *, dtype: npt.DTypeLike) -> Array:
    """``x`` with another element type, itself where it has it already: ``(*) -> (*)``."""
    return x.astype(dtype, copy=False)


@primitive
def getitem(x: Array, *, index: Any) -> Array:
    """``x[index]`` with NumPy's rules: a view for integers and slices, a copy for arrays and booleans."""
    return np.asarray(x[index])


@primitive
def setitem(x: Array, value: Array, *, index: Any) -> Array:
    """A copy of ``x`` in which ``x[index]`` is ``value``; ``x`` itself stays as it is."""
    out = x.copy()
    out[index] = value
    return out


@primitive
def scatter_add(values: Array, *, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of ``shape`` with ``values`` added at ``index``, as often as it stands there: undoes :func:`getitem`.

    The element type is that of ``values``. An index that names a place twice adds there twice.
    """
    out = np.zeros(shape, values.dtype)
    if _is_basic(index):
        out[index] = values
    else:
        np.add.at(out, index, values)
    return out


def _is_basic(index: Any) -> bool:
    """Whether an index is made of integers, slices, ``...`` and None only, so that no element is met twice.

    A tuple is so if all that is in it is. Arrays, lists and booleans are not basic.
    """
    items = index if isinstance(index, tuple) else (index,)
    return builtins.all(i is None or i is Ellipsis or isinstance(i, slice | int | np.integer) for i in items)


def _as_index(index: Any) -> Any:
    """An index that NumPy understands: tensors become their arrays, lists become arrays, also inside a tuple.

    Anything else stays as it is. An empty list is an array of no integers (int64), which picks nothing.
    """
    if isinstance(index, tuple):
        return tuple(_as_index(item) for item in index)
    if isinstance(index, list):
        return np.asarray(index) if index else np.asarray(index, np.int64)
    return index.data if isinstance(index, Tensor) else index


def _as_array(data: Any, dtype: npt.DTypeLike | None) -> Array:
    """An array of anything that is one, of type ``dtype`` where that is given.

    A tensor gives its array, and an array is taken as it is: shared, not copied. Arrays and NumPy's own numbers keep
    their type; Python's floats, alone or in lists, become float32.

    Raises:
        TypeError: the elements are not floats, integers or booleans; the message names their type.
    """
    if isinstance(data, Tensor):
        data = data.data
    array = np.asarray(data)
    if dtype is None and array.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic):
        dtype = np.float32
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a tensor holds floats, integers or booleans, got {array.dtype}")
    return array if dtype is None else array.astype(dtype, copy=False)


def _axes(axes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes or axes given one by one, or as one sequence."""
    return tuple(axes[0]) if len(axes) == 1 and isinstance(axes[0], tuple | list) else axes


class Tensor:
    """An n-dimensional array that remembers how it was made.

    Its operators and methods are the operations of this file under another name; whoever watches or records operations
    sees them.

    Args:
        data: numbers, nested lists, an array (which is shared, not copied) or a tensor.
        dtype: the element type; by default Python floats become float32 and arrays keep theirs.
        requires_grad: whether ``backward`` shall leave a gradient in ``grad``.

    Raises:
        TypeError: the data are not numbers, or ``requires_grad`` is asked of integers or booleans; the message names
            the element type.
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")
    __array_ufunc__ = None  # so that `array + tensor` asks the tensor

    data: Array
    grad: Tensor | None
    node: Any
    requires_grad: bool

    def __init__(self, data: Any, *, dtype: npt.DTypeLike | None = None, requires_grad: bool = False) -> None:
        if type(data) is not _NumPyArray or dtype is not None or data.dtype.kind not in "fiub":
            data = _as_array(data, dtype)
        if requires_grad and data.dtype.kind != "f":
            raise TypeError(f"only floating-point tensors have gradients, got {data.dtype}")
        self.data = data
        self.grad = None
        self.node = None
        self.requires_grad = requires_grad

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of every axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self.data.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""
        return self.data.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        """How many bytes a step along each axis is."""
        return self.data.strides

    @property
    def is_view(self) -> bool:
        """Whether another array owns the memory."""
        return self.data.base is not None

    @property
    def T(self) -> Tensor:  # noqa: N802 - the field's name
        """The axes in reverse order, a view."""
        return permute_dims(self, axes=tuple(range(self.ndim))[::-1])

    def __add__(self, other: Operand) -> Tensor:
        return add(self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return add(other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return subtract(self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return subtract(other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return multiply(self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return multiply(other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return divide(self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return divide(other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return pow(self, other)

    def __rpow__(self, other: Operand) -> Tensor:
        return pow(other, self)

    def __matmul__(self, other: Tensor | Array) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Array) -> Tensor:
        return matmul(other, self)

    def __neg__(self) -> Tensor:
        return negative(self)

    def __abs__(self) -> Tensor:
        return abs(self)

    def __invert__(self) -> Tensor:
        return logical_not(self)

    def __eq__(self, other: Operand) -> Tensor:  # type: ignore[override]  # elementwise, as every array library has it
        return equal(self, other)

    def __ne__(self, other: Operand) -> Tensor:  # type: ignore[override]
        return not_equal(self, other)

    __hash__ = object.__hash__

    def __lt__(self, other: Operand) -> Tensor:  # type: ignore[misc]  # a number's own comparison never sees a tensor
        return less(self, other)

    def __le__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return less_equal(self, other)

    def __gt__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return greater(self, other)

    def __ge__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return greater_equal(self, other)

    def __iadd__(self, other: Operand) -> Tensor:
        return self._in_place(add, np.add, other)

    def __isub__(self, other: Operand) -> Tensor:
        return self._in_place(subtract, np.subtract, other)

    def __imul__(self, other: Operand) -> Tensor:
        return self._in_place(multiply, np.multiply, other)

    def __itruediv__(self, other: Operand) -> Tensor:
        return self._in_place(divide, np.divide, other)

    def _in_place(self, op: Any, write: Callable[..., Any], other: Operand) -> Tensor:
        """Do ``op`` in place and return ``self``; ``write`` is NumPy's function, which takes ``out``.

        Where no gradient looks, write into the memory, whoever else shows it, and enter that in the log (``wrote``).
        Where one does, leave the memory and become the differentiable result.
        """
        if self._is_written_differentiably(other):
            return self._become(op(self, other))
        write(self.data, other.data if isinstance(other, Tensor) else other, out=self.data)
        wrote(self.data)
        return self

    def _is_written_differentiably(self, other: Operand) -> bool:
        """Whether a gradient looks at ``self`` or ``other``, so that the write must be an operation (module 05)."""
        if not mode().grad_enabled:
            return False
        if self.requires_grad and self.is_leaf:
            raise RuntimeError("a leaf that requires grad cannot be written in place: use no_grad(), or a new tensor")
        return self.requires_grad or (isinstance(other, Tensor) and other.requires_grad)

    def _become(self, other: Tensor) -> Tensor:
        """Show what ``other`` shows, made as it was made."""
        self.data, self.node, self.requires_grad = other.data, other.node, other.requires_grad
        return self

    def __getitem__(self, index: Index) -> Tensor:
        return getitem(self, index=_as_index(index))

    def __setitem__(self, index: Index, value: Operand | Sequence[Any]) -> None:
        """Write ``value``, a list of numbers too, at ``index``; into the memory or differentiably, as ``_in_place``."""
        index = _as_index(index)
        if isinstance(value, list | tuple):
            value = Tensor(value)
        if self._is_written_differentiably(value):  # type: ignore[arg-type]  # a sequence has become a tensor
            self._become(setitem(self, value, index=index))
        else:
            self.data[index] = value.data if isinstance(value, Tensor) else value
            wrote(self.data)

    def __len__(self) -> int:
        """The size of the first axis.

        Raises:
            TypeError: there is none.
        """
        if not self.ndim:
            raise TypeError("a 0-d tensor has no length")
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self.data.__index__()

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        """``Tensor(numbers, shape=..., dtype=..., requires_grad=True)``, each part only where it says something new.

        The numbers as ``numpy.array2string`` gives them: a comma and a space between, aligned after ``Tensor(``, four
        digits, and of more than 64 only three at each end. Then the shape follows too; the type where it is not
        float32, int64 or bool.
        """
        body = np.array2string(self.data, separator=", ", prefix="Tensor(", threshold=64, edgeitems=3, precision=4)
        dtype = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        shape = "" if self.size <= 64 else f", shape={self.shape}"
        return f"Tensor({body}{shape}{dtype}{', requires_grad=True' if self.requires_grad else ''})"

    def item(self) -> Any:
        """The one element as a Python number.

        Raises:
            ValueError: there are more, or none; the message names the shape.
        """
        if self.size != 1:
            raise ValueError(f"item needs a tensor of one element, got shape {self.shape}")
        return self.data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.data.tolist()

    def numpy(self) -> Array:
        """The array itself, shared: writes to it are not seen by autograd outside anomaly mode."""
        return self.data

    def detach(self) -> Tensor:
        """A tensor over the same memory that no gradient flows through."""
        return Tensor(self.data)

    def clone(self) -> Tensor:
        """A copy in memory of its own; gradients flow through it, as through adding 0."""
        return add(self, 0) if self.requires_grad else Tensor(self.data.copy())

    @property
    def is_leaf(self) -> bool:
        """Whether no operation made it."""
        return self.node is None or self.node.op is None

    def backward(
        self, gradient: Tensor | Array | None = None, *, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradient of this tensor to ``grad`` of every leaf it was made from (see ``autograd.backward``)."""
        tape().backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`sum`."""
        return sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`mean`."""
        return mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`max`."""
        return max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See :func:`min`."""
        return min(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """See :func:`argmax`."""
        return argmax(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """See :func:`reshape`; sizes one by one or as a tuple."""
        return reshape(self, shape=_axes(shape))

    def permute_dims(self, *axes: int | Sequence[int]) -> Tensor:
        """See :func:`permute_dims`; axes one by one or as a tuple."""
        return permute_dims(self, axes=_axes(axes))

    def astype(self, dtype: npt.DTypeLike) -> Tensor:
        """See :func:`astype`."""
        return astype(self, dtype=dtype)


register_tensor(Tensor)
