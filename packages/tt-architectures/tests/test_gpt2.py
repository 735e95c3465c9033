"""GPT-2's folder: what is written is read again, and what is no GPT-2 is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tt_architectures.models.gpt import GPT, GPTConfig
from tt_architectures.models.gpt2 import load_gpt2, save_gpt2
from tt_foundation import Tensor, load, no_grad, save


def small(**options: Any) -> GPT:
    config = GPTConfig(**{"vocab_size": 11, "context": 8, "d_model": 12, "num_heads": 3, "num_layers": 2, **options})
    return GPT(config, rng=np.random.default_rng(0)).eval()


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_comes_back_as_it_was(tied: bool, tmp_path: Path) -> None:
    model = small(tied=tied, d_ff=20, dropout=0.1)
    save_gpt2(model, tmp_path / "new")
    again = load_gpt2(tmp_path / "new")
    assert again.config == model.config
    ids = Tensor(np.array([[1, 2, 3]]))
    with no_grad():
        assert np.array_equal(again(ids).data, model(ids).data)


def test_older_files_with_the_mask_in_them_are_read(tmp_path: Path) -> None:
    save_gpt2(small(), tmp_path)
    arrays, _ = load(tmp_path / "model.safetensors")
    mask = {f"h.{i}.attn.bias": np.ones((1, 1, 8, 8), np.float32) for i in range(2)}
    save(tmp_path / "model.safetensors", {**arrays, **mask})
    assert np.array_equal(load_gpt2(tmp_path).embedding.weight.data, small().embedding.weight.data)


@pytest.mark.parametrize("options", [{"norm": "rms"}, {"rotary": True}, {"num_kv_heads": 1}, {"activation": "swiglu"}])
def test_what_gpt2_is_not_is_not_written(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="GPT-2 has layer norm first"):
        save_gpt2(small(**options), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llama"}, "needs a folder of model_type 'gpt2', got 'llama'"),
        ({"activation_function": "tanh"}, "knows activations of gelu_new, .*, got 'tanh'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "needs scale_attn_by_inverse_layer_idx == False"),
        ({"n_layer": 3}, "missing blocks.2"),
    ],
)
def test_other_models_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_gpt2(small(), tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        load_gpt2(tmp_path)


def test_unknown_arrays_are_named(tmp_path: Path) -> None:
    save_gpt2(small(), tmp_path)
    arrays, _ = load(tmp_path / "model.safetensors")
    save(tmp_path / "model.safetensors", {**arrays, "transformer.h.0.extra.weight": np.ones(3)})
    with pytest.raises(ValueError, match=r"does not know transformer.h.0.extra.weight"):
        load_gpt2(tmp_path)
