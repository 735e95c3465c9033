"""The cases of module 07: a Trainer's parts one by one, then whole runs, stopped, saved and resumed.

Models are a layer or two in float64, data a handful of numbers drawn for the case. What depends on the clock
(``seconds``) is left out of the results.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

Results = dict[str, Any]


def _model(tt: Any, rng: np.random.Generator, *middle: Any) -> Any:
    """Three inputs, two outputs, and what stands between."""
    first, last = tt.Linear(3, 4, rng=rng, dtype=np.float64), tt.Linear(4, 2, rng=rng, dtype=np.float64)
    return tt.Sequential([first, tt.Tanh(), *middle, last])


def _batches(tt: Any, rng: np.random.Generator, *sizes: int) -> list[Any]:
    """Batches of these sizes."""
    return [tt.Batch(tt.Tensor(rng.normal(size=(n, 3))), tt.Tensor(rng.normal(size=(n, 2)))) for n in sizes]


def _shown(show: Any, batches: list[Any]) -> None:
    for i, batch in enumerate(batches):
        show(**{f"batch {i}, x": np.array(batch.x), f"batch {i}, y": np.array(batch.y)})


def _trainer(tt: Any, model: Any, lr: float = 0.1, loss: Any = None, **options: Any) -> Any:
    optimizer = tt.SGD(model.parameters(), lr=lr)
    return tt.Trainer(model, optimizer, loss or tt.MSELoss(), progress=False, **options)


def _weights(model: Any) -> Results:
    return dict(model.state_dict())


def one_batch_one_step(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 5)
    _shown(show, batches)
    trainer = _trainer(tt, model)
    return {"loss": trainer._step(batches, 5), **_weights(model)}


def steps_start_afresh(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 4, 4, 4)
    _shown(show, batches)
    trainer = _trainer(tt, model)
    losses = [trainer._step([batch], 4) for batch in batches]
    return {"losses": np.array(losses), **_weights(model)}


def several_batches_make_one_step(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 6, 3, 1)
    _shown(show, batches)
    trainer = _trainer(tt, model, accumulate=3)
    return {"loss": trainer._step(batches, 10), **_weights(model)}


def a_loss_that_sums(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 2, 3)
    _shown(show, batches)
    trainer = _trainer(tt, model, lr=0.01, loss=tt.MSELoss(reduction="sum"), accumulate=2)
    return {"loss": trainer._step(batches, 5), **_weights(model)}


def a_step_held_back(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 5)
    show(clip_norm=0.01)
    _shown(show, batches)
    before = np.concatenate([p.data.ravel() for p in model.parameters()])
    trainer = _trainer(tt, model, lr=1.0, clip_norm=0.01)
    loss = trainer._step(batches, 5)
    after = np.concatenate([p.data.ravel() for p in model.parameters()])
    return {"loss": loss, "length of the move": float(np.linalg.norm(after - before)), **_weights(model)}


def a_schedule_for_every_step(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 4, 4)
    _shown(show, batches)
    optimizer = tt.SGD(model.parameters(), lr=0.5)
    schedule = tt.ExponentialLR(optimizer, gamma=0.1)
    trainer = tt.Trainer(model, optimizer, tt.MSELoss(), schedule=schedule, schedule_per="step", progress=False)
    losses, rates = [], []
    for batch in batches:
        losses.append(trainer._step([batch], 4))
        rates.append(optimizer.param_groups[0]["lr"])
    return {"losses": np.array(losses), "rates": np.array(rates), **_weights(model)}


def classes_are_learned(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model = tt.Linear(3, 4, rng=rng)
    x, y = rng.normal(size=(8, 3)).astype(np.float32), rng.integers(0, 4, size=8)
    show(x=x, y=y)
    trainer = _trainer(tt, model, loss=tt.CrossEntropyLoss())
    losses = [trainer._step([tt.Batch(tt.Tensor(x), tt.Tensor(y))], 8) for _ in range(3)]
    return {"losses": np.array(losses), **_weights(model)}


def _modes(model: Any) -> Any:
    return np.array([module.training for module in model.modules()])


def evaluation_comes_and_goes(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model = _model(tt, rng, tt.Dropout(0.5, rng=rng))
    x = rng.normal(size=(4, 3))
    show(x=x)
    trainer = _trainer(tt, model)
    model[2].training = False  # frozen by somebody, and to stay so
    with trainer._evaluating():
        out = model(tt.Tensor(x))
        inside = _modes(model)
    again = model(tt.Tensor(x))
    return {
        "out": out.detach(),
        "recorded inside": out.requires_grad,
        "modes inside": inside,
        "modes after": _modes(model),
        "recorded after": again.requires_grad,
    }


def evaluation_ends_with_an_error(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model = _model(tt, rng, tt.Dropout(0.5, rng=rng))
    x = rng.normal(size=(2, 3))
    show(x=x)
    trainer = _trainer(tt, model)

    def stumble() -> None:
        with trainer._evaluating():
            raise ValueError("the block failed")

    said = show.raises(stumble)
    out = model[0](tt.Tensor(x))
    return {"passed on": said, "modes after": _modes(model), "recorded": out.requires_grad, "out": out.detach()}


def means_over_samples(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 5, 2, 1)
    _shown(show, batches)

    def largest_error(output: Any, target: Any) -> float:
        return float(np.abs(np.array(output) - np.array(target)).max())

    trainer = _trainer(tt, model, metrics={"largest error": largest_error})
    return dict(trainer.evaluate(batches))


def sums_are_divided_once(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 3, 1)
    _shown(show, batches)
    return dict(_trainer(tt, model, loss=tt.MSELoss(reduction="sum")).evaluate(batches))


def evaluation_changes_nothing(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng, tt.Dropout(0.5, rng=np.random.default_rng(0))), _batches(tt, rng, 4)
    _shown(show, batches)
    trainer = _trainer(tt, model)
    first, second = trainer.evaluate(batches), trainer.evaluate(batches)
    return {
        "first": first["loss"],
        "second": second["loss"],
        "gradients": sum(p.grad is not None for p in model.parameters()),
        "modes": _modes(model),
        "nothing to evaluate": show.raises(lambda: trainer.evaluate([])),
    }


def outputs_in_pieces(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, x = _model(tt, rng, tt.Dropout(0.5, rng=rng)), rng.normal(size=(7, 3))
    show(x=x, batch_size=3)
    sizes: list[int] = []

    class Counting(tt.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.model = model

        def forward(self, x: Any) -> Any:
            sizes.append(len(x))
            return self.model(x)

    trainer = _trainer(tt, Counting())
    return {
        "of an array": trainer.predict(x, batch_size=3),
        "of a tensor": trainer.predict(tt.Tensor(x)),
        "sizes of the pieces": np.array(sizes),
        "of nothing": trainer.predict(x[:0]),
    }


def a_generators_state(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    seed = int(rng.integers(1, 10**6))
    show(seed=seed)
    generators = [np.random.default_rng(seed), np.random.default_rng(seed + 1)]
    states = [tt.training._plain(g) for g in generators]
    first = np.array([g.random(3) for g in generators])
    tt.training._put_back(generators, states)
    again = np.array([g.random(3) for g in generators])
    return {"first": first, "again": again, "kept of one": ", ".join(sorted(states[0]))}


def every_generator_once(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    seed = int(rng.integers(1, 10**6))
    show(seed=seed)
    shared, own = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    model = _model(tt, rng, tt.Dropout(0.5, rng=shared), tt.Dropout(0.5, rng=own), tt.Dropout(0.1))
    train = tt.batches(np.zeros((4, 3)), np.zeros((4, 2)), 2, shared)
    plain = tt.batches(np.zeros((4, 3)), np.zeros((4, 2)), 2)
    trainer = _trainer(tt, model)
    found = trainer._all_generators(train, None)
    return {
        "how many": len(found),
        "with the process's": any(g is tt.default_rng() for g in found),
        "what the others draw": np.array(sorted(g.random() for g in found if g is not tt.default_rng())),
        "how many without a shuffle": len(trainer._all_generators(plain, plain)),
    }


def _drawing_batches(tt: Any, rng: np.random.Generator, n: int = 12, size: int = 3) -> Any:
    """Batches in a random order, from a generator of their own."""
    x, y = rng.normal(size=(n, 3)), rng.normal(size=(n, 2))
    return tt.batches(x, y, size, np.random.default_rng(int(rng.integers(1, 10**6))))


def an_epoch_from_its_start(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    batches = _drawing_batches(tt, rng)
    show(x=batches.x, y=batches.y)
    trainer = _trainer(tt, _model(tt, rng))
    trainer._generators = trainer._all_generators(batches)
    seen = [np.array(batch.x) for batch in trainer._remaining(batches)]
    return {"batches": np.array(seen), "states noted": len(trainer._at_epoch_start)}


def an_epoch_from_its_midst(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    batches = _drawing_batches(tt, rng)
    show(x=batches.x, y=batches.y, position=2)
    trainer = _trainer(tt, _model(tt, rng))
    trainer._generators = trainer._all_generators(batches)
    whole = [np.array(batch.x) for batch in trainer._remaining(batches)]
    batches.rng.random(5)  # others have drawn since
    trainer._place.position = 2
    rest = [np.array(batch.x) for batch in trainer._remaining(batches)]
    trainer._place.position = 9
    return {
        "whole": np.array(whole),
        "what remained": np.array(rest),
        "what is drawn next": batches.rng.random(3),
        "fewer than lie behind": show.raises(lambda: trainer._remaining(batches), 9, 4),
    }


def an_epoch_step_by_step(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 4, 4, 1)
    _shown(show, batches)
    told: list[tuple[int, int, float]] = []

    class Note(tt.Callback):  # type: ignore[misc]
        def on_step_end(self, trainer: Any, loss: float) -> None:
            told.append((trainer._place.step, trainer._place.position, loss))

    trainer = _trainer(tt, model, callbacks=[Note()])
    model.eval()
    losses = list(trainer._epoch(batches))
    place = trainer._place
    return {
        "losses": np.array(losses),
        "told": np.array(told),
        "samples": place.samples,
        "loss of all samples": place.loss_sum,
        "modes": _modes(model),
        **_weights(model),
    }


def an_epoch_of_groups(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, batches = _model(tt, rng), _batches(tt, rng, 3, 2, 3, 2, 1)
    _shown(show, batches)
    trainer = _trainer(tt, model, accumulate=2)
    losses = list(trainer._epoch(batches))
    return {
        "losses": np.array(losses),
        "steps": trainer._place.step,
        "batches behind": trainer._place.position,
        "loss of all samples": trainer._place.loss_sum,
        "no batches": show.raises(lambda: list(_trainer(tt, model)._epoch([]))),
        **_weights(model),
    }


def _rows(history: Any) -> Results:
    """The rows of a history, a column each, without the clock's."""
    names = [name for name in history.rows[0] if name != "seconds"]
    return {**{f"column {name}": np.array(history[name]) for name in names}, "columns": ", ".join(history.rows[0])}


def a_whole_run(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model = _model(tt, rng)
    train, held_out = _batches(tt, rng, 4, 4, 2), _batches(tt, rng, 5, 1)
    _shown(show, train)

    def mean_output(output: Any, target: Any) -> float:
        return float(np.array(output).mean())

    trainer = _trainer(tt, model, metrics={"mean": mean_output})
    history = trainer.fit(train, 2, held_out)
    history = trainer.fit(train, 4, held_out)
    return {**_rows(history), "steps": trainer._place.step, **_weights(model)}


def rates_of_the_epochs(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    train = _batches(tt, rng, 4, 4)
    _shown(show, train)
    results: Results = {}
    for name in ("StepLR", "ReduceLROnPlateau"):
        model = _model(tt, rng)
        optimizer = tt.SGD(model.parameters(), lr=0.2)
        if name == "StepLR":
            schedule = tt.StepLR(optimizer, step_size=1, gamma=0.5)
        else:
            schedule = tt.ReduceLROnPlateau(optimizer, factor=0.1, patience=0, threshold=0.5)
        trainer = tt.Trainer(model, optimizer, tt.MSELoss(), schedule=schedule, progress=False)
        history = trainer.fit(train, 3)
        results |= {f"{name}, {key}": value for key, value in _rows(history).items()}
        results[f"{name}, next rate"] = optimizer.param_groups[0]["lr"]
    return results


def a_run_that_is_stopped(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    model, train = _model(tt, rng), _batches(tt, rng, 3, 3)
    _shown(show, train)
    told = []

    class Enough(tt.Callback):  # type: ignore[misc]
        def on_epoch_end(self, trainer: Any, row: Any) -> None:
            told.append((row["epoch"], trainer._place.epoch, trainer._place.position))
            if row["epoch"] == 2:
                trainer.stop()

    history = _trainer(tt, model, callbacks=[Enough()]).fit(train, 10)
    return {**_rows(history), "told": np.array(told), **_weights(model)}


def _long_run(tt: Any, seed: int, **options: Any) -> tuple[Any, Any, Any]:
    """A model with dropout, its trainer with Adam and a schedule, and shuffled batches: all draw from a seed."""
    rng = np.random.default_rng(seed)
    model = _model(tt, rng, tt.Dropout(0.3, rng=rng))
    optimizer = tt.Adam(model.parameters(), lr=0.05)
    schedule = tt.ExponentialLR(optimizer, gamma=0.8)
    trainer = tt.Trainer(model, optimizer, tt.MSELoss(), schedule=schedule, progress=False, **options)
    return model, trainer, _drawing_batches(tt, rng)


def a_run_resumed_between_epochs(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    seed = int(rng.integers(1, 10**6))
    show(seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        model, trainer, batches = _long_run(tt, seed)
        trainer.fit(batches, 2)
        trainer.save(path)
        trainer.fit(batches, 4)
        uninterrupted = _weights(model)
        other, resumed, batches = _long_run(tt, seed)
        resumed.resume(path)
        history = resumed.fit(batches, 4)
    return {
        **{f"uninterrupted {name}": value for name, value in uninterrupted.items()},
        **{f"resumed {name}": value for name, value in _weights(other).items()},
        **_rows(history),
    }


def a_run_killed_within_an_epoch(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    seed = int(rng.integers(1, 10**6))
    show(seed=seed)

    class PowerCut(tt.Callback):  # type: ignore[misc]
        def on_step_end(self, trainer: Any, loss: float) -> None:
            if trainer._place.step == 8 and not resuming:
                raise RuntimeError("the power went")

    resuming = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        _, trainer, batches = _long_run(tt, seed, callbacks=[PowerCut()])
        cut = show.raises(lambda: trainer.fit(batches, 3, checkpoint=path, checkpoint_every=2))
        resuming = True
        model, resumed, batches = _long_run(tt, seed, callbacks=[PowerCut()])
        resumed.resume(path)
        behind = resumed._place.step
        history = resumed.fit(batches, 3)
    return {"cut": cut, "steps behind": behind, **_rows(history), **_weights(model)}


def a_checkpoint_of_something_else(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    seed = int(rng.integers(1, 10**6))
    show(seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path, foreign = Path(folder) / "run.safetensors", Path(folder) / "foreign.safetensors"
        model, trainer, batches = _long_run(tt, seed)
        trainer.fit(batches, 1)
        trainer.save(path)
        tt.save_state(foreign, {"kind": "a cake", "weights": np.ones(3)})
        before = _weights(model)
        plain = _trainer(tt, _model(tt, np.random.default_rng(seed)))
        wider = tt.Linear(3, 2, rng=np.random.default_rng(seed), dtype=np.float64)
        optimizer = tt.Adam(wider.parameters(), lr=0.05)
        schedule = tt.ExponentialLR(optimizer, gamma=0.8)
        other = tt.Trainer(wider, optimizer, tt.MSELoss(), schedule=schedule, progress=False)
        kept = _weights(wider)
        said = {
            "no checkpoint of a Trainer": show.raises(lambda: trainer.resume(foreign)),
            "another schedule": show.raises(lambda: plain.resume(path)),
            "another model": show.raises(lambda: other.resume(path)).partition(" ")[0],
            "no file": show.raises(lambda: trainer.resume(Path(folder) / "nothing.safetensors")).partition(" ")[0],
        }
    return {**said, **before, **{f"other {name}": value for name, value in kept.items()}}
