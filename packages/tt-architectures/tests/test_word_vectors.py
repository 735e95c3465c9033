"""Word vectors: pairs of neighbours, and vectors that know who stands in for whom."""

import math

import numpy as np
import pytest

from tt_architectures.word_vectors import (
    SkipGram,
    WordVectors,
    corpus_of,
    plot_words,
    principal_components,
    skip_grams,
    train_word_vectors,
)
from tt_foundation import RowsGradient, Tensor

TEXT = " ".join(
    f"the {animal} eats {food} and the {king} wears a {thing} ."
    for animal in ("dog", "cat", "wolf")
    for food in ("meat", "fish")
    for king in ("king", "queen")
    for thing in ("crown", "ring")
)


def test_a_corpus_is_the_frequent_words_in_small_letters() -> None:
    corpus = corpus_of(["The cat's hat; the CAT’s", "hat. Über THE 42"], min_count=2)  # noqa: RUF001
    assert corpus.words == ["the", "cat's", "hat"]
    assert corpus.counts.tolist() == [3, 2, 2]
    assert corpus.ids.tolist() == [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(ValueError, match="needs words that stand 9 times"):
        corpus_of(["a b a"], min_count=9)


def test_skip_grams_of_window_one_are_the_neighbours() -> None:
    centres, others = skip_grams(np.array([5, 6, 7]), 1, np.random.default_rng(0))
    assert list(zip(centres.tolist(), others.tolist(), strict=True)) == [(5, 6), (6, 5), (6, 7), (7, 6)]


def test_skip_grams_look_as_far_as_was_drawn_for_each_word() -> None:
    ids = np.arange(50)
    reach = np.random.default_rng(1).integers(1, 5, 50)
    expected = [(i, j) for i in range(50) for j in range(50) if 0 < abs(i - j) <= reach[i]]
    found = zip(*(part.tolist() for part in skip_grams(ids, 4, np.random.default_rng(1))), strict=True)
    assert sorted(found) == expected


def test_the_loss_starts_where_nothing_is_known_and_touches_only_the_words_of_the_batch() -> None:
    model = SkipGram(1000, 8, rng=np.random.default_rng(0))
    loss = model(Tensor(np.array([1, 2])), Tensor(np.array([3, 4])), Tensor(np.array([5, 6, 7])), 5)
    assert loss.item() == pytest.approx(6 * math.log(2), rel=1e-5)
    loss.backward()
    for table, touched in ((model.words, [1, 2]), (model.company, [3, 4, 5, 6, 7])):
        assert isinstance(table.weight.grad, RowsGradient)
        assert table.weight.grad.rows is not None
        assert table.weight.grad.rows.index.tolist() == touched


def test_words_in_the_same_company_come_to_point_the_same_way() -> None:
    lines: list[str] = []
    vectors = train_word_vectors(
        corpus_of([TEXT], min_count=1),
        d=8,
        window=3,
        epochs=60,
        batch=256,
        lr=0.02,
        threshold=1,
        rng=np.random.default_rng(0),
        report=lines.append,
    )
    assert len(lines) == 60
    assert lines[-1].startswith("epoch 60: loss ")
    assert {word for word, _ in vectors.nearest("dog", 2)} == {"cat", "wolf"}
    assert vectors.nearest("king", 1)[0][0] == "queen"
    assert vectors.nearest("crown", 1)[0][0] == "ring"


def test_the_same_seed_gives_the_same_vectors() -> None:
    corpus = corpus_of([TEXT], min_count=1)
    one, two = (train_word_vectors(corpus, d=4, epochs=2, rng=np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.vectors, two.vectors)


VECTORS = WordVectors(["a", "b", "c"], np.array([[2.0, 0.0], [1.0, 1.0], [0.0, -1.0]]))


def test_nearest_are_those_of_the_smallest_angle() -> None:
    assert VECTORS.nearest("a", 2) == [("b", pytest.approx(0.5**0.5)), ("c", pytest.approx(0))]
    assert VECTORS.nearest(np.array([0.0, -9.0]), 1) == [("c", pytest.approx(1))]
    assert VECTORS.of("b", "a").tolist() == [[pytest.approx(0.5**0.5)] * 2, [1, 0]]
    with pytest.raises(KeyError, match="no vector for x, y"):
        VECTORS.of("a", "x", "y")


def test_principal_components_are_uncorrelated_and_hold_the_largest_variances() -> None:
    x = np.random.default_rng(0).normal(size=(40, 5)) * [5, 1, 3, 1, 1]
    points = principal_components(x, 2)
    expected = np.linalg.eigvalsh(np.cov(x.T))[::-1][:2]
    np.testing.assert_allclose(np.cov(points.T), np.diag(expected), atol=1e-9)


def test_words_are_drawn_by_group() -> None:
    figure = plot_words(VECTORS, {"first": ["a", "b", "unknown"], "second": ["c"]})
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["first", "second"]
    with pytest.raises(ValueError, match="at least three words that have vectors, got a"):
        plot_words(VECTORS, {"first": ["a", "unknown"]})
