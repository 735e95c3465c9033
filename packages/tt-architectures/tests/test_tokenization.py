"""Tokenization: what becomes of text, what comes back, and what is refused."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tt_architectures.tokenization import (
    BPETokenizer,
    CharTokenizer,
    WordPieceTokenizer,
    learned_merges,
    merged,
    replaced,
    word_pieces,
)
from tt_architectures.vocabularies import BytePairs
from tt_foundation import Tensor

TEXT = "the cat sat on the mat; the rat sat on the cat. " * 3 + "<|end|>That's 42 mats, naïve 日本語 🙂\n\n"
SPECIAL = ["<|end|>", "<|end|>>"]

BPE = BPETokenizer.train(TEXT, 300, SPECIAL)
PIECES = WordPieceTokenizer.train(TEXT, 60)
BYTES = BPETokenizer.train("", 256)

any_text = st.text(st.characters(exclude_categories=["Cs"]))


@given(any_text)
def test_any_string_survives_the_round_trip_in_bytes(text: str) -> None:
    for tokenizer in (BPE, BYTES):
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.decode(tokenizer.encode_ordinary(text)) == text
        assert "".join(tokenizer.stream(tokenizer.encode(text))) == text


@given(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"]), st.text("aé ", max_size=3))
def test_a_lone_surrogate_is_refused_with_its_place(bad: str, good: str) -> None:
    for tokenizer in (BPE, PIECES, CharTokenizer.train("a")):
        with pytest.raises(ValueError, match=rf"lone surrogate '\\ud.* at place {len(good)}: text.encode"):
            tokenizer.encode(good + bad)


def test_characters_are_tokens_in_their_order_with_special_ones_last() -> None:
    tokenizer = CharTokenizer.train(["abba<end>", "c"], ["<end>"])
    assert tokenizer.tokens == ["a", "b", "c", "<end>"]
    assert tokenizer.encode("cab<end>a") == [2, 0, 1, 3, 0]
    assert tokenizer.decode([2, 0, 1, 3, 0]) == "cab<end>a"
    with pytest.raises(ValueError, match="has no character 'd', at place 1 of the text"):
        tokenizer.encode("adc")


def test_an_unknown_character_becomes_the_token_for_it() -> None:
    tokenizer = CharTokenizer.train("ab", ["[UNK]"], "[UNK]")
    assert tokenizer.encode("abc[UNK]") == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [([], []), ([1], [1]), ([1, 2], [9]), ([1, 1, 2, 2], [1, 9, 2]), ([1, 2, 1, 2, 1], [9, 9, 1])],
)
def test_a_pair_is_replaced_everywhere(ids: list[int], expected: list[int]) -> None:
    assert replaced(ids, (1, 2), 9) == expected


def test_of_three_equal_ids_the_first_two_are_the_pair() -> None:
    assert replaced([1, 1, 1], (1, 1), 9) == [9, 1]
    assert merged([1, 1, 1, 1, 1], {(1, 1): 0}, [9]) == [9, 9, 1]


def recounted(words: dict[str, int], alphabet: list[str], vocab_size: int) -> list[tuple[int, int]]:
    """The merges, all pairs counted anew before each."""
    tokens = list(alphabet)
    parts = {word: [alphabet.index(c) for c in word] for word in words}
    merges = []
    while len(tokens) < vocab_size:
        counts: Counter[tuple[int, int]] = Counter()
        for word, part in parts.items():
            for pair in pairwise(part):
                counts[pair] += words[word]
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        token = tokens[best[0]] + tokens[best[1]]
        if token not in tokens:
            tokens.append(token)
        merges.append(best)
        parts = {word: replaced(part, best, tokens.index(token)) for word, part in parts.items()}
    return merges


@given(st.dictionaries(st.text("abc", max_size=12), st.integers(1, 5), max_size=12), st.integers(3, 40))
@settings(deadline=None)
def test_counts_kept_up_to_date_give_the_merges_of_counting_anew(words: dict[str, int], vocab_size: int) -> None:
    alphabet = ["a", "b", "c"]
    in_ids = {tuple(alphabet.index(c) for c in word): count for word, count in words.items()}
    tokens, merges = learned_merges(in_ids, alphabet, vocab_size)
    assert merges == recounted(words, alphabet, vocab_size)
    assert len(set(tokens)) == len(tokens) <= vocab_size


def test_training_gives_the_bytes_the_merges_and_then_special_tokens() -> None:
    tokenizer = BPETokenizer.train("abab abab", 259, ["<s>"])
    assert tokenizer.vocab_size == len(tokenizer) == 259
    assert tokenizer.tokens[:3] == ["!", '"', "#"]
    assert tokenizer.tokens[256:] == ["ab", "abab", "<s>"]
    assert tokenizer.encode("abab<s> ab") == [257, 258, tokenizer.ids["Ġ"], 256]
    assert repr(tokenizer) == "BPETokenizer(259 tokens, 1 special)"


def test_training_ends_early_when_no_pair_is_left() -> None:
    assert BPETokenizer.train("ab", 1000, ["<s>"]).vocab_size == 258


def test_texts_one_by_one_give_the_vocabulary_of_all_together() -> None:
    halves = TEXT.partition("<|end|>")
    assert BPETokenizer.train(iter([halves[0], halves[2]]), 300, SPECIAL).content() == BPE.content()


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_the_merges_do_not_depend_on_the_hash_seed(seed: str) -> None:
    code = f"from tt_architectures import BPETokenizer; print(BPETokenizer.train({TEXT!r}, 300, {SPECIAL}).content())"
    environment = dict(os.environ, PYTHONHASHSEED=seed, PYTHONPATH=os.pathsep.join(sys.path), PYTHONIOENCODING="utf-8")
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert out.stdout.decode().strip() == str(BPE.content())


def test_special_tokens_are_found_longest_first_and_are_text_where_that_is_asked_for() -> None:
    end, longer = (BPE.special_tokens[name] for name in SPECIAL)
    assert BPE.encode("<|end|>") == [end]
    assert BPE.encode("<|end|>>") == [longer]
    assert BPE.encode("a<|end|>a") == [*BPE.encode("a"), end, *BPE.encode("a")]
    ordinary = BPE.encode_ordinary("<|end|>")
    assert end not in ordinary
    assert BPE.decode(ordinary) == "<|end|>"
    assert BPE.decode([end, ordinary[0]], skip_special=True) == "<"


def test_decoding_takes_arrays_and_tensors() -> None:
    ids = BPE.encode("the cat")
    assert BPE.decode(np.array(ids)) == BPE.decode(Tensor(np.array(ids))) == "the cat"


def test_bytes_that_are_no_character_are_shown_as_such() -> None:
    half = BPE.encode("日")[:1]
    assert BPE.decode(half) == "\ufffd"
    assert BPE.decode_bytes(half) == "日".encode()[: len(BPE.decode_bytes(half))]
    assert BPE.decode([*half, *BPE.encode("a")]) == "\ufffda"


def test_a_stream_holds_back_half_characters() -> None:
    ids = BYTES.encode("a🙂b")
    assert list(BYTES.stream(ids)) == ["a", "🙂", "b"]


def test_a_word_of_a_megabyte_takes_seconds() -> None:
    assert BPE.decode(BPE.encode("catsat" * 30_000)) == "catsat" * 30_000


def test_a_word_is_covered_by_its_longest_pieces() -> None:
    ids = {"[UNK]": 0, "un": 1, "##aff": 2, "##able": 3, "##a": 4, "u": 5}
    assert word_pieces("unaffable", ids, 0) == [1, 2, 3]
    assert word_pieces("una", ids, 0) == [1, 4]
    assert word_pieces("unx", ids, 0) == [0]
    assert word_pieces("", ids, 0) == []


def test_word_pieces_read_alike_after_the_round_trip() -> None:
    tokens = ["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", ",", "cafe", "hello"]
    tokenizer = WordPieceTokenizer(tokens, ["[UNK]", "[CLS]", "[SEP]"])
    assert tokenizer.encode("Unaffable,  HELLO café zzz") == [3, 4, 5, 6, 8, 7, 0]
    assert tokenizer.decode([3, 4, 5, 6, 8, 7]) == "unaffable , hello cafe"
    assert tokenizer.decode([4, 5]) == "##affable"
    assert tokenizer.encode("a" * 101) == [0]
    assert tokenizer.encode("hello[SEP]hello") == [8, 2, 8]
    assert tokenizer.encode_pair("hello") == ([1, 8, 2], [0, 0, 0])
    assert tokenizer.encode_pair("hello", "cafe un") == ([1, 8, 2, 7, 3, 2], [0, 0, 0, 1, 1, 1])


def test_training_word_pieces_gives_characters_and_frequent_pieces() -> None:
    assert PIECES.tokens[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert "the" in PIECES.ids
    assert "##at" in PIECES.ids
    assert PIECES.decode(PIECES.encode("The CAT sat")) == "the cat sat"
    assert PIECES.special_tokens["[UNK]"] not in PIECES.encode(TEXT)


def test_capitals_and_accents_stay_where_that_is_asked_for() -> None:
    tokenizer = WordPieceTokenizer.train("Café café", 40, lowercase=False)
    assert tokenizer.decode(tokenizer.encode("Café café")) == "Café café"


def test_gpt2_files_load_and_save(tmp_path: Path) -> None:
    BPE.save_gpt2(tmp_path)
    loaded = BPETokenizer.from_gpt2(tmp_path, SPECIAL)
    assert loaded.content() == BPE.content()
    assert loaded.encode(TEXT) == BPE.encode(TEXT)


@pytest.mark.data
def test_published_gpt2_gives_its_known_ids() -> None:
    tokenizer = BPETokenizer.from_gpt2(Path(os.environ["TT_DATA"], "tokenizers", "gpt2"))
    assert tokenizer.vocab_size == 50257
    assert tokenizer.encode("Hello world<|endoftext|>") == [15496, 995, 50256]


@pytest.mark.data
def test_published_bert_gives_its_known_ids() -> None:
    tokenizer = WordPieceTokenizer.from_bert(Path(os.environ["TT_DATA"], "tokenizers", "bert-base-uncased"))
    assert tokenizer.vocab_size == 30522
    assert tokenizer.encode_pair("Hello, world!") == ([101, 7592, 1010, 2088, 999, 102], [0] * 6)


ALPHABET = BYTES.pairs.tokens


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BPETokenizer.train("a", 256, ["<s>"]), ValueError, "at least 257 tokens, got 256"),
        (lambda: BPETokenizer.train(b"a", 300), TypeError, "a tokenizer needs text, got int"),  # type: ignore[arg-type]
        (lambda: BPE.encode(b"a"), TypeError, "a tokenizer needs text, got bytes"),  # type: ignore[arg-type]
        (lambda: BPE.decode([300]), ValueError, "a vocabulary of 298 tokens has no id 300"),
        (lambda: BPE.decode([-1]), ValueError, "has no id -1"),
        (lambda: PIECES.decode([99]), ValueError, "has no id 99"),
        (lambda: BPETokenizer(BytePairs([b"a"], [])), ValueError, "a byte has no token"),
        (lambda: BPETokenizer(BytePairs(ALPHABET, [(0, 1)])), ValueError, "or a merge makes none"),
        (lambda: BPETokenizer(BytePairs(ALPHABET, []), ["<s>"]), ValueError, "special token '<s>' is not among"),
        (lambda: BPETokenizer(BytePairs([*ALPHABET, b"a"], [])), ValueError, "stands once, got 'a' twice"),
        (lambda: CharTokenizer(["a", ""], [""]), ValueError, "special token '' is not among"),
        (lambda: CharTokenizer(["a"], unknown="a"), ValueError, "unknown 'a' is not among the special tokens"),
        (lambda: WordPieceTokenizer(["a"], []), ValueError, r"unknown '\[UNK\]' is not among the special tokens"),
        (lambda: WordPieceTokenizer.train("abc", 7), ValueError, "characters need at least 8 tokens, got 7"),
        (lambda: WordPieceTokenizer(["[UNK]"]).encode_pair("a"), ValueError, r"needs \[CLS\] and \[SEP\]"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
