"""A training step of a table of GPT-2's size, 50,257 x 384, by a batch of 16 x 128 ids: gradients as rows and whole.

    ./run python benchmarks/embedding_step.py      (needs torch: pip install torch==2.13.0)

What a batch touches is 2,048 rows at most; a whole gradient is 77 MB, and Adam goes through four arrays of that size.
"""

from typing import Any

import numpy as np

import harness

_IDS = np.minimum(np.random.default_rng(0).pareto(1, (16, 16, 128)) * 50, 50_256).astype(np.int64)


def _step(table: Any, optimizer: Any, batches: list[Any]) -> harness.Step:
    at = 0

    def step() -> None:
        nonlocal at
        optimizer.zero_grad()
        (table(batches[at]) ** 2).sum().backward()
        optimizer.step()
        at = (at + 1) % len(batches)

    return step


def _torch(is_sparse: bool) -> harness.Step:
    import torch

    torch.set_num_threads(1)
    table = torch.nn.Embedding(50_257, 384, sparse=is_sparse)
    method = torch.optim.SparseAdam if is_sparse else torch.optim.Adam
    return _step(table, method(table.parameters()), [torch.from_numpy(ids) for ids in _IDS])


def _ours(is_sparse: bool) -> harness.Step:
    import tt_architectures
    import tt_foundation as tt

    tt.keep_freed_memory()
    table = tt_architectures.Embedding(50_257, 384)
    method = tt.SparseAdam if is_sparse else tt.Adam
    return _step(table, method(table.parameters()), [tt.Tensor(ids) for ids in _IDS])


CONTESTANTS = {
    "torch, rows": ("torch", lambda: _torch(True)),
    "torch, whole": ("torch", lambda: _torch(False)),
    "ours, rows": ("tt_foundation", lambda: _ours(True)),
    "ours, whole": ("tt_foundation", lambda: _ours(False)),
}

if __name__ == "__main__":
    harness.main(__file__, list(CONTESTANTS))
