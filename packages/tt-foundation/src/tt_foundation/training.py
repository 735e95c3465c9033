"""Training: the loop around model, loss and optimizer, and all that keeps a long run safe (module 07).

An epoch goes once through the batches; a step is one move of the optimizer, over one batch or several accumulated.
Knows the loop: accumulation, clipping, schedules, checkpoints, interruption. What is noted and shown meanwhile stands
in ``callbacks`` and ``progress``, how good a model is in ``metrics``.
"""

from __future__ import annotations

import copy
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tt_foundation.autograd import no_grad
from tt_foundation.callbacks import Callback, History
from tt_foundation.datasets import Batch
from tt_foundation.module import Module
from tt_foundation.optim import clip_grad_norm
from tt_foundation.optimizer import Optimizer
from tt_foundation.primitive import Array
from tt_foundation.progress import ProgressBar
from tt_foundation.random import default_rng
from tt_foundation.schedules import LRScheduler, ReduceLROnPlateau
from tt_foundation.serialization import load_state, save_state
from tt_foundation.tensor import Tensor

__all__ = ["Trainer"]


@dataclass
class _Place:
    """How far a run is: whole epochs, steps of the whole run, and batches, samples, loss and time of this epoch."""

    epoch: int = 0
    step: int = 0
    position: int = 0
    samples: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    is_stopped: bool = False


class Trainer:
    """Trains a model, and stops, saves and goes on without a trace.

    Args:
        model: what to train.
        optimizer: moves the model's parameters.
        loss: ``loss(output, y)``, a mean over the samples of a batch (or their sum, if its ``reduction`` says so).
        schedule: sets the optimizer's rate, after every ``"epoch"`` or ``"step"``.
        schedule_per: which of the two. ReduceLROnPlateau goes by ``val_loss``, where there is none by ``loss``.
        accumulate: how many batches make one step. Each counts by its number of samples, so that the gradient is
            that of one large batch.
        clip_norm: the largest norm of all gradients together.
        metrics: ``{name: metric(outputs, targets)}``, means over samples, for :meth:`evaluate`.
        callbacks: told of every step and epoch; their states are part of a checkpoint.
        progress: whether to show how far it is, and what every epoch gave.

    Attributes:
        history: the row of every epoch.
        interrupted: whether the last :meth:`fit` was ended by Ctrl-C.

    Raises:
        ValueError: ``accumulate``, ``clip_norm`` or ``schedule_per`` out of range.
    """

    def __init__(
        self,
        model: Module[[Tensor], Tensor],
        optimizer: Optimizer,
        loss: Callable[[Tensor, Any], Tensor],
        *,
        schedule: LRScheduler | ReduceLROnPlateau | None = None,
        schedule_per: Literal["epoch", "step"] = "epoch",
        accumulate: int = 1,
        clip_norm: float | None = None,
        metrics: Mapping[str, Callable[[Any, Any], float]] | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"Trainer needs accumulate >= 1, got {accumulate}")
        if clip_norm is not None and not clip_norm > 0:
            raise ValueError(f"Trainer needs clip_norm > 0, got {clip_norm}")
        if schedule_per not in ("epoch", "step"):
            raise ValueError(f"Trainer needs schedule_per of epoch or step, got {schedule_per!r}")
        if schedule_per == "step" and isinstance(schedule, ReduceLROnPlateau):
            raise ValueError("ReduceLROnPlateau goes by what an epoch gave: schedule_per='epoch'")
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.schedule = schedule
        self.schedule_per = schedule_per
        self.accumulate = accumulate
        self.clip_norm = clip_norm
        self.metrics = dict(metrics or {})
        self.history = History()
        self.callbacks: list[Callback] = [self.history, *callbacks]
        self.progress = progress
        self.interrupted = False
        self._place = _Place()
        self._generators: list[np.random.Generator] = []
        self._at_epoch_start: list[dict[str, Any]] = []
        self._resumed: dict[str, Any] | None = None

    def fit(
        self,
        train_batches: Iterable[Batch],
        epochs: int,
        validation: Iterable[Batch] | None = None,
        *,
        checkpoint: str | Path | None = None,
        checkpoint_every: int | None = None,
    ) -> History:
        """Train until the run has ``epochs`` epochs, counting those behind it.

        Ctrl-C finishes the step at hand, saves, says so and returns; a second one raises KeyboardInterrupt. Another
        ``fit`` goes on where the last one stood.

        Args:
            train_batches: gone through once an epoch; its ``rng``, if it has one, is part of a checkpoint.
            epochs: of the whole run; one that :meth:`stop` ended gets no more.
            validation: evaluated after every epoch, as ``val_loss`` and ``val_`` each metric.
            checkpoint: a file to save the run to after every epoch.
            checkpoint_every: save also after every so many steps.

        Raises:
            TypeError: the batches can be gone through only once.
            ValueError: there are no batches, or the checkpoint that was resumed is of a run over others.
            FileNotFoundError: there is no folder for the checkpoint.
        """
        for batches in (train_batches, validation):
            if isinstance(batches, Iterator):
                raise TypeError(f"fit needs batches to go through every epoch, got a {type(batches).__name__}")
        if checkpoint_every is not None and checkpoint_every < 1:
            raise ValueError(f"fit needs checkpoint_every >= 1, got {checkpoint_every}")
        if checkpoint is not None and not Path(checkpoint).parent.is_dir():
            raise FileNotFoundError(f"there is no folder {Path(checkpoint).parent} for the checkpoint")
        self._generators = self._all_generators(train_batches, validation)
        if self._resumed is not None:
            self._restore_generators(self._resumed)
            self._resumed = None
        self.interrupted = False
        with _interrupt_flag() as interrupt, ProgressBar(self.progress, epochs, _length(train_batches)) as bar:
            while self._place.epoch < epochs and not self._place.is_stopped and not interrupt.is_set():
                is_whole = True
                for loss in self._epoch(train_batches):
                    bar.advance(self._place.epoch, self._place.position, loss)
                    if checkpoint and checkpoint_every and self._place.step % checkpoint_every == 0:
                        self.save(checkpoint)
                    if interrupt.is_set():
                        is_whole = False
                        break
                if is_whole:
                    bar.show(self._end_epoch(validation))
                if checkpoint and (is_whole or interrupt.is_set()):
                    self.save(checkpoint)
            if interrupt.is_set():
                self.interrupted = True
                saved = f"saved to {checkpoint}" if checkpoint else "not saved, as fit was given no checkpoint"
                bar.say(f"interrupted after {self._place.epoch} epochs and {self._place.step} steps; {saved}")
        return self.history

    def stop(self) -> None:
        """End the run after this epoch; for callbacks."""
        self._place.is_stopped = True

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The mean over samples of the loss and every metric, in evaluation mode.

        Raises:
            ValueError: there are no samples.
        """
        totals = dict.fromkeys(["loss", *self.metrics], 0.0)
        samples = 0
        with self._evaluating():
            for batch in batches:
                output = self.model(batch.x)
                size = len(batch.x)
                totals["loss"] += self.loss(output, batch.y).item() * (1 if self._is_sum else size)
                for name, metric in self.metrics.items():
                    totals[name] += metric(output, batch.y) * size
                samples += size
        if not samples:
            raise ValueError("evaluate needs samples, got no batches")
        return {name: total / samples for name, total in totals.items()}

    def predict(self, x: Array | Tensor, batch_size: int = 256) -> Array:
        """The model's outputs for ``x``, in evaluation mode: ``(n, ...) -> (n, ...)``.

        Computed in pieces of ``batch_size``; no inputs give no outputs, of the right shape.
        """
        values = x if isinstance(x, Tensor) else Tensor(x)
        with self._evaluating():
            parts = [self.model(values[i : i + batch_size]).data for i in range(0, max(1, len(values)), batch_size)]
        return np.concatenate(parts)

    def save(self, path: str | Path) -> None:
        """Save the run as it stands, so that :meth:`resume` goes on with the same bits."""
        save_state(path, self._state())

    def resume(self, path: str | Path) -> None:
        """Stand where a run of the same model, optimizer, schedule and callbacks was saved; ``fit`` goes on from there.

        Raises:
            OSError, ValueError: there is no whole checkpoint there, or it is of another run; nothing is changed then.
        """
        state = load_state(path)
        before = copy.deepcopy(self._state())
        try:
            self._load(state)
        except Exception:
            self._load(before)
            raise
        self._resumed = state

    def _state(self) -> dict[str, Any]:
        """All that a run's future depends on: what :meth:`save` writes and :meth:`_load` reads, by name.

        ``kind`` (``"tt_foundation.training"``), ``place`` (as a dictionary), ``model``, ``optimizer``, ``schedule``
        (None without one) and a list of ``callbacks`` by their ``state_dict``, and the states of the ``generators``,
        now and ``generators_at_epoch_start``.
        """
        return {
            "kind": "tt_foundation.training",
            "place": asdict(self._place),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "generators": [_plain(g) for g in self._generators],
            "generators_at_epoch_start": self._at_epoch_start,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        """Take all but the generators from a :meth:`_state`; each part refuses, by ValueError, what is not its own."""
        if state.get("kind") != "tt_foundation.training":
            raise ValueError("this is no checkpoint of a Trainer")
        if len(state["callbacks"]) != len(self.callbacks) or (state["schedule"] is None) != (self.schedule is None):
            raise ValueError("the checkpoint is of a Trainer with another schedule or other callbacks")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        for callback, saved in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved)
        self._place = _Place(**state["place"])

    def _restore_generators(self, state: Mapping[str, Any]) -> None:
        """Let every generator draw what it would have drawn next when ``state`` was saved.

        A state without any was saved before its run's first fit; one with another number of them is a ValueError.
        """
        if not state["generators"]:
            return
        if len(state["generators"]) != len(self._generators):
            raise ValueError(
                f"the checkpoint is of a run with {len(state['generators'])} generators of random numbers, "
                f"this one has {len(self._generators)}"
            )
        self._at_epoch_start = state["generators_at_epoch_start"]
        _put_back(self._generators, state["generators"])

    def _all_generators(self, *batches: Iterable[Batch] | None) -> list[np.random.Generator]:
        """Every generator that the run may draw from, each once: the process's, the batches' ``rng``, the layers'.

        A layer's are those among its attributes, in the order of the model's modules.
        """
        held = [default_rng(), *(getattr(b, "rng", None) for b in batches)]
        held += chain.from_iterable(vars(module).values() for module in self.model.modules())
        return list({id(g): g for g in held if isinstance(g, np.random.Generator)}.values())

    def _remaining(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of this epoch that are still to come.

        At its start these are all, and the states of ``_generators`` are noted in ``_at_epoch_start``. In its midst,
        ``position`` batches are behind: the generators go back to those states, so that the same order is drawn, that
        many batches are passed over, and the generators go on from where they stood.

        Raises:
            ValueError: there are fewer batches than lie behind.
        """
        position = self._place.position
        if not position:
            self._at_epoch_start = [_plain(g) for g in self._generators]
            return iter(batches)
        now = [_plain(g) for g in self._generators]
        _put_back(self._generators, self._at_epoch_start)
        stream = iter(batches)
        skipped = sum(1 for _ in islice(stream, position))
        if skipped != position:
            raise ValueError(f"the run stood after batch {position} of an epoch, these are only {skipped}")
        _put_back(self._generators, now)
        return stream

    def _epoch(self, batches: Iterable[Batch]) -> Iterator[float]:
        """Go through the batches from where the run stands, in training mode; the loss of every step.

        A step takes ``accumulate`` batches, the last one what is left. After each the run's place counts the step, its
        batches and samples, the loss of all samples (``loss_sum``) and the epoch's seconds; then callbacks are told.

        Raises:
            ValueError: there were no batches.
        """
        place = self._place
        self.model.train()
        stream = self._remaining(batches)
        began = time.perf_counter() - place.seconds
        while group := list(islice(stream, self.accumulate)):
            samples = sum(len(batch.x) for batch in group)
            loss = self._step(group, samples)
            place.step += 1
            place.position += len(group)
            place.samples += samples
            place.loss_sum += loss * (1 if self._is_sum else samples)
            place.seconds = time.perf_counter() - began
            for callback in self.callbacks:
                callback.on_step_end(self, loss)
            yield loss
        if not place.samples:
            raise ValueError("fit needs batches, got none")

    def _step(self, group: Sequence[Batch], samples: int) -> float:
        """One move of the optimizer, by the gradient of the mean loss over all batches of ``group``, which it returns.

        The gradients of the batches add up, each batch's mean loss counting with its share of the ``samples``; where
        the loss is a sum, all count whole. They are clipped, if that is asked, before the optimizer moves. A schedule
        per step moves last.
        """
        self.optimizer.zero_grad()
        total = 0.0
        for batch in group:
            share = 1.0 if self._is_sum else len(batch.x) / samples
            loss = self.loss(self.model(batch.x), batch.y)
            total += loss.item() * share
            (loss if share == 1 else loss * share).backward()
        if self.clip_norm is not None:
            clip_grad_norm(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        if self.schedule_per == "step" and isinstance(self.schedule, LRScheduler):
            self.schedule.step()
        return total

    def _end_epoch(self, validation: Iterable[Batch] | None) -> dict[str, float]:
        """What the epoch gave, told to schedule and callbacks.

        The row has ``epoch`` (from 1), ``loss`` (the mean over samples), ``val_`` with every number of :meth:`evaluate`
        where there is validation, ``lr`` (of the first group, before the schedule moves it) and ``seconds``. A plateau
        schedule goes by ``val_loss``, else by ``loss``. Then the place counts the epoch and starts the next one with
        nothing behind, and callbacks are told.
        """
        place = self._place
        row: dict[str, float] = {"epoch": place.epoch + 1, "loss": place.loss_sum / place.samples}
        if validation is not None:
            row |= {f"val_{name}": value for name, value in self.evaluate(validation).items()}
        row |= {"lr": self.optimizer.param_groups[0]["lr"], "seconds": place.seconds}
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(row.get("val_loss", row["loss"]))
        elif self.schedule is not None and self.schedule_per == "epoch":
            self.schedule.step()
        place.epoch += 1
        place.position = place.samples = 0
        place.loss_sum = place.seconds = 0.0
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)
        return row

    @property
    def _is_sum(self) -> bool:
        """Whether the loss is a sum over samples: its ``reduction`` is ``"sum"``."""
        return getattr(self.loss, "reduction", "mean") == "sum"

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The model in evaluation mode, nothing recorded; each of its modules' mode is put back, after errors too."""
        was_training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        try:
            with no_grad():
                yield
        finally:
            for module in was_training:
                module.training = True


def _plain(generator: np.random.Generator) -> dict[str, Any]:
    """A generator's state as plain data."""
    return dict(generator.bit_generator.state)


def _put_back(generators: Sequence[np.random.Generator], states: Sequence[Mapping[str, Any]]) -> None:
    """Give each generator one of the states."""
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state


def _length(batches: Any) -> int | None:
    """How many batches there are, where they can tell; a loader over a stream has a length and cannot."""
    try:
        return len(batches)
    except TypeError:
        return None


@contextmanager
def _interrupt_flag() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second raises KeyboardInterrupt. Python signals the main thread only."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def note(signum: int, frame: Any) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
