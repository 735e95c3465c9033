"""Word vectors: words learned from the company they keep, as word2vec does.

A word's vector is trained to tell the words that stand near it from words drawn at random. Knows embeddings and
optimizers; the vectors are an end in themselves, no model here starts from them.

Mikolov, Sutskever, Chen, Corrado and Dean (2013), Distributed Representations of Words and Phrases and Their
Compositionality.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import regex  # type: ignore[import-untyped,unused-ignore]

from tt_architectures.embeddings import Embedding
from tt_foundation import Array, Module, SparseAdam, Tensor, default_rng, matmul, softplus, swapaxes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Corpus",
    "SkipGram",
    "WordVectors",
    "corpus_of",
    "plot_words",
    "principal_components",
    "skip_grams",
    "train_word_vectors",
]

_WORD = regex.compile(r"\p{L}+(?:['’]\p{L}+)*")  # noqa: RUF001 - that apostrophe is meant


class Corpus(NamedTuple):
    """A text as ids of its frequent words, most frequent first."""

    words: list[str]
    counts: Array
    ids: Array


def corpus_of(texts: Iterable[str], *, min_count: int = 20) -> Corpus:
    """The words of texts in small letters, those that stand less than ``min_count`` times left out.

    Raises:
        ValueError: no word is left.
    """
    found = [_WORD.findall(text.lower().replace("’", "'")) for text in texts]  # noqa: RUF001
    counts = Counter(chain.from_iterable(found))
    words = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
    if not words:
        raise ValueError(f"a corpus needs words that stand {min_count} times, the most frequent of this one does not")
    ids = {word: i for i, word in enumerate(words)}
    text = np.array([ids[word] for word in chain.from_iterable(found) if word in ids], np.int32)
    return Corpus(words, np.array([counts[word] for word in words]), text)


def skip_grams(ids: Array, window: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Words and words near them: ``(n) -> (pairs), (pairs)``, in the order of the text.

    Each word looks up to ``rng.integers(1, window + 1)`` words to both sides, so that near ones come up more often.
    """
    reach = rng.integers(1, window + 1, len(ids))
    places = [np.flatnonzero(reach >= distance) for distance in range(1, window + 1)]
    centres = np.concatenate([at for at in places for _ in range(2)])
    others = np.concatenate([at + s * distance for distance, at in enumerate(places, 1) for s in (-1, 1)])
    is_inside = (others >= 0) & (others < len(ids))
    order = np.argsort(centres[is_inside], kind="stable")
    return ids[centres[is_inside][order]], ids[others[is_inside][order]]


class SkipGram(Module[..., Tensor]):
    """The loss of telling a word's company from words drawn at random: one table for words, one for their company.

    Args:
        num_words: the size of the vocabulary.
        d: the size of a vector.
        rng: draws the words' vectors, uniform within ``1 / 2 d``; those of the company start at zero.
    """

    def __init__(self, num_words: int, d: int, *, rng: np.random.Generator | None = None) -> None:
        rng = default_rng(rng)
        self.words = Embedding.from_pretrained(rng.uniform(-0.5 / d, 0.5 / d, (num_words, d)).astype(np.float32))
        self.company = Embedding.from_pretrained(np.zeros((num_words, d), np.float32))

    def forward(self, centres: Tensor, others: Tensor, random: Tensor, weight: float) -> Tensor:
        r"""Mean over pairs of a word and a true companion; all share the words drawn: ``(batch) x 2, (n) -> ()``.

        .. math:: -\log \sigma(u \cdot v) - \frac{w}{n} \textstyle\sum_{i=1}^n \log \sigma(-u \cdot v_i)

        Ji, Satish, Li and Dubey (2016), Parallelizing Word2Vec in Shared and Distributed Memory (sharing the words
        drawn, so that they are one product of matrices).
        """
        u, v = self.words(centres), self.company(others)  # (batch, d)
        away = softplus(matmul(u, swapaxes(self.company(random))))  # (batch, n)
        return (softplus(-(u * v).sum(axis=-1)) + away.mean(axis=-1) * weight).mean()


class WordVectors(NamedTuple):
    """Words, most frequent first, and their vectors: ``(words, d)``."""

    words: list[str]
    vectors: Array

    def of(self, *words: str) -> Array:
        """Vectors of length 1: ``(len(words), d)``.

        Raises:
            KeyError: a word has none.
        """
        unknown = [word for word in words if word not in self.words]
        if unknown:
            raise KeyError(f"no vector for {', '.join(unknown)}")
        return _unit(self.vectors[[self.words.index(word) for word in words]])

    def nearest(self, vector: str | Array, k: int = 8) -> list[tuple[str, float]]:
        """The ``k`` words whose vectors point most the same way, with the cosine; a word itself left out.

        Raises:
            KeyError: the word has no vector.
        """
        itself = vector if isinstance(vector, str) else None
        target = self.of(vector)[0] if isinstance(vector, str) else _unit(vector)
        cosines = _unit(self.vectors) @ target
        order = [int(i) for i in np.argsort(-cosines, kind="stable")[: k + 1] if self.words[i] != itself]
        return [(self.words[i], float(cosines[i])) for i in order[:k]]


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def train_word_vectors(
    corpus: Corpus,
    *,
    d: int = 100,
    window: int = 5,
    negatives: float = 5,
    shared: int = 64,
    epochs: int = 3,
    batch: int = 1024,
    lr: float = 0.02,
    threshold: float = 1e-4,
    rng: np.random.Generator | None = None,
    report: Callable[[str], object] = lambda line: None,
) -> WordVectors:
    """Train vectors for the words of a corpus.

    Args:
        corpus: see :func:`corpus_of`.
        d: the size of a vector.
        window: how far a word's company reaches at most.
        negatives: how much words drawn at random weigh beside a true one.
        shared: how many of them are drawn for a step, by their count to the power of 3/4.
        epochs: how often to go through the text.
        batch: pairs in a step.
        lr: of :class:`SparseAdam`, falling to nearly zero.
        threshold: a word of a larger share of the text is left out more often the more frequent it is.
        rng: draws everything.
        report: is told how it goes.
    """
    rng = default_rng(rng)
    model = SkipGram(len(corpus.words), d, rng=rng)
    optimizer = SparseAdam(model.parameters(), lr=lr)
    share = corpus.counts / corpus.counts.sum()
    kept = np.minimum(1, np.sqrt(threshold / share))
    edges = np.cumsum(corpus.counts**0.75)
    for epoch in range(epochs):
        ids = corpus.ids[rng.random(len(corpus.ids)) < kept[corpus.ids]]
        centres, company = skip_grams(ids, window, rng)
        order = rng.permutation(len(centres))
        losses, start = [], time.perf_counter()
        for at in range(0, len(order), batch):
            done = (epoch + at / len(order)) / epochs
            pairs = order[at : at + batch]
            optimizer.param_groups[0]["lr"] = lr * max(1 - done, 0.01)
            random = np.searchsorted(edges, rng.random(shared) * edges[-1], side="right")
            optimizer.zero_grad()
            loss = model(Tensor(centres[pairs]), Tensor(company[pairs]), Tensor(random), negatives)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        taken = time.perf_counter() - start
        report(
            f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {len(order):,} pairs, {len(order) / taken:,.0f} a second"
        )
    return WordVectors(corpus.words, model.words.weight.data.copy())


def principal_components(x: Array, k: int = 2) -> Array:
    """Coordinates along the ``k`` directions of largest variance: ``(n, d) -> (n, k)``.

    Pearson (1901), On Lines and Planes of Closest Fit to Systems of Points in Space.
    """
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return u[:, :k] * s[:k]


def plot_words(vectors: WordVectors, groups: Mapping[str, Sequence[str]]) -> Figure:
    """Words in the plane of their two principal components, a colour for each group; words without a vector left out.

    Raises:
        ValueError: fewer than three words have one.
        ImportError: matplotlib is not installed.
    """
    known = {name: [word for word in words if word in vectors.words] for name, words in groups.items()}
    words = list(chain.from_iterable(known.values()))
    if len(words) < 3:
        raise ValueError(f"a plot needs at least three words that have vectors, got {', '.join(words) or 'none'}")
    points = iter(principal_components(vectors.of(*words)))
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install tt-architectures[plot]") from error
    figure = Figure(figsize=(11, 8), layout="constrained", dpi=120)
    axes = figure.add_subplot()
    for i, (name, members) in enumerate(known.items()):
        for j, word in enumerate(members):
            x, y = next(points)
            axes.scatter(x, y, color=f"C{i}", s=14, label=name if j == 0 else None)
            axes.annotate(word, (x, y), textcoords="offset points", xytext=(3, 3), fontsize=8, color=f"C{i}")
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second principal component")
    axes.legend()
    return figure
