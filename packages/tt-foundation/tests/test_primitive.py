"""The core's contract: primitives, backends, procedures, observers, the write log."""

import threading
from types import ModuleType

import numpy as np
import pytest

from tt_foundation import activations
from tt_foundation.autograd import grad
from tt_foundation.primitive import (
    Array,
    Primitive,
    backends,
    current_backend,
    fused,
    gradient,
    kernel,
    observe,
    primitive,
    procedure,
    reference_only,
    register_backend,
    tick,
    use_backend,
    written_since,
    wrote,
)
from tt_foundation.tensor import Tensor, add, exp, log, multiply, sum


def test_a_primitive_gives_a_tensor_for_tensors_and_an_array_for_arrays() -> None:
    assert isinstance(add(Tensor([1.0]), 2), Tensor)
    assert isinstance(add(np.ones(3), Tensor([1.0])), Tensor)
    assert type(add(np.ones(3), 1)) is np.ndarray


def test_a_scalar_result_is_a_0d_array() -> None:
    assert type(sum(np.ones(3))) is np.ndarray
    assert type(sum(Tensor([1.0])).data) is np.ndarray


def test_a_numpy_float64_scalar_does_not_widen_float32() -> None:
    assert (Tensor([1.0]) * np.sqrt(2.0)).dtype == np.float32


def test_a_third_party_adds_an_operation_in_five_lines() -> None:
    @primitive
    def cube(x: Array) -> Array:
        return np.asarray(x**3)

    @gradient(cube, "x")
    def cube_wrt_x(g: Array, x: Array) -> Array:
        return g * 3 * x * x

    x = Tensor([2.0], requires_grad=True)
    (first,) = grad(cube(x), [x], create_graph=True)
    (second,) = grad(first, [x])
    assert (first.item(), second.item()) == (12.0, 12.0)


def test_a_rule_that_names_something_unknown_is_refused() -> None:
    with pytest.raises(TypeError, match="bad names \\['z'\\]; multiply offers"):

        @gradient(multiply, "x")
        def bad(g: Array, z: Array) -> Array:
            return g

    with pytest.raises(TypeError, match="multiply has no array argument 'z'; it has x, y"):
        gradient(multiply, "z")


def test_an_operation_without_a_rule_says_so_in_backward() -> None:
    @primitive
    def opaque(x: Array) -> Array:
        return np.asarray(x * 1.0)

    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="opaque has no gradient with respect to 'x'"):
        opaque(x).backward()


def test_an_unknown_backend_lists_the_installed_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown backend 'nubma'; installed: .*numpy, reference"):
        use_backend("nubma")
    with pytest.raises(ValueError, match="unknown backend 'nubma'"):
        kernel(activations.softmax, "nubma")


def test_a_backend_answers_in_its_block_and_a_kernel_that_declines_passes_on() -> None:
    register_backend("test-doubling", falls_back_to="reference")

    @fused
    def same(x: Tensor) -> Tensor:
        return x * 1

    @kernel(same, "test-doubling")
    def doubling(x: Array) -> Array:
        return NotImplemented if x.dtype == np.float64 else x * 2

    assert "test-doubling" in backends()
    with use_backend("test-doubling"):
        assert current_backend() == "test-doubling"
        assert same(Tensor([1.0])).item() == 2
        assert same(Tensor([1.0], dtype=np.float64)).item() == 1
    assert same(Tensor([1.0])).item() == 1


def test_two_kernels_keep_different_residuals_and_give_the_same_gradients() -> None:
    register_backend("test-other", falls_back_to="reference")

    @fused
    def halved_square(x: Tensor) -> Tensor:
        return x * x / 2

    @kernel(halved_square, "test-other")
    def other(x: Array) -> tuple[Array, tuple[Array, str]]:
        return x * x / 2, (x, "private")

    @other.gradient
    def other_gradient(g: Array, saved: tuple[Array, str]) -> tuple[Array]:
        assert saved[1] == "private"
        return (g * saved[0],)

    for backend in ("reference", "test-other"):
        with use_backend(backend):
            x = Tensor([3.0], requires_grad=True)
            (first,) = grad(halved_square(x), [x], create_graph=True)
            (second,) = grad(first, [x])
            halved_square(x).backward()
        assert x.grad is not None
        assert (first.item(), second.item(), x.grad.item()) == (3.0, 1.0, 3.0)


def test_a_kernel_with_another_signature_is_refused() -> None:
    with pytest.raises(TypeError, match="a kernel of softmax takes what softmax"):

        @kernel(activations.softmax, "numpy")  # type: ignore[arg-type]
        def bad(x: Array, *, axes: int = -1) -> Array:
            return x


def test_modes_are_per_thread() -> None:
    seen: list[str] = []
    with use_backend("reference"):
        thread = threading.Thread(target=lambda: seen.append(current_backend()))
        thread.start()
        thread.join()
    assert seen == ["numpy"]


def test_an_observer_sees_what_was_called_before_and_after_not_what_a_body_calls() -> None:
    seen: list[tuple[str, str, bool]] = []
    x = Tensor([1.0, 2.0], requires_grad=True)
    with (
        use_backend("reference"),
        observe(lambda op, phase, inputs, params, out: seen.append((op.name, phase, out is None))),
    ):
        activations.log_softmax(x).sum().backward()
    assert seen[:4] == [
        ("log_softmax", "forward", True),
        ("log_softmax", "forward", False),
        ("sum", "forward", True),
        ("sum", "forward", False),
    ]
    assert {("sum", "backward", True), ("log_softmax", "backward", False)} <= set(seen)
    count = len(seen)
    exp(x)
    assert len(seen) == count


def test_a_procedure_writes_in_place_and_enters_the_write_log() -> None:
    @procedure("x")
    def fill(x: Array, *, value: float) -> None:
        x[...] = value

    x = Tensor([1.0, 2.0])
    before = tick()
    fill(x, value=3.0)
    assert x.tolist() == [3.0, 3.0]
    assert written_since([x.data], before) is x.data


def test_the_write_log_covers_views_and_forgets_freed_arrays() -> None:
    array = np.zeros(4)
    before = tick()
    wrote(array[1:])
    assert written_since([array[:1]], before) is not None
    del array
    assert written_since([np.zeros(4)], before) is None


def test_primitives_show_their_name_and_docstring() -> None:
    assert isinstance(log, Primitive)
    assert (log.__name__, log.__doc__) == ("log", log.__wrapped__.__doc__)


def test_no_backend_answers_for_a_module_that_asks_for_its_own_bodies_only() -> None:
    @primitive
    def twice(x: Array) -> Array:
        return np.asarray(2 * x)

    @procedure("x")
    def clear(x: Array) -> None:
        x[:] = 0

    module = ModuleType(__name__)
    module.twice, module.clear = twice, clear  # type: ignore[attr-defined]

    @kernel(twice, "numpy")
    def twice_before(x: Array) -> Array:
        return np.asarray(0 * x)

    assert twice(np.ones(1))[0] == 0
    reference_only(module)

    @kernel(twice, "numpy")
    def twice_after(x: Array) -> Array:
        return np.asarray(0 * x)

    @kernel(clear, "numpy")
    def clear_not(x: Array) -> None:
        pass

    x = np.ones(1)
    assert twice(x)[0] == 2
    clear(x)
    assert x[0] == 0
