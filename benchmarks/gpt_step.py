"""One training step of a GPT: 4 layers, d 128, 4 heads, context 128, batches of 16, AdamW; 65 characters.

    ./run python benchmarks/gpt_step.py [--threads 2]      (needs torch: pip install torch==2.13.0)

"allocator policy" is ``tt_foundation.machine.keep_freed_memory``, which the commands of this project call. At each
thread count both frameworks have as many threads.
"""

import os
from typing import Any

import numpy as np

import harness

_THREADS = int(os.environ.get("BENCHMARK_THREADS", "1"))
LAYERS, D, HEADS, CONTEXT, BATCH, VOCAB = 4, 128, 4, 128, 16, 65


def _batches() -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    return [tuple(rng.integers(0, VOCAB, (2, BATCH, CONTEXT))) for _ in range(4)]


def our_gpt() -> Any:
    """The model here."""
    import tt_architectures as ta

    config = ta.GPTConfig(vocab_size=VOCAB, context=CONTEXT, d_model=D, num_heads=HEADS, num_layers=LAYERS)
    return ta.GPT(config, rng=np.random.default_rng(0))


def _torch() -> harness.Step:
    import torch

    import torch_gpt

    torch.set_num_threads(_THREADS)
    model = torch_gpt.Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in _batches()]

    def loss(x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x).view(-1, VOCAB), y.view(-1))

    return _step(loss, optimizer, batches)


def _ours() -> harness.Step:
    import tt_architectures as ta
    import tt_foundation as tt

    tt.set_num_threads(_THREADS)
    model = our_gpt()
    optimizer = tt.AdamW(model.parameters(), lr=3e-4)
    batches = [(tt.Tensor(x), tt.Tensor(y)) for x, y in _batches()]
    return _step(lambda x, y: ta.next_token_loss(model(x), y), optimizer, batches)


def _ours_with_policy() -> harness.Step:
    import tt_foundation as tt

    tt.keep_freed_memory()
    return _ours()


def _step(loss: Any, optimizer: Any, batches: list[tuple[Any, Any]]) -> harness.Step:
    at = 0

    def step() -> None:
        nonlocal at
        x, y = batches[at]
        at = (at + 1) % len(batches)
        optimizer.zero_grad()
        loss(x, y).backward()
        optimizer.step()

    return step


CONTESTANTS = {
    "torch eager": ("torch", _torch),
    "tt_architectures": ("tt_architectures", _ours),
    "tt, allocator policy": ("tt_architectures", _ours_with_policy),
}

if __name__ == "__main__":
    harness.main(__file__, list(CONTESTANTS))
