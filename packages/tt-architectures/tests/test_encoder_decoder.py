"""The encoder-decoder: what each side sees, and that it learns to turn a sequence round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tt_architectures.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from tt_architectures.transformers import initialize_transformer, next_token_loss
from tt_foundation import Adam, Tensor, no_grad


def small(**options: Any) -> EncoderDecoder:
    sizes = {"source_vocab_size": 9, "target_vocab_size": 11, "d_model": 16, "num_heads": 2, "num_layers": 2}
    model = EncoderDecoder(EncoderDecoderConfig(**{**sizes, **options}), rng=np.random.default_rng(0))
    initialize_transformer(model, std=0.3, rng=np.random.default_rng(0))
    return model


SOURCE = np.random.default_rng(0).integers(0, 9, (2, 6))
TARGET = np.random.default_rng(1).integers(0, 11, (2, 5))


@pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"num_decoder_layers": 1}], ids=str)
def test_a_target_token_sees_the_whole_source_and_no_later_target(options: dict[str, Any]) -> None:
    model = small(**options).eval()
    with no_grad():
        whole = model(Tensor(SOURCE), Tensor(TARGET)).data
        later = TARGET.copy()
        later[:, 3] = (later[:, 3] + 1) % 11
        changed = model(Tensor(SOURCE), Tensor(later)).data
        source = SOURCE.copy()
        source[:, 5] = (source[:, 5] + 1) % 9
        moved = model(Tensor(source), Tensor(TARGET)).data
    np.testing.assert_allclose(changed[:, :3], whole[:, :3], rtol=1e-5, atol=1e-5)
    assert np.abs(changed[:, 3:] - whole[:, 3:]).max(axis=-1).min() > 1e-4
    assert np.abs(moved - whole).max(axis=-1).min() > 1e-5
    assert whole.shape == (2, 5, 11)


def test_padding_of_the_source_is_not_seen() -> None:
    model = small().eval()
    mask = np.arange(6) < np.array([[4], [4]])
    with no_grad():
        masked = model(Tensor(SOURCE), Tensor(TARGET), source_mask=mask).data
        short = model(Tensor(SOURCE[:, :4]), Tensor(TARGET)).data
    np.testing.assert_allclose(masked, short, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_it_learns_to_turn_a_sequence_round() -> None:
    start, end = 0, 1
    config = EncoderDecoderConfig(
        source_vocab_size=10, target_vocab_size=10, d_model=32, num_heads=4, num_layers=2, norm_first=True
    )
    model = EncoderDecoder(config, rng=np.random.default_rng(0))
    rng = np.random.default_rng(0)
    optimizer = Adam(model.parameters(), lr=3e-3)

    def examples(count: int) -> tuple[Any, Any]:
        source = rng.integers(2, 10, (count, 4))
        edge = np.full((count, 1), 0)
        return source, np.concatenate([edge, source[:, ::-1], edge + end], axis=1)

    for _ in range(250):
        source, target = examples(32)
        loss = next_token_loss(model(Tensor(source), Tensor(target[:, :-1])), target[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    source, _ = examples(20)
    answers = model.eval().written(Tensor(source), start=start, end=end, max_tokens=8)
    assert np.mean([answer == row[::-1].tolist() for answer, row in zip(answers, source, strict=True)]) >= 0.9


def test_an_answer_ends_at_its_limit() -> None:
    answers = small().eval().written(Tensor(SOURCE), start=0, end=99, max_tokens=3)
    assert [len(answer) for answer in answers] == [3, 3]
