"""Check the types of the course's programs: they stand in folders like ``05_autograd``, which no package name fits.

python .ci/type_course.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for program in sorted(ROOT.glob("packages/*/src/*/course/**/*.py")):
            name = "_".join(("program", *program.relative_to(ROOT / "packages").with_suffix("").parts[2:]))
            Path(folder, f"{name.replace('-', '_')}.py").write_text(program.read_text())
        return subprocess.call([sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), folder])


if __name__ == "__main__":
    sys.exit(main())
