"""word2vec on the books at hand: trains vectors, prints which words are near others, draws some of them in the plane.

    TT_DATA=... python -m tt_architectures.word2vec --nearest king three horse --plot words.png

The parts stand in ``word_vectors``; the root of the package does not import this command.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from tt_architectures.datasets import books
from tt_architectures.word_vectors import WordVectors, corpus_of, plot_words, train_word_vectors
from tt_foundation import keep_freed_memory, manual_seed

__all__ = ["GROUPS", "main"]

GROUPS: dict[str, list[str]] = {
    "numbers": ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twenty", "hundred"],
    "family": ["mother", "father", "sister", "brother", "daughter", "son", "wife", "husband", "aunt", "uncle"],
    "crown": ["king", "queen", "prince", "princess", "emperor", "throne", "palace", "castle"],
    "animals": ["horse", "dog", "cat", "wolf", "bear", "lion", "tiger", "fox", "cow", "bird"],
    "colours": ["red", "blue", "green", "yellow", "white", "black", "brown", "golden"],
    "body": ["hand", "arm", "foot", "leg", "head", "face", "eyes", "mouth", "nose", "hair"],
    "food": ["bread", "butter", "milk", "cake", "tea", "meat", "cheese", "soup"],
    "sea": ["ship", "boat", "sea", "shore", "island", "captain", "sailors", "waves"],
}
"""Words to draw, by what they have in common."""


def _lines(vectors: WordVectors, words: Sequence[str]) -> Iterator[str]:
    for word in words:
        try:
            near = ", ".join(f"{other} {cosine:.2f}" for other, cosine in vectors.nearest(word))
        except KeyError:
            near = "is too rare in these books"
        yield f"{word}: {near}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train vectors on the books at hand, print neighbours, draw words."""
    parser = argparse.ArgumentParser(prog="python -m tt_architectures.word2vec", description=main.__doc__)
    parser.add_argument("--nearest", nargs="+", default=["king", "three", "horse", "red", "ship", "mother", "sad"])
    parser.add_argument("--plot", metavar="FILE", help="draw groups of words into an image")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    keep_freed_memory()
    manual_seed(options.seed)
    corpus = corpus_of(books().values())
    print(f"{len(corpus.ids):,} words, {len(corpus.words):,} different ones that stand at least 20 times")
    vectors = train_word_vectors(corpus, epochs=options.epochs, report=print)
    print(*_lines(vectors, options.nearest), sep="\n")
    if options.plot:
        plot_words(vectors, GROUPS).savefig(options.plot)


if __name__ == "__main__":
    main()
