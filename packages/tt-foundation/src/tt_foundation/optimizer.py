"""The optimizers' common ground: groups of parameters, what is kept for each, and saving and restoring it.

Calls a method's rule with lists of arrays. Knows tensors and their ``grad``; knows no method: those stand in ``optim``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, ClassVar, TypeAlias

import numpy as np

from tt_foundation.primitive import Array, Procedure
from tt_foundation.tensor import Tensor

__all__ = ["Optimizer", "Params"]

Params: TypeAlias = Iterable[Tensor | Mapping[str, Any]]

_RANGES = {
    "alpha": (0, np.inf),
    "betas": (0, 1),
    "eps": (0, np.inf),
    "initial_accumulator_value": (0, np.inf),
    "lr": (0, np.inf),
    "lr_decay": (0, np.inf),
    "momentum": (0, np.inf),
    "weight_decay": (0, np.inf),
}


class Optimizer:
    """What all optimizers share: groups of parameters with their options, and what is kept for each parameter.

    A subclass names its ``rule``, a procedure ``(params, grads, *kept arrays, step, **options)``, and the arrays it
    ``keeps``, zero before the first step, each with the option without which it is not kept, if there is one.

    Args:
        params: the parameters, or groups of them: ``[{"params": [...], "lr": 0.1}, ...]``.
        defaults: the rule's options, for groups that do not say otherwise.

    Raises:
        TypeError: something else than tensors, or an option that the method does not have.
        ValueError: no parameters, one given twice, one that cannot have a gradient, or an option out of its range.
    """

    rule: ClassVar[Procedure]
    keeps: ClassVar[Mapping[str, str | None]] = {}

    def __init__(self, params: Params, **defaults: Any) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        if isinstance(params, Tensor | Mapping):
            raise TypeError(f"an optimizer needs a list of tensors or of groups, got one {type(params).__name__}")
        given: list[Any] = list(params)
        if not given:
            raise ValueError("an optimizer needs parameters, got none")
        for group in given if isinstance(given[0], Mapping) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimize more parameters, with options of their own: ``{"params": [...], "lr": 0.1}``."""
        name = type(self).__name__
        if "params" not in group:
            raise ValueError(f"a group needs params, got {', '.join(group)}")
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        known = set(chain.from_iterable(g["params"] for g in self.param_groups))
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{name} optimizes tensors, got a {type(p).__name__} at place {i}")
            if not (p.requires_grad and p.is_leaf):
                raise ValueError(
                    f"{name} optimizes leaves that require a gradient; place {i}, shape {p.shape}, is none"
                )
            if p in known:
                raise ValueError(f"{name} got the parameter at place {i}, shape {p.shape}, twice")
            known.add(p)
        options = {key: group[key] for key in group if key != "params"}
        if unknown := sorted(options.keys() - self.defaults.keys()):
            raise TypeError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(self.defaults)}")
        new = {"params": params, **self.defaults, **options}
        self._check(new)
        self.param_groups.append(new)

    def _check(self, group: Mapping[str, Any]) -> None:
        """Refuse a group with options out of range."""
        for key, (low, high) in _RANGES.items():
            values = group.get(key, low)
            for value in values if isinstance(values, tuple | list) else (values,):
                if not low <= value < high:
                    raise ValueError(f"{type(self).__name__} needs {low} <= {key} < {high}, got {values}")

    def zero_grad(self) -> None:
        """Forget the gradients: every ``grad`` becomes None."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient, in place: one call of the rule per group."""
        for group in self.param_groups:
            options = {name: group[name] for name in self.defaults}
            for step, params in self._by_step(group):
                kept = [[self.state[p].get(name) for p in params] for name in self.keeps]
                self.rule(params, [p.grad for p in params], *kept, step=step, **options)

    def _by_step(self, group: Mapping[str, Any]) -> Iterator[tuple[int, list[Tensor]]]:
        """Count the step for the parameters that have a gradient, and gather those that are equally far."""
        gathered: dict[int, list[Tensor]] = {}
        for p in group["params"]:
            if p.grad is not None:
                state = self.state.get(p)
                if state is None:
                    state = self.state[p] = {"step": 0, **self._zeros(p, group)}
                state["step"] += 1
                gathered.setdefault(state["step"], []).append(p)
        yield from gathered.items()

    def _zeros(self, p: Tensor, group: Mapping[str, Any]) -> dict[str, Array]:
        """What is kept for a parameter before its first step."""
        return {name: np.zeros_like(p.data) for name, option in self.keeps.items() if option is None or group[option]}

    def bytes_per_parameter(self) -> dict[str, float]:
        """The bytes that training holds for each number it trains, measured: the number, its gradient, what is kept.

        Adam in float32 after a step: 4 for the parameter, 4 for the gradient and 4 for each of two moments.
        """
        params = [p for group in self.param_groups for p in group["params"]]
        held: dict[str, int] = {"parameter": 0, "gradient": 0}
        for p in params:
            held["parameter"] += p.nbytes
            held["gradient"] += 0 if p.grad is None else p.grad.nbytes
            for name in self.keeps:
                if name in self.state.get(p, {}):
                    held[name] = held.get(name, 0) + self.state[p][name].nbytes
        count = sum(p.size for p in params)
        return {name: nbytes / count if count else 0.0 for name, nbytes in held.items()}

    def state_dict(self) -> dict[str, Any]:
        """Options and everything kept, as nested plain data: parameters are numbered in the order of their groups.

        The arrays are the optimizer's own, not copies.
        """
        numbers = self._numbers()
        return {
            "state": {str(numbers[p]): dict(kept) for p, kept in self.state.items()},
            "param_groups": [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take the options and everything kept from a :meth:`state_dict`; all of it or, with an error, nothing.

        Raises:
            ValueError: it is of another optimizer, of other groups, or of parameters of other shapes.
        """
        name = type(self).__name__
        if missing := {"state", "param_groups"} - state_dict.keys():
            raise ValueError(f"a state of {name} needs {' and '.join(sorted(missing))}, got {sorted(state_dict)}")
        groups = [self._loaded_group(*pair) for pair in self._paired(state_dict["param_groups"])]
        params = [p for group in groups for p in group["params"]]
        state: dict[Tensor, dict[str, Any]] = {}
        for number, kept in state_dict["state"].items():
            if not str(number).isdigit() or int(number) >= len(params):
                raise ValueError(f"the state is of a parameter {number}; {name} has {len(params)}")
            group = next(group for group in groups if any(p is params[int(number)] for p in group["params"]))
            state[params[int(number)]] = self._loaded_state(number, kept, params[int(number)], group)
        self.param_groups[:] = groups
        self.state = {p: state[p] for p in params if p in state}

    def _numbers(self) -> dict[Tensor, int]:
        return {p: i for i, p in enumerate(chain.from_iterable(group["params"] for group in self.param_groups))}

    def _paired(self, saved: Any) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
        """Every group with its saved self."""
        sizes, found = ([len(g["params"]) for g in self.param_groups], [len(g["params"]) for g in saved])
        if sizes != found:
            raise ValueError(f"{type(self).__name__} has groups of {sizes} parameters, the state has {found}")
        return zip(self.param_groups, saved, strict=True)

    def _loaded_group(self, group: dict[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
        """A group with the saved options, checked."""
        options = {
            key: tuple(value) if isinstance(value, list) else value for key, value in saved.items() if key != "params"
        }
        if self.defaults.keys() != options.keys() - {"initial_lr"}:
            expected, found = sorted(self.defaults), sorted(options)
            raise ValueError(f"{type(self).__name__} has options {expected}, the state has {found}")
        loaded = {"params": group["params"], **options}
        self._check(loaded)
        return loaded

    def _loaded_state(self, number: Any, kept: Any, p: Tensor, group: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of what is kept for a parameter, checked."""
        zeros = self._zeros(p, group)
        if kept.keys() != {"step", *zeros}:
            expected, found = sorted({"step", *zeros}), sorted(kept)
            raise ValueError(f"{type(self).__name__} keeps {expected}, the state of parameter {number} has {found}")
        loaded: dict[str, Any] = {"step": int(kept["step"])}
        for name, like in zeros.items():
            array = np.asarray(kept[name])
            if (array.shape, array.dtype) != (like.shape, like.dtype):
                raise ValueError(
                    f"{name} of parameter {number} needs {like.dtype} {like.shape}, got {array.dtype} {array.shape}"
                )
            loaded[name] = array.copy()
        return loaded

    def __repr__(self) -> str:
        options = [", ".join(f"{k}={v}" for k, v in g.items() if k != "params") for g in self.param_groups]
        return f"{type(self).__name__}({'; '.join(options)})"
