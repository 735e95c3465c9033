"""Text: a small GPT that learns to write, character by character.

Knows the tiers by their public names; knows nothing of images or of how the report looks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from tt_architectures import (
    GPT,
    CharTokenizer,
    GPTConfig,
    TokenWindows,
    generate,
    next_token_loss,
    tiny_shakespeare,
    token_windows,
)
from tt_foundation import AdamW, Array, Tensor, clip_grad_norm, cosine_with_warmup, load, no_grad, save

__all__ = ["TextOutcome", "TextRun", "load_text", "train_writer"]


class TextOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a language model came to; losses in nats per character."""

    text: str
    characters: int
    parameters: int
    steps: int
    train_s: float
    validation_loss: float
    reloaded_loss: float
    sample: str
    path: str


class TextRun(NamedTuple):
    """An outcome, and what a report shows of it: rows of ``epoch`` (a tenth of the run), ``loss`` and ``val_loss``."""

    outcome: TextOutcome
    rows: Sequence[Mapping[str, float]]


def load_text(name: str) -> tuple[str, str]:
    """The text's name and content; ``"auto"`` is Tiny Shakespeare where TT_DATA has it.

    ``"python"`` is the language reference that every Python carries for its ``help``: there without any network.
    """
    if name == "auto":
        root = os.environ.get("TT_DATA")
        name = "shakespeare" if root and Path(root, "text", "tinyshakespeare.txt").is_file() else "python"
    if name == "shakespeare":
        return name, tiny_shakespeare()
    from pydoc_data.topics import topics

    return name, "\n\n".join(topics[key] for key in sorted(topics))


def train_writer(name: str, text: str, *, steps: int, seed: int, folder: Path, progress: bool) -> TextRun:
    """Train a small GPT on nine tenths of a text, judge it on the rest, and let it write."""
    tokenizer = CharTokenizer.train(text)
    tokens = np.array(tokenizer.encode(text), np.int64)
    split = len(tokens) * 9 // 10
    config = GPTConfig(vocab_size=tokenizer.vocab_size, context=64, d_model=96, num_heads=4, num_layers=2, rotary=True)
    rng = np.random.default_rng(seed)
    model = GPT(config, rng=rng)
    optimizer = AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = cosine_with_warmup(optimizer, max(1, steps // 20), steps)
    held_out = TokenWindows(tokens[split:], config.context, stride=config.context)
    judged = np.linspace(0, len(held_out) - 1, min(64, len(held_out)), dtype=int)
    rows: list[Mapping[str, float]] = []
    tenth = max(1, steps // 10)
    total = count = 0.0
    began = time.perf_counter()
    for step, batch in enumerate(token_windows(tokens[:split], config.context, 16, steps, rng=rng), 1):
        optimizer.zero_grad()
        loss = next_token_loss(model(batch.x), batch.y)
        loss.backward()
        clip_grad_norm(optimizer.param_groups[0]["params"], 1.0)
        optimizer.step()
        schedule.step()
        total, count = total + loss.item(), count + 1
        if step % tenth == 0 or step == steps:
            row = {"epoch": step / tenth, "loss": total / count, "val_loss": _loss(model, held_out, judged)}
            rows.append(row)
            total = count = 0.0
            if progress:
                print(f"step {step}/{steps}: loss {row['loss']:.3f}, held out {row['val_loss']:.3f}")
    train_s = time.perf_counter() - began

    everything = np.arange(len(held_out))
    path = folder / "gpt.safetensors"
    save(path, model.state_dict(), {"model": "gpt", "text": name, "steps": str(steps)})
    again = GPT(config, rng=rng)
    again.load_state_dict(load(path).arrays)
    outcome = TextOutcome(
        text=name,
        characters=len(text),
        parameters=sum(p.size for p in model.parameters()),
        steps=steps,
        train_s=train_s,
        validation_loss=_loss(model, held_out, everything),
        reloaded_loss=_loss(again, held_out, everything),
        sample=_sample(again, tokenizer, config.context, seed),
        path=str(path),
    )
    return TextRun(outcome, rows)


def _loss(model: GPT, windows: TokenWindows, chosen: Array) -> float:
    """The mean loss over some windows of a text, in nats per token."""
    model.eval()
    total = 0.0
    with no_grad():
        for at in range(0, len(chosen), 64):
            part = chosen[at : at + 64]
            x, y = windows.__getitems__(part)
            total += next_token_loss(model(Tensor(x)), Tensor(y)).item() * len(part)
    model.train()
    return total / len(chosen)


def _sample(model: GPT, tokenizer: CharTokenizer, context: int, seed: int) -> str:
    """What the model writes of itself, after an empty line."""
    model.eval()
    prompt = tokenizer.encode("\n\n")
    (written,) = generate(
        model, [prompt], 400, context=context, temperature=0.8, top_k=20, rng=np.random.default_rng(seed)
    )
    return tokenizer.decode(written).strip()
