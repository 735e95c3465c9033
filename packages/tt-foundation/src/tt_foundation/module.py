"""Module: what every layer and model is: parameters, children, and a forward pass.

A module is a plain object. Its parameters, buffers and children are what its attributes hold, found by looking; there
is no attribute magic. Knows tensors; knows no layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, ParamSpec, Self, TypeVar

import numpy as np
import numpy.typing as npt

from tt_foundation.primitive import Array, here, scope, wrote
from tt_foundation.tensor import Tensor

__all__ = ["Buffer", "Module", "Parameter"]

P = ParamSpec("P")
R = TypeVar("R")


class Parameter(Tensor):
    """A tensor that training changes: a leaf that requires a gradient."""

    __slots__ = ()

    def __init__(self, data: Any, *, dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(data, dtype=dtype, requires_grad=True)


class Buffer(Tensor):
    """A tensor that belongs to a module's state but that no gradient changes, such as a running mean."""

    __slots__ = ()


class Module(Generic[P, R]):
    """A part of a model: write ``forward``, keep parameters and other modules in attributes, call the object.

    ``Module[[Tensor], Tensor]`` takes a tensor and gives one.
    """

    training: bool = True
    forward: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if here.mode.observers:
            out: R = scope(self, self.forward, *args, **kwargs)
            return out
        return self.forward(*args, **kwargs)

    def named_children(self) -> Iterator[tuple[str, Module[..., Any]]]:
        """The modules held directly, by attribute; those in a list or tuple have their place in their name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list | tuple):
                for i, item in enumerate(value):
                    if isinstance(item, Module):
                        yield f"{name}.{i}", item

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module[..., Any]]]:
        """This module and all below it, parents first, each once."""
        seen: set[int] = set()
        waiting: list[tuple[str, Module[..., Any]]] = [(prefix, self)]
        while waiting:
            path, module = waiting.pop(0)
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module
                children = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
                waiting[:0] = children

    def modules(self) -> Iterator[Module[..., Any]]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def _named_tensors(self, kind: type[Tensor]) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, such as ``layers.0.weight``; a shared one once, under its first."""
        return self._named_tensors(Parameter)  # type: ignore[return-value]  # of that kind

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """All buffers with their paths."""
        return self._named_tensors(Buffer)  # type: ignore[return-value]  # of that kind

    def buffers(self) -> Iterator[Buffer]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers())

    def _state(self) -> dict[str, Tensor]:
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers, by path."""
        return {name: tensor.data.copy() for name, tensor in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Array], *, strict: bool = True) -> None:
        """Write a :meth:`state_dict` into the parameters and buffers; all of it or, with an error, nothing.

        Raises:
            ValueError: shapes or types differ, or, where ``strict``, entries are missing or unknown; the message lists
                every one.
        """
        own = self._state()
        problems = []
        if strict:
            problems += [f"missing {name} {t.shape}" for name, t in own.items() if name not in state]
            problems += [f"unexpected {name} {np.shape(a)}" for name, a in state.items() if name not in own]
        for name in own.keys() & state.keys():
            if np.shape(state[name]) != own[name].shape:
                problems.append(f"{name} has shape {own[name].shape}, got {np.shape(state[name])}")
            elif np.asarray(state[name]).dtype != own[name].dtype:
                problems.append(f"{name} has type {own[name].dtype}, got {np.asarray(state[name]).dtype}")
        if problems:
            raise ValueError(f"state does not fit {type(self).__name__}: " + "; ".join(sorted(problems)))
        for name in own.keys() & state.keys():
            own[name].data[...] = state[name]
            wrote(own[name].data)

    def train(self, is_training: bool = True) -> Self:
        """Switch this module and all below it to training behaviour, or out of it."""
        for module in self.modules():
            module.training = is_training
        return self

    def eval(self) -> Self:
        """Switch this module and all below it to evaluation behaviour."""
        return self.train(False)

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Convert all floating-point parameters and buffers, in place; gradients are dropped."""
        for tensor in self._state().values():
            if tensor.dtype.kind == "f":
                tensor.data, tensor.grad, tensor.node = tensor.data.astype(dtype), None, None
        return self

    def zero_grad(self) -> None:
        """Forget the gradients: every ``grad`` becomes None."""
        for p in self.parameters():
            p.grad = None

    def summary(self) -> str:
        """A table of the modules that hold parameters or buffers: path, class, shapes, counts and bytes."""
        rows = [("module", "class", "shapes", "parameters", "bytes")]
        for path, module in self.named_modules():
            own = {name: v for name, v in vars(module).items() if isinstance(v, Parameter | Buffer)}
            if own:
                shapes = ", ".join(f"{name} {v.shape}" for name, v in own.items())
                count = sum(v.size for v in own.values() if isinstance(v, Parameter))
                nbytes = sum(v.nbytes for v in own.values())
                rows.append((path or ".", type(module).__name__, shapes, f"{count:,}", f"{nbytes:,}"))
        count = sum(p.size for p in self.parameters())
        nbytes = sum(t.nbytes for t in self._state().values())
        rows.append(("total", type(self).__name__, "", f"{count:,}", f"{nbytes:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        return "\n".join(
            "  ".join(c.rjust(w) if i > 2 else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        )

    def extra_repr(self) -> str:
        """What stands between the brackets of ``repr`` where there are no children: the attributes of plain values."""
        shown = {k: v for k, v in vars(self).items() if isinstance(v, bool | int | float | str) and k != "training"}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())

    def __repr__(self) -> str:
        children = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        inside = "\n" + "\n".join(children) + "\n" if children else self.extra_repr()
        return f"{type(self).__name__}({inside})"
