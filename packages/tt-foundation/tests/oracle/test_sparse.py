"""Optimizers that take rows, against PyTorch's with sparse gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tt_foundation import optim, sparse
from tt_foundation.rows import Rows, RowsGradient
from tt_foundation.tensor import Tensor


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (sparse.SparseAdam, torch.optim.SparseAdam, {}),
        (sparse.SparseAdam, torch.optim.SparseAdam, {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-3}),
        (optim.SGD, torch.optim.SGD, {"lr": 0.1}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_move_as_in_pytorch(ours: Any, theirs: Any, options: dict[str, Any], dtype: str) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 3)).astype(dtype)
    p, q = Tensor(start.copy(), requires_grad=True), torch.tensor(start, requires_grad=True)
    mine, reference = ours([p], **options), theirs([q], **options)
    for _ in range(25):
        index, values = rng.integers(0, 6, 5), rng.normal(size=(5, 3)).astype(dtype)
        p.grad = RowsGradient(Rows(index, values, 6))
        q.grad = torch.sparse_coo_tensor(torch.tensor(index)[None], torch.tensor(values), (6, 3), check_invariants=True)
        mine.step()
        reference.step()
    np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)
