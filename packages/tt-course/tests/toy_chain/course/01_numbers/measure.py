"""How long a sum takes."""

import time

import numpy as np


def main(tt, folder):
    """Sums of two sizes."""
    seconds = []
    for n in (10, 1000):
        x = np.ones(n)
        start = time.perf_counter()
        assert tt.total(x) == n
        seconds.append(time.perf_counter() - start)
    print("sizes 10, 1000")
    return {"size": [10, 1000], "seconds": seconds}
