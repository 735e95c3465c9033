"""Tests marked with what a machine may lack run where it is there; elsewhere they are deselected, and counted.

In CI none may be left out.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest


def _shuts_in() -> bool:
    """Whether bubblewrap is installed and the kernel lets it make namespaces."""
    bwrap = shutil.which("bwrap")
    command = [bwrap or "", "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "true"]
    return bwrap is not None and subprocess.run(command, capture_output=True).returncode == 0


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "data": (lambda: bool(os.environ.get("TT_DATA")), "the data sets (set TT_DATA)"),
    "sandbox": (_shuts_in, "a sandbox (install bubblewrap)"),
}
"""Marker -> whether what it asks for is there, and what that is."""

_left_out: dict[str, int] = {}

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell makes what it starts in the background deaf to Ctrl-C, and with it the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker, (is_there, what) in NEEDS.items():
        without = [item for item in items if item.get_closest_marker(marker) is not None]
        if not without or is_there():
            continue
        if os.environ.get("CI"):
            raise pytest.UsageError(f"{len(without)} tests need {what}: in CI all must run")
        items[:] = [item for item in items if item not in without]
        config.hook.pytest_deselected(items=without)
        _left_out[marker] = len(without)
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = dict(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for marker, count in _left_out.items():
        terminalreporter.write_line(f"{count} tests left out: they need {NEEDS[marker][1]}")
