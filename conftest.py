"""Tests marked `data` run where TT_DATA names the data sets; elsewhere they are deselected, and counted.

In CI none may be left out.
"""

import os
from typing import Any

import pytest

_left_out = 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    global _left_out
    without = [] if os.environ.get("TT_DATA") else [i for i in items if i.get_closest_marker("data") is not None]
    if without and os.environ.get("CI"):
        raise pytest.UsageError(f"TT_DATA is not set, and {len(without)} tests need the data: in CI all must run")
    if without:
        items[:] = [item for item in items if item not in without]
        config.hook.pytest_deselected(items=without)
    _left_out = len(without)
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = _left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    global _left_out
    _left_out = node.workeroutput.get("left_out", 0) if hasattr(node, "workeroutput") else _left_out


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _left_out:
        terminalreporter.write_line(f"{_left_out} tests left out: they need the data sets (set TT_DATA)")
