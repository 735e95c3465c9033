"""BERT: it sees both ways, is asked about what was taken out, and learns to answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tt_architectures.models.bert import BERT, BERTConfig, mask_tokens, masked_token_loss
from tt_architectures.transformers import initialize_transformer
from tt_foundation import Adam, Tensor, grad


def small(**options: Any) -> BERT:
    config = BERTConfig(**{"vocab_size": 20, "context": 8, "d_model": 16, "num_heads": 2, "num_layers": 2, **options})
    model = BERT(config, rng=np.random.default_rng(0))
    initialize_transformer(model, std=0.3, rng=np.random.default_rng(0))
    return model


IDS = np.random.default_rng(0).integers(4, 20, (3, 8))


@pytest.mark.parametrize("options", [{}, {"norm_first": True, "rotary": True, "num_kv_heads": 1}], ids=str)
def test_every_position_sees_all_others_but_padding(options: dict[str, Any]) -> None:
    model = small(**options).eval()
    other = IDS.copy()
    other[:, 6] = (other[:, 6] - 3) % 16 + 4
    whole = model(Tensor(IDS)).data
    assert np.abs(model(Tensor(other)).data - whole).max(axis=-1).min() > 1e-4
    mask = np.arange(8) < np.full((3, 1), 6)
    hidden = model(Tensor(IDS), mask=mask).data[:, :6]
    np.testing.assert_allclose(model(Tensor(other), mask=mask).data[:, :6], hidden, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(Tensor(IDS[:, :6])).data, hidden, rtol=1e-4, atol=1e-5)


def test_segments_tell_texts_apart() -> None:
    model = small().eval()
    segments = Tensor(np.repeat([[0, 1]], 4, axis=1).repeat(3, axis=0))
    assert np.abs(model(Tensor(IDS), segments=segments).data - model(Tensor(IDS)).data).max() > 1e-3


def test_of_the_chosen_most_are_masked_some_changed_and_some_left() -> None:
    ids = np.random.default_rng(1).integers(4, 20, (200, 50))
    ids[:, -5:] = 0
    shown, targets = mask_tokens(ids, vocab_size=20, mask_id=3, special_ids=[0], rng=np.random.default_rng(0))
    chosen = targets != -100
    assert abs(chosen[:, :-5].mean() - 0.15) < 0.01
    assert not chosen[:, -5:].any()
    assert np.array_equal(targets[chosen], ids[chosen])
    assert np.array_equal(shown[~chosen], ids[~chosen])
    assert abs((shown[chosen] == 3).mean() - 0.8) < 0.03
    assert abs((shown[chosen] == ids[chosen]).mean() - 0.1) < 0.03
    again = mask_tokens(ids, vocab_size=20, mask_id=3, special_ids=[0], rng=np.random.default_rng(0))
    assert np.array_equal(again.ids, shown)


def test_the_loss_is_that_of_what_was_asked() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    targets = np.array([[-100, 4, -100], [2, -100, 3]])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.mean([log_p[0, 1, 4], log_p[1, 0, 2], log_p[1, 2, 3]])
    x = Tensor(logits, requires_grad=True)
    np.testing.assert_allclose(masked_token_loss(x, targets).item(), expected, rtol=1e-5)
    (slope,) = grad(masked_token_loss(x, targets), [x])
    assert np.array_equal(slope.data.any(axis=-1), targets != -100)
    nothing = masked_token_loss(x, np.full((2, 3), -100))
    nothing.backward()
    assert nothing.item() == 0


def test_it_learns_to_fill_in_what_was_taken_out() -> None:
    model = small(vocab_size=12)
    rng = np.random.default_rng(0)
    optimizer = Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(120):  # texts that count up: each token follows from any other
        ids = 4 + (rng.integers(0, 8, (16, 1)) + np.arange(8)) % 8
        shown, targets = mask_tokens(ids, vocab_size=12, mask_id=3, share=0.3, rng=rng)
        loss = masked_token_loss(model(Tensor(shown)), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])


def test_wrong_calls_say_what_is_wrong() -> None:
    model = small()
    with pytest.raises(ValueError, match=r"BERT needs ids of shape \(batch, at most 8\), got \(1, 9\)"):
        model(Tensor(np.zeros((1, 9), np.int64)))
    with pytest.raises(ValueError, match=r"mask of the shape of ids, \(3, 8\), got \(3, 7\)"):
        model(Tensor(IDS), mask=np.ones((3, 7), bool))
    with pytest.raises(ValueError, match="0 <= share <= 1, got 2"):
        mask_tokens(IDS, vocab_size=20, mask_id=3, share=2)
    with pytest.raises(ValueError, match=r"got \(3, 8, 20\) and \(3, 7\)"):
        masked_token_loss(model(Tensor(IDS)), IDS[:, :7])
