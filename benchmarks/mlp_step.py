"""One training step of an MLP 784-128-64-10 with Adam on batches of 64.

    ./run python benchmarks/mlp_step.py      (needs torch: pip install torch==2.13.0)

"allocator policy" is ``tt_foundation.machine.keep_freed_memory``, which the commands of this project call. The inputs
are spread around 0, as standardised pixels are: where all are positive most units of a net that learns noise die, and
what is timed is how a processor handles the denormal numbers to which their moments fade.
"""

import os
from typing import Any

import numpy as np

import harness

_THREADS = int(os.environ.get("BENCHMARK_THREADS", "1"))


def _batches() -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((64, 784), dtype=np.float32), rng.integers(0, 10, 64)) for _ in range(64)]


def _torch() -> harness.Step:
    import torch

    torch.set_num_threads(_THREADS)
    nn = torch.nn
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in _batches()]
    return harness.training_step(model, optimizer, nn.CrossEntropyLoss(), batches)


def _ours() -> harness.Step:
    import tt_foundation as tt

    layers = [tt.Linear(784, 128), tt.ReLU(), tt.Linear(128, 64), tt.ReLU(), tt.Linear(64, 10)]
    model = tt.Sequential(layers)
    optimizer = tt.Adam(model.parameters(), lr=1e-3)
    batches = [(tt.Tensor(x), tt.Tensor(y)) for x, y in _batches()]
    return harness.training_step(model, optimizer, tt.CrossEntropyLoss(), batches)


def _ours_with_policy() -> harness.Step:
    import tt_foundation as tt

    tt.keep_freed_memory()
    return _ours()


CONTESTANTS = {
    "torch eager": ("torch", _torch),
    "tt_foundation": ("tt_foundation", _ours),
    "tt, allocator policy": ("tt_foundation", _ours_with_policy),
}

if __name__ == "__main__":
    harness.main(__file__, list(CONTESTANTS))
