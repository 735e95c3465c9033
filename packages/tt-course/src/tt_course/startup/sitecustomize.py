"""Run by Python before a program's first line where ``tito run`` put this folder on the path: installs the hook.

A ``sitecustomize`` that was there before is run too.
"""

import importlib.machinery
import importlib.util
import os
import sys


def _run_the_other_one() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    elsewhere = [path for path in sys.path if os.path.abspath(path or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _install() -> None:
    workspace = os.environ.get("TITO_WORKSPACE")
    if not workspace:
        return
    try:
        from tt_course.hook import install

        install(workspace)
    except (ImportError, ValueError) as error:
        # To go on would run the reference and call it theirs.
        sys.stderr.write(f"tito: {error}\n")
        sys.stderr.flush()
        os._exit(2)  # an exception here would be shown with the tool's traceback


_run_the_other_one()
_install()
