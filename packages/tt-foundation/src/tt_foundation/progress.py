"""How far a training run is: a live bar on a terminal, a line per epoch elsewhere, nothing when not wanted.

The bar needs rich, the extra ``[progress]``; without it a terminal gets the lines too. Knows numbers and the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["ProgressBar"]


class ProgressBar:
    """Shows a run of ``epochs`` epochs of ``length`` batches (None: not known) on standard error."""

    def __init__(self, is_shown: bool, epochs: int, length: int | None) -> None:
        self.is_shown = is_shown
        self.epochs = epochs
        self.length = length
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        if self.is_shown and sys.stderr.isatty():
            self._bar = _rich_bar()
        if self._bar is not None:
            self._task = self._bar.add_task("", total=self.length, loss="", epoch=1, epochs=self.epochs)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, epoch: int, position: int, loss: float) -> None:
        """A step is done: ``position`` batches of epoch ``epoch`` (from 0) are behind."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=position, loss=f"loss {loss:.4f}", epoch=epoch + 1)

    def show(self, row: Mapping[str, float]) -> None:
        """An epoch is done: one line of what it gave."""
        if self.is_shown:
            numbers = "  ".join(
                f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "seconds")
            )
            self.say(f"epoch {int(row['epoch'])}/{self.epochs}  {numbers}  {row['seconds']:.1f} s")

    def say(self, message: str) -> None:
        """A line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(message, highlight=False, markup=False)
        else:
            print(message, file=sys.stderr, flush=True)


def _rich_bar() -> Progress | None:
    """A bar with everything worth knowing, or None where rich is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    return Progress(
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
