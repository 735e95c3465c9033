"""A GPT-2 checkpoint that Hugging Face wrote, read here; and one written here, read there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tt_architectures.models.gpt import GPT, GPTConfig
from tt_architectures.models.gpt2 import load_gpt2, save_gpt2
from tt_foundation import Tensor, no_grad

IDS = np.random.default_rng(0).integers(0, 97, (2, 24))


def made(**options: Any) -> transformers.GPT2LMHeadModel:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=97, n_positions=32, n_embd=48, n_layer=3, n_head=4, **options)
    model = transformers.GPT2LMHeadModel(config).eval()
    for p in model.parameters():  # every number counts, biases too
        torch.nn.init.normal_(p, std=0.1)
    return model


@pytest.mark.parametrize(
    "options", [{}, {"activation_function": "relu", "n_inner": 40}, {"tie_word_embeddings": False}], ids=str
)
def test_logits_are_hugging_faces(options: dict[str, Any], tmp_path: Path) -> None:
    reference = made(**options)
    reference.save_pretrained(tmp_path)
    model = load_gpt2(tmp_path)
    with no_grad(), torch.no_grad():
        expected = reference(torch.tensor(IDS)).logits.numpy()
        np.testing.assert_allclose(model(Tensor(IDS)).data, expected, rtol=0, atol=1e-4)


def test_a_bare_gpt2_without_its_head_is_read_too(tmp_path: Path) -> None:
    reference = made()
    reference.transformer.save_pretrained(tmp_path)
    model = load_gpt2(tmp_path)
    with no_grad(), torch.no_grad():
        np.testing.assert_allclose(model(Tensor(IDS)).data, reference(torch.tensor(IDS)).logits.numpy(), atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_hugging_face_reads_what_is_written_here(tied: bool, tmp_path: Path) -> None:
    config = GPTConfig(vocab_size=97, context=32, d_model=48, num_layers=2, num_heads=4, tied=tied, activation="gelu")
    model = GPT(config, rng=np.random.default_rng(1)).eval()
    save_gpt2(model, tmp_path)
    reference, notes = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not notes["missing_keys"] or set(notes["missing_keys"]) == {"lm_head.weight"}
    assert not notes["unexpected_keys"]
    with no_grad(), torch.no_grad():
        expected = reference.eval()(torch.tensor(IDS)).logits.numpy()
        np.testing.assert_allclose(model(Tensor(IDS)).data, expected, rtol=0, atol=1e-4)
