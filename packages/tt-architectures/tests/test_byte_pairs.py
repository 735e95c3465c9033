"""Byte pairs in long words: the same merges, sooner."""

from hypothesis import given
from hypothesis import strategies as st

from tt_architectures.byte_pairs import merged_long
from tt_architectures.tokenization import learned_merges, merged

ids = st.lists(st.integers(0, 2), max_size=40)


@given(ids, st.dictionaries(st.tuples(*[st.integers(0, 2)] * 2), st.integers(0, 8), max_size=6))
def test_one_round_of_merges_is_the_same(parts: list[int], ranks: dict[tuple[int, int], int]) -> None:
    products = list(range(3, 12))
    assert merged_long(parts, ranks, products) == merged(parts, ranks, products)


@given(st.lists(ids, max_size=6), ids)
def test_learned_merges_of_merges_are_the_same(words: list[list[int]], parts: list[int]) -> None:
    tokens, pairs = learned_merges({tuple(word): 1 for word in words}, ["a", "b", "c"], 30)
    ranks = {pair: rank for rank, pair in reversed([*enumerate(pairs)])}
    products = [tokens.index(tokens[a] + tokens[b]) for a, b in pairs]
    assert merged_long(parts, ranks, products) == merged(parts, ranks, products)
