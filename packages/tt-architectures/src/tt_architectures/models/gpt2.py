"""GPT-2's published weights: read from, and written to, a folder as Hugging Face ``transformers`` lays it out.

``config.json`` says how large the model is, ``model.safetensors`` holds its arrays. Theirs keep the matrix of a linear
layer transposed.

Radford et al. (2019), Language Models are Unsupervised Multitask Learners.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tt_architectures.models.gpt import GPT, GPTConfig
from tt_foundation import Array, load, save, write_text

__all__ = ["load_gpt2", "save_gpt2"]

_ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu"}

_PARTS = {
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.in_proj",
    "attn.c_proj": "attention.out_proj",
    "ln_2": "feed_forward_norm",
    "mlp.c_fc": "feed_forward.up",
    "mlp.c_proj": "feed_forward.down",
}
"""Their name of a part of a block: ours."""


def load_gpt2(folder: str | Path) -> GPT:
    """The model that a folder holds, in evaluation mode.

    Args:
        folder: with ``config.json`` and ``model.safetensors``, as ``GPT2LMHeadModel.save_pretrained`` writes them.

    Raises:
        FileNotFoundError: one of the two is missing.
        ValueError: it is another kind of model, or has parts that are not known here, or too few.
    """
    folder = Path(folder)
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = _config(described)
    arrays, _ = load(folder / "model.safetensors")
    model = GPT(config, rng=np.random.default_rng(0)).eval()
    model.load_state_dict(dict(_ours(arrays, config)))
    return model


def _config(described: Mapping[str, Any]) -> GPTConfig:
    """Our configuration of theirs."""
    if described.get("model_type") != "gpt2":
        raise ValueError(f"load_gpt2 needs a folder of model_type 'gpt2', got {described.get('model_type')!r}")
    activation = described.get("activation_function", "gelu_new")
    if activation not in _ACTIVATIONS:
        raise ValueError(f"load_gpt2 knows activations of {', '.join(_ACTIVATIONS)}, got {activation!r}")
    changed = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False}
    for key, usual in changed.items():
        if described.get(key, usual) != usual:
            raise ValueError(f"load_gpt2 needs {key} == {usual}")
    options: dict[str, Any] = {"activation": _ACTIVATIONS[activation]}
    return GPTConfig(
        vocab_size=described["vocab_size"],
        context=described.get("n_positions", 1024),
        d_model=described["n_embd"],
        num_heads=described["n_head"],
        num_layers=described["n_layer"],
        d_ff=described.get("n_inner"),
        norm_eps=described.get("layer_norm_epsilon", 1e-5),
        dropout=described.get("resid_pdrop", 0.1),
        attention_dropout=described.get("attn_pdrop", 0.1),
        tied=described.get("tie_word_embeddings", True),
        **options,
    )


def _ours(arrays: Mapping[str, Array], config: GPTConfig) -> Iterator[tuple[str, Array]]:
    """Their arrays under our names."""
    for name, array in arrays.items():
        *path, kind = name.removeprefix("transformer.").split(".")
        array = array.astype(np.float32, copy=False)
        if path[0] == "wte":
            yield "embedding.weight", array
        elif path[0] == "wpe":
            yield "positions.table.weight", array
        elif path[0] == "ln_f":
            yield f"norm.{kind}", array
        elif path[0] == "lm_head":
            if not config.tied:
                yield "head.weight", array
        elif path[-1] == "attn" and kind in ("bias", "masked_bias"):
            continue  # older files hold the causal mask
        elif path[0] == "h" and ".".join(path[2:]) in _PARTS:
            ours = f"blocks.{path[1]}.{_PARTS['.'.join(path[2:])]}"
            yield f"{ours}.{kind}", array.T
        else:
            raise ValueError(f"load_gpt2 does not know {name}")


def save_gpt2(model: GPT, folder: str | Path) -> None:
    """Write a model so that :func:`load_gpt2` and Hugging Face's ``GPT2LMHeadModel.from_pretrained`` read it.

    Args:
        model: of the shape that GPT-2 has.
        folder: made where it is missing.

    Raises:
        ValueError: GPT-2 has no such configuration.
    """
    config = model.config
    names = {ours: theirs for theirs, ours in reversed(_ACTIVATIONS.items())}
    is_known = config.activation in names and config.norm == "layer" and config.norm_first and config.bias
    if not is_known or config.rotary or config.num_kv_heads not in (None, config.num_heads):
        raise ValueError(f"GPT-2 has layer norm first, biases, learned positions and no shared heads; got {config}")
    described = {
        "activation_function": names[config.activation],
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": config.attention_dropout,
        "embd_pdrop": config.dropout,
        "layer_norm_epsilon": config.norm_eps,
        "model_type": "gpt2",
        "n_embd": config.d_model,
        "n_head": config.num_heads,
        "n_inner": config.d_ff,
        "n_layer": config.num_layers,
        "n_positions": config.context,
        "resid_pdrop": config.dropout,
        "tie_word_embeddings": config.tied,
        "vocab_size": config.vocab_size,
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "model.safetensors", dict(_theirs(model)), {"format": "pt"})
    write_text(folder / "config.json", json.dumps(described, indent=2) + "\n")


def _theirs(model: GPT) -> Iterator[tuple[str, Array]]:
    """Our arrays under their names."""
    state = model.state_dict()
    yield "transformer.wte.weight", state["embedding.weight"]
    yield "transformer.wpe.weight", state["positions.table.weight"]
    if model.head is not None:
        yield "lm_head.weight", state["head.weight"]
    for kind in ("weight", "bias"):
        yield f"transformer.ln_f.{kind}", state[f"norm.{kind}"]
        for i in range(model.config.num_layers):
            for theirs, ours in _PARTS.items():
                yield f"transformer.h.{i}.{theirs}.{kind}", state[f"blocks.{i}.{ours}.{kind}"].T
