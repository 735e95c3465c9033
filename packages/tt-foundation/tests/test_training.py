"""The Trainer: its loop, what it watches, and that a run stopped and resumed is the run that was not."""

from __future__ import annotations

import contextlib
import csv
import gc
import os
import pty
import signal
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tt_foundation.activations import ReLU
from tt_foundation.callbacks import BestCheckpoints, Callback, CSVLog, EarlyStopping, History
from tt_foundation.datasets import Batch, batches
from tt_foundation.layers import Dropout, Linear, Sequential
from tt_foundation.losses import CrossEntropyLoss, MSELoss
from tt_foundation.metrics import accuracy
from tt_foundation.optim import SGD, Adam
from tt_foundation.primitive import Array
from tt_foundation.progress import ProgressBar
from tt_foundation.random import default_rng, manual_seed
from tt_foundation.schedules import OneCycleLR, ReduceLROnPlateau, StepLR
from tt_foundation.serialization import load, save_state
from tt_foundation.tensor import Tensor
from tt_foundation.training import Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6)).astype(np.float32)
Y = (X[:, :3].sum(axis=1) > 0).astype(np.int64) + (X[:, 3] > 1)


def data(size: int = 16, seed: int = 1) -> Any:
    return batches(X, Y, size, np.random.default_rng(seed))


def trainer(
    *, dropout: float = 0.3, method: Callable[..., Any] = Adam, lr: float = 0.01, seed: int = 0, **options: Any
) -> Trainer:
    manual_seed(seed)
    model = Sequential([Linear(6, 16), ReLU(), Dropout(dropout), Linear(16, 3)])
    optimizer = method(model.parameters(), lr=lr)
    schedule = options.pop("schedule", None)
    options = {"progress": False, **options}
    return Trainer(model, optimizer, CrossEntropyLoss(), schedule=schedule and schedule(optimizer), **options)


def weights(t: Trainer) -> bytes:
    return b"".join(p.data.tobytes() for p in t.model.parameters())


def without_seconds(history: History) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


class StopsAfter(Callback):
    """Presses Ctrl-C in the given step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer, loss: float) -> None:
        self.step -= 1
        if self.step == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_fit_learns_and_keeps_a_row_for_every_epoch() -> None:
    t = trainer(dropout=0.0, metrics={"accuracy": accuracy}, lr=0.05)
    history = t.fit(data(), 12, validation=data())
    assert history["epoch"] == list(range(1, 13))
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.95
    assert history is t.history
    assert not t.interrupted


def test_fit_again_adds_the_epochs_that_are_missing() -> None:
    once, twice = trainer(), trainer()
    manual_seed(3)
    once.fit(data(), 3)
    manual_seed(3)
    batches = data()
    twice.fit(batches, 1)
    twice.fit(batches, 3)
    assert weights(once) == weights(twice)
    assert len(twice.history.rows) == 3


@pytest.mark.parametrize(("size", "accumulate"), [(7, 10), (16, 5), (16, 100)])
def test_accumulation_equals_the_full_batch_with_a_ragged_last_one(size: int, accumulate: int) -> None:
    whole = trainer(dropout=0.0, method=SGD, lr=0.1)
    parts = trainer(dropout=0.0, method=SGD, lr=0.1, accumulate=accumulate)
    for t in (whole, parts):
        for p in t.model.parameters():
            p.data = p.data.astype(np.float64)
    x = X.astype(np.float64)
    whole.fit([Batch(Tensor(x), Tensor(Y))], 5)
    pieces = [Batch(Tensor(x[i : i + size]), Tensor(Y[i : i + size])) for i in range(0, len(x), size)]
    parts.fit(pieces, 5)
    for p, q in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(whole.history["loss"], parts.history["loss"], rtol=1e-10)


def test_accumulated_sums_are_not_weighted_again() -> None:
    def run(pieces: int) -> list[float]:
        manual_seed(0)
        model = Linear(6, 1)
        t = Trainer(
            model, SGD(model.parameters(), lr=1e-4), MSELoss(reduction="sum"), accumulate=pieces, progress=False
        )
        parts = zip(np.array_split(X, pieces), np.array_split(Y, pieces), strict=True)
        t.fit([Batch(Tensor(x), Tensor(y[:, None].astype(np.float32))) for x, y in parts], 3)
        return [*model.weight.data.ravel().tolist(), *t.history["loss"]]

    np.testing.assert_allclose(run(1), run(3), rtol=1e-4)


def test_the_last_step_of_an_epoch_takes_the_batches_that_are_left() -> None:
    t = trainer(accumulate=3)
    t.fit(data(size=10), 2)
    assert load_steps(t) == 6


def load_steps(t: Trainer) -> int:
    return max(int(kept["step"]) for kept in t.optimizer.state.values())


def test_clipping_bounds_every_move() -> None:
    t = trainer(method=SGD, lr=1.0, clip_norm=0.01, dropout=0.0)
    before = np.concatenate([p.data.ravel() for p in t.model.parameters()])
    t.fit([Batch(Tensor(X), Tensor(Y))], 1)
    after = np.concatenate([p.data.ravel() for p in t.model.parameters()])
    assert np.linalg.norm(after - before) == pytest.approx(0.01, rel=1e-2)


def test_schedules_go_by_step_or_epoch() -> None:
    by_epoch = trainer(schedule=lambda o: StepLR(o, 1, 0.5), lr=0.8)
    by_epoch.fit(data(), 3)
    assert by_epoch.history["lr"] == pytest.approx([0.8, 0.4, 0.2])
    by_step = trainer(schedule=lambda o: OneCycleLR(o, 0.1, total_steps=10), schedule_per="step")
    by_step.fit(data(), 2)
    assert by_step.history["lr"][-1] == pytest.approx(0.1 / 25 / 1e4, rel=1e-3)


def test_plateau_schedule_goes_by_the_validation_loss() -> None:
    t = trainer(schedule=lambda o: ReduceLROnPlateau(o, patience=0, factor=0.5, threshold=0.999), lr=0.8)
    t.fit(data(), 4, validation=data())
    assert t.history["lr"] == pytest.approx([0.8, 0.8, 0.4, 0.2])
    assert isinstance(t.schedule, ReduceLROnPlateau)
    assert t.schedule.best == t.history["val_loss"][0]


def test_evaluate_weights_batches_by_their_size_and_leaves_the_mode_alone() -> None:
    t = trainer(metrics={"accuracy": accuracy})
    t.model.train()
    ragged = t.evaluate(data(size=16))
    whole = t.evaluate([Batch(Tensor(X), Tensor(Y))])
    assert ragged == pytest.approx(whole, rel=1e-5)
    assert all(module.training for module in t.model.modules())


def test_predict_keeps_the_order_and_draws_nothing() -> None:
    t = trainer()
    state = default_rng().bit_generator.state
    outputs = t.predict(X, batch_size=32)
    assert outputs.shape == (70, 3)
    np.testing.assert_allclose(outputs[40], t.predict(X[40:41])[0], rtol=1e-5, atol=1e-6)
    assert t.predict(X[:0]).shape == (0, 3)
    assert default_rng().bit_generator.state == state


def test_early_stopping_ends_the_run_and_it_stays_ended() -> None:
    t = trainer(callbacks=[EarlyStopping(patience=2, min_delta=100.0)])
    t.fit(data(), 50, validation=data())
    assert len(t.history.rows) == 3
    t.fit(data(), 50, validation=data())
    assert len(t.history.rows) == 3


def test_best_checkpoints_keep_the_best_and_no_other(tmp_path: Path) -> None:
    best = BestCheckpoints(tmp_path / "best", k=2, monitor="val_loss")
    t = trainer(callbacks=[best], lr=0.1)
    t.fit(data(), 6, validation=data())
    ranked = sorted(range(6), key=lambda i: t.history["val_loss"][i])
    assert sorted(p.name for p in (tmp_path / "best").iterdir()) == sorted(
        f"epoch-{i + 1:04d}.safetensors" for i in ranked[:2]
    )
    assert best.best_path is not None
    assert best.best_path.name == f"epoch-{ranked[0] + 1:04d}.safetensors"
    other = trainer()
    other.model.load_state_dict(load(best.best_path).arrays)
    assert other.evaluate(data())["loss"] == pytest.approx(t.history["val_loss"][ranked[0]], rel=1e-5)


def test_csv_log_has_the_history(tmp_path: Path) -> None:
    t = trainer(callbacks=[CSVLog(tmp_path / "log.csv")])
    t.fit(data(), 3, validation=data())
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == t.history.rows


def test_history_says_which_columns_there_are() -> None:
    t = trainer()
    with pytest.raises(KeyError, match="no epochs"):
        t.history["loss"]
    t.fit(data(), 1)
    with pytest.raises(KeyError, match="epoch, loss, lr"):
        t.history["val_loss"]


@pytest.mark.parametrize("step", [1, 5, 7, 10])
def test_ctrl_c_saves_and_leaves_and_resuming_gives_the_same_bits(
    step: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.safetensors"
    options: dict[str, Any] = {"schedule": lambda o: StepLR(o, 4, 0.7), "schedule_per": "step"}
    whole = trainer(**options)
    whole.fit(data(), 3, validation=data(seed=2))

    t = trainer(callbacks=[StopsAfter(step)], **options)
    t.fit(data(), 3, validation=data(seed=2), checkpoint=path)
    assert t.interrupted
    assert f"interrupted after {(step - 1) // 5} epochs" in capsys.readouterr().err

    manual_seed(99)
    resumed = trainer(callbacks=[StopsAfter(-1)], seed=5, **options)
    resumed.resume(path)
    resumed.fit(data(seed=7), 3, validation=data(seed=8), checkpoint=path)
    assert not resumed.interrupted
    assert weights(resumed) == weights(whole)
    assert without_seconds(resumed.history) == without_seconds(whole.history)


def test_fit_after_an_interruption_goes_on_where_it_stood() -> None:
    whole = trainer()
    whole.fit(data(), 3)
    t = trainer(callbacks=[StopsAfter(7)])
    source = data()
    t.fit(source, 3)
    assert t.interrupted
    t.fit(source, 3)
    assert weights(t) == weights(whole)


def test_a_second_ctrl_c_raises() -> None:
    class Impatient(Callback):
        def on_step_end(self, trainer: Trainer, loss: float) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer(callbacks=[Impatient()]).fit(data(), 1)
    assert signal.getsignal(signal.SIGINT) is before


def test_fit_takes_batches_whose_number_nobody_knows() -> None:
    class Stream:
        def __iter__(self) -> Iterator[Batch]:
            return iter(data())

        def __len__(self) -> int:
            raise TypeError("a stream has no length")

    t = trainer()
    assert len(t.fit(Stream(), 2).rows) == 2


def test_fit_runs_in_another_thread() -> None:
    t = trainer()
    thread = threading.Thread(target=t.fit, args=(data(), 1))
    thread.start()
    thread.join()
    assert len(t.history.rows) == 1


def test_layers_with_a_generator_of_their_own_are_resumed_too(tmp_path: Path) -> None:
    def make(seed: int) -> Trainer:
        manual_seed(0)
        model = Sequential([Linear(6, 16), Dropout(0.5, rng=np.random.default_rng(seed)), Linear(16, 3)])
        return Trainer(model, SGD(model.parameters(), lr=0.1), CrossEntropyLoss(), progress=False)

    whole = make(1)
    whole.fit(data(), 4)
    part = make(1)
    part.fit(data(), 2, checkpoint=tmp_path / "run.safetensors")
    resumed = make(2)
    resumed.resume(tmp_path / "run.safetensors")
    resumed.fit(data(seed=9), 4)
    assert weights(resumed) == weights(whole)


def test_a_run_saved_before_its_first_step_can_be_resumed(tmp_path: Path) -> None:
    whole = trainer()
    whole.save(tmp_path / "run.safetensors")
    resumed = trainer(seed=5)
    resumed.resume(tmp_path / "run.safetensors")
    assert weights(resumed) == weights(whole)
    resumed.fit(data(), 1)
    assert len(resumed.history.rows) == 1


def test_a_checkpoint_of_another_run_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    trainer(method=SGD).fit(data(), 1, checkpoint=path)
    t = trainer()
    t.fit(data(), 1)
    before, moments = weights(t), {p: kept["exp_avg"].copy() for p, kept in t.optimizer.state.items()}
    with pytest.raises(ValueError, match="Adam"):
        t.resume(path)
    assert weights(t) == before
    for p, moment in moments.items():
        np.testing.assert_array_equal(t.optimizer.state[p]["exp_avg"], moment)
    with pytest.raises(ValueError, match="another schedule or other callbacks"):
        trainer(method=SGD, callbacks=[EarlyStopping()]).resume(path)


def test_a_file_that_is_no_checkpoint_of_a_run_is_refused(tmp_path: Path) -> None:
    t = trainer(callbacks=[BestCheckpoints(tmp_path, monitor="loss")])
    t.fit(data(), 1)
    with pytest.raises(ValueError, match="holds arrays, not the state of a run"):
        t.resume(tmp_path / "epoch-0001.safetensors")
    save_state(tmp_path / "other.safetensors", t.optimizer.state_dict())
    with pytest.raises(ValueError, match="no checkpoint of a Trainer"):
        t.resume(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError):
        t.resume(tmp_path / "nothing.safetensors")


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: trainer(accumulate=0), ValueError, "accumulate >= 1"),
    (lambda: trainer(clip_norm=0.0), ValueError, "clip_norm > 0"),
    (lambda: trainer(schedule_per="week"), ValueError, "schedule_per of epoch or step"),
    (lambda: trainer(schedule=ReduceLROnPlateau, schedule_per="step"), ValueError, "by what an epoch gave"),
    (lambda: trainer().fit([], 1), ValueError, "needs batches"),
    (lambda: trainer().fit(iter(data()), 1), TypeError, "go through every epoch"),
    (lambda: trainer().fit(data(), 1, checkpoint_every=0), ValueError, "checkpoint_every >= 1"),
    (lambda: trainer().fit(data(), 1, checkpoint="no/such/folder/x"), FileNotFoundError, "no folder no/such/folder"),
    (lambda: trainer().evaluate([]), ValueError, "needs samples"),
    (lambda: trainer(callbacks=[EarlyStopping()]).fit(data(), 1), ValueError, "watches 'val_loss', an epoch gives"),
    (lambda: EarlyStopping(patience=0), ValueError, "patience >= 1"),
    (lambda: BestCheckpoints("x", k=0), ValueError, "k >= 1"),
    (lambda: EarlyStopping(mode="most"), ValueError, "mode of min or max"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_arguments_are_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_progress_is_a_line_per_epoch_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    trainer(progress=True).fit(data(), 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    trainer(progress=False).fit(data(), 2)
    assert capsys.readouterr().err == ""


def drained(descriptor: int) -> bytes:
    """All that was written to a terminal; reading past its end is an error of the system's."""
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(descriptor, 10_000):
            parts.append(part)
    os.close(descriptor)
    return b"".join(parts)


def test_progress_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        patched.setenv("TERM", "xterm")
        with ProgressBar(True, 2, 5) as bar:
            bar.advance(0, 3, 0.5)
            bar.show({"epoch": 1, "loss": 0.5, "seconds": 1.0})
    written = drained(leader).decode()
    assert "3/5" in written
    assert "epoch 1/2  loss 0.5  1.0 s" in written


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collector")
def test_dropped_graphs_are_freed_without_the_garbage_collector() -> None:
    t = trainer()
    freed = []
    for gone_backward in (False, True):
        loss = t.loss(t.model(Tensor(X)), Tensor(Y))
        if gone_backward:
            loss.backward()
        kept: Array = loss.data
        freed.append(weakref.ref(kept))
        del loss, kept
    assert [ref() for ref in freed] == [None, None]


@pytest.mark.slow
@pytest.mark.usefixtures("no_garbage_collector")
def test_two_thousand_steps_do_not_grow_memory() -> None:
    t = trainer()
    source = [Batch(Tensor(X[:16]), Tensor(Y[:16]))] * 200
    tracemalloc.start()
    t.fit(source, 3)
    before = tracemalloc.get_traced_memory()[0]
    t.fit(source, 13)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2000 * 20  # less than an object a step: Python's free lists still fill up
