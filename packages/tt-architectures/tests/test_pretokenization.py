"""Words before tokens: as GPT-2 and as BERT cut them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_architectures.pretokenization import bert_words, checked_text, gpt2_words, normalized_for_bert


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Hello world", ["Hello", " world"]),
        ("it's  we'll 'S", ["it", "'s", " ", " we", "'ll", " '", "S"]),
        ("a1 22½ ٣x", ["a", "1", " 22½", " ٣", "x"]),
        ("a  \n b", ["a", "  \n", " b"]),
        ("end \n", ["end", " \n"]),
        ("¿qué? 日本語!", ["¿", "qué", "?", " 日本語", "!"]),
        ("_x_", ["_", "x", "_"]),
    ],
)
def test_gpt2_words_are_letters_digits_signs_and_spaces(text: str, words: list[str]) -> None:
    assert gpt2_words(text) == words


@given(st.text())
def test_gpt2_words_together_are_the_text(text: str) -> None:
    assert "".join(gpt2_words(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Hello, World!", ["hello", ",", "world", "!"]),
        ("don't   $5+5", ["don", "'", "t", "$", "5", "+", "5"]),
        ("Café Ångström ΛΌΓΟΣ İ", ["cafe", "angstrom", "λογοσ", "i"]),
        ("ab日本cd", ["ab", "日", "本", "cd"]),
        ("a\x00b\u200bc\ufffdd a\x1cb", ["abcd", "ab"]),
        ("a\tb\nc\xa0d\u2028e\u3000f", ["a", "b", "c", "d", "e", "f"]),
        ("…“q”", ["…", "“", "q", "”"]),
    ],
)
def test_bert_words_are_lower_case_without_accents_and_single_marks(text: str, words: list[str]) -> None:
    assert bert_words(text) == words


def test_bert_words_keep_capitals_and_accents_where_that_is_asked_for() -> None:
    assert bert_words("Café, 日本", lowercase=False) == ["Café", ",", "日", "本"]
    assert normalized_for_bert("A\x07B", lowercase=False) == "AB"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_bert_words_have_neither_spaces_nor_nothing(text: str) -> None:
    for word in bert_words(text):
        assert word
        assert not any(c.isspace() for c in word)


def test_text_is_checked() -> None:
    assert checked_text("naïve 🙂") == "naïve 🙂"
    with pytest.raises(ValueError, match=r"lone surrogate '\\ud83d' at place 2"):
        checked_text("ab\ud83d")
    with pytest.raises(TypeError, match="needs text, got NoneType"):
        checked_text(None)  # type: ignore[arg-type]
