"""The checkpoints of the foundation tier: what a framework can do, module by module.

Each is a small program that runs on the learner's framework and on the reference, with the same numbers drawn for it,
and returns what it computed. Together they are one story: from arrays that add, to a network that is trained, stopped
and resumed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Results = dict[str, Any]


def environment(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    """Arrays go in and come out, a seed repeats itself, a file gives back what it was given."""
    x, seed = rng.normal(size=(2, 3)).astype(np.float32), int(rng.integers(1, 10**6))
    show(x=x, seed=seed)
    draws = []
    for _ in range(2):
        tt.manual_seed(seed)
        draws.append(tt.default_rng().random(3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.safetensors"
        tt.save(path, {"x": x})
        loaded = tt.load(path)[0]["x"]
    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "tensor": tt.Tensor(x),
        "the same draws": np.array(draws),
        "loaded": np.array(loaded),
        "backends": ", ".join(name for name in tt.backends() if name in ("numpy", "reference")),
    }


def foundation(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    """Data is standardized, compared and looked up, with tensors alone."""
    x, queries = rng.normal(3.0, 2.0, size=(12, 4)), rng.normal(3.0, 2.0, size=(5, 4))
    show(x=x, queries=queries)
    points, asked = tt.Tensor(x), tt.Tensor(queries)
    centre = points.mean(axis=0)
    spread = tt.sqrt(((points - centre) ** 2).mean(axis=0))
    points, asked = (points - centre) / spread, (asked - centre) / spread
    difference = asked.reshape(5, 1, 4) - points.reshape(1, 12, 4)
    distances = tt.sqrt(tt.sum(difference * difference, axis=2))
    nearest = tt.argmax(-distances, axis=1)
    return {
        "standardized": points,
        "correlations": points.T @ points / 12.0,
        "distances": distances,
        "nearest": nearest,
        "their points": points[nearest],
        "clipped": tt.where(points > 1.0, 1.0, tt.maximum(points, -1.0)),
    }


def intelligence(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    """Two matrices are still one; with a bend between them they tell the exclusive or."""
    first, second, x = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=(6, 3))
    scores = rng.normal(size=(2, 4)) * 3
    show(first=first, second=second, x=x, scores=scores)
    inputs, a, b = tt.Tensor(x), tt.Tensor(first), tt.Tensor(second)
    straight = inputs @ a @ b - inputs @ (a @ b)
    corners = tt.Tensor(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
    total = corners.sum(axis=1)
    exclusive_or = tt.relu(total) - 2.0 * tt.relu(total - 1.0)
    return {
        "what two matrices add to one": straight,
        "what a bend adds": tt.relu(inputs @ a) @ b - inputs @ (a @ b),
        "exclusive or": exclusive_or,
        "as a probability": tt.sigmoid(20.0 * (exclusive_or - 0.5)),
        "tanh": tt.tanh(inputs),
        "shares": tt.softmax(tt.Tensor(scores)),
        "shares, cooled": tt.softmax(tt.Tensor(scores) * 10.0),
        "gelu": tt.gelu(inputs),
    }


def components(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    """Layers that hold what will be learned: made, counted, stacked, saved and loaded."""
    x = rng.normal(size=(4, 6))
    show(x=x)

    def made(seed: int) -> Any:
        own = np.random.default_rng(seed)
        first, last = tt.Linear(6, 8, rng=own, dtype=np.float64), tt.Linear(8, 3, rng=own, dtype=np.float64)
        return tt.Sequential([first, tt.ReLU(), tt.Dropout(0.5, rng=own), last])

    model, other = made(int(rng.integers(1, 10**6))), made(int(rng.integers(1, 10**6)))
    model.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        tt.save(path, model.state_dict())
        other.load_state_dict(tt.load(path)[0])
    training = other(tt.Tensor(x))
    other.eval()
    return {
        "out": model(tt.Tensor(x)),
        "of the loaded one": other(tt.Tensor(x)),
        "of the loaded one while training": training,
        "numbers to learn": sum(p.size for p in model.parameters()),
        "their names": ", ".join(name for name, _ in model.named_parameters()),
    }


def networks(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    """A network guesses, and losses say how wrong it is."""
    x, y = rng.normal(size=(10, 5)), rng.integers(0, 4, size=10)
    show(x=x, y=y)
    layers = [tt.Linear(5, 16, rng=rng, dtype=np.float64), tt.Tanh(), tt.Linear(16, 4, rng=rng, dtype=np.float64)]
    logits = tt.Sequential(layers)(tt.Tensor(x)).detach()
    one_hot = np.eye(4)[y]
    chance = tt.softmax(logits)
    return {
        "logits": logits,
        "cross-entropy": tt.cross_entropy(logits, y),
        "cross-entropy of each": tt.cross_entropy(logits, y, reduction="none"),
        "cross-entropy of knowing nothing": tt.cross_entropy(tt.Tensor(np.zeros((10, 4))), y),
        "cross-entropy of knowing all": tt.cross_entropy(tt.Tensor(one_hot * 50.0), y),
        "squared error": tt.mse_loss(chance, tt.Tensor(one_hot)),
        "yes or no": tt.binary_cross_entropy_with_logits(logits, tt.Tensor(one_hot)),
        "accuracy": tt.accuracy(logits, y),
    }


def differentiation(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    """The slope of any network with respect to any of its numbers, and the slope of the slope."""
    x, y = rng.normal(size=(6, 3)), rng.integers(0, 2, size=6)
    show(x=x, y=y)
    layers = [tt.Linear(3, 5, rng=rng, dtype=np.float64), tt.GELU(), tt.Linear(5, 2, rng=rng, dtype=np.float64)]
    model = tt.Sequential(layers)
    inputs = tt.Tensor(x, requires_grad=True)

    def loss() -> Any:
        return tt.cross_entropy(model(inputs), y)

    loss().backward()
    weight = layers[0].weight
    steps = []
    for sign in (1.0, -1.0):
        weight.data[2, 1] += sign * 1e-5
        steps.append(loss().item())
        weight.data[2, 1] -= sign * 1e-5
    direction = rng.normal(size=(6, 3))
    (slope,) = tt.grad(loss(), [inputs], create_graph=True)
    (bend,) = tt.grad(tt.sum(slope * direction), [inputs])
    return {
        "inputs": inputs.grad.detach(),
        **{name: p.grad.detach() for name, p in model.named_parameters()},
        "one weight by differences": (steps[0] - steps[1]) / 2e-5,
        "the same by rules": weight.grad.data[2, 1],
        "Hessian times direction": bend,
    }


def optimization(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    """Five ways down the same curved valley (Rosenbrock, 1960)."""
    start = np.array([-1.0, 1.0]) + rng.normal(size=2) / 10
    show(start=start)
    makers: dict[str, Callable[[list[Any]], Any]] = {
        "SGD": lambda p: tt.SGD(p, lr=1e-3),
        "momentum": lambda p: tt.SGD(p, lr=1e-3, momentum=0.9, nesterov=True),
        "RMSprop": lambda p: tt.RMSprop(p, lr=1e-2),
        "Adam": lambda p: tt.Adam(p, lr=5e-2),
        "AdamW": lambda p: tt.AdamW(p, lr=5e-2, weight_decay=0.1),
    }
    results: Results = {}
    for name, made in makers.items():
        place = tt.Tensor(start.copy(), requires_grad=True)
        optimizer = made([place])
        heights = []
        for _ in range(60):
            optimizer.zero_grad()
            a, b = place[0], place[1]
            height = (1.0 - a) ** 2 + 100.0 * (b - a * a) ** 2
            height.backward()
            tt.clip_grad_norm([place], 50.0)
            optimizer.step()
            heights.append(height.item())
        results[f"heights of {name}"] = np.array(heights)
        results[f"place of {name}"] = place.detach()
    return results


def training(rng: np.random.Generator, tt: Any, show: Any) -> Results:
    """Two moons told apart by a network that is trained, stopped, saved, resumed and measured."""
    angle, y = rng.uniform(0.0, np.pi, size=120), rng.integers(0, 2, size=120)
    x = np.stack([np.cos(angle) * (1 - 2 * y) + y, np.sin(angle) * (1 - 2 * y) + 0.3 * y], axis=1)
    x += rng.normal(size=x.shape) / 10
    seed = int(rng.integers(1, 10**6))
    show(x=x, y=y, seed=seed)

    def made() -> tuple[Any, Any, Any]:
        own = np.random.default_rng(seed)
        sizes = [(2, 16), (16, 16), (16, 2)]
        linear = [tt.Linear(n, m, rng=own, dtype=np.float64) for n, m in sizes]
        model = tt.Sequential([linear[0], tt.Tanh(), linear[1], tt.Tanh(), linear[2]])
        optimizer = tt.Adam(model.parameters(), lr=0.02)
        schedule = tt.CosineAnnealingLR(optimizer, T_max=20)
        options = {"schedule": schedule, "clip_norm": 5.0, "metrics": {"accuracy": tt.accuracy}, "progress": False}
        trainer = tt.Trainer(model, optimizer, tt.CrossEntropyLoss(), **options)
        return model, trainer, tt.batches(x[:100], y[:100], 20, own)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        _, trainer, train = made()
        trainer.fit(train, 10, checkpoint=path)
        model, resumed, train = made()
        resumed.resume(path)
        history = resumed.fit(train, 20)
    held_out = resumed.evaluate(tt.batches(x[100:], y[100:], 8))
    return {
        "losses": np.array(history["loss"]),
        "rates": np.array(history["lr"]),
        "held-out loss": held_out["loss"],
        "held-out accuracy": held_out["accuracy"],
        "outputs": resumed.predict(x[100:]),
        "last bias": dict(model.named_parameters())["layers.4.bias"].detach(),
    }
