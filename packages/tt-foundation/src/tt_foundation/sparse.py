"""Optimizers that take rows: a step costs what the batch touched of a table, not what the table holds.

Knows gradients kept as rows; all other methods get them as whole arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tt_foundation.optimizer import Optimizer, Params
from tt_foundation.primitive import Array, procedure
from tt_foundation.rows import Rows, RowsGradient, rows_or_whole
from tt_foundation.tensor import Tensor

__all__ = ["SparseAdam", "sgd_rows_step", "sparse_adam_step"]


@procedure("params")
def sgd_rows_step(params: list[Array], grads: list[Rows], *, lr: float) -> None:
    r"""One step of gradient descent for the rows that have a gradient: :math:`p_i \leftarrow p_i - \eta\, g_i`."""
    for p, g in zip(params, grads, strict=True):
        p[g.index] -= lr * g.values


def rest_after_rows(params: Sequence[Tensor], *, lr: float) -> list[Tensor]:
    """Move the parameters whose gradients are rows by :func:`sgd_rows_step`, and give the others."""
    rest: list[Tensor] = []
    moved: dict[Tensor, Rows] = {}
    for p in params:
        rows = p.grad.rows if type(p.grad) is RowsGradient else None
        if rows is None:
            rest.append(p)
        else:
            moved[p] = rows
    if moved:
        sgd_rows_step(list(moved), list(moved.values()), lr=lr)
    return rest


@procedure("params", "exp_avgs", "exp_avg_sqs")
def sparse_adam_step(
    params: list[Array],
    grads: list[Rows | Array],
    exp_avgs: list[Array],
    exp_avg_sqs: list[Array],
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    r"""One step of Adam for the rows i that have a gradient; what is kept for the others stays as it is.

    .. math:: m_i \leftarrow \beta_1 m_i + (1 - \beta_1) g_i, \quad v_i \leftarrow \beta_2 v_i + (1 - \beta_2) g_i^2,
        \quad p_i \leftarrow p_i - \eta\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \frac{m_i}{\sqrt{v_i} + \epsilon}
    """
    beta1, beta2 = betas
    rate = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
    for p, g, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        at, values = (g.index, g.values) if isinstance(g, Rows) else (..., g)
        mean = beta1 * m[at] + (1 - beta1) * values
        square = beta2 * v[at] + (1 - beta2) * values * values
        m[at], v[at] = mean, square
        p[at] -= rate * mean / (square**0.5 + eps)


class SparseAdam(Optimizer):
    """Adam that moves, and remembers, only the rows that have a gradient: for tables of which a batch touches a part.

    Not what :class:`Adam` does with the same gradients: there a row goes on moving by its momentum. A gradient that is
    no rows is taken as that of every row.
    """

    rule = sparse_adam_step
    keeps = {"exp_avg": None, "exp_avg_sq": None}

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps)

    def _move(self, params: list[Tensor], step: int, options: dict[str, Any]) -> None:
        grads = [rows_or_whole(p.grad) for p in params if p.grad is not None]
        self.rule(params, grads, *self._kept(params), step=step, **options)
