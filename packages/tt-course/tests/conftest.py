"""Small tiers to learn and to grade."""

import os
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tt_course import manifest

VECTORS = '''\
"""Vectors: the toy tier's exercise."""

import numpy as np

__all__ = ["dot", "scaled", "total"]


def total(x):
    """The sum of all elements."""
    return x.sum()


def scaled(x, factor):
    """Every element times ``factor``."""
    return x * factor


def dot(x, y):
    """The sum of products; shapes must be equal."""
    if x.shape != y.shape:
        raise ValueError(f"dot needs equal shapes, got {x.shape} and {y.shape}")
    return total(x * y)
'''

FILES = {
    "toy_tier/__init__.py": """
        from toy_tier import kernels, polygons, vectors
        from toy_tier.vectors import *
        """,
    "toy_tier/kernels.py": """
        def total(x):
            return x.sum()
        """,
    "toy_tier/polygons.py": '''
        """Polygons, which need vectors."""

        from toy_tier.vectors import dot


        def sides():
            """How many sides a square has."""
            return 4


        def length(x):
            return dot(x, x) ** 0.5
        ''',
    "toy_tier/course/tier.toml": """
        name = "toy"
        title = "Toy"
        package = "toy_tier"
        modules = ["91_vectors", "92_polygons"]
        withheld = ["toy_tier.kernels"]
        """,
    "toy_tier/course/91_vectors/module.toml": """
        number = 91
        source = "toy_tier.vectors"
        course_import = "toy.core.vectors"
        title = "Vectors"
        question = "What is a vector?"
        matters = "A lot."
        exercise = [
            { id = "91.1", title = "Sums", definitions = ["total"], points = 3, hints = ["a", "b", "c"] },
            { id = "91.2", title = "Multiples", definitions = ["scaled"], points = 2, hints = ["a", "b", "c"] },
            { id = "91.3", title = "Products", definitions = ["dot"], points = 5, hints = ["a", "b", "c"] },
        ]
        case = [
            { name = "the_sum", exercise = "91.1" },
            { name = "the_sum_of_nothing", exercise = "91.1" },
            { name = "multiples", exercise = "91.2" },
            { name = "products", exercise = "91.3", needs = ["91.1", "91.3"] },
            { name = "refusals", exercise = "91.3" },
        ]
        """,
    "toy_tier/course/91_vectors/cases.py": """
        import numpy as np


        def the_sum(rng, tt, show):
            x = rng.normal(size=5)
            show(x=x)
            return {"total": tt.total(x)}


        def the_sum_of_nothing(rng, tt, show):
            return {"total": tt.total(np.zeros(0))}


        def multiples(rng, tt, show):
            x, factor = rng.normal(size=(2, 3)), float(rng.normal())
            return {"scaled": tt.scaled(x, factor)}


        def products(rng, tt, show):
            x, y = rng.normal(size=4), rng.normal(size=4)
            return {"dot": tt.dot(x, y), "of itself": tt.dot(x, x)}


        def refusals(rng, tt, show):
            return {"error": show.raises(lambda: tt.dot(np.zeros(2), np.zeros(3)))}
        """,
    "toy_tier/course/92_polygons/module.toml": """
        number = 92
        source = "toy_tier.polygons"
        course_import = "toy.core.polygons"
        title = "Polygons"
        question = "What is a polygon?"
        matters = "Little."
        exercise = [{ id = "92.1", title = "Sides", definitions = ["sides"], points = 4, hints = ["a", "b", "c"] }]
        case = [{ name = "a_square", exercise = "92.1" }]
        """,
    "toy_tier/course/92_polygons/cases.py": """
        def a_square(rng, tt, show):
            return {"sides": tt.polygons.sides()}
        """,
    "toy_tier-1.0.dist-info/METADATA": """
        Metadata-Version: 2.1
        Name: toy-tier
        Version: 1.0
        Requires-Dist: numpy
        """,
    "toy_tier-1.0.dist-info/entry_points.txt": """
        [tito.tiers]
        toy = toy_tier
        """,
    "toy_tier-1.0.dist-info/RECORD": """
        toy_tier/__init__.py,,
        toy_tier/vectors.py,,
        toy_tier/kernels.py,,
        toy_tier/polygons.py,,
        """,
}


@pytest.fixture(scope="session")
def toy_tier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[manifest.Tier]:
    """A tier of two modules, numbers 91 and 92, installed for the tests of this process."""
    site = tmp_path_factory.mktemp("site")
    for name, content in {**FILES, "toy_tier/vectors.py": VECTORS}.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content).lstrip(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        manifest.tiers.cache_clear()
        yield manifest.load_tier("toy")
    manifest.tiers.cache_clear()


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[manifest.Tier]:
    """The tier ``toy_chain`` of three modules, a copy that the test may change, installed while it runs."""
    site = tmp_path / "site"
    shutil.copytree(Path(__file__).parent / "toy_chain", site / "toy_chain")
    about = site / "toy_chain-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-chain\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[tito.tiers]\nchain = toy_chain\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    monkeypatch.delenv("TITO_WORKSPACE", raising=False)
    manifest.tiers.cache_clear()
    yield manifest.load_tier("chain")
    manifest.tiers.cache_clear()
