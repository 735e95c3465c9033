"""Byte pairs in long words: the merges of ``tokenization.merged`` in a time that grows little more than the word.

Looking through a word for its best pair after every merge is fast while words are short, and takes minutes for a
megabyte without a space. Here every pair waits in a heap and the parts are linked. Knows numbers only.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from itertools import pairwise

__all__ = ["merged_long"]


def merged_long(parts: Sequence[int], ranks: Mapping[tuple[int, int], int], products: Sequence[int]) -> list[int]:
    """``parts`` after all merges, the pair of lowest rank first, from the left where several have it.

    Args:
        parts: ids.
        ranks: the rank of each pair of ids that is merged.
        products: the id that the pair of each rank becomes.
    """
    ids = list(parts)
    count = len(ids)
    after = [*range(1, count + 1)]  # the next part that still stands; count is the end
    before = [*range(-1, count - 1)]
    heap = [(ranks[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in ranks]
    heapq.heapify(heap)
    while heap:
        rank, i = heapq.heappop(heap)
        j = after[i]
        if ids[i] < 0 or j == count or ranks.get((ids[i], ids[j])) != rank:
            continue  # one of the two has become part of another merge
        ids[i], ids[j] = products[rank], -1
        after[i] = k = after[j]
        if k < count:
            before[k] = i
            if (new := ranks.get((ids[i], ids[k]))) is not None:
                heapq.heappush(heap, (new, i))
        h = before[i]
        if h >= 0 and (new := ranks.get((ids[h], ids[i]))) is not None:
            heapq.heappush(heap, (new, h))
    return [i for i in ids if i >= 0]
