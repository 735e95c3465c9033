"""The milestones' commands, and the training loop of the project's first page."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tt_foundation import (
    Adam,
    CrossEntropyLoss,
    Linear,
    ReLU,
    Sequential,
    Tensor,
    accuracy,
    batches,
    manual_seed,
    mnist,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("perceptron_1957", ["--data", "digits"], 0.97),
        ("xor_1969", [], 1.0),
        ("mlp_1986", ["--data", "digits"], 0.95),
    ],
)
def test_a_milestone_reaches_its_accuracy_and_ends_with_json(name: str, options: list[str], least: float) -> None:
    command = [sys.executable, "-m", f"tt_foundation.milestones.{name}", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["accuracy"] >= least
    assert result["parameters"] > 0
    assert result["seconds"] > 0


def test_an_unknown_backend_is_a_sentence() -> None:
    command = [sys.executable, "-m", "tt_foundation.milestones.xor_1969", "--backend", "nubma"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown backend 'nubma'; installed: numpy, reference" in done.stderr


@pytest.mark.data
@pytest.mark.slow
def test_the_training_loop_reads_mnist_after_one_epoch() -> None:
    manual_seed(0)
    data = mnist()
    dataloader = batches(data.train_x, data.train_y, 32, np.random.default_rng(0))

    model = Sequential([Linear(784, 128), ReLU(), Linear(128, 64), ReLU(), Linear(64, 10)])
    optimizer = Adam(model.parameters(), lr=0.001)
    for batch in dataloader:
        output = model(batch.x)
        loss = CrossEntropyLoss()(output, batch.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert accuracy(model(Tensor(data.test_x)), data.test_y) >= 0.95
