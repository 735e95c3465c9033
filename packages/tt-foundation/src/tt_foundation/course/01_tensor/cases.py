"""Cases of module 01, Tensor: small programs that are run on the learner's file and on the reference.

A case draws its inputs from ``rng``, shows them, and returns what came out: data, never a verdict. No gradient is asked
for here; the tape belongs to module 05.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np


def lists_become_float32(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    floats = rng.normal(size=(2, 3)).round(3).tolist()
    integers = rng.integers(0, 10, size=4).tolist()
    show(floats=str(floats), integers=str(integers))
    return {
        "of floats": tt.Tensor(floats),
        "of integers": tt.Tensor(integers),
        "of one float": tt.Tensor(floats[0][0]),
        "of booleans": tt.Tensor([True, False]),
    }


def arrays_keep_their_type_and_their_memory(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3,))
    value = float(rng.normal())
    show(x=x, value=value)
    t = tt.Tensor(x)
    x[0] = value
    return {
        "t after x[0] = value": t,
        "t.data is x": t.data is x,
        "of a NumPy number": tt.Tensor(np.float64(value)),
    }


def another_type_may_be_asked_for(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(4,)) * 10
    show(x=x)
    again = tt.Tensor(tt.Tensor(x))
    return {
        "float32": tt.Tensor(x, dtype=np.float32),
        "int64": tt.Tensor(x.tolist(), dtype=np.int64),
        "of a tensor": again,
        "of a tensor, memory": _memory(again.data, x),
    }


def a_tensor_tells_its_shape_and_size(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    rows, columns = (int(n) for n in rng.integers(2, 6, size=2))
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    show(x=x)
    t, number, empty = tt.Tensor(x), tt.Tensor(x[0, 0]), tt.Tensor(np.zeros((rows, 0)))
    return {
        "shape": t.shape,
        "ndim": t.ndim,
        "size": t.size,
        "dtype": str(t.dtype),
        "nbytes": t.nbytes,
        "shape of a number": number.shape,
        "shape of nothing": empty.shape,
        "bytes of nothing": empty.nbytes,
    }


def a_new_tensor_has_no_past_and_no_gradient(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2,))
    show(x=x)
    plain, wanted = tt.Tensor(x), tt.Tensor(x, requires_grad=True)
    return {
        "data": plain.data,
        "grad": plain.grad,
        "node": plain.node,
        "requires_grad": plain.requires_grad,
        "requires_grad=True": wanted.requires_grad,
    }


def what_is_no_number_is_refused(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    words = ["x" * int(n) for n in rng.integers(1, 9, size=3)]
    integers = rng.integers(0, 10, size=3)
    show(words=str(words), integers=integers)
    return {
        "integers": tt.Tensor(integers),
        "words": show.raises(lambda: tt.Tensor(words), np.array(words).dtype),
        "complex": show.raises(lambda: tt.Tensor(integers * 1j), "complex128"),
        "gradients of integers": show.raises(lambda: tt.Tensor(integers, requires_grad=True), "int64"),
    }


def arithmetic_broadcasts(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.normal(size=(3, 1)), rng.normal(size=(4,))
    show(x=x, y=y)
    a, b = tt.Tensor(x), tt.Tensor(y)
    return {"add": tt.add(a, b), "multiply": tt.multiply(a, b), "divide": tt.divide(a, b), "negative": tt.negative(a)}


def python_numbers_take_the_type_they_meet(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, number = rng.normal(size=(3,)).astype(np.float32), round(float(rng.normal()), 3)
    show(x=x, number=number)
    t = tt.Tensor(x)
    out = {"add": tt.add(t, number), "multiply": tt.multiply(number, t), "divide": tt.divide(number, t)}
    return {**out, "float32 + float64": tt.add(t, tt.Tensor(np.ones(3)))}


def arithmetic_of_nothing_and_of_single_numbers(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    number, columns = rng.normal(), int(rng.integers(1, 6))
    show(number=number, columns=columns)
    one, none = tt.Tensor(np.array(number)), tt.Tensor(np.zeros((0, columns)))
    return {
        "number + number": tt.add(one, one),
        "nothing * number": tt.multiply(none, one),
        "-nothing": tt.negative(none),
    }


def division_by_zero_is_infinite_and_quiet(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(4,))
    y = np.array([0.0, -0.0, 2.0, 0.0])
    x[3] = 0
    show(x=x, y=y)
    out, count = _quietly(lambda: tt.divide(tt.Tensor(x), tt.Tensor(y)))
    return {"x / y": out, "warnings": count}


def arrays_in_give_an_array_out(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(3,))
    show(x=x, y=y)
    of_arrays, of_both = tt.add(x, y), tt.multiply(x, tt.Tensor(y))
    return {
        "array + array": of_arrays,
        "array + array is a": type(of_arrays).__name__,
        "array * tensor": of_both,
        "array * tensor is a": type(of_both).__name__,
    }


def exponentials_logarithms_and_roots(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.uniform(0.1, 3, size=(2, 3))
    show(x=x)
    t = tt.Tensor(x)
    return {"exp": tt.exp(t), "log": tt.log(t), "sqrt": tt.sqrt(t), "abs(-x)": tt.abs(tt.Tensor(-x))}


def powers(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.uniform(0.1, 3, size=(2, 3)), rng.normal(size=(3,))
    show(x=x, y=y)
    t = tt.Tensor(x)
    return {"x ** 2": tt.pow(t, 2), "x ** y": tt.pow(t, tt.Tensor(y)), "2 ** x": tt.pow(2, t), "x ** 0": tt.pow(t, 0)}


def what_has_no_finite_answer_is_quiet(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = np.array([0.0, -1.0, 1.0]) * rng.uniform(800, 2000)
    show(x=x)
    t = tt.Tensor(x)
    operations: dict[str, Callable[[], Any]] = {
        "exp": lambda: tt.exp(t),
        "log": lambda: tt.log(t),
        "sqrt": lambda: tt.sqrt(t),
        "x ** 0.5": lambda: tt.pow(t, 0.5),
        "x ** 400": lambda: tt.pow(t, 400),
        "x ** -1": lambda: tt.pow(t, -1.0),
    }
    out: dict[str, Any] = {}
    for name, operation in operations.items():
        out[name], out[f"{name}, warnings"] = _quietly(operation)
    return out


def the_larger_and_the_smaller_of_two(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.normal(size=(3, 1)), rng.normal(size=(1, 4))
    show(x=x, y=y)
    a, b = tt.Tensor(x), tt.Tensor(y)
    return {"maximum": tt.maximum(a, b), "minimum": tt.minimum(a, b), "at least 0": tt.maximum(a, 0)}


def choosing_by_a_condition(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y, condition = rng.normal(size=(2, 3)), rng.normal(size=(3,)), rng.random((2, 3)) < 0.5
    condition[0, :2] = [True, False]
    show(condition=condition, x=x, y=y)
    chosen = tt.where(tt.Tensor(condition), tt.Tensor(x), tt.Tensor(y))
    masked = tt.where(tt.Tensor(condition), tt.Tensor(x.astype(np.float32)), 0.0)
    return {"chosen": chosen, "masked": masked}


def comparisons_are_booleans(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.integers(0, 3, size=(2, 5)), rng.integers(0, 3, size=(5,))
    show(x=x, y=y)
    a, b = tt.Tensor(x), tt.Tensor(y)
    return {"equal": tt.equal(a, b), "less": tt.less(a, b), "greater": tt.greater(a, 1)}


def operators_between_tensors(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.uniform(0.5, 2, size=(2, 3)), rng.uniform(0.5, 2, size=(3,))
    show(x=x, y=y)
    a, b = tt.Tensor(x), tt.Tensor(y)
    return {
        "x + y": a + b,
        "x - y": a - b,
        "x * y": a * b,
        "x / y": a / b,
        "x ** y": a**b,
        "-x": -a,
        "all are operations": _all_operations(
            tt, lambda: a + b, lambda: 2 + a, lambda: a * b, lambda: 2 - a, lambda: a / b, lambda: a**2, lambda: -a
        ),
    }


def numbers_and_arrays_on_the_left(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y, number = rng.uniform(0.5, 2, size=(2, 3)), rng.normal(size=(2, 3)), round(float(rng.uniform(2, 3)), 3)
    show(x=x, y=y, number=number)
    t = tt.Tensor(x)
    return {
        "number + x": number + t,
        "number - x": number - t,
        "number * x": number * t,
        "number / x": number / t,
        "array - x": y - t,
        "array / x": y / t,
        "array * x is a": type(y * t).__name__,
    }


def comparisons_by_operator(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.integers(0, 3, size=(6,)), rng.integers(0, 3, size=(6,))
    show(x=x, y=y)
    a, b = tt.Tensor(x), tt.Tensor(y)
    return {
        "x == y": a == b,
        "x < y": a < b,
        "x > y": a > b,
        "x == 1": a == 1,
        "1 < x": 1 < a,  # noqa: SIM300 - with the number on the left
    }


def sums(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, 3, 4))
    show(x=x)
    t = tt.Tensor(x)
    return {
        "all": tt.sum(t),
        "axis=1": tt.sum(t, axis=1),
        "axis=(0, 2)": t.sum(axis=(0, 2)),
        "axis=-1, keepdims": t.sum(-1, keepdims=True),
        "of booleans": tt.Tensor(x > 0).sum(),
        "methods are operations": _all_operations(tt, t.sum, t.mean),
    }


def means(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, integers = rng.normal(size=(2, 3, 4)), rng.integers(0, 10, size=(3,))
    show(x=x, integers=integers)
    t = tt.Tensor(x)
    return {
        "all": tt.mean(t),
        "axis=1": tt.mean(t, axis=1),
        "axis=(0, 2), keepdims": t.mean(axis=(0, 2), keepdims=True),
        "of integers": tt.mean(tt.Tensor(integers)),
        "of float32": tt.mean(tt.Tensor(x.astype(np.float32)), axis=0),
    }


def reductions_over_nothing(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(1, int(rng.integers(2, 7))))
    show(x=x)
    t, none = tt.Tensor(x), tt.Tensor(x[:0])
    mean, count = _quietly(lambda: tt.mean(none, axis=0))
    return {
        "sum of x": tt.sum(t, axis=0),
        "sum of no rows": tt.sum(none, axis=0),
        "mean of no rows": mean,
        "mean of no rows, warnings": count,
        "mean of each of no rows": tt.mean(none, axis=1),
    }


def largest_elements_and_where_they_are(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.integers(0, 4, size=(3, 6))
    show(x=x)
    t = tt.Tensor(x)
    return {
        "max": tt.max(t),
        "max, axis=0": tt.max(t, axis=0),
        "max, axis=1, keepdims": tt.max(t, axis=1, keepdims=True),
        "argmax": tt.argmax(t),
        "argmax, axis=1": tt.argmax(t, axis=1),
        "argmax, axis=1, keepdims": tt.argmax(t, axis=1, keepdims=True),
    }


def rows_made_to_sum_to_one(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.uniform(0.1, 1, size=(2, 3)).astype(np.float32)
    show(x=x)
    t = tt.Tensor(x)
    return {"shares": tt.divide(t, tt.sum(t, axis=1, keepdims=True))}


def matrix_products(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    n, k, m = (int(size) for size in rng.integers(2, 5, size=3))
    x, y = rng.normal(size=(n, k)), rng.normal(size=(k, m))
    show(x=x, y=y)
    a, b = tt.Tensor(x), tt.Tensor(y)
    single = tt.matmul(tt.Tensor(x.astype(np.float32)), tt.Tensor(y.astype(np.float32)))
    return {
        "matmul(x, y)": tt.matmul(a, b),
        "x @ y": a @ b,
        "array @ y": x @ b,
        "in float32": single,
        "@ is an operation": _all_operations(tt, lambda: a @ b),
    }


def products_of_many_matrices_at_once(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y, z = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 5)), rng.normal(size=(4, 2))
    show(x=x, y=y, z=z)
    return {
        "pairs": tt.matmul(tt.Tensor(x), tt.Tensor(y)),
        "all with one": tt.matmul(tt.Tensor(x), tt.Tensor(z)),
        "four axes": tt.matmul(tt.Tensor(x[:, None]), tt.Tensor(y[None])),
    }


def products_with_vectors(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y, z = rng.normal(size=(3,)), rng.normal(size=(3, 2)), rng.normal(size=(2, 4, 3))
    show(x=x, y=y, z=z)
    v = tt.Tensor(x)
    return {
        "row @ matrix": tt.matmul(v, tt.Tensor(y)),
        "matrices @ column": tt.matmul(tt.Tensor(z), v),
        "row @ column": tt.matmul(v, v),
    }


def products_that_do_not_fit(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    n, k = (int(size) for size in rng.integers(2, 6, size=2))
    x, y = rng.normal(size=(n, k)), rng.normal(size=(k + 1, 3))
    show(x=x, y=y)
    a, b = tt.Tensor(x), tt.Tensor(y)
    return {
        "what fits": tt.matmul(a, tt.Tensor(x.T)),
        "inner sizes differ": show.raises(lambda: tt.matmul(a, b), x.shape, y.shape),
        "matrix @ long column": show.raises(lambda: tt.matmul(a, tt.Tensor(y[:, 0])), x.shape, (k + 1,)),
        "matrix @ number": show.raises(lambda: tt.matmul(a, tt.Tensor(np.array(2.0))), x.shape, ()),
    }


def reshaping_shows_the_same_memory(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, value = rng.normal(size=(2, 3, 4)), float(rng.normal())
    show(x=x, value=value)
    t = tt.Tensor(x)
    flat, rows = tt.reshape(t, shape=(24,)), t.reshape(6, -1)
    flat.data[5] = value
    return {
        "flat": flat,
        "rows after flat[5] = value": rows,
        "as a tuple": t.reshape((4, 6)),
        "memory": _memory(rows.data, x),
        "is_view": rows.is_view,
        "into what does not fit": show.raises(lambda: tt.reshape(t, shape=(5, 5))).split()[0],
    }


def axes_in_another_order(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, 3, 4))
    show(x=x)
    t = tt.Tensor(x)
    turned = tt.permute_dims(t, axes=(2, 0, 1))
    return {
        "axes=(2, 0, 1)": turned,
        "memory": _memory(turned.data, x),
        "one by one": t.permute_dims(1, 2, 0),
        "T": t.T,
        "T of one axis": tt.Tensor(x[0, 0]).T,
        "methods are operations": _all_operations(
            tt, lambda: t.T, lambda: t.reshape(-1), lambda: t.permute_dims(2, 1, 0)
        ),
        "swapaxes": tt.swapaxes(t),
        "swapaxes of 0 and 1": tt.swapaxes(t, axis1=0, axis2=1),
    }


def strides_tell_how_far_a_step_is(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    rows, columns = (int(n) for n in rng.integers(2, 7, size=2))
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    show(x=x)
    t = tt.Tensor(x)
    return {
        "strides": t.strides,
        "strides of T": t.T.strides,
        "T": t.T,
        "is_view": t.is_view,
        "T.is_view": t.T.is_view,
    }


def broadcasting_repeats_without_copying(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, rows = rng.normal(size=(3,)), int(rng.integers(2, 6))
    show(x=x, rows=rows)
    t = tt.broadcast_to(tt.Tensor(x), shape=(rows, 3))
    return {
        "repeated": t,
        "strides": t.strides,
        "memory": _memory(t.data, x),
        "what does not fit": show.raises(lambda: tt.broadcast_to(tt.Tensor(x), shape=(rows, 4))).split()[0],
    }


def integers_and_slices_pick_views(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, value = rng.normal(size=(4, 5)), float(rng.normal())
    show(x=x, value=value)
    t = tt.Tensor(x)
    row, block = t[1], t[1:3, ::2]
    x[1, 0] = value
    return {
        "t[1]": row,
        "t[1:3, ::2]": block,
        "t[-1, 2]": t[-1, 2],
        "t[..., None]": t[..., None],
        "t[1] is an operation": _all_operations(tt, lambda: t[1]),
        "t[1:3, ::2], memory": _memory(block.data, x),
    }


def arrays_lists_and_masks_pick_copies(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, ids = rng.normal(size=(5, 3)), rng.integers(0, 5, size=(4,))
    show(x=x, ids=ids)
    t = tt.Tensor(x)
    picked = t[tt.Tensor(ids)]
    return {
        "t[ids]": picked,
        "t[ids], memory": _memory(picked.data, x),
        "t[[0, 2]]": t[[0, 2]],
        "t[[]]": t[[]],
        "t[[0, 1], [2, 0]]": t[[0, 1], [2, 0]],
        "t[1:, ids of columns]": t[1:, tt.Tensor(ids % 3)],
        "t[mask]": t[tt.Tensor(x > 0)],
    }


def a_copy_with_some_elements_set(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, value = rng.normal(size=(3, 4)), rng.normal(size=(4,))
    show(x=x, value=value)
    t = tt.Tensor(x)
    changed = tt.setitem(t, tt.Tensor(value), index=1)
    return {
        "changed": changed,
        "x afterwards": t,
        "a column": tt.setitem(t, 0.0, index=(slice(None), 2)),
        "memory": _memory(changed.data, x),
    }


def length_is_the_first_axis(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(int(rng.integers(2, 9)), 2))
    show(x=x)
    return {
        "len": len(tt.Tensor(x)),
        "rows": np.stack([row.data for row in tt.Tensor(x)]),
        "of a number": show.raises(lambda: len(tt.Tensor(np.array(1.0)))).split()[0],
    }


def what_meets_at_one_place_adds_up(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    values, index = rng.normal(size=(6,)), rng.integers(0, 4, size=(6,))
    index[:3] = index[0]
    show(values=values, index=index)
    return {"out": tt.scatter_add(tt.Tensor(values.astype(np.float32)), index=index, shape=(4,))}


def rows_of_a_table_add_up(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    values, ids = rng.normal(size=(2, 3, 2)), rng.integers(0, 3, size=(2, 3))
    show(values=values, ids=ids)
    rows, columns = ids[0], ids[1]
    return {
        "rows": tt.scatter_add(tt.Tensor(values), index=ids, shape=(3, 2)),
        "places": tt.scatter_add(tt.Tensor(values[0, :, 0]), index=(rows, columns), shape=(3, 3)),
        "a mask": tt.scatter_add(tt.Tensor(values[0, :1, 0]), index=np.array([False, True, False]), shape=(3,)),
    }


def scattering_to_a_slice_undoes_it(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    values = rng.normal(size=(2, 3))
    show(values=values)
    t = tt.Tensor(values)
    return {
        "rows 1 to 2": tt.scatter_add(t, index=slice(1, 3), shape=(4, 3)),
        "columns": tt.scatter_add(t, index=(Ellipsis, slice(0, 6, 2)), shape=(2, 6)),
        "one row": tt.scatter_add(tt.Tensor(values[0]), index=-1, shape=(2, 3)),
        "from an added axis": tt.scatter_add(tt.Tensor(values[None]), index=None, shape=(2, 3)),
        "nothing": tt.scatter_add(tt.Tensor(values[:0]), index=slice(0, 0), shape=(2, 3)),
    }


def adding_in_place_writes_where_all_can_see(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(3,))
    show(x=x, y=y)
    t = before = tt.Tensor(x)
    view = tt.Tensor(x[0])
    t += tt.Tensor(y)
    t *= 2
    return {
        "t": t,
        "a view of its first row": view,
        "still the same tensor": t is before,
        "memory": _memory(t.data, x),
    }


def setting_elements_writes_where_all_can_see(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y, ids = rng.normal(size=(4, 3)), rng.normal(size=(3,)), rng.integers(0, 4, size=(2,))
    show(x=x, y=y, ids=ids)
    t = tt.Tensor(x)
    t[0] = tt.Tensor(y)
    t[1:3, 1] = 0.0
    t[3] = y.tolist()
    t[tt.Tensor(ids), 2] = y[0]
    return {"t": t, "memory": _memory(t.data, x)}


def writes_are_entered_in_the_log(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3,))
    show(x=x)
    t = tt.Tensor(x)
    out: dict[str, Any] = {}
    moment = tt.last_write()
    t += 1
    out["+= is in the log"] = tt.last_write() > moment
    moment = tt.last_write()
    t[0] = 5.0
    out["t[0] = 5 is in the log"] = tt.last_write() > moment
    return {**out, "t": t}


def writes_that_a_gradient_would_miss(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x, y = rng.normal(size=(4,)), rng.normal(size=(3,))
    show(x=x, y=y)
    weight, t, u = tt.Tensor(y, requires_grad=True), tt.Tensor(x[:3].copy()), tt.Tensor(x.copy())
    memory, other_memory = t.data, u.data
    t += weight
    u[1:] = weight

    def add_to_weight() -> None:
        nonlocal weight
        weight += 1

    return {
        "t += weight": t.data,
        "the memory t had": memory,
        "u[1:] = weight": u.data,
        "the memory u had": other_memory,
        "weight += 1": show.raises(add_to_weight).split()[0],
        "weight[0] = 0": show.raises(lambda: weight.__setitem__(0, 0.0)).split()[0],
    }


def printing(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, 3)).astype(np.float32)
    show(x=x)
    return {
        "float32": repr(tt.Tensor(x)),
        "float64": repr(tt.Tensor(x.astype(np.float64))),
        "integers": repr(tt.Tensor((x * 10).astype(np.int64))),
        "booleans": repr(tt.Tensor(x > 0)),
        "a number": repr(tt.Tensor(x[0, 0])),
        "with a gradient": repr(tt.Tensor(x[0], requires_grad=True)),
    }


def printing_much(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(9, 9))
    show(x=x)
    return {"81 elements": repr(tt.Tensor(x)), "64 elements": repr(tt.Tensor(x[:8, :8].astype(np.float32)))}


def leaving_the_tensor(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(2, int(rng.integers(2, 6))))
    show(x=x)
    t = tt.Tensor(x)
    one = tt.Tensor(x[:1, :1])
    return {
        "item": one.item(),
        "item is a": type(one.item()).__name__,
        "float": float(one),
        "item of many": show.raises(t.item, x.shape),
        "tolist": str(np.array(t.tolist()).round(6)),
    }


def copies_and_detached_tensors(rng: np.random.Generator, tt: Any, show: Any) -> dict[str, Any]:
    x = rng.normal(size=(3,))
    show(x=x)
    t = tt.Tensor(x, requires_grad=True)
    copy, detached, of_plain = t.clone(), t.detach(), tt.Tensor(x).clone()
    x[0] = 0
    return {
        "clone": copy.data,
        "clone of a plain one": of_plain.data,
        "detached": detached.data,
        "detached requires_grad": detached.requires_grad,
    }


def _memory(one: Any, other: Any) -> str:
    return "shared" if np.shares_memory(one, other) else "its own"


def _quietly(action: Callable[[], Any]) -> tuple[Any, int]:
    """What ``action`` gives, and how many warnings it gave on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = action()
    return out, len(caught)


def _all_operations(tt: Any, *actions: Callable[[], Any]) -> bool:
    """Whether each action's result is what an operation gave, which observers and module 05 can see."""
    outputs: list[Any] = []

    def watch(op: Any, phase: str, inputs: Any, params: Any, output: Any) -> None:
        if phase == "forward":
            outputs.append(output)

    with tt.observe(watch):
        results = [action() for action in actions]
    return all(any(result is output for output in outputs) for result in results)
