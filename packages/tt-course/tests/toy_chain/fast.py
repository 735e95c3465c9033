"""A fast version of :func:`toy_chain.numbers.doubled`, which would answer for a learner's own."""


def doubled(x):
    """Twice ``x``, fast."""
    return x + x
