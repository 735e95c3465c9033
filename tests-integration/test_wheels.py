"""What only shows with every package installed together, from wheels: tox environment ``integration``."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

import tt_capstone
import tt_foundation

COMMAND = Path(sys.executable).with_name("tt-capstone")


def test_every_package_is_imported_from_its_wheel() -> None:
    assert {Path(package.__file__).parent.parent.name for package in (tt_capstone, tt_foundation)} == {"site-packages"}


def test_a_package_takes_the_tiers_below_it_up_to_the_next_minor_version() -> None:
    required = [Requirement(text) for text in importlib.metadata.requires("tt-capstone") or []]
    (below,) = [requirement for requirement in required if requirement.name == "tt-foundation"]
    assert tt_foundation.__version__ in below.specifier
    assert "0.2.0" not in below.specifier
    assert below.extras == {"data", "plot", "progress"}


def test_metadata_versions_are_the_module_versions() -> None:
    for package, name in [(tt_capstone, "tt-capstone"), (tt_foundation, "tt-foundation")]:
        assert importlib.metadata.version(name) == package.__version__


def test_the_console_script_explains_itself_anywhere(tmp_path: Path) -> None:
    done = subprocess.run([COMMAND, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout or "usage" in done.stdout
    assert list(tmp_path.iterdir()) == []
