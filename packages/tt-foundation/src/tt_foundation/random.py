"""Randomness: the process's seeded generator, and saving and restoring it.

Every function of the library that draws takes ``rng``; without one it draws from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["default_rng", "generator_state", "manual_seed", "set_generator_state"]

_generator = np.random.default_rng(0)


def default_rng(rng: np.random.Generator | None = None) -> np.random.Generator:
    """``rng`` itself, or the process's generator where it is None."""
    return _generator if rng is None else rng


def manual_seed(seed: int) -> None:
    """Seed the process's generator: the same seed gives the same bits on the same machine and backend."""
    set_generator_state(np.random.default_rng(seed).bit_generator.state)


def generator_state() -> Mapping[str, Any]:
    """The state of the process's generator, as plain data."""
    return _generator.bit_generator.state


def set_generator_state(state: Mapping[str, Any]) -> None:
    """Put the process's generator back to a state from :func:`generator_state`."""
    _generator.bit_generator.state = state
