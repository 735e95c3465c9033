"""The optimizers' common ground: groups of parameters, what is kept for each, and saving and restoring it.

Calls a method's rule with lists of arrays. Knows tensors and their ``grad``; knows no method: those stand in ``optim``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, TypeAlias

import numpy as np

from tt_foundation.primitive import Array, Procedure
from tt_foundation.tensor import Tensor

__all__ = ["Optimizer", "Pack", "Params"]

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


class Pack(list[Array]):
    """Zeros shaped and laid out like given arrays of one type, one after another in one piece of ``memory``.

    A step over many small arrays can so be taken as one over a large one.
    """

    def __init__(self, arrays: Sequence[Array]) -> None:
        self.memory = np.zeros(sum(a.size for a in arrays), arrays[0].dtype)
        start = 0
        for a in arrays:
            part = self.memory[start : start + a.size]
            by_columns = a.flags.f_contiguous and not a.flags.c_contiguous
            self.append(part.reshape(a.shape[::-1]).T if by_columns else part.reshape(a.shape))
            start += a.size
        self.cut: Any = None  # how a kernel cut the arrays that are stepped with these: for the next step


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
        self._packs: dict[tuple[Tensor, ...], list[list[Any]]] = {}
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
                self._move(params, step, options)

    def _move(self, params: list[Tensor], step: int, options: dict[str, Any]) -> None:
        """Call the rule for parameters that are equally far; a method that takes :class:`Rows` does it here."""
        self.rule(params, [p.grad for p in params], *self._kept(params), step=step, **options)

    def _by_step(self, group: Mapping[str, Any]) -> Iterator[tuple[int, list[Tensor]]]:
        """Count the step for the parameters that have a gradient, and gather those that are equally far."""
        having = [p for p in group["params"] if p.grad is not None]
        states = self.state
        self._start([p for p in having if p not in states], group)
        gathered: dict[int, list[Tensor]] = {}
        for p in having:
            state = states[p]
            state["step"] = step = state["step"] + 1
            if step in gathered:
                gathered[step].append(p)
            else:
                gathered[step] = [p]
        yield from gathered.items()

    def _start(self, params: list[Tensor], group: Mapping[str, Any]) -> None:
        """Make what is kept for parameters before their first step."""
        alike: dict[np.dtype[Any], list[Tensor]] = {}
        for p in params:
            alike.setdefault(p.dtype, []).append(p)
        for some in alike.values():
            packs = {name: self._zeros(name, some, group) for name in self.keeps}
            self._packs[tuple(some)] = list(packs.values())
            for i, p in enumerate(some):
                kept = {name: pack[i] for name, pack in packs.items() if pack[i] is not None}
                self.state[p] = {"step": 0, **kept}

    def _zeros(self, name: str, params: list[Tensor], group: Mapping[str, Any]) -> list[Any]:
        """What is kept under a name before the first step, for each parameter; None where the options spare it."""
        option = self.keeps[name]
        if option is None or group[option]:
            return Pack([p.data for p in params])
        return [None] * len(params)

    def _kept(self, params: list[Tensor]) -> list[list[Any]]:
        """What is kept for parameters: in packs, where these were started together."""
        packs = self._packs.get(tuple(params))
        return packs or [[self.state[p].get(name) for p in params] for name in self.keeps]

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
        owners = [(p, group) for group in groups for p in group["params"]]
        saved: dict[int, Any] = {}
        for key, kept in state_dict["state"].items():
            number = int(key) if str(key).isdigit() else -1
            if not 0 <= number < len(owners):
                raise ValueError(f"the state is of a parameter {key}; {name} has {len(owners)}")
            self._check_kept(number, kept, *owners[number])
            saved[number] = kept
        self.param_groups[:] = groups
        self.state, self._packs = {}, {}
        numbers = self._numbers()
        for group in groups:
            self._start([p for p in group["params"] if numbers[p] in saved], group)
        for number, kept in saved.items():
            state = self.state[owners[number][0]]
            for key, value in kept.items():
                if key == "step":
                    state[key] = int(value)
                else:
                    state[key][...] = value

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

    def _check_kept(self, number: int, kept: Mapping[str, Any], p: Tensor, group: Mapping[str, Any]) -> None:
        """Refuse what is not what this method keeps for a parameter."""
        names = [name for name, option in self.keeps.items() if option is None or group[option]]
        if kept.keys() != {"step", *names}:
            expected, found = sorted({"step", *names}), sorted(kept)
            raise ValueError(f"{type(self).__name__} keeps {expected}, the state of parameter {number} has {found}")
        int(kept["step"])
        for name in names:
            array = np.asarray(kept[name])
            if (array.shape, array.dtype) != (p.shape, p.dtype):
                raise ValueError(
                    f"{name} of parameter {number} needs {p.dtype} {p.shape}, got {array.dtype} {array.shape}"
                )

    def __repr__(self) -> str:
        options = [", ".join(f"{k}={v}" for k, v in g.items() if k != "params") for g in self.param_groups]
        return f"{type(self).__name__}({'; '.join(options)})"
