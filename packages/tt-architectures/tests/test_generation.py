"""Generation: which token is picked, and that batches, caches and streams change nothing about a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tt_architectures.generation import PlainCache, generate, pick_token, stream
from tt_architectures.models.gpt import GPT, GPTConfig
from tt_architectures.transformers import initialize_transformer
from tt_foundation import Array, Tensor, no_grad


def model(**options: Any) -> GPT:
    config = GPTConfig(**{"vocab_size": 13, "context": 16, "d_model": 16, "num_layers": 2, **options})
    made = GPT(config, rng=np.random.default_rng(0))
    initialize_transformer(made, std=0.4, rng=np.random.default_rng(0))
    return made.eval()


KINDS: list[dict[str, Any]] = [{}, {"rotary": True, "num_kv_heads": 2, "norm": "rms", "activation": "swiglu"}]
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 1]]


def greedy_by_hand(gpt: GPT, prompt: list[int], count: int) -> list[int]:
    text = list(prompt)
    with no_grad():
        for _ in range(count):
            text.append(int(gpt(Tensor(np.array([text[-16:]]))).data[0, -1].argmax()))
    return text[len(prompt) :]


@pytest.mark.parametrize("cache", [None, PlainCache], ids=["no cache", "cache"])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_prompts_of_different_lengths_continue_as_each_would_alone(options: dict[str, Any], cache: Any) -> None:
    gpt = model(**options)
    texts = generate(gpt, PROMPTS, 9, context=16, temperature=0, cache=cache)
    assert texts == [greedy_by_hand(gpt, prompt, 9) for prompt in PROMPTS]


@pytest.mark.parametrize("cache", [None, PlainCache], ids=["no cache", "cache"])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_text_longer_than_the_context_goes_on_from_its_last_tokens(options: dict[str, Any], cache: Any) -> None:
    gpt = model(**options)
    prompts = [list(range(12)) * 2, [3, 1]]
    texts = generate(gpt, prompts, 20, context=16, temperature=0, cache=cache)
    assert texts == [greedy_by_hand(gpt, prompt, 20) for prompt in prompts]


def test_the_same_seed_gives_the_same_text_with_and_without_a_cache() -> None:
    gpt = model()

    def text(seed: int, cache: Any) -> list[list[int]]:
        return generate(gpt, PROMPTS, 10, context=16, top_k=5, cache=cache, rng=np.random.default_rng(seed))

    assert text(1, PlainCache) == text(1, PlainCache) == text(1, None)
    assert text(1, None) != text(2, None)


def test_a_stream_gives_each_token_as_soon_as_it_is_there() -> None:
    calls: list[tuple[int, ...]] = []
    gpt = model()

    def watched(ids: Tensor, **options: Any) -> Tensor:
        calls.append(ids.shape)
        return gpt(ids, **options)

    steps = stream(watched, PROMPTS, 5, context=16, temperature=0)
    assert not calls
    first = next(steps)
    assert calls == [(3, 6)]
    next(steps)
    assert calls == [(3, 6), (3, 1)]
    assert first.tokens.tolist() == [greedy_by_hand(gpt, prompt, 1)[0] for prompt in PROMPTS]
    assert first.is_live.all()


def test_a_row_ends_with_its_stop_sequence_and_the_stream_with_its_last_row() -> None:
    gpt = model()
    whole = generate(gpt, PROMPTS, 9, context=16, temperature=0)
    stop = [whole[0][2:4], whole[2][5:6]]

    def cut(prompt: list[int], text: list[int]) -> list[int]:
        for n in range(1, len(text) + 1):
            if any((prompt + text[:n])[-len(s) :] == s for s in stop):
                return text[:n]
        return text

    texts = generate(gpt, PROMPTS, 9, context=16, temperature=0, stop=stop)
    assert texts == [cut(prompt, text) for prompt, text in zip(PROMPTS, whole, strict=True)]
    assert len(texts[0]) < 9
    alone = list(stream(gpt, PROMPTS[:1], 9, context=16, temperature=0, stop=stop))
    assert len(alone) == len(texts[0])


def logits(*rows: list[float]) -> Array:
    return np.log(np.array(rows, np.float32))


def shares(p: Array, count: int = 4000, **options: Any) -> Array:
    """How often each token is drawn from one row of scores."""
    rng = np.random.default_rng(0)
    drawn = pick_token(np.repeat(p, count, axis=0), rng=rng, **options)
    return np.bincount(drawn, minlength=p.shape[1]) / count


P = [0.1, 0.4, 0.2, 0.3]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, P),
        ({"temperature": 0.5}, np.square(P) / np.square(P).sum()),
        ({"temperature": 0.0}, [0, 1, 0, 0]),
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_k": 9}, P),
        ({"top_p": 0.65}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.75}, [0, 4 / 9, 2 / 9, 3 / 9]),
        ({"top_p": 0.01}, [0, 1, 0, 0]),
        ({"top_p": 1.0}, P),
        ({"top_k": 3, "top_p": 0.7}, [0, 4 / 7, 0, 3 / 7]),
    ],
    ids=str,
)
def test_tokens_are_drawn_by_their_share_of_what_is_left(options: dict[str, Any], expected: list[float]) -> None:
    got = shares(logits(P), **options)
    np.testing.assert_allclose(got, expected, atol=0.03)
    assert not got[np.equal(expected, 0)].any()


def test_each_row_is_picked_by_its_own_scores() -> None:
    assert pick_token(logits([0.2, 0.8], [0.9, 0.1]), temperature=0).tolist() == [1, 0]
    assert pick_token(np.zeros((2, 4)), temperature=0).tolist() == [0, 0]


def test_a_plain_cache_is_full_at_its_capacity() -> None:
    cache = PlainCache(3)
    k = Tensor(np.ones((1, 2, 1, 4), np.float32))
    assert cache.update(0, k, k, np.array([[2]]))[0].shape == (1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"PlainCache\(3\) has no place for position 3"):
        cache.update(0, k, k, np.array([[3]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stream(model(), [], 3, context=16), "at least one token, got lengths"),
        (lambda: stream(model(), [[1], []], 3, context=16), r"got lengths \[1, 0\]"),
        (lambda: stream(model(), [[1]], 0, context=16), "max_new_tokens and context >= 1, got 0 and 16"),
        (lambda: stream(model(), [[1]], 3, context=16, stop=[[]]), "stop sequences of at least one token"),
        (lambda: stream(model(), [[1]], 3, context=16, temperature=-1), "temperature >= 0, got -1"),
        (lambda: stream(model(), [[1]], 3, context=16, top_k=0), "top_k >= 1, got 0"),
        (lambda: stream(model(), [[1]], 3, context=16, top_p=1.5), "0 < top_p <= 1, got 1.5"),
    ],
)
def test_wrong_calls_say_what_is_wrong_at_once(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
