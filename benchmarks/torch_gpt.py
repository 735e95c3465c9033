"""The GPT of the benchmarks in PyTorch: fused attention, one projection for queries, keys and values, a tied head."""

from typing import Any

import torch
from torch import nn

LAYERS, D, HEADS, CONTEXT, BATCH, VOCAB = 4, 128, 4, 128, 16, 65


class Block(nn.Module):  # type: ignore[misc]  # PyTorch is not typed here
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x: Any, cache: Any = None, at: int = 0) -> Any:
        batch, seq, _ = x.shape
        parts = self.qkv(self.norm1(x)).split(D, 2)
        q, k, v = (part.view(batch, seq, HEADS, D // HEADS).transpose(1, 2) for part in parts)
        if cache is None:
            heads = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            cache[0][:, :, at : at + seq], cache[1][:, :, at : at + seq] = k, v
            seen = cache[0][:, :, : at + seq], cache[1][:, :, : at + seq]
            heads = nn.functional.scaled_dot_product_attention(q, *seen)
        x = x + self.out(heads.transpose(1, 2).reshape(batch, seq, D))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Model(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.embedding, self.positions = nn.Embedding(VOCAB, D), nn.Embedding(CONTEXT, D)
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(D)
        self.places = torch.arange(CONTEXT)

    def forward(self, ids: Any, caches: Any = None, at: int = 0) -> Any:
        x = self.embedding(ids) + self.positions(self.places[at : at + ids.shape[1]])
        for i, block in enumerate(self.blocks):
            x = block(x, caches[i] if caches else None, at)
        return nn.functional.linear(self.norm(x), self.embedding.weight)


def new_caches() -> list[tuple[Any, Any]]:
    """Memory for the keys and values of a batch of one."""
    shape = (1, HEADS, CONTEXT, D // HEADS)
    return [(torch.zeros(shape), torch.zeros(shape)) for _ in range(LAYERS)]
