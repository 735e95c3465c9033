"""2017: attention writes.

A GPT learns Shakespeare character by character, or little stories in byte pairs, and shows what it would write as it
learns. Vaswani et al. (2017), Attention Is All You Need; Radford et al. (2018), Improving Language Understanding by
Generative Pre-Training; Jordan et al. (2024), Muon: An Optimizer for Hidden Layers in Neural Networks.

    TT_DATA=... python -m tt_architectures.milestones.transformer_2017 --minutes 4
    TT_DATA=... python -m tt_architectures.milestones.transformer_2017 --minutes 30 --save shakespeare.safetensors
    TT_DATA=... python -m tt_architectures.milestones.transformer_2017 --load shakespeare.safetensors --samples 5
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tt_architectures.datasets import tiny_shakespeare, tinystories
from tt_architectures.generation import generate
from tt_architectures.models.gpt import GPT, GPTConfig
from tt_architectures.tokenization import BPETokenizer, CharTokenizer
from tt_architectures.tokens import TokenWindows, token_windows
from tt_architectures.transformers import next_token_loss
from tt_foundation import (
    AdamW,
    Array,
    Muon,
    Tensor,
    clip_grad_norm,
    default_rng,
    keep_freed_memory,
    load_state,
    manual_seed,
    no_grad,
    save_state,
    use_backend,
)

__all__ = ["Corpus", "Recipe", "Result", "corpus", "main", "shares_seen", "train"]


class Corpus(NamedTuple):
    """A text to learn from, one held out, and how they are cut into tokens."""

    train_text: str
    held_out_text: str
    tokenizer: CharTokenizer | BPETokenizer
    prompt: str


def corpus(name: str) -> Corpus:
    """``shakespeare`` by character, its last tenth held out; or ``tinystories`` in 2,048 byte pairs.

    Raises:
        ValueError: there is no corpus of that name.
    """
    if name == "shakespeare":
        text = tiny_shakespeare()
        cut = len(text) * 9 // 10
        return Corpus(text[:cut], text[cut:], CharTokenizer.train(text), "\n")
    if name == "tinystories":
        train_text, held_out = tinystories()
        return Corpus(train_text, held_out, BPETokenizer.train(train_text, 2048), "Once upon a time")
    raise ValueError(f"there are shakespeare and tinystories, got {name!r}")


@dataclass(frozen=True)
class Recipe:
    """How large the model is and how it learns.

    Attributes:
        d_model: size of a position's vector.
        num_layers: blocks.
        num_heads: heads of attention.
        context: tokens it sees.
        batch: windows a step.
        dropout: on what each part of a block adds, and on the embeddings.
        muon_lr: rate of the matrices inside blocks, by Muon.
        adam_lr: rate of all else, by AdamW.
        weight_decay: of the matrices.
        warmup: the share of training in which the rates rise.
    """

    d_model: int = 128
    num_layers: int = 4
    num_heads: int = 4
    context: int = 128
    batch: int = 16
    dropout: float = 0.0
    muon_lr: float = 0.02
    adam_lr: float = 4e-3
    weight_decay: float = 0.1
    warmup: float = 0.02


class Result(NamedTuple):
    """How training ended: loss of a held-out token in nats, bits per held-out byte, steps, and trained numbers."""

    loss: float
    bits_per_byte: float
    steps: int
    parameters: int


class _Clock:
    """How much of the training is over, by its steps or by the time; evaluation counts as time."""

    def __init__(self, steps: int | None, minutes: float) -> None:
        self.steps = steps
        self.limit_s = 60 * minutes
        self.start = time.perf_counter()
        self.reserve_s = 0.0

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.start

    def share(self, step: int) -> float:
        if self.steps is not None:
            return step / self.steps
        return self.elapsed_s / max(self.limit_s - self.reserve_s, 1e-9)


def _optimizers(model: GPT, recipe: Recipe) -> list[Muon | AdamW]:
    """Muon for the matrices inside blocks; AdamW for tables, gains and biases."""
    inside = [p for name, p in model.named_parameters() if p.ndim == 2 and name.startswith("blocks.")]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and name.startswith("blocks."))]
    muon = Muon(inside, lr=recipe.muon_lr, weight_decay=recipe.weight_decay, ns_steps=4)
    adam = AdamW(others, lr=recipe.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
    return [muon, adam]


def _factor(share: float, warmup: float) -> float:
    """The rates over their highest: up along a line, then down along one to a twentieth."""
    if share < warmup:
        return max(share / warmup, 0.01)
    return 1 - 0.95 * min((share - warmup) / (1 - warmup), 1.0)


def train(model: GPT, data: Corpus, recipe: Recipe, *, steps: int | None, minutes: float, shows: int = 6) -> Result:
    """Train, saying now and then how it goes and what the model would write; evaluate on the whole held-out text.

    Args:
        model: to train.
        data: to learn from, and held out.
        recipe: how.
        steps: how many; None to go by the time.
        minutes: the time, evaluation included, if there is no number of steps.
        shows: how often to show it.
    """
    clock = _Clock(steps, minutes)
    tokens, held_out = (np.array(data.tokenizer.encode(text)) for text in (data.train_text, data.held_out_text))
    optimizers = _optimizers(model, recipe)
    highest = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    part = held_out[: 16 * recipe.context * recipe.batch + 1]
    before = clock.elapsed_s
    loss = held_out_loss(model, part, recipe)
    clock.reserve_s = 1.2 * (clock.elapsed_s - before) * len(held_out) / len(part)
    print(f"before: held-out loss {loss:.3f}", flush=True)
    step, shown, losses = 0, 0, [0.0]
    for x, y in _batches(tokens, recipe):
        share = clock.share(step)
        if share >= (shown + 1) / (shows + 1) or share >= 1:
            shown += 1
            _show(model, data, recipe, step, clock, float(np.mean(losses[-50:])), part)
        if share >= 1:
            break
        model.train()
        for optimizer, lr in zip(optimizers, highest, strict=True):
            optimizer.param_groups[0]["lr"] = lr * _factor(share, recipe.warmup)
            optimizer.zero_grad()
        batch_loss = next_token_loss(model(Tensor(x)), y)
        batch_loss.backward()
        clip_grad_norm(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        losses.append(batch_loss.item())
        step += 1
    loss = held_out_loss(model, held_out, recipe)
    size = sum(p.size for p in model.parameters())
    return Result(loss, loss / math.log(2) * _tokens_per_byte(data, held_out), step, size)


def _batches(tokens: Array, recipe: Recipe) -> Iterator[tuple[Array, Array]]:
    """Windows that begin anywhere, for ever."""
    loader = token_windows(tokens, recipe.context, recipe.batch, 1000, rng=default_rng())
    while True:
        for batch in loader:
            yield batch.x.data, batch.y.data


def held_out_loss(model: GPT, tokens: Array, recipe: Recipe) -> float:
    """Mean loss of every token but the first, in windows that follow one another (what is left over is not counted)."""
    windows = TokenWindows(tokens, recipe.context, stride=recipe.context)
    model.eval()
    total = 0.0
    with no_grad():
        for start in range(0, len(windows), 32):
            x, y = windows.__getitems__(range(start, min(start + 32, len(windows))))
            total += next_token_loss(model(Tensor(x)), y).item() * len(x)
    return total / len(windows)


def _tokens_per_byte(data: Corpus, tokens: Array) -> float:
    return len(tokens) / len(data.held_out_text.encode())


def _show(
    model: GPT, data: Corpus, recipe: Recipe, step: int, clock: _Clock, training_loss: float, part: Array
) -> None:
    """Say how far it is, and let the model write."""
    loss = held_out_loss(model, part, recipe)
    text = written(model, data, 160, seed=0).strip()
    indented = "\n".join(f"    {line}" for line in text.splitlines())
    print(f"step {step}, {clock.elapsed_s:.0f} s: training loss {training_loss:.3f}, held-out loss {loss:.3f}")
    print(indented, flush=True)


def written(model: GPT, data: Corpus, count: int, *, seed: int, temperature: float = 0.8) -> str:
    """What the model writes after the prompt: so many tokens, drawn with a seed of their own."""
    model.eval()
    prompt = data.tokenizer.encode(data.prompt)
    (ids,) = generate(
        model,
        [prompt],
        count,
        context=model.config.context,
        temperature=temperature,
        rng=np.random.default_rng(seed),
    )
    return data.tokenizer.decode([*prompt, *ids])


def shares_seen(text: str, training_text: str, length: int = 8) -> tuple[float, float]:
    """The shares of a text's runs of ``length`` characters, and of as many words, that stand in the training text."""

    def share(parts: list[str], known: list[str], join: str) -> float:
        runs = {join.join(known[i : i + length]) for i in range(len(known) - length + 1)}
        own = [join.join(parts[i : i + length]) for i in range(len(parts) - length + 1)]
        return sum(run in runs for run in own) / max(len(own), 1)

    return share(list(text), list(training_text), ""), share(text.split(), training_text.split(), " ")


def save_model(path: str | Path, model: GPT, data: str, recipe: Recipe) -> None:
    """Save what :func:`load_model` needs."""
    save_state(path, {"data": data, "recipe": asdict(recipe), "model": model.state_dict()})


def load_model(path: str | Path) -> tuple[GPT, Corpus, str]:
    """A saved model, and the corpus it learned from with its name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or something else.
    """
    state: dict[str, Any] = load_state(path)
    data = corpus(state["data"])
    model = new_model(Recipe(**state["recipe"]), data)
    model.load_state_dict(state["model"])
    return model, data, state["data"]


def new_model(recipe: Recipe, data: Corpus) -> GPT:
    """A GPT as the recipe says, with the corpus's vocabulary."""
    config = GPTConfig(
        vocab_size=data.tokenizer.vocab_size,
        context=recipe.context,
        d_model=recipe.d_model,
        num_heads=recipe.num_heads,
        num_layers=recipe.num_layers,
        dropout=recipe.dropout,
    )
    return GPT(config)


def recipe_for(minutes: float) -> Recipe:
    """What did well on two cores; a run that sees each token many times needs dropout."""
    return Recipe(dropout=0.1 if minutes >= 10 else 0.0)


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Attention writes.")
    parser.add_argument("--data", choices=["shakespeare", "tinystories"], default="shakespeare")
    parser.add_argument("--minutes", type=float, default=4.0, help="how long, evaluation included")
    parser.add_argument("--steps", type=int, help="how many steps instead: the same text on every run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="numpy", help="reference, numpy or another that is installed")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--save", metavar="FILE", help="save the trained model")
    parser.add_argument("--load", metavar="FILE", help="load a model instead of training one")
    parser.add_argument(
        "--samples", type=int, default=0, help="print so many texts, of the seeds from 0 on, unselected"
    )
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or (options.steps is not None and options.steps < 1):
        parser.error("--minutes and --steps must be above 0")
    keep_freed_memory()
    manual_seed(options.seed)
    try:
        use_backend(options.backend)
    except ValueError as error:
        parser.error(str(error))
    if options.load:
        model, data, _ = load_model(options.load)
    else:
        start = time.perf_counter()
        data, recipe = corpus(options.data), recipe_for(options.minutes)
        model = new_model(recipe, data)
        result = train(model, data, recipe, steps=options.steps, minutes=options.minutes)
        seconds = time.perf_counter() - start
        print(
            f"held-out loss {result.loss:.4f} nats a token, {result.bits_per_byte:.4f} bits a byte, after "
            f"{result.steps:,} steps and {seconds:.1f} s with {result.parameters:,} parameters"
        )
        if options.save:
            save_model(options.save, model, options.data, recipe)
    for seed in range(options.samples):
        text = written(model, data, 400, seed=seed)
        characters, words = shares_seen(text, data.train_text)
        print(
            f"\nseed {seed} (of its runs of 8 characters {characters:.1%} stand in the training text, "
            f"of 8 words {words:.1%}):\n{text}"
        )
    if options.json and not options.load:
        print(json.dumps({**result._asdict(), "seconds": seconds}))


if __name__ == "__main__":
    main()
