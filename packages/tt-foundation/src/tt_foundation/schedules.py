"""Learning-rate schedules: how an optimizer's rate changes with the steps or epochs behind it.

A schedule is a formula from a count to a rate, so that it can be put to any count: resuming is exact. Knows the
optimizer's groups and nothing of training; whoever trains calls ``step()`` once per step or once per epoch.

Classes, arguments and values are PyTorch's.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from tt_foundation.optimizer import Optimizer

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "cosine_with_warmup",
]


class LRScheduler:
    """A schedule: a subclass's ``rate`` says which rate a group has after ``count`` calls of ``step``.

    Making one sets the rates of count 0. The rates that the groups had are kept in them as ``initial_lr``.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.last_epoch = 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._apply()

    def rate(self, base: float, count: int) -> float:
        """The rate after ``count`` steps of a group that began with ``base``."""
        raise NotImplementedError(f"{type(self).__name__} needs a method rate(base, count)")

    def step(self) -> None:
        """Count one more, and set the rates."""
        self.advance_to(self.last_epoch + 1)

    def advance_to(self, count: int) -> None:
        """Set the rates as they are after ``count`` steps."""
        self.last_epoch = count
        self._apply()

    def _apply(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(group["initial_lr"], self.last_epoch)

    def get_last_lr(self) -> list[float]:
        """The rate of every group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What changes from step to step, as plain data."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`; the rates themselves are in the optimizer's.

        Raises:
            ValueError: it is of another schedule.
        """
        self._check_keys(state_dict)
        self.last_epoch = int(state_dict["last_epoch"])

    def _check_keys(self, state_dict: Mapping[str, Any]) -> None:
        expected = self.state_dict().keys()
        if state_dict.keys() != expected:
            raise ValueError(f"{type(self).__name__} has {sorted(expected)}, the state has {sorted(state_dict)}")


class StepLR(LRScheduler):
    """The rate times ``gamma`` every ``step_size`` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR needs step_size >= 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, count: int) -> float:
        return float(base * self.gamma ** (count // self.step_size))


class MultiStepLR(LRScheduler):
    """The rate times ``gamma`` at every milestone."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, count: int) -> float:
        return float(base * self.gamma ** bisect_right(self.milestones, count))


class ExponentialLR(LRScheduler):
    """The rate times ``gamma`` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, count: int) -> float:
        return float(base * self.gamma**count)


class LinearLR(LRScheduler):
    """The rate times a factor that goes from ``start_factor`` to ``end_factor`` over ``total_iters`` steps."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR needs 0 < start_factor <= 1, got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR needs 0 <= end_factor <= 1, got {end_factor}")
        if total_iters < 1:
            raise ValueError(f"LinearLR needs total_iters >= 1, got {total_iters}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, base: float, count: int) -> float:
        done = min(count, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class CosineAnnealingLR(LRScheduler):
    r"""From the rate down to ``eta_min`` in ``T_max`` steps, along half a cosine, and up again in as many.

    .. math:: \eta_t = \eta_{min} + (\eta_0 - \eta_{min}) (1 + \cos(\pi t / T_{max})) / 2

    Loshchilov and Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR needs T_max >= 1, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, base: float, count: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * count / self.T_max)) / 2


class OneCycleLR(LRScheduler):
    """From a small rate up to ``max_lr`` and down to a tiny one, while the momentum goes down and up.

    Args:
        optimizer: one with ``momentum`` or ``betas`` if ``cycle_momentum``.
        max_lr: the highest rate, for all groups or one for each.
        total_steps: the steps of the whole training.
        pct_start: the share of them on the way up.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: whether the momentum (Adam's first beta) changes too.
        base_momentum: the momentum at the highest rate.
        max_momentum: the momentum at the lowest rates.
        div_factor: ``max_lr`` over the rate at the start.
        final_div_factor: the rate at the start over the one at the end.
        three_phase: whether to come down to the rate at the start first, in as many steps as going up took.

    Raises:
        ValueError: an argument out of its range, or a step beyond ``total_steps``.

    Smith and Topin (2019), Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int,
        *,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        groups = optimizer.param_groups
        peaks = [float(max_lr)] * len(groups) if isinstance(max_lr, int | float) else list(max_lr)
        if len(peaks) != len(groups):
            raise ValueError(f"OneCycleLR needs one max_lr for each of {len(groups)} groups, got {len(peaks)}")
        if total_steps < 1:
            raise ValueError(f"OneCycleLR needs total_steps >= 1, got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR needs 0 <= pct_start <= 1, got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR needs anneal_strategy of cos or linear, got {anneal_strategy!r}")
        if cycle_momentum and not {"betas", "momentum"} & optimizer.defaults.keys():
            raise ValueError(f"{type(optimizer).__name__} has no momentum to cycle: cycle_momentum=False")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        low, high = max_momentum, base_momentum
        up = pct_start * total_steps - 1
        if three_phase:
            self._ends = [up, 2 * pct_start * total_steps - 2, total_steps - 1]
            self._momenta = [low, high, low, low]
        else:
            self._ends = [up, total_steps - 1]
            self._momenta = [low, high, low]
        self._rates: list[list[float]] = []
        for group, peak in zip(groups, peaks, strict=True):
            start = peak / div_factor
            last = start / final_div_factor
            self._rates.append([start, peak, start, last] if three_phase else [start, peak, last])
            group["initial_lr"] = start
        super().__init__(optimizer)

    def _apply(self) -> None:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR was made for {self.total_steps} steps, this is step {self.last_epoch}")
        for group, rates in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = self._between(rates, self.last_epoch)
            if self.cycle_momentum:
                momentum = self._between(self._momenta, self.last_epoch)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum

    def _between(self, values: list[float], count: int) -> float:
        """The value after ``count`` steps, between those at the ends of its phase."""
        begin = 0.0
        for i, end in enumerate(self._ends):
            if count <= end or i == len(self._ends) - 1:
                break
            begin = end
        done = min(1.0, (count - begin) / (end - begin))  # the step after the last trains nothing
        if self.anneal_strategy == "linear":
            return values[i] + (values[i + 1] - values[i]) * done
        return values[i + 1] + (values[i] - values[i + 1]) * (1 + math.cos(math.pi * done)) / 2


class ReduceLROnPlateau:
    """The rate times ``factor`` when a measure has not become better for more than ``patience`` calls of ``step``.

    Args:
        optimizer: whose rates to reduce.
        mode: ``"min"`` where less is better, ``"max"`` where more is.
        factor: what to multiply the rates by.
        patience: how many calls without a better measure are let pass.
        threshold: how much better is better, as ``threshold_mode`` has it: ``"rel"`` a share, ``"abs"`` an amount.
        cooldown: how many calls to wait after a reduction before counting again.
        min_lr: no rate goes below.
        eps: a reduction by less than this is left undone.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau needs mode of min or max, got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau needs threshold_mode of rel or abs, got {threshold_mode!r}")
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau needs 0 <= factor < 1, got {factor}")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0

    def step(self, metric: float) -> None:
        """Take the measure of one more epoch, and reduce the rates if it is time."""
        if self._is_better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                reduced = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _is_better(self, metric: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "abs":
            return sign * metric > sign * self.best + self.threshold
        return sign * metric > sign * self.best * (1 + sign * self.threshold)

    def get_last_lr(self) -> list[float]:
        """The rate of every group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What changes from step to step, as plain data."""
        return {"best": self.best, "num_bad_epochs": self.num_bad_epochs, "cooldown_counter": self.cooldown_counter}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`; the rates themselves are in the optimizer's.

        Raises:
            ValueError: it is of another schedule.
        """
        if state_dict.keys() != self.state_dict().keys():
            expected, found = sorted(self.state_dict()), sorted(state_dict)
            raise ValueError(f"ReduceLROnPlateau has {expected}, the state has {found}")
        self.best = float(state_dict["best"])
        self.num_bad_epochs = int(state_dict["num_bad_epochs"])
        self.cooldown_counter = int(state_dict["cooldown_counter"])


class SequentialLR(LRScheduler):
    """One schedule after the other: the next begins, at its count 0, when a milestone is reached.

    Raises:
        ValueError: there is not one milestone between each two schedules, or they are of another optimizer.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR needs a milestone between each two of {len(schedulers)} schedules, got {len(milestones)}"
            )
        if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
            raise ValueError("SequentialLR needs schedules of the one optimizer that it is given")
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        super().__init__(optimizer)

    def _apply(self) -> None:
        i = bisect_right(self.milestones, self.last_epoch)
        self.schedulers[i].advance_to(self.last_epoch - (self.milestones[i - 1] if i else 0))


def cosine_with_warmup(optimizer: Optimizer, warmup_steps: int, total_steps: int, eta_min: float = 0.0) -> LRScheduler:
    """Up to the rate in ``warmup_steps`` equal steps, then down to ``eta_min`` along half a cosine.

    Raises:
        ValueError: the warm-up takes all the steps, or less than none.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"cosine_with_warmup needs 0 <= warmup_steps < total_steps, got {warmup_steps}, {total_steps}")
    cosine = CosineAnnealingLR(optimizer, total_steps - warmup_steps, eta_min)
    if not warmup_steps:
        return cosine
    warmup = LinearLR(optimizer, start_factor=1 / (warmup_steps + 1), total_iters=warmup_steps)
    return SequentialLR(optimizer, [warmup, cosine], [warmup_steps])
