"""What only shows with the packages installed together, from wheels."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import tt_capstone
import tt_foundation


def test_every_package_is_imported_from_its_wheel_and_knows_its_version() -> None:
    for package, name in [(tt_capstone, "tt-capstone"), (tt_foundation, "tt-foundation")]:
        assert Path(str(package.__file__)).parent.parent.name == "site-packages"
        assert importlib.metadata.version(name) == package.__version__


def test_the_command_is_installed_and_runs_to_the_end(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "tt-capstone"
    done = subprocess.run(
        [command, "--data", "digits", "--epochs", "1", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["data"] == "digits"
    assert (tmp_path / "out" / "report.html").exists()


def test_the_capstone_pins_the_tier_it_was_made_with() -> None:
    (pin,) = [r for r in importlib.metadata.requires("tt-capstone") or [] if r.startswith("tt-foundation")]
    assert "<0.2" in pin
    assert ">=0.1" in pin


def test_importing_the_foundation_loads_numpy_and_nothing_else_of_others() -> None:
    code = (
        "import sys, numpy, numpy.random; before = set(sys.modules); import tt_foundation; "
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(m for m in new if m not in {*sys.stdlib_module_names, 'numpy'} and 'cython' not in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['tt_foundation']"
