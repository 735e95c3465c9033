"""What the milestones' commands share: options, data and the line that a program reads."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tt_foundation.datasets import Data, digits, mnist
from tt_foundation.machine import keep_freed_memory
from tt_foundation.primitive import use_backend
from tt_foundation.random import manual_seed

__all__ = ["Result", "load", "run"]


class Result(NamedTuple):
    """How a milestone ended: accuracy in [0, 1], and the number of trained numbers."""

    accuracy: float
    parameters: int


def load(name: str) -> Data:
    """The data set of that name."""
    return {"digits": digits, "mnist": mnist}[name]()


def run(
    milestone: Callable[[argparse.Namespace], Result],
    description: str,
    *,
    data: list[str],
    epochs: int | Mapping[str, int],
) -> None:
    """Read the command line, run the milestone, print how it ended; ``epochs`` may depend on the data."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", choices=data, default=data[0])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="numpy", help="reference, numpy or another that is installed")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    if options.epochs is None:
        options.epochs = epochs if isinstance(epochs, int) else epochs[options.data]
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    keep_freed_memory()
    manual_seed(options.seed)
    try:
        use_backend(options.backend)
    except ValueError as error:
        parser.error(str(error))
    start = time.perf_counter()
    result = milestone(options)
    seconds = time.perf_counter() - start
    print(f"accuracy {result.accuracy:.2%} after {seconds:.1f} s with {result.parameters:,} parameters")
    if options.json:
        print(json.dumps({"accuracy": result.accuracy, "seconds": seconds, "parameters": result.parameters}))
