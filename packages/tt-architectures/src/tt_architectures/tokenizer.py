"""Tokenizers' common ground: special tokens, files, and words met before.

Knows what a vocabulary is; knows no method: those stand in ``tokenization``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from tt_architectures.pretokenization import checked_text
from tt_architectures.vocabularies import TokenizerError, read_tokenizer, write_tokenizer
from tt_foundation import Array, Tensor

__all__ = ["Tokenizer"]


class Tokenizer(ABC):
    """What all tokenizers do: text to ids and back, special tokens, saving and loading.

    A special token, such as ``<|endoftext|>``, is one id wherever its name stands in a text.

    Args:
        tokens: the text of each token, by id; special tokens among them.
        special_tokens: their names.

    Raises:
        ValueError: a token stands twice, or a special token is empty or not among the tokens.
    """

    kinds: ClassVar[dict[str, type[Tokenizer]]] = {}

    def __init_subclass__(cls) -> None:
        Tokenizer.kinds[cls.__name__] = cls

    def __init__(self, tokens: Sequence[str], special_tokens: Iterable[str] = ()) -> None:
        self.ids = {token: i for i, token in enumerate(tokens)}
        if len(self.ids) != len(tokens):
            raise ValueError(f"each token stands once, got {Counter(tokens).most_common(1)[0][0]!r} twice")
        names = sorted(special_tokens, key=lambda name: (-len(name), name))  # the longest that fits is taken
        for name in names:
            if not name or name not in self.ids:
                raise ValueError(f"special token {name!r} is not among the tokens")
        self.tokens = list(tokens)
        self.special_tokens = {name: self.ids[name] for name in names}
        self._special = re.compile(f"({'|'.join(map(re.escape, names))})") if names else None

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, special ones among them."""
        return len(self.tokens)

    @abstractmethod
    def encode_ordinary(self, text: str) -> list[int]:
        """The ids of a text, in which the names of special tokens are text like any other."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text; for text from strangers, who may write ``<|endoftext|>``, use :meth:`encode_ordinary`.

        Raises:
            TypeError: it is no ``str``.
            ValueError: it has a lone surrogate, or something that the vocabulary has no token for.
        """
        if self._special is None:
            return self.encode_ordinary(text)
        parts = self._special.split(checked_text(text))  # ordinary, special, ordinary, special, ..., ordinary
        ids = self.encode_ordinary(parts[0])
        for name, ordinary in zip(parts[1::2], parts[2::2], strict=True):
            ids.append(self.special_tokens[name])
            ids += self.encode_ordinary(ordinary)
        return ids

    def decode(self, ids: Iterable[int] | Array | Tensor, *, skip_special: bool = False) -> str:
        """The text of ids, any list or integer array of one axis; ``skip_special`` leaves special tokens out.

        Raises:
            ValueError: an id is no token's.
        """
        row: Iterable[int] = ids.tolist() if isinstance(ids, (np.ndarray, Tensor)) else ids
        return "".join(self.stream(row, skip_special=skip_special))

    def stream(self, ids: Iterable[int], *, skip_special: bool = False) -> Iterator[str]:
        """The text of ids piece by piece, as soon as each is certain: for a model that writes as it goes."""
        special = set(self.special_tokens.values()) if skip_special else set()
        for i in ids:
            if not 0 <= i < len(self.tokens):
                raise ValueError(f"a vocabulary of {self.vocab_size} tokens has no id {i}")
            if i not in special:
                yield self.tokens[i]

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What is saved, as plain data: the arguments of the class."""

    @classmethod
    @abstractmethod
    def from_content(cls, content: Mapping[str, Any]) -> Self:
        """The tokenizer that :meth:`content` describes."""

    def save(self, path: str | Path) -> None:
        """Save as one JSON file, whole or not at all.

        Raises:
            OSError: the folder is missing or cannot be written to.
        """
        write_tokenizer(path, {"kind": type(self).__name__, **self.content()})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A saved tokenizer: ``Tokenizer.load`` takes any, ``BPETokenizer.load`` refuses others.

        Raises:
            FileNotFoundError: there is no such file.
            TokenizerError: it is damaged, something else, or a tokenizer of another kind.
        """
        content = read_tokenizer(path)
        name = content.pop("kind")
        kind = Tokenizer.kinds.get(name)
        if kind is None:
            raise TokenizerError(f"{path} holds a tokenizer unknown here: {name}")
        if not issubclass(kind, cls):
            raise TokenizerError(f"{path} holds a {name}, not a {cls.__name__}")
        try:
            return kind.from_content(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TokenizerError(f"{path} is damaged: {error}") from None

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vocab_size} tokens, {len(self.special_tokens)} special)"


class WordCache(dict[str, list[int]]):
    """The ids of words met before; a new one is encoded when it is asked for.

    Half of a text is made of a few hundred words. Long ones seldom come again and are not kept.
    """

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        super().__init__()
        self.encode = encode

    def __missing__(self, word: str) -> list[int]:
        ids = self.encode(word)
        if len(word) <= 32:
            if len(self) >= 1 << 17:
                self.clear()
            self[word] = ids
        return ids

    def __reduce__(self) -> tuple[Any, ...]:
        return WordCache, (self.encode,)


def ordinary_parts(texts: Iterable[str], special_tokens: Iterable[str]) -> Iterator[str]:
    """Texts without the special tokens in them."""
    names = sorted(special_tokens, key=len, reverse=True)
    if not names:
        return iter(texts)
    special = re.compile("|".join(map(re.escape, names)))
    return chain.from_iterable(map(special.split, texts))
