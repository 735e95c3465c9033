"""Build the wheels of packages of this repository and install them, by path, into the Python that runs this.

    python .ci/install_wheels.py packages/tt-foundation[data,plot] capstone

Ours are installed by path, so that nothing of the same name is ever taken from the public index; what they depend on
comes from there.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], cwd=ROOT, check=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = []
        for argument in sys.argv[1:]:
            package, _, extras = argument.partition("[")
            out = Path(folder, package.replace("/", "-"))
            pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), f"./{package}")
            (wheel,) = out.glob("*.whl")
            wanted.append(f"{wheel}[{extras}" if extras else str(wheel))
        # Reinstalling ours alone first keeps a stale build of the same version from staying in place.
        pip("install", "--quiet", *wanted)
        pip("install", "--quiet", "--no-deps", "--force-reinstall", *wanted)


if __name__ == "__main__":
    main()
