"""The package as a distribution: what its users install is what is tested here.

tox sets TT_INSTALLED=1 and installs this wheel and those it needs; ``./run test`` uses the source tree.
"""

import importlib.metadata
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import tt_architectures

INSTALLED = os.environ.get("TT_INSTALLED") == "1"
FOLDER = Path(tt_architectures.__file__).parent


def test_metadata_version_is_the_module_version() -> None:
    assert importlib.metadata.version("tt-architectures") == tt_architectures.__version__


def test_is_imported_from_the_wheel_where_one_is_installed_and_from_the_source_tree_elsewhere() -> None:
    assert FOLDER.parent.name == ("site-packages" if INSTALLED else "src")


def test_ships_its_type_marker() -> None:
    assert (FOLDER / "py.typed").is_file()


def test_no_tier_above_is_importable_beside_the_wheel() -> None:
    tiers = {module.name for module in pkgutil.iter_modules() if module.name.startswith("tt_")}
    assert tiers == {"tt_architectures", "tt_foundation"} or not INSTALLED


def test_importing_every_module_imports_nothing_from_above() -> None:
    names = [module.name for module in pkgutil.walk_packages([str(FOLDER)], "tt_architectures.")]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names}]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.partition(".")[0] for name in loaded if name.startswith("tt_")} == {
        "tt_architectures",
        "tt_foundation",
    }
