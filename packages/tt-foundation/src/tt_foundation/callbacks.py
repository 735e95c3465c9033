"""Callbacks: what is noted and decided while a Trainer trains.

A callback is told of every step and every epoch, with what it gave. Its state is saved with the run, so that a resumed
run notes and decides as one never stopped. Knows files and numbers; the Trainer stands above it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tt_foundation.serialization import save, write_text

if TYPE_CHECKING:
    from tt_foundation.training import Trainer

__all__ = ["BestCheckpoints", "CSVLog", "Callback", "EarlyStopping", "History"]

Row = Mapping[str, float]


class Callback:
    """Told what training does; a subclass says only what it cares for.

    What it remembers is its ``state_dict``, plain data; files it writes are those of that state.
    """

    def on_step_end(self, trainer: Trainer, loss: float) -> None:
        """A step of the optimizer is done."""

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        """An epoch is done; ``row`` has ``epoch`` (from 1), ``loss``, ``lr``, ``seconds``, and perhaps ``val_*``."""

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Remember that."""


class History(Callback):
    """Keeps the row of every epoch, in ``rows``."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def __getitem__(self, name: str) -> list[float]:
        """One column: ``history["loss"]``.

        Raises:
            KeyError: no epoch gave that.
        """
        if not any(name in row for row in self.rows):
            raise KeyError(
                f"no epoch gave {name!r}; there are: {', '.join(self.rows[0]) if self.rows else 'no epochs'}"
            )
        return [row[name] for row in self.rows if name in row]

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        self.rows.append(dict(row))

    def state_dict(self) -> dict[str, Any]:
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.rows = [dict(row) for row in state_dict["rows"]]


class CSVLog(History):
    """Writes the row of every epoch to a CSV file, whole each time: it never shows half a row or one twice."""

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        super().on_epoch_end(trainer, row)
        names = list(dict.fromkeys(name for kept in self.rows for name in kept))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


class _Monitor(Callback):
    """What EarlyStopping and BestCheckpoints share: a column to watch, and which way is better."""

    def __init__(self, monitor: str, mode: Literal["min", "max"]) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"{type(self).__name__} needs mode of min or max, got {mode!r}")
        self.monitor = monitor
        self.mode = mode

    def cost(self, row: Row) -> float:
        """The watched value, turned so that less is better; NaN is worst."""
        if self.monitor not in row:
            raise ValueError(f"{type(self).__name__} watches {self.monitor!r}, an epoch gives {', '.join(row)}")
        value = row[self.monitor]
        return math.inf if math.isnan(value) else value if self.mode == "min" else -value


class EarlyStopping(_Monitor):
    """Stops the run when ``monitor`` has not become better by more than ``min_delta`` for ``patience`` epochs.

    Prechelt (1998), Early Stopping: But When?
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 3,
        min_delta: float = 0.0,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        super().__init__(monitor, mode)
        if patience < 1:
            raise ValueError(f"EarlyStopping needs patience >= 1, got {patience}")
        self.patience = patience
        self.min_delta = min_delta
        self.best = math.inf
        self.waited = 0

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        cost = self.cost(row)
        if cost < self.best - self.min_delta:
            self.best, self.waited = cost, 0
        else:
            self.waited += 1
            if self.waited >= self.patience:
                trainer.stop()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.best, self.waited = float(state_dict["best"]), int(state_dict["waited"])


class BestCheckpoints(_Monitor):
    """Keeps the model's state of the ``k`` best epochs, as ``directory/epoch-0007.safetensors``."""

    def __init__(
        self, directory: str | Path, monitor: str = "val_loss", k: int = 1, mode: Literal["min", "max"] = "min"
    ) -> None:
        super().__init__(monitor, mode)
        if k < 1:
            raise ValueError(f"BestCheckpoints needs k >= 1, got {k}")
        self.directory = Path(directory)
        self.k = k
        self.kept: list[tuple[float, str]] = []

    @property
    def best_path(self) -> Path | None:
        """The file of the best epoch."""
        return self.directory / self.kept[0][1] if self.kept else None

    def on_epoch_end(self, trainer: Trainer, row: Row) -> None:
        entry = (self.cost(row), f"epoch-{int(row['epoch']):04d}.safetensors")
        ranked = sorted([*self.kept, entry])
        if entry in ranked[: self.k]:
            self.directory.mkdir(parents=True, exist_ok=True)
            save(self.directory / entry[1], trainer.model.state_dict())
        self.kept = ranked[: self.k]
        for _, name in ranked[self.k :]:
            (self.directory / name).unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        return {"kept": [list(entry) for entry in self.kept]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.kept = [(float(cost), str(name)) for cost, name in state_dict["kept"]]
