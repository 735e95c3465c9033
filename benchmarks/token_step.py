"""One token of a GPT under no_grad, batch 1, with a cache: 4 layers, d 128, 4 heads, context 128; the likeliest next.

    ./run python benchmarks/token_step.py [--threads 2]      (needs torch: pip install torch==2.13.0)

A step puts one token through the model and takes the likeliest to follow; the context is filled from 0 to 127, over
and over. PyTorch runs in inference mode.
"""

import os
from collections.abc import Iterator

import numpy as np

import harness

_THREADS = int(os.environ.get("BENCHMARK_THREADS", "1"))


def _torch() -> harness.Step:
    import torch

    import torch_gpt

    torch.set_num_threads(_THREADS)
    model = torch_gpt.Model().eval()
    caches = torch_gpt.new_caches()
    token, at = 0, 0

    def step() -> None:
        nonlocal token, at
        with torch.inference_mode():
            token = int(model(torch.tensor([[token]]), caches, at)[0, -1].argmax())
        at = (at + 1) % torch_gpt.CONTEXT

    return step


def _ours() -> harness.Step:
    import gpt_step
    import tt_architectures as ta
    import tt_foundation as tt

    tt.set_num_threads(_THREADS)
    model = gpt_step.our_gpt().eval()
    cache = ta.PlainCache(gpt_step.CONTEXT)
    token, at = 0, 0

    def step() -> None:
        nonlocal token, at
        with tt.no_grad():
            logits = model(tt.Tensor(np.array([[token]])), cache=cache, positions=np.array([[at]]))
        token = int(logits.data[0, -1].argmax())
        at = (at + 1) % gpt_step.CONTEXT

    return step


def _generation() -> harness.Step:
    import gpt_step
    import tt_architectures as ta
    import tt_foundation as tt

    tt.set_num_threads(_THREADS)
    model = gpt_step.our_gpt().eval()

    def tokens() -> Iterator[object]:
        while True:
            yield from ta.stream(model, [[0]], gpt_step.CONTEXT, context=gpt_step.CONTEXT, temperature=0)

    return tokens().__next__


CONTESTANTS = {
    "torch eager": ("torch", _torch),
    "tt_architectures": ("tt_architectures", _ours),
    "the same by stream()": ("tt_architectures", _generation),
}

if __name__ == "__main__":
    harness.main(__file__, list(CONTESTANTS))
