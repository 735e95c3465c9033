"""Before tokenization: cutting text into the words that GPT-2 and BERT cut it into, each in its own way.

Tokens never reach over the border of a word. Knows text and Unicode; knows nothing of vocabularies.

The patterns are for the ``regex`` library, not the standard library's ``re``: it has the classes of Unicode that both
definitions are written in, the same on every Python, takes half the time, and is what GPT-2's own program used.
"""

from __future__ import annotations

import unicodedata

import regex  # type: ignore[import-untyped,unused-ignore]

__all__ = ["bert_words", "gpt2_words", "normalized_for_bert"]

_GPT2 = regex.compile(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

_CONTROLS = regex.compile(r"[\p{Cc}\p{Cf}\p{Co}\ufffd]+")
_MARKS = regex.compile(r"\p{Mn}+")
_IDEOGRAPHS = regex.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b820-\U0002ceaf\U0002f800-\U0002fa1f]"
)
_PUNCTUATED = regex.compile(r"[\p{P}$+<=>^`|~]|[^\p{P}$+<=>^`|~\s]+")

_CONTROLS_THAT_SPLIT_TAKES_FOR_SPACES = "\v\f\x1c\x1d\x1e\x1f\x85"


def checked_text(text: str) -> str:
    """``text`` itself, if it can be written as UTF-8.

    Raises:
        TypeError: it is no ``str``.
        ValueError: it has a lone surrogate, half of a character that needs two in UTF-16, which no bytes stand for.
    """
    if not isinstance(text, str):
        raise TypeError(f"a tokenizer needs text, got {type(text).__name__}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"a tokenizer needs text that UTF-8 can hold, got a lone surrogate {text[error.start]!r} at place "
                f"{error.start}: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')?"
            ) from None
    return text


def gpt2_words(text: str) -> list[str]:
    """Letters, digits or signs with the space before them, endings such as 's, and spaces: together again the text.

    Radford et al. (2019), Language Models Are Unsupervised Multitask Learners.
    """
    return _GPT2.findall(text)


def spaced_words(text: str) -> list[str]:
    """What stands between spaces, where control characters, which BERT drops, are none."""
    for control in _CONTROLS_THAT_SPLIT_TAKES_FOR_SPACES:
        text = text.replace(control, "")
    return text.split()


def normalized_for_bert(text: str, *, lowercase: bool = True) -> str:
    """Text without control characters, with spaces around ideographs, and, in lower case, without accents.

    Lower case is taken character by character: a final sigma becomes a sigma, as in Hugging Face's ``tokenizers``.
    """
    if text.isascii():
        text = _CONTROLS.sub("", text) if not text.isprintable() else text
        return text.lower() if lowercase else text
    text = _IDEOGRAPHS.sub(r" \g<0> ", _CONTROLS.sub("", text))
    if not lowercase:
        return text
    return "".join(map(str.lower, _MARKS.sub("", unicodedata.normalize("NFD", text))))


def bert_words(text: str, *, lowercase: bool = True) -> list[str]:
    """Normalized words and single punctuation marks, without the spaces between.

    Devlin, Chang, Lee and Toutanova (2019), BERT: Pre-Training of Deep Bidirectional Transformers for Language
    Understanding.
    """
    return [
        part
        for word in spaced_words(text)
        for part in _PUNCTUATED.findall(normalized_for_bert(word, lowercase=lowercase))
    ]
