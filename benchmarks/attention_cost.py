"""What attention costs as a sequence grows: time and memory, forward and backward, 4 heads of 32, batch 1, causal.

    ./run python benchmarks/attention_cost.py [--longest 4096] [--plot cost.png]

The reference holds all ``n^2`` scores, several times over for the gradient; the numpy backend's tiles hold a few
thousand at a time, and compute the lower triangle only: still ``n^2`` in time, but ``n`` in memory. Memory is what
NumPy asked for at the peak (tracemalloc), beyond what was there before.
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from typing import Any

import numpy as np

from tt_architectures import plot_attention_cost, scaled_dot_product_attention
from tt_foundation import Tensor, keep_freed_memory, use_backend

HEADS, SIZE = 4, 32


def measured(backend: str, length: int) -> dict[str, Any]:
    """The best time of a few, and the peak, of attention and its gradients."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((1, HEADS, length, SIZE), np.float32) for _ in range(4)]

    def step() -> None:
        q, k, v = (Tensor(a, requires_grad=True) for a in arrays[:3])
        scaled_dot_product_attention(q, k, v, is_causal=True).backward(arrays[3])

    with use_backend(backend):
        step()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        step()
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        times = []
        for _ in range(3 if length < 4096 else 1):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
    return {"name": backend, "length": length, "seconds": min(times), "peak_bytes": peak}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--longest", type=int, default=4096)
    parser.add_argument("--plot", metavar="FILE", help="draw it too (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    keep_freed_memory()
    lengths = [n for n in (64 << i for i in range(20)) if n <= options.longest]
    rows = []
    print(f"{'':<10} {'tokens':>7} {'ms':>10} {'MiB at the peak':>16} {'bytes a token':>14}")
    for backend in ("reference", "numpy"):
        for length in lengths:
            row = measured(backend, length)
            rows.append(row)
            print(
                f"{backend:<10} {length:>7} {row['seconds'] * 1e3:>10.2f} {row['peak_bytes'] / 2**20:>16.1f} "
                f"{row['peak_bytes'] / length:>14,.0f}",
                flush=True,
            )
    if options.plot:
        plot_attention_cost(rows).savefig(options.plot)
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
