"""1801: least squares finds Ceres again."""

import json
import sys

import numpy as np

from toy_chain import fitted

if __name__ == "__main__":
    x = np.arange(5.0)
    line = fitted(x, 3 * x + 1)
    print("found", sys.argv[1:])
    worse = 0.5 if "--worse" in sys.argv else 0.0
    print(json.dumps({"slope": line.slope - worse}))
