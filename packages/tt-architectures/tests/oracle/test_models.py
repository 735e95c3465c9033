"""BERT, ViT and the encoder-decoder against Hugging Face's and PyTorch's: values and gradients, the same weights."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tt_architectures.models.bert import BERT, BERTConfig, masked_token_loss
from tt_architectures.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from tt_architectures.models.vit import ViT, ViTConfig
from tt_architectures.transformers import next_token_loss
from tt_foundation import Array, Module, Tensor, cross_entropy, use_backend

F: Any = torch.nn.functional


def rough(model: torch.nn.Module) -> torch.nn.Module:
    """No parameter at 0 or 1, so that each counts; scores of order 1."""
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p, mean=0.05, std=0.4 / p.shape[-1] ** 0.5 if p.ndim > 1 else 0.3)
    return model.eval()


def renamed(arrays: dict[str, Array], names: list[tuple[str, str]]) -> dict[str, Array]:
    """Arrays under our names; ``q``, ``k`` and ``v`` of a name are put side by side."""
    state: dict[str, Any] = {}
    for name, array in arrays.items():
        for theirs, ours in names:
            name = re.sub(theirs, ours, name)
        if match := re.fullmatch(r"(.*)\.([qkv])_proj\.(.*)", name):
            state.setdefault(f"{match[1]}.in_proj.{match[3]}", {})[match[2]] = array
        else:
            state[name] = array
    return {n: np.concatenate([a[p] for p in "qkv"]) if isinstance(a, dict) else a for n, a in state.items()}


def compare(
    model: Module[..., Any],
    reference: torch.nn.Module,
    names: list[tuple[str, str]],
    pairs: list[tuple[Tensor, torch.Tensor]],
) -> None:
    """Outputs within 1e-5, then all gradients of the losses, which the last pair holds, within 1e-4 of their size."""
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-5, atol=1e-5)
    pairs[-1][0].backward()
    pairs[-1][1].backward()
    grads = renamed({n: p.grad.numpy() for n, p in reference.named_parameters() if p.grad is not None}, names)
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        expected = grads[name].reshape(p.shape)
        scale = max(float(np.abs(expected).max()), 1e-3)
        np.testing.assert_allclose(p.grad.data, expected, rtol=0, atol=1e-4 * scale, err_msg=name)


def copied(model: Module[..., Any], reference: torch.nn.Module, names: list[tuple[str, str]]) -> None:
    state = renamed({n: p.detach().numpy() for n, p in reference.named_parameters()}, names)
    own = dict(model.named_parameters())
    model.load_state_dict({n: a.reshape(own[n].shape) if n in own else a for n, a in state.items()})


BERT_NAMES = [
    (r"^bert\.embeddings\.word_embeddings", "embedding"),
    (r"^bert\.embeddings\.position_embeddings", "positions.table"),
    (r"^bert\.embeddings\.token_type_embeddings", "segments"),
    (r"^bert\.embeddings\.LayerNorm", "embedding_norm"),
    (r"^bert\.encoder\.layer\.", "blocks."),
    (r"attention\.self\.(query|key|value)", lambda m: f"attention.{m[1][0]}_proj"),  # type: ignore[list-item]
    (r"attention\.output\.dense", "attention.out_proj"),
    (r"attention\.output\.LayerNorm", "attention_norm"),
    (r"intermediate\.dense", "feed_forward.up"),
    (r"output\.dense", "feed_forward.down"),
    (r"output\.LayerNorm", "feed_forward_norm"),
    (r"^cls\.predictions\.transform\.dense", "head"),
    (r"^cls\.predictions\.transform\.LayerNorm", "head_norm"),
    (r"^cls\.predictions\.bias", "head_bias"),
]


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_bert_is_hugging_faces(backend: str) -> None:
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
    config = transformers.BertConfig(vocab_size=50, max_position_embeddings=16, **sizes)
    reference = rough(transformers.BertForMaskedLM(config))
    model = BERT(BERTConfig(vocab_size=50, context=16, d_model=24, num_heads=3, num_layers=2, d_ff=40)).eval()
    copied(model, reference, BERT_NAMES)
    rng = np.random.default_rng(0)  # token 0 is padding to theirs, and learns nothing as an input
    ids, segments = rng.integers(1, 50, (2, 12)), rng.integers(0, 2, (2, 12))
    mask = np.arange(12) < np.array([[12], [9]])
    targets = np.where(mask & (rng.random((2, 12)) < 0.5), ids, -100)
    theirs = reference(
        torch.tensor(ids),
        attention_mask=torch.tensor(mask).long(),
        token_type_ids=torch.tensor(segments),
        labels=torch.tensor(targets),
    )
    with use_backend(backend):
        out = model(Tensor(ids), mask=mask, segments=Tensor(segments))
        loss = masked_token_loss(out, targets)
        pairs = [(out[0], theirs.logits[0]), (out[1, :9], theirs.logits[1, :9]), (loss, theirs.loss)]
        compare(model, reference, BERT_NAMES, pairs)


VIT_NAMES = [
    (r"^vit\.embeddings\.cls_token", "class_token"),
    (r"^vit\.embeddings\.position_embeddings", "positions.table.weight"),
    (r"^vit\.embeddings\.patch_embeddings\.projection", "patch_projection"),
    (r"^vit\.(encoder\.)?layers?\.", "blocks."),
    (r"attention\.(attention\.)?(query|key|value|[qkv]_proj)", lambda m: f"attention.{m[2][0]}_proj"),  # type: ignore[list-item]
    (r"attention\.(output\.dense|o_proj)", "attention.out_proj"),
    (r"(intermediate\.dense|mlp\.fc1)", "feed_forward.up"),
    (r"(output\.dense|mlp\.fc2)", "feed_forward.down"),
    (r"layernorm_before", "attention_norm"),
    (r"layernorm_after", "feed_forward_norm"),
    (r"^vit\.layernorm", "norm"),
    (r"^classifier", "head"),
]


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_vit_is_hugging_faces(backend: str) -> None:
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
    config = transformers.ViTConfig(image_size=16, patch_size=4, num_labels=7, layer_norm_eps=1e-6, **sizes)
    reference = rough(transformers.ViTForImageClassification(config))
    model = ViT(ViTConfig(image_size=16, patch_size=4, num_classes=7, d_model=24, num_heads=3, num_layers=2, d_ff=40))
    copied(model, reference, VIT_NAMES)
    rng = np.random.default_rng(0)
    images, y = rng.normal(size=(3, 3, 16, 16)).astype(np.float32), rng.integers(0, 7, 3)
    theirs = reference(torch.tensor(images)).logits
    with use_backend(backend):
        out = model(Tensor(images))
        pairs = [(out, theirs), (cross_entropy(out, y), F.cross_entropy(theirs, torch.tensor(y)))]
        compare(model, reference, VIT_NAMES, pairs)


def seq2seq_names() -> list[tuple[str, str]]:
    names = [
        (r"^(source|target)_embedding", r"\1_embedding"),
        (r"^transformer\.(encoder|decoder)\.layers\.", r"\1."),
        (r"^transformer\.(encoder|decoder)\.norm", r"\1_norm"),
        (r"self_attn\.", "attention."),
        (r"multihead_attn\.", "cross_attention."),
        (r"in_proj_", "in_proj."),
        (r"linear1", "feed_forward.up"),
        (r"linear2", "feed_forward.down"),
        (r"(\d)\.norm1", r"\1.attention_norm"),
        (r"(encoder\.\d)\.norm2", r"\1.feed_forward_norm"),
        (r"(decoder\.\d)\.norm2", r"\1.cross_attention_norm"),
        (r"(decoder\.\d)\.norm3", r"\1.feed_forward_norm"),
    ]
    return names


class InTorch(torch.nn.Module):
    """PyTorch's transformer between embeddings and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.source_embedding, self.target_embedding = torch.nn.Embedding(20, 24), torch.nn.Embedding(30, 24)
        self.transformer = torch.nn.Transformer(
            24, 3, 2, 3, 40, dropout=0.0, activation="relu", batch_first=True, norm_first=True
        )
        self.head = torch.nn.Linear(24, 30)

    def forward(self, source: torch.Tensor, target: torch.Tensor, is_padding: torch.Tensor) -> torch.Tensor:
        def placed(x: torch.Tensor) -> torch.Tensor:
            angle = torch.arange(x.shape[1])[:, None] * 10000.0 ** (-torch.arange(0, 24, 2) / 24)
            waves = torch.stack([angle.sin(), angle.cos()], -1).reshape(x.shape[1], 24)
            return x * 24**0.5 + waves.float()

        future = ~torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).tril()
        out = self.transformer(
            placed(self.source_embedding(source)),
            placed(self.target_embedding(target)),
            tgt_mask=future,
            src_key_padding_mask=is_padding,
            memory_key_padding_mask=is_padding,
        )
        return self.head(out)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_the_encoder_decoder_is_pytorchs(backend: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it cannot take a fast path
        reference = rough(InTorch()).train()  # its fast path for evaluation fills padding with zeros
    config = EncoderDecoderConfig(
        source_vocab_size=20, target_vocab_size=30, d_model=24, num_heads=3, num_layers=2, num_decoder_layers=3,
        d_ff=40, norm_first=True,
    )  # fmt: skip
    model = EncoderDecoder(config)
    copied(model, reference, seq2seq_names())
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 20, (2, 9)), rng.integers(0, 30, (2, 7))
    mask = np.arange(9) < np.array([[9], [5]])
    theirs = reference(torch.tensor(source), torch.tensor(target[:, :-1]), torch.tensor(~mask))
    expected = F.cross_entropy(theirs.reshape(-1, 30), torch.tensor(target[:, 1:]).reshape(-1))
    with use_backend(backend):
        out = model(Tensor(source), Tensor(target[:, :-1]), source_mask=mask)
        pairs = [(out, theirs), (next_token_loss(out, target[:, 1:]), expected)]
        compare(model, reference, seq2seq_names(), pairs)
