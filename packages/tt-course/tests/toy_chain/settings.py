"""What the tier calls for the engine: notes which modules are prepared, and a generator that can be seeded."""

import numpy as np

prepared = []
generator = np.random.default_rng(0)


def prepare(module):
    """Note that a module is the one at hand."""
    prepared.append(module.__name__)


def seed(number):
    """Seed the generator."""
    generator.bit_generator.state = np.random.default_rng(number).bit_generator.state
