"""What only shows with the packages installed together, from wheels."""

import importlib
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

PACKAGES = ["tt-architectures", "tt-capstone", "tt-course", "tt-foundation"]


def test_every_package_is_imported_from_its_wheel_and_knows_its_version() -> None:
    for name in PACKAGES:
        package = importlib.import_module(name.replace("-", "_"))
        assert Path(str(package.__file__)).parent.parent.name == "site-packages"
        assert importlib.metadata.version(name) == package.__version__


def test_the_command_is_installed_and_runs_to_the_end(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "tt-capstone"
    done = subprocess.run(
        [command, "--data", "digits", "--text", "python", "--epochs", "1", "--steps", "5", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["data"] == "digits"
    assert (tmp_path / "out" / "report.html").exists()


def test_the_course_finds_the_installed_tier(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "tito"
    subprocess.run([command, "init", "mine"], cwd=tmp_path, capture_output=True, check=True)
    listed = subprocess.run(
        [command, "module", "list", "--json"], cwd=tmp_path / "mine", capture_output=True, text=True, check=True
    )
    assert "autograd" in listed.stdout


def test_packages_pin_the_tiers_they_were_made_with() -> None:
    for name in ("tt-architectures", "tt-capstone"):
        pins = [r for r in importlib.metadata.requires(name) or [] if r.startswith("tt-")]
        assert pins
        assert all(">=0.1" in pin and "<0.2" in pin for pin in pins)


def test_importing_the_foundation_loads_numpy_and_nothing_else_of_others() -> None:
    code = (
        "import sys, numpy, numpy.random; before = set(sys.modules); import tt_foundation; "
        "new = {m.partition('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(m for m in new if m not in {*sys.stdlib_module_names, 'numpy'} and 'cython' not in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['tt_foundation']"
