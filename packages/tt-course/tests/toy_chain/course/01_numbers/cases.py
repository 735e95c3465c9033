"""Cases of numbers."""

import numpy as np


def twice(rng, tt, show):
    """An array and a number."""
    x = rng.normal(size=(2, 3))
    show(x=x)
    return {"doubled": tt.doubled(x), "of three": float(tt.doubled(3.0))}


def half(rng, tt, show):
    """An array."""
    x = rng.normal(size=3)
    show(x=x)
    return {"halved": tt.halved(x)}


def half_of_nothing(rng, tt, show):
    """An error that names the shape."""
    shape = (0, int(rng.integers(1, 10**6)))
    return {"error": show.raises(lambda: tt.halved(np.zeros(shape)))}


def sums(rng, tt, show):
    """A sum of what is doubled."""
    x = rng.normal(size=4)
    show(x=x)
    return {"total": tt.total(tt.doubled(x))}


def counting(rng, tt, show):
    """Two counts."""
    counter, n = tt.Counter(), int(rng.integers(1, 1000))
    return {"counts": [counter.add(), counter.add(n)]}


def chance(rng, tt, show):
    """Draws from the tier's generator."""
    return {"noise": tt.noise(3)}
