"""Tokenization: text as the numbers that a model reads, and back (module 10).

Characters make long sequences, whole words an endless vocabulary. Between them: byte-pair encoding starts from bytes
and merges the pair that stands most often, again and again; WordPiece covers a word with the longest pieces it knows.
Knows text and files; knows nothing of tensors or models.
"""

from __future__ import annotations

import codecs
import heapq
import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

from tt_architectures.byte_pairs import merged_long
from tt_architectures.pretokenization import bert_words, checked_text, gpt2_words, spaced_words
from tt_architectures.tokenizer import Tokenizer, WordCache, ordinary_parts
from tt_architectures.vocabularies import (
    BYTE_ORDER,
    BytePairs,
    bytes_of,
    pairs_of,
    printable,
    read_bert,
    read_gpt2,
    write_gpt2,
)  # fmt: skip

__all__ = [
    "BPETokenizer",
    "CharTokenizer",
    "WordPieceTokenizer",
    "learned_merges",
    "merged",
    "replaced",
    "word_pieces",
]

Pair: TypeAlias = tuple[int, int]
T = TypeVar("T", str, bytes)


class CharTokenizer(Tokenizer):
    """A token for every character.

    Args:
        tokens: the characters, by id; special tokens among them.
        special_tokens: their names.
        unknown: the special token that stands for characters without one; without it they are refused.
    """

    def __init__(self, tokens: Sequence[str], special_tokens: Iterable[str] = (), unknown: str | None = None) -> None:
        super().__init__(tokens, special_tokens)
        if unknown is not None and unknown not in self.special_tokens:
            raise ValueError(f"unknown {unknown!r} is not among the special tokens")
        self.unknown = unknown

    @classmethod
    def train(cls, texts: str | Iterable[str], special_tokens: Iterable[str] = (), unknown: str | None = None) -> Self:
        """The characters of a text or of texts, sorted; then special tokens."""
        special = list(special_tokens)
        parts = ordinary_parts([texts] if isinstance(texts, str) else texts, special)
        characters = sorted(set(chain.from_iterable(map(checked_text, parts))))
        return cls([*characters, *special], special, unknown)

    def encode_ordinary(self, text: str) -> list[int]:
        if self.unknown is not None:
            unknown = self.ids[self.unknown]
            return [self.ids.get(c, unknown) for c in checked_text(text)]
        try:
            return [self.ids[c] for c in checked_text(text)]
        except KeyError as error:
            at = text.index(error.args[0])
            raise ValueError(f"the vocabulary has no character {error.args[0]!r}, at place {at} of the text") from None

    def content(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "special_tokens": list(self.special_tokens), "unknown": self.unknown}

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Self:
        return cls(content["tokens"], content["special_tokens"], content["unknown"])


def replaced(ids: Sequence[int], pair: Pair, new: int) -> list[int]:
    """``ids`` with ``new`` wherever ``pair`` stood, from the left: of three equal ones the first two are a pair."""
    out: list[int] = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def learned_merges(
    words: Mapping[tuple[int, ...], int],
    tokens: Sequence[T],
    vocab_size: int,
    joined: Callable[[T, T], T] = operator.add,
) -> tuple[list[T], list[Pair]]:
    """All tokens, the given ones and those learned, and the pairs of ids to merge, the most frequent first.

    Of equally frequent pairs the one of smaller ids comes first, so that the order does not depend on anything else.
    Counts are kept up to date: a merge looks only at the words that it changes.

    Gage (1994), A New Algorithm for Data Compression; Sennrich, Haddow and Birch (2016), Neural Machine Translation
    of Rare Words with Subword Units.

    Args:
        words: how often each word, as a sequence of ids, stands in the text.
        tokens: what each id stands for to begin with.
        vocab_size: how many tokens there shall be; there are fewer if no pair is left.
        joined: the token that two make together.
    """
    tokens = list(tokens)
    ids = {token: i for i, token in enumerate(tokens)}
    parts = [list(word) for word in words]
    frequencies = list(words.values())
    counts: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for w, part in enumerate(parts):
        for pair in pairwise(part):
            counts[pair] += frequencies[w]
            where[pair].add(w)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)

    merges: list[Pair] = []
    while heap and len(tokens) < vocab_size:
        count, pair = heapq.heappop(heap)
        if counts[pair] != -count:  # it has changed since it was pushed
            if counts[pair] > 0:
                heapq.heappush(heap, (-counts[pair], pair))
            continue
        token = joined(tokens[pair[0]], tokens[pair[1]])
        new = ids.setdefault(token, len(tokens))
        if new == len(tokens):
            tokens.append(token)
        merges.append(pair)
        changes: Counter[Pair] = Counter()
        for w in where.pop(pair):
            old, parts[w] = parts[w], replaced(parts[w], pair, new)
            for gone in pairwise(old):
                changes[gone] -= frequencies[w]
            for come in pairwise(parts[w]):
                changes[come] += frequencies[w]
                where[come].add(w)
        for changed, by in changes.items():
            counts[changed] += by
            if by > 0:
                heapq.heappush(heap, (-counts[changed], changed))
    return tokens, merges


def merged(parts: Sequence[int], ranks: Mapping[Pair, int], products: Sequence[int]) -> list[int]:
    """``parts`` after all merges, the pair of lowest rank first, from the left where several have it.

    Args:
        parts: ids.
        ranks: the rank of each pair of ids that is merged.
        products: the id that the pair of each rank becomes.
    """
    ids = list(parts)
    never = len(products)
    waiting = [*map(ranks.get, pairwise(ids), repeat(never))]  # the rank of each pair: one less than ids
    while waiting and (rank := min(waiting)) < never:
        i = waiting.index(rank)
        ids[i] = products[rank]
        del ids[i + 1], waiting[i]
        if i > 0:
            waiting[i - 1] = ranks.get((ids[i - 1], ids[i]), never)
        if i < len(waiting):
            waiting[i] = ranks.get((ids[i], ids[i + 1]), never)
    return ids


class BPETokenizer(Tokenizer):
    """Byte-level byte-pair encoding: any text is bytes, and frequent runs of bytes are one token.

    Radford et al. (2019), Language Models Are Unsupervised Multitask Learners.

    Args:
        pairs: the bytes of each token, special tokens among them, and the pairs to merge.
        special_tokens: their names.

    Raises:
        ValueError: a byte has no token, or a merge is of ids or makes bytes that have none; or as
            :class:`~tt_architectures.tokenizer.Tokenizer`.
    """

    def __init__(self, pairs: BytePairs, special_tokens: Iterable[str] = ()) -> None:
        special = {name.encode(): name for name in special_tokens}
        super().__init__([special.get(token) or printable(token) for token in pairs.tokens], special.values())
        self.pairs = pairs
        ids = {token: i for i, token in enumerate(pairs.tokens) if token not in special}
        try:
            self._byte_ids = [ids[bytes([b])] for b in range(256)]
            self._products = [ids[pairs.tokens[a] + pairs.tokens[b]] for a, b in pairs.merges]
        except (KeyError, IndexError) as error:
            raise ValueError(f"a byte has no token, or a merge makes none: {error}") from None
        self._ranks: dict[Pair, int] = {}
        for rank, pair in enumerate(pairs.merges):
            self._ranks.setdefault(pair, rank)
        self._words = WordCache(self._encode_word)

    @classmethod
    def train(cls, texts: str | Iterable[str], vocab_size: int, special_tokens: Iterable[str] = ()) -> Self:
        """Learn a vocabulary from a text or texts: the bytes, in GPT-2's order, merges, then special tokens.

        The same texts give the same vocabulary, whatever the hash seed.

        Raises:
            ValueError: ``vocab_size`` leaves no room for the bytes and the special tokens.
        """
        special = list(special_tokens)
        if vocab_size < 256 + len(special):
            raise ValueError(f"a byte-level vocabulary needs at least {256 + len(special)} tokens, got {vocab_size}")
        words: Counter[str] = Counter()
        for part in ordinary_parts([texts] if isinstance(texts, str) else texts, special):
            words.update(gpt2_words(checked_text(part)))
        alphabet = [bytes([b]) for b in BYTE_ORDER]
        id_of = {b: i for i, b in enumerate(BYTE_ORDER)}
        in_bytes = {tuple(id_of[b] for b in word.encode()): count for word, count in words.items()}
        tokens, merges = learned_merges(in_bytes, alphabet, vocab_size - len(special))
        return cls(BytePairs([*tokens, *(name.encode() for name in special)], merges), special)

    @classmethod
    def from_gpt2(cls, folder: str | Path, special_tokens: Sequence[str] = ("<|endoftext|>",)) -> Self:
        """GPT-2's published vocabulary, or one in its format: ``encoder.json`` with ``vocab.bpe``, as OpenAI names
        them, or ``vocab.json`` with ``merges.txt``, as Hugging Face does.

        Raises:
            FileNotFoundError: a file is missing.
            TokenizerError: one is damaged, or they do not belong together.
            ValueError: a special token is not in the vocabulary.
        """
        return cls(read_gpt2(folder, special_tokens), special_tokens)

    def save_gpt2(self, folder: str | Path) -> None:
        """Save in GPT-2's format, as ``vocab.json`` and ``merges.txt``, for other programs.

        Raises:
            OSError: the folder is missing or cannot be written to.
        """
        write_gpt2(folder, self.ids, self._merge_lines())

    def _merge_lines(self) -> list[str]:
        return [f"{self.tokens[a]} {self.tokens[b]}" for a, b in self.pairs.merges]

    def _encode_word(self, word: str) -> list[int]:
        parts = [self._byte_ids[b] for b in word.encode()]
        merge = merged if len(parts) <= 128 else merged_long
        return merge(parts, self._ranks, self._products)

    def encode_ordinary(self, text: str) -> list[int]:
        words = gpt2_words(checked_text(text))
        return list(chain.from_iterable(map(self._words.__getitem__, words)))

    def decode_bytes(self, ids: Iterable[int], *, skip_special: bool = False) -> bytes:
        """The bytes of ids, which need not be whole characters.

        Raises:
            ValueError: an id is no token's.
        """
        return b"".join(self._stream_bytes(ids, skip_special))

    def _stream_bytes(self, ids: Iterable[int], skip_special: bool) -> Iterator[bytes]:
        special = set(self.special_tokens.values()) if skip_special else ()
        for i in ids:
            if not 0 <= i < len(self.tokens):
                raise ValueError(f"a vocabulary of {self.vocab_size} tokens has no id {i}")
            if i not in special:
                yield self.pairs.tokens[i]

    def stream(self, ids: Iterable[int], *, skip_special: bool = False) -> Iterator[str]:
        """The text of ids piece by piece; bytes that are no character, and a last one that is cut off, give U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in self._stream_bytes(ids, skip_special):
            if text := decoder.decode(token):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text

    def content(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "merges": self._merge_lines(), "special_tokens": list(self.special_tokens)}

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Self:
        special = content["special_tokens"]
        ids = {token: i for i, token in enumerate(content["tokens"])}
        tokens = [token.encode() if token in special else bytes_of(token) for token in content["tokens"]]
        return cls(BytePairs(tokens, pairs_of(content["merges"], ids)), special)


def word_pieces(word: str, ids: Mapping[str, int], unknown: int) -> list[int]:
    """The longest token that the word begins with, then that of the rest, and so on; ``unknown`` if one is missing.

    Tokens that continue a word begin with ``##``.
    """
    pieces: list[int] = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        for end in range(len(word), start, -1):
            piece = ids.get(prefix + word[start:end])
            if piece is not None:
                break
        else:
            return [unknown]
        pieces.append(piece)
        start = end
    return pieces


class WordPieceTokenizer(Tokenizer):
    """BERT's tokens: words and punctuation marks, covered by the longest pieces there are (:func:`word_pieces`).

    How many spaces stood where, capitals and accents are lost, so that decoding gives a text that reads alike.

    Wu et al. (2016), Google's Neural Machine Translation System: Bridging the Gap between Human and Machine
    Translation; Devlin, Chang, Lee and Toutanova (2019), BERT.

    Args:
        tokens: the pieces, by id; special tokens among them.
        special_tokens: their names.
        unknown: the special token that stands for words that cannot be covered, and those of over 100 characters.
        lowercase: whether capitals and accents are taken away.

    Raises:
        ValueError: ``unknown`` is not among the special tokens, or as :class:`~tt_architectures.tokenizer.Tokenizer`.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        special_tokens: Iterable[str] = ("[UNK]",),
        unknown: str = "[UNK]",
        *,
        lowercase: bool = True,
    ) -> None:
        super().__init__(tokens, special_tokens)
        if unknown not in self.special_tokens:
            raise ValueError(f"unknown {unknown!r} is not among the special tokens")
        self.unknown, self.lowercase = unknown, lowercase
        self._words = WordCache(self._encode_word)

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        vocab_size: int,
        special_tokens: Iterable[str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *,
        lowercase: bool = True,
    ) -> Self:
        """Learn a vocabulary: special tokens, the characters that words begin with and go on with, frequent merges.

        Raises:
            ValueError: ``vocab_size`` leaves no room for the characters and the special tokens.
        """
        special = list(special_tokens)
        words: Counter[str] = Counter()
        for part in ordinary_parts([texts] if isinstance(texts, str) else texts, special):
            words.update(bert_words(checked_text(part), lowercase=lowercase))
        in_pieces = {(word[0], *(f"##{c}" for c in word[1:])): count for word, count in words.items()}
        alphabet = [*special, *sorted(set(chain.from_iterable(in_pieces)))]
        if vocab_size < len(alphabet):
            raise ValueError(f"this text's characters need at least {len(alphabet)} tokens, got {vocab_size}")
        id_of = {token: i for i, token in enumerate(alphabet)}
        in_ids = {tuple(id_of[piece] for piece in pieces): count for pieces, count in in_pieces.items()}
        tokens, _ = learned_merges(in_ids, alphabet, vocab_size, lambda a, b: a + b.removeprefix("##"))
        return cls(tokens, special, lowercase=lowercase)

    @classmethod
    def from_bert(cls, folder: str | Path, *, lowercase: bool = True) -> Self:
        """BERT's published vocabulary, ``vocab.txt``.

        Raises:
            FileNotFoundError: there is no such file.
            TokenizerError: it is damaged.
            ValueError: it lacks ``[UNK]``.
        """
        tokens = read_bert(folder)
        special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} & {*tokens}
        return cls(tokens, sorted(special), lowercase=lowercase)

    def _encode_word(self, word: str) -> list[int]:
        """The ids of what stands between two spaces."""
        unknown = self.special_tokens[self.unknown]
        ids: list[int] = []
        for part in bert_words(word, lowercase=self.lowercase):
            ids += word_pieces(part, self.ids, unknown) if len(part) <= 100 else [unknown]
        return ids

    def encode_ordinary(self, text: str) -> list[int]:
        words = spaced_words(checked_text(text))
        return list(chain.from_iterable(map(self._words.__getitem__, words)))

    def encode_pair(self, first: str, second: str | None = None) -> tuple[list[int], list[int]]:
        """``[CLS] first [SEP]``, or ``[CLS] first [SEP] second [SEP]``, and for each id 0 or 1: which text it is of.

        Raises:
            ValueError: the vocabulary has no ``[CLS]`` or ``[SEP]``.
        """
        if not {"[CLS]", "[SEP]"} <= self.special_tokens.keys():
            raise ValueError(f"a pair needs [CLS] and [SEP], the special tokens are {', '.join(self.special_tokens)}")
        end = self.special_tokens["[SEP]"]
        ids = [self.special_tokens["[CLS]"], *self.encode(first), end]
        segments = [0] * len(ids)
        if second is not None:
            more = [*self.encode(second), end]
            ids, segments = ids + more, segments + [1] * len(more)
        return ids, segments

    def stream(self, ids: Iterable[int], *, skip_special: bool = False) -> Iterator[str]:
        """The text of ids piece by piece: a space before every word but the first."""
        is_first = True
        for token in super().stream(ids, skip_special=skip_special):
            is_continued = token.startswith("##") and not is_first
            yield token[2:] if is_continued else token if is_first else f" {token}"
            is_first = False

    def content(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "special_tokens": list(self.special_tokens),
            "unknown": self.unknown,
            "lowercase": self.lowercase,
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Self:
        return cls(content["tokens"], content["special_tokens"], content["unknown"], lowercase=content["lowercase"])
